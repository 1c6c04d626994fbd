// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct writes: when there are any, what they cost, in which order they count, and what a
 * crash leaves (D1-D8 of Documentation/design.rst).
 */
#include "rig.h"

#define SEGMENT		512u

static struct rig rig;

/* Since the last flush. */
static void many_writes(void)
{
	rig.c->direct.since_flush = 4;
}

/* With a log that has begun. */
static void setup_with(u64 blocks, u32 segment)
{
	rig_init(&rig, blocks, RIG_BACKING, segment);
	rig.direct = true;
	assert(!rig_open(&rig));
	assert(!rig_log_write(&rig, 39000, 8, 1, false));
	many_writes();
}

static void setup(void)
{
	setup_with(16384, SEGMENT);
}

static u32 begin(u64 off, u32 blocks, struct vci_direct_write *w)
{
	return vci_direct_begin(rig.c, off, blocks, false, w);
}

static int write_data(const struct vci_direct_write *w, u32 value)
{
	memset(rig.data, value, (size_t)w->blocks * VCI_BLOCK_SIZE);
	return vci_write(&rig.cache.dev, w->addr, w->blocks, rig.data,
			 vci_direct_is_volatile(rig.c) ? 0 : VCI_IO_FUA);
}

/* Such a write as the shell does it, or -1 if it goes to the log. */
static int direct(u64 off, u32 blocks, u32 value)
{
	struct vci_direct_write w;
	u32 done = 0;
	int r = 0;

	for (; !r && done < blocks; done += w.blocks) {
		if (!begin(off + done, blocks - done, &w))
			return -1;
		r = write_data(&w, value);
		r = r ? r : vci_direct_end_sleep(rig.c, &w);
	}
	return r;
}

/* A user's FLUSH. */
static int flush(void)
{
	int r = vci_direct_flush(rig.c) ? vci_direct_name(rig.c) : 0;

	return r ? r : rig_flush(&rig);
}

static void crash(enum sim_cut cut)
{
	rig_crash(&rig, cut);
	assert(!rig_open(&rig));
}

static void test_cost(void)
{
	u64 writes, blocks, backing, i;

	setup();
	writes = rig.cache.writes;
	blocks = rig.cache.blocks_written;
	backing = rig.backing.reads + rig.backing.writes + rig.backing.flushes;
	for (i = 0; i < 10; i++)
		assert(!direct(100 + 16 * i, 8, i + 1));
	is_u64(rig.cache.writes - writes, 10, "direct:is_one_write");
	is_u64(rig.cache.blocks_written - blocks, 80, "direct:of_its_own_size");
	is_u64(rig_value(&rig, 100 + 16 * 9), 10, "direct:is_read_back");
	ok(vci_direct_pending(rig.c), "direct:waits_for_its_name");
	assert(!flush());
	is_u64(rig.cache.writes - writes, 11, "direct:one_write_names_them_all");
	is_u64(rig.cache.blocks_written - blocks, 88, "direct:of_one_unit");
	ok(!vci_direct_pending(rig.c), "direct:nothing_is_left_to_be_named");
	is_u64(rig.backing.reads + rig.backing.writes + rig.backing.flushes, backing,
	       "direct:leaves_the_backing_device_alone");
	crash(SIM_CUT_LOSE_ALL);
	is_u64(rig.report.torn, 0, "direct:has_no_checksum");
	for (i = 0; i < 10; i++)
		if (rig_value(&rig, 100 + 16 * i) != (int)i + 1)
			break;
	is_u64(i, 10, "direct:survives_a_crash_when_flushed");
	assert(!vci_redo_finish(rig.c));
	is_u64(rig.c->stats.dirty_blocks, 88, "direct:is_dirty_then");
	assert(!rig_write_back(&rig) && !rig_close(&rig));
	is_u64(rig_verify(&rig), 0, "direct:closes_well");
	rig_exit(&rig);
}

static void test_when(void)
{
	struct vci_direct_write w;
	u32 i, n;

	setup();
	ok(!vci_direct_begin(rig.c, 0, 8, true, &w), "direct:not_small_ones_with_fua");
	ok(!begin(0, 4, &w) && !begin(0, 12, &w), "direct:whole_units_only");
	n = vci_direct_begin(rig.c, 0, 128, true, &w);
	is_u64(n, 128, "direct:large_ones_with_fua");
	vci_direct_failed(rig.c, &w, 0);
	assert(!flush());
	for (i = 0; !begin(0, 8, &w); i++)
		;
	is_u64(i, 4, "direct:not_the_first_four_after_a_flush");
	vci_direct_failed(rig.c, &w, 0);
	assert(!flush() && begin(0, 128, &w) == 128);
	vci_direct_failed(rig.c, &w, 0);
	ok(!vci_direct_pending(rig.c), "direct:what_was_refused_needs_no_name");
	assert(!rig_close(&rig));
	rig.ordered = true;
	assert(!rig_open(&rig) && !rig_log_write(&rig, 0, 8, 1, false));
	ok(!begin(0, 128, &w), "direct:not_when_ordered");
	rig_exit(&rig);
}

