// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-back in the order of the log, for who fears to lose the cache device.
 *
 * Batches are read from the log again, oldest first, and written to the backing
 * device with all that was overwritten since: a flush of the backing device, and
 * durable CLEAN entries, come before the first batch that was built after a later
 * flush of the user (its durable stamp says so).  So the backing device alone is
 * always what a power failure could have left of a single disk: everything up to
 * some flush, and any part of what followed until the next one.
 *
 * Old versions stay readable because segments are emptied in the order of the
 * log, and only when write-back has passed them.  After a crash it goes on with
 * the batch that the last CLEAN entry names, or where the checkpoint says.  Doing
 * that batch again is harmless: nothing behind it was complete.
 */
#include "vci-writeback-internal.h"

/* ---- the log, read forward ---- */

/* While write-back is in order, writes go to one stream, so that is what it reads. */
static bool in_use(const struct vci_segment *s)
{
	return s->stream == VCI_STREAM_NEW &&
	       (s->life == VCI_LIFE_CLOSED || s->life == VCI_LIFE_OPEN ||
		s->life == VCI_LIFE_VICTIM);
}

/* The segment in use with the smallest seq behind @seq. */
static u32 segment_after(const struct vci_segments *t, u64 seq)
{
	u32 i, best = VCI_NO_SEGMENT;

	for (i = 0; i < t->nr; i++)
		if (in_use(&t->s[i]) && t->s[i].seq > seq &&
		    (best == VCI_NO_SEGMENT || t->s[i].seq < t->s[best].seq))
			best = i;
	return best;
}

/* The segment that holds batch @seq, if it is there; else the next one. */
static u32 segment_with(const struct vci_segments *t, u64 seq)
{
	u32 i, best = VCI_NO_SEGMENT;

	for (i = 0; i < t->nr; i++)
		if (in_use(&t->s[i]) && t->s[i].seq <= seq &&
		    (best == VCI_NO_SEGMENT || t->s[i].seq > t->s[best].seq))
			best = i;
	return best == VCI_NO_SEGMENT ? segment_after(t, seq) : best;
}

static struct vci_wb_place start_of(const struct vci_segments *t, u32 segment)
{
	return (struct vci_wb_place) {
		.segment = segment,
		.begun = segment == VCI_NO_SEGMENT ? 0 : t->s[segment].seq,
	};
}

/* Is it still the same log there? */
static bool is_there(const struct vci_segments *t, const struct vci_wb_place *p)
{
	return p->begun && in_use(&t->s[p->segment]) && t->s[p->segment].seq == p->begun;
}

/*
 * A segment's batches are of one epoch, its first one's: what lies behind them may
 * be of an older life that recovery passed over (O10).
 */
static bool is_batch(struct vci_cache *c, const struct vci_wb_place *p, const u8 *header,
		     struct vci_batch_info *info)
{
	const struct vci_segments *t = &c->segments;
	u64 addr = vci_segment_addr(t, p->segment) + p->used;

	if (vci_batch_check(header, &c->header, addr, t->blocks - p->used, info,
			    c->wb->batch, NULL))
		return false;
	if (!p->seq)
		return info->seq == p->begun;
	return info->epoch == p->epoch && info->seq > p->seq &&
	       info->seq <= READ_ONCE(c->log.completed_seq);
}

/* Blocks of the segment that batches were given. */
static u32 used_of(struct vci_cache *c, u32 segment)
{
	const struct vci_log_open *o = &c->log.open[VCI_STREAM_NEW];
	u32 used = c->segments.blocks;

	spin_lock(vci_cache_lock(c));
	if (segment == o->segment)
		used = o->used;
	spin_unlock(vci_cache_lock(c));
	return used;
}

/*
 * Finds the batch at or behind @p in its segment, up to block @end of that, and goes
 * behind it.  Most lie right there; one that doesn't is looked for in as much as there
 * is memory for.  Return: 1, 0 if there is none, or an error.
 */
static int find_batch(struct vci_cache *c, struct vci_wb_place *p, u32 end,
		      struct vci_batch_info *info)
{
	u32 blocks = c->segments.blocks, from = p->used, to = from, want = VCI_UNIT_BLOCKS;
	const u8 *header;
	int r;

	for (; p->used < end; p->used += c->header.batch_align) {
		if (to < min(p->used + VCI_UNIT_BLOCKS, blocks)) {
			from = p->used;
			to = min(from + want, blocks);
			r = vci_read(c->dev, vci_segment_addr(&c->segments, p->segment) + from,
				     to - from, c->wb->buffer);
			if (r)
				return r;
			want = c->wb->capacity;
		}
		header = c->wb->buffer + (size_t)(p->used - from) * VCI_BLOCK_SIZE;
		if (is_batch(c, p, header, info)) {
			p->used += info->blocks;
			p->seq = info->seq;
			p->epoch = info->epoch;
			return 1;
		}
	}
	return 0;
}

