// SPDX-License-Identifier: GPL-2.0-only
/*
 * Codec of the header: block 0, which changes at run time and is atomic, and
 * block 1, which vci-format alone writes.
 *
 * What follows from a header that passed:
 *  I1 every area lies in the image, starts on a unit, and overlaps no other
 *  I2 every area is large enough for what the geometry puts into it
 *  I3 no arithmetic on addresses and sizes of the areas can overflow
 *  I4 fields that are not in use, and reserved bytes, are zero
 */
#include "vci-codec.h"

#define HEADER_AREAS		9u
#define HEADER_CRC_BYTES	offsetof(struct vci_header_disk, crc)
#define STATIC_CRC_BYTES	offsetof(struct vci_static_disk, crc)

/* ---- decoding --------------------------------------------------------- */

static void area_decode(const struct vci_area_disk *d, struct vci_area *a)
{
	a->addr = le64_to_cpu(d->addr);
	a->blocks = le32_to_cpu(d->blocks);
}

static void header_decode_v1(const struct vci_header_disk *d, struct vci_header *h)
{
	h->blocks = le64_to_cpu(d->blocks);
	h->unclean = d->unclean;
	h->type = le32_to_cpu(d->type);
	h->root = le64_to_cpu(d->root);
	h->bitmap = le64_to_cpu(d->bitmap);
	h->bitmap_blocks = le32_to_cpu(d->bitmap_blocks);
	memcpy(h->uuid, d->uuid, sizeof(h->uuid));
	memcpy(h->modification_uuid, d->modification_uuid,
	       sizeof(h->modification_uuid));
}

static void header_decode_geometry(const struct vci_header_disk *d,
				   struct vci_header *h)
{
	h->backing_blocks = le64_to_cpu(d->backing_blocks);
	memcpy(h->backing_id, d->backing_id, sizeof(h->backing_id));
	h->unit_blocks = le32_to_cpu(d->unit_blocks);
	h->segment_blocks = le32_to_cpu(d->segment_blocks);
	h->nr_segments = le32_to_cpu(d->nr_segments);
	h->region_blocks_log2 = le32_to_cpu(d->region_blocks_log2);
	area_decode(&d->intent, &h->intent);
	area_decode(&d->segtable, &h->segtable);
	area_decode(&d->nodemap, &h->nodemap);
	area_decode(&d->info, &h->info);
	area_decode(&d->nodes, &h->nodes);
	h->segments = le64_to_cpu(d->segments);
}

static void header_decode_state(const struct vci_header_disk *d,
				struct vci_header *h)
{
	unsigned int i;

	h->compat = le32_to_cpu(d->compat);
	h->ro_compat = le32_to_cpu(d->ro_compat);
	h->incompat = le32_to_cpu(d->incompat);
	h->flags = le32_to_cpu(d->flags);
	h->write_gen = le64_to_cpu(d->write_gen);
	h->checkpoint_gen = le64_to_cpu(d->checkpoint_gen);
	h->checkpoint_seq = le64_to_cpu(d->checkpoint_seq);
	h->durable_seq = le64_to_cpu(d->durable_seq);
	h->lru_head = le64_to_cpu(d->lru_head);
	h->lru_tail = le64_to_cpu(d->lru_tail);
	h->nr_extents = le64_to_cpu(d->nr_extents);
	h->data_blocks = le64_to_cpu(d->data_blocks);
	for (i = 0; i < VCI_STREAMS; i++) {
		h->open[i].segment = le32_to_cpu(d->open[i].segment);
		h->open[i].used = le32_to_cpu(d->open[i].used);
	}
	for (i = 0; i < VCI_QUEUE; i++)
		h->queue[i] = le32_to_cpu(d->queue[i]);
	h->nr_epochs = le32_to_cpu(d->nr_epochs);
	for (i = 0; i < VCI_EPOCHS; i++)
		h->epochs[i] = le64_to_cpu(d->epochs[i]);
	h->pages_crc = le32_to_cpu(d->pages_crc);
	h->dirty_blocks = le64_to_cpu(d->dirty_blocks);
	h->ordered_seq = le64_to_cpu(d->ordered_seq);
	h->batch_align = le32_to_cpu(d->batch_align);
}

