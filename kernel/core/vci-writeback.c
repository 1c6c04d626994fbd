// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-back (O3): dirty extents go to the backing device, and become clean.
 *
 *	1 collect dirty extents in offset order; none where a write past the log
 *	  is in flight.  Announce the copying, so that nobody writes there in place
 *	  any more, and wait for those who do (O12, P3)
 *	2 name what has landed; flush the cache device, if a batch or a write in place
 *	  completed that isn't durable.  Bump the tickets of what was collected
 *	3 copy: neighbours are one write
 *	4 flush the backing device; end the tickets
 *	5 append CLEAN entries, flush the cache device
 *	6 make clean what is still mapped to the same place (O7).  Copying ends
 *
 * The writer does it, who also reclaims: nothing that was collected is
 * overwritten before 6.  From 1 to 6 the range is dirty, so writes of users go to
 * the log, and no two versions of a sector are in flight to the backing device.  A
 * crash before 5 is durable leaves the extents dirty.
 */
#include "vci-writeback-internal.h"

/* Memory is asked for as often before an extent stays dirty for now. */
#define WB_TRIES	3

/* Which extents a round takes. */
struct wb_filter {
	u64 max_seq;
	bool victims;
};

/**
 * vci_wb_prepare() - memory for write-back, before there is anything dirty
 * @c: cache
 *
 * May sleep, without I/O.  Return: 0 or -ENOMEM.
 */
int vci_wb_prepare(struct vci_cache *c)
{
	struct vci_wb_state *s;

	if (READ_ONCE(c->wb))
		return 0;
	s = kvzalloc(sizeof(*s), GFP_NOIO);
	if (!s)
		return -ENOMEM;
	s->capacity = vci_cache_batch_blocks(c);
	s->buffer = kvmalloc((size_t)s->capacity * VCI_BLOCK_SIZE, GFP_NOIO);
	if (!s->buffer) {
		kvfree(s);
		return -ENOMEM;
	}
	WRITE_ONCE(c->wb, s);
	return 0;
}

/**
 * vci_wb_destroy() - undo vci_wb_prepare()
 * @c: cache
 */
void vci_wb_destroy(struct vci_cache *c)
{
	if (!c->wb)
		return;
	kvfree(c->wb->buffer);
	kvfree(c->wb);
	c->wb = NULL;
}

/* ---- 1: collect ---- */

static bool wanted(struct vci_cache *c, const struct vci_extent *e,
		   const struct wb_filter *f)
{
	const struct vci_segment *s;

	if (!(e->flags & VCI_EXT_DIRTY))
		return false;
	s = &c->segments.s[vci_segment_of(&c->segments, e->addr)];
	return s->seq <= f->max_seq && (!f->victims || s->life == VCI_LIFE_VICTIM);
}

/**
 * vci_wb_take() - add a piece to the round
 * @c: cache
 * @e: off, blocks, old_addr, heat; data_crc if the round checks data
 *
 * By the writer.  Return: false if a write past the log is in flight there: it
 * began before this was dirty.  One that begins after this look finds it dirty.
 */
bool vci_wb_take(struct vci_cache *c, const struct vci_entry *e)
{
	struct vci_wb_state *s = c->wb;

	if (vci_tickets_busy(&c->tickets, e->off, e->blocks))
		return false;
	s->e[s->nr] = *e;
	s->e[s->nr].kind = VCI_ENTRY_CLEAN;
	s->nr++;
	return true;
}

/* Takes an extent in pieces that fit into entries; false: no room for all. */
static bool take_extent(struct vci_cache *c, const struct vci_extent *e,
			struct vci_writeback *wb)
{
	struct vci_entry piece = { .heat = e->heat };
	u32 done;

	if (c->wb->nr + DIV_ROUND_UP(e->blocks, VCI_ENTRY_BLOCKS_MAX) > VCI_WB_ENTRIES)
		return false;
	for (done = 0; done < e->blocks; done += piece.blocks) {
		piece.off = e->off + done;
		piece.old_addr = e->addr + done;
		piece.blocks = min(e->blocks - done, VCI_ENTRY_BLOCKS_MAX);
		if (vci_wb_take(c, &piece))
			wb->blocks += piece.blocks;
		else
			wb->skipped += piece.blocks;
	}
	return true;
}

