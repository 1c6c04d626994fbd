// SPDX-License-Identifier: GPL-2.0-only
/*
 * The B+-tree in memory: making one, and reading it without a lock.
 *
 * Lookups are the hit path of the whole cache: they store to no shared cache
 * line but an extent's own, and that only if its recency changes.
 */
#include "vci-btree-lookup.h"

/* The reserve of a new tree; changes that need more raise it. */
#define SPARE_LEAVES	4u
#define SPARE_INNERS	2u

/* ---- life ---- */

static void init_bounds(struct vci_btree *bt, const struct vci_header *h)
{
	memcpy(bt->uuid, h->uuid, sizeof(bt->uuid));
	bt->bounds.uuid = bt->uuid;
	bt->bounds.max_gen = h->checkpoint_gen;
	bt->bounds.image_blocks = h->blocks;
	bt->bounds.nodes_addr = h->nodes.addr;
	bt->bounds.nodes_blocks = h->nodes.blocks;
	bt->bounds.data_addr = h->segments;
	bt->bounds.data_blocks = (u64)h->nr_segments * h->segment_blocks;
	bt->segment_mask = h->segment_blocks - 1ull;
}

static int init_tables(struct vci_btree *bt, const struct vci_header *h)
{
	u64 nr = (h->backing_blocks + VCI_WINDOW_BLOCKS - 1) >> VCI_WINDOW_LOG2;

	if (nr > VCI_WINDOWS_MAX || h->blocks >> VCI_ADDR_BITS)
		return -EFBIG;
	bt->backing_blocks = h->backing_blocks;
	bt->nr_windows = nr;
	/* One more than needed: never of size 0. */
	bt->table = kcalloc(nr + 1, sizeof(bt->table[0]), GFP_KERNEL);
	bt->frozen_table = kcalloc(nr + 1, sizeof(bt->table[0]), GFP_KERNEL);
	bt->height = kzalloc(nr + 1, GFP_KERNEL);
	bt->node_buf = kmalloc(VCI_NODE_SIZE, GFP_KERNEL);
	if (!bt->table || !bt->frozen_table || !bt->height || !bt->node_buf)
		return -ENOMEM;
	return 0;
}

/**
 * vci_btree_create() - make an empty tree
 * @ops: calls up; mapped and unmapped may be NULL
 * @ctx: their first argument
 * @h: header of the image; not kept
 *
 * May sleep. Its first checkpoint writes a root, unless vci_btree_open() reads
 * one.
 *
 * Return: the tree; NULL if there is no memory, or the image or the backing
 * device is larger than a tree can address.
 */
struct vci_btree *vci_btree_create(const struct vci_btree_ops *ops, void *ctx,
				   const struct vci_header *h)
{
	struct vci_btree *bt = kvzalloc(sizeof(*bt), GFP_KERNEL);
	unsigned int i;

	if (!bt)
		return NULL;
	spin_lock_init(&bt->lock);
	seqcount_init(&bt->shape_seq);
	bt->ops = ops;
	bt->ctx = ctx;
	bt->epoch = 1;
	bt->root_dirty = true;
	bt->leaf_max = VCI_LEAF_MAX;
	bt->inner_max = VCI_INTERNAL_MAX;
	bt->spare[0].want = SPARE_LEAVES;
	bt->spare[1].want = SPARE_INNERS;
	INIT_LIST_HEAD(&bt->clean);
	INIT_LIST_HEAD(&bt->written);
	INIT_LIST_HEAD(&bt->limbo);
	for (i = 0; i < VCI_DEPTH_MAX; i++) {
		INIT_LIST_HEAD(&bt->dirty[i]);
		INIT_LIST_HEAD(&bt->frozen[i]);
	}
	init_bounds(bt, h);
	if (init_tables(bt, h) || vci_btree_prepare(bt, GFP_KERNEL)) {
		vci_btree_destroy(bt);
		return NULL;
	}
	return bt;
}

static void free_list(struct list_head *list)
{
	struct vci_node *node, *next;

	list_for_each_entry_safe(node, next, list, list)
		kfree(node);
}

/**
 * vci_btree_destroy() - free a tree
 * @bt: the tree, or NULL; readers are gone
 */
