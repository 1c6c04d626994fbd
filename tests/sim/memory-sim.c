// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory, and what activation reads: of caches that are full of small extents.
 *
 *  - bytes of memory for each GiB of a cache that was filled in random order
 *  - reads of the activation of a large image that was closed cleanly
 *  - a large image with a limit for memory, read and written at random: the limit
 *    holds at each I/O, and what is looked up is what was cached
 *
 * All with a volatile cache, where the list of direct writes is longest.
 */
#include <getopt.h>

#include "sim-large.h"
#include "vt.h"

#define SMALL_EXTENT	VCI_UNIT_BLOCKS
#define LARGE_EXTENT	VCI_ENTRY_BLOCKS_MAX
#define KIB		(1ull << 10)
#define MIB		(1ull << 20)

/* Bytes for each GiB, at most. */
#define MEMORY_SMALL	(10 * MIB)
#define MEMORY_LARGE	(8 * MIB / 10)
#define ACTIVATION_BLOCKS	(4 * MIB_BLOCKS)

struct options {
	u64 blocks, limit;
	u32 reads, writes;
};

static u64 memory_of(struct vci_cache *c)
{
	struct vci_cache_stats s;

	vci_cache_get_stats(c, &s);
	return s.memory_bytes;
}

/* ---- memory for each GiB ---- */

/* Each place of the segments once, in random order: 2654435761 is a prime. */
static void map_all(struct large *m)
{
	const struct vci_header *h = &m->c->header;
	u64 nr = (u64)h->nr_segments * h->segment_blocks / m->extent, i, k;

	for (i = 0; i < nr; i++) {
		struct vci_change ch = { .kind = VCI_CHANGE_FILL };

		k = i * 2654435761u % nr;
		ch.e = (struct vci_extent) {
			.off = k * LARGE_BACKING * m->extent,
			.addr = h->segments + i * m->extent,
			.blocks = m->extent,
		};
		if (vci_cache_change(m->c, &ch))
			printf("Bail out! mapping failed\n");
	}
	m->nr_extents = nr;
}

static void per_gib(u32 extent, u64 most)
{
	struct vci_cache_stats s;
	struct large m;
	u64 before;
	u32 i;

	large_init(&m, GIB_BLOCKS, extent);
	m.volatile_cache = true;
	large_open(&m);
	before = memory_of(m.c);
	map_all(&m);
	/* Ghosts grow in steps. */
	for (i = 0; i < 8; i++)
		vci_policy_grow(&m.c->policy, m.nr_extents, U64_MAX);
	vci_cache_get_stats(m.c, &s);
	printf("# 1 GiB of %u KiB extents in random order: %llu of them, %.2f MiB, %.1f bytes each (empty: %.2f MiB)\n",
	       extent / 2, s.nr_extents, (double)s.memory_bytes / MIB,
	       (double)s.memory_bytes / s.nr_extents, (double)before / MIB);
	is_u64(s.nr_extents, m.nr_extents, "memory:all_extents_of_%u_kib", extent / 2);
	ok(s.memory_bytes <= most, "memory:a_gib_of_%u_kib_extents_takes_at_most_%llu_kib",
	   extent / 2, most / 1024);
	vci_cache_destroy(m.c);
	large_exit(&m);
}

/* ---- a large image, and a limit ---- */

struct watch {
	struct large *m;
	u64 peak, calls;
};

static void watch(void *ctx)
{
	struct watch *w = ctx;

	if (!w->m->c)
		return;
	w->calls++;
	w->peak = max(w->peak, memory_of(w->m->c));
}

static u32 read_some(struct large *m, u32 nr)
{
	struct vci_lookup res;
	u32 i, good = 0;

	for (i = 0; i < nr; i++) {
		u64 off = large_offset(m, sim_rand(&m->rng) % m->nr_extents);
		int r;

		while ((r = vci_cache_lookup(m->c, off, m->extent, &res)) == -EAGAIN)
			if (vci_cache_load(m->c, off, m->extent))
				return good;
		good += !r && res.mapped && res.e.blocks == m->extent;
	}
	return good;
}

