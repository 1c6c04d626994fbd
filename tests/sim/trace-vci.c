// SPDX-License-Identifier: GPL-2.0-only
/*
 * A trace through dm-vci itself: what kernel/vci-map.c, vci-write.c and
 * vci-writer.c do with the core, one request at a time, in writethrough mode.
 *
 * Time is the trace's own; one without times is replayed in a closed loop, each
 * request as long as the device model says.  It decides when a fill is sealed,
 * and when there is time for idle work.
 *
 * A cache that is smaller than the smallest image, or between two sizes of an
 * image, gets the image of the next size with as many of its segments usable as
 * its share of that size; the others are marked bad before it is opened.
 */
#include "trace-disk.h"
#include "trace-vci.h"
#include "vci-format.h"

/* As in the shell. */
#define FILL_BLOCKS_MAX		2048u
#define SEAL_US			100000u
#define SEAL_BLOCKS		256u
#define SEAL_MAX_US		1000000u
#define TICK_US			1000000u

/* "cache/128, at least 16 KiB" */
#define SEGMENTS_WANTED		128u
#define SEGMENT_BLOCKS_MAX	4096u

struct vci_run {
	const struct trace *t;
	const struct trace_vci_params *p;
	struct trace_result *r;
	struct vci_cache *c;
	struct trace_disk cache, backing;
	struct vci_fill fill;
	u8 *buffer, *data;
	double now_us, opened_us, last_us;
	int error;
};

/* One piece of a request that is all mapped, or not at all. */
struct piece {
	u64 off, addr;
	u32 blocks;
	bool mapped;
};

/* ---- the image ---- */

static u32 segment_blocks(u64 blocks)
{
	u64 wanted = max_t(u64, blocks / SEGMENTS_WANTED, VCI_SEGMENT_BLOCKS_MIN);

	return min_t(u64, 1ull << ilog2(wanted), SEGMENT_BLOCKS_MAX);
}

/* Marks all segments from @first on as bad, in the table as format left it. */
static void limit_segments(struct trace_disk *d, const struct vci_header *h, u32 first)
{
	u32 nr_pages = DIV_ROUND_UP(h->nr_segments, VCI_SEGMENTS_PER_PAGE), i, k;
	struct vci_damage dmg;

	for (i = 0; i < 2 * nr_pages; i++) {
		u64 addr = h->segtable.addr + i * VCI_UNIT_BLOCKS, gen;
		struct vci_page_disk *page = (void *)(d->data + addr * VCI_BLOCK_SIZE);
		struct vci_segment_disk *s = (void *)page->payload;

		if (vci_page_check(page, h->uuid, addr, i / 2, h->checkpoint_gen, &gen,
				   &dmg))
			continue;
		for (k = 0; k < VCI_SEGMENTS_PER_PAGE; k++) {
			u32 segment = i / 2 * VCI_SEGMENTS_PER_PAGE + k;

			if (segment >= first && segment < h->nr_segments)
				s[k].state = VCI_SEG_BAD;
		}
		vci_page_seal(page, h->uuid, addr, i / 2, gen);
	}
}

static int make_image(struct vci_run *v)
{
	u64 blocks = v->p->cache_bytes / VCI_BLOCK_SIZE;
	u64 image = round_up(max_t(u64, blocks, 1), (u64)VCI_SIZE_GRAIN);
	const struct vci_format_params fp = {
		.layout = { .type = VCI_TYPE_FIXED, .blocks = image,
			    .segment_blocks = segment_blocks(blocks) },
		.uuid = { 0x76, 0x63, 0x69 }, .modification_uuid = { 1 },
	};
	struct vci_header h;
	int r;

	trace_disk_memory(&v->cache, image, "cache");
	r = vci_format(&v->cache.dev, &fp, &h);
	if (!r)
		limit_segments(&v->cache, &h, h.nr_segments * blocks / image);
	v->cache.written_blocks = 0;
	return r;
}

static int open_cache(struct vci_run *v)
{
	const struct vci_open_params op = {
		.cache_dev = &v->cache.dev, .backing_dev = &v->backing.dev,
		.backing_blocks = round_up(v->t->end, 2048ull),
		.random = 1, .modification_uuid = { 2 },
	};
	struct vci_open_report report;
	struct vci_damage dmg;
	const char *why = "";
	u32 blocks;
	int r;

	trace_disk_backing(&v->backing, op.backing_blocks, "backing");
	r = make_image(v);
	if (!r)
		r = vci_cache_open(&op, &v->c, &report, &dmg, &why);
	if (r) {
		fprintf(stderr, "trace: cannot open an image of %llu bytes: %s (%d)\n",
			v->p->cache_bytes, why, r);
		return r;
	}
	blocks = vci_cache_batch_blocks(v->c);
	v->buffer = malloc((size_t)blocks * VCI_BLOCK_SIZE);
	v->data = malloc(FILL_BLOCKS_MAX * VCI_BLOCK_SIZE);
	assert(v->buffer && v->data);
	vci_fill_init(&v->fill, v->buffer, blocks);
	return 0;
}

