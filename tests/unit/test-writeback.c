// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes to the log, FLUSH, write-back, and what is dirty after a crash.
 */
#include "rig.h"

static struct rig rig;

static void setup(void)
{
	rig_init(&rig, 4096, RIG_BACKING, 128);
	assert(!rig_open(&rig));
}

static u64 dirty(void)
{
	return vci_cache_dirty_blocks(rig.c);
}

static int backing_value(u64 off)
{
	return sim_disk_peek(&rig.backing, off)[0];
}

/* ---- what a write costs ---- */

static void test_cost(void)
{
	u64 writes, flushes, backing;

	setup();
	assert(!rig_log_write(&rig, 0, 8, 1, false) && !rig_flush(&rig));
	writes = rig.cache.writes;
	flushes = rig.cache.flushes;
	backing = rig.backing.reads + rig.backing.writes + rig.backing.flushes;
	ok(!rig_log_write(&rig, 5000, 8, 7, false) && !rig_flush(&rig),
	   "writeback:synced_write");
	is_u64(rig.cache.writes - writes, 1, "writeback:synced_write_is_one_write");
	is_u64(rig.cache.flushes - flushes, 1, "writeback:synced_write_is_one_flush");
	is_u64(rig.backing.reads + rig.backing.writes + rig.backing.flushes, backing,
	       "writeback:synced_write_leaves_the_backing_device_alone");
	assert(!rig_flush(&rig));
	is_u64(rig.cache.flushes - flushes, 1, "writeback:nothing_to_flush_twice");
	is_u64(rig_value(&rig, 5003), 7, "writeback:is_read_back");
	is_u64(backing_value(5003), 0, "writeback:is_not_on_the_backing_device");
	is_u64(dirty(), 16, "writeback:is_dirty");
	rig_exit(&rig);
}

/* ---- crashes ---- */

static void test_crash(void)
{
	setup();
	assert(!rig_log_write(&rig, 100, 20, 1, false) && !rig_flush(&rig));
	assert(!rig_log_write(&rig, 110, 4, 2, false) && !rig_flush(&rig));
	assert(!rig_log_write(&rig, 112, 4, 3, false));
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	is_u64(rig_open(&rig), 0, "writeback:opens_after_a_crash");
	ok(rig.report.dirty, "writeback:says_that_it_is_dirty");
	is_u64(rig_value(&rig, 100), 1, "writeback:flushed_write_survives");
	is_u64(rig_value(&rig, 113), 2, "writeback:flushed_overwrite_survives");
	is_u64(rig_value(&rig, 114), 1, "writeback:unflushed_write_is_lost");
	is_u64(dirty(), 20, "writeback:is_dirty_after_a_crash");
	assert(!rig_close(&rig) && !rig_verify(&rig) && !rig_open(&rig));
	ok(rig.report.was_clean && dirty() == 20, "writeback:is_dirty_after_a_close");
	is_u64(rig_value(&rig, 113), 2, "writeback:survives_a_close");
	is_u64(rig.backing.writes, 0, "writeback:close_writes_nothing_back");
	rig_exit(&rig);
}

static void test_fua(void)
{
	setup();
	assert(!rig_log_write(&rig, 0, 8, 1, false));
	ok(!rig_log_write(&rig, 8, 8, 2, true), "writeback:fua");
	assert(!rig_log_write(&rig, 16, 8, 3, false));
	assert(!rig_log_write(&rig, 24, 8, 4, true));
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	assert(!rig_open(&rig));
	is_u64(rig_value(&rig, 8), 2, "writeback:fua_in_a_new_segment_is_durable");
	is_u64(rig_value(&rig, 24), 4, "writeback:fua_is_durable");
	rig_exit(&rig);
}

/* ---- write-back ---- */

