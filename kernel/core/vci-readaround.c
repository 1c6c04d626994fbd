// SPDX-License-Identifier: GPL-2.0-only
/*
 * Read-around: how far the I/O of a miss goes beyond it, and what of it is stored.
 *
 * It is decided when the read comes, from what the tree and the policy know.  When the data
 * is there, what was mapped meanwhile is left out.
 */
#include "vci-cache-internal.h"

#define UNIT		VCI_UNIT_BLOCKS

static_assert(VCI_PLAN_UNITS == VCI_AROUND_UNITS);
static_assert(UNIT == 1u << VCI_UNIT_LOG2);

static bool is_pending(const struct vci_plan *plan, u64 off, u32 blocks)
{
	return plan->ops && plan->ops->pending(plan->ctx, off, blocks);
}

/* A write that finds its place cached saves less than a read: counted as a quarter. */
#define WRITES_PER_READ	4u

enum unit_state { UNIT_CACHED, UNIT_MISSING, UNIT_FORBIDDEN };

/* All of it is mapped or on its way; or it must not be read past the cache. */
static enum unit_state look_at(struct vci_cache *c, const struct vci_plan *plan, u64 unit)
{
	u64 off = unit << VCI_UNIT_LOG2, end = off + UNIT;
	struct vci_lookup res;
	bool missing = false;

	if (end > c->header.backing_blocks)
		return UNIT_FORBIDDEN;
	while (off < end) {
		if (vci_cache_peek(c, off, end - off, &res) ||
		    (res.mapped && res.e.flags & VCI_EXT_DIRTY))
			return UNIT_FORBIDDEN;
		missing |= !res.mapped;
		off += res.e.blocks;
	}
	return !missing || is_pending(plan, end - UNIT, UNIT) ? UNIT_CACHED : UNIT_MISSING;
}

/* What it is to decide about one side. */
struct side {
	enum vci_around_side side;
	u64 edge;			/* unit next to the miss */
	bool goes_on;
	u32 try;			/* so many units, whatever they are worth */
	struct vci_policy_prices prices;
};

/* What a unit of @bin, @d units away, gains if it is stored; 0: it isn't. */
static u64 gain(struct vci_cache *c, const struct side *s, u32 d, u8 bin, u64 unit)
{
	u64 worth, own;

	if (d < s->try)
		return s->prices.read + 1;
	worth = vci_policy_worth(&c->policy, bin, unit);
	own = vci_around_own(bin, worth);
	if (worth <= s->prices.least || own <= s->prices.store)
		return 0;
	return own - s->prices.store;
}

/*
 * Adds up, unit by unit away from the miss, what each gains, less what reading it
 * costs; what is cached lies in the way and must be read too.  Return: how many
 * units to extend by, where the sum is largest.
 */
static u32 extend(struct vci_cache *c, struct vci_plan *plan, const struct side *s)
{
	u8 *bins = plan->bin[s->side];
	s64 sum = 0, best = 0;
	u32 d, nr = 0;

	for (d = 0; d < VCI_PLAN_UNITS; d++) {
		u64 unit = s->side == VCI_AROUND_BEHIND ? s->edge + d : s->edge - d;
		enum unit_state state;

		bins[d] = VCI_PLAN_SKIP;
		if (s->side == VCI_AROUND_BEFORE && d > s->edge)
			break;
		state = look_at(c, plan, unit);
		if (state == UNIT_FORBIDDEN)
			break;
		sum -= s->prices.read;
		if (state == UNIT_MISSING) {
			u8 bin = vci_around_bin(s->side, d, s->goes_on);
			u64 more = gain(c, s, d, bin, unit);

			if (more)
				bins[d] = bin;
			sum += more;
		}
		if (sum > best) {
			best = sum;
			nr = d + 1;
		}
	}
	return nr;
}

static bool is_cached(struct vci_cache *c, const struct vci_plan *plan, u64 off)
{
	struct vci_lookup res;

	return !vci_cache_peek(c, off, 1, &res) && (res.mapped || is_pending(plan, off, 1));
}

