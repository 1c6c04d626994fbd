// SPDX-License-Identifier: GPL-2.0-only
/*
 * The B+-tree through its interface, against a model that knows every block.
 */
#include "btree-world.h"

static void change(struct world *w, enum world_op op, u32 at, u32 blocks, u64 addr,
		   u8 flags, u8 heat)
{
	struct world_change c = {
		.op = op,
		.e = { WORLD_BASE + at, addr, blocks, flags, heat },
		.old_addr = addr,
	};
	int err = world_change(w, &c);

	if (err)
		world_bad(w, "change: %d", err);
}

static u64 nr_extents(struct world *w)
{
	struct vci_btree_stats s;

	vci_btree_get_stats(w->bt, &s);
	return s.nr_extents;
}

static struct vci_lookup look(struct world *w, u32 at, u32 blocks)
{
	struct vci_lookup res = { .e.blocks = 0 };

	if (vci_btree_lookup(w->bt, WORLD_BASE + at, blocks, &res))
		world_bad(w, "lookup");
	return res;
}

#define DATA(n)	(WORLD_DATA + 1000 * (n))

/* ---- one leaf ---- */

static void test_empty(void)
{
	struct world *w = world_create(1);
	struct vci_extent e;
	u64 off = 0;

	ok(!look(w, 0, 8).mapped, "btree:lookup_empty_is_hole");
	is_u64(look(w, WORLD_EDGE - 3, 8).e.blocks, 3, "btree:lookup_hole_ends_with_window");
	ok(!vci_btree_walk(w->bt, &off, &e, 1), "btree:walk_empty_ends");
	off = 0;
	ok(!vci_btree_walk_sleep(w->bt, &off, &e, 1), "btree:walk_sleep_empty_ends");
	change(w, WORLD_REMOVE, 0, 8, 0, 0, 0);
	change(w, WORLD_REMOVE_CLEAN, 0, 8, 0, 0, 0);
	is_u64(vci_btree_dirty_nodes(w->bt), 1, "btree:remove_from_empty_dirties_nothing");
	world_checkpoint(w);
	is_u64(w->nr_nodes_written, 1, "btree:checkpoint_of_empty_is_a_root");
	is_u64(vci_btree_dirty_nodes(w->bt), 0, "btree:checkpoint_leaves_nothing_dirty");
	world_check_all(w);
	world_ok(w, "btree:empty_tree_is_valid");
	world_destroy(w);
}

static void test_merge(void)
{
	struct world *w = world_create(1);

	change(w, WORLD_INSERT, 100, 5, DATA(1), 0, 2);
	change(w, WORLD_INSERT, 110, 5, DATA(1) + 10, 0, 2);
	is_u64(nr_extents(w), 2, "btree:insert_apart_doesnt_merge");
	change(w, WORLD_INSERT, 105, 5, DATA(1) + 5, 0, 1);
	is_u64(nr_extents(w), 3, "btree:other_heat_doesnt_merge");
	change(w, WORLD_INSERT, 105, 5, DATA(1) + 5, 0, 2);
	is_u64(nr_extents(w), 1, "btree:insert_between_merges_both");
	is_u64(look(w, 100, 128).e.blocks, 15, "btree:insert_between_makes_one_extent");
	is_u64(look(w, 100, 128).e.heat, 2, "btree:merge_keeps_heat");
	change(w, WORLD_INSERT, 115, 1, DATA(1) + 15, VCI_EXT_DIRTY, 2);
	is_u64(nr_extents(w), 2, "btree:other_flags_dont_merge");
	change(w, WORLD_INSERT, 99, 1, DATA(1) - 2, 0, 2);
	is_u64(nr_extents(w), 3, "btree:other_address_doesnt_merge");
	change(w, WORLD_INSERT, WORLD_EDGE - 8, 8, DATA(2), 0, 0);
	change(w, WORLD_INSERT, WORLD_EDGE, 8, DATA(2) + 8, 0, 0);
	is_u64(nr_extents(w), 5, "btree:window_edge_doesnt_merge");
	world_check_all(w);
	world_ok(w, "btree:merged_tree_is_valid");
	world_destroy(w);
}

