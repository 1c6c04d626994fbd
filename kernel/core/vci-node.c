// SPDX-License-Identifier: GPL-2.0-only
/*
 * Codec of B+-tree nodes: one unit, a type byte, packed entries, and in the
 * slack behind them generation and checksum.
 *
 * What follows from a node that passed:
 *  I1 it was written to this address of this image, by a checkpoint not newer
 *     than the header's
 *  I2 entries in use come first, sorted, not overlapping, in the parent's range
 *  I3 children are units of the node area, data lies in the segments
 *  I4 no extent crosses a window's edge or is longer than VCI_EXTENT_BLOCKS_MAX;
 *     entries of a root are whole windows
 *  I5 all else is zero
 */
#include "vci-codec.h"

#define NODE_ENTRIES_AT		1	/* behind the type byte */

static const struct vci_node_tail_disk *node_tail(const void *node)
{
	return node + VCI_NODE_TAIL;
}

static struct vci_leaf_entry_disk *leaf_entry(void *node, unsigned int i)
{
	return (struct vci_leaf_entry_disk *)(node + NODE_ENTRIES_AT) + i;
}

static const struct vci_leaf_entry_disk *leaf_entry_const(const void *node,
							  unsigned int i)
{
	return (const struct vci_leaf_entry_disk *)(node + NODE_ENTRIES_AT) + i;
}

static struct vci_internal_entry_disk *internal_entry(void *node, unsigned int i)
{
	return (struct vci_internal_entry_disk *)(node + NODE_ENTRIES_AT) + i;
}

static const struct vci_internal_entry_disk *internal_entry_const(const void *node,
								  unsigned int i)
{
	return (const struct vci_internal_entry_disk *)(node + NODE_ENTRIES_AT) + i;
}

static u32 node_crc(const void *node, const u8 *uuid, u64 addr)
{
	const __le64 addr_le = cpu_to_le64(addr);
	u32 crc;

	crc = crc32c(~0u, uuid, 16);
	crc = crc32c(crc, &addr_le, sizeof(addr_le));
	return crc32c(crc, node, VCI_NODE_SIZE - sizeof(__le32));
}

/* ---- reading ---------------------------------------------------------- */

/**
 * vci_node_type() - type of a checked node
 * @node: the node
 *
 * Return: VCI_NODE_INTERNAL or VCI_NODE_LEAF.
 */
unsigned int vci_node_type(const void *node)
{
	return *(const u8 *)node;
}

static unsigned int node_max(unsigned int type)
{
	return type == VCI_NODE_LEAF ? VCI_LEAF_MAX : VCI_INTERNAL_MAX;
}

static size_t node_entry_size(unsigned int type)
{
	return type == VCI_NODE_LEAF ? sizeof(struct vci_leaf_entry_disk) :
				       sizeof(struct vci_internal_entry_disk);
}

/* In use: block count and address are both non-zero. */
static bool node_used(const void *node, unsigned int i)
{
	const struct vci_leaf_entry_disk *l = leaf_entry_const(node, i);
	const struct vci_internal_entry_disk *c = internal_entry_const(node, i);

	if (vci_node_type(node) == VCI_NODE_LEAF)
		return l->blocks && l->addr;
	return c->blocks && c->child;
}

/**
 * vci_node_count() - entries in use of a checked node
 * @node: the node
 *
 * Return: their number; they are the first ones.
 */