static void test_write_back(void)
{
	struct vci_header h;

	setup();
	assert(!rig_log_write(&rig, 40, 8, 1, false) && !rig_log_write(&rig, 48, 8, 2, false));
	assert(!rig_log_write(&rig, 900, 100, 3, false));
	rig_header(&rig, &h);
	ok(h.flags & VCI_HDR_DIRTY, "writeback:header_says_dirty");
	is_u64(rig_write_back(&rig), 0, "writeback:write_back");
	is_u64(dirty(), 0, "writeback:nothing_is_dirty_then");
	is_u64(rig_cached(&rig, 0, 2000), 116, "writeback:all_is_clean_and_equal");
	is_u64(rig.backing.writes, 2, "writeback:neighbours_are_one_write");
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	assert(!rig_open(&rig));
	is_u64(rig_cached(&rig, 0, 2000), 116, "writeback:clean_after_a_crash");
	is_u64(dirty(), 0, "writeback:not_dirty_after_a_crash");
	assert(!vci_cache_checkpoint(rig.c));
	rig_header(&rig, &h);
	ok(!(h.flags & VCI_HDR_DIRTY), "writeback:header_says_clean");
	assert(!rig_log_write(&rig, 40, 8, 5, false));
	rig_header(&rig, &h);
	ok(h.flags & VCI_HDR_DIRTY, "writeback:header_says_dirty_again");
	rig_exit(&rig);
}

/* A superblock that was written back before a crash is no other device. */
static void test_sample(void)
{
	setup();
	assert(!vci_cache_checkpoint(rig.c));
	assert(!rig_log_write(&rig, 8, 8, 1, false) && !rig_write_back(&rig));
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(!rig_open(&rig) && !rig.report.dropped_all, "writeback:sample_in_the_log");
	assert(!vci_cache_checkpoint(rig.c));
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	ok(!rig_open(&rig) && !rig.report.dropped_all, "writeback:sample_taken_anew");
	rig_exit(&rig);
}

/* O2: what is dirty is not written past the log. */
static void test_past_the_log(void)
{
	struct vci_write w;
	int r;

	setup();
	assert(!rig_log_write(&rig, 40, 8, 1, false));
	r = vci_write_begin(rig.c, &w, 44, 8);
	if (r == -EAGAIN)
		r = vci_write_prepare(rig.c, &w);
	is_u64(-r, EEXIST, "writeback:write_finds_dirty_data");
	vci_write_end(rig.c, &w, NULL);
	is_u64(rig_write(&rig, 48, 8, 9), 0, "writeback:write_beside_dirty_data");
	is_u64(rig_value(&rig, 47), 1, "writeback:dirty_data_stays");
	/* In flight past the log when its range becomes dirty. */
	r = vci_write_begin(rig.c, &w, 200, 8);
	if (r == -EAGAIN)
		r = vci_write_prepare(rig.c, &w);
	assert(!r && !rig_log_write(&rig, 200, 8, 4, false) && !rig_write_back(&rig));
	is_u64(dirty(), 8, "writeback:waits_for_a_write_past_the_log");
	vci_write_end(rig.c, &w, NULL);
	assert(!rig_write_back(&rig));
	is_u64(dirty(), 0, "writeback:goes_on_after_it");
	is_u64(backing_value(200), 4, "writeback:and_wins");
	rig_exit(&rig);
}

/* Many times what fits: reclaim writes back. */
static void test_full(void)
{
	u32 i, wrong = 0;
	int r = 0;

	setup();
	for (i = 0; !r && i < 2000; i++) {
		u64 off = i * 37 % 300 * 100;

		r = rig_log_write(&rig, off, 1 + i % 100, i % 255, false);
		if (r == -ENOSPC) {
			r = vci_cache_maintain(rig.c, false);
			i--;
			if (wrong++ > 2000)
				break;
		}
	}
	is_u64(r, 0, "writeback:goes_on_when_full");
	ok(wrong < 1000, "writeback:finds_room");
	for (i = 2000 - 300, wrong = 0; i < 2000; i++)
		wrong += rig_value(&rig, i * 37 % 300 * 100) != (int)(i % 255);
	is_u64(wrong, 0, "writeback:last_values_are_read");
	is_u64(rig_write_back(&rig), 0, "writeback:all_is_written_back");
	for (i = 2000 - 300, wrong = 0; i < 2000; i++)
		wrong += backing_value(i * 37 % 300 * 100) != (int)(i % 255);
	is_u64(wrong, 0, "writeback:backing_device_has_all");
	ok(!rig_close(&rig) && !rig_verify(&rig), "writeback:closes_valid");
	rig_exit(&rig);
}