static void test_longest(void)
{
	struct vci_header h = { .blocks = 1ull << 36, .backing_blocks = 1ull << 20,
				.segments = WORLD_DATA };
	struct vci_btree_ops none = world_ops;
	struct vci_btree_stats s;
	struct vci_btree *bt;
	struct vci_extent e = { .blocks = 4, .addr = WORLD_DATA };
	struct vci_lookup res;
	u32 i;

	none.mapped = NULL;
	none.unmapped = NULL;
	bt = vci_btree_create(&none, NULL, &h);
	spin_lock(vci_btree_lock(bt));
	for (i = 0; i < 20; i++, e.off += 4, e.addr += 4)
		if (vci_btree_insert_locked(bt, &e))
			break;
	spin_unlock(vci_btree_lock(bt));
	vci_btree_get_stats(bt, &s);
	is_u64(s.nr_extents, 5, "btree:merging_is_limited");
	ok(!vci_btree_lookup(bt, 0, ~0u, &res) && res.e.blocks == VCI_MERGE_BLOCKS_MAX,
	   "btree:longest_merged_is_whole");
	vci_btree_destroy(bt);
}

static void test_punch(void)
{
	struct world *w = world_create(1);

	change(w, WORLD_INSERT, 200, 100, DATA(1), 0, 7);
	change(w, WORLD_REMOVE, 240, 20, 0, 0, 0);
	is_u64(nr_extents(w), 2, "btree:remove_inside_leaves_two");
	is_u64(look(w, 200, 128).e.blocks, 40, "btree:remove_inside_trims_the_left");
	is_u64(look(w, 240, 128).e.blocks, 20, "btree:remove_inside_leaves_a_hole");
	is_u64(look(w, 260, 128).e.addr, DATA(1) + 60, "btree:remove_inside_keeps_the_right");
	change(w, WORLD_FILL, 190, 120, DATA(3), VCI_EXT_NOCSUM, 1);
	is_u64(look(w, 240, 128).e.addr, DATA(3) + 50, "btree:fill_maps_the_hole");
	is_u64(look(w, 300, 128).e.addr, DATA(3) + 110, "btree:fill_maps_behind");
	is_u64(nr_extents(w), 5, "btree:fill_keeps_what_is_mapped");
	change(w, WORLD_INSERT, 195, 110, DATA(5), 0, 0);
	is_u64(nr_extents(w), 3, "btree:insert_over_all_drops_them");
	world_check_all(w);
	world_ok(w, "btree:punched_tree_is_valid");
	world_destroy(w);
}

static void test_replace(void)
{
	struct world *w = world_create(1);
	struct world_change c = { .op = WORLD_REPLACE };
	u64 dirty;

	change(w, WORLD_INSERT, 100, 30, DATA(1), VCI_EXT_DIRTY, 2);
	change(w, WORLD_INSERT, 110, 5, DATA(2), VCI_EXT_DIRTY, 2);
	world_checkpoint(w);
	/* Clean marks: same address, other flags; not where it was overwritten. */
	c.e = (struct vci_extent) { WORLD_BASE + 100, DATA(1), 30, 0, 2 };
	c.old_addr = DATA(1);
	ok(!world_change(w, &c), "btree:replace_applies");
	ok(!(look(w, 100, 9).e.flags), "btree:replace_changes_what_matches");
	ok(look(w, 110, 9).e.flags & VCI_EXT_DIRTY, "btree:replace_keeps_newer_writes");
	world_checkpoint(w);
	c.old_addr = DATA(7);
	dirty = vci_btree_dirty_nodes(w->bt);
	ok(!world_change(w, &c), "btree:replace_of_another_address");
	is_u64(vci_btree_dirty_nodes(w->bt), dirty, "btree:replace_of_nothing_dirties_nothing");
	c.op = WORLD_UNREPLACE;
	c.old_addr = DATA(1);
	ok(!world_change(w, &c), "btree:replace_with_nothing");
	is_u64(nr_extents(w), 1, "btree:replace_with_nothing_unmaps_what_matches");
	change(w, WORLD_REMOVE_CLEAN, 90, 100, 0, 0, 0);
	is_u64(nr_extents(w), 1, "btree:remove_clean_keeps_dirty");
	world_check_all(w);
	world_ok(w, "btree:replaced_tree_is_valid");
	world_destroy(w);
}

