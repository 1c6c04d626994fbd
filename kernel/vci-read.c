// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads in a worker: those that need a node of the tree that isn't in memory.
 *
 * A worker cannot cut a bio as map does.  One that isn't all in one extent is read
 * from the backing device as a whole, if nothing of it is dirty; else piece by
 * piece, here.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/sched/mm.h>

#include "vci-target.h"

/* A node can be dropped again between loading it and looking. */
#define VCI_LOAD_TRIES		10
#define VCI_LOAD_WAIT_MS	10

/* As vci_read_lookup(), and loads what isn't resident. */
static int look(struct vci_target *t, u64 off, u32 blocks, struct vci_lookup *res,
		unsigned long __percpu **guard)
{
	int r, tries = VCI_LOAD_TRIES;

	for (;;) {
		r = vci_read_lookup(t, off, blocks, res, guard);
		if (r != -EAGAIN)
			return r;
		r = vci_cache_load(t->cache, off, blocks);
		if (r && r != -ENOMEM)
			return r;
		if (!--tries)
			return r ? r : -EAGAIN;
		if (r)
			msleep(VCI_LOAD_WAIT_MS);
	}
}

/* Return: 1 if something of the range is dirty, 0 if not, or an error. */
static int find_dirty(struct vci_target *t, u64 off, u32 blocks)
{
	unsigned long __percpu *guard;
	struct vci_lookup res;
	int r;

	if (!vci_cache_dirty_blocks(t->cache))
		return 0;
	while (blocks) {
		r = look(t, off, blocks, &res, &guard);
		if (r)
			return r;
		if (res.mapped)
			vci_guard_leave(guard);
		if (res.mapped && res.e.flags & VCI_EXT_DIRTY)
			return 1;
		off += res.e.blocks;
		blocks -= res.e.blocks;
	}
	return 0;
}

/* Reads what @iter says of @bio from @sector of a device. */
static int read_from(struct vci_target *t, struct dm_dev *dev, u64 sector, struct bio *bio,
		     struct bvec_iter iter)
{
	struct bio *clone = bio_alloc_clone(dev->bdev, bio, GFP_NOIO, &t->bounce_bios);
	int r;

	clone->bi_opf = REQ_OP_READ | (bio->bi_opf & (REQ_META | REQ_PRIO));
	clone->bi_iter = iter;
	clone->bi_iter.bi_sector = sector;
	r = submit_bio_wait(clone);
	bio_put(clone);
	return r;
}

static void note_error(struct vci_target *t, const struct vci_lookup *res, int error)
{
	if (res->e.flags & VCI_EXT_DIRTY)
		vci_note_dirty_lost(t, res->e.off, res->e.blocks, error);
	else
		vci_note_cache_error(t, error);
}

/* Reads what @iter begins with, and lets it go on behind that. */
static int read_piece(struct vci_target *t, struct bio *bio, struct bvec_iter *iter)
{
	struct bvec_iter piece = *iter;
	unsigned long __percpu *guard;
	struct vci_lookup res;
	bool served;
	int r;

	r = look(t, iter->bi_sector, bvec_iter_sectors(*iter), &res, &guard);
	if (r) {
		vci_note_dirty_lost(t, iter->bi_sector, bvec_iter_sectors(*iter), r);
		return -EIO;
	}
	piece.bi_size = res.e.blocks << SECTOR_SHIFT;
	bio_advance_iter(bio, iter, piece.bi_size);
	served = vci_is_served(&res, vci_reads_cached(t));
	vci_count(t, served ? VCI_READ_HITS : VCI_READ_MISSES);
	if (!served)
		vci_count(t, VCI_BYPASSED_UNKNOWN);
	if (served) {
		r = read_from(t, t->cache_dev, res.e.addr, bio, piece);
		if (r)
			note_error(t, &res, r);
	}
	if (res.mapped)
		vci_guard_leave(guard);
	if (!served || (r && !(res.e.flags & VCI_EXT_DIRTY)))
		r = read_from(t, t->backing_dev, piece.bi_sector, bio, piece);
	return r;
}

static void read_pieces(struct vci_target *t, struct bio *bio)
{
	struct bvec_iter iter = bio->bi_iter;
	int r = 0;

	while (!r && iter.bi_size)
		r = read_piece(t, bio, &iter);
	if (r)
		bio->bi_status = BLK_STS_IOERR;
	bio_endio(bio);
}

static int read_whole(struct vci_target *t, struct bio *bio)
{
	return vci_reads_cached(t) ? vci_read_miss(t, bio) :
				     vci_read_bypass(t, bio, VCI_BYPASSED_MODE);
}

static void read_loaded(struct vci_target *t, struct bio *bio)
{
	struct vci_bio *b = vci_bio(bio);
	struct vci_lookup res;
	int r;

	r = look(t, vci_bio_off(b), bio_sectors(bio), &res, &b->guard);
	if (!r && res.e.blocks == bio_sectors(bio) &&
	    vci_is_served(&res, vci_reads_cached(t))) {
		vci_submit(bio, vci_read_hit(t, bio, &res));
		return;
	}
	if (!r && res.mapped)
		vci_guard_leave(b->guard);
	if (!r)
		r = find_dirty(t, vci_bio_off(b), bio_sectors(bio));
	if (r < 0)
		vci_submit(bio, vci_read_unknown(t, bio, r));
	else if (r)
		read_pieces(t, bio);
	else
		vci_submit(bio, read_whole(t, bio));
}

/**
 * vci_read_work() - go on with a read that could not be looked up
 * @work: of the target's bio
 */
void vci_read_work(struct work_struct *work)
{
	struct bio *bio = vci_bio_of_work(work);
	unsigned int noio = memalloc_noio_save();

	read_loaded(vci_bio(bio)->t, bio);
	memalloc_noio_restore(noio);
}
