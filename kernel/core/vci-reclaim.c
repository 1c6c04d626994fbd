// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reclaim: emptying segments by one sweep over the tree.
 *
 * A sweep in offset order finds everything that lies in any of the victims, so
 * no reverse map and no old batch header is needed, and the leaves it changes
 * are written once.  It costs one walk over the tree for many segments.  The
 * emptied segments are free after the next checkpoint (O8): then no mapping
 * that recovery could find points into them, and readers have drained.  What is
 * dirty is written back before, or keeps its segment.  What the policy keeps is
 * appended again (vci-move.c), as far as there is room for it beside the victims.
 */
#include "vci-move.h"

/* Times an eighth of the segments is dropped: all of them, and once more. */
#define DROPS_MAX	10

/* Sweeps, if what was kept took most of what was emptied. */
#define ROUNDS_MAX	16

/* A closed segment of which no more than this lives is worth copying: 3/5. */
#define SPARSE_NUM	3u
#define SPARSE_DEN	5u

/* With no more segments a cache is small: less than 512 MiB. */
#define SMALL_SEGMENTS	256u

static bool is_small(const struct vci_cache *c)
{
	return vci_segments_good(&c->segments) <= SMALL_SEGMENTS;
}

/*
 * How many segments a sweep empties.  A checkpoint follows each: so many that, if it
 * writes as many nodes as the last one, they are an eighth of what is emptied; but 1/64
 * to 1/10 of all.  In small caches a fifth, and 1/32 at most: there what is free is
 * missed more than a write.
 */
static u32 step(const struct vci_cache *c)
{
	u32 all = vci_segments_good(&c->segments);
	u64 nodes = (u64)c->checkpoint_nodes * VCI_NODE_BLOCKS * (is_small(c) ? 5 : 8);

	return clamp_t(u64, div_u64(nodes, c->segments.blocks), max(1u, all / 64),
		       max(1u, all / (is_small(c) ? 32 : 10)));
}

/*
 * Segments kept free: when fills still find room there are some for what is kept, half
 * as many as a sweep empties.  A small cache has none to spare for that.
 */
static u32 low_water(const struct vci_cache *c)
{
	return vci_keep_fills(c) + 1 + (is_small(c) ? 0 : step(c) / 2);
}

