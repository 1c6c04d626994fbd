/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ghosts: what was dropped lately, so that it is known when it comes back.
 *
 * Of each unit (4 KiB of the backing device) that leaves the cache a fingerprint
 * of 16 bits stays, with the queue it left and when: 4 bytes.  They are in
 * buckets of four, of which the oldest goes, by its own queue's drops.  A fingerprint
 * may lie: once in some ten thousand questions.
 *
 * A ghost's age is how many units its queue dropped since.  What is remembered of a
 * queue is at which moments, counted in units that all queues dropped, it had dropped
 * how many, and how old those were.
 */
#ifndef VCI_GHOST_H
#define VCI_GHOST_H

#include "vci-platform.h"

#define VCI_GHOST_QUEUES	3u
/* So many moments of the past are remembered: half a round of the clock. */
#define VCI_GHOST_MOMENTS	256u

struct vci_ghost_queue {
	u64 dropped;				/* units, ever */
	u64 born;				/* when the last one was filled */
};

struct vci_ghost_moment {
	struct vci_ghost_queue q[VCI_GHOST_QUEUES];
};

struct vci_ghosts {
	u32 *slot;
	u32 mask;				/* buckets - 1 */
	u32 units;				/* so many drops a ghost counts */
	u32 tick;				/* drops in one step of the clock */
	u64 dropped;				/* by all queues */
	struct vci_ghost_queue q[VCI_GHOST_QUEUES];
	struct vci_ghost_moment past[VCI_GHOST_MOMENTS];
};

struct vci_ghost {
	u8 queue;
	u32 age;				/* units its queue dropped since */
	u64 born;				/* when it was filled, about */
};

/* @units: so many drops a ghost counts; @slots: how many there are.  May sleep. */
int vci_ghosts_init(struct vci_ghosts *g, u32 units, u32 slots) __must_check;
void vci_ghosts_destroy(struct vci_ghosts *g);

struct vci_ghosts_more {
	u32 *slot;
	u32 mask;
};

/* Room for more: the first may sleep, and has no lock; the second the caller's. */
bool vci_ghosts_more(const struct vci_ghosts *g, u32 slots, struct vci_ghosts_more *more);
void vci_ghosts_grow(struct vci_ghosts *g, struct vci_ghosts_more *more);
u64 vci_ghosts_bytes(const struct vci_ghosts *g);
/* All below: the caller's lock. */
/* @born: any clock of the caller's that doesn't go back. */
void vci_ghosts_add(struct vci_ghosts *g, u64 unit, u8 queue, u64 born);
/* Was it dropped lately?  Then it is forgotten, and *@ghost says about it. */
bool vci_ghosts_take(struct vci_ghosts *g, u64 unit, struct vci_ghost *ghost);

#endif /* VCI_GHOST_H */
