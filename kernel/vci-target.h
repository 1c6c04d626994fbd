/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the shell share: one instance of the target, and what each
 * bio carries.
 *
 *	vci-target.c	life: constructor to destructor, suspend and resume
 *	vci-image.c	the image: opened, handed over, closed
 *	vci-status.c	status
 *	vci-message.c	messages
 *	vci-map.c	one bio in: reads, and where everything ends
 *	vci-read.c	reads in a worker
 *	vci-write.c	writes and discards
 *	vci-stream.c	writes on their way to the log
 *	vci-bounce.c	copies of data in flight
 *	vci-pressure.c	memory: its limit, and what goes when it is short
 */
#ifndef VCI_TARGET_H
#define VCI_TARGET_H

#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/workqueue.h>

#include "vci-args.h"
#include "vci-bdev.h"
#include "vci-cache.h"
#include "vci-claim.h"
#include "vci-guard.h"
#include "vci-seq.h"
#include "vci-stream.h"
#include "vci-writer.h"

#define DM_MSG_PREFIX "vci"

/* Counted on each CPU; bios, after device-mapper has split them. */
enum vci_counter {
	VCI_READ_HITS,
	VCI_READ_MISSES,
	VCI_WRITE_HITS,		/* of VCI_WRITES, those that begin in cached data */
	VCI_WRITES,		/* but those in place */
	VCI_WRITES_IN_PLACE,
	VCI_DISCARDS,
	/* Reads and writes whose data was not put into the cache, each for one reason: */
	VCI_BYPASSED_MODE,	/* ... or since the cache failed */
	VCI_BYPASSED_SIZE,	/* too large alone */
	VCI_BYPASSED_SEQ,	/* part of a run that is too long */
	VCI_BYPASSED_WRITING,	/* no ticket: a write is in flight there */
	VCI_BYPASSED_MEMORY,	/* no pages for a copy, now */
	VCI_BYPASSED_UNKNOWN,	/* nodes are not in memory, or can't be read */
	VCI_CACHE_ERRORS,
	VCI_BACKING_ERRORS,
	VCI_NR_COUNTERS,
};

struct vci_counters {
	u64 nr[VCI_NR_COUNTERS];
};

/* The fields of the status line behind mode and state, in their order. */
enum vci_field {
	VCI_FIELD_EXTENTS,
	VCI_FIELD_USED_BLOCKS,
	VCI_FIELD_TOTAL_BLOCKS,
	VCI_FIELD_FREE_SEGMENTS,
	VCI_FIELD_SEGMENTS,
	VCI_FIELD_READ_HITS,
	VCI_FIELD_READ_MISSES,
	VCI_FIELD_WRITE_HITS,
	VCI_FIELD_WRITES,
	VCI_FIELD_DISCARDS,
	VCI_FIELD_BYPASSED,
	VCI_FIELD_FILLED,
	VCI_FIELD_APPENDED,
	VCI_FIELD_EVICTED,
	VCI_FIELD_STALE_FILLS,
	VCI_FIELD_DROPPED_FILLS,
	VCI_FIELD_CHECKPOINTS,
	VCI_FIELD_INTENT_WRITES,
	VCI_FIELD_MARKED_REGIONS,
	VCI_FIELD_CACHE_ERRORS,
	VCI_FIELD_BACKING_ERRORS,
	VCI_FIELD_TREE_BYTES,
	VCI_FIELD_MEMORY_BYTES,
	VCI_FIELD_DIRTY_BLOCKS,
	VCI_FIELD_WRITTEN_BLOCKS,
	VCI_FIELD_WRITTEN_BACK_BLOCKS,
	VCI_FIELD_BATCHES,
	VCI_FIELD_FLUSH_LEFT,
	VCI_FIELD_RECOVERED,
	VCI_FIELD_TORN,
	VCI_FIELD_WRITES_IN_PLACE,
	VCI_FIELD_BYPASSED_MODE,
	VCI_FIELD_BYPASSED_SIZE,
	VCI_FIELD_BYPASSED_WRITING,
	VCI_FIELD_BYPASSED_MEMORY,
	VCI_FIELD_BYPASSED_UNKNOWN,
	VCI_FIELD_MOVED,
	VCI_FIELD_AHEAD,
	VCI_FIELD_AHEAD_USED,
	VCI_FIELD_AHEAD_WASTED,
	VCI_FIELD_BYPASSED_SEQ,
	VCI_NR_FIELDS,
};

