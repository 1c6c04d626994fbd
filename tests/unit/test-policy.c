// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policy: what comes back goes to KEPT, room follows use, reclaim takes from who has
 * too much; and the I/O of a miss.
 */
#include "rig.h"

#define CAPACITY	(1024u * 128)

static struct vci_policy p;
static const struct vci_extent plain = { .off = 80, .blocks = 8 };

static int keep(u8 stream, u8 heat, u8 *after)
{
	struct vci_extent e = plain;

	e.heat = heat;
	return vci_policy_keep(stream, &e, after);
}

static void test_keep(void)
{
	u8 h;

	is_u64(keep(VCI_STREAM_NEW, 0, &h), VCI_POLICY_DROP, "policy:new_unused_goes");
	ok(keep(VCI_STREAM_NEW, 1, &h) == VCI_STREAM_KEPT && !h, "policy:new_used_is_kept");
	is_u64(keep(VCI_STREAM_KEPT, 0, &h), VCI_POLICY_DROP, "policy:kept_unused_goes");
	ok(keep(VCI_STREAM_KEPT, 3, &h) == VCI_STREAM_KEPT && h == 1,
	   "policy:kept_used_cools_by_half");
	is_u64(keep(VCI_STREAM_AHEAD, VCI_HEAT_AHEAD | 7, &h), VCI_POLICY_DROP,
	       "policy:ahead_unused_goes");
	is_u64(keep(VCI_STREAM_AHEAD, 1, &h), VCI_POLICY_DROP, "policy:ahead_used_once_goes");
	is_u64(keep(VCI_STREAM_AHEAD, 2, &h), VCI_STREAM_KEPT, "policy:ahead_used_twice_stays");
}

static void test_admit(void)
{
	assert(!vci_policy_init(&p, CAPACITY));
	is_u64(vci_policy_admit(&p, 800, 8, 1), 0, "policy:unknown_goes_to_new");
	vci_policy_filled(&p, 1000);
	vci_policy_dropped(&p, VCI_STREAM_NEW, 800, 16, 0);
	is_u64(vci_policy_admit(&p, 792, 32, 4), 0x6, "policy:what_comes_back_is_kept");
	is_u64(vci_policy_admit(&p, 792, 32, 4), 0, "policy:once");
	vci_policy_dropped(&p, VCI_STREAM_AHEAD, 1600, 8, 0);
	is_u64(vci_policy_admit(&p, 1600, 8, 1), 0, "policy:what_was_ahead_is_new");
	/* KEPT drops what is 500 blocks old: 1000 are too far apart. */
	vci_policy_kept_age(&p, 500);
	vci_policy_dropped(&p, VCI_STREAM_NEW, 800, 8, 0);
	is_u64(vci_policy_admit(&p, 800, 8, 1), 0, "policy:out_of_reach_is_new");
	vci_policy_dropped(&p, VCI_STREAM_NEW, 800, 8, 400);
	is_u64(vci_policy_admit(&p, 800, 8, 1), 1, "policy:within_reach_is_kept");
	vci_policy_destroy(&p);
}

static void drop_many(u8 stream)
{
	vci_policy_dropped(&p, stream, 1u << 20, p.units / 4 * 8 + 8, 0);
}

