// SPDX-License-Identifier: GPL-2.0-only
/*
 * The B+-tree and its device: nodes come into memory, and leave it again.
 *
 * A node is read without the lock; it counts only if its slot still holds the
 * same address in the same epoch.  Then it is the same node: an address is used
 * again at the earliest by the checkpoint after the one that left it, and each
 * of them begins an epoch.  So is what was found wrong with it: a node that was
 * overwritten meanwhile is not damaged, but looked for again.
 */
#include "vci-btree-internal.h"

/* Nodes that shrink() looks at before it lets others have the lock. */
#define SHRINK_BATCH	32u

/**
 * vci_bt_read() - read and check one node
 * @bt: the tree, bt->lock not held
 * @addr: where it is
 * @off: range its parent gives it
 * @blocks: of the range
 * @buf: VCI_NODE_SIZE bytes
 * @dmg: what is wrong with it, after -EILSEQ
 *
 * May sleep.  Return: 0, -EILSEQ, or the error of the device.
 */
int vci_bt_read(struct vci_btree *bt, u64 addr, u64 off, u64 blocks, void *buf,
		struct vci_damage *dmg)
{
	struct vci_node_bounds b = bt->bounds;
	int err;

	err = bt->ops->read_node(bt->ctx, addr, buf);
	if (err)
		return err;
	b.addr = addr;
	b.off = off;
	b.blocks = blocks;
	/* Of another time (-ENOTBLK) is as bad as damaged. */
	return vci_node_check(buf, &b, dmg) ? -EILSEQ : 0;
}

/**
 * vci_bt_report() - log a damaged node, once
 * @bt: the tree
 * @dmg: which, and what is wrong
 */
void vci_bt_report(struct vci_btree *bt, const struct vci_damage *dmg)
{
	unsigned int i;

	spin_lock(&bt->lock);
	for (i = 0; i < VCI_REPORTED_MAX; i++)
		if (bt->reported[i] == dmg->addr)
			break;
	if (i == VCI_REPORTED_MAX)
		bt->reported[bt->nr_reported++ % VCI_REPORTED_MAX] = dmg->addr;
	spin_unlock(&bt->lock);
	if (i < VCI_REPORTED_MAX)
		return;
	vci_err("corrupt %s: block %llu, %s: %llu, expected %llu",
		vci_damage_what(dmg->number), dmg->addr, vci_damage_words(dmg->number),
		dmg->found, dmg->expected);
}

/* ---- from the device into memory ---- */

static void fill_leaf(struct vci_leaf *leaf, const void *buf)
{
	struct vci_extent e;
	unsigned int i;

	for (i = 0; i < leaf->n.nr; i++) {
		vci_node_extent(buf, i, &e);
		leaf->key[i] = e.off & VCI_WINDOW_MASK;
		leaf->val[i] = vci_val(e.addr, e.blocks, e.flags, e.heat);
	}
}

static void fill_inner(struct vci_inner *inner, const void *buf)
{
	struct vci_child c;
	unsigned int i;

	for (i = 0; i < inner->n.nr; i++) {
		vci_node_child(buf, i, &c);
		inner->key[i] = c.off & VCI_WINDOW_MASK;
		inner->slot[i] = vci_slot_of_addr(c.addr);
	}
}

static struct vci_node *make_node(const struct vci_absent *a, u32 window, int level,
				  const void *buf)
{
	struct vci_node *node = vci_bt_alloc(level, GFP_NOIO);

	if (!node)
		return NULL;
	vci_bt_init(node, level, window);
	node->nr = vci_node_count(buf);
	node->start = a->start;
	node->end = a->end;
	node->addr = a->addr;
	if (level)
		fill_inner(vci_inner(node), buf);
	else
		fill_leaf(vci_leaf(node), buf);
	return node;
}

/* Puts @node where @path ended, if that is still as it was. Lock held. */
static bool publish(struct vci_btree *bt, u64 off, const struct vci_absent *a,
		    struct vci_node *node)
{
	u64 slot = vci_slot_of_node(node);
	struct vci_inner *parent;
	struct vci_path path;

