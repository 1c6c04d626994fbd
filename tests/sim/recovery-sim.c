// SPDX-License-Identifier: GPL-2.0-only
/*
 * What recovery reads: of an image that is large and full, no more than of a
 * small one with the same log.
 *
 * Images are sparse files, made full of 4 KiB extents at random places of a
 * backing device four times as large; then a log of 4 KiB writes at random places
 * is appended, the host crashes, and reads of the cache device are counted while
 * the image is activated.
 */
#include <getopt.h>

#include "sim-large.h"
#include "vt.h"

#define EXTENT		VCI_UNIT_BLOCKS
#define PROBES		1000u
#define RATIO_PERCENT	110u

/* What one activation took. */
struct cost {
	u64 reads, blocks;
	double seconds;
};

/* ---- counting ---- */

static struct cost since(const struct large *m, double start)
{
	return (struct cost) {
		.reads = m->cache.reads,
		.blocks = m->cache.blocks_read,
		.seconds = large_now() - start,
	};
}

static void show(const char *what, const struct cost *c)
{
	printf("#   %s: %llu reads, %.1f MiB, %.2f s\n", what, c->reads,
	       (double)c->blocks / MIB_BLOCKS, c->seconds);
}

static struct cost activate(struct large *m)
{
	double start = large_now();

	m->cache.reads = 0;
	m->cache.blocks_read = 0;
	large_open(m);
	return since(m, start);
}

/* What the log holds is mapped, though nothing of it was at the activation. */
static bool probes_hit(struct large *m)
{
	struct vci_lookup res;
	u32 i, again = 0, hits = 0;

	for (i = 0; i < PROBES; i++) {
		u64 off = m->log[sim_rand(&m->rng) % m->nr_log];

		if (vci_cache_lookup(m->c, off, EXTENT, &res) == -EAGAIN) {
			again++;
			if (vci_cache_load(m->c, off, EXTENT) ||
			    vci_cache_lookup(m->c, off, EXTENT, &res))
				return false;
		}
		hits += res.mapped && res.e.blocks == EXTENT &&
			res.e.flags & VCI_EXT_DIRTY;
	}
	return hits == PROBES && again;
}

static struct cost measure(u64 blocks, u64 log_blocks)
{
	double gib = (double)blocks / GIB_BLOCKS, start = large_now();
	struct large m;
	struct cost opened, finished;

	large_init(&m, blocks, EXTENT);
	large_make_full(&m, log_blocks);
	large_open(&m);
	large_append_log(&m, log_blocks);
	printf("# %g GiB: %llu extents, %u entries in the log; made in %.1f s\n", gib,
	       m.c->header.nr_extents, m.nr_log, large_now() - start);
	vci_cache_destroy(m.c);
	opened = activate(&m);
	show("activation", &opened);
	printf("#   %u KiB of memory for what waits\n",
	       (u32)(vci_redo_bytes(&m.c->redo) / 1024));
	is_u64(m.report.entries, m.nr_log, "recovery:finds_the_log_of_%g_gib", gib);
	ok(probes_hit(&m), "recovery:maps_on_demand_of_%g_gib", gib);
	start = large_now();
	is_u64(vci_redo_finish(m.c), 0, "recovery:finishes_with_%g_gib", gib);
	finished = since(&m, start);
	show("with all replayed", &finished);
	vci_cache_destroy(m.c);
	large_exit(&m);
	return opened;
}

static void compare(const char *what, u64 small, u64 large)
{
	printf("# %s: %llu and %llu, ratio %.3f\n", what, small, large,
	       (double)large / small);
	ok(large * 100 <= small * RATIO_PERCENT, "recovery:%s_do_not_grow_with_the_image",
	   what);
}

static int usage(void)
{
	printf("recovery-sim [--small GIB] [--large GIB] [--log MIB]: what recovery reads\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "small", required_argument, NULL, 's' },
		{ "large", required_argument, NULL, 'l' },
		{ "log", required_argument, NULL, 'g' },
		{ }
	};
	u64 small = GIB_BLOCKS, large = 64 * GIB_BLOCKS, log = 256 * MIB_BLOCKS;
	struct cost a, b;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			small = atof(optarg) * GIB_BLOCKS;
		else if (c == 'l')
			large = atof(optarg) * GIB_BLOCKS;
		else if (c == 'g')
			log = atof(optarg) * MIB_BLOCKS;
		else
			return usage();
	}
	a = measure(small, log);
	b = measure(large, log);
	compare("reads", a.reads, b.reads);
	compare("blocks_read", a.blocks, b.blocks);
	return done_testing();
}
