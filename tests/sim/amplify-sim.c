// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is written to the cache device for each byte of new data, once the cache is
 * full: headers of batches, what reclaim appends again, records of write-back,
 * checkpoints.
 *
 *  fill	random 4 KiB reads; what misses is stored, as kernel/vci-writer.c does,
 *		and nothing around it: that would be larger extents, and fewer nodes
 *  write	random 4 KiB writes in writeback mode, never synced
 *
 * Places are evenly distributed over a backing device of eight times the image.  Data
 * itself isn't kept, so that 64 GiB need no room: what is written beyond the metadata
 * is counted and forgotten.
 *
 * No clock: of N writes in flight, kernel/vci-stream.c sends the first alone, and what
 * arrives meanwhile is the next batch; each that completes is followed by another.  So
 * batches have 1 and N - 1 writes in turn.  A header and the padding end with 4 KiB,
 * as on a device with such blocks.  Write-back is as kernel/vci-cleaner.c does it under
 * load: while more than half of the cache is dirty, a small round for as much new data.
 * What that does once in a while, by its clock, is missing: some checkpoint more.
 */
#include <getopt.h>

#include "sim-large.h"
#include "vt.h"

#define EXTENT		VCI_UNIT_BLOCKS
/* The backing device is so many times as large as the image. */
#define BACKING		8u
/* As in the shell. */
#define ROUND_BLOCKS	1024u
#define URGENT_PERCENT	50u
/* So many times the image goes through the cache before it is measured, in halves. */
#define WARM_HALVES	3u

#define FILLS_MOST	1.3
#define WRITES_MOST	1.5

struct options {
	u64 blocks;
	u32 depth;
	bool tsv;
};

struct load {
	struct large m;
	const struct options *o;
	u64 asked;		/* blocks of new data */
	u64 placed;		/* ... of it, written in place */
	struct vci_fill fill[VCI_STREAMS];	/* the first one for writes */
	u8 *buffer[VCI_STREAMS];
	struct vci_writeback wb;
	u64 next_round;
};

static void must(int r, const char *what)
{
	if (!r)
		return;
	printf("Bail out! %s: %d\n", what, r);
	exit(1);
}

static u64 some_place(struct load *l)
{
	return sim_rand(&l->m.rng) % (l->m.backing.dev.blocks / EXTENT) * EXTENT;
}

static void maintain(struct load *l)
{
	must(vci_cache_maintain(l->m.c, false), "maintenance");
}

/* ---- fills ---- */

static void seal(struct load *l, struct vci_fill *f)
{
	int r = 0;

	if (!vci_cache_append_fits(l->m.c))
		maintain(l);
	if (f->nr)
		r = vci_cache_append(l->m.c, f);
	if (r != -ENOSPC)
		must(r, "append");
	if (vci_cache_needs_maintenance(l->m.c))
		maintain(l);
	vci_fill_begin(l->m.c, f, f->stream);
}

static void store(struct load *l, const struct vci_plan_piece *pc)
{
	struct vci_fill *f = &l->fill[pc->stream];
	u64 off = pc->off, end = off + pc->blocks;

	while (off < end) {
		struct vci_ticket t;
		int i;

		if (!vci_ticket_take(l->m.c, off, end - off, &t))
			must(-EBUSY, "ticket");
		i = vci_fill_reserve(f, off, end - off, &t);
		if (i == -ENOSPC) {
			seal(l, f);
			continue;
		}
		f->e[i].heat = pc->heat;
		vci_fill_commit(f, i, true);
		off += f->e[i].blocks;
	}
}

static void read_one(struct load *l)
{
	struct vci_cache *c = l->m.c;
	struct vci_plan_piece pc;
	struct vci_lookup res;
	struct vci_plan plan;
	u64 off = some_place(l);
	int r;

	while ((r = vci_cache_lookup(c, off, EXTENT, &res)) == -EAGAIN)
		must(vci_cache_load(c, off, EXTENT), "loading");
	must(r, "lookup");
	if (res.mapped)
		return;
	l->asked += EXTENT;
	vci_plan_read(c, off, EXTENT, false, NULL, NULL, &plan);
	while (vci_plan_next(c, &plan, &pc))
		store(l, &pc);
}

/* ---- writes ---- */

static void write_back(struct load *l)
{
	struct vci_cache *c = l->m.c;
	int r;

	if (l->asked < l->next_round)
		return;
	l->next_round = l->asked + ROUND_BLOCKS;
	if (vci_cache_dirty_percent(c) <= URGENT_PERCENT)
		return;
	if (l->wb.off >= l->m.backing.dev.blocks || !l->wb.off)
		l->wb = (struct vci_writeback) { .max_seq = U64_MAX };
	r = vci_cache_writeback(c, &l->wb, ROUND_BLOCKS);
	if (r == -ENOSPC)
		maintain(l);
	else
		must(r ? r : l->wb.error, "write-back");
}

/* Return: true if it was done in place. */
static bool write_in_place(struct load *l, u64 off)
{
	bool hit;
	u64 addr = vci_place_begin(l->m.c, off, EXTENT, &hit);

	if (!addr)
		return false;
	must(vci_write(l->m.c->dev, addr, EXTENT, l->buffer[0], 0), "write in place");
	vci_place_end(l->m.c, off, EXTENT, 0);
	l->placed += EXTENT;
	return true;
}