static int collect(struct vci_cache *c, struct vci_writeback *wb,
		   const struct wb_filter *f, u64 max_blocks)
{
	u64 end = c->header.backing_blocks, begin = wb->blocks, off;
	int n, i;

	c->wb->nr = 0;
	c->wb->check_data = false;
	while (wb->off < end && wb->blocks - begin < max_blocks) {
		off = wb->off;
		n = vci_btree_walk_sleep(c->tree, &off, c->walk, VCI_LEAF_MAX);
		if (n < 0)
			return n;
		for (i = 0; i < n && wb->blocks - begin < max_blocks; i++) {
			const struct vci_extent *e = &c->walk[i];

			if (wanted(c, e, f) && !take_extent(c, e, wb))
				return 0;
			wb->off = e->off + e->blocks;
		}
		if (i == n)
			wb->off = n ? max(off, wb->off) : end;
		cond_resched();
	}
	return 0;
}

/*
 * From here on nothing of it is written in place (P3): neither before it is durable nor
 * behind what was copied (P6).
 */
static void begin_copy(struct vci_cache *c)
{
	struct vci_wb_state *s = c->wb;
	bool placing = false;
	u32 i;

	s->nr_copied = s->nr;
	for (i = 0; i < s->nr; i++) {
		s->w[i].off = s->e[i].off;
		s->w[i].blocks = s->e[i].blocks;
		vci_tickets_copy_begin(&c->tickets, s->w[i].off, s->w[i].blocks);
	}
	for (i = 0; i < s->nr; i++)
		placing |= vci_tickets_placing(&c->tickets, s->w[i].off, s->w[i].blocks);
	/* Who entered before may have missed it. */
	if (placing && c->ops && c->ops->drain_readers)
		c->ops->drain_readers(c->ctx);
}

static void end_copy(struct vci_cache *c)
{
	struct vci_wb_state *s = c->wb;
	u32 i;

	for (i = 0; i < s->nr_copied; i++)
		vci_tickets_copy_end(&c->tickets, s->w[i].off, s->w[i].blocks);
}

/* From here on no fill that read the backing device before is good. */
static void begin_tickets(struct vci_cache *c)
{
	struct vci_wb_state *s = c->wb;
	u32 i;

	for (i = 0; i < s->nr; i++)
		vci_tickets_write_begin(&c->tickets, &s->w[i]);
}

static void end_tickets(struct vci_cache *c)
{
	u32 i;

	for (i = 0; i < c->wb->nr; i++)
		vci_tickets_write_end(&c->tickets, &c->wb->w[i], NULL);
}

/* ---- 2 and 3: copy ---- */

static int make_durable(struct vci_cache *c)
{
	int r = vci_direct_name(c);

	if (r)
		return r;
	if (READ_ONCE(c->log.completed_seq) <= READ_ONCE(c->log.durable_seq) &&
	    (u32)atomic_read(&c->placed) == READ_ONCE(c->placed_flushed))
		return 0;
	return vci_cache_flush(c);
}

static bool follows(const struct vci_piece *p, u64 addr)
{
	return p->addr + p->blocks == addr;
}

/* Adds a piece, or makes the last one longer; the buffer has them in order. */
static void add_piece(struct vci_piece *p, u32 *nr, u64 addr, u32 blocks, u8 *data)
{
	struct vci_piece *last = &p[*nr - 1];

	if (*nr && follows(last, addr) &&
	    (u8 *)last->data + (size_t)last->blocks * VCI_BLOCK_SIZE == data)
		last->blocks += blocks;
	else
		p[(*nr)++] = (struct vci_piece) { addr, blocks, data };
}

/* Reads what one transfer takes from entry @i on: *@n entries. */
static int read_some(struct vci_cache *c, u32 i, u32 *n)
{
	struct vci_wb_state *s = c->wb;
	u32 used = 0, nr = 0;

	for (*n = 0; i + *n < s->nr && *n < VCI_WB_PIECES; ++*n) {
		const struct vci_entry *e = &s->e[i + *n];

		if (used + e->blocks > s->capacity)
			break;
		add_piece(s->from, &nr, e->old_addr, e->blocks,
			  s->buffer + (size_t)used * VCI_BLOCK_SIZE);
		used += e->blocks;
	}
	return vci_read_many(c->dev, s->from, nr);
}

