// SPDX-License-Identifier: GPL-2.0-only
/*
 * Re-append: what reclaim keeps, what it costs, and what a crash leaves of it.
 *
 * Segments are of 128 blocks; a fill of 120 takes one, header included.
 */
#include "rig.h"
#include "vci-move.h"

#define FILL	120u

static struct rig rig;

static void setup(void)
{
	rig_init(&rig, 4096, RIG_BACKING, 128);
	assert(!rig_open(&rig));
}

static void teardown(void)
{
	rig_exit(&rig);
}

static u64 addr_of(u64 off)
{
	struct vci_lookup res;

	assert(!vci_btree_lookup(rig.c->tree, off, 1, &res));
	return res.mapped ? res.e.addr : 0;
}

static u8 heat_of(u64 off)
{
	struct vci_lookup res;

	assert(!vci_btree_lookup(rig.c->tree, off, 1, &res) && res.mapped);
	return res.e.heat;
}

static u32 stream_of(u64 off)
{
	return rig.c->segments.s[vci_segment_of(&rig.c->segments, addr_of(off))].stream;
}

/* Four segments; blocks are heated by being looked up. */
static void fill_some(void)
{
	u32 i;

	for (i = 0; i < 4; i++)
		assert(!rig_fill(&rig, i * 1000, FILL));
	/* The last one is open still. */
	assert(!rig_fill(&rig, 9000, FILL));
}

static u64 moved(void)
{
	return rig.c->stats.moved_blocks;
}

static void test_keeps(void)
{
	u64 old;

	setup();
	fill_some();
	assert(rig_cached(&rig, 1000, 1) == 1);
	old = addr_of(1000);
	ok(heat_of(1000) && !heat_of(0), "move:one_of_two_is_hot");
	ok(!vci_reclaim(rig.c, 2, true), "move:reclaim");
	is_u64(addr_of(0), 0, "move:what_is_cold_is_dropped");
	is_u64(moved(), FILL, "move:what_is_hot_is_kept");
	ok(addr_of(1000) && addr_of(1000) != old, "move:it_lies_elsewhere");
	is_u64(heat_of(1000), 0, "move:its_heat_is_cleared");
	is_u64(stream_of(1000), VCI_STREAM_KEPT, "move:in_the_stream_of_what_is_kept");
	is_u64(rig.c->segments.count[VCI_LIFE_DRAINED], 2, "move:both_victims_are_empty");
	is_u64(rig_cached(&rig, 1000, FILL), FILL, "move:data_is_right");
	ok(!vci_cache_checkpoint(rig.c), "move:checkpoint");
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(!rig_open(&rig) && rig_cached(&rig, 1000, FILL) == FILL,
	   "move:copy_is_durable_when_the_victim_is_free");
	ok(!rig_close(&rig) && !rig_verify(&rig), "move:closes");
	teardown();
}

/* Nothing depends on the copy before the checkpoint. */
static void test_crash(void)
{
	u64 old, copy;

	setup();
	fill_some();
	assert(!vci_cache_flush(rig.c) && rig_cached(&rig, 0, 4000) == 4 * FILL);
	old = addr_of(0);
	assert(!vci_reclaim(rig.c, 2, true) && moved());
	copy = addr_of(0);
	ok(copy && copy != old, "move:copied");
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	assert(!rig_open(&rig));
	is_u64(rig_cached(&rig, 0, FILL), FILL, "move:lost_copy_loses_nothing");
	is_u64(addr_of(0), old, "move:the_old_place_counts");
	assert(!vci_reclaim(rig.c, 2, true) && !vci_cache_flush(rig.c));
	copy = addr_of(0);
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	assert(!rig_open(&rig) && rig_cached(&rig, 0, FILL) == FILL);
	is_u64(addr_of(0), copy, "move:durable_copy_counts");
	ok(copy != old && !rig.report.log_damaged, "move:is_replayed");
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, copy + 3, 5);
	assert(!rig_open(&rig) && rig_cached(&rig, 0, FILL) == FILL);
	ok(rig.report.torn == 1 && addr_of(0) == old, "move:damaged_copy_is_left_out");
	teardown();
}

