// SPDX-License-Identifier: GPL-2.0-only
/*
 * A trace through dm-vci itself: what kernel/vci-map.c, vci-write.c and
 * vci-writer.c do with the core, one request at a time, in writethrough mode.
 *
 * Time is the trace's own; one without times is replayed in a closed loop, each
 * request as long as the device model says.  It decides when there is time for idle
 * work.
 *
 * A cache that is smaller than the smallest image, or between two sizes of an
 * image, gets the image of the next size with as many of its segments usable as
 * its share of that size; the others are marked bad before it is opened.
 */
#include "trace-disk.h"
#include "trace-vci.h"
#include "vci-format.h"
#include "vci-seq.h"

/* As in the shell. */
#define FILL_BLOCKS_MAX		2048u
#define TICK_US			1000000u
/* What is read around ends with whole units. */
#define AROUND_BLOCKS_MAX	((VCI_PLAN_UNITS + 1) * VCI_UNIT_BLOCKS)

/* "cache/128, at least 16 KiB" */
#define SEGMENTS_WANTED		128u
#define SEGMENT_BLOCKS_MAX	4096u

/* One for each stream, and one for what goes to the place it had before. */
#define FILL_OLD		VCI_STREAMS
#define FILLS			(VCI_STREAMS + 1)

struct vci_run {
	const struct trace *t;
	const struct trace_vci_params *p;
	struct trace_result *r;
	struct vci_cache *c;
	struct trace_disk cache, backing;
	struct vci_fill fill[FILLS];
	u8 *buffer[FILLS], *data;
	double now_us, last_us;
	struct vci_seq reads, writes;
	int error;
};

/* One piece of a request that is all mapped, or not at all. */
struct piece {
	u64 off, addr;
	u32 blocks;
	bool mapped;
	bool pending;		/* mapped: on its way into the log */
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
			    .segment_blocks = segment_blocks(blocks),
			    .batch_align = 1 },
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
	u32 blocks, i;
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
	v->data = malloc((FILL_BLOCKS_MAX + 2 * AROUND_BLOCKS_MAX) * VCI_BLOCK_SIZE);
	assert(v->data);
	for (i = 0; i < FILLS; i++) {
		v->buffer[i] = malloc((size_t)blocks * VCI_BLOCK_SIZE);
		assert(v->buffer[i]);
		vci_fill_init(&v->fill[i], v->buffer[i], blocks, vci_cache_batch_align(v->c));
		v->fill[i].stream = i < VCI_STREAMS ? i : VCI_STREAM_NEW;
	}
	return 0;
}

/* ---- the writer ---- */

static void maintain(struct vci_run *v, bool idle)
{
	int r = vci_cache_maintain(v->c, idle);

	if (r && !v->error)
		v->error = r;
}

static void seal(struct vci_run *v, struct vci_fill *f)
{
	int r = 0;

	if (!vci_cache_append_fits(v->c))
		maintain(v, false);
	if (f->nr)
		r = vci_cache_append(v->c, f);
	if (r && r != -ENOSPC)
		v->error = r;
	if (vci_cache_needs_maintenance(v->c))
		maintain(v, false);
	vci_fill_begin(v->c, f, f->stream);
}

/* @start, @blocks: what @t is for; @data: that of @start. */
static void fill(struct vci_run *v, const struct vci_plan_piece *pc, u64 start, u32 blocks,
		 const struct vci_ticket *t, const u8 *data)
{
	struct vci_fill *f = &v->fill[pc->old_addr ? FILL_OLD : pc->stream];
	u64 off = pc->off, end = off + pc->blocks;

	while (off < end) {
		struct vci_ticket own;
		int i = vci_fill_reserve(f, off, end - off, t);
		bool valid;

		if (i == -ENOSPC) {
			seal(v, f);
			continue;
		}
		memcpy(vci_fill_data(f, i), data + (off - start) * VCI_BLOCK_SIZE,
		       (size_t)f->e[i].blocks * VCI_BLOCK_SIZE);
		valid = vci_ticket_take(v->c, off, f->e[i].blocks, &own) &&
			vci_ticket_valid(v->c, start, blocks, t);
		f->e[i].ticket = own;
		vci_fill_describe(f, i, pc);
		vci_fill_commit(f, i, valid);
		off += f->e[i].blocks;
	}
	/* The writer is told at once. */
	if (pc->old_addr)
		seal(v, f);
}