/* ---- in order ---- */

/* Writes 1..@n to block 0, each flushed, and to a block of its own. */
static void put_epochs(int from, int n)
{
	int i;

	for (i = from; i <= n; i++)
		assert(!rig_log_write(&rig, 0, 8, i, false) &&
		       !rig_log_write(&rig, i * 8, 8, i, false) && !rig_flush(&rig));
}

/* The last epoch that is on the backing device, -1 if it is no state there was. */
static int backing_epoch(int n)
{
	int first = backing_value(0), last = 0, i;

	for (i = 1; i <= n; i++)
		if (backing_value(i * 8) == i)
			last = i;
	for (i = 1; i < last; i++)
		if (backing_value(i * 8) != i)
			return -1;
	return first == last || first == last + 1 || (last && first == last - 1) ?
	       last : -1;
}

static void setup_ordered(void)
{
	int i;

	setup();
	for (i = 0; i < 200; i += 8) {
		memset(rig.data, 0, 8 * VCI_BLOCK_SIZE);
		assert(!vci_write(&rig.backing.dev, i, 8, rig.data, 0));
	}
	assert(!rig_close(&rig));
	rig.ordered = true;
	assert(!rig_open(&rig));
}

static void test_ordered(void)
{
	struct vci_writeback wb = { .max_seq = U64_MAX };
	u32 rounds = 0, bad = 0;

	setup_ordered();
	put_epochs(1, 10);
	while (wb.off < RIG_BACKING && rounds++ < 100) {
		assert(!vci_cache_writeback(rig.c, &wb, 1));
		bad += backing_epoch(10) < 0;
		/* Before the last one, a crash. */
		if (rounds == 6) {
			rig_crash(&rig, SIM_CUT_LOSE_ALL);
			assert(!rig_open(&rig));
			bad += backing_epoch(10) < 3;
		}
	}
	is_u64(bad, 0, "ordered:each_state_was_there");
	ok(rounds > 10 && rounds < 40, "ordered:in_many_rounds");
	is_u64(backing_epoch(10), 10, "ordered:comes_to_the_end");
	is_u64(dirty(), 0, "ordered:nothing_is_dirty_then");
	put_epochs(11, 12);
	assert(!rig_close(&rig) && !rig_open(&rig));
	ok(!rig.report.was_clean, "ordered:close_keeps_old_versions");
	wb = (struct vci_writeback) { .max_seq = U64_MAX };
	for (bad = 0; wb.off < RIG_BACKING; bad += backing_epoch(12) < 10)
		assert(!vci_cache_writeback(rig.c, &wb, 1));
	is_u64(bad, 0, "ordered:goes_on_after_a_close");
	is_u64(backing_epoch(12), 12, "ordered:and_comes_to_the_end");
	rig_exit(&rig);
}

/*
 * A crash between the records of one round: what the last one of them was about is
 * clean in part.  If the rest of that batch were passed over, it would be dirty when
 * all is written back, and then anything goes, in any order.
 */
