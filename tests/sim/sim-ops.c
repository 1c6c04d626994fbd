// SPDX-License-Identifier: GPL-2.0-only
/*
 * Users: what the kernel's shell does with reads, writes, discards and flushes,
 * in steps.
 */
#include "sim-world.h"
#include "vci-cache-internal.h"

#define HOOK_DEPTH_MAX	3u
#define HOOK_STEPS_MAX	4u
/* Steps without progress after which nobody is thought to make any. */
#define STEPS_MAX	20000u
/* Times the log may be found full in a row, though room was made. */
#define FULL_MAX	20u

/* ---- what all need ---- */

/* I/O of the users themselves: no I/O of the core, so nobody else goes on. */
int user_io(struct world *w, struct sim_disk *d, u64 addr, u32 blocks, void *data,
	    bool write, unsigned int flags)
{
	bool old = w->power.in_hook_io;
	int r;

	w->power.in_hook_io = true;
	r = write ? vci_write(&d->dev, addr, blocks, data, flags) :
		    vci_read(&d->dev, addr, blocks, data);
	w->power.in_hook_io = old;
	return r;
}

static int user_flush(struct world *w, struct sim_disk *d)
{
	bool old = w->power.in_hook_io;
	int r;

	w->power.in_hook_io = true;
	r = vci_flush(&d->dev);
	w->power.in_hook_io = old;
	return r;
}

/* A mutex of the core is held: whoever wants it would wait. */
bool core_locked(const struct world *w)
{
	return w->cache->intent.lock.held || w->cache->header_lock.held ||
	       w->cache->redo.lock.held;
}

/* A failure that neither a power cut nor an error of a device explains. */
bool unexpected(struct world *w, const char *what, int r)
{
	if (!r || stopped(w) || w->cache_disk.errors || w->backing_disk.errors ||
	    (r == -ENOMEM && w->no_memory))
		return false;
	violation(w, "broken: %s returned %d", what, r);
	return true;
}

/* It ends with an error.  A write may be seen or not, until the next crash. */
void op_failed(struct world *w, struct op *op)
{
	trace(w, "operation %d on %llu+%u fails", op->kind, op->off, op->blocks);
	if (!stopped(w) && !w->cache_disk.errors && !w->backing_disk.errors)
		violation(w, "broken: an operation failed, and no device did");
	w->failed_ops++;
	op->kind = OP_NONE;
}

/* ---- reads ---- */

/* What is on its way into the log; whoever appends it has it in his hands. */
static const void *find_fill(struct world *w, u64 off, u32 *blocks)
{
	const void *data;
	int entry;
	u32 i;

	for (i = 0; i < FILLS; i++) {
		data = i == w->appending ? NULL :
		       vci_fill_find(&w->fills[i], off, blocks, &entry);
		if (data && vci_fill_fresh(w->cache, &w->fills[i], entry))
			return data;
	}
	return NULL;
}

static bool is_pending(void *ctx, u64 off, u32 blocks)
{
	u32 n;

	for (; blocks; off += n, blocks -= n) {
		n = blocks;
		if (!find_fill(ctx, off, &n))
			return false;
	}
	return true;
}

static const struct vci_plan_ops plan_ops = { .pending = is_pending };

/* As the shell does: what is read around is given up before the ticket is. */
static void plan_miss(struct world *w, struct op *op)
{
	struct vci_plan *p = &op->plan;

	w->misses++;
	vci_plan_read(w->cache, op->off, op->piece, sim_percent(&w->rng, w->weights.around),
		      &plan_ops, w, p);
	op->has_ticket = vci_ticket_take(w->cache, p->off, p->blocks, &op->ticket);
	if (!op->has_ticket && p->blocks > op->piece) {
		vci_plan_shrink(p);
		op->has_ticket = vci_ticket_take(w->cache, p->off, p->blocks, &op->ticket);
	}
	op->phase = PH_MISS;
}

/* It begins with a hole. */
static void read_hole(struct world *w, struct op *op, const struct vci_lookup *res)
{
	if (vci_fill_serves(res, op->blocks)) {
		op->piece = op->blocks;
		op->phase = PH_FILLS;
		return;
	}
	op->piece = vci_plan_miss(w->cache, op->off, op->blocks, res->e.blocks);
	plan_miss(w, op);
}

