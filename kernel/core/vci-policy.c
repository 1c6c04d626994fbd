// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policy: see vci-policy.h.
 */
#include "vci-policy.h"

/* NEW and AHEAD begin with this part of the segments. */
#define SHARE_FIRST	10u
/* "A little more room" is this part of them. */
#define WINDOW		4u
/* Units of room that an I/O moves to the queue that would have saved it. */
#define STEP_UNITS	6u
/* ... as long as AHEAD has had nothing to drop: then an I/O saves little more than one. */
#define STEP_ALONE	2u
/*
 * No queue's target is less than this part of the segments; AHEAD's not less than it began
 * with: what it doesn't use KEPT has meanwhile, and with less, nothing that is tried would
 * live until it is used.
 */
#define TARGET_MIN	128u
/* What is tried at once, on each side: this part of the units; but two. */
#define TRY_SHARE	16u
#define TRY_MIN		2u
/* What AHEAD drops would partly have come back with others: this part counts. */
#define STORE_SHARE	10u
/* Reuse distance, over the age of what KEPT drops, that still leads to KEPT: 3/2. */
#define REACH_NUM	3u
#define REACH_DEN	2u

/* Ghosts there are at first, for they should be about as many as extents; see below. */
#define GHOSTS_FIRST	8192u

/**
 * vci_policy_init() - nothing is known yet
 * @p: to set up
 * @capacity: blocks of all segments
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_policy_init(struct vci_policy *p, u64 capacity)
{
	int r;

	memset(p, 0, sizeof(*p));
	spin_lock_init(&p->lock);
	p->capacity = capacity;
	p->units = min_t(u64, max_t(u64, capacity >> VCI_UNIT_LOG2, 1), U32_MAX / 2);
	p->kept_age = U64_MAX;
	p->q[VCI_STREAM_NEW].target = div_u64(capacity, SHARE_FIRST);
	p->q[VCI_STREAM_AHEAD].target = div_u64(capacity, SHARE_FIRST);
	p->q[VCI_STREAM_KEPT].target = capacity - 2 * div_u64(capacity, SHARE_FIRST);
	r = vci_ghosts_init(&p->ghosts, p->units, min(p->units, GHOSTS_FIRST));
	if (!r)
		r = vci_ghosts_init(&p->strays, p->units / WINDOW,
				    min(p->units, GHOSTS_FIRST) / 2);
	if (!r)
		r = vci_around_init(&p->around, p->units);
	if (r)
		vci_policy_destroy(p);
	return r;
}

/**
 * vci_policy_destroy() - free what was learnt
 * @p: zeroed or initialised
 */
void vci_policy_destroy(struct vci_policy *p)
{
	vci_ghosts_destroy(&p->ghosts);
	vci_ghosts_destroy(&p->strays);
	vci_around_destroy(&p->around);
}

/**
 * vci_policy_bytes() - memory that it takes
 * @p: policy
 */
u64 vci_policy_bytes(const struct vci_policy *p)
{
	return vci_ghosts_bytes(&p->ghosts) + vci_ghosts_bytes(&p->strays) +
	       vci_around_bytes(&p->around);
}

static void grow(struct vci_policy *p, struct vci_ghosts *g, u32 slots)
{
	struct vci_ghosts_more more;
	unsigned long flags;

	if (!vci_ghosts_more(g, slots, &more))
		return;
	spin_lock_irqsave(&p->lock, flags);
	vci_ghosts_grow(g, &more);
	spin_unlock_irqrestore(&p->lock, flags);
	kvfree(more.slot);
}

/**
 * vci_policy_grow() - let there be as many ghosts as extents
 * @p: policy
 * @nr_extents: how many are mapped
 * @bytes: that ghosts may use
 *
 * By the writer.  May sleep.  Without memory there are fewer.  Those there were are
 * forgotten, so there are at least four times as many each time.
 */
void vci_policy_grow(struct vci_policy *p, u64 nr_extents, u64 bytes)
{
	u64 most = min_t(u64, p->units, bytes / (2 * sizeof(u32)));
	u64 want = min(nr_extents, most), now;

	now = vci_ghosts_bytes(&p->ghosts) / sizeof(u32);
	if (want < 2 * now || now >= most / 2)
		return;
	want = min(max(want, 4 * now), most);
	grow(p, &p->ghosts, want);
	grow(p, &p->strays, want / 4);
}

/* ---- misses ---- */

