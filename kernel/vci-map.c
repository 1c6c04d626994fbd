// SPDX-License-Identifier: GPL-2.0-only
/*
 * One bio in: where it goes, and what happens when it ends.
 *
 * A read that hits is remapped to the cache device; it holds the guard until it
 * ends.  A read that misses goes to the backing device, and its data is put into
 * the cache on the way back.  A bio that is part of both is cut here, in map,
 * the only place where device-mapper lets it be cut.
 *
 * What is dirty is read from the cache device, whatever the mode, and nowhere
 * else: the backing device has something older (law 3).
 *
 * Nothing here waits: what must read a node first goes to a worker.
 */
#include "vci-place.h"
#include "vci-target.h"

/* Errors of the cache device after which it is given up. */
#define VCI_CACHE_ERRORS_MAX	8

/* Longest read that is cached: what one bounce bio holds. */
#define VCI_FILL_SECTORS_MAX	(BIO_MAX_VECS << (PAGE_SHIFT - SECTOR_SHIFT))

/**
 * vci_defer() - go on with a bio in a worker
 * @bio: the target's
 * @fn: gets vci_bio(@bio)->work
 *
 * Any context.  Return: DM_MAPIO_SUBMITTED.
 */
int vci_defer(struct bio *bio, work_func_t fn)
{
	struct vci_bio *b = vci_bio(bio);

	INIT_WORK(&b->work, fn);
	queue_work(b->t->wq, &b->work);
	return DM_MAPIO_SUBMITTED;
}

/**
 * vci_submit() - what device-mapper does after map, for a worker
 * @bio: the target's
 * @mapped: what mapping it returned
 */
void vci_submit(struct bio *bio, int mapped)
{
	if (mapped == DM_MAPIO_REMAPPED)
		dm_submit_bio_remap(bio, NULL);
}

static void count_cache_error(struct vci_target *t, int error)
{
	vci_count(t, VCI_CACHE_ERRORS);
	if (atomic_inc_return(&t->nr_cache_errors) == VCI_CACHE_ERRORS_MAX)
		vci_cache_fail(t->cache, error);
}

/**
 * vci_note_cache_error() - count an error of the cache device that costs nothing
 * @t: target
 * @error: -errno
 *
 * Any context.  After several of them the cache is given up.
 */
void vci_note_cache_error(struct vci_target *t, int error)
{
	DMERR_LIMIT("%s: error %d reading cache device %pg; the backing device is read instead",
		    dm_table_device_name(t->ti->table), error, t->cache_dev->bdev);
	count_cache_error(t, error);
}

/**
 * vci_note_dirty_lost() - an error of the cache device where only it has the data
 * @t: target
 * @off: first block on the backing device
 * @blocks: how many
 * @error: -errno
 *
 * Any context.  The user gets the error (law 5).
 */
void vci_note_dirty_lost(struct vci_target *t, u64 off, u32 blocks, int error)
{
	DMERR_LIMIT("%s: error %d reading cache device %pg: dirty data lost, sectors %llu to %llu",
		    dm_table_device_name(t->ti->table), error, t->cache_dev->bdev,
		    off, off + blocks - 1);
	count_cache_error(t, error);
}

/* ---- reads ---- */

/**
 * vci_reads_cached() - does the cache serve reads of what is clean?
 * @t: target
 */
bool vci_reads_cached(struct vci_target *t)
{
	return READ_ONCE(t->mode) != VCI_MODE_PASSTHROUGH &&
	       !vci_cache_is_failed(t->cache);
}

/**
 * vci_read_lookup() - what a range begins with
 * @t: target
 * @off: first block on the backing device
 * @blocks: how many
 * @res: filled in
 * @guard: if @res is mapped, holds its place until vci_guard_leave()
 *
 * Map context.  Return: as vci_cache_lookup().
 */
int vci_read_lookup(struct vci_target *t, u64 off, u32 blocks, struct vci_lookup *res,
		    unsigned long __percpu **guard)
{
	int r;

	rcu_read_lock_sched();
	*guard = vci_guard_enter(&t->guard);
	rcu_read_unlock_sched();
	r = vci_cache_lookup(t->cache, off, blocks, res);
	if (r || !res->mapped)
		vci_guard_leave(*guard);
	return r;
}

static __always_inline int read_hit(struct vci_target *t, struct bio *bio,
				    struct vci_bio *b, u64 addr, u32 flags)
{
	vci_count(t, VCI_READ_HITS);
	b->kind = VCI_BIO_HIT;
	b->ext_flags = flags;
	bio->bi_iter.bi_sector = addr;
	bio_set_dev(bio, t->cache_bdev);
	return DM_MAPIO_REMAPPED;
}

