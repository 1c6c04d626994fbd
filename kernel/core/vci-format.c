// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making a new image.
 *
 * Order of writes, so that an interrupted format never looks like an image:
 *  1 zeros over the header unit and both backup headers, the old image's and
 *    the new one's; flush: from here on there is no image
 *  2 bitmap, intent map, shadow pages, root node; flush
 *  3 static header, backup header; flush
 *  4 block 0, with FUA: now there is one
 *
 * The second slot of each shadow page is zeroed, and so is everything else that
 * a reader may look at before somebody has written it.
 */
#include "vci-format.h"

#define FORMAT_GEN		1u	/* first checkpoint, first header write */
#define FORMAT_CHUNK_UNITS	64u	/* bitmap blocks are written in runs */
#define FORMAT_CHUNK_BLOCKS	(FORMAT_CHUNK_UNITS * VCI_UNIT_BLOCKS)
#define FORMAT_CHUNK_SIZE	(FORMAT_CHUNK_UNITS * VCI_UNIT_SIZE)

struct format {
	struct vci_dev *dev;
	const struct vci_format_params *p;
	struct vci_header h;
	u64 done, total;	/* blocks, for the progress callback */
	u8 *buf;		/* FORMAT_CHUNK_SIZE bytes */
};

/* ---- the plan --------------------------------------------------------- */

/* All pages are of the first checkpoint. */
static u32 plan_pages_crc(const struct vci_header *h)
{
	u32 blocks = h->segtable.blocks + h->nodemap.blocks + h->info.blocks;
	u32 i, crc = ~0u;

	for (i = 0; i < blocks / VCI_PAGE_BLOCKS; i++)
		crc = vci_page_gen_crc(crc, FORMAT_GEN);
	return crc;
}

/**
 * vci_format_plan() - what the header of a new image will be
 * @p: what is wanted
 * @device_blocks: size of the device
 * @h: overwritten
 * @why: receives a constant string if -EINVAL is returned
 *
 * Return: 0, or -EINVAL.
 */
int vci_format_plan(const struct vci_format_params *p, u64 device_blocks,
		    struct vci_header *h, const char **why)
{
	struct vci_layout_params layout = p->layout;
	int err;

	if (!layout.blocks)
		layout.blocks = device_blocks;
	if (layout.blocks > device_blocks) {
		*why = "the cache device is smaller than the size that was asked for";
		return -EINVAL;
	}
	if (p->label && strnlen(p->label, VCI_LABEL_SIZE + 1) > VCI_LABEL_SIZE) {
		*why = "the label is longer than 64 bytes";
		return -EINVAL;
	}
	memset(h, 0, sizeof(*h));
	err = vci_layout(&layout, h, why);
	if (err)
		return err;
	memcpy(h->uuid, p->uuid, sizeof(h->uuid));
	memcpy(h->modification_uuid, p->modification_uuid,
	       sizeof(h->modification_uuid));
	h->incompat = VCI_INCOMPAT_EXPERIMENTAL;
	h->root = h->nodes.addr;
	h->write_gen = FORMAT_GEN;
	h->checkpoint_gen = FORMAT_GEN;
	h->pages_crc = plan_pages_crc(h);
	vci_header_clear_log(h);
	return 0;
}

/* ---- writing ---------------------------------------------------------- */

static int format_write(struct format *f, u64 addr, u32 blocks)
{
	int err;

	err = vci_write(f->dev, addr, blocks, f->buf, 0);
	if (err)
		return err;
	f->done += blocks;
	if (f->p->progress)
		f->p->progress(f->p->ctx, f->done, f->total);
	return 0;
}

static int format_zero_unit(struct format *f, u64 addr)
{
	memset(f->buf, 0, VCI_UNIT_SIZE);
	return format_write(f, addr, VCI_UNIT_BLOCKS);
}

/* Where an image that is on the device has its backup; 0 if there is none. */
static int format_old_backup(struct format *f, u64 *addr)
{
	struct vci_header old;
	int err;

	*addr = 0;
	err = vci_read(f->dev, 0, VCI_UNIT_BLOCKS, f->buf);
	if (err)
		return err;
	if (!vci_header_check(f->buf, f->dev->blocks, &old, NULL))
		*addr = vci_header_backup_addr(old.blocks);
	return 0;
}