/* A user's newer write wins, now and in replay (O7). */
static void test_overwritten(void)
{
	setup();
	fill_some();
	assert(rig_cached(&rig, 0, 4000) == 4 * FILL);
	assert(!vci_reclaim(rig.c, 2, true) && moved());
	assert(!rig_log_write(&rig, 4, 8, 77, true));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	assert(!rig_open(&rig));
	ok(rig_value(&rig, 4) == 77 && rig_value(&rig, 11) == 77, "move:write_behind_it_wins");
	ok(rig_cached(&rig, 0, 4) == 4 && rig_cached(&rig, 12, FILL - 12) == FILL - 12,
	   "move:the_rest_is_moved");
	teardown();

	/* The other order: what names an old mapping leaves the new one alone. */
	setup();
	fill_some();
	assert(!vci_reclaim_drop(rig.c, 8, 8, addr_of(0)) && addr_of(8));
	assert(!rig_log_write(&rig, 4, 8, 78, false) && rig_cached(&rig, 0, 4) == 4);
	assert(!vci_reclaim(rig.c, 2, true) && moved());
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	assert(!rig_open(&rig));
	ok(rig_value(&rig, 4) == 78 && rig_value(&rig, 11) == 78, "move:write_before_it_wins");
	teardown();
}

/* As far as there is room for it, and never what writes may need. */
static void test_bounds(void)
{
	struct vci_cache_stats s;
	u32 i, free;
	int r = 0;

	setup();
	fill_some();
	assert(rig_cached(&rig, 0, 4000) == 4 * FILL);
	free = rig.c->segments.count[VCI_LIFE_FREE] + rig.c->segments.count[VCI_LIFE_QUEUED];
	assert(!vci_reclaim(rig.c, 4, true) && !vci_cache_checkpoint(rig.c));
	is_u64(moved(), 4 * FILL, "move:all_that_is_hot");
	ok(rig.c->segments.count[VCI_LIFE_FREE] + rig.c->segments.count[VCI_LIFE_QUEUED] >=
	   free, "move:takes_no_room");
	teardown();

	setup();
	for (i = 0; !r && i < 200; i++) {
		r = rig_fill(&rig, i * 100, 100);
		/* What is just filled is quiet: use what isn't so new. */
		assert(r || i < 4 || rig_cached(&rig, (i - 4) * 100, 100) >= 0);
		if (!r && vci_cache_needs_maintenance(rig.c))
			r = vci_cache_maintain(rig.c, false);
	}
	vci_cache_get_stats(rig.c, &s);
	printf("# %d: %llu moved, %llu evicted, %llu appended\n", r, s.moved_blocks,
	       s.evicted_blocks, s.appended_blocks);
	ok(!r && s.moved_blocks && s.evicted_blocks, "move:goes_on_when_all_is_hot");
	ok(s.moved_blocks < 200 * 128, "move:is_not_all_that_it_does");
	ok(!rig_close(&rig) && !rig_verify(&rig), "move:closes_when_all_is_hot");
	teardown();
}

static void fill_ahead(u64 off)
{
	rig.fill.stream = VCI_STREAM_AHEAD;
	assert(!rig_reserve(&rig, off, FILL));
	rig.fill.e[0].heat = VCI_HEAT_AHEAD | 3;
	assert(!rig_append(&rig));
}

