// SPDX-License-Identifier: GPL-2.0-only
/*
 * The whole-image walker: good images have no findings; each mutation of a good
 * one is found, by its number alone; no bytes make it fail in another way.
 */
#include "image.h"
#include "vci-verify.h"
#include "vt.h"

#define BLOCKS		(8ull * 1024)	/* 4 MiB: segments of 64 blocks */
#define NR_EXTENTS	300u
#define NR_FIRST	200u		/* of them in the first window: 2 leaves */
#define EXTENT_BLOCKS	8u
#define EXTENT_STEP	16u		/* of their data, in a segment each */

struct world {
	struct mem_dev m;
	struct vci_header h;
	struct vci_extent e[NR_EXTENTS];
};

static struct world *world_prepare(void)
{
	struct world *w = calloc(1, sizeof(*w));
	unsigned int i;

	assert(w);
	mem_dev_init(&w->m, BLOCKS);
	image_format(&w->m, &w->h);	/* for the address of the segments */
	for (i = 0; i < NR_EXTENTS; i++)
		w->e[i] = (struct vci_extent) {
			.off = (i < NR_FIRST ? 0 : VCI_WINDOW_BLOCKS) + 64 * i,
			.addr = w->h.segments + (u64)((i * 7) % NR_EXTENTS) * EXTENT_STEP,
			.blocks = EXTENT_BLOCKS, .heat = i % 64,
		};
	return w;
}

static struct world *world_create(void)
{
	struct world *w = world_prepare();

	image_build(&w->m, &w->h, w->e, NR_EXTENTS);
	return w;
}

static void world_destroy(struct world *w)
{
	mem_dev_destroy(&w->m);
	free(w);
}

struct seen {
	u64 count[128];		/* by number */
	struct vci_verify_result r;
	int err;
	bool loud;
};

static void note_finding(void *ctx, const struct vci_damage *dmg, const char *text)
{
	struct seen *s = ctx;

	s->count[dmg->number]++;
	if (s->loud)
		printf("# %s: %s\n", vci_damage_name(dmg->number), text);
}

static void verify(struct world *w, struct vci_dev *backing, struct seen *s)
{
	const struct vci_verify_params p = {
		.dev = &w->m.dev, .backing = backing, .finding = note_finding, .ctx = s,
	};

	s->err = vci_verify(&p, &s->r);
}

/* ---- good images ------------------------------------------------------- */

static void test_good(void)
{
	static const unsigned int counts[] = { 0, 1, 107, 108, NR_FIRST, 201, NR_EXTENTS };
	struct seen s;
	struct world *w;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		w = world_prepare();
		image_build(&w->m, &w->h, w->e, counts[i]);
		memset(&s, 0, sizeof(s));
		s.loud = true;
		verify(w, NULL, &s);
		ok(!s.err && !s.r.nr_findings && s.r.clean && s.r.nr_extents == counts[i] &&
		   s.r.data_blocks == counts[i] * EXTENT_BLOCKS,
		   "verify:image_of_%u_extents_is_good", counts[i]);
		world_destroy(w);
	}
}

/* ---- mutations --------------------------------------------------------- */

static u64 node_child(struct world *w, u64 addr, unsigned int i)
{
	struct vci_child c;

	vci_node_child(mem_block(&w->m, addr), i, &c);
	return c.addr;
}

/* First window: an internal node with two leaves. Second: one leaf. */
static u64 internal_addr(struct world *w)
{
	return node_child(w, w->h.root, 0);
}

static u64 leaf_addr(struct world *w)
{
	return node_child(w, internal_addr(w), 0);
}

static u64 last_leaf_addr(struct world *w)
{
	return node_child(w, w->h.root, 1);
}

static void flip(struct world *w, u64 addr, unsigned int at)
{
	((u8 *)mem_block(&w->m, addr))[at] ^= 0x10;
}

static void put_child(struct world *w, u64 addr, unsigned int i, const struct vci_child *c)
{
	vci_node_put_child(mem_block(&w->m, addr), i, c);
	image_reseal_node(&w->m, &w->h, addr);
}

/* Changes extent @i of the last leaf, LRU links kept. */
static void put_extent(struct world *w, unsigned int i, const struct vci_extent *e)
{
	u64 addr = last_leaf_addr(w), prev, next;
	void *node = mem_block(&w->m, addr);

	vci_node_lru(node, i, &prev, &next);
	vci_node_put_extent(node, i, e, prev, next);
	image_reseal_node(&w->m, &w->h, addr);
}

