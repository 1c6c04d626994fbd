// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writing the B+-tree as it was at one moment, while it goes on changing (O9).
 *
 * Freeze makes every dirty node frozen, by counting bt->epoch up: O(levels).
 * From then on each frozen node that changes leaves its content to a clone
 * first (I5).  Writing goes level by level from the leaves up, so that the
 * address of every child is known when its parent is serialised:
 *
 *	child				its address as of the freeze
 *	not resident			in the slot
 *	frozen, or was cloned		ckpt_addr, set when it (the clone) was serialised
 *	clean then, changed since	ckpt_addr, set when it became dirty
 *	clean then and now		addr
 *
 * A frozen node is clean as soon as it is serialised; a later change makes it
 * dirty again without a clone.  Nodes that left the tree stay in limbo until
 * the thaw, because frozen parents point to them; what was serialised stays in
 * memory, because it isn't known before the thaw whether its copy counts.
 */
#include "vci-btree-internal.h"

struct batch {
	u8 *buf;
	unsigned int max;	/* nodes that buf has room for */
	unsigned int nr;
	u64 *addr;		/* of VCI_WRITE_BATCH nodes */
};

/* ---- serialising: bt->lock held ---- */

/* The address that the child in @slot of a frozen node had at the freeze. */
static u64 frozen_addr(const struct vci_btree *bt, u64 slot)
{
	const struct vci_node *node;

	if (vci_slot_absent(slot))
		return vci_slot_addr(slot);
	node = vci_slot_node(slot);
	if (node->ckpt_epoch == bt->epoch)
		return node->ckpt_addr;
	VCI_ASSERT(!node->dirty && node->addr);
	return node->addr;
}

static void put_leaf(const struct vci_leaf *leaf, void *buf)
{
	struct vci_extent e;
	unsigned int i;

	for (i = 0; i < leaf->n.nr; i++) {
		e.off = vci_window_base(leaf->n.window) + leaf->key[i];
		e.addr = vci_val_addr(&leaf->val[i]);
		e.blocks = leaf->val[i].blocks;
		e.flags = vci_val_flags(&leaf->val[i]);
		e.heat = leaf->val[i].heat;
		vci_node_put_extent(buf, i, &e, 0, 0);
	}
}

static void put_inner(const struct vci_btree *bt, const struct vci_inner *inner,
		      void *buf)
{
	struct vci_child c;
	unsigned int i;

	for (i = 0; i < inner->n.nr; i++) {
		c.off = vci_window_base(inner->n.window) + inner->key[i];
		c.blocks = min(inner->n.end, inner->key[i + 1]) - inner->key[i];
		c.addr = frozen_addr(bt, inner->slot[i]);
		vci_node_put_child(buf, i, &c);
	}
}

/* @node's frozen content will be at @addr: the node is clean from now on. */
static void thaw_node(struct vci_btree *bt, struct vci_node *node, u64 addr)
{
	node->ckpt_epoch = bt->epoch;
	node->ckpt_addr = addr;
	node->dirty = 0;
	node->addr = addr;
	list_move_tail(&node->list, node->dead ? &bt->limbo : &bt->written);
	if (node->dead)
		bt->ops->free_node(bt->ctx, addr);
}

/* @clone's content will be at @addr; the node it comes from has gone on. */
static void thaw_clone(struct vci_btree *bt, struct vci_node *clone, u64 addr)
{
	clone->next->ckpt_epoch = bt->epoch;
	clone->next->ckpt_addr = addr;
	bt->ops->free_node(bt->ctx, addr);
	list_del_init(&clone->list);
	vci_bt_free(bt, clone);
}

/* Serialises the first frozen node of a level, for @addr. */
static void serialise(struct vci_btree *bt, unsigned int level, u64 addr, void *buf)
{
	struct vci_node *node;

	vci_node_init(buf, level ? VCI_NODE_INTERNAL : VCI_NODE_LEAF);
	spin_lock(&bt->lock);
	node = list_first_entry(&bt->frozen[level], struct vci_node, list);
	if (level)
		put_inner(bt, vci_inner(node), buf);
	else
		put_leaf(vci_leaf(node), buf);
	bt->nr_frozen[level]--;
	if (node->clone)
		thaw_clone(bt, node, addr);
	else
		thaw_node(bt, node, addr);
	spin_unlock(&bt->lock);
}