static void test_ordered_records_torn(void)
{
	struct vci_writeback wb = { .max_seq = U64_MAX };
	u32 nr = 2 * VCI_BATCH_ENTRIES_MAX / 3, bad = 0, i;
	u64 records;

	setup_ordered();
	assert(!rig_log_writes(&rig, 1000, nr, 1) && !rig_log_writes(&rig, 2000, nr, 2));
	assert(!vci_cache_writeback(rig.c, &wb, U32_MAX) && !dirty());
	records = vci_segment_addr(&rig.c->segments, rig.c->log.open[0].segment) +
		  rig.c->log.open[0].used - VCI_UNIT_BLOCKS;
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig_damage(&rig, records, 20);
	assert(!rig_open(&rig) && rig.report.dirty && !vci_redo_finish(rig.c));
	is_u64(dirty(), 2 * nr - VCI_BATCH_ENTRIES_MAX, "ordered:half_a_batch_is_clean");
	put_epochs(1, 1);
	wb = (struct vci_writeback) { .max_seq = U64_MAX };
	for (i = 0; i < 10 && wb.off < RIG_BACKING; i++)
		assert(!vci_cache_writeback(rig.c, &wb, 1));
	is_u64(wb.off, RIG_BACKING, "ordered:the_rest_of_it_is_written_in_order");
	put_epochs(2, 10);
	wb = (struct vci_writeback) { .max_seq = U64_MAX };
	while (wb.off < RIG_BACKING) {
		assert(!vci_cache_writeback(rig.c, &wb, 1));
		bad += backing_epoch(10) < 0;
	}
	is_u64(bad, 0, "ordered:and_what_follows");
	assert(!rig_write_back(&rig));
	ok(!dirty() && backing_epoch(10) == 10, "ordered:and_all_of_it");
	rig_exit(&rig);
}

/*
 * A round reads what it writes back and the header behind that, not the segment from its
 * start; where no batch lies, it looks for one in large steps.
 */
static void test_ordered_reads(void)
{
	struct vci_writeback wb = { .max_seq = U64_MAX };
	u64 reads;
	u32 rounds;

	setup_ordered();
	put_epochs(1, 6);
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	assert(!rig_open(&rig) && !vci_redo_finish(rig.c));
	/* In another segment: that one ends here. */
	put_epochs(7, 10);
	reads = rig.cache.reads;
	for (rounds = 0; wb.off < RIG_BACKING; rounds++)
		assert(!vci_cache_writeback(rig.c, &wb, 1));
	ok(backing_epoch(10) == 10 && rounds > 10, "ordered:a_round_for_each_flush");
	ok(rig.cache.reads - reads <= 4 * rounds, "ordered:few_reads_a_round");
	rig_exit(&rig);
}

/* Rounds behind which the backing device has no state since @least, or order is left. */
static u32 disordered_rounds(int least, int n)
{
	struct vci_writeback wb = { .max_seq = U64_MAX };
	u32 bad = 0, i;

	for (i = 0; i < 40 && wb.off < RIG_BACKING; i++) {
		assert(!vci_cache_writeback(rig.c, &wb, 1));
		bad += backing_epoch(n) < least || rig.c->ordered_drain;
	}
	return bad;
}

static void fill_kept(u64 off)
{
	assert(!rig_reserve(&rig, off, 100));
	rig.fill.stream = VCI_STREAM_KEPT;
	assert(!rig_append(&rig));
}

/*
 * Other streams use up numbers, too: a segment is passed when the next batch in order
 * lies in another one, whatever is between the two.
 */
static void test_ordered_numbers_between(void)
{
	u32 i;

	setup_ordered();
	/* One of each is closed, and another one is open. */
	for (i = 0; i < 2; i++) {
		assert(!rig_log_write(&rig, i * 200, 100, i + 1, true));
		fill_kept(1000 + i * 200);
	}
	is_u64(vci_reclaim(rig.c, 2, false), 0, "ordered:reclaims_the_oldest");
	is_u64(rig.c->segments.count[VCI_LIFE_DRAINED], 2, "ordered:and_what_lies_between");
	is_u64(dirty(), 100, "ordered:what_is_newer_stays_dirty");
	rig_exit(&rig);
}

/* Nothing is dirty while the log goes once around: then it is another log there. */
static void test_ordered_used_again(void)
{
	u32 segment, off = 1000;

	setup_ordered();
	put_epochs(1, 6);
	segment = rig.c->log.open[VCI_STREAM_NEW].segment;
	assert(!rig_write_back(&rig));
	do {
		assert(!rig_fill(&rig, off, 8) && !vci_cache_maintain(rig.c, false));
		off += 8;
	} while (rig.c->log.open[VCI_STREAM_NEW].segment == segment);
	do {
		assert(!rig_fill(&rig, off, 8) && !vci_cache_maintain(rig.c, false));
		off += 8;
	} while (rig.c->log.open[VCI_STREAM_NEW].segment != segment);
	put_epochs(7, 12);
	is_u64(disordered_rounds(6, 12), 0, "ordered:a_segment_that_is_used_again");
	ok(!dirty() && backing_epoch(12) == 12, "ordered:and_all_that_is_in_it");
	rig_exit(&rig);
}