static void set_links(struct world *w, unsigned int i, u64 prev, u64 next)
{
	u64 addr = last_leaf_addr(w);
	struct vci_extent e;

	vci_node_extent(mem_block(&w->m, addr), i, &e);
	vci_node_put_extent(mem_block(&w->m, addr), i, &e, prev, next);
	image_reseal_node(&w->m, &w->h, addr);
}

static struct vci_extent get_extent(struct world *w, unsigned int i)
{
	struct vci_extent e;

	vci_node_extent(mem_block(&w->m, last_leaf_addr(w)), i, &e);
	return e;
}

static void mutate_header_csum(struct world *w)
{
	flip(w, 0, 30);
}

static void mutate_header_field(struct world *w)
{
	w->h.open[1].used = 8;
	image_reseal_header(&w->m, &w->h);
}

static void mutate_header_geometry(struct world *w)
{
	w->h.info.addr += 8;
	image_reseal_header(&w->m, &w->h);
}

static void mutate_header_size(struct world *w)
{
	w->h.blocks += 4096;
	vci_header_seal(&w->h, mem_block(&w->m, 0));
}

static void mutate_header_type(struct world *w)
{
	w->h.type = 9;
	image_reseal_header(&w->m, &w->h);
}

static void mutate_static(struct world *w)
{
	flip(w, 1, 20);
}

static void mutate_backup_byte(struct world *w)
{
	flip(w, vci_header_backup_addr(BLOCKS), 200);
}

static void mutate_backup_old(struct world *w)
{
	w->h.write_gen += 2;
	vci_header_seal(&w->h, mem_block(&w->m, 0));
}

static void mutate_backup_newer(struct world *w)
{
	w->h.write_gen++;
	vci_header_seal(&w->h, mem_block(&w->m, vci_header_backup_addr(BLOCKS)));
}

static void mutate_backup_other(struct world *w)
{
	w->h.backing_id[0] ^= 1;
	vci_header_seal(&w->h, mem_block(&w->m, 0));
}

static void mutate_backup_foreign(struct world *w)
{
	w->h.uuid[0] ^= 1;
	vci_header_seal(&w->h, mem_block(&w->m, vci_header_backup_addr(BLOCKS)));
}

static void mutate_intent(struct world *w)
{
	flip(w, w->h.intent.addr + 3, 100);
}

static void mutate_segtable_lost(struct world *w)
{
	flip(w, w->h.segtable.addr, 100);
}

static void mutate_nodemap_lost(struct world *w)
{
	flip(w, w->h.nodemap.addr, 100);
}

static void mutate_info_lost(struct world *w)
{
	flip(w, w->h.info.addr, 100);
}

/* The header's pages_crc if page 0 of one area is of the second checkpoint. */
static u32 second_crc(const struct vci_header *h, const struct vci_area *newer)
{
	const struct vci_area *areas[] = { &h->segtable, &h->nodemap, &h->info };
	u32 crc = ~0u, i, k;

	for (k = 0; k < ARRAY_SIZE(areas); k++)
		for (i = 0; i < areas[k]->blocks / VCI_PAGE_BLOCKS; i++)
			crc = vci_page_gen_crc(crc, !i && areas[k] == newer ? 2 : 1);
	return crc;
}

/* A second checkpoint that wrote a page into its second slot. */
static void second_checkpoint(struct world *w, const struct vci_area *a)
{
	struct vci_page_disk *p = mem_block(&w->m, a->addr + VCI_UNIT_BLOCKS);

	memcpy(p, mem_block(&w->m, a->addr), sizeof(*p));
	vci_page_seal(p, w->h.uuid, a->addr + VCI_UNIT_BLOCKS, 0, 2);
	w->h.checkpoint_gen = 2;
	w->h.pages_crc = second_crc(&w->h, a);
	image_reseal_header(&w->m, &w->h);
}

/* Its slot rots; the first checkpoint's, though whole, doesn't count. */
static void rot(struct world *w, const struct vci_area *a)
{
	second_checkpoint(w, a);
	flip(w, a->addr + VCI_UNIT_BLOCKS, 100);
}

static void mutate_segtable_rotted(struct world *w)
{
	rot(w, &w->h.segtable);
}

static void mutate_nodemap_rotted(struct world *w)
{
	rot(w, &w->h.nodemap);
}

static void mutate_info_rotted(struct world *w)
{
	rot(w, &w->h.info);
}

static void mutate_info_field(struct world *w)
{
	image_page(&w->m, &w->h.info, 0)->payload[0] = 200;
	image_reseal_page(&w->m, &w->h, w->h.info.addr);
}