/*
 * The batch at or behind @p, its entries in c->wb->batch; @p behind it.  Return:
 * 1, 0 if there is none yet, or an error.
 */
static int next_batch(struct vci_cache *c, struct vci_wb_place *p,
		      struct vci_batch_info *info)
{
	int r = 0;

	while (!r && p->segment != VCI_NO_SEGMENT) {
		r = find_batch(c, p, used_of(c, p->segment), info);
		if (!r)
			*p = start_of(&c->segments, segment_after(&c->segments, p->begun));
	}
	return r;
}

/*
 * After a crash: the batch that the last CLEAN entry was about.  It is done again,
 * even if all of it was: it never overwrites itself, nothing behind it was complete,
 * and no write went past the log since.
 */
static int find_clean(struct vci_cache *c)
{
	struct vci_batch_info info;
	struct vci_wb_place p;
	int r;

	p = start_of(&c->segments, vci_segment_of(&c->segments, c->ordered_addr));
	do {
		r = next_batch(c, &p, &info);
	} while (r > 0 && info.addr + info.blocks <= c->ordered_addr);
	if (r > 0)
		c->ordered_seq = max(c->ordered_seq, info.seq);
	return min(r, 0);
}

/* ---- rounds ---- */

static bool overlaps(const struct vci_wb_state *s, u32 first, const struct vci_entry *e)
{
	u32 i;

	for (i = first; i < s->nr; i++)
		if (e->off < s->e[i].off + s->e[i].blocks &&
		    s->e[i].off < e->off + e->blocks)
			return true;
	return false;
}

/* Does the batch fit into the round as it is, without two versions of a block? */
static bool fits(const struct vci_wb_state *s, const struct vci_batch_info *info)
{
	u32 i;

	if (s->nr + info->nr_entries > VCI_WB_ENTRIES)
		return false;
	for (i = 0; i < info->nr_entries; i++)
		if (s->batch[i].kind == VCI_ENTRY_WRITE && overlaps(s, 0, &s->batch[i]))
			return false;
	return true;
}

/* Takes a batch; one that overwrites itself goes in several rounds. */
static int take_batch(struct vci_cache *c, const struct vci_batch_info *info,
		      struct vci_writeback *wb)
{
	struct vci_wb_state *s = c->wb;
	u32 i, blocks = 0, nr = s->nr;
	int r;

	for (i = 0; i < info->nr_entries; i++) {
		struct vci_entry e = s->batch[i];

		if (e.kind != VCI_ENTRY_WRITE)
			continue;
		if (overlaps(s, nr, &e)) {
			r = vci_wb_write(c);
			if (r)
				return r;
			s->nr = 0;
			nr = 0;
		}
		e.flags = 0;
		e.old_addr = e.addr;
		if (!vci_wb_take(c, &e)) {
			s->nr = nr;
			wb->skipped += e.blocks;
			return -EBUSY;
		}
		blocks += e.blocks;
	}
	wb->blocks += blocks;
	return 0;
}

/*
 * All that completed was written back, and still something is dirty: from before
 * write-back was ordered, or since memory was short.  Then that goes first.
 */
static void check_rest(struct vci_cache *c)
{
	vci_append_wait(c);
	if (c->log.write_seq < c->ordered_seq && c->stats.dirty_blocks)
		c->ordered_drain = c->log.completed_seq;
	vci_append_leave(c);
}

struct round {
	struct vci_wb_place at;		/* behind what was taken */
	u64 seq;			/* likewise */
	u64 first;			/* batch of it, 0 none */
	bool end;			/* nothing more for this pass */
};

/* Takes batches up to the next flush of the user. */
static int take_batches(struct vci_cache *c, struct vci_writeback *wb, u64 max_seq,
			u64 max_blocks, struct round *rd)
{
	u64 begin = wb->blocks;
	struct vci_batch_info info;
	struct vci_wb_place at;
	int r;

	while (wb->blocks - begin < max_blocks) {
		at = rd->at;
		r = next_batch(c, &at, &info);
		if (r < 0)
			return r;
		rd->end = !r || info.seq > wb->until;
		if (rd->end)
			return 0;
		/* All before it is passed: numbers between are other streams'. */
		rd->seq = max(rd->seq, info.seq);
		rd->end = at.begun > max_seq;
		if (rd->end || (rd->first && (info.durable_seq >= rd->first ||
					      !fits(c->wb, &info))))
			return 0;
		if (info.seq == rd->seq) {
			r = take_batch(c, &info, wb);
			if (r)
				return r == -EBUSY ? 0 : r;
			rd->seq = info.seq + 1;
			if (!rd->first)
				rd->first = info.seq;
		}
		rd->at = at;
	}
	return 0;
}