static void write_batch(struct load *l, u32 nr)
{
	static const struct vci_ticket none;
	struct vci_fill *f = &l->fill[0];
	struct vci_cache *c = l->m.c;
	int i, r;

	vci_fill_init(f, l->buffer[0], vci_cache_batch_blocks(c), vci_cache_batch_align(c));
	f->write = true;
	while (f->nr < nr) {
		u64 off = some_place(l);

		l->asked += EXTENT;
		if (write_in_place(l, off))
			continue;
		i = vci_fill_reserve(f, off, EXTENT, &none);
		/* It overwrites another of them: that waits, here it's left out. */
		if (i < 0)
			l->asked -= EXTENT;
		else
			vci_fill_commit(f, i, true);
	}
	for (;;) {
		if (!vci_append_enter(c))
			must(-EBUSY, "gate");
		r = large_append(c, f);
		vci_append_leave(c);
		if (r != -ENOSPC)
			break;
		maintain(l);
	}
	must(r, "append");
	write_back(l);
	if (vci_cache_needs_maintenance(c))
		maintain(l);
}

static void write_some(struct load *l)
{
	write_batch(l, 1);
	if (l->o->depth > 1)
		write_batch(l, l->o->depth - 1);
}

/* ---- measuring ---- */

struct count {
	u64 asked, placed, written;
	struct vci_cache_stats s;
};

static void take(struct load *l, struct count *k)
{
	k->asked = l->asked;
	k->placed = l->placed;
	k->written = l->m.cache.blocks_written;
	vci_cache_get_stats(l->m.c, &k->s);
}

static void run_until(struct load *l, void (*one)(struct load *l), u64 blocks)
{
	while (l->asked < blocks)
		one(l);
}

static double gib_name(const struct load *l)
{
	return (double)l->o->blocks / GIB_BLOCKS;
}

/* Parts of what was written, over the new data. */
static double report(const struct load *l, const char *what, const struct count *a,
		     const struct count *b)
{
	double new = b->asked - a->asked, total = (b->written - a->written) / new;
	u64 data = b->s.filled_blocks - a->s.filled_blocks +
		   b->s.written_blocks - a->s.written_blocks;
	u64 moved = b->s.moved_blocks - a->s.moved_blocks;
	u64 placed = b->placed - a->placed;
	u64 log = b->s.appended_blocks - a->s.appended_blocks;
	u64 nodes = (b->s.node_writes - a->s.node_writes) * VCI_NODE_BLOCKS;

	if (l->o->tsv)
		printf("vci\tamplification-%s-%g-gib\t%.3f\n", what, gib_name(l), total);
	printf("# %s, %g GiB: %.3f = data %.3f, in place %.3f, appended again %.3f, headers and records %.3f, nodes %.3f, other metadata %.3f; %llu checkpoints, %.2f GiB of new data; segments of %llu KiB\n",
	       what, gib_name(l), total, data / new, placed / new, moved / new,
	       ((double)log - data - moved) / new, nodes / new,
	       ((double)(b->written - a->written) - placed - log - nodes) / new,
	       b->s.checkpoints - a->s.checkpoints, new / GIB_BLOCKS,
	       b->s.segment_blocks / 2);
	return total;
}

static void measure(const struct options *o, const char *what,
		    void (*one)(struct load *l), double most)
{
	struct load *l = calloc(1, sizeof(*l));
	struct count before, after;
	double start = large_now(), total;
	u32 i;

	assert(l);
	l->o = o;
	large_init(&l->m, o->blocks, EXTENT);
	l->m.backing.dev.blocks = BACKING * o->blocks;
	large_open(&l->m);
	/* From here on. */
	l->m.cache.kept = l->m.c->header.segments;
	for (i = 0; i < VCI_STREAMS; i++) {
		l->buffer[i] = calloc(vci_cache_batch_blocks(l->m.c), VCI_BLOCK_SIZE);
		assert(l->buffer[i]);
		vci_fill_init(&l->fill[i], l->buffer[i], vci_cache_batch_blocks(l->m.c),
			      vci_cache_batch_align(l->m.c));
		l->fill[i].stream = i;
	}
	run_until(l, one, o->blocks / 2 * WARM_HALVES);
	take(l, &before);
	run_until(l, one, before.asked + o->blocks);
	take(l, &after);
	total = report(l, what, &before, &after);
	printf("# %.1f s\n", large_now() - start);
	if (!o->tsv) {
		ok(after.s.evicted_blocks > before.s.evicted_blocks,
		   "amplify:%s_evicts_as_the_cache_is_full", what);
		ok(total <= most, "amplify:%s_of_%g_gib_at_most_%.1f", what, gib_name(l), most);
	}
	vci_cache_destroy(l->m.c);
	large_exit(&l->m);
	for (i = 0; i < VCI_STREAMS; i++)
		free(l->buffer[i]);
	free(l);
}

static int usage(void)
{
	printf("amplify-sim [--image GIB] [--depth N] [--tsv]: bytes written to the cache per byte of new data\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "image", required_argument, NULL, 'i' },
		{ "depth", required_argument, NULL, 'd' },
		{ "tsv", no_argument, NULL, 't' },
		{ }
	};
	struct options o = { GIB_BLOCKS, 32, false };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'i')
			o.blocks = atof(optarg) * GIB_BLOCKS;
		else if (c == 'd')
			o.depth = atoi(optarg);
		else if (c == 't')
			o.tsv = true;
		else
			return usage();
	}
	if (!o.depth)
		return usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	vci_log_file = stderr;
	measure(&o, "fill", read_one, FILLS_MOST);
	measure(&o, "write", write_some, WRITES_MOST);
	return o.tsv ? 0 : done_testing();
}