static void mutate_segment_state(struct world *w)
{
	struct vci_segment_disk *s = (void *)image_page(&w->m, &w->h.segtable, 0)->payload;

	s[5].state = 7;
	image_reseal_page(&w->m, &w->h, w->h.segtable.addr);
}

static void mutate_segment_live(struct world *w)
{
	struct vci_segment_disk *s = (void *)image_page(&w->m, &w->h.segtable, 0)->payload;

	s[5].live_blocks = cpu_to_le32(le32_to_cpu(s[5].live_blocks) - 1);
	image_reseal_page(&w->m, &w->h, w->h.segtable.addr);
}

static void mutate_nodemap_more(struct world *w)
{
	vci_bitmap_set(image_page(&w->m, &w->h.nodemap, 0)->payload, 20, 1);
	image_reseal_page(&w->m, &w->h, w->h.nodemap.addr);
}

static void mutate_nodemap_less(struct world *w)
{
	image_page(&w->m, &w->h.nodemap, 0)->payload[0] &= ~2;
	image_reseal_page(&w->m, &w->h, w->h.nodemap.addr);
}

static void mutate_nodemap_end(struct world *w)
{
	image_page(&w->m, &w->h.nodemap, 0)->payload[VCI_PAGE_PAYLOAD - 1] = 1;
	image_reseal_page(&w->m, &w->h, w->h.nodemap.addr);
}

static void mutate_root_csum(struct world *w)
{
	flip(w, w->h.root, 3);
}

static void mutate_leaf_csum(struct world *w)
{
	flip(w, leaf_addr(w), 4000);
}

static void mutate_leaf_stale(struct world *w)
{
	memcpy(mem_block(&w->m, leaf_addr(w)), mem_block(&w->m, last_leaf_addr(w)),
	       VCI_NODE_SIZE);
}

static void mutate_leaf_gen(struct world *w)
{
	u64 addr = leaf_addr(w);

	vci_node_seal(mem_block(&w->m, addr), w->h.uuid, addr, 2);
}

static void mutate_leaf_type(struct world *w)
{
	*(u8 *)mem_block(&w->m, leaf_addr(w)) = 4;
	image_reseal_node(&w->m, &w->h, leaf_addr(w));
}

static void mutate_leaf_slack(struct world *w)
{
	((u8 *)mem_block(&w->m, last_leaf_addr(w)))[VCI_NODE_TAIL - 2] = 1;
	image_reseal_node(&w->m, &w->h, last_leaf_addr(w));
}

static void mutate_leaf_reserved(struct world *w)
{
	((u8 *)mem_block(&w->m, last_leaf_addr(w)))[1 + 17] = 1;
	image_reseal_node(&w->m, &w->h, last_leaf_addr(w));
}

static void mutate_leaf_order(struct world *w)
{
	struct vci_extent e = get_extent(w, 4);

	e.off -= 100;
	put_extent(w, 4, &e);
}

/* An extent of the first window, in its second leaf. */
static void mutate_leaf_range(struct world *w)
{
	struct vci_extent e = get_extent(w, 99);

	e.off += VCI_WINDOW_BLOCKS;
	put_extent(w, 99, &e);
}

static void mutate_leaf_addr(struct world *w)
{
	struct vci_extent e = get_extent(w, 4);

	e.addr = 8;
	put_extent(w, 4, &e);
}

static void mutate_root_window(struct world *w)
{
	struct vci_child c = { .off = VCI_WINDOW_BLOCKS, .blocks = 1u << 30,
			       .addr = last_leaf_addr(w) };

	put_child(w, w->h.root, 1, &c);
}

static void mutate_dirty_alone(struct world *w)
{
	struct vci_extent e = get_extent(w, 4);

	e.flags = VCI_EXT_DIRTY;
	put_extent(w, 4, &e);
}

static void mutate_beyond_backing(struct world *w)
{
	w->h.backing_blocks = w->e[NR_EXTENTS - 1].off + EXTENT_BLOCKS - 1;
	w->h.region_blocks_log2 = 31;
	image_reseal_header(&w->m, &w->h);
}

static void mutate_cycle(struct world *w)
{
	const struct vci_child c = { .off = 0, .blocks = 4096, .addr = internal_addr(w) };

	put_child(w, internal_addr(w), 0, &c);
}

