/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lazy replay: what the log says, until somebody wants to know.
 *
 * Recovery reads the log and keeps its changes here, by region of the intent
 * map and within each in the order of the log, which it finds out when it has read
 * all: entries are linked then.  A region with changes, or whose
 * clean mappings must go (O1), is pending: what the tree says of it doesn't
 * count.  Who wants to know, or to change something there, lets its changes be
 * applied first: lookups and locked changes return -EAGAIN, as for a node that
 * isn't in memory, and vci_cache_load() and the like do it.  From then on the
 * region is like any other.
 *
 * A change means the same for each of its blocks alone, so it may be cut at the
 * borders of regions, and the order of regions doesn't matter.
 *
 * The writer applies all that is left before anything that looks at the whole
 * tree: a sweep, a checkpoint, write-back.
 */
#ifndef VCI_REDO_H
#define VCI_REDO_H

#include "vci-platform.h"

struct vci_cache;
struct vci_change;

/* A change, or the part of it in one region: 32 bytes. */
struct vci_redo_entry {
	u64 addr;
	u64 old_addr;
	u32 off;		/* from the start of its region */
	u32 next;		/* in the ring of its region; before that: its region */
	u16 blocks;		/* 0: applied */
	u8 kind;		/* enum vci_change_kind */
	u8 flags;
	u8 heat;
};

#define VCI_REDO_CHUNK	2048u	/* entries that are allocated at once */

/* All zero: nothing is pending. */
struct vci_redo {
	u32 nr_pending;		/* regions; changes under the cache's lock */
	u32 nr_regions;
	u32 log2;		/* blocks of a region */
	unsigned long *pending;	/* a bit per region; clears under the cache's lock */
	unsigned long *drop;	/* what is clean there goes, after the changes */

	struct mutex lock;	/* who applies; guards what follows */
	u32 *last;		/* per region: its last entry, from 1; 0: none */
	struct vci_redo_entry **chunks;
	u32 nr_chunks, max_chunks;
	u32 nr_entries;
	u32 nr_left;		/* not yet applied */
	u64 dirty;		/* blocks of them that will be dirty, or were */
};

/* By recovery, alone. */
int vci_redo_init(struct vci_redo *rd, u32 nr_regions, u32 log2) __must_check;
void vci_redo_destroy(struct vci_redo *rd);
/* Keeps a change, as one entry or more; it counts when they are linked. */
int vci_redo_add(struct vci_redo *rd, const struct vci_change *ch) __must_check;
void vci_redo_link(struct vci_redo *rd, u32 first, u32 nr);
void vci_redo_drop(struct vci_redo *rd, u32 region);
bool vci_redo_rewrote(const struct vci_redo *rd, u64 off);

/* Sleepers, any number at once; the cache's lock not held. */
int vci_redo_apply(struct vci_cache *c, u64 off, u64 blocks) __must_check;
/* The writer. */
int vci_redo_finish(struct vci_cache *c) __must_check;

u64 vci_redo_bytes(const struct vci_redo *rd);
u32 vci_redo_nodes(const struct vci_redo *rd);
u64 vci_redo_dirty(const struct vci_redo *rd);
bool vci_redo_in_range(const struct vci_redo *rd, u64 off, u64 blocks);

/* In how many regions does anything wait?  Any context. */
static inline u32 vci_redo_left(const struct vci_redo *rd)
{
	/* Who sees none sees the tree with all applied: pairs with region_done(). */
	return smp_load_acquire(&rd->nr_pending);
}

static inline bool vci_redo_any(const struct vci_redo *rd)
{
	return vci_redo_left(rd) != 0;
}

/* Does anything wait for the range?  If not, it never will.  Any context. */
static inline bool vci_redo_pending(const struct vci_redo *rd, u64 off, u64 blocks)
{
	return unlikely(vci_redo_any(rd)) && vci_redo_in_range(rd, off, blocks);
}

#endif /* VCI_REDO_H */
