/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the in-memory B+-tree share: its structs and their rules.
 *
 * Nodes.  A leaf keeps its keys apart from the rest of its extents, so that a
 * search touches few cache lines; unused keys are VCI_KEY_NONE, so that it
 * needs no count.  A slot (in an inner node, or in the table of windows) is 0
 * for nothing, or an address shifted left with VCI_SLOT_ABSENT, or the pointer
 * of a node in memory with VCI_SLOT_LEAF if it is a leaf.  Slots are stored
 * whole, and 0 when they fall out of use: a reader can follow what it finds in
 * one, even if it isn't true any more.
 *
 * Ranges.  A child covers the keys from its own key in the parent (the first
 * child: from the parent's start) up to the next one's (the last: up to the
 * parent's end).  So ranges leave no gaps, and a neighbour that goes away
 * widens a child without touching it.  node->start and ->end are the range
 * when the node last changed: part of the true range, exact if it is dirty.
 *
 * Dirt.  bt->epoch counts freezes.  A node is
 *	clean	!dirty: equal to what is at addr
 *	dirty	dirty, epoch of the tree: changed since the last freeze
 *	frozen	dirty, older epoch: belongs to the checkpoint, not serialised yet
 * and on one list each: clean or written, dirty[level], frozen[level].  A
 * frozen node is cloned before it changes; the clone takes its place on the
 * list.  A node with ckpt_epoch == bt->epoch had the address ckpt_addr when
 * the tree was frozen, whatever became of it since: frozen parents need that.
 * A node that was clean then, and is still, can leave memory meanwhile: no clone
 * points to it, only its address stands there.
 *
 * Readers.  There is a sequence counter for each leaf and one for the shape: all
 * inner nodes and the table of windows, which change a hundred times less often.  A
 * change first begins the counters of what it alters (vci_bt_touch()), and ends them
 * all when it is complete (vci_bt_end()): a reader sees all of a change or nothing.
 * He begins the shape's, goes down, begins the leaf's, and checks the shape's again.
 * On the way he may meet a shape that never was: slots lead down all the same, to
 * nodes that were complete before a slot led to them.
 *
 * Lists are walked instead of the tree where all nodes are wanted; there is no
 * recursion.  Everything here wants bt->lock, unless it says otherwise.
 */
#ifndef VCI_BTREE_INTERNAL_H
#define VCI_BTREE_INTERNAL_H

#include "vci-btree.h"

/* Above every key: they are below VCI_WINDOW_BLOCKS. */
#define VCI_KEY_NONE		0xffffffffu
#define VCI_WINDOW_MASK		((u32)(VCI_WINDOW_BLOCKS - 1))

/* Data addresses have this many bits: an image of 128 TiB. */
#define VCI_ADDR_BITS		38u

/* The common part of a node in memory. */
struct vci_node {
	seqcount_t seq;		/* a leaf's */
	u8 nr;			/* entries in use */
	u8 level : 3;		/* 0: leaf; never changes */
	u8 dirty : 1;
	u8 dead : 1;		/* no longer in the tree */
	u8 touched : 1;		/* its change is begun, it is on bt->touched */
	u8 clone : 1;
	u8 evicted : 1;		/* dead in memory, alive on the device */
	u8 referenced;		/* set by readers: second chance */
	u8 window;
	u32 start;		/* range, see above */
	u32 end;
	u32 epoch;		/* when it became dirty */
	u32 ckpt_epoch;		/* when ckpt_addr counts */
	union {
		struct list_head list;
		struct rcu_head rcu;
	};
	u64 addr;		/* its copy on the device, if clean */
	u64 ckpt_addr;
	struct vci_node *next;	/* of bt->touched, of spares; origin of a clone */
};

/*
 * An extent without its offset.  The heat is a byte of its own because readers
 * store to it without a lock: late, it may hit another extent's heat, and
 * nothing else.
 */
struct vci_val {
	u16 blocks;
	u8 heat;
	u64 flags : 2;
	u64 addr : VCI_ADDR_BITS;
};

static_assert(sizeof(struct vci_val) == 8);
static_assert(VCI_EXT_KNOWN == 3);

struct vci_leaf {
	struct vci_node n;
	u32 key[VCI_LEAF_MAX + 1];	/* the last one stays VCI_KEY_NONE */
	struct vci_val val[VCI_LEAF_MAX];
};

struct vci_inner {
	struct vci_node n;
	u32 key[VCI_INTERNAL_MAX + 2];
	u64 slot[VCI_INTERNAL_MAX];
};

/* An extent on its way from one leaf to another. */
struct vci_item {
	u32 key;
	struct vci_val val;
};

/* Blocks of one change, two trimmed extents, two neighbours. */
#define VCI_ITEMS_MAX		(VCI_ENTRY_BLOCKS_MAX + 4)

/* Nodes set aside for changes: [0] leaves, [1] inner nodes. */
struct vci_spare {
	struct vci_node *head;
	unsigned int nr;
	unsigned int want;
};

/* Nodes that are serialised and sealed before they are written. */
#define VCI_WRITE_BATCH		64u

/* Damaged nodes that were reported already. */
#define VCI_REPORTED_MAX	8u

struct vci_btree {
	/* What readers read. */
	u64 *table;		/* slots of the windows */
	u32 nr_windows;
	seqcount_t shape_seq;
	u64 backing_blocks;
	const u8 *quiet;	/* or NULL: vci_btree_set_quiet() */
	u64 quiet_addr;
	u32 quiet_log2;
	u8 pad[64];		/* the lock's cache line is not theirs */

	spinlock_t lock;	/* all below, and changes of the above */
	bool shape_touched;
	bool root_dirty;
	bool root_frozen;	/* to be written by this checkpoint */
	bool root_written;	/* by this checkpoint */
	bool checkpoint;	/* between freeze and thaw */
	u32 epoch;
	const struct vci_btree_ops *ops;
	void *ctx;
	struct vci_node *touched;
	struct vci_spare spare[2];
	u64 segment_mask;	/* blocks of a segment, less 1 */
	unsigned int leaf_max;	/* smaller in tests */
	unsigned int inner_max;

	struct list_head clean;
	struct list_head written;	/* clean since this checkpoint */
	struct list_head limbo;		/* dead, but frozen parents know them */
	struct list_head dirty[VCI_DEPTH_MAX];
	struct list_head frozen[VCI_DEPTH_MAX];
	u32 nr_dirty[VCI_DEPTH_MAX];
	u32 nr_all_dirty;		/* their sum */
	u32 nr_frozen[VCI_DEPTH_MAX];
	u64 ckpt_bytes;			/* memory of what was frozen, until the thaw */

	u64 root_addr;
	u64 ckpt_root;
	u64 ckpt_gen;
	u64 *frozen_table;
	u8 *height;		/* of each window; 0: empty, or not known yet */
	void *node_buf;		/* one node: writing never fails for memory */
	u64 batch_addr[VCI_WRITE_BATCH];

	struct vci_btree_stats stats;
	struct vci_node_bounds bounds;	/* of the image; the rest is per node */
	u8 uuid[16];
	u64 reported[VCI_REPORTED_MAX];
	unsigned int nr_reported;

	unsigned int nr_items;
	bool last_set;		/* the last item is what the change maps */
	struct vci_item items[VCI_ITEMS_MAX];
	struct vci_item all[VCI_LEAF_MAX + VCI_ITEMS_MAX];
};

/* ---- slots ---- */

#define VCI_SLOT_ABSENT		1u
#define VCI_SLOT_LEAF		2u

static inline u64 vci_slot_of_addr(u64 addr)
{
	return addr << 1 | VCI_SLOT_ABSENT;
}

static inline u64 vci_slot_of_node(const struct vci_node *node)
{
	return (u64)(unsigned long)node | (node->level ? 0 : VCI_SLOT_LEAF);
}

static inline bool vci_slot_absent(u64 slot)
{
	return slot & VCI_SLOT_ABSENT;
}

static inline u64 vci_slot_addr(u64 slot)
{
	return slot >> 1;
}

static inline struct vci_node *vci_slot_node(u64 slot)
{
	return (struct vci_node *)((unsigned long)slot & ~(unsigned long)VCI_SLOT_LEAF);
}

/* What a slot leads to is complete before anybody finds it there. */
static inline void vci_slot_publish(u64 *slot, u64 value)
{
	/* Pairs with the address dependency of who follows it. */
	smp_wmb();
	WRITE_ONCE(*slot, value);
}

/* ---- nodes ---- */

static inline struct vci_leaf *vci_leaf(struct vci_node *node)
{
	return container_of(node, struct vci_leaf, n);
}

static inline struct vci_inner *vci_inner(struct vci_node *node)
{
	return container_of(node, struct vci_inner, n);
}

static inline u64 vci_val_addr(const struct vci_val *v)
{
	return v->addr;
}

static inline u8 vci_val_flags(const struct vci_val *v)
{
	return v->flags;
}

static inline struct vci_val vci_val(u64 addr, u32 blocks, u8 flags, u8 heat)
{
	return (struct vci_val) {
		.blocks = (u16)blocks,
		.heat = heat,
		.flags = flags,
		.addr = addr,
	};
}

/*
 * A binary search in steps of 2^n: how many keys are at most @key, if that is
 * between @i and @i + 2 * @n - 1.  Written so that compilers make a conditional
 * move of it: a branch would be mispredicted half of the time.
 */
static __always_inline long vci_step(const u32 *k, long i, int n, u32 key)
{
	return k[i + n - 1] <= key ? i + n : i;
}

/* The first step: @n keys more, or not, are sure to be at most @key; 0 or -@n. */
static __always_inline long vci_first_step(u32 first, int n, u32 key)
{
	return -(long)(key < first) & -n;
}

static __always_inline long vci_steps_15(const u32 *k, long i, u32 key)
{
	i = vci_step(k, i, 8, key);
	i = vci_step(k, i, 4, key);
	i = vci_step(k, i, 2, key);
	return vci_step(k, i, 1, key);
}

/*
 * Which extent of a leaf is the last one that begins at or before @key; 0 also
 * if there is none: then @key - leaf->key[0] wraps around, and is larger than
 * any extent.
 */
static __always_inline unsigned long vci_leaf_index(const struct vci_leaf *leaf, u32 key)
{
	/* The first key counts as 0: search the others. */
	const u32 *k = leaf->key + 1;
	/* 63 keys are left, the last ones or the first ones. */
	const int more = VCI_LEAF_MAX - 1 - 63;
	long i = vci_first_step(k[63], more, key);

	k += more;
	i = vci_step(k, i, 32, key);
	i = vci_step(k, i, 16, key);
	return vci_steps_15(k, i, key) + more;
}

static_assert(VCI_LEAF_MAX - 1 >= 64 && VCI_LEAF_MAX - 1 < 127);

/* Which child of an inner node covers @key. */
static __always_inline long vci_inner_search(const struct vci_inner *inner, u32 key)
{
	/* The first key counts as 0: search the others. */
	const u32 *k = inner->key + 1;
	/* 127 keys are left, the last ones or the first ones. */
	const int more = VCI_INTERNAL_MAX - 1 - 127;
	long i = vci_first_step(k[127], more, key);

	k += more;
	i = vci_step(k, i, 64, key);
	i = vci_step(k, i, 32, key);
	i = vci_step(k, i, 16, key);
	return vci_steps_15(k, i, key) + more;
}

/* A window's root is often small. */
static inline bool vci_inner_small(const struct vci_inner *inner)
{
	return inner->n.nr <= 16;
}

static __always_inline unsigned long vci_inner_index(const struct vci_inner *inner, u32 key)
{
	return vci_inner_small(inner) ? vci_steps_15(inner->key + 1, 0, key) :
					vci_inner_search(inner, key);
}

/* ... and its slot: each way has its own load, with what is constant in its address. */
static __always_inline u64 vci_inner_slot(const struct vci_inner *inner, u32 key)
{
	if (vci_inner_small(inner))
		return READ_ONCE(inner->slot[vci_steps_15(inner->key + 1, 0, key)]);
	return READ_ONCE(inner->slot[vci_inner_search(inner, key)]);
}

static_assert(VCI_INTERNAL_MAX - 1 >= 128 && VCI_INTERNAL_MAX - 1 < 255);

/* May what lies at @addr be one extent with what lies before it?  Not in two segments. */
static inline bool vci_bt_may_join(const struct vci_btree *bt, u64 addr)
{
	return (addr - bt->bounds.data_addr) & bt->segment_mask;
}

/* A node joins those that the next checkpoint writes, or leaves them. */
static inline void vci_bt_count_dirty(struct vci_btree *bt, const struct vci_node *node, int by)
{
	bt->nr_dirty[node->level] += by;
	WRITE_ONCE(bt->nr_all_dirty, bt->nr_all_dirty + by);
}

static inline u64 vci_window_base(u32 window)
{
	return (u64)window << VCI_WINDOW_LOG2;
}

static inline bool vci_bt_frozen(const struct vci_btree *bt,
				 const struct vci_node *node)
{
	return node->dirty && node->epoch != bt->epoch;
}

/* ---- the way to a leaf, for those who hold the lock ---- */

struct vci_step {
	struct vci_node *node;
	u32 start;		/* true range */
	u32 end;
	unsigned int idx;	/* child that was taken */
};

/* A node that is not resident. */
struct vci_absent {
	u64 addr;
	u32 start;		/* true range */
	u32 end;
	int level;		/* negative: not known yet */
	u32 epoch;		/* of the tree when it was found absent */
};

struct vci_path {
	u32 window;
	unsigned int height;	/* 0: empty window */
	struct vci_step step[VCI_DEPTH_MAX];	/* by level */
	struct vci_absent absent;	/* after -EAGAIN */
};

/* vci-btree-add.c */
bool vci_bt_add(struct vci_btree *bt, const struct vci_extent *e, bool over);

/* vci-btree-node.c */
int vci_bt_descend(struct vci_btree *bt, u64 off, struct vci_path *path) __must_check;
int vci_bt_find_absent(struct vci_btree *bt, u64 off, struct vci_absent *a) __must_check;
void vci_bt_touch(struct vci_btree *bt, struct vci_node *node);
void vci_bt_set_window(struct vci_btree *bt, u32 window, u64 slot, unsigned int height);
void vci_bt_end(struct vci_btree *bt);
struct vci_node *vci_bt_alloc(unsigned int level, gfp_t gfp);
void vci_bt_init(struct vci_node *node, unsigned int level, u32 window);
size_t vci_bt_size(const struct vci_node *node);
size_t vci_bt_level_size(unsigned int level);
void vci_bt_count(struct vci_btree *bt, const struct vci_node *node, int by);
void vci_bt_free(struct vci_btree *bt, struct vci_node *node);
void vci_bt_free_rcu(struct vci_btree *bt, struct vci_node *node);
struct vci_node *vci_bt_new(struct vci_btree *bt, unsigned int level, u32 window);
void vci_bt_dirty(struct vci_btree *bt, struct vci_node *node);
void vci_bt_dirty_path(struct vci_btree *bt, struct vci_path *path, unsigned int from);
void vci_bt_kill(struct vci_btree *bt, struct vci_node *node);

/* vci-btree-shape.c */
void vci_bt_leaf_splice(struct vci_leaf *leaf, unsigned int i, unsigned int j,
			const struct vci_item *items, unsigned int nr);
void vci_bt_leaf_split(struct vci_btree *bt, struct vci_path *path, unsigned int i,
		       unsigned int j);
void vci_bt_remove_child(struct vci_btree *bt, struct vci_path *path);
void vci_bt_rebalance(struct vci_btree *bt, struct vci_path *path, unsigned int level);

/* vci-btree-load.c: may sleep, no lock */
int vci_bt_read(struct vci_btree *bt, u64 addr, u64 off, u64 blocks, void *buf,
		struct vci_damage *dmg) __must_check;
void vci_bt_report(struct vci_btree *bt, const struct vci_damage *dmg);

#endif /* VCI_BTREE_INTERNAL_H */