/* Is any block of the entry still mapped there? */
static bool is_mapped(struct vci_cache *c, const struct vci_entry *e)
{
	u64 off = e->off, end = e->off + e->blocks;
	struct vci_extent x;
	int n;

	do {
		n = vci_btree_walk_sleep(c->tree, &off, &x, 1);
		if (n > 0 && x.off < end && x.addr - x.off == e->old_addr - e->off)
			return true;
	} while (n > 0 && off < end);
	return n < 0;
}

/*
 * Whose data doesn't match its checksum was cut as torn by recovery, and nothing
 * maps it; or dirty data is lost.  Return: 1: write it, 0: don't, or -EIO.
 */
static int check_entry(struct vci_cache *c, const struct vci_entry *e, const u8 *data)
{
	if (!c->wb->check_data || vci_data_crc(data, e->blocks) == e->data_crc)
		return 1;
	if (!is_mapped(c, e))
		return 0;
	vci_err("%s: dirty data of %u blocks at %llu of %s is damaged",
		c->dev->name, e->blocks, e->off, c->backing->name);
	return -EIO;
}

/* Return: 0 if it is on the backing device, or needn't be. */
static int copy_one(struct vci_cache *c, const struct vci_entry *e)
{
	u8 *data = c->wb->buffer;
	int r;

	r = vci_read(c->dev, e->old_addr, e->blocks, data);
	if (r) {
		vci_err("%s: error %d reading dirty data of %u blocks at %llu of %s",
			c->dev->name, r, e->blocks, e->off, c->backing->name);
		return r;
	}
	r = check_entry(c, e, data);
	return r > 0 ? vci_write(c->backing, e->off, e->blocks, data, 0) : r;
}

/*
 * One by one, after an error for some: those that a device refuses stay dirty, and
 * hold up nobody else; but for those behind them in the log.
 */
static int copy_singly(struct vci_cache *c, u32 i, u32 n)
{
	struct vci_wb_state *s = c->wb;
	u32 k;
	int r;

	for (k = i; k < i + n; k++) {
		r = copy_one(c, &s->e[k]);
		if (!r)
			continue;
		s->error = r;
		s->e[k].kind = VCI_ENTRY_VOID;
		if (c->ordered)
			return r;
	}
	return 0;
}

/* Writes what was read for entries @i to @i + @n. */
static int write_some(struct vci_cache *c, u32 i, u32 n)
{
	struct vci_wb_state *s = c->wb;
	u8 *data = s->buffer;
	u32 nr = 0, k;
	int r;

	for (k = i; k < i + n; k++) {
		const struct vci_entry *e = &s->e[k];

		r = check_entry(c, e, data);
		if (r < 0)
			return r;
		if (r)
			add_piece(s->to, &nr, e->off, e->blocks, data);
		data += (size_t)e->blocks * VCI_BLOCK_SIZE;
	}
	return vci_write_many(c->backing, s->to, nr);
}

static int copy(struct vci_cache *c)
{
	u32 i, n;
	int r;

	for (i = 0; i < c->wb->nr; i += n) {
		r = read_some(c, i, &n);
		if (!r)
			r = write_some(c, i, n);
		if (r)
			r = copy_singly(c, i, n);
		if (r)
			return r;
	}
	return 0;
}

/* ---- 4: flush ---- */

static int flush_backing(struct vci_cache *c)
{
	struct vci_flush_token t;
	int r;

	(void)vci_flush_backing_begin(c, &t);
	r = vci_flush(c->backing);
	if (!r)
		vci_flush_backing_end(c, &t);
	return r;
}

/* Steps 2 to 4. */
static int transfer(struct vci_cache *c)
{
	u32 i;
	int r = make_durable(c);

	if (r)
		return r;
	begin_tickets(c);
	for (i = 0; i < c->wb->nr; i++)
		vci_identity_written_back(&c->identity, c->wb->e[i].off,
					  c->wb->e[i].blocks);
	r = copy(c);
	if (!r)
		r = flush_backing(c);
	end_tickets(c);
	return r;
}

/* ---- 5 and 6: clean ---- */

