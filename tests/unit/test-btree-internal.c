// SPDX-License-Identifier: GPL-2.0-only
/*
 * The B+-tree from inside: nodes so small that a few hundred extents make it
 * four levels deep, a reserve that is always as small as it may be, and what
 * readers rely on.
 */
#include "../../kernel/core/vci-btree.c"
#include "../../kernel/core/vci-btree-checkpoint.c"
#include "../../kernel/core/vci-btree-edit.c"
#include "../../kernel/core/vci-btree-load.c"
#include "../../kernel/core/vci-btree-node.c"
#include "../../kernel/core/vci-btree-shape.c"
#include "../../kernel/core/vci-btree-validate.c"

#include "btree-world.h"

/* The smallest for which a node never overflows twice in one change. */
#define SMALL_LEAF	8u
#define SMALL_INNER	8u

static struct world *small_world(u64 seed)
{
	struct world *w = world_create(seed);

	w->bt->leaf_max = SMALL_LEAF;
	w->bt->inner_max = SMALL_INNER;
	return w;
}

/* ---- searching ---- */

static void test_leaf_index(void)
{
	unsigned int nr, key, want, bad = 0;
	static struct vci_leaf leaf;

	for (nr = 1; nr <= VCI_LEAF_MAX; nr++) {
		memset(leaf.key, 0xff, sizeof(leaf.key));
		for (key = 0; key < nr; key++)
			leaf.key[key] = 10 + 3 * key;
		for (key = 0; key < 10 + 3 * VCI_LEAF_MAX; key++) {
			want = key < 10 ? 0 : min((key - 10) / 3, nr - 1);
			bad += vci_leaf_index(&leaf, key) != want;
		}
		bad += vci_leaf_index(&leaf, VCI_WINDOW_MASK) != nr - 1;
	}
	is_u64(bad, 0, "btree-internal:leaf_index_finds_every_key");
}

static void test_inner_index(void)
{
	unsigned int nr, key, want, bad = 0;
	static struct vci_inner inner;

	for (nr = 1; nr <= VCI_INTERNAL_MAX; nr++) {
		memset(inner.key, 0xff, sizeof(inner.key));
		for (key = 0; key < nr; key++)
			inner.key[key] = 10 + 3 * key;
		inner.n.nr = nr;
		for (key = 0; key < 10 + 3 * VCI_INTERNAL_MAX; key++) {
			want = key < 10 ? 0 : min((key - 10) / 3, nr - 1);
			bad += vci_inner_index(&inner, key) != want;
		}
		bad += vci_inner_index(&inner, VCI_WINDOW_MASK) != nr - 1;
	}
	is_u64(bad, 0, "btree-internal:inner_index_finds_every_key");
}

static void test_val(void)
{
	u64 addr = (1ull << VCI_ADDR_BITS) - 1;
	struct vci_val v = vci_val(addr, 0xffff, 3, 63);

	ok(vci_val_addr(&v) == addr && v.blocks == 0xffff && vci_val_flags(&v) == 3 &&
	   v.heat == 63, "btree-internal:val_holds_the_largest");
	v = vci_val(addr, 1, 0, 0);
	ok(vci_val_addr(&v) == addr && !vci_val_flags(&v),
	   "btree-internal:val_keeps_fields_apart");
	ok(sizeof(struct vci_node) <= 64 &&
	   sizeof(struct vci_leaf) <= 64 + 12 * (VCI_LEAF_MAX + 1),
	   "btree-internal:leaf_takes_twelve_bytes_an_extent");
}

/* ---- readers ---- */

#define SNAPS_MAX	4096u

/* A node as readers saw it before a change. */
struct snap {
	struct vci_node *node;
	unsigned int seq;
	struct vci_inner copy;
};

static struct snap *snaps;
static unsigned int nr_snaps;

static struct world *snap_world;

/* What readers of a node check. */
static unsigned int counter_of(const struct vci_node *node)
{
	return node->level ? snap_world->bt->shape_seq.seq : node->seq.seq;
}

static void snap_list(struct list_head *list)
{
	struct vci_node *node;

	list_for_each_entry(node, list, list) {
		if (node->clone || node->dead || nr_snaps == SNAPS_MAX)
			continue;
		snaps[nr_snaps].node = node;
		snaps[nr_snaps].seq = counter_of(node);
		memcpy(&snaps[nr_snaps].copy, node, level_size(node->level));
		nr_snaps++;
	}
}

static void visit_lists(struct vci_btree *bt, void (*fn)(struct list_head *))
{
	unsigned int i;

	fn(&bt->clean);
	fn(&bt->written);
	fn(&bt->limbo);
	for (i = 0; i < VCI_DEPTH_MAX; i++) {
		fn(&bt->dirty[i]);
		fn(&bt->frozen[i]);
	}
}

