/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The crash simulator's world: two disks, a cache over them, users, a model.
 *
 * The users' operations are state machines of small steps (sim-ops.c), so that
 * any number of them overlap, with each other and with the writer's work: each
 * I/O of the core is a place where others may go on (sim_power.hook).
 *
 * THE MODEL (sim-model.c).  Writes go to a few stretches of the backing device
 * ("spots").  Each sector written holds its own number and a version, unique
 * for ever.  Per sector the model knows what the backing device holds and which
 * versions were overwritten lately, by whom.  A read may return what the
 * backing device held at any moment since it began, or what a write replaced
 * that wasn't acknowledged when the read began.  Violations are
 *
 *	stale		an older version (laws 1, 2)
 *	foreign		bytes that were never written to that sector (law 3)
 *	differs		at rest, the cache differs from the backing device, which
 *			in these modes holds everything (laws 2, 4)
 *	lost		a sector whose fill was durable, and that nobody wrote or
 *			evicted since, is not found after a crash (O4)
 *	refused		an activation failed, or found another backing device
 *	broken		the core's own invariants; vci_verify() after a clean close
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "sim-disk.h"
#include "vci-cache.h"

#define SPOTS_MAX	6u
#define SPOT_SECTORS	160u
#define SECTORS_MAX	(SPOTS_MAX * SPOT_SECTORS)
#define OPS_MAX		8u
#define OP_BLOCKS_MAX	128u
#define RING		8u
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
};

struct sector {
	u64 off;
	u32 version;		/* on the backing device; 0: zeros */
	u32 next_past;		/* versions so far, since the last crash */
	u32 durable;		/* as many can't come back any more */
	u32 appended;		/* append that mapped it, 0 none */
	struct past past[RING];
};

enum op_kind { OP_NONE, OP_READ, OP_WRITE, OP_DISCARD, OP_FLUSH };

enum op_phase {
	PH_BEGIN, PH_LOAD, PH_HIT, PH_MISS, PH_RESERVE, PH_COMMIT,
	PH_PREPARE, PH_SUBMIT, PH_END,
};

struct op {
	enum op_kind kind;
	enum op_phase phase;
	u64 off;
	u32 blocks;
	u64 wide_off, wide_blocks;	/* DISCARD: all of it */
	u32 piece;		/* blocks that are at it now */
	u32 began;		/* time */
	u32 version;
	bool fua;
	bool zeroes;		/* DISCARD: really */
	bool busy;		/* the core is at it */
	u32 wait;		/* HIT: a slow device */
	bool submitted;
	u64 addr;		/* HIT */
	bool has_ticket;
	struct vci_ticket ticket;
	struct vci_write w;
	int fill, entry;
	u32 done;		/* blocks of it that went into fills */
	_Alignas(8) u8 data[OP_BLOCKS_MAX * 512];
};

/* How often what happens, in this history. */
struct weights {
	u32 read, write, discard, flush;		/* new operations */
	u32 writer;		/* percent: the writer goes on; then, of 100: */
	u32 append, maintain, idle, checkpoint, invalidate, settle;
	u32 shrink;		/* percent */
	u32 advance;		/* percent: go on with an operation instead */
	u32 hook;		/* percent: others go on during the core's I/O */
	u32 op_blocks;		/* longest */
	u32 fua;
	u32 fill_writes;	/* writethrough: percent */
	u32 hot;		/* percent of operations to the first spot */
	bool no_spare_memory;	/* for what can do without */
	u32 no_memory;		/* percent of the writer's steps */
	u32 errors;		/* percent of rounds with one on the cache device */
	u32 patience;		/* as many times --ops steps */
};

struct world {
	struct sim_rng rng;
	struct sim_power power;
	struct sim_disk cache_disk, backing_disk;
	struct vci_cache *cache;
	struct vci_open_report report;
	u64 seed;
	bool verbose;
	bool verify_close;
	unsigned int max_ops;
	struct weights weights;

	struct spot spots[SPOTS_MAX];
	u32 nr_spots;
	u32 nr_sectors;
	struct sector sectors[SECTORS_MAX];
	u32 clock;
	u32 last_version;
	u32 base_version;	/* writes before it are history */
	u32 *acked;		/* time, by version - base_version; 0 not yet */
	u32 max_acked;
	bool discard_in_flight;	/* when the crash came */

	struct op ops[OPS_MAX];
	struct vci_fill fills[FILLS];
	u8 *buffers[FILLS];
	u32 buffer_blocks;
	u32 open_fill;
	u32 appending;		/* FILLS: none */
	bool in_writer;
	bool full;		/* append said so */
	bool closing;
	bool no_memory;		/* -ENOMEM is expected */
	u32 depth;		/* of hooks */
	u32 appends;		/* completed */
	u32 durable_appends;

	char violation[256];
	/* counters */
	u64 crashes, opens, closes, ops_done, verified, hits, misses;
	u64 batches, checkpoints, evicted, stale, full_appends, clones;
};

/* sim-model.c */
void model_init(struct world *w);
void model_free(struct world *w);
int model_index(const struct world *w, u64 off);
void model_fill_data(u8 *data, u64 off, u32 blocks, u32 version);
u32 model_new_version(struct world *w);
void model_apply(struct world *w, u64 off, u32 blocks, u32 version, bool zero,
		 bool durable);
void model_ack(struct world *w, u32 version);
bool model_check_read(struct world *w, u64 off, u32 blocks, const u8 *data, u32 began);
void model_flushed(struct world *w);
void model_after_crash(struct world *w);
void model_at_rest(struct world *w);
void model_unmap(struct world *w, u64 off, u64 blocks);

/* sim-ops.c */
void world_step(struct world *w);
void world_hook(void *ctx);
void world_finish_ops(struct world *w);
void world_forget_ops(struct world *w);
void world_drain(void *ctx);

/* sim-check.c */
void check_rest(struct world *w);
void check_expected(struct world *w);
void check_deep(struct world *w);
void check_image(struct world *w);
void expect_appended(struct world *w, const struct vci_fill_entry *e, u32 nr);
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
