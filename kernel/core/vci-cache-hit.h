/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hit path of the core, inline: for the few places of the shell where it
 * matters.  The shell looks into struct vci_cache through this alone.
 */
#ifndef VCI_CACHE_HIT_H
#define VCI_CACHE_HIT_H

#include "vci-btree-lookup.h"
#include "vci-cache-internal.h"

/**
 * vci_cache_hit() - where a read finds all it wants, if it is that simple
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many, not 0
 * @hit: where all of it lies
 *
 * In an RCU read section of any kind; never waits.  The caller holds off
 * drain_readers() as for vci_cache_lookup().
 *
 * Return: true; else, or if that can't be said at once, false: then vci_cache_lookup()
 * knows more.
 */
static __always_inline bool vci_cache_hit(struct vci_cache *c, u64 off, u32 blocks,
					  struct vci_hit *hit)
{
	/* One branch for both, of which neither is ever true where this matters. */
	if (unlikely(READ_ONCE(c->failed) | vci_redo_left(&c->redo)))
		return false;
	return vci_bt_hit(c->tree, off, blocks, hit);
}

#endif /* VCI_CACHE_HIT_H */