static void test_lost(void)
{
	setup();
	assert(!direct(0, 8, 1) && !direct(8, 8, 2) && !flush());
	assert(!rig_log_write(&rig, 0, 8, 3, false) && !flush());
	many_writes();
	assert(!direct(0, 8, 4) && !direct(16, 8, 4));
	is_u64(rig_value(&rig, 0), 4, "direct:counts_when_it_landed");
	crash(SIM_CUT_KEEP_ALL);
	is_u64(rig_value(&rig, 0), 3, "direct:may_be_lost_before_a_flush");
	ok(rig_value(&rig, 16) != 4, "direct:so_may_what_is_new");
	is_u64(rig_value(&rig, 8), 2, "direct:but_not_what_was_named");
	rig_exit(&rig);
}

/* D1 */
static void test_order(void)
{
	setup();
	assert(!direct(0, 8, 1) && !direct(0, 8, 2) && !direct(4, 8, 3));
	assert(!rig_log_write(&rig, 100, 8, 7, false));
	ok(!vci_direct_pending(rig.c), "direct:a_batch_names_what_landed_before");
	assert(!direct(200, 8, 1) && !rig_log_write(&rig, 200, 8, 2, false));
	assert(!rig_log_write(&rig, 300, 8, 1, false) && !direct(300, 8, 2));
	assert(!flush());
	crash(SIM_CUT_LOSE_ALL);
	is_u64(rig_value(&rig, 0), 2, "direct:two_in_the_order_they_landed");
	is_u64(rig_value(&rig, 4), 3, "direct:and_a_third");
	is_u64(rig_value(&rig, 200), 2, "direct:a_batch_behind_it_counts");
	is_u64(rig_value(&rig, 300), 2, "direct:it_counts_behind_a_batch");
	rig_exit(&rig);
}

/* D1: who is in the gate with users' writes is mapped first. */
static void test_gate(void)
{
	struct vci_direct_write w;

	setup();
	assert(begin(0, 8, &w) == 8 && !write_data(&w, 1));
	assert(vci_append_enter(rig.c));
	is_u64(-vci_direct_end(rig.c, &w), EBUSY, "direct:waits_for_users_in_the_gate");
	is_u64(-vci_direct_end_sleep(rig.c, &w), EBUSY, "direct:and_doesnt_sleep_for_them");
	vci_append_leave(rig.c);
	vci_append_wait(rig.c);
	is_u64(vci_direct_end(rig.c, &w), 0, "direct:waits_for_nobody_else");
	vci_append_leave(rig.c);
	is_u64(rig_value(&rig, 0), 1, "direct:lands_then");
	rig_exit(&rig);
}

/* D2: a FLUSH while a batch in flight names it. */
static void test_flush_in_flight(void)
{
	struct vci_append a = { 0 };
	struct vci_fill *f = &rig.fill;

	setup();
	assert(!direct(0, 8, 1) && vci_append_enter(rig.c));
	vci_fill_init(f, rig.buffer, vci_cache_batch_blocks(rig.c),
		      vci_cache_batch_align(rig.c));
	f->write = true;
	assert(!vci_append_begin(rig.c, f, &a));
	ok(vci_direct_flush(rig.c), "direct:has_no_name_before_that_is_complete");
	assert(!vci_write(&rig.cache.dev, a.addr, a.blocks,
			  f->buffer + a.skip * VCI_BLOCK_SIZE, a.flags));
	assert(!vci_append_map(rig.c, f, &a));
	ok(!vci_direct_flush(rig.c), "direct:has_one_then");
	is_u64(-vci_append_begin(rig.c, f, &a), ENODATA, "direct:nothing_to_name");
	vci_append_leave(rig.c);
	rig_exit(&rig);
}

