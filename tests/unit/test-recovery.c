// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recovery from logs made by hand: torn, stale, forged, damaged.
 */
#include "rig.h"

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

/* Where the next batch goes, if it fits into the open segment. */
static u64 next_addr(void)
{
	const struct vci_log *log = &rig.c->log;
	u32 s = log->open[0].segment;

	if (s == VCI_NO_SEGMENT)
		return vci_segment_addr(&rig.c->segments,
					log->nr_queue ? log->queue[0] : 0);
	return vci_segment_addr(&rig.c->segments, s) + log->open[0].used;
}

static bool opens(void)
{
	return !rig_open(&rig) && !vci_btree_validate(rig.c->tree);
}

static void save(u64 addr, u32 blocks, u8 *to)
{
	u32 i;

	for (i = 0; i < blocks; i++)
		memcpy(to + i * VCI_BLOCK_SIZE, sim_disk_peek(&rig.cache, addr + i),
		       VCI_BLOCK_SIZE);
}

static void restore(u64 addr, u32 blocks, const u8 *from)
{
	u32 i;

	for (i = 0; i < blocks; i++)
		sim_disk_poke(&rig.cache, addr + i, from + i * VCI_BLOCK_SIZE);
}

static void test_plain(void)
{
	setup();
	assert(!rig_fill(&rig, 0, 16));
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(opens() && !rig.report.was_clean, "recovery:after_a_crash");
	is_u64(rig.report.batches, 0, "recovery:lost_batch_is_cut_silently");
	is_u64(rig_cached(&rig, 0, 16), 0, "recovery:nothing_was_flushed");
	assert(!rig_fill(&rig, 0, 16) && !vci_cache_flush(rig.c) && !rig_fill(&rig, 16, 16));
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(opens(), "recovery:after_a_flush");
	is_u64(rig_cached(&rig, 0, 32), 16, "recovery:finds_what_was_flushed");
	ok(!rig.report.log_damaged && rig.report.batches == 1, "recovery:counts_one_batch");
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(opens() && rig_cached(&rig, 0, 32) == 16, "recovery:the_same_again");
	ok(!rig_close(&rig) && !rig_verify(&rig), "recovery:closes_well");
	teardown();
}

/* What the log tells is as old as it says, and what is opened next is younger. */
static void test_age(void)
{
	const struct vci_segments *t;
	u32 i, k, nr = 0, wrong = 0;

	setup();
	for (i = 0; i < 40; i++)
		assert(!rig_fill(&rig, i * 64, 32));
	assert(!vci_cache_flush(rig.c));
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	assert(opens());
	assert(!vci_cache_maintain(rig.c, false));
	assert(!rig_fill(&rig, 0, 32));
	t = &rig.c->segments;
	for (i = 0; i < t->nr; i++) {
		nr += t->s[i].life == VCI_LIFE_CLOSED;
		for (k = 0; k < t->nr; k++)
			wrong += t->s[i].seq < t->s[k].seq && t->s[i].turn >= t->s[k].turn;
	}
	ok(nr > 4, "recovery:closes_segments");
	is_u64(wrong, 0, "recovery:their_age_is_their_place_in_the_log");
	teardown();
}

/* O6: one bad entry costs one entry. */
static void test_torn_entry(void)
{
	u64 addr;

	setup();
	addr = next_addr();
	assert(!rig_reserve(&rig, 0, 16) && !rig_reserve(&rig, 100, 16) &&
	       !rig_reserve(&rig, 200, 16) && !rig_append(&rig));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr + VCI_UNIT_BLOCKS + 20, 7);
	ok(opens(), "recovery:torn_entry");
	is_u64(rig.report.torn, 1, "recovery:torn_entry_is_counted");
	ok(rig_cached(&rig, 0, 16) == 16 && rig_cached(&rig, 200, 16) == 16,
	   "recovery:torn_entry_spares_the_others");
	is_u64(rig_cached(&rig, 100, 16), 0, "recovery:torn_entry_is_dropped");
	ok(!rig.report.log_damaged, "recovery:torn_is_not_damaged");
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(opens() && !rig.report.log_damaged && rig_cached(&rig, 0, 300) == 32,
	   "recovery:torn_entry_is_forgotten");
	teardown();
}

