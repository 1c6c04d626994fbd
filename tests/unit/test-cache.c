// SPDX-License-Identifier: GPL-2.0-only
/*
 * The facade: a life, and everything that can fail in it failed once.
 */
#include "rig.h"
#include "vci-format.h"

static struct rig rig;

static void setup(void)
{
	rig_init(&rig, 4096, RIG_BACKING, 128);
}

/* ---- a life ---- */

static void test_warm(void)
{
	struct vci_cache_stats s;

	setup();
	is_u64(rig_verify(&rig), 0, "cache:fresh_image_is_valid");
	is_u64(rig_open(&rig), 0, "cache:opens_a_fresh_image");
	ok(rig.report.was_clean && !rig.report.dropped_all, "cache:fresh_image_is_clean");
	is_u64(rig_cached(&rig, 0, 4096), 0, "cache:fresh_image_is_empty");
	ok(!rig_reserve(&rig, 100, 8) && !rig_reserve(&rig, 200, 33) && !rig_append(&rig),
	   "cache:appends_two_entries");
	is_u64(rig_cached(&rig, 0, 4096), 41, "cache:both_are_cached");
	is_u64(rig_verify(&rig), 0, "cache:image_in_use_is_valid");
	ok(!rig_fill(&rig, 104, 16), "cache:overlapping_fill");
	is_u64(rig_cached(&rig, 96, 32), 20, "cache:fill_adds_what_was_missing");
	ok(!rig_write(&rig, 105, 2, 7), "cache:write_into_the_middle");
	is_u64(rig_cached(&rig, 96, 32), 18, "cache:write_unmaps_its_blocks");
	ok(!vci_cache_invalidate(rig.c, 200, 10), "cache:invalidate");
	is_u64(rig_cached(&rig, 200, 33), 23, "cache:invalidate_unmaps_its_range");
	is_u64(rig_verify(&rig), 0, "cache:image_after_a_checkpoint_is_valid");
	is_u64(rig_close(&rig), 0, "cache:closes");
	is_u64(rig_verify(&rig), 0, "cache:closed_image_is_valid");
	ok(!rig_open(&rig) && rig.report.was_clean, "cache:opens_again");
	is_u64(rig_cached(&rig, 0, 4096), 41, "cache:is_warm_again");
	vci_cache_get_stats(rig.c, &s);
	ok(s.data_blocks == 41 && s.nr_extents >= 4, "cache:counts_what_is_warm");
	assert(!rig_close(&rig));
	rig_exit(&rig);
}

/* More than fits: goes on, evicts the oldest, closes well. */
static void test_full(void)
{
	u32 i, refused = 0;
	int r = 0;

	setup();
	assert(!rig_open(&rig));
	for (i = 0; !r && i < 300; i++) {
		r = rig_fill(&rig, i * 100, 100);
		if (r == -ENOSPC) {
			refused++;
			r = 0;
		}
		if (!r && vci_cache_needs_maintenance(rig.c))
			r = vci_cache_maintain(rig.c, false);
	}
	ok(!r, "cache:goes_on_when_full");
	ok(refused < 10, "cache:finds_room_again");
	ok(rig.drained, "cache:waits_for_readers");
	ok(rig_cached(&rig, 29900, 100) == 100, "cache:newest_is_cached");
	is_u64(rig_cached(&rig, 0, 100), 0, "cache:oldest_is_evicted");
	ok(!vci_btree_validate(rig.c->tree), "cache:good_tree_when_full");
	is_u64(rig_close(&rig), 0, "cache:closes_when_full");
	is_u64(rig_verify(&rig), 0, "cache:full_image_is_valid");
	rig_exit(&rig);
}

/* The bitmap of a large image is made piece by piece. */
static void test_bitmap_in_pieces(u64 blocks, u32 step)
{
	u32 i, nr = 40;

	rig_init(&rig, blocks, RIG_BACKING, 0);
	assert(!rig_open(&rig));
	rig.c->bits_step = step;
	for (i = 0; i < nr; i++)
		assert(!rig_fill(&rig, i * 900, 1 + i));
	is_u64(rig_close(&rig), 0, "cache:closes_%llu_blocks_%u_at_a_time", blocks, step);
	is_u64(rig_verify(&rig), 0, "cache:bitmap_of_%llu_blocks_in_pieces_of_%u", blocks,
	       step);
	rig_exit(&rig);
}

