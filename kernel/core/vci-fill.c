// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fills: batches in the making, and their way into log and tree.
 *
 * What was read from the backing device (or written to it) is copied into a
 * fill, appended to the log as one write, and mapped where nothing else is
 * mapped and nothing was written meanwhile (O7).
 */
#include "vci-cache-internal.h"

/**
 * vci_fill_init() - an empty fill
 * @f: to set up
 * @buffer: memory for header and data
 * @buffer_blocks: its size
 */
void vci_fill_init(struct vci_fill *f, u8 *buffer, u32 buffer_blocks)
{
	f->buffer = buffer;
	f->capacity = buffer_blocks - VCI_UNIT_BLOCKS;
	f->used = 0;
	f->nr = 0;
	f->pending = 0;
}

/**
 * vci_fill_reserve() - room for data in a fill
 * @f: fill; the caller's lock held
 * @off: first block on the backing device
 * @blocks: how many are wanted
 * @t: ticket for the blocks
 *
 * Return: index of the entry, which may be shorter than @blocks, or -ENOSPC.
 */
int vci_fill_reserve(struct vci_fill *f, u64 off, u32 blocks,
		     const struct vci_ticket *t)
{
	struct vci_fill_entry *e = &f->e[f->nr];

	if (f->nr == VCI_BATCH_ENTRIES_MAX || f->used == f->capacity)
		return -ENOSPC;
	blocks = min_t(u32, blocks, VCI_ENTRY_BLOCKS_MAX);
	blocks = min_t(u64, blocks, VCI_WINDOW_BLOCKS - (off & (VCI_WINDOW_BLOCKS - 1)));
	e->off = off;
	e->blocks = min(blocks, f->capacity - f->used);
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

static bool entry_fresh(struct vci_cache *c, const struct vci_fill_entry *fe)
{
	return fe->valid && vci_tickets_valid(&c->tickets, fe->off, fe->blocks,
					      &fe->ticket);
}

/* Builds the entries of the batch; returns how many still map something. */
static u32 build_entries(struct vci_cache *c, const struct vci_fill *f,
			 struct vci_entry *entries)
{
	u32 i, nr = 0;

	for (i = 0; i < f->nr; i++) {
		const struct vci_fill_entry *fe = &f->e[i];
		struct vci_entry *e = &entries[i];
		bool fresh = entry_fresh(c, fe);

		memset(e, 0, sizeof(*e));
		e->off = fe->off;
		e->blocks = fe->blocks;
		e->kind = fresh ? VCI_ENTRY_FILL : VCI_ENTRY_VOID;
		e->data_crc = vci_data_crc(f->buffer +
					   (size_t)fe->data_block * VCI_BLOCK_SIZE,
					   fe->blocks);
		nr += fresh;
	}
	return nr;
}

static int map_entry(struct vci_cache *c, const struct vci_fill_entry *fe,
		     const struct vci_entry *e)
{
	struct vci_change ch = {
		.kind = VCI_CHANGE_FILL,
		.e = { .off = e->off, .blocks = e->blocks, .addr = e->addr,
		       .flags = e->flags, .heat = e->heat },
		.ticket = &fe->ticket,
	};
	int r;

	if (e->kind != VCI_ENTRY_FILL)
		return -ESTALE;
	r = vci_cache_change(c, &ch);
	if (!r)
		c->stats.filled_blocks += ch.nr_blocks;
	return r;
}

static int reserve(struct vci_cache *c, u32 blocks, struct vci_batch_info *info)
{
	int r;

	for (;;) {
		spin_lock(vci_cache_lock(c));
		r = vci_log_reserve(&c->log, blocks, info);
		spin_unlock(vci_cache_lock(c));
		if (r != -EAGAIN)
			return r;
		r = vci_cache_flush(c);
		if (r)
			return r;
	}
}

static int append(struct vci_cache *c, struct vci_fill *f, struct vci_entry *entries)
{
	u32 blocks = round_up(VCI_UNIT_BLOCKS + f->used, VCI_UNIT_BLOCKS), i;
	struct vci_batch_info info;
	int r;

	memset(f->buffer + (size_t)(VCI_UNIT_BLOCKS + f->used) * VCI_BLOCK_SIZE, 0,
	       (size_t)(blocks - VCI_UNIT_BLOCKS - f->used) * VCI_BLOCK_SIZE);
	r = reserve(c, blocks, &info);
	if (r)
		return r;
	info.header_blocks = VCI_UNIT_BLOCKS;
	info.nr_entries = f->nr;
	vci_batch_seal(f->buffer, c->header.uuid, &info, entries);
	r = vci_write(c->dev, info.addr, blocks, f->buffer, 0);
	if (r) {
		vci_cache_fail(c, r);
		return r;
	}
	spin_lock(vci_cache_lock(c));
	vci_log_complete(&c->log, &info);
	spin_unlock(vci_cache_lock(c));
	c->stats.appended_blocks += blocks;
	c->stats.batches++;
	for (i = 0; i < f->nr; i++) {
		r = map_entry(c, &f->e[i], &entries[i]);
		if (r == -ESTALE)
			c->stats.stale_fills++;
		else if (r)
			c->stats.dropped_fills++;
	}
	return 0;
}

/**
 * vci_cache_append() - write a fill to the log and map what is still valid
 * @c: cache
 * @f: fill without pending entries; empty afterwards
 *
 * By the writer.  May sleep.  Return: 0; -ENOSPC if there is no room before a
 * checkpoint, and perhaps reclaim; else the device's error, and the cache has
 * failed.
 */
int vci_cache_append(struct vci_cache *c, struct vci_fill *f)
{
	struct vci_entry *entries;
	int r = 0;

	VCI_ASSERT(!f->pending);
	if (vci_cache_is_failed(c))
		r = -EIO;
	else if (c->nodes.nr_committed + vci_nodes_wanted(c) >= c->nodes.nr)
		r = -ENOSPC;	/* the tree might not find room beside itself */
	entries = r ? NULL : kvcalloc(VCI_BATCH_ENTRIES_MAX, sizeof(*entries), GFP_NOIO);
	if (!r && !entries)
		r = -ENOMEM;
	if (!r) {
		if (build_entries(c, f, entries))
			r = append(c, f, entries);
		else
			c->stats.stale_fills += f->nr;
	}
	if (r)
		c->stats.dropped_fills += f->nr;
	if (r == -ENOSPC)
		WRITE_ONCE(c->checkpoint_due, true);
	kvfree(entries);
	vci_fill_init(f, f->buffer, f->capacity + VCI_UNIT_BLOCKS);
	return r;
}
