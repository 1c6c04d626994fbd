// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tree of an image, depth first over a stack of nodes, and each extent.
 *
 * Bounds: the stack has VCI_DEPTH_MAX levels below the root; a node that was
 * visited before is not entered again, so the walk ends on any bytes.
 */
#include "vci-verify-internal.h"

#define TREE_LEVELS	(VCI_DEPTH_MAX + 1)

struct level {
	u8 *node;
	u64 addr;
	unsigned int count, next;
};

struct tree {
	struct verify *v;
	struct level level[TREE_LEVELS];
	unsigned int depth;	/* levels in use */
	unsigned int leaf_depth;	/* in this window; 0 not known yet */
};

/* ---- extents ---------------------------------------------------------- */

/* Reads blocks that may not be aligned to the device; *@data: where they are. */
static int read_wide(struct vci_dev *dev, u64 addr, u32 blocks, u8 *buf, u8 **data)
{
	u32 step = max_t(u32, dev->lbs_blocks, 1);
	u64 start = round_down(addr, (u64)step);
	u64 end = round_up(addr + blocks, (u64)step);

	*data = buf + (addr - start) * VCI_BLOCK_SIZE;
	return vci_read(dev, start, end - start, buf);
}

static int extent_compare_part(struct verify *v, u64 off, u64 addr, u32 blocks)
{
	u8 *cached, *original;
	u32 i;
	int err;

	err = read_wide(v->p->dev, addr, blocks, v->buf, &cached);
	if (!err)
		err = read_wide(v->p->backing, off, blocks, v->buf2, &original);
	if (err)
		return err;
	v->r->compared_blocks += blocks;
	for (i = 0; i < blocks; i++)
		if (memcmp(cached + i * VCI_BLOCK_SIZE, original + i * VCI_BLOCK_SIZE,
			   VCI_BLOCK_SIZE)) {
			vci_verify_report(v, VCI_DMG_DATA_DIFFERS, addr + i, off + i,
					  off + i);
			break;
		}
	return 0;
}

/* The backing device's data is what a clean extent holds. */
static int extent_compare(struct verify *v, const struct vci_extent *e)
{
	u32 step = VERIFY_CHUNK_BLOCKS / 2;
	u32 at, part;
	int err;

	for (at = 0; at < e->blocks; at += part) {
		part = min(e->blocks - at, step);
		err = extent_compare_part(v, e->off + at, e->addr + at, part);
		if (err)
			return err;
	}
	return 0;
}

static void extent_count(struct verify *v, const struct vci_extent *e)
{
	u64 at = e->addr - v->h->segments;
	u64 first = div_u64(at, v->h->segment_blocks);
	u64 last = div_u64(at + e->blocks - 1, v->h->segment_blocks);

	v->r->nr_extents++;
	v->r->data_blocks += e->blocks;
	if (e->flags & VCI_EXT_DIRTY) {
		v->r->dirty_extents++;
		v->r->dirty_blocks += e->blocks;
	}
	/* Batches lie in one segment each, so extents do. */
	if (first != last)
		vci_verify_report(v, VCI_DMG_NODE_ADDR, e->addr, last, first);
	else
		v->live[first] += e->blocks;
}

static bool extent_in_backing(struct verify *v, const struct vci_extent *e)
{
	u64 end = e->off + e->blocks;

	if (v->h->backing_blocks && end > v->h->backing_blocks)
		return false;
	return !v->p->backing || end <= v->p->backing->blocks;
}

static int extent_visit(struct verify *v, const void *node, unsigned int i)
{
	struct vci_extent e;
	u64 prev, next;
	bool inside;
	int err;

	vci_node_extent(node, i, &e);
	vci_verify_use(v, e.addr, e.blocks);
	extent_count(v, &e);
	if (e.flags & VCI_EXT_DIRTY && !(v->h->flags & VCI_HDR_DIRTY))
		vci_verify_report(v, VCI_DMG_NODE_FLAGS, e.addr, e.flags,
				  e.flags & ~VCI_EXT_DIRTY);
	inside = extent_in_backing(v, &e);
	if (!inside)
		vci_verify_report(v, VCI_DMG_NODE_RANGE, e.addr, e.off,
				  v->h->backing_blocks);
	/* Only a clean close says that the rest holds. */
	if (!v->r->clean)
		return 0;
	vci_node_lru(node, i, &prev, &next);
	err = vci_verify_lru_add(v, e.addr, prev, next);
	if (err || !inside || !v->p->backing || e.flags & VCI_EXT_DIRTY)
		return err;
	return extent_compare(v, &e);
}

/* ---- nodes ------------------------------------------------------------ */

