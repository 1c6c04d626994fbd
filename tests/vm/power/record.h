/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two disks with a volatile write cache each, or one without (--write-through), and one
 * record of what both were asked, in order.
 *
 * Everything that happens takes a tick of one clock: a request is received,
 * done and answered; an operation of the workload begins and ends.  So of any
 * two of them one came first, and "power was lost after tick n" means the same
 * for both disks and for the workload.  What the disks hold then is made from
 * the record; nothing has to be killed.
 *
 * FAULT TABLE: what is promised, and what may happen.
 *
 *	sector		512 bytes, atomic: old or new, never a mixture
 *	read		returns what was done last, durable or not
 *	order		requests received and not yet done are done, and those done
 *			are answered, in any order
 *	write		done or not, answered or not, not made durable: at a power
 *			cut each of its sectors is kept or lost for itself (torn,
 *			reordered); of two writes of a sector that are kept the one
 *			done later counts
 *	FUA		answered: its own sectors are durable, no others; so are those
 *			of every write to a disk without a volatile cache
 *	flush		answered: those writes of its own disk are durable whose
 *			answer left before the flush was received
 *	discard		the sectors read as zero, or as before; lost as a write is
 *	power cut	after any tick, for both disks at once
 *
 * Never, unless a fault is asked for (struct faults): a flush or FUA that lies.
 * Never at all: bit flips, misdirected writes, errors.
 */
#ifndef POWER_RECORD_H
#define POWER_RECORD_H

#include "../../sim/sim-rng.h"

#define SECTOR_SIZE	512u

enum { CACHE, BACKING, DISKS };

extern const char *const disk_names[DISKS];
extern const u64 disk_sectors[DISKS];

/* The clock. */
u64 tick(void);
/* Stops the program with a message: the test itself can't go on. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

struct request {
	u64 received, done, answered;	/* ticks; 0: not yet */
	u64 sector;
	u32 sectors;
	u8 op;				/* NBD_CMD_* */
	u8 disk;
	bool fua;
	bool no_effect;			/* a discard that changes nothing */
	const u8 *data;			/* of a write */
};

struct chunk;

/* From one power-on to the next: what was there, what is, and what was asked. */
struct life {
	const u8 **base[DISKS];		/* each sector when it began; NULL: zeros */
	const u8 **now[DISKS];		/* ... as a read sees it */
	struct request **requests;	/* in the order of receipt */
	struct request **changes;	/* writes and discards in the order done */
	size_t nr_requests, nr_changes;
	size_t max_requests, max_changes;
	struct chunk *memory;		/* of requests and data */
	u64 began, active, ended;	/* ticks; active: or the activation failed */
	u64 cut;			/* ... at which the next life begins */
	struct life *before;		/* whose data this one's base points to */
};

/* Takes over @base[]; those are the disks as the power came back. */
struct life *life_new(const u8 **base[DISKS], struct life *before);
void life_free(struct life *l);
/* Memory that lives as long as the life. */
void *life_alloc(struct life *l, size_t size);
struct request *life_receive(struct life *l, const struct request *r);
void life_do(struct life *l, struct request *r);
/* What a read of one sector returns. */
const u8 *sector_data(const u8 *const *sectors, u64 sector);
const u8 **sectors_new(int disk);

/* What disks are like; and those that lie, to show that the test notices. */
struct faults {
	bool write_through[DISKS];	/* no volatile cache, */
	bool no_through[DISKS];		/* ... it says */
	bool no_flush[DISKS];
	bool no_fua[DISKS];
};

/* Which of what isn't durable survives. */
enum survival {
	KEEP_NONE,
	KEEP_ALL,
	KEEP_SECTORS,		/* each sector for itself */
	KEEP_FEW,		/* one sector of eight */
	KEEP_WRITES,		/* each write for itself */
	KEEP_TORN,		/* a part from the beginning of each write */
	KEEP_ORDERED,		/* up to one write, of both disks, which is torn */
	KEEP_BUT_ONE,		/* all but one write */
	KEEP_ONE,		/* one write */
	KEEP_CACHE,		/* all of the cache device, none of the backing device */
	KEEP_BACKING,
	SURVIVALS
};

extern const char *const survival_names[SURVIVALS];

/* The disks as power comes back after it was lost at @cut, for life_new(). */
void survivors(const struct life *l, u64 cut, enum survival survival,
	       const struct faults *faults, struct sim_rng *rng,
	       const u8 **sectors[DISKS]);
/* A tick of the life to cut at: half of them close to a flush or FUA. */
u64 choose_cut(const struct life *l, u64 from, u64 to, struct sim_rng *rng);
/* Prints who changed a sector of a disk, before @cut. */
void explain_sector(const struct life *l, int disk, u64 sector, u64 cut);

/* ---- the pair of NBD disks ---- */

struct pair;

/* /dev/nbd0 is the cache device, /dev/nbd1 the backing device. */
struct pair *pair_start(struct life *l, const struct faults *faults, u64 seed);
void pair_stop(struct pair *p);
/* Another life for the disks, which nobody uses at the moment. */
void pair_set_life(struct pair *p, struct life *l);
/* Programs that read a disk by the page cache find what is there now. */
void pair_forget_pages(struct pair *p);
/* How long requests wait before they are done, at most. */
void pair_set_delay(struct pair *p, int disk, u32 max_us);
const char *pair_device(int disk);

#endif /* POWER_RECORD_H */
