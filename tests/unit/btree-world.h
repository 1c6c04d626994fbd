/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tree, its device in memory, and what it should hold, block by block.
 *
 * The model covers WORLD_BLOCKS blocks on both sides of a window's edge.  The
 * device's allocator keeps the owner's rules: a unit of the last checkpoint is
 * not used again before the next one is complete; at the end of each checkpoint
 * the units in use must be exactly the nodes that can be reached from the root.
 */
#ifndef BTREE_WORLD_H
#define BTREE_WORLD_H

#include "vci-btree-lookup.h"
#include "vt.h"

#define WORLD_BLOCKS	6000u
#define WORLD_BASE	(VCI_WINDOW_BLOCKS - WORLD_BLOCKS / 2)
#define WORLD_EDGE	(WORLD_BLOCKS / 2)
#define WORLD_UNITS	8192u
#define WORLD_NODES	4096ull		/* address of the node area */
#define WORLD_DATA	(1ull << 20)	/* address of the segments */

struct world_map {
	u64 addr[WORLD_BLOCKS];		/* 0: a hole */
	u8 flags[WORLD_BLOCKS];
};

struct world {
	struct vci_header h;
	struct vci_btree *bt;
	u64 rng;
	u64 gen, root;
	/* the device */
	u8 (*unit)[VCI_NODE_SIZE];
	u8 next[WORLD_UNITS];		/* belongs to the next checkpoint */
	u8 committed[WORLD_UNITS];
	u8 freed[WORLD_UNITS];
	u8 good[WORLD_UNITS];		/* holds a sealed node */
	u32 hint;
	bool in_checkpoint;
	bool scattered;			/* addresses aren't consecutive */
	/* faults: the n-th from now fails */
	u32 fail_read, fail_write, fail_alloc;
	u64 nr_reads, nr_writes, nr_nodes_written, nr_calls;
	/* called while a checkpoint writes, without the lock */
	void (*meanwhile)(struct world *w);
	/* called before a read returns what is there then */
	void (*in_read)(struct world *w);
	/* what should be there, what the tree said, what was frozen */
	struct world_map model, told, frozen;
	bool quiet;			/* no accounting: the tree is scratch */
	unsigned int nr_bad;
	char why[128];
};

__printf(2, 3)
static inline void world_bad(struct world *w, const char *fmt, ...)
{
	va_list args;

	if (w->nr_bad++)
		return;
	va_start(args, fmt);
	vsnprintf(w->why, sizeof(w->why), fmt, args);
	va_end(args);
}

/* Reports all that went wrong since the last call as one test. */
#define world_ok(w, ...) ({						\
	bool _fine = ok(!(w)->nr_bad, __VA_ARGS__);			\
									\
	if (!_fine)							\
		printf("# %u times, at first: %s\n", (w)->nr_bad, (w)->why); \
	(w)->nr_bad = 0;						\
	_fine;								\
})

static inline u32 world_rand(struct world *w, u32 below)
{
	return (u32)(vt_random(&w->rng) >> 33) % below;
}

/* ---- operations of the tree ---- */

static inline u32 world_unit(u64 addr)
{
	return (addr - WORLD_NODES) / VCI_NODE_BLOCKS;
}

static void world_mapped(void *ctx, const struct vci_extent *e)
{
	struct world *w = ctx;
	u32 i, at = e->off - WORLD_BASE;

	w->nr_calls++;
	for (i = 0; i < e->blocks; i++) {
		if (w->told.addr[at + i])
			world_bad(w, "mapped twice: %u", at + i);
		w->told.addr[at + i] = e->addr + i;
		w->told.flags[at + i] = e->flags;
	}
}

static void world_unmapped(void *ctx, const struct vci_extent *e)
{
	struct world *w = ctx;
	u32 i, at = e->off - WORLD_BASE;

	w->nr_calls++;
	for (i = 0; i < e->blocks; i++) {
		if (w->told.addr[at + i] != e->addr + i ||
		    w->told.flags[at + i] != e->flags)
			world_bad(w, "unmapped what wasn't: %u", at + i);
		w->told.addr[at + i] = 0;
	}
}