/* Once, at an I/O of a checkpoint: a write that announces, then the power fails. */
static void write_and_fail(void *ctx)
{
	struct rig *r = ctx;

	if (r->c->may_dirty || r->power.crash_at)
		return;
	r->power.in_hook_io = true;
	assert(!rig_log_write(r, 0, 8, 99, false));
	r->power.in_hook_io = false;
	r->power.crash_at = r->power.io + 1;
}

/*
 * Nothing is dirty at a checkpoint's freeze, so order goes on behind all of the log.  A
 * write's header says so before the checkpoint's flush: what is lost then, and is
 * numbered anew, must be written in order.
 */
static void test_ordered_numbers_anew(void)
{
	u32 i;

	setup_ordered();
	put_epochs(1, 3);
	assert(!rig_write_back(&rig) && !dirty());
	for (i = 0; i < 7; i++)
		assert(!rig_fill(&rig, 1000 + i * 8, 8));
	rig.power.hook = write_and_fail;
	rig.power.ctx = &rig;
	ok(vci_cache_checkpoint(rig.c), "ordered:power_fails_in_a_checkpoint");
	rig.power.hook = NULL;
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	assert(!rig_open(&rig) && !vci_redo_finish(rig.c));
	is_u64(rig.c->ordered_seq, rig.c->log.seq + 1, "ordered:not_ahead_of_the_log");
	put_epochs(4, 10);
	is_u64(disordered_rounds(0, 10), 0, "ordered:what_is_numbered_anew");
	ok(!dirty() && backing_epoch(10) == 10, "ordered:and_all_of_that");
	rig_exit(&rig);
}

/* Else what was written back by then would count as all before it. */
static void test_ordered_given_up_crash(void)
{
	struct vci_writeback wb = { .max_seq = U64_MAX };

	setup_ordered();
	put_epochs(1, 10);
	assert(!vci_cache_writeback(rig.c, &wb, 1) && !vci_cache_checkpoint(rig.c));
	vci_ordered_give_up(rig.c);
	wb = (struct vci_writeback) { .max_seq = U64_MAX };
	assert(!vci_cache_writeback(rig.c, &wb, 1));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	assert(!rig_open(&rig) && !vci_redo_finish(rig.c));
	ok(dirty() && rig.c->ordered_drain, "ordered:given_up_after_a_crash_too");
	rig_exit(&rig);
}

/* What was dirty before the feature was given is written back; then there is order. */
static void test_ordered_drained_crash(void)
{
	setup();
	assert(!rig_log_write(&rig, 4000, 8, 1, true));
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	rig.ordered = true;
	assert(!rig_open(&rig));
	ok(rig.c->ordered_drain, "ordered:not_yet");
	assert(!rig_write_back(&rig) && !dirty());
	put_epochs(1, 6);
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	assert(!rig_open(&rig));
	ok(rig.report.dirty && !rig.c->ordered_drain, "ordered:after_a_crash_still");
	rig_exit(&rig);
}

/*
 * Order is given up only where no segment is free or is about to be: a checkpoint
 * that failed leaves them drained, and the next one makes room.
 */
