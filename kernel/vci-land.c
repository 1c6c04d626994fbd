// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct writes: from the user's own pages to the cache device, and then they land.
 *
 * Landing is a matter of the core (vci-direct.c), in task context, and not while a batch
 * of users' writes is in the log's gate.  One that can't land where its I/O ends waits in
 * the stream, for its worker, or for who leaves the gate.
 */
#include "vci-target.h"

/**
 * vci_map_direct() - map a write to a new place on the cache device, if there is one
 * @t: target in writeback mode
 * @bio: write at its place on the backing device
 * @b: vci_bio(@bio)
 *
 * Map context.  What there is no place for is cut off.  Where there was no volatile cache
 * FUA costs nothing, and should there be one now, keeps the order.  Return: true if it is
 * mapped.
 */
bool vci_map_direct(struct vci_target *t, struct bio *bio, struct vci_bio *b)
{
	u32 blocks;

	b->fua = bio->bi_opf & REQ_FUA;
	blocks = vci_direct_begin(t->cache, vci_bio_off(b), bio_sectors(bio), b->fua,
				  &b->direct);
	if (!blocks)
		return false;
	if (blocks < bio_sectors(bio)) {
		dm_accept_partial_bio(bio, blocks);
		b->iter = bio->bi_iter;
	}
	b->kind = VCI_BIO_DIRECT;
	bio_set_dev(bio, t->cache_bdev);
	bio->bi_iter.bi_sector = b->direct.addr;
	if (!vci_direct_is_volatile(t->cache))
		bio->bi_opf |= REQ_FUA;
	return true;
}

/* All that happens to it now happens in the stream, or in device-mapper. */
static void leave(struct bio *bio, struct vci_bio *b)
{
	b->kind = VCI_BIO_LOG;
	/* It ends once more: as if it hadn't been to the device. */
	bio->bi_flags = b->flags;
	if (!b->fua)
		bio->bi_opf &= ~REQ_FUA;
	bio->bi_iter.bi_size = 0;
}

/**
 * vci_direct_ended() - device-mapper's end_io of a direct write
 * @t: target
 * @bio: bio
 * @b: vci_bio(@bio)
 * @error: how its I/O ended
 *
 * Any context.  Return: a DM_ENDIO value.
 */
int vci_direct_ended(struct vci_target *t, struct bio *bio, struct vci_bio *b,
		     blk_status_t error)
{
	if (unlikely(error) || !in_task() || irqs_disabled() ||
	    vci_direct_end(t->cache, &b->direct)) {
		vci_stream_land_later(&t->stream, bio);
		return DM_ENDIO_INCOMPLETE;
	}
	if (unlikely(b->fua || vci_direct_due(t->cache))) {
		leave(bio, b);
		vci_stream_landed(&t->stream, bio);
		return DM_ENDIO_INCOMPLETE;
	}
	b->kind = VCI_BIO_LOG;
	return DM_ENDIO_DONE;
}

/* True if it has ended, well or not. */
static bool end_direct(struct vci_target *t, struct bio *bio, struct vci_bio *b,
		       bool may_sleep)
{
	int r = blk_status_to_errno(bio->bi_status);

	if (r) {
		/* It would have waited, which it wasn't to. */
		if (r != -EAGAIN || !(bio->bi_opf & REQ_NOWAIT)) {
			vci_count(t, VCI_CACHE_ERRORS);
			bio->bi_status = BLK_STS_IOERR;
		}
		vci_direct_failed(t->cache, &b->direct,
				  bio->bi_status == BLK_STS_AGAIN ? 0 : r);
		return true;
	}
	r = may_sleep ? vci_direct_end_sleep(t->cache, &b->direct) :
			vci_direct_end(t->cache, &b->direct);
	if (r == -EBUSY || (r && !may_sleep))
		return false;
	bio->bi_status = errno_to_blk_status(r);
	return true;
}

/**
 * vci_land() - end a direct write that could not land before
 * @t: target
 * @bio: from vci_stream_land_later()
 * @may_sleep: may the caller?
 *
 * Task context.  Return: false if it can't land now, either.
 */
bool vci_land(struct vci_target *t, struct bio *bio, bool may_sleep)
{
	struct vci_bio *b = vci_bio(bio);

	if (!end_direct(t, bio, b, may_sleep))
		return false;
	leave(bio, b);
	if (!bio->bi_status && (b->fua || vci_direct_due(t->cache)))
		vci_stream_queue(&t->stream, bio);
	else
		bio_endio(bio);
	return true;
}
