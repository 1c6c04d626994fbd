/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The node area: which units hold nodes of the tree.
 *
 * A unit may be written only if neither the last durable checkpoint nor the
 * one in the making uses it (copy-on-write).  Units of nodes that go out of
 * use while a checkpoint is written stay until it is complete.
 */
#ifndef VCI_NODES_H
#define VCI_NODES_H

#include "vci-shadow.h"

struct vci_nodes {
	u64 addr;
	u32 nr;			/* units */
	u32 hint;		/* where to look for a free one */
	u32 nr_live;		/* bits set in map */
	u32 nr_committed;	/* and in committed */
	bool in_checkpoint;
	struct vci_shadow map;	/* of the checkpoint in the making */
	u8 *committed;		/* of the last durable one */
	u8 *freed;		/* went out of use during this checkpoint */
};

int vci_nodes_init(struct vci_nodes *n, const struct vci_header *h) __must_check;
void vci_nodes_destroy(struct vci_nodes *n);
int vci_nodes_load(struct vci_nodes *n, struct vci_dev *dev,
		   const struct vci_header *h, struct vci_damage *dmg) __must_check;
u64 vci_nodes_alloc(struct vci_nodes *n);
void vci_nodes_free(struct vci_nodes *n, u64 addr);
u64 vci_nodes_next(const struct vci_nodes *n, u64 addr);
void vci_nodes_clear(struct vci_nodes *n);
void vci_nodes_commit(struct vci_nodes *n);
void vci_nodes_abort(struct vci_nodes *n);

#endif /* VCI_NODES_H */
