// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lazy replay: what waits for its region, and that nobody can tell.
 *
 * Changes are put into c->redo by hand; each block's mapping is compared with a
 * model that applies them at once.
 */
#include "rig.h"

#define BLOCKS		600u	/* compared; regions are of 256 */
#define ADDRS		2000u

static struct rig rig;
static u64 region;		/* blocks */

/* ---- a model: each block by itself ---- */

struct mapping {
	u64 addr;		/* 0: none */
	u8 flags;
};

static struct mapping model[BLOCKS];

static void model_change(const struct vci_change *ch)
{
	u32 k;

	for (k = 0; k < ch->e.blocks; k++) {
		struct mapping *m = &model[ch->e.off + k];
		struct mapping new = { ch->e.addr + k, ch->e.flags };

		if (ch->kind == VCI_CHANGE_INSERT ||
		    (ch->kind == VCI_CHANGE_FILL && !m->addr) ||
		    (ch->kind == VCI_CHANGE_REPLACE && m->addr == ch->old_addr + k))
			*m = new;
		else if (ch->kind == VCI_CHANGE_REMOVE ||
			 (ch->kind == VCI_CHANGE_REMOVE_CLEAN &&
			  !(m->flags & VCI_EXT_DIRTY)))
			*m = (struct mapping) { 0 };
	}
}

static void model_drop(u32 i)
{
	u64 off;

	for (off = i * region; off < (i + 1) * region && off < BLOCKS; off++)
		if (!(model[off].flags & VCI_EXT_DIRTY))
			model[off] = (struct mapping) { 0 };
}

/* Does the cache say the same of the block?  Loads what it takes. */
static bool same(u64 off)
{
	struct vci_lookup res;
	int r = vci_cache_lookup(rig.c, off, 1, &res);

	if (r == -EAGAIN) {
		assert(!vci_cache_load(rig.c, off, 1));
		r = vci_cache_lookup(rig.c, off, 1, &res);
	}
	if (r || res.mapped != !!model[off].addr)
		return false;
	return !res.mapped || (res.e.addr == model[off].addr &&
			       res.e.flags == model[off].flags);
}

static bool all_same(void)
{
	u32 off;

	for (off = 0; off < BLOCKS; off++)
		if (!same(off)) {
			printf("# block %u differs\n", off);
			return false;
		}
	return !vci_btree_validate(rig.c->tree);
}

/* ---- a cache with something in its tree ---- */

static struct vci_change change(enum vci_change_kind kind, u64 off, u32 blocks, u64 at)
{
	return (struct vci_change) {
		.kind = kind,
		.e = { .off = off, .blocks = blocks,
		       .addr = at ? rig.c->header.segments + at : 0 },
	};
}

static void change_now(struct vci_change ch)
{
	assert(!vci_cache_change(rig.c, &ch));
	model_change(&ch);
}

static void later(struct vci_change ch)
{
	u32 first = rig.c->redo.nr_entries;

	assert(!vci_redo_add(&rig.c->redo, &ch));
	vci_redo_link(&rig.c->redo, first, rig.c->redo.nr_entries - first);
	model_change(&ch);
}

static void setup(void)
{
	/* All addresses lie in one segment. */
	rig_init(&rig, 4096 * 32, RIG_BACKING, 4096);
	assert(!rig_open(&rig));
	memset(model, 0, sizeof(model));
	region = 1ull << rig.c->intent.log2;
	assert(region == 256);
	change_now(change(VCI_CHANGE_FILL, 0, 100, 1000));
	change_now(change(VCI_CHANGE_FILL, 250, 20, 1250));
	assert(!vci_redo_init(&rig.c->redo, rig.c->intent.nr_regions,
			      rig.c->intent.log2));
}

static void teardown(void)
{
	rig_exit(&rig);
}

/* ---- what waits, and for what ---- */

