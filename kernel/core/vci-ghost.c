// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ghosts: see vci-ghost.h.
 *
 * A slot: 16 bits of fingerprint, 14 bits of the clock, 2 bits of queue; queues are
 * counted from 1, so that 0 is an empty slot.  The clock goes round when all queues have
 * dropped 16 times as many units as a ghost's own queue drops in its life: a queue that
 * drops little is remembered as long as another one, if it finds slots.
 */
#include "vci-ghost.h"

#define WAYS		4u
#define CLOCK_BITS	14u
#define CLOCK_MASK	((1u << CLOCK_BITS) - 1)
/* Steps of the clock that are remembered, and in a moment. */
#define MEMORY		(1u << (CLOCK_BITS - 1))
#define MOMENT		(MEMORY / VCI_GHOST_MOMENTS)
/* Times the units of a life that all queues drop meanwhile. */
#define LIVES		8u

/* A power of two, but rather too few than too many. */
static u32 buckets_for(u32 slots)
{
	u32 buckets = roundup_pow_of_two(max(slots / WAYS, 4u));

	return buckets / 2 * WAYS >= slots / 4 * 3 ? buckets / 2 : buckets;
}

static u32 *alloc_slots(u32 buckets, gfp_t gfp)
{
	return kvcalloc((size_t)buckets * WAYS, sizeof(u32), gfp);
}

/**
 * vci_ghosts_init() - allocate the memory of ghosts
 * @g: to set up
 * @units: so many drops of its queue a ghost counts
 * @slots: how many there are, about; some buckets are fuller than others
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_ghosts_init(struct vci_ghosts *g, u32 units, u32 slots)
{
	u32 buckets = buckets_for(slots);

	memset(g, 0, sizeof(*g));
	g->units = max(units, 1u);
	g->mask = buckets - 1;
	g->tick = max_t(u64, div_u64((u64)g->units * LIVES, MEMORY), 1);
	g->slot = alloc_slots(buckets, GFP_KERNEL);
	return g->slot ? 0 : -ENOMEM;
}

/**
 * vci_ghosts_more() - memory for more ghosts, if they want more
 * @g: ghosts
 * @slots: how many there should be, about
 * @more: filled in, for vci_ghosts_grow()
 *
 * May sleep, no lock.  Return: are there more?
 */
bool vci_ghosts_more(const struct vci_ghosts *g, u32 slots, struct vci_ghosts_more *more)
{
	u32 buckets = buckets_for(slots);

	if (buckets <= g->mask + 1)
		return false;
	more->mask = buckets - 1;
	more->slot = alloc_slots(buckets, GFP_NOIO | __GFP_NOWARN);
	return more->slot;
}

/**
 * vci_ghosts_grow() - take more memory, and forget all ghosts
 * @g: ghosts
 * @more: from vci_ghosts_more(); becomes the memory to free with kvfree()
 */
void vci_ghosts_grow(struct vci_ghosts *g, struct vci_ghosts_more *more)
{
	swap(g->slot, more->slot);
	swap(g->mask, more->mask);
}

/**
 * vci_ghosts_destroy() - free the memory of ghosts
 * @g: zeroed or initialised
 */
void vci_ghosts_destroy(struct vci_ghosts *g)
{
	kvfree(g->slot);
	g->slot = NULL;
}

/**
 * vci_ghosts_bytes() - memory that they take
 * @g: ghosts
 */
u64 vci_ghosts_bytes(const struct vci_ghosts *g)
{
	return (g->mask + 1ull) * WAYS * sizeof(*g->slot);
}

static u32 *bucket_of(const struct vci_ghosts *g, u64 unit, u32 *print)
{
	u64 hash = (unit + 1) * 0x9e3779b97f4a7c15ull;

	*print = hash >> 16 & 0xffff;
	return &g->slot[(size_t)(hash >> 32 & g->mask) * WAYS];
}

/* In steps; the low bits of it are in the slots. */
static u64 now(const struct vci_ghosts *g)
{
	return div_u64(g->dropped, g->tick);
}

static u8 queue_in(u32 slot)
{
	return (slot & 3) - 1;
}

/* In steps. */
static u32 age_in(const struct vci_ghosts *g, u32 slot)
{
	return (now(g) - (slot >> 2)) & CLOCK_MASK;
}

static u64 moment(u64 step)
{
	return div_u64(step, MOMENT) % VCI_GHOST_MOMENTS;
}

/* What a ghost's queue was like when it was dropped; NULL: that's too long ago. */
static const struct vci_ghost_queue *back_then(const struct vci_ghosts *g, u32 slot)
{
	u32 age = age_in(g, slot);

	if (age >= MEMORY - 2 * MOMENT)
		return NULL;
	return &g->past[moment(now(g) - min_t(u64, age, now(g)))].q[queue_in(slot)];
}

/* Units its queue dropped since. */
static u32 drops_since(const struct vci_ghosts *g, u32 slot)
{
	const struct vci_ghost_queue *q = back_then(g, slot);

	return q ? min_t(u64, g->q[queue_in(slot)].dropped - q->dropped, U32_MAX) : U32_MAX;
}

/* An empty slot, else the one of which the queue dropped most since. */
static u32 *victim(const struct vci_ghosts *g, u32 *bucket)
{
	u32 *oldest = bucket, most = 0, drops, i;

	for (i = 0; i < WAYS; i++) {
		if (!bucket[i])
			return &bucket[i];
		drops = drops_since(g, bucket[i]);
		if (drops > most) {
			most = drops;
			oldest = &bucket[i];
		}
	}
	return oldest;
}

static u32 *find(const struct vci_ghosts *g, u64 unit)
{
	u32 print, *bucket = bucket_of(g, unit, &print), i;

	for (i = 0; i < WAYS; i++)
		if (bucket[i] && bucket[i] >> 16 == print)
			return &bucket[i];
	return NULL;
}

/**
 * vci_ghosts_add() - a unit is dropped
 * @g: ghosts
 * @unit: which
 * @queue: that it was in
 * @born: when it was filled
 */
void vci_ghosts_add(struct vci_ghosts *g, u64 unit, u8 queue, u64 born)
{
	u32 print, *bucket = bucket_of(g, unit, &print), *slot = find(g, unit);

	if (!slot)
		slot = victim(g, bucket);
	*slot = print << 16 | (now(g) & CLOCK_MASK) << 2 | (queue + 1);
	g->q[queue].born = born;
	memcpy(g->past[moment(now(g))].q, g->q, sizeof(g->q));
	g->q[queue].dropped++;
	g->dropped++;
}

/**
 * vci_ghosts_take() - was a unit dropped lately?
 * @g: ghosts
 * @unit: which; forgotten, if it was
 * @ghost: about it, if it was
 *
 * Return: was it?
 */
bool vci_ghosts_take(struct vci_ghosts *g, u64 unit, struct vci_ghost *ghost)
{
	const struct vci_ghost_queue *then;
	u32 *slot = find(g, unit);

	if (!slot)
		return false;
	ghost->queue = queue_in(*slot);
	ghost->age = drops_since(g, *slot);
	then = back_then(g, *slot);
	*slot = 0;
	if (!then)
		return false;
	ghost->born = then->born;
	return ghost->age < g->units;
}
