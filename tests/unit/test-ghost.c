// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ghosts: what was dropped lately is known, what wasn't isn't.
 */
#include "rig.h"
#include "vci-ghost.h"

#define UNITS	4096u

static struct vci_ghosts g;
static struct vci_ghost ghost;

static void test_one(void)
{
	assert(!vci_ghosts_init(&g, UNITS, UNITS));
	ok(!vci_ghosts_take(&g, 5, &ghost), "ghost:unknown_at_first");
	vci_ghosts_add(&g, 5, 1, 77);
	ok(vci_ghosts_take(&g, 5, &ghost) && ghost.queue == 1 && ghost.age <= UNITS / 32 &&
	   ghost.born == 77, "ghost:says_what_it_was");
	ok(!vci_ghosts_take(&g, 5, &ghost), "ghost:is_taken_once");
	vci_ghosts_add(&g, 5, 1, 78);
	vci_ghosts_add(&g, 5, 2, 79);
	ok(vci_ghosts_take(&g, 5, &ghost) && ghost.queue == 2, "ghost:the_last_counts");
	ok(!vci_ghosts_take(&g, 5, &ghost), "ghost:has_one_place");
	vci_ghosts_destroy(&g);
}

static void test_age(void)
{
	u32 i, known = 0;

	assert(!vci_ghosts_init(&g, UNITS, UNITS));
	vci_ghosts_add(&g, 1000000, 0, 1);
	for (i = 0; i < UNITS / 2; i++)
		vci_ghosts_add(&g, i, 0, 2 + i);
	ok(vci_ghosts_take(&g, 1000000, &ghost), "ghost:old_one_is_known");
	ok(ghost.age <= UNITS / 2 + 1 && ghost.age >= UNITS / 2 - UNITS / 32,
	   "ghost:age_is_what_was_dropped_since");
	ok(ghost.born <= 2 + UNITS / 32, "ghost:born_about_then");
	vci_ghosts_add(&g, 1000000, 0, 3000);
	for (i = 0; i < UNITS / 8; i++)
		vci_ghosts_add(&g, UNITS + i, 1, 4000);
	ok(vci_ghosts_take(&g, 1000000, &ghost) && ghost.age <= UNITS / 32,
	   "ghost:other_queues_dont_age_it");
	vci_ghosts_add(&g, 1000000, 0, 3000);
	for (i = 0; i < UNITS; i++)
		vci_ghosts_add(&g, 3 * UNITS + i, 0, 5000);
	ok(!vci_ghosts_take(&g, 1000000, &ghost), "ghost:too_old_doesnt_count");
	for (i = 0; i < UNITS; i++)
		known += vci_ghosts_take(&g, 3 * UNITS + i, &ghost);
	ok(known > UNITS / 4 * 3, "ghost:most_of_the_last_are_known");
	printf("# %u of %u are known\n", known, UNITS);
	vci_ghosts_destroy(&g);
}

/* A queue that drops little has its ghosts, whatever another one drops. */
static void test_flood(void)
{
	u32 i, known = 0;

	assert(!vci_ghosts_init(&g, UNITS, UNITS));
	for (i = 0; i < UNITS / 4; i++)
		vci_ghosts_add(&g, 1000000 + i, 2, 0);
	for (i = 0; i < 4 * UNITS; i++)
		vci_ghosts_add(&g, i, 0, 0);
	for (i = 0; i < UNITS / 4; i++)
		known += vci_ghosts_take(&g, 1000000 + i, &ghost);
	ok(known > UNITS / 4 * 9 / 10, "ghost:a_flood_leaves_those_of_others");
	printf("# %u of %u are known\n", known, UNITS / 4);
	vci_ghosts_destroy(&g);
}

static void test_lies(void)
{
	u32 i, lies = 0;

	assert(!vci_ghosts_init(&g, UNITS, UNITS));
	for (i = 0; i < UNITS; i++)
		vci_ghosts_add(&g, i, 0, 0);
	for (i = 0; i < 100000; i++)
		lies += vci_ghosts_take(&g, 1000000 + i * 7, &ghost);
	ok(lies < 100, "ghost:lies_seldom");
	printf("# %u of 100000 are lies\n", lies);
	is_u64(vci_ghosts_bytes(&g) <= 8 * UNITS, 1, "ghost:memory_is_bounded");
	vci_ghosts_destroy(&g);
	is_u64(vci_alloc_live, 0, "ghost:frees_all");
}

static void test_growing(void)
{
	struct vci_ghosts_more more;

	assert(!vci_ghosts_init(&g, UNITS, UNITS / 16));
	vci_ghosts_add(&g, 5, 1, 77);
	ok(!vci_ghosts_more(&g, UNITS / 16, &more), "ghost:enough_is_enough");
	ok(vci_ghosts_more(&g, UNITS, &more), "ghost:more_memory");
	vci_ghosts_grow(&g, &more);
	kvfree(more.slot);
	ok(vci_ghosts_bytes(&g) == 4 * UNITS && !vci_ghosts_take(&g, 5, &ghost),
	   "ghost:grows_and_forgets");
	vci_ghosts_add(&g, 5, 2, 78);
	ok(vci_ghosts_take(&g, 5, &ghost) && ghost.queue == 2, "ghost:goes_on");
	vci_ghosts_destroy(&g);
}

int main(void)
{
	test_growing();
	test_one();
	test_age();
	test_flood();
	test_lies();
	return done_testing();
}