static u64 world_alloc(void *ctx)
{
	struct world *w = ctx;
	u32 i, k;

	if (w->fail_alloc && !--w->fail_alloc)
		return 0;
	for (k = 0; k < WORLD_UNITS; k++) {
		i = (w->hint + k) % WORLD_UNITS;
		if (w->next[i] || w->committed[i])
			continue;
		w->next[i] = 1;
		w->hint = i + 1 + (w->scattered ? world_rand(w, 2) : 0);
		return WORLD_NODES + (u64)i * VCI_NODE_BLOCKS;
	}
	world_bad(w, "out of units");
	return 0;
}

static void world_free(void *ctx, u64 addr)
{
	struct world *w = ctx;
	u32 i = world_unit(addr);

	if (!addr || i >= WORLD_UNITS || !w->next[i] || w->freed[i]) {
		world_bad(w, "freed what isn't in use: %llu", addr);
		return;
	}
	if (w->in_checkpoint)
		w->freed[i] = 1;
	else
		w->next[i] = 0;
}

/* O9: what a node that is written points to must be there. */
static inline void world_check_written(struct world *w, u32 i)
{
	struct vci_child c;
	u32 k;

	if (vci_node_type(w->unit[i]) != VCI_NODE_INTERNAL)
		return;
	for (k = 0; k < vci_node_count(w->unit[i]); k++) {
		vci_node_child(w->unit[i], k, &c);
		if (!w->good[world_unit(c.addr)])
			world_bad(w, "parent written before child %llu", c.addr);
	}
}

static int world_write(void *ctx, u64 addr, u32 nr, const void *data)
{
	struct world *w = ctx;
	u32 i, first = world_unit(addr);

	if (w->fail_write && !--w->fail_write)
		return -EIO;
	for (i = first; i < first + nr; i++) {
		if (w->committed[i])
			world_bad(w, "overwrote a node of the last checkpoint");
		memcpy(w->unit[i], data + (size_t)(i - first) * VCI_NODE_SIZE,
		       VCI_NODE_SIZE);
		w->good[i] = 1;
		world_check_written(w, i);
	}
	w->nr_writes++;
	w->nr_nodes_written += nr;
	if (w->meanwhile)
		w->meanwhile(w);
	return 0;
}

static int world_read(void *ctx, u64 addr, void *data)
{
	struct world *w = ctx;

	if (w->fail_read && !--w->fail_read)
		return -EIO;
	w->nr_reads++;
	if (w->in_read)
		w->in_read(w);
	memcpy(data, w->unit[world_unit(addr)], VCI_NODE_SIZE);
	return 0;
}

static const struct vci_btree_ops world_ops = {
	.mapped = world_mapped,
	.unmapped = world_unmapped,
	.alloc_node = world_alloc,
	.free_node = world_free,
	.write_nodes = world_write,
	.read_node = world_read,
};

/* A second tree on the same device must not disturb the first one's books. */
static const struct vci_btree_ops world_reader_ops = {
	.read_node = world_read,
};

/* ---- life ---- */

static inline struct world *world_create(u64 seed)
{
	struct world *w = calloc(1, sizeof(*w));

	w->unit = calloc(WORLD_UNITS, VCI_NODE_SIZE);
	w->rng = seed ? seed : 1;
	w->h.blocks = 1ull << 36;
	w->h.backing_blocks = WORLD_BASE + WORLD_BLOCKS;
	memset(w->h.uuid, 0x42, sizeof(w->h.uuid));
	w->h.nodes.addr = WORLD_NODES;
	w->h.nodes.blocks = WORLD_UNITS * VCI_NODE_BLOCKS;
	w->h.segments = WORLD_DATA;
	w->h.nr_segments = 1 << 15;
	w->h.segment_blocks = 1 << 16;
	w->bt = vci_btree_create(&world_ops, w, &w->h);
	return w;
}

static inline void world_destroy(struct world *w)
{
	vci_btree_destroy(w->bt);
	free(w->unit);
	free(w);
}

/* ---- the model ---- */