/* D2: what has FUA, and a batch has named that may not be durable. */
static void test_fua(void)
{
	static const struct vci_ticket none;
	struct vci_append a = { 0 };
	struct vci_fill *f = &rig.fill;
	int i;

	setup();
	assert(!flush());
	many_writes();
	assert(!direct(0, 8, 1) && !rig_log_write(&rig, 100, 8, 7, false));
	assert(vci_append_enter(rig.c));
	vci_fill_init(f, rig.buffer, vci_cache_batch_blocks(rig.c),
		      vci_cache_batch_align(rig.c));
	f->write = f->fua = f->landed = true;
	is_u64(-vci_append_begin(rig.c, f, &a), EAGAIN, "direct:named_by_others_it_wants_a_flush");
	i = vci_fill_reserve(f, 200, 8, &none);
	memset(vci_fill_data(f, i), 2, 8 * VCI_BLOCK_SIZE);
	vci_fill_commit(f, i, true);
	assert(!vci_append_begin(rig.c, f, &a));
	is_u64(a.flags, VCI_IO_FUA | VCI_IO_PREFLUSH, "direct:or_a_batch_that_flushes_before");
	assert(!vci_write(&rig.cache.dev, a.addr, a.blocks,
			  f->buffer + a.skip * VCI_BLOCK_SIZE, a.flags));
	assert(!vci_append_map(rig.c, f, &a));
	vci_append_leave(rig.c);
	crash(SIM_CUT_LOSE_ALL);
	is_u64(rig_value(&rig, 0), 1, "direct:it_is_durable_then");
	rig_exit(&rig);
}

/* D6, and the flag of D7. */
static void test_checkpoint(void)
{
	struct vci_direct_write w;
	struct vci_header h;

	setup();
	rig_header(&rig, &h);
	ok(h.incompat & VCI_INCOMPAT_DIRECT, "direct:old_readers_are_warned");
	assert(!direct(0, 8, 1) && !vci_cache_checkpoint(rig.c));
	ok(!vci_direct_pending(rig.c), "direct:a_checkpoint_names_it");
	crash(SIM_CUT_LOSE_ALL);
	is_u64(rig_value(&rig, 0), 1, "direct:it_is_in_the_checkpoint");
	many_writes();
	assert(!rig_write_back(&rig) && begin(0, 8, &w) == 8);
	assert(!vci_cache_checkpoint(rig.c));
	rig_header(&rig, &h);
	ok(h.flags & VCI_HDR_DIRTY, "direct:in_flight_the_image_says_dirty");
	assert(!write_data(&w, 5) && !vci_direct_end(rig.c, &w) && !flush());
	crash(SIM_CUT_LOSE_ALL);
	is_u64(rig_value(&rig, 0), 5, "direct:in_flight_over_a_checkpoint");
	assert(!rig_write_back(&rig) && !rig_close(&rig));
	rig_header(&rig, &h);
	ok(!(h.incompat & VCI_INCOMPAT_DIRECT), "direct:a_closed_image_is_for_all");
	rig_exit(&rig);
}

/* D8 */
static void test_in_place(void)
{
	struct vci_direct_write w;
	bool hit;

	setup();
	assert(!direct(0, 8, 1));
	ok(!vci_place_begin(rig.c, 0, 8, &hit), "direct:not_overwritten_before_a_checkpoint");
	assert(begin(100, 8, &w) == 8 && !vci_cache_checkpoint(rig.c));
	ok(!vci_place_begin(rig.c, 0, 8, &hit), "direct:nor_beside_one_in_flight");
	assert(!write_data(&w, 1) && !vci_direct_end(rig.c, &w));
	assert(!vci_cache_checkpoint(rig.c));
	ok(vci_place_begin(rig.c, 100, 8, &hit), "direct:overwritten_in_place");
	vci_place_end(rig.c, 100, 8, 0);
	assert(!direct(200, 8, 1));
	ok(!vci_place_begin(rig.c, 200, 8, &hit), "direct:not_behind_the_checkpoint");
	while (rig.c->direct.used < SEGMENT)
		assert(!direct(1000 + rig.c->direct.used, 8, 1));
	assert(!vci_cache_checkpoint(rig.c) && !direct(200, 8, 2));
	ok(!vci_place_begin(rig.c, 200, 8, &hit), "direct:nor_in_a_segment_begun_since");
	rig_exit(&rig);
}

/* Between freeze and commit. */
static void open_in_checkpoint(void *ctx)
{
	bool *opened = ctx;

	if (*opened || !rig.c || !rig.c->nodes.in_checkpoint)
		return;
	*opened = true;
	assert(!direct(200, 8, 1));
}

static void test_opened_since(void)
{
	bool opened = false, hit;

	setup();
	assert(!direct(1000, SEGMENT, 1) && !flush());
	many_writes();
	rig.power.hook = open_in_checkpoint;
	rig.power.ctx = &opened;
	assert(!vci_cache_checkpoint(rig.c) && opened && rig.c->direct.used == 8);
	rig.power.hook = NULL;
	ok(vci_place_begin(rig.c, 1000, 8, &hit), "direct:overwritten_when_it_is_left");
	vci_place_end(rig.c, 1000, 8, 0);
	ok(!vci_place_begin(rig.c, 200, 8, &hit), "direct:not_if_opened_since_the_freeze");
	rig_exit(&rig);
}