static void test_ordered_no_room(void)
{
	struct vci_segments *t;
	u32 i, last = 0;

	setup_ordered();
	t = &rig.c->segments;
	put_epochs(1, 10);
	/* As if the log had used up all segments, this one too. */
	vci_segment_set(t, rig.c->log.open[0].segment, VCI_LIFE_CLOSED);
	rig.c->log.open[0].segment = VCI_NO_SEGMENT;
	rig.c->log.nr_queue = 0;
	for (i = 0; i < t->nr; i++) {
		if (t->s[i].life == VCI_LIFE_CLOSED)
			continue;
		vci_segment_set(t, i, VCI_LIFE_BAD);
		last = i;
	}
	vci_segment_set(t, last, VCI_LIFE_DRAINED);
	is_u64(-vci_reclaim(rig.c, 1, false), ENOSPC, "ordered:no_room_for_records");
	is_u64(rig.c->ordered_drain, 0, "ordered:kept_while_a_checkpoint_makes_room");
	vci_segment_set(t, last, VCI_LIFE_BAD);
	is_u64(-vci_reclaim(rig.c, 1, false), ENOSPC, "ordered:still_no_room");
	ok(rig.c->ordered_drain, "ordered:given_up_when_nothing_is_left");
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	rig_exit(&rig);
}

/* ---- failures ---- */

/* A backing device with one sector that takes no writes. */
static const struct vci_io_ops *good_ops;
static u64 bad_sector;

static int write_bad(struct vci_dev *dev, u64 addr, u32 blocks, const void *data,
		     unsigned int flags)
{
	if (bad_sector - addr < blocks)
		return -EIO;
	return good_ops->write(dev, addr, blocks, data, flags);
}

static void test_backing_error(void)
{
	static struct vci_io_ops bad_ops;

	setup();
	good_ops = rig.backing.dev.ops;
	bad_ops = *good_ops;
	bad_ops.write = write_bad;
	bad_ops.write_many = NULL;
	rig.backing.dev.ops = &bad_ops;
	bad_sector = 44;
	assert(!rig_log_write(&rig, 40, 8, 1, false) && !rig_log_write(&rig, 48, 8, 2, false));
	ok(rig_write_back(&rig) == -EIO, "writeback:error_of_the_backing_device");
	ok(dirty() == 8 && !vci_cache_is_failed(rig.c), "writeback:stays_dirty");
	is_u64(backing_value(48), 2, "writeback:holds_up_nobody_else");
	rig.backing.dev.ops = good_ops;
	ok(!rig_write_back(&rig) && !dirty(), "writeback:is_tried_again");
	rig_exit(&rig);
}

/* Dirty data whose copy in the log has rotted is not written back in order. */
static void test_rot(void)
{
	struct vci_lookup res;

	rig_init(&rig, 4096, RIG_BACKING, 128);
	rig.ordered = true;
	assert(!rig_open(&rig) && !rig_log_write(&rig, 5000, 8, 1, true));
	assert(!vci_cache_lookup(rig.c, 5000, 8, &res));
	rig_damage(&rig, res.e.addr, 5);
	ok(rig_write_back(&rig) == -EIO && dirty() == 8, "ordered:damaged_data_is_reported");
	rig_exit(&rig);
}

static void test_cache_error(void)
{
	const struct vci_entry e = { .off = 40, .blocks = 8, .kind = VCI_ENTRY_CLEAN };
	static u8 unit[VCI_UNIT_SIZE];
	u64 writes;

	setup();
	assert(!rig_log_write(&rig, 40, 8, 1, false) && !rig_flush(&rig));
	rig.cache.fail_in = 1;
	ok(rig_log_write(&rig, 48, 8, 1, false) == -EIO, "writeback:error_of_the_cache_device");
	ok(vci_cache_is_failed(rig.c) && vci_cache_is_stuck(rig.c),
	   "writeback:nobody_writes_any_more");
	/* Write-back that was at it when the cache failed: its records come too late. */
	writes = rig.cache.writes;
	ok(vci_append_records(rig.c, &e, 1, unit) == -EIO && rig.cache.writes == writes,
	   "writeback:no_record_behind_a_failed_batch");
	rig_exit(&rig);
}

