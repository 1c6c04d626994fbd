// SPDX-License-Identifier: GPL-2.0-only
/*
 * Appending batches to the log, and mapping what they hold.
 *
 * The gate lets one batch in at a time: from before it gets its place until it is
 * complete and mapped.  So memory and a later replay apply the same entries in
 * the same order (O4), nobody freezes a checkpoint between a batch and its
 * mapping (O9), and a segment's first batch is complete before its second is
 * submitted (L3).
 *
 * Fills and records of write-back are appended by the writer, who waits for the
 * gate; batches of users' writes by whoever gets in.
 */
#include "vci-place.h"

/* Times memory is asked for before a batch on the device is given up. */
#define MAP_TRIES	10

/* ---- the gate ---- */

/**
 * vci_append_enter() - try to enter the log's gate, with users' writes
 * @c: cache
 *
 * No direct write lands until the caller has left.  Task context, no sleep.
 *
 * Return: true if the caller is in: vci_append_leave().
 */
bool vci_append_enter(struct vci_cache *c)
{
	bool in;

	spin_lock(vci_cache_lock(c));
	in = !c->append_busy && !c->append_waited;
	if (in) {
		WRITE_ONCE(c->append_busy, true);
		c->append_users = true;
	}
	spin_unlock(vci_cache_lock(c));
	return in;
}

/**
 * vci_append_busy() - is somebody in the gate?
 * @c: cache
 *
 * Any context; for ops->wait_log().
 */
bool vci_append_busy(const struct vci_cache *c)
{
	return READ_ONCE(c->append_busy);
}

/**
 * vci_append_leave() - let the next one in
 * @c: cache whose gate the caller is in
 *
 * Task context.
 */
void vci_append_leave(struct vci_cache *c)
{
	spin_lock(vci_cache_lock(c));
	WRITE_ONCE(c->append_busy, false);
	c->append_users = false;
	spin_unlock(vci_cache_lock(c));
	if (c->ops && c->ops->log_free)
		c->ops->log_free(c->ctx);
}

/**
 * vci_append_wait() - enter the gate, before the next batch of writes
 * @c: cache
 *
 * By the writer.  May sleep.
 */
void vci_append_wait(struct vci_cache *c)
{
	spin_lock(vci_cache_lock(c));
	c->append_waited = true;
	while (c->append_busy) {
		spin_unlock(vci_cache_lock(c));
		c->ops->wait_log(c->ctx);
		spin_lock(vci_cache_lock(c));
	}
	c->append_waited = false;
	WRITE_ONCE(c->append_busy, true);
	spin_unlock(vci_cache_lock(c));
}

/* ---- its place ---- */

/*
 * Mapping a batch may take nodes, and the next checkpoint must find room for
 * them beside those of the last one.
 */
static bool nodes_fit(const struct vci_cache *c)
{
	return c->nodes.nr_committed + vci_nodes_wanted(c) + vci_redo_nodes(&c->redo) <
	       c->nodes.nr;
}

/**
 * vci_append_fits_locked() - do nodes and memory allow more to be mapped?
 * @c: cache, its lock held
 */
bool vci_append_fits_locked(const struct vci_cache *c)
{
	return nodes_fit(c) && !vci_memory_full(c);
}

/* Blocks of header, data and padding. */
static u32 batch_blocks(const struct vci_cache *c, u32 nr, u32 used)
{
	u32 align = c->header.batch_align;

	return round_up(vci_batch_header_blocks(nr, align) + used, align);
}

/*
 * Who opened a segment of those that are kept for records of write-back needs all of it for
 * them: data would want records of its own.
 */
static bool is_for_records(const struct vci_cache *c, u32 stream)
{
	return stream == VCI_STREAM_NEW && vci_needs_records(c) &&
	       vci_nr_available(c) < VCI_KEEP_WRITES;
}

static int reserve(struct vci_cache *c, u32 stream, u32 nr, u32 used, u32 keep,
		   struct vci_append *a)
{
	u32 blocks = batch_blocks(c, nr, used);
	int r = -ENOSPC;

