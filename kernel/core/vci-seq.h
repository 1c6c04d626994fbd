/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs: requests that follow each other, and which runs are too long to cache.
 *
 * A small table knows the runs that go on now: where each began, and where it ends so
 * far.  A request that begins or ends near a run's end goes on with it; any other begins
 * a run, in place of the one that was asked for longest ago.  See "Long runs" in design.rst.
 *
 * Whatever it answers costs speed at most: the caller keeps the cache coherent either
 * way.  Hits aren't told, so a run may have holes.
 */
#ifndef VCI_SEQ_H
#define VCI_SEQ_H

#include "vci-platform.h"

/* Runs that go on at the same time. */
#define VCI_SEQ_RUNS	32u
/*
 * How near, in blocks, behind or before a run's end: 128 KiB.  What lies between was a
 * hit, 64 KiB of read-around for one; or requests have overtaken each other.
 */
#define VCI_SEQ_NEAR	256u

struct vci_seq_run {
	u64 start, end;		/* blocks; 0, 0: none yet, or one at the very start */
	u64 last;		/* on the table's clock */
};

struct vci_seq {
	u64 cutoff;		/* bytes; 0: no run is too long. Changed at any time */
	spinlock_t lock;	/* all below; in task context */
	u64 clock;		/* requests so far */
	struct vci_seq_run run[VCI_SEQ_RUNS];
};

void vci_seq_init(struct vci_seq *s, u64 cutoff);
/* Notes a request: is its run, with it, longer than the cutoff?  Task context. */
bool vci_seq_is_long(struct vci_seq *s, u64 off, u32 blocks);

#endif /* VCI_SEQ_H */