static void test_pending(void)
{
	struct vci_lookup res;
	struct vci_write w;
	int r;

	setup();
	ok(!vci_redo_any(&rig.c->redo) && !vci_cache_needs_maintenance(rig.c),
	   "redo:nothing_waits");
	later(change(VCI_CHANGE_INSERT, 10, 4, 100));
	ok(vci_redo_any(&rig.c->redo), "redo:something_waits");
	ok(vci_cache_needs_maintenance(rig.c), "redo:is_urgent");
	ok(vci_redo_bytes(&rig.c->redo), "redo:counts_its_memory");
	ok(vci_redo_pending(&rig.c->redo, 0, 1) && vci_redo_pending(&rig.c->redo, 255, 1),
	   "redo:its_whole_region_is_pending");
	ok(!vci_redo_pending(&rig.c->redo, 256, 10000), "redo:no_other_region_is");
	ok(vci_redo_pending(&rig.c->redo, 200, 100) && !vci_redo_pending(&rig.c->redo, 0, 0),
	   "redo:range_over_the_edge_is");
	ok(!vci_redo_pending(&rig.c->redo, 1ull << 50, 5), "redo:behind_the_device_is_none");
	r = vci_cache_lookup(rig.c, 50, 1, &res);
	ok(r == -EAGAIN, "redo:lookup_asks_for_a_load");
	r = vci_cache_lookup(rig.c, 255, 2, &res);
	ok(r == -EAGAIN, "redo:lookup_over_the_edge_asks_for_a_load");
	ok(!vci_cache_lookup(rig.c, 256, 1, &res) && res.mapped, "redo:lookup_beside_it");
	assert(!vci_intent_begin(&rig.c->intent, 200, 8));
	assert(!vci_intent_mark(&rig.c->intent, 200, 8));
	ok(vci_write_begin(rig.c, &w, 200, 8) == -EAGAIN,
	   "redo:write_into_a_hole_that_is_pending_waits");
	vci_write_end(rig.c, &w, NULL);
	vci_intent_end(&rig.c->intent, 200, 8);
	ok(!vci_cache_load(rig.c, 300, 100) && vci_redo_any(&rig.c->redo),
	   "redo:load_beside_it_leaves_it");
	ok(!vci_cache_load(rig.c, 50, 1) && !vci_redo_any(&rig.c->redo), "redo:load_applies");
	is_u64(vci_redo_bytes(&rig.c->redo), 0, "redo:memory_is_freed");
	ok(!vci_cache_needs_maintenance(rig.c), "redo:is_done");
	ok(all_same(), "redo:applied");
	teardown();
}

static void test_order(void)
{
	struct vci_change ch;

	setup();
	later(change(VCI_CHANGE_INSERT, 10, 20, 100));
	later(change(VCI_CHANGE_INSERT, 15, 5, 200));
	ch = change(VCI_CHANGE_REPLACE, 10, 20, 300);
	ch.old_addr = rig.c->header.segments + 100;
	later(ch);
	later(change(VCI_CHANGE_REMOVE, 12, 2, 0));
	later(change(VCI_CHANGE_FILL, 8, 20, 400));
	/* Names a mapping that is no longer. */
	ch = change(VCI_CHANGE_REPLACE, 10, 20, 500);
	ch.old_addr = rig.c->header.segments + 100;
	later(ch);
	ok(all_same(), "redo:in_the_order_of_the_log");
	teardown();
}

static void test_borders(void)
{
	struct vci_change ch;

	setup();
	ch = change(VCI_CHANGE_REPLACE, 250, 20, 300);
	ch.old_addr = rig.c->header.segments + 1250;
	ch.e.flags = VCI_EXT_DIRTY;
	later(ch);
	later(change(VCI_CHANGE_FILL, 500, 100, 600));
	is_u64(rig.c->redo.nr_entries, 4, "redo:cut_at_borders");
	is_u64(rig.c->redo.nr_pending, 3, "redo:three_regions_are_pending");
	ok(same(251), "redo:first_part");
	ok(vci_redo_pending(&rig.c->redo, 256, 1), "redo:second_part_waits");
	ok(!vci_cache_load(rig.c, 200, 100), "redo:load_over_the_edge");
	is_u64(rig.c->redo.nr_pending, 1, "redo:third_region_waits");
	ok(all_same(), "redo:parts_make_a_whole");
	teardown();
}

static void test_drop(void)
{
	struct vci_change ch;

	setup();
	vci_redo_drop(&rig.c->redo, 0);
	ch = change(VCI_CHANGE_INSERT, 20, 10, 100);
	ch.e.flags = VCI_EXT_DIRTY;
	later(ch);
	later(change(VCI_CHANGE_FILL, 120, 10, 300));
	ch = change(VCI_CHANGE_REPLACE, 22, 3, 102);
	ch.old_addr = ch.e.addr;
	later(ch);
	model_drop(0);
	ok(same(21) && same(23) && same(50), "redo:dirty_stays_what_was_cleaned_goes");
	change_now(change(VCI_CHANGE_FILL, 120, 10, 700));
	ok(all_same(), "redo:what_comes_later_stays");
	teardown();
}