/* Places in segments, and in the list. */
static void test_room(void)
{
	struct vci_direct_write w[VCI_DIRECT_NAMES + 1];
	u32 i, n;

	setup();
	assert(!direct(0, SEGMENT - 128, 1));
	is_u64(begin(5000, 256, &w[0]), 128, "direct:ends_with_its_segment");
	ok(!begin(5128, 128, &w[1]), "direct:no_other_one_before_all_landed");
	assert(!write_data(&w[0], 1) && !vci_direct_end(rig.c, &w[0]));
	n = vci_direct_begin(rig.c, 5128, 300, true, &w[0]);
	is_u64(n, 0, "direct:no_halves_of_units");
	n = begin(5128, 256, &w[0]);
	is_u64(n, 256, "direct:several_entries_at_once");
	assert(!write_data(&w[0], 2) && !vci_direct_end(rig.c, &w[0]) && !flush());
	many_writes();
	rig.c->direct.used = 0;
	for (i = 0; i <= VCI_DIRECT_NAMES && rig.c->direct.used < SEGMENT; i++)
		if (!begin(8 * i, 8, &w[i]))
			break;
	n = i;
	for (i = 0; i < n; i++)
		vci_direct_failed(rig.c, &w[i], 0);
	is_u64(n, SEGMENT / 8, "direct:as_many_as_the_segment_has_room_for");
	is_u64(rig.c->direct.promised + rig.c->direct.in_flight, 0,
	       "direct:what_failed_gives_its_place_back");
	rig_exit(&rig);
}

/* What is side by side may be one extent, but not in two segments. */
static void test_border(void)
{
	struct vci_lookup res;
	u64 addr;

	setup();
	assert(!direct(0, SEGMENT - 8, 1) && !direct(5000, 8, 2) && !direct(5008, 8, 2));
	assert(!vci_btree_lookup(rig.c->tree, 5000, 16, &res));
	addr = res.e.addr;
	is_u64(res.e.blocks, 8, "direct:an_extent_ends_with_its_segment");
	assert(!vci_btree_lookup(rig.c->tree, 5008, 8, &res));
	is_u64(res.e.addr, addr + 8, "direct:the_next_segment_is_taken_if_it_can");
	rig_exit(&rig);
}

/* A batch can name them all, whatever it holds itself. */
static void test_full(void)
{
	struct vci_direct_write w[VCI_DIRECT_NAMES + 1];
	u32 i, n;

	setup();
	for (i = 0; !vci_direct_due(rig.c); i++)
		assert(!direct(16 * i, 8, 1));
	is_u64(i, 64, "direct:then_a_batch_is_due");
	rig_exit(&rig);
	setup_with(65536, 2048);
	for (n = 0; n <= VCI_DIRECT_NAMES && begin(16 * n, 8, &w[n]); n++)
		assert(!write_data(&w[n], 1));
	is_u64(n, VCI_DIRECT_NAMES, "direct:as_many_as_a_batch_can_name");
	for (i = 0; i < n; i++)
		assert(!vci_direct_end(rig.c, &w[i]));
	is_u64(rig_log_writes(&rig, 20001, 100, 2), 0, "direct:a_full_batch_is_behind_them");
	assert(!flush());
	crash(SIM_CUT_LOSE_ALL);
	for (i = 0; i < n && rig_value(&rig, 16 * i) == 1; i++)
		;
	is_u64(i, n, "direct:all_are_found");
	is_u64(rig_value(&rig, 20001), 2, "direct:and_the_batch");
	rig_exit(&rig);
}

/* D6: between freeze and commit. */
static void name_in_checkpoint(void *ctx)
{
	bool *named = ctx;

	if (*named || !rig.c || !rig.c->nodes.in_checkpoint)
		return;
	*named = true;
	assert(!vci_direct_name(rig.c));
}

/* What a batch names lies in no segment that the checkpoint before it frees. */
static void test_freed(void)
{
	u32 segment, off = 20000;
	bool named = false;

	setup();
	assert(!direct(0, SEGMENT, 1));
	segment = rig.c->direct.segment;
	assert(!direct(0, SEGMENT, 2) && !rig.c->segments.s[segment].live);
	rig.power.hook = name_in_checkpoint;
	rig.power.ctx = &named;
	assert(!vci_reclaim(rig.c, 1, true) && !vci_cache_checkpoint(rig.c) && named);
	rig.power.hook = NULL;
	is_u64(rig.c->segments.s[segment].life, VCI_LIFE_FREE, "direct:its_segment_is_freed");
	rig.c->segments.cursor = segment;
	while (rig.c->log.open[VCI_STREAM_NEW].segment != segment) {
		assert(!rig_log_write(&rig, off, 128, 7, false) && !flush());
		off = off + 128 < 38000 ? off + 128 : 20000;
	}
	assert(!rig_log_write(&rig, 39100, 8, 9, false) && !flush());
	crash(SIM_CUT_KEEP_ALL);
	is_u64(rig_value(&rig, 0), 2, "direct:it_is_found_elsewhere");
	is_u64(rig_value(&rig, 39100), 9, "direct:and_so_is_what_the_log_put_there");
	rig_exit(&rig);
}