static void test_heat(void)
{
	struct world *w = world_create(1);
	struct vci_lookup res;
	int i;

	for (i = 0; i < 20; i++)
		change(w, WORLD_INSERT, 100 + 10 * i, 5, DATA(1 + i), 0, 1);
	ok(!vci_btree_lookup_touch(w->bt, WORLD_BASE + 150, 1, &res) &&
	   res.e.heat == 1, "btree:touch_reports_the_heat_before");
	is_u64(look(w, 150, 5).e.heat, 2, "btree:touch_raises_heat");
	is_u64(look(w, 140, 5).e.heat, 1, "btree:touch_leaves_others");
	ok(!vci_btree_lookup_touch(w->bt, WORLD_BASE + 151, 4, &res) &&
	   look(w, 150, 5).e.heat == 2, "btree:touch_behind_the_start_is_no_use");
	for (i = 0; i < 3; i++)
		ok(!vci_btree_lookup_touch(w->bt, WORLD_BASE + 150, 1, &res),
		   "btree:touch_%d", i);
	is_u64(look(w, 150, 5).e.heat, VCI_HEAT_USES, "btree:heat_is_limited");
	change(w, WORLD_INSERT, 107, 2, DATA(50), 0, VCI_HEAT_AHEAD | 5);
	is_u64(look(w, 150, 5).e.heat, 3, "btree:heat_moves_with_its_extent");
	ok(!vci_btree_lookup_touch(w->bt, WORLD_BASE + 108, 1, &res) &&
	   res.e.heat == (VCI_HEAT_AHEAD | 5) && look(w, 107, 2).e.heat == 1,
	   "btree:first_use_of_what_was_read_ahead");
	res.e = (struct vci_extent) { WORLD_BASE + 170, DATA(8), 5, 0, 1 };
	vci_btree_cool(w->bt, &res.e, 0);
	is_u64(look(w, 170, 5).e.heat, 0, "btree:cool_sets_heat");
	res.e.addr++;
	vci_btree_cool(w->bt, &res.e, 3);
	is_u64(look(w, 170, 5).e.heat, 0, "btree:cool_leaves_what_has_moved");
	change(w, WORLD_REMOVE, 152, 1, 0, 0, 0);
	ok(look(w, 150, 5).e.heat == 3 && look(w, 153, 5).e.heat == 3,
	   "btree:split_extent_keeps_heat");
	world_checkpoint(w);
	vci_btree_shrink(w->bt, 0);
	vci_btree_shrink(w->bt, 0);
	world_compare(w, 0, WORLD_BLOCKS);
	is_u64(look(w, 150, 5).e.heat, 3, "btree:heat_survives_a_checkpoint");
	world_ok(w, "btree:heat_changes_nothing_else");
	world_destroy(w);
}

static void test_refusals(void)
{
	struct world *w = world_create(1);
	struct vci_extent e = { .off = WORLD_BASE, .addr = DATA(1) };
	struct vci_header h = w->h;

	spin_lock(vci_btree_lock(w->bt));
	ok(vci_btree_insert_locked(w->bt, &e) == -EINVAL, "btree:insert_refuses_empty");
	e.blocks = VCI_ENTRY_BLOCKS_MAX + 1;
	ok(vci_btree_insert_locked(w->bt, &e) == -EINVAL, "btree:insert_refuses_long");
	e.blocks = 2;
	e.off = VCI_WINDOW_BLOCKS - 1;
	ok(vci_btree_insert_locked(w->bt, &e) == -EINVAL, "btree:insert_refuses_window_edge");
	e.off = w->h.backing_blocks - 1;
	ok(vci_btree_insert_locked(w->bt, &e) == -EINVAL, "btree:insert_refuses_beyond_end");
	spin_unlock(vci_btree_lock(w->bt));
	h.blocks = 1ull << 38;
	ok(!vci_btree_create(&world_ops, w, &h), "btree:create_refuses_a_large_image");
	h = w->h;
	h.backing_blocks = VCI_BACKING_MAX + 1;
	ok(!vci_btree_create(&world_ops, w, &h), "btree:create_refuses_a_large_backing");
	world_check_all(w);
	world_ok(w, "btree:refusals_change_nothing");
	world_destroy(w);
}

/* ---- many leaves ---- */