	spin_lock(vci_cache_lock(c));
	if (!keep || (vci_append_fits_locked(c) && !is_for_records(c, stream)))
		r = vci_log_reserve(&c->log, stream, blocks, keep, &a->info);
	spin_unlock(vci_cache_lock(c));
	if (r == -ENOSPC)
		WRITE_ONCE(c->checkpoint_due, true);
	if (r)
		return r;
	a->info.header_blocks = vci_batch_header_blocks(nr, c->header.batch_align);
	a->info.nr_entries = nr;
	a->addr = a->info.addr;
	a->blocks = blocks;
	a->skip = VCI_UNIT_BLOCKS - a->info.header_blocks;
	return 0;
}

/* For who may sleep: names of segments become durable on the way. */
static int reserve_sleep(struct vci_cache *c, u32 stream, u32 nr, u32 used, u32 keep,
			 struct vci_append *a)
{
	int r;

	for (;;) {
		r = reserve(c, stream, nr, used, keep, a);
		if (r != -EAGAIN)
			return r;
		r = vci_cache_flush(c);
		if (r)
			return r;
	}
}

/**
 * vci_append_note_new() - data that is new to the cache: the policy's time goes on
 * @c: cache, its lock held
 * @blocks: how much
 */
void vci_append_note_new(struct vci_cache *c, u32 blocks)
{
	c->segments.clock += blocks;
	vci_policy_filled(&c->policy, blocks);
}

static void complete_locked(struct vci_cache *c, const struct vci_append *a, bool write)
{
	vci_log_complete(&c->log, &a->info, write || a->named);
	if (a->flags & VCI_IO_PREFLUSH)
		vci_direct_flushed(c, a->landed);
	if (a->named)
		vci_direct_named(c, a->named_to);
	c->stats.appended_blocks += a->blocks;
	c->stats.batches++;
}

static u8 *block_at(u8 *buffer, u32 block)
{
	return buffer + (size_t)block * VCI_BLOCK_SIZE;
}

/* Of a buffer with @used blocks of data. */
static void zero_padding(const struct vci_cache *c, u8 *buffer, u32 used)
{
	u32 padding = round_up(used, c->header.batch_align) - used;

	memset(block_at(buffer, VCI_UNIT_BLOCKS + used), 0, (size_t)padding * VCI_BLOCK_SIZE);
}

/* ---- entries ---- */

static bool entry_fresh(struct vci_cache *c, const struct vci_fill_entry *fe)
{
	return fe->valid && vci_tickets_valid(&c->tickets, fe->off, fe->blocks,
					      &fe->ticket);
}

static u8 entry_kind(struct vci_cache *c, const struct vci_fill *f,
		     const struct vci_fill_entry *fe)
{
	if (f->write)
		return VCI_ENTRY_WRITE;
	return entry_fresh(c, fe) ? VCI_ENTRY_FILL : VCI_ENTRY_VOID;
}

/* Builds the entries from @first on; returns how many map something. */
static u32 build_entries(struct vci_cache *c, const struct vci_fill *f, u32 first)
{
	u32 i, nr = 0;

	for (i = 0; i < f->nr; i++) {
		const struct vci_fill_entry *fe = &f->e[i];
		struct vci_entry *e = &c->entries[first + i];

		memset(e, 0, sizeof(*e));
		e->off = fe->off;
		e->blocks = fe->blocks;
		e->kind = entry_kind(c, f, fe);
		e->heat = e->kind == VCI_ENTRY_VOID ? 0 : fe->heat;
		e->flags = f->write ? VCI_EXT_DIRTY : 0;
		e->data_crc = vci_data_crc(f->buffer + (size_t)fe->data_block *
					   VCI_BLOCK_SIZE, fe->blocks);
		nr += e->kind != VCI_ENTRY_VOID;
	}
	return nr;
}

/* Zeroing all of the header each time would cost more than what is in it. */
static void seal_fill(struct vci_cache *c, struct vci_fill *f, struct vci_append *a)
{
	u32 dirty = a->info.header_blocks * VCI_BLOCK_SIZE;

	if (f->header_used && f->header_blocks == a->info.header_blocks)
		dirty = f->header_used;
	f->header_blocks = a->info.header_blocks;
	f->header_used = vci_batch_seal(block_at(f->buffer, a->skip), dirty, c->batch_seed,
					&a->info, c->entries);
}

