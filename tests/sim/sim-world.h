/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The crash simulator's world: two disks, a cache over them, users, a model.
 *
 * The users' operations are state machines of small steps (sim-ops.c), and so is
 * the stream of writes to the log (sim-stream.c): any number of them overlap,
 * with each other and with the writer's work (sim-writer.c).  Each I/O of the
 * core is a place where others may go on (sim_power.hook).
 *
 * THE MODEL (sim-model.c).  Users write to a few stretches of the volume
 * ("spots").  Each sector written holds its own number and a version, unique for
 * ever.  Per sector the model knows what the VOLUME holds, that is the pair of
 * both devices, and which versions were overwritten lately, by whom:
 *
 *  - a write to the log takes effect when it is mapped, a direct one when it lands;
 *  - a write in place takes effect when it is on the cache device; but if a write to
 *    the log was mapped since it began, it counts as overwritten by that one;
 *  - a write past the log takes effect when it is on the backing device; but if
 *    a write to the log was mapped since it began, it counts as overwritten by
 *    that one ("dirty stays on its path");
 *  - a read may return what the volume held at any moment since it began, or
 *    what a write replaced that wasn't acknowledged when the read began;
 *  - a completed FLUSH makes durable what was acknowledged before it began, a
 *    FUA write itself when it is acknowledged;
 *  - after a crash a sector, read through the recovered cache, is the last
 *    durable version or a later one; and that is the truth from then on.
 *
 * Violations are
 *
 *	stale		an older version (laws 1, 2)
 *	foreign		bytes that were never written to that sector (law 3)
 *	differs		at rest, a sector isn't what the model says, or it is
 *			clean and the backing device holds something else (laws
 *			2, 4)
 *	attached	the backing device alone lacks what it must hold: after a
 *			flush message, or when nothing is dirty (law 4)
 *	disordered	with write-back in the order of flushes: the backing device
 *			alone isn't what a power failure could have left of one disk
 *	lost		what was durable, and nobody wrote or evicted since, is
 *			not found after a crash (O4)
 *	refused		an activation failed, found another backing device, or
 *			took the log for damaged
 *	broken		the core's own invariants; vci_verify() after a clean
 *			close; nothing goes on
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "sim-disk.h"
#include "sim-table.h"
#include "vci-cache.h"

#define SPOTS_MAX	6u
#define SPOT_SECTORS	160u
#define SECTORS_MAX	(SPOTS_MAX * SPOT_SECTORS)
#define OPS_MAX		8u
#define OP_BLOCKS_MAX	128u
/* ... and what is read around it. */
#define OP_DATA_BLOCKS	(OP_BLOCKS_MAX + 2 * (VCI_PLAN_UNITS + 1) * VCI_UNIT_BLOCKS)
#define RING		12u
#define FILLS		3u

struct spot {
	u64 off;
	u32 blocks;
	u32 base;		/* index of its first sector in the model */
};

/* A version that was overwritten, and by which. */
struct past {
	u32 version;
	u32 by;
	u32 at;			/* time */
	bool log;		/* by a write to the log */
};

/* A write, and when it was acknowledged (0: not yet) and had begun. */
struct written {
	u32 acked;
	u32 began;
	bool fua;
};

/* The users' flushes of this life, for write-back in their order. */
#define FLUSHES_MAX	256u

struct order {
	bool armed;		/* the backing device held everything when it began */
	u32 nr;
	u32 began[FLUSHES_MAX], completed[FLUSHES_MAX];
};

/*
 * Versions since the last crash are numbered: 0 is what the crash left, the
 * current one is next_past; past[i] tells how i was overwritten by i + 1.
 */
struct sector {
	u64 off;
	u32 version;		/* 0: zeros */
	u32 next_past;
	u32 durable;		/* older ones can't come back any more */
	u32 appended;		/* append that mapped it as a fill, 0 none */
	u32 logged_at;		/* time of the last write to the log */
	bool began;		/* a write there began since a flush message did */
	bool detached;		/* a flush message put it on the backing device */
	struct past past[RING];
};

enum mode { MODE_WRITEBACK, MODE_WRITETHROUGH, MODE_WRITEAROUND, MODE_PASSTHROUGH, MODES };

enum op_kind { OP_NONE, OP_READ, OP_WRITE, OP_DISCARD, OP_FLUSH };

enum op_phase {
	PH_BEGIN, PH_LOAD, PH_HIT, PH_MISS, PH_RESERVE, PH_COMMIT,
	PH_FILLS,		/* a hole: it may be on its way into the log */
	PH_PREPARE, PH_SUBMIT, PH_END,
	PH_LOG,			/* waits for the stream, or is in its batch */
	PH_PLACE,		/* may be written in place, holds the guard */
	PH_PLACED,		/* ... and was, but nobody knows yet */
	PH_DIRECT,		/* has a place of its own */
	PH_LAND,		/* ... and was written there */
	PH_FLUSH,
};