static void read_begin(struct world *w, struct op *op)
{
	struct vci_lookup res;
	int r;

	op->began = w->clock;
	r = vci_cache_lookup(w->cache, op->off, op->blocks, &res);
	if (r == -EAGAIN) {
		op->phase = PH_LOAD;
		return;
	}
	if (r && vci_cache_is_failed(w->cache)) {
		/* Nobody knows what is dirty, unless nothing is. */
		if (vci_cache_is_stuck(w->cache)) {
			op_failed(w, op);
			return;
		}
		op->piece = op->blocks;
		op->has_ticket = false;
		op->phase = PH_MISS;
		return;
	}
	if (unexpected(w, "vci_cache_lookup", r) || r)
		return;
	op->piece = min(op->blocks, res.e.blocks);
	op->dirty = res.mapped && res.e.flags & VCI_EXT_DIRTY;
	op->has_ticket = false;
	op->phase = PH_MISS;
	if (res.mapped && (op->dirty || (w->mode != MODE_PASSTHROUGH &&
					 !vci_cache_is_failed(w->cache)))) {
		op->addr = res.e.addr;
		op->wait = sim_percent(&w->rng, 10) ? sim_below(&w->rng, 500) : 0;
		op->phase = PH_HIT;
		w->hits++;
		w->dirty_hits += op->dirty;
		return;
	}
	if (!res.mapped && w->mode != MODE_PASSTHROUGH && !vci_cache_is_failed(w->cache))
		read_hole(w, op, &res);
	else
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

/* Time has passed since it was looked up.  Else it is a miss. */
static void read_fills(struct world *w, struct op *op)
{
	u32 done, n;

	for (done = 0; done < op->piece; done += n) {
		const void *data;

		n = op->piece - done;
		data = find_fill(w, op->off + done, &n);
		if (!data) {
			plan_miss(w, op);
			return;
		}
		memcpy(op->data + done * 512, data, n * 512);
	}
	w->fill_reads++;
	if (!model_check_read(w, op->off, op->piece, op->data, op->began))
		trace(w, "fills have %llu+%u", op->off, op->piece);
	read_next(op);
}

static void read_hit(struct world *w, struct op *op)
{
	if (user_io(w, &w->cache_disk, op->addr, op->piece, op->data, false, 0)) {
		/* Clean data: from the backing device then. */
		if (op->dirty && !stopped(w))
			op_failed(w, op);
		op->phase = PH_MISS;
		return;
	}
	if (!model_check_read(w, op->off, op->piece, op->data, op->began))
		trace(w, "hit of %llu+%u at %llu, dirty %d", op->off, op->piece,
		      op->addr, op->dirty);
	read_next(op);
}

static void read_miss(struct world *w, struct op *op)
{
	u64 off = op->has_ticket ? op->plan.off : op->off;
	u32 blocks = op->has_ticket ? op->plan.blocks : op->piece;

	if (user_io(w, &w->backing_disk, off, blocks, op->data, false, 0)) {
		if (!stopped(w))
			op_failed(w, op);
		return;
	}
	if (!model_check_read(w, op->off, op->piece, op->data + (op->off - off) * 512,
			      op->began))
		trace(w, "miss of %llu+%u", op->off, op->piece);
	w->around += blocks > op->piece;
	op->data_off = off;
	op->part.blocks = 0;
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
void rotate_fills(struct world *w)
{
	u32 i;

	for (i = 0; i < FILLS; i++)
		if (i != w->open_fill && i != w->appending && !w->fills[i].nr)
			w->open_fill = i;
}

/* What of the data is to be stored next? */
static bool next_part(struct world *w, struct op *op)
{
	u64 end = op->off + op->blocks;

	if (op->part.blocks)
		return true;
	if (op->kind == OP_READ)
		return vci_plan_next(w->cache, &op->plan, &op->part);
	if (op->part.off == end)
		return false;
	vci_plan_written(w->cache, op->part.off, end - op->part.off, &op->w, &op->part);
	return true;
}

static void fill_reserve(struct world *w, struct op *op)
{
	static const struct vci_ticket none;
	int i = -ENOSPC;

	if (!next_part(w, op)) {
		fill_end(op);
		return;
	}
	if (w->open_fill == w->appending)
		rotate_fills(w);
	if (w->open_fill != w->appending)
		i = vci_fill_reserve(&w->fills[w->open_fill], op->part.off,
				     op->part.blocks, &none);
	if (i < 0) {
		fill_end(op);
		return;
	}
	vci_fill_describe(&w->fills[w->open_fill], i, &op->part);
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
	u64 off = op->kind == OP_READ ? op->plan.off : op->off;
	u32 blocks = op->kind == OP_READ ? op->plan.blocks : op->blocks;
	bool valid;

	valid = !sim_percent(&w->rng, 4) &&
		vci_ticket_take(w->cache, e->off, e->blocks, &own) &&
		vci_ticket_valid(w->cache, off, blocks, &op->ticket);
	if (valid)
		memcpy(vci_fill_data(f, op->entry), op->data + (e->off - op->data_off) * 512,
		       (size_t)e->blocks * 512);
	e->ticket = own;
	vci_fill_commit(f, op->entry, valid);
	op->part.off += e->blocks;
	op->part.blocks -= e->blocks;
	if (op->part.old_addr)
		op->part.old_addr += e->blocks;
	op->phase = PH_RESERVE;
}

/* ---- writes and discards ---- */

/* It waits for a batch. */
void op_to_log(struct world *w, struct op *op)
{
	op->phase = PH_LOG;
	op->in_batch = false;
	op->queued = ++w->clock;
}

/* To the backing device, as in other modes; what meets dirty data goes to the log. */
static void announce(struct world *w, struct op *op, u64 off, u64 blocks)
{
	int r = vci_write_begin(w->cache, &op->w, off, blocks);

	trace(w, "%s %u of %llu+%llu begins: %d", op->kind == OP_WRITE ? "write" : "discard",
	      op->version, off, blocks, r);
	op->phase = r ? PH_PREPARE : PH_SUBMIT;
	if (r && r != -EAGAIN)
		unexpected(w, "vci_write_begin", r);
}

/* A write of a long run.  Never while write-back is in order. */
static bool goes_past_log(struct world *w)
{
	bool past = !w->ordered && sim_percent(&w->rng, w->weights.past);

	w->past_log += past;
	return past;
}

/* In place, past the log, straight to the device, or into the log. */
static void log_begin(struct world *w, struct op *op)
{
	bool hit;

	op->addr = vci_place_begin(w->cache, op->off, op->blocks, &hit);
	trace(w, "write %u of %llu+%u goes to the log, past it, or to %llu", op->version, op->off,
	      op->blocks, op->addr);
	if (!op->addr) {
		if (goes_past_log(w))
			announce(w, op, op->off, op->blocks);
		else if (!sim_direct_begin(w, op))
			op_to_log(w, op);
		return;
	}
	op->wait = sim_percent(&w->rng, 20) ? sim_below(&w->rng, 200) : 0;
	op->phase = PH_PLACE;
}

static void place_failed(struct world *w, struct op *op)
{
	if (stopped(w))
		return;
	model_place_failed(w, op);
	vci_place_end(w->cache, op->off, op->blocks, -EIO);
	if (!vci_cache_is_stuck(w->cache))
		violation(w, "broken: a write in place failed, and the cache isn't stuck");
	op_failed(w, op);
}

static void place_write(struct world *w, struct op *op)
{
	if (user_io(w, &w->cache_disk, op->addr, op->blocks, op->data, true,
		    op->fua ? VCI_IO_FUA : 0)) {
		place_failed(w, op);
		return;
	}
	model_placed(w, op);
	trace(w, "write %u of %llu+%u is in place at %llu", op->version, op->off,
	      op->blocks, op->addr);
	op->wait = sim_percent(&w->rng, 20) ? sim_below(&w->rng, 50) : 0;
	op->phase = PH_PLACED;
}

static void place_end(struct world *w, struct op *op)
{
	vci_place_end(w->cache, op->off, op->blocks, 0);
	model_ack(w, op->version);
	if (op->fua)
		model_ack_fua(w, op);
	w->writes_placed++;
	op->kind = OP_NONE;
}

static void write_begin(struct world *w, struct op *op)
{
	bool write = op->kind == OP_WRITE;
	u64 off = write ? op->off : op->wide_off;
	u64 blocks = write ? op->blocks : op->wide_blocks;

	op->version = model_new_version(w, write && op->fua);
	op->began = w->clock;
	op->mode = w->mode;
	op->piece = op->blocks;
	op->done = 0;
	model_fill_data(op->data, op->off, op->blocks, op->version);
	model_begin_write(w, off, blocks);
	if (vci_cache_is_stuck(w->cache)) {
		op_failed(w, op);
		return;
	}
	if (write && w->mode == MODE_WRITEBACK && !vci_cache_is_failed(w->cache)) {
		log_begin(w, op);
		return;
	}
	announce(w, op, off, blocks);
}

/* O2: something there is dirty. */
static void met_dirty(struct world *w, struct op *op)
{
	trace(w, "write %u met dirty data", op->version);
	w->met_dirty++;
	w->now.met_dirty++;
	vci_write_end(w->cache, &op->w, NULL);
	if (op->kind == OP_WRITE) {
		op_to_log(w, op);
		return;
	}
	model_ack(w, op->version);
	op->kind = OP_NONE;
}

static void write_prepare(struct world *w, struct op *op)
{
	int r;

	if (core_locked(w))
		return;
	op->busy = true;
	r = vci_write_prepare(w->cache, &op->w);
	/* As the shell does: past a failed cache only if that is retired; or later. */
	if (r && r != -EEXIST && !unexpected(w, "vci_write_prepare", r) &&
	    vci_cache_is_failed(w->cache))
		r = vci_cache_retire(w->cache);
	op->busy = false;
	model_begin_write(w, op->w.range.off, op->w.range.blocks);
	if (r == -EEXIST && !stopped(w)) {
		met_dirty(w, op);
		return;
	}
	if (stopped(w))
		return;
	if (!r) {
		op->phase = PH_SUBMIT;
	} else if (r == -EIO && vci_cache_is_failed(w->cache)) {
		vci_write_end(w->cache, &op->w, NULL);
		op_failed(w, op);
	}
}

static void pass_failed(struct world *w, struct op *op)
{
	if (stopped(w))
		return;
	model_pass_failed(w, op, op->kind == OP_DISCARD);
	vci_write_end(w->cache, &op->w, NULL);
	op_failed(w, op);
}

static void discard_submit(struct world *w, struct op *op)
{
	static u8 zeros[OP_BLOCKS_MAX * 512];

	op->phase = PH_END;
	if (!op->zeroes)
		return;
	if (user_io(w, &w->backing_disk, op->off, op->blocks, zeros, true, 0))
		pass_failed(w, op);
	else
		model_passed(w, op, true);
}

static void write_submit(struct world *w, struct op *op)
{
	op->submitted = true;
	if (op->kind == OP_DISCARD) {
		discard_submit(w, op);
		return;
	}
	if (user_io(w, &w->backing_disk, op->off, op->blocks, op->data, true,
		    op->fua ? VCI_IO_FUA : 0)) {
		pass_failed(w, op);
		return;
	}
	model_passed(w, op, false);
	trace(w, "write %u of %llu+%u is on the backing device", op->version, op->off,
	      op->blocks);
	op->phase = PH_END;
}

static void write_end(struct world *w, struct op *op)
{
	bool fill = op->kind == OP_WRITE && w->mode == MODE_WRITETHROUGH &&
		    sim_percent(&w->rng, w->weights.fill_writes);

	op->has_ticket = vci_write_end(w->cache, &op->w, fill ? &op->ticket : NULL);
	if (op->kind == OP_WRITE && op->fua)
		model_ack_fua(w, op);
	model_ack(w, op->version);
	trace(w, "write %u ends, %s ticket", op->version, op->has_ticket ? "a" : "no");
	op->data_off = op->off;
	op->part = (struct vci_plan_piece){ .off = op->off };
	op->phase = PH_RESERVE;
	if (!op->has_ticket)
		op->kind = OP_NONE;
}

/* ---- flushes ---- */

static void flush_devices(struct world *w, struct op *op)
{
	op->need[0] = vci_flush_cache_begin(w->cache, &op->token[0]);
	op->need[1] = vci_flush_backing_begin(w->cache, &op->token[1]);
	op->wait = 0;
	op->flushed[0] = false;
	op->flushed[1] = false;
	trace(w, "flush: cache %d, backing %d", op->need[0], op->need[1]);
	op->phase = PH_FLUSH;
}

static void flush_begin(struct world *w, struct op *op)
{
	op->began = w->clock;
	op->mode = w->mode;
	if (vci_direct_flush(w->cache)) {
		trace(w, "flush: waits for a batch");
		op_to_log(w, op);
		return;
	}
	flush_devices(w, op);
}

/* A batch that began behind it has completed. */
void op_batch_done(struct world *w, struct op *op)
{
	op->in_batch = false;
	if (op->kind == OP_FLUSH) {
		flush_devices(w, op);
		return;
	}
	model_ack(w, op->version);
	if (op->fua)
		model_ack_fua(w, op);
	op->kind = OP_NONE;
}

static void flush_go_on(struct world *w, struct op *op)
{
	u32 i = sim_below(&w->rng, 2);

	if (vci_cache_is_stuck(w->cache)) {
		op_failed(w, op);
		return;
	}
	i = op->need[i] ? i : !i;
	if (!op->need[i]) {
		trace(w, "flush of %u completes", op->began);
		model_flushed(w, op->began);
		op->kind = OP_NONE;
		return;
	}
	/* What completes between these two isn't part of it. */
	if (!op->flushed[i]) {
		op->flushed[i] = true;
		op->wait = sim_percent(&w->rng, 30) ? sim_below(&w->rng, 50) : 0;
		if (user_flush(w, i ? &w->backing_disk : &w->cache_disk) && !stopped(w))
			op_failed(w, op);
		return;
	}
	if (i)
		vci_flush_backing_end(w->cache, &op->token[1]);
	else
		vci_flush_cache_end(w->cache, &op->token[0]);
	op->need[i] = false;
}

/* ---- one step of an operation ---- */

static void begin(struct world *w, struct op *op)
{
	if (op->kind == OP_READ)
		read_begin(w, op);
	else if (op->kind == OP_FLUSH)
		flush_begin(w, op);
	else
		write_begin(w, op);
}

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
		begin(w, op);
		break;
	case PH_LOAD:
		load(w, op);
		break;
	case PH_HIT:
		read_hit(w, op);
		break;
	case PH_FILLS:
		read_fills(w, op);
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
	case PH_LOG:
		stream_step(w);
		break;
	case PH_PLACE:
		place_write(w, op);
		break;
	case PH_PLACED:
		place_end(w, op);
		break;
	case PH_DIRECT:
		sim_direct_write(w, op);
		break;
	case PH_LAND:
		sim_direct_land(w, op);
		break;
	case PH_FLUSH:
		flush_go_on(w, op);
		break;
	}
}