unsigned int vci_node_count(const void *node)
{
	unsigned int low = 0, high = node_max(vci_node_type(node));

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (node_used(node, mid))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/**
 * vci_node_extent() - entry of a checked leaf
 * @node: the leaf
 * @i: which, below vci_node_count()
 * @e: receives it
 */
void vci_node_extent(const void *node, unsigned int i, struct vci_extent *e)
{
	const struct vci_leaf_entry_disk *d = leaf_entry_const(node, i);

	e->off = le64_to_cpu(d->offset);
	e->addr = le64_to_cpu(d->addr);
	e->blocks = le32_to_cpu(d->blocks);
	e->flags = d->flags & VCI_EXT_KNOWN;
	e->heat = d->flags >> VCI_EXT_HEAT_SHIFT;
}

/**
 * vci_node_lru() - LRU links of an entry of a checked leaf
 * @node: the leaf
 * @i: which, below vci_node_count()
 * @prev: receives the data address of the more recent extent, 0 none
 * @next: receives the data address of the less recent extent, 0 none
 */
void vci_node_lru(const void *node, unsigned int i, u64 *prev, u64 *next)
{
	const struct vci_leaf_entry_disk *d = leaf_entry_const(node, i);

	*prev = le64_to_cpu(d->lru_prev);
	*next = le64_to_cpu(d->lru_next);
}

/**
 * vci_node_child() - entry of a checked internal node
 * @node: the node
 * @i: which, below vci_node_count()
 * @c: receives it
 */
void vci_node_child(const void *node, unsigned int i, struct vci_child *c)
{
	const struct vci_internal_entry_disk *d = internal_entry_const(node, i);

	c->off = le64_to_cpu(d->offset);
	c->addr = le64_to_cpu(d->child);
	c->blocks = le32_to_cpu(d->blocks);
}

/**
 * vci_node_gen() - generation of a checked node
 * @node: the node
 *
 * Return: the checkpoint that wrote it.
 */
u64 vci_node_gen(const void *node)
{
	return le64_to_cpu(node_tail(node)->gen);
}

/* ---- checking --------------------------------------------------------- */

static int node_damaged(const struct vci_node_bounds *b, struct vci_damage *dmg,
			enum vci_damage_number nr, u64 found, u64 expected)
{
	return vci_damaged(dmg, nr, b->addr, found, expected, -EILSEQ);
}

/* Does [@start, @start + @blocks) lie in an area? All values may be hostile. */
static bool node_inside(u64 start, u64 blocks, u64 area, u64 area_blocks)
{
	if (start < area)
		return false;
	start -= area;
	return start <= area_blocks && blocks <= area_blocks - start;
}

/* A node whose range is more than a window's is the root. */
static bool node_is_root(const struct vci_node_bounds *b)
{
	return b->blocks > VCI_WINDOW_BLOCKS;
}

/* Entries have the key in common; @end is where the one before ended. */
static int node_check_key(const struct vci_node_bounds *b, u64 off, u32 blocks,
			  u64 end, struct vci_damage *dmg)
{
	if (off < end)
		return node_damaged(b, dmg, VCI_DMG_NODE_ORDER, off, end);
	if (!node_inside(off, blocks, b->off, b->blocks) ||
	    !node_inside(off, blocks, 0, VCI_BACKING_MAX))
		return node_damaged(b, dmg, VCI_DMG_NODE_RANGE, off, b->off);
	return 0;
}

static int node_check_child(const struct vci_node_bounds *b, const struct vci_child *c,
			    u64 end, struct vci_damage *dmg)
{
	int err;

	err = node_check_key(b, c->off, c->blocks, end, dmg);
	if (err)
		return err;
	if (node_is_root(b) && (c->off % VCI_WINDOW_BLOCKS ||
				c->blocks != VCI_WINDOW_BLOCKS))
		return node_damaged(b, dmg, VCI_DMG_NODE_RANGE, c->off, c->blocks);
	if (c->addr % VCI_NODE_BLOCKS || c->addr >= VCI_ADDR_MAX ||
	    !node_inside(c->addr, VCI_NODE_BLOCKS, b->nodes_addr, b->nodes_blocks) ||
	    !node_inside(c->addr, VCI_NODE_BLOCKS, 0, b->image_blocks))
		return node_damaged(b, dmg, VCI_DMG_NODE_ADDR, c->addr, b->nodes_addr);
	return 0;
}

static bool node_data_ok(const struct vci_node_bounds *b, u64 addr, u32 blocks)
{
	return node_inside(addr, blocks, b->data_addr, b->data_blocks) &&
	       node_inside(addr, blocks, 0, b->image_blocks) &&
	       node_inside(addr, blocks, 0, VCI_ADDR_MAX);
}

static int node_check_extent(const struct vci_node_bounds *b,
			     const struct vci_extent *e, u64 end,
			     struct vci_damage *dmg)
{
	int err;

	err = node_check_key(b, e->off, e->blocks, end, dmg);
	if (err)
		return err;
	if (e->blocks > VCI_EXTENT_BLOCKS_MAX)
		return node_damaged(b, dmg, VCI_DMG_NODE_RANGE, e->blocks,
				    VCI_EXTENT_BLOCKS_MAX);
	if (e->off >> VCI_WINDOW_LOG2 != (e->off + e->blocks - 1) >> VCI_WINDOW_LOG2)
		return node_damaged(b, dmg, VCI_DMG_NODE_RANGE, e->off,
				    round_up(e->off, VCI_WINDOW_BLOCKS));
	if (!node_data_ok(b, e->addr, e->blocks))
		return node_damaged(b, dmg, VCI_DMG_NODE_ADDR, e->addr, b->data_addr);
	return 0;
}

static int node_check_lru(const void *node, const struct vci_node_bounds *b,
			  unsigned int i, struct vci_damage *dmg)
{
	u64 prev, next;

	vci_node_lru(node, i, &prev, &next);
	if (prev && !node_data_ok(b, prev, 1))
		return node_damaged(b, dmg, VCI_DMG_NODE_ADDR, prev, b->data_addr);
	if (next && !node_data_ok(b, next, 1))
		return node_damaged(b, dmg, VCI_DMG_NODE_ADDR, next, b->data_addr);
	return 0;
}

static int node_check_entries(const void *node, const struct vci_node_bounds *b,
			      unsigned int count, struct vci_damage *dmg)
{
	bool leaf = vci_node_type(node) == VCI_NODE_LEAF;
	struct vci_extent e;
	struct vci_child c;
	unsigned int i;
	u64 end = 0;
	int err;

	for (i = 0; i < count; i++) {
		if (leaf) {
			vci_node_extent(node, i, &e);
			err = node_check_extent(b, &e, end, dmg);
			if (!err && leaf_entry_const(node, i)->reserved)
				err = node_damaged(b, dmg, VCI_DMG_NODE_FLAGS, e.off, 0);
			if (!err)
				err = node_check_lru(node, b, i, dmg);
			end = e.off + e.blocks;
		} else {
			vci_node_child(node, i, &c);
			err = node_check_child(b, &c, end, dmg);
			end = c.off + c.blocks;
		}
		if (err)
			return err;
	}
	return 0;
}

/* Everything between the last entry in use and the tail is zero. */
static int node_check_slack(const void *node, const struct vci_node_bounds *b,
			    unsigned int *count, struct vci_damage *dmg)
{
	unsigned int type = vci_node_type(node);
	unsigned int n = 0;
	size_t at;

	while (n < node_max(type) && node_used(node, n))
		n++;
	at = NODE_ENTRIES_AT + n * node_entry_size(type);
	if (memchr_inv(node + at, 0, VCI_NODE_TAIL - at))
		return node_damaged(b, dmg, VCI_DMG_NODE_SLACK, n, n);
	*count = n;
	return 0;
}

/**
 * vci_node_check() - judge a node
 * @node: VCI_NODE_SIZE bytes
 * @b: what is known of it; a range of more than one window says that it is the
 *	root, whose entries must be whole windows: give it VCI_BACKING_MAX blocks
 * @dmg: receives the damage, may be NULL
 *
 * Return: 0; -EILSEQ damaged, or of another place or image; -ENOTBLK intact,
 * but of a checkpoint that was not completed.
 */
int vci_node_check(const void *node, const struct vci_node_bounds *b,
		   struct vci_damage *dmg)
{
	u32 crc = le32_to_cpu(node_tail(node)->crc);
	u32 want = node_crc(node, b->uuid, b->addr);
	unsigned int type = vci_node_type(node);
	u64 gen = vci_node_gen(node);
	unsigned int count = 0;
	int err;

	if (crc != want)
		return node_damaged(b, dmg, VCI_DMG_NODE_CSUM, crc, want);
	if (!gen || gen > b->max_gen)
		return vci_damaged(dmg, VCI_DMG_NODE_GEN, b->addr, gen, b->max_gen,
				   -ENOTBLK);
	if (type != VCI_NODE_INTERNAL && (type != VCI_NODE_LEAF || node_is_root(b)))
		return node_damaged(b, dmg, VCI_DMG_NODE_TYPE, type, VCI_NODE_INTERNAL);
	err = node_check_slack(node, b, &count, dmg);
	if (err)
		return err;
	return node_check_entries(node, b, count, dmg);
}

/* ---- building --------------------------------------------------------- */

/**
 * vci_node_init() - begin a node without entries
 * @node: VCI_NODE_SIZE bytes, overwritten
 * @type: VCI_NODE_INTERNAL or VCI_NODE_LEAF
 */
void vci_node_init(void *node, unsigned int type)
{
	VCI_ASSERT(type == VCI_NODE_INTERNAL || type == VCI_NODE_LEAF);
	memset(node, 0, VCI_NODE_SIZE);
	*(u8 *)node = type;
}

/**
 * vci_node_put_extent() - set an entry of a leaf that is being built
 * @node: the leaf
 * @i: which
 * @e: the extent
 * @lru_prev: data address of the more recent extent, 0 none or not known
 * @lru_next: data address of the less recent extent, 0 none or not known
 */
void vci_node_put_extent(void *node, unsigned int i, const struct vci_extent *e,
			 u64 lru_prev, u64 lru_next)
{
	struct vci_leaf_entry_disk *d = leaf_entry(node, i);

	VCI_ASSERT(i < VCI_LEAF_MAX && e->blocks && e->addr);
	d->lru_prev = cpu_to_le64(lru_prev);
	d->lru_next = cpu_to_le64(lru_next);
	d->flags = e->flags | min_t(u8, e->heat, VCI_HEAT_MAX) << VCI_EXT_HEAT_SHIFT;
	d->offset = cpu_to_le64(e->off);
	d->blocks = cpu_to_le32(e->blocks);
	d->addr = cpu_to_le64(e->addr);
}

/**
 * vci_node_set_lru_next() - set one link of an entry that was put
 * @node: the leaf
 * @i: which
 * @lru_next: data address of the less recent extent, 0 none
 */
void vci_node_set_lru_next(void *node, unsigned int i, u64 lru_next)
{
	VCI_ASSERT(i < VCI_LEAF_MAX);
	leaf_entry(node, i)->lru_next = cpu_to_le64(lru_next);
}

/**
 * vci_node_put_child() - set an entry of an internal node that is being built
 * @node: the node
 * @i: which
 * @c: the child
 */
void vci_node_put_child(void *node, unsigned int i, const struct vci_child *c)
{
	struct vci_internal_entry_disk *d = internal_entry(node, i);

	VCI_ASSERT(i < VCI_INTERNAL_MAX && c->blocks && c->addr);
	d->offset = cpu_to_le64(c->off);
	d->blocks = cpu_to_le32(c->blocks);
	d->child = cpu_to_le64(c->addr);
}

/**
 * vci_node_seal() - complete a node whose entries are set
 * @node: the node
 * @uuid: of the image
 * @addr: where it will be written
 * @gen: checkpoint that writes it
 */
void vci_node_seal(void *node, const u8 *uuid, u64 addr, u64 gen)
{
	struct vci_node_tail_disk *tail = node + VCI_NODE_TAIL;

	VCI_ASSERT(gen);
	tail->gen = cpu_to_le64(gen);
	tail->crc = cpu_to_le32(node_crc(node, uuid, addr));
}
