// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segments: their lives, and what of them a checkpoint says.
 */
#include "rig.h"

static struct rig rig;
static struct vci_header h;
static struct vci_segments t;

static int load(void)
{
	struct vci_damage dmg;

	vci_segments_destroy(&t);
	assert(!vci_segments_init(&t, &h));
	return vci_segments_load(&t, &rig.cache.dev, &h, &dmg);
}

/* A checkpoint of the table alone; returns what a crash after it leaves. */
static int checkpoint(bool commit)
{
	vci_segments_freeze(&t);
	if (vci_shadow_write(&t.table, &rig.cache.dev, h.uuid, h.checkpoint_gen + 1))
		return -EIO;
	if (!commit)
		return 0;
	h.checkpoint_gen++;
	vci_segments_commit(&t);
	return 0;
}

static void test_free(void)
{
	u32 i, n;

	is_u64(load(), 0, "segment:loads_a_fresh_table");
	is_u64(t.count[VCI_LIFE_FREE], t.nr, "segment:all_are_free_at_first");
	is_u64(vci_segment_take_free(&t), 0, "segment:takes_the_first");
	is_u64(vci_segment_take_free(&t), 1, "segment:takes_the_next");
	for (n = 2; (i = vci_segment_take_free(&t)) != VCI_NO_SEGMENT; n++)
		if (i != n)
			break;
	is_u64(n, t.nr, "segment:takes_each_once");
	is_u64(t.count[VCI_LIFE_QUEUED], t.nr, "segment:all_are_queued");
	vci_segment_set(&t, 3, VCI_LIFE_FREE);
	is_u64(vci_segment_take_free(&t), 3, "segment:finds_the_only_free_one");
}

static void test_accounting(void)
{
	u64 addr = vci_segment_addr(&t, 2);

	is_u64(vci_segment_of(&t, addr), 2, "segment:of_its_first_block");
	is_u64(vci_segment_of(&t, addr + t.blocks - 1), 2, "segment:of_its_last_block");
	is_u64(vci_segment_of(&t, addr + t.blocks), 3, "segment:of_the_next_block");
	vci_segment_mapped(&t, addr + 8, 5);
	vci_segment_mapped(&t, addr + 13, 3);
	vci_segment_unmapped(&t, addr + 9, 4);
	is_u64(t.s[2].live, 4, "segment:counts_live_blocks");
	vci_segment_unmapped(&t, addr + 8, 1);
	vci_segment_unmapped(&t, addr + 13, 3);
	is_u64(t.s[2].live, 0, "segment:counts_down_to_none");
}

static void test_victims(void)
{
	u32 i;

	for (i = 0; i < 6; i++) {
		vci_segment_set(&t, i, VCI_LIFE_CLOSED);
		t.s[i].seq = 100 - i;
		t.s[i].turn = 100 - i;
	}
	is_u64(vci_segments_pick_victims(&t, VCI_STREAMS, vci_segments_age(&t, VCI_STREAMS, 2)), 2, "segment:picks_victims");
	ok(t.s[5].life == VCI_LIFE_VICTIM && t.s[4].life == VCI_LIFE_VICTIM,
	   "segment:picks_the_oldest");
	is_u64(vci_segments_pick_victims(&t, VCI_STREAMS, vci_segments_age(&t, VCI_STREAMS, 100)), 4, "segment:picks_what_there_is");
	is_u64(vci_segments_pick_victims(&t, VCI_STREAMS, vci_segments_age(&t, VCI_STREAMS, 1)), 0, "segment:picks_none_of_others");
	vci_segments_all(&t, VCI_LIFE_VICTIM, VCI_LIFE_DRAINED);
	is_u64(t.count[VCI_LIFE_DRAINED], 6, "segment:all_of_one_life");
}

