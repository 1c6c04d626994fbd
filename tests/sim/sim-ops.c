// SPDX-License-Identifier: GPL-2.0-only
/*
 * Users and the writer: what the kernel's shell does, in steps.
 */
#include "sim-world.h"
#include "vci-cache-internal.h"

#define HOOK_DEPTH_MAX	3u
#define HOOK_STEPS_MAX	4u

/* ---- I/O of the users themselves ---- */

static int user_read(struct world *w, struct sim_disk *d, u64 addr, u32 blocks, void *data)
{
	bool old = w->power.in_hook_io;
	int r;

	w->power.in_hook_io = true;
	r = vci_read(&d->dev, addr, blocks, data);
	w->power.in_hook_io = old;
	return r;
}

static int user_write(struct world *w, u64 off, u32 blocks, const void *data,
		      unsigned int flags)
{
	bool old = w->power.in_hook_io;
	int r;

	w->power.in_hook_io = true;
	r = vci_write(&w->backing_disk.dev, off, blocks, data, flags);
	w->power.in_hook_io = old;
	return r;
}

static int user_flush(struct world *w)
{
	bool old = w->power.in_hook_io;
	int r;

	w->power.in_hook_io = true;
	r = vci_flush(&w->backing_disk.dev);
	w->power.in_hook_io = old;
	return r;
}

/* A mutex of the core is held: whoever wants it would wait. */
static bool core_locked(const struct world *w)
{
	return w->cache->intent.lock.held || w->cache->header_lock.held ||
	       w->cache->redo.lock.held;
}

/* A failure that no power cut explains. */
static bool unexpected(struct world *w, const char *what, int r)
{
	if (!r || stopped(w) || w->cache_disk.errors || (r == -ENOMEM && w->no_memory))
		return false;
	violation(w, "broken: %s returned %d", what, r);
	return true;
}

/* ---- reads ---- */

static void read_begin(struct world *w, struct op *op)
{
	struct vci_lookup res;
	int r;

	op->began = w->clock;
	if (vci_cache_is_failed(w->cache)) {
		op->piece = op->blocks;
		op->has_ticket = false;
		op->phase = PH_MISS;
		return;
	}
	r = vci_cache_lookup(w->cache, op->off, op->blocks, &res);
	if (r == -EAGAIN) {
		op->phase = PH_LOAD;
		return;
	}
	if (unexpected(w, "vci_cache_lookup", r))
		return;
	op->piece = min(op->blocks, res.e.blocks);
	if (res.mapped) {
		op->addr = res.e.addr;
		op->wait = sim_percent(&w->rng, 10) ? sim_below(&w->rng, 500) : 0;
		op->phase = PH_HIT;
		w->hits++;
		return;
	}
	op->has_ticket = vci_ticket_take(w->cache, op->off, op->piece, &op->ticket);
	op->phase = PH_MISS;
	w->misses++;
}

static void read_next(struct op *op)
{
	op->off += op->piece;
	op->blocks -= op->piece;
	op->phase = PH_BEGIN;
	if (!op->blocks)
		op->kind = OP_NONE;
}

static void read_hit(struct world *w, struct op *op)
{
	if (user_read(w, &w->cache_disk, op->addr, op->piece, op->data)) {
		/* Clean data: from the backing device then. */
		op->has_ticket = false;
		op->phase = PH_MISS;
		return;
	}
	if (!model_check_read(w, op->off, op->piece, op->data, op->began))
		trace(w, "hit of %llu+%u at %llu", op->off, op->piece, op->addr);
	read_next(op);
}

static void read_miss(struct world *w, struct op *op)
{
	if (user_read(w, &w->backing_disk, op->off, op->piece, op->data))
		return;
	if (!model_check_read(w, op->off, op->piece, op->data, op->began))
		trace(w, "miss of %llu+%u", op->off, op->piece);
	op->done = 0;
	op->phase = PH_RESERVE;
	if (!op->has_ticket)
		read_next(op);
}

/* ---- fills, of reads and writes ---- */

static void fill_end(struct op *op)
{
	if (op->kind == OP_READ)
		read_next(op);
	else
		op->kind = OP_NONE;
}

/* Another fill takes over; the old one waits for what is pending. */
static void rotate_fills(struct world *w)
{
	u32 i;

	for (i = 0; i < FILLS; i++)
		if (i != w->open_fill && i != w->appending && !w->fills[i].nr)
			w->open_fill = i;
}