static bool tree_on_path(const struct tree *t, u64 addr)
{
	unsigned int i;

	for (i = 0; i < t->depth; i++)
		if (t->level[i].addr == addr)
			return true;
	return false;
}

/* May the node at @addr be entered? If not, it is a finding. */
static bool tree_enter(struct tree *t, u64 addr)
{
	struct verify *v = t->v;

	if (t->depth == TREE_LEVELS || tree_on_path(t, addr)) {
		vci_verify_report(v, VCI_DMG_NODE_DEPTH, addr, t->depth + 1,
				  TREE_LEVELS);
		return false;
	}
	if (vci_bitmap_test(v->used, addr)) {
		vci_verify_report(v, VCI_DMG_OVERLAP, addr, 0, 0);
		return false;
	}
	vci_verify_use(v, addr, VCI_NODE_BLOCKS);
	return true;
}

/* Reads a node and puts it on the stack; what is wrong with it is a finding. */
static int tree_push(struct tree *t, u64 addr, u64 off, u64 blocks)
{
	struct verify *v = t->v;
	const struct vci_header *h = v->h;
	struct level *l = &t->level[t->depth];
	const struct vci_node_bounds b = {
		.uuid = h->uuid,
		.addr = addr,
		.off = off,
		.blocks = blocks,
		.max_gen = h->checkpoint_gen,
		.image_blocks = h->blocks,
		.nodes_addr = h->nodes.addr,
		.nodes_blocks = h->nodes.blocks,
		.data_addr = h->segments,
		.data_blocks = (u64)h->nr_segments * h->segment_blocks,
	};
	struct vci_damage dmg;
	int err;

	if (!tree_enter(t, addr)) {
		v->incomplete = true;
		return 0;
	}
	err = vci_read(v->p->dev, addr, VCI_NODE_BLOCKS, l->node);
	if (err)
		return err;
	if (vci_node_check(l->node, &b, &dmg)) {
		vci_verify_found(v, &dmg);
		v->incomplete = true;
		return 0;
	}
	l->addr = addr;
	l->count = vci_node_count(l->node);
	l->next = 0;
	t->depth++;
	v->r->nr_nodes++;
	return 0;
}

/* All leaves below one window are equally deep. */
static void leaf_check_depth(struct tree *t)
{
	if (!t->leaf_depth)
		t->leaf_depth = t->depth;
	else if (t->leaf_depth != t->depth)
		vci_verify_report(t->v, VCI_DMG_NODE_DEPTH, t->level[t->depth - 1].addr,
				  t->depth, t->leaf_depth);
	t->v->r->depth = max_t(u32, t->v->r->depth, t->depth);
}

static int leaf_visit(struct tree *t, const struct level *l)
{
	unsigned int i;
	int err;

	t->v->r->nr_leaves++;
	leaf_check_depth(t);
	for (i = 0; i < l->count; i++) {
		err = extent_visit(t->v, l->node, i);
		if (err)
			return err;
	}
	return 0;
}

static int tree_step(struct tree *t)
{
	struct level *l = &t->level[t->depth - 1];
	struct vci_child c;
	int err;

	if (vci_node_type(l->node) == VCI_NODE_LEAF) {
		err = leaf_visit(t, l);
		t->depth--;
		return err;
	}
	if (l->next == l->count) {
		t->depth--;
		return 0;
	}
	if (t->depth == 1)
		t->leaf_depth = 0;	/* another window */
	vci_node_child(l->node, l->next++, &c);
	cond_resched();
	return tree_push(t, c.addr, c.off, c.blocks);
}

static int tree_alloc(struct tree *t)
{
	unsigned int i;
	u8 *nodes;

	nodes = kvcalloc(TREE_LEVELS, VCI_NODE_SIZE, GFP_KERNEL);
	if (!nodes)
		return -ENOMEM;
	for (i = 0; i < TREE_LEVELS; i++)
		t->level[i].node = nodes + i * VCI_NODE_SIZE;
	return 0;
}

/**
 * vci_verify_tree() - walk the tree and all it maps
 * @v: the walk; blocks used, live counts and LRU links are noted in it
 *
 * Return: 0; -ENOMEM, or an error of a device.
 */
int vci_verify_tree(struct verify *v)
{
	struct tree *t;
	int err;

	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	t->v = v;
	err = tree_alloc(t);
	if (err)
		goto out_free;
	v->r->depth = 1;
	err = tree_push(t, v->h->root, 0, VCI_BACKING_MAX);
	while (!err && t->depth)
		err = tree_step(t);
	kvfree(t->level[0].node);
out_free:
	kfree(t);
	return err;
}
