// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log: places of batches, and the rule that a segment's name is durable
 * before it is opened (L2).
 */
#include "rig.h"

static struct vci_header h;
static struct vci_segments t;
static struct vci_log log_;

static void setup(u32 nr_free)
{
	u32 i;

	vci_segments_destroy(&t);
	assert(!vci_segments_init(&t, &h));
	for (i = nr_free; i < t.nr; i++)
		vci_segment_set(&t, i, VCI_LIFE_CLOSED);
	vci_log_init(&log_, &t);
	log_.epoch = 7;
}

static void checkpoint(struct vci_header *to)
{
	vci_log_freeze(&log_, to);
	vci_log_commit(&log_, to);
}

static void flush(void)
{
	struct vci_log_flush f;

	vci_log_flush_begin(&log_, &f);
	vci_log_flush_end(&log_, &f);
}

static void test_places(void)
{
	struct vci_batch_info a, b;

	setup(t.nr);
	checkpoint(&h);
	is_u64(vci_log_room(&log_, 0), 0, "log:no_room_at_first");
	is_u64(h.queue[7], 7, "log:checkpoint_names_the_queue");
	is_u64(h.open[0].segment, VCI_NO_SEGMENT, "log:checkpoint_without_an_open_segment");
	is_u64(vci_log_reserve(&log_, 0, 16, 0, &a), 0, "log:first_batch");
	ok(a.seq == 1 && a.epoch == 7 && a.addr == vci_segment_addr(&t, 0) && a.blocks == 16,
	   "log:first_batch_begins_its_segment");
	ok(a.next[0] == 1 && a.next[3] == 4, "log:batch_names_what_follows");
	vci_log_complete(&log_, &a, false);
	is_u64(vci_log_reserve(&log_, 0, t.blocks - 24, 0, &b), 0, "log:second_batch");
	ok(b.seq == 2 && b.addr == a.addr + 16 && !b.durable_seq, "log:second_batch_follows");
	vci_log_complete(&log_, &b, false);
	is_u64(vci_log_room(&log_, 0), 8, "log:room_is_what_is_left");
	flush();
	is_u64(vci_log_reserve(&log_, 0, 16, 0, &a), 0, "log:third_batch_finds_no_room_here");
	ok(a.addr == vci_segment_addr(&t, 1) && a.durable_seq == 2 && a.next[0] == 2,
	   "log:third_batch_opens_the_next_segment");
	is_u64(t.s[0].life, VCI_LIFE_CLOSED, "log:the_full_one_is_closed");
	is_u64(t.s[1].seq, 3, "log:segment_has_the_age_of_its_first_batch");
}

/* Only flushes make names durable. */
static void test_names(void)
{
	struct vci_batch_info info;
	u32 i;
	int r = 0;

	setup(t.nr);
	checkpoint(&h);
	for (i = 0; i < 20 && !r; i++) {
		r = vci_log_reserve(&log_, 0, t.blocks, 0, &info);
		if (!r)
			vci_log_complete(&log_, &info, false);
	}
	ok(r == -EAGAIN && i == VCI_QUEUE + 1, "log:flush_before_an_unnamed_segment");
	flush();
	is_u64(log_.durable_seq, VCI_QUEUE, "log:flush_counts_what_completed");
	is_u64(vci_log_reserve(&log_, 0, t.blocks, 0, &info), 0, "log:opened_after_the_flush");
	ok(info.seq == VCI_QUEUE + 1, "log:waiting_cost_no_number");

	setup(t.nr);
	checkpoint(&h);
	for (i = 0; i < VCI_QUEUE; i++)
		r = vci_log_reserve(&log_, 0, t.blocks, 0, &info);
	ok(!r, "log:queue_of_the_header_is_used_up");
	flush();
	ok(vci_log_reserve(&log_, 0, t.blocks, 0, &info) == -ENOSPC,
	   "log:batch_in_flight_names_nothing");
	checkpoint(&h);
	ok(!vci_log_reserve(&log_, 0, t.blocks, 0, &info), "log:checkpoint_names_the_next");
}

