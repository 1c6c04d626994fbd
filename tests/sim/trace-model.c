// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counting and modelled time: see trace-model.h.
 */
#include "trace-model.h"

#define UNIT_BYTES	4096u
#define SECTOR_BYTES	512u

const struct trace_device_model trace_devices[TRACE_DEVICES] = {
	[TRACE_HDD] = { "hdd", 8.0, 150.0 },
	[TRACE_NET] = { "net", 1.0, 250.0 },
	[TRACE_SSD] = { "ssd", 0.1, 2000.0 },
};

double trace_ratio(u64 part, u64 of)
{
	return of ? (double)part / of : 0;
}

/**
 * trace_seconds() - what all reads of a run would take
 * @r: its result
 * @device: what the backing device is
 */
double trace_seconds(const struct trace_result *r, enum trace_device device)
{
	const struct trace_device_model *m = &trace_devices[device];

	return (r->read_ios * m->latency_ms + r->hit_reads * TRACE_HIT_MS) / 1e3 +
	       r->read_io_bytes / (m->mb_per_s * 1e6);
}

struct run {
	struct trace_policy *p;
	struct trace_result *r;
	u64 block;		/* sectors */
};

/* How many units of request @q lie in [from, to). */
static u32 units_in(const struct trace_request *q, u64 from, u64 to)
{
	const u32 unit = UNIT_BYTES / SECTOR_BYTES;

	from = max(from, q->off);
	to = min(to, q->off + q->blocks);
	/* A unit that blocks share (none does: blocks are units or more) */
	return (to - 1) / unit - from / unit + 1;
}

static void count_units(struct trace_result *r, bool is_write, u32 units, bool missed)
{
	r->units += units;
	r->unit_misses += missed ? units : 0;
	if (is_write)
		return;
	r->read_units += units;
	r->read_unit_misses += missed ? units : 0;
}

static void run_read(struct run *u, const struct trace_request *q)
{
	struct trace_result *r = u->r;
	u64 end = q->off + q->blocks, b;
	bool missed = false, hit_any = false, miss_any = false;

	r->reads++;
	r->read_bytes += (u64)q->blocks * SECTOR_BYTES;
	for (b = q->off / u->block; b * u->block < end; b++) {
		u64 from = max(q->off, b * u->block), to = min(end, (b + 1) * u->block);
		bool hit = trace_policy_access(u->p, b, false);

		count_units(r, false, units_in(q, from, to), !hit);
		if (!hit) {
			r->read_ios += !missed;
			r->read_io_bytes += u->block * SECTOR_BYTES;
			r->read_miss_bytes += (to - from) * SECTOR_BYTES;
			r->cache_bytes += u->block * SECTOR_BYTES;
		}
		missed = !hit;
		hit_any |= hit;
		miss_any |= !hit;
	}
	r->read_misses += miss_any;
	r->hit_reads += hit_any;
}

static void run_write(struct run *u, const struct trace_request *q)
{
	struct trace_result *r = u->r;
	u64 end = q->off + q->blocks, b;

	r->write_bytes += (u64)q->blocks * SECTOR_BYTES;
	r->cache_bytes += (u64)q->blocks * SECTOR_BYTES;
	for (b = q->off / u->block; b * u->block < end; b++) {
		u64 from = max(q->off, b * u->block), to = min(end, (b + 1) * u->block);
		bool hit = trace_policy_access(u->p, b, true);

		count_units(r, true, units_in(q, from, to), !hit);
		if (hit || to - from == u->block)
			continue;
		r->fetch_ios++;
		r->fetch_bytes += u->block * SECTOR_BYTES;
		r->cache_bytes += (u->block - (to - from)) * SECTOR_BYTES;
	}
}

static u32 *next_uses(const struct trace *t, u64 block)
{
	size_t nr = 0, i;
	u64 *keys, b;
	u32 *next;

	for (i = 0; i < t->nr; i++)
		nr += (t->r[i].off + t->r[i].blocks - 1) / block - t->r[i].off / block + 1;
	assert(nr < TRACE_NEVER);
	keys = malloc(nr * sizeof(*keys) + 1);
	assert(keys);
	for (nr = 0, i = 0; i < t->nr; i++)
		for (b = t->r[i].off / block;
		     b * block < t->r[i].off + t->r[i].blocks; b++)
			keys[nr++] = b;
	next = trace_next_uses(keys, nr);
	free(keys);
	return next;
}

/**
 * trace_run_policy() - run a trace through a known policy
 * @t: trace
 * @kind: policy
 * @block_bytes: size of its blocks, a multiple of 4096
 * @cache_bytes: size of the cache; at least one block is used
 * @r: result, overwritten
 */
void trace_run_policy(const struct trace *t, enum trace_policy_kind kind,
		      u32 block_bytes, u64 cache_bytes, struct trace_result *r)
{
	u32 capacity = max_t(u64, 1, cache_bytes / block_bytes);
	struct run u = { .r = r, .block = block_bytes / SECTOR_BYTES };
	u32 *next = kind == TRACE_BELADY ? next_uses(t, u.block) : NULL;
	size_t i;

	memset(r, 0, sizeof(*r));
	u.p = trace_policy_new(kind, capacity, next);
	for (i = 0; i < t->nr; i++) {
		if (t->r[i].is_write)
			run_write(&u, &t->r[i]);
		else
			run_read(&u, &t->r[i]);
	}
	r->fetch_ios += r->read_ios;
	r->fetch_bytes += r->read_io_bytes;
	r->out_ios = trace_policy_cleaned(u.p, true);
	r->out_bytes = r->out_ios * block_bytes;
	trace_policy_free(u.p);
	free(next);
}
