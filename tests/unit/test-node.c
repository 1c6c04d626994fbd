// SPDX-License-Identifier: GPL-2.0-only
/*
 * Codec of B+-tree nodes: what is sealed is read back, each rule that a node
 * can break is found out by its number, and no flipped bit passes.
 */
#include "vci-codec.h"
#include "vt.h"

#define NODE_ADDR	(1024u + 8 * 5)
#define DATA_ADDR	65536u
#define DATA_BLOCKS	(1u << 20)
#define WINDOW_3	(3 * VCI_WINDOW_BLOCKS)

static const u8 uuid[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

static const struct vci_node_bounds leaf_bounds = {
	.uuid = uuid, .addr = NODE_ADDR, .off = WINDOW_3, .blocks = 1 << 20,
	.max_gen = 77, .image_blocks = 1 << 21, .nodes_addr = 1024,
	.nodes_blocks = 8192, .data_addr = DATA_ADDR, .data_blocks = DATA_BLOCKS,
};

static struct vci_node_bounds bounds_of(u64 off, u64 blocks)
{
	struct vci_node_bounds b = leaf_bounds;

	b.off = off;
	b.blocks = blocks;
	return b;
}

static struct vci_extent extent_at(unsigned int i)
{
	return (struct vci_extent) {
		.off = WINDOW_3 + 64 * i, .addr = DATA_ADDR + 100 * i, .blocks = 8 + i % 50,
		.flags = i % 4, .heat = i % 64,
	};
}

static void make_leaf(void *node, unsigned int nr)
{
	struct vci_extent e;
	unsigned int i;

	vci_node_init(node, VCI_NODE_LEAF);
	for (i = 0; i < nr; i++) {
		e = extent_at(i);
		vci_node_put_extent(node, i, &e, DATA_ADDR + i, 0);
		vci_node_set_lru_next(node, i, i % 2 ? DATA_ADDR + i : 0);
	}
	vci_node_seal(node, uuid, NODE_ADDR, 77);
}

static void make_internal(void *node, unsigned int nr)
{
	unsigned int i;

	vci_node_init(node, VCI_NODE_INTERNAL);
	for (i = 0; i < nr; i++) {
		const struct vci_child c = {
			.off = WINDOW_3 + 4096 * i, .blocks = 4096 - i % 2,
			.addr = 1024 + 8 * (i + 1),
		};

		vci_node_put_child(node, i, &c);
	}
	vci_node_seal(node, uuid, NODE_ADDR, 77);
}

static void test_leaf_round_trip(void)
{
	static const unsigned int counts[] = { 0, 1, 2, 53, 106, 107 };
	u8 node[VCI_NODE_SIZE];
	struct vci_extent e, want;
	unsigned int i, k, bad;
	u64 prev, next;

	for (k = 0; k < ARRAY_SIZE(counts); k++) {
		make_leaf(node, counts[k]);
		bad = vci_node_check(node, &leaf_bounds, NULL) != 0;
		bad += vci_node_type(node) != VCI_NODE_LEAF;
		bad += vci_node_count(node) != counts[k];
		bad += vci_node_gen(node) != 77;
		for (i = 0; i < counts[k]; i++) {
			memset(&e, 0, sizeof(e));
			memset(&want, 0, sizeof(want));
			want = extent_at(i);
			vci_node_extent(node, i, &e);
			vci_node_lru(node, i, &prev, &next);
			bad += e.off != want.off || e.addr != want.addr ||
			       e.blocks != want.blocks || e.flags != want.flags ||
			       e.heat != want.heat;
			bad += prev != DATA_ADDR + i ||
			       next != (i % 2 ? DATA_ADDR + i : 0);
		}
		is_u64(bad, 0, "node:leaf_of_%u_round_trip", counts[k]);
	}
}

static void test_internal_round_trip(void)
{
	static const unsigned int counts[] = { 0, 1, 102, 203, 204 };
	u8 node[VCI_NODE_SIZE];
	struct vci_child c;
	unsigned int i, k, bad;

	for (k = 0; k < ARRAY_SIZE(counts); k++) {
		make_internal(node, counts[k]);
		bad = vci_node_check(node, &leaf_bounds, NULL) != 0;
		bad += vci_node_type(node) != VCI_NODE_INTERNAL;
		bad += vci_node_count(node) != counts[k];
		for (i = 0; i < counts[k]; i++) {
			vci_node_child(node, i, &c);
			bad += c.off != WINDOW_3 + 4096 * i || c.blocks != 4096 - i % 2 ||
			       c.addr != 1024 + 8 * (i + 1);
		}
		is_u64(bad, 0, "node:internal_of_%u_round_trip", counts[k]);
	}
}

static void test_bit_flips(void)
{
	u8 node[VCI_NODE_SIZE];
	unsigned int i, passed = 0;
	struct vci_damage dmg;

	make_leaf(node, 60);
	for (i = 0; i < VCI_NODE_SIZE * 8; i++) {
		node[i / 8] ^= 1u << (i % 8);
		passed += !vci_node_check(node, &leaf_bounds, &dmg) ||
			  dmg.number != VCI_DMG_NODE_CSUM || dmg.addr != NODE_ADDR;
		node[i / 8] ^= 1u << (i % 8);
	}
	is_u64(passed, 0, "node:every_flipped_bit_is_found");
}

static void test_place(void)
{
	struct vci_node_bounds b = leaf_bounds;
	u8 node[VCI_NODE_SIZE], other[16];
	struct vci_damage dmg;

	make_leaf(node, 5);
	b.addr += 8;
	ok(vci_node_check(node, &b, &dmg) == -EILSEQ && dmg.number == VCI_DMG_NODE_CSUM,
	   "node:refuses_one_of_another_place");
	b = leaf_bounds;
	memcpy(other, uuid, 16);
	other[15] ^= 1;
	b.uuid = other;
	ok(vci_node_check(node, &b, &dmg) == -EILSEQ && dmg.number == VCI_DMG_NODE_CSUM,
	   "node:refuses_one_of_another_image");
	b = leaf_bounds;
	b.max_gen = 76;
	ok(vci_node_check(node, &b, &dmg) == -ENOTBLK && dmg.number == VCI_DMG_NODE_GEN,
	   "node:refuses_one_of_an_unfinished_checkpoint");
	memset(node, 0, sizeof(node));
	ok(vci_node_check(node, &leaf_bounds, NULL) == -EILSEQ, "node:refuses_zeros");
}

/* ---- extents: one leaf of three, the middle one changed ------------------ */

struct leaf_case {
	const char *name;
	enum vci_damage_number number;
	u64 off, addr;		/* off relative to the middle one's */
	u32 blocks;
	u8 flags;
	u64 prev, next;
};

#define OFF(x)	((u64)(x))

static const struct leaf_case leaf_cases[] = {
	{ "good", VCI_DMG_NONE, 0, DATA_ADDR + 100, 8, 3, 0, 0 },
	{ "touching_both", VCI_DMG_NONE, OFF(-56), DATA_ADDR, 120, 0, 0, 0 },
	{ "good_at_data_end", VCI_DMG_NONE, 0, DATA_ADDR + DATA_BLOCKS - 8, 8, 0, 0, 0 },
	{ "overlap_before", VCI_DMG_NODE_ORDER, OFF(-57), DATA_ADDR, 8, 0, 0, 0 },
	{ "overlap_behind", VCI_DMG_NODE_ORDER, 0, DATA_ADDR, 65, 0, 0, 0 },
	{ "same_offset", VCI_DMG_NODE_ORDER, OFF(-64), DATA_ADDR, 8, 0, 0, 0 },
	{ "below_parent", VCI_DMG_NODE_ORDER, OFF(-65), DATA_ADDR, 8, 0, 0, 0 },
	{ "beyond_parent", VCI_DMG_NODE_RANGE, 1 << 20, DATA_ADDR, 8, 0, 0, 0 },
	{ "wraps", VCI_DMG_NODE_RANGE, ~0ull - 100 - WINDOW_3, DATA_ADDR, 8, 0, 0, 0 },
	{ "too_long", VCI_DMG_NODE_RANGE, 0, DATA_ADDR, 0x10000, 0, 0, 0 },
	{ "data_low", VCI_DMG_NODE_ADDR, 0, DATA_ADDR - 1, 8, 0, 0, 0 },
	{ "data_high", VCI_DMG_NODE_ADDR, 0, DATA_ADDR + DATA_BLOCKS - 7, 8, 0, 0, 0 },
	{ "data_40_bits", VCI_DMG_NODE_ADDR, 0, 1ull << 40, 8, 0, 0, 0 },
	{ "data_wraps", VCI_DMG_NODE_ADDR, 0, ~0ull - 4, 8, 0, 0, 0 },
	{ "lru_prev", VCI_DMG_NODE_ADDR, 0, DATA_ADDR, 8, 0, 1, 0 },
	{ "lru_next", VCI_DMG_NODE_ADDR, 0, DATA_ADDR, 8, 0, 0, ~0ull },
	{ "lru_good", VCI_DMG_NONE, 0, DATA_ADDR, 8, 0, DATA_ADDR, DATA_ADDR },
};

static void test_leaf_cases(void)
{
	struct vci_extent e;
	u8 node[VCI_NODE_SIZE];
	struct vci_damage dmg;
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(leaf_cases); i++) {
		const struct leaf_case *c = &leaf_cases[i];

		make_leaf(node, 3);
		e = extent_at(1);
		e.off += c->off;
		e.addr = c->addr;
		e.blocks = c->blocks;
		e.flags = c->flags;
		vci_node_put_extent(node, 1, &e, c->prev, c->next);
		vci_node_seal(node, uuid, NODE_ADDR, 77);
		memset(&dmg, 0, sizeof(dmg));
		err = vci_node_check(node, &leaf_bounds, &dmg);
		ok(err == (c->number ? -EILSEQ : 0) && dmg.number == c->number,
		   "node:leaf_%s", c->name);
	}
}

