// SPDX-License-Identifier: GPL-2.0-only
/*
 * What read-around learns: see vci-around.h.
 */
#include "vci-around.h"

/* As if so many units of each bin had been filled, and had saved an eighth as many I/Os. */
#define FILLED_FIRST	2u
#define FILLED_MAX	4096u

/*
 * What is stored is written to the cache device, not for next to nothing: else a disk with
 * random reads would cost ten times their bytes.  How little is nothing depends on what
 * comes of all that is stored: one I/O for so many units is much, or something.
 */
#define ALL_FIRST	256u	/* units before anything is concluded */
#define MUCH		32u
#define SOMETHING	96u
#define LEAST_MIDDLE	(VCI_AROUND_ONE / 64)
#define LEAST_LITTLE	(VCI_AROUND_ONE / 16)

/* I/Os of regions are counted in 1/256, forgotten by half from eight on. */
#define REGION_ONE	256u
#define REGION_MAX	(8 * REGION_ONE)
#define REGIONS_MIN	256u
#define REGIONS_MAX	16384u

/* Trying: for each unit missed, for each used; no more is saved. */
#define CREDIT_MISSED	(VCI_AROUND_ONE / 64)
#define CREDIT_USED	(VCI_AROUND_ONE / 2)
#define CREDIT_MAX	(4ull * VCI_AROUND_UNITS * VCI_AROUND_ONE)

/* Reading a unit more, over the latency of an I/O: a guess, and within what bounds. */
#define COST_FIRST	(VCI_AROUND_ONE / 128)
#define COST_MIN	(VCI_AROUND_ONE / 4096)
#define COST_MAX	(VCI_AROUND_ONE / 4)

#define DEVICE_FIRST	64u	/* I/Os before anything is concluded */
#define DEVICE_MAX	1024u
#define DEVICE_US_MAX	1000000u

/**
 * vci_around_init() - nothing is known yet
 * @a: to set up
 * @units: that the cache holds
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_around_init(struct vci_around *a, u32 units)
{
	u32 regions = clamp_t(u32, units >> VCI_AROUND_REGION_LOG2, REGIONS_MIN, REGIONS_MAX);
	u32 i;

	regions = roundup_pow_of_two(regions);

	memset(a, 0, sizeof(*a));
	for (i = 0; i < VCI_AROUND_BINS; i++) {
		a->bin[i].filled = FILLED_FIRST;
		a->bin[i].saved = FILLED_FIRST * VCI_AROUND_ONE / 8;
	}
	a->cost = COST_FIRST;
	a->mask = regions - 1;
	a->region = kvcalloc(regions, sizeof(*a->region), GFP_KERNEL);
	return a->region ? 0 : -ENOMEM;
}

/**
 * vci_around_destroy() - free what was learnt
 * @a: zeroed or initialised
 */
void vci_around_destroy(struct vci_around *a)
{
	kvfree(a->region);
	a->region = NULL;
}

/**
 * vci_around_bytes() - memory that it takes
 * @a: what was learnt
 */
u64 vci_around_bytes(const struct vci_around *a)
{
	return (a->mask + 1ull) * sizeof(*a->region);
}

/**
 * vci_around_bin() - the bin of a unit beside a miss
 * @side: of the miss
 * @distance: units between
 * @goes_on: is the unit on the other side of the miss cached?
 *
 * Distances are up to 8, 16, 32, 64 KiB.  Return: the bin.
 */
u8 vci_around_bin(enum vci_around_side side, u32 distance, bool goes_on)
{
	u8 step = distance < 2 ? 0 : min(ilog2(distance), 3);

	return (goes_on ? 8 : 0) + (side == VCI_AROUND_BEFORE ? 4 : 0) + step;
}

/**
 * vci_around_own() - what of the I/Os that a unit saves is its own merit
 * @bin: of the unit
 * @saved: I/Os, in 1/VCI_AROUND_ONE
 *
 * Had it not been read, the miss that came instead would have read on from there, and so
 * spared others: the more, the further off it lies.  Return: all up to 8 KiB, and three
 * quarters, half, one quarter.
 */
u64 vci_around_own(u8 bin, u64 saved)
{
	return saved * (4 - bin % 4) / 4;
}

static struct vci_around_region *region_of(const struct vci_around *a, u64 unit)
{
	u64 hash = ((unit >> VCI_AROUND_REGION_LOG2) + 1) * 0x9e3779b97f4a7c15ull;

	return &a->region[hash >> 32 & a->mask];
}

static u64 bin_worth(const struct vci_around *a, u8 bin)
{
	return div_u64(a->bin[bin].saved, a->bin[bin].filled);
}

/**
 * vci_around_worth() - I/Os that a unit will save
 * @a: what was learnt
 * @bin: of the unit
 * @unit: which
 *
 * Return: in 1/VCI_AROUND_ONE.
 */
u64 vci_around_worth(const struct vci_around *a, u8 bin, u64 unit)
{
	const struct vci_around_region *r = region_of(a, unit);

	return div_u64(bin_worth(a, bin) * (r->saved + REGION_ONE), r->expected + REGION_ONE);
}

static bool is_new(const struct vci_around *a)
{
	return a->all.filled < ALL_FIRST;
}

