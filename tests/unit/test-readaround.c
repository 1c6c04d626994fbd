// SPDX-License-Identifier: GPL-2.0-only
/*
 * Read-around: where the I/O of a miss begins and ends, and what of it is stored.
 */
#include "rig.h"

#define BACKING	65536u

static struct rig rig;
static struct vci_plan plan;
static u64 pending_off;
static u32 pending_blocks;

static bool is_pending(void *ctx, u64 off, u32 blocks)
{
	(void)ctx;
	return off >= pending_off && off + blocks <= pending_off + pending_blocks;
}

static const struct vci_plan_ops ops = { .pending = is_pending };

static void setup(void)
{
	rig_init(&rig, 8192, BACKING, 128);
	assert(!rig_open(&rig));
	pending_blocks = 0;
}

/* What is stored: blocks of it of each stream; false if a block was twice or outside. */
static bool stored(u32 blocks[VCI_STREAMS])
{
	struct vci_plan_piece pc;
	u64 at = plan.off;

	memset(blocks, 0, VCI_STREAMS * sizeof(*blocks));
	while (vci_plan_next(rig.c, &plan, &pc)) {
		if (pc.off < at || !pc.blocks || pc.blocks > VCI_ENTRY_BLOCKS_MAX)
			return false;
		at = pc.off + pc.blocks;
		blocks[pc.stream] += pc.blocks;
	}
	return at <= plan.off + plan.blocks;
}

static void test_alone(void)
{
	u32 n[VCI_STREAMS];

	setup();
	vci_plan_read(rig.c, 1003, 21, false, &ops, NULL, &plan);
	ok(plan.off == 1003 && plan.blocks == 21, "readaround:alone_it_is_the_miss");
	ok(stored(n) && n[VCI_STREAM_NEW] == 21 && !n[VCI_STREAM_AHEAD],
	   "readaround:all_of_it_is_stored");
	vci_plan_read(rig.c, 1003, 1000, false, &ops, NULL, &plan);
	ok(stored(n) && n[VCI_STREAM_NEW] == 1000, "readaround:of_any_length");
	rig_exit(&rig);
}

static void test_around(void)
{
	u32 n[VCI_STREAMS];

	setup();
	vci_plan_read(rig.c, 1003, 10, true, &ops, NULL, &plan);
	ok(plan.off == 1000 - 128 && plan.blocks == 128 + 16 + 128,
	   "readaround:hopeful_at_first");
	ok(stored(n) && n[VCI_STREAM_NEW] == 10 && n[VCI_STREAM_AHEAD] == 128 + 6 + 128,
	   "readaround:what_is_around_is_ahead");
	vci_plan_read(rig.c, 1003, 10, true, &ops, NULL, &plan);
	vci_plan_shrink(&plan);
	ok(stored(n) && n[VCI_STREAM_NEW] == 10 && !n[VCI_STREAM_AHEAD],
	   "readaround:can_be_shrunk");
	vci_plan_read(rig.c, 19, 10, true, &ops, NULL, &plan);
	is_u64(plan.off, 0, "readaround:not_before_the_start");
	vci_plan_read(rig.c, BACKING - 11, 2, true, &ops, NULL, &plan);
	is_u64(plan.off + plan.blocks, BACKING, "readaround:not_past_the_end");
	rig_exit(&rig);
}

/* The nearest unit behind 1000..1015 is cached, one before is dirty. */
static void setup_cut(void)
{
	setup();
	assert(!rig_fill(&rig, 1016, 8) && !rig_log_write(&rig, 961, 2, 7, false));
}

static void test_cut(void)
{
	u32 n[VCI_STREAMS];

	setup_cut();
	vci_plan_read(rig.c, 1000, 16, true, &ops, NULL, &plan);
	is_u64(plan.off, 968, "readaround:not_across_what_is_dirty");
	ok(stored(n) && n[VCI_STREAM_AHEAD] == 32 + 128 - 8,
	   "readaround:what_is_cached_is_left_out");
	rig_exit(&rig);
	/* Afresh, for it isn't hopeful any more. */
	setup_cut();
	pending_off = 1024;
	pending_blocks = 16;
	vci_plan_read(rig.c, 1000, 16, true, &ops, NULL, &plan);
	ok(stored(n) && n[VCI_STREAM_AHEAD] == 32 + 128 - 24,
	   "readaround:what_is_on_its_way_is_left_out");
	/* A hole of the miss that was filled meanwhile. */
	vci_plan_read(rig.c, 1000, 16, true, &ops, NULL, &plan);
	assert(!rig_fill(&rig, 1002, 4));
	ok(stored(n) && n[VCI_STREAM_NEW] == 12, "readaround:what_was_filled_is_left_out");
	rig_exit(&rig);
}

static void test_learns(void)
{
	u32 n[VCI_STREAMS], i, around = 0;
	u64 off;

	setup();
	for (i = 0; i < 400; i++) {
		off = (u64)(i * 7919 % 4096) * 16;
		vci_plan_read(rig.c, off, 8, true, &ops, NULL, &plan);
		assert(stored(n));
		around += n[VCI_STREAM_AHEAD] && i >= 300;
	}
	ok(around < 10, "readaround:stops_where_it_is_useless");
	rig_exit(&rig);
	is_u64(vci_alloc_live, 0, "readaround:frees_all");
}

int main(void)
{
	test_alone();
	test_around();
	test_cut();
	test_learns();
	return done_testing();
}
