// SPDX-License-Identifier: GPL-2.0-only
/*
 * How fast the core's B+-tree and log are, and how much memory the tree takes: TSV
 * on stdout.
 *
 * Usage: bench-core [--lookups] [extents...]
 *
 * With --lookups only those of random extents in the tree.  In a guest that counts
 * instructions, one for each nanosecond, it is them that are printed as such.
 *
 * Each size is made of 4 KiB extents at random places (what a cache of random
 * writes holds), and of ascending ones that don't merge.  Beside it is a hash
 * table without locks (liburcu's rculfhash) with the same keys: it knows neither
 * order nor length.  Processor time, and instructions and cache misses where the processor
 * counts them; at the end what a lookup in the largest costs over one in the smallest,
 * beside a single load from as much memory as the largest takes, which is the least that
 * any structure needs; and how long sealing a batch of the log takes.
 *
 * Both are in pages of 2 MiB if there are such, as a kernel's memory is: with small ones
 * it is the missing translations that are measured.
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
static u64 look_up(struct vci_btree *bt, u32 nr, u64 units, bool ascending)
{
	struct vci_hit hit = { 0 };
	u64 off, hits = 0;
	u32 i, at = 0;

	for (i = 0; i < BENCH_LOOKUPS; i++, at++) {
		if (at == nr)
			at = 0;
		if (!at)
			bench_restart();
		off = bench_after(hit.addr) % units * BENCH_UNIT;
		if (ascending)
			off %= (u64)nr * BENCH_UNIT;
		hits += vci_bt_hit(bt, off, BENCH_UNIT, &hit);
	}
	return hits;
}

static void bench_tree(u32 nr, bool ascending)
{
	struct bench_row row = { .kind = ascending ? BENCH_TREE_ASCENDING : BENCH_TREE_RANDOM };
	u64 units = ascending ? nr : 8ull * nr;
	struct vci_btree *bt = make(units * BENCH_UNIT);
	struct vci_btree_stats s;
	struct bench_count k;
	int i;

	row.insert_ns = fill(bt, nr, units, ascending) / nr * 1e9;
	for (i = 0; i < BENCH_ROUNDS; i++) {
		bench_count_begin(&k);
		row.hits = (double)look_up(bt, nr, units, ascending) / BENCH_LOOKUPS;
		bench_count_end(&k, &row.look_up);
	}
	vci_btree_get_stats(bt, &s);
	row.nr = s.nr_extents;
	row.bytes = (double)s.bytes / s.nr_extents;
	bench_print(&row);
	vci_btree_destroy(bt);
}

/* ---- memory ---- */

/* A cycle through @nr lines, in random order (Sattolo). */
static void make_cycle(u64 *line, u64 nr)
{
	u64 i, k, next;

	for (i = 0; i < nr; i++)
		line[8 * i] = i;
	for (i = nr; i-- > 1;) {
		k = bench_random() % i;
		next = line[8 * i];
		line[8 * i] = line[8 * k];
		line[8 * k] = next;
	}
}

/* What one load of a line takes among as many bytes, waited for; nanoseconds. */
static double bench_load(u64 bytes)
{
	u64 nr = bytes / 64, at = 0;
	u64 *line = malloc(nr * 64);
	double t;
	u32 i;

	if (!line)
		exit(1);
	make_cycle(line, nr);
	t = bench_now();
	for (i = 0; i < BENCH_LOOKUPS; i++)
		at = line[8 * at];
	t = bench_now() - t;
	/* Whoever leaves the chain out knows nothing of its end. */
	if (at >= nr)
		exit(1);
	free(line);
	return t / BENCH_LOOKUPS * 1e9;
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

/* ---- the table ---- */

static const char *const names[BENCH_KINDS] = {
	"tree, random", "tree, ascending", "rculfhash, random",
};

static struct bench_row smallest[BENCH_KINDS], largest[BENCH_KINDS];

static void print_count(double per)
{
	if (per < 0)
		printf("\t-");
	else
		printf("\t%.1f", per);
}

void bench_print(const struct bench_row *row)
{
	int i;

	printf("%s\t%llu\t%.1f\t%.0f\t%.0f", names[row->kind], (u64)row->nr, row->bytes,
	       row->insert_ns, row->look_up.ns);
	for (i = 0; i < BENCH_COUNTERS; i++)
		print_count(row->look_up.count[i]);
	printf("\t%.2f\n", row->hits);
	if (!smallest[row->kind].nr || row->nr < smallest[row->kind].nr)
		smallest[row->kind] = *row;
	if (row->nr > largest[row->kind].nr)
		largest[row->kind] = *row;
}

static void print_growth(enum bench_kind kind)
{
	const struct bench_row *s = &smallest[kind], *l = &largest[kind];
	int i;

	if (s->nr == l->nr)
		return;
	printf("# %s: a lookup among %llu costs %.2f times the time of one among %llu",
	       names[kind], (u64)l->nr, l->look_up.ns / s->look_up.ns, (u64)s->nr);
	for (i = 0; i < BENCH_COUNTERS; i++)
		if (s->look_up.count[i] > 0)
			printf(", %.2f times the %s", l->look_up.count[i] / s->look_up.count[i],
			       i == BENCH_INSTRUCTIONS ? "instructions" : "cache misses");
	printf("\n");
}

static void print_load(enum bench_kind kind)
{
	const struct bench_row *s = &smallest[kind], *l = &largest[kind];
	u64 bytes = (double)l->nr * l->bytes;
	double ns = bench_load(bytes);

	printf("# a single load among the %llu MiB of %llu extents takes %.0f ns, %.2f times a lookup among %llu\n",
	       bytes >> 20, (u64)l->nr, ns, ns / s->look_up.ns, (u64)s->nr);
}

static void bench_size(u32 nr, bool lookups)
{
	bench_tree(nr, false);
	if (lookups)
		return;
	bench_tree(nr, true);
	bench_hash(nr);
}

int main(int argc, char **argv)
{
	static const u32 sizes[] = { 50000, 1000000, 50000000 };
	bool lookups = argc > 1 && !strcmp(argv[1], "--lookups");
	int i, first = lookups ? 2 : 1;
	enum bench_kind kind;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("what\textents\tbytes_per_extent\tns_insert\tns_lookup\tinstructions\tcache_misses\thits\n");
	for (i = 0; i < (argc > first ? argc - first : (int)ARRAY_SIZE(sizes)); i++) {
		u32 nr = argc > first ? (u32)atoi(argv[i + first]) : sizes[i];

		if (!nr)
			return 1;
		bench_size(nr, lookups);
	}
	if (lookups)
		return 0;
	for (kind = 0; kind < BENCH_KINDS; kind++)
		print_growth(kind);
	print_load(BENCH_TREE_RANDOM);
	bench_log(1, 8);
	bench_log(1, 128);
	bench_log(VCI_BATCH_ENTRIES_MAX, 8);
	/* The hash table's own thread may still be at work. */
	fflush(stdout);
	_exit(0);
}
