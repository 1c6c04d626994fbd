// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checking the B+-tree's invariants, for tests and debug builds.
 *
 * Each node is judged by itself and against its parent; then the lists and
 * counters are compared with what was found in the tree.
 */
#include "vci-btree-internal.h"

struct found {
	u64 extents, leaves, inners;
	u32 dirty[VCI_DEPTH_MAX];
	bool all;		/* everything is resident */
};

static int broken(const char *what, const struct vci_node *node)
{
	vci_err("B+-tree: %s: level %d, window %d, from %u, %d entries", what,
		node ? node->level : -1, node ? node->window : -1,
		node ? node->start : 0, node ? node->nr : 0);
	return -EUCLEAN;
}

/* Keys ascend from @start, below @end; the unused ones are padding (I1, I2). */
static int check_keys(const struct vci_node *node, const u32 *key, unsigned int nr_keys,
		      u32 start, u32 end)
{
	unsigned int i;

	for (i = 0; i < nr_keys; i++) {
		if (i >= node->nr) {
			if (key[i] != VCI_KEY_NONE)
				return broken("unused key is in use", node);
			continue;
		}
		if (key[i] < start || key[i] >= end)
			return broken("key outside the parent's range", node);
		if (i && key[i] <= key[i - 1])
			return broken("keys don't ascend", node);
	}
	return 0;
}

/* I1, I3 */
static int check_extents(const struct vci_leaf *leaf, u32 end)
{
	unsigned int i;
	u32 next;

	for (i = 0; i < leaf->n.nr; i++) {
		next = i + 1 < leaf->n.nr ? leaf->key[i + 1] : end;
		if (!leaf->val[i].blocks || !vci_val_addr(&leaf->val[i]))
			return broken("empty extent", &leaf->n);
		if (leaf->key[i] + leaf->val[i].blocks > next)
			return broken("extents overlap, or leave the range", &leaf->n);
	}
	return 0;
}

/* I4: also, only frozen nodes may be below frozen ones. */
static int check_state(const struct vci_btree *bt, const struct vci_node *node,
		       const struct vci_node *parent)
{
	bool above = parent ? parent->dirty : bt->root_dirty || bt->root_frozen;

	if (node->dead || node->clone || node->touched || raw_read_seqcount(&node->seq) & 1)
		return broken("node in passing is in the tree", node);
	if (node->dirty && !above)
		return broken("dirty node below a clean one", node);
	if (node->dirty && !vci_bt_frozen(bt, node) &&
	    (parent ? vci_bt_frozen(bt, parent) : !bt->root_dirty))
		return broken("dirty node below a frozen one", node);
	if (vci_bt_frozen(bt, node) && !bt->checkpoint)
		return broken("frozen node without a checkpoint", node);
	if (!node->dirty != !!node->addr)
		return broken("clean without address, or dirty with one", node);
	return 0;
}

static int check_node(const struct vci_btree *bt, const struct vci_step *s,
		      const struct vci_node *parent, struct found *f)
{
	struct vci_node *node = s->node;
	int err;

	if (node->start < s->start || node->start >= s->end || node->end > s->end)
		return broken("range is wrong", node);
	err = check_state(bt, node, parent);
	if (err)
		return err;
	f->dirty[node->level] += node->dirty && !vci_bt_frozen(bt, node);
	if (node->level) {
		f->inners++;
		if (!node->nr || node->nr > bt->inner_max)
			return broken("number of children is wrong", node);
		return check_keys(node, vci_inner(node)->key, VCI_INTERNAL_MAX + 2,
				  s->start, s->end);
	}
	f->leaves++;
	f->extents += node->nr;
	if (!node->nr || node->nr > bt->leaf_max)
		return broken("number of extents is wrong", node);
	err = check_keys(node, vci_leaf(node)->key, VCI_LEAF_MAX + 1, s->start, s->end);
	return err ? err : check_extents(vci_leaf(node), s->end);
}