static struct vci_ghosts *ghosts_of(struct vci_policy *p, u8 queue)
{
	return queue == VCI_STREAM_AHEAD ? &p->strays : &p->ghosts;
}

/* It has more than it uses, or dropped so much that it's known if that was wanted again. */
static bool can_give(struct vci_policy *p, u32 queue)
{
	return p->q[queue].size < p->q[queue].target ||
	       ghosts_of(p, queue)->q[queue].dropped >= p->units / WINDOW;
}

static u64 least_target(const struct vci_policy *p, u32 queue)
{
	return div_u64(p->capacity, queue == VCI_STREAM_AHEAD ? SHARE_FIRST : TARGET_MIN);
}

/* More room for @to, from both others alike, for @saved I/Os. */
static void shift_room(struct vci_policy *p, u8 to, u32 saved)
{
	u32 units = p->q[VCI_STREAM_AHEAD].dropped ? STEP_UNITS : STEP_ALONE, i;
	u64 all = p->q[to].part + ((u64)saved * units << VCI_UNIT_LOG2) / 2;
	u64 step = all / VCI_AROUND_ONE;

	p->q[to].part = all % VCI_AROUND_ONE;
	for (i = 0; i < VCI_STREAMS; i++) {
		u64 has = p->q[i].target, least = least_target(p, i);
		u64 gives = min(step, has > least ? has - least : 0);

		if (i == to || !can_give(p, i))
			continue;
		p->q[i].target -= gives;
		p->q[to].target += gives;
	}
}

/* Would what comes back live in KEPT until it comes back again? */
static bool within_reach(const struct vci_policy *p, const struct vci_ghost *g)
{
	u64 distance = p->now > g->born ? p->now - g->born : 0;

	return p->kept_age == U64_MAX ||
	       distance <= div_u64(p->kept_age * REACH_NUM, REACH_DEN);
}

/* A little more room for the queue would have saved the I/O. */
static void note_ghost(struct vci_policy *p, const struct vci_ghost *g, u32 share)
{
	if (g->age >= p->units / WINDOW)
		return;
	p->q[g->queue].missed += share;
	shift_room(p, g->queue, share);
}

/* What was dropped by AHEAD too was so later: that's where it could have been saved. */
static bool admit_unit(struct vci_policy *p, u64 unit, u32 share)
{
	bool stray, known;
	struct vci_ghost g;

	stray = vci_ghosts_take(&p->strays, unit, &g);
	if (stray)
		note_ghost(p, &g, share);
	known = vci_ghosts_take(&p->ghosts, unit, &g);
	if (known && !stray)
		note_ghost(p, &g, share);
	return known && within_reach(p, &g);
}

/**
 * vci_policy_admit() - where does what was missed go?
 * @p: policy
 * @off: first block on the backing device
 * @blocks: at most VCI_ENTRY_BLOCKS_MAX
 * @missed: units of the whole miss
 *
 * Any context.  Return: bit i is set if the i-th unit of it goes to KEPT.
 */
u32 vci_policy_admit(struct vci_policy *p, u64 off, u32 blocks, u32 missed)
{
	u64 first = off >> VCI_UNIT_LOG2, last = (off + blocks - 1) >> VCI_UNIT_LOG2, u;
	u32 kept = 0, share = VCI_AROUND_ONE / max(missed, 1u);
	unsigned long flags;

	spin_lock_irqsave(&p->lock, flags);
	for (u = first; u <= last; u++)
		if (admit_unit(p, u, share))
			kept |= 1u << (u - first);
	spin_unlock_irqrestore(&p->lock, flags);
	return kept;
}

/* ---- read-around ---- */

/**
 * vci_policy_try() - should this miss try bins that don't pay?
 * @p: policy
 * @missed: its units
 *
 * Return: how many units of each side; 0: none.  All of both would push everything else
 * out of a tiny cache.
 */
u32 vci_policy_try(struct vci_policy *p, u32 missed)
{
	u32 units = clamp_t(u32, p->units / TRY_SHARE, TRY_MIN, VCI_AROUND_UNITS);
	unsigned long flags;
	bool now;

	spin_lock_irqsave(&p->lock, flags);
	now = vci_around_try(&p->around, missed, units);
	spin_unlock_irqrestore(&p->lock, flags);
	return now ? units : 0;
}

/**
 * vci_policy_prices() - what reading and storing a unit costs
 * @p: policy
 * @prices: filled in
 *
 * A unit that is stored shortens the life of all in AHEAD, as so much less room
 * would.
 */
