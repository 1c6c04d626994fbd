/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cache: what the shell, the tools and the simulator see of the core.
 *
 * Three kinds of callers, and what they may call:
 *
 *  map context	vci_cache_lookup, vci_write_begin, tickets, vci_append_enter,
 *		_begin, _map, vci_place_begin: no sleep, no allocation; task context
 *  a sleeper	vci_cache_load, vci_write_prepare, vci_append_prepare: any
 *		number at once, in contexts that may sleep and do I/O
 *  the writer	vci_cache_append, vci_cache_maintain, vci_cache_writeback,
 *		vci_cache_checkpoint, vci_cache_invalidate, vci_cache_close:
 *		one at a time
 *
 * Offsets, addresses and lengths are in blocks of 512 bytes.
 */
#ifndef VCI_CACHE_H
#define VCI_CACHE_H

#include "vci-around.h"
#include "vci-btree.h"
#include "vci-codec.h"
#include "vci-io.h"
#include "vci-ticket.h"

struct vci_cache;

struct vci_cache_ops {
	/*
	 * Waits until every reader of the cache device that looked up before
	 * this call has completed its I/O (O8).  May sleep.
	 */
	void (*drain_readers)(void *ctx);
	/* The cache failed and is bypassed from now on. Any context, once. */
	void (*failed)(void *ctx, int error);
	/*
	 * Waits until the log's gate may be free: vci_append_busy().  By the
	 * writer only, so that there is one who waits.
	 */
	void (*wait_log)(void *ctx);
	/*
	 * The gate was left: wakes who is in wait_log(), if anybody is; else
	 * batches of writes may be tried.  Task context, no lock held.
	 */
	void (*log_free)(void *ctx);
};

struct vci_open_params {
	struct vci_dev *cache_dev;
	struct vci_dev *backing_dev;
	u64 backing_blocks;		/* length of the target */
	u32 random;			/* random bits: part of the epoch */
	u8 modification_uuid[16];	/* new, random */
	bool force;			/* activate though dirty data may be lost or stale */
	bool ordered;			/* write back in the order of users' flushes */
	bool direct;			/* direct writes, if write-back isn't in order */
	bool volatile_cache;		/* cache_dev has one: what completed isn't durable */
	u64 mem_limit;			/* as for vci_cache_set_mem_limit() */
	const struct vci_cache_ops *ops;
	void *ctx;
};

/* What activation found; for one log line and for status. */
struct vci_open_report {
	bool was_clean;
	bool dropped_all;		/* fingerprint differs: started empty */
	u32 batches, entries;		/* replayed */
	u32 torn;			/* entries cut as torn */
	bool log_damaged;		/* some that was durable is missing (O5) */
	u64 replayed_blocks;
	u32 regions_marked;		/* what is clean there is dropped */
	bool dirty;			/* it may hold dirty data */
	bool forced;			/* "force" was needed */
};

struct vci_cache_stats {
	u64 nr_extents, data_blocks;	/* what is mapped */
	u64 dirty_blocks;		/* newer than the backing device */
	u64 nr_segments, free_segments, segment_blocks;
	u64 appended_blocks, batches;	/* written to the log, headers included */
	u64 filled_blocks;		/* newly mapped by fills */
	u64 stale_fills;		/* entries dropped since a write came between */
	u64 dropped_fills;		/* no room or no memory at that moment */
	u64 evicted_blocks;
	u64 moved_blocks;		/* appended again by reclaim */
	u64 ahead_blocks;		/* of filled_blocks: read around misses */
	u64 ahead_used_blocks;		/* asked for, the first time */
	u64 ahead_wasted_blocks;	/* of evicted_blocks: never asked for */
	u64 written_blocks;		/* dirty, by users */
	u64 written_back_blocks;
	u64 checkpoints, node_writes, intent_writes, flushes;
	u64 tree_bytes, memory_bytes;
	u64 regions_marked, nr_regions;
};