/* What the writer's timer would have done until now. */
static void pass_time(struct vci_run *v)
{
	if (v->now_us - v->last_us >= TICK_US)
		maintain(v, true);
}

/* ---- requests ---- */

/* What of the range is on its way into the log, from its start. */
static const u8 *find_pending(struct vci_run *v, u64 off, u32 *blocks,
			      struct vci_first_uses *first)
{
	const u8 *data;
	int entry;
	u32 i;

	for (i = 0; i < FILLS; i++) {
		data = vci_fill_find(&v->fill[i], off, blocks, &entry);
		if (!data || !vci_fill_fresh(v->c, &v->fill[i], entry))
			continue;
		if (first)
			vci_fill_use(&v->fill[i], entry, first);
		return data;
	}
	return NULL;
}

static bool all_pending(void *ctx, u64 off, u32 blocks)
{
	u32 n;

	for (; blocks; off += n, blocks -= n) {
		n = blocks;
		if (!find_pending(ctx, off, &n, NULL))
			return false;
	}
	return true;
}

static const struct vci_plan_ops plan_ops = { .pending = all_pending };

/* @use: somebody reads it. */
static int look_up(struct vci_run *v, u64 off, u32 blocks, bool use,
		   struct vci_first_uses *first, struct piece *pc)
{
	struct vci_lookup res;
	int r;

