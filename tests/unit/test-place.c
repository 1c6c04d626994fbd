// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes in place (O12): when there are any, what they cost, and what a crash leaves.
 */
#include "rig.h"

/* Extents of a batch; those of two take two batches of records. */
#define MANY	100u

static_assert(2 * MANY > VCI_BATCH_ENTRIES_MAX);

static struct rig rig;

static void setup(bool ordered)
{
	rig_init(&rig, 4096, RIG_BACKING, 128);
	rig.ordered = ordered;
	assert(!rig_open(&rig));
}

/* Such a write as the shell does it.  Return: 0, 1 if it must go to the log, -errno. */
static int place(u64 off, u32 blocks, u32 value)
{
	bool hit;
	u64 addr = vci_place_begin(rig.c, off, blocks, &hit);
	int r;

	if (!addr)
		return 1;
	memset(rig.data, value, (size_t)blocks * VCI_BLOCK_SIZE);
	r = vci_write(&rig.cache.dev, addr, blocks, rig.data, 0);
	vci_place_end(rig.c, off, blocks, r);
	return r;
}

static void test_cost(void)
{
	u64 writes, flushes, blocks, backing;

	setup(false);
	assert(!rig_log_write(&rig, 0, 32, 1, false) && !vci_cache_checkpoint(rig.c));
	assert(!rig_flush(&rig));
	writes = rig.cache.writes;
	flushes = rig.cache.flushes;
	blocks = rig.cache.blocks_written;
	backing = rig.backing.reads + rig.backing.writes + rig.backing.flushes;
	is_u64(place(8, 8, 2), 0, "place:over_dirty_data");
	is_u64(rig.cache.writes - writes, 1, "place:is_one_write");
	is_u64(rig.cache.blocks_written - blocks, 8, "place:of_its_own_size");
	is_u64(rig_value(&rig, 8), 2, "place:is_read_back");
	is_u64(rig_value(&rig, 16), 1, "place:leaves_the_rest");
	assert(!rig_flush(&rig) && !rig_flush(&rig));
	is_u64(rig.cache.flushes - flushes, 1, "place:is_flushed_once");
	is_u64(rig.backing.reads + rig.backing.writes + rig.backing.flushes, backing,
	       "place:leaves_the_backing_device_alone");
	rig_crash(&rig, SIM_CUT_LOSE_ALL);
	assert(!rig_open(&rig));
	is_u64(rig_value(&rig, 8), 2, "place:survives_a_crash");
	is_u64(vci_cache_dirty_blocks(rig.c), 32, "place:stays_dirty");
	rig_exit(&rig);
}

/* P2: what a recovery would read, or would map elsewhere. */
static void test_settled(void)
{
	setup(false);
	assert(!rig_log_write(&rig, 0, 8, 1, false));
	is_u64(place(0, 8, 2), 1, "place:not_before_a_checkpoint");
	assert(!vci_cache_checkpoint(rig.c));
	assert(!rig_log_write(&rig, 100, 8, 1, false));
	is_u64(place(0, 8, 3), 0, "place:behind_a_checkpoint");
	is_u64(place(100, 8, 3), 1, "place:not_behind_it_in_the_same_segment");
	is_u64(place(4, 8, 3), 1, "place:not_beyond_the_extent");
	is_u64(place(200, 8, 3), 1, "place:not_where_nothing_is");
	assert(!rig_log_write(&rig, 0, 4, 4, false));
	is_u64(place(0, 4, 5), 1, "place:not_what_the_log_overwrote");
	is_u64(place(4, 4, 5), 0, "place:but_what_it_left");
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	assert(!rig_open(&rig));
	is_u64(place(4, 4, 6), 1, "place:not_after_a_crash");
	is_u64(rig_value(&rig, 0), 4, "place:the_log_counts");
	is_u64(rig_value(&rig, 4), 5, "place:what_was_placed_counts");
	rig_exit(&rig);
	setup(true);
	assert(!rig_log_write(&rig, 0, 8, 1, false) && !vci_cache_checkpoint(rig.c));
	is_u64(place(0, 8, 2), 1, "place:not_when_ordered");
	rig_exit(&rig);
}