/* D5: found by recovery, its segment isn't free; nor is one where something lands. */
static void test_segment(void)
{
	struct vci_direct_write w;
	u32 segment;

	setup();
	assert(!direct(0, 8, 1) && !flush());
	segment = rig.c->direct.segment;
	crash(SIM_CUT_LOSE_ALL);
	is_u64(rig.c->segments.s[segment].life, VCI_LIFE_CLOSED,
	       "direct:its_segment_is_in_use_after_a_crash");
	assert(!rig_log_write(&rig, 100, 8, 1, false));
	many_writes();
	assert(!direct(200, 8, 1));
	ok(rig.c->direct.segment != segment, "direct:the_next_ones_are_elsewhere");
	while (rig.c->direct.used < SEGMENT - 8)
		assert(!direct(1000, 8, 1));
	assert(begin(1000, 8, &w) == 8 && !write_data(&w, 9));
	ok(!begin(2000, 8, &w), "direct:a_segment_with_some_in_flight_is_not_left");
	rig_exit(&rig);
}

/* O3 */
static void test_write_back(void)
{
	setup();
	assert(!direct(0, 8, 1) && !rig_write_back(&rig));
	ok(!vci_direct_pending(rig.c), "direct:is_named_before_it_is_written_back");
	is_u64(sim_disk_peek(&rig.backing, 7)[0], 1, "direct:is_written_back");
	crash(SIM_CUT_LOSE_ALL);
	is_u64(rig_value(&rig, 0), 1, "direct:is_clean_then");
	is_u64(rig.c->stats.dirty_blocks, 0, "direct:and_nothing_is_dirty");
	rig_exit(&rig);
}

/* A segment that names opened isn't filled with data that is to be written back. */
static void test_reserve(void)
{
	u32 off = 100, n = 0, i;
	int r;

	setup();
	assert(!direct(0, 8, 1));
	while (!(r = rig_log_write(&rig, off, 128, 7, false)))
		off += 128;
	while (!(r = rig_log_write(&rig, off, 8, 7, false)))
		off += 8;
	assert(r == -ENOSPC);
	for (i = 0; vci_nr_available(rig.c) == 2 && i < 10; i++) {
		many_writes();
		assert(!direct(8 * i, 8, 2) && !vci_direct_name(rig.c));
	}
	is_u64(vci_nr_available(rig.c), 1, "direct:names_may_open_what_is_kept_for_records");
	while (!(r = rig_log_write(&rig, off, 8, 7, false)) && n++ < 1000)
		off += 8;
	is_u64(n, 0, "direct:data_doesnt_fill_it");
	for (i = 0; i < 5; i++)
		r = vci_cache_maintain(rig.c, true) ? : rig_write_back(&rig);
	is_u64(-r, 0, "direct:write_back_finds_room");
	ok(!rig_log_write(&rig, 200, 8, 5, false), "direct:and_so_do_writes_then");
	rig_exit(&rig);
}

/* ---- with a volatile cache (D3) ---- */

static void setup_volatile(u64 blocks, u32 segment)
{
	rig_init(&rig, blocks, RIG_BACKING, segment);
	rig.direct = rig.volatile_cache = true;
	assert(!rig_open(&rig));
	assert(!rig_log_write(&rig, 39000, 8, 1, false) && !flush());
	many_writes();
}

static void test_volatile_when(void)
{
	struct vci_direct_write w;
	u32 i;

	setup_volatile(16384, SEGMENT);
	ok(!begin(0, 8, &w), "volatile:small_ones_share_batches");
	assert(!direct(0, 128, 1));
	is_u64(begin(200, 8, &w), 8, "volatile:but_not_when_they_would_have_to_name_others");
	vci_direct_failed(rig.c, &w, 0);
	ok(!vci_direct_begin(rig.c, 1000, 128, true, &w), "volatile:none_with_fua");
	for (i = 0; !begin(2000, 128, &w); i++)
		;
	is_u64(i, 4, "volatile:nor_four_behind_that");
	vci_direct_failed(rig.c, &w, 0);
	assert(!flush());
	for (i = 0; !begin(2000, 128, &w); i++)
		;
	is_u64(i, 4, "volatile:nor_four_behind_a_flush");
	vci_direct_failed(rig.c, &w, 0);
	rig_exit(&rig);
}

