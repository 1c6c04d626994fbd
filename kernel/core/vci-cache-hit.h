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
 *
 * In an RCU read section of any kind; never waits.  The caller holds off
 * drain_readers() as for vci_cache_lookup().
 *
 * Return: where all of it lies; else, or if that can't be said at once, address 0,
 * where no data ever is: then vci_cache_lookup() knows more.
 */
static __always_inline struct vci_hit vci_cache_hit(struct vci_cache *c, u64 off, u32 blocks)
{
	if (unlikely(READ_ONCE(c->failed) || vci_redo_any(&c->redo)))
		return (struct vci_hit) { .addr = 0 };
	return vci_bt_hit(c->tree, off, blocks);
}

#endif /* VCI_CACHE_HIT_H */