/* What status says of read-around. */
static void test_counts(void)
{
	struct vci_first_uses first = { 0 };
	struct vci_cache_stats s;
	struct vci_lookup res;

	setup();
	fill_ahead(1000);
	fill_ahead(2000);
	fill_ahead(3000);
	rig.fill.stream = VCI_STREAM_NEW;
	assert(!rig_fill(&rig, 4000, FILL));
	assert(!vci_cache_lookup(rig.c, 1000, 16, &res) && res.mapped);
	assert(!vci_cache_lookup(rig.c, 1000, 16, &res) && res.mapped);
	assert(!vci_reclaim(rig.c, 2, false));
	vci_cache_get_stats(rig.c, &s);
	is_u64(s.filled_blocks, 4 * FILL, "move:counts_what_was_filled");
	is_u64(s.ahead_blocks, 3 * FILL, "move:counts_what_was_read_around");
	is_u64(s.ahead_used_blocks, 16, "move:counts_what_of_it_was_used_once");
	is_u64(s.evicted_blocks, 2 * FILL, "move:counts_what_was_dropped");
	is_u64(s.ahead_wasted_blocks, FILL, "move:counts_what_was_never_used");
	/* On its way into the log it is used, too. */
	assert(!rig_reserve(&rig, 5000, 8));
	rig.fill.e[0].heat = VCI_HEAT_AHEAD | 3;
	vci_fill_use(&rig.fill, 0, &first);
	vci_fill_use(&rig.fill, 0, &first);
	vci_cache_first_uses(rig.c, &first, true);
	assert(!rig_append(&rig));
	vci_cache_get_stats(rig.c, &s);
	is_u64(s.ahead_used_blocks, 16 + 8, "move:counts_uses_before_it_is_appended");
	teardown();
}

static u32 nr_free(void)
{
	return rig.c->log.nr_queue + rig.c->segments.count[VCI_LIFE_FREE];
}

/* The last segments are for writes, and the records of their write-back. */
static void test_reserve(void)
{
	struct vci_extent e = { .off = 1000, .blocks = FILL };
	struct vci_move *mv;
	u32 i;

	setup();
	fill_some();
	assert(rig_cached(&rig, 0, 4000) == 4 * FILL);
	for (i = 0; nr_free() > VCI_KEEP_MOVES; i++)
		assert(!rig_log_write(&rig, 10000 + i * 200, FILL, 1, false));
	e.addr = addr_of(1000);
	mv = vci_move_begin(rig.c);
	assert(mv && !vci_move_take(mv, &e, VCI_STREAM_KEPT, 0) && !vci_move_end(mv, 0));
	ok(!moved() && addr_of(1000) == e.addr, "move:what_finds_no_room_stays");
	ok(!vci_reclaim(rig.c, 2, true) && !moved(), "move:nothing_into_the_reserve");
	is_u64(nr_free(), VCI_KEEP_MOVES, "move:the_reserve_is_whole");
	ok(!addr_of(0), "move:what_finds_no_room_is_dropped");
	teardown();
}

/* What can't be kept is dropped. */
static void test_failures(void)
{
	u32 i;

	for (i = 1; i <= 2; i++) {
		setup();
		fill_some();
		assert(rig_cached(&rig, 0, 4000) == 4 * FILL);
		vci_alloc_fail_at = i;
		ok(!vci_reclaim(rig.c, 2, true), "move:without_memory_%u", i);
		vci_alloc_fail_at = 0;
		/* The second time it is the buffer, of which there may be another. */
		ok(rig.c->segments.count[VCI_LIFE_DRAINED] == 3 - i &&
		   moved() == (i - 1) * FILL, "move:is_dropped_%u", i);
		teardown();
	}
	setup();
	fill_some();
	assert(rig_cached(&rig, 0, 4000) == 4 * FILL);
	rig.cache.fail_in = 1;
	ok(!vci_reclaim(rig.c, 2, true), "move:unreadable");
	ok(!vci_cache_is_failed(rig.c) && !addr_of(0),
	   "move:what_is_unreadable_is_dropped");
	teardown();

	setup();
	fill_some();
	assert(rig_cached(&rig, 0, 4000) == 4 * FILL);
	rig.cache.fail_in = 2;
	ok(vci_reclaim(rig.c, 2, true) == -EIO && vci_cache_is_failed(rig.c),
	   "move:error_of_the_write_fails_the_cache");
	teardown();
	is_u64(vci_alloc_live, 0, "move:frees_all");
}

int main(void)
{
	test_keeps();
	test_crash();
	test_overwritten();
	test_bounds();
	test_counts();
	test_reserve();
	test_failures();
	return done_testing();
}