static int format_invalidate(struct format *f)
{
	u64 backup = vci_header_backup_addr(f->h.blocks);
	u64 old_backup;
	int err;

	err = format_old_backup(f, &old_backup);
	if (err)
		return err;
	err = format_zero_unit(f, 0);
	if (!err)
		err = format_zero_unit(f, backup);
	if (!err && old_backup && old_backup != backup) {
		f->total += VCI_UNIT_BLOCKS;
		err = format_zero_unit(f, old_backup);
	}
	if (err)
		return err;
	return vci_flush(f->dev);
}

/* ---- bitmap ----------------------------------------------------------- */

/* Sets those bits of [@first, @first + @nbits) that [@addr, + @blocks) covers. */
static void bits_mark(u8 *bits, u64 first, u64 nbits, u64 addr, u64 blocks)
{
	u64 start = max(addr, first);
	u64 end = min(addr + blocks, first + nbits);

	if (start < end)
		vci_bitmap_set(bits, start - first, end - start);
}

/* Builds @blocks blocks of bits from the @from-th one. */
static void bits_fill(const struct vci_header *h, u8 *bits, u64 from, u32 blocks)
{
	u64 first = from * VCI_BITS_PER_BLOCK;
	u64 nbits = (u64)blocks * VCI_BITS_PER_BLOCK;
	struct vci_area a;
	unsigned int i;

	memset(bits, 0, blocks * VCI_BLOCK_SIZE);
	for (i = 0; vci_layout_fixed(h, i, &a); i++)
		bits_mark(bits, first, nbits, a.addr, a.blocks);
	bits_mark(bits, first, nbits, h->root, VCI_NODE_BLOCKS);
}

static void bits_count(const struct vci_header *h, struct vci_bitmap_info *info)
{
	struct vci_area a;
	unsigned int i;

	info->managed = h->blocks;
	info->metadata = VCI_NODE_BLOCKS;
	for (i = 0; vci_layout_fixed(h, i, &a); i++)
		info->metadata += a.blocks;
	info->data = 0;
	info->free = info->managed - info->metadata;
}

/* Bits in the run of blocks that begins with the @at-th of the bitmap's area. */
static u32 bits_run(const struct vci_header *h, u32 at)
{
	return min_t(u32, h->bitmap_blocks - at, FORMAT_CHUNK_BLOCKS);
}

/* The area's first block is the header: it is written with the first bits. */
static int format_bitmap_head(struct format *f, const struct vci_bitmap_info *info)
{
	u32 run = bits_run(&f->h, 0);

	memset(f->buf, 0, FORMAT_CHUNK_SIZE);
	vci_bitmap_seal(f->buf, info);
	bits_fill(&f->h, f->buf + VCI_BLOCK_SIZE, 0, run - 1);
	return format_write(f, f->h.bitmap, round_up(run, VCI_UNIT_BLOCKS));
}

/* Returns the checksum of the bits in the first run, which is written last. */
static u32 format_bitmap_head_crc(struct format *f)
{
	u32 run = bits_run(&f->h, 0);

	bits_fill(&f->h, f->buf, 0, run - 1);
	return crc32c(~0u, f->buf, (run - 1) * VCI_BLOCK_SIZE);
}

static int format_bitmap(struct format *f)
{
	struct vci_bitmap_info info;
	u32 at, run;
	int err;

	bits_count(&f->h, &info);
	info.ext_crc = format_bitmap_head_crc(f);
	for (at = FORMAT_CHUNK_BLOCKS; at < f->h.bitmap_blocks; at += run) {
		run = bits_run(&f->h, at);
		memset(f->buf, 0, FORMAT_CHUNK_SIZE);
		bits_fill(&f->h, f->buf, at - 1, run);
		info.ext_crc = crc32c(info.ext_crc, f->buf, run * VCI_BLOCK_SIZE);
		err = format_write(f, f->h.bitmap + at, round_up(run, VCI_UNIT_BLOCKS));
		if (err)
			return err;
		cond_resched();
	}
	return format_bitmap_head(f, &info);
}

/* ---- the other areas -------------------------------------------------- */

static int format_intent(struct format *f)
{
	const struct vci_area *a = &f->h.intent;
	u32 i;

	memset(f->buf, 0, a->blocks * VCI_BLOCK_SIZE);
	for (i = 0; i < a->blocks; i++)
		vci_intent_seal(f->buf + i * VCI_BLOCK_SIZE, f->h.uuid, a->addr + i, i);
	return format_write(f, a->addr, a->blocks);
}

