/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cache's own state, shared by the files behind vci-cache.h.
 *
 * One lock, the tree's, guards tree, segments, node map and log; it is never
 * held over I/O.  "Writer" below is the one caller that appends, reclaims and
 * writes checkpoints (vci-cache.h).
 */
#ifndef VCI_CACHE_INTERNAL_H
#define VCI_CACHE_INTERNAL_H

#include "vci-cache.h"
#include "vci-identity.h"
#include "vci-intent.h"
#include "vci-log.h"
#include "vci-nodes.h"
#include "vci-policy.h"
#include "vci-redo.h"

/* Segments that only records of write-back may take, and fill (O3). */
#define VCI_KEEP_WRITES	2u
/* ... that what reclaim keeps leaves to them, to make room at last. */
#define VCI_KEEP_MOVES	2u
/* ... and that fills leave to writes. */
#define VCI_KEEP_FILLS	3u

/* Of the bitmap 16 MiB are made at once: of 64 GiB of the image. */
#define VCI_BITS_STEP	32768u

/* Most that one batch names. */
#define VCI_DIRECT_NAMES	120u

/* A direct write that has landed. */
struct vci_landed {
	u64 off;
	u64 blocks : 8;
	u64 addr : 56;
};

static_assert(sizeof(struct vci_landed) == 16 && VCI_ENTRY_BLOCKS_MAX < 256);

/* Direct writes (vci-direct.c), under the lock. */
struct vci_direct {
	bool on;
	bool is_volatile;		/* the device: a name wants a flush before (D3) */
	u32 segment;			/* open for them, or VCI_NO_SEGMENT */
	u32 used;			/* blocks of it */
	u32 in_flight;			/* writes, all of them there */
	u32 promised;			/* places in the ring for them */
	u32 since_flush;		/* writes since a user's FLUSH, up to a few */
	u32 names;			/* that one batch has at most */
	u32 max;			/* that may have landed, or be about to */
	u32 due;			/* when so many have, a batch should name them */
	/* What has landed and is to be named: ring[tail .. head), modulo its size. */
	u32 head, tail;
	u32 frozen;			/* head at the freeze of the checkpoint */
	bool split;			/* since then, a batch named a part of the list (D6) */
	u32 flushed;			/* what landed before it is durable; from tail on */
	u32 size;			/* of the ring */
	struct vci_landed *ring;	/* if on */
};

struct vci_cache {
	/* One cache line, hardly ever written: all that a read hit looks at. */
	int failed;			/* the error that made us give up */
	bool retired;			/* ... and the image was told, if it could be */
	bool stuck;			/* a write to the log failed */
	struct vci_btree *tree;
	struct vci_redo redo;		/* of the log, not yet in the tree */

	spinlock_t *lock;		/* the tree's: vci_cache_lock() */
	struct vci_dev *dev;
	struct vci_dev *backing;
	const struct vci_cache_ops *ops;
	void *ctx;
	struct mutex header_lock;	/* one writer of the header at a time */

	struct vci_header header;	/* as on the device */
	u8 *header_unit;		/* image of the header's unit */
	struct vci_nodes nodes;
	struct vci_segments segments;
	struct vci_log log;
	struct vci_intent intent;
	struct vci_tickets tickets;
	struct vci_identity identity;
	struct vci_policy policy;

	/* The gate of the log, under the lock; what it guards is its holder's. */
	bool append_busy;
	bool append_waited;		/* the writer waits for it */
	bool append_users;		/* users' writes are in: nothing lands */
	bool write_in_flight;		/* the batch holds users' writes */
	struct vci_entry *entries;	/* of the batch: VCI_BATCH_ENTRIES_MAX */
	u32 batch_seed;			/* of their checksums */
	u8 *direct_unit;		/* header of a batch that only names */
	struct vci_piece *refills;	/* VCI_BATCH_ENTRIES_MAX of them, for the writer */

	/* The header on the device says that there may be dirty data. */
	bool may_dirty;
	/* As in stats, but between changes only: for who looks without the lock. */
	u64 dirty_blocks;
	bool announcing;		/* it is about to; header_lock */
	atomic_t backing_writes;	/* completed */
	u32 backing_flushed;		/* of them, durable */
	atomic_t placed;		/* writes in place, completed */
	u32 placed_flushed;		/* of them, durable */
	struct vci_direct direct;
	struct vci_wb_state *wb;	/* vci-writeback.c; NULL before it's needed */
	bool ordered;			/* write-back in the order of the log */
	u64 ordered_seq;		/* batches before it are written back */
	u64 ordered_durable;		/* ... as the header on the device says */
	u64 ordered_addr;		/* recovery: what the last CLEAN was about */
	u64 ordered_drain;		/* dirty batches up to it go first, in any order */

	u64 mem_limit;			/* bytes; 0: none */
	u32 bits_step;			/* blocks of the bitmap in memory at a close */
	struct vci_cache_stats stats;
	bool sweeping;			/* the writer is: don't begin another one */
	bool checkpoint_due;		/* append finds no room before one */
	u32 checkpoint_nodes;		/* that the last one after a reclaim wrote */
	struct vci_extent *walk;	/* VCI_LEAF_MAX of them, for the writer */
};

/* Segments that the log may open, if their names are durable. */
static inline u32 vci_nr_available(const struct vci_cache *c)
{
	return c->segments.count[VCI_LIFE_FREE] + c->segments.count[VCI_LIFE_QUEUED];
}

