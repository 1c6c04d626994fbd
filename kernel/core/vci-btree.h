/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The B+-tree in memory: backing offset -> extent in the image.
 *
 * Shape: a table of windows of 2^31 blocks (the on-disk root), below each a
 * B+-tree of its own height whose keys are 32-bit offsets within the window.
 * A leaf holds its extents in packed parallel arrays (12 bytes an extent); a
 * child slot holds a node in memory or the address of one that is not resident.
 *
 * Concurrency: readers (vci_btree_lookup, vci_btree_touch) take no lock: RCU
 * keeps nodes alive, sequence counters make what they copy
 * consistent.  Everything named "locked" wants bt->lock held, does no I/O and
 * never sleeps or allocates: it takes nodes from a reserve that
 * vci_btree_prepare() fills.
 *
 * Invariants:
 *  I1 extents of a leaf are sorted by offset and don't overlap, none is empty
 *  I2 everything below a child lies in the range its parent gives it
 *  I3 no extent crosses a window's edge, or is longer than VCI_EXTENT_BLOCKS_MAX
 *  I4 a node that differs from its copy on the device is dirty, and so is every
 *     node above it
 *  I5 while a checkpoint is being written, the frozen version of each node that
 *     it must write stays unchanged: a writer clones it first (O9)
 */
#ifndef VCI_BTREE_H
#define VCI_BTREE_H

#include "vci-codec.h"
#include "vci-io.h"

struct vci_node;		/* in vci-btree-internal.h */

struct vci_btree_ops {
	/*
	 * Accounting, called with bt->lock held: @e was mapped, or is no longer
	 * (a part of an extent is passed as an extent).
	 */
	void (*mapped)(void *ctx, const struct vci_extent *e);
	void (*unmapped)(void *ctx, const struct vci_extent *e);
	/* Address for a node that is written now; 0: none left. No lock held. */
	u64 (*alloc_node)(void *ctx);
	/*
	 * The node at @addr does not belong to the next checkpoint (bt->lock
	 * held).  During a checkpoint this means the one after the one in progress.
	 */
	void (*free_node)(void *ctx, u64 addr);
	/* Write sealed node buffers to consecutive addresses. May sleep. */
	int (*write_nodes)(void *ctx, u64 addr, u32 nr_nodes, const void *data);
	/* Read one node into VCI_NODE_SIZE bytes. May sleep. */
	int (*read_node)(void *ctx, u64 addr, void *data);
};

struct vci_btree_stats {
	u64 nr_extents;		/* resident and not */
	u64 nr_leaves, nr_internals;	/* resident */
	u64 bytes;		/* memory of all nodes, reserve included */
	u64 loads, evictions, clones;
};

struct vci_btree;

/* Creates an empty tree, or one whose root node is read from @root_addr later. */
struct vci_btree *vci_btree_create(const struct vci_btree_ops *ops, void *ctx,
				   const struct vci_header *h);
/* Reads the root table. May sleep. */
int vci_btree_open(struct vci_btree *bt, u64 root_addr, u64 nr_extents) __must_check;
/* Frees all memory; readers must be gone. */
void vci_btree_destroy(struct vci_btree *bt);

/*
 * @quiet: a byte for each segment of 2^@log2 blocks from @addr on; not 0: uses of what
 * lies there don't count.  Before anybody reads.
 */
void vci_btree_set_quiet(struct vci_btree *bt, u64 addr, u32 log2, const u8 *quiet);
spinlock_t *vci_btree_lock(struct vci_btree *bt);
void vci_btree_get_stats(const struct vci_btree *bt, struct vci_btree_stats *s);

/* ---- readers: no lock, any context that may be preempted by RCU rules ---- */

struct vci_lookup {
	bool mapped;		/* else: a hole */
	/* The part of [off, off + blocks) from its start that is uniform: */
	struct vci_extent e;	/* off and blocks valid for holes too */
};

/*
 * What covers the blocks from @off: res->e starts at @off and is at least one
 * and at most @blocks long.  A hole may be reported shorter than it is (leaf
 * edges).  Returns 0; -EAGAIN if a node on the way is not resident:
 * vci_btree_load() it and call again; -EILSEQ if that node is damaged.
 */
int vci_btree_lookup(struct vci_btree *bt, u64 off, u32 blocks,
		     struct vci_lookup *res) __must_check;