/* A segment's next life isn't settled because the one before was. */
static void test_next_life(void)
{
	u32 i, placed = 0;

	setup(false);
	for (i = 0; i < 1000; i++) {
		if (rig_log_write(&rig, 8 * (i % 20), 8, i, false) == -ENOSPC)
			assert(!vci_cache_maintain(rig.c, false));
		else
			placed += !place(8 * (i % 20), 8, i + 1);
	}
	ok(rig.c->stats.checkpoints > 2, "place:segments_came_round");
	is_u64(placed, 0, "place:never_what_was_logged_since");
	rig_exit(&rig);
}

/* P3 */
static void test_write_back(void)
{
	u64 addr;
	bool hit;

	setup(false);
	assert(!rig_log_write(&rig, 0, 8, 1, false) && !vci_cache_checkpoint(rig.c));
	addr = vci_place_begin(rig.c, 0, 8, &hit);
	assert(addr && hit && !rig.drained);
	is_u64(rig_write_back(&rig), 0, "place:write_back_beside_it");
	is_u64(rig.drained, 1, "place:write_back_waited");
	vci_place_end(rig.c, 0, 8, 0);
	is_u64(place(0, 8, 3), 1, "place:not_what_is_clean");
	assert(!rig_log_write(&rig, 0, 8, 4, false) && !vci_cache_checkpoint(rig.c));
	vci_tickets_copy_begin(&rig.c->tickets, 120, 16);
	is_u64(place(0, 8, 5), 1, "place:not_what_is_copied");
	vci_tickets_copy_end(&rig.c->tickets, 120, 16);
	is_u64(place(0, 8, 6), 0, "place:when_it_was");
	rig.drained = 0;
	is_u64(rig_write_back(&rig), 0, "place:write_back_behind_it");
	is_u64(rig.drained, 0, "place:nobody_to_wait_for");
	is_u64(sim_disk_peek(&rig.backing, 0)[0], 6, "place:is_written_back");
	rig_exit(&rig);
}

/* P6: what is copied is durable, before a record calls it clean. */
static void test_durable(void)
{
	u64 flushes;

	setup(false);
	assert(!rig_log_write(&rig, 0, 8, 1, false) && !vci_cache_checkpoint(rig.c));
	assert(!rig_flush(&rig) && !place(0, 8, 2));
	flushes = rig.cache.flushes;
	assert(!rig_write_back(&rig));
	is_u64(rig.cache.flushes - flushes, 2, "place:flushed_before_it_is_copied");
	rig_exit(&rig);
}

static bool placed_meanwhile;
static u32 nr_meanwhile;

static void place_meanwhile(void *ctx)
{
	(void)ctx;
	rig.power.in_hook_io = true;
	if (!place(0, 8, 2))
		placed_meanwhile = true;
	rig.power.in_hook_io = false;
	nr_meanwhile++;
}

/* P6: nor does anything come between the flush and the copying, or behind it. */
static void test_meanwhile(void)
{
	setup(false);
	assert(!rig_log_write(&rig, 0, 8, 1, false) && !vci_cache_checkpoint(rig.c));
	assert(!rig_log_write(&rig, 100, 8, 1, false));
	rig.power.hook = place_meanwhile;
	is_u64(rig_write_back(&rig), 0, "place:write_back_meanwhile");
	rig.power.hook = NULL;
	ok(nr_meanwhile > 4, "place:tried_at_each_io");
	ok(!placed_meanwhile, "place:not_from_the_flush_on");
	rig_exit(&rig);
}