static void test_ascending(void)
{
	struct world *w = world_create(1);
	struct vci_btree_stats s;
	u32 i;

	for (i = 0; i < WORLD_EDGE; i++)
		change(w, WORLD_INSERT, i, 1, DATA(1) + 2 * i, 0, 0);
	vci_btree_get_stats(w->bt, &s);
	is_u64(s.nr_leaves, DIV_ROUND_UP(WORLD_EDGE, VCI_LEAF_MAX),
	       "btree:ascending_inserts_leave_full_leaves");
	world_check_all(w);
	for (i = 0; i < WORLD_EDGE; i++)
		change(w, WORLD_REMOVE, i, 1, 0, 0, 0);
	vci_btree_get_stats(w->bt, &s);
	ok(!s.nr_leaves && !s.nr_internals && !s.nr_extents,
	   "btree:removing_all_leaves_no_nodes");
	world_check_all(w);
	world_ok(w, "btree:ascending_tree_is_valid");
	world_destroy(w);
}

static void test_shrink(void)
{
	struct world *w = world_create(1);
	struct vci_btree_stats s;
	u64 reads;
	u32 i;

	for (i = 0; i < WORLD_BLOCKS; i += 2)
		change(w, WORLD_INSERT, i, 1, DATA(1) + i, 0, 0);
	ok(!vci_btree_shrink(w->bt, 0), "btree:shrink_keeps_dirty_nodes");
	world_checkpoint(w);
	vci_btree_get_stats(w->bt, &s);
	ok(w->nr_writes <= 4 && w->nr_nodes_written > 20,
	   "btree:checkpoint_writes_neighbours_at_once");
	ok(vci_btree_shrink(w->bt, s.bytes - 10000) >= 10000, "btree:shrink_frees_as_asked");
	vci_btree_shrink(w->bt, 0);
	vci_btree_get_stats(w->bt, &s);
	is_u64(s.nr_leaves + s.nr_internals, 0, "btree:shrink_to_nothing");
	world_validate(w);
	reads = w->nr_reads;
	world_compare_walk(w, w->bt, &w->model, true);
	vci_btree_get_stats(w->bt, &s);
	ok(!s.nr_leaves && w->nr_reads > reads, "btree:walk_sleep_keeps_nothing");
	world_check_all(w);
	vci_btree_get_stats(w->bt, &s);
	ok(s.nr_leaves > 20, "btree:load_brings_nodes_back");
	for (i = 0; i < WORLD_BLOCKS; i++)
		change(w, WORLD_INSERT, i, 1, DATA(9) + 3 * i, 0, 0);
	world_checkpoint(w);
	world_check_all(w);
	world_ok(w, "btree:shrunk_tree_is_valid");
	world_destroy(w);
}

static void test_second_chance(void)
{
	struct world *w = world_create(1);
	struct vci_btree_stats s;
	struct vci_lookup res;
	unsigned int kept = 0;
	u32 i;

	for (i = 0; i < WORLD_EDGE; i++)
		change(w, WORLD_INSERT, i, 1, DATA(1) + 2 * i, 0, 0);
	world_checkpoint(w);
	/* All but the first leaves are loaded anew, and never looked at. */
	vci_btree_shrink(w->bt, 0);
	vci_btree_shrink(w->bt, 0);
	ok(!vci_btree_load(w->bt, WORLD_BASE, WORLD_EDGE), "btree:load_a_range");
	for (i = 0; i < 600; i += 50)
		(void)look(w, i, 1);
	vci_btree_get_stats(w->bt, &s);
	vci_btree_shrink(w->bt, s.bytes - 8 * 2048);
	for (i = 0; i < 600; i += 50)
		kept += !vci_btree_lookup(w->bt, WORLD_BASE + i, 1, &res);
	is_u64(kept, 12, "btree:shrink_spares_what_was_looked_up");
	world_check_all(w);
	world_ok(w, "btree:second_chance_tree_is_valid");
	world_destroy(w);
}

/* ---- races of loading ---- */

static u32 nr_races;

/* The node that is being read comes into memory another way, and changes. */
static void race_with_change(struct world *w)
{
	if (nr_races++ != 0)
		return;
	w->in_read = NULL;
	change(w, WORLD_INSERT, 40, 9, DATA(40), VCI_EXT_DIRTY, 0);
	w->in_read = race_with_change;
}

/* What is above it comes into memory, but not it itself. */
static void race_with_neighbour(struct world *w)
{
	if (nr_races++ != 0)
		return;
	w->in_read = NULL;
	change(w, WORLD_INSERT, 390, 3, DATA(41), VCI_EXT_DIRTY, 0);
	w->in_read = race_with_neighbour;
}