/* A leaf that holds one extent, in a range of its own. */
static enum vci_damage_number check_one(u64 off, u32 blocks,
					const struct vci_node_bounds *b)
{
	const struct vci_extent e = { .off = off, .addr = DATA_ADDR, .blocks = blocks };
	struct vci_damage dmg = { };
	u8 node[VCI_NODE_SIZE];

	vci_node_init(node, VCI_NODE_LEAF);
	vci_node_put_extent(node, 0, &e, 0, 0);
	vci_node_seal(node, uuid, NODE_ADDR, 1);
	if (!vci_node_check(node, b, &dmg))
		return VCI_DMG_NONE;
	return dmg.number;
}

static void test_windows(void)
{
	/* Ranges of one window's length at most: a longer one means the root. */
	struct vci_node_bounds b = bounds_of(VCI_WINDOW_BLOCKS - 512, 1024);

	is_u64(check_one(VCI_WINDOW_BLOCKS - 8, 8, &b), VCI_DMG_NONE,
	       "node:extent_up_to_a_window_edge");
	is_u64(check_one(VCI_WINDOW_BLOCKS, 8, &b), VCI_DMG_NONE,
	       "node:extent_from_a_window_edge");
	is_u64(check_one(VCI_WINDOW_BLOCKS - 1, 2, &b), VCI_DMG_NODE_RANGE,
	       "node:refuses_extent_over_a_window_edge");
	b = bounds_of(VCI_BACKING_MAX - 512, 1024);
	is_u64(check_one(VCI_BACKING_MAX - 8, 8, &b), VCI_DMG_NONE,
	       "node:extent_at_the_largest_offset");
	is_u64(check_one(VCI_BACKING_MAX, 8, &b), VCI_DMG_NODE_RANGE,
	       "node:refuses_extent_beyond_204_windows");
	b = bounds_of(512, 8);
	is_u64(check_one(511, 4, &b), VCI_DMG_NODE_RANGE, "node:refuses_key_below_parent");
	is_u64(check_one(518, 3, &b), VCI_DMG_NODE_RANGE, "node:refuses_key_above_parent");
	is_u64(check_one(512, 8, &b), VCI_DMG_NONE, "node:extent_fills_parent");
	b = bounds_of(0, VCI_BACKING_MAX);
	is_u64(check_one(512, 8, &b), VCI_DMG_NODE_TYPE, "node:refuses_leaf_as_root");
}