/* More than one batch of records takes. */
static void setup_many(void)
{
	setup(false);
	assert(!rig_log_writes(&rig, 0, MANY, 1) &&
	       !rig_log_writes(&rig, 1000, MANY, 1) &&
	       !vci_cache_checkpoint(rig.c));
}

/* Records that mean nothing, until there is no room, or so many.  Returns how many. */
static u32 fill_log(u32 max)
{
	const struct vci_entry e = {
		.off = 30000, .blocks = 1, .kind = VCI_ENTRY_CLEAN,
		.old_addr = rig.c->segments.addr,
	};
	static u8 unit[VCI_UNIT_SIZE];
	u32 nr = 0;

	while (nr < max && !vci_append_records(rig.c, &e, 1, unit))
		nr++;
	return nr;
}

/* What completes while a flush is under way isn't part of it. */
static void test_flush(void)
{
	struct vci_flush_token t, next;

	setup(false);
	assert(!rig_log_write(&rig, 0, 8, 1, false) && !vci_cache_checkpoint(rig.c));
	assert(!rig_flush(&rig) && !place(0, 8, 2));
	ok(vci_flush_cache_begin(rig.c, &t), "place:is_to_be_flushed");
	assert(!vci_flush(&rig.cache.dev) && !place(0, 8, 3));
	vci_flush_cache_end(rig.c, &t);
	ok(vci_flush_cache_begin(rig.c, &next), "place:during_a_flush_is_not_part_of_it");
	assert(!rig_flush(&rig));
	ok(!vci_flush_cache_begin(rig.c, &next), "place:nothing_to_flush_then");
	placed_meanwhile = false;
	rig.power.hook = place_meanwhile;
	assert(!vci_cache_flush(rig.c));
	rig.power.hook = NULL;
	ok(placed_meanwhile, "place:during_a_flush_of_the_core");
	ok(vci_flush_cache_begin(rig.c, &next), "place:nor_part_of_that");
	rig_exit(&rig);
}

/* P7: there is room for the first batch of records only: what it says isn't so. */
static void test_called_clean(void)
{
	u32 room;

	setup_many();
	room = fill_log(U32_MAX);
	rig_exit(&rig);
	setup_many();
	is_u64(fill_log(room - 1), room - 1, "place:the_log_is_almost_full");
	is_u64(place(0, 1, 2), 0, "place:before_it_is_called_clean");
	is_u64(rig_write_back(&rig), (u64)-ENOSPC, "place:no_room_for_all_records");
	is_u64(vci_cache_dirty_blocks(rig.c), 2 * MANY,
	       "place:all_stays_dirty");
	is_u64(place(0, 1, 3), 1, "place:not_what_may_be_called_clean");
	assert(!vci_cache_checkpoint(rig.c));
	is_u64(place(0, 1, 4), 0, "place:behind_the_next_checkpoint");
	rig_crash(&rig, SIM_CUT_KEEP_ALL);
	assert(!rig_open(&rig));
	is_u64(rig_value(&rig, 0), 4, "place:and_is_found_there");
	is_u64(vci_cache_dirty_blocks(rig.c), 2 * MANY,
	       "place:dirty_after_a_crash");
	rig_exit(&rig);
}

static void test_error(void)
{
	setup(false);
	assert(!rig_log_write(&rig, 0, 8, 1, false) && !vci_cache_checkpoint(rig.c));
	rig.cache.fail_in = 1;
	is_u64(place(0, 8, 2), (u64)-EIO, "place:error");
	ok(vci_cache_is_failed(rig.c) && vci_cache_is_stuck(rig.c),
	   "place:nothing_is_written_after_an_error");
	is_u64(place(0, 8, 3), 1, "place:none_after_an_error");
	rig_exit(&rig);
}

int main(void)
{
	test_cost();
	test_settled();
	test_next_life();
	test_write_back();
	test_durable();
	test_meanwhile();
	test_flush();
	test_called_clean();
	test_error();
	return done_testing();
}
