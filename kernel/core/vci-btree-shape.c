// SPDX-License-Identifier: GPL-2.0-only
/*
 * The B+-tree's shape: splits and merges, growing and shrinking windows.
 *
 * Splits.  A full node leaves its upper half to a new one at its right.  If
 * what is added comes last in it, as when offsets ascend, everything stays and
 * the new node holds only what is added: the nodes behind a sequential writer
 * are full.  A window's root that was split gets a new root above it.
 *
 * Removal.
 *  [A] A leaf without extents leaves its parent; the range goes to the child
 *	at its left, or at its right if it was the first one.
 *  [B] A parent that lost its last child leaves its own parent; a window whose
 *	root went is empty.
 *  [C] A node with less than a quarter of its entries is merged with a child
 *	of the same parent beside it, if both together fill at most three
 *	quarters of one: so what was merged doesn't have to be split soon.
 *	This is a convenience: it doesn't happen if that child isn't resident,
 *	or is frozen (a clone would be needed).
 *  [D] A window's root with one child left is replaced by that child.
 *
 * All of this runs inside a change: nothing can fail, nodes come from the
 * reserve that the change has checked, and readers wait (vci_bt_touch()).
 */
#include "vci-btree-internal.h"

/* ---- leaves ---- */

static void leaf_set(struct vci_leaf *leaf, unsigned int i,
		     const struct vci_item *items, unsigned int nr)
{
	unsigned int k;

	for (k = 0; k < nr; k++) {
		leaf->key[i + k] = items[k].key;
		leaf->val[i + k] = items[k].val;
	}
}

/**
 * vci_bt_leaf_splice() - replace extents of a leaf by others
 * @leaf: touched and dirty
 * @i: first one to go
 * @j: behind the last one to go
 * @items: what comes in their place
 * @nr: how many; they fit
 */
void vci_bt_leaf_splice(struct vci_leaf *leaf, unsigned int i, unsigned int j,
			const struct vci_item *items, unsigned int nr)
{
	unsigned int old = leaf->n.nr, tail = old - j;

	if (i + nr != j) {
		memmove(&leaf->key[i + nr], &leaf->key[j], tail * sizeof(leaf->key[0]));
		memmove(&leaf->val[i + nr], &leaf->val[j], tail * sizeof(leaf->val[0]));
	}
	leaf_set(leaf, i, items, nr);
	leaf->n.nr = i + nr + tail;
	if (leaf->n.nr < old)
		memset(&leaf->key[leaf->n.nr], 0xff,
		       (old - leaf->n.nr) * sizeof(leaf->key[0]));
}

/* ---- inner nodes ---- */

/* Where readers may look at any moment: whole slots, not a memmove(). */
static void move_slots(u64 *to, const u64 *from, unsigned int nr)
{
	unsigned int i;

	if (to < from) {
		for (i = 0; i < nr; i++)
			WRITE_ONCE(to[i], from[i]);
	} else {
		for (i = nr; i-- > 0;)
			WRITE_ONCE(to[i], from[i]);
	}
}

static void clear_slots(u64 *slot, unsigned int nr)
{
	while (nr--)
		WRITE_ONCE(slot[nr], 0);
}

static void inner_put(struct vci_inner *inner, unsigned int i, u32 key, u64 slot)
{
	unsigned int tail = inner->n.nr - i;

	memmove(&inner->key[i + 1], &inner->key[i], tail * sizeof(inner->key[0]));
	move_slots(&inner->slot[i + 1], &inner->slot[i], tail);
	inner->key[i] = key;
	vci_slot_publish(&inner->slot[i], slot);
	inner->n.nr++;
}

/* The range of a first child goes to the one behind it. */
static void inner_del(struct vci_inner *inner, unsigned int i)
{
	unsigned int tail = --inner->n.nr - i;
	u32 key = inner->key[i];

	memmove(&inner->key[i], &inner->key[i + 1], tail * sizeof(inner->key[0]));
	move_slots(&inner->slot[i], &inner->slot[i + 1], tail);
	clear_slots(&inner->slot[inner->n.nr], 1);
	inner->key[inner->n.nr] = VCI_KEY_NONE;
	if (!i && inner->n.nr)
		inner->key[0] = key;
}

