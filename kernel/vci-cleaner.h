/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When dirty data is written back, and how much of it at a time.
 */
#ifndef VCI_CLEANER_H
#define VCI_CLEANER_H

#include "vci-cache.h"

struct vci_writer;

#define VCI_AGE_SAMPLES	64u

/* Where the log stood at a time: what is older has no larger number. */
struct vci_age_sample {
	unsigned long when;		/* jiffies */
	u64 seq;
};

struct vci_cleaner {
	/* Set by messages at any time. */
	unsigned int max_age;		/* seconds; 0: no limit */
	bool always;			/* the mode wants nothing to be dirty */

	/* The rest is the tick's. */
	u64 end;			/* of the device, in blocks */
	struct vci_writeback pass;	/* over the device; the tick's own */
	u64 pass_seq;			/* what is clean when the pass is done */
	u64 clean_seq;			/* what is clean by the last pass */
	unsigned int errors;		/* rounds that failed, in a row */
	unsigned int no_room;		/* ... that found no room for records */
	unsigned long last_paced;	/* jiffies */
	unsigned long rests_until;	/* jiffies: the backing device is the users' */
	unsigned int nr_samples;	/* taken so far */
	struct vci_age_sample samples[VCI_AGE_SAMPLES];

	/* The message "flush": blocks that it still has to write back, about. */
	u64 flush_left;
};

void vci_cleaner_start(struct vci_writer *w, u64 end);
/* vci_cleaner_tick(): nothing to do before the next tick. */
#define VCI_CLEANER_IDLE	UINT_MAX

unsigned int vci_cleaner_tick(struct vci_writer *w, bool busy);
int vci_cleaner_flush(struct vci_writer *w) __must_check;

#endif /* VCI_CLEANER_H */
