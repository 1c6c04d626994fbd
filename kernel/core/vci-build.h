/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Building a compact tree from extents in order, with LRU links, in one pass.
 *
 * A leaf is complete, and written, when the links of all its extents are known.
 * The list runs through the classes of heat, hottest first, and within a class
 * in offset order.  So a leaf waits only while it holds the last extent seen of
 * a class, or the first of one: never more than two leaves a class.
 */
#ifndef VCI_BUILD_H
#define VCI_BUILD_H

#include "vci-codec.h"
#include "vci-io.h"

#define VCI_HEAT_CLASSES	(VCI_HEAT_MAX + 1)

struct vci_build_ops {
	u64 (*alloc_node)(void *ctx);	/* 0: none left */
	int (*write_node)(void *ctx, u64 addr, const void *node);
};

struct vci_build;

struct vci_build_result {
	u64 root;
	u64 lru_head, lru_tail;
	u64 nr_extents, data_blocks;
};

int vci_build_begin(struct vci_build **b, const struct vci_header *h, u64 gen,
		    const struct vci_build_ops *ops, void *ctx) __must_check;
int vci_build_add(struct vci_build *b, const struct vci_extent *e) __must_check;
int vci_build_end(struct vci_build *b, struct vci_build_result *res) __must_check;
void vci_build_free(struct vci_build *b);

#endif /* VCI_BUILD_H */