/* Moves @inner's entries from @keep on to the empty @right. */
static void inner_move(struct vci_inner *inner, unsigned int keep,
		       struct vci_inner *right)
{
	unsigned int nr = inner->n.nr - keep;

	memcpy(right->key, &inner->key[keep], nr * sizeof(inner->key[0]));
	move_slots(right->slot, &inner->slot[keep], nr);
	clear_slots(&inner->slot[keep], nr);
	memset(&inner->key[keep], 0xff, nr * sizeof(inner->key[0]));
	right->n.nr = nr;
	inner->n.nr = keep;
}

/* Splits @step's full node to put @child at @pos; returns the new right half. */
static struct vci_node *inner_split(struct vci_btree *bt, struct vci_step *step,
				    unsigned int pos, struct vci_node *child)
{
	struct vci_inner *inner = vci_inner(step->node), *right;
	unsigned int keep = pos == inner->n.nr ? pos : inner->n.nr / 2;
	u64 slot = vci_slot_of_node(child);

	right = vci_inner(vci_bt_new(bt, inner->n.level, inner->n.window));
	inner_move(inner, keep, right);
	if (pos <= keep && right->n.nr)
		inner_put(inner, pos, child->start, slot);
	else
		inner_put(right, pos - keep, child->start, slot);
	right->n.start = right->key[0];
	right->n.end = step->end;
	inner->n.end = right->n.start;
	return &right->n;
}

/* A window's root was split: a new one above both halves. */
static void grow(struct vci_btree *bt, struct vci_path *path, struct vci_node *right)
{
	struct vci_node *left = path->step[path->height - 1].node;
	struct vci_inner *root;

	root = vci_inner(vci_bt_new(bt, path->height, path->window));
	root->n.start = 0;
	root->n.end = VCI_WINDOW_BLOCKS;
	inner_put(root, 0, 0, vci_slot_of_node(left));
	inner_put(root, 1, right->start, vci_slot_of_node(right));
	vci_bt_set_window(bt, path->window, vci_slot_of_node(&root->n),
			  path->height + 1);
}

/* Puts @child at the right of the node that @path leads to on its level. */
static void add_child(struct vci_btree *bt, struct vci_path *path,
		      struct vci_node *child)
{
	unsigned int level, pos;
	struct vci_inner *inner;

	for (level = child->level + 1; level < path->height; level++) {
		inner = vci_inner(path->step[level].node);
		pos = path->step[level].idx + 1;
		vci_bt_touch(bt, &inner->n);
		if (inner->n.nr < bt->inner_max) {
			inner_put(inner, pos, child->start, vci_slot_of_node(child));
			return;
		}
		child = inner_split(bt, &path->step[level], pos, child);
	}
	grow(bt, path, child);
}

/**
 * vci_bt_leaf_split() - replace extents of a leaf by more than it has room for
 * @bt: the tree; bt->items are what comes in their place
 * @path: to the leaf, which is touched and dirty, as all above it; stale after
 * @i: first extent to go
 * @j: behind the last one to go
 */
void vci_bt_leaf_split(struct vci_btree *bt, struct vci_path *path, unsigned int i,
		       unsigned int j)
{
	struct vci_leaf *leaf = vci_leaf(path->step[0].node), *right;
	unsigned int old = leaf->n.nr, nr = 0, keep, k;

	for (k = 0; k < i; k++)
		bt->all[nr++] = (struct vci_item) { leaf->key[k], leaf->val[k] };
	memcpy(&bt->all[nr], bt->items, bt->nr_items * sizeof(bt->items[0]));
	nr += bt->nr_items;
	for (k = j; k < old; k++)
		bt->all[nr++] = (struct vci_item) { leaf->key[k], leaf->val[k] };

	keep = j == old ? bt->leaf_max : nr / 2;
	right = vci_leaf(vci_bt_new(bt, 0, path->window));
	vci_bt_leaf_splice(leaf, 0, old, bt->all, keep);
	vci_bt_leaf_splice(right, 0, 0, &bt->all[keep], nr - keep);
	right->n.start = right->key[0];
	right->n.end = path->step[0].end;
	leaf->n.end = right->n.start;
	add_child(bt, path, &right->n);
}

