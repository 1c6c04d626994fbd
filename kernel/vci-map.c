// SPDX-License-Identifier: GPL-2.0-only
/*
 * One bio in: where it goes, and what happens when it ends.
 *
 * A read that hits is remapped to the cache device; it holds the guard until it
 * ends.  A read that misses goes to the backing device, and its data is put into
 * the cache on the way back.  A bio that is part of both is cut here, in map,
 * the only place where device-mapper lets it be cut.
 *
 * Nothing here waits: what must read a node first goes to a worker.
 */
#include <linux/sched/mm.h>

#include "vci-target.h"

/* Errors of the cache device after which it is given up. */
#define VCI_CACHE_ERRORS_MAX	8

/* Longest read that is cached: what one bounce bio holds. */
#define VCI_FILL_SECTORS_MAX	(BIO_MAX_VECS << (PAGE_SHIFT - SECTOR_SHIFT))

/* A node can be dropped again between loading it and looking. */
#define VCI_LOAD_TRIES		3

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

/**
 * vci_note_cache_error() - count an error of the cache device
 * @t: target
 * @error: -errno
 *
 * Any context.  After several of them the cache is given up.
 */
void vci_note_cache_error(struct vci_target *t, int error)
{
	vci_count(t, VCI_CACHE_ERRORS);
	DMERR_LIMIT("%s: error %d reading cache device %pg; the backing device is read instead",
		    dm_table_device_name(t->ti->table), error, t->cache_dev->bdev);
	if (atomic_inc_return(&t->nr_cache_errors) == VCI_CACHE_ERRORS_MAX)
		vci_cache_fail(t->cache, error);
}

/* Looks up what @bio begins with; holds the guard if that is mapped. */
static int read_lookup(struct vci_target *t, struct bio *bio, struct vci_lookup *res)
{
	struct vci_bio *b = vci_bio(bio);
	int r;

	b->guard = vci_guard_enter(&t->guard);
	r = vci_cache_lookup(t->cache, vci_bio_off(b), bio_sectors(bio), res);
	if (r || !res->mapped)
		vci_guard_leave(b->guard);
	return r;
}

static int read_hit(struct vci_target *t, struct bio *bio, const struct vci_lookup *res)
{
	struct vci_bio *b = vci_bio(bio);

	vci_count(t, VCI_READ_HITS);
	b->kind = VCI_BIO_HIT;
	b->iter = bio->bi_iter;
	bio_set_dev(bio, t->cache_dev->bdev);
	bio->bi_iter.bi_sector = res->e.addr;
	return DM_MAPIO_REMAPPED;
}

/* Reads the backing device; fills what isn't mapped, if nothing is in the way. */
static int read_miss(struct vci_target *t, struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);
	struct bio *bounce = NULL;

	vci_count(t, VCI_READ_MISSES);
	b->iter = bio->bi_iter;
	b->fill = vci_ticket_take(t->cache, vci_bio_off(b), bio_sectors(bio), &b->ticket);
	if (b->fill)
		bounce = vci_bounce_alloc(t, bio);
	if (bounce)
		return vci_bounce_submit(bio, bounce);
	vci_count(t, VCI_BYPASSED);
	return vci_remap_backing(t, bio);
}

static int read_bypass(struct vci_target *t, struct bio *bio)
{
	vci_count(t, VCI_BYPASSED);
	return vci_remap_backing(t, bio);
}

/*
 * A worker cannot cut a bio.  One that isn't all mapped is read from the
 * backing device as a whole: that has everything, as long as nothing is dirty.
 */