	if (vci_bt_descend(bt, off, &path) != -EAGAIN ||
	    path.absent.addr != a->addr || path.absent.epoch != a->epoch)
		return false;
	if (path.absent.level < 0 || node->level + 1 == bt->height[path.window]) {
		vci_bt_set_window(bt, path.window, slot, node->level + 1);
	} else {
		parent = vci_inner(path.step[node->level + 1].node);
		vci_bt_touch(bt, &parent->n);
		vci_slot_publish(&parent->slot[path.step[node->level + 1].idx], slot);
	}
	vci_bt_end(bt);
	list_add_tail(&node->list, &bt->clean);
	vci_bt_count(bt, node, 1);
	bt->stats.bytes += vci_bt_size(node);
	bt->stats.loads++;
	return true;
}

/* Is it still true that @a is absent? */
static bool still_absent(struct vci_btree *bt, u64 off, const struct vci_absent *a)
{
	struct vci_absent now;

	return vci_bt_find_absent(bt, off, &now) == -EAGAIN && now.addr == a->addr &&
	       now.epoch == a->epoch;
}

/*
 * Goes down on the device from the checked node in @buf at @a, until a leaf is
 * there; @a becomes the leaf's.  Returns the levels gone down, or an error.
 */
static int dive(struct vci_btree *bt, u64 off, struct vci_absent *a, void *buf,
		struct vci_damage *dmg)
{
	u64 base = round_down(off, VCI_WINDOW_BLOCKS);
	u32 key = off & VCI_WINDOW_MASK;
	unsigned int depth = 0, i, nr;
	struct vci_child c;
	int err;

	while (vci_node_type(buf) == VCI_NODE_INTERNAL) {
		nr = vci_node_count(buf);
		if (!nr || ++depth == VCI_DEPTH_MAX)
			return vci_damaged(dmg, VCI_DMG_NODE_DEPTH, a->addr, depth,
					   VCI_DEPTH_MAX, -EILSEQ);
		/* The last child that begins at or before the key, or the first. */
		for (i = 1; i < nr; i++) {
			vci_node_child(buf, i, &c);
			if (c.off - base > key)
				break;
		}
		if (i < nr)
			a->end = c.off - base;
		vci_node_child(buf, i - 1, &c);
		if (i > 1)
			a->start = c.off - base;
		a->addr = c.addr;
		err = vci_bt_read(bt, a->addr, base + a->start, a->end - a->start, buf,
				  dmg);
		if (err)
			return err;
	}
	return depth;
}

/* Reads the node @a, and below it as far as needed to learn its level. */
static int read_absent(struct vci_btree *bt, u64 off, const struct vci_absent *a, void *buf,
		       int *level, struct vci_damage *dmg)
{
	u64 base = round_down(off, VCI_WINDOW_BLOCKS);
	struct vci_absent leaf = *a;
	int err;

	*level = a->level;
	err = vci_bt_read(bt, a->addr, base + a->start, a->end - a->start, buf, dmg);
	if (!err && a->level < 0) {
		/* The height of a window is not stored: look once. */
		*level = dive(bt, off, &leaf, buf, dmg);
		err = min(*level, 0);
		if (*level > 0)
			err = vci_bt_read(bt, a->addr, base + a->start,
					  a->end - a->start, buf, dmg);
	}
	if (err)
		return err;
	if (!*level != (vci_node_type(buf) == VCI_NODE_LEAF) ||
	    (*level && !vci_node_count(buf)))
		return vci_damaged(dmg, VCI_DMG_NODE_DEPTH, a->addr,
				   vci_node_type(buf), *level, -EILSEQ);
	return 0;
}