/* ---- removal ---- */

/* Appends what @right holds to @left, which becomes as wide as both. */
static void append(struct vci_node *left, struct vci_node *right)
{
	if (left->level) {
		struct vci_inner *l = vci_inner(left), *r = vci_inner(right);

		memcpy(&l->key[left->nr], r->key, right->nr * sizeof(r->key[0]));
		move_slots(&l->slot[left->nr], r->slot, right->nr);
	} else {
		struct vci_leaf *l = vci_leaf(left), *r = vci_leaf(right);

		memcpy(&l->key[left->nr], r->key, right->nr * sizeof(r->key[0]));
		memcpy(&l->val[left->nr], r->val, right->nr * sizeof(r->val[0]));
	}
	left->nr += right->nr;
}

/* [C] for children @i and @i + 1 of @parent's node. */
static bool merge(struct vci_btree *bt, struct vci_step *parent, unsigned int i)
{
	struct vci_inner *inner = vci_inner(parent->node);
	u64 a = inner->slot[i], b = inner->slot[i + 1];
	struct vci_node *left, *right;
	unsigned int max;

	if (vci_slot_absent(a) || vci_slot_absent(b))
		return false;
	left = vci_slot_node(a);
	right = vci_slot_node(b);
	max = left->level ? bt->inner_max : bt->leaf_max;
	if ((left->nr + right->nr) * 4u > max * 3 || vci_bt_frozen(bt, left))
		return false;

	vci_bt_dirty(bt, left);
	vci_bt_touch(bt, left);
	vci_bt_touch(bt, &inner->n);
	append(left, right);
	left->end = min(parent->end, inner->key[i + 2]);
	inner_del(inner, i + 1);
	vci_bt_kill(bt, right);
	return true;
}

/* [D] */
static void shrink(struct vci_btree *bt, u32 window)
{
	struct vci_node *root;
	unsigned int level;

	for (level = bt->height[window]; level-- > 1;) {
		root = vci_slot_node(bt->table[window]);
		if (vci_slot_absent(bt->table[window]) || root->nr > 1)
			return;
		vci_bt_set_window(bt, window, vci_inner(root)->slot[0], level);
		vci_bt_kill(bt, root);
	}
}

/**
 * vci_bt_rebalance() - after entries were removed: [C] and [D]
 * @bt: the tree
 * @path: all of it from @level up is dirty; stale after
 * @level: where entries were removed
 */
void vci_bt_rebalance(struct vci_btree *bt, struct vci_path *path, unsigned int level)
{
	struct vci_step *parent;
	struct vci_node *node;
	unsigned int max, nr;

	for (; level + 1 < path->height; level++) {
		node = path->step[level].node;
		max = level ? bt->inner_max : bt->leaf_max;
		if (node->nr * 4u >= max)
			break;
		parent = &path->step[level + 1];
		nr = parent->node->nr;
		if (!(parent->idx + 1 < nr && merge(bt, parent, parent->idx)) &&
		    !(parent->idx && merge(bt, parent, parent->idx - 1)))
			break;
	}
	shrink(bt, path->window);
}

/**
 * vci_bt_remove_child() - [A] and [B]: the leaf of a path is to go
 * @bt: the tree
 * @path: all above its leaf is dirty; stale after
 */
void vci_bt_remove_child(struct vci_btree *bt, struct vci_path *path)
{
	struct vci_inner *inner;
	unsigned int level;

	vci_bt_kill(bt, path->step[0].node);
	for (level = 1; level < path->height; level++) {
		inner = vci_inner(path->step[level].node);
		vci_bt_touch(bt, &inner->n);
		inner_del(inner, path->step[level].idx);
		if (inner->n.nr) {
			vci_bt_rebalance(bt, path, level);
			return;
		}
		vci_bt_kill(bt, &inner->n);
	}
	vci_bt_set_window(bt, path->window, 0, 0);
}
