/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The backing device's fingerprint: checksums of sampled blocks.
 *
 * A tripwire, not a proof: it notices that a file system was mounted, restored
 * or replaced behind the cache's back when one of the samples changed.  Samples
 * are where superblocks lie, at the end, at scattered places, and where was
 * written last.  One in a marked region says nothing and is not compared.
 */
#ifndef VCI_IDENTITY_H
#define VCI_IDENTITY_H

#include "vci-intent.h"
#include "vci-shadow.h"

#define VCI_IDENTITY_RECENT	16u

struct vci_identity {
	struct vci_dev *backing;
	struct vci_shadow info;
	u64 backing_blocks;
	u64 recent[VCI_IDENTITY_RECENT];	/* blocks written last + 1, 0 none */
	u32 next_recent;
	u8 *buf;
};

int vci_identity_init(struct vci_identity *id, const struct vci_header *h,
		      struct vci_dev *backing) __must_check;
void vci_identity_destroy(struct vci_identity *id);
void vci_identity_wrote(struct vci_identity *id, u64 off);
void vci_identity_forget(struct vci_identity *id);
void vci_identity_update(struct vci_identity *id, const struct vci_intent *m,
			 bool (*dirty)(void *ctx, u64 off), void *ctx);
void vci_identity_written_back(struct vci_identity *id, u64 off, u32 blocks);
void vci_identity_freeze(struct vci_identity *id, const struct vci_intent *m,
			 bool (*dirty)(void *ctx, u64 off), void *ctx);
int vci_identity_compare(struct vci_identity *id, const struct vci_intent *m,
			 bool (*skip)(void *ctx, u64 off), void *ctx,
			 u64 *where) __must_check;

#endif /* VCI_IDENTITY_H */
