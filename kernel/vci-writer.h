/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The writer: fills on their way to the cache device, and background work.
 *
 * Data that was read from the backing device, or written to it, is copied into
 * the current fill buffer of its stream, from any context.  A full buffer is sealed,
 * and the writer's own thread appends it to the log; until then reads are served from
 * it.  It is clean data, so there is no hurry.  Buffers are allocated before the
 * first I/O; if none is free, a fill is dropped: nothing waits for the writer.
 *
 * The thread also runs the core's background work.  What it does excludes what
 * messages and suspending do, by @serial.
 */
#ifndef VCI_WRITER_H
#define VCI_WRITER_H

#include <linux/bio.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "vci-cache.h"
#include "vci-cleaner.h"

struct vci_fill_buffer {
	struct list_head list;
	bool sealed;
	struct vci_fill fill;
};

struct vci_writer_ops {
	/* How many bios there were in all: to know when nothing is going on. */
	u64 (*activity)(void *ctx);
	/* What vci_writer_make_room() asked for is done, or can't be. */
	void (*room)(void *ctx, int error);
};

/* A fill for each stream, and one for what goes to the place it had before. */
#define VCI_FILL_OLD_PLACE	VCI_STREAMS
#define VCI_FILLS		(VCI_STREAMS + 1)

struct vci_writer {
	struct vci_cache *cache;	/* NULL: no buffers */
	const char *name;		/* for messages */
	unsigned int nr_buffers;

	spinlock_t lock;		/* irq-safe; guards the next five, and buffers */
	bool taking;			/* fills are accepted */
	struct vci_fill_buffer *current_buffer[VCI_FILLS];
	struct list_head free;
	struct list_head sealed;	/* oldest first */
	u64 nr_dropped;			/* entries */

	struct mutex serial;		/* one call "by the writer" at a time */
	struct workqueue_struct *wq;	/* ordered */
	struct work_struct work;	/* append sealed buffers, maintain */
	struct delayed_work tick;	/* write back, idle work */
	const struct vci_writer_ops *ops;
	void *ctx;
	u64 last_activity;
	unsigned long last_busy;	/* jiffies */
	unsigned long last_lazy;	/* jiffies */
	unsigned int room_wanted;	/* by writes that found the log full */
	struct vci_cleaner cleaner;
};

int vci_writer_init(struct vci_writer *w, const struct vci_writer_ops *ops,
		    void *ctx) __must_check;
void vci_writer_exit(struct vci_writer *w);
int vci_writer_attach(struct vci_writer *w, struct vci_cache *cache,
		      const char *name) __must_check;
void vci_writer_detach(struct vci_writer *w);
void vci_writer_start(struct vci_writer *w);
void vci_writer_pause(struct vci_writer *w);
void vci_writer_stop(struct vci_writer *w);
void vci_writer_drain(struct vci_writer *w);

/* What was read or written as one, under one ticket. */
struct vci_fill_source {
	u64 off;
	u32 blocks;
	struct vci_ticket ticket;
	struct bio *bio;		/* holds it from @iter on */
	struct bvec_iter iter;
};

void vci_writer_fill(struct vci_writer *w, const struct vci_plan_piece *piece,
		     const struct vci_fill_source *source);
bool vci_writer_read(struct vci_writer *w, struct bio *bio, u64 off);
bool vci_writer_has(struct vci_writer *w, u64 off, u32 blocks);
u64 vci_writer_bytes(const struct vci_writer *w);
u64 vci_writer_dropped(struct vci_writer *w);
void vci_writer_make_room(struct vci_writer *w, bool again);
void vci_copy_from_bio(void *to, struct bio *bio, struct bvec_iter *iter,
		       unsigned int bytes);

#endif /* VCI_WRITER_H */
