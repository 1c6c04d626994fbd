// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tickets: see vci-ticket.h.
 *
 * The order that makes it work: a write makes itself known (writers, then seq)
 * before it is submitted; a ticket is taken only where no writer is known, and
 * its sum was read before that was found out.
 */
#include "vci-ticket.h"

/**
 * vci_tickets_init() - allocate the counters
 * @t: to set up
 *
 * May sleep.  Return: 0 or -ENOMEM; vci_tickets_destroy() frees what it took.
 */
int vci_tickets_init(struct vci_tickets *t)
{
	memset(t, 0, sizeof(*t));
	t->slots = kvcalloc(VCI_TICKET_SLOTS, sizeof(*t->slots), GFP_KERNEL);
	t->places = kvcalloc(VCI_PLACE_SLOTS, sizeof(*t->places), GFP_KERNEL);
	return t->slots && t->places ? 0 : -ENOMEM;
}

/**
 * vci_tickets_bytes() - memory of the counters
 */
u64 vci_tickets_bytes(void)
{
	return VCI_TICKET_SLOTS * sizeof(struct vci_ticket_slot) +
	       VCI_PLACE_SLOTS * sizeof(struct vci_place_slot);
}

/**
 * vci_tickets_destroy() - free the counters
 * @t: zeroed or initialised
 */
void vci_tickets_destroy(struct vci_tickets *t)
{
	kvfree(t->slots);
	kvfree(t->places);
	t->slots = NULL;
	t->places = NULL;
}

static u64 first_slot(u64 off)
{
	return off >> VCI_TICKET_LOG2;
}

static u64 last_slot(u64 off, u64 blocks)
{
	return (off + blocks - 1) >> VCI_TICKET_LOG2;
}

static bool is_wide(u64 off, u64 blocks)
{
	return last_slot(off, blocks) - first_slot(off) >= VCI_TICKET_WIDE;
}

static u32 sum_of(struct vci_tickets *t, u64 off, u64 blocks)
{
	u32 sum = atomic_read(&t->wide.seq);
	u64 i;

	if (is_wide(off, blocks))
		return sum;
	for (i = first_slot(off); i <= last_slot(off, blocks); i++)
		sum += atomic_read(&vci_ticket_slot(t, i)->seq);
	return sum;
}

static bool has_writers(struct vci_tickets *t, u64 off, u64 blocks)
{
	u64 i;

	if (atomic_read(&t->wide.writers))
		return true;
	for (i = first_slot(off); i <= last_slot(off, blocks); i++)
		if (atomic_read(&vci_ticket_slot(t, i)->writers))
			return true;
	return false;
}

/**
 * vci_tickets_take() - remember that nothing is being written to a range
 * @t: tickets
 * @off: first block on the backing device
 * @blocks: how many
 * @ticket: filled in
 *
 * Any context.  Return: false if a write is in flight there, or the range is
 * too wide: no ticket.
 */
bool vci_tickets_take(struct vci_tickets *t, u64 off, u32 blocks,
		      struct vci_ticket *ticket)
{
	if (is_wide(off, blocks))
		return false;
	ticket->sum = sum_of(t, off, blocks);
	/* The sum is read before writers are: pairs with add_writer(). */
	smp_mb();
	return !has_writers(t, off, blocks);
}

/**
 * vci_tickets_valid() - was nothing written to the range since?
 * @t: tickets
 * @off: first block, as when the ticket was taken
 * @blocks: how many, likewise
 * @ticket: taken before
 *
 * Any context.
 */
bool vci_tickets_valid(struct vci_tickets *t, u64 off, u32 blocks,
		       const struct vci_ticket *ticket)
{
	/* What was done under the ticket before, the sum after. */
	smp_mb();
	return sum_of(t, off, blocks) == ticket->sum;
}

/**
 * vci_tickets_busy() - is a write in flight in the range?
 * @t: tickets
 * @off: first block on the backing device
 * @blocks: how many
 *
 * Any context.  A write whose vci_tickets_write_begin() was before is seen.
 */
bool vci_tickets_busy(struct vci_tickets *t, u64 off, u64 blocks)
{
	/* Pairs with the barrier of vci_tickets_write_begin(). */
	smp_mb();
	return has_writers(t, off, blocks);
}

static void add_writer(struct vci_ticket_slot *s)
{
	atomic_inc(&s->writers);
	/* Known as a writer before the sum changes: vci_tickets_take(). */
	smp_mb__after_atomic();
	atomic_inc(&s->seq);
}