/* ---- children ---------------------------------------------------------- */

struct child_case {
	const char *name;
	enum vci_damage_number number;
	bool root;
	struct vci_child c;
};

static const struct child_case child_cases[] = {
	{ "good", VCI_DMG_NONE, false, { WINDOW_3 + 4096, 1024 + 64, 4096 } },
	{ "last_unit", VCI_DMG_NONE, false, { WINDOW_3 + 4096, 1024 + 8184, 9 } },
	{ "overlap", VCI_DMG_NODE_ORDER, false, { WINDOW_3 + 4095, 1024 + 64, 9 } },
	{ "overlap_behind", VCI_DMG_NODE_ORDER, false, { WINDOW_3 + 4096, 1024 + 64, 4097 } },
	{ "beyond_parent", VCI_DMG_NODE_RANGE, false, { WINDOW_3 + 8192, 1024 + 64, 1 << 20 } },
	{ "wraps", VCI_DMG_NODE_RANGE, false, { ~0ull - 8, 1024 + 64, 9 } },
	{ "unaligned", VCI_DMG_NODE_ADDR, false, { WINDOW_3 + 4096, 1024 + 65, 9 } },
	{ "low", VCI_DMG_NODE_ADDR, false, { WINDOW_3 + 4096, 1016, 9 } },
	{ "high", VCI_DMG_NODE_ADDR, false, { WINDOW_3 + 4096, 1024 + 8192, 9 } },
	{ "40_bits", VCI_DMG_NODE_ADDR, false, { WINDOW_3 + 4096, 1ull << 43, 9 } },
	{ "window", VCI_DMG_NONE, true, { VCI_WINDOW_BLOCKS, 1024, 1u << 31 } },
	{ "window_last", VCI_DMG_NONE, true, { 203 * VCI_WINDOW_BLOCKS, 1024, 1u << 31 } },
	{ "window_far", VCI_DMG_NODE_RANGE, true, { 204 * VCI_WINDOW_BLOCKS, 1024, 1u << 31 } },
	{ "window_part", VCI_DMG_NODE_RANGE, true, { VCI_WINDOW_BLOCKS, 1024, 1u << 30 } },
	{ "window_odd", VCI_DMG_NODE_RANGE, true, { VCI_WINDOW_BLOCKS + 8, 1024, 1u << 31 } },
};

