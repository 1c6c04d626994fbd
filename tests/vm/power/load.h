/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The workload: direct I/O by some threads, all of it noted in a history.
 *
 * Asynchronous I/O for reads and writes: with it RWF_DSYNC is one write with FUA;
 * pwritev2() would send a flush behind it.
 */
#ifndef POWER_LOAD_H
#define POWER_LOAD_H

#include "model.h"

struct load {
	int fd;			/* of the target, O_DIRECT */
	struct history *history;
	u32 threads;
	u32 ops;		/* of all threads together */
	u32 read_percent;
	u64 seed;
	/* Called now and then in the calling thread; the threads go on meanwhile. */
	void (*meddle)(void *ctx, struct sim_rng *rng);
	void *ctx;

	s32 left;		/* operations, of those */
	u32 violations;
	pthread_rwlock_t pause;
};

/* Returns the number of violations; their description is printed. */
u32 load_run(struct load *load);
/* Nothing new is begun until the second call. */
void load_pause(struct load *load);
void load_continue(struct load *load);

#endif /* POWER_LOAD_H */
