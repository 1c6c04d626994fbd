// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exact bitmap of a clean close: see vci-bits.h.
 *
 * The bitmap's area is whole units, and its header one block: the first unit holds
 * seven blocks of bits, every piece ends where a unit does.
 */
#include "vci-bits.h"

#define HEAD_BLOCKS	(VCI_UNIT_BLOCKS - 1)
#define BLOCK_BITS	(8ull * VCI_BLOCK_SIZE)

/**
 * vci_bits_init() - begin with the first piece, all blocks free
 * @b: to set up
 * @h: header of the image: where the bitmap lies
 * @dev: cache device
 * @step: blocks of bits in a piece; a multiple of VCI_UNIT_BLOCKS
 *
 * May sleep.  Return: 0 or -ENOMEM; vci_bits_exit() undoes both.
 */
int vci_bits_init(struct vci_bits *b, const struct vci_header *h, struct vci_dev *dev,
		  u32 step)
{
	u32 all = h->bitmap_blocks - 1;
	/* What is written is whole units. */
	size_t room = HEAD_BLOCKS + round_up(min(all, step), VCI_UNIT_BLOCKS);

	VCI_ASSERT(step && !(step % VCI_UNIT_BLOCKS));
	memset(b, 0, sizeof(*b));
	b->h = h;
	b->dev = dev;
	b->step = step;
	b->nr = min(all, step + HEAD_BLOCKS);
	b->crc = ~0u;
	b->bits = kvzalloc(room * VCI_BLOCK_SIZE, GFP_KERNEL);
	b->unit = kvzalloc(VCI_UNIT_SIZE, GFP_KERNEL);
	return b->bits && b->unit ? 0 : -ENOMEM;
}

/**
 * vci_bits_exit() - free the memory of a piece
 * @b: initialised
 */
void vci_bits_exit(struct vci_bits *b)
{
	kvfree(b->bits);
	kvfree(b->unit);
}

/**
 * vci_bits_set() - blocks are in use
 * @b: bitmap
 * @addr: first of them
 * @blocks: how many; those outside of this piece don't count now
 */
void vci_bits_set(struct vci_bits *b, u64 addr, u64 blocks)
{
	u64 first = b->at * BLOCK_BITS, end = first + b->nr * BLOCK_BITS;
	u64 from = max(addr, first), to = min(addr + blocks, end);

	if (from < to)
		vci_bitmap_set(b->bits, from - first, to - from);
}

/**
 * vci_bits_write() - the piece is complete: write it
 * @b: bitmap
 *
 * May sleep.  What shares the first unit with the header is kept for
 * vci_bits_finish().  Return: 0 or the device's error.
 */
int vci_bits_write(struct vci_bits *b)
{
	u32 i = 0, n, padded;
	int r = 0;

	b->used += vci_bitmap_weight(b->bits, b->nr * BLOCK_BITS);
	b->crc = crc32c(b->crc, b->bits, b->nr * VCI_BLOCK_SIZE);
	if (!b->at) {
		i = min(b->nr, HEAD_BLOCKS);
		memcpy(b->unit + VCI_BLOCK_SIZE, b->bits, (size_t)i * VCI_BLOCK_SIZE);
	}
	for (; !r && i < b->nr; i += n) {
		n = min(b->nr - i, VCI_BATCH_BLOCKS_MAX);
		padded = round_up(n, VCI_UNIT_BLOCKS);
		r = vci_write(b->dev, b->h->bitmap + 1 + b->at + i, padded,
			      b->bits + (size_t)i * VCI_BLOCK_SIZE, 0);
	}
	return r;
}

/**
 * vci_bits_next() - go on to the next piece, all its blocks free
 * @b: bitmap, whose piece was written
 *
 * Return: false if that was the last one.
 */
bool vci_bits_next(struct vci_bits *b)
{
	u32 all = b->h->bitmap_blocks - 1;

	b->at += b->nr;
	b->nr = min(all - b->at, b->step);
	memset(b->bits, 0, (size_t)round_up(b->nr, VCI_UNIT_BLOCKS) * VCI_BLOCK_SIZE);
	return b->nr;
}

/**
 * vci_bits_finish() - write the header, and the bits that share its unit
 * @b: bitmap, all of whose pieces were written
 * @data_blocks: blocks in use for data; all others are metadata
 *
 * May sleep.  Durable with the next flush.  Return: 0 or the device's error.
 */
int vci_bits_finish(struct vci_bits *b, u64 data_blocks)
{
	struct vci_bitmap_info info = {
		.managed = b->h->blocks,
		.free = b->h->blocks - b->used,
		.data = data_blocks,
		.metadata = b->used - data_blocks,
		.ext_crc = b->crc,
	};

	vci_bitmap_seal(b->unit, &info);
	return vci_write(b->dev, b->h->bitmap, VCI_UNIT_BLOCKS, b->unit, 0);
}
