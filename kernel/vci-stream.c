// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stream of users' writes: see vci-stream.h.
 *
 * Invariants:
 *  S1 a bio is in one of pending, taken and batch until it is acknowledged or
 *     sent elsewhere; taken and batch belong to whoever is in the gate, or, while
 *     the stream is full, to the next of its own who enters
 *  S2 who adds a bio kicks; who leaves the gate looks for bios after that: none
 *     is forgotten
 *  S3 a bio is acknowledged when its last part is mapped
 *  S4 a completion submits nothing, since drivers may call it where it must not
 *     sleep
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/sched/mm.h>

#include "vci-target.h"

/* How often, and after which time, a batch that found no memory tries again. */
#define VCI_PREPARE_TRIES	10
#define VCI_PREPARE_WAIT_MS	20

/* How often in a row maintenance makes no room before the log says so. */
#define VCI_ROOM_TRIES		100u

enum vci_stream_step {
	STEP_KICK,
	STEP_BEGIN,		/* in the gate, the batch waits for its place */
	STEP_END,		/* in the gate, the batch was written */
};

static struct vci_target *target_of(struct vci_stream *s)
{
	return container_of(s, struct vci_target, stream);
}

/* The caller is in the gate, and gives that to the worker. */
static void hand_over(struct vci_stream *s, enum vci_stream_step step)
{
	WRITE_ONCE(s->step, step);
	queue_work(s->wq, &s->work);
}

/* ---- filling: in the gate ---- */

static void take_pending(struct vci_stream *s)
{
	spin_lock(&s->lock);
	bio_list_merge(&s->taken, &s->pending);
	bio_list_init(&s->pending);
	spin_unlock(&s->lock);
}

/*
 * What would fit into an empty batch isn't torn for the rest of this one.  Else
 * the bio goes in parts, and b->iter says what is left.
 */
static bool is_worth_it(const struct vci_fill *f, const struct vci_bio *b)
{
	u32 blocks = bvec_iter_sectors(b->iter);

	return !f->nr || blocks <= vci_fill_left(f) || blocks > f->room - VCI_UNIT_BLOCKS;
}

/* True if all that was left of the bio, which may be nothing, is in the batch now. */
static bool put_bio(struct vci_fill *f, struct bio *bio)
{
	const struct vci_ticket none = { 0 };
	struct vci_bio *b = vci_bio(bio);
	int i;

	if (!is_worth_it(f, b))
		return false;
	while (b->iter.bi_size) {
		i = vci_fill_reserve(f, vci_bio_off(b), bvec_iter_sectors(b->iter), &none);
		if (i < 0)
			return false;
		vci_copy_from_bio(vci_fill_data(f, i), bio, &b->iter,
				  f->e[i].blocks * VCI_BLOCK_SIZE);
		vci_fill_commit(f, i, true);
	}
	return true;
}

/* In parts, if it doesn't fit: each is as durable as the whole must be. */
static bool put(struct vci_fill *f, struct bio *bio)
{
	bool landed = !vci_bio(bio)->iter.bi_size && bio->bi_opf & REQ_FUA;
	u32 before = f->nr;
	bool all = put_bio(f, bio);

	if (bio->bi_opf & REQ_FUA && (all || f->nr != before))
		f->fua = true;
	f->landed |= landed;
	if (bio->bi_opf & REQ_PREFLUSH)
		f->flush = true;
	return all;
}

static void fill_batch(struct vci_stream *s)
{
	struct vci_fill *f = s->fill;
	struct bio *bio;

	vci_fill_init(f, f->buffer, s->buffer_blocks, vci_cache_batch_align(s->cache));
	f->write = true;
	f->fua = false;
	take_pending(s);
	while ((bio = bio_list_peek(&s->taken)) && put(s->fill, bio))
		bio_list_add(&s->batch, bio_list_pop(&s->taken));
	s->filled = s->batch.head || f->nr;
}

/* ---- the end of a batch: in the gate ---- */

