// SPDX-License-Identifier: GPL-2.0-only
/*
 * The node area's allocator: see vci-nodes.h.
 */
#include "vci-nodes.h"

static size_t map_bytes(const struct vci_nodes *n)
{
	return (size_t)n->map.nr_pages * VCI_PAGE_PAYLOAD;
}

/**
 * vci_nodes_init() - allocate the memory of the node map
 * @n: to set up
 * @h: header of the image
 *
 * May sleep.  Return: 0 or -ENOMEM; vci_nodes_destroy() undoes both.
 */
int vci_nodes_init(struct vci_nodes *n, const struct vci_header *h)
{
	int r;

	memset(n, 0, sizeof(*n));
	n->addr = h->nodes.addr;
	n->nr = h->nodes.blocks / VCI_UNIT_BLOCKS;
	r = vci_shadow_init(&n->map, &h->nodemap);
	if (r)
		return r;
	n->committed = kvzalloc(map_bytes(n), GFP_KERNEL);
	n->freed = kvzalloc(map_bytes(n), GFP_KERNEL);
	if (n->committed && n->freed)
		return 0;
	vci_nodes_destroy(n);
	return -ENOMEM;
}

/**
 * vci_nodes_destroy() - free the memory of the node map
 * @n: zeroed or initialised
 */
void vci_nodes_destroy(struct vci_nodes *n)
{
	vci_shadow_destroy(&n->map);
	kvfree(n->committed);
	kvfree(n->freed);
	n->committed = NULL;
	n->freed = NULL;
}

/**
 * vci_nodes_load() - read the node map of the last checkpoint
 * @n: initialised
 * @dev: cache device
 * @h: header of the image
 * @dmg: what is wrong, if -EILSEQ
 *
 * May sleep.  Return: as vci_shadow_load().
 */
int vci_nodes_load(struct vci_nodes *n, struct vci_dev *dev,
		   const struct vci_header *h, struct vci_damage *dmg)
{
	int r = vci_shadow_load(&n->map, dev, h->uuid, h->checkpoint_gen, dmg);

	if (r)
		return r;
	memcpy(n->committed, n->map.data, map_bytes(n));
	n->nr_live = vci_bitmap_weight(n->map.data, n->nr);
	n->nr_committed = n->nr_live;
	return 0;
}

static bool take(struct vci_nodes *n, u32 i)
{
	u8 bit = 1u << (i % 8);

	if ((n->map.data[i / 8] | n->committed[i / 8]) & bit)
		return false;
	n->map.data[i / 8] |= bit;
	vci_shadow_dirty(&n->map, i / 8);
	n->nr_live++;
	n->hint = i + 1;
	return true;
}

/**
 * vci_nodes_alloc() - find a unit that no checkpoint uses
 * @n: node area
 *
 * Caller excludes vci_nodes_free().  Return: its address, 0 if there is none.
 */
u64 vci_nodes_alloc(struct vci_nodes *n)
{
	u32 k, i;

	for (k = 0; k < n->nr; k++) {
		i = n->hint + k;
		if (i >= n->nr)
			i -= n->nr;
		if (take(n, i))
			return n->addr + (u64)i * VCI_UNIT_BLOCKS;
	}
	return 0;
}

static void drop(struct vci_nodes *n, u32 i)
{
	n->map.data[i / 8] &= ~(1u << (i % 8));
	vci_shadow_dirty(&n->map, i / 8);
	n->nr_live--;
}

/**
 * vci_nodes_free() - a node does not belong to the next checkpoint
 * @n: node area
 * @addr: of the node
 *
 * Caller's lock excludes the others.  While a checkpoint is written the unit
 * still belongs to that one.
 */
void vci_nodes_free(struct vci_nodes *n, u64 addr)
{
	u32 i = div_u64(addr - n->addr, VCI_UNIT_BLOCKS);

	VCI_ASSERT(i < n->nr && vci_bitmap_test(n->map.data, i));
	if (n->in_checkpoint)
		n->freed[i / 8] |= 1u << (i % 8);
	else
		drop(n, i);
}

/**
 * vci_nodes_next() - the next unit that the next checkpoint uses
 * @n: node area
 * @addr: where to go on: of the unit before, or 0
 *
 * Return: its address, 0 if there is none.
 */
u64 vci_nodes_next(const struct vci_nodes *n, u64 addr)
{
	u32 i = addr ? div_u64(addr - n->addr, VCI_UNIT_BLOCKS) + 1 : 0;

	while (i < n->nr) {
		if (!(i % 8) && !n->map.data[i / 8]) {
			i += 8;
			continue;
		}
		if (vci_bitmap_test(n->map.data, i))
			return n->addr + (u64)i * VCI_UNIT_BLOCKS;
		i++;
	}
	return 0;
}

/**
 * vci_nodes_clear() - the next checkpoint uses none of today's nodes
 * @n: node area
 */
void vci_nodes_clear(struct vci_nodes *n)
{
	u32 i;

	memset(n->map.data, 0, map_bytes(n));
	n->nr_live = 0;
	for (i = 0; i < n->map.nr_pages; i++)
		vci_shadow_dirty(&n->map, i * VCI_PAGE_PAYLOAD);
}

/**
 * vci_nodes_commit() - the header has switched to the checkpoint in the making
 * @n: node area
 *
 * Caller's lock excludes the others.
 */
void vci_nodes_commit(struct vci_nodes *n)
{
	u32 i;

	memcpy(n->committed, n->map.data, map_bytes(n));
	n->nr_committed = n->nr_live;
	n->in_checkpoint = false;
	for (i = 0; i < n->nr; i++)
		if (vci_bitmap_test(n->freed, i))
			drop(n, i);
	memset(n->freed, 0, map_bytes(n));
}

/**
 * vci_nodes_abort() - the checkpoint in the making is given up
 * @n: node area
 *
 * What it took is free again.  Caller's lock excludes the others.
 */
void vci_nodes_abort(struct vci_nodes *n)
{
	size_t i;

	for (i = 0; i < map_bytes(n); i++)
		n->map.data[i] &= n->committed[i] & ~n->freed[i];
	for (i = 0; i < n->map.nr_pages; i++)
		vci_shadow_dirty(&n->map, i * VCI_PAGE_PAYLOAD);
	n->nr_live = vci_bitmap_weight(n->map.data, n->nr);
	n->in_checkpoint = false;
	memset(n->freed, 0, map_bytes(n));
}