/* ---- life ---- */

/*
 * Activates an image: reads it, recovers what a crash left, makes "unclean" and
 * the new epoch durable (O10), flushes both devices (O11).  May sleep.  On an
 * error nothing was written and @dmg/@why say what is wrong: -EILSEQ damaged,
 * -EOPNOTSUPP unknown feature, -EINVAL wrong size or device, or I/O, -ENOMEM.
 */
int vci_cache_open(const struct vci_open_params *p, struct vci_cache **cache,
		   struct vci_open_report *report, struct vci_damage *dmg,
		   const char **why) __must_check;
/*
 * The clean close: what is left on the device is a plain VCI v1 image.  May
 * sleep.  On an error the image stays unclean, and recoverable.
 */
int vci_cache_close(struct vci_cache *c) __must_check;
/* Frees memory, writes nothing. */
void vci_cache_destroy(struct vci_cache *c);
/* From now on bypassed; no more writes to the cache device. Any context. */
void vci_cache_fail(struct vci_cache *c, int error);
bool vci_cache_is_failed(const struct vci_cache *c);
/*
 * A failed cache tells its image, if the device still takes a write, that clean
 * mappings count no more: writes go past it from now on, and not before.  Once it
 * was tried, writes need no announcing.  vci_cache_retire: a sleeper.
 */
int vci_cache_retire(struct vci_cache *c) __must_check;
bool vci_cache_is_retired(const struct vci_cache *c);
/*
 * True if the cache failed and dirty data is only there, or a write to the log
 * failed: nobody may write any more (law 5).  Any context.
 */
bool vci_cache_is_stuck(const struct vci_cache *c);

const struct vci_header *vci_cache_header(const struct vci_cache *c);
void vci_cache_get_stats(struct vci_cache *c, struct vci_cache_stats *s);

/* ---- reads ---- */

/*
 * As vci_btree_lookup, noting recency.  The caller holds off drain_readers()
 * from before this call until its I/O to the returned address completed.
 */
int vci_cache_lookup(struct vci_cache *c, u64 off, u32 blocks,
		     struct vci_lookup *res) __must_check;
/* As that, but nobody uses it. Any context. */
int vci_cache_peek(struct vci_cache *c, u64 off, u32 blocks,
		   struct vci_lookup *res) __must_check;
/* After -EAGAIN of lookup or write_begin. May sleep. */
int vci_cache_load(struct vci_cache *c, u64 off, u64 blocks) __must_check;

/*
 * A ticket says that nothing was written to a range since it was taken.  Take
 * one before reading the backing device; what was read may be cached only while
 * the ticket is valid.  False: a write is in flight there, no ticket.
 */
bool vci_ticket_take(struct vci_cache *c, u64 off, u32 blocks, struct vci_ticket *t);
bool vci_ticket_valid(struct vci_cache *c, u64 off, u32 blocks,
		      const struct vci_ticket *t);

/* ---- read-around ---- */

/* Units of 4 KiB beside a miss, on each side. */
#define VCI_PLAN_UNITS		16u
#define VCI_PLAN_SKIP		0xffu

struct vci_plan_ops {
	/* Is all of it on its way into the log?  Any context. */
	bool (*pending)(void *ctx, u64 off, u32 blocks);
};

/* One I/O for a miss and what is read around it. */
struct vci_plan {
	u64 off;			/* the I/O */
	u32 blocks;
	u64 miss;			/* what was asked for, of it */
	u32 miss_blocks;
	u32 missed;			/* units of that */
	u64 next;			/* vci_plan_next(): where it is */
	u64 admit_unit;			/* ... first unit that @admit is about */
	u32 admit;			/* ... bits: goes to what is kept */
	u32 admit_nr;
	const struct vci_plan_ops *ops;
	void *ctx;
	u8 bin[2][VCI_PLAN_UNITS];	/* behind, before; VCI_PLAN_SKIP: isn't stored */
};