static void end_bios(struct bio_list *bios, blk_status_t status)
{
	struct bio *bio;

	while ((bio = bio_list_pop(bios))) {
		bio->bi_status = status;
		if (!status && bio->bi_opf & REQ_PREFLUSH)
			vci_flush_named(bio);
		else
			bio_endio(bio);
	}
}

static void leave(struct vci_stream *s)
{
	WRITE_ONCE(s->filled, false);
	s->give_up = false;
	s->room_tries = 0;
	vci_append_leave(s->cache);
}

/* A bio of which a part is in the batch must not go on without it. */
static void batch_add_torn(struct vci_stream *s)
{
	struct bio *bio = bio_list_peek(&s->taken);

	if (bio && vci_bio(bio)->iter.bi_size != bio->bi_iter.bi_size)
		bio_list_add(&s->batch, bio_list_pop(&s->taken));
}

/* A bio without data waits for what has landed to be named, or a FLUSH does. */
static void go_past_log(struct vci_stream *s, struct bio *bio)
{
	if (bio->bi_opf & REQ_PREFLUSH) {
		vci_flush_named(bio);
	} else if (bio->bi_iter.bi_size) {
		vci_write_past_log(bio);
	} else {
		if (vci_direct_pending(s->cache))
			bio->bi_status = BLK_STS_IOERR;
		bio_endio(bio);
	}
}

/*
 * The batch got no place.  If nobody need fear that dirty data is lost, the
 * writes go the other way: to the backing device.
 */
static void drop_batch(struct vci_stream *s, int error)
{
	struct bio *bio;

	batch_add_torn(s);
	if (error == -ENOSPC || vci_cache_is_stuck(s->cache)) {
		end_bios(&s->batch, BLK_STS_IOERR);
	} else {
		while ((bio = bio_list_pop(&s->batch)))
			go_past_log(s, bio);
	}
	leave(s);
}

static int map_batch(struct vci_stream *s, bool may_sleep)
{
	int r = vci_append_map(s->cache, s->fill, &s->append);

	if (r == -EAGAIN && may_sleep)
		r = vci_append_map_sleep(s->cache, s->fill, &s->append);
	return r;
}

static void end_batch(struct vci_stream *s, bool may_sleep)
{
	int r = s->error;

	if (r)
		vci_append_failed(s->cache, &s->append, r);
	else
		r = map_batch(s, may_sleep);
	if (r == -EAGAIN) {
		hand_over(s, STEP_END);
		return;
	}
	if (r)
		batch_add_torn(s);
	end_bios(&s->batch, r ? BLK_STS_IOERR : BLK_STS_OK);
	leave(s);
}

/*
 * The RCU read lock is for vci_stream_drain(): when the last bio is acknowledged
 * the device may be suspended, while we still have to leave.
 */
static void batch_endio(struct bio *bio)
{
	struct vci_stream *s = bio->bi_private;

	s->error = blk_status_to_errno(bio->bi_status);
	bio_uninit(bio);
	if (!in_task() || irqs_disabled()) {
		hand_over(s, STEP_END);
		return;
	}
	rcu_read_lock();
	end_batch(s, false);
	rcu_read_unlock();
}

/* ---- the start of a batch: in the gate ---- */

static blk_opf_t batch_opf(const struct vci_append *a)
{
	blk_opf_t opf = REQ_OP_WRITE | REQ_SYNC | REQ_IDLE;

	if (a->flags & VCI_IO_FUA)
		opf |= REQ_FUA;
	if (a->flags & VCI_IO_PREFLUSH)
		opf |= REQ_PREFLUSH;
	return opf;
}