void vci_policy_prices(struct vci_policy *p, struct vci_policy_prices *prices)
{
	const struct vci_policy_queue *q = &p->q[VCI_STREAM_AHEAD];
	unsigned long flags;
	u64 each;

	spin_lock_irqsave(&p->lock, flags);
	prices->read = p->around.cost;
	prices->least = vci_around_least(&p->around);
	prices->wait = vci_around_wait(&p->around);
	/* As if four had been dropped, and half an I/O would have been saved. */
	each = div64_u64(q->missed + VCI_AROUND_ONE / 2, q->dropped + 4);
	prices->store = p->full ? div64_u64(each * (q->size >> VCI_UNIT_LOG2),
					    STORE_SHARE * (p->units / WINDOW + 1)) : 0;
	spin_unlock_irqrestore(&p->lock, flags);
}

/**
 * vci_policy_worth() - I/Os that reading a unit ahead will save
 * @p: policy
 * @bin: of the unit
 * @unit: which
 *
 * Return: in 1/VCI_AROUND_ONE.
 */
u64 vci_policy_worth(struct vci_policy *p, u8 bin, u64 unit)
{
	unsigned long flags;
	u64 worth;

	spin_lock_irqsave(&p->lock, flags);
	worth = vci_around_worth(&p->around, bin, unit);
	spin_unlock_irqrestore(&p->lock, flags);
	return worth;
}

/**
 * vci_policy_planned() - units are going to be read ahead and stored
 * @p: policy
 * @units: how many
 */
void vci_policy_planned(struct vci_policy *p, u32 units)
{
	unsigned long flags;

	spin_lock_irqsave(&p->lock, flags);
	vci_around_planned(&p->around, units);
	spin_unlock_irqrestore(&p->lock, flags);
}

/**
 * vci_policy_read_ahead() - a unit was read ahead and is stored
 * @p: policy
 * @bin: that wanted it
 * @unit: which
 */
void vci_policy_read_ahead(struct vci_policy *p, u8 bin, u64 unit)
{
	unsigned long flags;

	spin_lock_irqsave(&p->lock, flags);
	vci_around_filled(&p->around, bin, unit);
	spin_unlock_irqrestore(&p->lock, flags);
}

/**
 * vci_policy_first_uses() - a read used what was read ahead
 * @p: policy
 * @f: what of it
 * @saved: I/Os, in 1/VCI_AROUND_ONE
 */
void vci_policy_first_uses(struct vci_policy *p, const struct vci_first_uses *f, u32 saved)
{
	unsigned long flags;
	u32 i;

	spin_lock_irqsave(&p->lock, flags);
	for (i = 0; i < f->nr; i++)
		vci_around_used(&p->around, f->use[i].bin, f->use[i].unit,
				saved / f->nr);
	p->first_used += f->blocks;
	spin_unlock_irqrestore(&p->lock, flags);
}

/**
 * vci_policy_first_used() - how much of what was read ahead was used
 * @p: policy
 *
 * Any context.  Return: blocks, for the statistics.
 */
u64 vci_policy_first_used(struct vci_policy *p)
{
	unsigned long flags;
	u64 blocks;

	spin_lock_irqsave(&p->lock, flags);
	blocks = p->first_used;
	spin_unlock_irqrestore(&p->lock, flags);
	return blocks;
}

/**
 * vci_policy_took() - an I/O of the backing device took so long
 * @p: policy
 * @blocks: of it
 * @us: microseconds
 */
void vci_policy_took(struct vci_policy *p, u32 blocks, u64 us)
{
	unsigned long flags;

	spin_lock_irqsave(&p->lock, flags);
	vci_around_took(&p->around, DIV_ROUND_UP(blocks, 1u << VCI_UNIT_LOG2), us);
	spin_unlock_irqrestore(&p->lock, flags);
}

/* ---- reclaim ---- */

/**
 * vci_policy_filled() - data that is new was appended
 * @p: policy
 * @blocks: how much
 */
void vci_policy_filled(struct vci_policy *p, u32 blocks)
{
	unsigned long flags;

	spin_lock_irqsave(&p->lock, flags);
	p->now += blocks;
	spin_unlock_irqrestore(&p->lock, flags);
}

/* What it may have now: KEPT also what AHEAD doesn't use. */
static u64 may_have(const struct vci_policy *p, u32 queue, u64 ahead)
{
	u64 unused = p->q[VCI_STREAM_AHEAD].target;

	unused -= min(unused, ahead);
	return p->q[queue].target + (queue == VCI_STREAM_KEPT ? unused : 0);
}

