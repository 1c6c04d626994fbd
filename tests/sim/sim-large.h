/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Large images that are full: sparse files, made without writing any data.
 *
 * Every extent has the same length and lies at a random place of a backing device
 * that is larger than the image.
 */
#ifndef SIM_LARGE_H
#define SIM_LARGE_H

#include "sim-rng.h"
#include "vci-cache-internal.h"

#define GIB_BLOCKS	(1ull << 21)
#define MIB_BLOCKS	(1ull << 11)
/* The backing device is so many times as large. */
#define LARGE_BACKING	4u

struct file_disk {
	struct vci_dev dev;	/* first */
	int fd;			/* -1: reads as zeros, forgets writes */
	u64 kept;		/* what is written to this block or behind it is forgotten */
	u64 reads, blocks_read, blocks_written;
	void (*hook)(void *ctx);	/* called with each I/O */
	void *ctx;
};

struct large {
	struct file_disk cache, backing;
	struct vci_cache *c;
	struct vci_open_report report;
	struct sim_rng rng;
	u32 extent;		/* blocks of each */
	u64 nr_extents;		/* of the full image */
	u64 mem_limit;		/* for large_open() */
	bool volatile_cache;	/* ... which allows direct writes then */
	u64 *log;		/* offsets of its entries */
	u32 nr_log;
};

/* A formatted image of @blocks in a sparse file; not open. */
void large_init(struct large *m, u64 blocks, u32 extent);
/* ... or in this one, which reads as zeros and is closed by large_exit(). */
void large_init_fd(struct large *m, int fd, u64 blocks, u32 extent);
void large_exit(struct large *m);
void large_open(struct large *m);
/* Cleanly closed, with all segments full but those that @log_blocks of log need. */
void large_make_full(struct large *m, u64 log_blocks);
/* Where the @i-th extent of the full image begins. */
u64 large_offset(const struct large *m, u64 i);
/* Opened, with a log of writes at random places. */
void large_append_log(struct large *m, u64 log_blocks);
/* Appends a batch of users' writes; the caller is in the gate. */
int large_append(struct vci_cache *c, struct vci_fill *f);
/* Seconds since some moment, to tell how long something took. */
double large_now(void);

#endif /* SIM_LARGE_H */
