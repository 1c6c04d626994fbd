// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes in place for who isn't in a hurry: see vci-place.h.
 */
#include "vci-place.h"

/**
 * vci_place_begin() - announce a write in place, if there may be one
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many, not 0
 * @hit: set if the first block is cached, as far as that can be said at once
 *
 * As vci_place_try().
 */
u64 vci_place_begin(struct vci_cache *c, u64 off, u32 blocks, bool *hit)
{
	return vci_place_try(c, off, blocks, hit);
}

/**
 * vci_place_end() - a write in place has ended
 * @c: cache
 * @off: as given to vci_place_begin()
 * @blocks: likewise
 * @error: of the device, 0 if it is written
 *
 * Any context; before the user is told.  After an error nobody knows what is on the
 * device: nothing is written any more.
 */
void vci_place_end(struct vci_cache *c, u64 off, u32 blocks, int error)
{
	if (error) {
		vci_err("%s: error %d writing %u blocks of %llu in place: nothing is written any more",
			c->dev->name, error, blocks, off);
		/* Not even for a moment may a cache that has failed not look stuck. */
		WRITE_ONCE(c->stuck, true);
		vci_cache_fail(c, error);
	}
	vci_place_done(c, off, blocks);
}
