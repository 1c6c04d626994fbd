/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The intent map (O1): regions of the backing device that may differ from what
 * clean mappings of the last checkpoint say.
 *
 * A region's mark is durable before the first write to it is submitted.  It is
 * cleared lazily, after a checkpoint: no write is in flight there, none began
 * or ended since that checkpoint's freeze, and the backing device was flushed
 * after that was found out.  A mark too many costs warm data after a crash; a
 * mark too few would let recovery resurrect what a write replaced.
 */
#ifndef VCI_INTENT_H
#define VCI_INTENT_H

#include "vci-codec.h"
#include "vci-io.h"

#define VCI_INTENT_SLOTS	256u
/* A write over more regions than this holds back all clearing. */
#define VCI_INTENT_WIDE		4u

struct vci_intent {
	u64 addr;
	u32 blocks;		/* of the map */
	u32 log2;		/* blocks of a region */
	u32 nr_regions;
	const u8 *uuid;
	struct vci_dev *dev;
	struct mutex lock;	/* one writer of the map at a time */
	unsigned long *marked;	/* durable marks */
	unsigned long *recent;	/* written since the last freeze */
	unsigned long *clearing;
	u8 *unit;		/* one unit of the map, being written */
	atomic_t wide;
	atomic_t writers[VCI_INTENT_SLOTS];
	u64 writes;		/* of the map, for statistics */
};

int vci_intent_init(struct vci_intent *m, const struct vci_header *h,
		    struct vci_dev *dev) __must_check;
void vci_intent_destroy(struct vci_intent *m);
int vci_intent_load(struct vci_intent *m) __must_check;

bool vci_intent_begin(struct vci_intent *m, u64 off, u64 blocks);
void vci_intent_end(struct vci_intent *m, u64 off, u64 blocks);
int vci_intent_mark(struct vci_intent *m, u64 off, u64 blocks) __must_check;
bool vci_intent_marked(const struct vci_intent *m, u64 off);
u32 vci_intent_count(const struct vci_intent *m);
u32 vci_intent_next(const struct vci_intent *m, u32 region);

void vci_intent_freeze(struct vci_intent *m);
int vci_intent_clear(struct vci_intent *m, struct vci_dev *backing) __must_check;

#endif /* VCI_INTENT_H */
