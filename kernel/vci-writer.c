// SPDX-License-Identifier: GPL-2.0-only
/*
 * The writer: see vci-writer.h.
 *
 * Invariants:
 *  W1 each buffer is on one list, or a current one, or in the thread's hands
 *  W2 a sealed buffer takes no more entries; when none of them is pending, the
 *     work is queued
 *  W3 the thread touches a buffer's contents only when nothing is pending in it
 *  W4 an entry becomes valid only if the whole ticket is valid after the
 *     entry's own ticket was taken: then the entry's covers the same time
 */
#define DM_MSG_PREFIX "vci"

#include <linux/delay.h>
#include <linux/device-mapper.h>
#include <linux/sched/mm.h>

#include "vci-writer.h"

/*
 * Memory for fill buffers.  One for each stream is open, so there are rather many of half
 * the size that a batch may have: half a megabyte is a large write.
 */
#define VCI_FILL_BYTES		(4u << 20)
#define VCI_FILL_BLOCKS_MAX	1024u

/* Idle work is done after a tick without I/O, or after so long anyway. */
#define VCI_TICK_MS		1000u
#define VCI_LAZY_MS		30000u

/* If maintenance made no room for writes, it is done again after this time. */
#define VCI_ROOM_WAIT_MS	100u

/* ---- buffers ---- */

static u32 buffer_blocks(const struct vci_cache *cache)
{
	return min(vci_cache_batch_blocks(cache), VCI_FILL_BLOCKS_MAX);
}

static struct vci_fill_buffer *buffer_alloc(u32 blocks, u32 align)
{
	struct vci_fill_buffer *b = kvzalloc(sizeof(*b), GFP_NOIO);
	u8 *memory;

	if (!b)
		return NULL;
	memory = kvmalloc((size_t)blocks * VCI_BLOCK_SIZE, GFP_NOIO);
	if (!memory) {
		kvfree(b);
		return NULL;
	}
	vci_fill_init(&b->fill, memory, blocks, align);
	return b;
}

static void buffer_free(struct vci_fill_buffer *b)
{
	kvfree(b->fill.buffer);
	kvfree(b);
}

/* Empties the buffer without writing it. */
static void buffer_drop(struct vci_fill_buffer *b)
{
	vci_fill_init(&b->fill, b->fill.buffer, b->fill.size, b->fill.align);
}

static void buffer_recycle(struct vci_writer *w, struct vci_fill_buffer *b)
{
	spin_lock_irq(&w->lock);
	b->sealed = false;
	list_add(&b->list, &w->free);
	spin_unlock_irq(&w->lock);
}

static void seal_locked(struct vci_writer *w, u8 which)
{
	struct vci_fill_buffer *b = w->current_buffer[which];

	lockdep_assert_held(&w->lock);
	if (!b)
		return;
	b->sealed = true;
	list_add_tail(&b->list, &w->sealed);
	w->current_buffer[which] = NULL;
	if (!b->fill.pending)
		queue_work(w->wq, &w->work);
}

static struct vci_fill_buffer *open_locked(struct vci_writer *w, u8 which)
{
	struct vci_fill_buffer *b = w->current_buffer[which];

	lockdep_assert_held(&w->lock);
	if (b || !w->taking)
		return w->taking ? b : NULL;
	b = list_first_entry_or_null(&w->free, struct vci_fill_buffer, list);
	if (!b)
		return NULL;
	list_del_init(&b->list);
	vci_fill_begin(w->cache, &b->fill,
		       which == VCI_FILL_OLD_PLACE ? VCI_STREAM_NEW : which);
	w->current_buffer[which] = b;
	return b;
}

/* ---- filling: any context ---- */

struct vci_slot {
	struct vci_fill_buffer *buffer;
	int entry;
	u64 off;
	u32 blocks;
	void *data;
};

static int reserve_locked(struct vci_writer *w, u64 off, u32 blocks, u8 which,
			  struct vci_slot *slot)
{
	const struct vci_ticket none = { 0 };
	struct vci_fill_buffer *b = open_locked(w, which);
	int entry = -ENOSPC;

	if (b)
		entry = vci_fill_reserve(&b->fill, off, blocks, &none);
	if (b && entry == -ENOSPC) {
		seal_locked(w, which);
		b = open_locked(w, which);
		if (b)
			entry = vci_fill_reserve(&b->fill, off, blocks, &none);
	}
	if (entry < 0)
		return entry;
	slot->buffer = b;
	slot->entry = entry;
	slot->off = off;
	slot->blocks = b->fill.e[entry].blocks;
	slot->data = vci_fill_data(&b->fill, entry);
	return 0;
}