static void mutate_depth_differs(struct world *w)
{
	struct vci_header *h = &w->h;
	u64 addr = h->nodes.addr + 30 * VCI_NODE_BLOCKS;
	struct vci_child c = { .addr = leaf_addr(w) }, top;
	void *node = mem_block(&w->m, addr);

	/* One more level above the first leaf only. */
	vci_node_child(mem_block(&w->m, internal_addr(w)), 0, &top);
	c = top;
	vci_node_init(node, VCI_NODE_INTERNAL);
	vci_node_put_child(node, 0, &c);
	image_reseal_node(&w->m, h, addr);
	top.addr = addr;
	put_child(w, internal_addr(w), 0, &top);
	vci_bitmap_set(image_page(&w->m, &h->nodemap, 0)->payload, 30, 1);
	image_reseal_page(&w->m, h, h->nodemap.addr);
	vci_bitmap_set(image_bits(&w->m, h), addr, VCI_NODE_BLOCKS);
	image_reseal_bitmap(&w->m, h, h->data_blocks);
}

/* A chain of internal nodes, longer than any tree. */
static void mutate_deep(struct world *w)
{
	u64 addr = internal_addr(w), below = w->h.nodes.addr + 20 * VCI_NODE_BLOCKS;
	struct vci_child c = { .off = 0, .blocks = 1000 };
	unsigned int i;

	for (i = 0; i < VCI_DEPTH_MAX + 1; i++) {
		c.addr = below + i * VCI_NODE_BLOCKS;
		if (i)
			vci_node_init(mem_block(&w->m, addr), VCI_NODE_INTERNAL);
		put_child(w, addr, 0, &c);
		addr = c.addr;
	}
	vci_node_init(mem_block(&w->m, addr), VCI_NODE_LEAF);
	image_reseal_node(&w->m, &w->h, addr);
}

static void mutate_node_twice(struct world *w)
{
	const struct vci_child c = { .off = VCI_WINDOW_BLOCKS, .blocks = 1u << 31,
				     .addr = leaf_addr(w) };

	put_child(w, w->h.root, 1, &c);
}

static void mutate_data_twice(struct world *w)
{
	w->e[7].addr = w->e[8].addr + 4;
	image_build(&w->m, &w->h, w->e, NR_EXTENTS);
}

static void mutate_segment_crossed(struct world *w)
{
	struct vci_extent e = w->e[NR_EXTENTS - 1];

	/* Nothing else is in the last two segments. */
	w->e[NR_EXTENTS - 1].addr = w->h.segments +
		(u64)w->h.segment_blocks * (w->h.nr_segments - 1) - 4;
	image_build(&w->m, &w->h, w->e, NR_EXTENTS);
	w->e[NR_EXTENTS - 1] = e;
}

static void mutate_lru_next(struct world *w)
{
	set_links(w, 50, w->e[NR_FIRST + 49].addr, w->e[3].addr);
}

static void mutate_lru_nobody(struct world *w)
{
	set_links(w, 50, w->e[NR_FIRST + 49].addr, w->e[3].addr + 1);
}

static void mutate_lru_tail(struct world *w)
{
	w->h.lru_tail = w->e[5].addr;
	image_reseal_header(&w->m, &w->h);
}

/* A list that is good but ends early. */
static void mutate_lru_short(struct world *w)
{
	set_links(w, 50, w->e[NR_FIRST + 49].addr, 0);
	w->h.lru_tail = w->e[NR_FIRST + 50].addr;
	image_reseal_header(&w->m, &w->h);
}

/* A list that turns back has an extent with two previous ones. */
static void mutate_lru_cycle(struct world *w)
{
	set_links(w, 99, w->e[NR_EXTENTS - 2].addr, w->e[0].addr);
}

static void mutate_count_extents(struct world *w)
{
	w->h.nr_extents++;
	image_reseal_header(&w->m, &w->h);
}

static void mutate_count_blocks(struct world *w)
{
	w->h.data_blocks--;
	image_reseal_header(&w->m, &w->h);
}

static void mutate_bitmap_magic(struct world *w)
{
	flip(w, w->h.bitmap, 0);
}

static void mutate_bitmap_size(struct world *w)
{
	flip(w, w->h.bitmap, 9);
}

static void mutate_bitmap_sum(struct world *w)
{
	flip(w, w->h.bitmap, 16);
}

static void mutate_bitmap_swapped(struct world *w)
{
	const struct vci_bitmap_disk *d = mem_block(&w->m, w->h.bitmap);
	const struct vci_bitmap_info info = {
		.managed = le64_to_cpu(d->managed), .free = le64_to_cpu(d->free),
		.metadata = le64_to_cpu(d->data), .data = le64_to_cpu(d->metadata),
		.ext_crc = le32_to_cpu(d->ext_crc),
	};

	vci_bitmap_seal(mem_block(&w->m, w->h.bitmap), &info);
}