struct op {
	enum op_kind kind;
	enum op_phase phase;
	enum mode mode;		/* when it began */
	u64 off;
	u32 blocks;
	u64 wide_off, wide_blocks;	/* DISCARD: all of it */
	u32 piece;		/* blocks that are at it now */
	u32 began;		/* time */
	u32 version;
	bool fua;
	bool zeroes;		/* DISCARD: really */
	bool busy;		/* the core is at it */
	u32 wait;		/* HIT, PLACE, DIRECT, LAND: a slow device */
	bool submitted;
	u64 addr;		/* HIT, PLACE */
	bool dirty;		/* HIT */
	bool has_ticket;
	struct vci_ticket ticket;	/* for the plan of a read, or for all of a write */
	struct vci_plan plan;	/* READ */
	struct vci_plan_piece part;	/* of the data: what is to be stored of it next */
	struct vci_write w;
	int fill, entry;
	u32 done;		/* blocks of it that went to the log, or have landed */
	struct vci_direct_write direct;
	bool in_batch;		/* LOG: all of it landed, or a FLUSH: waits for that */
	u64 data_off;		/* where data[] was read */
	u32 queued;		/* LOG: since when */
	bool need[2];		/* FLUSH: cache, backing device */
	bool flushed[2];	/* likewise: done, but not yet reported */
	struct vci_flush_token token[2];
	_Alignas(8) u8 data[OP_DATA_BLOCKS * 512];
};

enum stream_phase {
	ST_IDLE, ST_BUILD, ST_BEGIN, ST_PREPARE, ST_WRITE, ST_MAP, ST_MAP_SLEEP, ST_ACK, ST_LEAVE,
};

/* The way of users' writes to the log, as the shell goes it. */
struct stream {
	enum stream_phase phase;
	bool busy;		/* the core is at it */
	bool waits;		/* the gate was closed: until log_free() */
	bool full;		/* no room: until the writer made some */
	bool left;		/* the gate, before the users were told */
	enum mode mode;		/* when the batch began */
	u32 applied;		/* entries that took effect in the model */
	u32 wait;		/* a slow device */
	u32 fail_in;		/* its n-th write from now fails; 0: none */
	struct vci_fill fill;
	struct vci_append a;
	u8 op[VCI_BATCH_ENTRIES_MAX];	/* whose the entry is */
	u8 *buffer;
};

/* How often what happens, in this history. */
struct weights {
	u32 read, write, discard, flush;		/* new operations */
	u32 writer;		/* percent: the writer goes on; then, of 100: */
	u32 append, maintain, idle, checkpoint, invalidate, settle;
	u32 writeback, message, suspend;
	u32 stream;		/* percent: the stream goes on */
	u32 shrink;		/* percent */
	u32 memory;		/* bytes for the tree; 0: no limit */
	u32 change;		/* per 1000: the mode changes */
	u32 modes[MODES];
	u32 advance;		/* percent: go on with an operation instead */
	u32 hook;		/* percent: others go on during the core's I/O */
	u32 op_blocks;		/* longest */
	u32 fua;
	u32 fill_writes;	/* writethrough: percent */
	u32 past;		/* writeback: percent that go past the log, as long runs do */
	u32 around;		/* percent of misses that may read around */
	u32 hot;		/* percent of operations to the first spot */
	u32 streams;		/* batches go to one of so many */
	u32 direct;		/* percent of writes that may be direct; 0: none can be */
	bool flushes_names;	/* ... without FUA: flushed before they are named */
	u32 names;		/* that a batch has at most; 0: as many as it can */
	bool no_spare_memory;	/* for what can do without */
	u32 no_memory;		/* percent of the writer's steps */
	u32 errors;		/* percent of rounds with one on the cache device */
	u32 backing_errors;	/* ... on the backing device */
	u32 late;		/* percent of rounds that crash in the writer's work */
	u32 brief;		/* percent of rounds of a few steps */
	bool small_segments;
	u32 patience;		/* as many times --ops steps */
};

/* Which cache and devices are looked at: the real ones, or copies. */
struct view {
	struct vci_cache *cache;
	struct sim_disk *cache_disk, *backing_disk;
};

struct world {
	struct sim_rng rng;
	struct sim_power power;
	struct sim_disk cache_disk, backing_disk;
	struct vci_cache *cache;
	struct vci_open_report report;
	struct view view;
	bool ordered;		/* write-back in the order of flushes */
	u64 seed;
	bool verbose;
	unsigned int max_ops;
	struct weights weights;

	struct spot spots[SPOTS_MAX];
	u32 nr_spots;
	u32 nr_sectors;
	struct sector sectors[SECTORS_MAX];
	u32 clock;
	u32 last_version;
	u32 base_version;	/* writes before it are history */
	struct written *written;	/* by version - base_version */
	u32 max_written;
	struct order order;
	bool discard_in_flight;	/* when the crash came */
	bool closed;		/* cleanly, and no crash since */
	bool closed_dirty;	/* ... with dirty data */
	bool host_only;		/* no power cut since the cache was open */