static void fill_reserve(struct world *w, struct op *op)
{
	static const struct vci_ticket none;
	int i = -ENOSPC;

	if (w->open_fill == w->appending)
		rotate_fills(w);
	if (w->open_fill != w->appending)
		i = vci_fill_reserve(&w->fills[w->open_fill], op->off + op->done,
				     op->piece - op->done, &none);
	if (i < 0) {
		fill_end(op);
		return;
	}
	op->fill = w->open_fill;
	op->entry = i;
	op->phase = PH_COMMIT;
}

/* As vci_writer_fill() does: an entry may be shorter than what the ticket is for. */
static void fill_commit(struct world *w, struct op *op)
{
	struct vci_fill *f = &w->fills[op->fill];
	struct vci_fill_entry *e = &f->e[op->entry];
	struct vci_ticket own = { 0 };
	u32 blocks = e->blocks;
	bool valid;

	valid = !sim_percent(&w->rng, 4) &&
		vci_ticket_take(w->cache, e->off, blocks, &own) &&
		vci_ticket_valid(w->cache, op->off, op->piece, &op->ticket);
	if (valid)
		memcpy(vci_fill_data(f, op->entry), op->data + op->done * 512,
		       (size_t)blocks * 512);
	e->ticket = own;
	vci_fill_commit(f, op->entry, valid);
	op->done += blocks;
	op->phase = PH_RESERVE;
	if (op->done == op->piece)
		fill_end(op);
}

/* ---- writes and discards ---- */

static void write_begin(struct world *w, struct op *op)
{
	u64 off = op->kind == OP_DISCARD ? op->wide_off : op->off;
	u64 blocks = op->kind == OP_DISCARD ? op->wide_blocks : op->blocks;
	int r;

	op->version = model_new_version(w);
	op->piece = op->blocks;
	op->done = 0;
	r = vci_write_begin(w->cache, &op->w, off, blocks);
	model_unmap(w, off, blocks);
	trace(w, "%s %u of %llu+%llu begins: %d",
	      op->kind == OP_WRITE ? "write" : "discard", op->version, off, blocks, r);
	op->phase = r ? PH_PREPARE : PH_SUBMIT;
}

static void write_prepare(struct world *w, struct op *op)
{
	int r;

	if (core_locked(w))
		return;
	op->busy = true;
	r = vci_write_prepare(w->cache, &op->w);
	op->busy = false;
	model_unmap(w, op->w.off, op->w.blocks);
	if (unexpected(w, "vci_write_prepare", r) || stopped(w))
		return;
	/* As the shell does: again, or not at all, unless the cache has failed. */
	if (!r || vci_cache_is_failed(w->cache))
		op->phase = PH_SUBMIT;
}

static void discard_submit(struct world *w, struct op *op)
{
	static const u8 zeros[OP_BLOCKS_MAX * 512];

	if (op->zeroes) {
		if (user_write(w, op->off, op->blocks, zeros, 0))
			return;
		model_apply(w, op->off, op->blocks, op->version, true, false);
	}
	op->phase = PH_END;
}

static void write_submit(struct world *w, struct op *op)
{
	op->submitted = true;
	if (op->kind == OP_DISCARD) {
		discard_submit(w, op);
		return;
	}
	model_fill_data(op->data, op->off, op->blocks, op->version);
	if (user_write(w, op->off, op->blocks, op->data, op->fua ? VCI_IO_FUA : 0))
		return;
	model_apply(w, op->off, op->blocks, op->version, false, op->fua);
	trace(w, "write %u of %llu+%u is on the backing device", op->version, op->off,
	      op->blocks);
	op->phase = PH_END;
}

static void write_end(struct world *w, struct op *op)
{
	bool fill = op->kind == OP_WRITE && sim_percent(&w->rng, w->weights.fill_writes);

	op->has_ticket = vci_write_end(w->cache, &op->w, fill ? &op->ticket : NULL);
	model_ack(w, op->version);
	trace(w, "write %u ends, %s ticket", op->version, op->has_ticket ? "a" : "no");
	op->phase = PH_RESERVE;
	if (!op->has_ticket)
		op->kind = OP_NONE;
}

/* ---- one step of an operation ---- */

static void load(struct world *w, struct op *op)
{
	int r;

	if (core_locked(w))
		return;
	op->busy = true;
	r = vci_cache_load(w->cache, op->off, op->blocks);
	op->busy = false;
	unexpected(w, "vci_cache_load", r);
	op->phase = PH_BEGIN;
}

