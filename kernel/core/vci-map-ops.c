// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of the tree that load nodes and fill the reserve until they succeed.
 *
 * The tree's own calls are all or nothing under its lock; here is the loop
 * around them for callers that may sleep.
 */
#include "vci-cache-internal.h"

static int apply_locked(struct vci_cache *c, struct vci_change *ch)
{
	struct vci_extent *e = &ch->e;

	if (ch->ticket && !vci_tickets_valid(&c->tickets, e->off, e->blocks, ch->ticket))
		return -ESTALE;
	if (!ch->redo && vci_redo_pending(&c->redo, e->off, e->blocks))
		return -EAGAIN;
	switch (ch->kind) {
	case VCI_CHANGE_INSERT:
		return vci_btree_insert_locked(c->tree, e);
	case VCI_CHANGE_FILL:
		return vci_btree_fill_locked(c->tree, e, &ch->nr_blocks);
	case VCI_CHANGE_REMOVE:
		return vci_btree_remove_locked(c->tree, e->off, e->blocks);
	case VCI_CHANGE_REMOVE_CLEAN:
		return vci_btree_remove_clean_locked(c->tree, e->off, e->blocks);
	case VCI_CHANGE_REPLACE:
		return vci_btree_replace_locked(c->tree, e->off, e->blocks, ch->old_addr,
						ch->unmap ? NULL : e, &ch->nr_blocks);
	}
	return -EINVAL;
}

/**
 * vci_cache_change_locked() - change the mapping of a short range, now or not
 * @c: cache, its lock held
 * @ch: as for vci_cache_change()
 *
 * Task context.  Return: as vci_cache_try_change(); -ENOMEM: vci_btree_prepare() first.
 */
int vci_cache_change_locked(struct vci_cache *c, struct vci_change *ch)
{
	int r = apply_locked(c, ch);

	/* What replaces dirty data was counted behind what it replaces. */
	WRITE_ONCE(c->dirty_blocks, c->stats.dirty_blocks);
	return r;
}

/**
 * vci_cache_get_ready() - let a range catch up with the log, and read its nodes
 * @c: cache
 * @ch: change that returned -EAGAIN
 *
 * May sleep.  Return: 0, -EILSEQ, -ENOMEM or the device's error.
 */
int vci_cache_get_ready(struct vci_cache *c, const struct vci_change *ch)
{
	int r = ch->redo ? 0 : vci_redo_apply(c, ch->e.off, ch->e.blocks);

	if (!r)
		r = vci_btree_load(c->tree, ch->e.off, ch->e.blocks);
	vci_memory_keep(c);
	return r;
}

/**
 * vci_cache_try_change() - change the mapping of a short range, now or not
 * @c: cache
 * @ch: as for vci_cache_change()
 *
 * Task context, no sleep.  Return: as vci_cache_change(), or -EAGAIN: nodes must
 * be loaded.
 */
int vci_cache_try_change(struct vci_cache *c, struct vci_change *ch)
{
	int r;

	spin_lock(vci_cache_lock(c));
	r = vci_cache_change_locked(c, ch);
	spin_unlock(vci_cache_lock(c));
	return r;
}

/**
 * vci_cache_change() - change the mapping of a short range
 * @c: cache
 * @ch: what to do; at most VCI_ENTRY_BLOCKS_MAX blocks, in one window
 *
 * May sleep.  Return: 0, -ESTALE if the ticket is no longer valid, -EILSEQ if a
 * node is damaged, -ENOMEM or the device's error; nothing was changed then.
 */
int vci_cache_change(struct vci_cache *c, struct vci_change *ch)
{
	int r;

	for (;;) {
		r = vci_cache_try_change(c, ch);
		if (r == -EAGAIN)
			r = vci_cache_get_ready(c, ch);
		else if (r == -ENOMEM)
			r = vci_btree_prepare(c->tree, GFP_NOIO);
		else
			return r;
		if (r)
			return r;
	}
}

/* Unmaps what of [off, end) one extent covers. */
static int unmap_extent(struct vci_cache *c, const struct vci_extent *e, u64 off,
			u64 end, struct vci_change ch)
{
	int r = 0;

	off = max(off, e->off);
	end = min(end, e->off + e->blocks);
	while (!r && off < end) {
		ch.e.off = off;
		ch.e.blocks = min_t(u64, end - off, VCI_ENTRY_BLOCKS_MAX);
		r = vci_cache_change(c, &ch);
		off += ch.e.blocks;
	}
	return r;
}

/* As @how says, which is a change without a range. */
static int unmap_range(struct vci_cache *c, u64 off, u64 blocks, struct vci_change how)
{
	u64 end = off + blocks, pos = off;
	struct vci_extent e[8];
	int r, n, i;

	while (pos < end) {
		n = vci_btree_walk_sleep(c->tree, &pos, e, ARRAY_SIZE(e));
		if (n <= 0)
			return n;
		for (i = 0; i < n; i++) {
			if (e[i].off >= end)
				return 0;
			r = unmap_extent(c, &e[i], off, end, how);
			if (r)
				return r;
		}
	}
	return 0;
}

/**
 * vci_cache_unmap() - unmap a range of any length
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many
 * @clean_only: leave what is dirty
 *
 * Its cost is that of the extents that are there, not of the range.  May sleep.
 * Return: 0, -EILSEQ, -ENOMEM or the device's error.
 */
int vci_cache_unmap(struct vci_cache *c, u64 off, u64 blocks, bool clean_only)
{
	struct vci_change how = {
		.kind = clean_only ? VCI_CHANGE_REMOVE_CLEAN : VCI_CHANGE_REMOVE,
	};
	int r = vci_redo_apply(c, off, blocks);

	return r ? r : unmap_range(c, off, blocks, how);
}

/**
 * vci_cache_unmap_redo() - unmap what is clean in a range that is pending
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many
 *
 * By vci_redo_apply().  May sleep.  Return: as vci_cache_unmap().
 */
int vci_cache_unmap_redo(struct vci_cache *c, u64 off, u64 blocks)
{
	struct vci_change how = { .kind = VCI_CHANGE_REMOVE_CLEAN, .redo = true };

	return unmap_range(c, off, blocks, how);
}

/**
 * vci_cache_find_dirty() - is anything in a range dirty?
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many
 *
 * Looks leaf by leaf: what was dirty all the time is found.  May sleep.  Return: 1
 * if so, 0 if not, -EILSEQ, -ENOMEM or the device's error.
 */
int vci_cache_find_dirty(struct vci_cache *c, u64 off, u64 blocks)
{
	u64 end = off + blocks, pos = off;
	struct vci_extent e[8];
	int n, i;

	if (!READ_ONCE(c->may_dirty))
		return 0;
	n = vci_redo_apply(c, off, blocks);
	if (n)
		return n;
	while (pos < end) {
		n = vci_btree_walk_sleep(c->tree, &pos, e, ARRAY_SIZE(e));
		if (n <= 0)
			return n;
		for (i = 0; i < n && e[i].off < end; i++)
			if (e[i].flags & VCI_EXT_DIRTY)
				return 1;
	}
	return 0;
}