static void remove_writer(struct vci_ticket_slot *s)
{
	atomic_inc(&s->seq);
	/* The sum changes before the writer is gone: vci_tickets_take(). */
	smp_mb__after_atomic();
	atomic_dec(&s->writers);
}

/**
 * vci_tickets_write_begin() - a write to w->off, w->blocks is about to start
 * @t: tickets
 * @w: the write; its sum is filled in
 *
 * Any context; before the write is submitted.
 */
void vci_tickets_write_begin(struct vci_tickets *t, struct vci_ticket_write *w)
{
	u64 i;

	if (is_wide(w->off, w->blocks)) {
		add_writer(&t->wide);
	} else {
		for (i = first_slot(w->off); i <= last_slot(w->off, w->blocks); i++)
			add_writer(vci_ticket_slot(t, i));
	}
	/* Announced before anything of the write is done. */
	smp_mb__after_atomic();
	w->sum = sum_of(t, w->off, w->blocks);
}

/**
 * vci_tickets_write_end() - the write is complete
 * @t: tickets
 * @w: as given to vci_tickets_write_begin()
 * @ticket: NULL, or filled in
 *
 * Any context.  Return: true if no other write touched the range meanwhile, so
 * that @ticket stands for this write's data.
 */
bool vci_tickets_write_end(struct vci_tickets *t, const struct vci_ticket_write *w,
			   struct vci_ticket *ticket)
{
	u64 i, n = 0;

	if (is_wide(w->off, w->blocks)) {
		remove_writer(&t->wide);
		return false;
	}
	for (i = first_slot(w->off); i <= last_slot(w->off, w->blocks); i++, n++)
		remove_writer(vci_ticket_slot(t, i));
	if (!ticket)
		return false;
	ticket->sum = w->sum + n;
	return vci_tickets_valid(t, w->off, w->blocks, ticket) &&
	       !has_writers(t, w->off, w->blocks);
}

/* ---- writes in place, and write-back ---- */

static void set_copying(struct vci_tickets *t, u64 off, u32 blocks, bool copying)
{
	u64 i;

	for (i = vci_first_place(off); i <= vci_last_place(off, blocks); i++)
		WRITE_ONCE(vci_place_slot(t, i)->copying, copying);
}

/**
 * vci_tickets_announce() - announce a write in place, then look for write-back
 * @t: tickets
 * @first: piece
 * @last: piece, inclusive
 *
 * Any context.  Return: true if write-back is copying one of them.
 */
bool vci_tickets_announce(struct vci_tickets *t, u64 first, u64 last)
{
	bool copying = false;
	u64 i;

	for (i = first; i <= last; i++)
		atomic_inc(&vci_place_slot(t, i)->placing);
	/* Announced, then looked: pairs with vci_tickets_placing(). */
	smp_mb__after_atomic();
	for (i = first; i <= last; i++)
		copying |= READ_ONCE(vci_place_slot(t, i)->copying);
	return copying;
}

/**
 * vci_tickets_copy_begin() - announce that a range is going to be copied
 * @t: tickets
 * @off: first block on the backing device
 * @blocks: how many
 *
 * By the writer.  vci_tickets_placing() must follow.
 */
void vci_tickets_copy_begin(struct vci_tickets *t, u64 off, u32 blocks)
{
	set_copying(t, off, blocks, true);
}

/**
 * vci_tickets_placing() - may a write in place have missed vci_tickets_copy_begin()?
 * @t: tickets
 * @off: as given to vci_tickets_copy_begin()
 * @blocks: likewise
 *
 * Return: true if one is in flight, or about to give up.
 */
bool vci_tickets_placing(struct vci_tickets *t, u64 off, u32 blocks)
{
	bool placing = false;
	u64 i;

	/* Announced, then looked: pairs with vci_tickets_place_begin(). */
	smp_mb();
	for (i = vci_first_place(off); i <= vci_last_place(off, blocks); i++)
		placing |= atomic_read(&vci_place_slot(t, i)->placing) != 0;
	/* What they wrote is counted: pairs with vci_tickets_place_end(). */
	smp_mb();
	return placing;
}

/**
 * vci_tickets_copy_end() - the range is clean, or stays dirty
 * @t: tickets
 * @off: as given to vci_tickets_copy_begin()
 * @blocks: likewise
 */
void vci_tickets_copy_end(struct vci_tickets *t, u64 off, u32 blocks)
{
	/* Pairs with vci_tickets_place_begin(). */
	smp_wmb();
	set_copying(t, off, blocks, false);
}
