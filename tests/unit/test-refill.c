// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a write in writethrough mode leaves in the cache goes to the place of what it
 * replaced, if nobody else could want it ("In the old place" of Documentation/design.rst).
 */
#include "rig.h"

static struct rig rig;

/* 0+64 and 200+8 are cached, and settled. */
static void setup(void)
{
	rig_init(&rig, 4096, RIG_BACKING, 128);
	assert(!rig_open(&rig));
	assert(!rig_fill(&rig, 0, 64) && !rig_fill(&rig, 200, 8));
	assert(!vci_cache_checkpoint(rig.c));
}

static u64 place(u64 off)
{
	struct vci_lookup res;

	while (vci_cache_lookup(rig.c, off, 1, &res) == -EAGAIN)
		assert(!vci_cache_load(rig.c, off, 1));
	return res.mapped ? res.e.addr : 0;
}

/* Writes, and puts what was written into the fill; false: the cache isn't to have it. */
static bool write_some(u64 off, u32 blocks, u32 value)
{
	struct vci_plan_piece piece;
	struct vci_ticket t;
	struct vci_write w;
	int i;

	if (vci_write_begin(rig.c, &w, off, blocks))
		assert(!vci_write_prepare(rig.c, &w));
	memset(rig.data, value, (size_t)blocks * VCI_BLOCK_SIZE);
	assert(!vci_write(&rig.backing.dev, off, blocks, rig.data, 0));
	if (!vci_write_end(rig.c, &w, &t))
		return false;
	for (; blocks; off += piece.blocks, blocks -= piece.blocks) {
		vci_plan_written(rig.c, off, blocks, &w, &piece);
		assert(vci_ticket_take(rig.c, off, piece.blocks, &t));
		i = vci_fill_reserve(&rig.fill, off, piece.blocks, &t);
		assert(i >= 0);
		vci_fill_describe(&rig.fill, i, &piece);
		memcpy(vci_fill_data(&rig.fill, i), rig.data,
		       (size_t)piece.blocks * VCI_BLOCK_SIZE);
		vci_fill_commit(&rig.fill, i, true);
	}
	return true;
}

static void overwrite(u64 off, u32 blocks, u32 value)
{
	assert(write_some(off, blocks, value) && !rig_append(&rig));
}

static void test_cost(void)
{
	u64 writes, blocks, batches, addr;

	setup();
	addr = place(8);
	overwrite(48, 8, 1);
	writes = rig.cache.writes;
	blocks = rig.cache.blocks_written;
	batches = rig.c->stats.batches;
	overwrite(8, 8, 2);
	is_u64(place(8), addr, "refill:goes_to_the_old_place");
	is_u64(rig_value(&rig, 8), 2, "refill:with_the_new_data");
	is_u64(rig.cache.writes - writes, 1, "refill:is_one_write");
	is_u64(rig.cache.blocks_written - blocks, 8, "refill:of_its_own_size");
	is_u64(rig.c->stats.batches, batches, "refill:is_no_batch");
	is_u64(rig_cached(&rig, 0, 64), 64, "refill:leaves_the_rest");
	overwrite(0, 32, 3);
	is_u64(place(0), addr - 8, "refill:over_several_extents_in_a_row");
	is_u64(place(31), addr + 23, "refill:all_of_it");
	rig_exit(&rig);
}

/* It was cached piece by piece, so it lies in several places. */
static void test_places(void)
{
	u64 b, c, writes, segment;

	setup();
	assert(!rig_fill(&rig, 224, 8) && !rig_fill(&rig, 208, 16));
	assert(!vci_cache_checkpoint(rig.c));
	overwrite(48, 8, 1);
	b = place(208);
	c = place(224);
	ok(c != b + 16, "refill:in_two_places");
	writes = rig.cache.writes;
	overwrite(208, 24, 4);
	ok(place(208) == b && place(223) == b + 15 && place(224) == c && place(231) == c + 7,
	   "refill:each_part_goes_to_its_own");
	is_u64(rig.cache.writes - writes, 2, "refill:a_write_for_each");
	is_u64(rig_value(&rig, 223), 4, "refill:the_first_has_the_data");
	is_u64(rig_value(&rig, 224), 4, "refill:the_last_too");
	overwrite(204, 8, 6);
	ok(place(204) != place(200) + 4 && place(208) != b && place(212) == b + 4,
	   "refill:none_in_part_of_a_physical_block");
	assert(!vci_cache_checkpoint(rig.c) && write_some(216, 16, 5));
	segment = vci_segment_of(&rig.c->segments, c);
	rig.c->segments.s[segment].turn++;
	assert(!rig_append(&rig));
	ok(place(224) != c && place(224), "refill:each_by_its_own_turn");
	rig_exit(&rig);
}

