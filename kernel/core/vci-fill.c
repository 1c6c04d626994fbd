// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fills: batches in the making.
 *
 * What was read from the backing device, or written to it, or is to be written to
 * the log, is copied into a fill, which vci-append.c appends as one write.
 */
#include "vci-cache-internal.h"

/**
 * vci_fill_init() - an empty fill
 * @f: zeroed memory, or a fill that isn't wanted any more
 * @buffer: memory for header and data
 * @buffer_blocks: its size
 */
void vci_fill_init(struct vci_fill *f, u8 *buffer, u32 buffer_blocks)
{
	if (f->buffer != buffer)
		f->header_used = 0;
	f->buffer = buffer;
	f->stream = 0;
	f->write = false;
	f->fua = false;
	f->apart = false;
	f->capacity = buffer_blocks - VCI_UNIT_BLOCKS;
	f->used = 0;
	f->nr = 0;
	f->pending = 0;
}

/*
 * A batch of users' writes never overwrites itself: it is written back in one go,
 * and may be so again (vci-ordered.c).
 */
static bool overwrites(const struct vci_fill *f, u64 off, u32 blocks)
{
	u32 i;

	for (i = 0; f->write && i < f->nr; i++)
		if (off < f->e[i].off + f->e[i].blocks && f->e[i].off < off + blocks)
			return true;
	return false;
}

/**
 * vci_fill_reserve() - room for data in a fill
 * @f: fill; the caller's lock held
 * @off: first block on the backing device
 * @blocks: how many are wanted
 * @t: ticket for the blocks
 *
 * Return: index of the entry, which may be shorter than @blocks, or -ENOSPC: the
 * next fill has room.
 */
int vci_fill_reserve(struct vci_fill *f, u64 off, u32 blocks,
		     const struct vci_ticket *t)
{
	struct vci_fill_entry *e = &f->e[f->nr];

	if (f->nr == VCI_BATCH_ENTRIES_MAX || f->used == f->capacity)
		return -ENOSPC;
	blocks = min_t(u32, blocks, VCI_ENTRY_BLOCKS_MAX);
	blocks = min_t(u64, blocks, VCI_WINDOW_BLOCKS - (off & (VCI_WINDOW_BLOCKS - 1)));
	blocks = min(blocks, f->capacity - f->used);
	if (overwrites(f, off, blocks))
		return -ENOSPC;
	e->off = off;
	e->blocks = blocks;
	e->data_block = VCI_UNIT_BLOCKS + f->used;
	e->ticket = *t;
	e->valid = false;
	f->used += e->blocks;
	f->pending++;
	return f->nr++;
}

/**
 * vci_fill_data() - where the data of an entry goes
 * @f: fill
 * @entry: from vci_fill_reserve()
 */
void *vci_fill_data(struct vci_fill *f, int entry)
{
	return f->buffer + (size_t)f->e[entry].data_block * VCI_BLOCK_SIZE;
}

/**
 * vci_fill_commit() - the data of an entry is there, or never will be
 * @f: fill; the caller's lock held
 * @entry: from vci_fill_reserve()
 * @valid: is it there?
 */
void vci_fill_commit(struct vci_fill *f, int entry, bool valid)
{
	f->e[entry].valid = valid;
	f->pending--;
}

/**
 * vci_cache_batch_blocks() - size of a fill's buffer
 * @c: cache
 *
 * Return: blocks, the header's unit included; never more than a segment.
 */
u32 vci_cache_batch_blocks(const struct vci_cache *c)
{
	return min(VCI_BATCH_BLOCKS_MAX, c->segments.blocks);
}