static void entry_change(const struct vci_fill *f, u32 i, const struct vci_entry *e,
			 struct vci_change *ch)
{
	*ch = (struct vci_change) {
		.kind = f->write ? VCI_CHANGE_INSERT : VCI_CHANGE_FILL,
		.e = { .off = e->off, .blocks = e->blocks, .addr = e->addr,
		       .flags = e->flags, .heat = e->heat },
		.ticket = f->write ? NULL : &f->e[i].ticket,
	};
}

/* ---- by a sleeper in the gate ---- */

/* Writes a sealed batch and counts it. */
static int write_batch(struct vci_cache *c, struct vci_append *a, u8 *buffer)
{
	int r = vci_write(c->dev, a->addr, a->blocks, block_at(buffer, a->skip), a->flags);

	if (r) {
		vci_cache_fail(c, r);
		return r;
	}
	spin_lock(vci_cache_lock(c));
	complete_locked(c, a, false);
	spin_unlock(vci_cache_lock(c));
	return 0;
}

/* @buffer: what its first unit holds isn't known. */
static void seal_unit(struct vci_cache *c, u8 *buffer, const struct vci_append *a)
{
	vci_batch_seal(block_at(buffer, a->skip), a->info.header_blocks * VCI_BLOCK_SIZE,
		       c->batch_seed, &a->info, c->entries);
}

/* D3.  What lands from now on isn't flushed by it. */
static void flush_before_names(struct vci_cache *c, struct vci_append *a)
{
	a->landed = READ_ONCE(c->direct.head);
	if (a->named && !vci_direct_is_durable(c, a->named_to))
		a->flags |= VCI_IO_PREFLUSH;
}

/* A batch that does nothing but name what has landed: @to becomes how far it got. */
static int name_some(struct vci_cache *c, u32 *to)
{
	struct vci_append a = { 0 };
	u32 nr;
	int r;

	nr = vci_direct_list(c, c->entries, to);
	if (!nr)
		return 0;
	r = reserve_sleep(c, VCI_STREAM_NEW, nr, 0, 0, &a);
	if (r)
		return r;
	a.named = nr;
	a.named_to = *to;
	flush_before_names(c, &a);
	seal_unit(c, c->direct_unit, &a);
	return write_batch(c, &a, c->direct_unit);
}

/* All that has landed by now: several batches in a row, if it must be (D6). */
static int name_landed(struct vci_cache *c)
{
	u32 to, all = READ_ONCE(c->direct.head);
	int r;

	do {
		r = name_some(c, &to);
	} while (!r && (s32)(all - to) > 0);
	return r;
}

/* ---- users' writes ---- */

/* In a batch: for so many entries, and their data? */
static bool has_room(const struct vci_cache *c, u32 nr, u32 used)
{
	return nr <= VCI_BATCH_ENTRIES_MAX &&
	       batch_blocks(c, nr, used) <= min(c->segments.blocks, VCI_BATCH_BLOCKS_MAX);
}

/* In order, they are read again as they lie there: vci-ordered.c. */
static u32 write_stream(const struct vci_cache *c, const struct vci_fill *f)
{
	return c->ordered ? VCI_STREAM_NEW : f->stream;
}

/* With a volatile cache its FUA takes the place of the flush that a FLUSH would need. */
static void set_flags(struct vci_cache *c, const struct vci_fill *f, struct vci_append *a)
{
	bool flush = f->flush && c->direct.is_volatile;

	a->placed = atomic_read(&c->placed);
	if (f->fua || flush)
		a->flags = VCI_IO_FUA;
	if (flush || (f->fua && (c->ordered || f->landed ||
				 vci_log_needs_preflush(&c->log, &a->info))))
		a->flags |= VCI_IO_PREFLUSH;
	flush_before_names(c, a);
}

/**
 * vci_append_begin() - give a batch of users' writes its place, and seal it
 * @c: cache; the caller is in the gate
 * @f: the writes: none pending; may be none at all
 * @a: filled in: what to write where
 *
 * It names what has landed first (D1).  Task context, no sleep.
 *
 * Return: 0; -EAGAIN: vci_append_prepare(), then again; -ENOSPC: maintenance is needed;
 * -ENODATA: what has landed is named already, and there are no writes; -EIO: the cache has
 * failed.
 */