static void test_full(void)
{
	struct vci_batch_info info;
	u32 i;

	setup(2);
	checkpoint(&h);
	is_u64(h.queue[2], VCI_NO_SEGMENT, "log:short_queue");
	for (i = 0; i < 2; i++) {
		ok(!vci_log_reserve(&log_, 0, t.blocks, 0, &info), "log:room_in_segment_%u", i);
		vci_log_complete(&log_, &info, false);
	}
	is_u64(info.next[0], VCI_NO_SEGMENT, "log:nothing_to_name");
	ok(vci_log_reserve(&log_, 0, 16, 0, &info) == -ENOSPC, "log:no_free_segment");
	/* Free, but no batch can name it any more: a flush wouldn't help. */
	vci_segment_set(&t, 5, VCI_LIFE_FREE);
	flush();
	ok(vci_log_reserve(&log_, 0, 16, 0, &info) == -ENOSPC, "log:free_segment_without_a_name");
	checkpoint(&h);
	ok(h.queue[0] == 5 && h.open[0].used == t.blocks && h.nr_epochs == 1,
	   "log:checkpoint_notes_the_position");
	ok(!vci_log_reserve(&log_, 0, 16, 0, &info) && info.addr == vci_segment_addr(&t, 5),
	   "log:goes_on_after_the_checkpoint");
}

static struct vci_batch_info reserve(u32 stream, u32 blocks)
{
	struct vci_batch_info info;

	assert(!vci_log_reserve(&log_, stream, blocks, 0, &info));
	return info;
}

/* One segment each, one queue and one count of numbers for all. */
static void test_streams(void)
{
	struct vci_batch_info a, b, c;

	setup(t.nr);
	checkpoint(&h);
	a = reserve(0, 16);
	vci_log_complete(&log_, &a, false);
	b = reserve(2, 32);
	vci_log_complete(&log_, &b, false);
	ok(b.seq == 2 && b.stream == 2 && b.addr == vci_segment_addr(&t, 1),
	   "log:another_stream_opens_a_segment");
	is_u64(b.next[0], 2, "log:it_names_what_the_log_goes_on_with");
	c = reserve(0, 16);
	ok(c.seq == 3 && c.addr == a.addr + 16, "log:the_first_goes_on_in_its_own");
	ok(vci_log_room(&log_, 0) == t.blocks - 32 && !vci_log_room(&log_, 1) &&
	   vci_log_room(&log_, 2) == t.blocks - 32, "log:room_of_each_stream");
	ok(t.s[1].stream == 2 && t.s[1].life == VCI_LIFE_OPEN && t.s[0].life == VCI_LIFE_OPEN,
	   "log:segment_knows_its_stream");
	/* L3, by stream: what is first there isn't durable yet. */
	ok(vci_log_needs_preflush(&log_, &c), "log:behind_a_first_one_in_the_air");
	vci_log_complete(&log_, &c, false);
	a = reserve(1, 8);
	ok(!vci_log_needs_preflush(&log_, &a), "log:first_of_its_stream_needs_no_preflush");
	vci_log_complete(&log_, &a, false);
	b = reserve(2, 8);
	ok(vci_log_needs_preflush(&log_, &b), "log:second_of_another_needs_one");
	vci_log_complete(&log_, &b, false);
	flush();
	b = reserve(2, 8);
	ok(!vci_log_needs_preflush(&log_, &b), "log:none_behind_a_flush");
	vci_log_complete(&log_, &b, false);
	checkpoint(&h);
	ok(h.open[0].segment == 0 && h.open[1].segment == 2 && h.open[2].segment == 1 &&
	   h.open[0].used == 32 && h.open[1].used == 8 && h.open[2].used == 48,
	   "log:checkpoint_notes_all_streams");
}

int main(void)
{
	struct rig rig;

	rig_init(&rig, 4096, RIG_BACKING, 128);
	rig_header(&rig, &h);
	assert(!vci_segments_init(&t, &h));
	test_places();
	test_names();
	test_full();
	test_streams();
	vci_segments_destroy(&t);
	rig_exit(&rig);
	return done_testing();
}
