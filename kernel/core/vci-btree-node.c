// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nodes of the B+-tree in memory: finding, making, changing and burying them.
 *
 * Keeps I4 (what changes is dirty, and so is all above it) and I5 (a frozen
 * node is cloned before it changes); see vci-btree-internal.h for the states.
 */
#include "vci-btree-internal.h"

/**
 * vci_bt_descend() - find the leaf that covers an offset
 * @bt: the tree, bt->lock held
 * @off: below bt->backing_blocks
 * @path: filled in; after -EAGAIN only its ->absent counts
 *
 * Return: 0 (path->height is 0 if the window is empty), -EAGAIN if a node on
 * the way is not resident.
 */
int vci_bt_descend(struct vci_btree *bt, u64 off, struct vci_path *path)
{
	u32 window = off >> VCI_WINDOW_LOG2, key = off & VCI_WINDOW_MASK;
	u32 start = 0, end = VCI_WINDOW_BLOCKS;
	u64 slot = bt->table[window];
	int level = bt->height[window] - 1;
	struct vci_inner *inner;
	struct vci_step *step;

	path->window = window;
	memset(&path->absent, 0, sizeof(path->absent));
	path->height = slot ? level + 1 : 0;
	/* Ends: each node is one level below the one before. */
	while (slot && !vci_slot_absent(slot)) {
		step = &path->step[level];
		step->node = vci_slot_node(slot);
		step->start = start;
		step->end = end;
		if (!level)
			return 0;
		inner = vci_inner(step->node);
		step->idx = vci_inner_index(inner, key);
		if (step->idx)
			start = inner->key[step->idx];
		end = min(end, inner->key[step->idx + 1]);
		slot = inner->slot[step->idx];
		level--;
	}
	if (!slot)
		return 0;
	path->absent.addr = vci_slot_addr(slot);
	path->absent.start = start;
	path->absent.end = end;
	path->absent.level = level;
	path->absent.epoch = bt->epoch;
	return -EAGAIN;
}

/**
 * vci_bt_find_absent() - find the first node that is not resident
 * @bt: the tree, bt->lock not held
 * @off: below bt->backing_blocks
 * @a: that node after -EAGAIN; else only ->end counts, of the leaf's range
 *
 * Return: 0 if all are, or -EAGAIN.
 */
int vci_bt_find_absent(struct vci_btree *bt, u64 off, struct vci_absent *a)
{
	struct vci_path path;
	int err;

	spin_lock(&bt->lock);
	err = vci_bt_descend(bt, off, &path);
	spin_unlock(&bt->lock);
	*a = path.absent;
	if (!err)
		a->end = path.height ? path.step[0].end : VCI_WINDOW_BLOCKS;
	return err;
}

static void touch_shape(struct vci_btree *bt)
{
	if (bt->shape_touched)
		return;
	bt->shape_touched = true;
	raw_write_seqcount_begin(&bt->shape_seq);
}

/**
 * vci_bt_touch() - begin a change that readers must not see half of
 * @bt: the tree, bt->lock held
 * @node: what is about to change
 *
 * Readers of @node wait until vci_bt_end(); if it is an inner node, all do.
 */
void vci_bt_touch(struct vci_btree *bt, struct vci_node *node)
{
	if (node->touched)
		return;
	node->touched = 1;
	node->next = bt->touched;
	bt->touched = node;
	if (node->level)
		touch_shape(bt);
	else
		raw_write_seqcount_begin(&node->seq);
}

/**
 * vci_bt_set_window() - set what a window's tree begins with
 * @bt: the tree, bt->lock held
 * @window: which one
 * @slot: 0, or its root
 * @height: levels below @slot
 */
void vci_bt_set_window(struct vci_btree *bt, u32 window, u64 slot, unsigned int height)
{
	touch_shape(bt);
	vci_slot_publish(&bt->table[window], slot);
	bt->height[window] = height;
}

/* A dead node whose readers have been told: free it when nobody needs it. */
static void bury(struct vci_btree *bt, struct vci_node *node)
{
	if (vci_bt_frozen(bt, node))
		return;		/* write_frozen() still has to write it */
	if (bt->checkpoint && !node->evicted)
		list_add_tail(&node->list, &bt->limbo);
	else
		vci_bt_free_rcu(bt, node);
}