struct vci_target {
	struct dm_target *ti;
	struct dm_dev *backing_dev;
	struct dm_dev *cache_dev;
	struct block_device *cache_bdev;	/* its, for read hits */
	struct vci_bdev backing_io;	/* for the core */
	struct vci_bdev cache_io;
	enum vci_mode mode;		/* changed by messages at any time */
	bool force;			/* activate though dirty data may be lost */
	bool ordered;			/* write back in the order of users' flushes */
	u64 mem_limit;			/* bytes; 0: none */
	bool alone;			/* misses are read without what is around them */

	/* Set while the device is suspended: by preresume and the destructor. */
	struct vci_cache *cache;
	struct mutex cache_lock;	/* for others than bios, to look at it */
	struct vci_open_report report;	/* what opening it found */
	struct vci_claim *claim;
	struct shrinker *shrinker;
	struct vci_guard guard;
	struct vci_writer writer;
	struct vci_stream stream;

	struct workqueue_struct *wq;	/* bios that had to sleep */
	struct work_struct failed_work;	/* tells that the cache failed */
	atomic_t nr_cache_errors;	/* since activation */

	struct bio_set bounce_bios;
	atomic_t nr_bounce_pages;	/* in flight */

	struct vci_counters __percpu *counters;
	u64 cleared[VCI_NR_FIELDS];	/* what clear_stats hides; cache_lock */

	/* Of misses, and of writes that aren't in place: what is too long to cache. */
	struct vci_seq reads, writes;
};

/* A flush comes as one bio for each device, numbered. */
enum vci_flush_nr {
	VCI_FLUSH_CACHE,
	VCI_FLUSH_BACKING,
	VCI_NR_FLUSHES,
};

enum vci_bio_kind {
	VCI_BIO_PLAIN,		/* nothing to do when it ends */
	VCI_BIO_HIT,		/* reads the cache device, holds the guard */
	VCI_BIO_WRITE,		/* between vci_write_begin() and _end() */
	VCI_BIO_LOG,		/* in the stream */
	VCI_BIO_PLACE,		/* between vci_place_begin() and _end(), holds the guard */
	VCI_BIO_DIRECT,		/* between vci_direct_begin() and _end() */
	VCI_BIO_FLUSH_CACHE,	/* between vci_flush_*_begin() and _end() */
	VCI_BIO_FLUSH_BACKING,
};

struct vci_bio {
	struct vci_target *t;
	struct bvec_iter iter;		/* its place on the backing device; what is left */
	unsigned short flags;		/* bi_flags it came with */
	u8 kind;
	u8 ext_flags;			/* HIT: of the extent */
	bool fua;			/* DIRECT: the user wants it to be durable */
	union {
		unsigned long __percpu *guard;	/* HIT, PLACE */
		struct vci_direct_write direct;	/* DIRECT */
		struct vci_ticket ticket;	/* a miss */
		struct vci_write write;		/* WRITE, or with a bounce bio */
		struct vci_flush_token token;	/* FLUSH_* */
	};
	struct bio *bounce;
	unsigned int bounce_pages;
	u8 bypassed;			/* a write to the backing device: why it isn't
					 * cached; VCI_NR_COUNTERS if it may be
					 */
	ktime_t submitted;		/* the bounce bio */
	struct vci_plan plan;		/* a miss with a bounce bio */
	struct work_struct work;
};

static inline struct vci_bio *vci_bio(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct vci_bio));
}

static inline struct bio *vci_bio_of_work(struct work_struct *work)
{
	return dm_bio_from_per_bio_data(container_of(work, struct vci_bio, work),
					sizeof(struct vci_bio));
}

static inline void vci_count(struct vci_target *t, enum vci_counter which)
{
	this_cpu_inc(t->counters->nr[which]);
}

