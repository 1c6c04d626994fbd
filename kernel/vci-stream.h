/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stream of users' writes to the log.
 *
 * Bios wait in a list.  Whoever gets through the log's gate copies as many as fit
 * into the one batch buffer and writes it; what arrives meanwhile is the next
 * batch.  So a single write goes out at once, and many share one I/O.
 *
 *	add	the bio joins the list
 *	kick	through the gate: copy, seal, submit
 *	end	map what was written, acknowledge, leave the gate
 *
 * Nothing is allocated on the way, and a worker is needed only for what sleeps,
 * and for completions in interrupts: the log is no business of theirs.
 *
 * Direct writes (vci-land.c) end here, too: a batch names what has landed of them, and
 * who wants to have them named joins the list without data: a FLUSH, and those with FUA.
 */
#ifndef VCI_STREAM_H
#define VCI_STREAM_H

#include <linux/bio.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "vci-cache.h"

struct vci_stream {
	struct vci_cache *cache;	/* NULL: no buffer */
	struct block_device *bdev;	/* the cache device */

	spinlock_t lock;		/* guards pending; task context only */
	struct bio_list pending;	/* oldest first */

	spinlock_t land_lock;		/* guards landing; any context */
	struct bio_list landing;	/* direct writes that are on the device */

	/* The batch is written when maintenance has made room: */
	bool full;			/* nobody need try before */
	bool give_up;			/* ... but there was none to be made */

	/* The rest is his who is in the gate. */
	struct bio_list taken;		/* from pending; the first may be in parts */
	struct bio_list batch;		/* whose last part is in the batch */
	bool filled;			/* there is a batch */
	unsigned int room_tries;	/* how often it found no room */
	struct vci_fill *fill;
	u32 buffer_blocks;
	struct vci_append append;
	struct bio bio;			/* writes the batch */
	struct bio_vec *vecs;		/* of the whole buffer */
	unsigned short nr_vecs;
	int error;			/* of the write */

	/* What the worker goes on with; else it kicks. */
	unsigned int step;
	struct work_struct work;
	struct workqueue_struct *wq;
	wait_queue_head_t free;		/* who waits for the gate */
};

int vci_stream_init(struct vci_stream *s) __must_check;
void vci_stream_exit(struct vci_stream *s);
int vci_stream_attach(struct vci_stream *s, struct vci_cache *cache,
		      struct block_device *bdev) __must_check;
void vci_stream_detach(struct vci_stream *s);
u64 vci_stream_bytes(const struct vci_stream *s);
void vci_stream_drain(struct vci_stream *s);
void vci_stream_add(struct vci_stream *s, struct bio *bio);
void vci_stream_queue(struct vci_stream *s, struct bio *bio);
void vci_stream_landed(struct vci_stream *s, struct bio *bio);
void vci_stream_land_later(struct vci_stream *s, struct bio *bio);
void vci_stream_room(struct vci_stream *s, int error);
void vci_stream_wait_log(struct vci_stream *s);
void vci_stream_log_free(struct vci_stream *s);

#endif /* VCI_STREAM_H */
