/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the whole-image walker share.
 */
#ifndef VCI_VERIFY_INTERNAL_H
#define VCI_VERIFY_INTERNAL_H

#include "vci-verify.h"

/* Reads of bitmap and data are this long at most, edges included. */
#define VERIFY_CHUNK_UNITS	32u
#define VERIFY_CHUNK_BLOCKS	(VERIFY_CHUNK_UNITS * VCI_UNIT_BLOCKS)
#define VERIFY_CHUNK_SIZE	(VERIFY_CHUNK_UNITS * VCI_UNIT_SIZE)

struct verify_link {
	u64 addr, prev, next;
};

struct verify {
	const struct vci_verify_params *p;
	struct vci_verify_result *r;
	const struct vci_header *h;	/* in r */
	/*
	 * A part of the tree could not be read: what compares with all of it
	 * would only repeat that.
	 */
	bool incomplete;
	u8 *used;		/* a bit for each block somebody uses */
	u8 *nodemap;		/* as on the device; NULL if a page is lost */
	u32 *live;		/* mapped blocks per segment, counted */
	struct verify_link *links;
	u64 nr_links, max_links;
	u8 *buf, *buf2;		/* VERIFY_CHUNK_SIZE each */
};

void vci_verify_found(struct verify *v, const struct vci_damage *dmg);
void vci_verify_report(struct verify *v, enum vci_damage_number nr, u64 addr,
		       u64 found, u64 expected);
/* Marks blocks as used; a block that was marked before is a finding. */
void vci_verify_use(struct verify *v, u64 addr, u64 blocks);

/* The tree and what it maps (vci-verify-tree.c). */
int vci_verify_tree(struct verify *v) __must_check;
/* The LRU list over v->links (vci-verify-lru.c). */
int vci_verify_lru_add(struct verify *v, u64 addr, u64 prev, u64 next) __must_check;
void vci_verify_lru(struct verify *v);
/* Segment table, node map, info (vci-verify-pages.c). */
int vci_verify_page_gens(struct verify *v) __must_check;
int vci_verify_load_nodemap(struct verify *v) __must_check;
void vci_verify_nodemap(struct verify *v);
int vci_verify_segments(struct verify *v) __must_check;
int vci_verify_info(struct verify *v) __must_check;

#endif /* VCI_VERIFY_INTERNAL_H */