/* Its unit is used again for something else: twice, for the rule to hold. */
static void race_with_checkpoints(struct world *w)
{
	u32 i;

	if (nr_races++ != 0)
		return;
	w->in_read = NULL;
	for (i = 0; i < 3; i++) {
		change(w, WORLD_INSERT, 50 + i, 1, DATA(60 + i), 0, 0);
		w->hint = 0;
		world_checkpoint(w);
	}
	while (vci_btree_shrink(w->bt, 0))
		;
	w->in_read = race_with_checkpoints;
}

static void test_load_races(void (*race)(struct world *), const char *what)
{
	struct world *w = world_create(1);
	u32 i;

	for (i = 0; i < 400; i += 2)
		change(w, WORLD_INSERT, i, 1, DATA(1) + 2 * i, 0, 0);
	world_checkpoint(w);
	for (i = 1; i < 6; i++) {
		while (vci_btree_shrink(w->bt, 0))
			;
		/* The i-th read from now is the one that is raced with. */
		nr_races = 1 - i;
		w->in_read = race;
		if (vci_btree_load(w->bt, WORLD_BASE, 8))
			world_bad(w, "load");
		w->in_read = NULL;
		world_check_all(w);
		world_checkpoint(w);
	}
	world_ok(w, "btree:load_races_with_%s", what);
	for (i = 1; i < 6; i++) {
		while (vci_btree_shrink(w->bt, 0))
			;
		nr_races = 1 - i;
		w->in_read = race;
		world_compare_walk(w, w->bt, &w->model, true);
		w->in_read = NULL;
		w->nr_bad = 0;	/* the model changed under it */
		world_check_all(w);
		world_checkpoint(w);
	}
	world_ok(w, "btree:walk_sleep_races_with_%s", what);
	world_destroy(w);
}

/* ---- windows and checkpoints ---- */

static void test_windows(void)
{
	struct world *w = world_create(1);
	u64 root;

	change(w, WORLD_INSERT, 100, 8, DATA(1), 0, 0);
	world_freeze(w);
	/* One window goes, another one comes: not in this checkpoint. */
	change(w, WORLD_REMOVE, 100, 8, 0, 0, 0);
	change(w, WORLD_INSERT, WORLD_EDGE + 5, 8, DATA(2), 0, 0);
	ok(!vci_btree_write_frozen(w->bt, &root), "btree:write_windows");
	w->root = root;
	world_thaw(w, 0);
	world_check_device(w);
	world_checkpoint(w);
	world_check_all(w);
	world_ok(w, "btree:windows_are_as_of_the_freeze");

	is_u64(vci_btree_dirty_nodes(w->bt), 0, "btree:nothing_is_dirty");
	world_freeze(w);
	ok(!vci_btree_write_frozen(w->bt, &root) && root == w->root,
	   "btree:checkpoint_of_nothing_keeps_the_root");
	world_thaw(w, -EIO);
	is_u64(vci_btree_dirty_nodes(w->bt), 0, "btree:failed_nothing_dirties_nothing");
	change(w, WORLD_INSERT, 100, 8, DATA(1), 0, 0);
	world_checkpoint(w);
	world_check_all(w);
	world_ok(w, "btree:failed_nothing_leaks_nothing");
	world_destroy(w);
}

/* Prints what the tree logged into @buf. */
static void capture(char *buf, size_t size, struct vci_btree *bt, u64 off, int *err)
{
	FILE *old = vci_log_file;

	memset(buf, 0, size);
	vci_log_file = fmemopen(buf, size, "w");
	*err = vci_btree_load(bt, off, 1);
	fclose(vci_log_file);
	vci_log_file = old;
}