static void mutate_bitmap_counters(struct world *w)
{
	struct vci_bitmap_disk *d = mem_block(&w->m, w->h.bitmap);

	d->free = cpu_to_le64(le64_to_cpu(d->free) - 1);
	d->metadata = cpu_to_le64(le64_to_cpu(d->metadata) + 1);
}

static void mutate_bitmap_csum(struct world *w)
{
	struct vci_bitmap_disk *d = mem_block(&w->m, w->h.bitmap);

	d->ext_crc = cpu_to_le32(le32_to_cpu(d->ext_crc) ^ 1);
}

/* Bits that are changed, with a checksum that fits them and counters that don't. */
static void change_bit(struct world *w, u64 block)
{
	struct vci_bitmap_disk *d = mem_block(&w->m, w->h.bitmap);
	u8 *bits = image_bits(&w->m, &w->h);

	bits[block / 8] ^= 1u << (block % 8);
	d->ext_crc = cpu_to_le32(crc32c(~0u, bits, w->h.blocks / 8));
}

static void mutate_bitmap_leak(struct world *w)
{
	change_bit(w, w->h.nodes.addr + 300);
}

static void mutate_bitmap_data(struct world *w)
{
	change_bit(w, w->e[9].addr + 3);
}

static void mutate_bitmap_root(struct world *w)
{
	change_bit(w, w->h.root);
}

static void mutate_bitmap_backup(struct world *w)
{
	change_bit(w, BLOCKS - 1);
}

struct mutation {
	const char *name;
	void (*mutate)(struct world *w);
	enum vci_damage_number number, also;
};

static const struct mutation mutations[] = {
#define M(what, ...) { #what, mutate_##what, __VA_ARGS__ }
	M(header_csum, VCI_DMG_HDR_CSUM, 0),
	M(header_field, VCI_DMG_HDR_FIELD, 0),
	M(header_geometry, VCI_DMG_HDR_GEOMETRY, 0),
	M(header_size, VCI_DMG_HDR_SIZE, 0),
	M(header_type, VCI_DMG_HDR_TYPE, 0),
	M(static, VCI_DMG_STATIC_CSUM, 0),
	M(backup_byte, VCI_DMG_BACKUP, 0),
	M(backup_old, VCI_DMG_BACKUP, 0),
	M(backup_newer, VCI_DMG_BACKUP, 0),
	M(backup_other, VCI_DMG_BACKUP, 0),
	M(backup_foreign, VCI_DMG_BACKUP, 0),
	M(intent, VCI_DMG_INTENT_CSUM, 0),
	M(segtable_lost, VCI_DMG_PAGE_LOST, 0),
	M(nodemap_lost, VCI_DMG_PAGE_LOST, 0),
	M(info_lost, VCI_DMG_PAGE_LOST, 0),
	M(segtable_rotted, VCI_DMG_PAGE_LOST, 0),
	M(nodemap_rotted, VCI_DMG_PAGE_LOST, 0),
	M(info_rotted, VCI_DMG_PAGE_LOST, 0),
	M(info_field, VCI_DMG_INFO_FIELD, 0),
	M(segment_state, VCI_DMG_SEG_STATE, 0),
	M(segment_live, VCI_DMG_SEG_LIVE, 0),
	M(nodemap_more, VCI_DMG_NODEMAP, 0),
	M(nodemap_less, VCI_DMG_NODEMAP, 0),
	M(nodemap_end, VCI_DMG_NODEMAP, 0),
	M(root_csum, VCI_DMG_NODE_CSUM, 0),
	M(leaf_csum, VCI_DMG_NODE_CSUM, 0),
	M(leaf_stale, VCI_DMG_NODE_CSUM, 0),
	M(leaf_gen, VCI_DMG_NODE_GEN, 0),
	M(leaf_type, VCI_DMG_NODE_TYPE, 0),
	M(leaf_slack, VCI_DMG_NODE_SLACK, 0),
	M(leaf_reserved, VCI_DMG_NODE_FLAGS, 0),
	M(leaf_order, VCI_DMG_NODE_ORDER, 0),
	M(leaf_range, VCI_DMG_NODE_RANGE, 0),
	M(leaf_addr, VCI_DMG_NODE_ADDR, 0),
	M(root_window, VCI_DMG_NODE_RANGE, 0),
	M(dirty_alone, VCI_DMG_NODE_FLAGS, VCI_DMG_COUNT_EXTENTS),
	M(beyond_backing, VCI_DMG_NODE_RANGE, 0),
	M(cycle, VCI_DMG_NODE_DEPTH, 0),
	M(depth_differs, VCI_DMG_NODE_DEPTH, 0),
	M(deep, VCI_DMG_NODE_DEPTH, 0),
	M(node_twice, VCI_DMG_OVERLAP, 0),
	M(data_twice, VCI_DMG_OVERLAP, 0),
	M(segment_crossed, VCI_DMG_NODE_ADDR, VCI_DMG_SEG_LIVE),
	M(lru_next, VCI_DMG_LRU_LINK, VCI_DMG_LRU_LENGTH),
	M(lru_nobody, VCI_DMG_LRU_LINK, VCI_DMG_LRU_LENGTH),
	M(lru_tail, VCI_DMG_LRU_LINK, 0),
	M(lru_short, VCI_DMG_LRU_LENGTH, 0),
	M(lru_cycle, VCI_DMG_LRU_LINK, 0),
	M(count_extents, VCI_DMG_COUNT_EXTENTS, 0),
	M(count_blocks, VCI_DMG_COUNT_EXTENTS, 0),
	M(bitmap_magic, VCI_DMG_BITMAP_MAGIC, 0),
	M(bitmap_size, VCI_DMG_BITMAP_SIZE, 0),
	M(bitmap_sum, VCI_DMG_BITMAP_COUNT, 0),
	M(bitmap_swapped, VCI_DMG_BITMAP_COUNT, 0),
	M(bitmap_counters, VCI_DMG_BITMAP_COUNT, 0),
	M(bitmap_csum, VCI_DMG_BITMAP_CSUM, 0),
	M(bitmap_leak, VCI_DMG_BITMAP_LEAK, 0),
	M(bitmap_data, VCI_DMG_BITMAP_UNMARKED, 0),
	M(bitmap_root, VCI_DMG_BITMAP_UNMARKED, 0),
	M(bitmap_backup, VCI_DMG_BITMAP_UNMARKED, 0),
#undef M
};