static void advance(struct world *w, struct op *op)
{
	switch (op->phase) {
	case PH_BEGIN:
		if (op->kind == OP_READ)
			read_begin(w, op);
		else
			write_begin(w, op);
		break;
	case PH_LOAD:
		load(w, op);
		break;
	case PH_HIT:
		read_hit(w, op);
		break;
	case PH_MISS:
		read_miss(w, op);
		break;
	case PH_RESERVE:
		fill_reserve(w, op);
		break;
	case PH_COMMIT:
		fill_commit(w, op);
		break;
	case PH_PREPARE:
		write_prepare(w, op);
		break;
	case PH_SUBMIT:
		write_submit(w, op);
		break;
	case PH_END:
		write_end(w, op);
		break;
	}
}

/* Waits for the readers of the cache device (O8). */
void world_drain(void *ctx)
{
	struct world *w = ctx;
	u32 i;

	for (i = 0; i < OPS_MAX && !stopped(w); i++)
		if (w->ops[i].kind == OP_READ && w->ops[i].phase == PH_HIT)
			read_hit(w, &w->ops[i]);
}

void world_finish_ops(struct world *w)
{
	bool more = true;
	u32 i;

	while (more && !stopped(w)) {
		more = false;
		for (i = 0; i < OPS_MAX && !stopped(w); i++) {
			if (w->ops[i].kind == OP_NONE)
				continue;
			more = true;
			advance(w, &w->ops[i]);
		}
	}
}

/* They died with their host. */
void world_forget_ops(struct world *w)
{
	u32 i;

	for (i = 0; i < OPS_MAX; i++) {
		struct op *op = &w->ops[i];

		if (op->kind == OP_DISCARD && op->submitted)
			w->discard_in_flight = true;
		op->kind = OP_NONE;
		op->busy = false;
	}
	for (i = 0; i < FILLS; i++)
		vci_fill_init(&w->fills[i], w->buffers[i], w->buffer_blocks);
	w->open_fill = 0;
	w->appending = FILLS;
	w->in_writer = false;
	w->depth = 0;
}

/* ---- new operations ---- */

static void choose_range(struct world *w, u64 *off, u32 *blocks)
{
	const struct weights *wt = &w->weights;
	u32 n = sim_percent(&w->rng, wt->hot) ? 0 : sim_below(&w->rng, w->nr_spots);
	const struct spot *s = &w->spots[n];
	u32 first = sim_below(&w->rng, s->blocks), max_blocks;

	/* Mostly aligned as file systems do. */
	if (sim_percent(&w->rng, 60))
		first = round_down(first, 8u);
	max_blocks = min(s->blocks - first, wt->op_blocks);
	*off = s->off + first;
	*blocks = sim_range(&w->rng, 1, max_blocks);
	if (sim_percent(&w->rng, 50))
		*blocks = min(max_blocks, round_up(*blocks, 8u));
}

static void widen_discard(struct world *w, struct op *op)
{
	u64 more = sim_percent(&w->rng, 50) ? 0 : sim_below(&w->rng, 4000);

	/* Only the range itself is zeroed; more is announced, and unmapped. */
	op->wide_off = op->off > more ? op->off - more : 0;
	op->wide_blocks = min(op->off + op->blocks + more, w->backing_disk.dev.blocks) -
			  op->wide_off;
	if (sim_percent(&w->rng, 3)) {
		op->wide_off = 0;
		op->wide_blocks = w->backing_disk.dev.blocks;
	}
	op->zeroes = sim_percent(&w->rng, 70);
}

static void flush(struct world *w)
{
	if (!user_flush(w))
		model_flushed(w);
}

static void start_op(struct world *w, struct op *op)
{
	const struct weights *wt = &w->weights;
	u32 n = sim_below(&w->rng, wt->read + wt->write + wt->discard + wt->flush);

	op->phase = PH_BEGIN;
	op->submitted = false;
	op->busy = false;
	if (n < wt->flush) {
		flush(w);
		return;
	}
	choose_range(w, &op->off, &op->blocks);
	n -= wt->flush;
	if (n < wt->read) {
		op->kind = OP_READ;
	} else if (n < wt->read + wt->write) {
		op->kind = OP_WRITE;
		op->fua = sim_percent(&w->rng, wt->fua);
	} else {
		op->kind = OP_DISCARD;
		widen_discard(w, op);
	}
	w->ops_done++;
	advance(w, op);
}

