// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reclaim: emptying the oldest segments by one sweep over the tree.
 *
 * A sweep in offset order finds everything that lies in any of the victims, so
 * no reverse map and no old batch header is needed, and the leaves it changes
 * are written once.  It costs one walk over the tree for many segments.  The
 * emptied segments are free after the next checkpoint (O8): then no mapping
 * that recovery could find points into them, and readers have drained.  What is
 * dirty is written back before, or keeps its segment.  What the policy keeps is
 * appended again (vci-move.c), but not more than half of what is emptied.
 */
#include "vci-move.h"
#include "vci-policy.h"

/* Times an eighth of the segments is dropped: all of them, and once more. */
#define DROPS_MAX	10

/*
 * Segments kept free, and how many a sweep empties: 1/16 of all each.  When fills
 * still find room there is one for what is kept.
 */
static u32 low_water(const struct vci_cache *c)
{
	return max(VCI_KEEP_FILLS + 2, c->segments.nr / 16);
}

static u32 nr_available(const struct vci_cache *c)
{
	return c->segments.count[VCI_LIFE_FREE] + c->segments.count[VCI_LIFE_QUEUED];
}

/* ... or will be after a checkpoint. */
static bool any_left(const struct vci_cache *c)
{
	return nr_available(c) || c->segments.count[VCI_LIFE_DRAINED] ||
	       c->segments.count[VCI_LIFE_FREEING];
}

/**
 * vci_nodes_wanted() - nodes of the next checkpoint, should nothing change
 * @c: cache
 */
u32 vci_nodes_wanted(const struct vci_cache *c)
{
	return c->nodes.nr_live + vci_btree_dirty_nodes(c->tree);
}

/**
 * vci_checkpoint_fits() - is there room for the nodes of a checkpoint now?
 * @c: cache
 *
 * Beside those of the last one, and so that an empty tree fits beside its own.
 */
bool vci_checkpoint_fits(const struct vci_cache *c)
{
	return vci_btree_dirty_nodes(c->tree) <= c->nodes.nr - c->nodes.nr_committed &&
	       vci_nodes_wanted(c) < c->nodes.nr;
}

/* More than this and a whole new copy of the tree might not find room. */
static u32 nodes_high(const struct vci_cache *c)
{
	return c->nodes.nr * 9 / 20;
}

/**
 * vci_reclaim_wanted() - how many segments should be emptied
 * @c: cache
 */
u32 vci_reclaim_wanted(const struct vci_cache *c)
{
	u32 low = low_water(c), available = nr_available(c), want = 0;

	if (available < low)
		want = low - available + max(1u, c->segments.nr / 16);
	if (vci_nodes_wanted(c) > nodes_high(c))
		want = max(want, max(1u, c->segments.nr / 8));
	return want;
}

static bool is_victim(const struct vci_cache *c, const struct vci_extent *e)
{
	return !(e->flags & VCI_EXT_DIRTY) &&
	       c->segments.s[vci_segment_of(&c->segments, e->addr)].life ==
	       VCI_LIFE_VICTIM;
}

/**
 * vci_reclaim_drop() - unmap an extent, where it is still mapped to the same place
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many
 * @addr: where it was mapped to (O7)
 *
 * By the writer.  May sleep.  Return: 0 or an error.
 */
int vci_reclaim_drop(struct vci_cache *c, u64 off, u32 blocks, u64 addr)
{
	u32 done = 0;
	int r = 0;

	while (!r && done < blocks) {
		struct vci_change ch = {
			.kind = VCI_CHANGE_REPLACE,
			.e.off = off + done,
			.e.blocks = min(blocks - done, VCI_ENTRY_BLOCKS_MAX),
			.old_addr = addr + done,
			.unmap = true,
		};

		r = vci_cache_change(c, &ch);
		c->stats.evicted_blocks += r ? 0 : ch.nr_blocks;
		done += ch.e.blocks;
	}
	return r;
}

/* Keeps it or not; what there is no room for goes. */
static int empty_extent(struct vci_cache *c, struct vci_move *mv,
			const struct vci_extent *e)
{
	int stream, kept = 0;
	u8 heat;

	stream = mv ? vci_policy_keep(e, &heat) : VCI_POLICY_DROP;
	if (stream != VCI_POLICY_DROP)
		kept = vci_move_take(mv, e, stream, heat);
	if (kept < 0)
		return kept;
	return vci_reclaim_drop(c, e->off + kept, e->blocks - kept, e->addr + kept);
}

static int sweep_all(struct vci_cache *c, struct vci_move *mv)
{
	u64 off = 0;
	int n, i, r = 0;

	for (;;) {
		n = vci_btree_walk_sleep(c->tree, &off, c->walk, VCI_LEAF_MAX);
		if (n <= 0)
			return n;
		for (i = 0; !r && i < n; i++)
			if (is_victim(c, &c->walk[i]))
				r = empty_extent(c, mv, &c->walk[i]);
		/* What changed so far is pinned: let it go. */
		if (!r && vci_memory_checkpoint_due(c) && vci_checkpoint_fits(c))
			r = vci_cache_checkpoint(c);
		if (r)
			return r;
		cond_resched();
	}
}

/* A checkpoint on the way may not begin another sweep. */
static int sweep(struct vci_cache *c, struct vci_move *mv)
{
	int r;

	c->sweeping = true;
	r = sweep_all(c, mv);
	c->sweeping = false;
	return r;
}