/* The smallest extents there are, so that the node area is what is short. */
static void test_nodes_short(void)
{
	struct vci_header h;
	int r = 0, most = 0;
	u32 i;

	rig_init(&rig, 4096 * 4, RIG_BACKING, 128);
	rig_header(&rig, &h);
	h.nodes.blocks = 8 * VCI_NODE_BLOCKS;
	rig_put_header(&rig, &h);
	assert(!rig_open(&rig));
	for (i = 0; !r && i < 4000; i++) {
		r = rig_reserve(&rig, i * 2 % 3999, 1);
		if (!r && i % 100 == 99)
			r = rig_append(&rig);
		if (r == -ENOSPC)
			r = 0;
		if (!r && i % 500 == 499) {
			most = max(most, rig_cached(&rig, 0, 4096));
			r = vci_cache_maintain(rig.c, false);
		}
	}
	ok(!r, "cache:goes_on_without_nodes");
	ok(!vci_cache_is_failed(rig.c), "cache:does_not_fail_without_nodes");
	ok(most > 0, "cache:caches_with_few_nodes");
	/* Writes into extents make more of them, whatever the cache wants. */
	for (i = 0; !r && i < 60; i++)
		r = rig_fill(&rig, 4096 + i * 100, 100);
	for (i = 0; i < 3000; i++)
		r |= rig_write(&rig, 4096 + i * 2, 1, i);
	ok(!r || r == -ENOSPC, "cache:splits_extents_without_nodes");
	is_u64(vci_cache_checkpoint(rig.c), 0, "cache:checkpoint_makes_room");
	is_u64(rig_close(&rig), 0, "cache:closes_with_few_nodes");
	is_u64(rig_verify(&rig), 0, "cache:image_with_few_nodes_is_valid");
	rig_exit(&rig);
}

/* ---- refusals: nothing is written ---- */

static void refuse(int want, const char *name)
{
	u64 digest = rig_digest(&rig);
	int r = rig_open(&rig);

	ok(r == want && rig.why && rig.why[0], "cache:%s_is_refused", name);
	if (r != want)
		printf("# %d: %s\n", r, rig.why ? rig.why : "");
	if (!r)
		rig_close(&rig);
	ok(rig_digest(&rig) == digest, "cache:%s_writes_nothing", name);
}

/* What takes its place in the same batch is one use hotter, and nothing else is. */
static void test_overtaken_heat(void)
{
	struct vci_lookup res;

	setup();
	assert(!rig_open(&rig));
	assert(!rig_reserve(&rig, 100, 8) && !rig_reserve(&rig, 200, 8));
	assert(!rig_write(&rig, 100, 8, 1) && !rig_reserve(&rig, 100, 8));
	assert(!rig_append(&rig));
	assert(!vci_cache_peek(rig.c, 100, 8, &res) && res.mapped);
	is_u64(res.e.heat, 1, "cache:overtaken_fills_leave_their_heat");
	assert(!vci_cache_peek(rig.c, 200, 8, &res) && res.mapped);
	is_u64(res.e.heat, 0, "cache:others_get_none");
	rig_exit(&rig);
}

/* What was overwritten before it was appended takes no room in the log. */
static void test_overtaken(void)
{
	u8 want[8 * VCI_BLOCK_SIZE], got[8 * VCI_BLOCK_SIZE];
	struct vci_lookup res;
	u32 i;

	setup();
	assert(!rig_open(&rig));
	for (i = 1; i <= 5; i++)
		assert(!rig_reserve(&rig, i * 100, 8));
	assert(!rig_write(&rig, 104, 8, 1) && !rig_write(&rig, 300, 1, 1));
	ok(!rig_append(&rig) && rig.c->log.open[0].used == VCI_UNIT_BLOCKS + 3 * 8,
	   "cache:overtaken_fills_take_no_room");
	ok(rig.c->stats.stale_fills == 2 && !rig_cached(&rig, 100, 8) &&
	   !rig_cached(&rig, 300, 8), "cache:overtaken_fills_are_not_mapped");
	for (i = 2; i <= 5; i++) {
		if (i == 3)
			continue;
		assert(!vci_cache_lookup(rig.c, i * 100, 8, &res) && res.mapped);
		assert(!vci_read(&rig.backing.dev, i * 100, 8, want));
		assert(!vci_read(&rig.cache.dev, res.e.addr, 8, got));
		ok(!memcmp(want, got, sizeof(got)), "cache:others_keep_their_data_%u", i);
	}
	for (i = 1; i <= 2; i++)
		assert(!rig_reserve(&rig, i * 10, 8));
	assert(!rig_write(&rig, 8, 16, 1));
	i = rig.c->log.open[0].used;
	ok(!rig_append(&rig) && rig.c->log.open[0].used == i,
	   "cache:nothing_is_written_if_all_are");
	assert(!rig_close(&rig));
	rig_exit(&rig);
}