/* ---- the writer ---- */

static void maintain(struct vci_run *v, bool idle)
{
	int r = vci_cache_maintain(v->c, idle);

	if (r && !v->error)
		v->error = r;
}

static void seal(struct vci_run *v)
{
	int r = 0;

	if (v->fill.nr)
		r = vci_cache_append(v->c, &v->fill);
	if (r && r != -ENOSPC)
		v->error = r;
	if (vci_cache_needs_maintenance(v->c))
		maintain(v, false);
}

static void fill(struct vci_run *v, u64 off, u32 blocks, const struct vci_ticket *t,
		 const u8 *data)
{
	u64 start = off, end = off + blocks;

	while (off < end) {
		struct vci_ticket own;
		int i = vci_fill_reserve(&v->fill, off, end - off, t);
		bool valid;

		if (i == -ENOSPC) {
			seal(v);
			continue;
		}
		if (v->fill.nr == 1)
			v->opened_us = v->now_us;
		memcpy(vci_fill_data(&v->fill, i), data + (off - start) * VCI_BLOCK_SIZE,
		       (size_t)v->fill.e[i].blocks * VCI_BLOCK_SIZE);
		valid = vci_ticket_take(v->c, off, v->fill.e[i].blocks, &own) &&
			vci_ticket_valid(v->c, start, blocks, t);
		v->fill.e[i].ticket = own;
		vci_fill_commit(&v->fill, i, valid);
		off += v->fill.e[i].blocks;
	}
}

/* What the writer's timer would have done until now. */
static void pass_time(struct vci_run *v)
{
	double age = v->now_us - v->opened_us;

	if (v->fill.nr && age >= (v->fill.used >= SEAL_BLOCKS ? SEAL_US : SEAL_MAX_US))
		seal(v);
	if (v->now_us - v->last_us >= TICK_US)
		maintain(v, true);
}

/* ---- requests ---- */

static int look_up(struct vci_run *v, u64 off, u32 blocks, struct piece *pc)
{
	struct vci_lookup res;
	int r;

	for (;;) {
		r = vci_cache_lookup(v->c, off, blocks, &res);
		if (r != -EAGAIN)
			break;
		r = vci_cache_load(v->c, off, blocks);
		if (r)
			break;
	}
	if (r)
		return r;
	*pc = (struct piece){
		.off = off, .addr = res.e.addr, .mapped = res.mapped,
		.blocks = min_t(u32, res.e.blocks, FILL_BLOCKS_MAX),
	};
	return 0;
}

static void read_hit(struct vci_run *v, const struct piece *pc)
{
	u32 i;

	for (i = 0; i < pc->blocks; i++) {
		u64 got;

		memcpy(&got, v->cache.data + (pc->addr + i) * VCI_BLOCK_SIZE, sizeof(got));
		if (got == trace_disk_stamp(&v->backing, pc->off + i))
			continue;
		if (!v->error)
			fprintf(stderr, "trace: block %llu read wrong from the cache\n",
				pc->off + i);
		v->error = -EUCLEAN;
	}
}

static void read_miss(struct vci_run *v, const struct piece *pc)
{
	struct vci_ticket t;

	if (!vci_ticket_take(v->c, pc->off, pc->blocks, &t))
		return;
	if (vci_read(&v->backing.dev, pc->off, pc->blocks, v->data))
		return;
	fill(v, pc->off, pc->blocks, &t, v->data);
}

/* Counts by pieces; a unit with any miss in it is missed once. */
struct counting {
	u64 unit;		/* last one counted, + 1 */
	bool missed;		/* it was */
	bool in_miss;		/* the piece before was a miss */
	bool hit_any, miss_any;
};