/**
 * vci_header_clear_log() - no segment is open or named, no epoch begun
 * @h: header of an image that is clean, or new
 */
void vci_header_clear_log(struct vci_header *h)
{
	unsigned int i;

	for (i = 0; i < VCI_STREAMS; i++)
		h->open[i] = (struct vci_open_segment) { .segment = VCI_NO_SEGMENT };
	for (i = 0; i < VCI_QUEUE; i++)
		h->queue[i] = VCI_NO_SEGMENT;
	h->nr_epochs = 0;
	memset(h->epochs, 0, sizeof(h->epochs));
}

/* ---- encoding --------------------------------------------------------- */

static void area_encode(const struct vci_area *a, struct vci_area_disk *d)
{
	d->addr = cpu_to_le64(a->addr);
	d->blocks = cpu_to_le32(a->blocks);
}

static void header_encode_v1(const struct vci_header *h, struct vci_header_disk *d)
{
	d->signature = cpu_to_le32(VCI_SIGNATURE);
	d->version = cpu_to_le32(VCI_VERSION);
	d->blocks = cpu_to_le64(h->blocks);
	d->unclean = h->unclean;
	d->type = cpu_to_le32(h->type);
	d->root = cpu_to_le64(h->root);
	d->bitmap = cpu_to_le64(h->bitmap);
	d->bitmap_blocks = cpu_to_le32(h->bitmap_blocks);
	memcpy(d->uuid, h->uuid, sizeof(d->uuid));
	memcpy(d->modification_uuid, h->modification_uuid,
	       sizeof(d->modification_uuid));
}

static void header_encode_geometry(const struct vci_header *h,
				   struct vci_header_disk *d)
{
	d->backing_blocks = cpu_to_le64(h->backing_blocks);
	memcpy(d->backing_id, h->backing_id, sizeof(d->backing_id));
	d->unit_blocks = cpu_to_le32(h->unit_blocks);
	d->segment_blocks = cpu_to_le32(h->segment_blocks);
	d->nr_segments = cpu_to_le32(h->nr_segments);
	d->region_blocks_log2 = cpu_to_le32(h->region_blocks_log2);
	area_encode(&h->intent, &d->intent);
	area_encode(&h->segtable, &d->segtable);
	area_encode(&h->nodemap, &d->nodemap);
	area_encode(&h->info, &d->info);
	area_encode(&h->nodes, &d->nodes);
	d->segments = cpu_to_le64(h->segments);
}

static void header_encode_state(const struct vci_header *h,
				struct vci_header_disk *d)
{
	unsigned int i;

	d->ext_magic = cpu_to_le32(VCI_EXT_MAGIC);
	d->ext_version = cpu_to_le32(VCI_EXT_VERSION);
	d->compat = cpu_to_le32(h->compat);
	d->ro_compat = cpu_to_le32(h->ro_compat);
	d->incompat = cpu_to_le32(h->incompat);
	d->flags = cpu_to_le32(h->flags);
	d->write_gen = cpu_to_le64(h->write_gen);
	d->checkpoint_gen = cpu_to_le64(h->checkpoint_gen);
	d->checkpoint_seq = cpu_to_le64(h->checkpoint_seq);
	d->durable_seq = cpu_to_le64(h->durable_seq);
	d->lru_head = cpu_to_le64(h->lru_head);
	d->lru_tail = cpu_to_le64(h->lru_tail);
	d->nr_extents = cpu_to_le64(h->nr_extents);
	d->data_blocks = cpu_to_le64(h->data_blocks);
	for (i = 0; i < VCI_STREAMS; i++) {
		d->open[i].segment = cpu_to_le32(h->open[i].segment);
		d->open[i].used = cpu_to_le32(h->open[i].used);
	}
	for (i = 0; i < VCI_QUEUE; i++)
		d->queue[i] = cpu_to_le32(h->queue[i]);
	d->nr_epochs = cpu_to_le32(h->nr_epochs);
	for (i = 0; i < VCI_EPOCHS; i++)
		d->epochs[i] = cpu_to_le64(h->epochs[i]);
	d->pages_crc = cpu_to_le32(h->pages_crc);
	d->dirty_blocks = cpu_to_le64(h->dirty_blocks);
	d->ordered_seq = cpu_to_le64(h->ordered_seq);
	d->batch_align = cpu_to_le32(h->batch_align);
}

