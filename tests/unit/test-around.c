// SPDX-License-Identifier: GPL-2.0-only
/*
 * What read-around learns: bins, regions, what I/O costs, when to try.
 */
#include "rig.h"
#include "vci-around.h"

static struct vci_around a;

static void test_bins(void)
{
	bool seen[VCI_AROUND_BINS] = { false };
	u32 d, nr = 0, side, on, i;

	for (side = 0; side < 2; side++)
		for (on = 0; on < 2; on++)
			for (d = 0; d < VCI_AROUND_UNITS; d++) {
				u8 bin = vci_around_bin(side, d, on);

				assert(bin < VCI_AROUND_BINS);
				seen[bin] = true;
			}
	for (i = 0; i < VCI_AROUND_BINS; i++)
		nr += seen[i];
	is_u64(nr, VCI_AROUND_BINS, "around:all_bins_are_used");
	ok(vci_around_bin(0, 0, false) == vci_around_bin(0, 1, false) &&
	   vci_around_bin(0, 1, false) != vci_around_bin(0, 2, false) &&
	   vci_around_bin(0, 8, false) == vci_around_bin(0, 15, false),
	   "around:bins_end_at_8_16_32_64_kib");
}

static void test_learns(void)
{
	u64 first;
	u32 i;

	assert(!vci_around_init(&a, 100000));
	first = vci_around_worth(&a, 3, 0);
	ok(first == VCI_AROUND_ONE / 8, "around:is_hopeful_at_first");
	for (i = 0; i < 1000; i++)
		vci_around_filled(&a, 3, i * 64);
	ok(vci_around_worth(&a, 3, 0) < first / 50, "around:learns_what_is_useless");
	is_u64(vci_around_worth(&a, 4, 1ull << 40), first, "around:other_bins_are_their_own");
	for (i = 0; i < 1000; i++) {
		vci_around_filled(&a, 4, i * 64);
		vci_around_used(&a, 4, i * 64, VCI_AROUND_ONE);
	}
	ok(vci_around_worth(&a, 4, 1ull << 40) > VCI_AROUND_ONE * 9 / 10,
	   "around:learns_what_is_useful");
	for (i = 0; i < 20000; i++)
		vci_around_filled(&a, 4, i * 64);
	ok(vci_around_worth(&a, 4, 1ull << 40) < VCI_AROUND_ONE / 10, "around:forgets");
	vci_around_destroy(&a);
}

/* How much comes of all that is stored: one I/O for each @of units. */
static u64 least_after(u32 of)
{
	u64 least;
	u32 i;

	assert(!vci_around_init(&a, 100000));
	for (i = 1; i <= 4000; i++) {
		vci_around_filled(&a, i % VCI_AROUND_BINS, i * 64);
		if (i % of == 0)
			vci_around_used(&a, i % VCI_AROUND_BINS, i * 64, VCI_AROUND_ONE);
	}
	least = vci_around_least(&a);
	vci_around_destroy(&a);
	return least;
}

static void test_least(void)
{
	assert(!vci_around_init(&a, 1000));
	is_u64(vci_around_least(&a), VCI_AROUND_ONE / 64, "around:nothing_is_known_at_first");
	vci_around_destroy(&a);
	is_u64(least_after(16), 0, "around:much_comes_of_it");
	is_u64(least_after(64), VCI_AROUND_ONE / 64, "around:something");
	is_u64(least_after(128), VCI_AROUND_ONE / 16, "around:next_to_nothing");
}

static void test_regions(void)
{
	u32 i;

	assert(!vci_around_init(&a, 100000));
	for (i = 0; i < 300; i++) {
		vci_around_filled(&a, 0, 1000 * 64 + i % 64);
		vci_around_used(&a, 0, 1000 * 64 + i % 64, VCI_AROUND_ONE);
		vci_around_filled(&a, 0, 2000 * 64 + i % 64);
	}
	ok(vci_around_worth(&a, 0, 1000 * 64) > 5 * vci_around_worth(&a, 0, 2000 * 64),
	   "around:regions_differ");
	vci_around_destroy(&a);
}