/* Nothing is dirty, but soon will be. */
static void test_failure_in_flight(void)
{
	static const struct vci_ticket none;
	struct vci_append a;
	int i;

	setup();
	assert(!rig_log_write(&rig, 40, 8, 1, false) && !rig_write_back(&rig) && !dirty());
	assert(vci_append_enter(rig.c));
	rig.fill.write = true;
	i = vci_fill_reserve(&rig.fill, 80, 8, &none);
	memset(vci_fill_data(&rig.fill, i), 2, 8 * VCI_BLOCK_SIZE);
	vci_fill_commit(&rig.fill, i, true);
	assert(!vci_append_begin(rig.c, &rig.fill, &a));
	vci_cache_fail(rig.c, -EIO);
	ok(vci_cache_is_stuck(rig.c), "writeback:stuck_with_a_batch_in_flight");
	assert(!vci_write(&rig.cache.dev, a.addr, a.blocks, rig.fill.buffer, a.flags));
	assert(!vci_append_map(rig.c, &rig.fill, &a));
	vci_append_leave(rig.c);
	ok(vci_cache_is_stuck(rig.c) && dirty() == 8, "writeback:stuck_when_it_has_landed");
	rig_exit(&rig);
}

/* All is dirty and small: records of write-back need more than the reserve. */
static void test_small_and_dirty(void)
{
	u32 i, rounds = 0;
	int r = 0;

	rig_init(&rig, 65536, 4000000, 32);
	assert(!rig_open(&rig));
	for (i = 0; !r; i++)
		r = rig_log_write(&rig, i * 997 % 499999 * 8, 1, 1, false);
	while (r == -ENOSPC && rounds++ < 50 && !vci_cache_maintain(rig.c, false))
		r = rig_log_write(&rig, i * 997 % 499999 * 8, 1, 1, false);
	is_u64(r, 0, "writeback:room_when_all_is_small_and_dirty");
	rig_exit(&rig);
}

/* Writes all over, each flushed, until there is no room. */
static u32 fill_up(u32 next)
{
	int r;

	while (!(r = rig_log_write(&rig, next * 8, 8, 7, false))) {
		assert(!rig_flush(&rig));
		next = (next * 1103 + 17) % (RIG_BACKING / 8 - 10);
	}
	assert(r == -ENOSPC);
	return next;
}

/* What records opened isn't filled by what they are to clean, nor by others. */
static void test_reserve(void)
{
	struct vci_writeback wb = { .max_seq = U64_MAX };
	u32 next, i;
	int r = 0;

	rig_init(&rig, 16384, RIG_BACKING, 512);
	assert(!rig_open(&rig));
	next = fill_up(8);
	is_u64(vci_nr_available(rig.c), 2, "writeback:two_segments_are_left_to_records");
	for (i = 0; !r && i < 20; i++) {
		r = vci_cache_writeback(rig.c, &wb, 64);
		next = fill_up(next);
	}
	is_u64(-r, 0, "writeback:goes_on_though_users_fill_the_log");
	is_u64(vci_nr_available(rig.c), 1, "writeback:records_open_one_of_them");
	is_u64(vci_log_room(&rig.c->log, 0), 512 - 20 * VCI_UNIT_BLOCKS,
	       "writeback:all_of_it_is_theirs");
	is_u64(-rig_fill(&rig, RIG_BACKING - 8, 8), ENOSPC, "writeback:fills_dont_take_it_either");
	for (i = 0; i < 5; i++)
		r = vci_cache_maintain(rig.c, true) ? : rig_write_back(&rig);
	ok(!r && !dirty(), "writeback:comes_to_an_end");
	ok(!rig_log_write(&rig, 200, 8, 5, false), "writeback:there_is_room_then");
	ok(!rig_close(&rig) && !rig_verify(&rig), "writeback:closes_valid_then");
	rig_exit(&rig);
}

int main(void)
{
	test_cost();
	test_crash();
	test_fua();
	test_write_back();
	test_sample();
	test_past_the_log();
	test_full();
	test_ordered();
	test_ordered_records_torn();
	test_ordered_reads();
	test_ordered_used_again();
	test_ordered_numbers_between();
	test_ordered_numbers_anew();
	test_ordered_given_up_crash();
	test_ordered_drained_crash();
	test_ordered_no_room();
	test_backing_error();
	test_rot();
	test_cache_error();
	test_failure_in_flight();
	test_small_and_dirty();
	test_reserve();
	is_u64(vci_alloc_live, 0, "writeback:frees_all");
	return done_testing();
}
