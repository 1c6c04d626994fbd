// SPDX-License-Identifier: GPL-2.0-only
/*
 * Building a compact tree: see vci-build.h.
 */
#include "vci-build.h"

/* A leaf that waits for links. */
struct held {
	struct list_head list;
	u64 addr;
	u32 refs;		/* links to come, and one while it is being filled */
	u8 node[VCI_NODE_SIZE];
};

struct slot {
	struct held *leaf;	/* NULL: no extent yet */
	u32 i;
	u64 addr;		/* of the extent's data */
};

/* One internal node being filled. */
struct level {
	u32 nr;
	u64 off;		/* range it covers begins here */
	u8 node[VCI_NODE_SIZE];
};

struct vci_build {
	const struct vci_header *h;
	const struct vci_build_ops *ops;
	void *ctx;
	u64 gen;
	struct list_head held;
	struct held *leaf;	/* being filled */
	u32 nr;			/* extents in it */
	u64 leaf_off;		/* range it covers begins here */
	u64 window;		/* first block of the window being built */
	bool in_window;
	struct slot first[VCI_HEAT_CLASSES], last[VCI_HEAT_CLASSES];
	struct vci_build_result res;
	u32 depth;		/* internal levels of this window in use */
	struct level root;
	struct level *levels[VCI_DEPTH_MAX];
};

/**
 * vci_build_begin() - begin a tree
 * @b: where it is returned
 * @h: header of the image: geometry and UUID
 * @gen: generation of its nodes
 * @ops: where nodes go
 * @ctx: for @ops
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_build_begin(struct vci_build **b, const struct vci_header *h, u64 gen,
		    const struct vci_build_ops *ops, void *ctx)
{
	*b = kvzalloc(sizeof(**b), GFP_KERNEL);
	if (!*b)
		return -ENOMEM;
	(*b)->h = h;
	(*b)->gen = gen;
	(*b)->ops = ops;
	(*b)->ctx = ctx;
	INIT_LIST_HEAD(&(*b)->held);
	vci_node_init((*b)->root.node, VCI_NODE_INTERNAL);
	return 0;
}

/**
 * vci_build_free() - free a tree being built
 * @b: NULL, or begun
 *
 * What was written lies in units that nothing refers to.
 */
void vci_build_free(struct vci_build *b)
{
	struct held *leaf, *next;
	u32 i;

	if (!b)
		return;
	list_for_each_entry_safe(leaf, next, &b->held, list) {
		list_del(&leaf->list);
		kvfree(leaf);
	}
	for (i = 0; i < VCI_DEPTH_MAX; i++)
		kvfree(b->levels[i]);
	kvfree(b);
}

static int write_node(struct vci_build *b, void *node, u64 addr)
{
	vci_node_seal(node, b->h->uuid, addr, b->gen);
	return b->ops->write_node(b->ctx, addr, node);
}

/* One link of the leaf is known; the last one completes it. */
static int put_leaf(struct vci_build *b, struct held *leaf)
{
	int r;

	if (--leaf->refs)
		return 0;
	r = write_node(b, leaf->node, leaf->addr);
	list_del(&leaf->list);
	kvfree(leaf);
	return r;
}

static void set_links(struct held *leaf, u32 i, u64 prev, u64 next)
{
	struct vci_extent e;
	u64 old_prev, old_next;

	vci_node_extent(leaf->node, i, &e);
	vci_node_lru(leaf->node, i, &old_prev, &old_next);
	vci_node_put_extent(leaf->node, i, &e, prev ? prev : old_prev,
			    next ? next : old_next);
}

/* ---- internal levels ---- */

/* The last child of a level covers everything up to @end. */
static void close_range(struct level *l, u64 end)
{
	struct vci_child c;

	if (!l->nr)
		return;
	vci_node_child(l->node, l->nr - 1, &c);
	c.blocks = end - c.off;
	vci_node_put_child(l->node, l->nr - 1, &c);
}

static int get_level(struct vci_build *b, u32 i)
{
	if (i >= VCI_DEPTH_MAX - 2)
		return -EFBIG;
	if (!b->levels[i])
		b->levels[i] = kvzalloc(sizeof(*b->levels[i]), GFP_KERNEL);
	if (!b->levels[i])
		return -ENOMEM;
	if (i >= b->depth) {
		b->depth = i + 1;
		b->levels[i]->nr = 0;
		vci_node_init(b->levels[i]->node, VCI_NODE_INTERNAL);
	}
	return 0;
}

/*
 * Hangs a finished node below level @i; a full node there is finished first, and
 * hung below the level above, and so on.
 */
static int add_child(struct vci_build *b, u32 i, u64 off, u64 addr)
{
	struct vci_child c = { .off = off, .addr = addr, .blocks = 1 };
	int r;

	for (;; i++) {
		struct level *l;
		u64 full_off, full_addr;

		r = get_level(b, i);
		if (r)
			return r;
		l = b->levels[i];
		close_range(l, c.off);
		if (l->nr < VCI_INTERNAL_MAX) {
			if (!l->nr)
				l->off = c.off;
			vci_node_put_child(l->node, l->nr++, &c);
			return 0;
		}
		full_off = l->off;
		full_addr = b->ops->alloc_node(b->ctx);
		if (!full_addr)
			return -ENOSPC;
		r = write_node(b, l->node, full_addr);
		if (r)
			return r;
		vci_node_init(l->node, VCI_NODE_INTERNAL);
		vci_node_put_child(l->node, 0, &c);
		l->nr = 1;
		l->off = c.off;
		c.off = full_off;
		c.addr = full_addr;
	}
}

