/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The test: what its parts share.
 */
#ifndef POWER_H
#define POWER_H

#include "load.h"

#define MAX_TOLD	3u	/* violations that are described */

struct options {
	const char *mode;	/* one of the target's, "ordered" or "mixed" */
	const char *dump;	/* directory for the disks at the first violation */
	u32 cuts;
	u32 ops;
	u64 seed;
	struct faults faults;
};

struct power {
	struct options o;
	struct sim_rng rng;
	struct pair *pair;
	struct load *load;	/* while it runs */
	struct life *first;	/* of the last run */
	int fd;			/* of the target */
	u8 *buffer;
	u32 cuts, later_cuts;	/* so far; of them in a life after a cut */
	u32 loaded;		/* lives after a cut with more writes */
	u32 alone;		/* looks at the backing device alone */
	u32 checked;		/* images that vci-check has judged */
	u32 switches;		/* changes of mode under load */
	u32 violations;
	enum survival survival;	/* of the last cut */
};

/* ---- target.c ---- */

/* The disks' first use in a life; they are the kernel's before and after. */
void target_format(struct power *p);
/* 0 or -errno; the target is open then. */
int target_activate(struct power *p);
void target_detach(struct power *p);
int target_message(const char *message);
void target_suspend_resume(void);
/* Another mode, if the test is about that. */
void target_change_mode(struct power *p, struct sim_rng *rng);
/* Is dirty data possible? */
bool target_writes_back(const struct power *p);
/* Does the backing device get it in the order of the flushes? */
bool target_is_ordered(const struct power *p);
/* One line about what it did. */
void target_print_stats(void);
/* vci-check finds the closed image clean. */
bool target_image_is_valid(struct power *p);

/* ---- verify.c ---- */

#define READ_SECTORS	128u	/* of a verifying read */

/* Against what it is verified. */
struct past {
	const struct history *history;
	u64 cut;		/* 0: none, all that ended is still there */
	u64 since;		/* then: when verifying began */
	u64 newest;		/* with a cut: the backing device alone, written in order */
};

/* Counts a violation.  True: it is to be described. */
bool violated(struct power *p, const struct life *l);
u32 *versions_new(void);
/* Reads all spots through the target. */
void read_all_spots(struct power *p, u32 *versions);
/* What a disk holds, without the kernel. */
void versions_on(const u8 **sectors, u32 *versions);
/* @what: says who showed @versions. */
void check_legal(struct power *p, const struct life *l, const struct past *past,
		 const u32 *versions, const char *what);
void check_same(struct power *p, const struct life *l, const u32 *expected,
		const u32 *got, const char *what);
/*
 * Law 4, at some other cut and without activation: but for write-back, the
 * backing device alone has it all; with write-back in order it has it up to some
 * flush.
 */
void check_backing_alone(struct power *p, const struct life *l, const struct history *h);
/* All of it is durable on the backing device. */
void check_written_back(struct power *p, const struct life *l, const u32 *expected);

/* ---- run.c ---- */

/* One workload, and power cuts in it. */
void run(struct power *p, u32 cuts);

#endif /* POWER_H */
