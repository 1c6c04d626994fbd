// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct writes: data first, straight from its user's pages, and its name later.
 *
 *	begin	a place at the end of the direct segment, which the log never names
 *	(write the data)
 *	land	map it, and note that it is to be named: under the lock, and not while a
 *		batch of users' writes is in the gate (D1)
 *	name	a batch says where what has landed lies, in its order (vci-append.c), or
 *		a checkpoint has it
 *
 * What has landed is acknowledged, but not durable: a FLUSH names it first.  D1 to D8
 * are those of "Direct writes" in Documentation/design.rst.
 */
#include "vci-cache-internal.h"

/* Segments that are left to the log, and to what the others leave to each other. */
#define LEAVE_SEGMENTS	(VCI_KEEP_FILLS + 1)

/* Writes behind a FLUSH that go to the log: for who flushes after each of them. */
#define AFTER_FLUSH	4u

/* When so many have landed the last of them waits for a batch that names them. */
#define DUE		64u

/*
 * With a volatile cache a name costs a flush of the device, which takes as long as writing
 * some MiB: so many have landed by then, in whole, if their names fill no more of a segment
 * than a quarter.
 */
#define VOLATILE_MAX	1024u
#define NAMES_SHARE	4

/* Times memory is asked for before a write on the device is given up. */
#define LAND_TRIES	10

static void set_sizes(struct vci_cache *c)
{
	u32 batches = c->segments.blocks / (NAMES_SHARE * VCI_UNIT_BLOCKS);
	struct vci_direct *d = &c->direct;

	d->names = VCI_DIRECT_NAMES;
	d->max = VCI_DIRECT_NAMES;
	d->due = DUE;
	if (d->is_volatile) {
		d->max = clamp_t(u32, batches * VCI_DIRECT_NAMES, d->max, VOLATILE_MAX);
		d->due = d->max / 4 * 3;
	}
	d->size = roundup_pow_of_two(d->max);
}

/**
 * vci_direct_init() - no direct writes yet
 * @c: cache that is being activated
 * @p: may there be any?
 *
 * May sleep.  Return: 0 or -ENOMEM; vci_cache_destroy() frees what it took.
 */
int vci_direct_init(struct vci_cache *c, const struct vci_open_params *p)
{
	struct vci_direct *d = &c->direct;

	d->segment = VCI_NO_SEGMENT;
	if (!p->direct || c->ordered)
		return 0;
	d->is_volatile = p->volatile_cache;
	set_sizes(c);
	d->ring = kvcalloc(d->size, sizeof(*d->ring), GFP_KERNEL);
	d->on = d->ring;
	return d->on ? 0 : -ENOMEM;
}

/* ---- its place ---- */

/* Racy: one more or less makes no difference. */
static bool is_near_flush(struct vci_direct *d)
{
	u32 n = READ_ONCE(d->since_flush);

	if (n >= AFTER_FLUSH)
		return false;
	WRITE_ONCE(d->since_flush, n + 1);
	return true;
}

/* Small ones in a batch would have to name what has landed before: with a flush. */
static bool is_worth_a_flush(struct vci_cache *c, bool is_large)
{
	return !is_near_flush(&c->direct) && (is_large || vci_direct_pending(c));
}

static bool is_worth_it(struct vci_cache *c, u32 blocks, bool fua)
{
	bool is_large = blocks >= VCI_ENTRY_BLOCKS_MAX;

	if (c->direct.is_volatile)
		return !fua && is_worth_a_flush(c, is_large);
	return is_large || (!fua && !is_near_flush(&c->direct));
}

static bool is_in_one_window(u64 off, u32 blocks)
{
	return off >> VCI_WINDOW_LOG2 == (off + blocks - 1) >> VCI_WINDOW_LOG2;
}

/* The next one, if that is free: then what is written in a row is read as one. */
static u32 take_segment(struct vci_segments *t, u32 last)
{
	if (last >= t->nr - 1 || t->s[last + 1].life != VCI_LIFE_FREE)
		return vci_segment_take_free(t);
	vci_segment_set(t, last + 1, VCI_LIFE_QUEUED);
	return last + 1;
}