/* The batch of a FLUSH, which the shell would submit: 0, or what vci_append_begin() said. */
static int flush_batch(struct vci_append *a)
{
	struct vci_fill *f = &rig.fill;
	int r;

	assert(vci_append_enter(rig.c));
	vci_fill_init(f, rig.buffer, vci_cache_batch_blocks(rig.c),
		      vci_cache_batch_align(rig.c));
	f->write = f->flush = true;
	r = vci_append_begin(rig.c, f, a);
	if (!r) {
		assert(!vci_write(&rig.cache.dev, a->addr, a->blocks,
				  f->buffer + a->skip * VCI_BLOCK_SIZE, a->flags));
		assert(!vci_append_map(rig.c, f, a));
	}
	vci_append_leave(rig.c);
	return r;
}

static void test_volatile_flush(void)
{
	struct vci_flush_token t;
	struct vci_append a;

	setup_volatile(16384, SEGMENT);
	assert(!direct(0, 128, 1) && !flush_batch(&a));
	is_u64(a.flags, VCI_IO_FUA | VCI_IO_PREFLUSH, "volatile:a_flush_names_with_both_flags");
	ok(!vci_flush_cache_begin(rig.c, &t), "volatile:and_needs_no_other_one");
	crash(SIM_CUT_LOSE_ALL);
	is_u64(rig_value(&rig, 0), 1, "volatile:what_is_flushed_is_there");
	rig_exit(&rig);
}

/* Writes in place that complete behind the flush are another's. */
static void test_volatile_flush_in_place(void)
{
	struct vci_fill *f = &rig.fill;
	struct vci_flush_token t;
	struct vci_append a;
	bool hit;

	setup_volatile(16384, SEGMENT);
	assert(!direct(0, 128, 1) && !vci_cache_checkpoint(rig.c) && !direct(500, 128, 1));
	assert(vci_place_begin(rig.c, 0, 8, &hit));
	vci_place_end(rig.c, 0, 8, 0);
	assert(!flush_batch(&a));
	ok(!vci_flush_cache_begin(rig.c, &t), "volatile:it_flushes_what_was_in_place_before");
	many_writes();
	assert(!direct(1000, 128, 1) && vci_append_enter(rig.c));
	vci_fill_init(f, rig.buffer, vci_cache_batch_blocks(rig.c),
		      vci_cache_batch_align(rig.c));
	f->write = f->flush = true;
	assert(!vci_append_begin(rig.c, f, &a) && vci_place_begin(rig.c, 0, 8, &hit));
	assert(!vci_write(&rig.cache.dev, a.addr, a.blocks,
			  f->buffer + a.skip * VCI_BLOCK_SIZE, a.flags));
	vci_place_end(rig.c, 0, 8, 0);
	assert(!vci_append_map(rig.c, f, &a));
	vci_append_leave(rig.c);
	ok(vci_flush_cache_begin(rig.c, &t), "volatile:not_what_came_meanwhile");
	rig_exit(&rig);
}

/* D3: whatever the device keeps, a name is never there without its data. */
static void test_volatile_name(void)
{
	u64 flushes;
	u32 cut;

	for (cut = 0; cut < SIM_CUTS; cut++) {
		setup_volatile(16384, SEGMENT);
		assert(!direct(0, 128, 1));
		flushes = rig.cache.flushes;
		assert(!vci_direct_name(rig.c));
		is_u64(rig.cache.flushes - flushes, 1, "volatile:%u:flushed_before_named", cut);
		assert(!direct(0, 128, 2) && !direct(300, 128, 3));
		assert(!rig_log_write(&rig, 1000, 8, 4, false));
		ok(!vci_direct_pending(rig.c), "volatile:%u:users_name_it_too", cut);
		is_u64(rig.cache.flushes - flushes, 2, "volatile:%u:with_a_flush", cut);
		assert(!rig_log_write(&rig, 1100, 8, 4, false));
		is_u64(rig.cache.flushes - flushes, 2, "volatile:%u:none_without_names", cut);
		crash(cut);
		ok(rig_value(&rig, 0) == 1 || rig_value(&rig, 0) == 2,
		   "volatile:%u:one_of_both", cut);
		ok(rig_value(&rig, 0) == 1 || rig_value(&rig, 300) == 3,
		   "volatile:%u:named_together", cut);
		rig_exit(&rig);
	}
}

/* Lands while a batch that names is on its way. */
static void land_one(void *ctx)
{
	bool *landed = ctx;

	if (*landed)
		return;
	*landed = true;
	assert(!direct(500, 128, 2));
}

static void test_volatile_meanwhile(void)
{
	bool landed = false;
	u64 flushes;

	setup_volatile(16384, SEGMENT);
	assert(!direct(0, 128, 1));
	flushes = rig.cache.flushes;
	rig.power.hook = land_one;
	rig.power.ctx = &landed;
	assert(!vci_direct_name(rig.c) && landed);
	rig.power.hook = NULL;
	ok(vci_direct_pending(rig.c), "volatile:what_lands_meanwhile_is_not_named");
	assert(!vci_direct_name(rig.c));
	is_u64(rig.cache.flushes - flushes, 2, "volatile:nor_flushed");
	rig_exit(&rig);
}