/**
 * vci_header_seal() - build block 0
 * @h: the header
 * @block: VCI_BLOCK_SIZE bytes, overwritten
 *
 * The caller has set every field; write_gen must have grown since the last one.
 */
void vci_header_seal(const struct vci_header *h, void *block)
{
	struct vci_header_disk *d = block;

	memset(d, 0, sizeof(*d));
	header_encode_v1(h, d);
	header_encode_geometry(h, d);
	header_encode_state(h, d);
	d->crc = cpu_to_le32(crc32c(~0u, d, HEADER_CRC_BYTES));
}

/* ---- checks, in the order in which they are made ----------------------- */

static int field_damaged(struct vci_damage *dmg, u64 found, u64 expected)
{
	return vci_damaged(dmg, VCI_DMG_HDR_FIELD, 0, found, expected, -EILSEQ);
}

static int geometry_damaged(struct vci_damage *dmg, u64 found, u64 expected)
{
	return vci_damaged(dmg, VCI_DMG_HDR_GEOMETRY, 0, found, expected, -EILSEQ);
}

/* Is this a header of ours, whole, and understood? */
static int header_check_identity(const struct vci_header_disk *d,
				 struct vci_damage *dmg)
{
	u32 crc = le32_to_cpu(d->crc);
	u32 want = crc32c(~0u, d, HEADER_CRC_BYTES);
	u32 incompat = le32_to_cpu(d->incompat);

	if (le32_to_cpu(d->signature) != VCI_SIGNATURE)
		return vci_damaged(dmg, VCI_DMG_HDR_SIGNATURE, 0,
				   le32_to_cpu(d->signature), VCI_SIGNATURE, -ENOTBLK);
	if (le32_to_cpu(d->version) != VCI_VERSION)
		return vci_damaged(dmg, VCI_DMG_HDR_VERSION, 0,
				   le32_to_cpu(d->version), VCI_VERSION, -EOPNOTSUPP);
	if (le32_to_cpu(d->ext_magic) != VCI_EXT_MAGIC)
		return vci_damaged(dmg, VCI_DMG_HDR_EXT, 0,
				   le32_to_cpu(d->ext_magic), VCI_EXT_MAGIC, -EOPNOTSUPP);
	if (le32_to_cpu(d->ext_version) != VCI_EXT_VERSION)
		return vci_damaged(dmg, VCI_DMG_HDR_EXT, 0,
				   le32_to_cpu(d->ext_version), VCI_EXT_VERSION,
				   -EOPNOTSUPP);
	if (crc != want)
		return vci_damaged(dmg, VCI_DMG_HDR_CSUM, 0, crc, want, -EILSEQ);
	if (incompat & ~VCI_INCOMPAT_KNOWN)
		return vci_damaged(dmg, VCI_DMG_HDR_INCOMPAT, 0, incompat,
				   VCI_INCOMPAT_KNOWN, -EOPNOTSUPP);
	return 0;
}

