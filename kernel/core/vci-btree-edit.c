// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of the B+-tree: insert, fill, remove, remove clean, replace.
 *
 * All five are one machine.  For each leaf that the range touches it goes
 * through what is mapped there in order, cut at the range's edges, and decides
 * piece by piece (an extent's part, or a hole):
 *
 *			hole	mapped
 *	insert		set	set
 *	fill		set	keep
 *	remove		keep	drop
 *	remove clean	keep	drop if clean
 *	replace		keep	set (or drop) if mapped to the old address
 *
 *	 range		    |<------------->|
 *	 extents	|aaaaaaa|  |bbbb|  |ccccccc|
 *	 pieces		|keep|-a-|h|-b--|h |-c|keep|
 *
 * What is kept or set goes to bt->items, where pieces that continue each other
 * become one extent; the extents that touch the range from outside are taken
 * along, so that new ones merge with them.  Then the items replace what they
 * came from.  A leaf nothing changes in stays as it is.
 *
 * Extents are cut at the edge of a leaf's range: the leaves of a change are
 * independent of each other.  But a new extent across the edge of two children of
 * one parent moves that edge behind itself first, and isn't cut: else each leaf
 * would have two halves, which reads and writes of the whole must put together.
 *
 * All or nothing: check() walks over the leaves before anything is changed.
 * It finds what is not resident, and counts the nodes that may be needed:
 *	- a clone of each frozen node on the way;
 *	- for a leaf that may overflow one more, then for each full node above it
 *	  one more, and a root.  At most three leaves of a change overflow: the
 *	  first, the last, and one between, which needs more than half of the
 *	  blocks of the change.  So a node never overflows twice.
 */
#include "vci-btree-internal.h"

/* Leaves that one change can split. */
#define SPLITS_MAX	3u
/* Extents that one change can add to a leaf, unless it fills holes. */
#define ADD_MAX		2u

enum edit_kind {
	EDIT_INSERT,
	EDIT_FILL,
	EDIT_REMOVE,
	EDIT_REMOVE_CLEAN,
	EDIT_REPLACE,
};

enum act {
	KEEP,
	SET,
	DROP,
};

struct edit {
	enum edit_kind kind;
	u64 off;
	u32 blocks;
	const struct vci_extent *e;	/* what SET maps; ->off is edit->off */
	u64 old_addr;
	u32 nr_blocks;			/* blocks that were SET or DROPped */
};

/* ---- pieces ---- */

static enum act decide(const struct edit *ed, const struct vci_val *v, u64 addr,
		       u32 distance)
{
	switch (ed->kind) {
	case EDIT_INSERT:
		return SET;
	case EDIT_FILL:
		return v ? KEEP : SET;
	case EDIT_REMOVE:
		return v ? DROP : KEEP;
	case EDIT_REMOVE_CLEAN:
		return v && !(vci_val_flags(v) & VCI_EXT_DIRTY) ? DROP : KEEP;
	case EDIT_REPLACE:
		if (!v || addr != ed->old_addr + distance)
			return KEEP;
		return ed->e ? SET : DROP;
	}
	return KEEP;
}

/*
 * Adds [@key, @key + v->blocks) to the items, or to the last one of them.  What one
 * change maps (@set) stays one extent.
 */
static void emit_item(struct vci_btree *bt, u32 key, struct vci_val v, bool set)
{
	u32 most = set && bt->last_set ? VCI_EXTENT_BLOCKS_MAX : VCI_MERGE_BLOCKS_MAX;
	struct vci_item *last = &bt->items[bt->nr_items];

	bt->last_set = set;
	if (bt->nr_items) {
		last--;
		if (last->key + last->val.blocks == key &&
		    vci_val_addr(&last->val) + last->val.blocks == vci_val_addr(&v) &&
		    vci_bt_may_join(bt, vci_val_addr(&v)) &&
		    vci_val_flags(&last->val) == vci_val_flags(&v) &&
		    last->val.heat == v.heat &&
		    last->val.blocks + v.blocks <= most) {
			last->val.blocks += v.blocks;
			return;
		}
		last++;
	}
	last->key = key;
	last->val = v;
	bt->nr_items++;
}

static void emit(struct vci_btree *bt, u32 key, struct vci_val v)
{
	emit_item(bt, key, v, false);
}

static void tell(struct vci_btree *bt, void (*hook)(void *, const struct vci_extent *),
		 u64 off, const struct vci_val *v)
{
	struct vci_extent e = {
		.off = off,
		.addr = vci_val_addr(v),
		.blocks = v->blocks,
		.flags = vci_val_flags(v),
		.heat = v->heat,
	};

	if (hook)
		hook(bt->ctx, &e);
}

/* Keeps, sets or drops the blocks from @off on: mapped by @old, or a hole. */
static void piece(struct vci_btree *bt, struct edit *ed, u64 off, u32 blocks,
		  const struct vci_val *old)
{
	u32 distance = off - ed->off, key = off & VCI_WINDOW_MASK;
	enum act act = decide(ed, old, old ? vci_val_addr(old) : 0, distance);
	struct vci_val v;

	if (act == KEEP) {
		if (old)
			emit(bt, key, *old);
		return;
	}
	ed->nr_blocks += blocks;
	if (old)
		tell(bt, bt->ops->unmapped, off, old);
	if (act == DROP)
		return;
	v = vci_val(ed->e->addr + distance, blocks, ed->e->flags, ed->e->heat);
	tell(bt, bt->ops->mapped, off, &v);
	emit_item(bt, key, v, true);
}

/* The part of @v, an extent at @key, that begins at @from and ends at @to. */
static struct vci_val part(const struct vci_val *v, u32 key, u32 from, u32 to)
{
	return vci_val(vci_val_addr(v) + (from - key), to - from, vci_val_flags(v),
		       v->heat);
}

/* The extent @k of a leaf: what of it lies in [@from, @to), and what doesn't. */
static void pieces_of(struct vci_btree *bt, struct edit *ed, u64 base,
		      const struct vci_leaf *leaf, unsigned int k, u32 from, u32 to)
{
	const struct vci_val *v = &leaf->val[k];
	u32 key = leaf->key[k], end = key + v->blocks;
	u32 a = max(key, from), b = min(end, to);
	struct vci_val mid = part(v, key, a, b);

	if (key < a)
		emit(bt, key, part(v, key, key, a));
	piece(bt, ed, base + a, b - a, &mid);
	if (b < end)
		emit(bt, b, part(v, key, b, end));
}

/* ---- one leaf ---- */

/* Extents [i, j) of a leaf overlap a range. */
struct span {
	unsigned int i, j;
};

static struct span find_span(const struct vci_leaf *leaf, u32 from, u32 to)
{
	struct span s;

	s.i = vci_leaf_index(leaf, from);
	if (s.i < leaf->n.nr && leaf->key[s.i] + leaf->val[s.i].blocks <= from)
		s.i++;
	s.j = s.i;
	while (s.j < leaf->n.nr && leaf->key[s.j] < to)
		s.j++;
	return s;
}

/* Fills bt->items for [@from, @to); returns what they are to replace. */
static struct span collect(struct vci_btree *bt, struct edit *ed, u64 base,
			   const struct vci_leaf *leaf, u32 from, u32 to)
{
	struct span s = find_span(leaf, from, to), all = s;
	u32 pos = from;
	unsigned int k;

	bt->nr_items = 0;
	bt->last_set = false;
	if (s.i && leaf->key[s.i - 1] + leaf->val[s.i - 1].blocks == from) {
		all.i--;
		emit(bt, leaf->key[all.i], leaf->val[all.i]);
	}
	for (k = s.i; k < s.j; k++) {
		if (leaf->key[k] > pos)
			piece(bt, ed, base + pos, leaf->key[k] - pos, NULL);
		pieces_of(bt, ed, base, leaf, k, from, to);
		pos = leaf->key[k] + leaf->val[k].blocks;
	}
	if (pos < to)
		piece(bt, ed, base + pos, to - pos, NULL);
	if (s.j < leaf->n.nr && leaf->key[s.j] == to) {
		emit(bt, leaf->key[s.j], leaf->val[s.j]);
		all.j++;
	}
	return all;
}

/* Puts bt->items in the place of extents [i, j) of the leaf @path leads to. */
static void commit(struct vci_btree *bt, struct vci_path *path, struct span s)
{
	struct vci_leaf *leaf = vci_leaf(path->step[0].node);
	unsigned int nr = leaf->n.nr - (s.j - s.i) + bt->nr_items;

	bt->stats.nr_extents += bt->nr_items;
	bt->stats.nr_extents -= s.j - s.i;
	vci_bt_dirty_path(bt, path, nr ? 0 : 1);
	if (!nr) {
		vci_bt_remove_child(bt, path);
		return;
	}
	vci_bt_touch(bt, &leaf->n);
	if (nr > bt->leaf_max) {
		vci_bt_leaf_split(bt, path, s.i, s.j);
		return;
	}
	vci_bt_leaf_splice(leaf, s.i, s.j, bt->items, bt->nr_items);
	if (bt->nr_items < s.j - s.i)
		vci_bt_rebalance(bt, path, 0);
}

static void edit_leaf(struct vci_btree *bt, struct edit *ed, struct vci_path *path,
		      u32 from, u32 to)
{
	struct vci_leaf *leaf = vci_leaf(path->step[0].node);
	u32 nr_blocks = ed->nr_blocks;
	struct span s;

	s = collect(bt, ed, vci_window_base(path->window), leaf, from, to);
	if (ed->nr_blocks != nr_blocks)
		commit(bt, path, s);
}

/* ---- all leaves of a change ---- */

static bool adds(const struct edit *ed)
{
	return ed->kind == EDIT_INSERT || ed->kind == EDIT_FILL;
}

/* Counts into @need what a change of the leaf @path leads to may take. */
static void count(const struct vci_btree *bt, const struct edit *ed,
		  const struct vci_path *path, struct vci_node **seen,
		  unsigned int need[2])
{
	unsigned int add = ed->kind == EDIT_FILL ? ed->blocks / 2 + 1 : ADD_MAX;
	struct vci_node *node = path->step[0].node;
	bool splits = node->nr + add > bt->leaf_max;
	unsigned int level;

	need[0] += vci_bt_frozen(bt, node) + splits;
	for (level = 1; level < path->height; level++) {
		node = path->step[level].node;
		if (node != seen[level] && vci_bt_frozen(bt, node))
			need[1]++;
		seen[level] = node;
		splits = splits && node->nr + SPLITS_MAX > bt->inner_max;
		need[1] += splits;
	}
	need[1] += splits;	/* a new root */
}

/* Residency and reserve. @path: to the last leaf of the change. */
static int check(struct vci_btree *bt, const struct edit *ed, struct vci_path *path)
{
	struct vci_node *seen[VCI_DEPTH_MAX] = { NULL };
	u64 off = ed->off, end = off + ed->blocks;
	unsigned int need[2] = { 0, 0 }, i;
	int err;

	/* Ends: every leaf covers at least one block. */
	while (off < end) {
		err = vci_bt_descend(bt, off, path);
		if (err)
			return err;
		if (!path->height) {
			need[0] += adds(ed);
			break;
		}
		count(bt, ed, path, seen, need);
		off = vci_window_base(path->window) + path->step[0].end;
	}
	/* Too deep for our arrays: possible in an absurd image only. */
	if (need[1] && path->height == VCI_DEPTH_MAX)
		return -EILSEQ;
	for (i = 0; i < ARRAY_SIZE(need); i++) {
		bt->spare[i].want = max(bt->spare[i].want, need[i]);
		if (bt->spare[i].nr < need[i])
			return -ENOMEM;
	}
	return 0;
}

/* The first leaf of an empty window. */
static void plant(struct vci_btree *bt, struct vci_path *path)
{
	struct vci_node *leaf = vci_bt_new(bt, 0, path->window);

	vci_bt_set_window(bt, path->window, vci_slot_of_node(leaf), 1);
	path->height = 1;
	path->step[0] = (struct vci_step) {
		.node = leaf,
		.start = 0,
		.end = VCI_WINDOW_BLOCKS,
	};
}

static bool is_hole(const struct vci_leaf *leaf, u32 from, u32 to)
{
	struct span s = find_span(leaf, from, to);

	return s.i == s.j;
}

/* Gives [edge, @to) of the leaf behind to the one @path leads to; stale after. */
static void take_over(struct vci_btree *bt, struct vci_path *path, struct vci_path *behind,
		      u32 to)
{
	struct vci_step *parent = &path->step[1];

	path->step[0].end = to;
	behind->step[0].start = to;
	vci_bt_dirty_path(bt, behind, 0);
	vci_bt_dirty_path(bt, path, 0);
	vci_bt_touch(bt, parent->node);
	vci_inner(parent->node)->key[parent->idx + 1] = to;
}

/*
 * Lets [@from, @to) lie in one leaf, if it is in two of one parent.  What is added there
 * replaces what the second one maps of it, or that is nothing.
 */
static void move_edge(struct vci_btree *bt, const struct edit *ed, u32 from, u32 to)
{
	struct edit cut = { .kind = EDIT_REMOVE };
	u64 base = vci_window_base(ed->off >> VCI_WINDOW_LOG2);
	struct vci_path path, behind;
	u32 edge;

	if (vci_bt_descend(bt, base + from, &path) || !path.height)
		return;
	edge = path.step[0].end;
	if (edge >= to || path.step[1].end == edge ||
	    vci_bt_descend(bt, base + edge, &behind))
		return;
	if (ed->kind == EDIT_INSERT) {
		edit_leaf(bt, &cut, &behind, edge, to);
		/* That leaf may be gone, or be one with the first. */
		if (vci_bt_descend(bt, base + from, &path) || path.step[0].end != edge ||
		    vci_bt_descend(bt, base + edge, &behind))
			return;
	} else if (!is_hole(vci_leaf(behind.step[0].node), edge, to)) {
		return;
	}
	/* What it still holds begins at @to or later: it ends later. */
	take_over(bt, &path, &behind, to);
}

static int edit(struct vci_btree *bt, struct edit *ed)
{
	u32 from = ed->off & VCI_WINDOW_MASK, to = from + ed->blocks, next;
	struct vci_path path;
	int err;

	lockdep_assert_held(&bt->lock);
	if (!ed->blocks || ed->blocks > VCI_ENTRY_BLOCKS_MAX || to > VCI_WINDOW_BLOCKS ||
	    ed->off + ed->blocks > bt->backing_blocks)
		return -EINVAL;
	err = check(bt, ed, &path);
	if (err)
		return err;
	if (adds(ed) && path.height && path.step[0].start > from) {
		move_edge(bt, ed, from, to);
		path.height = 0;
	}
	while (from < to) {
		/* check() left the last leaf's path: the only one, mostly. */
		if (!path.height || path.step[0].start > from)
			err = vci_bt_descend(bt, vci_window_base(path.window) + from,
					     &path);
		VCI_ASSERT(!err);
		if (!path.height) {
			if (!adds(ed))
				break;
			plant(bt, &path);
		}
		next = min(path.step[0].end, to);
		edit_leaf(bt, ed, &path, from, next);
		/* The path is stale now: take another one. */
		path.height = 0;
		from = next;
	}
	vci_bt_end(bt);
	return 0;
}

/* ---- the five ---- */

/**
 * vci_btree_insert_locked() - map an extent, whatever was there before
 * @bt: the tree, bt->lock held
 * @e: at most VCI_ENTRY_BLOCKS_MAX blocks, not across a window's edge
 *
 * O(log n) for each leaf it touches, mostly one.
 *
 * Return: 0; -EAGAIN (load, again), -ENOMEM (prepare, again), -EINVAL.
 */
int vci_btree_insert_locked(struct vci_btree *bt, const struct vci_extent *e)
{
	struct edit ed = {
		.kind = EDIT_INSERT, .off = e->off, .blocks = e->blocks, .e = e,
	};

	return vci_bt_add(bt, e, true) ? 0 : edit(bt, &ed);
}

/**
 * vci_btree_fill_locked() - map those parts of an extent that nothing maps (O7)
 * @bt: the tree, bt->lock held
 * @e: at most VCI_ENTRY_BLOCKS_MAX blocks, not across a window's edge
 * @nr_blocks: how many blocks were mapped
 *
 * Return: 0; -EAGAIN (load, again), -ENOMEM (prepare, again), -EINVAL.
 */
int vci_btree_fill_locked(struct vci_btree *bt, const struct vci_extent *e,
			  u32 *nr_blocks)
{
	struct edit ed = {
		.kind = EDIT_FILL, .off = e->off, .blocks = e->blocks, .e = e,
	};
	int err;

	if (vci_bt_add(bt, e, false)) {
		*nr_blocks = e->blocks;
		return 0;
	}
	err = edit(bt, &ed);
	if (!err)
		*nr_blocks = ed.nr_blocks;
	return err;
}

/**
 * vci_btree_remove_locked() - unmap a range
 * @bt: the tree, bt->lock held
 * @off: where it begins
 * @blocks: at most VCI_ENTRY_BLOCKS_MAX, not across a window's edge
 *
 * Return: 0; -EAGAIN (load, again), -ENOMEM (prepare, again), -EINVAL.
 */
int vci_btree_remove_locked(struct vci_btree *bt, u64 off, u32 blocks)
{
	struct edit ed = { .kind = EDIT_REMOVE, .off = off, .blocks = blocks };

	return edit(bt, &ed);
}

/**
 * vci_btree_remove_clean_locked() - unmap what is clean in a range
 * @bt: the tree, bt->lock held
 * @off: where it begins
 * @blocks: at most VCI_ENTRY_BLOCKS_MAX, not across a window's edge
 *
 * Return: 0; -EAGAIN (load, again), -ENOMEM (prepare, again), -EINVAL.
 */
int vci_btree_remove_clean_locked(struct vci_btree *bt, u64 off, u32 blocks)
{
	struct edit ed = { .kind = EDIT_REMOVE_CLEAN, .off = off, .blocks = blocks };

	return edit(bt, &ed);
}

/**
 * vci_btree_replace_locked() - map elsewhere what is still at an address (O7)
 * @bt: the tree, bt->lock held
 * @off: where the range begins
 * @blocks: at most VCI_ENTRY_BLOCKS_MAX, not across a window's edge
 * @old_addr: parts mapped to it, plus their distance from @off, are meant
 * @e: addr (plus distance), flags and heat they get; NULL: they are unmapped
 * @nr_blocks: how many blocks were meant
 *
 * Return: 0; -EAGAIN (load, again), -ENOMEM (prepare, again), -EINVAL.
 */
int vci_btree_replace_locked(struct vci_btree *bt, u64 off, u32 blocks, u64 old_addr,
			     const struct vci_extent *e, u32 *nr_blocks)
{
	struct edit ed = {
		.kind = EDIT_REPLACE, .off = off, .blocks = blocks, .e = e,
		.old_addr = old_addr,
	};
	int err = edit(bt, &ed);

	if (!err)
		*nr_blocks = ed.nr_blocks;
	return err;
}