static void test_child_cases(void)
{
	const struct vci_node_bounds root = bounds_of(0, VCI_BACKING_MAX);
	struct vci_child third = { WINDOW_3 + 8192, 1024 + 128, 9 };
	struct vci_child first = { WINDOW_3, 1024 + 8, 4096 };
	u8 node[VCI_NODE_SIZE];
	struct vci_damage dmg;
	unsigned int i, n;
	int err;

	for (i = 0; i < ARRAY_SIZE(child_cases); i++) {
		const struct child_case *c = &child_cases[i];

		n = 0;
		vci_node_init(node, VCI_NODE_INTERNAL);
		if (!c->root)
			vci_node_put_child(node, n++, &first);
		vci_node_put_child(node, n++, &c->c);
		if (!c->root && c->number != VCI_DMG_NODE_RANGE)
			vci_node_put_child(node, n++, &third);
		vci_node_seal(node, uuid, NODE_ADDR, 77);
		memset(&dmg, 0, sizeof(dmg));
		err = vci_node_check(node, c->root ? &root : &leaf_bounds, &dmg);
		ok(err == (c->number ? -EILSEQ : 0) && dmg.number == c->number,
		   "node:child_%s", c->name);
	}
}

/* ---- bytes: changed in the node, with the right checksum -------------------- */

struct byte_case {
	const char *name;
	bool leaf;
	unsigned int at;
	u8 value;
	enum vci_damage_number number;
};

#define LEAF_ENTRY(i)	(1 + 38 * (i))