static void test_shares(void)
{
	u64 new, kept, sum;
	u32 i;

	assert(!vci_policy_init(&p, CAPACITY));
	new = p.q[VCI_STREAM_NEW].target;
	kept = p.q[VCI_STREAM_KEPT].target;
	sum = new + kept + p.q[VCI_STREAM_AHEAD].target;
	is_u64(sum, CAPACITY, "policy:targets_fill_the_cache");
	for (i = 0; i < VCI_STREAMS; i++)
		p.q[i].size = p.q[i].target;
	vci_policy_dropped(&p, VCI_STREAM_NEW, 0, 8, 0);
	vci_policy_admit(&p, 0, 8, 1);
	is_u64(p.q[VCI_STREAM_NEW].target, new, "policy:unknown_queues_give_nothing");
	p.q[VCI_STREAM_KEPT].size--;
	vci_policy_dropped(&p, VCI_STREAM_NEW, 0, 8, 0);
	vci_policy_admit(&p, 0, 8, 1);
	is_u64(p.q[VCI_STREAM_NEW].target, new + 8, "policy:but_what_they_dont_use");
	new += 8;
	for (i = 0; i < VCI_STREAMS; i++)
		drop_many(i);
	vci_policy_dropped(&p, VCI_STREAM_NEW, 0, 8, 0);
	vci_policy_admit(&p, 0, 8, 1);
	is_u64(p.q[VCI_STREAM_NEW].target, new + 24, "policy:ahead_keeps_what_it_began_with");
	new += 24;
	p.q[VCI_STREAM_AHEAD].target += 80;
	p.q[VCI_STREAM_KEPT].target -= 80;
	vci_policy_dropped(&p, VCI_STREAM_NEW, 0, 8, 0);
	vci_policy_admit(&p, 0, 8, 1);
	is_u64(p.q[VCI_STREAM_NEW].target, new + 48, "policy:an_io_moves_six_units");
	for (i = 0; i < 100000; i++) {
		vci_policy_dropped(&p, VCI_STREAM_AHEAD, i * 8, 8, 0);
		vci_policy_admit(&p, i * 8, 8, 1);
	}
	ok(p.q[VCI_STREAM_NEW].target <= CAPACITY / 100 &&
	   p.q[VCI_STREAM_KEPT].target <= CAPACITY / 100, "policy:room_goes_where_it_is_used");
	ok(p.q[VCI_STREAM_NEW].target && p.q[VCI_STREAM_KEPT].target,
	   "policy:nobody_loses_all");
	sum = p.q[0].target + p.q[1].target + p.q[2].target;
	is_u64(sum, CAPACITY, "policy:no_room_is_lost");
	vci_policy_destroy(&p);
}

/* A miss of 32 units moves as much as one of one. */
static void test_parts(void)
{
	u64 new;
	u32 i;

	assert(!vci_policy_init(&p, CAPACITY));
	new = p.q[VCI_STREAM_NEW].target;
	vci_policy_dropped(&p, VCI_STREAM_NEW, 0, 8 * 32, 0);
	for (i = 0; i < 31; i++)
		vci_policy_admit(&p, 8 * i, 8, 32);
	is_u64(p.q[VCI_STREAM_NEW].target, new + 7, "policy:parts_of_a_miss_add_up");
	vci_policy_admit(&p, 8 * 31, 8, 32);
	is_u64(p.q[VCI_STREAM_NEW].target, new + 8, "policy:to_all_of_it");
	vci_policy_destroy(&p);
}

static void test_victims(void)
{
	const u32 size[VCI_STREAMS] = { 110, 810, 104 }, no_ahead[VCI_STREAMS] = { 122, 922 };
	u32 nr[VCI_STREAMS];

	assert(!vci_policy_init(&p, CAPACITY));
	vci_policy_victims(&p, 10, 128, size, nr);
	ok(nr[VCI_STREAM_NEW] == 8 && !nr[VCI_STREAM_KEPT] && nr[VCI_STREAM_AHEAD] == 2,
	   "policy:takes_from_who_has_too_much");
	vci_policy_victims(&p, 2000, 128, size, nr);
	ok(nr[0] == 110 && nr[1] == 810 && nr[2] == 104, "policy:takes_no_more_than_there_is");
	vci_policy_victims(&p, 10, 128, no_ahead, nr);
	ok(nr[VCI_STREAM_NEW] == 10, "policy:what_ahead_doesnt_use_is_for_what_is_kept");
	vci_policy_victims(&p, 40, 128, no_ahead, nr);
	ok(nr[VCI_STREAM_NEW] == 30 && nr[VCI_STREAM_KEPT] == 10, "policy:and_no_more_than_that");
	vci_policy_destroy(&p);
	is_u64(vci_alloc_live, 0, "policy:frees_all");
}

int main(void)
{
	test_keep();
	test_admit();
	test_shares();
	test_parts();
	test_victims();
	return done_testing();
}
