// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bounce bios: I/O to the backing device through pages of our own.
 *
 * What is put into the cache must be exactly what the backing device gave or
 * got.  Pages of a user can change while I/O to them is in flight, or after it
 * and before we copied them: with O_DIRECT, whoever may read a file could put
 * other bytes into the cache.  So what is to be cached goes through pages that
 * nobody else can see: a write is copied into them first, a read is copied out
 * of them.
 *
 * Pages are taken without waiting, and only so many: without a bounce bio the
 * user's own is sent to the backing device, and nothing is cached.
 */
#include "vci-target.h"

/* Pages in flight for each device. */
#define VCI_BOUNCE_PAGES_MAX	((16 << 20) >> PAGE_SHIFT)

/* What a bounce bio takes over of the user's; not REQ_POLLED, for instance. */
#define VCI_BOUNCE_OPF							\
	((__force blk_opf_t)REQ_OP_MASK | REQ_FAILFAST_MASK | REQ_SYNC |	\
	 REQ_META | REQ_PRIO | REQ_IDLE | REQ_FUA | REQ_RAHEAD | REQ_BACKGROUND | \
	 REQ_NOWAIT)

static void pages_put(struct vci_target *t, unsigned int nr)
{
	atomic_sub(nr, &t->nr_bounce_pages);
}

static bool pages_get(struct vci_target *t, unsigned int nr)
{
	if (atomic_add_return(nr, &t->nr_bounce_pages) <= VCI_BOUNCE_PAGES_MAX)
		return true;
	pages_put(t, nr);
	return false;
}

static bool alloc_pages_for(struct bio *bounce, unsigned int bytes)
{
	while (bytes) {
		unsigned int len = min_t(unsigned int, bytes, PAGE_SIZE);
		struct page *page = alloc_page(GFP_NOWAIT | __GFP_NOWARN);

		if (!page)
			return false;
		__bio_add_page(bounce, page, len, 0);
		bytes -= len;
	}
	return true;
}

static void bounce_free(struct vci_target *t, struct bio *user, struct bio *bounce)
{
	bio_free_pages(bounce);
	bio_put(bounce);
	pages_put(t, vci_bio(user)->bounce_pages);
}

static void copy_iter(struct bio *to, struct bvec_iter to_iter, struct bio *from,
		      struct bvec_iter from_iter)
{
	bio_copy_data_iter(to, &to_iter, from, &from_iter);
}

/* The whole of a bounce bio, whatever was done to its own iterator. */
static struct bvec_iter bounce_iter(u64 off, u32 sectors)
{
	return (struct bvec_iter){
		.bi_sector = off,
		.bi_size = sectors << SECTOR_SHIFT,
	};
}

/**
 * vci_bounce_alloc() - a bounce bio for the backing device
 * @t: target
 * @user: a read or write of any size, at its place on the backing device
 * @off: first sector; before that of @user if more is read
 * @sectors: how many; all of @user are among them
 *
 * Any context.  Return: the bio, holding the data if it is a write; NULL if
 * there is no memory now, or it would be too large.
 */
struct bio *vci_bounce_alloc(struct vci_target *t, struct bio *user, u64 off, u32 sectors)
{
	unsigned int nr = DIV_ROUND_UP(sectors, PAGE_SECTORS);
	struct bio *bounce;

	if (nr > BIO_MAX_VECS || !pages_get(t, nr))
		return NULL;
	bounce = bio_alloc_bioset(t->backing_dev->bdev, nr, user->bi_opf & VCI_BOUNCE_OPF,
				  GFP_NOWAIT | __GFP_NOWARN, &t->bounce_bios);
	if (!bounce) {
		pages_put(t, nr);
		return NULL;
	}
	vci_bio(user)->bounce_pages = nr;
	if (!alloc_pages_for(bounce, sectors << SECTOR_SHIFT)) {
		bounce_free(t, user, bounce);
		return NULL;
	}
	bounce->bi_iter.bi_sector = off;
	bounce->bi_ioprio = user->bi_ioprio;
	if (op_is_write(bio_op(user)))
		copy_iter(bounce, bounce->bi_iter, user, user->bi_iter);
	return bounce;
}