static void test_refusals(void)
{
	u8 zeros[VCI_BLOCK_SIZE] = { 0 }, good[VCI_BLOCK_SIZE];
	struct vci_header h, bad;

	setup();
	assert(!rig_open(&rig) && !rig_fill(&rig, 0, 64) && !rig_close(&rig));
	rig_header(&rig, &h);
	memcpy(good, sim_disk_peek(&rig.cache, 0), sizeof(good));
	rig.backing.dev.blocks--;
	refuse(-EINVAL, "smaller_backing_device");
	rig.backing.dev.blocks = VCI_BACKING_MAX + 1;
	refuse(-EINVAL, "backing_device_beyond_204_tib");
	rig.backing.dev.blocks = RIG_BACKING;
	bad = h;
	bad.incompat |= 0x80;
	rig_put_header(&rig, &bad);
	refuse(-EOPNOTSUPP, "unknown_feature");
	rig_damage(&rig, 0, 90);
	refuse(-EILSEQ, "damaged_header");
	sim_disk_poke(&rig.cache, 0, zeros);
	refuse(-ENOTBLK, "foreign_device");
	sim_disk_poke(&rig.cache, 0, good);
	rig.cache.dev.blocks -= 8;
	refuse(-EILSEQ, "shorter_cache_device");
	rig.cache.dev.blocks += 8;
	rig.cache.dev.pbs_blocks = 16;
	ok(!rig_open(&rig) && !rig_close(&rig), "cache:units_are_enough_for_any_device");
	rig.cache.dev.pbs_blocks = 0;
	rig_header(&rig, &h);
	bad = h;
	bad.batch_align = 4;
	rig_put_header(&rig, &bad);
	rig.cache.dev.pbs_blocks = 8;
	refuse(-EINVAL, "larger_physical_blocks");
	rig.cache.dev.pbs_blocks = 0;
	rig_put_header(&rig, &h);
	rig_damage(&rig, h.root, 5);
	refuse(-EILSEQ, "damaged_root");
	rig_damage(&rig, h.root, 5);
	rig_damage(&rig, h.segtable.addr, 5);
	rig_damage(&rig, h.segtable.addr + VCI_UNIT_BLOCKS, 5);
	refuse(-EILSEQ, "damaged_segment_table");
	rig_damage(&rig, h.segtable.addr, 5);
	rig_damage(&rig, h.segtable.addr + VCI_UNIT_BLOCKS, 5);
	ok(!rig_open(&rig), "cache:repaired_image_opens");
	is_u64(rig_cached(&rig, 0, 64), 64, "cache:repaired_image_is_warm");
	assert(!rig_close(&rig));
	rig_exit(&rig);
}

/* ---- everything failed once ---- */

/* What is done with an open cache; errors are its caller's business. */
static int work(void)
{
	int r;

	r = rig_reserve(&rig, 300, 20);
	if (!r)
		r = rig_reserve(&rig, 2000, 64);
	if (!r)
		r = rig_append(&rig);
	if (!r)
		r = rig_write(&rig, 305, 3, 1);
	if (!r)
		r = vci_cache_checkpoint(rig.c);
	if (!r)
		r = rig_fill(&rig, 1000, 100);
	if (!r)
		r = rig_write(&rig, 1050, 5, 2);
	if (!r)
		r = vci_reclaim(rig.c, 1, true);
	if (!r)
		r = vci_cache_maintain(rig.c, true);
	vci_btree_shrink(rig.c->tree, 0);
	return r ? r : rig_cached(&rig, 0, 4096) < 0 ? -EUCLEAN : 0;
}

/* Whatever happened: the image can be activated, and holds nothing wrong. */
static bool recovers(enum sim_cut cut)
{
	bool good;

	vci_alloc_fail_at = 0;
	rig.cache.fail_in = 0;
	rig.backing.fail_in = 0;
	if (rig.c)
		rig_crash(&rig, cut);
	good = !rig_verify(&rig);
	good &= !rig_open(&rig);
	if (!good)
		return false;
	good = rig_cached(&rig, 0, 4096) >= 0 && !vci_btree_validate(rig.c->tree);
	good &= !rig_close(&rig);
	return good && !rig_verify(&rig);
}

enum what { MEMORY, CACHE_IO, CACHE_DIES, BACKING_IO };