/* Waits for who holds the guard: readers of the cache device (O8), writes in place. */
void world_drain(void *ctx)
{
	struct world *w = ctx;
	u32 i;

	for (i = 0; i < OPS_MAX && !stopped(w); i++) {
		struct op *op = &w->ops[i];

		if (op->kind == OP_READ && op->phase == PH_HIT)
			read_hit(w, op);
		if (op->kind == OP_WRITE && op->phase == PH_PLACE)
			place_write(w, op);
		if (op->kind == OP_WRITE && op->phase == PH_PLACED && !stopped(w))
			place_end(w, op);
	}
}

static bool finish_some(struct world *w)
{
	bool more = w->stream.phase != ST_IDLE;
	u32 i;

	if (more)
		stream_step(w);
	for (i = 0; i < OPS_MAX && !stopped(w); i++) {
		if (w->ops[i].kind == OP_NONE)
			continue;
		more = true;
		advance(w, &w->ops[i]);
	}
	return more;
}

/* Write-back failed, or should have made room. */
static void no_room(struct world *w)
{
	u32 i;

	if (!w->backing_disk.errors && !w->cache_disk.errors) {
		wedged(w, "the log has no room, and maintenance makes none");
		return;
	}
	for (i = 0; i < OPS_MAX; i++)
		if (w->ops[i].kind != OP_NONE && w->ops[i].phase == PH_LOG)
			op_failed(w, &w->ops[i]);
}