/* The queue that is most above that. */
static u32 fullest(const struct vci_policy *p, u32 segment_blocks,
		   const u32 left[VCI_STREAMS])
{
	u64 ahead = (u64)left[VCI_STREAM_AHEAD] * segment_blocks;
	u32 i, best = VCI_STREAMS;
	s64 most = 0;

	for (i = 0; i < VCI_STREAMS; i++) {
		s64 above = (s64)((u64)left[i] * segment_blocks - may_have(p, i, ahead));

		if (!left[i] || (best < VCI_STREAMS && above <= most))
			continue;
		best = i;
		most = above;
	}
	return best;
}

/**
 * vci_policy_victims() - of which queues reclaim takes segments
 * @p: policy
 * @want: how many
 * @segment_blocks: size of each
 * @size: segments of each queue that can be taken
 * @victims: filled in
 *
 * By the writer.
 */
void vci_policy_victims(struct vci_policy *p, u32 want, u32 segment_blocks,
			const u32 size[VCI_STREAMS], u32 victims[VCI_STREAMS])
{
	u32 left[VCI_STREAMS], i;
	unsigned long flags;

	memcpy(left, size, sizeof(left));
	memset(victims, 0, VCI_STREAMS * sizeof(*victims));
	spin_lock_irqsave(&p->lock, flags);
	while (want--) {
		i = fullest(p, segment_blocks, left);
		if (i == VCI_STREAMS)
			break;
		left[i]--;
		victims[i]++;
	}
	p->full = true;
	for (i = 0; i < VCI_STREAMS; i++)
		p->q[i].size = (u64)left[i] * segment_blocks;
	spin_unlock_irqrestore(&p->lock, flags);
}

/**
 * vci_policy_young() - of how many segments of NEW uses don't count yet
 * @p: policy
 * @segment_blocks: size of each
 *
 * What is used again at once is used by the same somebody.  Return: a quarter of the
 * queue, at least 1.
 */
u32 vci_policy_young(const struct vci_policy *p, u32 segment_blocks)
{
	u64 young = div_u64(READ_ONCE(p->q[VCI_STREAM_NEW].target), 4);

	return max_t(u32, 1, div_u64(young, segment_blocks));
}

/**
 * vci_policy_kept_age() - a segment of KEPT is a victim
 * @p: policy
 * @born: when it was opened
 */
void vci_policy_kept_age(struct vci_policy *p, u64 born)
{
	unsigned long flags;

	spin_lock_irqsave(&p->lock, flags);
	p->kept_age = p->now - min(born, p->now);
	spin_unlock_irqrestore(&p->lock, flags);
}

/**
 * vci_policy_keep() - is a clean extent of a victim worth keeping?
 * @stream: of the victim
 * @e: the extent
 * @heat: what it has when it was appended again
 *
 * Return: a stream, or VCI_POLICY_DROP.
 */
int vci_policy_keep(u8 stream, const struct vci_extent *e, u8 *heat)
{
	u8 uses = vci_heat_uses(e->heat);

	*heat = stream == VCI_STREAM_KEPT ? uses / 2 : 0;
	/* The first use of what was read ahead is what it was read for. */
	return uses > (stream == VCI_STREAM_AHEAD) ? VCI_STREAM_KEPT : VCI_POLICY_DROP;
}

static void forget_half(struct vci_policy *p, struct vci_policy_queue *q)
{
	if (q->dropped < p->units)
		return;
	q->dropped /= 2;
	q->missed /= 2;
}

/**
 * vci_policy_dropped() - an extent left the cache
 * @p: policy
 * @stream: of its segment
 * @off: first block on the backing device
 * @blocks: how many
 * @born: when its segment was opened
 */
void vci_policy_dropped(struct vci_policy *p, u8 stream, u64 off, u32 blocks, u64 born)
{
	u64 unit = off >> VCI_UNIT_LOG2, last = (off + blocks - 1) >> VCI_UNIT_LOG2;
	struct vci_policy_queue *q = &p->q[stream];
	unsigned long flags;

	spin_lock_irqsave(&p->lock, flags);
	for (; unit <= last; unit++) {
		vci_ghosts_add(ghosts_of(p, stream), unit, stream, born);
		q->dropped++;
	}
	forget_half(p, q);
	spin_unlock_irqrestore(&p->lock, flags);
}
