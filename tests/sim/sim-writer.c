// SPDX-License-Identifier: GPL-2.0-only
/*
 * The writer: what the kernel's shell does in its one ordered worker.
 */
#include "sim-world.h"
#include "vci-cache-internal.h"

/* Rounds of write-back in a row that need a checkpoint first. */
#define NO_ROOM_MAX	20u
/* Passes of a flush message while something is left out. */
#define PASSES_MAX	6u
#define BETWEEN_PASSES	40u

static void begin_work(struct world *w, u32 no_memory)
{
	w->in_writer = true;
	w->no_memory = sim_percent(&w->rng, no_memory);
	vci_alloc_fail_at = w->no_memory ? sim_range(&w->rng, 1, 12) : 0;
}

static void end_work(struct world *w)
{
	vci_alloc_fail_at = 0;
	w->no_memory = false;
	w->in_writer = false;
	if (stopped(w))
		return;
	table_note(w);
	expect_refresh(w);
}

static void trace_room(struct world *w)
{
	const struct vci_cache *c = w->cache;
	const u32 *n = c->segments.count;

	trace(w, "segments: %u free, %u queued, %u closed, %u victims, %u drained; nodes: %u of %u committed, %u wanted; %llu blocks dirty, %llu mapped",
	      n[VCI_LIFE_FREE], n[VCI_LIFE_QUEUED], n[VCI_LIFE_CLOSED], n[VCI_LIFE_VICTIM],
	      n[VCI_LIFE_DRAINED], c->nodes.nr_committed, c->nodes.nr, vci_nodes_wanted(c),
	      c->stats.dirty_blocks, c->stats.data_blocks);
}

/* ---- small work ---- */

static void append(struct world *w)
{
	static struct vci_fill_entry e[VCI_BATCH_ENTRIES_MAX];
	struct vci_fill *f;
	u32 i, nr, stream;
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
	stream = sim_below(&w->rng, w->weights.streams);
	f->stream = stream;
	w->now.append = true;
	r = vci_cache_append(w->cache, f);
	w->now.append = stopped(w);
	w->appending = FILLS;
	trace(w, "append of %u entries to stream %u: %d", nr, stream, r);
	if (r == -ENOSPC) {
		w->full = true;
		w->full_appends++;
		return;
	}
	if (unexpected(w, "vci_cache_append", r) || stopped(w) || r)
		return;
	w->now.fills++;
	w->filled_off = e[0].off;
	w->filled_blocks = min(e[0].blocks, OP_BLOCKS_MAX);
	for (i = 0; i < w->filled_blocks; i++)
		if (model_index(w, e[0].off + i) < 0)
			w->filled_blocks = i;
	if (nr > 1)
		w->now.several_seq = w->cache->log.seq;
	expect_appended(w, stream, e, nr);
}

static void invalidate(struct world *w)
{
	u32 blocks;
	u64 off;
	int r;

	choose_range(w, &off, &blocks);
	model_begin_write(w, off, blocks);
	r = vci_cache_invalidate(w->cache, off, blocks);
	trace(w, "invalidate %llu+%u: %d", off, blocks, r);
	unexpected(w, "vci_cache_invalidate", r);
}

static void maintain(struct world *w, bool idle)
{
	int r;

	w->now.maintain = true;
	r = vci_cache_maintain(w->cache, idle);
	w->now.maintain = stopped(w);
	trace(w, "maintain %d: %d", idle, r);
	trace_room(w);
	w->full = false;
	w->stream.full = false;
	unexpected(w, "vci_cache_maintain", r);
}

static int checkpoint(struct world *w)
{
	int r;

	w->now.checkpoint = true;
	r = vci_cache_checkpoint(w->cache);
	w->now.checkpoint = stopped(w);
	trace(w, "checkpoint: %d", r);
	trace_room(w);
	unexpected(w, "vci_cache_checkpoint", r);
	return r;
}

static void name_landed(struct world *w)
{
	int r = vci_direct_name(w->cache);

	trace(w, "name what has landed: %d", r);
	if (r == -ENOSPC)
		w->full = true;
	else
		unexpected(w, "vci_direct_name", r);
}

static void settle(struct world *w)
{
	trace(w, "settle");
	sim_disk_settle(sim_below(&w->rng, 2) ? &w->cache_disk : &w->backing_disk);
}

/* The stream found no room; outside of the writer. */
void writer_make_room(struct world *w)
{
	begin_work(w, 0);
	maintain(w, false);
	end_work(w);
}

/* ---- write-back ---- */

static u64 some_blocks(struct world *w)
{
	return sim_percent(&w->rng, 30) ? ~0ull : sim_range(&w->rng, 1, 300);
}