/**
 * vci_around_least() - I/Os that a unit must save to be stored
 * @a: what was learnt
 *
 * Return: in 1/VCI_AROUND_ONE.
 */
u64 vci_around_least(const struct vci_around *a)
{
	u64 filled = a->all.filled, saved = a->all.saved;

	if (is_new(a))
		return LEAST_MIDDLE;
	if (saved * MUCH >= filled * VCI_AROUND_ONE)
		return 0;
	return saved * SOMETHING >= filled * VCI_AROUND_ONE ? LEAST_MIDDLE : LEAST_LITTLE;
}

/**
 * vci_around_planned() - units are going to be read and stored
 * @a: what was learnt
 * @units: how many
 */
void vci_around_planned(struct vci_around *a, u32 units)
{
	if (is_new(a))
		a->planned += units;
}

/**
 * vci_around_wait() - is enough on its way for a beginning?
 * @a: what was learnt
 *
 * Else many misses at once would all read as far as they can, before anything is known of
 * the first one.  What is on its way may never be stored: each miss that waits forgets one.
 *
 * Return: true: read nothing around this miss.
 */
bool vci_around_wait(struct vci_around *a)
{
	if (!is_new(a) || a->planned < ALL_FIRST)
		return false;
	a->planned--;
	return true;
}

static void count_filled(struct vci_around_bin *bin)
{
	if (++bin->filled < FILLED_MAX)
		return;
	bin->filled /= 2;
	bin->saved /= 2;
}

/**
 * vci_around_filled() - a unit was read ahead and stored
 * @a: what was learnt
 * @bin: that wanted it
 * @unit: which
 */
void vci_around_filled(struct vci_around *a, u8 bin, u64 unit)
{
	struct vci_around_region *r = region_of(a, unit);
	u64 worth = div_u64(bin_worth(a, bin), VCI_AROUND_ONE / REGION_ONE);

	r->expected = min_t(u64, r->expected + worth, U16_MAX);
	if (r->expected > REGION_MAX) {
		r->expected /= 2;
		r->saved /= 2;
	}
	count_filled(&a->bin[bin]);
	count_filled(&a->all);
}

/**
 * vci_around_used() - what was read ahead was asked for the first time
 * @a: what was learnt
 * @bin: that wanted it
 * @unit: one of it
 * @saved: I/Os, in 1/VCI_AROUND_ONE: 0 if something else was missed
 */
void vci_around_used(struct vci_around *a, u8 bin, u64 unit, u32 saved)
{
	struct vci_around_region *r = region_of(a, unit);

	a->bin[bin].saved += saved;
	a->all.saved += saved;
	r->saved = min_t(u32, r->saved + saved / (VCI_AROUND_ONE / REGION_ONE), U16_MAX);
	a->credit = min_t(u64, a->credit + CREDIT_USED, CREDIT_MAX);
}

/**
 * vci_around_try() - is there credit for trying?
 * @a: what was learnt
 * @missed: units of this miss
 * @units: that are tried on each side
 *
 * Return: then it is spent.
 */
bool vci_around_try(struct vci_around *a, u32 missed, u32 units)
{
	u64 price = 2ull * units * VCI_AROUND_ONE;

	a->credit = min_t(u64, a->credit + (u64)missed * CREDIT_MISSED, CREDIT_MAX);
	if (a->credit < price)
		return false;
	a->credit -= price;
	return true;
}

/* The line t = latency + slope * x; all in microseconds, slope for a unit. */
static void fit(struct vci_around *a)
{
	const struct vci_around_device *d = &a->device;
	s64 n = d->n, x = d->x, t = d->t;
	s64 spread = n * (s64)d->xx - x * x;
	s64 slope = n * (s64)d->xt - x * t, latency;

	/* All of one size: nothing to learn. */
	if (spread <= 0)
		return;
	/* slope / spread is the time of a unit; over the latency, times n: */
	latency = t * spread - slope * x;
	if (slope <= 0 || latency <= 0) {
		a->cost = slope <= 0 ? COST_MIN : COST_MAX;
		return;
	}
	while (latency >> 40 || slope >> 40) {
		latency >>= 1;
		slope >>= 1;
	}
	a->cost = clamp_t(u64, div64_u64((u64)slope * n * 1024, max_t(u64, latency / 64, 1)),
			  COST_MIN, COST_MAX);
}

/**
 * vci_around_took() - an I/O of the backing device took so long
 * @a: what was learnt
 * @units: of it
 * @us: microseconds
 */
void vci_around_took(struct vci_around *a, u32 units, u64 us)
{
	struct vci_around_device *d = &a->device;

	us = min_t(u64, us, DEVICE_US_MAX);
	units = min(units, 4 * VCI_AROUND_UNITS);
	d->n++;
	d->x += units;
	d->t += us;
	d->xx += (u64)units * units;
	d->xt += us * units;
	if (d->n < DEVICE_FIRST)
		return;
	if (!(d->n % DEVICE_FIRST))
		fit(a);
	if (d->n < DEVICE_MAX)
		return;
	d->n /= 2;
	d->x /= 2;
	d->t /= 2;
	d->xx /= 2;
	d->xt /= 2;
}