static inline u64 world_random_addr(struct world *w, u32 at)
{
	/* Often what continues the neighbour, so that extents merge. */
	if (at && w->model.addr[at - 1] && world_rand(w, 3))
		return w->model.addr[at - 1] + 1;
	return WORLD_DATA + 8 + world_rand(w, 1u << 29);
}

enum world_op {
	WORLD_INSERT,
	WORLD_FILL,
	WORLD_REMOVE,
	WORLD_REMOVE_CLEAN,
	WORLD_REPLACE,
	WORLD_UNREPLACE,	/* replace with nothing */
	WORLD_OPS
};

struct world_change {
	enum world_op op;
	struct vci_extent e;
	u64 old_addr;
};

/* What the change does, one block at a time. Returns the blocks it applies to. */
static inline u32 world_apply_model(struct world_map *m, const struct world_change *c)
{
	u32 i, at = c->e.off - WORLD_BASE, nr = 0;
	bool set, hit;

	for (i = 0; i < c->e.blocks; i++, at++) {
		switch (c->op) {
		case WORLD_INSERT:
			hit = true;
			break;
		case WORLD_FILL:
			hit = !m->addr[at];
			break;
		case WORLD_REMOVE_CLEAN:
			hit = m->addr[at] && !(m->flags[at] & VCI_EXT_DIRTY);
			break;
		case WORLD_REPLACE:
		case WORLD_UNREPLACE:
			hit = m->addr[at] && m->addr[at] == c->old_addr + i;
			break;
		default:
			hit = m->addr[at];
		}
		if (!hit)
			continue;
		nr++;
		set = c->op == WORLD_INSERT || c->op == WORLD_FILL ||
		      c->op == WORLD_REPLACE;
		m->addr[at] = set ? c->e.addr + i : 0;
		m->flags[at] = set ? c->e.flags : 0;
	}
	return nr;
}

static inline int world_try(struct world *w, const struct world_change *c, u32 *nr)
{
	const struct vci_extent *e = &c->e;
	int err;

	spin_lock(vci_btree_lock(w->bt));
	switch (c->op) {
	case WORLD_INSERT:
		err = vci_btree_insert_locked(w->bt, e);
		break;
	case WORLD_FILL:
		err = vci_btree_fill_locked(w->bt, e, nr);
		break;
	case WORLD_REMOVE:
		err = vci_btree_remove_locked(w->bt, e->off, e->blocks);
		break;
	case WORLD_REMOVE_CLEAN:
		err = vci_btree_remove_clean_locked(w->bt, e->off, e->blocks);
		break;
	default:
		err = vci_btree_replace_locked(w->bt, e->off, e->blocks, c->old_addr,
					       c->op == WORLD_REPLACE ? e : NULL, nr);
	}
	spin_unlock(vci_btree_lock(w->bt));
	return err;
}

/* Changes tree and model; 0, or the error of a load or prepare. */
static inline int world_change(struct world *w, const struct world_change *c)
{
	u32 nr = ~0u, want;
	u64 calls = w->nr_calls;
	int err, tries = 0;

	while ((err = world_try(w, c, &nr))) {
		if (w->nr_calls != calls)
			world_bad(w, "error %d, but something changed", err);
		if (err == -EAGAIN)
			err = vci_btree_load(w->bt, c->e.off, c->e.blocks);
		else if (err == -ENOMEM)
			err = vci_btree_prepare(w->bt, GFP_NOIO);
		if (err)
			return err;
		if (++tries > 100) {
			world_bad(w, "never succeeds");
			return -ELOOP;
		}
	}
	want = world_apply_model(&w->model, c);
	if (nr != ~0u && nr != want)
		world_bad(w, "op %d: %u blocks instead of %u", c->op, nr, want);
	return 0;
}