/* D5: none is left before all that goes there has landed. */
static bool next_segment(struct vci_cache *c)
{
	struct vci_segments *t = &c->segments;
	struct vci_direct *d = &c->direct;
	u32 i;

	/* The log's first number isn't given out: ages begin with it. */
	if (d->in_flight || !c->log.seq || !t->count[VCI_LIFE_FREE] ||
	    c->log.nr_queue + t->count[VCI_LIFE_FREE] <= LEAVE_SEGMENTS)
		return false;
	i = take_segment(t, d->segment);
	if (d->segment != VCI_NO_SEGMENT)
		vci_segment_set(t, d->segment, VCI_LIFE_CLOSED);
	VCI_ASSERT(i != VCI_NO_SEGMENT && !t->s[i].live);
	vci_segment_opened(t, i, VCI_STREAM_NEW, c->log.seq);
	WRITE_ONCE(t->s[i].settled, 0);
	d->segment = i;
	d->used = 0;
	return true;
}

static u32 nr_entries(u32 blocks)
{
	return DIV_ROUND_UP(blocks, VCI_ENTRY_BLOCKS_MAX);
}

/* Blocks that there are places for, in the segment and in the ring. */
static u32 room_for(struct vci_cache *c, u32 blocks)
{
	struct vci_direct *d = &c->direct;
	u32 promised = d->head - d->tail + d->promised;

	if (!READ_ONCE(c->may_dirty) || !vci_append_fits_locked(c))
		return 0;
	if ((d->segment == VCI_NO_SEGMENT || d->used == c->segments.blocks) &&
	    !next_segment(c))
		return 0;
	blocks = min(blocks, c->segments.blocks - d->used);
	return min(blocks, (d->max - promised) * VCI_ENTRY_BLOCKS_MAX);
}

static u32 take_place(struct vci_cache *c, u32 blocks, u64 *addr)
{
	struct vci_direct *d = &c->direct;

	blocks = room_for(c, blocks);
	if (!blocks)
		return 0;
	*addr = vci_segment_addr(&c->segments, d->segment) + d->used;
	d->used += blocks;
	d->promised += nr_entries(blocks);
	WRITE_ONCE(d->in_flight, d->in_flight + 1);
	return blocks;
}

/* What it left of its promise, too. */
static void end_locked(struct vci_cache *c, const struct vci_direct_write *w)
{
	struct vci_direct *d = &c->direct;

	d->promised -= nr_entries(w->blocks - w->done);
	WRITE_ONCE(d->in_flight, d->in_flight - 1);
}

/**
 * vci_direct_begin() - give a direct write its place, if it is to be one
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many, not 0
 * @fua: is it to be durable when it is acknowledged?
 * @w: filled in
 *
 * Task context, no sleep.
 *
 * Return: how many blocks, from its start, go to @w->addr; 0: it goes to the log, and
 * there is nothing to end.
 */
u32 vci_direct_begin(struct vci_cache *c, u64 off, u32 blocks, bool fua,
		     struct vci_direct_write *w)
{
	struct vci_direct *d = &c->direct;

	/* One with FUA is as good as a flush behind it. */
	if (fua && d->is_volatile)
		vci_direct_flush(c);
	if (!d->on || blocks % VCI_UNIT_BLOCKS || !is_in_one_window(off, blocks) ||
	    !is_worth_it(c, blocks, fua))
		return 0;
	spin_lock(vci_cache_lock(c));
	w->off = off;
	w->done = 0;
	w->blocks = take_place(c, blocks, &w->addr);
	spin_unlock(vci_cache_lock(c));
	if (!w->blocks)
		return 0;
	/* In flight before it is known to have failed: vci_cache_is_stuck(). */
	smp_mb();
	if (vci_cache_is_failed(c)) {
		vci_direct_failed(c, w, 0);
		return 0;
	}
	return w->blocks;
}

/**
 * vci_direct_failed() - a direct write wasn't written
 * @c: cache
 * @w: from vci_direct_begin()
 * @error: of the device; 0 if it refused to begin
 *
 * Task context.  After an error nobody knows what is on the device, though nothing maps
 * it: nothing is written any more.
 */
void vci_direct_failed(struct vci_cache *c, struct vci_direct_write *w, int error)
{
	if (error) {
		vci_err("%s: error %d writing %u blocks at %llu: nothing is written any more",
			c->dev->name, error, w->blocks, w->addr);
		WRITE_ONCE(c->stuck, true);
		vci_cache_fail(c, error);
	}
	spin_lock(vci_cache_lock(c));
	/* Pairs with vci_cache_is_stuck(). */
	smp_wmb();
	end_locked(c, w);
	spin_unlock(vci_cache_lock(c));
}