/**
 * vci_read_hit() - map a read to the cache device
 * @t: target
 * @bio: read, all of it in @res; vci_bio(@bio)->guard is held
 * @res: from vci_read_lookup()
 *
 * Return: a DM_MAPIO value.
 */
int vci_read_hit(struct vci_target *t, struct bio *bio, const struct vci_lookup *res)
{
	return read_hit(t, bio, vci_bio(bio), res->e.addr, res->e.flags);
}

static bool writer_has(void *ctx, u64 off, u32 blocks)
{
	return vci_writer_has(ctx, off, blocks);
}

static const struct vci_plan_ops plan_ops = { .pending = writer_has };

/* @why: if there is none. */
static struct bio *bounce_for(struct vci_target *t, struct bio *bio, enum vci_counter *why)
{
	struct vci_bio *b = vci_bio(bio);

	*why = VCI_BYPASSED_WRITING;
	if (!vci_ticket_take(t->cache, b->plan.off, b->plan.blocks, &b->ticket))
		return NULL;
	*why = b->plan.blocks > VCI_FILL_SECTORS_MAX ? VCI_BYPASSED_SIZE :
						       VCI_BYPASSED_MEMORY;
	return vci_bounce_alloc(t, bio, b->plan.off, b->plan.blocks);
}

/**
 * vci_read_miss() - map a read to the backing device; fill what isn't mapped
 * @t: target
 * @bio: read of what isn't dirty
 *
 * Return: a DM_MAPIO value.
 */
int vci_read_miss(struct vci_target *t, struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);
	enum vci_counter why;
	struct bio *bounce;

	vci_count(t, VCI_READ_MISSES);
	if (vci_is_long(&t->reads, bio))
		return vci_read_bypass(t, bio, VCI_BYPASSED_SEQ);
	b->iter = bio->bi_iter;
	vci_plan_read(t->cache, vci_bio_off(b), bio_sectors(bio), !t->alone, &plan_ops,
		      &t->writer, &b->plan);
	bounce = bounce_for(t, bio, &why);
	if (!bounce && b->plan.blocks > bio_sectors(bio)) {
		vci_plan_shrink(&b->plan);
		bounce = bounce_for(t, bio, &why);
	}
	if (bounce)
		return vci_bounce_submit(bio, bounce);
	return vci_read_bypass(t, bio, why);
}

/**
 * vci_read_bypass() - map a read to the backing device, and no more
 * @t: target
 * @bio: read of what isn't dirty
 * @why: one of VCI_BYPASSED_*
 *
 * Return: a DM_MAPIO value.
 */
int vci_read_bypass(struct vci_target *t, struct bio *bio, enum vci_counter why)
{
	vci_count(t, why);
	return vci_remap_backing(t, bio);
}

/**
 * vci_read_unknown() - map a read of which nobody knows where its data is
 * @t: target
 * @bio: read
 * @error: why
 *
 * Return: a DM_MAPIO value.
 */
int vci_read_unknown(struct vci_target *t, struct bio *bio, int error)
{
	if (!vci_cache_dirty_blocks(t->cache)) {
		if (!vci_cache_is_failed(t->cache))
			vci_note_cache_error(t, error);
		return vci_read_bypass(t, bio, VCI_BYPASSED_UNKNOWN);
	}
	vci_note_dirty_lost(t, bio->bi_iter.bi_sector, bio_sectors(bio), error);
	bio_io_error(bio);
	return DM_MAPIO_SUBMITTED;
}

static int read_not_resident(struct bio *bio)
{
	if (!(bio->bi_opf & REQ_NOWAIT))
		return vci_defer(bio, vci_read_work);
	bio_wouldblock_error(bio);
	return DM_MAPIO_SUBMITTED;
}

/* A hole of @sectors is at its start. */
static unsigned int sectors_to_read(struct vci_target *t, struct bio *bio,
				    unsigned int sectors)
{
	unsigned int max = min_t(unsigned int, bio_sectors(bio), VCI_FILL_SECTORS_MAX);

	return vci_plan_miss(t->cache, vci_bio_off(vci_bio(bio)), max, sectors);
}

