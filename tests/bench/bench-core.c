// SPDX-License-Identifier: GPL-2.0-only
/*
 * How fast the core's B+-tree and log are, and how much memory the tree takes: TSV
 * on stdout.
 *
 * Usage: bench-core [extents...]
 *
 * Each size is made of 4 KiB extents at random places (what a cache of random
 * writes holds), and of ascending ones that don't merge.  Beside it is a hash
 * table without locks (liburcu's rculfhash) with the same keys: it knows neither
 * order nor length.  Wall time; at the end how long sealing a batch of the log takes.
 */
#include <unistd.h>

#include "bench-core.h"
#include "vci-btree-lookup.h"

#define DATA		(1ull << 20)

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
	struct vci_extent e = { .blocks = BENCH_UNIT, .addr = DATA };
	double t = bench_now();
	u32 i;

	bench_restart();
	for (i = 0; i < nr; i++, e.addr += 2 * BENCH_UNIT) {
		e.off = (ascending ? i : bench_random() % units) * BENCH_UNIT;
		insert(bt, &e);
	}
	return bench_now() - t;
}

/* Looks up what was inserted, in that order again: random hits. */
static double look_up(struct vci_btree *bt, u32 nr, u64 units, bool ascending, u64 *hits)
{
	double t = bench_now();
	u32 i, at = 0;
	u64 off;

	*hits = 0;
	for (i = 0; i < BENCH_LOOKUPS; i++, at++) {
		if (at == nr)
			at = 0;
		if (!at)
			bench_restart();
		off = (bench_random() % units) * BENCH_UNIT;
		if (ascending)
			off %= (u64)nr * BENCH_UNIT;
		*hits += vci_bt_hit(bt, off, BENCH_UNIT).addr != 0;
	}
	return bench_now() - t;
}

static void bench_tree(u32 nr, bool ascending)
{
	u64 units = ascending ? nr : 8ull * nr, hits;
	struct vci_btree *bt = make(units * BENCH_UNIT);
	struct vci_btree_stats s;
	double t_fill, t_look;

	t_fill = fill(bt, nr, units, ascending);
	t_look = look_up(bt, nr, units, ascending, &hits);
	vci_btree_get_stats(bt, &s);
	printf("%s\t%llu\t%.1f\t%.0f\t%.0f\t%.2f\n",
	       ascending ? "tree, ascending" : "tree, random", s.nr_extents,
	       (double)s.bytes / s.nr_extents, t_fill / nr * 1e9,
	       t_look / BENCH_LOOKUPS * 1e9, (double)hits / BENCH_LOOKUPS);
	vci_btree_destroy(bt);
}

/* ---- the log ---- */

static void bench_log(u32 nr_entries, u32 blocks)
{
	static u8 unit[VCI_UNIT_SIZE], data[VCI_ENTRY_BLOCKS_MAX * VCI_BLOCK_SIZE];
	struct vci_entry e[VCI_BATCH_ENTRIES_MAX] = {};
	struct vci_batch_info info = {
		.seq = 2, .epoch = 1, .addr = DATA, .header_blocks = VCI_UNIT_BLOCKS,
		.nr_entries = nr_entries,
	};
	u32 i, j, dirty = VCI_UNIT_SIZE, rounds = 100000 / nr_entries;
	double t = bench_now();

	info.blocks = round_up(VCI_UNIT_BLOCKS + nr_entries * blocks, VCI_UNIT_BLOCKS);
	for (i = 0; i < rounds; i++) {
		for (j = 0; j < nr_entries; j++) {
			e[j].off = (u64)j * blocks;
			e[j].blocks = blocks;
			e[j].kind = VCI_ENTRY_WRITE;
			e[j].flags = VCI_EXT_DIRTY;
			e[j].data_crc = vci_data_crc(data, blocks);
		}
		info.seq++;
		dirty = vci_batch_seal(unit, dirty, 1, &info, e);
	}
	printf("# a batch of %u x %u KiB is sealed in %.0f ns\n", nr_entries, blocks / 2,
	       (bench_now() - t) / rounds * 1e9);
}

int main(int argc, char **argv)
{
	static const u32 sizes[] = { 32768, 1000000, 10000000 };
	int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("what\textents\tbytes_per_extent\tns_insert\tns_lookup\thits\n");
	for (i = 0; i < (argc > 1 ? argc - 1 : (int)ARRAY_SIZE(sizes)); i++) {
		u32 nr = argc > 1 ? (u32)atoi(argv[i + 1]) : sizes[i];

		if (!nr)
			return 1;
		bench_tree(nr, false);
		bench_tree(nr, true);
		bench_hash(nr);
	}
	bench_log(1, 8);
	bench_log(1, 128);
	bench_log(VCI_BATCH_ENTRIES_MAX, 8);
	/* The hash table's own thread may still be at work. */
	fflush(stdout);
	_exit(0);
}