static int header_check_size(const struct vci_header *h, u64 device_blocks,
			     struct vci_damage *dmg)
{
	if (!h->blocks || h->blocks % VCI_SIZE_GRAIN || h->blocks > VCI_ADDR_MAX ||
	    h->blocks > device_blocks)
		return vci_damaged(dmg, VCI_DMG_HDR_SIZE, 0, h->blocks,
				   device_blocks, -EILSEQ);
	if (h->type != VCI_TYPE_DYNAMIC && h->type != VCI_TYPE_FIXED)
		return vci_damaged(dmg, VCI_DMG_HDR_TYPE, 0, h->type,
				   VCI_TYPE_FIXED, -EILSEQ);
	return 0;
}

/* Bytes that hold nothing. */
static int header_check_zeros(const struct vci_header_disk *d,
			      struct vci_damage *dmg)
{
	const u8 *unused;

	if (memchr_inv(d->pad, 0, sizeof(d->pad)) ||
	    memchr_inv(d->reserved, 0, sizeof(d->reserved)))
		return field_damaged(dmg, 0, 0);
	if (le32_to_cpu(d->nr_epochs) > VCI_EPOCHS)
		return field_damaged(dmg, le32_to_cpu(d->nr_epochs), VCI_EPOCHS);
	unused = (const u8 *)&d->epochs[le32_to_cpu(d->nr_epochs)];
	if (memchr_inv(unused, 0, (const u8 *)&d->epochs[VCI_EPOCHS] - unused))
		return field_damaged(dmg, 0, 0);
	return 0;
}

/* Sizes of things: I2. Their places are not looked at yet. */
static int header_check_sizes(const struct vci_header *h, struct vci_damage *dmg)
{
	u32 pages;

	if (h->unit_blocks != VCI_UNIT_BLOCKS)
		return field_damaged(dmg, h->unit_blocks, VCI_UNIT_BLOCKS);
	if (!h->batch_align || h->batch_align > VCI_UNIT_BLOCKS ||
	    h->batch_align & (h->batch_align - 1))
		return field_damaged(dmg, h->batch_align, VCI_UNIT_BLOCKS);
	if (h->segment_blocks < VCI_SEGMENT_BLOCKS_MIN ||
	    h->segment_blocks > VCI_SEGMENT_BLOCKS_MAX ||
	    h->segment_blocks & (h->segment_blocks - 1))
		return field_damaged(dmg, h->segment_blocks, VCI_SEGMENT_BLOCKS_MIN);
	if (!h->nr_segments || h->nr_segments > VCI_SEGMENTS_MAX)
		return field_damaged(dmg, h->nr_segments, VCI_SEGMENTS_MAX);
	if (h->bitmap_blocks != 1 + h->blocks / VCI_SIZE_GRAIN)
		return geometry_damaged(dmg, h->bitmap_blocks,
					1 + h->blocks / VCI_SIZE_GRAIN);
	if (!h->intent.blocks || h->intent.blocks % VCI_UNIT_BLOCKS ||
	    h->intent.blocks > VCI_INTENT_BLOCKS_MAX)
		return geometry_damaged(dmg, h->intent.blocks, VCI_INTENT_BLOCKS_MAX);
	pages = DIV_ROUND_UP(h->nr_segments, VCI_SEGMENTS_PER_PAGE);
	if (h->segtable.blocks % VCI_PAGE_BLOCKS ||
	    h->segtable.blocks / VCI_PAGE_BLOCKS < pages)
		return geometry_damaged(dmg, h->segtable.blocks, pages * VCI_PAGE_BLOCKS);
	pages = DIV_ROUND_UP(h->nodes.blocks / VCI_NODE_BLOCKS, VCI_NODES_PER_PAGE);
	if (h->nodes.blocks % VCI_NODE_BLOCKS || h->nodemap.blocks % VCI_PAGE_BLOCKS ||
	    h->nodemap.blocks / VCI_PAGE_BLOCKS < pages)
		return geometry_damaged(dmg, h->nodemap.blocks, pages * VCI_PAGE_BLOCKS);
	if (h->info.blocks != VCI_PAGE_BLOCKS)
		return geometry_damaged(dmg, h->info.blocks, VCI_PAGE_BLOCKS);
	return 0;
}