static void test_damage(void)
{
	struct world *w = world_create(1);
	struct vci_lookup res;
	char text[512];
	u32 i, bad = 0;
	u64 off;
	int err;

	for (i = 0; i < WORLD_BLOCKS; i += 2)
		change(w, WORLD_INSERT, i, 1, DATA(1) + i, 0, 0);
	world_checkpoint(w);
	while (vci_btree_shrink(w->bt, 0))
		;
	/* One leaf that covers what is in the middle of the second window. */
	for (i = 0; i < WORLD_UNITS; i++) {
		struct vci_extent e;

		if (!w->committed[i] || vci_node_type(w->unit[i]) != VCI_NODE_LEAF)
			continue;
		vci_node_extent(w->unit[i], 0, &e);
		if (e.off > WORLD_BASE + WORLD_EDGE + 500) {
			bad = i;
			off = e.off;
			break;
		}
	}
	w->unit[bad][1234] ^= 0x10;
	capture(text, sizeof(text), w->bt, off, &err);
	ok(err == -EILSEQ, "btree:load_reports_damage");
	ok(strstr(text, "corrupt node: block ") && strstr(text, "wrong checksum"),
	   "btree:damage_is_logged_in_words");
	capture(text, sizeof(text), w->bt, off, &err);
	ok(err == -EILSEQ && !*text, "btree:damage_is_logged_once");
	ok(vci_btree_lookup(w->bt, off, 1, &res) == -EAGAIN, "btree:lookup_of_damage");
	world_compare(w, 0, WORLD_EDGE + 200);
	world_validate(w);
	world_ok(w, "btree:damage_leaves_the_rest_usable");
	off = WORLD_BASE;
	do {
		struct vci_extent e[8];

		err = vci_btree_walk_sleep(w->bt, &off, e, 8);
	} while (err > 0);
	ok(err == -EILSEQ, "btree:walk_sleep_stops_at_damage");
	w->unit[bad][1234] ^= 0x10;
	ok(!vci_btree_load(w->bt, off, 1), "btree:load_after_repair");
	world_check_all(w);
	world_ok(w, "btree:repaired_tree_is_valid");
	world_destroy(w);
}

static void test_deep_damage(void)
{
	struct world *w = world_create(1);
	struct vci_child c = { .off = 0, .blocks = VCI_WINDOW_BLOCKS };
	char text[512];
	int err;

	/* A window whose tree is a chain of inner nodes that ends in itself. */
	c.addr = WORLD_NODES + VCI_NODE_BLOCKS;
	vci_node_init(w->unit[0], VCI_NODE_INTERNAL);
	vci_node_put_child(w->unit[0], 0, &c);
	vci_node_seal(w->unit[0], w->h.uuid, WORLD_NODES, 1);
	vci_node_init(w->unit[1], VCI_NODE_INTERNAL);
	vci_node_put_child(w->unit[1], 0, &c);
	vci_node_seal(w->unit[1], w->h.uuid, c.addr, 1);
	w->h.checkpoint_gen = 1;
	vci_btree_destroy(w->bt);
	w->bt = vci_btree_create(&world_ops, w, &w->h);
	ok(!vci_btree_open(w->bt, WORLD_NODES, 0), "btree:open_reads_the_root");
	capture(text, sizeof(text), w->bt, 5, &err);
	ok(err == -EILSEQ && strstr(text, "too deep"), "btree:load_finds_a_cycle");
	vci_btree_destroy(w->bt);

	/* A root that was damaged, and one that isn't there. */
	w->bt = vci_btree_create(&world_ops, w, &w->h);
	w->unit[0][9] ^= 1;
	vci_log_file = NULL;
	ok(vci_btree_open(w->bt, WORLD_NODES, 0) == -EILSEQ, "btree:open_refuses_damage");
	w->fail_read = 1;
	ok(vci_btree_open(w->bt, WORLD_NODES, 0) == -EIO, "btree:open_reports_io_errors");
	vci_log_file = stderr;
	world_destroy(w);
}

/* ---- random ---- */

static void random_changes(struct world *w, u32 nr, u32 max)
{
	struct world_change c;
	u32 at, from, to;

	while (nr--) {
		c = world_random_change(w, max);
		if (world_change(w, &c))
			world_bad(w, "change");
		at = c.e.off - WORLD_BASE;
		from = at > 20 ? at - 20 : 0;
		to = min(at + c.e.blocks + 20, WORLD_BLOCKS);
		world_compare(w, from, to - from);
		world_validate(w);
	}
}

static void meanwhile(struct world *w)
{
	random_changes(w, 1 + world_rand(w, 4), 128);
	if (world_rand(w, 2))
		vci_btree_shrink(w->bt, world_rand(w, 60000));
	if (!world_rand(w, 4))
		random_changes(w, 1 + world_rand(w, 4), 2);
}