/* What was renewed is young in its queue, but lies where it lay in the log. */
static void test_in_order(void)
{
	vci_segment_set(&t, 2, VCI_LIFE_CLOSED);
	vci_segment_set(&t, 4, VCI_LIFE_CLOSED);
	t.s[4].turn = t.s[2].turn + 1;
	is_u64(vci_segments_age(&t, VCI_STREAMS, 1), vci_segment_old_turn(t.s[2].seq, 2) - 1,
	       "segment:age_in_the_log");
	is_u64(vci_segments_age(&t, t.s[2].stream, 1), t.s[2].turn, "segment:age_in_its_queue");
	vci_segments_pick_victims(&t, VCI_STREAMS, vci_segment_old_turn(t.s[4].seq, 4));
	ok(t.s[4].life == VCI_LIFE_VICTIM && t.s[2].life == VCI_LIFE_CLOSED,
	   "segment:first_of_the_log");
	vci_segment_set(&t, 4, VCI_LIFE_CLOSED);
	t.s[4].seq = t.s[2].seq;
	is_u64(vci_segments_pick_victims(&t, VCI_STREAMS,
					 vci_segments_age(&t, VCI_STREAMS, 1)), 1,
	       "segment:of_two_with_one_number_one_is_first");
	vci_segment_set(&t, 2, VCI_LIFE_DRAINED);
	vci_segment_set(&t, 4, VCI_LIFE_DRAINED);
}

/* O8: free is what the last durable checkpoint calls free. */
static void test_checkpoints(void)
{
	vci_segment_set(&t, 7, VCI_LIFE_CLOSED);
	vci_segment_set(&t, 8, VCI_LIFE_OPEN);
	vci_segment_set(&t, 9, VCI_LIFE_BAD);
	t.s[7].live = 3;
	ok(!checkpoint(false), "segment:unfinished_checkpoint");
	is_u64(t.count[VCI_LIFE_FREEING], 6, "segment:not_free_before_the_switch");
	is_u64(t.count[VCI_LIFE_FREE], 0, "segment:none_to_take_before_the_switch");
	ok(!load() && t.s[7].life == VCI_LIFE_FREE, "segment:unfinished_does_not_count");

	vci_segment_set(&t, 0, VCI_LIFE_DRAINED);
	vci_segment_set(&t, 1, VCI_LIFE_VICTIM);
	vci_segment_set(&t, 6, VCI_LIFE_QUEUED);
	vci_segment_set(&t, 7, VCI_LIFE_CLOSED);
	vci_segment_set(&t, 8, VCI_LIFE_OPEN);
	vci_segment_set(&t, 9, VCI_LIFE_BAD);
	t.s[7].live = 3;
	t.s[7].seq = 44;
	t.s[7].stream = VCI_STREAM_KEPT;
	ok(!checkpoint(true), "segment:checkpoint");
	is_u64(t.s[0].life, VCI_LIFE_FREE, "segment:drained_is_free_after_the_switch");
	is_u64(t.s[6].life, VCI_LIFE_QUEUED, "segment:queued_stays_queued");
	ok(!load(), "segment:loads_the_checkpoint");
	is_u64(t.s[0].life, VCI_LIFE_FREE, "segment:drained_is_loaded_as_free");
	is_u64(t.s[1].life, VCI_LIFE_CLOSED, "segment:victim_is_loaded_as_closed");
	is_u64(t.s[6].life, VCI_LIFE_FREE, "segment:queued_is_loaded_as_free");
	ok(t.s[7].life == VCI_LIFE_CLOSED && t.s[7].live == 3 && t.s[7].seq == 44,
	   "segment:closed_is_loaded_with_its_age");
	is_u64(t.s[7].stream, VCI_STREAM_KEPT, "segment:and_its_stream");
	is_u64(t.s[8].life, VCI_LIFE_CLOSED, "segment:open_is_loaded_as_closed");
	is_u64(t.s[9].life, VCI_LIFE_BAD, "segment:bad_stays_bad");
}

static void test_damage(void)
{
	struct vci_segment_disk *d = (void *)t.table.data;

	d[4].state = 3;
	vci_shadow_dirty(&t.table, 0);
	vci_shadow_freeze(&t.table);
	ok(!vci_shadow_write(&t.table, &rig.cache.dev, h.uuid, ++h.checkpoint_gen),
	   "segment:page_with_an_unknown_state");
	ok(load() == -EILSEQ, "segment:unknown_state_is_damage");
}

int main(void)
{
	u32 i;

	rig_init(&rig, 4096, RIG_BACKING, 128);
	rig_header(&rig, &h);
	test_free();
	test_accounting();
	test_victims();
	test_in_order();
	test_checkpoints();
	test_damage();
	vci_segments_destroy(&t);
	for (i = 1; i <= 7; i++) {
		vci_alloc_fail_at = i;
		if (vci_segments_init(&t, &h) != -ENOMEM)
			break;
	}
	is_u64(i, 8, "segment:init_without_memory");
	vci_alloc_fail_at = 0;
	is_u64(vci_alloc_live, 0, "segment:frees_all");
	rig_exit(&rig);
	return done_testing();
}
