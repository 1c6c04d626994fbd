// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes and discards: the backing device gets them all, the cache never keeps
 * what they replace.
 *
 * Each goes vci_write_begin(), vci_write_prepare() if that is asked for, the
 * I/O, vci_write_end().  The first and the last are always paired, on every
 * path: from begin on, either bio->kind is VCI_BIO_WRITE and vci_end_io() does
 * it, or a bounce bio is on its way, or it is done here.
 */
#include <linux/delay.h>
#include <linux/sched/mm.h>

#include "vci-target.h"

/* How often, and after which time, a write that found no memory tries again. */
#define VCI_PREPARE_TRIES	10
#define VCI_PREPARE_WAIT_MS	20

/* Only a small write is copied: a large one is not what a cache is for. */
#define VCI_WRITE_CACHED_MAX	VCI_ENTRY_BLOCKS_MAX

static bool is_cacheable(struct vci_target *t, struct bio *bio)
{
	return READ_ONCE(t->mode) == VCI_MODE_WRITETHROUGH &&
	       bio_op(bio) == REQ_OP_WRITE &&
	       bio_sectors(bio) <= VCI_WRITE_CACHED_MAX &&
	       !vci_cache_is_failed(t->cache);
}

/* Nothing to be done by the backing device. */
static int complete_discard(struct vci_target *t, struct bio *bio)
{
	vci_write_end(t->cache, &vci_bio(bio)->write, NULL);
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

/* The cache no longer maps the range: now the backing device. */
static int write_backing(struct vci_target *t, struct bio *bio)
{
	struct bio *bounce;

	if (bio_op(bio) == REQ_OP_DISCARD &&
	    !bdev_max_discard_sectors(t->backing_dev->bdev))
		return complete_discard(t, bio);
	if (is_cacheable(t, bio)) {
		bounce = vci_bounce_alloc(t, bio);
		if (bounce)
			return vci_bounce_submit(bio, bounce);
		vci_count(t, VCI_BYPASSED);
	}
	vci_bio(bio)->kind = VCI_BIO_WRITE;
	return vci_remap_backing(t, bio);
}

/*
 * A cache that cannot forget what is to be overwritten must not be used any
 * more: it is given up, and the write goes on.
 */
static void prepare_or_fail(struct vci_target *t, struct vci_write *w)
{
	int r, tries = VCI_PREPARE_TRIES;

	for (;;) {
		r = vci_write_prepare(t->cache, w);
		if (!r || vci_cache_is_failed(t->cache))
			return;
		if (r != -ENOMEM || !--tries)
			break;
		msleep(VCI_PREPARE_WAIT_MS);
	}
	vci_cache_fail(t->cache, r);
	vci_cache_retire(t->cache);
}

static void write_work(struct work_struct *work)
{
	struct bio *bio = vci_bio_of_work(work);
	struct vci_bio *b = vci_bio(bio);
	unsigned int noio = memalloc_noio_save();

	prepare_or_fail(b->t, &b->write);
	vci_submit(bio, write_backing(b->t, bio));
	memalloc_noio_restore(noio);
}

/* For the statistics only: does the write begin in cached data? */
static void count_write(struct vci_target *t, struct bio *bio)
{
	struct vci_lookup res;

	if (bio_op(bio) == REQ_OP_DISCARD) {
		vci_count(t, VCI_DISCARDS);
		return;
	}
	vci_count(t, VCI_WRITES);
	if (!vci_cache_lookup(t->cache, vci_bio_off(vci_bio(bio)), bio_sectors(bio), &res) &&
	    res.mapped)
		vci_count(t, VCI_WRITE_HITS);
	if (bio_op(bio) == REQ_OP_WRITE && !is_cacheable(t, bio))
		vci_count(t, VCI_BYPASSED);
}

/**
 * vci_map_write() - map a write or discard
 * @t: target with an open cache that hasn't failed
 * @bio: at its place on the backing device
 *
 * Return: a DM_MAPIO value.
 */
int vci_map_write(struct vci_target *t, struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);
	int r;

	count_write(t, bio);
	r = vci_write_begin(t->cache, &b->write, vci_bio_off(b), bio_sectors(bio));
	if (!r)
		return write_backing(t, bio);
	if (bio->bi_opf & REQ_NOWAIT) {
		vci_write_end(t->cache, &b->write, NULL);
		bio_wouldblock_error(bio);
		return DM_MAPIO_SUBMITTED;
	}
	return vci_defer(bio, write_work);
}
