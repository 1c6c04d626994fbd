// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct vci_io_ops over block devices: the core's only I/O in the kernel.
 *
 * Synchronous, by dm-io, whose client has memory pools of its own: metadata I/O
 * goes on when there is no memory.  dm-io cuts what is too large for one bio.
 * Of many pieces, several are in flight at once.
 *
 * Drivers want memory that is aligned to logical blocks, the core doesn't care:
 * what isn't aligned is copied, a unit at a time.
 */
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/ioprio.h>
#include <linux/mm.h>

#include "vci-bdev.h"
#include "vci-compat.h"
#include "vci-ondisk.h"

/* Pieces in flight at once. */
#define VCI_PIECES_MAX	16u

static struct vci_bdev *to_bdev(struct vci_dev *dev)
{
	return container_of(dev, struct vci_bdev, dev);
}

static void set_memory(struct dm_io_memory *mem, void *data)
{
	if (is_vmalloc_addr(data)) {
		mem->type = DM_IO_VMA;
		mem->ptr.vma = data;
	} else {
		mem->type = DM_IO_KMEM;
		mem->ptr.addr = data;
	}
}

static int bdev_io(struct vci_dev *dev, blk_opf_t opf, u64 addr, u32 blocks, void *data)
{
	struct vci_bdev *b = to_bdev(dev);
	struct dm_io_region region = {
		.bdev = b->dm_dev->bdev,
		.sector = addr,
		.count = blocks,
	};
	struct dm_io_request request = {
		.bi_opf = opf,
		.client = b->client,
	};

	set_memory(&request.mem, data);
	return dm_io(&request, 1, &region, NULL, IOPRIO_DEFAULT);
}

static bool is_aligned(const struct vci_dev *dev, const void *data)
{
	return IS_ALIGNED((unsigned long)data, dev->lbs_blocks * VCI_BLOCK_SIZE);
}

static int bounced_io(struct vci_dev *dev, blk_opf_t opf, u64 addr, u32 blocks, u8 *data)
{
	struct vci_bdev *b = to_bdev(dev);
	int r = 0;

	mutex_lock(&b->bounce_lock);
	while (!r && blocks) {
		u32 n = min(blocks, VCI_UNIT_BLOCKS);
		size_t bytes = (size_t)n * VCI_BLOCK_SIZE;

		if (op_is_write(opf))
			memcpy(b->bounce, data, bytes);
		r = bdev_io(dev, opf, addr, n, b->bounce);
		if (!r && !op_is_write(opf))
			memcpy(data, b->bounce, bytes);
		addr += n;
		blocks -= n;
		data += bytes;
	}
	mutex_unlock(&b->bounce_lock);
	return r;
}

static int checked_io(struct vci_dev *dev, blk_opf_t opf, u64 addr, u32 blocks, void *data)
{
	if (addr > dev->blocks || blocks > dev->blocks - addr)
		return -EIO;
	if (is_aligned(dev, data))
		return bdev_io(dev, opf, addr, blocks, data);
	return bounced_io(dev, opf, addr, blocks, data);
}

static int bdev_read(struct vci_dev *dev, u64 addr, u32 blocks, void *data)
{
	return checked_io(dev, REQ_OP_READ | REQ_META, addr, blocks, data);
}

static int bdev_write(struct vci_dev *dev, u64 addr, u32 blocks, const void *data,
		      unsigned int flags)
{
	blk_opf_t opf = REQ_OP_WRITE | REQ_SYNC | REQ_META;

	if (flags & VCI_IO_FUA)
		opf |= REQ_FUA;
	if (flags & VCI_IO_PREFLUSH)
		opf |= REQ_PREFLUSH;
	/* A write only reads the memory: dm-io has no word for it. */
	return checked_io(dev, opf, addr, blocks, (void *)data);
}

static int bdev_flush(struct vci_dev *dev)
{
	return bdev_io(dev, REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, NULL);
}

/* ---- many at once ---- */

struct vci_pieces {
	struct completion ended;	/* counts pieces that have */
	unsigned int in_flight;
	int error;			/* of any */
};

static void note_error(struct vci_pieces *all, int error)
{
	if (error)
		WRITE_ONCE(all->error, error);
}