struct span {
	u64 start, blocks;
};

static void header_spans(const struct vci_header *h, struct span *s)
{
	const struct span all[HEADER_AREAS] = {
		{ 0, VCI_UNIT_BLOCKS },
		{ h->bitmap, round_up((u64)h->bitmap_blocks, VCI_UNIT_BLOCKS) },
		{ h->intent.addr, h->intent.blocks },
		{ h->segtable.addr, h->segtable.blocks },
		{ h->nodemap.addr, h->nodemap.blocks },
		{ h->info.addr, h->info.blocks },
		{ h->nodes.addr, h->nodes.blocks },
		{ h->segments, (u64)h->nr_segments * h->segment_blocks },
		{ vci_header_backup_addr(h->blocks), VCI_UNIT_BLOCKS },
	};

	memcpy(s, all, sizeof(all));
}

/* Places of things: I1, I3. */
static int header_check_places(const struct vci_header *h, struct vci_damage *dmg)
{
	struct span s[HEADER_AREAS];
	unsigned int i, j;

	header_spans(h, s);
	for (i = 0; i < HEADER_AREAS; i++)
		if (s[i].start % VCI_UNIT_BLOCKS || !s[i].blocks ||
		    s[i].blocks > h->blocks || s[i].start > h->blocks - s[i].blocks)
			return geometry_damaged(dmg, s[i].start, h->blocks);
	for (i = 0; i < HEADER_AREAS; i++)
		for (j = 0; j < i; j++)
			if (s[i].start < s[j].start + s[j].blocks &&
			    s[j].start < s[i].start + s[i].blocks)
				return geometry_damaged(dmg, s[i].start, s[j].start);
	return 0;
}

/* Is @addr in the segments? */
static bool header_is_data(const struct vci_header *h, u64 addr)
{
	return addr >= h->segments &&
	       addr - h->segments < (u64)h->nr_segments * h->segment_blocks;
}

static int header_check_tree(const struct vci_header *h, struct vci_damage *dmg)
{
	u64 data_max = (u64)h->nr_segments * h->segment_blocks;

	if (h->root < h->nodes.addr || h->root % VCI_NODE_BLOCKS ||
	    h->root - h->nodes.addr >= h->nodes.blocks)
		return geometry_damaged(dmg, h->root, h->nodes.addr);
	if (h->data_blocks > data_max)
		return field_damaged(dmg, h->data_blocks, data_max);
	if (h->nr_extents > h->data_blocks || !h->nr_extents != !h->data_blocks)
		return field_damaged(dmg, h->nr_extents, h->data_blocks);
	if (h->dirty_blocks > (h->flags & VCI_HDR_DIRTY ? h->data_blocks : 0))
		return field_damaged(dmg, h->dirty_blocks, h->data_blocks);
	if (!h->lru_head != !h->lru_tail)
		return field_damaged(dmg, h->lru_head, h->lru_tail);
	if (h->lru_head && !header_is_data(h, h->lru_head))
		return field_damaged(dmg, h->lru_head, h->segments);
	if (h->lru_tail && !header_is_data(h, h->lru_tail))
		return field_damaged(dmg, h->lru_tail, h->segments);
	/* Links are kept at a clean close only. */
	if (!h->unclean && !h->nr_extents != !h->lru_head)
		return field_damaged(dmg, h->lru_head, h->nr_extents);
	return 0;
}