/* ---- writing: may sleep ---- */

/* Writes a batch, consecutive addresses at once. */
static int write_batch(struct vci_btree *bt, const struct batch *b)
{
	unsigned int i, first = 0;
	int err;

	for (i = 1; i <= b->nr; i++) {
		if (i < b->nr && b->addr[i] == b->addr[i - 1] + VCI_NODE_BLOCKS)
			continue;
		err = bt->ops->write_nodes(bt->ctx, b->addr[first], i - first,
					   b->buf + (size_t)first * VCI_NODE_SIZE);
		if (err)
			return err;
		first = i;
	}
	return 0;
}

static int write_level(struct vci_btree *bt, unsigned int level, struct batch *b)
{
	void *buf;
	int err;

	/* Nobody else makes or takes frozen nodes: ends after nr_frozen. */
	while (bt->nr_frozen[level]) {
		for (b->nr = 0; b->nr < b->max && bt->nr_frozen[level]; b->nr++) {
			b->addr[b->nr] = bt->ops->alloc_node(bt->ctx);
			if (!b->addr[b->nr])
				return -ENOSPC;
			buf = b->buf + (size_t)b->nr * VCI_NODE_SIZE;
			serialise(bt, level, b->addr[b->nr], buf);
			vci_node_seal(buf, bt->uuid, b->addr[b->nr], bt->ckpt_gen);
		}
		err = write_batch(bt, b);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

static void put_root(const struct vci_btree *bt, void *buf)
{
	unsigned int window, nr = 0;
	struct vci_child c;

	vci_node_init(buf, VCI_NODE_INTERNAL);
	for (window = 0; window < bt->nr_windows; window++) {
		if (!bt->frozen_table[window])
			continue;
		c.off = vci_window_base(window);
		c.blocks = VCI_WINDOW_BLOCKS;
		c.addr = frozen_addr(bt, bt->frozen_table[window]);
		vci_node_put_child(buf, nr++, &c);
	}
}

static int write_root(struct vci_btree *bt, struct batch *b)
{
	b->nr = 1;
	b->addr[0] = bt->ops->alloc_node(bt->ctx);
	if (!b->addr[0])
		return -ENOSPC;
	spin_lock(&bt->lock);
	put_root(bt, b->buf);
	bt->root_frozen = false;
	bt->root_written = true;
	bt->ckpt_root = b->addr[0];
	if (bt->root_dirty)
		bt->ops->free_node(bt->ctx, bt->ckpt_root);
	else
		bt->root_addr = bt->ckpt_root;
	spin_unlock(&bt->lock);
	vci_node_seal(b->buf, bt->uuid, bt->ckpt_root, bt->ckpt_gen);
	return write_batch(bt, b);
}

/* ---- the three steps ---- */

/**
 * vci_btree_freeze_locked() - the tree as it is now is what a checkpoint holds
 * @bt: the tree, bt->lock held; no checkpoint is in progress
 * @gen: the checkpoint's generation
 */
void vci_btree_freeze_locked(struct vci_btree *bt, u64 gen)
{
	unsigned int level;

	lockdep_assert_held(&bt->lock);
	VCI_ASSERT(!bt->checkpoint);
	bt->checkpoint = true;
	bt->epoch++;
	bt->ckpt_gen = gen;
	bt->bounds.max_gen = max(bt->bounds.max_gen, gen);
	for (level = 0; level < VCI_DEPTH_MAX; level++) {
		list_splice_tail_init(&bt->dirty[level], &bt->frozen[level]);
		bt->nr_frozen[level] = bt->nr_dirty[level];
		bt->ckpt_bytes += bt->nr_dirty[level] * vci_bt_level_size(level);
		bt->nr_dirty[level] = 0;
	}
	WRITE_ONCE(bt->nr_all_dirty, 0);
	memcpy(bt->frozen_table, bt->table, bt->nr_windows * sizeof(bt->table[0]));
	bt->root_frozen = bt->root_dirty;
	bt->root_written = false;
	bt->root_dirty = false;
	bt->ckpt_root = bt->root_addr;
}

/**
 * vci_btree_write_frozen() - write what was frozen, children before parents
 * @bt: the tree, bt->lock not held
 * @root: becomes the address of the root
 *
 * May sleep; for one caller at a time.  Writes without FUA or flush.
 *
 * Return: 0, -ENOSPC if there is no address left, or the error of the device.
 * After an error the checkpoint can only be thawed with that error.
 */
int vci_btree_write_frozen(struct vci_btree *bt, u64 *root)
{
	struct batch b = { .max = VCI_WRITE_BATCH, .addr = bt->batch_addr };
	unsigned int level;
	int err = 0;

	b.buf = kvmalloc(VCI_WRITE_BATCH * VCI_NODE_SIZE, GFP_NOIO | __GFP_NOWARN);
	if (!b.buf) {
		b.buf = bt->node_buf;
		b.max = 1;
	}
	for (level = 0; !err && level < VCI_DEPTH_MAX; level++)
		err = write_level(bt, level, &b);
	if (!err && bt->root_frozen)
		err = write_root(bt, &b);
	if (!err)
		*root = bt->ckpt_root;
	if (b.buf != bt->node_buf)
		kvfree(b.buf);
	return err;
}

/* The checkpoint failed: @node is to be written by the next one. */
static void dirty_again(struct vci_btree *bt, struct vci_node *node)
{
	node->dirty = 1;
	node->epoch = bt->epoch;
	node->addr = 0;
	list_move_tail(&node->list, &bt->dirty[node->level]);
	vci_bt_count_dirty(bt, node, 1);
}

static void undo(struct vci_btree *bt)
{
	struct vci_node *node, *next;
	unsigned int level;

	list_for_each_entry_safe(node, next, &bt->written, list)
		dirty_again(bt, node);
	for (level = 0; level < VCI_DEPTH_MAX; level++) {
		list_for_each_entry_safe(node, next, &bt->frozen[level], list) {
			if (!node->clone && !node->dead) {
				dirty_again(bt, node);
				continue;
			}
			list_del_init(&node->list);
			if (node->clone)
				vci_bt_free(bt, node);
			else
				vci_bt_free_rcu(bt, node);
		}
		bt->nr_frozen[level] = 0;
	}
	if (bt->root_frozen || bt->root_written) {
		bt->root_dirty = true;
		bt->root_frozen = false;
		bt->root_addr = 0;
	}
}

/**
 * vci_btree_thaw_locked() - the checkpoint is complete, or has failed
 * @bt: the tree, bt->lock held
 * @error: 0 if the header has switched
 *
 * After an error all that the checkpoint was to write is dirty again; the
 * addresses that it took with alloc_node() are forgotten, except those it gave
 * back with free_node().
 */
void vci_btree_thaw_locked(struct vci_btree *bt, int error)
{
	struct vci_node *node, *next;

	lockdep_assert_held(&bt->lock);
	VCI_ASSERT(bt->checkpoint);
	if (error)
		undo(bt);
	list_splice_tail_init(&bt->written, &bt->clean);
	list_for_each_entry_safe(node, next, &bt->limbo, list) {
		list_del_init(&node->list);
		vci_bt_free_rcu(bt, node);
	}
	bt->checkpoint = false;
	bt->ckpt_bytes = 0;
}

/**
 * vci_btree_pinned_bytes() - memory that vci_btree_shrink() can't free now
 * @bt: the tree
 *
 * Return: bytes of all nodes that a checkpoint writes, this one or the next.  May
 * be called without the lock.
 */
u64 vci_btree_pinned_bytes(const struct vci_btree *bt)
{
	u64 bytes = READ_ONCE(bt->ckpt_bytes);
	unsigned int level;

	for (level = 0; level < VCI_DEPTH_MAX; level++)
		bytes += READ_ONCE(bt->nr_dirty[level]) * vci_bt_level_size(level);
	return bytes;
}

/**
 * vci_btree_dirty_nodes() - what the next checkpoint would write
 * @bt: the tree
 *
 * Return: nodes, the root included. May be called without the lock.
 */
u32 vci_btree_dirty_nodes(const struct vci_btree *bt)
{
	return READ_ONCE(bt->root_dirty) + READ_ONCE(bt->nr_all_dirty);
}