static void test_random(u64 seed)
{
	struct world *w = world_create(seed);
	struct vci_btree_stats s;
	u32 round;

	w->scattered = world_rand(w, 2);
	for (round = 0; round < 40; round++) {
		/* Many short extents, then fewer long ones, and so on. */
		random_changes(w, 50 + world_rand(w, 500), round % 8 < 6 ? 2 : 128);
		w->meanwhile = round % 3 ? meanwhile : NULL;
		w->fail_write = world_rand(w, 4) ? 0 : 1 + world_rand(w, 5);
		if (world_checkpoint(w) && w->fail_write)
			world_bad(w, "checkpoint failed by itself");
		w->fail_write = 0;
		world_validate(w);
		if (world_rand(w, 2))
			vci_btree_shrink(w->bt, world_rand(w, 60000));
		if (round % 10 == 9)
			world_check_all(w);
	}
	world_check_all(w);
	world_ok(w, "btree:random_changes_%llu", seed);
	vci_btree_get_stats(w->bt, &s);
	printf("# %llu extents, %llu leaves, %llu loads, %llu evictions, %llu clones\n",
	       s.nr_extents, s.nr_leaves, s.loads, s.evictions, s.clones);
	world_destroy(w);
}

/* ---- failures ---- */

/* Some of everything, the same each time: 0, or the first error. */
static int scenario(struct world *w)
{
	struct world_change c = { .op = WORLD_INSERT };
	u32 i;
	int err = 0;

	for (i = 0; i < 600 && !err; i++) {
		c.e = (struct vci_extent) {
			WORLD_BASE + (i * 37) % 2500, DATA(1) + 5 * i, 1 + i % 7, 0, 1
		};
		err = world_change(w, &c);
		if (!err && i % 150 == 149) {
			err = world_checkpoint(w);
			vci_btree_shrink(w->bt, 0);
		}
	}
	for (i = 0; i < 300 && !err; i++) {
		c.op = i % 2 ? WORLD_REMOVE : WORLD_FILL;
		c.e.off = WORLD_BASE + (i * 91) % 2500;
		c.e.blocks = 1 + i % 128;
		err = world_change(w, &c);
	}
	return err;
}

/* Did the n-th one come, so that it failed? */
static bool failed_once(struct world *w, u32 n, u32 *fault)
{
	bool failed;
	int err;

	if (fault)
		*fault = n;
	else
		vci_alloc_fail_at = n;
	err = scenario(w);
	world_validate(w);
	failed = fault ? !*fault : !vci_alloc_fail_at;
	if (err && !failed)
		world_bad(w, "error %d without a fault", err);
	if (fault)
		*fault = 0;
	vci_alloc_fail_at = 0;
	/* Goes on as if nothing had happened. */
	if (world_checkpoint(w))
		world_bad(w, "checkpoint after the failure");
	world_check_all(w);
	return failed;
}

/* Fails the n-th of something, for each n until none fails. */
static void test_failures(const char *what, size_t field)
{
	u32 n, nr_failed = 0, step = 1;
	struct world *w;
	u32 *fault;
	bool more;

	for (n = 1, more = true; more; n += step) {
		w = world_create(1);
		fault = field ? (u32 *)((char *)w + field) : NULL;
		if (failed_once(w, n, fault))
			nr_failed++;
		else
			more = false;
		if (w->nr_bad)
			break;
		world_destroy(w);
		w = NULL;
		/* The first ones all, then samples. */
		step = n < 40 ? 1 : n / 8;
	}
	if (w && w->nr_bad)
		world_ok(w, "btree:%s_%u_fails", what, n);
	if (w)
		world_destroy(w);
	ok(nr_failed > 3 && !more, "btree:every_%s_fails_once", what);
	printf("# failed %u times\n", nr_failed);
}

int main(void)
{
	u64 seed = vt_seed(), i;
	long live;

	vci_log_file = stderr;
	live = vci_alloc_live;
	test_empty();
	test_merge();
	test_longest();
	test_punch();
	test_replace();
	test_heat();
	test_refusals();
	test_ascending();
	test_shrink();
	test_second_chance();
	test_load_races(race_with_change, "change");
	test_load_races(race_with_neighbour, "neighbour");
	test_load_races(race_with_checkpoints, "checkpoints");
	test_windows();
	test_damage();
	test_deep_damage();
	for (i = 0; i < 4; i++)
		test_random(seed + i * 7919);
	test_failures("read", offsetof(struct world, fail_read));
	test_failures("write", offsetof(struct world, fail_write));
	test_failures("address", offsetof(struct world, fail_alloc));
	test_failures("allocation", 0);
	is_u64(vci_alloc_live, live, "btree:all_memory_is_freed");
	return done_testing();
}