/* What could not be written is left out. */
static void drop_void(struct vci_wb_state *s)
{
	u32 i, nr = 0;

	for (i = 0; i < s->nr; i++) {
		if (s->e[i].kind != VCI_ENTRY_CLEAN)
			continue;
		s->e[nr] = s->e[i];
		s->e[nr++].data_crc = 0;
	}
	s->nr = nr;
}

static int append_clean(struct vci_cache *c)
{
	struct vci_wb_state *s = c->wb;
	u32 i, n;
	int r = 0;

	drop_void(s);
	for (i = 0; !r && i < s->nr; i += n) {
		n = min_t(u32, s->nr - i, VCI_BATCH_ENTRIES_MAX);
		r = vci_append_records(c, s->e + i, n, s->buffer);
	}
	return r ? r : vci_cache_flush(c);
}

/* Without memory an extent stays dirty, and is written back once more. */
static int make_clean(struct vci_cache *c, const struct vci_entry *e)
{
	struct vci_change ch = {
		.kind = VCI_CHANGE_REPLACE,
		.e = { .off = e->off, .blocks = e->blocks, .addr = e->old_addr,
		       .heat = e->heat },
		.old_addr = e->old_addr,
	};
	int r = -ENOMEM, i;

	for (i = 0; r == -ENOMEM && i < WB_TRIES; i++)
		r = vci_cache_change(c, &ch);
	if (!r)
		c->stats.written_back_blocks += ch.nr_blocks;
	return r;
}

/* The log may call clean what memory doesn't: it isn't to be overwritten (P7). */
static void keep_as_it_is(struct vci_cache *c)
{
	spin_lock(vci_cache_lock(c));
	vci_segments_unsettle(&c->segments);
	spin_unlock(vci_cache_lock(c));
}

static int clean(struct vci_cache *c)
{
	u32 i;
	int r = append_clean(c);

	for (i = 0; !r && i < c->wb->nr; i++)
		r = make_clean(c, &c->wb->e[i]);
	if (r)
		keep_as_it_is(c);
	return r;
}

/**
 * vci_wb_write() - steps 2 to 6 for what was taken
 * @c: cache
 *
 * By the writer.  May sleep.  c->wb->error tells that some of it stays dirty.
 * Return: as vci_cache_writeback().
 */
int vci_wb_write(struct vci_cache *c)
{
	int r;

	c->wb->error = 0;
	if (!c->wb->nr)
		return 0;
	begin_copy(c);
	r = transfer(c);
	if (!r && c->wb->nr)
		r = clean(c);
	end_copy(c);
	return r;
}

/* ---- rounds ---- */

/* In order there is no taking this segment and not the one before. */
static u64 max_seq(const struct vci_cache *c, const struct wb_filter *f)
{
	const struct vci_segments *t = &c->segments;
	u64 seq = 0;
	u32 i;

	if (!f->victims)
		return f->max_seq;
	for (i = 0; i < t->nr; i++)
		if (t->s[i].life == VCI_LIFE_VICTIM)
			seq = max(seq, t->s[i].seq);
	return seq;
}

/* Lets the image say whether write-back is in order. */
static int announce_order(struct vci_cache *c)
{
	struct vci_header h = c->header;
	int r = vci_cache_write_header(c, &h);

	if (r)
		vci_cache_fail(c, r);
	return r;
}

/* A whole pass without order is over: from now on there is one. */
static int check_drained(struct vci_cache *c, struct vci_writeback *wb,
			 const struct wb_filter *f)
{
	if (wb->off < c->header.backing_blocks || f->victims || wb->skipped || wb->error ||
	    f->max_seq < c->ordered_drain)
		return 0;
	WRITE_ONCE(c->ordered_seq, max(c->ordered_seq, c->ordered_drain + 1));
	c->ordered_drain = 0;
	wb->off = 0;
	return announce_order(c);
}

/* The image must not say that there is an order while it is left. */
static int leave_order(struct vci_cache *c)
{
	return READ_ONCE(c->ordered_durable) ? announce_order(c) : 0;
}

static int round_by_offset(struct vci_cache *c, struct vci_writeback *wb,
			   const struct wb_filter *f, u64 max_blocks)
{
	struct vci_writeback next = *wb;
	int r = collect(c, &next, f, max_blocks);

	if (!r)
		r = vci_wb_write(c);
	if (r)
		return r;
	*wb = next;
	if (c->wb->error)
		wb->error = c->wb->error;
	return 0;
}

