/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The whole-image walker: judges every rule of the format, one finding each.
 *
 * A cleanly closed image is judged whole.  Of one that was not closed what the
 * last checkpoint promises is judged: headers, intent map, pages, the tree and
 * the node map; not what only the clean close makes exact (bitmap, LRU list,
 * live counts).  It writes nothing, and shares no code with what builds trees.
 *
 * Memory: one bit per block of the image, 24 bytes per extent.
 */
#ifndef VCI_VERIFY_H
#define VCI_VERIFY_H

#include "vci-codec.h"
#include "vci-io.h"

struct vci_verify_params {
	struct vci_dev *dev;
	struct vci_dev *backing;	/* clean extents are compared; may be NULL */
	/* Called for each finding; @text is one line without a newline. */
	void (*finding)(void *ctx, const struct vci_damage *dmg, const char *text);
	void *ctx;
};

struct vci_verify_result {
	struct vci_header header;	/* zero if there is no intact one */
	u64 nr_findings;
	bool clean;		/* the image was closed cleanly */
	u64 nr_nodes, nr_leaves;
	u64 nr_extents, data_blocks;
	u64 dirty_extents, dirty_blocks;
	u64 compared_blocks;	/* with the backing device */
	u32 regions_marked;	/* in the intent map, damaged blocks as all set */
	u32 depth;		/* levels of the tree, its root included */
};

/*
 * May sleep, and takes as long as reading all metadata.  Returns 0 if the image
 * could be judged: look at nr_findings and clean.  Else it can't be told:
 * -ENOTBLK no VCI image, -EOPNOTSUPP unknown version or features, -ENOMEM, or
 * an error of a device; findings made until then hold.
 */
int vci_verify(const struct vci_verify_params *p,
	       struct vci_verify_result *result) __must_check;

#endif /* VCI_VERIFY_H */