static bool same_content(const struct snap *s)
{
	const struct vci_node *node = s->node;
	size_t at = offsetofend(struct vci_leaf, n);

	if (node->dead)
		return false;
	if (!node->level)
		return !memcmp((const u8 *)node + at, (const u8 *)&s->copy + at,
			       sizeof(struct vci_leaf) - at);
	/* Slots that aren't in use don't count. */
	return !memcmp((const u8 *)node + at, (const u8 *)&s->copy + at,
		       sizeof(((struct vci_inner *)0)->key)) &&
	       !memcmp(((const struct vci_inner *)node)->slot, s->copy.slot,
		       node->nr * sizeof(u64));
}

/* Which nodes of the snapshot are still there, and changed unnoticed? */
static void compare_list(struct list_head *list)
{
	struct vci_node *node;
	unsigned int i;

	list_for_each_entry(node, list, list) {
		if (node->clone)
			continue;
		for (i = 0; i < nr_snaps; i++)
			if (snaps[i].node == node)
				break;
		if (i == nr_snaps || snaps[i].copy.n.level != node->level)
			continue;
		if (snaps[i].seq == counter_of(node) && !same_content(&snaps[i]))
			world_bad(snap_world, "a change readers don't notice, level %u",
				  node->level);
	}
}

static void test_readers_notice(u64 seed)
{
	struct world *w = small_world(seed);
	struct world_change c;
	unsigned int i;

	snaps = calloc(SNAPS_MAX, sizeof(*snaps));
	snap_world = w;
	for (i = 0; i < 400; i++) {
		c = world_random_change(w, 2);
		c.op = WORLD_INSERT;
		if (world_change(w, &c))
			world_bad(w, "insert");
	}
	/* During a checkpoint no node is freed: none can be mistaken for another. */
	world_checkpoint(w);
	world_freeze(w);
	for (i = 0; i < 300; i++) {
		nr_snaps = 0;
		visit_lists(w->bt, snap_list);
		c = world_random_change(w, 8);
		if (world_change(w, &c))
			world_bad(w, "change");
		visit_lists(w->bt, compare_list);
	}
	world_thaw(w, -EIO);
	world_ok(w, "btree-internal:readers_notice_each_change");
	world_destroy(w);
	free(snaps);
}

static void test_touch(void)
{
	struct world *w = small_world(1);
	struct world_change c = { .op = WORLD_INSERT };
	struct vci_node *root;
	unsigned int seq, i;

	for (i = 0; i < 100; i++) {
		c.e = (struct vci_extent) { WORLD_BASE + 3 * i, WORLD_DATA + 9 * i, 1, 0, 0 };
		world_change(w, &c);
	}
	root = vci_slot_node(w->bt->table[0]);
	ok(root->level >= 2, "btree-internal:small_nodes_make_deep_trees");
	seq = w->bt->shape_seq.seq;
	/* Over an extent of a leaf: nothing above it changes. */
	c.e.addr += 77;
	world_change(w, &c);
	is_u64(w->bt->shape_seq.seq, seq, "btree-internal:overwrite_leaves_the_shape_alone");
	is_u64(seq & 1, 0, "btree-internal:shape_is_released");
	world_check_all(w);
	world_ok(w, "btree-internal:small_tree_is_valid");
	world_destroy(w);
}

/* ---- random changes of a deep tree, with no node to spare ---- */

static void drain(struct vci_btree *bt)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		bt->spare[i].want = 0;
		while (bt->spare[i].nr)
			vci_bt_free(bt, take_spare(bt, i));
	}
}

static void small_changes(struct world *w, u32 nr)
{
	struct world_change c;
	u32 at;

	while (nr--) {
		c = world_random_change(w, world_rand(w, 8) ? SMALL_LEAF : 128);
		if (c.op == WORLD_FILL)
			c.e.blocks = min(c.e.blocks, SMALL_LEAF);
		/* Each change finds exactly what it asked for. */
		drain(w->bt);
		if (world_change(w, &c))
			world_bad(w, "change");
		at = c.e.off - WORLD_BASE;
		world_compare(w, at, min(c.e.blocks + 20, WORLD_BLOCKS - at));
		world_validate(w);
	}
}

static void small_meanwhile(struct world *w)
{
	small_changes(w, world_rand(w, 3));
	/* What was clean at the freeze leaves memory, and may come back. */
	if (world_rand(w, 2))
		vci_btree_shrink(w->bt, world_rand(w, 400000));
	small_changes(w, world_rand(w, 3));
}