	for (;;) {
		r = use ? vci_cache_lookup(v->c, off, blocks, &res) :
			  vci_cache_peek(v->c, off, blocks, &res);
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
	if (!pc->mapped && find_pending(v, off, &pc->blocks, use ? first : NULL))
		pc->mapped = pc->pending = true;
	return 0;
}

static void read_hit(struct vci_run *v, const struct piece *pc)
{
	const u8 *data = v->cache.data + pc->addr * VCI_BLOCK_SIZE;
	u32 i, n = pc->blocks;

	if (pc->pending)
		data = find_pending(v, pc->off, &n, NULL);
	for (i = 0; i < pc->blocks; i++) {
		u64 got;

		memcpy(&got, data + (size_t)i * VCI_BLOCK_SIZE, sizeof(got));
		if (got == trace_disk_stamp(&v->backing, pc->off + i))
			continue;
		if (!v->error)
			fprintf(stderr, "trace: block %llu read wrong from the cache\n",
				pc->off + i);
		v->error = -EUCLEAN;
	}
}

static int read_past_cache(struct vci_run *v, u64 off, u32 blocks)
{
	int r = vci_read(&v->backing.dev, off, blocks, v->data);

	if (r)
		return r;
	v->r->read_ios++;
	v->r->read_io_bytes += (u64)blocks * VCI_BLOCK_SIZE;
	return 0;
}

static int read_miss(struct vci_run *v, u64 off, u32 blocks)
{
	const struct trace_device_model *m = &trace_devices[v->p->device];
	struct vci_plan_piece pc;
	struct vci_plan plan;
	struct vci_ticket t;
	int r;

	if (vci_seq_is_long(&v->reads, off, blocks))
		return read_past_cache(v, off, blocks);
	vci_plan_read(v->c, off, blocks, v->p->around, &plan_ops, v, &plan);
	if (!vci_ticket_take(v->c, plan.off, plan.blocks, &t))
		return -EUCLEAN;
	r = read_past_cache(v, plan.off, plan.blocks);
	if (r)
		return r;
	vci_plan_took(v->c, plan.blocks, m->latency_ms * 1e3 + (u64)plan.blocks *
		      VCI_BLOCK_SIZE / m->mb_per_s);
	while (vci_plan_next(v->c, &plan, &pc))
		fill(v, &pc, plan.off, plan.blocks, &t, v->data);
	return 0;
}

/* Counts by pieces; a unit with any miss in it is missed once. */
struct counting {
	u64 unit;		/* last one counted, + 1 */
	bool missed;		/* it was */
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
	k->miss_any |= !pc->mapped;
	if (!is_write && !pc->mapped)
		r->read_miss_bytes += (u64)pc->blocks * VCI_BLOCK_SIZE;
}

/* Counts all of [off, end). */
static int count_range(struct vci_run *v, struct counting *k, u64 off, u64 end,
		       bool is_write)
{
	struct piece pc;
	int r = 0;

	while (off < end) {
		r = look_up(v, off, end - off, false, NULL, &pc);
		if (r)
			break;
		count_piece(v, k, &pc, is_write);
		off += pc.blocks;
	}
	return r;
}

/* At @off there is a hole: how long until the last one of [off, end) ends? */
static int find_holes(struct vci_run *v, u64 off, u64 end, u32 *blocks)
{
	u64 at = off;
	struct piece pc;
	int r = 0;

	end = min(end, off + FILL_BLOCKS_MAX);
	while (at < end) {
		r = look_up(v, at, end - at, false, NULL, &pc);
		if (r)
			break;
		at += pc.blocks;
		if (!pc.mapped)
			*blocks = at - off;
	}
	return r;
}

static int run_read(struct vci_run *v, const struct trace_request *q)
{
	u64 off = q->off, end = q->off + q->blocks;
	struct vci_first_uses first = { 0 };
	struct counting k = { 0 };
	struct piece pc;
	int r = count_range(v, &k, off, end, false);

	while (!r && off < end) {
		r = look_up(v, off, end - off, true, &first, &pc);
		if (r)
			break;
		if (pc.mapped) {
			k.hit_any = true;
			read_hit(v, &pc);
			off += pc.blocks;
		} else {
			r = find_holes(v, off, end, &pc.blocks);
			if (!r)
				r = read_miss(v, off, pc.blocks);
			off += pc.blocks;
		}
	}
	vci_cache_first_uses(v->c, &first, !k.miss_any);
	v->r->reads++;
	v->r->read_bytes += (u64)q->blocks * VCI_BLOCK_SIZE;
	v->r->read_misses += k.miss_any;
	v->r->hit_reads += k.hit_any;
	return r;
}

static int count_write(struct vci_run *v, const struct trace_request *q)
{
	struct counting k = { 0 };

	v->r->write_bytes += (u64)q->blocks * VCI_BLOCK_SIZE;
	v->r->out_bytes += (u64)q->blocks * VCI_BLOCK_SIZE;
	v->r->out_ios++;
	return count_range(v, &k, q->off, q->off + q->blocks, true);
}

static void fill_written(struct vci_run *v, const struct trace_request *q,
			 const struct vci_write *w, const struct vci_ticket *t)
{
	u64 off = q->off, end = off + q->blocks;
	struct vci_plan_piece pc;

	for (; off < end; off += pc.blocks) {
		vci_plan_written(v->c, off, end - off, w, &pc);
		fill(v, &pc, q->off, q->blocks, t, v->data);
	}
}

static int run_write(struct vci_run *v, const struct trace_request *q)
{
	bool is_long = vci_seq_is_long(&v->writes, q->off, q->blocks);
	struct vci_ticket t;
	struct vci_write w;
	int r = count_write(v, q);

	if (r)
		return r;
	r = vci_write_begin(v->c, &w, q->off, q->blocks);
	if (r == -EAGAIN)
		r = vci_write_prepare(v->c, &w);
	trace_disk_change(&v->backing, q->off, q->blocks);
	if (is_long || q->blocks > VCI_ENTRY_BLOCKS_MAX) {
		vci_write_end(v->c, &w, NULL);
	} else if (vci_write_end(v->c, &w, &t) && !r) {
		r = vci_read(&v->backing.dev, q->off, q->blocks, v->data);
		fill_written(v, q, &w, &t);
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
	unsigned int i;
	int err;

	assert(v);
	v->t = t;
	v->p = p;
	v->r = r;
	memset(r, 0, sizeof(*r));
	memset(stats, 0, sizeof(*stats));
	vci_seq_init(&v->reads, p->seq_cutoff);
	vci_seq_init(&v->writes, p->seq_cutoff);
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
	for (i = 0; i < FILLS; i++)
		free(v->buffer[i]);
	free(v->data);
	free(v);
	return err;
}
