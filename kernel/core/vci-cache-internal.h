/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cache's own state, shared by the files behind vci-cache.h.
 *
 * One lock, the tree's, guards tree, segments, node map and log; it is never
 * held over I/O.  "Writer" below is the one caller that appends, reclaims and
 * writes checkpoints (vci-cache.h).
 */
#ifndef VCI_CACHE_INTERNAL_H
#define VCI_CACHE_INTERNAL_H

#include "vci-cache.h"
#include "vci-identity.h"
#include "vci-intent.h"
#include "vci-log.h"
#include "vci-nodes.h"

struct vci_cache {
	struct vci_dev *dev;
	struct vci_dev *backing;
	const struct vci_cache_ops *ops;
	void *ctx;
	int failed;			/* the error that made us give up */
	bool retired;			/* ... and the image was told, if it could be */
	struct mutex header_lock;	/* one writer of the header at a time */

	struct vci_header header;	/* as on the device */
	u8 *header_unit;		/* image of the header's unit */
	struct vci_btree *tree;
	struct vci_nodes nodes;
	struct vci_segments segments;
	struct vci_log log;
	struct vci_intent intent;
	struct vci_tickets tickets;
	struct vci_identity identity;

	struct vci_cache_stats stats;
	bool checkpoint_due;		/* append finds no room before one */
	struct vci_extent *walk;	/* VCI_LEAF_MAX of them, for the writer */
};

static inline spinlock_t *vci_cache_lock(struct vci_cache *c)
{
	return vci_btree_lock(c->tree);
}

/* vci-cache.c */
int vci_cache_create(struct vci_cache **cache, const struct vci_header *h) __must_check;
int vci_cache_flush(struct vci_cache *c) __must_check;
u32 vci_cache_pages_crc(const struct vci_cache *c);
int vci_cache_write_header(struct vci_cache *c, const struct vci_header *h) __must_check;

/* vci-checkpoint.c */
int vci_cache_write_pages(struct vci_cache *c, struct vci_header *h) __must_check;

/* vci-map-ops.c: changes of the tree that retry until they are done */
enum vci_change_kind {
	VCI_CHANGE_INSERT, VCI_CHANGE_FILL, VCI_CHANGE_REMOVE,
	VCI_CHANGE_REMOVE_CLEAN, VCI_CHANGE_REPLACE,
};

struct vci_change {
	enum vci_change_kind kind;
	struct vci_extent e;		/* new mapping, or range to unmap */
	u64 old_addr;			/* REPLACE */
	bool unmap;			/* REPLACE: with nothing */
	const struct vci_ticket *ticket;	/* NULL, or must be valid: else -ESTALE */
	u32 nr_blocks;			/* FILL, REPLACE: how many applied */
};

int vci_cache_change(struct vci_cache *c, struct vci_change *ch) __must_check;
int vci_cache_unmap(struct vci_cache *c, u64 off, u64 blocks, bool clean_only) __must_check;

/* vci-recovery.c */
int vci_recover(struct vci_cache *c, struct vci_open_report *report) __must_check;

/* vci-reclaim.c */
int vci_reclaim(struct vci_cache *c, u32 segments) __must_check;
u32 vci_reclaim_wanted(const struct vci_cache *c);
u32 vci_nodes_wanted(const struct vci_cache *c);
bool vci_checkpoint_fits(const struct vci_cache *c);
int vci_drop_some(struct vci_cache *c) __must_check;
int vci_make_room(struct vci_cache *c) __must_check;

#endif /* VCI_CACHE_INTERNAL_H */