/* Fills of a batch each, and what the writer does between them. */
static u32 write_some(struct large *m, u32 nr)
{
	static u8 buffer[VCI_BATCH_BLOCKS_MAX * VCI_BLOCK_SIZE];
	static struct vci_fill f;
	struct vci_ticket t;
	u32 i, k, done = 0;

	vci_fill_init(&f, buffer, vci_cache_batch_blocks(m->c), vci_cache_batch_align(m->c));
	for (i = 0; i < nr; i += k) {
		for (k = 0; k < VCI_BATCH_ENTRIES_MAX; k++) {
			u64 off = sim_rand(&m->rng) % (m->backing.dev.blocks / m->extent) *
				  m->extent;
			int e;

			if (!vci_ticket_take(m->c, off, m->extent, &t))
				return done;
			e = vci_fill_reserve(&f, off, m->extent, &t);
			if (e < 0)
				break;
			vci_fill_commit(&f, e, true);
		}
		if (!vci_cache_append(m->c, &f))
			done += k;
		while (vci_cache_needs_maintenance(m->c))
			if (vci_cache_maintain(m->c, false))
				return done;
	}
	return done;
}

static void limited(const struct options *o)
{
	double gib = (double)o->blocks / GIB_BLOCKS, start;
	struct watch w = { 0 };
	struct vci_cache_stats s;
	struct large m;
	u32 wrote;

	large_init(&m, o->blocks, SMALL_EXTENT);
	large_make_full(&m, GIB_BLOCKS);
	m.mem_limit = o->limit;
	m.volatile_cache = true;
	w.m = &m;
	m.cache.hook = watch;
	m.cache.ctx = &w;
	m.cache.reads = 0;
	m.cache.blocks_read = 0;
	start = large_now();
	large_open(&m);
	printf("# %g GiB, %llu extents: activation reads %.2f MiB in %llu I/Os, %.3f s\n", gib,
	       m.nr_extents, (double)m.cache.blocks_read / MIB_BLOCKS, m.cache.reads,
	       large_now() - start);
	ok(m.report.was_clean && m.cache.blocks_read <= ACTIVATION_BLOCKS,
	   "memory:activation_of_a_closed_image_reads_at_most_4_mib");
	start = large_now();
	is_u64(read_some(&m, o->reads), o->reads, "memory:finds_what_is_cached");
	printf("# %u lookups in %.1f s; peak %llu KiB\n", o->reads, large_now() - start,
	       w.peak / KIB);
	start = large_now();
	wrote = write_some(&m, o->writes);
	vci_cache_get_stats(m.c, &s);
	printf("# %u fills in %.1f s, %llu checkpoints, %.2f GiB evicted; peak %llu KiB\n", wrote,
	       large_now() - start, s.checkpoints, (double)s.evicted_blocks / GIB_BLOCKS,
	       w.peak / KIB);
	ok(wrote >= o->writes, "memory:fills_go_on_below_the_limit");
	ok(s.evicted_blocks, "memory:reclaim_works_below_the_limit");
	ok(w.calls && w.peak <= o->limit, "memory:%llu_kib_stay_below_the_limit_of_%llu",
	   w.peak / KIB, o->limit / KIB);
	start = large_now();
	m.cache.reads = 0;
	is_u64(vci_cache_close(m.c), 0, "memory:closes");
	printf("# closed in %.1f s, with %llu reads\n", large_now() - start, m.cache.reads);
	vci_cache_destroy(m.c);
	large_exit(&m);
}

static int usage(void)
{
	printf("memory-sim [--image GIB] [--limit MIB] [--reads N] [--writes N]: memory that caches take\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "image", required_argument, NULL, 'i' },
		{ "limit", required_argument, NULL, 'l' },
		{ "reads", required_argument, NULL, 'r' },
		{ "writes", required_argument, NULL, 'w' },
		{ }
	};
	struct options o = { 64 * GIB_BLOCKS, 64 * MIB, 200000, 400000 };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'i')
			o.blocks = atof(optarg) * GIB_BLOCKS;
		else if (c == 'l')
			o.limit = atof(optarg) * MIB;
		else if (c == 'r')
			o.reads = atoi(optarg);
		else if (c == 'w')
			o.writes = atoi(optarg);
		else
			return usage();
	}
	vci_log_file = stderr;
	per_gib(SMALL_EXTENT, MEMORY_SMALL);
	per_gib(LARGE_EXTENT, MEMORY_LARGE);
	limited(&o);
	return done_testing();
}
