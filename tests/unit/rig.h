/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For tests of the core's upper half: two simulated disks and a cache.
 */
#ifndef RIG_H
#define RIG_H

#include "../sim/sim-disk.h"
#include "vci-cache-internal.h"
#include "vt.h"

#define RIG_BACKING	40000u	/* blocks */

struct rig {
	struct sim_rng rng;
	struct sim_power power;
	struct sim_disk cache, backing;
	struct vci_cache *c;
	struct vci_open_report report;
	struct vci_damage dmg;
	const char *why;
	u8 *buffer;
	u8 *data;
	struct vci_fill fill;
	unsigned int drained;
	bool ordered;
	bool direct;
	bool volatile_cache;
	u8 log_stream;		/* of rig_log_write() */
	bool no_data;		/* rig_verify() compares none */
	bool force;		/* rig_open() activates whatever is lost */
	char finding[160];	/* the first one of rig_verify() */
};

/* A formatted image of @blocks, @segment_blocks of 0: chosen; not open. */
void rig_init(struct rig *rig, u64 blocks, u64 backing_blocks, u32 segment_blocks);
void rig_exit(struct rig *rig);
int rig_open(struct rig *rig);
/* Closes and frees. */
int rig_close(struct rig *rig);
/* Frees and cuts the power. */
void rig_crash(struct rig *rig, enum sim_cut cut);
/* Reads from the backing device and puts into the fill / appends it. */
int rig_reserve(struct rig *rig, u64 off, u32 blocks);
int rig_append(struct rig *rig);
int rig_fill(struct rig *rig, u64 off, u32 blocks);
/* A whole write: begin, prepare, backing device, end. */
int rig_write(struct rig *rig, u64 off, u32 blocks, u32 value);
/* A write to the log, as the shell does it; durable at once with @fua. */
int rig_log_write(struct rig *rig, u64 off, u32 blocks, u32 value, bool fua);
/* Such writes in one batch: of one block each, every other block from @off on. */
int rig_log_writes(struct rig *rig, u64 off, u32 nr, u32 value);
/* The value of a block as a user reads it; -1 if its bytes differ. */
int rig_value(struct rig *rig, u64 off);
/* What a user's FLUSH does. */
int rig_flush(struct rig *rig);
/* All that is dirty goes to the backing device; else an error of it or the cache. */
int rig_write_back(struct rig *rig);
/* Blocks of the range that are mapped, with the right data; -1: wrong data. */
int rig_cached(struct rig *rig, u64 off, u32 blocks);
/* Findings of vci_verify(), or an error. */
int rig_verify(struct rig *rig);
/* Both disks. */
u64 rig_digest(struct rig *rig);
/* Changes the header on the device. */
void rig_header(struct rig *rig, struct vci_header *h);
void rig_put_header(struct rig *rig, const struct vci_header *h);
/* Flips a bit. */
void rig_damage(struct rig *rig, u64 block, u32 byte);

#endif /* RIG_H */