/* It is on its way into the log, all of it. */
static bool read_from_writer(struct vci_target *t, struct bio *bio,
			     const struct vci_lookup *res)
{
	if (bio_sectors(bio) > VCI_COPY_SECTORS_MAX ||
	    !vci_fill_serves(res, bio_sectors(bio)) ||
	    !vci_writer_read(&t->writer, bio, vci_bio_off(vci_bio(bio))))
		return false;
	vci_count(t, VCI_READ_HITS);
	bio_endio(bio);
	return true;
}

static noinline int map_read(struct vci_target *t, struct bio *bio, struct vci_bio *b)
{
	bool cached = vci_reads_cached(t);
	struct vci_lookup res;
	unsigned int sectors;
	int r;

	if (!cached && !vci_cache_dirty_blocks(t->cache))
		return vci_read_bypass(t, bio, VCI_BYPASSED_MODE);
	r = vci_read_lookup(t, vci_bio_off(b), bio_sectors(bio), &res, &b->guard);
	if (r == -EAGAIN)
		return read_not_resident(bio);
	if (r)
		return vci_read_unknown(t, bio, r);
	sectors = res.e.blocks;
	if (!res.mapped && cached) {
		if (read_from_writer(t, bio, &res))
			return DM_MAPIO_SUBMITTED;
		sectors = sectors_to_read(t, bio, sectors);
	}
	if (sectors < bio_sectors(bio))
		dm_accept_partial_bio(bio, sectors);
	if (vci_is_served(&res, cached))
		return vci_read_hit(t, bio, &res);
	if (res.mapped)
		vci_guard_leave(b->guard);
	return cached ? vci_read_miss(t, bio) : vci_read_bypass(t, bio, VCI_BYPASSED_MODE);
}

/* ---- flushes ---- */

static int flush_done(struct bio *bio)
{
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

/* A failed cache can't promise any more that what it has is durable. */
static int flush_cache(struct vci_target *t, struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);

	if (!vci_flush_cache_begin(t->cache, &b->token))
		return flush_done(bio);
	if (vci_cache_is_failed(t->cache)) {
		if (vci_cache_is_stuck(t->cache))
			bio->bi_status = BLK_STS_IOERR;
		return flush_done(bio);
	}
	b->kind = VCI_BIO_FLUSH_CACHE;
	bio_set_dev(bio, t->cache_dev->bdev);
	return DM_MAPIO_REMAPPED;
}

/* Writes past a failed cache aren't counted. */
static int flush_backing(struct vci_target *t, struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);

	if (vci_cache_is_failed(t->cache))
		return vci_remap_backing(t, bio);
	if (!vci_flush_backing_begin(t->cache, &b->token))
		return flush_done(bio);
	b->kind = VCI_BIO_FLUSH_BACKING;
	return vci_remap_backing(t, bio);
}

/* What has landed must be named first. */
static int map_flush(struct vci_target *t, struct bio *bio)
{
	if (dm_bio_get_target_bio_nr(bio) != VCI_FLUSH_CACHE)
		return flush_backing(t, bio);
	if (!vci_direct_flush(t->cache))
		return flush_cache(t, bio);
	vci_stream_add(&t->stream, bio);
	return DM_MAPIO_SUBMITTED;
}

static void flush_named_work(struct work_struct *work)
{
	struct bio *bio = vci_bio_of_work(work);

	vci_submit(bio, flush_cache(vci_bio(bio)->t, bio));
}

/**
 * vci_flush_named() - what had landed before a FLUSH is named
 * @bio: the FLUSH, for the cache device, from the stream
 *
 * Any context.
 */
void vci_flush_named(struct bio *bio)
{
	vci_bio(bio)->kind = VCI_BIO_PLAIN;
	vci_defer(bio, flush_named_work);
}

static void flush_cache_end(struct vci_target *t, struct vci_bio *b, blk_status_t error)
{
	b->kind = VCI_BIO_PLAIN;
	if (!error) {
		vci_flush_cache_end(t->cache, &b->token);
		return;
	}
	vci_count(t, VCI_CACHE_ERRORS);
	vci_cache_fail(t->cache, blk_status_to_errno(error));
}

/* ---- map and end_io ---- */