/*
 * As lookup, and notes a use: vci_heat_used(), unless the segment of the extent is quiet
 * and it was asked for before; res->e.heat is that before.
 */
int vci_btree_lookup_touch(struct vci_btree *bt, u64 off, u32 blocks,
			   struct vci_lookup *res) __must_check;
/* Sets the heat where @e is still mapped, if the leaf is resident; may be lost. */
void vci_btree_cool(struct vci_btree *bt, const struct vci_extent *e, u8 heat);

/* ---- may sleep, no lock held ---- */

/* Makes resident every node on the way to [off, off + blocks). */
int vci_btree_load(struct vci_btree *bt, u64 off, u64 blocks) __must_check;
/* Fills the reserve so that locked calls can't run out of nodes. */
int vci_btree_prepare(struct vci_btree *bt, gfp_t gfp) __must_check;
/* Drops clean leaves (second chance) until at most @bytes are used. Returns bytes freed. */
u64 vci_btree_shrink(struct vci_btree *bt, u64 bytes);

/*
 * ---- changes: bt->lock held; @blocks at most VCI_ENTRY_BLOCKS_MAX; none
 * crosses a window's edge (callers cut there).
 *
 * Each is all or nothing: -EAGAIN if a node it needs is not resident (nothing
 * was changed: unlock, vci_btree_load, again), -ENOMEM if the reserve is too
 * small (unlock, vci_btree_prepare, again).
 */

/* Maps @e, whatever was there before. Merges with neighbours that continue it. */
int vci_btree_insert_locked(struct vci_btree *bt, const struct vci_extent *e) __must_check;
/* Maps those parts of @e that nothing maps (O7). *@nr_blocks: how many. */
int vci_btree_fill_locked(struct vci_btree *bt, const struct vci_extent *e,
			  u32 *nr_blocks) __must_check;
/* Unmaps the range. */
int vci_btree_remove_locked(struct vci_btree *bt, u64 off, u32 blocks) __must_check;
/* Unmaps those parts of the range that are clean. */
int vci_btree_remove_clean_locked(struct vci_btree *bt, u64 off, u32 blocks) __must_check;
/*
 * For each part of [off, off + blocks) that is mapped to @old_addr (+ its
 * distance from off): map it to e->addr (+ distance) with e->flags and e->heat
 * instead (O7); other parts stay. With @e NULL they are unmapped.
 */
int vci_btree_replace_locked(struct vci_btree *bt, u64 off, u32 blocks, u64 old_addr,
			     const struct vci_extent *e, u32 *nr_blocks) __must_check;

/*
 * ---- walking all extents in order: a sweep ----
 *
 * Copies up to @max extents from the first leaf that has one at or behind *@off
 * into @e; *@off becomes where to go on.  Returns the number, 0 at the end,
 * -EAGAIN if a node is not resident (load *@off, go on).  Lock not needed: the
 * copy is consistent per leaf.
 */
int vci_btree_walk(struct vci_btree *bt, u64 *off, struct vci_extent *e,
		   unsigned int max) __must_check;
/* As walk, but reads what isn't resident and doesn't keep it. May sleep. */
int vci_btree_walk_sleep(struct vci_btree *bt, u64 *off, struct vci_extent *e,
			 unsigned int max) __must_check;

/* ---- checkpoint ---- */

/* bt->lock held: the tree as it is now is what the checkpoint @gen will hold. */
void vci_btree_freeze_locked(struct vci_btree *bt, u64 gen);
/*
 * Writes every frozen node, children before parents, and the root; may sleep.
 * *@root: where the root is.  On an error the checkpoint can't be completed;
 * the tree stays usable for readers, all of it counts as dirty again.
 */
int vci_btree_write_frozen(struct vci_btree *bt, u64 *root) __must_check;
/* bt->lock held: the header has switched (or not: @error): the frozen versions go. */
void vci_btree_thaw_locked(struct vci_btree *bt, int error);
/* Nodes the next checkpoint would write: for spacing checkpoints. */
u32 vci_btree_dirty_nodes(const struct vci_btree *bt);
/* Memory that shrink can't free before a checkpoint is complete. */
u64 vci_btree_pinned_bytes(const struct vci_btree *bt);

/* Whole-tree check of I1-I4 on what is resident; for tests. -EUCLEAN + message. */
int vci_btree_validate(struct vci_btree *bt);

#endif /* VCI_BTREE_H */