void vci_btree_destroy(struct vci_btree *bt)
{
	struct vci_node *node;
	unsigned int i;

	if (!bt)
		return;
	free_list(&bt->clean);
	free_list(&bt->written);
	free_list(&bt->limbo);
	for (i = 0; i < VCI_DEPTH_MAX; i++) {
		free_list(&bt->dirty[i]);
		free_list(&bt->frozen[i]);
	}
	for (i = 0; i < ARRAY_SIZE(bt->spare); i++) {
		while ((node = bt->spare[i].head)) {
			bt->spare[i].head = node->next;
			kfree(node);
		}
	}
	kfree(bt->node_buf);
	kfree(bt->height);
	kfree(bt->frozen_table);
	kfree(bt->table);
	kvfree(bt);
}

/* Takes the checked root node over into the table. */
static int open_table(struct vci_btree *bt, const void *buf, struct vci_damage *dmg)
{
	unsigned int i, nr = vci_node_count(buf);
	struct vci_child c;

	for (i = 0; i < nr; i++) {
		vci_node_child(buf, i, &c);
		if (c.off >= bt->backing_blocks)
			return vci_damaged(dmg, VCI_DMG_NODE_RANGE, bt->root_addr,
					   c.off, bt->backing_blocks, -EILSEQ);
		bt->table[c.off >> VCI_WINDOW_LOG2] = vci_slot_of_addr(c.addr);
	}
	return 0;
}

/**
 * vci_btree_open() - read the table of windows
 * @bt: a new tree
 * @root_addr: from the header
 * @nr_extents: from the header
 *
 * May sleep.  Return: 0, -EILSEQ if the root is damaged, -ENOMEM, or the error
 * of the device.
 */
int vci_btree_open(struct vci_btree *bt, u64 root_addr, u64 nr_extents)
{
	struct vci_damage dmg = { VCI_DMG_NONE };
	void *buf;
	int err;

	buf = kmalloc(VCI_NODE_SIZE, GFP_NOIO);
	if (!buf)
		return -ENOMEM;
	bt->root_addr = root_addr;
	err = vci_bt_read(bt, root_addr, 0, VCI_BACKING_MAX, buf, &dmg);
	if (!err)
		err = open_table(bt, buf, &dmg);
	if (dmg.number)
		vci_bt_report(bt, &dmg);
	if (!err) {
		bt->root_dirty = false;
		bt->stats.nr_extents = nr_extents;
	}
	kfree(buf);
	return err;
}

/**
 * vci_btree_lock() - the lock of everything that is named "locked"
 * @bt: the tree
 *
 * Return: a spinlock, taken in process context only.
 */
spinlock_t *vci_btree_lock(struct vci_btree *bt)
{
	return &bt->lock;
}

/**
 * vci_btree_get_stats() - copy the counters
 * @bt: the tree
 * @s: filled in; each value is right by itself
 */
void vci_btree_get_stats(const struct vci_btree *bt, struct vci_btree_stats *s)
{
	*s = bt->stats;
}

/* Adds one node to the reserve if it is short of that kind. */
static int add_spare(struct vci_btree *bt, unsigned int kind, gfp_t gfp)
{
	struct vci_spare *spare = &bt->spare[kind];
	struct vci_node *node = vci_bt_alloc(kind, gfp);

	if (!node)
		return -ENOMEM;
	spin_lock(&bt->lock);
	node->next = spare->head;
	spare->head = node;
	spare->nr++;
	bt->stats.bytes += vci_bt_size(node);
	spin_unlock(&bt->lock);
	return 0;
}

/**
 * vci_btree_prepare() - fill the reserve, so that locked calls find nodes
 * @bt: the tree, bt->lock not held
 * @gfp: how to allocate
 *
 * After -ENOMEM of a locked call, enough for that one: others may be faster.
 *
 * Return: 0 or -ENOMEM.
 */
int vci_btree_prepare(struct vci_btree *bt, gfp_t gfp)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(bt->spare); i++) {
		while (READ_ONCE(bt->spare[i].nr) < READ_ONCE(bt->spare[i].want)) {
			err = add_spare(bt, i, gfp);
			if (err)
				return err;
		}
	}
	return 0;
}

/* ---- readers ---- */

static int hole(u64 off, u32 blocks, struct vci_lookup *res)
{
	*res = (struct vci_lookup) { .e = { .off = off, .blocks = blocks } };
	return 0;
}