static int writer_reserve(struct vci_writer *w, u64 off, u32 blocks,
			  const struct vci_plan_piece *piece, struct vci_slot *slot)
{
	unsigned long flags;
	int r;

	spin_lock_irqsave(&w->lock, flags);
	r = reserve_locked(w, off, min(blocks, VCI_ENTRY_BLOCKS_MAX),
			   piece->old_addr ? VCI_FILL_OLD_PLACE : piece->stream, slot);
	if (r)
		w->nr_dropped++;
	else
		vci_fill_describe(&slot->buffer->fill, slot->entry, piece);
	spin_unlock_irqrestore(&w->lock, flags);
	return r;
}

static void writer_commit(struct vci_writer *w, const struct vci_slot *slot,
			  const struct vci_ticket *ticket, bool valid)
{
	struct vci_fill_buffer *b = slot->buffer;
	unsigned long flags;

	spin_lock_irqsave(&w->lock, flags);
	b->fill.e[slot->entry].ticket = *ticket;
	vci_fill_commit(&b->fill, slot->entry, valid);
	if (!b->fill.pending && (b->sealed || b == w->current_buffer[VCI_FILL_OLD_PLACE]))
		queue_work(w->wq, &w->work);
	spin_unlock_irqrestore(&w->lock, flags);
}

/**
 * vci_copy_from_bio() - copy data out of a bio
 * @to: where to
 * @bio: bio
 * @iter: where in it; goes on behind what was copied
 * @bytes: how much; the bio has that
 *
 * Any context.
 */
void vci_copy_from_bio(void *to, struct bio *bio, struct bvec_iter *iter,
		       unsigned int bytes)
{
	while (bytes) {
		struct bio_vec bv = bio_iter_iovec(bio, *iter);

		bv.bv_len = min(bv.bv_len, bytes);
		memcpy_from_bvec(to, &bv);
		bio_advance_iter_single(bio, iter, bv.bv_len);
		to += bv.bv_len;
		bytes -= bv.bv_len;
	}
}

/**
 * vci_writer_fill() - put data of the backing device into the cache
 * @w: writer
 * @piece: what of it, and where it goes
 * @source: data that was read under this ticket, or whose write gave it; the bio's
 *	pages belong to nobody else
 *
 * Any context.  Drops what finds no room.
 */
void vci_writer_fill(struct vci_writer *w, const struct vci_plan_piece *piece,
		     const struct vci_fill_source *source)
{
	u64 off = piece->off, end = off + piece->blocks;
	struct bvec_iter from = source->iter;

	bio_advance_iter(source->bio, &from, (off - source->off) << SECTOR_SHIFT);
	while (off < end) {
		struct vci_ticket own = { 0 };
		struct vci_slot slot;
		bool valid;

		if (writer_reserve(w, off, end - off, piece, &slot))
			return;
		vci_copy_from_bio(slot.data, source->bio, &from,
				  slot.blocks * VCI_BLOCK_SIZE);
		valid = vci_ticket_take(w->cache, off, slot.blocks, &own) &&
			vci_ticket_valid(w->cache, source->off, source->blocks,
					 &source->ticket);
		writer_commit(w, &slot, &own, valid);
		off += slot.blocks;
	}
}

/* ---- reading what is filled, but not appended yet: any context ---- */

struct vci_found {
	struct vci_fill *fill;
	const void *data;
	u32 blocks;
	int entry;
};

static bool find_in(struct vci_writer *w, struct vci_fill *f, u64 off, u32 blocks,
		    struct vci_found *found)
{
	found->fill = f;
	found->blocks = blocks;
	found->data = vci_fill_find(f, off, &found->blocks, &found->entry);
	return found->data && vci_fill_fresh(w->cache, f, found->entry);
}

/* What the thread has in its hands is mapped soon: it isn't looked for. */
static bool find_locked(struct vci_writer *w, u64 off, u32 blocks, struct vci_found *found)
{
	struct vci_fill_buffer *b;
	u32 i;

	lockdep_assert_held(&w->lock);
	for (i = 0; i < VCI_FILLS; i++) {
		b = w->current_buffer[i];
		if (b && find_in(w, &b->fill, off, blocks, found))
			return true;
	}
	list_for_each_entry_reverse(b, &w->sealed, list)
		if (find_in(w, &b->fill, off, blocks, found))
			return true;
	return false;
}