/* ---- landing ---- */

static void note_landed(struct vci_cache *c, const struct vci_extent *e)
{
	struct vci_direct *d = &c->direct;

	d->ring[d->head & (d->size - 1)] = (struct vci_landed) {
		.off = e->off, .addr = e->addr, .blocks = e->blocks,
	};
	d->promised--;
	WRITE_ONCE(d->head, d->head + 1);
	c->stats.appended_blocks += e->blocks;
	c->stats.written_blocks += e->blocks;
	vci_append_note_new(c, e->blocks);
}

static void next_change(const struct vci_direct_write *w, struct vci_change *ch)
{
	*ch = (struct vci_change) {
		.kind = VCI_CHANGE_INSERT,
		.e = { .off = w->off + w->done, .addr = w->addr + w->done,
		       .blocks = min(w->blocks - w->done, VCI_ENTRY_BLOCKS_MAX),
		       .flags = VCI_EXT_DIRTY },
	};
}

/* Each piece is mapped and noted, or neither. */
static int land_locked(struct vci_cache *c, struct vci_direct_write *w)
{
	struct vci_change ch;
	int r;

	if (c->append_users)
		return -EBUSY;
	while (w->done < w->blocks) {
		next_change(w, &ch);
		r = vci_cache_change_locked(c, &ch);
		if (r)
			return r;
		note_landed(c, &ch.e);
		w->done += ch.e.blocks;
	}
	/* Pairs with vci_cache_is_stuck(): dirty before it is in flight no longer. */
	smp_wmb();
	end_locked(c, w);
	return 0;
}

/**
 * vci_direct_end() - the data of a direct write is on the device: it lands
 * @c: cache
 * @w: from vci_direct_begin()
 *
 * Task context, no sleep.  Return: 0; -EBUSY: again, when somebody has left the gate;
 * -EAGAIN or -ENOMEM: vci_direct_end_sleep().
 */
int vci_direct_end(struct vci_cache *c, struct vci_direct_write *w)
{
	int r;

	spin_lock(vci_cache_lock(c));
	r = land_locked(c, w);
	spin_unlock(vci_cache_lock(c));
	return r;
}

/**
 * vci_direct_end_sleep() - vci_direct_end() for who may sleep
 * @c: cache
 * @w: from vci_direct_begin()
 *
 * A sleeper.  Return: 0; -EBUSY: again, when somebody has left the gate; else the error
 * with which the cache failed, and the write has ended.
 */
int vci_direct_end_sleep(struct vci_cache *c, struct vci_direct_write *w)
{
	int r, tries = LAND_TRIES;
	struct vci_change ch;

	for (;;) {
		r = vci_direct_end(c, w);
		if (!r || r == -EBUSY)
			return r;
		next_change(w, &ch);
		if (r == -EAGAIN)
			r = vci_cache_get_ready(c, &ch);
		else if (r == -ENOMEM)
			r = vci_btree_prepare(c->tree, GFP_NOIO);
		if (r && (r != -ENOMEM || !--tries))
			break;
	}
	vci_direct_failed(c, w, r);
	return r;
}

/* ---- names ---- */

/**
 * vci_direct_pending() - has anything landed that isn't named?
 * @c: cache
 *
 * Any context.
 */
bool vci_direct_pending(const struct vci_cache *c)
{
	/* Who finds it named finds the batch, too: pairs with vci_direct_named(). */
	return READ_ONCE(c->direct.head) != smp_load_acquire(&c->direct.tail);
}

/**
 * vci_direct_due() - has so much landed that a batch should name it?
 * @c: cache
 *
 * Any context.  Then who has landed last is acknowledged when one does.
 */
bool vci_direct_due(const struct vci_cache *c)
{
	return READ_ONCE(c->direct.head) - READ_ONCE(c->direct.tail) >= c->direct.due;
}

/**
 * vci_direct_is_volatile() - are they written without FUA?
 * @c: cache
 *
 * Any context.
 */
bool vci_direct_is_volatile(const struct vci_cache *c)
{
	return c->direct.is_volatile;
}

