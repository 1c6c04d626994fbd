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
#define BENCH_ROUNDS	3	/* of lookups; the fastest counts */
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

/*
 * bench_random(), but not before what was found at @addr is known: as with I/O, one lookup
 * can't be begun beside the one before.
 */
static inline uint64_t bench_after(uint64_t addr)
{
	return bench_random() + (addr >> 63);
}

/* The processor's time, which others don't take. */
static inline double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* What one lookup took. */
enum bench_counter { BENCH_INSTRUCTIONS, BENCH_CACHE_MISSES, BENCH_COUNTERS };

struct bench_cost {
	double ns;			/* 0: not measured yet */
	double count[BENCH_COUNTERS];	/* -1: the processor doesn't count it */
};

struct bench_count {
	double began;
};

void bench_count_begin(struct bench_count *k);
/* After BENCH_LOOKUPS of them; @cost becomes the lower one. */
void bench_count_end(const struct bench_count *k, struct bench_cost *cost);

/* One line of the table; remembers the smallest and the largest of each kind. */
enum bench_kind { BENCH_TREE_RANDOM, BENCH_TREE_ASCENDING, BENCH_HASH, BENCH_KINDS };

struct bench_row {
	enum bench_kind kind;
	uint64_t nr;
	double bytes;			/* of each */
	double insert_ns;
	double hits;
	struct bench_cost look_up;
};

void bench_print(const struct bench_row *row);

void bench_hash(uint32_t nr);

#endif /* BENCH_CORE_H */