static int writeback(struct world *w, struct vci_writeback *wb)
{
	u64 before = wb->blocks, limit = some_blocks(w);
	int r;

	w->now.writeback = true;
	r = vci_cache_writeback(w->cache, wb, limit);
	w->now.writeback = stopped(w);
	trace(w, "write-back of %llu: %d, %llu written, %llu left out, at %llu", limit, r,
	      wb->blocks - before, wb->skipped, wb->off);
	if (w->ordered)
		trace(w, "in order: from batch %llu on, drain %llu", w->cache->ordered_seq,
		      w->cache->ordered_drain);
	if (!stopped(w))
		w->written_back += wb->blocks - before;
	if (r != -ENOSPC)
		unexpected(w, "vci_cache_writeback", r ? r : wb->error);
	return r;
}

/* One round; a pass may go on, or end in the middle. */
static void writeback_round(struct world *w)
{
	struct vci_writeback *wb = &w->wb;

	if (wb->off >= w->backing_disk.dev.blocks || sim_percent(&w->rng, 30))
		wb->off = 0;
	if (!wb->off) {
		memset(wb, 0, sizeof(*wb));
		wb->max_seq = U64_MAX;
		if (sim_percent(&w->rng, 40)) {
			wb->max_seq = vci_cache_log_seq(w->cache);
			wb->max_seq -= min_t(u64, wb->max_seq, sim_below(&w->rng, 20));
		}
	}
	if (writeback(w, wb) == -ENOSPC && !stopped(w))
		checkpoint(w);
}

/*
 * In order, segments that hold nothing but records are freed late: crashes in a
 * row may use up the reserve.  Then it takes an activation without order.
 */
int wedged(struct world *w, const char *what)
{
	if (!w->ordered) {
		violation(w, "broken: %s", what);
		return -EIO;
	}
	trace(w, "in order: %s", what);
	w->wedged++;
	w->ordered = false;
	w->order.armed = false;
	w->power.dead = true;
	return -EIO;
}

/* Once over all; -EAGAIN: something was left out. */
static int writeback_pass(struct world *w)
{
	struct vci_writeback wb = { .max_seq = U64_MAX };
	u32 no_room = 0;
	int r = 0;

	while (!r && wb.off < w->backing_disk.dev.blocks && !stopped(w)) {
		r = writeback(w, &wb);
		/* In order, what is left out holds up all that follows. */
		if (!r && w->ordered && wb.skipped)
			return -EAGAIN;
		if (r != -ENOSPC)
			continue;
		/* A checkpoint frees what holds nothing, maintenance more. */
		r = stopped(w) ? -EIO : checkpoint(w);
		if (!r && no_room)
			maintain(w, false);
		if (++no_room > NO_ROOM_MAX)
			return wedged(w, "write-back finds no room behind a checkpoint");
	}
	if (stopped(w))
		return -EIO;
	if (!r)
		r = wb.error;
	return r ? r : wb.skipped ? -EAGAIN : 0;
}

/* ---- the flush message ---- */

#define NOT_PROMISED	U32_MAX

static void dont_promise(struct world *w, u32 *promised, u64 off, u32 blocks)
{
	u32 i;

	for (i = 0; i < blocks; i++)
		promised[model_index(w, off + i)] = NOT_PROMISED;
}

/* Which versions it must put on the backing device: those acknowledged before. */
static void note_promised(struct world *w, u32 *promised)
{
	u32 i;

	stream_sync(w);
	for (i = 0; i < w->nr_sectors; i++)
		promised[i] = w->sectors[i].next_past;
	for (i = 0; i < OPS_MAX; i++) {
		const struct op *op = &w->ops[i];

		if (op->kind == OP_WRITE || op->kind == OP_DISCARD)
			dont_promise(w, promised, op->off, op->blocks);
	}
}

static void check_promised(struct world *w, const u32 *promised)
{
	u32 i, version;

	stream_sync(w);
	for (i = 0; i < w->nr_sectors; i++) {
		struct sector *s = &w->sectors[i];

		/* Another write there began since: it may be on its way. */
		if (promised[i] != s->next_past || s->began)
			continue;
		if (!model_version_of(sim_disk_peek(&w->backing_disk, s->off), s->off,
				      &version) || version != s->version)
			violation(w, "attached: sector %llu has version %u on the backing device after a flush message, it is %u",
				  s->off, version, s->version);
		s->detached = true;
	}
}

static int flush_backing(struct world *w)
{
	struct vci_flush_token t;
	int r = 0;

	if (!vci_flush_backing_begin(w->cache, &t))
		return 0;
	r = vci_flush(&w->backing_disk.dev);
	if (!r)
		vci_flush_backing_end(w->cache, &t);
	return r;
}