static void test_small(u64 seed)
{
	struct world *w = small_world(seed);
	u32 round, height = 0;

	w->scattered = seed & 1;
	for (round = 0; round < 25; round++) {
		small_changes(w, 150);
		height = max_t(u32, height, w->bt->height[0]);
		w->meanwhile = round % 4 ? small_meanwhile : NULL;
		w->fail_write = world_rand(w, 4) ? 0 : 1 + world_rand(w, 20);
		if (world_checkpoint(w) && w->fail_write)
			world_bad(w, "checkpoint failed by itself");
		w->fail_write = 0;
		world_validate(w);
		if (world_rand(w, 2))
			vci_btree_shrink(w->bt, world_rand(w, 400000));
		world_validate(w);
	}
	world_check_all(w);
	world_ok(w, "btree-internal:random_changes_%llu", seed);
	ok(height >= 4, "btree-internal:random_tree_was_deep_%llu", seed);
	printf("# height %u, %llu extents, %llu leaves, %llu evictions, %llu clones\n",
	       height, w->bt->stats.nr_extents, w->bt->stats.nr_leaves,
	       w->bt->stats.evictions, w->bt->stats.clones);
	world_destroy(w);
}

/* Growing to full height and back to nothing, from either end. */
static void test_grow_and_shrink(bool up, bool from_start)
{
	struct world *w = small_world(1);
	struct world_change c = { .op = WORLD_INSERT };
	u32 i, at;

	for (i = 0; i < 2000; i++) {
		at = up ? i : 1999 - i;
		c.e = (struct vci_extent) { WORLD_BASE + at, WORLD_DATA + 2 * at, 1, 0, 0 };
		drain(w->bt);
		world_change(w, &c);
	}
	world_check_all(w);
	world_checkpoint(w);
	/* 250 leaves below 32, 4 and 1 inner nodes. */
	if (up)
		is_u64(w->bt->stats.nr_internals, 37,
		       "btree-internal:ascending_inserts_leave_full_inner_nodes");
	c.op = WORLD_REMOVE;
	for (i = 0; i < 2000; i++) {
		c.e.off = WORLD_BASE + (from_start ? i : 1999 - i);
		drain(w->bt);
		world_change(w, &c);
		if (i % 16 == 0)
			world_validate(w);
		if (i % 97 == 0)
			world_checkpoint(w);
	}
	ok(!w->bt->table[0] && !w->bt->height[0] && !w->bt->stats.nr_leaves &&
	   !w->bt->stats.nr_internals, "btree-internal:removes_all_nodes_%d%d", up,
	   from_start);
	world_checkpoint(w);
	world_check_all(w);
	world_ok(w, "btree-internal:grows_and_shrinks_%d%d", up, from_start);
	world_destroy(w);
}

/* ---- merging ---- */

static void test_merge(void)
{
	struct world *w = world_create(1);
	struct world_change c = { .op = WORLD_INSERT };
	u32 i;

	for (i = 0; i < 300; i++) {
		c.e = (struct vci_extent) { WORLD_BASE + 5 * i, WORLD_DATA + 9 * i, 2, 0, 0 };
		world_change(w, &c);
	}
	is_u64(w->bt->stats.nr_leaves, 3, "btree-internal:three_leaves");
	c.op = WORLD_REMOVE;
	for (i = 0; i < 300; i++) {
		if (i % 107 < VCI_LEAF_MAX / 4 - 1)
			continue;
		c.e.off = WORLD_BASE + 5 * i;
		world_change(w, &c);
	}
	is_u64(w->bt->stats.nr_leaves, 1, "btree-internal:emptied_leaves_merge");
	is_u64(w->bt->height[0], 1, "btree-internal:root_with_one_child_goes");
	world_check_all(w);
	world_ok(w, "btree-internal:merged_tree_is_valid");
	world_destroy(w);
}

static void test_frozen_neighbour(void)
{
	struct world *w = world_create(1);
	struct world_change c = { .op = WORLD_INSERT };
	u32 i;

	for (i = 0; i < 200; i++) {
		c.e = (struct vci_extent) { WORLD_BASE + 5 * i, WORLD_DATA + 9 * i, 2, 0, 0 };
		world_change(w, &c);
	}
	/* Both together would fit in one. */
	c.op = WORLD_REMOVE;
	for (i = 40; i < 200; i++) {
		c.e.off = WORLD_BASE + 5 * i;
		if (i == VCI_LEAF_MAX)
			world_freeze(w);
		drain(w->bt);
		if (i < VCI_LEAF_MAX || i > VCI_LEAF_MAX + 3)
			world_change(w, &c);
	}
	is_u64(w->bt->stats.nr_leaves, 2, "btree-internal:frozen_neighbour_isnt_merged");
	is_u64(w->bt->stats.clones, 2, "btree-internal:only_what_changed_was_cloned");
	world_validate(w);
	world_thaw(w, -EIO);
	world_check_all(w);
	world_ok(w, "btree-internal:failed_checkpoint_leaves_a_valid_tree");
	world_destroy(w);
}

