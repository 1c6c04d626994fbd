/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of bench-core share.  Its second part knows liburcu, whose names
 * are those of the core's platform: so this header includes neither.
 */
#ifndef BENCH_CORE_H
#define BENCH_CORE_H

#include <stdint.h>
#include <time.h>

#define BENCH_LOOKUPS	4000000u
#define BENCH_UNIT	8u	/* blocks of an extent */

static uint64_t bench_rng;

static inline void bench_restart(void)
{
	bench_rng = 88172645463325252ull;
}

static inline uint64_t bench_random(void)
{
	bench_rng ^= bench_rng << 13;
	bench_rng ^= bench_rng >> 7;
	bench_rng ^= bench_rng << 17;
	return bench_rng;
}

static inline double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

void bench_hash(uint32_t nr);

#endif /* BENCH_CORE_H */