static bool found_only(const struct seen *s, const struct mutation *m)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(s->count); i++)
		if (s->count[i] && i != m->number && (!m->also || i != m->also))
			return false;
	return s->count[m->number] > 0;
}

static void test_mutations(void)
{
	struct world *w;
	struct seen s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mutations); i++) {
		w = world_create();
		mutations[i].mutate(w);
		memset(&s, 0, sizeof(s));
		verify(w, NULL, &s);
		if (!ok(!s.err && found_only(&s, &mutations[i]), "verify:finds_%s",
			mutations[i].name)) {
			printf("# error %d\n", s.err);
			s.loud = true;
			verify(w, NULL, &s);
		}
		world_destroy(w);
	}
}

/* ---- what can't be told, and what is no damage ----------------------------- */

static void test_cannot_tell(void)
{
	struct world *w = world_create();
	struct seen s = { };

	flip(w, 0, 0);
	verify(w, NULL, &s);
	ok(s.err == -ENOTBLK && s.count[VCI_DMG_HDR_SIGNATURE] == 1, "verify:no_image");
	flip(w, 0, 0);
	flip(w, 0, 4);
	memset(&s, 0, sizeof(s));
	verify(w, NULL, &s);
	ok(s.err == -EOPNOTSUPP && s.count[VCI_DMG_HDR_VERSION] == 1,
	   "verify:unknown_version");
	w->h.incompat |= 0x100;
	image_reseal_header(&w->m, &w->h);
	memset(&s, 0, sizeof(s));
	verify(w, NULL, &s);
	ok(s.err == -EOPNOTSUPP && s.count[VCI_DMG_HDR_INCOMPAT] == 1,
	   "verify:unknown_feature");
	w->h.incompat = VCI_INCOMPAT_EXPERIMENTAL;
	w->h.ro_compat = 0x100;
	image_reseal_header(&w->m, &w->h);
	memset(&s, 0, sizeof(s));
	verify(w, NULL, &s);
	ok(!s.err && !s.r.nr_findings, "verify:read_only_compatible_feature_can_be_read");
	world_destroy(w);
}

static void test_backup_one_behind(void)
{
	struct world *w = world_create();
	struct seen s = { .loud = true };

	w->h.write_gen++;
	vci_header_seal(&w->h, mem_block(&w->m, 0));
	verify(w, NULL, &s);
	ok(!s.err && !s.r.nr_findings, "verify:backup_one_write_behind_is_how_a_crash_leaves_it");
	world_destroy(w);
}