/* Finishes the levels of a window from below; the root gets its child. */
static int close_window(struct vci_build *b)
{
	struct vci_child c;
	u64 addr = 0;
	u32 i;
	int r;

	for (i = 0; i < b->depth; i++) {
		struct level *l = b->levels[i];

		close_range(l, b->window + VCI_WINDOW_BLOCKS);
		if (i == b->depth - 1 && l->nr == 1) {
			vci_node_child(l->node, 0, &c);
			addr = c.addr;
			break;
		}
		addr = b->ops->alloc_node(b->ctx);
		if (!addr)
			return -ENOSPC;
		r = write_node(b, l->node, addr);
		if (!r && i + 1 < b->depth)
			r = add_child(b, i + 1, l->off, addr);
		if (r)
			return r;
	}
	b->depth = 0;
	b->in_window = false;
	c.off = b->window;
	c.blocks = VCI_WINDOW_BLOCKS;
	c.addr = addr;
	vci_node_put_child(b->root.node, b->root.nr++, &c);
	return 0;
}

/* ---- leaves ---- */

static int finish_leaf(struct vci_build *b)
{
	struct held *leaf = b->leaf;
	int r;

	if (!leaf)
		return 0;
	b->leaf = NULL;
	r = add_child(b, 0, b->leaf_off, leaf->addr);
	return r ? r : put_leaf(b, leaf);
}

static int start_leaf(struct vci_build *b, u64 off)
{
	struct held *leaf = kvmalloc(sizeof(*leaf), GFP_KERNEL);

	if (!leaf)
		return -ENOMEM;
	leaf->addr = b->ops->alloc_node(b->ctx);
	if (!leaf->addr) {
		kvfree(leaf);
		return -ENOSPC;
	}
	leaf->refs = 1;
	vci_node_init(leaf->node, VCI_NODE_LEAF);
	list_add_tail(&leaf->list, &b->held);
	b->leaf = leaf;
	b->nr = 0;
	b->leaf_off = b->in_window ? off : b->window;
	b->in_window = true;
	return 0;
}

/* By uses; what was read ahead and not used comes last. */
static u32 class_of(const struct vci_extent *e)
{
	return e->heat & VCI_HEAT_AHEAD ? 0 : min_t(u32, e->heat + 1, VCI_HEAT_MAX);
}

/* Links the new extent behind the last one of its class. */
static int link_extent(struct vci_build *b, const struct vci_extent *e)
{
	u32 class = class_of(e);
	struct slot *last = &b->last[class], old = *last;

	vci_node_put_extent(b->leaf->node, b->nr, e, old.addr, 0);
	last->leaf = b->leaf;
	last->i = b->nr;
	last->addr = e->addr;
	b->leaf->refs++;
	if (!old.leaf) {
		b->first[class] = *last;
		b->leaf->refs++;
		return 0;
	}
	set_links(old.leaf, old.i, 0, e->addr);
	return put_leaf(b, old.leaf);
}

/**
 * vci_build_add() - the next extent, in order of offset
 * @b: tree
 * @e: the extent; lies in one window
 *
 * May sleep.  Return: 0, -ENOSPC without nodes, -ENOMEM or the device's error.
 */
int vci_build_add(struct vci_build *b, const struct vci_extent *e)
{
	u64 window = e->off & ~(VCI_WINDOW_BLOCKS - 1);
	int r = 0;

	if (b->leaf && (b->nr == VCI_LEAF_MAX || window != b->window))
		r = finish_leaf(b);
	if (!r && b->in_window && window != b->window)
		r = close_window(b);
	b->window = window;
	if (!r && !b->leaf)
		r = start_leaf(b, e->off);
	if (!r)
		r = link_extent(b, e);
	if (r)
		return r;
	b->nr++;
	b->res.nr_extents++;
	b->res.data_blocks += e->blocks;
	return 0;
}

/* Chains the classes, hottest first, and lets go of the leaves that waited. */
static int chain_classes(struct vci_build *b)
{
	struct slot *prev = NULL;
	int r = 0, i;

	for (i = VCI_HEAT_CLASSES - 1; !r && i >= 0; i--) {
		struct slot *first = &b->first[i];

		if (!first->leaf)
			continue;
		if (prev) {
			set_links(first->leaf, first->i, prev->addr, 0);
			set_links(prev->leaf, prev->i, 0, first->addr);
			r = put_leaf(b, prev->leaf);
		} else {
			b->res.lru_head = first->addr;
		}
		if (!r)
			r = put_leaf(b, first->leaf);
		prev = &b->last[i];
	}
	if (!r && prev) {
		b->res.lru_tail = prev->addr;
		r = put_leaf(b, prev->leaf);
	}
	return r;
}

/**
 * vci_build_end() - the last extent was added
 * @b: tree
 * @res: where its root and the list's ends are
 *
 * May sleep.  Durable with the next flush.  Return: as vci_build_add().
 */
int vci_build_end(struct vci_build *b, struct vci_build_result *res)
{
	int r = finish_leaf(b);

	if (!r && b->in_window)
		r = close_window(b);
	if (!r)
		r = chain_classes(b);
	if (r)
		return r;
	VCI_ASSERT(list_empty(&b->held));
	b->res.root = b->ops->alloc_node(b->ctx);
	if (!b->res.root)
		return -ENOSPC;
	*res = b->res;
	return write_node(b, b->root.node, b->res.root);
}
