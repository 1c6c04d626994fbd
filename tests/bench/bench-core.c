// SPDX-License-Identifier: GPL-2.0-only
/*
 * How fast the core's B+-tree is, and how much memory it takes: TSV on stdout.
 *
 * Usage: bench-core [extents...]
 *
 * Each size is made of 4 KiB extents at random places (what a cache of random
 * writes holds), and of ascending ones that don't merge.  Instructions come
 * from "perf stat" or callgrind around it; here is wall time.
 */
#include <time.h>

#include "vci-btree.h"

#define LOOKUPS		4000000u
#define DATA		(1ull << 20)
#define UNIT		8u

#define SEED		88172645463325252ull

static u64 rng;

static u64 rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static u64 no_alloc(void *ctx)
{
	(void)ctx;
	return 0;
}

static void no_free(void *ctx, u64 addr)
{
	(void)ctx;
	(void)addr;
}

static const struct vci_btree_ops ops = {
	.alloc_node = no_alloc,
	.free_node = no_free,
};

static struct vci_btree *make(u64 backing_blocks)
{
	struct vci_header h = {
		.blocks = 1ull << 37,
		.backing_blocks = backing_blocks,
		.segments = DATA,
	};

	return vci_btree_create(&ops, NULL, &h);
}

static void insert(struct vci_btree *bt, const struct vci_extent *e)
{
	int err;

	for (;;) {
		spin_lock(vci_btree_lock(bt));
		err = vci_btree_insert_locked(bt, e);
		spin_unlock(vci_btree_lock(bt));
		if (!err)
			return;
		if (err != -ENOMEM || vci_btree_prepare(bt, GFP_KERNEL))
			abort();
	}
}

/* Seconds for @nr inserts; the tree holds no more than @nr extents after. */
static double fill(struct vci_btree *bt, u32 nr, u64 units, bool ascending)
{
	struct vci_extent e = { .blocks = UNIT, .addr = DATA };
	double t = now();
	u32 i;

	rng = SEED;
	for (i = 0; i < nr; i++, e.addr += 2 * UNIT) {
		e.off = (ascending ? i : rnd() % units) * UNIT;
		insert(bt, &e);
	}
	return now() - t;
}

/* Looks up what was inserted, in that order again: random hits. */
static double look_up(struct vci_btree *bt, u32 nr, u64 units, u64 *hits)
{
	struct vci_lookup res;
	double t = now();
	u32 i;

	*hits = 0;
	for (i = 0; i < LOOKUPS; i++) {
		if (i % nr == 0)
			rng = SEED;
		if (vci_btree_lookup_touch(bt, rnd() % units * UNIT, UNIT, 1, &res))
			abort();
		*hits += res.mapped;
	}
	return now() - t;
}

static void bench(u32 nr, bool ascending)
{
	u64 units = ascending ? nr : 8ull * nr, hits;
	struct vci_btree *bt = make(units * UNIT);
	struct vci_btree_stats s;
	double t_fill, t_look;

	t_fill = fill(bt, nr, units, ascending);
	t_look = look_up(bt, nr, units, &hits);
	vci_btree_get_stats(bt, &s);
	printf("%s\t%llu\t%.2f\t%.1f\t%.1f\t%.0f\t%.0f\t%.2f\n",
	       ascending ? "ascending" : "random", s.nr_extents,
	       (double)s.nr_extents / s.nr_leaves, (double)s.bytes / s.nr_extents,
	       (double)(s.nr_leaves * 1352 + s.nr_internals * 2520) / s.nr_extents,
	       t_fill / nr * 1e9, t_look / LOOKUPS * 1e9, (double)hits / LOOKUPS);
	vci_btree_destroy(bt);
}

int main(int argc, char **argv)
{
	static const u32 sizes[] = { 32768, 1000000, 10000000 };
	int i;

	printf("order\textents\tper_leaf\tbytes_per_extent\tpacked\tns_insert\tns_lookup\thits\n");
	for (i = 0; i < (argc > 1 ? argc - 1 : (int)ARRAY_SIZE(sizes)); i++) {
		u32 nr = argc > 1 ? (u32)atoi(argv[i + 1]) : sizes[i];

		if (!nr)
			return 1;
		bench(nr, false);
		bench(nr, true);
	}
	return 0;
}