/* More than one batch can name: the first flushes for them all. */
static void test_volatile_row(void)
{
	u64 flushes, batches;
	u32 i, n;

	setup_volatile(65536, 2048);
	for (i = 0; !vci_direct_due(rig.c); i++)
		assert(!direct(i ? 128 + 8 * i : 0, i ? 8 : 128, 1 + i % 200));
	is_u64(i, 768, "volatile:many_may_wait_for_one_flush");
	n = i;
	flushes = rig.cache.flushes;
	batches = rig.c->stats.batches;
	assert(!rig_log_write(&rig, 20001, 100, 2, false));
	is_u64(rig.cache.flushes - flushes, 1, "volatile:one_flush_for_many_batches");
	is_u64(rig.c->stats.batches - batches, DIV_ROUND_UP(n, VCI_DIRECT_NAMES) + 1, "volatile:in_a_row");
	assert(!flush());
	crash(SIM_CUT_LOSE_ALL);
	for (i = 0; i < n && rig_value(&rig, i ? 128 + 8 * i : 0) == 1 + (int)i % 200; i++)
		;
	is_u64(i, n, "volatile:all_are_found");
	rig_exit(&rig);
	setup_volatile(16384, 128);
	is_u64(rig.c->direct.max, 4 * VCI_DIRECT_NAMES, "volatile:fewer_in_small_segments");
	rig_exit(&rig);
}

/* D6: a checkpoint commits between two batches of a row. */
struct late_row {
	bool named;
	u64 flushes;
};

static void name_one(void *ctx)
{
	struct late_row *row = ctx;
	struct vci_entry *e;
	u32 to;

	if (row->named || !rig.c || !rig.c->nodes.in_checkpoint)
		return;
	row->named = true;
	/* The first of two: as far as it has got when the header switches. */
	e = calloc(VCI_DIRECT_NAMES, sizeof(*e));
	assert(e && vci_direct_list(rig.c, e, &to) == 1);
	free(e);
}

static void test_volatile_row_and_checkpoint(void)
{
	struct late_row row = { 0 };

	setup_volatile(16384, SEGMENT);
	rig.c->direct.names = 1;
	assert(!direct(0, 128, 1) && !direct(0, 128, 2));
	rig.power.hook = name_one;
	rig.power.ctx = &row;
	assert(!vci_cache_checkpoint(rig.c) && row.named);
	rig.power.hook = NULL;
	ok(vci_direct_flush(rig.c), "volatile:a_flush_waits_for_the_whole_row");
	assert(!flush());
	crash(SIM_CUT_LOSE_ALL);
	is_u64(rig_value(&rig, 0), 2, "volatile:nothing_old_comes_back");
	rig_exit(&rig);
}

/* Once, behind the checkpoint's flush. */
static bool is_late(struct late_row *row)
{
	if (row->named || !rig.c || !rig.c->nodes.in_checkpoint ||
	    rig.cache.flushes == row->flushes)
		return false;
	row->named = true;
	return true;
}

/* A row there, as the stream's worker makes it. */
static void name_late(void *ctx)
{
	if (!is_late(ctx))
		return;
	assert(vci_append_enter(rig.c) && !vci_append_prepare(rig.c));
	vci_append_leave(rig.c);
}

/* What was acknowledged with FUA: in place, if it may be. */
static void overwrite_with_fua(void)
{
	bool hit;
	u64 addr = vci_place_begin(rig.c, 0, 8, &hit);

	if (!addr) {
		assert(!rig_log_write(&rig, 0, 8, 3, true));
		return;
	}
	memset(rig.data, 3, 8 * VCI_BLOCK_SIZE);
	assert(!vci_write(&rig.cache.dev, addr, 8, rig.data, VCI_IO_FUA));
	vci_place_end(rig.c, 0, 8, 0);
}

/* With two of a row named by @hook in a checkpoint, and perhaps the rest later: lost? */
static bool loses_fua(void (*hook)(void *ctx), u32 seed, bool later)
{
	struct late_row row = { 0 };
	bool lost;

	setup_volatile(16384, SEGMENT);
	rig.rng.state = seed;
	rig.c->direct.names = 1;
	assert(!direct(0, 128, 1) && !direct(0, 128, 2));
	row.flushes = rig.cache.flushes;
	rig.power.hook = hook;
	rig.power.ctx = &row;
	assert(!vci_cache_checkpoint(rig.c) && row.named);
	rig.power.hook = NULL;
	overwrite_with_fua();
	assert(!later || !vci_direct_name(rig.c));
	crash(SIM_CUT_WRITES);
	lost = rig_value(&rig, 0) != 3;
	rig_exit(&rig);
	return lost;
}