int vci_append_begin(struct vci_cache *c, struct vci_fill *f, struct vci_append *a)
{
	int r;

	VCI_ASSERT(f->write && !f->pending);
	memset(a, 0, sizeof(*a));
	/* Not even for a moment may a cache that has failed look stuck. */
	if (vci_cache_is_failed(c))
		return -EIO;
	if (!READ_ONCE(c->may_dirty))
		return -EAGAIN;
	a->named = vci_direct_list(c, c->entries, &a->named_to);
	/* What others named may not be durable: a flush makes it so. */
	if (!(a->named + f->nr))
		return f->landed && READ_ONCE(c->log.write_seq) > READ_ONCE(c->log.durable_seq) ?
		       -EAGAIN : -ENODATA;
	if (!vci_direct_all(c, a->named_to) || !has_room(c, a->named + f->nr, f->used))
		return -EAGAIN;
	WRITE_ONCE(c->write_in_flight, true);
	/* In flight before it is known to have failed: vci_cache_is_stuck(). */
	smp_mb();
	r = vci_cache_is_failed(c) ? -EIO : 0;
	if (!r)
		r = reserve(c, write_stream(c, f), a->named + f->nr, f->used,
			    VCI_KEEP_WRITES, a);
	if (r) {
		WRITE_ONCE(c->write_in_flight, false);
		return r;
	}
	zero_padding(c, f->buffer, f->used);
	build_entries(c, f, a->named);
	seal_fill(c, f, a);
	set_flags(c, f, a);
	return 0;
}

/**
 * vci_append_prepare() - what vci_append_begin() needs before it can go on
 * @c: cache; the caller is in the gate
 *
 * A sleeper.  Return: 0, -ENOMEM, or the error with which the cache failed.
 */
int vci_append_prepare(struct vci_cache *c)
{
	if (!READ_ONCE(c->may_dirty))
		return vci_cache_announce_dirty(c);
	/* There was no room for it in the batch, or a flush is needed: this does both. */
	if (vci_direct_pending(c))
		return name_landed(c);
	return vci_cache_flush(c);
}

static bool was_flush(const struct vci_append *a)
{
	return a->flags & VCI_IO_PREFLUSH && a->flags & VCI_IO_FUA;
}

/* It flushed what was complete before, and is durable itself. */
static void note_flush(struct vci_cache *c, const struct vci_append *a)
{
	struct vci_flush_token t;

	vci_flush_cache_begin(c, &t);
	t.written = a->placed;
	vci_flush_cache_end(c, &t);
}

static void note_complete(struct vci_cache *c, struct vci_fill *f, struct vci_append *a)
{
	if (a->completed)
		return;
	a->completed = true;
	spin_lock(vci_cache_lock(c));
	complete_locked(c, a, true);
	vci_append_note_new(c, f->used);
	c->stats.written_blocks += f->used;
	if (was_flush(a))
		note_flush(c, a);
	spin_unlock(vci_cache_lock(c));
}

/* Its blocks count as dirty before it is in flight no longer. */
static void landed(struct vci_cache *c)
{
	/* Pairs with vci_cache_is_stuck(). */
	smp_wmb();
	WRITE_ONCE(c->write_in_flight, false);
}

/**
 * vci_append_map() - a batch of users' writes completed: map it
 * @c: cache; the caller is in the gate
 * @f: as given to vci_append_begin()
 * @a: likewise
 *
 * Task context, no sleep.  Return: 0; -EAGAIN: vci_append_map_sleep().
 */
int vci_append_map(struct vci_cache *c, struct vci_fill *f, struct vci_append *a)
{
	struct vci_change ch;

	note_complete(c, f, a);
	for (; a->mapped < f->nr; a->mapped++) {
		entry_change(f, a->mapped, &c->entries[a->named + a->mapped], &ch);
		if (vci_cache_try_change(c, &ch))
			return -EAGAIN;
	}
	landed(c);
	return 0;
}

/**
 * vci_append_map_sleep() - map what vci_append_map() could not
 * @c: cache; the caller is in the gate
 * @f: as given to vci_append_begin()
 * @a: likewise
 *
 * A sleeper.  Return: 0, or the error with which the cache failed: what is in the
 * log can't be acknowledged, as nobody would read it.
 */