/* Of what goes in any order before there is one. */
static int drain_round(struct vci_cache *c, struct vci_writeback *wb,
		       const struct wb_filter *f, u64 max_blocks)
{
	struct wb_filter limited = *f;
	int r = leave_order(c);

	limited.max_seq = min(f->max_seq, c->ordered_drain);
	if (!r)
		r = round_by_offset(c, wb, &limited, max_blocks);
	return r ? r : check_drained(c, wb, &limited);
}

static int round_of(struct vci_cache *c, struct vci_writeback *wb,
		    const struct wb_filter *f, u64 max_blocks)
{
	int r;

	if (vci_cache_is_failed(c))
		return -EIO;
	r = vci_redo_finish(c);
	if (!r && !READ_ONCE(c->dirty_blocks)) {
		wb->off = c->header.backing_blocks;
		return 0;
	}
	if (!r)
		r = vci_wb_prepare(c);
	if (r)
		return r;
	if (!c->ordered)
		return round_by_offset(c, wb, f, max_blocks);
	if (c->ordered_drain)
		return drain_round(c, wb, f, max_blocks);
	return vci_ordered_round(c, wb, max_seq(c, f), max_blocks);
}

/**
 * vci_cache_writeback() - write back some of what is dirty
 * @c: cache
 * @wb: where the pass stands; unchanged on an error
 * @max_blocks: how much, about
 *
 * By the writer.  May sleep.  What the backing device refuses stays dirty, and is
 * told in wb->error; in order it holds up what follows.  Return: 0; -ENOSPC: no room
 * for the records, so vci_cache_maintain() first; -ENOMEM; an error of a device.
 */
int vci_cache_writeback(struct vci_cache *c, struct vci_writeback *wb, u64 max_blocks)
{
	const struct wb_filter f = { .max_seq = wb->max_seq };

	return round_of(c, wb, &f, max_blocks);
}

static int pass(struct vci_cache *c, const struct wb_filter *f)
{
	struct vci_writeback wb = { 0 };
	int r = 0;

	/* In order, what is skipped holds up all that follows. */
	while (!r && wb.off < c->header.backing_blocks && !(c->ordered && wb.skipped))
		r = round_of(c, &wb, f, U32_MAX);
	return r ? r : wb.error;
}

/**
 * vci_writeback_victims() - write back what is dirty in the victims of reclaim
 * @c: cache
 *
 * By the writer.  May sleep, may take long.  Return: as vci_cache_writeback().
 */
int vci_writeback_victims(struct vci_cache *c)
{
	const struct wb_filter f = { .max_seq = U64_MAX, .victims = true };

	return c->ordered_drain ? vci_writeback_all(c) : pass(c, &f);
}

/**
 * vci_writeback_all() - write back all that is dirty
 * @c: cache
 *
 * By the writer.  May sleep, may take long.  Return: as vci_cache_writeback().
 */
int vci_writeback_all(struct vci_cache *c)
{
	const struct wb_filter f = { .max_seq = U64_MAX };

	return pass(c, &f);
}

/**
 * vci_cache_dirty_blocks() - how much is newer than the backing device
 * @c: cache
 *
 * Any context.  Not less than it is; more while changes wait for their region.
 */
u64 vci_cache_dirty_blocks(const struct vci_cache *c)
{
	u64 waiting = vci_redo_dirty(&c->redo);

	/* What is applied meanwhile is counted twice, not never. */
	smp_rmb();
	return waiting + READ_ONCE(c->dirty_blocks);
}

/**
 * vci_cache_dirty_percent() - how much of the room is dirty
 * @c: cache
 *
 * Any context; a hint.
 */
u32 vci_cache_dirty_percent(const struct vci_cache *c)
{
	return div64_u64(100 * vci_cache_dirty_blocks(c),
			 (u64)c->segments.nr * c->segments.blocks);
}

/**
 * vci_cache_log_seq() - the last batch so far
 * @c: cache
 *
 * What is dirty now lies in segments that began at or before it.
 */
u64 vci_cache_log_seq(struct vci_cache *c)
{
	u64 seq;

	spin_lock(vci_cache_lock(c));
	seq = c->log.seq;
	spin_unlock(vci_cache_lock(c));
	return seq;
}
