/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading the log: all batches of all its segments, sorted by their numbers.
 *
 * The log is a set of segments (vci-log.h), each of which is read once: those open
 * at the checkpoint, from where they were used up to then, and those that are
 * named.  Whether a batch counts is told by its segment alone; what is missing, and
 * what that means, is vci-recovery.c's to judge, in the order of numbers.
 */
#ifndef VCI_SCAN_H
#define VCI_SCAN_H

#include "vci-platform.h"

struct vci_cache;
struct vci_open_report;

/* A batch that counts: 32 bytes. */
struct vci_found {
	u64 seq;
	u64 durable_seq;	/* its stamp */
	u64 clean_addr;		/* what its last CLEAN entry is about; 0: none */
	u32 first;		/* its changes: entries of c->redo, not linked yet */
	u16 nr;
	u8 epoch;		/* index in the header's list */
	u8 torn;		/* entries of it were */
};

#define VCI_TORN_MAX	16u	/* ranges that messages can name */

struct vci_torn {
	u64 seq, off;
	u32 blocks;
};

struct vci_scan {
	struct vci_found *found;	/* sorted */
	u32 nr_found, max_found;
	u32 *names;		/* segments that are named, in the order of that */
	u32 nr_names;
	unsigned long *named;	/* a bit per segment */
	u32 nr_torn;		/* in all; of the first VCI_TORN_MAX: */
	struct vci_torn torn[VCI_TORN_MAX];
};

/*
 * Keeps the changes in c->redo, and lets segments that hold batches be CLOSED.  May
 * sleep, writes nothing.  vci_scan_destroy() undoes it, whatever it returned: 0,
 * -ENOMEM or the device's error.
 */
int vci_scan_log(struct vci_scan *sc, struct vci_cache *c,
		 struct vci_open_report *report) __must_check;
void vci_scan_destroy(struct vci_scan *sc);

#endif /* VCI_SCAN_H */