/**
 * vci_direct_flush() - a user's FLUSH begins
 * @c: cache
 *
 * Any context.  Return: true if a batch must name something before the device is
 * flushed.
 */
bool vci_direct_flush(struct vci_cache *c)
{
	if (READ_ONCE(c->direct.since_flush))
		WRITE_ONCE(c->direct.since_flush, 0);
	return vci_direct_pending(c);
}

/**
 * vci_direct_list() - entries that name what has landed
 * @c: cache; the caller is in the gate
 * @entries: receives them; room for VCI_DIRECT_NAMES
 * @to: receives what vci_direct_named() wants when their batch has completed
 *
 * Task context.  Return: how many: as many as one batch names, the oldest ones.
 */
u32 vci_direct_list(struct vci_cache *c, struct vci_entry *entries, u32 *to)
{
	struct vci_direct *d = &c->direct;
	u32 i, nr = 0;

	*to = READ_ONCE(d->head);
	if (!vci_direct_pending(c))
		return 0;
	spin_lock(vci_cache_lock(c));
	for (i = d->tail; i != d->head && nr < d->names; i++) {
		const struct vci_landed *l = &d->ring[i & (d->size - 1)];

		entries[nr++] = (struct vci_entry) {
			.off = l->off, .blocks = l->blocks, .old_addr = l->addr,
			.kind = VCI_ENTRY_DIRECT, .flags = VCI_EXT_DIRTY,
		};
	}
	*to = i;
	if (i != d->head)
		d->split = true;
	spin_unlock(vci_cache_lock(c));
	return nr;
}

/**
 * vci_direct_all() - is that all that has landed?
 * @c: cache; the caller is in the gate, with users' writes
 * @to: from vci_direct_list()
 *
 * Any context.
 */
bool vci_direct_all(const struct vci_cache *c, u32 to)
{
	return to == READ_ONCE(c->direct.head);
}

/**
 * vci_direct_is_durable() - may a name of what landed before become durable by itself? (D3)
 * @c: cache; the caller is in the gate
 * @to: from vci_direct_list()
 *
 * Task context.  Return: false: the device must be flushed before.
 */
bool vci_direct_is_durable(const struct vci_cache *c, u32 to)
{
	const struct vci_direct *d = &c->direct;

	return !d->is_volatile || (s32)(to - READ_ONCE(d->flushed)) <= 0;
}

/**
 * vci_direct_commit() - a checkpoint has what had landed at its freeze
 * @c: cache, its lock held
 *
 * Unless a part of the list was named since: what the others replaced may come back then, if
 * that part survives a crash and they don't.  So they are still to be named, and nobody may
 * overwrite them in place.  Return: true if places may be settled (D6).
 */
bool vci_direct_commit(struct vci_cache *c)
{
	if (c->direct.split)
		return false;
	vci_direct_named(c, c->direct.frozen);
	return true;
}

/**
 * vci_direct_flushed() - the device was flushed
 * @c: cache, its lock held
 * @to: the list's head, before the flush was submitted
 */
void vci_direct_flushed(struct vci_cache *c, u32 to)
{
	struct vci_direct *d = &c->direct;

	if ((s32)(to - d->flushed) > 0)
		WRITE_ONCE(d->flushed, to);
}

/**
 * vci_direct_named() - what had landed then is found by a recovery
 * @c: cache, its lock held
 * @to: from vci_direct_list(), or as it was at the freeze
 */
void vci_direct_named(struct vci_cache *c, u32 to)
{
	struct vci_direct *d = &c->direct;

	if ((s32)(to - d->tail) <= 0)
		return;
	/* Pairs with vci_direct_pending(). */
	smp_store_release(&d->tail, to);
	/* Its data is durable, too, and the two must stay near to each other. */
	vci_direct_flushed(c, to);
}

/**
 * vci_direct_freeze() - note what a checkpoint will have
 * @c: cache, its lock held
 *
 * Also how much of the open segment is settled then (D8).
 */
void vci_direct_freeze(struct vci_cache *c)
{
	struct vci_segments *t = &c->segments;
	struct vci_direct *d = &c->direct;

	d->frozen = d->head;
	d->split = false;
	t->direct = d->segment;
	if (d->segment == VCI_NO_SEGMENT)
		return;
	t->direct_settled = d->in_flight ? t->s[d->segment].settled : d->used;
}
