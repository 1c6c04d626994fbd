// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stream of users' writes to the log: what the kernel's shell does with
 * them, one batch at a time, in steps (vci-cache.h, "writes that go to the log").
 */
#include "sim-world.h"
#include "vci-cache-internal.h"

/* Steps of the stream for which the writer waits at most. */
#define WAIT_MAX	2000u

static struct op *oldest_queued(struct world *w, const bool *taken)
{
	struct op *found = NULL;
	u32 i;

	for (i = 0; i < OPS_MAX; i++) {
		struct op *op = &w->ops[i];

		if ((op->kind == OP_WRITE || op->kind == OP_FLUSH) && op->phase == PH_LOG &&
		    !(taken && taken[i]) && (!found || op->queued < found->queued))
			found = op;
	}
	return found;
}

/* ---- when the cache has failed ---- */

/* Past the cache, if nothing in it is dirty; else nobody may write, or flush (law 5). */
static void turn_away(struct world *w)
{
	struct op *op;
	int r;

	while ((op = oldest_queued(w, NULL))) {
		if (vci_cache_is_stuck(w->cache)) {
			op_failed(w, op);
			continue;
		}
		if (op->kind == OP_FLUSH) {
			op_batch_done(w, op);
			continue;
		}
		op->began = w->clock;
		r = vci_write_begin(w->cache, &op->w, op->off, op->blocks);
		op->phase = r ? PH_PREPARE : PH_SUBMIT;
	}
}

static void fail_batch(struct world *w)
{
	struct stream *st = &w->stream;
	u32 i;

	for (i = 0; i < st->fill.nr; i++) {
		struct op *op = &w->ops[st->op[i]];

		if (op->kind == OP_WRITE && op->phase == PH_LOG)
			op_failed(w, op);
	}
	for (i = 0; i < OPS_MAX; i++)
		if (w->ops[i].kind != OP_NONE && w->ops[i].in_batch)
			op_failed(w, &w->ops[i]);
	st->phase = ST_LEAVE;
}

/* ---- the steps ---- */

static bool enter(struct world *w)
{
	struct stream *st = &w->stream;

	if (!oldest_queued(w, NULL))
		return false;
	if (vci_cache_is_failed(w->cache)) {
		turn_away(w);
		return true;
	}
	if (st->full || st->waits)
		return false;
	st->waits = true;
	if (!vci_append_enter(w->cache))
		return true;
	st->waits = false;
	st->mode = w->mode;
	st->phase = ST_BUILD;
	return true;
}

/* As much of @op as fits, if it isn't just to be behind what has landed; false: it's full. */
static bool take(struct world *w, struct op *op)
{
	static const struct vci_ticket none;
	struct vci_fill *f = &w->stream.fill;
	u32 done = op->done;

	if (op->kind == OP_FLUSH || done == op->blocks) {
		op->in_batch = true;
		f->flush |= op->kind == OP_FLUSH;
		if (op->kind == OP_WRITE && op->fua)
			f->fua = f->landed = true;
		return true;
	}
	/* What of it has landed is to be durable, too. */
	f->landed |= op->fua && done;
	while (done < op->blocks) {
		int i = vci_fill_reserve(f, op->off + done, op->blocks - done, &none);

		if (i < 0)
			return false;
		w->stream.op[i] = op - w->ops;
		memcpy(vci_fill_data(f, i), op->data + (size_t)done * VCI_BLOCK_SIZE,
		       (size_t)f->e[i].blocks * VCI_BLOCK_SIZE);
		done += f->e[i].blocks;
		vci_fill_commit(f, i, true);
		f->fua |= op->fua;
	}
	return true;
}

static void build(struct world *w)
{
	struct stream *st = &w->stream;
	bool taken[OPS_MAX] = { false };
	struct op *op;

	vci_fill_init(&st->fill, st->buffer, w->buffer_blocks, w->batch_align);
	st->fill.stream = sim_below(&w->rng, w->weights.streams);
	st->fill.write = true;
	st->fill.fua = false;
	while ((op = oldest_queued(w, taken))) {
		taken[op - w->ops] = true;
		if (!take(w, op) || sim_percent(&w->rng, 20))
			break;
	}
	st->applied = 0;
	memset(&st->a, 0, sizeof(st->a));
	st->phase = ST_BEGIN;
}

static void begin(struct world *w)
{
	struct stream *st = &w->stream;
	int r = vci_append_begin(w->cache, &st->fill, &st->a);

	trace(w, "batch of %u writes: %d, seq %llu at %llu+%u, flags %u", st->fill.nr, r,
	      st->a.info.seq, st->a.addr, st->a.blocks, st->a.flags);
	st->wait = sim_percent(&w->rng, 20) ? sim_below(&w->rng, 60) : 0;
	st->phase = ST_WRITE;
	if (r == -EAGAIN) {
		st->phase = ST_PREPARE;
	} else if (r == -ENODATA) {
		st->phase = ST_ACK;
	} else if (r == -ENOSPC) {
		st->full = true;
		w->full_appends++;
		st->phase = ST_LEAVE;
	} else if (r) {
		/* Failed before anything was written: see turn_away(). */
		unexpected(w, "vci_append_begin", r);
		st->phase = ST_LEAVE;
	}
}