int vci_append_map_sleep(struct vci_cache *c, struct vci_fill *f, struct vci_append *a)
{
	struct vci_change ch;
	int r = 0, tries = MAP_TRIES;

	note_complete(c, f, a);
	while (a->mapped < f->nr) {
		entry_change(f, a->mapped, &c->entries[a->named + a->mapped], &ch);
		r = vci_cache_change(c, &ch);
		if (!r)
			a->mapped++;
		else if (r != -ENOMEM || !--tries)
			break;
	}
	if (r)
		vci_append_failed(c, a, r);
	else
		landed(c);
	return r;
}

/**
 * vci_append_failed() - a batch of users' writes could not be written
 * @c: cache; the caller is in the gate
 * @a: the batch
 * @error: of the device
 *
 * Any context.  What is on the device isn't known: a later recovery may find the
 * batch, so nothing may be written past it any more.
 */
void vci_append_failed(struct vci_cache *c, struct vci_append *a, int error)
{
	vci_err("%s: error %d writing %u blocks at %llu: nothing is written any more",
		c->dev->name, error, a->blocks, a->addr);
	WRITE_ONCE(c->stuck, true);
	landed(c);
	vci_cache_fail(c, error);
}

/* ---- by the writer ---- */

/* Mapping an entry gave @r, and mapped so many blocks. */
static void note_filled(struct vci_cache *c, const struct vci_fill *f, int r, u32 blocks)
{
	if (r == -ESTALE) {
		c->stats.stale_fills++;
	} else if (r) {
		c->stats.dropped_fills++;
	} else {
		c->stats.filled_blocks += blocks;
		if (f->stream == VCI_STREAM_AHEAD)
			c->stats.ahead_blocks += blocks;
	}
}

static void map_fill(struct vci_cache *c, struct vci_fill *f)
{
	struct vci_change ch;
	u32 i;
	int r;

	for (i = 0; i < f->nr; i++) {
		r = -ESTALE;
		ch.nr_blocks = 0;
		if (c->entries[i].kind == VCI_ENTRY_FILL) {
			entry_change(f, i, &c->entries[i], &ch);
			r = vci_cache_change(c, &ch);
		}
		note_filled(c, f, r, ch.nr_blocks);
	}
}

/*
 * What took the place of a stale entry is one use hotter, as if that had been mapped; and
 * if it is all of it, what had been mapped before leaves its place to it.
 */
static void pass_on(struct vci_fill *f, u32 stale)
{
	const struct vci_fill_entry *from = &f->e[stale];
	u8 heat = vci_heat_used(vci_heat_uses(from->heat));
	u32 i;

	for (i = stale + 1; i < f->nr; i++) {
		struct vci_fill_entry *e = &f->e[i];

		if (e->off >= from->off + from->blocks || from->off >= e->off + e->blocks)
			continue;
		e->heat = max(e->heat, heat);
		if (e->old_addr || !from->old_addr || e->off < from->off ||
		    e->off + e->blocks > from->off + from->blocks)
			continue;
		e->old_addr = from->old_addr + (e->off - from->off);
		e->old_turn = from->old_turn;
	}
}

/*
 * What has gone stale meanwhile doesn't go into the log: overwritten data is the most
 * likely to be.  The buffer is the writer's now.
 */
static void drop_stale(struct vci_cache *c, struct vci_fill *f)
{
	u32 i, nr = 0, at = VCI_UNIT_BLOCKS;

	for (i = 0; i < f->nr; i++) {
		struct vci_fill_entry *e = &f->e[nr];

		if (f->e[i].in_place)
			continue;
		if (!entry_fresh(c, &f->e[i])) {
			c->stats.stale_fills++;
			continue;
		}
		*e = f->e[i];
		if (e->data_block != at)
			memmove(block_at(f->buffer, at), block_at(f->buffer, e->data_block),
				(size_t)e->blocks * VCI_BLOCK_SIZE);
		e->data_block = at;
		at += e->blocks;
		nr++;
	}
	f->nr = nr;
	f->used = at - VCI_UNIT_BLOCKS;
}

/*
 * Is the place that the entry's data had before still there, and nobody's?  Under the lock:
 * users' writes open segments meanwhile, and of a life that begins all must be seen or
 * nothing.  One that goes on is ended by the writer alone, so the answer stays true.
 */
