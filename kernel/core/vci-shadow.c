// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow-paged areas: see vci-shadow.h.
 */
#include "vci-shadow.h"

#define LOAD_PAGES	32u	/* read at once, both slots of each: 256 KiB */

static u64 page_addr(const struct vci_shadow *s, u32 page, bool slot)
{
	return s->area.addr + (2ull * page + slot) * VCI_UNIT_BLOCKS;
}

/**
 * vci_shadow_init() - allocate the memory of a shadow-paged area
 * @s: to set up
 * @area: where it lies in the image, two units a page
 *
 * May sleep.  Return: 0 or -ENOMEM; vci_shadow_destroy() undoes both.
 */
int vci_shadow_init(struct vci_shadow *s, const struct vci_area *area)
{
	size_t longs;

	memset(s, 0, sizeof(*s));
	s->area = *area;
	s->nr_pages = area->blocks / (2 * VCI_UNIT_BLOCKS);
	longs = BITS_TO_LONGS(s->nr_pages);
	s->data = kvcalloc(s->nr_pages, VCI_PAGE_PAYLOAD, GFP_KERNEL);
	s->frozen = kvcalloc(s->nr_pages, VCI_PAGE_PAYLOAD, GFP_KERNEL);
	s->dirty = kvcalloc(longs, sizeof(long), GFP_KERNEL);
	s->writing = kvcalloc(longs, sizeof(long), GFP_KERNEL);
	s->slot = kvcalloc(longs, sizeof(long), GFP_KERNEL);
	s->gen = kvcalloc(s->nr_pages, sizeof(*s->gen), GFP_KERNEL);
	if (s->data && s->frozen && s->dirty && s->writing && s->slot && s->gen)
		return 0;
	vci_shadow_destroy(s);
	return -ENOMEM;
}

/**
 * vci_shadow_destroy() - free the memory of a shadow-paged area
 * @s: a zeroed or initialised area
 */
void vci_shadow_destroy(struct vci_shadow *s)
{
	kvfree(s->data);
	kvfree(s->frozen);
	kvfree(s->dirty);
	kvfree(s->writing);
	kvfree(s->slot);
	kvfree(s->gen);
	memset(s, 0, sizeof(*s));
}

/*
 * Of both slots of a page in @buf, takes the newer valid one.  The other one may be
 * of a checkpoint that was not completed, whose generation the next one will
 * use: it is written over then, or its page would count as the newer.
 */
static int load_page(struct vci_shadow *s, const u8 *uuid, u32 i, u64 max_gen,
		     const u8 *buf, struct vci_damage *dmg)
{
	struct vci_damage unused;
	u64 gen, best = 0;
	unsigned int slot;
	int r;

	for (slot = 0; slot < 2; slot++) {
		const struct vci_page_disk *p = (const void *)(buf + slot * VCI_UNIT_SIZE);

		r = vci_page_check(p, uuid, page_addr(s, i, slot), i, max_gen, &gen,
				   &unused);
		if (r == -ENOTBLK && unused.number == VCI_DMG_PAGE_GEN)
			__set_bit(i, s->dirty);
		if (r || gen <= best)
			continue;
		best = gen;
		memcpy(s->data + (size_t)i * VCI_PAGE_PAYLOAD, p->payload,
		       VCI_PAGE_PAYLOAD);
		if (slot)
			__set_bit(i, s->slot);
		else
			__clear_bit(i, s->slot);
	}
	if (!best)
		return vci_damaged(dmg, VCI_DMG_PAGE_LOST, page_addr(s, i, 0), 0, 0,
				   -EILSEQ);
	s->gen[i] = best;
	return 0;
}

/**
 * vci_shadow_load() - read the pages of the last checkpoint
 * @s: initialised area
 * @dev: cache device
 * @uuid: of the image
 * @max_gen: the header's checkpoint_gen; newer pages are of an unfinished one
 * @dmg: what is wrong, if -EILSEQ
 *
 * That none of the pages is older than it should be is told by
 * vci_shadow_gens_crc() of all areas alone.
 *
 * May sleep.  Return: 0, -EILSEQ, -ENOMEM or the device's error.
 */