static bool has_locked(struct vci_writer *w, u64 off, u32 blocks)
{
	struct vci_found found;

	for (; blocks; off += found.blocks, blocks -= found.blocks)
		if (!find_locked(w, off, blocks, &found))
			return false;
	return true;
}

/**
 * vci_writer_has() - is all of a range on its way into the log?
 * @w: attached writer
 * @off: first block on the backing device
 * @blocks: how many
 *
 * Any context.
 */
bool vci_writer_has(struct vci_writer *w, u64 off, u32 blocks)
{
	unsigned long flags;
	bool has;

	spin_lock_irqsave(&w->lock, flags);
	has = has_locked(w, off, blocks);
	spin_unlock_irqrestore(&w->lock, flags);
	return has;
}

static void copy_to_bio(struct bio *bio, struct bvec_iter *iter, const void *from,
			unsigned int bytes)
{
	while (bytes) {
		struct bio_vec bv = bio_iter_iovec(bio, *iter);

		bv.bv_len = min(bv.bv_len, bytes);
		memcpy_to_bvec(&bv, from);
		bio_advance_iter_single(bio, iter, bv.bv_len);
		from += bv.bv_len;
		bytes -= bv.bv_len;
	}
}

/* Copied before it is asked whether that was still so: then it was, when the read came. */
static bool read_locked(struct vci_writer *w, struct bio *bio, u64 off, u32 blocks,
			struct vci_first_uses *first)
{
	struct bvec_iter iter = bio->bi_iter;
	struct vci_found found;

	for (; blocks; off += found.blocks, blocks -= found.blocks) {
		if (!find_locked(w, off, blocks, &found))
			return false;
		copy_to_bio(bio, &iter, found.data, found.blocks * VCI_BLOCK_SIZE);
		if (!vci_fill_fresh(w->cache, found.fill, found.entry))
			return false;
		vci_fill_use(found.fill, found.entry, first);
	}
	return true;
}

/**
 * vci_writer_read() - read what is filled, but not appended yet
 * @w: attached writer
 * @bio: a read of at most VCI_ENTRY_BLOCKS_MAX blocks
 * @off: its place on the backing device
 *
 * Map context.  Return: true if @bio has all of its data; false if not, whatever was
 * put into it.
 */
bool vci_writer_read(struct vci_writer *w, struct bio *bio, u64 off)
{
	struct vci_first_uses first = { 0 };
	u32 blocks = bio_sectors(bio);
	unsigned long flags;
	bool done;

	spin_lock_irqsave(&w->lock, flags);
	done = has_locked(w, off, blocks) && read_locked(w, bio, off, blocks, &first);
	spin_unlock_irqrestore(&w->lock, flags);
	vci_cache_first_uses(w->cache, &first, done);
	return done;
}

/**
 * vci_writer_dropped() - how many entries found no room in a buffer
 * @w: writer
 */
u64 vci_writer_dropped(struct vci_writer *w)
{
	unsigned long flags;
	u64 nr;

	spin_lock_irqsave(&w->lock, flags);
	nr = w->nr_dropped;
	spin_unlock_irqrestore(&w->lock, flags);
	return nr;
}

/**
 * vci_writer_bytes() - memory of the fill buffers
 * @w: writer
 */
u64 vci_writer_bytes(const struct vci_writer *w)
{
	u64 one = sizeof(struct vci_fill_buffer);

	if (!w->cache)
		return 0;
	one += (u64)buffer_blocks(w->cache) * VCI_BLOCK_SIZE;
	return w->nr_buffers * one;
}

/* ---- the thread ---- */

static int maintain(struct vci_writer *w, bool idle)
{
	int r;

	mutex_lock(&w->serial);
	r = vci_cache_maintain(w->cache, idle);
	mutex_unlock(&w->serial);
	if (r && !vci_cache_is_failed(w->cache))
		DMWARN_LIMIT("%s: background work failed: error %d; it will be tried again",
			     w->name, r);
	return r;
}

/* How urgently writes wait for room. */
enum vci_room { ROOM_IS_THERE, ROOM_WANTED, ROOM_WANTED_AGAIN };