static void submit_batch(struct vci_stream *s)
{
	struct bio *bio = &s->bio;
	unsigned int bytes = s->append.blocks * VCI_BLOCK_SIZE;
	unsigned int skip = s->append.skip * VCI_BLOCK_SIZE;

	bio_init(bio, s->bdev, s->vecs, s->nr_vecs, batch_opf(&s->append));
	bio->bi_vcnt = min_t(unsigned int, s->nr_vecs, DIV_ROUND_UP(skip + bytes, PAGE_SIZE));
	/* Less than the first vec. */
	bio->bi_iter.bi_bvec_done = skip;
	bio->bi_iter.bi_sector = s->append.addr;
	bio->bi_iter.bi_size = bytes;
	bio->bi_end_io = batch_endio;
	bio->bi_private = s;
	submit_bio_noacct(bio);
}

static int begin_sleeping(struct vci_stream *s)
{
	int r, tries = VCI_PREPARE_TRIES;

	for (;;) {
		r = vci_append_prepare(s->cache);
		if (!r)
			r = vci_append_begin(s->cache, s->fill, &s->append);
		if (r == -ENOMEM && --tries)
			msleep(VCI_PREPARE_WAIT_MS);
		else if (r != -EAGAIN)
			return r;
	}
}

/*
 * The batch stays as it is until the writer calls vci_stream_room().  However long
 * that takes: what is in the way, a large discard for instance, ends some time.
 */
static void wait_for_room(struct vci_stream *s)
{
	bool again = s->room_tries++;

	if (s->room_tries % VCI_ROOM_TRIES == 0)
		DMWARN_LIMIT("%s: writes wait for room in the cache",
			     dm_table_device_name(target_of(s)->ti->table));
	WRITE_ONCE(s->full, true);
	vci_append_leave(s->cache);
	vci_writer_make_room(&target_of(s)->writer, again);
}

static void begin_batch(struct vci_stream *s, bool may_sleep)
{
	int r = vci_append_begin(s->cache, s->fill, &s->append);

	if (r == -EAGAIN && !may_sleep) {
		hand_over(s, STEP_BEGIN);
		return;
	}
	if (r == -EAGAIN)
		r = begin_sleeping(s);
	if (!r) {
		submit_batch(s);
	} else if (r == -ENODATA) {
		end_bios(&s->batch, BLK_STS_OK);
		leave(s);
	} else if (r == -ENOSPC && !s->give_up) {
		wait_for_room(s);
	} else {
		drop_batch(s, r);
	}
}

/*
 * What is on the device lands, if it can now.  One that can't, for the gate, waits for who
 * leaves that, and looks whether he was faster; for other reasons, for the worker.
 */
static void land(struct vci_stream *s, bool may_sleep)
{
	struct bio_list todo, left;
	struct bio *bio;

	if (likely(!READ_ONCE(s->landing.head)))
		return;
	bio_list_init(&left);
	spin_lock_irq(&s->land_lock);
	todo = s->landing;
	bio_list_init(&s->landing);
	spin_unlock_irq(&s->land_lock);
	while ((bio = bio_list_pop(&todo)))
		if (!vci_land(target_of(s), bio, may_sleep))
			bio_list_add(&left, bio);
	if (bio_list_empty(&left))
		return;
	spin_lock_irq(&s->land_lock);
	bio_list_merge(&s->landing, &left);
	spin_unlock_irq(&s->land_lock);
	/* Pairs with vci_stream_log_free(). */
	smp_mb();
	if (!may_sleep || !vci_append_busy(s->cache))
		queue_work(s->wq, &s->work);
}

/* What can land does; then, if there is anything to write and nobody in the gate, writes it. */
static void kick(struct vci_stream *s, bool may_sleep)
{
	land(s, may_sleep);
	/* Pairs with vci_stream_room(): give_up is known. */
	if (smp_load_acquire(&s->full) || !vci_append_enter(s->cache))
		return;
	if (!s->filled)
		fill_batch(s);
	if (s->filled)
		begin_batch(s, may_sleep);
	else
		vci_append_leave(s->cache);
}

