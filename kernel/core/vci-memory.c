// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory: how much of it the cache may use, and what goes when it is short.
 *
 * Nodes that are clean can leave memory at any time and are read again when they
 * are wanted.  What a checkpoint has to write is pinned until it is complete.  So
 * a limit is kept by three shares of what the tree may use:
 *
 *	above all of it		who reads nodes drops others
 *	a quarter is pinned	a checkpoint is due
 *	three quarters are	fills and users' writes wait for the checkpoint
 *
 * Unmapping waits for nobody: between a checkpoint that is due and its end it may
 * pin more, and the last quarter is for that.
 */
#include "vci-cache-internal.h"

/* Less than this for the tree, and reading nodes would push each other out. */
#define TREE_BYTES_MIN	(256u << 10)
/* The nodes of one change, and the reserve: so many stay whatever the limit says. */
#define TREE_BYTES_FLOOR (48u << 10)
/* Dropped beyond the limit: not each new node makes room for itself. */
#define SLACK_SHIFT	4

/**
 * vci_memory_fixed() - memory that the cache takes besides the tree
 * @c: cache
 *
 * Return: bytes.
 */
u64 vci_memory_fixed(const struct vci_cache *c)
{
	return sizeof(*c) + vci_redo_bytes(&c->redo) +
	       c->direct.size * sizeof(*c->direct.ring) +
	       c->segments.nr * sizeof(*c->segments.s) +
	       (2ull * c->segments.table.nr_pages + 4ull * c->nodes.map.nr_pages) *
	       VCI_PAGE_PAYLOAD + vci_tickets_bytes() + vci_policy_bytes(&c->policy);
}

/* The smallest limit that a cache can keep. */
static u64 least_limit(const struct vci_cache *c)
{
	return vci_memory_fixed(c) + TREE_BYTES_MIN;
}

/* What the tree may use, of a limit that is set. */
static u64 tree_limit(const struct vci_cache *c, u64 limit)
{
	u64 fixed = vci_memory_fixed(c);

	return limit > fixed + TREE_BYTES_FLOOR ? limit - fixed : TREE_BYTES_FLOOR;
}

/**
 * vci_memory_keep() - drop clean nodes if the tree uses too much memory
 * @c: cache
 *
 * May sleep.
 */
void vci_memory_keep(struct vci_cache *c)
{
	u64 limit = READ_ONCE(c->mem_limit), least;
	struct vci_btree_stats tree;

	if (!limit)
		return;
	vci_btree_get_stats(c->tree, &tree);
	/* With room for what is read next. */
	limit = tree_limit(c, limit) - TREE_BYTES_FLOOR / 2;
	if (tree.bytes <= limit)
		return;
	/* Or what is pinned would drop what was read for the change that waits. */
	least = vci_btree_pinned_bytes(c->tree) + TREE_BYTES_FLOOR;
	vci_btree_shrink(c->tree, max(limit - (limit >> SLACK_SHIFT), least));
}

/* Asked with each batch: without a limit nothing is counted. */
static bool is_pinned(const struct vci_cache *c, u32 quarters)
{
	u64 limit = READ_ONCE(c->mem_limit);

	return limit && vci_btree_pinned_bytes(c->tree) >
			tree_limit(c, limit) / 4 * quarters;
}

/**
 * vci_memory_checkpoint_due() - is so much pinned that a checkpoint is due?
 * @c: cache
 *
 * Any context; a hint.
 */
bool vci_memory_checkpoint_due(const struct vci_cache *c)
{
	return is_pinned(c, 1);
}

/**
 * vci_memory_full() - is so much pinned that nothing may be mapped?
 * @c: cache
 *
 * Any context; a hint.
 */
bool vci_memory_full(const struct vci_cache *c)
{
	return is_pinned(c, 3);
}

/**
 * vci_cache_set_mem_limit() - bound the memory of a cache
 * @c: cache
 * @bytes: limit for what get_stats() calls memory_bytes; 0 for none
 *
 * Any context that may sleep.  It is reached with the next checkpoint.  Return: 0,
 * or the least number of bytes if @bytes is too small for this image.
 */
u64 vci_cache_set_mem_limit(struct vci_cache *c, u64 bytes)
{
	u64 least = least_limit(c);

	if (bytes && bytes < least)
		return least;
	WRITE_ONCE(c->mem_limit, bytes);
	vci_memory_keep(c);
	return 0;
}

/**
 * vci_cache_shrink() - drop some clean nodes from memory
 * @c: cache
 * @bytes: how much memory is wanted
 *
 * May sleep; does no I/O and allocates nothing.  Return: bytes freed.
 */
u64 vci_cache_shrink(struct vci_cache *c, u64 bytes)
{
	struct vci_btree_stats tree;

	vci_btree_get_stats(c->tree, &tree);
	return vci_btree_shrink(c->tree, tree.bytes > bytes ? tree.bytes - bytes : 0);
}

/**
 * vci_cache_clean_bytes() - what vci_cache_shrink() could free at most
 * @c: cache
 *
 * Any context; a hint.
 */
u64 vci_cache_clean_bytes(const struct vci_cache *c)
{
	u64 pinned = vci_btree_pinned_bytes(c->tree);
	struct vci_btree_stats tree;

	vci_btree_get_stats(c->tree, &tree);
	return tree.bytes > pinned ? tree.bytes - pinned : 0;
}
