/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policy: what is worth keeping, and where ("Policy" in design.rst).
 *
 * The rest of the core decides how; what these say can make the cache useless, but
 * never wrong.
 *
 * Locking: misses and the writer come here, a hit doesn't but for the first use of
 * what was read ahead.  The policy's own lock is the innermost, and irq-safe.
 */
#ifndef VCI_POLICY_H
#define VCI_POLICY_H

#include "vci-around.h"
#include "vci-ghost.h"
#include "vci-segment.h"

#define VCI_POLICY_DROP		(-1)
#define VCI_UNIT_LOG2		3u		/* blocks of a unit of the policy */

struct vci_policy_queue {
	u64 target;			/* blocks */
	u64 size;			/* ... as reclaim last found it */
	u64 part;			/* of a block that it is still to get from each */
	u64 missed;			/* I/Os a little more room would have saved */
	u64 dropped;			/* units; both are halved together */
};

struct vci_policy {
	spinlock_t lock;		/* all below */
	u64 capacity;			/* blocks */
	u32 units;			/* ... in units */
	u64 now;			/* blocks filled so far: the clock */
	u64 kept_age;			/* of what KEPT dropped last, on that clock */
	bool full;			/* reclaim is going on */
	u64 first_used;			/* blocks of read-around, for the statistics */
	struct vci_policy_queue q[VCI_STREAMS];
	struct vci_ghosts ghosts;	/* of NEW and KEPT */
	struct vci_ghosts strays;	/* of AHEAD, which drops much more */
	struct vci_around around;
};

static_assert(VCI_GHOST_QUEUES == VCI_STREAMS);

/* May sleep. */
int vci_policy_init(struct vci_policy *p, u64 capacity) __must_check;
void vci_policy_destroy(struct vci_policy *p);
u64 vci_policy_bytes(const struct vci_policy *p);
/* By the writer. May sleep. */
void vci_policy_grow(struct vci_policy *p, u64 nr_extents, u64 bytes);

/* ---- misses: any context ---- */

/*
 * A demand fill of at most VCI_ENTRY_BLOCKS_MAX blocks, part of a miss of @missed
 * units in all.  Bit i: the i-th unit that it touches goes to KEPT, else to NEW.
 */
u32 vci_policy_admit(struct vci_policy *p, u64 off, u32 blocks, u32 missed);

/* What read-around asks and tells (vci-readaround.c). */
u32 vci_policy_try(struct vci_policy *p, u32 missed);
struct vci_policy_prices {
	u64 store;			/* of a unit, in I/Os/VCI_AROUND_ONE */
	u64 read;
	u64 least;			/* that it must save to be stored */
	bool wait;			/* enough is on its way, for a beginning */
};

void vci_policy_prices(struct vci_policy *p, struct vci_policy_prices *prices);
u64 vci_policy_worth(struct vci_policy *p, u8 bin, u64 unit);
void vci_policy_planned(struct vci_policy *p, u32 units);
void vci_policy_read_ahead(struct vci_policy *p, u8 bin, u64 unit);

/* @saved: I/Os, in 1/VCI_AROUND_ONE. */
void vci_policy_first_uses(struct vci_policy *p, const struct vci_first_uses *f, u32 saved);
/* Blocks that were read ahead and used, so far. */
u64 vci_policy_first_used(struct vci_policy *p);
/* An I/O of so many blocks, from the backing device alone, took so long. */
void vci_policy_took(struct vci_policy *p, u32 blocks, u64 us);

/* ---- reclaim: by the writer ---- */

/* So much that is new was appended. */
void vci_policy_filled(struct vci_policy *p, u32 blocks);
/* How many segments to take of each queue, of @size[] segments each. */
void vci_policy_victims(struct vci_policy *p, u32 want, u32 segment_blocks,
			const u32 size[VCI_STREAMS], u32 victims[VCI_STREAMS]);
/* Of how many segments of NEW uses don't count yet. */
u32 vci_policy_young(const struct vci_policy *p, u32 segment_blocks);
/* A segment of KEPT, opened at @born, is being emptied. */
void vci_policy_kept_age(struct vci_policy *p, u64 born);
/*
 * Reclaim empties a segment of @stream in which @e lies, which is clean:
 * VCI_POLICY_DROP, or the stream to which it is appended again, with *@heat.
 */
int vci_policy_keep(u8 stream, const struct vci_extent *e, u8 *heat);
/* It was dropped; it came into the segment at @born. */
void vci_policy_dropped(struct vci_policy *p, u8 stream, u64 off, u32 blocks, u64 born);

#endif /* VCI_POLICY_H */