static void count_piece(struct vci_run *v, struct counting *k, const struct piece *pc,
			bool is_write)
{
	u64 u, end = pc->off + pc->blocks;
	struct trace_result *r = v->r;

	for (u = pc->off / VCI_UNIT_BLOCKS; u * VCI_UNIT_BLOCKS < end; u++) {
		bool again = u + 1 == k->unit, missed = !pc->mapped;

		if (again && (k->missed || !missed))
			continue;
		r->units += !again;
		r->unit_misses += missed;
		r->read_units += !again && !is_write;
		r->read_unit_misses += missed && !is_write;
		k->unit = u + 1;
		k->missed = missed;
	}
	k->hit_any |= pc->mapped;
	k->miss_any |= !pc->mapped;
	if (!is_write && !pc->mapped) {
		r->read_ios += !k->in_miss;
		r->read_io_bytes += (u64)pc->blocks * VCI_BLOCK_SIZE;
		r->read_miss_bytes += (u64)pc->blocks * VCI_BLOCK_SIZE;
	}
	k->in_miss = !pc->mapped;
}

static int run_read(struct vci_run *v, const struct trace_request *q)
{
	u64 off = q->off, end = q->off + q->blocks;
	struct counting k = { 0 };
	struct piece pc;
	int r = 0;

	while (!r && off < end) {
		r = look_up(v, off, end - off, &pc);
		if (r)
			break;
		count_piece(v, &k, &pc, false);
		if (pc.mapped)
			read_hit(v, &pc);
		else
			read_miss(v, &pc);
		off += pc.blocks;
	}
	v->r->reads++;
	v->r->read_bytes += (u64)q->blocks * VCI_BLOCK_SIZE;
	v->r->read_misses += k.miss_any;
	v->r->hit_reads += k.hit_any;
	return r;
}

static int count_write(struct vci_run *v, const struct trace_request *q)
{
	u64 off = q->off, end = q->off + q->blocks;
	struct counting k = { 0 };
	struct piece pc;
	int r = 0;

	while (!r && off < end) {
		r = look_up(v, off, end - off, &pc);
		if (r)
			break;
		count_piece(v, &k, &pc, true);
		off += pc.blocks;
	}
	v->r->write_bytes += (u64)q->blocks * VCI_BLOCK_SIZE;
	v->r->out_bytes += (u64)q->blocks * VCI_BLOCK_SIZE;
	v->r->out_ios++;
	return r;
}

static int run_write(struct vci_run *v, const struct trace_request *q)
{
	struct vci_ticket t;
	struct vci_write w;
	int r = count_write(v, q);

	if (r)
		return r;
	r = vci_write_begin(v->c, &w, q->off, q->blocks);
	if (r == -EAGAIN)
		r = vci_write_prepare(v->c, &w);
	trace_disk_change(&v->backing, q->off, q->blocks);
	if (q->blocks > VCI_ENTRY_BLOCKS_MAX) {
		vci_write_end(v->c, &w, NULL);
	} else if (vci_write_end(v->c, &w, &t) && !r) {
		r = vci_read(&v->backing.dev, q->off, q->blocks, v->data);
		fill(v, q->off, q->blocks, &t, v->data);
	}
	return r;
}

static int run_all(struct vci_run *v)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < v->t->nr; i++) {
		const struct trace_request *q = &v->t->r[i];
		double before = trace_seconds(v->r, v->p->device);

		if (v->t->timed)
			v->now_us = q->us;
		pass_time(v);
		r = q->is_write ? run_write(v, q) : run_read(v, q);
		if (!v->t->timed)
			v->now_us += 1e6 * (trace_seconds(v->r, v->p->device) - before);
		v->last_us = v->now_us;
		if (!r)
			r = v->error;
	}
	return r;
}

/**
 * trace_run_vci() - run a trace through the core
 * @t: trace
 * @p: cache and device
 * @r: result, overwritten
 * @stats: the core's counters at the end
 *
 * Return: 0 or -errno.
 */
int trace_run_vci(const struct trace *t, const struct trace_vci_params *p,
		  struct trace_result *r, struct vci_cache_stats *stats)
{
	struct vci_run *v = calloc(1, sizeof(*v));
	int err;

	assert(v);
	v->t = t;
	v->p = p;
	v->r = r;
	memset(r, 0, sizeof(*r));
	memset(stats, 0, sizeof(*stats));
	err = open_cache(v);
	if (!err)
		err = run_all(v);
	if (v->c)
		vci_cache_get_stats(v->c, stats);
	r->fetch_ios = r->read_ios;
	r->fetch_bytes = r->read_io_bytes;
	r->cache_bytes = v->cache.written_blocks * VCI_BLOCK_SIZE;
	vci_cache_destroy(v->c);
	trace_disk_destroy(&v->cache);
	trace_disk_destroy(&v->backing);
	free(v->buffer);
	free(v->data);
	free(v);
	return err;
}