/* What a checkpoint writes stays until it is complete; the rest can go. */
static void test_evict_in_checkpoint(void)
{
	struct world *w = small_world(5);
	u64 pinned;

	small_changes(w, 400);
	world_checkpoint(w);
	small_changes(w, 5);
	world_freeze(w);
	pinned = vci_btree_pinned_bytes(w->bt);
	ok(pinned && vci_btree_shrink(w->bt, 0) && w->bt->stats.evictions,
	   "btree-internal:clean_nodes_go_during_a_checkpoint");
	drain(w->bt);
	is_u64(w->bt->stats.bytes, pinned, "btree-internal:what_a_checkpoint_writes_stays");
	small_changes(w, 20);
	ok(!vci_btree_write_frozen(w->bt, &w->root) && vci_btree_shrink(w->bt, 0) &&
	   !list_empty(&w->bt->written), "btree-internal:what_was_written_stays_too");
	world_thaw(w, 0);
	world_check_device(w);
	is_u64(w->bt->ckpt_bytes, 0, "btree-internal:nothing_is_pinned_by_a_past_checkpoint");
	world_check_all(w);
	world_ok(w, "btree-internal:evictions_in_a_checkpoint_leave_a_valid_tree");
	world_destroy(w);
}

/* What was merged away after the freeze is still part of the checkpoint. */
static void test_limbo(void)
{
	struct world *w = small_world(3);
	struct world_change c = { .op = WORLD_REMOVE, .e.blocks = 100 };
	u32 at;

	small_changes(w, 400);
	world_checkpoint(w);
	small_changes(w, 5);
	world_freeze(w);
	for (at = 500; at < 2500; at += 100) {
		c.e.off = WORLD_BASE + at;
		world_change(w, &c);
	}
	small_changes(w, 100);
	ok(!list_empty(&w->bt->limbo), "btree-internal:removed_nodes_wait");
	world_validate(w);
	ok(!vci_btree_write_frozen(w->bt, &w->root), "btree-internal:limbo_write");
	small_changes(w, 100);
	world_thaw(w, 0);
	ok(list_empty(&w->bt->limbo), "btree-internal:thaw_frees_removed_nodes");
	world_check_device(w);
	world_check_all(w);
	world_ok(w, "btree-internal:checkpoint_is_what_was_frozen");
	world_destroy(w);
}

/* The short way, into a hole and over an extent, keeps what is frozen as it was. */
static void test_add_while_frozen(void)
{
	struct world *w = small_world(3);
	struct world_change c = { .op = WORLD_INSERT };
	u32 i;

	for (i = 0; i < 40; i++) {
		c.e = (struct vci_extent) { WORLD_BASE + 30 * i, WORLD_DATA + 90 * i, 8, 0, 0 };
		world_change(w, &c);
	}
	world_freeze(w);
	for (i = 0; i < 40; i++) {
		c.e = (struct vci_extent) { WORLD_BASE + 30 * i + (i & 1 ? 10 : 0),
					    WORLD_DATA + 90 * i + 40, 8, 0, 0 };
		world_change(w, &c);
	}
	ok(!vci_btree_write_frozen(w->bt, &w->root), "btree-internal:add_while_frozen");
	world_thaw(w, 0);
	world_check_device(w);
	world_check_all(w);
	world_ok(w, "btree-internal:nothing_was_added_to_what_was_frozen");
	world_destroy(w);
}

/* ---- across a leaf's edge ---- */

/* Full leaves of extents of eight blocks, every 14 blocks, below full inner nodes. */
#define EDGE_EVERY	(14 * SMALL_LEAF)
#define PARENT_EVERY	(EDGE_EVERY * SMALL_INNER)

