// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of claims: see vci-claim.h.
 */
#include <linux/lockdep.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "vci-claim.h"

static LIST_HEAD(claims);
static DEFINE_MUTEX(claims_lock);

static struct vci_claim *claim_find_locked(dev_t dev)
{
	struct vci_claim *claim;

	lockdep_assert_held(&claims_lock);
	list_for_each_entry(claim, &claims, list)
		if (claim->dev == dev)
			return claim;
	return NULL;
}

static struct vci_claim *claim_add_locked(dev_t dev)
{
	struct vci_claim *claim;

	lockdep_assert_held(&claims_lock);
	claim = kzalloc(sizeof(*claim), GFP_KERNEL);
	if (!claim)
		return NULL;
	claim->dev = dev;
	mutex_init(&claim->lock);
	list_add(&claim->list, &claims);
	return claim;
}

static void claim_free(struct vci_claim *claim)
{
	list_del(&claim->list);
	mutex_destroy(&claim->lock);
	kfree(claim);
}

/**
 * vci_claim_get() - the claim that stands for a cache device
 * @dev: the device
 *
 * May sleep.  Return: the claim, to be given to vci_claim_put(); NULL without
 * memory.
 */
struct vci_claim *vci_claim_get(dev_t dev)
{
	struct vci_claim *claim;

	mutex_lock(&claims_lock);
	claim = claim_find_locked(dev);
	if (!claim)
		claim = claim_add_locked(dev);
	if (claim)
		claim->refs++;
	mutex_unlock(&claims_lock);
	return claim;
}

/**
 * vci_claim_put() - undo vci_claim_get()
 * @claim: claim whose owner is not the caller, or NULL
 *
 * What is known of a retired image outlives its users.
 */
void vci_claim_put(struct vci_claim *claim)
{
	if (!claim)
		return;
	mutex_lock(&claims_lock);
	if (!--claim->refs && !claim->retired)
		claim_free(claim);
	mutex_unlock(&claims_lock);
}

/**
 * vci_claim_retire() - the image was bypassed: it is out of date
 * @claim: claim, locked
 * @uuid: the image's
 */
void vci_claim_retire(struct vci_claim *claim, const u8 *uuid)
{
	lockdep_assert_held(&claim->lock);
	memcpy(claim->retired_uuid, uuid, sizeof(claim->retired_uuid));
	claim->retired = true;
}

/**
 * vci_claim_is_retired() - was this image bypassed since the module was loaded?
 * @claim: claim, locked
 * @uuid: the image's; formatting gives it a new one
 */
bool vci_claim_is_retired(const struct vci_claim *claim, const u8 *uuid)
{
	lockdep_assert_held(&claim->lock);
	return claim->retired &&
	       !memcmp(claim->retired_uuid, uuid, sizeof(claim->retired_uuid));
}

/**
 * vci_claims_exit() - forget everything, at the end of the module
 */
void vci_claims_exit(void)
{
	struct vci_claim *claim, *next;

	list_for_each_entry_safe(claim, next, &claims, list)
		claim_free(claim);
}