/* An extent as it was in a leaf. */
struct entry {
	u32 key;
	u32 next;		/* key of the one behind it */
	struct vci_val v;
	struct vci_val *place;
};

/* Finds the leaf, and the extent in it that covers @key if any does. */
static __always_inline int find(struct vci_btree *bt, u32 window, u32 key,
				bool want_end, struct vci_reach *r, struct entry *x)
{
	unsigned long i;

	do {
		if (unlikely(vci_bt_reach(bt, window, key, want_end, r)))
			return -EAGAIN;
		if (unlikely(!r->leaf)) {
			*x = (struct entry) { .next = VCI_KEY_NONE };
			return 0;
		}
		i = vci_leaf_index(r->leaf, key);
		x->key = READ_ONCE(r->leaf->key[i]);
		x->next = READ_ONCE(r->leaf->key[i + 1]);
		x->place = &r->leaf->val[i];
		x->v = *x->place;
	} while (vci_bt_changed(r));
	vci_bt_reference(&r->leaf->n);
	return 0;
}

/*
 * Who goes through an extent in pieces uses it once: when he comes to its first block.
 * What was read ahead has its first use anywhere.
 */
static bool counts(const struct vci_btree *bt, const struct vci_val *v, u32 skip)
{
	return vci_heat_used(v->heat) != v->heat &&
	       (v->heat & VCI_HEAT_AHEAD || (!skip && !vci_bt_quiet(bt, v)));
}

/* 1 for a hole, unless its end is wanted too: that costs more. */
static __always_inline int lookup(struct vci_btree *bt, u64 off, u32 blocks, bool touch,
				  bool want_end, struct vci_lookup *res)
{
	u32 key = off & VCI_WINDOW_MASK, skip;
	struct vci_reach r;
	struct entry x;

	if (unlikely(find(bt, off >> VCI_WINDOW_LOG2, key, want_end, &r, &x)))
		return -EAGAIN;
	skip = key - x.key;
	if (unlikely(skip >= x.v.blocks)) {
		if (!want_end)
			return 1;
		/* The extent comes before the hole, or behind it. */
		r.end = min(r.end, x.key > key ? x.key : x.next);
		return hole(off, min(blocks, r.end - key), res);
	}
	if (touch && counts(bt, &x.v, skip))
		WRITE_ONCE(x.place->heat, vci_heat_used(x.v.heat));
	res->mapped = true;
	res->e.off = off;
	res->e.addr = vci_val_addr(&x.v) + skip;
	res->e.blocks = min(blocks, x.v.blocks - skip);
	res->e.flags = vci_val_flags(&x.v);
	res->e.heat = x.v.heat;
	return 0;
}

/* For what was a hole a moment ago. */
static int lookup_again(struct vci_btree *bt, u64 off, u32 blocks, bool touch,
			struct vci_lookup *res)
{
	int err;

	if (off >= bt->backing_blocks)
		return hole(off, blocks, res);
	rcu_read_lock();
	err = lookup(bt, off, blocks, touch, true, res);
	rcu_read_unlock();
	return err;
}

static __always_inline int lookup_first(struct vci_btree *bt, u64 off, u32 blocks,
					bool touch, struct vci_lookup *res)
{
	int err = 1;

	if (likely(off < bt->backing_blocks)) {
		rcu_read_lock();
		err = lookup(bt, off, blocks, touch, false, res);
		rcu_read_unlock();
	}
	return err <= 0 ? err : lookup_again(bt, off, blocks, touch, res);
}

/**
 * vci_btree_lookup() - find what covers the blocks from an offset on
 * @bt: the tree
 * @off: first block
 * @blocks: at least 1
 * @res: the part of [@off, @off + @blocks) from its start that is uniform
 *
 * O(log n), no lock.  What it says was so at a moment during the call.
 *
 * Return: 0; -EAGAIN if a node is not resident: vci_btree_load(), again.
 */
int vci_btree_lookup(struct vci_btree *bt, u64 off, u32 blocks,
		     struct vci_lookup *res)
{
	return lookup_first(bt, off, blocks, false, res);
}