/**
 * vci_writer_make_room() - the log is full: maintenance, then ops->room()
 * @w: attached writer
 * @again: what was done last time didn't help
 *
 * Any context.
 */
void vci_writer_make_room(struct vci_writer *w, bool again)
{
	WRITE_ONCE(w->room_wanted, again ? ROOM_WANTED_AGAIN : ROOM_WANTED);
	queue_work(w->wq, &w->work);
}

/*
 * Memory may be there a little later, and so may room: when readers have left, or
 * a checkpoint has freed what the last one still needed.
 */
static void make_room(struct vci_writer *w)
{
	unsigned int wanted = xchg(&w->room_wanted, ROOM_IS_THERE);
	int r;

	if (wanted == ROOM_IS_THERE)
		return;
	if (wanted == ROOM_WANTED_AGAIN)
		msleep(VCI_ROOM_WAIT_MS);
	r = maintain(w, false);
	w->ops->room(w->ctx, r == -ENOSPC || r == -ENOMEM ? 0 : r);
}

/* What goes to its old place needs no company. */
static struct vci_fill_buffer *take_ready(struct vci_writer *w)
{
	struct vci_fill_buffer *b, *found = NULL;

	spin_lock_irq(&w->lock);
	seal_locked(w, VCI_FILL_OLD_PLACE);
	list_for_each_entry(b, &w->sealed, list) {
		if (!b->fill.pending) {
			list_del_init(&b->list);
			found = b;
			break;
		}
	}
	spin_unlock_irq(&w->lock);
	return found;
}

/* The core counts what it drops: without room, or after a failure. */
static void append(struct vci_writer *w, struct vci_fill_buffer *b)
{
	int r;

	mutex_lock(&w->serial);
	r = vci_cache_append(w->cache, &b->fill);
	mutex_unlock(&w->serial);
	if (r && r != -ENOSPC && !vci_cache_is_failed(w->cache))
		DMWARN_LIMIT("%s: data for the cache was dropped: error %d", w->name, r);
	buffer_drop(b);
	buffer_recycle(w, b);
}

static void writer_work(struct work_struct *work)
{
	struct vci_writer *w = container_of(work, struct vci_writer, work);
	unsigned int noio = memalloc_noio_save();
	struct vci_fill_buffer *b;

	make_room(w);
	while ((b = take_ready(w))) {
		if (!vci_cache_append_fits(w->cache))
			maintain(w, false);
		append(w, b);
		make_room(w);
		if (vci_cache_needs_maintenance(w->cache))
			maintain(w, false);
	}
	memalloc_noio_restore(noio);
}

/* So nothing that was acknowledged stays without a name for long. */
static void name_landed(struct vci_writer *w)
{
	int r;

	if (!vci_direct_pending(w->cache))
		return;
	mutex_lock(&w->serial);
	r = vci_direct_name(w->cache);
	mutex_unlock(&w->serial);
	if (r == -ENOSPC)
		maintain(w, false);
}

/* There was no I/O for a tick. */
static bool is_quiet(struct vci_writer *w)
{
	u64 activity = w->ops->activity(w->ctx);

	if (activity != w->last_activity) {
		w->last_activity = activity;
		w->last_busy = jiffies;
	}
	return time_after_eq(jiffies, w->last_busy + msecs_to_jiffies(VCI_TICK_MS));
}

static void writer_tick(struct work_struct *work)
{
	struct vci_writer *w = container_of(to_delayed_work(work), struct vci_writer, tick);
	bool due = time_after(jiffies, w->last_lazy + msecs_to_jiffies(VCI_LAZY_MS));
	unsigned int noio = memalloc_noio_save();
	bool quiet = is_quiet(w);
	unsigned int next = vci_cleaner_tick(w, !quiet);
	bool idle = due || (quiet && next >= VCI_TICK_MS);

	name_landed(w);
	if (idle)
		w->last_lazy = jiffies;
	if (idle || vci_cache_needs_maintenance(w->cache))
		maintain(w, idle);
	memalloc_noio_restore(noio);
	/* Behind what is queued already. */
	queue_delayed_work(w->wq, &w->tick, msecs_to_jiffies(min(next, VCI_TICK_MS)));
}

/* ---- life ---- */