/* Past the cache, which has failed. */
static int map_around(struct vci_target *t, struct bio *bio)
{
	if (bio_op(bio) != REQ_OP_DISCARD ||
	    bdev_max_discard_sectors(t->backing_dev->bdev))
		return vci_remap_backing(t, bio);
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

static noinline int map_other(struct vci_target *t, struct bio *bio, struct vci_bio *b)
{
	b->t = t;
	b->kind = VCI_BIO_PLAIN;
	if (bio->bi_opf & REQ_PREFLUSH || !bio_sectors(bio))
		return map_flush(t, bio);
	if (!op_is_write(bio_op(bio)))
		return map_read(t, bio, b);
	return vci_cache_is_retired(t->cache) ? map_around(t, bio) : vci_map_write(t, bio);
}

/*
 * Nearly all reads of a warm cache: all data in one extent that is in memory.
 * True if the bio is mapped.
 */
static __always_inline bool map_read_hit(struct vci_target *t, struct bio *bio,
					 struct vci_bio *b, struct bvec_iter iter)
{
	struct vci_hit hit;

	rcu_read_lock_sched();
	b->guard = vci_guard_enter(&t->guard);
	if (likely(vci_cache_hit(t->cache, iter.bi_sector, bvec_iter_sectors(iter), &hit))) {
		rcu_read_unlock_sched();
		read_hit(t, bio, b, hit.addr, hit.flags);
		return true;
	}
	rcu_read_unlock_sched();
	vci_guard_leave(b->guard);
	return false;
}

/*
 * What is dirty, has been for a checkpoint, and isn't being written back, is overwritten
 * where it lies; a long run goes past the log, but not if write-back is in order, where
 * nothing may overtake the log; all else goes to a new place, or into the log.  A cache
 * that has failed hits nothing.
 */
static __always_inline int map_write_back(struct vci_target *t, struct bio *bio,
					  struct vci_bio *b)
{
	unsigned long __percpu *guard;
	bool hit;
	u64 addr;

	rcu_read_lock_sched();
	guard = vci_guard_enter(&t->guard);
	addr = vci_place_try(t->cache, vci_bio_off(b), bio_sectors(bio), &hit);
	rcu_read_unlock_sched();
	if (addr) {
		vci_count(t, VCI_WRITES_IN_PLACE);
		b->guard = guard;
		b->kind = VCI_BIO_PLACE;
		bio->bi_iter.bi_sector = addr;
		bio_set_dev(bio, t->cache_bdev);
		return DM_MAPIO_REMAPPED;
	}
	vci_guard_leave(guard);
	if (unlikely(vci_cache_is_failed(t->cache)))
		return map_other(t, bio, b);
	vci_count(t, VCI_WRITES);
	if (hit)
		vci_count(t, VCI_WRITE_HITS);
	b->t = t;
	if (vci_is_long(&t->writes, bio) && !t->ordered)
		return vci_map_long_write(t, bio);
	if (vci_map_direct(t, bio, b))
		return DM_MAPIO_REMAPPED;
	vci_stream_add(&t->stream, bio);
	return DM_MAPIO_SUBMITTED;
}

/* What is needed when it ends, or is sent again. */
static __always_inline struct vci_bio *remember(struct dm_target *ti, struct bio *bio,
						struct bvec_iter *iter)
{
	struct vci_bio *b = vci_bio(bio);
	unsigned short flags = bio->bi_flags;

	*iter = bio->bi_iter;
	iter->bi_sector = dm_target_offset(ti, iter->bi_sector);
	b->iter = *iter;
	b->flags = flags;
	return b;
}

/* Apart from vci_map(), which has nothing atomic for reads. */
static noinline int map_no_read(struct dm_target *ti, struct bio *bio)
{
	struct vci_target *t = ti->private;
	struct bvec_iter iter;
	struct vci_bio *b = remember(ti, bio, &iter);

	bio->bi_iter.bi_sector = iter.bi_sector;
	if ((bio->bi_opf & (REQ_OP_MASK | REQ_PREFLUSH)) == REQ_OP_WRITE &&
	    likely(iter.bi_size) && READ_ONCE(t->mode) == VCI_MODE_WRITEBACK)
		return map_write_back(t, bio, b);
	return map_other(t, bio, b);
}

/**
 * vci_map() - device-mapper's map: where a bio goes
 * @ti: target
 * @bio: clone that is ours until it ends
 *
 * Return: DM_MAPIO_REMAPPED or DM_MAPIO_SUBMITTED.
 */
int vci_map(struct dm_target *ti, struct bio *bio)
{
	struct bvec_iter iter;
	struct vci_target *t;
	struct vci_bio *b;

	if (bio_op(bio) != REQ_OP_READ)
		return map_no_read(ti, bio);
	t = ti->private;
	b = remember(ti, bio, &iter);
	if (likely(iter.bi_size) && likely(READ_ONCE(t->mode) != VCI_MODE_PASSTHROUGH) &&
	    map_read_hit(t, bio, b, iter))
		return DM_MAPIO_REMAPPED;
	bio->bi_iter.bi_sector = vci_bio_off(b);
	return map_other(t, bio, b);
}

/* A bio that ended is sent once more: as it was before the first time. */
static void retry_work(struct work_struct *work)
{
	struct bio *bio = vci_bio_of_work(work);
	struct vci_bio *b = vci_bio(bio);

	bio->bi_iter = b->iter;
	bio->bi_flags = b->flags;
	bio->bi_status = BLK_STS_OK;
	atomic_set(&bio->__bi_remaining, 1);
	bio_clear_polled(bio);
	vci_submit(bio, vci_remap_backing(b->t, bio));
}

/* Law 5: what the cache device can't give, the backing device has, if it's clean. */
static noinline int hit_failed(struct vci_target *t, struct bio *bio, struct vci_bio *b,
			       blk_status_t *error)
{
	if (*error == BLK_STS_AGAIN && bio->bi_opf & REQ_NOWAIT)
		return DM_ENDIO_DONE;
	if (b->ext_flags & VCI_EXT_DIRTY) {
		vci_note_dirty_lost(t, vci_bio_off(b), bvec_iter_sectors(b->iter),
				    blk_status_to_errno(*error));
		*error = BLK_STS_IOERR;
		return DM_ENDIO_DONE;
	}
	vci_note_cache_error(t, blk_status_to_errno(*error));
	b->t = t;
	b->kind = VCI_BIO_PLAIN;
	vci_defer(bio, retry_work);
	return DM_ENDIO_INCOMPLETE;
}

static noinline void place_failed(struct vci_target *t, struct bio *bio, struct vci_bio *b,
				  blk_status_t *error)
{
	int r = 0;

	/* It would have waited, which it wasn't to. */
	if (*error != BLK_STS_AGAIN || !(bio->bi_opf & REQ_NOWAIT)) {
		vci_count(t, VCI_CACHE_ERRORS);
		r = blk_status_to_errno(*error);
		*error = BLK_STS_IOERR;
	}
	vci_place_end(t->cache, vci_bio_off(b), bvec_iter_sectors(b->iter), r);
}

/*
 * Users and write-back know of it when it is counted.  Apart from vci_end_io(), which has
 * nothing atomic for reads.
 */
static noinline int place_end(struct vci_target *t, struct bio *bio, struct vci_bio *b,
			      blk_status_t *error)
{
	if (likely(!*error))
		vci_place_done(t->cache, vci_bio_off(b), bvec_iter_sectors(b->iter));
	else
		place_failed(t, bio, b, error);
	vci_guard_leave(b->guard);
	return DM_ENDIO_DONE;
}

static noinline int end_other(struct vci_target *t, struct vci_bio *b, blk_status_t error)
{
	switch (b->kind) {
	case VCI_BIO_LOG:
		return DM_ENDIO_DONE;
	case VCI_BIO_FLUSH_CACHE:
		flush_cache_end(t, b, error);
		return DM_ENDIO_DONE;
	case VCI_BIO_FLUSH_BACKING:
		if (!error)
			vci_flush_backing_end(t->cache, &b->token);
		break;
	case VCI_BIO_WRITE:
		vci_write_end(t->cache, &b->write, NULL);
		break;
	}
	b->kind = VCI_BIO_PLAIN;
	if (error && error != BLK_STS_AGAIN && error != BLK_STS_NOTSUPP)
		vci_count(t, VCI_BACKING_ERRORS);
	return DM_ENDIO_DONE;
}

/**
 * vci_end_io() - device-mapper's end_io: a bio of ours has ended
 * @ti: target
 * @bio: bio
 * @error: how
 *
 * Any context.  Return: DM_ENDIO_DONE, or _INCOMPLETE if it is sent again.
 */
int vci_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct vci_target *t = ti->private;
	struct vci_bio *b = vci_bio(bio);

	if (unlikely(b->kind != VCI_BIO_HIT)) {
		if (b->kind == VCI_BIO_PLACE)
			return place_end(t, bio, b, error);
		return b->kind == VCI_BIO_DIRECT ? vci_direct_ended(t, bio, b, *error) :
						   end_other(t, b, *error);
	}
	vci_guard_leave(b->guard);
	if (likely(!*error))
		return DM_ENDIO_DONE;
	return hit_failed(t, bio, b, error);
}