/**
 * vci_bt_end() - the change is complete: let readers see it
 * @bt: the tree, bt->lock held
 */
void vci_bt_end(struct vci_btree *bt)
{
	struct vci_node *node = bt->touched, *next;

	bt->touched = NULL;
	for (; node; node = next) {
		next = node->next;
		node->next = NULL;
		node->touched = 0;
		if (!node->level)
			raw_write_seqcount_end(&node->seq);
		if (node->dead)
			bury(bt, node);
	}
	if (bt->shape_touched) {
		bt->shape_touched = false;
		raw_write_seqcount_end(&bt->shape_seq);
	}
}

/* ---- memory ---- */

/* What kmalloc() takes for a node of that level. */
static size_t level_size(unsigned int level)
{
	return level ? sizeof(struct vci_inner) : sizeof(struct vci_leaf);
}

/**
 * vci_bt_size() - memory that a node takes
 * @node: any node
 *
 * Return: bytes, the allocator's rounding up included.
 */
size_t vci_bt_size(const struct vci_node *node)
{
	return vci_bt_level_size(node->level);
}

/**
 * vci_bt_level_size() - memory that a node of a level takes
 * @level: 0 for a leaf
 *
 * Return: as vci_bt_size().
 */
size_t vci_bt_level_size(unsigned int level)
{
	return roundup_pow_of_two(level_size(level));
}

/**
 * vci_bt_alloc() - allocate a node
 * @level: 0 for a leaf
 * @gfp: how
 *
 * Return: a node with nothing but its level set, or NULL.
 */
struct vci_node *vci_bt_alloc(unsigned int level, gfp_t gfp)
{
	struct vci_node *node = kmalloc(level_size(level), gfp);

	if (node) {
		memset(node, 0, sizeof(*node));
		seqcount_init(&node->seq);
		INIT_LIST_HEAD(&node->list);
		node->level = level;
	}
	return node;
}

/**
 * vci_bt_init() - make a node empty
 * @node: not reachable yet
 * @level: its level, of the kind it was allocated for
 * @window: where it will be
 */
void vci_bt_init(struct vci_node *node, unsigned int level, u32 window)
{
	node->level = level;
	node->window = window;
	node->nr = 0;
	if (level) {
		memset(vci_inner(node)->key, 0xff, sizeof(vci_inner(node)->key));
		memset(vci_inner(node)->slot, 0, sizeof(vci_inner(node)->slot));
	} else {
		memset(vci_leaf(node)->key, 0xff, sizeof(vci_leaf(node)->key));
		/* In an empty leaf readers find this one, and that it ends. */
		memset(vci_leaf(node)->val, 0, sizeof(struct vci_val));
	}
}

/**
 * vci_bt_count() - account for a node that enters or leaves the tree
 * @bt: the tree, bt->lock held
 * @node: which
 * @by: 1 or -1
 */
void vci_bt_count(struct vci_btree *bt, const struct vci_node *node, int by)
{
	if (node->level)
		bt->stats.nr_internals += by;
	else
		bt->stats.nr_leaves += by;
}

/**
 * vci_bt_free() - free a node that readers never saw
 * @bt: the tree, bt->lock held
 * @node: on no list
 */
void vci_bt_free(struct vci_btree *bt, struct vci_node *node)
{
	bt->stats.bytes -= vci_bt_size(node);
	kfree(node);
}

/**
 * vci_bt_free_rcu() - free a node that readers may still look at
 * @bt: the tree, bt->lock held
 * @node: on no list
 */
void vci_bt_free_rcu(struct vci_btree *bt, struct vci_node *node)
{
	bt->stats.bytes -= vci_bt_size(node);
	kfree_rcu(node, rcu);
}

static struct vci_node *take_spare(struct vci_btree *bt, unsigned int level)
{
	struct vci_spare *spare = &bt->spare[!!level];
	struct vci_node *node = spare->head;

	spare->head = node->next;
	spare->nr--;
	node->next = NULL;
	return node;
}

/**
 * vci_bt_new() - take a node from the reserve for the tree
 * @bt: the tree, bt->lock held; the reserve was checked before
 * @level: 0 for a leaf
 * @window: where it will be
 *
 * Return: an empty dirty node. Readers can't reach it yet.
 */