static bool has_old_place(struct vci_cache *c, const struct vci_fill_entry *fe)
{
	const struct vci_segment *s;
	bool has;

	if (!fe->old_addr || c->ordered ||
	    (fe->old_addr | fe->blocks) & (c->header.batch_align - 1))
		return false;
	s = &c->segments.s[vci_segment_of(&c->segments, fe->old_addr)];
	spin_lock(vci_cache_lock(c));
	has = s->turn == fe->old_turn &&
	      (s->life == VCI_LIFE_CLOSED || s->life == VCI_LIFE_OPEN) &&
	      vci_place_settled(c, fe->old_addr, fe->blocks);
	spin_unlock(vci_cache_lock(c));
	return has;
}

static void map_in_place(struct vci_cache *c, struct vci_fill *f, struct vci_fill_entry *fe)
{
	struct vci_change ch = {
		.kind = VCI_CHANGE_FILL,
		.e = { .off = fe->off, .addr = fe->old_addr, .blocks = fe->blocks,
		       .heat = fe->heat },
		.ticket = &fe->ticket,
	};
	int r = vci_cache_change(c, &ch);

	note_filled(c, f, r, ch.nr_blocks);
	c->stats.appended_blocks += fe->blocks;
}

/* What was overwritten goes where it lay, if it can: it needs no batch then. */
static int fill_in_place(struct vci_cache *c, struct vci_fill *f)
{
	u32 i, nr = 0;
	int r;

	for (i = 0; i < f->nr; i++) {
		struct vci_fill_entry *fe = &f->e[i];

		if (!entry_fresh(c, fe))
			pass_on(f, i);
		else
			fe->in_place = has_old_place(c, fe);
		if (fe->in_place)
			c->refills[nr++] = (struct vci_piece) {
				fe->old_addr, fe->blocks, block_at(f->buffer, fe->data_block),
			};
	}
	if (!nr)
		return 0;
	r = vci_write_many(c->dev, c->refills, nr);
	if (r) {
		vci_cache_fail(c, r);
		return r;
	}
	for (i = 0; i < f->nr; i++)
		if (f->e[i].in_place)
			map_in_place(c, f, &f->e[i]);
	return 0;
}

static int append_fill(struct vci_cache *c, struct vci_fill *f)
{
	struct vci_append a = { 0 };
	int r;

	drop_stale(c, f);
	if (!f->nr)
		return 0;
	zero_padding(c, f->buffer, f->used);
	if (!build_entries(c, f, 0)) {
		c->stats.stale_fills += f->nr;
		return 0;
	}
	r = reserve_sleep(c, f->stream, f->nr, f->used, vci_keep_fills(c), &a);
	if (r)
		return r;
	seal_fill(c, f, &a);
	r = write_batch(c, &a, f->buffer);
	if (r)
		return r;
	map_fill(c, f);
	spin_lock(vci_cache_lock(c));
	vci_append_note_new(c, f->used);
	spin_unlock(vci_cache_lock(c));
	return 0;
}

/**
 * vci_cache_append_fits() - do nodes and memory allow an append now?
 * @c: cache
 *
 * By the writer.  If not, a checkpoint helps, and is due: maintain before
 * vci_cache_append(), which would drop the fill.  A hint: users' writes take nodes too.
 */
bool vci_cache_append_fits(struct vci_cache *c)
{
	bool fits;

	spin_lock(vci_cache_lock(c));
	fits = vci_append_fits_locked(c);
	spin_unlock(vci_cache_lock(c));
	if (!fits)
		WRITE_ONCE(c->checkpoint_due, true);
	return fits;
}

/**
 * vci_cache_append() - write a fill to the log and map what is still valid
 * @c: cache
 * @f: fill without pending entries; empty afterwards
 *
 * By the writer.  May sleep.  Return: 0; -ENOSPC if there is no room before a
 * checkpoint, and perhaps reclaim; else the device's error, and the cache has
 * failed.
 */
int vci_cache_append(struct vci_cache *c, struct vci_fill *f)
{
	u8 stream;
	int r = -EIO;

	VCI_ASSERT(!f->pending && !f->write);
	if (!vci_cache_is_failed(c))
		r = fill_in_place(c, f);
	if (!r) {
		vci_append_wait(c);
		r = vci_cache_is_failed(c) ? -EIO : append_fill(c, f);
		vci_append_leave(c);
	}
	if (r)
		c->stats.dropped_fills += f->nr;
	stream = f->stream;
	vci_fill_init(f, f->buffer, f->size, f->align);
	f->stream = stream;
	return r;
}

