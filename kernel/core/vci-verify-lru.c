// SPDX-License-Identifier: GPL-2.0-only
/*
 * The LRU list of a cleanly closed image: one doubly linked list over all
 * extents, most recent first, its ends named in the header.
 *
 * Extents are collected by the tree walk, in any order, and sorted by the
 * address of their data, which is their name in the list.
 */
#include "vci-verify-internal.h"

#define LINKS_FIRST	1024u

/**
 * vci_verify_lru_add() - note an extent's links
 * @v: the walk
 * @addr: address of its data
 * @prev: the link to the more recent one
 * @next: the link to the less recent one
 *
 * Return: 0 or -ENOMEM.
 */
int vci_verify_lru_add(struct verify *v, u64 addr, u64 prev, u64 next)
{
	struct verify_link *more;
	u64 max = v->max_links ? 2 * v->max_links : LINKS_FIRST;

	if (v->nr_links == v->max_links) {
		more = kvmalloc_array(max, sizeof(*more), GFP_KERNEL);
		if (!more)
			return -ENOMEM;
		if (v->nr_links)
			memcpy(more, v->links, v->nr_links * sizeof(*more));
		kvfree(v->links);
		v->links = more;
		v->max_links = max;
	}
	v->links[v->nr_links++] = (struct verify_link) { addr, prev, next };
	return 0;
}

static int link_compare(const void *a, const void *b)
{
	const struct verify_link *l = a, *r = b;

	if (l->addr == r->addr)
		return 0;
	return l->addr < r->addr ? -1 : 1;
}

static const struct verify_link *link_find(const struct verify *v, u64 addr)
{
	u64 low = 0, high = v->nr_links;

	while (low < high) {
		u64 mid = low + (high - low) / 2;

		if (v->links[mid].addr == addr)
			return &v->links[mid];
		if (v->links[mid].addr < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* Follows the list from its head; returns how many extents it holds. */
static u64 lru_walk(struct verify *v)
{
	u64 steps = 0, before = 0, here = v->h->lru_head;
	const struct verify_link *l;

	while (here && steps < v->nr_links) {
		l = link_find(v, here);
		if (!l) {
			vci_verify_report(v, VCI_DMG_LRU_LINK, before, here, 0);
			return steps;
		}
		if (l->prev != before) {
			vci_verify_report(v, VCI_DMG_LRU_LINK, here, l->prev, before);
			return steps;
		}
		steps++;
		before = here;
		here = l->next;
	}
	if (here)
		vci_verify_report(v, VCI_DMG_LRU_LINK, before, here, 0);
	else if (before != v->h->lru_tail)
		vci_verify_report(v, VCI_DMG_LRU_LINK, before, v->h->lru_tail, before);
	return steps;
}

/**
 * vci_verify_lru() - judge the list
 * @v: the walk, all extents noted
 */
void vci_verify_lru(struct verify *v)
{
	u64 steps;

	sort(v->links, v->nr_links, sizeof(*v->links), link_compare, NULL);
	steps = lru_walk(v);
	if (steps != v->nr_links)
		vci_verify_report(v, VCI_DMG_LRU_LENGTH, v->h->lru_head, steps,
				  v->nr_links);
}