static void stream_work(struct work_struct *work)
{
	struct vci_stream *s = container_of(work, struct vci_stream, work);
	unsigned int noio = memalloc_noio_save();

	switch (xchg(&s->step, STEP_KICK)) {
	case STEP_BEGIN:
		begin_batch(s, true);
		break;
	case STEP_END:
		end_batch(s, true);
		break;
	default:
		kick(s, true);
	}
	memalloc_noio_restore(noio);
}

/* ---- for others ---- */

/**
 * vci_stream_add() - write a bio to the log
 * @s: attached stream
 * @bio: a write of the target's, at its place on the backing device; it is
 *	completed some time, perhaps by the backing device
 *
 * Task context, no sleep.
 */
void vci_stream_add(struct vci_stream *s, struct bio *bio)
{
	vci_stream_queue(s, bio);
	kick(s, false);
}

/**
 * vci_stream_queue() - as vci_stream_add(), but the caller sees to it that it is written
 * @s: attached stream
 * @bio: as there; without data, it is completed when what has landed is named
 *
 * Task context, no sleep.
 */
void vci_stream_queue(struct vci_stream *s, struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);

	b->kind = VCI_BIO_LOG;
	b->iter = bio->bi_iter;
	spin_lock(&s->lock);
	bio_list_add(&s->pending, bio);
	spin_unlock(&s->lock);
}

/**
 * vci_stream_landed() - a direct write has landed, and is to be named
 * @s: attached stream
 * @bio: it
 *
 * Task context, no sleep; in a completion (S4).  From here on others may complete it:
 * vci_stream_drain() waits for who is in here.
 */
void vci_stream_landed(struct vci_stream *s, struct bio *bio)
{
	rcu_read_lock();
	vci_stream_queue(s, bio);
	queue_work(s->wq, &s->work);
	rcu_read_unlock();
}

/**
 * vci_stream_land_later() - a direct write is on the device, or failed
 * @s: attached stream
 * @bio: it
 *
 * Any context.  As there, for vci_stream_drain().
 */
void vci_stream_land_later(struct vci_stream *s, struct bio *bio)
{
	unsigned long flags;

	rcu_read_lock();
	spin_lock_irqsave(&s->land_lock, flags);
	bio_list_add(&s->landing, bio);
	spin_unlock_irqrestore(&s->land_lock, flags);
	queue_work(s->wq, &s->work);
	rcu_read_unlock();
}

/**
 * vci_stream_room() - maintenance that vci_writer_make_room() asked for is done
 * @s: attached stream
 * @error: 0, or why there can be no room: then waiting writes fail
 *
 * Task context.
 */
void vci_stream_room(struct vci_stream *s, int error)
{
	if (error)
		WRITE_ONCE(s->give_up, true);
	/* Pairs with kick(). */
	smp_store_release(&s->full, false);
	queue_work(s->wq, &s->work);
}

/**
 * vci_stream_wait_log() - wait until the log's gate may be free
 * @s: attached stream
 *
 * May sleep.
 */
void vci_stream_wait_log(struct vci_stream *s)
{
	wait_event(s->free, !vci_append_busy(s->cache));
}

static bool has_work(const struct vci_stream *s)
{
	return READ_ONCE(s->filled) || READ_ONCE(s->pending.head) ||
	       READ_ONCE(s->taken.head);
}

/**
 * vci_stream_log_free() - somebody left the log's gate
 * @s: stream
 *
 * Task context, no sleep.  Who waits goes first: it leaves the gate, too.
 */
void vci_stream_log_free(struct vci_stream *s)
{
	bool sleeper = wq_has_sleeper(&s->free);

	/* A full barrier, which pairs with land(), too. */
	if (sleeper)
		wake_up(&s->free);
	if (READ_ONCE(s->landing.head) ||
	    (!sleeper && !READ_ONCE(s->full) && has_work(s)))
		queue_work(s->wq, &s->work);
}

/* ---- life ---- */