static void arm(enum what what, u32 n)
{
	vci_alloc_fail_at = what == MEMORY ? n : 0;
	rig.cache.fail_in = what == CACHE_IO || what == CACHE_DIES ? n : 0;
	rig.cache.fail_for_good = what == CACHE_DIES;
	rig.backing.fail_in = what == BACKING_IO ? n : 0;
}

static bool fired(enum what what)
{
	if (what == MEMORY)
		return !vci_alloc_fail_at;
	return what == BACKING_IO ? !rig.backing.fail_in : !rig.cache.fail_in;
}

/* One life with the n-th allocation or I/O failing; 0: it never came to that. */
static bool fail_nth(enum what what, u32 n, u32 *wrong, long live)
{
	bool hit;
	int r;

	setup();
	assert(!rig_open(&rig) && !rig_fill(&rig, 290, 100) && !rig_close(&rig));
	arm(what, n);
	r = rig_open(&rig);
	if (!r)
		r = work();
	if (!r)
		r = rig_close(&rig);
	hit = fired(what);
	/* After an error of the cache device it is bypassed, as the shell does. */
	if (rig.c && vci_cache_is_failed(rig.c))
		*wrong += rig_write(&rig, 2000, 8, 3) && what != BACKING_IO;
	if (!hit && r)
		++*wrong;
	rig.cache.broken = false;
	if (what == CACHE_DIES) {
		/* The image may be out of date then: nothing is promised. */
		vci_cache_destroy(rig.c);
		rig.c = NULL;
	} else if (!recovers(n % SIM_CUTS)) {
		++*wrong;
		printf("# wrong after failure %u of kind %d: %s\n", n, what,
		       rig.why ? rig.why : "");
	}
	vci_cache_destroy(rig.c);
	rig.c = NULL;
	rig_exit(&rig);
	*wrong += vci_alloc_live != live;
	return hit;
}

static void test_failures(void)
{
	static const char *const names[] = {
		"allocation", "io_of_the_cache", "cache_device", "io_of_the_backing_device",
	};
	long live = vci_alloc_live;
	u32 what, n, wrong;

	for (what = MEMORY; what <= BACKING_IO; what++) {
		wrong = 0;
		for (n = 1; fail_nth(what, n, &wrong, live); n++)
			;
		ok(n > 20, "cache:every_%s_fails_once", names[what]);
		is_u64(wrong, 0, "cache:every_failed_%s_is_survived", names[what]);
		printf("# %u failures\n", n - 1);
	}
}

/* A failed cache tells its image; writes past it are not forgotten. */
static void test_retired(void)
{
	setup();
	assert(!rig_open(&rig) && !rig_fill(&rig, 300, 100) && !vci_cache_checkpoint(rig.c));
	vci_cache_fail(rig.c, -EIO);
	ok(!vci_cache_is_retired(rig.c), "cache:not_retired_before_a_write");
	ok(!rig_write(&rig, 300, 8, 9), "cache:write_past_a_failed_cache");
	ok(vci_cache_is_retired(rig.c), "cache:retired_before_the_write");
	ok(rig_append(&rig) == -EIO, "cache:failed_cache_takes_no_fill");
	ok(vci_cache_checkpoint(rig.c) == -EIO && vci_cache_maintain(rig.c, true) == -EIO,
	   "cache:failed_cache_writes_nothing");
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(!rig_open(&rig) && rig.report.dropped_all, "cache:retired_image_starts_empty");
	is_u64(rig_cached(&rig, 0, 4096), 0, "cache:retired_image_is_empty");
	ok(!rig_fill(&rig, 300, 8) && !rig_close(&rig), "cache:retired_image_is_used_again");
	ok(!rig_open(&rig) && !rig.report.dropped_all, "cache:retired_but_once");
	is_u64(rig_cached(&rig, 300, 8), 8, "cache:warm_after_retirement");
	rig_exit(&rig);
}

int main(void)
{
	test_warm();
	test_full();
	test_bitmap_in_pieces(7 * VCI_SIZE_GRAIN, 8);
	test_bitmap_in_pieces(8 * VCI_SIZE_GRAIN, 8);
	test_bitmap_in_pieces(15 * VCI_SIZE_GRAIN, 8);
	test_bitmap_in_pieces(50 * VCI_SIZE_GRAIN, 8);
	test_bitmap_in_pieces(50 * VCI_SIZE_GRAIN, 16);
	test_nodes_short();
	test_overtaken();
	test_overtaken_heat();
	test_refusals();
	test_failures();
	test_retired();
	is_u64(vci_alloc_live, 0, "cache:frees_all");
	return done_testing();
}