static int header_check_numbers(const struct vci_header *h, struct vci_damage *dmg)
{
	if (h->unclean > 1)
		return field_damaged(dmg, h->unclean, 1);
	if (h->flags & ~VCI_HDR_KNOWN)
		return field_damaged(dmg, h->flags, VCI_HDR_KNOWN);
	if (!h->write_gen)
		return field_damaged(dmg, h->write_gen, 1);
	if (!h->checkpoint_gen)
		return field_damaged(dmg, h->checkpoint_gen, 1);
	/* What is in the tree was durable before the header switched (O9). */
	if (h->durable_seq < h->checkpoint_seq)
		return field_damaged(dmg, h->durable_seq, h->checkpoint_seq);
	return 0;
}

static int header_check_backing(const struct vci_header *h, struct vci_damage *dmg)
{
	u64 regions = (u64)h->intent.blocks * VCI_INTENT_BITS;

	if (h->backing_blocks > VCI_BACKING_MAX)
		return field_damaged(dmg, h->backing_blocks, VCI_BACKING_MAX);
	if (h->flags & VCI_HDR_BOUND && !h->backing_blocks)
		return field_damaged(dmg, h->backing_blocks, 1);
	if (h->region_blocks_log2 < VCI_REGION_LOG2_MIN ||
	    h->region_blocks_log2 > VCI_REGION_LOG2_MAX)
		return field_damaged(dmg, h->region_blocks_log2, VCI_REGION_LOG2_MAX);
	if (regions << h->region_blocks_log2 < h->backing_blocks)
		return field_damaged(dmg, h->region_blocks_log2,
				     vci_layout_region_log2(h->backing_blocks,
							    h->intent.blocks));
	return 0;
}

/* The @i-th of the segments that the log has, or goes on with. */
static u32 log_segment(const struct vci_header *h, unsigned int i)
{
	return i < VCI_STREAMS ? h->open[i].segment : h->queue[i - VCI_STREAMS];
}

static int header_check_segments(const struct vci_header *h, struct vci_damage *dmg)
{
	unsigned int i, j;

	for (i = 0; i < VCI_STREAMS + VCI_QUEUE; i++) {
		u32 segment = log_segment(h, i);

		if (segment == VCI_NO_SEGMENT)
			continue;
		if (segment >= h->nr_segments)
			return field_damaged(dmg, segment, h->nr_segments);
		for (j = 0; j < i; j++)
			if (log_segment(h, j) == segment)
				return field_damaged(dmg, segment, VCI_NO_SEGMENT);
	}
	return 0;
}

static int header_check_open(const struct vci_header *h, struct vci_damage *dmg)
{
	unsigned int i;

	for (i = 0; i < VCI_STREAMS; i++) {
		const struct vci_open_segment *o = &h->open[i];
		u32 room = o->segment == VCI_NO_SEGMENT ? 0 : h->segment_blocks;

		if (o->used > room || o->used % h->batch_align)
			return field_damaged(dmg, o->used, room);
	}
	return 0;
}

/* Each activation has an epoch of its own (O10). */
static int header_check_epochs(const struct vci_header *h, struct vci_damage *dmg)
{
	unsigned int i, j;

	for (i = 0; i < h->nr_epochs; i++) {
		if (!h->epochs[i])
			return field_damaged(dmg, 0, 1);
		for (j = 0; j < i; j++)
			if (h->epochs[i] == h->epochs[j])
				return field_damaged(dmg, h->epochs[i], 0);
	}
	return 0;
}

/* Where the log goes on. */
static int header_check_log(const struct vci_header *h, struct vci_damage *dmg)
{
	int err = header_check_open(h, dmg);

	if (!err)
		err = header_check_epochs(h, dmg);
	return err ? err : header_check_segments(h, dmg);
}

static int header_check_fields(const struct vci_header *h, struct vci_damage *dmg)
{
	int err;

	err = header_check_numbers(h, dmg);
	if (!err)
		err = header_check_sizes(h, dmg);
	if (!err)
		err = header_check_places(h, dmg);
	if (!err)
		err = header_check_tree(h, dmg);
	if (!err)
		err = header_check_backing(h, dmg);
	if (!err)
		err = header_check_log(h, dmg);
	return err;
}