/* Page @index of an area in its first slot, its payload's first byte is @first. */
static int format_page(struct format *f, const struct vci_area *a, u32 index, u8 first)
{
	u64 addr = a->addr + (u64)index * VCI_PAGE_BLOCKS;
	struct vci_page_disk *page = (void *)f->buf;

	memset(f->buf, 0, 2 * VCI_UNIT_SIZE);
	page->payload[0] = first;
	vci_page_seal(page, f->h.uuid, addr, index, FORMAT_GEN);
	return format_write(f, addr, VCI_PAGE_BLOCKS);
}

static int format_pages(struct format *f, const struct vci_area *a, u8 first)
{
	u32 i;
	int err;

	for (i = 0; i < a->blocks / VCI_PAGE_BLOCKS; i++) {
		err = format_page(f, a, i, i ? 0 : first);
		if (err)
			return err;
	}
	return 0;
}

static int format_root(struct format *f)
{
	vci_node_init(f->buf, VCI_NODE_INTERNAL);
	vci_node_seal(f->buf, f->h.uuid, f->h.root, FORMAT_GEN);
	return format_write(f, f->h.root, VCI_NODE_BLOCKS);
}

static int format_areas(struct format *f)
{
	int err;

	/* All segments are free, so that the segment table is zeros. */
	static_assert(VCI_SEG_FREE == 0);

	err = format_bitmap(f);
	if (!err)
		err = format_intent(f);
	if (!err)
		err = format_pages(f, &f->h.segtable, 0);
	if (!err)
		err = format_pages(f, &f->h.nodemap, 1);	/* the root's bit */
	if (!err)
		err = format_pages(f, &f->h.info, 0);
	if (!err)
		err = format_root(f);
	if (err)
		return err;
	return vci_flush(f->dev);
}

static int format_headers(struct format *f)
{
	u8 *block_1 = f->buf + VCI_BLOCK_SIZE;
	int err;

	memset(f->buf, 0, VCI_UNIT_SIZE);
	vci_static_seal(f->p->label ? f->p->label : "", f->p->format_time, block_1);
	err = format_write(f, 0, VCI_UNIT_BLOCKS);
	if (err)
		return err;
	vci_header_seal(&f->h, f->buf);
	err = format_write(f, vci_header_backup_addr(f->h.blocks), VCI_UNIT_BLOCKS);
	if (!err)
		err = vci_flush(f->dev);
	if (err)
		return err;
	return vci_write(f->dev, 0, f->dev->lbs_blocks, f->buf, VCI_IO_FUA);
}

/* What is written by the way of format_write(), except over an old backup. */
static u64 format_total(const struct vci_header *h)
{
	return 5 * VCI_UNIT_BLOCKS + round_up((u64)h->bitmap_blocks, VCI_UNIT_BLOCKS) +
	       h->intent.blocks + h->segtable.blocks + h->nodemap.blocks +
	       h->info.blocks;
}

/**
 * vci_format() - make a new image
 * @dev: where; what is on it is lost
 * @p: what is wanted
 * @out: receives the new header, may be NULL
 *
 * Context: may sleep.
 * Return: 0; -EINVAL what is wanted can't be, and a message says why;
 * -ENOMEM; or an error of the device, after which there is no image on it.
 */
int vci_format(struct vci_dev *dev, const struct vci_format_params *p,
	       struct vci_header *out)
{
	struct format *f;
	const char *why;
	int err;

	f = kzalloc(sizeof(*f), GFP_KERNEL);
	if (!f)
		return -ENOMEM;
	err = vci_format_plan(p, dev->blocks, &f->h, &why);
	if (err) {
		vci_err("%s: %s", dev->name, why);
		goto out_free;
	}
	err = -ENOMEM;
	f->buf = kvmalloc(FORMAT_CHUNK_SIZE, GFP_KERNEL);
	if (!f->buf)
		goto out_free;
	f->dev = dev;
	f->p = p;
	f->total = format_total(&f->h);
	err = format_invalidate(f);
	if (!err)
		err = format_areas(f);
	if (!err)
		err = format_headers(f);
	if (!err && out)
		*out = f->h;
	kvfree(f->buf);
out_free:
	kfree(f);
	return err;
}