/* ---- when it is done ---- */

static void finish_write(struct bio *user, struct bio *bounce)
{
	struct vci_bio *b = vci_bio(user);
	struct vci_fill_source source = {
		.off = vci_bio_off(b), .blocks = bio_sectors(user), .bio = bounce,
		.iter = bounce_iter(vci_bio_off(b), bio_sectors(user)),
	};
	u64 off = source.off, end = off + source.blocks;
	struct vci_target *t = b->t;
	struct vci_plan_piece piece;

	if (!vci_write_end(t->cache, &b->write, &source.ticket) || user->bi_status)
		return;
	for (; off < end; off += piece.blocks) {
		vci_plan_written(t->cache, off, end - off, &b->write, &piece);
		vci_writer_fill(&t->writer, &piece, &source);
	}
}

static void finish_read(struct bio *user, struct bio *bounce)
{
	struct vci_bio *b = vci_bio(user);
	struct vci_plan *plan = &b->plan;
	struct vci_fill_source source = {
		.off = plan->off, .blocks = plan->blocks, .ticket = b->ticket,
		.bio = bounce, .iter = bounce_iter(plan->off, plan->blocks),
	};
	struct bvec_iter from = source.iter;
	struct vci_plan_piece piece;

	if (user->bi_status)
		return;
	bio_advance_iter(bounce, &from, (vci_bio_off(b) - plan->off) << SECTOR_SHIFT);
	from.bi_size = user->bi_iter.bi_size;
	copy_iter(user, user->bi_iter, bounce, from);
	while (vci_plan_next(b->t->cache, plan, &piece))
		vci_writer_fill(&b->t->writer, &piece, &source);
}

/* The I/O is done: hand the data to its user and to the cache. */
static void bounce_finish(struct bio *user)
{
	struct vci_bio *b = vci_bio(user);
	struct vci_target *t = b->t;
	struct bio *bounce = b->bounce;

	if (op_is_write(bio_op(user)))
		finish_write(user, bounce);
	else
		finish_read(user, bounce);
	bounce_free(t, user, bounce);
	bio_endio(user);
}

static void bounce_work(struct work_struct *work)
{
	bounce_finish(vci_bio_of_work(work));
}

static void bounce_endio(struct bio *bounce)
{
	struct bio *user = bounce->bi_private;
	struct vci_bio *b = vci_bio(user);
	bool is_write = op_is_write(bio_op(user));
	u32 sectors = is_write ? bio_sectors(user) : b->plan.blocks;

	user->bi_status = bounce->bi_status;
	if (!is_write && !user->bi_status)
		vci_plan_took(b->t->cache, sectors,
			      ktime_us_delta(ktime_get(), b->submitted));
	/*
	 * What was read is looked up again before it is stored; a lookup waits for who
	 * changes a leaf, and that may be whom this interrupted.
	 */
	if (sectors > VCI_COPY_SECTORS_MAX || (!is_write && !in_task()))
		vci_defer(user, bounce_work);
	else
		bounce_finish(user);
}

/**
 * vci_bounce_submit() - send a bounce bio in place of the user's
 * @user: the user's; vci_bio(@user) has a ticket (a read) or the write begun
 * @bounce: from vci_bounce_alloc(); freed when it is done
 *
 * Return: DM_MAPIO_SUBMITTED.
 */
int vci_bounce_submit(struct bio *user, struct bio *bounce)
{
	bounce->bi_private = user;
	bounce->bi_end_io = bounce_endio;
	vci_bio(user)->bounce = bounce;
	vci_bio(user)->submitted = ktime_get();
	dm_submit_bio_remap(user, bounce);
	return DM_MAPIO_SUBMITTED;
}