static inline struct world_change world_random_change(struct world *w, u32 max)
{
	struct world_change c = { .op = world_rand(w, WORLD_OPS) };
	u32 at, k;

	c.e.blocks = 1 + world_rand(w, world_rand(w, 3) ? min(max, 12u) : max);
	at = world_rand(w, WORLD_BLOCKS - c.e.blocks);
	if (at < WORLD_EDGE && at + c.e.blocks > WORLD_EDGE)
		at = WORLD_EDGE;
	c.e.off = WORLD_BASE + at;
	c.e.addr = world_random_addr(w, at);
	c.e.flags = world_rand(w, 4) ? 0 : world_rand(w, VCI_EXT_KNOWN + 1);
	c.e.heat = world_rand(w, VCI_HEAT_MAX + 1);
	/* Mostly the address that some block in it is mapped to. */
	k = world_rand(w, c.e.blocks);
	c.old_addr = w->model.addr[at + k] - k;
	return c;
}

/* ---- comparing ---- */

static inline void world_compare_part(struct world *w, const struct world_map *m,
				      const struct vci_extent *e, bool mapped)
{
	u32 i, at = e->off - WORLD_BASE;

	for (i = 0; i < e->blocks && at + i < WORLD_BLOCKS; i++) {
		if (!mapped && m->addr[at + i])
			world_bad(w, "block %u isn't mapped", at + i);
		if (mapped && m->addr[at + i] != e->addr + i)
			world_bad(w, "block %u is at %llu instead of %llu", at + i,
				  e->addr + i, m->addr[at + i]);
		if (mapped && m->flags[at + i] != e->flags)
			world_bad(w, "block %u has flags %u instead of %u", at + i,
				  e->flags, m->flags[at + i]);
	}
}

/* The short way says the same as the long one, or nothing. */
static inline void world_compare_hit(struct world *w, u32 ask, const struct vci_lookup *res)
{
	struct vci_hit hit = { .addr = 0 };
	bool hits = vci_bt_hit(w->bt, res->e.off, ask, &hit);
	bool whole = res->mapped && res->e.blocks == ask &&
		     !(res->e.heat & VCI_HEAT_AHEAD);

	if (hits != whole || hit.addr != (whole ? res->e.addr : 0) ||
	    (whole && hit.flags != res->e.flags))
		world_bad(w, "hit of %u blocks from %llu: at %llu, not %llu", ask,
			  res->e.off, hit.addr, whole ? res->e.addr : 0);
}

/* Looks up [@at, @at + @blocks) piece by piece. */
static inline void world_compare(struct world *w, u32 at, u32 blocks)
{
	struct vci_lookup res;
	u32 ask;
	int err;

	while (blocks) {
		ask = 1 + world_rand(w, blocks);
		while ((err = vci_btree_lookup(w->bt, WORLD_BASE + at, ask, &res))) {
			err = err == -EAGAIN ? vci_btree_load(w->bt, WORLD_BASE + at, 1)
					     : err;
			if (err) {
				world_bad(w, "lookup: %d", err);
				return;
			}
		}
		if (res.e.off != WORLD_BASE + at || !res.e.blocks || res.e.blocks > ask) {
			world_bad(w, "lookup of %u: off %llu, %u blocks", at, res.e.off,
				  res.e.blocks);
			return;
		}
		world_compare_part(w, &w->model, &res.e, res.mapped);
		world_compare_hit(w, ask, &res);
		at += res.e.blocks;
		blocks -= res.e.blocks;
	}
}

/* Walks all of @bt and compares it with @m. */
static inline void world_compare_walk(struct world *w, struct vci_btree *bt,
				      const struct world_map *m, bool sleep)
{
	u64 off = 0, pos = WORLD_BASE;
	struct vci_extent e[16], gap;
	unsigned int max;
	int nr, i;

	for (;;) {
		max = 1 + world_rand(w, ARRAY_SIZE(e));
		nr = sleep ? vci_btree_walk_sleep(bt, &off, e, max)
			   : vci_btree_walk(bt, &off, e, max);
		if (nr == -EAGAIN && !sleep && !vci_btree_load(bt, off, 1))
			continue;
		if (nr <= 0)
			break;
		for (i = 0; i < nr; i++) {
			if (e[i].off < pos)
				world_bad(w, "walk goes back");
			gap = (struct vci_extent) { .off = pos, .blocks = e[i].off - pos };
			world_compare_part(w, m, &gap, false);
			world_compare_part(w, m, &e[i], true);
			pos = e[i].off + e[i].blocks;
		}
	}
	if (nr)
		world_bad(w, "walk: %d", nr);
	gap = (struct vci_extent) { .off = pos, .blocks = WORLD_BASE + WORLD_BLOCKS - pos };
	world_compare_part(w, m, &gap, false);
}

