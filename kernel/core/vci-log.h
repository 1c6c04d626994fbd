/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The log: the order of appends.
 *
 * A batch is one header and its data, appended to the open segment of a stream,
 * one batch at a time: the next gets its place when the one before is complete
 * and mapped (the gate, vci-append.c).  So numbers (seq) are the order of all
 * batches, whatever segments they lie in.  Batches are judged singly (O4):
 * recovery takes each one that is whole, whatever is missing before it.  So that
 * it finds them all:
 *
 *  L1 the header names the open segment of each stream, and the next ones of the
 *     queue; each batch those at the queue's head
 *  L2 a segment is opened only if its name is durable: in the header, or in a
 *     batch that is durable
 *  L3 in each segment the first batch is complete before another is submitted,
 *     and durable before another is by itself (FUA), so a segment whose first
 *     unit is no batch holds none that was flushed
 *  L4 a segment is free in the checkpoint that the log began with: an older
 *     life's batches have a seq that this checkpoint covers (O8), and another
 *     activation's another epoch than the segment's first (O10)
 *
 * Queue and L2 in numbers: segments are counted as they are opened, for whatever
 * stream.  The one at the queue's head will be number opened + 1.
 */
#ifndef VCI_LOG_H
#define VCI_LOG_H

#include "vci-segment.h"

/*
 * Flushes complete in any context, without the lock: what they move is read and
 * written in one piece, which takes a 64-bit machine.
 */
static_assert(sizeof(long) == sizeof(u64));

struct vci_log_open {
	u32 segment;		/* or VCI_NO_SEGMENT */
	u32 used;		/* blocks of it */
	u64 first_seq;		/* its first batch */
};

struct vci_log {
	struct vci_segments *segments;
	u64 epoch;
	u64 seq;		/* last one given out */
	u64 completed_seq;	/* last one whose write completed */
	u64 write_seq;		/* last one of them with users' writes */
	u64 durable_seq;	/* last one known durable (O5) */
	struct vci_log_open open[VCI_STREAMS];
	u64 opened;		/* segments, in this life */
	u64 frozen;		/* ... at the checkpoint that is being written */
	u64 named_completed;	/* those up to it are named by a completed batch */
	u64 named_durable;	/* ... by the header or a durable one (L2) */
	u32 nr_queue;
	u32 queue[VCI_QUEUE];	/* the next ones, in order */
};

void vci_log_init(struct vci_log *log, struct vci_segments *segments);
/* All below: the cache's lock held. */
void vci_log_fill_queue(struct vci_log *log);
u32 vci_log_room(const struct vci_log *log, u32 stream);
/*
 * Room for a batch of @blocks in a stream, when @keep segments stay for others: 0 and *@info
 * filled in (addr, seq, next, ...); -EAGAIN: flush first
 * (vci_log_flush_begin/end), then again; -ENOSPC: not before the next checkpoint.
 */
int vci_log_reserve(struct vci_log *log, u32 stream, u32 blocks, u32 keep,
		    struct vci_batch_info *info) __must_check;
void vci_log_complete(struct vci_log *log, const struct vci_batch_info *info,
		      bool write);
/* Must what was appended before be flushed with this batch, if it has FUA? (L3) */
bool vci_log_needs_preflush(const struct vci_log *log,
			    const struct vci_batch_info *info);
/* What a flush that is submitted now makes durable; pass it to _end. No lock. */
struct vci_log_flush {
	u64 seq;
	u64 named;
};

void vci_log_flush_begin(const struct vci_log *log, struct vci_log_flush *f);
void vci_log_flush_end(struct vci_log *log, const struct vci_log_flush *f);
/* Checkpoint: the log's position into the header. */
void vci_log_freeze(struct vci_log *log, struct vci_header *h);
void vci_log_commit(struct vci_log *log, const struct vci_header *h);

#endif /* VCI_LOG_H */