/**
 * vci_btree_lookup_touch() - lookup that notes a use
 * @bt: the tree
 * @off: first block
 * @blocks: at least 1
 * @res: as for vci_btree_lookup(); the heat in it is that before this use
 *
 * The use may be lost if the extent's leaf changes or leaves memory.
 *
 * Return: as vci_btree_lookup().
 */
int vci_btree_lookup_touch(struct vci_btree *bt, u64 off, u32 blocks,
			   struct vci_lookup *res)
{
	return lookup_first(bt, off, blocks, true, res);
}

/**
 * vci_btree_set_quiet() - where uses don't count
 * @bt: the tree
 * @addr: of the first segment
 * @log2: blocks of each
 * @quiet: a byte for each, that may change at any time; outlives the tree
 */
void vci_btree_set_quiet(struct vci_btree *bt, u64 addr, u32 log2, const u8 *quiet)
{
	bt->quiet_addr = addr;
	bt->quiet_log2 = log2;
	bt->quiet = quiet;
}

/**
 * vci_btree_cool() - set the heat of what is mapped somewhere
 * @bt: the tree
 * @e: as a walk found it; only where it is still mapped to the same place
 * @heat: what it becomes
 *
 * By a racy store, as a use: it may be lost.  Nothing happens if the leaf isn't
 * resident.
 */
void vci_btree_cool(struct vci_btree *bt, const struct vci_extent *e, u8 heat)
{
	u32 key = e->off & VCI_WINDOW_MASK;
	struct vci_reach r;
	struct entry x;

	rcu_read_lock();
	if (!find(bt, e->off >> VCI_WINDOW_LOG2, key, false, &r, &x) &&
	    key - x.key < x.v.blocks && vci_val_addr(&x.v) + (key - x.key) == e->addr)
		WRITE_ONCE(x.place->heat, heat);
	rcu_read_unlock();
}

/* Copies the extents of a leaf that end behind @key. */
static unsigned int copy_extents(const struct vci_leaf *leaf, u64 base, u32 key,
				 struct vci_extent *e, unsigned int max)
{
	unsigned int i = vci_leaf_index(leaf, key), nr = 0;
	u32 start, skip;

	/* Races with writers: each index stays inside the array. */
	for (; i < VCI_LEAF_MAX && nr < max; i++) {
		struct vci_val v;

		start = READ_ONCE(leaf->key[i]);
		if (start == VCI_KEY_NONE)
			break;
		v = leaf->val[i];
		skip = start < key ? key - start : 0;
		if (skip >= v.blocks)
			continue;
		e[nr++] = (struct vci_extent) {
			.off = base + start + skip,
			.addr = vci_val_addr(&v) + skip,
			.blocks = v.blocks - skip,
			.flags = vci_val_flags(&v),
			.heat = v.heat,
		};
	}
	return nr;
}

/* One leaf of a walk: extents at or behind *@off, or *@off behind the leaf. */
static int walk_leaf(struct vci_btree *bt, u64 *off, struct vci_extent *e,
		     unsigned int max)
{
	u32 window = *off >> VCI_WINDOW_LOG2, key = *off & VCI_WINDOW_MASK;
	u64 base = vci_window_base(window);
	unsigned int nr;
	struct vci_reach r;

	do {
		if (vci_bt_reach(bt, window, key, true, &r))
			return -EAGAIN;
		nr = r.leaf ? copy_extents(r.leaf, base, key, e, max) : 0;
	} while (r.leaf && vci_bt_changed(&r));
	*off = nr == max ? e[nr - 1].off + e[nr - 1].blocks : base + r.end;
	return nr;
}

/**
 * vci_btree_walk() - copy the extents from an offset on
 * @bt: the tree
 * @off: where to begin; becomes where to go on
 * @e: room for @max extents
 * @max: at least 1
 *
 * An extent that begins before *@off is reported from there on.  Each call
 * copies from one leaf, at one moment.
 *
 * Return: how many, 0 at the end, -EAGAIN if a node is not resident: load *@off.
 */
int vci_btree_walk(struct vci_btree *bt, u64 *off, struct vci_extent *e,
		   unsigned int max)
{
	int nr = 0;

	while (!nr && *off < bt->backing_blocks) {
		rcu_read_lock();
		nr = walk_leaf(bt, off, e, max);
		rcu_read_unlock();
	}
	return nr;
}
