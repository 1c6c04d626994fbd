/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which orderings were at stake at which crashes: see sim-table.c.
 */
#ifndef SIM_TABLE_H
#define SIM_TABLE_H

#include "vci-platform.h"

enum sim_event {
	EV_APPEND, EV_FLUSH, EV_WRITEBACK, EV_CHECKPOINT, EV_RECLAIM, EV_RECOVERY,
	EV_MODE, EV_DISCARD, EV_MOVE, EVENTS
};

enum sim_ordering {
	O_1, O_2, O_3, O_4, O_5, O_6, O_7, O_8, O_9, O_10, O_11, O_12, O_13, ORDERINGS
};

struct sim_table {
	u64 cell[ORDERINGS][EVENTS];
};

/* What the simulator itself must remember to tell what goes on. */
struct now {
	bool writeback;		/* in vci_cache_writeback() */
	bool checkpoint;	/* in vci_cache_checkpoint() */
	bool maintain;		/* in vci_cache_maintain() */
	bool append;		/* in vci_cache_append() */
	bool message;		/* in a flush message */
	u64 checkpoints;	/* how many there were when these began: */
	u64 fills;		/* batches of fills since the checkpoint */
	u64 written_back;	/* blocks, at the checkpoint */
	u64 several_seq;	/* last batch with several entries */
	u64 evicted;		/* blocks, by then */
	u64 moved;		/* blocks, at the checkpoint */
	u64 met_dirty;		/* writes, since the activation */
	u64 reclaim_opened;	/* segments, at the last reclaim, plus 1 */
	bool host_crash;	/* left something unflushed, before this life */
	bool suspended;		/* the last checkpoint is a suspend's or a close's */
	u32 stakes;		/* of the last crash while the cache was open */
};

struct world;

void table_opened(struct world *w, bool clean);
void table_note(struct world *w);
void table_crash(struct world *w);
void table_add(struct sim_table *sum, const struct sim_table *t);
u32 table_count_empty(const struct sim_table *t);
void table_print(const struct sim_table *t);

#endif /* SIM_TABLE_H */