static void read_work(struct work_struct *work)
{
	struct bio *bio = vci_bio_of_work(work);
	struct vci_bio *b = vci_bio(bio);
	struct vci_target *t = b->t;
	unsigned int noio = memalloc_noio_save();
	struct vci_lookup res;
	int r = -EAGAIN, i;

	for (i = 0; r == -EAGAIN && i < VCI_LOAD_TRIES; i++) {
		r = vci_cache_load(t->cache, vci_bio_off(b), bio_sectors(bio));
		if (!r)
			r = read_lookup(t, bio, &res);
	}
	if (r && r != -EAGAIN && r != -ENOMEM)
		vci_note_cache_error(t, r);
	if (r) {
		vci_submit(bio, read_bypass(t, bio));
	} else if (res.mapped && res.e.blocks == bio_sectors(bio)) {
		vci_submit(bio, read_hit(t, bio, &res));
	} else {
		if (res.mapped)
			vci_guard_leave(b->guard);
		vci_submit(bio, read_miss(t, bio));
	}
	memalloc_noio_restore(noio);
}

static int read_not_resident(struct bio *bio)
{
	if (!(bio->bi_opf & REQ_NOWAIT))
		return vci_defer(bio, read_work);
	bio_wouldblock_error(bio);
	return DM_MAPIO_SUBMITTED;
}

static int vci_map_read(struct vci_target *t, struct bio *bio)
{
	struct vci_lookup res;
	unsigned int sectors;
	int r;

	if (READ_ONCE(t->mode) == VCI_MODE_PASSTHROUGH)
		return read_bypass(t, bio);
	r = read_lookup(t, bio, &res);
	if (r == -EAGAIN)
		return read_not_resident(bio);
	if (r) {
		vci_note_cache_error(t, r);
		return read_bypass(t, bio);
	}
	sectors = res.e.blocks;
	if (!res.mapped)
		sectors = min_t(unsigned int, sectors, VCI_FILL_SECTORS_MAX);
	if (sectors < bio_sectors(bio))
		dm_accept_partial_bio(bio, sectors);
	return res.mapped ? read_hit(t, bio, &res) : read_miss(t, bio);
}

/* Past the cache: a flush, or the cache has failed. */
static int map_around(struct vci_target *t, struct bio *bio)
{
	if (bio_op(bio) != REQ_OP_DISCARD ||
	    bdev_max_discard_sectors(t->backing_dev->bdev))
		return vci_remap_backing(t, bio);
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
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
	struct vci_target *t = ti->private;
	struct vci_bio *b = vci_bio(bio);

	bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	b->t = t;
	b->kind = VCI_BIO_PLAIN;
	b->fill = false;
	b->flags = bio->bi_flags;
	b->iter = bio->bi_iter;
	/*
	 * In these modes nothing is only on the cache device, so that a flush
	 * is the backing device's business.
	 */
	if (bio->bi_opf & REQ_PREFLUSH || !bio_sectors(bio))
		return map_around(t, bio);
	/* The first write past a failed cache retires its image. */
	if (op_is_write(bio_op(bio)))
		return vci_cache_is_retired(t->cache) ? map_around(t, bio) :
							vci_map_write(t, bio);
	return vci_cache_is_failed(t->cache) ? map_around(t, bio) :
					       vci_map_read(t, bio);
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

/* Law 5: what the cache device can't give, the backing device has. */
static int hit_end(struct vci_target *t, struct bio *bio, blk_status_t error)
{
	struct vci_bio *b = vci_bio(bio);

	b->kind = VCI_BIO_PLAIN;
	vci_guard_leave(b->guard);
	if (likely(!error))
		return DM_ENDIO_DONE;
	if (error == BLK_STS_AGAIN && bio->bi_opf & REQ_NOWAIT)
		return DM_ENDIO_DONE;
	vci_note_cache_error(t, blk_status_to_errno(error));
	vci_defer(bio, retry_work);
	return DM_ENDIO_INCOMPLETE;
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

	if (b->kind == VCI_BIO_HIT)
		return hit_end(t, bio, *error);
	if (b->kind == VCI_BIO_WRITE) {
		b->kind = VCI_BIO_PLAIN;
		vci_write_end(t->cache, &b->write, NULL);
	}
	if (*error && *error != BLK_STS_AGAIN && *error != BLK_STS_NOTSUPP)
		vci_count(t, VCI_BACKING_ERRORS);
	return DM_ENDIO_DONE;
}
