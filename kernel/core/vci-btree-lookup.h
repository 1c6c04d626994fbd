/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Going down the tree without a lock: inline, as it is the hit path of the cache.
 *
 * Its readers store to no cache line that others write, but to a leaf's
 * "referenced" and an extent's heat, and to those only if they change.
 */
#ifndef VCI_BTREE_LOOKUP_H
#define VCI_BTREE_LOOKUP_H

#include "vci-btree-internal.h"

/* A leaf that covers a key, and the value its counter had. */
struct vci_reach {
	struct vci_leaf *leaf;	/* NULL: empty window */
	unsigned int seq;
	u32 end;		/* of the leaf's range, if wanted */
};

/* Where a slot isn't loaded at once, it may be followed only after this. */
static __always_inline bool vci_bt_torn(const struct vci_btree *bt, unsigned int shape)
{
	return sizeof(unsigned long) < sizeof(u64) &&
	       read_seqcount_retry(&bt->shape_seq, shape);
}

/*
 * From the table down to the leaf that covers @key, without a lock.  What it
 * finds is true if the leaf's counter doesn't change until it was read.
 *
 * It waits while a change is being made: never where that may have been interrupted.
 */
static __always_inline int vci_bt_reach(struct vci_btree *bt, u32 window, u32 key,
					bool want_end, struct vci_reach *r)
{
	struct vci_inner *inner;
	unsigned int shape;
	unsigned long i;
	u64 slot;

	vci_may_wait_for(&bt->lock);
again:
	shape = read_seqcount_begin(&bt->shape_seq);
	slot = READ_ONCE(bt->table[window]);
	r->end = VCI_WINDOW_BLOCKS;
	/* Ends: each node is one level below the one before. */
	while (likely(!(slot & (VCI_SLOT_ABSENT | VCI_SLOT_LEAF)))) {
		if (unlikely(vci_bt_torn(bt, shape)))
			goto again;
		inner = (struct vci_inner *)(unsigned long)slot;
		if (unlikely(!inner))
			break;
		i = vci_inner_index(inner, key);
		if (want_end)
			r->end = min(r->end, READ_ONCE(inner->key[i + 1]));
		slot = READ_ONCE(inner->slot[i]);
	}
	if (unlikely(vci_slot_absent(slot))) {
		if (read_seqcount_retry(&bt->shape_seq, shape))
			goto again;
		return -EAGAIN;
	}
	if (unlikely(vci_bt_torn(bt, shape)))
		goto again;
	r->leaf = slot ? vci_leaf(vci_slot_node(slot)) : NULL;
	if (likely(slot))
		r->seq = read_seqcount_begin(&r->leaf->n.seq);
	if (unlikely(read_seqcount_retry(&bt->shape_seq, shape)))
		goto again;
	return 0;
}

static inline bool vci_bt_changed(const struct vci_reach *r)
{
	return unlikely(read_seqcount_retry(&r->leaf->n.seq, r->seq));
}

static inline void vci_bt_reference(struct vci_node *node)
{
	/* A hint: whoever stores to it stores a byte. */
	if (!data_race(node->referenced))
		WRITE_ONCE(node->referenced, 1);
}

/* ---- the short way, for what is simple ---- */

/*
 * A leaf is rarely in a processor's cache when there are many: all its keys at once, or
 * each step of the search waits for memory.
 */
static __always_inline void vci_bt_prefetch(const struct vci_leaf *leaf)
{
	const u8 *key = (const u8 *)leaf->key;

	/* Not a loop: that would be three more instructions for each. */
	static_assert(DIV_ROUND_UP(sizeof(leaf->key), 64) == 7);
	prefetch(key);
	prefetch(key + 64);
	prefetch(key + 2 * 64);
	prefetch(key + 3 * 64);
	prefetch(key + 4 * 64);
	prefetch(key + 5 * 64);
	prefetch(key + 6 * 64);
}

/*
 * As vci_bt_reach(), but gives up, returning false, where that one waits or tries
 * again, and where there is no leaf.  A counter that was odd won't match r->seq.
 */
static __always_inline bool vci_bt_try_reach(const struct vci_btree *bt, u32 window,
					     u32 key, struct vci_reach *r)
{
	unsigned int shape = raw_seqcount_begin(&bt->shape_seq);
	u64 slot = READ_ONCE(bt->table[window]);
	const struct vci_inner *inner;

	/* Ends: each node is one level below the one before. */
	while (likely(!(slot & (VCI_SLOT_ABSENT | VCI_SLOT_LEAF)))) {
		if (unlikely(vci_bt_torn(bt, shape) || !slot))
			return false;
		inner = (struct vci_inner *)(unsigned long)slot;
		slot = vci_inner_slot(inner, key);
	}
	if (unlikely(vci_slot_absent(slot) || vci_bt_torn(bt, shape)))
		return false;
	/* As vci_slot_node(), but the bit is known to be set. */
	r->leaf = (struct vci_leaf *)(unsigned long)(slot - VCI_SLOT_LEAF);
	vci_bt_prefetch(r->leaf);
	r->seq = raw_seqcount_begin(&r->leaf->n.seq);
	return likely(!read_seqcount_retry(&bt->shape_seq, shape));
}

/* Do uses of what lies there not count yet? */
static inline bool vci_bt_quiet(const struct vci_btree *bt, const struct vci_val *v)
{
	if (!bt->quiet)
		return false;
	return READ_ONCE(bt->quiet[(vci_val_addr(v) - bt->quiet_addr) >> bt->quiet_log2]);
}

static_assert(VCI_HEAT_AHEAD > VCI_HEAT_USES);

/*
 * Notes a use.  False if the extent was read ahead, and its first use is to be told to
 * the policy.
 */
static __always_inline bool vci_bt_warm(const struct vci_btree *bt, const struct vci_val *v,
					u32 skip, u8 *heat)
{
	if (v->heat >= VCI_HEAT_USES)
		return !(v->heat & VCI_HEAT_AHEAD);
	if (!skip && !vci_bt_quiet(bt, v))
		WRITE_ONCE(*heat, v->heat + 1);
	return true;
}

/* Where all of a range lies. */
struct vci_hit {
	u64 addr;
	u32 blocks;		/* of the extent, from there on */
	u8 flags;
};

/*
 * Where all of [@off, @off + @blocks) lies, if one extent has it, noting a use; not the
 * first use of what was read ahead, which is to be told to the policy.  False if that
 * can't be said at once.  In an RCU read section; never waits.
 */
static __always_inline bool vci_bt_hit(struct vci_btree *bt, u64 off, u32 blocks,
				       struct vci_hit *hit)
{
	u32 key = off & VCI_WINDOW_MASK, skip;
	struct vci_leaf *leaf;
	struct vci_val v, *at;
	struct vci_reach r;
	unsigned long i;

	if (unlikely(off >= bt->backing_blocks))
		return false;
	if (unlikely(!vci_bt_try_reach(bt, off >> VCI_WINDOW_LOG2, key, &r)))
		return false;
	leaf = r.leaf;
	i = vci_leaf_index(leaf, key);
	skip = key - leaf->key[i];
	at = &leaf->val[i];
	v = *at;
	if (unlikely((u64)skip + blocks > v.blocks || vci_bt_changed(&r)))
		return false;
	if (unlikely(!vci_bt_warm(bt, &v, skip, &at->heat)))
		return false;
	vci_bt_reference(&leaf->n);
	hit->addr = vci_val_addr(&v) + skip;
	hit->blocks = v.blocks - skip;
	hit->flags = vci_val_flags(&v);
	return true;
}

#endif /* VCI_BTREE_LOOKUP_H */