/* Makes the node @a resident; -EAGAIN if it is no longer the one to load. */
static int load_absent(struct vci_btree *bt, u64 off, const struct vci_absent *a, void *buf)
{
	struct vci_damage dmg = { VCI_DMG_NONE };
	struct vci_node *node;
	int err, level;

	err = read_absent(bt, off, a, buf, &level, &dmg);
	if (err == -EILSEQ) {
		if (!still_absent(bt, off, a))
			return -EAGAIN;
		vci_bt_report(bt, &dmg);
	}
	if (err)
		return err;
	node = make_node(a, off >> VCI_WINDOW_LOG2, level, buf);
	if (!node)
		return -ENOMEM;
	spin_lock(&bt->lock);
	if (!publish(bt, off, a, node))
		err = -EAGAIN;
	spin_unlock(&bt->lock);
	if (err)
		kfree(node);
	return err;
}

/**
 * vci_btree_load() - make resident every node on the way to a range
 * @bt: the tree, bt->lock not held
 * @off: first block
 * @blocks: how many
 *
 * May sleep.  Return: 0; -EILSEQ if one is damaged (logged once), -ENOMEM, or
 * the error of the device.
 */
int vci_btree_load(struct vci_btree *bt, u64 off, u64 blocks)
{
	u64 end = min(off + blocks, bt->backing_blocks);
	struct vci_absent a;
	void *buf = NULL;
	int err = 0;

	/* Each pass goes on, or loads a node, or lost a race. */
	while (!err && off < end) {
		err = vci_bt_find_absent(bt, off, &a);
		if (!err) {
			off = round_down(off, VCI_WINDOW_BLOCKS) + a.end;
			continue;
		}
		if (!buf)
			buf = kmalloc(VCI_NODE_SIZE, GFP_NOIO);
		err = buf ? load_absent(bt, off, &a, buf) : -ENOMEM;
		if (err == -EAGAIN)
			err = 0;
		cond_resched();
	}
	kfree(buf);
	return err;
}

/* ---- walking without keeping ---- */

/* Copies the extents of the leaf in @buf that end behind @off. */
static unsigned int copy_disk(const void *buf, u64 off, struct vci_extent *e,
			      unsigned int max)
{
	unsigned int i, n = 0, nr = vci_node_count(buf);
	u32 skip;

	for (i = 0; i < nr && n < max; i++) {
		vci_node_extent(buf, i, &e[n]);
		if (e[n].off + e[n].blocks <= off)
			continue;
		skip = e[n].off < off ? off - e[n].off : 0;
		e[n].off += skip;
		e[n].addr += skip;
		e[n].blocks -= skip;
		n++;
	}
	return n;
}

/* One leaf that is not resident, for walk_sleep; as walk_leaf. */
static int walk_absent(struct vci_btree *bt, u64 *off, struct vci_extent *e,
		       unsigned int max, void *buf)
{
	u64 base = round_down(*off, VCI_WINDOW_BLOCKS);
	struct vci_damage dmg = { VCI_DMG_NONE };
	struct vci_absent a, leaf;
	int err;

	if (!vci_bt_find_absent(bt, *off, &a))
		return 0;	/* it came into memory meanwhile */
	leaf = a;
	err = vci_bt_read(bt, leaf.addr, base + leaf.start, leaf.end - leaf.start, buf,
			  &dmg);
	if (!err)
		err = dive(bt, *off, &leaf, buf, &dmg);
	if (err < 0 && err != -EILSEQ)
		return err;
	if (!still_absent(bt, *off, &a))
		return 0;
	if (err < 0) {
		vci_bt_report(bt, &dmg);
		return err;
	}
	err = copy_disk(buf, *off, e, max);
	*off = err == (int)max ? e[err - 1].off + e[err - 1].blocks : base + leaf.end;
	return err;
}

/**
 * vci_btree_walk_sleep() - walk that reads what is not resident
 * @bt: the tree, bt->lock not held
 * @off: where to begin; becomes where to go on
 * @e: room for @max extents
 * @max: at least 1
 *
 * What it reads does not stay in memory.  May sleep.
 *
 * Return: as vci_btree_walk(); instead of -EAGAIN -EILSEQ, -ENOMEM, or the
 * error of the device, and *@off is where.
 */
