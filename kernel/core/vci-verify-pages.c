// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shadow-paged areas of an image: of each page the slot that counts, then
 * what it says against what the tree says.
 */
#include "vci-verify-internal.h"

/*
 * Reads page @index of an area into v->buf; *@page: its slot that counts, NULL
 * if there is none; *@newest: its generation, 0 then.  That the other one is
 * damaged or of an unfinished checkpoint is how shadow pages are.
 */
static int page_find(struct verify *v, const struct vci_area *a, u32 index,
		     const struct vci_page_disk **page, u64 *newest)
{
	u64 addr = a->addr + (u64)index * VCI_PAGE_BLOCKS, gen;
	unsigned int slot;
	int err;

	*page = NULL;
	*newest = 0;
	err = vci_read(v->p->dev, addr, VCI_PAGE_BLOCKS, v->buf);
	if (err)
		return err;
	for (slot = 0; slot < 2; slot++) {
		const void *candidate = v->buf + slot * VCI_UNIT_SIZE;

		if (vci_page_check(candidate, v->h->uuid,
				   addr + slot * VCI_UNIT_BLOCKS, index,
				   v->h->checkpoint_gen, &gen, NULL) || gen <= *newest)
			continue;
		*newest = gen;
		*page = candidate;
	}
	return 0;
}

/* The same, where none is a finding. */
static int page_read(struct verify *v, const struct vci_area *a, u32 index,
		     const struct vci_page_disk **page)
{
	u64 gen;
	int err = page_find(v, a, index, page, &gen);

	if (!err && !*page)
		vci_verify_report(v, VCI_DMG_PAGE_LOST,
				  a->addr + (u64)index * VCI_PAGE_BLOCKS, 0, 0);
	return err;
}

/* ---- generations ------------------------------------------------------ */

/* *@lost: a page has no slot that counts. */
static int area_gens_crc(struct verify *v, const struct vci_area *a, u32 *crc,
			 bool *lost)
{
	const struct vci_page_disk *page;
	u64 gen;
	u32 i;
	int err;

	for (i = 0; i < a->blocks / VCI_PAGE_BLOCKS; i++) {
		err = page_find(v, a, i, &page, &gen);
		if (err)
			return err;
		*lost |= !page;
		*crc = vci_page_gen_crc(*crc, gen);
	}
	return 0;
}

/**
 * vci_verify_page_gens() - are the pages that count those the header relied on?
 * @v: the walk
 *
 * If they aren't, the newer slot of a page is damaged, and the older one looks
 * as if it counted.  A page without any is told when it is read.
 *
 * Return: 0, or an error of the device.
 */
int vci_verify_page_gens(struct verify *v)
{
	const struct vci_header *h = v->h;
	bool lost = false;
	u32 crc = ~0u;
	int err;

	err = area_gens_crc(v, &h->segtable, &crc, &lost);
	if (!err)
		err = area_gens_crc(v, &h->nodemap, &crc, &lost);
	if (!err)
		err = area_gens_crc(v, &h->info, &crc, &lost);
	if (!err && !lost && crc != h->pages_crc)
		vci_verify_report(v, VCI_DMG_PAGE_LOST, h->segtable.addr, crc,
				  h->pages_crc);
	return err;
}

/* ---- node map --------------------------------------------------------- */

/**
 * vci_verify_load_nodemap() - read the node map
 * @v: the walk
 *
 * Return: 0, also if pages are lost; -ENOMEM, or an error of the device.
 */
int vci_verify_load_nodemap(struct verify *v)
{
	u32 pages = v->h->nodemap.blocks / VCI_PAGE_BLOCKS;
	const struct vci_page_disk *page;
	bool lost = false;
	int err = 0;
	u32 i;

	v->nodemap = kvcalloc(pages, VCI_PAGE_PAYLOAD, GFP_KERNEL);
	if (!v->nodemap)
		return -ENOMEM;
	for (i = 0; i < pages && !err; i++) {
		err = page_read(v, &v->h->nodemap, i, &page);
		if (!err && page)
			memcpy(v->nodemap + (size_t)i * VCI_PAGE_PAYLOAD,
			       page->payload, VCI_PAGE_PAYLOAD);
		else
			lost = true;
	}
	if (lost) {
		kvfree(v->nodemap);
		v->nodemap = NULL;
	}
	return err;
}

/**
 * vci_verify_nodemap() - compare the node map with the nodes that are reached
 * @v: the walk, tree done
 */
void vci_verify_nodemap(struct verify *v)
{
	u32 units = v->h->nodes.blocks / VCI_NODE_BLOCKS;
	u64 bits = (u64)v->h->nodemap.blocks / VCI_PAGE_BLOCKS * VCI_NODES_PER_PAGE;
	u64 addr, i;
	bool found, expected;

	if (!v->nodemap)
		return;
	for (i = 0; i < bits; i++) {
		addr = v->h->nodes.addr + i * VCI_NODE_BLOCKS;
		found = vci_bitmap_test(v->nodemap, i);
		expected = i < units && vci_bitmap_test(v->used, addr);
		if (found != expected)
			vci_verify_report(v, VCI_DMG_NODEMAP, addr, found, expected);
	}
}

/* ---- segment table ---------------------------------------------------- */

static void segments_compare(struct verify *v, const struct vci_page_disk *page,
			     u32 first, u32 nr)
{
	const struct vci_segment_disk *s = (const void *)page->payload;
	u32 i, live;

	for (i = 0; i < nr; i++) {
		live = le32_to_cpu(s[i].live_blocks);
		if (live != v->live[first + i])
			vci_verify_report(v, VCI_DMG_SEG_LIVE, v->h->segments +
					  (u64)(first + i) * v->h->segment_blocks,
					  live, v->live[first + i]);
	}
}

/**
 * vci_verify_segments() - judge the segment table
 * @v: the walk, tree done; live counts are exact after a clean close
 *
 * Return: 0, or an error of the device.
 */
int vci_verify_segments(struct verify *v)
{
	u32 pages = v->h->segtable.blocks / VCI_PAGE_BLOCKS;
	const struct vci_page_disk *page;
	struct vci_damage dmg;
	u32 i, first, nr;
	int err;

	for (i = 0; i < pages; i++) {
		first = min_t(u32, i * VCI_SEGMENTS_PER_PAGE, v->h->nr_segments);
		nr = min_t(u32, v->h->nr_segments - first, VCI_SEGMENTS_PER_PAGE);
		err = page_read(v, &v->h->segtable, i, &page);
		if (err)
			return err;
		if (!page)
			continue;
		if (vci_segpage_check(page, nr, v->h->segment_blocks, &dmg))
			vci_verify_found(v, &dmg);
		else if (v->r->clean && !v->incomplete)
			segments_compare(v, page, first, nr);
	}
	return 0;
}

/* ---- info ------------------------------------------------------------- */

/**
 * vci_verify_info() - judge the fingerprint's page
 * @v: the walk
 *
 * Return: 0, or an error of the device.
 */
int vci_verify_info(struct verify *v)
{
	const struct vci_page_disk *page;
	struct vci_damage dmg;
	int err;

	err = page_read(v, &v->h->info, 0, &page);
	if (err)
		return err;
	if (page && vci_info_check(page, v->h->backing_blocks, &dmg))
		vci_verify_found(v, &dmg);
	return 0;
}