/* A change of a region that is pending comes after what waits. */
static void test_change(void)
{
	struct vci_ticket t;

	setup();
	later(change(VCI_CHANGE_INSERT, 10, 20, 100));
	change_now(change(VCI_CHANGE_REMOVE, 12, 4, 0));
	ok(!vci_redo_any(&rig.c->redo), "redo:change_lets_the_log_go_first");
	ok(all_same(), "redo:change_comes_last");
	teardown();

	setup();
	later(change(VCI_CHANGE_INSERT, 10, 20, 100));
	later(change(VCI_CHANGE_INSERT, 300, 20, 200));
	assert(!vci_cache_unmap(rig.c, 5, 10, false));
	memset(&model[5], 0, 10 * sizeof(model[0]));
	ok(vci_redo_any(&rig.c->redo), "redo:unmap_leaves_other_regions");
	ok(all_same(), "redo:unmap_comes_last");
	teardown();

	/* A fill whose ticket is stale changes nothing, now or later. */
	setup();
	later(change(VCI_CHANGE_REMOVE, 10, 20, 0));
	assert(vci_ticket_take(rig.c, 10, 5, &t) && !rig_write(&rig, 10, 5, 1));
	memset(&model[10], 0, 5 * sizeof(model[0]));
	ok(!vci_ticket_valid(rig.c, 10, 5, &t) && all_same(), "redo:write_comes_last");
	teardown();
}

static void test_finish(void)
{
	struct vci_header before, after;

	setup();
	later(change(VCI_CHANGE_REMOVE, 10, 20, 0));
	later(change(VCI_CHANGE_REMOVE, 255, 5, 0));
	vci_redo_drop(&rig.c->redo, rig.c->intent.nr_regions - 1);
	ok(!vci_redo_finish(rig.c) && !vci_redo_any(&rig.c->redo), "redo:finish");
	ok(all_same(), "redo:finish_applies_all");
	teardown();

	setup();
	later(change(VCI_CHANGE_REMOVE, 10, 20, 0));
	rig_header(&rig, &before);
	ok(!vci_cache_maintain(rig.c, false) && !vci_redo_any(&rig.c->redo),
	   "redo:maintenance_finishes");
	rig_header(&rig, &after);
	ok(before.checkpoint_gen == after.checkpoint_gen, "redo:which_needs_no_checkpoint");
	ok(all_same(), "redo:maintenance_applies_all");
	teardown();

	setup();
	later(change(VCI_CHANGE_REMOVE, 10, 20, 0));
	ok(!vci_cache_checkpoint(rig.c) && !vci_redo_any(&rig.c->redo),
	   "redo:checkpoint_finishes");
	teardown();

	setup();
	later(change(VCI_CHANGE_REMOVE, 10, 20, 0));
	ok(!vci_reclaim(rig.c, 1, false) && !vci_redo_any(&rig.c->redo), "redo:reclaim_finishes");
	teardown();
}

static void test_rewrote(void)
{
	struct vci_redo *rd;

	setup();
	rd = &rig.c->redo;
	later(change(VCI_CHANGE_FILL, 0, 100, 200));
	later(change(VCI_CHANGE_INSERT, 110, 5, 300));
	later(change(VCI_CHANGE_REMOVE, 120, 5, 0));
	later(change(VCI_CHANGE_REPLACE, 250, 10, 400));
	ok(vci_redo_rewrote(rd, 110) && vci_redo_rewrote(rd, 114) &&
	   vci_redo_rewrote(rd, 250) && vci_redo_rewrote(rd, 259), "redo:rewrote");
	ok(!vci_redo_rewrote(rd, 109) && !vci_redo_rewrote(rd, 115) &&
	   !vci_redo_rewrote(rd, 260), "redo:rewrote_beside_it");
	ok(!vci_redo_rewrote(rd, 1ull << 50), "redo:rewrote_nothing_behind_the_device");
	ok(!vci_redo_rewrote(rd, 10) && !vci_redo_rewrote(rd, 122) &&
	   !vci_redo_rewrote(rd, 5000), "redo:rewrote_no_fill_or_drop");
	teardown();
}