/* As "dmsetup message ... flush": by the writer. */
int flush_message(struct world *w)
{
	static u32 promised[SECTORS_MAX];
	u32 i, passes = 0;
	int r;

	trace(w, "flush message");
	w->now.message = true;
	for (i = 0; i < w->nr_sectors; i++)
		w->sectors[i].began = false;
	note_promised(w, promised);
	do {
		r = writeback_pass(w);
		for (i = 0; r == -EAGAIN && i < BETWEEN_PASSES && !stopped(w); i++)
			user_step(w);
	} while (r == -EAGAIN && ++passes < PASSES_MAX && !stopped(w));
	if (!r && !stopped(w))
		r = flush_backing(w);
	if (!r && !stopped(w))
		r = checkpoint(w);
	trace(w, "flush message: %d", r);
	if (stopped(w))
		return -EIO;
	w->now.message = false;
	if (r)
		return r;
	w->messages++;
	check_promised(w, promised);
	return 0;
}

/* Nobody writes meanwhile: then nothing is dirty, and the image says so. */
void quiet_message(struct world *w)
{
	int r;

	if (!world_finish_ops(w))
		return;
	begin_work(w, 0);
	w->quiet = true;
	r = flush_message(w);
	w->quiet = false;
	end_work(w);
	if (stopped(w) || r)
		return;
	if (vci_cache_dirty_blocks(w->cache))
		violation(w, "attached: %llu blocks are dirty after a flush message",
			  vci_cache_dirty_blocks(w->cache));
	if (vci_cache_header(w->cache)->flags & VCI_HDR_DIRTY)
		violation(w, "attached: the image says that it is dirty after a flush message");
	check_detached(w);
}

/* ---- suspend (O13) ---- */

void suspend(struct world *w)
{
	int r;

	if (!world_finish_ops(w))
		return;
	trace(w, "suspend");
	begin_work(w, 0);
	w->quiet = true;
	w->now.suspended = true;
	while (!stopped(w) && sim_percent(&w->rng, 80))
		append(w);
	r = stopped(w) ? -EIO : checkpoint(w);
	if (!r && !stopped(w))
		r = flush_backing(w);
	w->quiet = false;
	w->ops_done++;
	if (!r && !stopped(w)) {
		model_flushed(w, w->clock);
		table_note(w);
		w->now.suspended = true;
		if (sim_percent(&w->rng, 10))
			w->power.dead = true;
	}
	end_work(w);
}

/* ---- steps ---- */

void writer_step(struct world *w)
{
	const struct weights *wt = &w->weights;
	u32 n = sim_below(&w->rng, wt->append + wt->maintain + wt->idle + wt->checkpoint +
			  wt->invalidate + wt->settle + wt->writeback + wt->message +
			  wt->suspend);
	bool alone = !w->depth;

	/* Whoever is below on the stack can't be waited for. */
	if (n < wt->suspend || n - wt->suspend < wt->message / 2) {
		if (alone && n < wt->suspend)
			suspend(w);
		else if (alone)
			quiet_message(w);
		return;
	}
	n -= wt->suspend;
	begin_work(w, wt->no_memory);
	if (n < wt->message)
		flush_message(w);
	else if ((n -= wt->message) < wt->maintain || w->full || w->stream.full)
		maintain(w, false);
	else if ((n -= wt->maintain) < wt->append)
		append(w);
	else if ((n -= wt->append) < wt->idle)
		maintain(w, true);
	else if ((n -= wt->idle) < wt->checkpoint)
		checkpoint(w);
	else if ((n -= wt->checkpoint) < wt->invalidate)
		invalidate(w);
	else if ((n -= wt->invalidate) < wt->settle)
		sim_percent(&w->rng, 30) ? name_landed(w) : settle(w);
	else
		writeback_round(w);
	end_work(w);
}

/* The last thing before a crash is often the writer's work. */
void writer_work(struct world *w)
{
	begin_work(w, 0);
	if (vci_reclaim_wanted(w->cache) && sim_percent(&w->rng, 60)) {
		maintain(w, false);
		end_work(w);
		return;
	}
	switch (sim_below(&w->rng, w->ordered ? 12 : 6)) {
	case 0:
		checkpoint(w);
		break;
	case 1:
		maintain(w, true);
		break;
	case 2:
		flush_message(w);
		break;
	case 3:
		maintain(w, false);
		break;
	case 4:
		append(w);
		break;
	default:
		writeback_round(w);
	}
	end_work(w);
}