/* ... or the row has named a part, and goes on when the checkpoint is complete. */
static void test_volatile_row_and_fua(void)
{
	u32 i, lost = 0, lost_later = 0;

	for (i = 1; i <= 100; i++) {
		lost += loses_fua(name_late, i, false);
		lost_later += loses_fua(name_one, i, true);
	}
	is_u64(lost, 0, "volatile:fua_in_place_survives_a_row");
	is_u64(lost_later, 0, "volatile:nor_does_it_lose_any_later");
}

static void land_late(void *ctx)
{
	if (!is_late(ctx))
		return;
	assert(!direct(500, 128, 2));
}

static void test_volatile_checkpoint(void)
{
	struct late_row row = { 0 };
	u64 flushes;

	setup_volatile(16384, SEGMENT);
	row.flushes = rig.cache.flushes;
	rig.power.hook = land_late;
	rig.power.ctx = &row;
	assert(!vci_cache_checkpoint(rig.c) && row.named);
	rig.power.hook = NULL;
	flushes = rig.cache.flushes;
	assert(!vci_direct_name(rig.c));
	is_u64(rig.cache.flushes - flushes, 1, "volatile:a_checkpoint_flushes_none_that_land_later");
	rig_exit(&rig);
}

static void test_failure(void)
{
	struct vci_direct_write w;

	setup();
	assert(!rig_write_back(&rig) && begin(0, 8, &w) == 8);
	vci_cache_fail(rig.c, -EIO);
	ok(vci_cache_is_stuck(rig.c), "direct:a_cache_that_fails_under_it_is_stuck");
	assert(!write_data(&w, 1) && !vci_direct_end(rig.c, &w));
	ok(vci_cache_is_stuck(rig.c), "direct:it_stays_so");
	ok(vci_direct_flush(rig.c) && vci_direct_name(rig.c) == -EIO,
	   "direct:it_cant_be_named_any_more");
	ok(!begin(100, 8, &w), "direct:there_are_no_more_of_them");
	rig_exit(&rig);
	setup();
	assert(!rig_write_back(&rig) && begin(0, 8, &w) == 8);
	vci_direct_failed(rig.c, &w, -EIO);
	ok(vci_cache_is_stuck(rig.c), "direct:one_that_fails_makes_it_stuck");
	rig_exit(&rig);
}

/* Stuck only for as long as nobody knows what becomes of it. */
static void test_failure_in_flight(void)
{
	struct vci_direct_write d;
	struct vci_write w;

	setup();
	assert(!rig_fill(&rig, 100, 8) && !vci_cache_checkpoint(rig.c) && !rig_write_back(&rig));
	assert(begin(500, 8, &d) == 8);
	vci_cache_fail(rig.c, -EIO);
	assert(vci_write_begin(rig.c, &w, 100, 8) == -EAGAIN);
	is_u64(-vci_write_prepare(rig.c, &w), EIO, "direct:nothing_is_unmapped_any_more");
	is_u64(-vci_cache_retire(rig.c), EAGAIN, "direct:in_flight_nobody_goes_past_the_cache");
	vci_direct_failed(rig.c, &d, 0);
	ok(!vci_cache_is_stuck(rig.c) && !vci_cache_is_retired(rig.c),
	   "direct:refused_it_makes_nothing_dirty");
	is_u64(vci_cache_retire(rig.c), 0, "direct:the_image_is_told_then");
	memset(rig.data, 0x77, 8 * VCI_BLOCK_SIZE);
	assert(!vci_write(&rig.backing.dev, 100, 8, rig.data, 0));
	assert(!vci_flush(&rig.backing.dev));
	vci_write_end(rig.c, &w, NULL);
	is_u64(vci_write_begin(rig.c, &w, 200, 8), 0, "direct:writes_need_no_announcing_then");
	vci_write_end(rig.c, &w, NULL);
	crash(SIM_CUT_KEEP_ALL);
	is_u64(rig_value(&rig, 100), 0x77, "direct:what_went_past_is_read_after_a_crash");
	rig_exit(&rig);
}

int main(void)
{
	test_cost();
	test_when();
	test_lost();
	test_order();
	test_gate();
	test_flush_in_flight();
	test_fua();
	test_checkpoint();
	test_in_place();
	test_opened_since();
	test_room();
	test_border();
	test_full();
	test_freed();
	test_segment();
	test_write_back();
	test_reserve();
	test_volatile_when();
	test_volatile_flush();
	test_volatile_flush_in_place();
	test_volatile_name();
	test_volatile_meanwhile();
	test_volatile_row();
	test_volatile_row_and_checkpoint();
	test_volatile_row_and_fua();
	test_volatile_checkpoint();
	test_failure();
	test_failure_in_flight();
	return done_testing();
}
