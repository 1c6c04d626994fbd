/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Segments: what is free, what is old, how much of each is mapped.
 *
 * The life of a segment (O8), as it is in memory:
 *
 *	FREE -> QUEUED -> OPEN -> CLOSED -> VICTIM -> DRAINED -> FREEING -> FREE
 *
 * FREE is what the last durable checkpoint calls free.  A QUEUED one is
 * promised to the log.  A VICTIM is being emptied by a sweep; DRAINED: no
 * mapping and no reader is left; FREEING: the checkpoint being written says so.
 */
#ifndef VCI_SEGMENT_H
#define VCI_SEGMENT_H

#include "vci-shadow.h"

enum vci_segment_life {
	VCI_LIFE_FREE, VCI_LIFE_QUEUED, VCI_LIFE_OPEN, VCI_LIFE_CLOSED,
	VCI_LIFE_VICTIM, VCI_LIFE_DRAINED, VCI_LIFE_FREEING, VCI_LIFE_BAD,
	VCI_LIVES
};

struct vci_segment {
	u64 seq;		/* first batch: the age */
	u64 turn;		/* its place in its queue */
	u64 born;		/* when it was opened or renewed, on t->clock */
	u32 live;		/* mapped blocks */
	u32 settled;		/* blocks that no recovery reads as batches (O12) */
	u32 keep;		/* of them worth keeping, as reclaim found */
	u8 life;
	u8 stream;		/* for which it was opened last */
	bool compact;		/* victim: all that lives is appended again */
	bool renewed;		/* by this reclaim: it stays, and its heat is halved */
};

struct vci_segments {
	u64 addr;
	u32 nr;
	u32 blocks;		/* of each: a power of two */
	u32 blocks_log2;
	u32 cursor;		/* where to look for a free one */
	u64 turns;		/* the last one given */
	u64 frozen_turns;	/* ... at the checkpoint's freeze */
	u32 direct;		/* open for direct writes at the freeze, or VCI_NO_SEGMENT */
	u32 direct_settled;	/* blocks of it that are settled then */
	u64 clock;		/* blocks filled so far: the policy's */
	u32 count[VCI_LIVES];	/* how many lead which life */
	struct vci_segment *s;
	u8 *quiet;		/* of each: uses of what lies there don't count yet */
	u32 *young;		/* ring of those, by when they were opened */
	u32 young_at, nr_young;
	u32 young_max;
	struct vci_shadow table;
};

int vci_segments_init(struct vci_segments *t, const struct vci_header *h) __must_check;
void vci_segments_destroy(struct vci_segments *t);
int vci_segments_load(struct vci_segments *t, struct vci_dev *dev,
		      const struct vci_header *h, struct vci_damage *dmg) __must_check;

static inline u64 vci_segment_addr(const struct vci_segments *t, u32 i)
{
	return t->addr + (u64)i * t->blocks;
}

/* Which segment an address behind their start lies in. */
static inline u32 vci_segment_of(const struct vci_segments *t, u64 addr)
{
	return (addr - t->addr) >> t->blocks_log2;
}

/* Those that can be used at all. */
static inline u32 vci_segments_good(const struct vci_segments *t)
{
	return t->nr - t->count[VCI_LIFE_BAD];
}

/*
 * A turn for a segment that an earlier activation opened: all differ, also those of
 * direct writes, which begin with no batch of their own.
 */
static inline u64 vci_segment_old_turn(u64 seq, u32 i)
{
	static_assert(VCI_SEGMENTS_MAX <= 1u << 16);
	return seq << 16 | i;
}

void vci_segment_set(struct vci_segments *t, u32 i, enum vci_segment_life life);
u32 vci_segment_take_free(struct vci_segments *t);
void vci_segment_opened(struct vci_segments *t, u32 i, u8 stream, u64 seq);
void vci_segment_mapped(struct vci_segments *t, u64 addr, u32 blocks);
void vci_segment_unmapped(struct vci_segments *t, u64 addr, u32 blocks);
void vci_segments_closed(const struct vci_segments *t, u32 nr[VCI_STREAMS]);
/* @stream may be VCI_STREAMS: all, as they lie in the log. */
u64 vci_segments_age(const struct vci_segments *t, u32 stream, u32 want);
u32 vci_segments_pick_victims(struct vci_segments *t, u32 stream, u64 age);
u32 vci_segments_renew(struct vci_segments *t, u32 stream, u64 max_turn);
u32 vci_segments_pick_empty(struct vci_segments *t, u64 before);
u64 vci_segments_pick_sparse(struct vci_segments *t, u32 want, u32 max_live);
void vci_segments_all(struct vci_segments *t, enum vci_segment_life from,
		      enum vci_segment_life to);
u32 vci_segments_drained(struct vci_segments *t, u64 before);
void vci_segments_freeze(struct vci_segments *t);
void vci_segments_commit(struct vci_segments *t);
void vci_segments_settle(struct vci_segments *t, const struct vci_header *h);
void vci_segments_unsettle(struct vci_segments *t);

#endif /* VCI_SEGMENT_H */