/**
 * vci_ordered_round() - a round of write-back in the order of the log
 * @c: cache, ordered, with memory for write-back
 * @wb: where the pass stands
 * @max_seq: only segments begun up to this batch
 * @max_blocks: how much, about
 *
 * By the writer.  May sleep.  Return: as vci_cache_writeback().
 */
int vci_ordered_round(struct vci_cache *c, struct vci_writeback *wb, u64 max_seq,
		      u64 max_blocks)
{
	struct round rd = { 0 };
	int r = 0;

	if (!wb->until)
		wb->until = READ_ONCE(c->log.completed_seq);
	rd.seq = c->ordered_seq;
	rd.at = c->wb->at;
	if (!is_there(&c->segments, &rd.at))
		rd.at = start_of(&c->segments, segment_with(&c->segments, rd.seq));
	c->wb->nr = 0;
	c->wb->check_data = true;
	r = take_batches(c, wb, max_seq, max_blocks, &rd);
	if (!r)
		r = vci_wb_write(c);
	if (r)
		return r;
	WRITE_ONCE(c->ordered_seq, rd.seq);
	c->wb->at = rd.at;
	if (rd.end) {
		check_rest(c);
		wb->off = c->ordered_drain ? 0 : c->header.backing_blocks;
	}
	return 0;
}

/**
 * vci_ordered_idle() - nothing is dirty, so nothing in the log is to be written
 * @c: cache, its lock held, no batch in flight
 *
 * At the freeze of a checkpoint, which makes it durable.
 */
void vci_ordered_idle(struct vci_cache *c)
{
	WRITE_ONCE(c->ordered_seq, c->log.seq + 1);
}

/**
 * vci_ordered_before() - which segments write-back doesn't have to read any more
 * @c: cache
 *
 * By the writer.  Return: those begun before this batch.
 */
u64 vci_ordered_before(const struct vci_cache *c)
{
	u32 i;

	if (!c->ordered || c->ordered_drain)
		return U64_MAX;
	i = segment_with(&c->segments, c->ordered_seq);
	return i == VCI_NO_SEGMENT ? 0 : c->segments.s[i].seq;
}

/**
 * vci_ordered_give_up() - write back what is dirty in any order, once
 * @c: cache
 *
 * By the writer.  The log is full of what is to be written in order, to the last
 * segment, so that there is no room for a record of it: crash after crash left
 * segments that were just begun.  Better out of order than never.
 */
void vci_ordered_give_up(struct vci_cache *c)
{
	if (!c->ordered || c->ordered_drain)
		return;
	vci_warn("%s: no room to write back in order: what is dirty now is written in any order",
		 c->dev->name);
	c->ordered_drain = c->log.completed_seq;
}

/**
 * vci_ordered_pending() - may a write past the log be overtaken by an older one?
 * @c: cache
 *
 * Any context.  While there are batches that write-back hasn't passed, or would
 * begin with after a crash, it might write what they hold, so nothing newer may be
 * on the backing device.
 */
bool vci_ordered_pending(const struct vci_cache *c)
{
	return c->ordered && (vci_cache_dirty_blocks(c) ||
			      READ_ONCE(c->ordered_durable) <= READ_ONCE(c->log.write_seq));
}

/**
 * vci_ordered_begin() - write back in the order of the log from now on, or not
 * @c: cache that is being activated, the log is read
 * @ordered: in order
 *
 * Before the header is written.  May sleep.  What is dirty from a time when
 * it wasn't ordered goes first, in any order.  Return: 0, -ENOMEM or the device's
 * error.
 */
int vci_ordered_begin(struct vci_cache *c, bool ordered)
{
	u64 last = max(c->log.completed_seq, c->header.checkpoint_seq);
	int r = 0;

	/* What wasn't durable is lost, and its numbers are given out anew. */
	c->ordered_seq = min(c->ordered_seq, last + 1);
	/* Of a clean image the log isn't begun yet. */
	if (!ordered) {
		c->ordered_seq = 0;
	} else if (!c->ordered_seq || !c->may_dirty) {
		c->ordered_seq = last + 1;
		c->ordered_drain = c->may_dirty ? last : 0;
	} else if (c->ordered_addr) {
		r = find_clean(c);
	}
	/* Whatever is in the log may be users' writes. */
	c->log.write_seq = last;
	c->ordered_addr = 0;
	c->ordered = ordered;
	return r;
}