/* By dm-io, in any context. */
static void piece_ended(unsigned long errors, void *context)
{
	struct vci_pieces *all = context;

	note_error(all, errors ? -EIO : 0);
	complete(&all->ended);
}

static void wait_for_pieces(struct vci_pieces *all, unsigned int leave)
{
	for (; all->in_flight > leave; all->in_flight--)
		wait_for_completion_io(&all->ended);
}

static int start_piece(struct vci_bdev *b, blk_opf_t opf, const struct vci_piece *p,
		       struct vci_pieces *all)
{
	struct dm_io_region region = {
		.bdev = b->dm_dev->bdev,
		.sector = p->addr,
		.count = p->blocks,
	};
	struct dm_io_request request = {
		.bi_opf = opf,
		.notify.fn = piece_ended,
		.notify.context = all,
		.client = b->client,
	};

	set_memory(&request.mem, p->data);
	return dm_io(&request, 1, &region, NULL, IOPRIO_DEFAULT);
}

static bool can_start(const struct vci_dev *dev, const struct vci_piece *p)
{
	return p->addr <= dev->blocks && p->blocks <= dev->blocks - p->addr &&
	       is_aligned(dev, p->data);
}

/*
 * What has to be copied is done in its turn, and what ends behind the device is
 * refused there.  A piece that can't be started doesn't keep others from it.
 */
static int bdev_many(struct vci_dev *dev, blk_opf_t opf, const struct vci_piece *p, u32 nr)
{
	struct vci_pieces all = { .error = 0 };
	struct blk_plug plug;
	u32 i;
	int r;

	init_completion(&all.ended);
	blk_start_plug(&plug);
	for (i = 0; i < nr; i++) {
		if (!can_start(dev, &p[i])) {
			note_error(&all, checked_io(dev, opf, p[i].addr, p[i].blocks,
						    p[i].data));
			continue;
		}
		wait_for_pieces(&all, VCI_PIECES_MAX - 1);
		r = start_piece(to_bdev(dev), opf, &p[i], &all);
		if (r)
			note_error(&all, r);
		else
			all.in_flight++;
	}
	blk_finish_plug(&plug);
	wait_for_pieces(&all, 0);
	return READ_ONCE(all.error);
}

static int bdev_read_many(struct vci_dev *dev, const struct vci_piece *p, u32 nr)
{
	return bdev_many(dev, REQ_OP_READ, p, nr);
}

/* Nobody waits for these: without REQ_SYNC they may be held back. */
static int bdev_write_many(struct vci_dev *dev, const struct vci_piece *p, u32 nr)
{
	return bdev_many(dev, REQ_OP_WRITE, p, nr);
}

static const struct vci_io_ops bdev_ops = {
	.read		= bdev_read,
	.write		= bdev_write,
	.flush		= bdev_flush,
	.read_many	= bdev_read_many,
	.write_many	= bdev_write_many,
};

/**
 * vci_bdev_init() - give the core a block device
 * @b: zeroed memory
 * @dm_dev: the device, from dm_get_device()
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_bdev_init(struct vci_bdev *b, struct dm_dev *dm_dev)
{
	struct dm_io_client *client;

	b->bounce = kmalloc(VCI_UNIT_SIZE, GFP_KERNEL);
	if (!b->bounce)
		return -ENOMEM;
	client = dm_io_client_create();
	if (IS_ERR(client)) {
		kfree(b->bounce);
		b->bounce = NULL;
		return PTR_ERR(client);
	}
	mutex_init(&b->bounce_lock);
	b->client = client;
	b->dm_dev = dm_dev;
	b->dev.ops = &bdev_ops;
	b->dev.blocks = bdev_nr_sectors(dm_dev->bdev);
	b->dev.lbs_blocks = bdev_logical_block_size(dm_dev->bdev) >> SECTOR_SHIFT;
	b->dev.pbs_blocks = bdev_physical_block_size(dm_dev->bdev) >> SECTOR_SHIFT;
	snprintf(b->dev.name, sizeof(b->dev.name), "%pg", dm_dev->bdev);
	return 0;
}

/**
 * vci_bdev_exit() - undo vci_bdev_init()
 * @b: device, without I/O in flight
 */
void vci_bdev_exit(struct vci_bdev *b)
{
	dm_io_client_destroy(b->client);
	mutex_destroy(&b->bounce_lock);
	kfree(b->bounce);
}