/*
 * No new ones: those there are come to their ends.  By nobody within one of
 * them.  False: a crash, or something is wrong.
 */
bool world_finish_ops(struct world *w)
{
	bool old = w->quiet, more = true;
	u64 logged = 0;
	u32 i, full = 0;

	w->quiet = true;
	for (i = 0; more && !stopped(w); i++) {
		more = finish_some(w);
		if (more && !stopped(w) && w->stream.full && w->stream.phase == ST_IDLE) {
			full = logged == w->writes_logged ? full + 1 : 0;
			logged = w->writes_logged;
			if (full < FULL_MAX)
				writer_make_room(w);
			else
				no_room(w);
		}
		if (i == STEPS_MAX)
			violation(w, "broken: the operations in flight don't complete");
	}
	w->quiet = old;
	return !stopped(w);
}

/* They died with their host. */
void world_forget_ops(struct world *w)
{
	u8 *buffer = w->stream.buffer;
	u32 i;

	for (i = 0; i < OPS_MAX; i++) {
		struct op *op = &w->ops[i];

		if (op->kind == OP_DISCARD && op->submitted)
			w->discard_in_flight = true;
		op->kind = OP_NONE;
		op->busy = false;
	}
	for (i = 0; i < FILLS; i++)
		vci_fill_init(&w->fills[i], w->buffers[i], w->buffer_blocks, w->batch_align);
	memset(&w->stream, 0, sizeof(w->stream));
	w->stream.buffer = buffer;
	memset(&w->wb, 0, sizeof(w->wb));
	w->open_fill = 0;
	w->appending = FILLS;
	w->in_writer = false;
	w->filled_blocks = 0;
	w->full = false;
	w->quiet = false;
	w->depth = 0;
}

