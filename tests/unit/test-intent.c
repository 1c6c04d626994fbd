// SPDX-License-Identifier: GPL-2.0-only
/*
 * The intent map: durable before it is believed, cleared only when nothing of
 * what it marks can differ any more.
 */
#include "rig.h"

static struct rig rig;
static struct vci_header h;
static struct vci_intent m;
static u64 region;

static bool on_disk(u32 r)
{
	const struct vci_intent_disk *d =
		(const void *)sim_disk_peek(&rig.cache, h.intent.addr + r / VCI_INTENT_BITS);

	return vci_bitmap_test(d->bits, r % VCI_INTENT_BITS);
}

static void reload(void)
{
	vci_intent_destroy(&m);
	assert(!vci_intent_init(&m, &h, &rig.cache.dev));
	assert(!vci_intent_load(&m));
}

static void setup(u64 blocks)
{
	rig_init(&rig, 4096, blocks, 0);
	rig_header(&rig, &h);
	h.backing_blocks = blocks;
	h.region_blocks_log2 = vci_layout_region_log2(blocks, h.intent.blocks);
	region = 1ull << h.region_blocks_log2;
	assert(!vci_intent_init(&m, &h, &rig.cache.dev));
	assert(!vci_intent_load(&m));
}

static void teardown(void)
{
	vci_intent_destroy(&m);
	rig_exit(&rig);
}

static void test_marks(void)
{
	ok(!vci_intent_begin(&m, 5 * region, 8), "intent:begin_finds_no_mark");
	ok(!vci_intent_mark(&m, 5 * region, 8), "intent:mark_succeeds");
	ok(vci_intent_marked(&m, 5 * region + 7), "intent:mark_is_in_memory");
	ok(!vci_intent_marked(&m, 6 * region), "intent:mark_is_of_one_region");
	sim_disk_power_cut(&rig.cache, SIM_CUT_LOSE_ALL);
	ok(on_disk(5) && !on_disk(4) && !on_disk(6), "intent:mark_is_durable");
	ok(vci_intent_begin(&m, 5 * region + 9, 1), "intent:begin_finds_the_mark");
	ok(!vci_intent_begin(&m, 6 * region - 1, 2), "intent:begin_wants_all_regions");
	ok(!vci_intent_mark(&m, 6 * region - 1, 2), "intent:mark_over_an_edge");
	sim_disk_power_cut(&rig.cache, SIM_CUT_LOSE_ALL);
	ok(on_disk(5) && on_disk(6) && !on_disk(7), "intent:both_regions_are_durable");
	is_u64(m.writes, 2, "intent:marked_region_costs_no_write");
	ok(!vci_intent_mark(&m, 5 * region, 8), "intent:mark_again");
	is_u64(m.writes, 2, "intent:mark_again_writes_nothing");
	reload();
	is_u64(vci_intent_count(&m), 2, "intent:loads_what_was_marked");
	is_u64(vci_intent_next(&m, 0), 5, "intent:next_finds_the_first");
	is_u64(vci_intent_next(&m, 7), m.nr_regions, "intent:next_finds_the_end");
}

static void mark_error(void)
{
	ok(!vci_intent_begin(&m, 20 * region, 1), "intent:another_region");
	rig.cache.fail_in = 1;
	ok(vci_intent_mark(&m, 20 * region, 1) == -EIO, "intent:mark_fails_with_the_device");
	ok(!vci_intent_marked(&m, 20 * region), "intent:failed_mark_does_not_count");
	vci_intent_end(&m, 20 * region, 1);
}

/* One write as far as @end; the freeze comes before or after its end. */
static void test_clear(void)
{
	vci_intent_freeze(&m);
	ok(!vci_intent_clear(&m, &rig.backing.dev), "intent:clear_succeeds");
	is_u64(vci_intent_count(&m), 0, "intent:quiet_regions_are_cleared");
	ok(!on_disk(5) && !on_disk(6), "intent:cleared_on_the_device");

	ok(!vci_intent_begin(&m, 0, 1), "intent:begin_after_clear");
	ok(!vci_intent_mark(&m, 0, 1), "intent:mark_after_clear");
	vci_intent_freeze(&m);
	ok(!vci_intent_clear(&m, &rig.backing.dev) && vci_intent_marked(&m, 0),
	   "intent:not_cleared_while_in_flight");
	vci_intent_end(&m, 0, 1);
	ok(!vci_intent_clear(&m, &rig.backing.dev) && vci_intent_marked(&m, 0),
	   "intent:not_cleared_if_it_ended_after_the_freeze");
	vci_intent_freeze(&m);
	rig.backing.fail_in = 1;
	ok(vci_intent_clear(&m, &rig.backing.dev) == -EIO && vci_intent_marked(&m, 0) &&
	   on_disk(0), "intent:not_cleared_if_the_flush_fails");
	ok(!vci_intent_clear(&m, &rig.backing.dev) && !vci_intent_marked(&m, 0),
	   "intent:cleared_at_last");
}

static void test_wide(void)
{
	u64 blocks = 10 * region;

	ok(!vci_intent_begin(&m, 0, 1) && !vci_intent_mark(&m, 0, 1), "intent:one_mark");
	vci_intent_end(&m, 0, 1);
	vci_intent_begin(&m, 30 * region, blocks);
	ok(!vci_intent_mark(&m, 30 * region, blocks), "intent:mark_of_many");
	is_u64(vci_intent_count(&m), 11, "intent:many_are_marked");
	vci_intent_freeze(&m);
	ok(!vci_intent_clear(&m, &rig.backing.dev), "intent:clear_during_a_wide_write");
	is_u64(vci_intent_count(&m), 11, "intent:wide_write_holds_back_all");
	vci_intent_end(&m, 30 * region, blocks);
	vci_intent_freeze(&m);
	ok(!vci_intent_clear(&m, &rig.backing.dev) && !vci_intent_count(&m),
	   "intent:cleared_after_the_wide_write");
}

static void test_damage(void)
{
	u32 last = m.nr_regions - 1, blocks;

	ok(!vci_intent_begin(&m, rig.backing.dev.blocks - 1, 1) &&
	   !vci_intent_mark(&m, rig.backing.dev.blocks - 1, 1) && on_disk(last),
	   "intent:last_block_has_a_region");
	rig_damage(&rig, h.intent.addr, 100);
	reload();
	blocks = min(m.nr_regions, VCI_INTENT_BITS);
	ok(vci_intent_count(&m) >= blocks && vci_intent_marked(&m, 0),
	   "intent:damaged_block_counts_as_all_set");
}

int main(void)
{
	setup(RIG_BACKING);
	test_marks();
	mark_error();
	test_clear();
	test_wide();
	test_damage();
	teardown();
	setup(VCI_BACKING_MAX);
	test_marks();
	test_clear();
	test_damage();
	teardown();
	is_u64(vci_alloc_live, 0, "intent:destroy_frees_all");
	return done_testing();
}
