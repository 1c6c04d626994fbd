// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log: see vci-log.h, which names the rules L1-L4.
 */
#include "vci-log.h"

/**
 * vci_log_init() - an empty log
 * @log: to set up
 * @segments: where it gets its segments from
 */
void vci_log_init(struct vci_log *log, struct vci_segments *segments)
{
	u32 i;

	memset(log, 0, sizeof(*log));
	log->segments = segments;
	for (i = 0; i < VCI_STREAMS; i++)
		log->open[i].segment = VCI_NO_SEGMENT;
}

/**
 * vci_log_fill_queue() - promise free segments to the log
 * @log: the log
 */
void vci_log_fill_queue(struct vci_log *log)
{
	u32 i;

	while (log->nr_queue < VCI_QUEUE) {
		i = vci_segment_take_free(log->segments);
		if (i == VCI_NO_SEGMENT)
			break;
		log->queue[log->nr_queue++] = i;
	}
}

/**
 * vci_log_room() - blocks left in the open segment of a stream
 * @log: the log
 * @stream: which
 */
u32 vci_log_room(const struct vci_log *log, u32 stream)
{
	const struct vci_log_open *o = &log->open[stream];

	if (READ_ONCE(o->segment) == VCI_NO_SEGMENT)
		return 0;
	return log->segments->blocks - READ_ONCE(o->used);
}

static int open_next(struct vci_log *log, u32 stream, u32 keep)
{
	struct vci_log_open *o = &log->open[stream];
	u32 i;

	vci_log_fill_queue(log);
	if (log->nr_queue + log->segments->count[VCI_LIFE_FREE] <= keep)
		return -ENOSPC;
	/* L2: a flush helps only if a completed batch names it. */
	if (log->opened + 1 > READ_ONCE(log->named_durable))
		return log->opened + 1 > log->named_completed ? -ENOSPC : -EAGAIN;
	if (o->segment != VCI_NO_SEGMENT)
		vci_segment_set(log->segments, o->segment, VCI_LIFE_CLOSED);
	i = log->queue[0];
	log->nr_queue--;
	memmove(log->queue, log->queue + 1, log->nr_queue * sizeof(log->queue[0]));
	vci_log_fill_queue(log);
	VCI_ASSERT(!log->segments->s[i].live);
	vci_segment_opened(log->segments, i, stream, log->seq + 1);
	WRITE_ONCE(log->segments->s[i].settled, 0);
	*o = (struct vci_log_open) { .segment = i, .first_seq = log->seq + 1 };
	log->opened++;
	return 0;
}

/**
 * vci_log_reserve() - give a batch its place
 * @log: the log
 * @stream: to which it is appended
 * @blocks: header, data and padding; at most a segment
 * @keep: segments to leave for others
 * @info: filled in, but for header_blocks and nr_entries
 *
 * Return: 0; -EAGAIN if the next segment's name must become durable first;
 * -ENOSPC if there is no free segment, or a checkpoint must name it.
 */
int vci_log_reserve(struct vci_log *log, u32 stream, u32 blocks, u32 keep,
		    struct vci_batch_info *info)
{
	struct vci_log_open *o = &log->open[stream];
	u32 i;
	int r;

	if (vci_log_room(log, stream) < blocks) {
		r = open_next(log, stream, keep);
		if (r)
			return r;
	}
	memset(info, 0, sizeof(*info));
	info->stream = stream;
	info->seq = ++log->seq;
	info->epoch = log->epoch;
	info->durable_seq = READ_ONCE(log->durable_seq);
	info->addr = vci_segment_addr(log->segments, o->segment) + o->used;
	info->blocks = blocks;
	for (i = 0; i < VCI_WINDOW; i++)
		info->next[i] = i < log->nr_queue ? log->queue[i] : VCI_NO_SEGMENT;
	o->used += blocks;
	return 0;
}

/**
 * vci_log_complete() - the write of a batch completed
 * @log: the log
 * @info: as vci_log_reserve() gave it; no other was reserved since
 * @write: it holds users' writes
 */
void vci_log_complete(struct vci_log *log, const struct vci_batch_info *info,
		      bool write)
{
	u32 n = 0;

	while (n < VCI_WINDOW && info->next[n] != VCI_NO_SEGMENT)
		n++;
	WRITE_ONCE(log->named_completed, log->opened + n);
	WRITE_ONCE(log->completed_seq, info->seq);
	if (write)
		WRITE_ONCE(log->write_seq, info->seq);
}

/**
 * vci_log_needs_preflush() - may a batch become durable by itself? (L3)
 * @log: the log
 * @info: of the batch, just reserved
 *
 * Return: false if it is the first of its segment, or that one is durable.
 */
bool vci_log_needs_preflush(const struct vci_log *log,
			    const struct vci_batch_info *info)
{
	u64 first = log->open[info->stream].first_seq;

	return info->seq != first && first > READ_ONCE(log->durable_seq);
}

/**
 * vci_log_flush_begin() - what a flush that starts now will make durable
 * @log: the log
 * @f: filled in
 */
void vci_log_flush_begin(const struct vci_log *log, struct vci_log_flush *f)
{
	f->seq = READ_ONCE(log->completed_seq);
	f->named = READ_ONCE(log->named_completed);
}

/* Raises a number that others raise too. */
static void raise(u64 *number, u64 to)
{
	u64 old = READ_ONCE(*number), seen;

	while (old < to) {
		seen = cmpxchg(number, old, to);
		if (seen == old)
			break;
		old = seen;
	}
}

/**
 * vci_log_flush_end() - the flush succeeded
 * @log: the log
 * @f: from vci_log_flush_begin()
 */
void vci_log_flush_end(struct vci_log *log, const struct vci_log_flush *f)
{
	raise(&log->durable_seq, f->seq);
	raise(&log->named_durable, f->named);
}

/**
 * vci_log_freeze() - note the log's position for a checkpoint
 * @log: the log; no batch is in flight
 * @h: header of the checkpoint
 *
 * What follows belongs to the log of both: this checkpoint and the one before.
 */
void vci_log_freeze(struct vci_log *log, struct vci_header *h)
{
	u32 i;

	vci_log_fill_queue(log);
	log->frozen = log->opened;
	h->checkpoint_seq = log->seq;
	h->durable_seq = log->seq;
	for (i = 0; i < VCI_STREAMS; i++) {
		h->open[i].segment = log->open[i].segment;
		h->open[i].used = log->open[i].used;
	}
	for (i = 0; i < VCI_QUEUE; i++)
		h->queue[i] = i < log->nr_queue ? log->queue[i] : VCI_NO_SEGMENT;
	memset(h->epochs, 0, sizeof(h->epochs));
	h->nr_epochs = 1;
	h->epochs[0] = log->epoch;
}

/**
 * vci_log_commit() - the header that vci_log_freeze() filled in is durable
 * @log: the log; it may have grown since the freeze
 * @h: that header
 */
void vci_log_commit(struct vci_log *log, const struct vci_header *h)
{
	struct vci_log_flush f;
	u32 n = 0;

	while (n < VCI_QUEUE && h->queue[n] != VCI_NO_SEGMENT)
		n++;
	f.seq = h->checkpoint_seq;
	f.named = log->frozen + n;
	vci_log_flush_end(log, &f);
	log->named_completed = max(log->named_completed, f.named);
}