int vci_btree_walk_sleep(struct vci_btree *bt, u64 *off, struct vci_extent *e,
			 unsigned int max)
{
	void *buf = NULL;
	int nr;

	do {
		nr = vci_btree_walk(bt, off, e, max);
		if (nr != -EAGAIN)
			break;
		if (!buf)
			buf = kmalloc(VCI_NODE_SIZE, GFP_NOIO);
		nr = buf ? walk_absent(bt, off, e, max, buf) : -ENOMEM;
		cond_resched();
	} while (!nr && *off < bt->backing_blocks);
	kfree(buf);
	return nr;
}

/* ---- from memory ---- */

/* Has nothing of @node's in memory that the device would not have? */
static bool evictable(const struct vci_node *node)
{
	unsigned int i;

	if (!node->level)
		return true;
	for (i = 0; i < node->nr; i++)
		if (!vci_slot_absent(vci_inner((struct vci_node *)node)->slot[i]))
			return false;
	return true;
}

static void evict(struct vci_btree *bt, struct vci_node *node)
{
	u64 slot = vci_slot_of_addr(node->addr);
	struct vci_inner *parent;
	struct vci_path path;
	struct vci_step *step;

	/* Frozen parents keep its address, which is what they need (I5). */
	if (bt->checkpoint &&
	    bt->frozen_table[node->window] == vci_slot_of_node(node))
		bt->frozen_table[node->window] = slot;
	/* All above is resident, what is below it may not be. */
	if (vci_bt_descend(bt, vci_window_base(node->window) + node->start, &path))
		VCI_ASSERT(path.absent.level < node->level);
	VCI_ASSERT(path.step[node->level].node == node);
	vci_bt_touch(bt, node);
	if (node->level + 1u == path.height) {
		vci_bt_set_window(bt, node->window, slot, path.height);
	} else {
		step = &path.step[node->level + 1];
		parent = vci_inner(step->node);
		vci_bt_touch(bt, &parent->n);
		WRITE_ONCE(parent->slot[step->idx], slot);
	}
	/* Not vci_bt_kill(): its copy on the device stays. */
	vci_bt_count(bt, node, -1);
	list_del_init(&node->list);
	node->dead = 1;
	node->evicted = 1;
	bt->stats.evictions++;
	vci_bt_end(bt);
}

/* Looks at some clean nodes; false if there is nothing more to look at. */
static bool shrink_some(struct vci_btree *bt, u64 bytes, u64 *tries)
{
	struct vci_node *node;
	unsigned int i;

	for (i = 0; i < SHRINK_BATCH; i++) {
		node = list_first_entry_or_null(&bt->clean, struct vci_node, list);
		if (!node || bt->stats.bytes <= bytes || !*tries)
			return false;
		--*tries;
		if (node->referenced || !evictable(node)) {
			WRITE_ONCE(node->referenced, 0);
			list_move_tail(&node->list, &bt->clean);
			continue;
		}
		evict(bt, node);
	}
	return true;
}

/**
 * vci_btree_shrink() - drop clean nodes from memory
 * @bt: the tree, bt->lock not held
 * @bytes: stop when not more are used
 *
 * What was looked up since the last time stays at first.  While a checkpoint is
 * written, what it writes stays until it is complete.
 *
 * Return: bytes freed.
 */
u64 vci_btree_shrink(struct vci_btree *bt, u64 bytes)
{
	u64 before, after, tries;
	bool more;

	spin_lock(&bt->lock);
	before = bt->stats.bytes;
	/* Every node twice for its second chance, and once for its children. */
	tries = 3 * (bt->stats.nr_leaves + bt->stats.nr_internals);
	do {
		more = shrink_some(bt, bytes, &tries);
		spin_unlock(&bt->lock);
		cond_resched();
		spin_lock(&bt->lock);
	} while (more);
	after = bt->stats.bytes;
	spin_unlock(&bt->lock);
	return before > after ? before - after : 0;
}