static bool prepare(struct world *w)
{
	struct stream *st = &w->stream;
	int r;

	/* It takes a mutex to announce dirty data only. */
	if (core_locked(w) && !w->cache->may_dirty)
		return false;
	st->busy = true;
	r = vci_append_prepare(w->cache);
	st->busy = false;
	trace(w, "prepare the log: %d", r);
	if (unexpected(w, "vci_append_prepare", r) || stopped(w))
		return true;
	st->phase = ST_BEGIN;
	if (r == -ENOSPC)
		st->full = true;
	if (r && r != -ENOMEM)
		st->phase = ST_LEAVE;
	return true;
}

static void submit_failed(struct world *w, int r)
{
	vci_append_failed(w->cache, &w->stream.a, r);
	if (!vci_cache_is_stuck(w->cache))
		violation(w, "broken: a write to the log failed, and the cache isn't stuck");
	fail_batch(w);
}

static void may_fail(struct world *w)
{
	struct stream *st = &w->stream;

	if (st->fail_in && !--st->fail_in)
		w->cache_disk.fail_in = 1;
}

static void submit(struct world *w)
{
	struct stream *st = &w->stream;
	int r;

	if (st->wait) {
		st->wait--;
		return;
	}
	may_fail(w);
	r = user_io(w, &w->cache_disk, st->a.addr, st->a.blocks,
		    st->fill.buffer + st->a.skip * VCI_BLOCK_SIZE, true,
		    st->a.flags);
	if (stopped(w))
		return;
	st->phase = ST_MAP;
	if (r)
		submit_failed(w, r);
}

/* What the core has mapped takes effect in the model. */
void stream_sync(struct world *w)
{
	struct stream *st = &w->stream;

	if (st->phase != ST_MAP && st->phase != ST_MAP_SLEEP)
		return;
	for (; st->applied < st->a.mapped; st->applied++) {
		const struct vci_fill_entry *e = &st->fill.e[st->applied];

		model_logged(w, e->off, e->blocks, w->ops[st->op[st->applied]].version);
	}
}

static void mapped(struct world *w)
{
	struct stream *st = &w->stream;

	if (st->a.mapped != st->fill.nr)
		violation(w, "broken: %u of %u writes of a batch were mapped",
			  st->a.mapped, st->fill.nr);
	if (st->fill.nr > 1)
		w->now.several_seq = st->a.info.seq;
	w->writes_logged += st->fill.nr;
	st->phase = ST_ACK;
	/* The gate may be left before the users are told, or behind that. */
	if (sim_below(&w->rng, 2)) {
		vci_append_leave(w->cache);
		st->left = true;
	}
}

static bool map(struct world *w)
{
	struct stream *st = &w->stream;
	int r;

	if (st->phase == ST_MAP) {
		r = vci_append_map(w->cache, &st->fill, &st->a);
	} else {
		if (core_locked(w))
			return false;
		st->busy = true;
		r = vci_append_map_sleep(w->cache, &st->fill, &st->a);
		st->busy = false;
	}
	stream_sync(w);
	if (stopped(w))
		return true;
	trace(w, "batch %llu: %u mapped: %d", st->a.info.seq, st->a.mapped, r);
	if (!r)
		mapped(w);
	else if (r == -EAGAIN && st->phase == ST_MAP)
		st->phase = ST_MAP_SLEEP;
	else if (!unexpected(w, "mapping writes", r))
		fail_batch(w);
	return true;
}

static void acknowledge(struct world *w)
{
	struct stream *st = &w->stream;
	u32 i;

	for (i = 0; i < st->fill.nr; i++) {
		struct op *op = &w->ops[st->op[i]];

		op->done += st->fill.e[i].blocks;
		if (op->done < op->blocks)
			continue;
		trace(w, "write %u of %llu+%u is in the log", op->version, op->off,
		      op->blocks);
		model_ack(w, op->version);
		if (op->fua)
			model_ack_fua(w, op);
		op->kind = OP_NONE;
	}
	for (i = 0; i < OPS_MAX; i++)
		if (w->ops[i].kind != OP_NONE && w->ops[i].in_batch)
			op_batch_done(w, &w->ops[i]);
	st->phase = st->left ? ST_IDLE : ST_LEAVE;
	st->left = false;
}

/* One step; false if there is nothing to do. */
bool stream_step(struct world *w)
{
	struct stream *st = &w->stream;

	if (st->busy)
		return false;
	switch (st->phase) {
	case ST_IDLE:
		return enter(w);
	case ST_BUILD:
		build(w);
		break;
	case ST_BEGIN:
		begin(w);
		break;
	case ST_PREPARE:
		return prepare(w);
	case ST_WRITE:
		submit(w);
		break;
	case ST_MAP:
	case ST_MAP_SLEEP:
		return map(w);
	case ST_ACK:
		acknowledge(w);
		break;
	case ST_LEAVE:
		st->phase = ST_IDLE;
		vci_append_leave(w->cache);
		break;
	}
	return true;
}

/* ---- what the core asks for ---- */

/* The writer waits for the gate: the batch in flight comes to its end. */
void world_wait_log(void *ctx)
{
	struct world *w = ctx;
	u32 i;

	trace(w, "the writer waits for the log");
	for (i = 0; !stopped(w) && vci_append_busy(w->cache); i++) {
		if (w->stream.phase == ST_IDLE || i == WAIT_MAX)
			violation(w, "broken: the log's gate is held by nobody");
		stream_step(w);
	}
	/* A crash: who holds it is gone, and all I/O fails from now on. */
	if (vci_append_busy(w->cache)) {
		w->stream.phase = ST_IDLE;
		vci_append_leave(w->cache);
	}
}

void world_log_free(void *ctx)
{
	struct world *w = ctx;

	w->stream.waits = false;
}