/* ---- new operations ---- */

void choose_range(struct world *w, u64 *off, u32 *blocks)
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
	if (sim_percent(&w->rng, wt->direct ? 85 : 50))
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

static void start_op(struct world *w, struct op *op)
{
	const struct weights *wt = &w->weights;
	u32 n = sim_below(&w->rng, wt->read + wt->write + wt->discard + wt->flush);

	op->phase = PH_BEGIN;
	op->submitted = false;
	op->busy = false;
	op->fua = false;
	op->in_batch = false;
	choose_range(w, &op->off, &op->blocks);
	if (n < wt->flush) {
		op->kind = OP_FLUSH;
	} else if ((n -= wt->flush) < wt->read) {
		op->kind = OP_READ;
	} else if (n < wt->read + wt->write) {
		op->kind = OP_WRITE;
		op->fua = sim_percent(&w->rng, wt->fua);
	} else {
		op->kind = OP_DISCARD;
		widen_discard(w, op);
	}
	/* What was filled is often overwritten: for a place of its own. */
	if (op->kind == OP_WRITE && w->mode == MODE_WRITETHROUGH && w->filled_blocks &&
	    sim_percent(&w->rng, 30)) {
		op->off = w->filled_off;
		op->blocks = w->filled_blocks;
	}
	w->ops_done++;
	advance(w, op);
}