static inline void world_validate(struct world *w)
{
	if (vci_btree_validate(w->bt))
		world_bad(w, "validate");
}

static inline void world_check_all(struct world *w)
{
	world_validate(w);
	world_compare(w, 0, WORLD_BLOCKS);
	world_compare_walk(w, w->bt, &w->model, true);
	if (memcmp(w->told.addr, w->model.addr, sizeof(w->told.addr)))
		world_bad(w, "mapped and unmapped don't add up");
}

/* ---- checkpoints ---- */

/* Counts the nodes below @addr, each of which must be in use. */
static inline u32 world_reach(struct world *w, u64 root)
{
	static u64 stack[WORLD_UNITS];
	u32 depth = 0, nr = 0, i;
	struct vci_child c;
	u64 addr;

	stack[depth++] = root;
	while (depth && nr < WORLD_UNITS) {
		addr = stack[--depth];
		nr++;
		if (!w->committed[world_unit(addr)])
			world_bad(w, "reachable node %llu isn't in use", addr);
		if (vci_node_type(w->unit[world_unit(addr)]) == VCI_NODE_LEAF)
			continue;
		for (i = 0; i < vci_node_count(w->unit[world_unit(addr)]); i++) {
			vci_node_child(w->unit[world_unit(addr)], i, &c);
			stack[depth++] = c.addr;
		}
	}
	return nr;
}

/* What is on the device must be what was frozen, and nothing leaks. */
static inline void world_check_device(struct world *w)
{
	unsigned long fail_alloc = vci_alloc_fail_at;
	u32 used = 0, fail_read = w->fail_read, i;
	struct vci_btree *bt;

	/* This looks on: faults are meant for the tree under test. */
	vci_alloc_fail_at = 0;
	w->fail_read = 0;

	for (i = 0; i < WORLD_UNITS; i++)
		used += w->committed[i];
	if (world_reach(w, w->root) != used)
		world_bad(w, "%u units in use, not all reachable", used);
	w->h.checkpoint_gen = w->gen;
	bt = vci_btree_create(&world_reader_ops, w, &w->h);
	if (!bt || vci_btree_open(bt, w->root, 0))
		world_bad(w, "can't open what was written");
	else
		world_compare_walk(w, bt, &w->frozen, true);
	vci_btree_destroy(bt);
	vci_alloc_fail_at = fail_alloc;
	w->fail_read = fail_read;
}

static inline void world_freeze(struct world *w)
{
	spin_lock(vci_btree_lock(w->bt));
	vci_btree_freeze_locked(w->bt, ++w->gen);
	w->in_checkpoint = true;
	w->frozen = w->model;
	spin_unlock(vci_btree_lock(w->bt));
}

static inline void world_thaw(struct world *w, int error)
{
	u32 i;

	spin_lock(vci_btree_lock(w->bt));
	if (!error)
		memcpy(w->committed, w->next, sizeof(w->next));
	for (i = 0; i < WORLD_UNITS; i++)
		if (w->freed[i])
			w->next[i] = 0;
	memset(w->freed, 0, sizeof(w->freed));
	w->in_checkpoint = false;
	vci_btree_thaw_locked(w->bt, error);
	spin_unlock(vci_btree_lock(w->bt));
}

/* One whole checkpoint. */
static inline int world_checkpoint(struct world *w)
{
	u8 next[WORLD_UNITS];
	u64 root;
	int err;

	memcpy(next, w->next, sizeof(next));
	world_freeze(w);
	err = vci_btree_write_frozen(w->bt, &root);
	if (!err)
		w->root = root;
	world_thaw(w, err);
	if (!err) {
		world_check_device(w);
	} else {
		/* What the failed one allocated is nobody's. */
		u32 i;

		for (i = 0; i < WORLD_UNITS; i++)
			w->next[i] &= next[i];
	}
	return err;
}

#endif /* BTREE_WORLD_H */
