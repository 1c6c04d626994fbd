/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Histories: what crash-sim runs, one after the other.
 */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include "sim-world.h"

struct sim_options {
	u64 seed;
	u64 count;		/* crashes; 0: no limit */
	unsigned int ops;	/* steps between two crashes, at most */
	unsigned int rounds;	/* crashes and closes of one image, at most; 0: as chosen */
	unsigned int seconds;	/* 0: no limit */
	unsigned int jobs;
	bool verbose;
	bool tap;
	bool shrink;
};

struct sim_result {
	u64 histories, crashes, opens, closes, ops, verified, hits, misses, io;
	u64 batches, checkpoints, evicted, moved, stale, full_appends, clones;
	u64 writes_logged, writes_direct, writes_placed, dead_places, fill_reads, around;
	u64 dirty_hits, met_dirty, past_log, written_back, messages, failed_ops, wedged;
	u64 min_ops;		/* operations of the shortest history */
	u64 rounds;
	u64 last_seed;
	struct sim_table table;
	bool failed;
	char violation[256];
};

void sim_history(struct sim_result *res, const struct sim_options *o, u64 seed);

#endif /* SIM_HISTORY_H */
