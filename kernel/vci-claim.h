/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who may use the image on a cache device.
 *
 * When a table is reloaded, two instances of the target exist for the same
 * devices, and the old one's destructor runs after the new one's resume.  A
 * claim, shared by all instances that name one cache device, says which of them
 * the image belongs to; only that one may write to it.
 *
 * A claim also remembers an image that was bypassed after a failure: it is out
 * of date from then on, and must not be used again until it is formatted anew.
 */
#ifndef VCI_CLAIM_H
#define VCI_CLAIM_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

struct vci_target;

struct vci_claim {
	struct list_head list;
	unsigned int refs;		/* instances; guarded by the list's lock */
	dev_t dev;			/* the cache device */

	/* Held while the image is activated, handed over or closed. */
	struct mutex lock;
	struct vci_target *owner;	/* NULL: nobody has it open */
	bool running;			/* the owner is not suspended */
	bool retired;
	u8 retired_uuid[16];
};

struct vci_claim *vci_claim_get(dev_t dev);
void vci_claim_put(struct vci_claim *claim);
void vci_claim_retire(struct vci_claim *claim, const u8 *uuid);
bool vci_claim_is_retired(const struct vci_claim *claim, const u8 *uuid);
void vci_claims_exit(void);

#endif /* VCI_CLAIM_H */