/* A part of what was read that is worth storing. */
struct vci_plan_piece {
	u64 off;
	u32 blocks;			/* at most VCI_ENTRY_BLOCKS_MAX */
	u8 stream;
	u8 heat;
	u64 old_addr;			/* where it may go instead, if not 0 */
	u64 old_turn;			/* ... as long as that segment has this turn */
};

/*
 * A read of @blocks blocks begins with a hole: how many of them are read from the backing
 * device in one I/O?  Map context.
 */
u32 vci_plan_miss(struct vci_cache *c, u64 off, u32 blocks, u32 hole);
/*
 * A read misses [@off, @off + @blocks), of which nothing is dirty: the I/O for it.
 * Alone, if @around is false.  Map context.
 */
void vci_plan_read(struct vci_cache *c, u64 off, u32 blocks, bool around,
		   const struct vci_plan_ops *ops, void *ctx, struct vci_plan *plan);
/* Back to what was asked for. */
void vci_plan_shrink(struct vci_plan *plan);
/* It was read: the next part to store; false: no more.  Task context. */
bool vci_plan_next(struct vci_cache *c, struct vci_plan *plan,
		   struct vci_plan_piece *piece);
/* An I/O of so many blocks took so long: from the backing device, and nothing else. */
void vci_plan_took(struct vci_cache *c, u32 blocks, u64 us);

/* ---- writes and discards that go to the backing device ---- */

/* Extents are split where a segment ends, and more often where it is copied in parts. */
#define VCI_WRITE_PLACES	4u

struct vci_write_place {
	u64 addr;
	u64 turn;			/* of its segment then */
	u32 blocks;
};

struct vci_write {
	struct vci_ticket_write range;
	bool replaces;			/* something was mapped there */
	u8 heat;			/* ... so what takes its place begins with this */
	u8 nr_places;			/* where all of it lay, clean; 0: not in so few */
	struct vci_write_place place[VCI_WRITE_PLACES];
};

/*
 * Announces a write (or discard) to the backing device.  Returns 0 if it may be
 * submitted now; -EAGAIN if vci_write_prepare() must be called first, by a
 * sleeper.  Either way vci_write_end() must follow.
 */
int vci_write_begin(struct vci_cache *c, struct vci_write *w, u64 off,
		    u64 blocks) __must_check;
/*
 * Makes the intent mark durable (O1), then unmaps what is clean in the range.
 * May sleep.  -EEXIST: something in the range is dirty, nothing was done: end
 * it, and send it to the log (O2).  On another error the write may go on only if
 * the cache is failed (bypassed) and not stuck.
 */
int vci_write_prepare(struct vci_cache *c, struct vci_write *w) __must_check;
/*
 * The write completed (or was given up).  Any context.  With @t: true if no
 * other write touched the range meanwhile and @t is a ticket for its data.
 */
bool vci_write_end(struct vci_cache *c, const struct vci_write *w, struct vci_ticket *t);
/* Data that was written to the backing device: how much from its start goes where. */
void vci_plan_written(struct vci_cache *c, u64 off, u32 blocks,
		      const struct vci_write *w, struct vci_plan_piece *piece);

/* ---- fills: data on its way into the log ---- */

struct vci_fill_entry {
	u64 off;
	u32 blocks;
	u32 data_block;		/* where its data lies in the buffer */
	u8 heat;		/* that it begins with */
	bool in_place;		/* it went to its old place */
	u64 old_addr, old_turn;	/* that: as in struct vci_plan_piece */
	struct vci_ticket ticket;
	bool valid;		/* false: its data never came */
};

/*
 * A batch in the making: one flat buffer, in whose first unit the header ends.
 * The shell owns locking, memory and time; vci_fill_reserve and
 * vci_fill_commit are called with the shell's own lock held.
 */