/* ---- dirty data that waits ---- */

static void crash_dirty(void)
{
	rig_init(&rig, 4096, RIG_BACKING, 128);
	assert(!rig_open(&rig) && !rig_log_write(&rig, 100, 8, 1, false));
	assert(!rig_log_write(&rig, 104, 8, 2, false) && !rig_flush(&rig));
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	assert(!rig_open(&rig) && vci_redo_any(&rig.c->redo));
}

static void test_dirty(void)
{
	struct vci_writeback wb = { .max_seq = U64_MAX };
	struct vci_cache_stats s;
	struct vci_write w;

	crash_dirty();
	vci_cache_get_stats(rig.c, &s);
	ok(s.dirty_blocks == 16, "redo:what_waits_counts_as_dirty");
	ok(vci_redo_nodes(&rig.c->redo) >= 2, "redo:what_waits_may_need_nodes");
	is_u64(rig_value(&rig, 106), 2, "redo:dirty_data_is_read");
	is_u64(vci_cache_dirty_blocks(rig.c), 12, "redo:dirty_is_exact_in_the_end");
	is_u64(vci_redo_nodes(&rig.c->redo), 0, "redo:no_nodes_in_the_end");
	rig_exit(&rig);

	crash_dirty();
	ok(!vci_cache_writeback(rig.c, &wb, U32_MAX) && !vci_cache_dirty_blocks(rig.c),
	   "redo:write_back_finds_what_waits");
	ok(sim_disk_peek(&rig.backing, 103)[0] == 1 && sim_disk_peek(&rig.backing, 104)[0] == 2,
	   "redo:it_is_on_the_backing_device");
	rig_exit(&rig);

	/* O2: a write past the log must not miss it. */
	crash_dirty();
	ok(vci_write_begin(rig.c, &w, 100, 4) == -EAGAIN &&
	   vci_write_prepare(rig.c, &w) == -EEXIST, "redo:write_past_the_log_finds_it");
	vci_write_end(rig.c, &w, NULL);
	rig_exit(&rig);

	/* And the next write to the log comes after it. */
	crash_dirty();
	assert(!rig_log_write(&rig, 102, 4, 3, false));
	ok(rig_value(&rig, 101) == 1 && rig_value(&rig, 103) == 3 && rig_value(&rig, 107) == 2,
	   "redo:write_to_the_log_comes_last");
	rig_exit(&rig);

	/* Law 5: nobody may write past what is only there. */
	crash_dirty();
	vci_cache_fail(rig.c, -EIO);
	ok(vci_cache_is_stuck(rig.c), "redo:failed_with_dirty_data_that_waits_is_stuck");
	ok(vci_write_begin(rig.c, &w, 100, 4) == -EAGAIN &&
	   vci_write_prepare(rig.c, &w) == -EIO && !vci_cache_is_retired(rig.c),
	   "redo:stuck_is_not_retired");
	vci_write_end(rig.c, &w, NULL);
	rig_exit(&rig);
}

/* ---- what can go wrong ---- */

static void test_no_memory(void)
{
	u32 n, failed = 0, same_then = 0;
	long live = vci_alloc_live;
	int r;

	for (n = 1; n < 8; n++) {
		setup();
		assert(!vci_cache_checkpoint(rig.c));
		later(change(VCI_CHANGE_INSERT, 10, 20, 100));
		later(change(VCI_CHANGE_REMOVE, 12, 2, 0));
		later(change(VCI_CHANGE_FILL, 8, 20, 400));
		vci_btree_shrink(rig.c->tree, 0);
		vci_alloc_fail_at = n;
		r = vci_cache_load(rig.c, 0, 100);
		vci_alloc_fail_at = 0;
		failed += r == -ENOMEM && vci_redo_pending(&rig.c->redo, 0, 1);
		same_then += !vci_cache_is_failed(rig.c) && all_same();
		teardown();
	}
	ok(failed, "redo:without_memory");
	is_u64(same_then, n - 1, "redo:goes_on_with_memory");

	/* While it is made. */
	setup();
	vci_alloc_fail_at = 1;
	for (n = 0, r = 0; !r && n < 2; n++) {
		struct vci_change ch = change(VCI_CHANGE_INSERT, 10, 20, 100);

		r = vci_redo_add(&rig.c->redo, &ch);
	}
	vci_alloc_fail_at = 0;
	ok(r == -ENOMEM, "redo:add_without_memory");
	teardown();
	is_u64(vci_alloc_live, live, "redo:frees_all_without_memory");
}