void user_step(struct world *w)
{
	bool go_on = w->quiet || sim_percent(&w->rng, w->weights.advance);
	u32 k, i = sim_below(&w->rng, OPS_MAX);

	for (k = 0; k < OPS_MAX; k++, i = (i + 1) % OPS_MAX) {
		struct op *op = &w->ops[i];

		if (op->busy || (op->kind == OP_NONE) == go_on)
			continue;
		if ((op->phase == PH_HIT || op->phase == PH_FLUSH ||
		     op->phase == PH_PLACE || op->phase == PH_PLACED ||
		     op->phase == PH_DIRECT || op->phase == PH_LAND) && op->wait) {
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

/* ---- the world ---- */

void change_mode(struct world *w)
{
	const u32 *m = w->weights.modes;
	u32 n = sim_below(&w->rng, m[0] + m[1] + m[2] + m[3]), i = 0;

	while (n >= m[i])
		n -= m[i++];
	w->mode = i;
	trace(w, "mode %u", i);
}

void world_step(struct world *w)
{
	const struct weights *wt = &w->weights;

	if (sim_below(&w->rng, 1000) < wt->change)
		change_mode(w);
	/* What waits for the gate would wait for who is below it on this stack. */
	if (!w->in_writer && !core_locked(w) && !w->stream.busy &&
	    sim_percent(&w->rng, wt->writer)) {
		writer_step(w);
		return;
	}
	if (sim_percent(&w->rng, wt->shrink)) {
		vci_btree_shrink(w->cache->tree, sim_below(&w->rng, 2) ? 0 : 8192);
		return;
	}
	if (sim_percent(&w->rng, wt->stream) && stream_step(w))
		return;
	user_step(w);
}

/* The core waits for an I/O: others go on. */
void world_hook(void *ctx)
{
	struct world *w = ctx;
	u32 i, n;

	if (!w->cache || w->depth >= HOOK_DEPTH_MAX || stopped(w) || w->quiet ||
	    !sim_percent(&w->rng, w->weights.hook))
		return;
	w->depth++;
	n = sim_range(&w->rng, 1, HOOK_STEPS_MAX);
	for (i = 0; i < n && !stopped(w); i++)
		world_step(w);
	w->depth--;
}
