/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadow-paged areas: small tables that change with each checkpoint.
 *
 * The table is flat in memory.  On the device page i has two slots; a
 * checkpoint writes changed pages to the slot that is not in use, so the last
 * checkpoint's pages stay whole until the header has switched (O9).  The header
 * knows the generations of the pages in use (pages_crc), so that of a page whose
 * newer slot has rotted the older one isn't taken for it.
 */
#ifndef VCI_SHADOW_H
#define VCI_SHADOW_H

#include "vci-codec.h"
#include "vci-io.h"

struct vci_shadow {
	struct vci_area area;
	u32 nr_pages;
	u8 *data;		/* nr_pages * VCI_PAGE_PAYLOAD, the table */
	u8 *frozen;		/* the same, as of the last freeze */
	unsigned long *dirty;	/* pages changed since the last freeze */
	unsigned long *writing;	/* pages of the checkpoint in progress */
	unsigned long *slot;	/* slot in use, per page */
	u64 *gen;		/* of the slot in use, per page */
	u64 writing_gen;	/* of the checkpoint in progress */
};

int vci_shadow_init(struct vci_shadow *s, const struct vci_area *area) __must_check;
void vci_shadow_destroy(struct vci_shadow *s);
int vci_shadow_load(struct vci_shadow *s, struct vci_dev *dev, const u8 *uuid,
		    u64 max_gen, struct vci_damage *dmg) __must_check;
void vci_shadow_dirty(struct vci_shadow *s, u32 byte);
void vci_shadow_freeze(struct vci_shadow *s);
int vci_shadow_write(struct vci_shadow *s, struct vci_dev *dev, const u8 *uuid,
		     u64 gen) __must_check;
u32 vci_shadow_gens_crc(const struct vci_shadow *s, u32 crc);
void vci_shadow_commit(struct vci_shadow *s);

#endif /* VCI_SHADOW_H */
