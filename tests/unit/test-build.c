// SPDX-License-Identifier: GPL-2.0-only
/*
 * The compact tree of a clean close: every extent, every link, judged by
 * vci_verify() and found again by the next activation.
 */
#include "rig.h"
#include "vci-build.h"

#define IMAGE_LARGE	(4096u * 256)
#define BACKING_LARGE	(5 * VCI_WINDOW_BLOCKS + 12345)

static struct rig rig;

enum shape { ONE_WINDOW, ALL_WINDOWS, EDGES };

static u64 place(enum shape shape, u32 i, u32 nr)
{
	switch (shape) {
	case ONE_WINDOW:
		return (u64)i * 16;
	case ALL_WINDOWS:
		return BACKING_LARGE / nr * i;
	default:
		/* Ends and begins a window, for each of them. */
		return i & 1 ? (i / 2 + 1) * VCI_WINDOW_BLOCKS :
			       (i / 2 + 1) * VCI_WINDOW_BLOCKS - 8;
	}
}

/* Maps @nr extents of up to 8 blocks directly, without data or log. */
static int insert(enum shape shape, u32 nr, u32 heats)
{
	struct vci_segments *t = &rig.c->segments;
	u32 i, s;
	int r = 0;

	for (i = 0; !r && i < nr; i++) {
		struct vci_change ch = {
			.kind = VCI_CHANGE_INSERT,
			.e = {
				.off = place(shape, i, nr),
				.addr = t->addr + (u64)i * VCI_UNIT_BLOCKS,
				.blocks = sim_range(&rig.rng, 1, 8),
				.heat = sim_below(&rig.rng, heats),
			},
		};

		s = vci_segment_of(t, ch.e.addr);
		if (t->s[s].life == VCI_LIFE_FREE || t->s[s].life == VCI_LIFE_QUEUED)
			vci_segment_set(t, s, VCI_LIFE_CLOSED);
		r = vci_cache_change(rig.c, &ch);
	}
	return r;
}

static void test_shape(enum shape shape, u32 nr, u32 heats, const char *name)
{
	struct vci_header h;
	struct vci_lookup res;
	u32 i, found = 0;

	rig_init(&rig, IMAGE_LARGE, BACKING_LARGE, 4096);
	rig.no_data = true;
	assert(!rig_open(&rig));
	/* The log gives up what it was promised: nothing is appended here. */
	rig.c->log.nr_queue = 0;
	ok(!insert(shape, nr, heats), "build:%s_is_inserted", name);
	ok(!rig_close(&rig), "build:%s_is_built", name);
	rig_header(&rig, &h);
	is_u64(h.nr_extents, nr, "build:%s_counts_extents", name);
	ok(!h.lru_head == !nr && !h.lru_tail == !nr, "build:%s_has_a_list", name);
	is_u64(rig_verify(&rig), 0, "build:%s_is_valid", name);
	assert(!rig_open(&rig));
	for (i = 0; i < nr; i++) {
		u64 off = place(shape, i, nr);

		assert(!vci_cache_load(rig.c, off, 1));
		assert(!vci_cache_lookup(rig.c, off, 1, &res));
		found += res.mapped &&
			 res.e.addr == rig.c->segments.addr + (u64)i * VCI_UNIT_BLOCKS;
	}
	is_u64(found, nr, "build:%s_is_found_again", name);
	ok(!vci_btree_validate(rig.c->tree), "build:%s_is_a_good_tree", name);
	assert(!rig_close(&rig));
	rig_exit(&rig);
}

/* ---- the builder alone: what fails, fails cleanly ---- */

struct sink {
	u64 next, end;
	u32 writes, fail_write;
	u32 held, held_max;
};

static u64 sink_alloc(void *ctx)
{
	struct sink *s = ctx;

	if (s->next == s->end)
		return 0;
	s->held++;
	s->held_max = max(s->held_max, s->held);
	s->next += VCI_NODE_BLOCKS;
	return s->next - VCI_NODE_BLOCKS;
}

static int sink_write(void *ctx, u64 addr, const void *node)
{
	struct sink *s = ctx;

	(void)addr;
	(void)node;
	s->held--;
	return ++s->writes == s->fail_write ? -EIO : 0;
}

static const struct vci_build_ops sink_ops = { sink_alloc, sink_write };

static int build(struct sink *s, u32 nr, u32 heats)
{
	struct vci_header h = { .backing_blocks = BACKING_LARGE };
	struct vci_build_result res;
	struct vci_build *b = NULL;
	int r = vci_build_begin(&b, &h, 1, &sink_ops, s);
	u32 i;

	for (i = 0; !r && i < nr; i++) {
		struct vci_extent e = {
			.off = (u64)i * 1000000,
			.addr = 10000 + i,
			.blocks = 1,
			.heat = i * 7 % heats,
		};

		r = vci_build_add(b, &e);
	}
	if (!r)
		r = vci_build_end(b, &res);
	vci_build_free(b);
	return r;
}

static void test_failures(void)
{
	struct sink s = { .next = 8, .end = 1u << 30 };
	u32 i, nr = 3000, wrong = 0, nodes;

	ok(!build(&s, nr, 64), "build:into_a_sink");
	nodes = s.writes;
	is_u64(s.next, 8 + nodes * VCI_NODE_BLOCKS, "build:writes_each_node_once");
	/* Two leaves a class, the one being filled, and internal ones. */
	ok(s.held_max <= 2 * VCI_HEAT_CLASSES + VCI_DEPTH_MAX, "build:memory_is_bounded");
	for (i = 1; i <= nodes; i++) {
		s = (struct sink) { .next = 8, .end = 1u << 30, .fail_write = i };
		wrong += build(&s, nr, 64) != -EIO;
	}
	is_u64(wrong, 0, "build:every_write_failed_once");
	for (i = 0; i < nodes; i++) {
		s = (struct sink) { .next = 8, .end = 8 + i * VCI_NODE_BLOCKS };
		wrong += build(&s, nr, 3) != -ENOSPC;
	}
	is_u64(wrong, 0, "build:every_node_refused_once");
	for (i = 1;; i++) {
		s = (struct sink) { .next = 8, .end = 1u << 30 };
		vci_alloc_fail_at = i;
		if (build(&s, nr, 64) != -ENOMEM)
			break;
	}
	ok(i > 10 && vci_alloc_fail_at, "build:every_allocation_failed_once");
	vci_alloc_fail_at = 0;
}

int main(void)
{
	test_failures();
	test_shape(ONE_WINDOW, 0, 1, "empty_tree");
	test_shape(ONE_WINDOW, 1, 1, "one_extent");
	test_shape(ONE_WINDOW, VCI_LEAF_MAX, 1, "full_leaf");
	test_shape(ONE_WINDOW, VCI_LEAF_MAX + 1, 255, "leaf_and_one");
	test_shape(ONE_WINDOW, VCI_LEAF_MAX * VCI_INTERNAL_MAX, 4, "full_level");
	test_shape(ONE_WINDOW, VCI_LEAF_MAX * VCI_INTERNAL_MAX + 1, 2, "level_and_one");
	test_shape(EDGES, 10, 3, "window_edges");
	test_shape(ALL_WINDOWS, 5000, 256, "all_windows");
	test_shape(ALL_WINDOWS, 100000, 256, "many_extents");
	is_u64(vci_alloc_live, 0, "build:frees_all");
	return done_testing();
}
