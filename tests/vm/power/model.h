/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What each sector may read as.
 *
 * A write has a version, and each of its sectors says which sector and version
 * it is, so that a sector read tells which write it comes from.  With the ticks
 * at which operations began and ended, a value is legal at a power cut if
 *
 *  - its write began before the cut, and
 *  - no write that is durable came certainly after it.
 *
 * Durable is a write that ended before the beginning of a flush that ended before
 * the cut, and one with FUA that ended before the cut.  Certainly after a write is
 * one that began when the first had ended, and one that a read saw that began when
 * the first had ended.  Of writes at the same time any may be the last.
 *
 * A discard makes zeros legal, and nothing illegal.
 */
#ifndef POWER_MODEL_H
#define POWER_MODEL_H

#include <pthread.h>

#include "record.h"

/* Versions: 0 is zeros, 1 what the backing device held at the beginning. */
#define VERSION_ZERO	0u
#define VERSION_FIRST	1u
/* Not from any write; from a write to another sector. */
#define VERSION_GARBAGE	0xffffffffu
#define VERSION_FOREIGN	0xfffffffeu

/* ---- contents of sectors ---- */

void fill_sector(u8 *data, u64 sector, u32 version);
u32 version_of(const u8 *data, u64 sector);

/* ---- the sectors that are used: a few spots of the device ---- */

#define NR_SPOTS	24u
#define SPOT_SECTORS	256u
#define NR_SECTORS	(NR_SPOTS * SPOT_SECTORS)

/* Chooses the spots: the device's first and last sectors are among them. */
void spots_init(struct sim_rng *rng);
u64 spot_start(u32 spot);
/* Number of a sector, 0 to NR_SECTORS - 1; it must lie in a spot. */
u32 sector_index(u64 sector);
u64 sector_at(u32 index);

/* ---- history ---- */

enum op_kind { OP_READ, OP_WRITE, OP_DISCARD, OP_FLUSH };

struct op {
	struct op *next;
	u64 begin, end;		/* ticks; 0: never ended */
	u64 sector;
	u32 sectors;
	u32 version;
	u8 kind;
	bool fua;
};

struct history {
	pthread_mutex_t lock;
	struct op *ops;
	struct op *flushes;
	struct events *events;	/* for each sector */
	u32 *base;		/* version of each sector when it began */
	struct sim_rng *rng;
	u64 nr_ops[4];
};

/* Takes over @base. */
struct history *history_new(u32 *base);
void history_free(struct history *h);
/* Notes that an operation begins; the caller sets op->end when it has ended. */
struct op *history_begin(struct history *h, enum op_kind kind, u64 sector,
			 u32 sectors, bool fua);
/*
 * A read ended: notes what it saw.  @index: a sector that is none of its legal
 * values, or -1.
 */
void history_end_read(struct history *h, struct op *op, const u32 *versions,
		      int *index);

/* May the sector read as @version after power was lost at @cut? */
bool legal_after_cut(const struct history *h, u32 index, u32 version, u64 cut);
/*
 * May the backing device of a target that writes back in order hold @version of the
 * sector, while it holds something that was begun to be written at @newest?  What was
 * flushed before that must be there, too.
 */
bool legal_in_order(const struct history *h, u32 index, u32 version, u64 cut, u64 newest);
/* When the newest of these versions began to be written; 0: they are the first ones. */
u64 newest_of(const struct history *h, const u32 *versions);
/* May a read that began at @since, without a power cut, show it? */
bool legal_now(const struct history *h, u32 index, u32 version, u64 since);
/* Prints the sector's history; @cut 0: no cut. */
void explain_history(const struct history *h, u32 index, u32 version, u64 cut);

#endif /* POWER_MODEL_H */