/* Clean data can always be dropped without. */
static inline bool vci_needs_records(const struct vci_cache *c)
{
	return READ_ONCE(c->may_dirty) || c->ordered;
}

/* Fills leave segments to writes, and what is kept to records of write-back. */
static inline u32 vci_keep_fills(const struct vci_cache *c)
{
	return vci_needs_records(c) ? VCI_KEEP_FILLS : 2;
}

static inline u32 vci_keep_moves(const struct vci_cache *c)
{
	return vci_needs_records(c) ? VCI_KEEP_MOVES : 1;
}

static inline spinlock_t *vci_cache_lock(struct vci_cache *c)
{
	return c->lock;
}

/* vci-cache.c */
int vci_cache_create(struct vci_cache **cache, const struct vci_header *h) __must_check;
u64 vci_cache_alloc_node(void *ctx);
int vci_cache_flush(struct vci_cache *c) __must_check;
u32 vci_cache_pages_crc(const struct vci_cache *c);
int vci_cache_announce_dirty(struct vci_cache *c) __must_check;
bool vci_cache_block_dirty(void *ctx, u64 off);
int vci_cache_write_header(struct vci_cache *c, const struct vci_header *h) __must_check;

/* vci-checkpoint.c */
int vci_cache_write_pages(struct vci_cache *c, struct vci_header *h) __must_check;

/* vci-map-ops.c: changes of the tree that retry until they are done */
enum vci_change_kind {
	VCI_CHANGE_INSERT, VCI_CHANGE_FILL, VCI_CHANGE_REMOVE,
	VCI_CHANGE_REMOVE_CLEAN, VCI_CHANGE_REPLACE,
};

struct vci_change {
	enum vci_change_kind kind;
	struct vci_extent e;		/* new mapping, or range to unmap */
	u64 old_addr;			/* REPLACE */
	bool unmap;			/* REPLACE: with nothing */
	bool redo;			/* by vci_redo_apply() */
	const struct vci_ticket *ticket;	/* NULL, or must be valid: else -ESTALE */
	u32 nr_blocks;			/* FILL, REPLACE: how many applied */
};

int vci_cache_change_locked(struct vci_cache *c, struct vci_change *ch) __must_check;
int vci_cache_get_ready(struct vci_cache *c, const struct vci_change *ch) __must_check;
int vci_cache_try_change(struct vci_cache *c, struct vci_change *ch) __must_check;
int vci_cache_change(struct vci_cache *c, struct vci_change *ch) __must_check;
int vci_cache_unmap(struct vci_cache *c, u64 off, u64 blocks, bool clean_only) __must_check;
int vci_cache_unmap_redo(struct vci_cache *c, u64 off, u64 blocks) __must_check;
int vci_cache_find_dirty(struct vci_cache *c, u64 off, u64 blocks) __must_check;

/* vci-memory.c */
u64 vci_memory_fixed(const struct vci_cache *c);
void vci_memory_keep(struct vci_cache *c);
bool vci_memory_checkpoint_due(const struct vci_cache *c);
bool vci_memory_full(const struct vci_cache *c);

/* vci-append.c */
void vci_append_wait(struct vci_cache *c);
bool vci_append_fits_locked(const struct vci_cache *c);
void vci_append_note_new(struct vci_cache *c, u32 blocks);
int vci_append_records(struct vci_cache *c, const struct vci_entry *entries, u32 nr,
		       void *unit) __must_check;
int vci_append_moves(struct vci_cache *c, u32 stream, const struct vci_entry *entries,
		     u32 nr, u8 *buffer) __must_check;

/* vci-direct.c */
int vci_direct_init(struct vci_cache *c, const struct vci_open_params *p) __must_check;
u32 vci_direct_list(struct vci_cache *c, struct vci_entry *entries, u32 *to);
bool vci_direct_all(const struct vci_cache *c, u32 to);
bool vci_direct_is_durable(const struct vci_cache *c, u32 to);
void vci_direct_flushed(struct vci_cache *c, u32 to);
void vci_direct_named(struct vci_cache *c, u32 to);
bool vci_direct_commit(struct vci_cache *c);
void vci_direct_freeze(struct vci_cache *c);

/* vci-ordered.c */
int vci_ordered_begin(struct vci_cache *c, bool ordered) __must_check;
bool vci_ordered_pending(const struct vci_cache *c);
void vci_ordered_idle(struct vci_cache *c);
u64 vci_ordered_before(const struct vci_cache *c);
void vci_ordered_give_up(struct vci_cache *c);

/* vci-writeback.c */
int vci_wb_prepare(struct vci_cache *c) __must_check;
void vci_wb_destroy(struct vci_cache *c);
int vci_writeback_victims(struct vci_cache *c) __must_check;
int vci_writeback_all(struct vci_cache *c) __must_check;

/* vci-recovery.c */
int vci_recover(struct vci_cache *c, bool force, struct vci_open_report *report,
		const char **why) __must_check;

/* vci-reclaim.c */
int vci_reclaim(struct vci_cache *c, u32 segments, bool keep) __must_check;
int vci_reclaim_drop(struct vci_cache *c, u64 off, u32 blocks, u64 addr) __must_check;
u32 vci_reclaim_wanted(const struct vci_cache *c);
u32 vci_nodes_wanted(const struct vci_cache *c);
bool vci_checkpoint_fits(const struct vci_cache *c);
int vci_drop_some(struct vci_cache *c) __must_check;
int vci_make_room(struct vci_cache *c) __must_check;

#endif /* VCI_CACHE_INTERNAL_H */