static void test_second_slots(void)
{
	struct world *w = world_create();
	struct seen s = { .loud = true };

	second_checkpoint(w, &w->h.segtable);
	verify(w, NULL, &s);
	ok(!s.err && !s.r.nr_findings, "verify:page_in_its_second_slot_is_good");
	flip(w, w->h.segtable.addr, 100);
	verify(w, NULL, &s);
	ok(!s.err && !s.r.nr_findings, "verify:damage_in_the_unused_slot_is_none");
	world_destroy(w);
}

static void test_unclean(void)
{
	struct world *w = world_create();
	struct seen s = { .loud = true };

	/* What only the clean close makes exact may be anything. */
	w->h.unclean = 1;
	w->h.lru_head = 0;
	w->h.lru_tail = 0;
	image_reseal_header(&w->m, &w->h);
	memset(mem_block(&w->m, w->h.bitmap), 0x33, w->h.bitmap_blocks * VCI_BLOCK_SIZE);
	set_links(w, 3, 0, 0);
	verify(w, NULL, &s);
	ok(!s.err && !s.r.nr_findings && !s.r.clean && s.r.nr_extents == NR_EXTENTS,
	   "verify:unclean_image_is_judged_by_its_checkpoint");
	mutate_nodemap_less(w);
	verify(w, NULL, &s);
	ok(!s.err && s.count[VCI_DMG_NODEMAP] == 1, "verify:unclean_image_with_wrong_node_map");
	mutate_leaf_csum(w);
	memset(&s, 0, sizeof(s));
	verify(w, NULL, &s);
	ok(!s.err && s.count[VCI_DMG_NODE_CSUM] == 1 && s.r.nr_findings == 1,
	   "verify:unclean_image_with_damaged_leaf");
	world_destroy(w);
}

/* ---- data ------------------------------------------------------------- */

/* An image and a backing device that agree; extent 20 is dirty. */
static struct world *data_create(struct mem_dev *backing)
{
	struct world *w = world_prepare();
	unsigned int i;

	/* All in the first window, so that the backing device is small. */
	for (i = 0; i < NR_EXTENTS; i++)
		w->e[i].off = 64 * i + i % 5;
	w->e[20].flags = VCI_EXT_DIRTY;
	image_build(&w->m, &w->h, w->e, NR_EXTENTS);
	mem_dev_init(backing, 64 * NR_EXTENTS);
	backing->dev.lbs_blocks = 8;
	for (i = 0; i < NR_EXTENTS; i++) {
		memset(mem_block(&w->m, w->e[i].addr), i, EXTENT_BLOCKS * VCI_BLOCK_SIZE);
		memset(mem_block(backing, w->e[i].off), i == 20 ? 99 : i,
		       EXTENT_BLOCKS * VCI_BLOCK_SIZE);
	}
	return w;
}

static void test_data(void)
{
	struct mem_dev backing;
	struct world *w = data_create(&backing);
	struct vci_header *h = &w->h;
	struct seen s = { .loud = true };

	verify(w, &backing.dev, &s);
	ok(!s.err && !s.r.nr_findings, "data:clean_extents_equal_the_backing_device");
	is_u64(s.r.compared_blocks, (NR_EXTENTS - 1) * EXTENT_BLOCKS,
	       "data:all_but_the_dirty_extent_is_compared");
	is_u64(s.r.dirty_blocks, EXTENT_BLOCKS, "data:dirty_blocks_are_counted");
	flip(w, w->e[30].addr + 2, 7);
	s.loud = false;
	verify(w, &backing.dev, &s);
	ok(!s.err && s.r.nr_findings == 1 && s.count[VCI_DMG_DATA_DIFFERS] == 1,
	   "data:one_byte_that_differs_is_found");
	flip(w, w->e[30].addr + 2, 7);
	h->flags |= VCI_HDR_BOUND;
	h->backing_blocks = backing.dev.blocks + 1;
	image_reseal_header(&w->m, h);
	verify(w, &backing.dev, &s);
	ok(s.r.nr_findings == 1 && s.count[VCI_DMG_DATA_DIFFERS] == 2,
	   "data:backing_device_of_another_size_is_found");
	mem_dev_destroy(&backing);
	world_destroy(w);
}

/* ---- robustness ------------------------------------------------------- */