	enum mode mode;
	struct op ops[OPS_MAX];
	struct stream stream;
	struct vci_fill fills[FILLS];
	u8 *buffers[FILLS];
	u32 buffer_blocks, batch_align;
	u32 open_fill;
	u64 filled_off;		/* the last entry that was appended as a fill, */
	u32 filled_blocks;	/* ... 0: none */
	u32 appending;		/* FILLS: none */
	bool in_writer;
	bool full;		/* append said so */
	bool quiet;		/* the world stands still: closing, suspended */
	bool no_memory;		/* -ENOMEM is expected */
	u32 depth;		/* of hooks */
	u32 appends;		/* completed */
	u32 durable_appends;
	struct vci_writeback wb;	/* a pass that may go on */
	struct now now;		/* what goes on: sim-table.c */

	char violation[256];
	/* counters */
	u64 crashes, opens, closes, ops_done, verified, hits, misses, dirty_hits;
	u64 batches, checkpoints, evicted, moved, stale, full_appends, clones;
	u64 writes_logged, writes_direct, writes_placed, dead_places, fill_reads, around;
	u64 met_dirty, past_log, written_back, messages, failed_ops, wedged;
	struct sim_table *table;
};

/* sim-weights.c */
void choose_weights(struct world *w);

/* sim-model.c */
void model_init(struct world *w);
void model_free(struct world *w);
int model_index(const struct world *w, u64 off);
void model_fill_data(u8 *data, u64 off, u32 blocks, u32 version);
bool model_version_of(const u8 *data, u64 off, u32 *version);
u32 model_new_version(struct world *w, bool fua);
struct written model_written(const struct world *w, u32 version);
u32 model_oldest(const struct sector *s);
struct past *model_past(struct sector *s, u32 i);
void model_begin_write(struct world *w, u64 off, u64 blocks);
void model_logged(struct world *w, u64 off, u32 blocks, u32 version);
void model_passed(struct world *w, const struct op *op, bool zero);
void model_placed(struct world *w, const struct op *op);
void model_place_failed(struct world *w, const struct op *op);
void model_pass_failed(struct world *w, const struct op *op, bool zero);
void model_ack(struct world *w, u32 version);
void model_ack_fua(struct world *w, const struct op *op);
bool model_check_read(struct world *w, u64 off, u32 blocks, const u8 *data, u32 began);
void model_flushed(struct world *w, u32 began);
void model_recovered(struct world *w, struct sector *s, const u8 *data);
void model_at_rest(struct world *w);
void model_rebase(struct world *w);

/* sim-order.c */
void order_begin(struct world *w);
void order_flushed(struct world *w, u32 began, u32 completed);
void order_check(struct world *w);

/* sim-ops.c */
int user_io(struct world *w, struct sim_disk *d, u64 addr, u32 blocks, void *data,
	    bool write, unsigned int flags);
bool core_locked(const struct world *w);
bool unexpected(struct world *w, const char *what, int r);
void op_failed(struct world *w, struct op *op);
void op_batch_done(struct world *w, struct op *op);
void op_to_log(struct world *w, struct op *op);
void user_step(struct world *w);
void change_mode(struct world *w);
void world_step(struct world *w);
void world_hook(void *ctx);
bool world_finish_ops(struct world *w);
void world_forget_ops(struct world *w);
void world_drain(void *ctx);
void choose_range(struct world *w, u64 *off, u32 *blocks);
void rotate_fills(struct world *w);

/* sim-direct.c */
bool sim_direct_begin(struct world *w, struct op *op);
void sim_direct_write(struct world *w, struct op *op);
void sim_direct_land(struct world *w, struct op *op);

/* sim-stream.c */
bool stream_step(struct world *w);
void stream_sync(struct world *w);
void world_wait_log(void *ctx);
void world_log_free(void *ctx);

/* sim-writer.c */
void writer_step(struct world *w);
void writer_make_room(struct world *w);
void writer_work(struct world *w);
int wedged(struct world *w, const char *what);
int flush_message(struct world *w);
void quiet_message(struct world *w);
void suspend(struct world *w);

/* sim-check.c */
void check_recovered(struct world *w, struct view view);
void check_rest(struct world *w);
void check_detached(struct world *w);
void check_promised_survived(struct world *w);
void check_expected(struct world *w);
void check_deep(struct world *w);
void check_image(struct world *w);
void expect_appended(struct world *w, u32 stream, const struct vci_fill_entry *e, u32 nr);
void expect_refresh(struct world *w);
void expect_unmarked(struct world *w);
void expect_all(struct world *w);

__printf(2, 3) void violation(struct world *w, const char *fmt, ...);
__printf(2, 3) void trace(struct world *w, const char *fmt, ...);

static inline bool stopped(const struct world *w)
{
	return w->power.dead || w->violation[0];
}

#endif /* SIM_WORLD_H */
