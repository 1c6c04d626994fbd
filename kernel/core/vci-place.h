/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes in place (O12), inline for the shell: over dirty data, where it lies.
 *
 *  P1 all of the range lies in one dirty extent in memory, and nothing of the log
 *     waits to be applied
 *  P2 the place is settled: a recovery reads no batch there (vci_segments_settle())
 *  P3 write-back isn't between reading it and calling it clean: both announce
 *     themselves, then look for the other (vci-ticket.c)
 *  P4 the caller holds the reader guard from before the lookup to the end (O8)
 *  P5 the cache hasn't failed, and write-back isn't ordered
 *  P6 write-back is announced before it makes durable what it is going to read
 *  P7 what a record in the log calls clean, but memory doesn't, isn't settled
 *
 * What breaks one of them goes to the log.
 */
#ifndef VCI_PLACE_H
#define VCI_PLACE_H

#include "vci-cache-hit.h"

static inline bool vci_place_settled(const struct vci_cache *c, u64 addr, u32 blocks)
{
	const struct vci_segments *t = &c->segments;
	u64 at = (addr - t->addr) & (t->blocks - 1);

	return at + blocks <= READ_ONCE(t->s[vci_segment_of(t, addr)].settled);
}

/**
 * vci_place_try() - announce a write in place, if there may be one
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many, not 0
 * @hit: set if the first block is cached, as far as that can be said at once
 *
 * In an RCU read section of any kind; never waits.  The caller holds off
 * drain_readers() from before this call until vci_place_end() (P4).
 *
 * Return: where to write on the cache device, and vci_place_end() must follow; 0: it
 * goes to the log.
 */
static __always_inline u64 vci_place_try(struct vci_cache *c, u64 off, u32 blocks, bool *hit)
{
	bool announced = false, alone = false;
	struct vci_hit h;

	if (likely(READ_ONCE(c->dirty_blocks) && !c->ordered &&
		   blocks <= VCI_BATCH_BLOCKS_MAX)) {
		announced = true;
		alone = vci_tickets_place_begin(&c->tickets, off, blocks);
	}
	*hit = vci_cache_hit(c, off, 1, &h);
	if (*hit && alone && blocks <= h.blocks && h.flags & VCI_EXT_DIRTY &&
	    vci_place_settled(c, h.addr, blocks))
		return h.addr;
	if (announced)
		vci_tickets_place_end(&c->tickets, off, blocks);
	return 0;
}

/* A write in place has ended well.  Any context; before the user is told. */
static inline void vci_place_done(struct vci_cache *c, u64 off, u32 blocks)
{
	/* Counted before write-back and users can know of it: vci_flush_cache_begin(). */
	atomic_inc(&c->placed);
	vci_tickets_place_end(&c->tickets, off, blocks);
}

#endif /* VCI_PLACE_H */