struct vci_node *vci_bt_new(struct vci_btree *bt, unsigned int level, u32 window)
{
	struct vci_node *node = take_spare(bt, level);

	vci_bt_init(node, level, window);
	node->dirty = 1;
	node->epoch = bt->epoch;
	list_add_tail(&node->list, &bt->dirty[level]);
	vci_bt_count_dirty(bt, node, 1);
	vci_bt_count(bt, node, 1);
	return node;
}

/* ---- dirt ---- */

/* A clean node is about to differ from its copy on the device. */
static void forget_copy(struct vci_btree *bt, struct vci_node *node)
{
	if (bt->checkpoint) {
		node->ckpt_epoch = bt->epoch;
		node->ckpt_addr = node->addr;
	}
	bt->ops->free_node(bt->ctx, node->addr);
	node->addr = 0;
}

/*
 * What was clean at the freeze, and is still, may be evicted: a clone, which nobody
 * would tell, has its address instead.
 */
static void forget_clean_children(const struct vci_btree *bt, struct vci_inner *clone)
{
	const struct vci_node *child;
	unsigned int i;

	for (i = 0; i < clone->n.nr; i++) {
		if (vci_slot_absent(clone->slot[i]))
			continue;
		child = vci_slot_node(clone->slot[i]);
		if (!child->dirty && child->ckpt_epoch != bt->epoch)
			clone->slot[i] = vci_slot_of_addr(child->addr);
	}
}

/* Leaves @node's frozen content to a clone, in its place on the list. */
static void clone_frozen(struct vci_btree *bt, struct vci_node *node)
{
	struct vci_node *clone = take_spare(bt, node->level);

	memcpy(clone, node, level_size(node->level));
	if (node->level)
		forget_clean_children(bt, vci_inner(clone));
	INIT_LIST_HEAD(&clone->list);
	clone->clone = 1;
	clone->touched = 0;
	clone->next = node;
	list_replace_init(&node->list, &clone->list);
	bt->stats.clones++;
}

/**
 * vci_bt_dirty() - a node of the tree is about to change
 * @bt: the tree, bt->lock held
 * @node: which; all above it are dirty already
 *
 * Takes one spare node if @node is frozen.
 */
void vci_bt_dirty(struct vci_btree *bt, struct vci_node *node)
{
	if (node->dirty && node->epoch == bt->epoch)
		return;
	if (node->dirty)
		clone_frozen(bt, node);
	else
		forget_copy(bt, node);
	node->dirty = 1;
	node->epoch = bt->epoch;
	list_move_tail(&node->list, &bt->dirty[node->level]);
	vci_bt_count_dirty(bt, node, 1);
}

static void dirty_root(struct vci_btree *bt)
{
	if (bt->root_dirty)
		return;
	bt->root_dirty = true;
	if (bt->root_addr)
		bt->ops->free_node(bt->ctx, bt->root_addr);
	bt->root_addr = 0;
}

/**
 * vci_bt_dirty_path() - dirty a node and all above it
 * @bt: the tree, bt->lock held
 * @path: the way to it
 * @from: its level
 *
 * Brings the ranges of these nodes up to date.
 */
void vci_bt_dirty_path(struct vci_btree *bt, struct vci_path *path, unsigned int from)
{
	unsigned int level = path->height;
	struct vci_step *step;

	dirty_root(bt);
	while (level-- > from) {
		step = &path->step[level];
		vci_bt_dirty(bt, step->node);
		step->node->start = step->start;
		step->node->end = step->end;
		if (!level)
			break;
		/* Readers don't look at a first key. */
		vci_inner(step->node)->key[0] = step->start;
	}
}

/**
 * vci_bt_kill() - a node has left the tree
 * @bt: the tree, bt->lock held
 * @node: no slot of the tree holds it any more
 *
 * vci_bt_end() frees it, or keeps it as long as the checkpoint needs it.
 */
void vci_bt_kill(struct vci_btree *bt, struct vci_node *node)
{
	vci_bt_touch(bt, node);
	node->dead = 1;
	vci_bt_count(bt, node, -1);
	if (vci_bt_frozen(bt, node))
		return;
	list_del_init(&node->list);
	if (node->dirty)
		vci_bt_count_dirty(bt, node, -1);
	else
		forget_copy(bt, node);
}