/* Blocks are sectors: both are 512 bytes. */
static inline u64 vci_bio_off(const struct vci_bio *b)
{
	return b->iter.bi_sector;
}

static inline int vci_remap_backing(struct vci_target *t, struct bio *bio)
{
	bio_set_dev(bio, t->backing_dev->bdev);
	return DM_MAPIO_REMAPPED;
}

/* Does the cache device serve a read?  Dirty data in any case. */
static inline bool vci_is_served(const struct vci_lookup *res, bool cached)
{
	return res->mapped && (cached || res->e.flags & VCI_EXT_DIRTY);
}

/*
 * Is it part of a run that is too long to cache?  Metadata isn't; nor is a write that
 * somebody waits for until it is durable.
 */
static inline bool vci_is_long(struct vci_seq *s, struct bio *bio)
{
	return READ_ONCE(s->cutoff) && !(bio->bi_opf & (REQ_META | REQ_FUA)) &&
	       vci_seq_is_long(s, bio->bi_iter.bi_sector, bio_sectors(bio));
}

/* Bytes of user data above which work in a completion goes to a worker. */
#define VCI_COPY_SECTORS_MAX	VCI_ENTRY_BLOCKS_MAX

/* vci-image.c */
int vci_image_take(struct vci_target *t) __must_check;
void vci_image_suspend(struct vci_target *t);
void vci_image_release(struct vci_target *t);
void vci_image_failed_work(struct work_struct *work);

/* vci-pressure.c */
u64 vci_mem_limit_core(u64 bytes);
u64 vci_shell_bytes(struct vci_target *t);
int vci_set_mem_limit(struct vci_target *t, u64 bytes) __must_check;
int vci_shrinker_start(struct vci_target *t) __must_check;
void vci_shrinker_stop(struct vci_target *t);

/* vci-map.c */
int vci_map(struct dm_target *ti, struct bio *bio);
int vci_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error);
int vci_defer(struct bio *bio, work_func_t fn);
void vci_submit(struct bio *bio, int mapped);
void vci_flush_named(struct bio *bio);
void vci_note_cache_error(struct vci_target *t, int error);
void vci_note_dirty_lost(struct vci_target *t, u64 off, u32 blocks, int error);

int vci_read_lookup(struct vci_target *t, u64 off, u32 blocks, struct vci_lookup *res,
		    unsigned long __percpu **guard);
int vci_read_hit(struct vci_target *t, struct bio *bio, const struct vci_lookup *res);
int vci_read_miss(struct vci_target *t, struct bio *bio);
int vci_read_bypass(struct vci_target *t, struct bio *bio, enum vci_counter why);
int vci_read_unknown(struct vci_target *t, struct bio *bio, int error);
bool vci_reads_cached(struct vci_target *t);

/* vci-land.c */
bool vci_map_direct(struct vci_target *t, struct bio *bio, struct vci_bio *b);
int vci_direct_ended(struct vci_target *t, struct bio *bio, struct vci_bio *b,
		     blk_status_t error);
bool vci_land(struct vci_target *t, struct bio *bio, bool may_sleep);

/* vci-read.c */
void vci_read_work(struct work_struct *work);

/* vci-write.c */
int vci_map_write(struct vci_target *t, struct bio *bio);
int vci_map_long_write(struct vci_target *t, struct bio *bio);
void vci_write_past_log(struct bio *bio);

/* vci-bounce.c */
struct bio *vci_bounce_alloc(struct vci_target *t, struct bio *user, u64 off, u32 sectors);
int vci_bounce_submit(struct bio *user, struct bio *bounce);

/* vci-status.c */
u64 vci_counter_sum(struct vci_target *t, enum vci_counter which);
u64 vci_activity(void *ctx);
void vci_status(struct dm_target *ti, status_type_t type, unsigned int flags,
		char *result, unsigned int maxlen);
int vci_status_stats(struct vci_target *t, char *result, unsigned int maxlen);
void vci_status_clear(struct vci_target *t);

/* vci-message.c */
void vci_set_mode(struct vci_target *t, enum vci_mode mode);
int vci_message(struct dm_target *ti, unsigned int argc, char **argv, char *result,
		unsigned int maxlen);

#endif /* VCI_TARGET_H */
