/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A simulated disk with a volatile write cache.
 *
 * FAULT TABLE: what is promised, and what may happen.
 *
 *	sector		512 bytes, atomic: old or new, never a mixture
 *	read		returns what was written last, durable or not
 *	write		completed, not flushed: at a power cut each of its sectors
 *			is kept or lost for itself (torn, reordered)
 *	FUA		its own sectors are durable, no others
 *	PREFLUSH	as a flush before the write: nothing of that is there without it
 *	flush		all that completed before is durable
 *	power cut	at I/O n: it fails; a write may have any part of it in the
 *			volatile cache, a flush may have happened or not; all
 *			later I/O fails until sim_disk_power_cut()
 *	host crash	the same I/O fails, the volatile cache survives: reads
 *			after the restart see it, a power cut then may lose it
 *	error		an I/O fails; a write may have written any part
 *
 * Never: bit flips, misdirected writes, a flush that lies.  Checksums are for
 * those; unit tests do them by hand.
 *
 * It is sparse: pages of 8 sectors in a hash.  What is not durable is an undo
 * log of sectors, so that all but a power cut is cheap.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "sim-rng.h"
#include "vci-io.h"

/* Counts I/O of all disks that lose power together. */
struct sim_power {
	struct sim_rng *rng;
	u64 io;			/* so far */
	u64 crash_at;		/* this one fails, and all behind it; 0: never */
	bool dead;
	/* Called before an I/O of the core, and sometimes behind it; may do I/O itself. */
	void (*hook)(void *ctx);
	void *ctx;
	bool in_hook_io;	/* the caller's own I/O: no hook */
};

enum sim_cut {
	SIM_CUT_LOSE_ALL,	/* nothing that wasn't flushed */
	SIM_CUT_KEEP_ALL,
	SIM_CUT_SECTORS,	/* each sector for itself */
	SIM_CUT_WRITES,		/* each write for itself */
	SIM_CUT_ORDERED,	/* up to one write, which is torn */
	SIM_CUT_ONE_LOST,	/* all but one write */
	SIM_CUT_TORN,		/* a prefix of each write */
	SIM_CUTS
};

struct sim_page;
struct sim_undo;

struct sim_disk {
	struct vci_dev dev;	/* first */
	struct sim_power *power;
	struct sim_page **hash;	/* SIM_HASH chains */
	struct sim_page *zero_page;
	struct sim_page *last;	/* the page found last */
	struct sim_undo *undo;
	size_t nr_undo, max_undo;
	u8 *arena;		/* old contents, one sector each */
	u32 nr_writes;		/* in the undo log */
	u32 cut;		/* number of this power cut */
	u32 fail_in;		/* the n-th I/O from now fails alone; 0: none */
	bool fail_for_good;	/* ... and all writes behind it */
	bool broken;		/* they do */
	void (*settled)(void *ctx);	/* all is durable now; may be NULL */
	void *ctx;
	u64 reads, writes, errors;
	u64 flushes;		/* PREFLUSH is one, too */
	u64 blocks_read, blocks_written;
	u64 nr_pages;
};

void sim_disk_init(struct sim_disk *d, struct sim_power *p, u64 blocks,
		   const char *name);
void sim_disk_destroy(struct sim_disk *d);
/* What a read would return, without I/O: a pointer to one sector. */
const u8 *sim_disk_peek(struct sim_disk *d, u64 sector);
/* Changes a sector behind everybody's back; durable. */
void sim_disk_poke(struct sim_disk *d, u64 sector, const void *data);
/* Loses power: what is left is durable. */
void sim_disk_power_cut(struct sim_disk *d, enum sim_cut cut);
/* The volatile cache was written out by itself. */
void sim_disk_settle(struct sim_disk *d);
/* crc32c over all pages that are not zero; for "nothing was written". */
u64 sim_disk_digest(struct sim_disk *d);
/* A deep copy of contents; what isn't durable becomes durable in @to. */
void sim_disk_copy(struct sim_disk *to, struct sim_disk *from);

#endif /* SIM_DISK_H */