struct vci_fill {
	u8 *buffer;		/* vci_cache_batch_blocks() * 512 bytes */
	u8 stream;		/* enum vci_log_stream: where it goes */
	bool write;		/* users' writes, dirty; tickets don't count */
	bool fua;		/* durable when it completes */
	bool landed;		/* with FUA: so is all that others have named */
	bool flush;		/* for a FLUSH: what it names should be durable then */
	u32 size;		/* of the buffer, in blocks */
	u32 align;		/* of the batch */
	u32 room;		/* blocks of header and data that fit */
	u32 used;
	u32 nr;
	u32 pending;		/* reserved, not yet committed */
	u32 header_used;	/* behind it the header is 0; 0: not known */
	u32 header_blocks;	/* ... the header that is meant */
	struct vci_fill_entry e[VCI_BATCH_ENTRIES_MAX];
};

/* Size of a fill's buffer in blocks, header unit included. */
u32 vci_cache_batch_blocks(const struct vci_cache *c);
u32 vci_cache_batch_align(const struct vci_cache *c);
void vci_fill_init(struct vci_fill *f, u8 *buffer, u32 buffer_blocks, u32 align);
/* An empty fill of @stream, which ends where its segment does, if that has some room. */
void vci_fill_begin(struct vci_cache *c, struct vci_fill *f, u8 stream);
/*
 * Reserves room for up to @blocks (at most VCI_ENTRY_BLOCKS_MAX): returns the
 * index of the entry, whose blocks say how many fit, or -ENOSPC.
 */
int vci_fill_reserve(struct vci_fill *f, u64 off, u32 blocks,
		     const struct vci_ticket *t) __must_check;
/* Blocks that the next entry can have at most. */
u32 vci_fill_left(const struct vci_fill *f);
void *vci_fill_data(struct vci_fill *f, int entry);
/* Data of @entry is in the buffer (@valid), or will never come. */
void vci_fill_commit(struct vci_fill *f, int entry, bool valid);

/* What @piece says of an entry that has some of its data.  The shell's own lock held. */
void vci_fill_describe(struct vci_fill *f, int entry, const struct vci_plan_piece *piece);

/* May a read of @blocks look for its data in fills?  @res: what it begins with. */
bool vci_fill_serves(const struct vci_lookup *res, u32 blocks);
/*
 * Where in its buffer does a fill hold what is at @off?  NULL: it doesn't.  Else *@blocks
 * becomes how many follow, at most as many as it was; whoever wants them asks for
 * vci_fill_fresh() when they are copied.  The shell's own lock held.
 */
const void *vci_fill_find(const struct vci_fill *f, u64 off, u32 *blocks, int *entry);
/* Was nothing written there since? */
bool vci_fill_fresh(struct vci_cache *c, const struct vci_fill *f, int entry);
/* Somebody uses it: notes a first use.  The shell's own lock held. */
void vci_fill_use(struct vci_fill *f, int entry, struct vci_first_uses *first);
/* The first uses of one read; @saved: it needed no I/O of the backing device. */
void vci_cache_first_uses(struct vci_cache *c, const struct vci_first_uses *first,
			  bool saved);

/* The writer: false: maintain first, or the next append will have no room. */
bool vci_cache_append_fits(struct vci_cache *c);
/*
 * The writer: appends a fill whose entries are all committed, as one device
 * write, and maps what is still valid (O7).  May sleep.  The buffer is the
 * caller's again.  -ENOSPC: no free segment now, nothing was written.
 */
int vci_cache_append(struct vci_cache *c, struct vci_fill *f) __must_check;

/* ---- writes that go to the log ---- */

