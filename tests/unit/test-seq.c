// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs of requests: what goes on with one, when it is too long, and which is forgotten.
 */
#include "rig.h"
#include "vci-seq.h"

#define CUTOFF	1024u		/* blocks */

static struct vci_seq s;

static void setup(void)
{
	vci_seq_init(&s, CUTOFF * VCI_BLOCK_SIZE);
}

/* Requests of @blocks from @off on, until one is too long; returns how many weren't. */
static u32 run_from(u64 off, u32 blocks)
{
	u32 nr = 0;

	while (nr < 10000 && !vci_seq_is_long(&s, off + (u64)nr * blocks, blocks))
		nr++;
	return nr;
}

static void test_cutoff(void)
{
	u32 i, nr = 0;

	vci_seq_init(&s, 0);
	is_u64(run_from(0, 8), 10000, "seq:without_cutoff_none_is_long");
	is_u64(s.clock, 0, "seq:without_cutoff_nothing_is_noted");
	setup();
	is_u64(run_from(5000, 8), CUTOFF / 8, "seq:up_to_the_cutoff_it_isnt_long");
	for (i = 0; i < 1000; i++)
		nr += vci_seq_is_long(&s, 5000 + CUTOFF + 8 + i * 8, 8);
	is_u64(nr, 1000, "seq:behind_it_all_are");
	ok(!vci_seq_is_long(&s, 0, 8), "seq:others_arent");
	ok(!vci_seq_is_long(&s, 100000, CUTOFF), "seq:one_request_of_the_cutoff");
	ok(vci_seq_is_long(&s, 200000, CUTOFF + 1), "seq:one_longer_request");
	s.cutoff = 4 * CUTOFF * VCI_BLOCK_SIZE;
	ok(!vci_seq_is_long(&s, 200000 + CUTOFF + 1, 8), "seq:the_cutoff_can_be_changed");
	/* Bytes that are no whole blocks. */
	vci_seq_init(&s, 1);
	ok(vci_seq_is_long(&s, 0, 1), "seq:a_cutoff_of_a_byte");
	vci_seq_init(&s, VCI_BLOCK_SIZE + 1);
	ok(!vci_seq_is_long(&s, 0, 1) && vci_seq_is_long(&s, 1, 1),
	   "seq:a_cutoff_of_one_block_and_a_byte");
	vci_seq_init(&s, ~0ull);
	is_u64(run_from(0, 8), 10000, "seq:a_cutoff_without_bound");
}

static u32 nr_runs(void)
{
	u32 i, nr = 0;

	for (i = 0; i < VCI_SEQ_RUNS; i++)
		nr += !!s.run[i].end;
	return nr;
}

static void test_near(void)
{
	u32 i, nr;

	setup();
	/* 4 KiB missed, 64 KiB of read-around used, and so on. */
	for (i = 0, nr = 0; i < 100; i++)
		nr += !vci_seq_is_long(&s, (u64)i * 136, 8);
	is_u64(nr, CUTOFF / 136 + 1, "seq:hits_between_belong_to_it");
	setup();
	for (i = 0, nr = 0; i < 100; i++)
		nr += vci_seq_is_long(&s, (u64)i * (VCI_SEQ_NEAR + 9), 8);
	is_u64(nr, 0, "seq:what_isnt_near_doesnt");
	setup();
	/* Each second request comes before the one that it follows. */
	for (i = 0, nr = 0; i < 1000; i++)
		nr += !vci_seq_is_long(&s, (u64)(i ^ 1) * 8, 8);
	ok(nr >= CUTOFF / 8 - 1 && nr <= CUTOFF / 8, "seq:may_overtake_each_other");
	setup();
	for (i = 0, nr = 0; i < 10000; i++)
		nr += vci_seq_is_long(&s, 7000 + i * 7919u % 16 * 8, 8);
	is_u64(nr, 0, "seq:the_same_again_and_again_is_no_run");
	setup();
	/* Large ones that come twice each, since the first time they would have waited. */
	for (i = 0, nr = 0; i < 200; i++)
		nr += !vci_seq_is_long(&s, (u64)(i / 2) * 512, 512);
	is_u64(nr, 2 * CUTOFF / 512, "seq:the_same_once_more_makes_it_no_longer");
	is_u64(nr_runs(), 1, "seq:and_is_no_other_run");
	setup();
	for (i = 0, nr = 0; i < 1000; i++)
		nr += vci_seq_is_long(&s, 100000 - (u64)i * 8, 8);
	is_u64(nr, 0, "seq:backwards_is_no_run");
	setup();
	for (i = 0, nr = 0; i < 100000; i++)
		nr += vci_seq_is_long(&s, (u64)i * 2654435761u % 100000000, 8);
	is_u64(nr, 0, "seq:random_is_no_run");
}

/* So many at a time, one request each in turn; returns how many requests were long. */
static u32 interleave(u32 runs)
{
	u32 i, k, nr = 0;

	setup();
	for (i = 0; i < 1000; i++)
		for (k = 0; k < runs; k++)
			nr += vci_seq_is_long(&s, k * 1000000ull + i * 8, 8);
	return nr;
}

static void test_table(void)
{
	u32 k;

	is_u64(interleave(VCI_SEQ_RUNS), VCI_SEQ_RUNS * (1000 - CUTOFF / 8),
	       "seq:as_many_runs_as_there_are_places");
	is_u64(interleave(VCI_SEQ_RUNS + 1), 0, "seq:not_more");
	setup();
	assert(run_from(0, 8) == CUTOFF / 8);
	for (k = 1; k < VCI_SEQ_RUNS; k++)
		assert(!vci_seq_is_long(&s, k * 1000000ull, 8));
	ok(vci_seq_is_long(&s, CUTOFF + 8, 8), "seq:is_remembered");
	for (k = 1; k < VCI_SEQ_RUNS; k++)
		assert(!vci_seq_is_long(&s, k * 2000000ull + 1000, 8));
	ok(vci_seq_is_long(&s, CUTOFF + 16, 8), "seq:the_oldest_is_forgotten_first");
	for (k = 0; k < VCI_SEQ_RUNS; k++)
		assert(!vci_seq_is_long(&s, k * 3000000ull + 5000, 8));
	ok(!vci_seq_is_long(&s, CUTOFF + 24, 8), "seq:is_forgotten");
}

int main(void)
{
	test_cutoff();
	test_near();
	test_table();
	return done_testing();
}
