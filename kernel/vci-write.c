// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes and discards.  In writeback mode writes go to the log (vci-stream.c), but for
 * long runs.  Else the backing device gets them, and the cache never keeps what they replace.
 *
 * Each of the latter goes vci_write_begin(), vci_write_prepare() if that is asked
 * for, the I/O, vci_write_end().  The first and the last are always paired, on
 * every path: from begin on, either bio->kind is VCI_BIO_WRITE and vci_end_io()
 * does it, or a bounce bio is on its way, or it is done here.
 *
 * What is dirty stays on its path (O2): a write that finds some goes to the log in
 * every mode, and a discard is given up.
 */
#include <linux/delay.h>
#include <linux/sched/mm.h>

#include "vci-cache-hit.h"
#include "vci-target.h"

/* How often, and after which time, a write that found no memory tries again. */
#define VCI_PREPARE_TRIES	10
#define VCI_PREPARE_WAIT_MS	20

/* Only a small write is copied: a large one is not what a cache is for. */
#define VCI_WRITE_CACHED_MAX	VCI_ENTRY_BLOCKS_MAX

static bool is_cached_mode(struct vci_target *t)
{
	return READ_ONCE(t->mode) == VCI_MODE_WRITETHROUGH && !vci_cache_is_failed(t->cache);
}

static bool is_cacheable(struct vci_target *t, struct bio *bio)
{
	return is_cached_mode(t) && bio_op(bio) == REQ_OP_WRITE &&
	       bio_sectors(bio) <= VCI_WRITE_CACHED_MAX;
}

static bool is_for_log(struct vci_target *t, struct bio *bio)
{
	return READ_ONCE(t->mode) == VCI_MODE_WRITEBACK &&
	       bio_op(bio) == REQ_OP_WRITE && !vci_cache_is_failed(t->cache);
}

/* Nothing to be done by the backing device, or nothing it may do. */
static int complete_discard(struct vci_target *t, struct bio *bio)
{
	vci_write_end(t->cache, &vci_bio(bio)->write, NULL);
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

/* The cache no longer maps the range: now the backing device. */
static int write_backing(struct vci_target *t, struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);
	struct bio *bounce;

	if (bio_op(bio) == REQ_OP_DISCARD &&
	    !bdev_max_discard_sectors(t->backing_dev->bdev))
		return complete_discard(t, bio);
	if (b->bypassed != VCI_NR_COUNTERS) {
		vci_count(t, b->bypassed);
	} else if (is_cacheable(t, bio)) {
		bounce = vci_bounce_alloc(t, bio, vci_bio_off(b), bio_sectors(bio));
		if (bounce)
			return vci_bounce_submit(bio, bounce);
		vci_count(t, VCI_BYPASSED_MEMORY);
	}
	b->kind = VCI_BIO_WRITE;
	return vci_remap_backing(t, bio);
}

/*
 * The first write past a failed cache retires its image.  There is none if only the cache
 * device has some data: it could be undone when the device is back.  Whether it has is
 * known when what is in flight has ended.
 */
static int go_past_failed(struct vci_target *t)
{
	int r, tries = VCI_PREPARE_TRIES;

	while ((r = vci_cache_retire(t->cache)) == -EAGAIN && --tries)
		msleep(VCI_PREPARE_WAIT_MS);
	if (r)
		DMERR_LIMIT("%s: cache device %pg failed and has dirty data: writes fail",
			    dm_table_device_name(t->ti->table), t->cache_dev->bdev);
	return r ? -EIO : 0;
}

/*
 * A cache that cannot forget what is to be overwritten must not be used any
 * more: it is given up, and the write goes on; if only the cache device has some
 * of the data, it's the write that is given up.  Return: 0 if the write may go
 * on, -EEXIST if it meets dirty data, -EIO.
 */
static int prepare_or_fail(struct vci_target *t, struct vci_write *w)
{
	int r, tries = VCI_PREPARE_TRIES;

	for (;;) {
		r = vci_write_prepare(t->cache, w);
		if (!r || r == -EEXIST)
			return r;
		if (vci_cache_is_failed(t->cache))
			return go_past_failed(t);
		if (r != -ENOMEM || !--tries)
			break;
		msleep(VCI_PREPARE_WAIT_MS);
	}
	if (vci_cache_dirty_blocks(t->cache))
		return -EIO;
	vci_cache_fail(t->cache, r);
	return go_past_failed(t);
}