/*
 * A batch of users' writes is a struct vci_fill with @write set, whose way is:
 *
 *	vci_append_enter	the gate: one batch at a time
 *	vci_fill_init, _reserve, _commit	the data
 *	vci_append_begin	its place; -EAGAIN: vci_append_prepare, then again
 *	(write fill->buffer)	from block a->skip of it a->blocks, to a->addr of the cache
 *				device, a->flags
 *	vci_append_map		-EAGAIN: vci_append_map_sleep
 *	(acknowledge)
 *	vci_append_leave
 *
 * It names first what has landed (vci_direct_end()), and may do nothing else: then @nr is 0.
 */
struct vci_append {
	u64 addr;
	u32 blocks;
	u32 skip;			/* of the buffer: the header ends with its unit */
	unsigned int flags;		/* VCI_IO_FUA, VCI_IO_PREFLUSH */
	u32 named;			/* direct writes: its first entries */
	u32 named_to;			/* ... up to that one */
	u32 placed, landed;		/* writes in place, and direct ones, before it began */
	u32 mapped;			/* entries behind those that are */
	bool completed;			/* known to the log */
	struct vci_batch_info info;
};

/* False: somebody is in; ops->log_free() tells when to try again. */
bool vci_append_enter(struct vci_cache *c);
bool vci_append_busy(const struct vci_cache *c);
void vci_append_leave(struct vci_cache *c);
/*
 * Seals the batch.  -EAGAIN: vci_append_prepare() first; -ENOSPC: leave the gate,
 * vci_cache_maintain(), then again; -ENODATA: there is nothing to write; else the cache
 * has failed.  No sleep.
 */
int vci_append_begin(struct vci_cache *c, struct vci_fill *f,
		     struct vci_append *a) __must_check;
/* Names of segments, or "may hold dirty data", become durable. A sleeper in the gate. */
int vci_append_prepare(struct vci_cache *c) __must_check;
/*
 * The write completed: maps its entries, in order.  0; -EAGAIN: the rest by
 * vci_append_map_sleep(), which fails only if the cache does.
 */
int vci_append_map(struct vci_cache *c, struct vci_fill *f,
		   struct vci_append *a) __must_check;
int vci_append_map_sleep(struct vci_cache *c, struct vci_fill *f,
			 struct vci_append *a) __must_check;
/* The write failed: so has the cache, and it is stuck. Any context. */
void vci_append_failed(struct vci_cache *c, struct vci_append *a, int error);

/* ---- writes in place (O12) ---- */

/*
 * Map context, in an RCU read section, holding off drain_readers() from before this
 * call until vci_place_end().  Where on the cache device a write may go, all of it; 0:
 * to the log, and there is nothing to end.  In writeback mode only.  *@hit: it begins in
 * cached data.
 */
u64 vci_place_begin(struct vci_cache *c, u64 off, u32 blocks, bool *hit);
/* It was written, with FUA if that was asked for; or the cache fails. Any context. */
void vci_place_end(struct vci_cache *c, u64 off, u32 blocks, int error);

/* ---- direct writes ---- */

struct vci_direct_write {
	u64 off;
	u64 addr;			/* on the cache device */
	u32 blocks;
	u32 done;			/* of them landed */
};

/*
 * In writeback mode.  How much from its start goes to w->addr, with FUA unless
 * vci_direct_is_volatile(), once that has completed vci_direct_end(); 0: to the log, and
 * there is nothing to end.  @fua: as the user wants it.  Task context, no sleep.
 */
u32 vci_direct_begin(struct vci_cache *c, u64 off, u32 blocks, bool fua,
		     struct vci_direct_write *w);
/*
 * The data is on the device: the write lands.  0: it may be acknowledged, with FUA when a
 * batch that began after that has completed.  -EBUSY: again, when somebody has left the
 * gate; -EAGAIN: by _sleep, which else fails only if the cache does.  Task context.
 */
