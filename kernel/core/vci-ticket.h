/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tickets: "nothing was written here since", without a lock or a list.
 *
 * The backing device is hashed, 4 KiB by 4 KiB, onto counters.  A write bumps
 * the counters of its range when it begins and when it ends.  A fill remembers
 * their sum before it reads, and is thrown away if the sum has changed.  Two
 * ranges that share a counter cost a fill at worst, never a wrong one.
 *
 * Hazard kept away: a fill that read the backing device before a write to it,
 * and lands after that write.
 *
 * Larger pieces tell writes in place and write-back of each other (O12, P3): who writes
 * in place looks whether the range is being copied, who copies waits for those who had
 * looked before.
 */
#ifndef VCI_TICKET_H
#define VCI_TICKET_H

#include "vci-platform.h"

#define VCI_TICKET_LOG2		3u	/* 4 KiB a counter */
#define VCI_PLACE_LOG2		7u	/* 64 KiB, for writes in place and write-back */
#define VCI_TICKET_SLOTS	16384u
#define VCI_PLACE_SLOTS		8192u
/* A write over more counters than this bumps the one that all tickets include. */
#define VCI_TICKET_WIDE		256u

struct vci_ticket {
	u32 sum;
};

/* A write past the log, from its announcement on. */
struct vci_ticket_write {
	u64 off;
	u64 blocks;
	u32 sum;
};

struct vci_ticket_slot {
	atomic_t seq;
	atomic_t writers;
};

struct vci_place_slot {
	atomic_t placing;	/* writes in place */
	bool copying;		/* write-back is; by the writer */
};

struct vci_tickets {
	struct vci_ticket_slot wide;
	struct vci_ticket_slot *slots;
	struct vci_place_slot *places;
};

static inline struct vci_ticket_slot *vci_ticket_slot(const struct vci_tickets *t, u64 i)
{
	return &t->slots[i % VCI_TICKET_SLOTS];
}

static inline struct vci_place_slot *vci_place_slot(const struct vci_tickets *t, u64 i)
{
	return &t->places[i % VCI_PLACE_SLOTS];
}

static inline u64 vci_first_place(u64 off)
{
	return off >> VCI_PLACE_LOG2;
}

static inline u64 vci_last_place(u64 off, u32 blocks)
{
	return (off + blocks - 1) >> VCI_PLACE_LOG2;
}

/* vci_tickets_place_begin(), of more than one piece. */
bool vci_tickets_announce(struct vci_tickets *t, u64 first, u64 last);

/*
 * Announces a write in place; any context, before what is to be overwritten is looked
 * up.  False if write-back is copying there; vci_tickets_place_end() must follow either
 * way.
 */
static __always_inline bool vci_tickets_place_begin(struct vci_tickets *t, u64 off,
						    u32 blocks)
{
	u64 i = vci_first_place(off), last = vci_last_place(off, blocks);
	bool copying;

	if (likely(i == last)) {
		struct vci_place_slot *slot = vci_place_slot(t, i);

		atomic_inc(&slot->placing);
		/* Announced, then looked: pairs with vci_tickets_placing(). */
		smp_mb__after_atomic();
		copying = READ_ONCE(slot->copying);
	} else {
		copying = vci_tickets_announce(t, i, last);
	}
	/* What was made clean is found clean: pairs with vci_tickets_copy_end(). */
	smp_rmb();
	return !copying;
}

/* The write in place is complete, or there is none.  Any context. */
static __always_inline void vci_tickets_place_end(struct vci_tickets *t, u64 off, u32 blocks)
{
	u64 i = vci_first_place(off), last = vci_last_place(off, blocks);

	/* What was done was done before: pairs with vci_tickets_placing(). */
	smp_mb__before_atomic();
	do
		atomic_dec(&vci_place_slot(t, i)->placing);
	while (unlikely(i++ != last));
}

int vci_tickets_init(struct vci_tickets *t) __must_check;
void vci_tickets_destroy(struct vci_tickets *t);
u64 vci_tickets_bytes(void);
bool vci_tickets_take(struct vci_tickets *t, u64 off, u32 blocks,
		      struct vci_ticket *ticket);
bool vci_tickets_valid(struct vci_tickets *t, u64 off, u32 blocks,
		       const struct vci_ticket *ticket);
bool vci_tickets_busy(struct vci_tickets *t, u64 off, u64 blocks);
void vci_tickets_write_begin(struct vci_tickets *t, struct vci_ticket_write *w);
bool vci_tickets_write_end(struct vci_tickets *t, const struct vci_ticket_write *w,
			   struct vci_ticket *ticket);
/* Write-back, of ranges that aren't wide. */
void vci_tickets_copy_begin(struct vci_tickets *t, u64 off, u32 blocks);
bool vci_tickets_placing(struct vci_tickets *t, u64 off, u32 blocks);
void vci_tickets_copy_end(struct vci_tickets *t, u64 off, u32 blocks);

#endif /* VCI_TICKET_H */