/* What is added across the edges from @first on stays whole. */
static void add_across(struct world *w, u32 first, const char *when)
{
	u64 nr = w->bt->stats.nr_extents;
	struct world_change c = { .e = { .addr = WORLD_DATA + 40000 + first, .blocks = 10 } };

	/* Over the first blocks of the extent behind the edge. */
	c.op = WORLD_INSERT;
	c.e.off = WORLD_BASE + first - 5;
	drain(w->bt);
	world_change(w, &c);
	is_u64(w->bt->stats.nr_extents, nr + 1, "btree-internal:insert_%s_isnt_cut", when);
	world_validate(w);
	/* Over all of it, into what is a hole then. */
	c.e.off = WORLD_BASE + first + EDGE_EVERY;
	c.e.blocks = 8;
	c.op = WORLD_REMOVE;
	world_change(w, &c);
	c.op = WORLD_FILL;
	c.e.off -= 3;
	c.e.addr += 100;
	drain(w->bt);
	world_change(w, &c);
	is_u64(w->bt->stats.nr_extents, nr + 1, "btree-internal:fill_%s_isnt_cut", when);
	world_validate(w);
	/* Over what is left of a leaf: it goes. */
	c.op = WORLD_INSERT;
	c.e.off = WORLD_BASE + first + 2 * EDGE_EVERY - 4;
	c.e.blocks = EDGE_EVERY + 4;
	c.e.addr += 500;
	drain(w->bt);
	world_change(w, &c);
	is_u64(w->bt->stats.nr_extents, nr + 2 - SMALL_LEAF,
	       "btree-internal:insert_over_a_leaf_%s_isnt_cut", when);
	world_validate(w);
	world_compare(w, first - 100, 4 * EDGE_EVERY);
}

/* A hole before the edge at @at: the leaf behind it begins later than it says. */
static void remove_first(struct world *w, u32 at)
{
	struct world_change c = { .op = WORLD_REMOVE };

	c.e = (struct vci_extent) { .off = WORLD_BASE + at, .blocks = 8 };
	world_change(w, &c);
}

/* What is added across edges that can't be moved is cut there. */
static void test_fixed_edges(struct world *w)
{
	u64 nr = w->bt->stats.nr_extents;
	struct world_change c = { .op = WORLD_INSERT };

	c.e = (struct vci_extent) { .off = WORLD_BASE + PARENT_EVERY - 5,
				    .addr = WORLD_DATA + 70000, .blocks = 10 };
	drain(w->bt);
	world_change(w, &c);
	is_u64(w->bt->stats.nr_extents, nr + 2, "btree-internal:cut_at_the_parents_edge");
	world_validate(w);
	c.e.off = WORLD_BASE + PARENT_EVERY + 3 * EDGE_EVERY - 5;
	c.e.blocks = EDGE_EVERY + 12;
	drain(w->bt);
	world_change(w, &c);
	world_validate(w);
	world_compare(w, PARENT_EVERY - 50, 5 * EDGE_EVERY);
}

static void test_edges(void)
{
	struct world *w = small_world(3);
	struct world_change c = { .op = WORLD_INSERT };
	u32 i;

	for (i = 0; i < 200; i++) {
		c.e = (struct vci_extent) { WORLD_BASE + 14 * i, WORLD_DATA + 90 * i, 8, 0, 0 };
		world_change(w, &c);
	}
	test_fixed_edges(w);
	add_across(w, EDGE_EVERY, "at_once");
	remove_first(w, 2 * PARENT_EVERY + 6 * EDGE_EVERY);
	world_checkpoint(w);
	c.op = WORLD_FILL;
	c.e.off = WORLD_BASE + 2 * PARENT_EVERY + 6 * EDGE_EVERY - 4;
	drain(w->bt);
	world_change(w, &c);
	world_validate(w);
	add_across(w, PARENT_EVERY + 5 * EDGE_EVERY, "of_what_is_clean");
	world_freeze(w);
	add_across(w, 2 * PARENT_EVERY + EDGE_EVERY, "of_what_is_frozen");
	ok(!vci_btree_write_frozen(w->bt, &w->root), "btree-internal:edges_moved_while_frozen");
	world_thaw(w, 0);
	world_check_device(w);
	world_checkpoint(w);
	world_check_device(w);
	world_check_all(w);
	world_ok(w, "btree-internal:edges_moved");
	world_destroy(w);
}

int main(void)
{
	u64 seed = vt_seed(), i;
	long live;

	vci_log_file = stderr;
	live = vci_alloc_live;
	test_leaf_index();
	test_inner_index();
	test_val();
	test_touch();
	test_merge();
	test_frozen_neighbour();
	test_evict_in_checkpoint();
	test_limbo();
	test_add_while_frozen();
	test_edges();
	for (i = 0; i < 4; i++)
		test_grow_and_shrink(i & 1, i & 2);
	for (i = 0; i < 3; i++)
		test_readers_notice(seed + i);
	for (i = 0; i < 6; i++)
		test_small(seed + i * 7919);
	is_u64(vci_alloc_live, live, "btree-internal:all_memory_is_freed");
	return done_testing();
}