/**
 * vci_append_records() - append entries without data
 * @c: cache
 * @entries: what they say; at most VCI_BATCH_ENTRIES_MAX
 * @nr: how many
 * @unit: VCI_UNIT_SIZE bytes to build the header in
 *
 * By the writer.  May sleep.  They are durable after the next flush, and applying
 * them is the caller's.  Return: 0; -ENOSPC: a checkpoint is needed first; else
 * the error with which the cache failed.
 */
int vci_append_records(struct vci_cache *c, const struct vci_entry *entries, u32 nr,
		       void *unit)
{
	struct vci_append a = { 0 };
	int r;

	vci_append_wait(c);
	/* Behind a batch that failed nothing may be durable: it would be missed. */
	r = vci_cache_is_failed(c) ? -EIO :
	    reserve_sleep(c, VCI_STREAM_NEW, nr, 0, 0, &a);
	if (!r) {
		memcpy(c->entries, entries, nr * sizeof(*entries));
		seal_unit(c, unit, &a);
		r = write_batch(c, &a, unit);
	}
	vci_append_leave(c);
	return r;
}

/**
 * vci_direct_name() - name what has landed
 * @c: cache
 *
 * By the writer.  May sleep.  Return: 0; -ENOSPC: a checkpoint does it as well; else the
 * error with which the cache failed.
 */
int vci_direct_name(struct vci_cache *c)
{
	int r;

	if (!vci_direct_pending(c))
		return 0;
	vci_append_wait(c);
	r = vci_cache_is_failed(c) ? -EIO : name_landed(c);
	vci_append_leave(c);
	return r;
}

/* ---- what reclaim keeps ---- */

/* Data lies behind the first unit, back to back.  Returns how much. */
static u32 build_moves(struct vci_cache *c, const struct vci_entry *entries, u32 nr,
		       const u8 *buffer)
{
	u32 i, used = 0;

	for (i = 0; i < nr; i++) {
		struct vci_entry *e = &c->entries[i];

		*e = entries[i];
		e->data_crc = vci_data_crc(buffer + VCI_UNIT_SIZE +
					   (size_t)used * VCI_BLOCK_SIZE, e->blocks);
		used += e->blocks;
	}
	return used;
}

/*
 * Only where the old mapping is still there (O7).  Without memory it stays: memory
 * and log then name different copies of the same data.
 */
static void map_moves(struct vci_cache *c, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		const struct vci_entry *e = &c->entries[i];
		struct vci_change ch = {
			.kind = VCI_CHANGE_REPLACE,
			.e = { .off = e->off, .blocks = e->blocks, .addr = e->addr,
			       .flags = e->flags, .heat = e->heat },
			.old_addr = e->old_addr,
		};

		if (!vci_cache_change(c, &ch))
			c->stats.moved_blocks += ch.nr_blocks;
	}
}

/**
 * vci_append_moves() - append copies of clean extents, and map them
 * @c: cache
 * @stream: where to
 * @entries: MOVE entries without checksums; at most VCI_BATCH_ENTRIES_MAX
 * @nr: how many
 * @buffer: a unit, in which the header will end, their data, and room to pad it
 *
 * By the writer.  May sleep.  Return: 0; -ENOSPC: no room without taking what writes
 * and fills need, nothing was done; else the error with which the cache failed.
 */
int vci_append_moves(struct vci_cache *c, u32 stream, const struct vci_entry *entries,
		     u32 nr, u8 *buffer)
{
	struct vci_append a = { 0 };
	u32 used;
	int r = -EIO;

	vci_append_wait(c);
	if (!vci_cache_is_failed(c)) {
		used = build_moves(c, entries, nr, buffer);
		r = reserve_sleep(c, stream, nr, used, vci_keep_moves(c), &a);
		if (!r) {
			zero_padding(c, buffer, used);
			seal_unit(c, buffer, &a);
			r = write_batch(c, &a, buffer);
		}
		if (!r)
			map_moves(c, nr);
	}
	vci_append_leave(c);
	return r;
}