/* Five places; four are known. */
static void test_many_places(void)
{
	u64 at[5], i;

	setup();
	for (i = 5; i--;)
		assert(!rig_fill(&rig, 400 + 8 * i, 8));
	assert(!vci_cache_checkpoint(rig.c));
	for (i = 0; i < 5; i++)
		at[i] = place(400 + 8 * i);
	overwrite(400, 32, 1);
	for (i = 0; i < 4; i++)
		is_u64(place(400 + 8 * i), at[i], "refill:four_places_are_known");
	overwrite(400, 40, 2);
	for (i = 0; i < 5; i++)
		ok(place(400 + 8 * i) != at[i], "refill:of_more_it_is_one_again");
	is_u64(place(432), place(400) + 32, "refill:in_a_row");
	rig_exit(&rig);
}

static void test_crash(void)
{
	setup();
	overwrite(8, 8, 2);
	assert(!vci_flush(&rig.backing.dev));
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	assert(!rig_open(&rig));
	is_u64(place(8), 0, "refill:marked_regions_are_dropped");
	is_u64(rig_value(&rig, 8), 2, "refill:the_backing_device_has_it");
	assert(!rig_fill(&rig, 0, 64) && !vci_cache_checkpoint(rig.c));
	overwrite(8, 8, 4);
	assert(!vci_cache_checkpoint(rig.c) && !vci_flush(&rig.cache.dev));
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	assert(!rig_open(&rig));
	ok(place(8), "refill:a_checkpoint_has_it");
	is_u64(rig_value(&rig, 8), 4, "refill:with_the_data");
	is_u64(rig.report.torn, 0, "refill:no_checksum_is_wrong");
	assert(!rig_close(&rig));
	is_u64(rig_verify(&rig), 0, "refill:closes_well");
	rig_exit(&rig);
}

static void test_when(void)
{
	u64 addr, segment;

	setup();
	assert(!rig_fill(&rig, 300, 8));
	addr = place(300);
	overwrite(300, 8, 1);
	ok(place(300) && place(300) != addr, "refill:not_what_a_recovery_would_read");
	addr = place(0);
	assert(!rig_write(&rig, 200, 8, 1));
	overwrite(200, 8, 2);
	ok(place(200), "refill:what_was_gone_goes_to_the_log");
	assert(write_some(0, 8, 3) && !rig_write(&rig, 0, 8, 4));
	assert(!rig_append(&rig));
	is_u64(place(0), 0, "refill:not_what_is_stale");
	addr = place(16);
	segment = vci_segment_of(&rig.c->segments, addr);
	assert(write_some(16, 8, 5));
	rig.c->segments.s[segment].turn++;
	assert(!rig_append(&rig));
	ok(place(16) && place(16) != addr, "refill:not_in_another_life");
	addr = place(28);
	overwrite(28, 4, 5);
	ok(place(28) && place(28) != addr, "refill:not_in_part_of_a_physical_block");
	addr = place(24);
	assert(write_some(24, 8, 6));
	vci_segment_set(&rig.c->segments, segment, VCI_LIFE_VICTIM);
	assert(!rig_append(&rig));
	vci_segment_set(&rig.c->segments, segment, VCI_LIFE_CLOSED);
	ok(place(24) && place(24) != addr, "refill:not_in_what_is_emptied");
	rig_exit(&rig);
}

/* One write comes before what the last one left is appended. */
static void test_pass_on(void)
{
	u64 addr;

	setup();
	addr = place(0);
	assert(write_some(0, 16, 1) && write_some(8, 8, 2) && !rig_append(&rig));
	is_u64(place(8), addr + 8, "refill:the_place_is_passed_on");
	is_u64(rig_value(&rig, 8), 2, "refill:to_the_last_one");
	is_u64(place(0), 0, "refill:not_more_of_it_than_was_written");
	rig_exit(&rig);
}

static void test_failure(void)
{
	setup();
	assert(write_some(8, 8, 1));
	rig.cache.fail_in = 1;
	ok(rig_append(&rig), "refill:writing_may_fail");
	is_u64(place(8), 0, "refill:nothing_is_mapped_then");
	ok(vci_cache_is_failed(rig.c) && !vci_cache_is_stuck(rig.c),
	   "refill:the_cache_has_failed_and_nothing_is_lost");
	rig_exit(&rig);
}

int main(void)
{
	test_cost();
	test_places();
	test_many_places();
	test_crash();
	test_when();
	test_pass_on();
	test_failure();
	return done_testing();
}