/**
 * vci_writer_init() - make a writer without buffers
 * @w: zeroed memory
 * @ops: what it asks and tells
 * @ctx: for @ops
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_writer_init(struct vci_writer *w, const struct vci_writer_ops *ops, void *ctx)
{
	spin_lock_init(&w->lock);
	mutex_init(&w->serial);
	INIT_LIST_HEAD(&w->free);
	INIT_LIST_HEAD(&w->sealed);
	INIT_WORK(&w->work, writer_work);
	INIT_DELAYED_WORK(&w->tick, writer_tick);
	w->ops = ops;
	w->ctx = ctx;
	w->wq = alloc_ordered_workqueue("vci_writer", WQ_MEM_RECLAIM);
	return w->wq ? 0 : -ENOMEM;
}

/**
 * vci_writer_exit() - undo vci_writer_init()
 * @w: stopped and detached writer; zeroed memory is fine
 */
void vci_writer_exit(struct vci_writer *w)
{
	if (!w->wq)
		return;
	destroy_workqueue(w->wq);
	w->wq = NULL;
	mutex_destroy(&w->serial);
}

/**
 * vci_writer_attach() - allocate buffers for a cache
 * @w: writer without a cache
 * @cache: just opened
 * @name: for messages; stays the caller's
 *
 * May sleep, without I/O.  Return: 0 or -ENOMEM.
 */
int vci_writer_attach(struct vci_writer *w, struct vci_cache *cache, const char *name)
{
	u32 blocks = buffer_blocks(cache);
	unsigned int i;

	w->cache = cache;
	w->name = name;
	w->last_lazy = jiffies;
	w->last_busy = jiffies;
	vci_cleaner_start(w, vci_cache_header(cache)->backing_blocks);
	w->nr_buffers = VCI_FILL_BYTES / (blocks * VCI_BLOCK_SIZE);
	for (i = 0; i < w->nr_buffers; i++) {
		struct vci_fill_buffer *b = buffer_alloc(blocks,
							  vci_cache_batch_align(cache));

		if (!b) {
			vci_writer_detach(w);
			return -ENOMEM;
		}
		list_add(&b->list, &w->free);
	}
	return 0;
}

/**
 * vci_writer_detach() - undo vci_writer_attach()
 * @w: stopped writer
 */
void vci_writer_detach(struct vci_writer *w)
{
	struct vci_fill_buffer *b, *next;
	unsigned int i;

	list_splice_init(&w->sealed, &w->free);
	for (i = 0; i < VCI_FILLS; i++) {
		if (w->current_buffer[i])
			list_add(&w->current_buffer[i]->list, &w->free);
		w->current_buffer[i] = NULL;
	}
	list_for_each_entry_safe(b, next, &w->free, list) {
		list_del(&b->list);
		buffer_free(b);
	}
	w->cache = NULL;
}

static void set_taking(struct vci_writer *w, bool taking)
{
	spin_lock_irq(&w->lock);
	w->taking = taking;
	spin_unlock_irq(&w->lock);
}

/**
 * vci_writer_start() - take fills, do background work
 * @w: writer; without a cache nothing happens
 */
void vci_writer_start(struct vci_writer *w)
{
	if (!w->cache)
		return;
	set_taking(w, true);
	/* What recovery left for later begins now. */
	mod_delayed_work(w->wq, &w->tick, vci_cache_needs_maintenance(w->cache) ? 0 :
			 msecs_to_jiffies(VCI_TICK_MS));
}

/**
 * vci_writer_pause() - take no more fills, until vci_writer_start()
 * @w: attached writer
 */
void vci_writer_pause(struct vci_writer *w)
{
	set_taking(w, false);
}

/**
 * vci_writer_drain() - write what was filled so far
 * @w: attached writer
 *
 * May sleep.  Entries whose data is still to come are not waited for.
 */
void vci_writer_drain(struct vci_writer *w)
{
	unsigned int i;

	spin_lock_irq(&w->lock);
	for (i = 0; i < VCI_FILLS; i++)
		seal_locked(w, i);
	spin_unlock_irq(&w->lock);
	queue_work(w->wq, &w->work);
	flush_work(&w->work);
}

/**
 * vci_writer_stop() - pause, write what was filled, end background work
 * @w: attached writer; no bio is in flight
 *
 * May sleep.
 */
void vci_writer_stop(struct vci_writer *w)
{
	vci_writer_pause(w);
	cancel_delayed_work_sync(&w->tick);
	vci_writer_drain(w);
}