/* Makes @s the child @s->idx of @parent; false if that isn't resident. */
static bool child_step(const struct vci_step *parent, struct vci_step *s)
{
	struct vci_inner *inner = vci_inner(parent->node);
	u64 slot = inner->slot[parent->idx];

	s->start = parent->idx ? inner->key[parent->idx] : parent->start;
	s->end = min(parent->end, inner->key[parent->idx + 1]);
	s->idx = 0;
	s->node = vci_slot_absent(slot) ? NULL : vci_slot_node(slot);
	return s->node;
}

/* All of one window, depth first: steps[level] is where we are. */
static int check_window(const struct vci_btree *bt, u32 window, struct vci_step *steps,
			struct found *f)
{
	int top = bt->height[window] - 1, level = top, err;
	u64 slot = bt->table[window];

	if (!slot || vci_slot_absent(slot)) {
		f->all = f->all && !slot;
		return 0;
	}
	steps[top] = (struct vci_step) {
		vci_slot_node(slot), 0, VCI_WINDOW_BLOCKS, 0
	};
	if (steps[top].node->level != top)
		return broken("height of the window is wrong", steps[top].node);
	err = check_node(bt, &steps[top], NULL, f);
	/* Ends: visits each child of each node once. */
	while (!err && level <= top) {
		if (!level || steps[level].idx == steps[level].node->nr) {
			if (++level <= top)
				steps[level].idx++;
			continue;
		}
		if (!child_step(&steps[level], &steps[level - 1])) {
			f->all = false;
			steps[level].idx++;
			continue;
		}
		level--;
		if (steps[level].node->level != level ||
		    steps[level].node->window != window)
			return broken("level or window is wrong", steps[level].node);
		err = check_node(bt, &steps[level], steps[level + 1].node, f);
	}
	return err;
}

static u32 length(const struct list_head *list)
{
	const struct vci_node *node;
	u32 nr = 0;

	list_for_each_entry(node, list, list)
		nr++;
	return nr;
}

static int check_counters(const struct vci_btree *bt, const struct found *f)
{
	u64 nr = length(&bt->clean) + length(&bt->written), dirty = 0;
	const struct vci_node *node;
	unsigned int level;

	for (level = 0; level < VCI_DEPTH_MAX; level++) {
		if (length(&bt->dirty[level]) != bt->nr_dirty[level] ||
		    length(&bt->frozen[level]) != bt->nr_frozen[level] ||
		    f->dirty[level] != bt->nr_dirty[level])
			return broken("number of dirty nodes is wrong", NULL);
		nr += bt->nr_dirty[level];
		dirty += bt->nr_dirty[level];
		list_for_each_entry(node, &bt->frozen[level], list)
			nr += !node->clone && !node->dead;
	}
	if (dirty != bt->nr_all_dirty)
		return broken("number of all dirty nodes is wrong", NULL);
	if (f->leaves != bt->stats.nr_leaves || f->inners != bt->stats.nr_internals ||
	    f->leaves + f->inners != nr)
		return broken("number of nodes is wrong", NULL);
	if (f->all ? f->extents != bt->stats.nr_extents :
		     f->extents > bt->stats.nr_extents)
		return broken("number of extents is wrong", NULL);
	return 0;
}

/**
 * vci_btree_validate() - check I1 to I4 on all that is resident
 * @bt: the tree, bt->lock not held
 *
 * O(nodes), under the lock: for tests.
 *
 * Return: 0, or -EUCLEAN after a message that says what is wrong.
 */
int vci_btree_validate(struct vci_btree *bt)
{
	struct vci_step steps[VCI_DEPTH_MAX] = { { NULL } };
	struct found f = { .all = true };
	u32 window;
	int err = 0;

	spin_lock(&bt->lock);
	if (bt->touched || bt->shape_touched)
		err = broken("a change was not ended", NULL);
	for (window = 0; !err && window < bt->nr_windows; window++)
		err = check_window(bt, window, steps, &f);
	if (!err)
		err = check_counters(bt, &f);
	spin_unlock(&bt->lock);
	return err;
}