static u32 nr_stored(const struct vci_plan *plan, enum vci_around_side side, u32 nr)
{
	u32 d, stored = 0;

	for (d = 0; d < nr; d++)
		stored += plan->bin[side][d] != VCI_PLAN_SKIP;
	return stored;
}

/* @first, @behind: units of the miss, and next to its end.  Return: units to be stored. */
static u32 extend_behind(struct vci_cache *c, struct vci_plan *plan, struct side *s,
			 u64 first, u64 behind)
{
	u32 nr;

	s->side = VCI_AROUND_BEHIND;
	s->edge = behind;
	s->goes_on = first && is_cached(c, plan, (first << VCI_UNIT_LOG2) - 1);
	nr = extend(c, plan, s);
	if (nr)
		plan->blocks = ((behind + nr) << VCI_UNIT_LOG2) - plan->off;
	return nr_stored(plan, s->side, nr);
}

static u32 extend_before(struct vci_cache *c, struct vci_plan *plan, struct side *s,
			 u64 first, u64 behind)
{
	u64 off;
	u32 nr;

	s->side = VCI_AROUND_BEFORE;
	s->edge = first - 1;
	s->goes_on = is_cached(c, plan, behind << VCI_UNIT_LOG2);
	nr = extend(c, plan, s);
	if (!nr)
		return 0;
	off = (first - nr) << VCI_UNIT_LOG2;
	plan->blocks += plan->off - off;
	plan->off = off;
	return nr_stored(plan, s->side, nr);
}

static void extend_both(struct vci_cache *c, struct vci_plan *plan)
{
	u64 first = plan->miss >> VCI_UNIT_LOG2, end = plan->miss + plan->miss_blocks;
	u64 behind = (end + UNIT - 1) >> VCI_UNIT_LOG2;
	struct side s = { .try = vci_policy_try(&c->policy, plan->missed) };
	u32 stored;

	vci_policy_prices(&c->policy, &s.prices);
	if (s.prices.wait && !s.try)
		return;
	stored = extend_behind(c, plan, &s, first, behind);
	if (first)
		stored += extend_before(c, plan, &s, first, behind);
	vci_policy_planned(&c->policy, stored);
}

/* What of it is mapped is read from the backing device too, but it is used. */
static void note_uses(struct vci_cache *c, u64 off, u32 blocks)
{
	struct vci_lookup res;

	for (; blocks; off += res.e.blocks, blocks -= res.e.blocks)
		if (vci_cache_lookup(c, off, blocks, &res))
			return;
}

/**
 * vci_plan_miss() - how far the backing device is read for a read
 * @c: cache
 * @off: first block of the read
 * @blocks: of the read
 * @hole: it begins with so many that aren't mapped
 *
 * Map context.  Return: blocks up to the end of the last hole that can be reached without
 * passing something dirty, which the backing device doesn't have (law 3).
 */
u32 vci_plan_miss(struct vci_cache *c, u64 off, u32 blocks, u32 hole)
{
	u32 at = hole, end = min(hole, blocks);
	struct vci_lookup res;

	while (at < blocks) {
		if (vci_cache_peek(c, off + at, blocks - at, &res) ||
		    (res.mapped && res.e.flags & VCI_EXT_DIRTY))
			break;
		at += res.e.blocks;
		if (!res.mapped)
			end = at;
	}
	return min(end, blocks);
}

/**
 * vci_plan_read() - the I/O for a miss
 * @c: cache
 * @off: first block that was missed
 * @blocks: up to behind the last
 * @around: may it be extended?
 * @ops: what of the device is on its way into the log; may be NULL
 * @ctx: for @ops
 * @plan: filled in
 *
 * Map context.
 */
