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
 * @buffer_blocks: its size: vci_cache_batch_blocks()
 * @align: vci_cache_batch_align()
 */
void vci_fill_init(struct vci_fill *f, u8 *buffer, u32 buffer_blocks, u32 align)
{
	if (f->buffer != buffer)
		f->header_used = 0;
	f->align = align;
	f->buffer = buffer;
	f->stream = 0;
	f->write = false;
	f->fua = false;
	f->landed = false;
	f->flush = false;
	f->size = buffer_blocks;
	f->room = buffer_blocks - VCI_UNIT_BLOCKS;
	f->used = 0;
	f->nr = 0;
	f->pending = 0;
}

/* Less than this at the end of a segment isn't worth a batch. */
#define ROOM_MIN	(4 * VCI_UNIT_BLOCKS)

/**
 * vci_fill_begin() - an empty fill of a stream
 * @c: cache
 * @f: with a buffer
 * @stream: where it will go
 *
 * Any context.  It takes as much as its segment has room for, as far as that is known
 * now.
 */
void vci_fill_begin(struct vci_cache *c, struct vci_fill *f, u8 stream)
{
	u32 room = vci_log_room(&c->log, stream);

	vci_fill_init(f, f->buffer, f->size, f->align);
	f->stream = stream;
	if (room >= ROOM_MIN)
		f->room = min(f->room, room);
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
 * vci_fill_left() - blocks of data that a fill still takes
 * @f: fill; the caller's lock held
 */
u32 vci_fill_left(const struct vci_fill *f)
{
	u32 taken = vci_batch_header_blocks(f->nr + 1, f->align) + f->used;

	if (f->nr == VCI_BATCH_ENTRIES_MAX || taken > f->room)
		return 0;
	return f->room - taken;
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
	u32 left = vci_fill_left(f);

	if (!left)
		return -ENOSPC;
	blocks = min_t(u32, blocks, VCI_ENTRY_BLOCKS_MAX);
	blocks = min_t(u64, blocks, VCI_WINDOW_BLOCKS - (off & (VCI_WINDOW_BLOCKS - 1)));
	blocks = min(blocks, left);
	if (overwrites(f, off, blocks))
		return -ENOSPC;
	e->off = off;
	e->blocks = blocks;
	e->data_block = VCI_UNIT_BLOCKS + f->used;
	e->ticket = *t;
	e->heat = 0;
	e->in_place = false;
	e->old_addr = 0;
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
 * vci_fill_describe() - what the plan says of an entry
 * @f: fill; the caller's lock held
 * @entry: from vci_fill_reserve(), some blocks of @piece
 * @piece: part of the plan
 */
void vci_fill_describe(struct vci_fill *f, int entry, const struct vci_plan_piece *piece)
{
	struct vci_fill_entry *e = &f->e[entry];

	e->heat = piece->heat;
	if (!piece->old_addr)
		return;
	e->old_addr = piece->old_addr + (e->off - piece->off);
	e->old_turn = piece->old_turn;
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
 * vci_fill_find() - find data that is on its way
 * @f: fill; the caller's lock held
 * @off: first block on the backing device
 * @blocks: how many are wanted; becomes how many there are
 * @entry: becomes the entry that has them
 *
 * The youngest entry counts.  Return: the data, or NULL.
 */
const void *vci_fill_find(const struct vci_fill *f, u64 off, u32 *blocks, int *entry)
{
	u32 i;

	for (i = f->nr; i--;) {
		const struct vci_fill_entry *e = &f->e[i];

		if (!e->valid || off < e->off || off >= e->off + e->blocks)
			continue;
		*blocks = min_t(u64, *blocks, e->off + e->blocks - off);
		*entry = i;
		return f->buffer + (e->data_block + (off - e->off)) * VCI_BLOCK_SIZE;
	}
	return NULL;
}

/**
 * vci_fill_serves() - may a read look for its data in fills?
 * @res: what it begins with in the tree
 * @blocks: of the read
 *
 * All of it must be a hole: a fill doesn't know what was written to the log since it
 * was read.  What is dirty when the read comes is mapped; and what was written back
 * before, and isn't mapped any more, made older fills stale.
 */
bool vci_fill_serves(const struct vci_lookup *res, u32 blocks)
{
	return !res->mapped && res->e.blocks >= blocks;
}

/**
 * vci_fill_fresh() - is what a fill holds still what the backing device has?
 * @c: cache
 * @f: fill
 * @entry: from vci_fill_find()
 *
 * Any context.  Ask when the data was copied: then it was so a moment ago.
 */
bool vci_fill_fresh(struct vci_cache *c, const struct vci_fill *f, int entry)
{
	const struct vci_fill_entry *e = &f->e[entry];

	return vci_tickets_valid(&c->tickets, e->off, e->blocks, &e->ticket);
}

/**
 * vci_fill_use() - what a fill holds is used
 * @f: fill; the caller's lock held
 * @entry: from vci_fill_find()
 * @first: takes the first uses of this read
 *
 * It doesn't count as a use, since it comes so soon, but it isn't "read ahead and not
 * asked for" any more.
 */
void vci_fill_use(struct vci_fill *f, int entry, struct vci_first_uses *first)
{
	struct vci_fill_entry *e = &f->e[entry];

	if (!(e->heat & VCI_HEAT_AHEAD) || first->nr == VCI_FIRST_USES)
		return;
	first->blocks += e->blocks;
	first->use[first->nr].unit = e->off >> VCI_UNIT_LOG2;
	first->use[first->nr++].bin = e->heat & VCI_HEAT_BIN;
	e->heat = 1;
}

/**
 * vci_cache_first_uses() - a read used what was read ahead
 * @c: cache
 * @first: what of it; may be none
 * @saved: and needed no I/O of the backing device
 *
 * Any context.
 */
void vci_cache_first_uses(struct vci_cache *c, const struct vci_first_uses *first,
			  bool saved)
{
	if (first->nr)
		vci_policy_first_uses(&c->policy, first, saved ? VCI_AROUND_ONE : 0);
}

/**
 * vci_cache_batch_blocks() - size of a fill's buffer
 * @c: cache
 *
 * Return: blocks: a unit in which the header ends, and a batch, which is never more
 * than a segment.
 */
u32 vci_cache_batch_blocks(const struct vci_cache *c)
{
	return min(VCI_BATCH_BLOCKS_MAX, c->segments.blocks + VCI_UNIT_BLOCKS);
}

/**
 * vci_cache_batch_align() - what batches are aligned to
 * @c: cache
 *
 * Return: blocks.
 */
u32 vci_cache_batch_align(const struct vci_cache *c)
{
	return c->header.batch_align;
}
