/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Chance for simulations: all of it comes from one seed.
 */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include "vci-platform.h"

struct sim_rng {
	u64 state;
};

/* splitmix64 */
static inline u64 sim_rand(struct sim_rng *r)
{
	u64 z = (r->state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* 0 to n - 1 */
static inline u32 sim_below(struct sim_rng *r, u32 n)
{
	return ((sim_rand(r) >> 32) * n) >> 32;
}

/* from to to, both included */
static inline u32 sim_range(struct sim_rng *r, u32 from, u32 to)
{
	return from + sim_below(r, to - from + 1);
}

static inline bool sim_percent(struct sim_rng *r, u32 percent)
{
	return sim_below(r, 100) < percent;
}

#endif /* SIM_RNG_H */