void vci_plan_read(struct vci_cache *c, u64 off, u32 blocks, bool around,
		   const struct vci_plan_ops *ops, void *ctx, struct vci_plan *plan)
{
	plan->miss = off;
	plan->miss_blocks = blocks;
	plan->missed = ((off + blocks - 1) >> VCI_UNIT_LOG2) - (off >> VCI_UNIT_LOG2) + 1;
	plan->ops = ops;
	plan->ctx = ctx;
	plan->admit_nr = 0;
	vci_plan_shrink(plan);
	note_uses(c, off, blocks);
	if (around)
		extend_both(c, plan);
	plan->next = plan->off;
}

/**
 * vci_plan_shrink() - read what was asked for, and no more
 * @plan: from vci_plan_read()
 */
void vci_plan_shrink(struct vci_plan *plan)
{
	plan->off = plan->miss;
	plan->blocks = plan->miss_blocks;
	plan->next = plan->off;
}

/* ---- storing ---- */

/* Of the hole at plan->next, @blocks long: what was asked for. */
static void take_missed(struct vci_cache *c, struct vci_plan *plan, u32 blocks,
			struct vci_plan_piece *piece)
{
	u64 off = plan->next, unit = off >> VCI_UNIT_LOG2;
	u64 end = off + min(blocks, VCI_ENTRY_BLOCKS_MAX - UNIT);
	bool kept;

	if (!plan->admit_nr || unit < plan->admit_unit ||
	    unit >= plan->admit_unit + plan->admit_nr) {
		plan->admit_unit = unit;
		plan->admit_nr = ((end - 1) >> VCI_UNIT_LOG2) - unit + 1;
		plan->admit = vci_policy_admit(&c->policy, off, end - off, plan->missed);
	}
	unit -= plan->admit_unit;
	kept = plan->admit >> unit & 1;
	while (unit < plan->admit_nr && (plan->admit >> unit & 1) == kept)
		unit++;
	piece->off = off;
	piece->blocks = min(end, (plan->admit_unit + unit) << VCI_UNIT_LOG2) - off;
	piece->stream = kept ? VCI_STREAM_KEPT : VCI_STREAM_NEW;
	piece->heat = 0;
	piece->old_addr = 0;
}

/* The bin of the unit of @off; what lies in a unit of the miss too goes with the next. */
static u8 bin_at(const struct vci_plan *plan, u64 off)
{
	u64 unit = off >> VCI_UNIT_LOG2, first = plan->miss >> VCI_UNIT_LOG2;
	u64 last = (plan->miss + plan->miss_blocks - 1) >> VCI_UNIT_LOG2;

	if (off < plan->miss)
		return plan->bin[VCI_AROUND_BEFORE][unit < first ? first - unit - 1 : 0];
	return plan->bin[VCI_AROUND_BEHIND][unit > last ? unit - last - 1 : 0];
}

/* Up to the end of its unit.  A unit counts once, however many holes it has. */
static void add_unit(struct vci_cache *c, struct vci_plan_piece *piece, u8 bin, u32 blocks)
{
	u64 off = piece->off + piece->blocks;

	blocks = min_t(u32, blocks, UNIT - (off & (UNIT - 1)));
	piece->blocks += blocks;
	if (bin != VCI_PLAN_SKIP && !((off + blocks) & (UNIT - 1)))
		vci_policy_read_ahead(&c->policy, bin, off >> VCI_UNIT_LOG2);
}

/*
 * Of the hole at plan->next: what was read around for one bin, but little enough that its
 * first use says something of all of it.  False: not this unit.
 */
static bool take_around(struct vci_cache *c, struct vci_plan *plan, u32 blocks,
			struct vci_plan_piece *piece)
{
	u8 bin = bin_at(plan, plan->next);
	u64 next;

	piece->off = plan->next;
	piece->blocks = 0;
	add_unit(c, piece, bin, blocks);
	if (bin == VCI_PLAN_SKIP)
		return false;
	piece->stream = VCI_STREAM_AHEAD;
	piece->heat = VCI_HEAT_AHEAD | bin;
	piece->old_addr = 0;
	while (piece->blocks < blocks && piece->blocks + UNIT <= VCI_MERGE_BLOCKS_MAX) {
		next = piece->off + piece->blocks;
		if (bin_at(plan, next) != bin ||
		    is_pending(plan, next, min(blocks - piece->blocks, UNIT)))
			break;
		add_unit(c, piece, bin, blocks - piece->blocks);
	}
	return true;
}

