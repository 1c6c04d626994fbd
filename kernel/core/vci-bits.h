/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The exact bitmap of a clean close, made a piece at a time.
 *
 * The bits of a large image don't fit into memory.  So whoever knows which blocks
 * are in use says so once for each piece, in any order; what lies elsewhere doesn't
 * count.  The header comes last, when the sums are known.
 */
#ifndef VCI_BITS_H
#define VCI_BITS_H

#include "vci-codec.h"
#include "vci-io.h"

struct vci_bits {
	const struct vci_header *h;
	struct vci_dev *dev;
	u32 step;		/* blocks of bits in a piece, whole units */
	u32 at, nr;		/* the piece: blocks of bits from this one on */
	u8 *bits;
	u8 *unit;		/* the first one: header, and the bits behind it */
	u64 used;		/* bits set in the pieces before */
	u32 crc;		/* of their blocks */
};

int vci_bits_init(struct vci_bits *b, const struct vci_header *h, struct vci_dev *dev,
		  u32 step) __must_check;
void vci_bits_exit(struct vci_bits *b);
void vci_bits_set(struct vci_bits *b, u64 addr, u64 blocks);
int vci_bits_write(struct vci_bits *b) __must_check;
bool vci_bits_next(struct vci_bits *b);
int vci_bits_finish(struct vci_bits *b, u64 data_blocks) __must_check;

#endif /* VCI_BITS_H */