static const struct byte_case byte_cases[] = {
	{ "type_0", true, 0, 0, VCI_DMG_NODE_TYPE },
	{ "type_3", true, 0, 3, VCI_DMG_NODE_TYPE },
	{ "reserved_byte", true, LEAF_ENTRY(1) + 17, 1, VCI_DMG_NODE_FLAGS },
	{ "unused_lru", true, LEAF_ENTRY(3), 1, VCI_DMG_NODE_SLACK },
	{ "unused_flags", true, LEAF_ENTRY(3) + 16, 1, VCI_DMG_NODE_SLACK },
	{ "blocks_without_address", true, LEAF_ENTRY(3) + 26, 1, VCI_DMG_NODE_SLACK },
	{ "address_without_blocks", true, LEAF_ENTRY(3) + 31, 1, VCI_DMG_NODE_SLACK },
	{ "last_unused", true, LEAF_ENTRY(107) - 1, 1, VCI_DMG_NODE_SLACK },
	{ "leaf_slack", true, LEAF_ENTRY(107), 1, VCI_DMG_NODE_SLACK },
	{ "leaf_slack_end", true, VCI_NODE_TAIL - 1, 1, VCI_DMG_NODE_SLACK },
	{ "internal_slack", false, 1 + 20 * 204, 1, VCI_DMG_NODE_SLACK },
	{ "internal_slack_end", false, VCI_NODE_TAIL - 1, 1, VCI_DMG_NODE_SLACK },
};

static void test_bytes(void)
{
	u8 node[VCI_NODE_SIZE];
	struct vci_damage dmg;
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(byte_cases); i++) {
		const struct byte_case *c = &byte_cases[i];

		if (c->leaf)
			make_leaf(node, 3);
		else
			make_internal(node, 204);
		node[c->at] = c->value;
		vci_node_seal(node, uuid, NODE_ADDR, 77);
		err = vci_node_check(node, &leaf_bounds, &dmg);
		ok(err == -EILSEQ && dmg.number == c->number, "node:refuses_%s", c->name);
	}
}

/* An entry in use behind one that isn't; and generation 0. */
static void test_holes(void)
{
	struct vci_node_tail_disk *tail;
	u8 node[VCI_NODE_SIZE];
	struct vci_damage dmg;

	make_leaf(node, 3);
	memset(node + LEAF_ENTRY(1), 0, 38);
	vci_node_seal(node, uuid, NODE_ADDR, 77);
	ok(vci_node_check(node, &leaf_bounds, &dmg) == -EILSEQ &&
	   dmg.number == VCI_DMG_NODE_SLACK, "node:refuses_a_hole_between_entries");
	make_leaf(node, 3);
	tail = (void *)(node + VCI_NODE_TAIL);
	tail->gen = 0;
	tail->crc = cpu_to_le32(crc32c(crc32c(crc32c(~0u, uuid, 16),
					      &(__le64) { cpu_to_le64(NODE_ADDR) }, 8),
				       node, VCI_NODE_SIZE - 4));
	ok(vci_node_check(node, &leaf_bounds, &dmg) == -ENOTBLK &&
	   dmg.number == VCI_DMG_NODE_GEN, "node:refuses_generation_0");
}

/* Hostile content under a good checksum ends in a verdict, whatever it is. */
static void test_noise(void)
{
	u64 state = vt_seed();
	u8 node[VCI_NODE_SIZE];
	unsigned int i, k;

	for (i = 0; i < 5000; i++) {
		make_leaf(node, i % 108);
		node[0] = 1 + i % 2;
		for (k = 0; k < 1 + i % 7; k++)
			node[1 + vt_random(&state) % (VCI_NODE_TAIL - 1)] = vt_random(&state);
		vci_node_seal(node, uuid, NODE_ADDR, 77);
		if (!vci_node_check(node, &leaf_bounds, NULL))
			assert(vci_node_count(node) <= 204);
	}
	ok(true, "node:random_content_is_judged");
}

static void test_heat(void)
{
	struct vci_extent e = { .off = WINDOW_3, .addr = DATA_ADDR, .blocks = 1, .flags = 3,
				.heat = 255 };
	u8 node[VCI_NODE_SIZE];

	vci_node_init(node, VCI_NODE_LEAF);
	vci_node_put_extent(node, 0, &e, 0, 0);
	vci_node_extent(node, 0, &e);
	ok(e.heat == VCI_HEAT_MAX && e.flags == 3, "node:heat_is_cut_to_what_fits");
}

int main(void)
{
	test_leaf_round_trip();
	test_internal_round_trip();
	test_bit_flips();
	test_place();
	test_leaf_cases();
	test_windows();
	test_child_cases();
	test_bytes();
	test_holes();
	test_noise();
	test_heat();
	return done_testing();
}
