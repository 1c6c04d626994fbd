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

static unsigned int pages_of(const struct bio *user)
{
	return DIV_ROUND_UP(bio_sectors(user), PAGE_SECTORS);
}

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
	pages_put(t, pages_of(user));
}

static void copy_iter(struct bio *to, struct bvec_iter to_iter, struct bio *from,
		      struct bvec_iter from_iter)
{
	bio_copy_data_iter(to, &to_iter, from, &from_iter);
}

/* The whole of a bounce bio, whatever was done to its own iterator. */
static struct bvec_iter bounce_iter(const struct bio *user)
{
	return (struct bvec_iter){
		.bi_sector = user->bi_iter.bi_sector,
		.bi_size = user->bi_iter.bi_size,
	};
}

/**
 * vci_bounce_alloc() - a bounce bio for the backing device
 * @t: target
 * @user: a read or write of any size, at its place on the backing device
 *
 * Any context.  Return: the bio, holding the data if it is a write; NULL if
 * there is no memory now, or @user is too large.
 */
struct bio *vci_bounce_alloc(struct vci_target *t, struct bio *user)
{
	unsigned int nr = pages_of(user);
	struct bio *bounce;

	if (nr > BIO_MAX_VECS || !pages_get(t, nr))
		return NULL;
	bounce = bio_alloc_bioset(t->backing_dev->bdev, nr, user->bi_opf & VCI_BOUNCE_OPF,
				  GFP_NOWAIT | __GFP_NOWARN, &t->bounce_bios);
	if (!bounce) {
		pages_put(t, nr);
		return NULL;
	}
	if (!alloc_pages_for(bounce, user->bi_iter.bi_size)) {
		bounce_free(t, user, bounce);
		return NULL;
	}
	bounce->bi_iter.bi_sector = user->bi_iter.bi_sector;
	bounce->bi_ioprio = user->bi_ioprio;
	if (op_is_write(bio_op(user)))
		copy_iter(bounce, bounce->bi_iter, user, user->bi_iter);
	return bounce;
}

/* The I/O is done: hand the data to its user and to the cache. */
static void bounce_finish(struct bio *user)
{
	struct vci_bio *b = vci_bio(user);
	struct vci_target *t = b->t;
	struct bio *bounce = b->bounce;
	struct vci_ticket ticket = { 0 };
	bool fill = b->fill;

	if (op_is_write(bio_op(user)))
		fill = vci_write_end(t->cache, &b->write, &ticket);
	else
		ticket = b->ticket;
	if (!user->bi_status) {
		if (!op_is_write(bio_op(user)))
			copy_iter(user, user->bi_iter, bounce, bounce_iter(user));
		if (fill)
			vci_writer_fill(&t->writer, vci_bio_off(b), bio_sectors(user),
					&ticket, bounce, bounce_iter(user));
	}
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

	user->bi_status = bounce->bi_status;
	if (bio_sectors(user) > VCI_COPY_SECTORS_MAX)
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
	dm_submit_bio_remap(user, bounce);
	return DM_MAPIO_SUBMITTED;
}
