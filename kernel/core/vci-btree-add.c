// SPDX-License-Identifier: GPL-2.0-only
/*
 * The short way to map an extent, for nearly all of them: it lies in a hole of a leaf
 * that has room and changes already, or takes the place of one that is as long.
 *
 * It does what vci-btree-edit.c would: there is nothing to cut, nothing to merge with,
 * nothing to clone or split, so nothing can fail.  The leaf is dirty since the last
 * freeze, and so is all above it (I4); what lies in the range that it had when it last
 * changed, lies in the ranges that all above it have noted.
 */
#include "vci-btree-internal.h"

/* The leaf that covers @key, if it is in memory. */
static struct vci_leaf *find_leaf(const struct vci_btree *bt, u32 window, u32 key)
{
	u64 slot = bt->table[window];

	/* Ends: each node is one level below the one before. */
	while (!(slot & (VCI_SLOT_ABSENT | VCI_SLOT_LEAF))) {
		const struct vci_inner *inner = (struct vci_inner *)(unsigned long)slot;

		if (!inner)
			return NULL;
		slot = inner->slot[vci_inner_index(inner, key)];
	}
	return vci_slot_absent(slot) ? NULL : vci_leaf(vci_slot_node(slot));
}

static bool is_open(const struct vci_btree *bt, const struct vci_node *n)
{
	return n->dirty && n->epoch == bt->epoch && n->nr;
}

/* One extent with what lies behind it at once?  Flags aren't looked at. */
static bool joins(const struct vci_btree *bt, u32 key, u64 addr, u32 blocks, u32 next_key,
		  u64 next_addr, u32 next_blocks)
{
	return key + blocks == next_key && addr + blocks == next_addr &&
	       blocks + next_blocks <= VCI_MERGE_BLOCKS_MAX &&
	       vci_bt_may_join(bt, next_addr);
}

/* @before may be -1, @behind the end. */
static bool merges(const struct vci_btree *bt, const struct vci_leaf *leaf,
		   unsigned int before, unsigned int behind, u32 key,
		   const struct vci_extent *e)
{
	if (e->blocks >= VCI_MERGE_BLOCKS_MAX)
		return false;
	if (before < leaf->n.nr &&
	    joins(bt, leaf->key[before], vci_val_addr(&leaf->val[before]),
		  leaf->val[before].blocks, key, e->addr, e->blocks))
		return true;
	return behind < leaf->n.nr &&
	       joins(bt, key, e->addr, e->blocks, leaf->key[behind],
		     vci_val_addr(&leaf->val[behind]), leaf->val[behind].blocks);
}

static void exchange(struct vci_btree *bt, struct vci_leaf *leaf, unsigned int i,
		     const struct vci_extent *e)
{
	const struct vci_extent old = {
		.off = e->off,
		.addr = vci_val_addr(&leaf->val[i]),
		.blocks = e->blocks,
		.flags = vci_val_flags(&leaf->val[i]),
		.heat = leaf->val[i].heat,
	};

	if (bt->ops->unmapped)
		bt->ops->unmapped(bt->ctx, &old);
	raw_write_seqcount_begin(&leaf->n.seq);
	leaf->val[i] = vci_val(e->addr, e->blocks, e->flags, e->heat);
	raw_write_seqcount_end(&leaf->n.seq);
}

static void put(struct vci_btree *bt, struct vci_leaf *leaf, unsigned int i, u32 key,
		const struct vci_extent *e)
{
	unsigned int tail = leaf->n.nr - i;

	bt->stats.nr_extents++;
	raw_write_seqcount_begin(&leaf->n.seq);
	memmove(&leaf->key[i + 1], &leaf->key[i], tail * sizeof(leaf->key[0]));
	memmove(&leaf->val[i + 1], &leaf->val[i], tail * sizeof(leaf->val[0]));
	leaf->key[i] = key;
	leaf->val[i] = vci_val(e->addr, e->blocks, e->flags, e->heat);
	leaf->n.nr++;
	raw_write_seqcount_end(&leaf->n.seq);
}

/**
 * vci_bt_add() - map an extent, if that is simple
 * @bt: the tree, bt->lock held
 * @e: what to map
 * @over: may it take the place of something?
 *
 * Return: true if it was mapped; else nothing was changed.
 */
bool vci_bt_add(struct vci_btree *bt, const struct vci_extent *e, bool over)
{
	u32 key = e->off & VCI_WINDOW_MASK, blocks = e->blocks;
	struct vci_leaf *leaf;
	unsigned int i;

	lockdep_assert_held(&bt->lock);
	if (!blocks || blocks > VCI_ENTRY_BLOCKS_MAX || e->off + blocks > bt->backing_blocks)
		return false;
	leaf = find_leaf(bt, e->off >> VCI_WINDOW_LOG2, key);
	if (!leaf || !is_open(bt, &leaf->n) || key < leaf->n.start ||
	    key + blocks > leaf->n.end)
		return false;
	i = vci_leaf_index(leaf, key);
	if (over && leaf->key[i] == key && leaf->val[i].blocks == blocks) {
		if (merges(bt, leaf, i - 1, i + 1, key, e))
			return false;
		exchange(bt, leaf, i, e);
	} else {
		if (leaf->key[i] <= key) {
			if (leaf->key[i] + leaf->val[i].blocks > key)
				return false;
			i++;
		}
		if (leaf->n.nr >= bt->leaf_max || leaf->key[i] < key + blocks ||
		    merges(bt, leaf, i - 1, i, key, e))
			return false;
		put(bt, leaf, i, key, e);
	}
	if (bt->ops->mapped)
		bt->ops->mapped(bt->ctx, e);
	return true;
}