static void test_try(void)
{
	u32 i, tries = 0;

	assert(!vci_around_init(&a, 1000));
	for (i = 0; i < 10240; i++)
		tries += vci_around_try(&a, 1, 16);
	is_u64(tries, 5, "around:tries_seldom");
	for (i = 0; i < 64; i++)
		vci_around_used(&a, 0, 0, VCI_AROUND_ONE);
	ok(vci_around_try(&a, 1, 16), "around:tries_more_where_it_was_used");
	vci_around_destroy(&a);
	assert(!vci_around_init(&a, 1000));
	for (i = 0, tries = 0; i < 10240; i++)
		tries += vci_around_try(&a, 1, 2);
	is_u64(tries, 40, "around:tries_little_more_often");
	vci_around_destroy(&a);
}

static void test_own(void)
{
	u32 d, goes_on;
	u64 own[VCI_AROUND_UNITS];

	for (goes_on = 0; goes_on < 2; goes_on++) {
		for (d = 0; d < VCI_AROUND_UNITS; d++) {
			own[d] = vci_around_own(vci_around_bin(VCI_AROUND_BEHIND, d, goes_on), 1000);
			assert(own[d] == vci_around_own(vci_around_bin(VCI_AROUND_BEFORE, d, goes_on),
							1000));
		}
		ok(own[0] == 1000 && own[1] == 1000 && own[2] == 750 && own[7] == 500 &&
		   own[8] == 250 && own[15] == 250,
		   "around:the_further_off_the_less_is_its_own_merit_%u", goes_on);
	}
}

/* Many misses at once, before anything is stored. */
static void test_wait(void)
{
	u32 i, waits = 0;

	assert(!vci_around_init(&a, 1000));
	for (i = 0; i < 32; i++) {
		bool wait = vci_around_wait(&a);

		waits += wait;
		if (!wait)
			vci_around_planned(&a, 32);
	}
	is_u64(waits, 23, "around:waits_for_the_first_ones");
	for (i = 0; i < 33; i++)
		(void)vci_around_wait(&a);
	ok(!vci_around_wait(&a), "around:waits_not_for_what_is_never_stored");
	vci_around_planned(&a, 300);
	for (i = 0; i < 256; i++)
		vci_around_filled(&a, 0, i);
	ok(!vci_around_wait(&a), "around:waits_no_more_when_it_knows");
	vci_around_destroy(&a);
}

/* A device of so many microseconds, and so many for a unit more. */
static u32 cost_of(u32 latency, u32 slope)
{
	u32 cost, i;

	assert(!vci_around_init(&a, 1000));
	for (i = 0; i < 2000; i++) {
		u32 units = 1 + i % 16;

		vci_around_took(&a, units, latency + i * 7919 % 10 + units * slope);
	}
	cost = a.cost;
	vci_around_destroy(&a);
	return cost;
}

static void test_device(void)
{
	u32 hdd = cost_of(8000, 27), net = cost_of(1000, 16), i;

	/* 27/8000 and 16/1000. */
	ok(hdd > 200 && hdd < 240, "around:cost_on_a_disk");
	ok(net > 975 && net < 1125, "around:cost_on_a_network");
	printf("# hdd %u, net %u of %u\n", hdd, net, VCI_AROUND_ONE);
	ok(cost_of(0, 1000) <= VCI_AROUND_ONE / 4, "around:cost_is_bounded_above");
	ok(cost_of(1000, 0) > 0, "around:cost_is_bounded_below");
	assert(!vci_around_init(&a, 1000));
	for (i = 0; i < 5000; i++)
		vci_around_took(&a, 1, ~0ull);
	ok(a.cost, "around:one_size_teaches_nothing");
	vci_around_destroy(&a);
	is_u64(vci_alloc_live, 0, "around:frees_all");
}

int main(void)
{
	test_bins();
	test_learns();
	test_least();
	test_regions();
	test_try();
	test_own();
	test_wait();
	test_device();
	return done_testing();
}
