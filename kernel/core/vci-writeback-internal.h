/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One round of write-back, filled by either of two orders: that of offsets
 * (vci-writeback.c) or that of the log (vci-ordered.c).
 */
#ifndef VCI_WRITEBACK_INTERNAL_H
#define VCI_WRITEBACK_INTERNAL_H

#include "vci-cache-internal.h"

/* Extents of one round, and pieces of one transfer. */
#define VCI_WB_ENTRIES	(5 * VCI_BATCH_ENTRIES_MAX)
#define VCI_WB_PIECES	64u

/* The longest extent fits into an empty round. */
static_assert(VCI_WB_ENTRIES * VCI_ENTRY_BLOCKS_MAX >= VCI_EXTENT_BLOCKS_MAX);

/* vci-ordered.c: where in the log the next batch may begin. */
struct vci_wb_place {
	u32 segment;
	u32 used;		/* blocks of it that lie before */
	u64 begun;		/* the segment's first batch; 0: nowhere yet */
	u64 seq;		/* of the last batch found in it; 0: none yet */
	u64 epoch;		/* likewise */
};

struct vci_wb_state {
	u8 *buffer;			/* data in transfer */
	u32 capacity;			/* blocks of it */
	u32 nr;
	bool check_data;		/* entries have their data's checksums */
	int error;			/* of the backing device, for some of them */
	struct vci_entry e[VCI_WB_ENTRIES];	/* what this round cleans */
	struct vci_ticket_write w[VCI_WB_ENTRIES];	/* its tickets */
	u32 nr_copied;			/* of w: announced as being copied */
	struct vci_piece from[VCI_WB_PIECES], to[VCI_WB_PIECES];
	/* vci-ordered.c */
	struct vci_entry batch[VCI_BATCH_ENTRIES_MAX];
	struct vci_wb_place at;		/* behind the last batch that is written back */
};

/* Adds a piece to the round; false: a write past the log is in flight there. */
bool vci_wb_take(struct vci_cache *c, const struct vci_entry *e);
/* Writes the round to the backing device and makes it clean. */
int vci_wb_write(struct vci_cache *c) __must_check;

/* vci-ordered.c */
int vci_ordered_round(struct vci_cache *c, struct vci_writeback *wb, u64 max_seq,
		      u64 max_blocks) __must_check;

#endif /* VCI_WRITEBACK_INTERNAL_H */