/* ... or will be after a checkpoint. */
static bool any_left(const struct vci_cache *c)
{
	return vci_nr_available(c) || c->segments.count[VCI_LIFE_DRAINED] ||
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
	u32 low = low_water(c), available = vci_nr_available(c), want = 0;

	if (available < low)
		want = low - available + step(c);
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

/* Where it goes, or VCI_POLICY_DROP. */
static int fate(const struct vci_segment *s, const struct vci_extent *e, u8 *heat)
{
	*heat = e->heat;
	return s->compact ? s->stream : vci_policy_keep(s->stream, e, heat);
}

/*
 * Keeps it or not.  What there is no room for stays, and its segment is a victim
 * again next time.
 */
static int empty_extent(struct vci_cache *c, struct vci_move *mv,
			const struct vci_extent *e)
{
	const struct vci_segment *s =
		&c->segments.s[vci_segment_of(&c->segments, e->addr)];
	u64 evicted = c->stats.evicted_blocks;
	int stream, r;
	u8 heat;

	stream = mv ? fate(s, e, &heat) : VCI_POLICY_DROP;
	if (stream != VCI_POLICY_DROP)
		return vci_move_take(mv, e, stream, heat);
	r = vci_reclaim_drop(c, e->off, e->blocks, e->addr);
	if (e->heat & VCI_HEAT_AHEAD)
		c->stats.ahead_wasted_blocks += c->stats.evicted_blocks - evicted;
	if (!r)
		vci_policy_dropped(&c->policy, s->stream, e->off, e->blocks, s->born);
	return r;
}

/* What stays in KEPT must be used again. */
static void cool(struct vci_cache *c, const struct vci_extent *e)
{
	if (c->segments.s[vci_segment_of(&c->segments, e->addr)].renewed)
		vci_btree_cool(c->tree, e, vci_heat_uses(e->heat) / 2);
}

static int sweep_all(struct vci_cache *c, struct vci_move *mv)
{
	u64 off = 0;
	int n, i, r = 0;

	for (;;) {
		n = vci_btree_walk_sleep(c->tree, &off, c->walk, VCI_LEAF_MAX);
		if (n <= 0)
			return n;
		for (i = 0; !r && i < n; i++) {
			if (is_victim(c, &c->walk[i]))
				r = empty_extent(c, mv, &c->walk[i]);
			else
				cool(c, &c->walk[i]);
		}
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

/* How much of each segment would be appended again, if it was its turn. */
static int count_kept(struct vci_cache *c)
{
	struct vci_segments *t = &c->segments;
	u64 off = 0;
	int n, i;
	u8 heat;

	for (i = 0; (u32)i < t->nr; i++) {
		t->s[i].keep = 0;
		t->s[i].compact = false;
		t->s[i].renewed = false;
	}
	for (;;) {
		n = vci_btree_walk_sleep(c->tree, &off, c->walk, VCI_LEAF_MAX);
		if (n <= 0)
			return n;
		for (i = 0; i < n; i++) {
			const struct vci_extent *e = &c->walk[i];
			struct vci_segment *s = &t->s[vci_segment_of(t, e->addr)];

			if (!(e->flags & VCI_EXT_DIRTY) &&
			    fate(s, e, &heat) != VCI_POLICY_DROP)
				s->keep += e->blocks;
		}
		cond_resched();
	}
}

/* Blocks of data that what is kept finds room for. */
struct room {
	u64 open;		/* in what KEPT has open: only what goes there */
	u64 free;		/* in segments that may be opened */
};

static struct room room_to_keep(const struct vci_cache *c)
{
	u32 blocks = c->segments.blocks, available = vci_nr_available(c);
	u32 batches = DIV_ROUND_UP(blocks, VCI_BATCH_BLOCKS_MAX);
	u32 headers = batches * vci_batch_header_blocks(VCI_BATCH_ENTRIES_MAX,
							c->header.batch_align);
	struct room room = { .open = vci_log_room(&c->log, VCI_STREAM_KEPT) };

	room.open -= min_t(u64, room.open, headers);
	if (available > vci_keep_moves(c))
		room.free = (u64)(available - vci_keep_moves(c)) * (blocks - headers);
	return room;
}

/* Does what is kept of @s find room?  Then it takes it. */
static bool take_room(struct room *room, const struct vci_segment *s)
{
	bool to_kept = !s->compact || s->stream == VCI_STREAM_KEPT;
	u64 open = to_kept ? min_t(u64, s->keep, room->open) : 0;

	if (s->keep - open > room->free)
		return false;
	room->open -= open;
	room->free -= s->keep - open;
	return true;
}

/* Victims of which more is kept than there is room for are none. */
static void spare(struct vci_cache *c)
{
	struct vci_segments *t = &c->segments;
	struct room room;
	u32 i;

	spin_lock(vci_cache_lock(c));
	room = room_to_keep(c);
	for (i = 0; i < t->nr; i++) {
		if (t->s[i].life != VCI_LIFE_VICTIM)
			continue;
		if (t->s[i].compact)
			t->s[i].keep = t->s[i].live;
		if (!take_room(&room, &t->s[i]))
			vci_segment_set(t, i, VCI_LIFE_CLOSED);
	}
	spin_unlock(vci_cache_lock(c));
}

/* The oldest, whatever stream they are of: write-back in order has read them. */
static void pick_in_order(struct vci_cache *c, u32 segments)
{
	u64 age = vci_segments_age(&c->segments, VCI_STREAMS, segments);

	spin_lock(vci_cache_lock(c));
	vci_segments_pick_victims(&c->segments, VCI_STREAMS, age);
	spin_unlock(vci_cache_lock(c));
}

/* What KEPT drops now is as old as the youngest segment that is taken of it. */
static void note_kept_age(struct vci_cache *c, u64 age)
{
	const struct vci_segments *t = &c->segments;
	u64 born = 0;
	u32 i;

	for (i = 0; i < t->nr; i++)
		if (t->s[i].life == VCI_LIFE_VICTIM && t->s[i].turn <= age &&
		    t->s[i].stream == VCI_STREAM_KEPT && !t->s[i].compact)
			born = max(born, t->s[i].born);
	vci_policy_kept_age(&c->policy, born);
}

/* The oldest of a stream; in KEPT those that are hot all over stay. */
static void pick_oldest(struct vci_cache *c, u32 stream, u32 nr, bool keep)
{
	u64 last = c->segments.turns, age;
	u32 renewed;

	do {
		age = vci_segments_age(&c->segments, stream, nr);
		spin_lock(vci_cache_lock(c));
		renewed = stream == VCI_STREAM_KEPT && keep ?
			  vci_segments_renew(&c->segments, stream, age) : 0;
		nr -= min(nr, vci_segments_pick_victims(&c->segments, stream, age));
		spin_unlock(vci_cache_lock(c));
	} while (renewed && nr && age < last);
	if (stream == VCI_STREAM_KEPT)
		note_kept_age(c, age);
}

/* Of each stream the oldest, as many as the policy says. */
static void pick_of_streams(struct vci_cache *c, u32 segments, bool keep)
{
	u32 size[VCI_STREAMS], nr[VCI_STREAMS], i;

	vci_segments_closed(&c->segments, size);
	WRITE_ONCE(c->segments.young_max, vci_policy_young(&c->policy, c->segments.blocks));
	vci_policy_victims(&c->policy, segments, c->segments.blocks, size, nr);
	for (i = 0; i < VCI_STREAMS; i++)
		if (nr[i])
			pick_oldest(c, i, nr[i], keep);
}

/* Nothing lives there, or little, or it is their turn. */
static void pick_victims(struct vci_cache *c, u32 want, bool keep)
{
	u32 sparse = c->segments.blocks / SPARSE_DEN * SPARSE_NUM, nr;
	u64 dead = 0;

	spin_lock(vci_cache_lock(c));
	nr = vci_segments_pick_empty(&c->segments, vci_ordered_before(c));
	spin_unlock(vci_cache_lock(c));
	want -= min(nr, want);
	if (c->ordered) {
		pick_in_order(c, want);
		return;
	}
	if (keep && want) {
		spin_lock(vci_cache_lock(c));
		dead = vci_segments_pick_sparse(&c->segments, want, sparse);
		spin_unlock(vci_cache_lock(c));
	}
	want -= min_t(u64, want, div_u64(dead, c->segments.blocks));
	pick_of_streams(c, want, keep);
}

/**
 * vci_reclaim() - empty segments
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
	u32 nr = 0;

	/* What the log maps into a victim must be found by the sweep. */
	if (r)
		return r;
	r = count_kept(c);
	if (r)
		return r;
	pick_victims(c, segments, keep);
	if (keep)
		spare(c);
	if (READ_ONCE(c->dirty_blocks))
		error = vci_writeback_victims(c);
	mv = keep ? vci_move_begin(c) : NULL;
	r = vci_move_end(mv, sweep(c, mv));
	if (r)
		return r;
	if (c->ops && c->ops->drain_readers)
		c->ops->drain_readers(c->ctx);
	/* D6: a batch behind the next checkpoint must name nothing that this one frees. */
	r = vci_direct_name(c);
	spin_lock(vci_cache_lock(c));
	if (r)
		vci_segments_all(&c->segments, VCI_LIFE_VICTIM, VCI_LIFE_CLOSED);
	else
		nr = vci_segments_drained(&c->segments, vci_ordered_before(c));
	spin_unlock(vci_cache_lock(c));
	/* The checkpoint that follows names it. */
	if (r)
		return r == -ENOSPC ? 0 : r;
	if (!nr && keep && !error)
		return vci_reclaim(c, 1, false);
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

static int maintain(struct vci_cache *c, u32 want)
{
	u64 nodes = c->stats.node_writes;
	struct vci_btree_stats tree;
	int r = 0, error = 0;

	vci_btree_get_stats(c->tree, &tree);
	vci_policy_grow(&c->policy, tree.nr_extents, READ_ONCE(c->mem_limit) ?
			READ_ONCE(c->mem_limit) / 16 : U64_MAX);
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
	if (want)
		c->checkpoint_nodes = c->stats.node_writes - nodes;
	return r && r != -ENOSPC ? r : error;
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
	int r, rounds = ROUNDS_MAX;
	u32 want;

	if (vci_cache_is_failed(c))
		return -EIO;
	r = vci_redo_finish(c);
	if (r)
		return r;
	want = vci_reclaim_wanted(c);
	if (!want && !vci_cache_needs_maintenance(c) && !(idle && has_lazy_work(c)))
		return 0;
	do {
		r = maintain(c, want);
		want = vci_reclaim_wanted(c);
	} while (!r && want && --rounds);
	return r;
}