/**
 * vci_stream_init() - make a stream without a buffer
 * @s: zeroed memory, part of a target
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_stream_init(struct vci_stream *s)
{
	spin_lock_init(&s->lock);
	bio_list_init(&s->pending);
	bio_list_init(&s->taken);
	bio_list_init(&s->batch);
	bio_list_init(&s->landing);
	spin_lock_init(&s->land_lock);
	init_waitqueue_head(&s->free);
	INIT_WORK(&s->work, stream_work);
	s->wq = alloc_workqueue("vci_stream", WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	return s->wq ? 0 : -ENOMEM;
}

/**
 * vci_stream_exit() - undo vci_stream_init()
 * @s: detached stream; zeroed memory is fine
 */
void vci_stream_exit(struct vci_stream *s)
{
	if (s->wq)
		destroy_workqueue(s->wq);
	s->wq = NULL;
}

/* All of the buffer: a bio takes as much as its size says. */
static int make_vecs(struct vci_stream *s, u8 *buffer, unsigned int bytes)
{
	unsigned int i;

	s->nr_vecs = is_vmalloc_addr(buffer) ? DIV_ROUND_UP(bytes, PAGE_SIZE) : 1;
	s->vecs = kcalloc(s->nr_vecs, sizeof(*s->vecs), GFP_NOIO);
	if (!s->vecs)
		return -ENOMEM;
	if (!is_vmalloc_addr(buffer)) {
		s->vecs[0].bv_page = virt_to_page(buffer);
		s->vecs[0].bv_len = bytes;
		s->vecs[0].bv_offset = offset_in_page(buffer);
		return 0;
	}
	for (i = 0; i < s->nr_vecs; i++) {
		s->vecs[i].bv_page = vmalloc_to_page(buffer + (size_t)i * PAGE_SIZE);
		s->vecs[i].bv_len = min_t(unsigned int, PAGE_SIZE, bytes - i * PAGE_SIZE);
	}
	return 0;
}

/**
 * vci_stream_attach() - allocate the batch buffer for a cache
 * @s: stream without a cache
 * @cache: just opened
 * @bdev: its device
 *
 * May sleep, without I/O.  Return: 0 or -ENOMEM.
 */
int vci_stream_attach(struct vci_stream *s, struct vci_cache *cache,
		      struct block_device *bdev)
{
	unsigned int bytes;

	s->cache = cache;
	s->bdev = bdev;
	s->full = false;
	s->give_up = false;
	s->buffer_blocks = vci_cache_batch_blocks(cache);
	bytes = s->buffer_blocks * VCI_BLOCK_SIZE;
	s->fill = kvzalloc(sizeof(*s->fill), GFP_NOIO);
	if (s->fill)
		s->fill->buffer = kvmalloc(bytes, GFP_NOIO);
	if (!s->fill || !s->fill->buffer || make_vecs(s, s->fill->buffer, bytes)) {
		vci_stream_detach(s);
		return -ENOMEM;
	}
	return 0;
}

/**
 * vci_stream_detach() - undo vci_stream_attach()
 * @s: drained stream
 */
void vci_stream_detach(struct vci_stream *s)
{
	/* vci_stream_room() may have come behind the drain: nothing is to be done. */
	cancel_work_sync(&s->work);
	if (s->fill)
		kvfree(s->fill->buffer);
	kvfree(s->fill);
	kfree(s->vecs);
	s->fill = NULL;
	s->vecs = NULL;
	s->cache = NULL;
}

/**
 * vci_stream_bytes() - memory of the batch buffer
 * @s: stream
 */
u64 vci_stream_bytes(const struct vci_stream *s)
{
	return s->fill ? sizeof(*s->fill) + (u64)s->buffer_blocks * VCI_BLOCK_SIZE : 0;
}

/**
 * vci_stream_drain() - wait until nobody is in the stream any more
 * @s: stream whose bios are all acknowledged
 *
 * May sleep.
 */
void vci_stream_drain(struct vci_stream *s)
{
	synchronize_rcu();
	flush_work(&s->work);
}