/* The part of the I/O from plan->next on that is of one kind. */
static u64 kind_end(const struct vci_plan *plan)
{
	if (plan->next < plan->miss)
		return plan->miss;
	if (plan->next < plan->miss + plan->miss_blocks)
		return plan->miss + plan->miss_blocks;
	return plan->off + plan->blocks;
}

/* What is on its way already isn't stored twice. */
static bool take(struct vci_cache *c, struct vci_plan *plan, u32 blocks,
		 struct vci_plan_piece *piece)
{
	if (is_pending(plan, plan->next, min(blocks, UNIT))) {
		piece->blocks = min(blocks, UNIT);
		return false;
	}
	if (plan->next < plan->miss || plan->next >= plan->miss + plan->miss_blocks)
		return take_around(c, plan, blocks, piece);
	take_missed(c, plan, blocks, piece);
	return true;
}

/**
 * vci_plan_next() - the next part of what was read that is to be stored
 * @c: cache
 * @plan: from vci_plan_read(); it was read
 * @piece: filled in
 *
 * Task context, as all lookups.  Return: false if there is no more.
 */
bool vci_plan_next(struct vci_cache *c, struct vci_plan *plan, struct vci_plan_piece *piece)
{
	u64 end = plan->off + plan->blocks;
	struct vci_lookup res;

	while (plan->next < end) {
		u32 blocks = kind_end(plan) - plan->next;
		bool store = false;

		if (vci_cache_peek(c, plan->next, blocks, &res)) {
			/* Nobody knows; mapping it will. */
			store = take(c, plan, blocks, piece);
			plan->next += piece->blocks;
		} else if (res.mapped) {
			plan->next += res.e.blocks;
		} else {
			store = take(c, plan, res.e.blocks, piece);
			plan->next += piece->blocks;
		}
		if (store)
			return true;
	}
	return false;
}

/**
 * vci_plan_took() - an I/O of the backing device took so long
 * @c: cache
 * @blocks: of it
 * @us: microseconds
 *
 * Any context.
 */
void vci_plan_took(struct vci_cache *c, u32 blocks, u64 us)
{
	vci_policy_took(&c->policy, blocks, us);
}

/* What lies @at blocks behind the start of the write goes where that lay, if it is known. */
static void take_place(const struct vci_write *w, u64 at, struct vci_plan_piece *piece)
{
	const struct vci_write_place *p = w->place;

	for (; p < w->place + w->nr_places; at -= p->blocks, p++) {
		if (at >= p->blocks)
			continue;
		piece->blocks = min_t(u64, piece->blocks, p->blocks - at);
		piece->old_addr = p->addr + at;
		piece->old_turn = p->turn;
		return;
	}
}

/**
 * vci_plan_written() - data was written to the backing device, and may be stored
 * @c: cache
 * @off: first block
 * @blocks: how many
 * @w: the write
 * @piece: filled in: what from the start of it goes where
 *
 * Any context.  What replaces something that was mapped goes to NEW, one use hotter.
 */
void vci_plan_written(struct vci_cache *c, u64 off, u32 blocks, const struct vci_write *w,
		      struct vci_plan_piece *piece)
{
	u32 units = ((off + blocks - 1) >> VCI_UNIT_LOG2) - (off >> VCI_UNIT_LOG2) + 1;
	struct vci_plan plan = { .next = off, .missed = WRITES_PER_READ * units };

	if (!w->replaces) {
		take_missed(c, &plan, blocks, piece);
		return;
	}
	*piece = (struct vci_plan_piece) {
		.off = off, .blocks = min(blocks, VCI_ENTRY_BLOCKS_MAX),
		.stream = VCI_STREAM_NEW, .heat = w->heat,
	};
	take_place(w, off - w->range.off, piece);
}