/* O4: batches are judged singly. */
static void test_hole(void)
{
	u64 addr;

	setup();
	assert(!rig_fill(&rig, 0, 8));
	addr = next_addr();
	assert(!rig_fill(&rig, 100, 8) && !rig_fill(&rig, 200, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr, 20);
	ok(opens(), "recovery:hole");
	ok(rig_cached(&rig, 0, 8) == 8 && rig_cached(&rig, 200, 8) == 8,
	   "recovery:hole_spares_the_others");
	is_u64(rig_cached(&rig, 100, 8), 0, "recovery:hole_is_dropped");
	ok(!rig.report.log_damaged, "recovery:hole_above_the_stamp_is_torn");
	/* No activation forgets it; what comes behind it is none the worse. */
	assert(!rig_fill(&rig, 300, 8) && !vci_cache_flush(rig.c) && !rig_fill(&rig, 400, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	ok(opens() && !rig.report.log_damaged, "recovery:hole_of_an_older_epoch_is_torn");
	ok(rig_cached(&rig, 0, 8) == 8 && rig_cached(&rig, 200, 8) == 8 &&
	   rig_cached(&rig, 300, 8) == 8 && rig_cached(&rig, 400, 8) == 8,
	   "recovery:hole_of_an_older_epoch_spares_the_others");
	is_u64(rig_cached(&rig, 100, 8), 0, "recovery:hole_is_not_refilled");
	ok(!rig_close(&rig) && !rig_verify(&rig), "recovery:closes_with_a_hole");
	teardown();
}

/* O5: below the stamp it is damage, and said so. */
static void test_damaged_log(void)
{
	u64 addr;

	setup();
	addr = next_addr();
	assert(!rig_fill(&rig, 0, 8) && !vci_cache_flush(rig.c) && !rig_fill(&rig, 100, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr + 40, 20);
	ok(opens() && !rig.report.log_damaged, "recovery:damage_outside_batches");
	rig_exit(&rig);
	setup();
	assert(!rig_fill(&rig, 50, 8));
	addr = next_addr();
	assert(!rig_fill(&rig, 0, 8) && !vci_cache_flush(rig.c) && !rig_fill(&rig, 100, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr, 20);
	ok(opens() && rig.report.log_damaged, "recovery:durable_batch_is_missing");
	is_u64(rig_cached(&rig, 0, 8), 0, "recovery:damaged_batch_is_dropped");
	is_u64(rig_cached(&rig, 100, 8), 8, "recovery:batch_behind_the_damage_is_found");
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	ok(opens() && rig.report.log_damaged, "recovery:damage_stays_until_a_checkpoint");
	ok(vci_cache_needs_maintenance(rig.c) && !vci_cache_maintain(rig.c, false),
	   "recovery:damage_is_maintained");
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	ok(opens() && !rig.report.log_damaged, "recovery:damage_is_reported_once");
	is_u64(rig_cached(&rig, 100, 8), 8, "recovery:what_was_found_stays");
	teardown();
}

/* A stamp speaks of its own epoch; the next one's numbers go on behind the last. */
static void test_epoch_by_epoch(void)
{
	u64 addr, first;

	setup();
	assert(!rig_fill(&rig, 0, 8) && !rig_fill(&rig, 100, 8));
	addr = next_addr();
	assert(!rig_fill(&rig, 200, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr, 20);
	ok(opens() && !rig.report.log_damaged, "recovery:torn_tail");
	first = next_addr();
	ok(first != addr, "recovery:goes_on_in_another_segment");
	assert(!rig_fill(&rig, 300, 8) && !vci_cache_flush(rig.c));
	assert(!rig_fill(&rig, 400, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	ok(opens() && !rig.report.log_damaged, "recovery:stamp_of_a_later_epoch");
	is_u64(rig_cached(&rig, 0, 500), 32, "recovery:finds_both_epochs");
	/* What was found before, and is no more: the header and the gap tell. */
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr - 16, 20);
	ok(opens() && rig.report.log_damaged, "recovery:last_of_an_epoch_is_missing");
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr - 16, 20);
	ok(opens() && !rig.report.log_damaged, "recovery:it_is_back");
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr - 32, 20);
	ok(opens() && rig.report.log_damaged, "recovery:first_of_an_epoch_is_missing");
	teardown();

	/* The first batch of the new epoch, behind a hole, of which a stamp speaks. */
	setup();
	assert(!rig_fill(&rig, 0, 8));
	addr = next_addr();
	assert(!rig_fill(&rig, 200, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr, 20);
	assert(opens());
	/* The damage is in the first batch, not in the unit that tells of it (L3). */
	first = next_addr();
	assert(!rig_fill(&rig, 300, 8) && !vci_cache_flush(rig.c));
	while (vci_log_room(&rig.c->log, 0) >= 16)
		assert(!rig_fill(&rig, 400, 8));
	assert(!vci_cache_flush(rig.c) && !rig_fill(&rig, 500, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, first, 20);
	ok(opens() && rig.report.log_damaged, "recovery:first_segment_of_an_epoch_is_missing");
	is_u64(rig_cached(&rig, 300, 108), 0, "recovery:its_batches_are_dropped");
	is_u64(rig_cached(&rig, 500, 8), 8, "recovery:the_segment_behind_it_is_found");
	teardown();
}

/* What recovery found, it flushed: from then on it is durable, and damage is seen. */
static void test_found_before(void)
{
	u64 addr;

	setup();
	assert(!rig_fill(&rig, 0, 8));
	addr = next_addr();
	assert(!rig_fill(&rig, 100, 8) && !rig_fill(&rig, 200, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	ok(opens() && rig.report.batches == 3, "recovery:found_before_it_is_damaged");
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	rig_damage(&rig, addr, 20);
	ok(opens() && rig.report.log_damaged, "recovery:found_before_and_now_missing");
	teardown();
}

/* Says that dirty data is there, as if it had been written. */
static void set_dirty(void)
{
	struct vci_header h;

	rig_header(&rig, &h);
	h.flags |= VCI_HDR_DIRTY;
	rig_put_header(&rig, &h);
}

static void test_forced(void)
{
	u64 addr, digest;

	setup();
	addr = next_addr();
	assert(!rig_reserve(&rig, 0, 16) && !rig_reserve(&rig, 100, 16) && !rig_append(&rig));
	assert(!vci_cache_flush(rig.c) && !rig_fill(&rig, 200, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	set_dirty();
	ok(opens() && rig.report.dirty && !rig.report.forced, "recovery:dirty_opens");
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	set_dirty();
	rig_damage(&rig, addr + VCI_UNIT_BLOCKS + 20, 7);
	digest = rig_digest(&rig);
	ok(rig_open(&rig) == -EILSEQ && strstr(rig.why, "force"),
	   "recovery:dirty_and_damaged_is_refused");
	ok(rig_digest(&rig) == digest, "recovery:dirty_and_damaged_writes_nothing");
	rig.force = true;
	ok(opens() && rig.report.log_damaged && rig.report.forced, "recovery:unless_forced");
	/* What was clean may be older than what is lost. */
	is_u64(rig_cached(&rig, 0, 300), 0, "recovery:forced_drops_what_is_clean");
	assert(!vci_cache_maintain(rig.c, false));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig.force = false;
	ok(opens(), "recovery:forced_but_once");
	teardown();
}

/* O10: what an earlier life left behind a cut never connects. */
static void test_old_epoch(void)
{
	static u8 old[16 * VCI_BLOCK_SIZE];
	u64 first, second;

	setup();
	first = next_addr();
	assert(!rig_fill(&rig, 0, 8));
	second = next_addr();
	assert(!rig_fill(&rig, 100, 8));
	save(second, 16, old);
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	assert(opens());
	ok(next_addr() == first, "recovery:new_life_begins_at_the_same_place");
	assert(!rig_fill(&rig, 200, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	restore(second, 16, old);
	ok(opens(), "recovery:batch_of_an_older_epoch");
	is_u64(rig_cached(&rig, 200, 8), 8, "recovery:new_epoch_is_found");
	is_u64(rig_cached(&rig, 100, 8), 0, "recovery:old_epoch_does_not_connect");
	teardown();
}

/* A batch that the checkpoint covers, left in a segment that is in use again. */
static void test_old_segment(void)
{
	static u8 old[16 * VCI_BLOCK_SIZE];
	u64 addr;

	setup();
	assert(!rig_fill(&rig, 0, 8));
	addr = next_addr();
	assert(!rig_fill(&rig, 100, 8));
	save(addr, 16, old);
	assert(!rig_write(&rig, 100, 8, 1) && !vci_cache_checkpoint(rig.c) &&
	       !vci_cache_checkpoint(rig.c));
	assert(!vci_intent_count(&rig.c->intent));
	addr = next_addr();
	assert(!rig_fill(&rig, 200, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	/* Even where it belongs it counts no more. */
	ok(opens(), "recovery:old_batch_in_a_new_segment");
	is_u64(rig_cached(&rig, 100, 8), 0, "recovery:covered_batch_is_not_replayed");
	is_u64(rig_cached(&rig, 200, 8), 8, "recovery:newer_batch_is_replayed");
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	restore(addr + 16, 16, old);
	ok(opens() && rig_cached(&rig, 100, 8) == 0, "recovery:batch_of_another_place");
	teardown();
}

/* User data that is a batch header, sealed for the place where it comes to lie. */
static void forge(u64 addr, u64 epoch, u64 seq)
{
	struct vci_batch_info info = {
		.seq = seq, .epoch = epoch, .addr = addr, .blocks = 16,
		.header_blocks = VCI_UNIT_BLOCKS, .nr_entries = 1,
		.next = { VCI_NO_SEGMENT, VCI_NO_SEGMENT, VCI_NO_SEGMENT, VCI_NO_SEGMENT },
	};
	struct vci_entry e = { .off = 3000, .blocks = 8, .kind = VCI_ENTRY_FILL };
	u8 unit[VCI_UNIT_SIZE] = { 0 };
	u32 i;

	e.data_crc = vci_data_crc(unit, 8);
	vci_batch_seal(unit, VCI_UNIT_SIZE, vci_batch_seed(rig.c->header.uuid), &info, &e);
	for (i = 0; i < VCI_UNIT_BLOCKS; i++) {
		sim_disk_poke(&rig.backing, 1000 + i, unit + i * VCI_BLOCK_SIZE);
		sim_disk_poke(&rig.backing, 1008 + i, (u8[VCI_BLOCK_SIZE]){ 0 });
	}
}

static void test_forged(void)
{
	u64 addr;

	setup();
	addr = next_addr();
	forge(addr + VCI_UNIT_BLOCKS, rig.c->log.epoch, rig.c->log.seq + 5);
	assert(!rig_fill(&rig, 1000, 16) && !rig_fill(&rig, 2000, 8));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	ok(opens(), "recovery:user_data_like_a_batch");
	is_u64(rig_cached(&rig, 1000, 16), 16, "recovery:it_is_data");
	is_u64(rig_cached(&rig, 2000, 8), 8, "recovery:batch_behind_it_is_found");
	is_u64(rig_cached(&rig, 3000, 8), 0, "recovery:it_maps_nothing");
	teardown();

	/* Its own header torn: the epoch, which users don't see, keeps it out. */
	setup();
	addr = next_addr();
	forge(addr + VCI_UNIT_BLOCKS, rig.c->log.epoch + 1, rig.c->log.seq + 5);
	assert(!rig_fill(&rig, 1000, 16));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr, 20);
	ok(opens() && rig_cached(&rig, 3000, 8) == 0, "recovery:forged_epoch_maps_nothing");
	teardown();
}

static int fill_stream(u32 stream, u64 off)
{
	rig.fill.stream = stream;
	return rig_fill(&rig, off, 8);
}

/* Entries are applied in the order of numbers, wherever they lie. */
static void test_streams(void)
{
	u32 i, bad = 0;

	setup();
	for (i = 1; i <= 12; i++) {
		rig.log_stream = i % VCI_STREAMS;
		assert(!rig_log_write(&rig, 0, 8, i, false));
		assert(!rig_log_write(&rig, 8 * i, 8, i, false));
	}
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	ok(opens() && rig.report.batches == 24, "recovery:batches_of_three_streams");
	is_u64(rig_value(&rig, 0), 12, "recovery:last_one_of_any_stream_wins");
	for (i = 2; i <= 12; i++)
		bad += rig_value(&rig, 8 * i) != (int)i;
	is_u64(bad, 0, "recovery:all_streams_are_found");
	for (i = 0, bad = 0; i < rig.c->segments.nr; i++)
		if (rig.c->segments.s[i].life == VCI_LIFE_CLOSED)
			bad |= 1u << rig.c->segments.s[i].stream;
	is_u64(bad, 7, "recovery:segments_know_their_streams");
	/* Segments open at the checkpoint, from where they were used on. */
	for (i = 0; i < VCI_STREAMS; i++) {
		rig.log_stream = i;
		assert(!rig_log_write(&rig, 8 * i, 8, 20 + i, false));
	}
	assert(!vci_cache_checkpoint(rig.c));
	for (i = 0; i < VCI_STREAMS; i++) {
		rig.log_stream = VCI_STREAMS - 1 - i;
		assert(!rig_log_write(&rig, 4, 8, 30 + i, false));
	}
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	ok(opens() && rig.report.batches == 3, "recovery:goes_on_in_all_open_segments");
	ok(rig_value(&rig, 0) == 20 && rig_value(&rig, 4) == 32 &&
	   rig_value(&rig, 11) == 32 && rig_value(&rig, 12) == 21 && rig_value(&rig, 16) == 22,
	   "recovery:in_the_order_of_their_numbers");
	rig.log_stream = 0;
	teardown();
}

/* A hole in one stream is one in the order of all. */
static void test_hole_in_a_stream(void)
{
	u64 addr;

	setup();
	assert(!fill_stream(1, 0) && !fill_stream(0, 100) && !vci_cache_checkpoint(rig.c));
	addr = vci_segment_addr(&rig.c->segments, rig.c->log.open[1].segment) +
	       rig.c->log.open[1].used;
	assert(!fill_stream(1, 400) && !fill_stream(1, 500));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr, 20);
	ok(opens() && !rig.report.log_damaged && !rig_cached(&rig, 400, 8) &&
	   rig_cached(&rig, 500, 8) == 8, "recovery:hole_in_a_stream_is_torn");
	teardown();

	setup();
	addr = next_addr();
	assert(!fill_stream(1, 400) && !vci_cache_flush(rig.c) && !fill_stream(0, 500));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, addr, 20);
	ok(opens() && rig.report.log_damaged, "recovery:stamp_of_another_stream_tells");
	is_u64(rig_cached(&rig, 500, 8), 8, "recovery:and_is_found_itself");
	teardown();
}

/*
 * The first batch of a segment needs no flush before its FUA: up to VCI_WINDOW
 * segments after anything durable, only the last name in that finds it.
 */
static void test_last_name(void)
{
	u64 flushes;
	u32 i;

	setup();
	/* Each takes a segment of 128 blocks; the checkpoint names so many. */
	for (i = 0; i < VCI_QUEUE; i++)
		assert(!rig_log_write(&rig, i * 200, 120, i + 1, false));
	is_u64(rig.c->log.opened, VCI_QUEUE, "recovery:segments_of_the_checkpoint_are_full");
	flushes = rig.cache.flushes;
	for (; i < VCI_QUEUE + VCI_WINDOW - 1; i++)
		assert(!rig_log_write(&rig, i * 200, 120, i + 1, false));
	is_u64(rig.cache.flushes - flushes, 1, "recovery:one_flush_for_the_names");
	assert(!rig_log_write(&rig, i * 200, 120, i + 1, true));
	is_u64(rig.cache.flushes - flushes, 1, "recovery:no_flush_for_a_first_batch");
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(opens() && !rig.report.log_damaged, "recovery:segments_between_are_lost");
	is_u64(rig.report.batches, VCI_QUEUE + 1, "recovery:one_behind_them_is_found");
	is_u64(rig_value(&rig, i * 200), i + 1, "recovery:by_the_last_name");
	teardown();
}

static void test_epochs(void)
{
	struct vci_header before, after;
	u32 i, found = 0, changed = 0, most = 0;

	setup();
	for (i = 0; i < 3 * VCI_EPOCHS; i++) {
		assert(!rig_fill(&rig, i * 100, 8) && !vci_cache_flush(rig.c));
		rig_header(&rig, &before);
		rig_crash(&rig, SIM_CUT_LOSE_ALL);
		assert(opens());
		rig_header(&rig, &after);
		changed += !!memcmp(before.modification_uuid, after.modification_uuid, 16);
		most = max(most, after.nr_epochs);
		found += rig_cached(&rig, 0, 4000) == (int)(i + 1) * 8;
	}
	is_u64(found, 3 * VCI_EPOCHS, "recovery:every_life_is_found");
	is_u64(most, VCI_EPOCHS, "recovery:list_of_epochs_is_full");
	is_u64(changed, 3 * VCI_EPOCHS, "recovery:every_activation_has_its_uuid");
	ok(!rig_close(&rig) && !rig_verify(&rig), "recovery:closes_after_many_lives");
	teardown();
}

static void test_damaged_areas(void)
{
	struct vci_header h;

	setup();
	assert(!rig_fill(&rig, 0, 64) && !vci_cache_checkpoint(rig.c));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_header(&rig, &h);
	rig_damage(&rig, h.intent.addr, 100);
	ok(opens(), "recovery:damaged_intent_block");
	is_u64(rig_cached(&rig, 0, 64), 0, "recovery:damaged_intent_block_drops_all");
	ok(rig.report.regions_marked == rig.c->intent.nr_regions,
	   "recovery:damaged_intent_block_marks_all");
	ok(!vci_cache_checkpoint(rig.c) && !vci_intent_count(&rig.c->intent),
	   "recovery:damaged_intent_block_is_written_again");
	assert(!rig_close(&rig));
	rig_damage(&rig, 0, 300);
	ok(rig_open(&rig) == -EILSEQ && rig.dmg.number == VCI_DMG_HDR_CSUM,
	   "recovery:damaged_header_is_refused");
	teardown();
}

/*
 * Law 3: the newer slot of a page rots, the older one is whole, but of a time
 * when what is in use now was free.
 */
static void rot(struct vci_shadow *s, const char *area)
{
	u64 addr = s->area.addr + test_bit(0, s->slot) * VCI_UNIT_BLOCKS;
	u64 unused = s->area.addr + !test_bit(0, s->slot) * VCI_UNIT_BLOCKS;
	u64 gen, max_gen = rig.c->header.checkpoint_gen;
	u8 unit[VCI_UNIT_SIZE];

	save(unused, VCI_UNIT_BLOCKS, unit);
	ok(!vci_page_check(unit, rig.c->header.uuid, unused, 0, max_gen, &gen, NULL) &&
	   gen < s->gen[0], "recovery:%s_has_an_older_page", area);
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	ok(!rig_verify(&rig), "recovery:%s_is_whole", area);
	rig_damage(&rig, addr, 100);
	ok(rig_open(&rig) == -EILSEQ && rig.dmg.number == VCI_DMG_PAGE_LOST,
	   "recovery:%s_rotted_is_refused", area);
	ok(rig_verify(&rig) > 0 && strstr(rig.finding, "corrupt page"),
	   "recovery:%s_rotted_is_found", area);
	rig_damage(&rig, addr, 100);
	rig_damage(&rig, unused, 100);
	ok(opens(), "recovery:%s_rotted_in_its_unused_slot_opens", area);
}

static void test_rotted_pages(void)
{
	int i;

	setup();
	rig.no_data = true;
	for (i = 0; i < 3; i++)
		assert(!rig_fill(&rig, i * 1000, 64) && !vci_cache_checkpoint(rig.c));
	rot(&rig.c->segments.table, "segment_table");
	for (i = 0; i < 3; i++)
		assert(!rig_fill(&rig, 5000 + i * 1000, 64) && !vci_cache_checkpoint(rig.c));
	rot(&rig.c->nodes.map, "node_map");
	/* What was written last is sampled. */
	for (i = 0; i < 3; i++)
		assert(!rig_write(&rig, 300 + i * 5000, 8, i) &&
		       !vci_cache_checkpoint(rig.c) && !vci_cache_checkpoint(rig.c));
	rot(&rig.c->identity.info, "info");
	ok(!rig_close(&rig) && !rig_verify(&rig), "recovery:rotted_closes_well");
	teardown();
}

/* A checkpoint without memory: what it wrote counts neither now nor later. */
static void test_aborted(void)
{
	u32 i, aborted = 0, opened = 0, whole = 0;

	setup();
	for (i = 1; i <= 16; i++) {
		assert(!rig_fill(&rig, i * 100, 8));
		vci_alloc_fail_at = i / 2 + 1;
		aborted += vci_cache_checkpoint(rig.c) == -ENOMEM;
		vci_alloc_fail_at = 0;
		/* Every other one is tried again. */
		if (i % 2)
			assert(!rig_fill(&rig, i * 100 + 50, 8) &&
			       !vci_cache_checkpoint(rig.c));
		rig_crash(&rig, SIM_CUT_KEEP_ALL);
		whole += !rig_verify(&rig);
		opened += opens();
	}
	ok(aborted >= 6, "recovery:checkpoints_without_memory");
	is_u64(opened, i - 1, "recovery:opens_after_aborted_checkpoints");
	is_u64(whole, i - 1, "recovery:whole_after_aborted_checkpoints");
	teardown();
}

/* O1 in small: each region by itself. */
static void test_marked(void)
{
	u64 region;

	setup();
	region = 1ull << rig.c->header.region_blocks_log2;
	assert(!rig_fill(&rig, 0, 64) && !rig_fill(&rig, region - 8, 16) &&
	       !vci_cache_checkpoint(rig.c));
	assert(!rig_write(&rig, region + 100, 1, 1));
	assert(!rig_fill(&rig, 2 * region - 8, 16) && !vci_cache_flush(rig.c));
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(opens(), "recovery:marked_region");
	is_u64(rig.report.regions_marked, 1, "recovery:one_region_is_marked");
	is_u64(rig_cached(&rig, 0, region), 64 + 8, "recovery:region_before_it_is_warm");
	is_u64(rig_cached(&rig, region, region), 0, "recovery:marked_region_is_dropped");
	is_u64(rig_cached(&rig, 2 * region, 64), 8, "recovery:entry_over_the_edge_stays_in_part");
	teardown();
}

/* A segment that is read in pieces: batches of all sizes lie across their edges. */
static void test_large_segment(void)
{
	u32 n, i, blocks = 0;
	u64 seed = 1;

	rig_init(&rig, 4096 * 256, RIG_BACKING, 32768);
	assert(!rig_open(&rig));
	while (blocks < 25000) {
		n = 1 + vt_random(&seed) % 15;
		for (i = 0; i < n; i++) {
			u32 len = 1 + vt_random(&seed) % VCI_ENTRY_BLOCKS_MAX;

			assert(!rig_reserve(&rig, blocks, len));
			blocks += len;
		}
		assert(!rig_append(&rig));
	}
	assert(!vci_cache_flush(rig.c) && rig.c->log.open[0].used > 25000);
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(opens() && !rig.report.torn, "recovery:large_segment");
	is_u64(rig_cached(&rig, 0, RIG_BACKING), blocks, "recovery:large_segment_is_found");
	teardown();
}

int main(void)
{
	test_plain();
	test_age();
	test_torn_entry();
	test_hole();
	test_damaged_log();
	test_epoch_by_epoch();
	test_found_before();
	test_forced();
	test_old_epoch();
	test_old_segment();
	test_forged();
	test_streams();
	test_hole_in_a_stream();
	test_last_name();
	test_epochs();
	test_damaged_areas();
	test_rotted_pages();
	test_aborted();
	test_marked();
	test_large_segment();
	is_u64(vci_alloc_live, 0, "recovery:frees_all");
	return done_testing();
}
