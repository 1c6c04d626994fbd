// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fingerprint: what it notices, and what it must not take for a change.
 */
#include "rig.h"

static struct rig rig;

/* A cache with something in it, cleanly closed. */
static void setup(void)
{
	rig_init(&rig, 4096, RIG_BACKING, 128);
	assert(!rig_open(&rig) && !rig_fill(&rig, 96, 32) && !rig_close(&rig));
}

static bool dropped(void)
{
	assert(!rig_open(&rig));
	return rig.report.dropped_all;
}

static void change_backing(u64 block)
{
	u8 data[VCI_BLOCK_SIZE];

	memcpy(data, sim_disk_peek(&rig.backing, block), sizeof(data));
	data[17] ^= 4;
	sim_disk_poke(&rig.backing, block, data);
}

static void test_clean(void)
{
	static const u64 places[] = { 0, 1, 2, 8, 16, 128, RIG_BACKING - 1,
				      RIG_BACKING / 24 * 5 };
	u32 i;

	setup();
	ok(!dropped(), "identity:same_device_is_known");
	is_u64(rig_cached(&rig, 96, 32), 32, "identity:same_device_is_warm");
	assert(!rig_close(&rig));
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		change_backing(places[i]);
		ok(dropped(), "identity:change_of_block_%llu_is_noticed", places[i]);
		is_u64(rig_cached(&rig, 96, 32), 0, "identity:starts_empty_%u", i);
		assert(!rig_fill(&rig, 96, 32) && !rig_close(&rig));
		ok(!dropped(), "identity:known_again_%u", i);
		is_u64(rig_cached(&rig, 96, 32), 32, "identity:warm_again_%u", i);
		assert(!rig_close(&rig));
	}
	is_u64(rig_verify(&rig), 0, "identity:image_is_good");
	rig_exit(&rig);
}

/* After "starts empty" a crash must not bring back what was dropped. */
static void test_dropped_for_good(void)
{
	setup();
	change_backing(0);
	change_backing(100);
	ok(dropped(), "identity:other_device");
	/* The sample that differed is written, and so no longer compared. */
	ok(!rig_write(&rig, 0, 1, 9), "identity:write_over_the_sample");
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	assert(!rig_open(&rig));
	is_u64(rig_cached(&rig, 96, 32), 0, "identity:stays_empty_after_a_crash");
	rig_exit(&rig);
}

static void test_recent(void)
{
	setup();
	assert(!rig_open(&rig));
	ok(!rig_write(&rig, 777, 1, 5), "identity:write");
	ok(!vci_cache_checkpoint(rig.c), "identity:checkpoint_clears_the_mark");
	assert(!rig_close(&rig));
	change_backing(777);
	ok(dropped(), "identity:change_where_was_written_last_is_noticed");
	assert(!rig_close(&rig));
	rig_exit(&rig);
}

/* Blocks in marked regions may be old or new after a crash. */
static void test_marked(void)
{
	setup();
	assert(!rig_open(&rig) && !vci_cache_checkpoint(rig.c));
	ok(!rig_write(&rig, 0, 4, 3), "identity:write_over_samples");
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	ok(!dropped(), "identity:marked_region_kept");
	assert(!rig_close(&rig) && !rig_open(&rig) && !vci_cache_checkpoint(rig.c));
	ok(!rig_write(&rig, 0, 4, 4), "identity:write_once_more");
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(!dropped(), "identity:marked_region_lost");
	rig_exit(&rig);
}

/* The image may hold dirty data: not to be dropped without being told to. */
static void test_dirty(void)
{
	struct vci_header h;
	u64 digest;

	setup();
	rig_header(&rig, &h);
	h.flags |= VCI_HDR_DIRTY;
	rig_put_header(&rig, &h);
	change_backing(0);
	digest = rig_digest(&rig);
	ok(rig_open(&rig) == -EINVAL && strstr(rig.why, "force"), "identity:dirty_is_refused");
	ok(rig_digest(&rig) == digest, "identity:refusal_writes_nothing");
	rig.force = true;
	ok(dropped() && rig.report.forced, "identity:unless_forced");
	is_u64(rig_cached(&rig, 96, 32), 0, "identity:forced_drops_what_is_clean");
	rig_exit(&rig);
}

static void test_unreadable(void)
{
	u64 errors;

	setup();
	assert(!rig_open(&rig));
	rig.backing.fail_in = 3;
	errors = rig.backing.errors;
	ok(!rig_write(&rig, 3000, 1, 1) && !vci_cache_checkpoint(rig.c) &&
	   !vci_cache_checkpoint(rig.c), "identity:bad_block_stops_no_checkpoint");
	ok(rig.backing.errors > errors, "identity:bad_block_was_read");
	rig_exit(&rig);
}

int main(void)
{
	test_clean();
	test_dropped_for_good();
	test_recent();
	test_marked();
	test_dirty();
	test_unreadable();
	is_u64(vci_alloc_live, 0, "identity:frees_all");
	return done_testing();
}