static void user_step(struct world *w)
{
	bool go_on = sim_percent(&w->rng, w->weights.advance);
	u32 k, i = sim_below(&w->rng, OPS_MAX);

	for (k = 0; k < OPS_MAX; k++, i = (i + 1) % OPS_MAX) {
		struct op *op = &w->ops[i];

		if (op->busy || (op->kind == OP_NONE) == go_on)
			continue;
		if (op->phase == PH_HIT && op->wait) {
			op->wait--;
			continue;
		}
		if (go_on)
			advance(w, op);
		else
			start_op(w, op);
		return;
	}
}

/* ---- the writer ---- */

static void append(struct world *w)
{
	static struct vci_fill_entry e[VCI_BATCH_ENTRIES_MAX];
	struct vci_fill *f;
	u32 i, nr;
	int r;

	if (w->fills[w->open_fill].pending)
		rotate_fills(w);
	for (i = 0; i < FILLS; i++)
		if (w->fills[i].nr && !w->fills[i].pending)
			w->appending = i;
	if (w->appending == FILLS)
		return;
	f = &w->fills[w->appending];
	nr = f->nr;
	memcpy(e, f->e, nr * sizeof(*e));
	r = vci_cache_append(w->cache, f);
	w->appending = FILLS;
	trace(w, "append of %u entries: %d", nr, r);
	if (r == -ENOSPC) {
		w->full = true;
		w->full_appends++;
		return;
	}
	if (!unexpected(w, "vci_cache_append", r) && !stopped(w))
		expect_appended(w, e, nr);
}

static void invalidate(struct world *w)
{
	u32 blocks;
	u64 off;
	int r;

	choose_range(w, &off, &blocks);
	model_unmap(w, off, blocks);
	r = vci_cache_invalidate(w->cache, off, blocks);
	trace(w, "invalidate %llu+%u: %d", off, blocks, r);
	unexpected(w, "vci_cache_invalidate", r);
}

static void maintain(struct world *w, bool idle)
{
	int r = vci_cache_maintain(w->cache, idle);

	trace(w, "maintain %d: %d", idle, r);
	w->full = false;
	unexpected(w, "vci_cache_maintain", r);
}

static void checkpoint(struct world *w)
{
	int r = vci_cache_checkpoint(w->cache);

	trace(w, "checkpoint: %d", r);
	unexpected(w, "vci_cache_checkpoint", r);
}

static void settle(struct world *w)
{
	trace(w, "settle");
	sim_disk_settle(sim_below(&w->rng, 2) ? &w->cache_disk : &w->backing_disk);
}

static void writer_step(struct world *w)
{
	const struct weights *wt = &w->weights;
	u32 n = sim_below(&w->rng, 100);

	w->in_writer = true;
	w->no_memory = sim_percent(&w->rng, wt->no_memory);
	vci_alloc_fail_at = w->no_memory ? sim_range(&w->rng, 1, 12) : 0;
	if (n < wt->append)
		append(w);
	else if ((n -= wt->append) < wt->maintain || w->full)
		maintain(w, false);
	else if ((n -= wt->maintain) < wt->idle)
		maintain(w, true);
	else if ((n -= wt->idle) < wt->checkpoint)
		checkpoint(w);
	else if ((n -= wt->checkpoint) < wt->invalidate)
		invalidate(w);
	else if ((n -= wt->invalidate) < wt->settle)
		settle(w);
	vci_alloc_fail_at = 0;
	w->no_memory = false;
	w->in_writer = false;
	if (!stopped(w))
		expect_refresh(w);
}

void world_step(struct world *w)
{
	if (!w->in_writer && !core_locked(w) && sim_percent(&w->rng, w->weights.writer)) {
		writer_step(w);
		return;
	}
	if (sim_percent(&w->rng, w->weights.shrink)) {
		vci_cache_shrink(w->cache, sim_below(&w->rng, 2) ? 0 : 8192);
		return;
	}
	user_step(w);
}

/* The core waits for an I/O: others go on. */
void world_hook(void *ctx)
{
	struct world *w = ctx;
	u32 i, n;

	if (!w->cache || w->depth >= HOOK_DEPTH_MAX || stopped(w) || w->closing ||
	    !sim_percent(&w->rng, w->weights.hook))
		return;
	w->depth++;
	n = sim_range(&w->rng, 1, HOOK_STEPS_MAX);
	for (i = 0; i < n && !stopped(w); i++)
		world_step(w);
	w->depth--;
}