int vci_direct_end(struct vci_cache *c, struct vci_direct_write *w) __must_check;
int vci_direct_end_sleep(struct vci_cache *c, struct vci_direct_write *w) __must_check;
/* It wasn't written: @error of the device, with which the cache fails; 0: nothing was done. */
void vci_direct_failed(struct vci_cache *c, struct vci_direct_write *w, int error);
/* A FLUSH begins.  True: a batch must begin and complete before the device is flushed. */
bool vci_direct_flush(struct vci_cache *c);
/* Has anything landed that no complete batch names? */
bool vci_direct_pending(const struct vci_cache *c);
/* ... so much that who has landed last should wait for a batch, as with FUA? */
bool vci_direct_due(const struct vci_cache *c);
/* A name wants a flush before, which is seen to: their data needs no FUA. */
bool vci_direct_is_volatile(const struct vci_cache *c);
/* By the writer.  May sleep.  -ENOSPC: a checkpoint does it as well. */
int vci_direct_name(struct vci_cache *c) __must_check;

/* ---- flushes of users ---- */

struct vci_flush_token {
	u64 seq, named;
	u32 written;
};

/*
 * Is there anything that a flush of the device must make durable?  If so, flush
 * it, and if that succeeded call _end with the same token.  If that of the cache
 * device failed, vci_cache_fail() before the user is told.  Any context.
 */
bool vci_flush_cache_begin(struct vci_cache *c, struct vci_flush_token *t);
void vci_flush_cache_end(struct vci_cache *c, const struct vci_flush_token *t);
bool vci_flush_backing_begin(struct vci_cache *c, struct vci_flush_token *t);
void vci_flush_backing_end(struct vci_cache *c, const struct vci_flush_token *t);

/* ---- background work, by the writer ---- */

/* Where a pass of write-back over the device stands. */
struct vci_writeback {
	u64 off;		/* begin with 0; at the device's end it is done */
	u64 max_seq;		/* only segments begun up to this batch; U64_MAX: all */
	u64 until;		/* in order: the last batch when the pass began */
	u64 blocks;		/* written back so far */
	u64 skipped;		/* left out: written past the log at that moment */
	int error;		/* of the backing device: some stays dirty */
};

/*
 * Writes back dirty extents from wb->off on, about @max_blocks of them, and makes
 * them clean (O3).  May sleep.  -ENOSPC: no room for the records,
 * vci_cache_maintain() first; what the backing device refuses stays dirty: wb->error.
 */
int vci_cache_writeback(struct vci_cache *c, struct vci_writeback *wb,
			u64 max_blocks) __must_check;
u64 vci_cache_dirty_blocks(const struct vci_cache *c);
/* How much of the room is dirty: when it is much, write-back waits for nothing. */
u32 vci_cache_dirty_percent(const struct vci_cache *c);
/* The last batch so far: what is dirty and older is at most as old as this call. */
u64 vci_cache_log_seq(struct vci_cache *c);

/* True if vci_cache_maintain() has something urgent to do. Any context. */
bool vci_cache_needs_maintenance(const struct vci_cache *c);
/*
 * Reclaims segments and writes checkpoints as needed; @idle: also lazily clears
 * intent marks and checkpoints little changes.  May sleep, may take long.
 */
int vci_cache_maintain(struct vci_cache *c, bool idle) __must_check;
int vci_cache_checkpoint(struct vci_cache *c) __must_check;
/* Unmaps clean extents of a range, durably. */
int vci_cache_invalidate(struct vci_cache *c, u64 off, u64 blocks) __must_check;

/* ---- memory ---- */

/*
 * A limit for stats.memory_bytes, 0 for none.  Returns 0, or the least that this
 * image can do with if @bytes is less.  A sleeper.
 */
u64 vci_cache_set_mem_limit(struct vci_cache *c, u64 bytes) __must_check;
/* Frees @bytes of clean nodes, if there are so many.  May sleep; no I/O, no allocation. */
u64 vci_cache_shrink(struct vci_cache *c, u64 bytes);
/* How much that could free at most. Any context. */
u64 vci_cache_clean_bytes(const struct vci_cache *c);

#endif /* VCI_CACHE_H */