static void test_io_errors(void)
{
	struct world *w = world_create();
	struct seen s = { };
	unsigned long n, bad = 0;

	s.err = -EIO;
	for (n = 1; s.err && n < 1000; n++) {
		w->m.fail_at = n;
		verify(w, NULL, &s);
		bad += (s.err && s.err != -EIO) || vci_alloc_live;
	}
	w->m.fail_at = 0;
	ok(!bad && !s.err && n > 8, "verify:each_failed_read_is_an_error");
	s.err = -ENOMEM;
	for (n = 1; s.err && n < 1000; n++) {
		vci_alloc_fail_at = n;
		verify(w, NULL, &s);
		bad += (s.err && s.err != -ENOMEM) || vci_alloc_live;
	}
	vci_alloc_fail_at = 0;
	ok(!bad && !s.err && n > 7, "verify:each_failed_allocation_is_an_error");
	world_destroy(w);
}

/* Is this block one whose every bit counts? */
static bool is_judged(struct world *w, u64 block)
{
	const struct vci_header *h = &w->h;
	u64 unit = (block - h->nodes.addr) / VCI_NODE_BLOCKS;
	const u8 *map = image_page(&w->m, &h->nodemap, 0)->payload;

	if (block < 2 || block == vci_header_backup_addr(h->blocks))
		return true;
	if (block >= h->bitmap && block < h->bitmap + h->bitmap_blocks)
		return true;
	if (block >= h->intent.addr && block < h->intent.addr + h->intent.blocks)
		return true;
	if (block >= h->segtable.addr && block < h->info.addr + h->info.blocks)
		return (block - h->segtable.addr) % VCI_PAGE_BLOCKS < VCI_UNIT_BLOCKS;
	return block >= h->nodes.addr && block < h->segments && vci_bitmap_test(map, unit);
}

static void test_bit_flips(void)
{
	struct world *w = world_create();
	u64 state = vt_seed(), block;
	unsigned int i, at, nr = 0, passed = 0;
	struct seen s;

	for (block = 0; block < BLOCKS; block++) {
		if (!is_judged(w, block))
			continue;
		for (i = 0; i < 4; i++, nr++) {
			u8 *byte = mem_block(&w->m, block);

			at = vt_random(&state) % (VCI_BLOCK_SIZE * 8);
			byte[at / 8] ^= 1u << (at % 8);
			memset(&s, 0, sizeof(s));
			verify(w, NULL, &s);
			if (!s.r.nr_findings && passed++ < 5)
				printf("# block %llu, bit %u\n", block, at);
			byte[at / 8] ^= 1u << (at % 8);
		}
	}
	is_u64(passed, 0, "verify:flipped_bits_of_metadata_are_found");
	ok(nr > 200, "verify:in_%u_places", nr);
	world_destroy(w);
}

/* Nodes of random content, sealed: a verdict, whatever they say. */
static void test_noise(void)
{
	u64 state = vt_seed(), addr;
	struct world *w;
	struct seen s;
	unsigned int i, k, silent = 0;

	for (i = 0; i < 100; i++) {
		w = world_create();
		addr = w->h.nodes.addr + vt_random(&state) % 5 * VCI_NODE_BLOCKS;
		for (k = 0; k < 1 + i % 5; k++)
			((u8 *)mem_block(&w->m, addr))[vt_random(&state) % 1500] =
				vt_random(&state);
		image_reseal_node(&w->m, &w->h, addr);
		memset(&s, 0, sizeof(s));
		verify(w, NULL, &s);
		silent += s.err != 0;
		world_destroy(w);
	}
	is_u64(silent, 0, "verify:hostile_nodes_are_judged");
}

/* For the tests of the tools: an image with extents, and its backing device. */
static int write_file(const char *path, const char *suffix, const struct mem_dev *m)
{
	char name[500];
	size_t done;
	FILE *f;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	f = fopen(name, "we");
	if (!f)
		return 1;
	done = fwrite(m->data, VCI_BLOCK_SIZE, m->dev.blocks, f);
	return fclose(f) || done != m->dev.blocks;
}

static int write_images(const char *path)
{
	struct mem_dev backing;
	struct world *w = data_create(&backing);
	int status;

	status = write_file(path, "", &w->m) || write_file(path, ".backing", &backing);
	mem_dev_destroy(&backing);
	world_destroy(w);
	return status;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--write"))
		return write_images(argv[2]);
	test_good();
	test_mutations();
	test_cannot_tell();
	test_backup_one_behind();
	test_second_slots();
	test_unclean();
	test_data();
	test_io_errors();
	test_bit_flips();
	test_noise();
	return done_testing();
}