/* At most half of the victims' room is filled again. */
static struct vci_move *begin_move(struct vci_cache *c)
{
	return vci_move_begin(c, (u64)c->segments.count[VCI_LIFE_VICTIM] *
			      c->segments.blocks / 2);
}

/**
 * vci_reclaim() - empty the oldest segments
 * @c: cache
 * @segments: how many
 * @keep: append again what is worth it
 *
 * By the writer; a checkpoint must follow.  May sleep, may take long.  Return: 0
 * or an error: then the victims stay what they are, for the next time; if it is
 * that of write-back, what could be emptied is.
 */
int vci_reclaim(struct vci_cache *c, u32 segments, bool keep)
{
	int error = 0, r = vci_redo_finish(c);
	struct vci_move *mv;
	u64 age;
	u32 nr;

	/* What the log maps into a victim must be found by the sweep. */
	if (r)
		return r;
	spin_lock(vci_cache_lock(c));
	nr = vci_segments_pick_empty(&c->segments, vci_ordered_before(c));
	spin_unlock(vci_cache_lock(c));
	age = vci_segments_age(&c->segments, segments > nr ? segments - nr : 0);
	spin_lock(vci_cache_lock(c));
	vci_segments_pick_victims(&c->segments, age);
	spin_unlock(vci_cache_lock(c));
	if (READ_ONCE(c->dirty_blocks))
		error = vci_writeback_victims(c);
	mv = keep ? begin_move(c) : NULL;
	r = vci_move_end(mv, sweep(c, mv));
	if (r)
		return r;
	if (c->ops && c->ops->drain_readers)
		c->ops->drain_readers(c->ctx);
	spin_lock(vci_cache_lock(c));
	nr = vci_segments_drained(&c->segments, vci_ordered_before(c));
	spin_unlock(vci_cache_lock(c));
	/* Where segments are left, it is a checkpoint that was wanting (L2). */
	if (!nr && error == -ENOSPC && !any_left(c))
		vci_ordered_give_up(c);
	return nr ? 0 : error;
}

/**
 * vci_drop_some() - drop clean data for the sake of the nodes that map it
 * @c: cache
 *
 * An eighth of the segments, or all if none is closed.  By the writer.  May
 * sleep, may take long.  Return: 0, -ENOSPC in the middle of a sweep, or an error.
 */
int vci_drop_some(struct vci_cache *c)
{
	int r = 0;

	if (c->sweeping)
		return -ENOSPC;
	if (c->segments.count[VCI_LIFE_CLOSED])
		return vci_reclaim(c, max(1u, c->segments.nr / 8), false);
	if (READ_ONCE(c->dirty_blocks))
		r = vci_writeback_all(c);
	return r ? r : vci_cache_unmap(c, 0, c->header.backing_blocks, true);
}

/**
 * vci_make_room() - drop data until a checkpoint finds room for its nodes
 * @c: cache
 *
 * By the writer.  May sleep, may take long.  Return: 0, -ENOSPC if dropping all
 * that is clean is not enough, or another error.
 */
int vci_make_room(struct vci_cache *c)
{
	int r = 0, i;

	for (i = 0; !r && i < DROPS_MAX; i++) {
		if (vci_checkpoint_fits(c))
			return 0;
		r = vci_drop_some(c);
	}
	return r ? r : vci_checkpoint_fits(c) ? 0 : -ENOSPC;
}

/**
 * vci_cache_needs_maintenance() - is there something urgent to do?
 * @c: cache
 *
 * Any context; a hint.
 */
bool vci_cache_needs_maintenance(const struct vci_cache *c)
{
	return !vci_cache_is_failed(c) &&
	       (vci_redo_any(&c->redo) || vci_reclaim_wanted(c) ||
		READ_ONCE(c->checkpoint_due) || vci_memory_checkpoint_due(c));
}

/* Marks that could be cleared, or changes that would be replayed. */
static bool has_lazy_work(const struct vci_cache *c)
{
	return vci_btree_dirty_nodes(c->tree) || vci_intent_count(&c->intent) ||
	       c->log.seq != c->header.checkpoint_seq ||
	       (READ_ONCE(c->may_dirty) && !vci_cache_dirty_blocks(c));
}

/**
 * vci_cache_maintain() - reclaim and checkpoint as needed
 * @c: cache
 * @idle: there is time for what is not urgent
 *
 * By the writer.  May sleep, may take long.  Return: 0 or an error.
 */
int vci_cache_maintain(struct vci_cache *c, bool idle)
{
	int r, error = 0;
	u32 want;

	if (vci_cache_is_failed(c))
		return -EIO;
	r = vci_redo_finish(c);
	if (r)
		return r;
	want = vci_reclaim_wanted(c);
	if (!want && !vci_cache_needs_maintenance(c) && !(idle && has_lazy_work(c)))
		return 0;
	/* What is kept takes nodes. */
	if (want)
		r = vci_reclaim(c, want, vci_nodes_wanted(c) <= nodes_high(c));
	/* With nothing else to drop: what is in the open segment takes nodes too. */
	if (!r && vci_nodes_wanted(c) > nodes_high(c) &&
	    !c->segments.count[VCI_LIFE_CLOSED] && !c->segments.count[VCI_LIFE_DRAINED])
		r = vci_drop_some(c);
	/* It may make room, and doesn't depend on a backing device that fails. */
	if (!r || (r != -ENOMEM && !vci_cache_is_failed(c)))
		error = vci_cache_checkpoint(c);
	vci_memory_keep(c);
	return r && r != -ENOSPC ? r : error;
}