int vci_shadow_load(struct vci_shadow *s, struct vci_dev *dev, const u8 *uuid,
		    u64 max_gen, struct vci_damage *dmg)
{
	const size_t bytes = VCI_PAGE_BLOCKS * VCI_BLOCK_SIZE;
	u8 *buf = kvmalloc(min(s->nr_pages, LOAD_PAGES) * bytes, GFP_KERNEL);
	int r = buf ? 0 : -ENOMEM;
	u32 i, k, nr;

	for (i = 0; !r && i < s->nr_pages; i += nr) {
		nr = min(s->nr_pages - i, LOAD_PAGES);
		r = vci_read(dev, page_addr(s, i, 0), nr * VCI_PAGE_BLOCKS, buf);
		for (k = 0; !r && k < nr; k++)
			r = load_page(s, uuid, i + k, max_gen, buf + k * bytes, dmg);
	}
	kvfree(buf);
	return r;
}

/**
 * vci_shadow_dirty() - note that the page of a byte changed
 * @s: area
 * @byte: offset in s->data
 *
 * The caller's lock excludes vci_shadow_freeze().
 */
void vci_shadow_dirty(struct vci_shadow *s, u32 byte)
{
	__set_bit(byte / VCI_PAGE_PAYLOAD, s->dirty);
}

/**
 * vci_shadow_freeze() - take the table as it is now for the checkpoint
 * @s: area
 *
 * The caller's lock excludes changes.
 */
void vci_shadow_freeze(struct vci_shadow *s)
{
	unsigned long i;

	for (i = find_next_bit(s->dirty, s->nr_pages, 0); i < s->nr_pages;
	     i = find_next_bit(s->dirty, s->nr_pages, i + 1)) {
		memcpy(s->frozen + i * VCI_PAGE_PAYLOAD,
		       s->data + i * VCI_PAGE_PAYLOAD, VCI_PAGE_PAYLOAD);
		__set_bit(i, s->writing);
		__clear_bit(i, s->dirty);
	}
}

/**
 * vci_shadow_write() - write the frozen pages to their unused slots
 * @s: area
 * @dev: cache device
 * @uuid: of the image
 * @gen: of the checkpoint in progress
 *
 * May sleep.  Durable with the next flush.  Return: 0, -ENOMEM or the device's
 * error, after which the checkpoint must not be completed.
 */
int vci_shadow_write(struct vci_shadow *s, struct vci_dev *dev, const u8 *uuid,
		     u64 gen)
{
	struct vci_page_disk *p = kvzalloc(sizeof(*p), GFP_NOIO);
	unsigned long i;
	int r = 0;

	if (!p)
		return -ENOMEM;
	s->writing_gen = gen;
	for (i = find_next_bit(s->writing, s->nr_pages, 0); i < s->nr_pages && !r;
	     i = find_next_bit(s->writing, s->nr_pages, i + 1)) {
		u64 addr = page_addr(s, i, !test_bit(i, s->slot));

		memcpy(p->payload, s->frozen + i * VCI_PAGE_PAYLOAD,
		       VCI_PAGE_PAYLOAD);
		vci_page_seal(p, uuid, addr, i, gen);
		r = vci_write(dev, addr, VCI_UNIT_BLOCKS, p, 0);
	}
	kvfree(p);
	return r;
}

/**
 * vci_shadow_gens_crc() - add the area's pages to the header's pages_crc
 * @s: area, loaded or written; pages of the checkpoint in progress count as new
 * @crc: of the areas before it; ~0u if it is the first
 *
 * Return: the checksum with it.
 */
u32 vci_shadow_gens_crc(const struct vci_shadow *s, u32 crc)
{
	u32 i;

	for (i = 0; i < s->nr_pages; i++)
		crc = vci_page_gen_crc(crc, test_bit(i, s->writing) ? s->writing_gen :
				       s->gen[i]);
	return crc;
}

/**
 * vci_shadow_commit() - the header has switched: the new slots are in use
 * @s: area
 */
void vci_shadow_commit(struct vci_shadow *s)
{
	unsigned long i;

	for (i = find_next_bit(s->writing, s->nr_pages, 0); i < s->nr_pages;
	     i = find_next_bit(s->writing, s->nr_pages, i + 1)) {
		if (test_bit(i, s->slot))
			__clear_bit(i, s->slot);
		else
			__set_bit(i, s->slot);
		s->gen[i] = s->writing_gen;
		__clear_bit(i, s->writing);
	}
}