/* Nobody sees half of it: lookups while nodes are read. */
static u32 seen, refused;

static void look(void *ctx)
{
	struct vci_lookup res;

	(void)ctx;
	if (!rig.c || !rig.c->redo.lock.held)
		return;
	seen++;
	refused += vci_cache_lookup(rig.c, 12, 1, &res) == -EAGAIN;
}

static void test_meanwhile(void)
{
	setup();
	assert(!vci_cache_checkpoint(rig.c));
	later(change(VCI_CHANGE_INSERT, 10, 20, 100));
	vci_redo_drop(&rig.c->redo, 0);
	vci_btree_shrink(rig.c->tree, 0);
	rig.power.hook = look;
	seen = 0;
	refused = 0;
	ok(!vci_cache_load(rig.c, 12, 1), "redo:load_with_lookups_meanwhile");
	rig.power.hook = NULL;
	ok(seen && seen == refused, "redo:lookups_meanwhile_wait");
	model_drop(0);
	ok(all_same(), "redo:lookups_afterwards_do_not");
	teardown();
}

/* ---- at random ---- */

static struct vci_change random_change(u64 *seed, bool replayed)
{
	static const enum vci_change_kind kinds[] = {
		VCI_CHANGE_INSERT, VCI_CHANGE_FILL, VCI_CHANGE_REMOVE,
		VCI_CHANGE_REPLACE, VCI_CHANGE_REMOVE_CLEAN,
	};
	u32 off = vt_random(seed) % BLOCKS;
	u32 blocks = 1 + vt_random(seed) % min(VCI_ENTRY_BLOCKS_MAX, BLOCKS - off);
	struct vci_change ch;

	ch = change(kinds[vt_random(seed) % (replayed ? 4 : 5)], off, blocks,
		    1 + vt_random(seed) % ADDRS);
	if (ch.kind == VCI_CHANGE_REPLACE) {
		ch.old_addr = model[off].addr ? : ch.e.addr;
		if (vt_random(seed) % 3 == 0)
			ch.e.addr = ch.old_addr;
	}
	if (ch.kind == VCI_CHANGE_INSERT ||
	    (ch.kind == VCI_CHANGE_REPLACE && vt_random(seed) % 2))
		ch.e.flags = VCI_EXT_DIRTY;
	return ch;
}

static bool random_life(u64 *seed)
{
	u32 i, n = 1 + vt_random(seed) % 60;
	bool good = true, drop[BLOCKS / 256 + 1];

	setup();
	if (vt_random(seed) % 2)
		assert(!vci_cache_checkpoint(rig.c));
	for (i = 0; i < ARRAY_SIZE(drop); i++) {
		drop[i] = vt_random(seed) % 3 == 0;
		if (drop[i])
			vci_redo_drop(&rig.c->redo, i);
	}
	for (i = 0; i < n; i++)
		later(random_change(seed, true));
	for (i = 0; i < ARRAY_SIZE(drop); i++)
		if (drop[i])
			model_drop(i);
	for (i = 0; good && i < 40; i++) {
		switch (vt_random(seed) % 4) {
		case 0:
			change_now(random_change(seed, false));
			break;
		case 1:
			vci_btree_shrink(rig.c->tree, 0);
			break;
		default:
			good = same(vt_random(seed) % BLOCKS);
			break;
		}
	}
	good = good && all_same() && !vci_redo_finish(rig.c) && all_same();
	teardown();
	return good;
}

static void test_random(void)
{
	u64 seed = vt_seed();
	u32 i, good = 0;

	for (i = 0; i < 300; i++)
		good += random_life(&seed);
	is_u64(good, 300, "redo:random_changes_as_if_at_once");
}

int main(void)
{
	test_pending();
	test_order();
	test_borders();
	test_drop();
	test_change();
	test_finish();
	test_rewrote();
	test_dirty();
	test_no_memory();
	test_meanwhile();
	test_random();
	is_u64(vci_alloc_live, 0, "redo:frees_all");
	return done_testing();
}