static void prepare_and_submit(struct vci_target *t, struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);
	int r = prepare_or_fail(t, &b->write);

	if (!r) {
		vci_submit(bio, write_backing(t, bio));
	} else if (r == -EEXIST && bio_op(bio) == REQ_OP_WRITE) {
		vci_write_end(t->cache, &b->write, NULL);
		vci_stream_add(&t->stream, bio);
	} else if (r == -EEXIST) {
		complete_discard(t, bio);
	} else {
		vci_write_end(t->cache, &b->write, NULL);
		bio_io_error(bio);
	}
}

static void write_work(struct work_struct *work)
{
	struct bio *bio = vci_bio_of_work(work);
	unsigned int noio = memalloc_noio_save();

	prepare_and_submit(vci_bio(bio)->t, bio);
	memalloc_noio_restore(noio);
}

static void past_log_work(struct work_struct *work)
{
	struct bio *bio = vci_bio_of_work(work);
	struct vci_bio *b = vci_bio(bio);
	struct vci_target *t = b->t;
	unsigned int noio = memalloc_noio_save();

	if (vci_write_begin(t->cache, &b->write, vci_bio_off(b), bio_sectors(bio)))
		prepare_and_submit(t, bio);
	else
		vci_submit(bio, write_backing(t, bio));
	memalloc_noio_restore(noio);
}

/**
 * vci_write_past_log() - a write that the log could not take
 * @bio: the target's, from the stream
 *
 * Any context.
 */
void vci_write_past_log(struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);

	b->kind = VCI_BIO_PLAIN;
	b->bypassed = VCI_NR_COUNTERS;
	b->iter = bio->bi_iter;
	vci_defer(bio, past_log_work);
}

/* For the statistics only: does the write begin in cached data? */
static void count_write(struct vci_target *t, struct bio *bio)
{
	struct vci_hit hit;

	if (bio_op(bio) == REQ_OP_DISCARD) {
		vci_count(t, VCI_DISCARDS);
		return;
	}
	vci_count(t, VCI_WRITES);
	rcu_read_lock_sched();
	if (vci_cache_hit(t->cache, vci_bio_off(vci_bio(bio)), 1, &hit))
		vci_count(t, VCI_WRITE_HITS);
	rcu_read_unlock_sched();
}

/* Why it isn't cached; VCI_NR_COUNTERS if it may be. */
static enum vci_counter why_bypassed(struct vci_target *t, struct bio *bio)
{
	bool is_long;

	if (bio_op(bio) != REQ_OP_WRITE)
		return VCI_NR_COUNTERS;
	if (!is_cached_mode(t))
		return VCI_BYPASSED_MODE;
	is_long = vci_is_long(&t->writes, bio);
	if (bio_sectors(bio) > VCI_WRITE_CACHED_MAX)
		return VCI_BYPASSED_SIZE;
	return is_long ? VCI_BYPASSED_SEQ : VCI_NR_COUNTERS;
}

/* To the backing device, or, if it meets dirty data, to the log. */
static int announce(struct vci_target *t, struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);
	int r = vci_write_begin(t->cache, &b->write, vci_bio_off(b), bio_sectors(bio));

	if (!r)
		return write_backing(t, bio);
	if (bio->bi_opf & REQ_NOWAIT) {
		vci_write_end(t->cache, &b->write, NULL);
		bio_wouldblock_error(bio);
		return DM_MAPIO_SUBMITTED;
	}
	return vci_defer(bio, write_work);
}

/**
 * vci_map_write() - map a write or discard
 * @t: target with an open cache that hasn't been retired
 * @bio: at its place on the backing device
 *
 * Return: a DM_MAPIO value.
 */
int vci_map_write(struct vci_target *t, struct bio *bio)
{
	count_write(t, bio);
	if (is_for_log(t, bio)) {
		vci_stream_add(&t->stream, bio);
		return DM_MAPIO_SUBMITTED;
	}
	vci_bio(bio)->bypassed = why_bypassed(t, bio);
	return announce(t, bio);
}

/**
 * vci_map_long_write() - map a write of a run that is too long for the log
 * @t: target in writeback mode, not in order
 * @bio: write at its place on the backing device, which vci_bio(@bio)->iter knows
 *
 * From here on it is a write of writearound mode.  Return: a DM_MAPIO value.
 */
int vci_map_long_write(struct vci_target *t, struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);

	b->kind = VCI_BIO_PLAIN;
	b->bypassed = VCI_BYPASSED_SEQ;
	return announce(t, bio);
}