/**
 * vci_header_check() - judge block 0, or the copy of it
 * @block: VCI_BLOCK_SIZE bytes
 * @device_blocks: size of the device; ~0 if it may be shorter than the image
 * @h: receives the header; set as far as possible also on errors other than
 *	those of signature, version, extension and checksum, for messages only
 * @dmg: receives the damage, may be NULL
 *
 * Return: 0; -ENOTBLK no VCI image; -EILSEQ damaged; -EOPNOTSUPP intact, but
 * of an unknown version or with unknown incompatible features; -EROFS good,
 * but unknown read-only compatible features forbid writing.
 */
int vci_header_check(const void *block, u64 device_blocks,
		     struct vci_header *h, struct vci_damage *dmg)
{
	const struct vci_header_disk *d = block;
	int err;

	err = header_check_identity(d, dmg);
	if (err)
		return err;
	header_decode_v1(d, h);
	header_decode_geometry(d, h);
	header_decode_state(d, h);
	err = header_check_size(h, device_blocks, dmg);
	if (!err)
		err = header_check_zeros(d, dmg);
	if (!err)
		err = header_check_fields(h, dmg);
	if (err)
		return err;
	if (h->ro_compat & ~VCI_ROCOMPAT_KNOWN)
		return vci_damaged(dmg, VCI_DMG_HDR_ROCOMPAT, 0, h->ro_compat,
				   VCI_ROCOMPAT_KNOWN, -EROFS);
	return 0;
}

/* ---- static header ---------------------------------------------------- */

/**
 * vci_static_check() - judge block 1
 * @block: VCI_BLOCK_SIZE bytes
 * @label: receives the label, NUL terminated
 * @format_time: receives when the image was made, seconds since 1970
 * @dmg: receives the damage, may be NULL
 *
 * Return: 0, or -EILSEQ.
 */
int vci_static_check(const void *block, char label[VCI_LABEL_SIZE + 1],
		     u64 *format_time, struct vci_damage *dmg)
{
	const struct vci_static_disk *d = block;
	u32 crc = le32_to_cpu(d->crc);
	u32 want = crc32c(~0u, d, STATIC_CRC_BYTES);
	size_t length = strnlen((const char *)d->label, VCI_LABEL_SIZE);

	if (le32_to_cpu(d->magic) != VCI_STATIC_MAGIC)
		return vci_damaged(dmg, VCI_DMG_STATIC_CSUM, 1, le32_to_cpu(d->magic),
				   VCI_STATIC_MAGIC, -EILSEQ);
	if (crc != want)
		return vci_damaged(dmg, VCI_DMG_STATIC_CSUM, 1, crc, want, -EILSEQ);
	if (memchr_inv(d->reserved, 0, sizeof(d->reserved)) ||
	    memchr_inv(d->label + length, 0, VCI_LABEL_SIZE - length))
		return vci_damaged(dmg, VCI_DMG_STATIC_CSUM, 1, 0, 0, -EILSEQ);
	memcpy(label, d->label, length);
	label[length] = '\0';
	*format_time = le64_to_cpu(d->format_time);
	return 0;
}

/**
 * vci_static_seal() - build block 1
 * @label: NUL terminated; what exceeds VCI_LABEL_SIZE bytes is cut
 * @format_time: seconds since 1970, 0 unknown
 * @block: VCI_BLOCK_SIZE bytes, overwritten
 */
void vci_static_seal(const char *label, u64 format_time, void *block)
{
	struct vci_static_disk *d = block;

	memset(d, 0, sizeof(*d));
	d->magic = cpu_to_le32(VCI_STATIC_MAGIC);
	memcpy(d->label, label, strnlen(label, VCI_LABEL_SIZE));
	d->format_time = cpu_to_le64(format_time);
	d->crc = cpu_to_le32(crc32c(~0u, d, STATIC_CRC_BYTES));
}
