// SPDX-License-Identifier: GPL-2.0-only
/*
 * Codec of batch headers: what a batch of the log holds, and where.
 *
 * A header has as many blocks as its entries need, or more where the device's
 * physical block is larger; the data of the entries that have some follows,
 * back to back, then padding to such a block.  The address of each entry's data is
 * computed, so it can't disagree with the batch's own.
 *
 * User data may look like a batch header: the image's UUID in the checksum is
 * not in it unless somebody means it, and the recovery that reads a header in
 * the place of data has followed no promise to get there.
 */
#include "vci-codec.h"

static size_t batch_used_bytes(unsigned int nr_entries)
{
	return sizeof(struct vci_batch_disk) +
	       nr_entries * sizeof(struct vci_entry_disk);
}

/**
 * vci_batch_seed() - what checksums of an image's batch headers begin with
 * @uuid: of the image
 *
 * Return: crc32c over @uuid.
 */
u32 vci_batch_seed(const u8 *uuid)
{
	return crc32c(~0u, uuid, 16);
}

static u32 batch_crc(const struct vci_batch_disk *d, u32 seed, size_t bytes)
{
	const __le32 zero = 0;
	const u8 *rest = (const u8 *)d + offsetofend(struct vci_batch_disk, crc);
	u32 crc;

	crc = crc32c(seed, &d->magic, sizeof(d->magic));
	crc = crc32c(crc, &zero, sizeof(zero));
	return crc32c(crc, rest, bytes - offsetofend(struct vci_batch_disk, crc));
}

/**
 * vci_data_crc() - checksum of an entry's data
 * @data: the data
 * @blocks: its length
 *
 * Return: crc32c over the data alone; it may be anything, 0 too.
 */
u32 vci_data_crc(const void *data, u32 blocks)
{
	return crc32c(~0u, data, blocks * VCI_BLOCK_SIZE);
}

/* ---- checking --------------------------------------------------------- */

static int batch_damaged(struct vci_damage *dmg, u64 addr, u64 found, u64 expected)
{
	return vci_damaged(dmg, VCI_DMG_BATCH_FIELD, addr, found, expected, -EILSEQ);
}

static void batch_decode(const struct vci_batch_disk *d, struct vci_batch_info *info)
{
	unsigned int i;

	info->seq = le64_to_cpu(d->seq);
	info->epoch = le64_to_cpu(d->epoch);
	info->durable_seq = le64_to_cpu(d->durable_seq);
	info->addr = le64_to_cpu(d->addr);
	info->blocks = le32_to_cpu(d->blocks);
	info->header_blocks = d->header_blocks;
	info->stream = d->stream;
	info->nr_entries = le16_to_cpu(d->nr_entries);
	for (i = 0; i < VCI_WINDOW; i++)
		info->next[i] = le32_to_cpu(d->next[i]);
}

static void entry_decode(const struct vci_entry_disk *d, struct vci_entry *e)
{
	e->off = le64_to_cpu(d->offset);
	e->blocks = le32_to_cpu(d->blocks);
	e->kind = d->kind;
	e->flags = d->flags;
	e->heat = d->heat;
	e->old_addr = le64_to_cpu(d->old_addr);
	e->data_crc = le32_to_cpu(d->data_crc);
	e->addr = 0;
}

/* What must hold before the checksum can be computed. */
static int batch_check_shape(const struct vci_batch_disk *d, u64 addr, u32 room,
			     struct vci_damage *dmg)
{
	u32 nr = le16_to_cpu(d->nr_entries);
	u32 header_blocks = d->header_blocks;

	if (le32_to_cpu(d->magic) != VCI_BATCH_MAGIC)
		return vci_damaged(dmg, VCI_DMG_BATCH_MAGIC, addr,
				   le32_to_cpu(d->magic), VCI_BATCH_MAGIC, -EILSEQ);
	if (!nr || nr > VCI_BATCH_ENTRIES_MAX)
		return batch_damaged(dmg, addr, nr, VCI_BATCH_ENTRIES_MAX);
	if (header_blocks > VCI_UNIT_BLOCKS || header_blocks > room ||
	    header_blocks * VCI_BLOCK_SIZE < batch_used_bytes(nr))
		return batch_damaged(dmg, addr, header_blocks, VCI_UNIT_BLOCKS);
	return 0;
}

static int batch_check_fields(const struct vci_batch_disk *d, u64 addr, u32 room,
			      u32 align, const struct vci_batch_info *info,
			      struct vci_damage *dmg)
{
	size_t used = batch_used_bytes(info->nr_entries);
	const u8 *unused = (const u8 *)d + used;

	if (memchr_inv(unused, 0, info->header_blocks * VCI_BLOCK_SIZE - used))
		return batch_damaged(dmg, addr, 0, 0);
	if (!info->seq || info->durable_seq >= info->seq)
		return batch_damaged(dmg, addr, info->durable_seq, info->seq);
	if (!info->epoch)
		return batch_damaged(dmg, addr, 0, 1);
	if (info->stream >= VCI_STREAMS)
		return batch_damaged(dmg, addr, info->stream, VCI_STREAMS);
	if (info->header_blocks % align)
		return batch_damaged(dmg, addr, info->header_blocks, align);
	if (!info->blocks || info->blocks % align || info->blocks > room ||
	    info->blocks > VCI_BATCH_BLOCKS_MAX)
		return batch_damaged(dmg, addr, info->blocks, room);
	return 0;
}

static bool entry_range_ok(const struct vci_entry *e, u64 backing_blocks)
{
	if (!e->blocks || e->blocks > VCI_ENTRY_BLOCKS_MAX)
		return false;
	if (e->off >= backing_blocks || e->blocks > backing_blocks - e->off)
		return false;
	return e->off >> VCI_WINDOW_LOG2 == (e->off + e->blocks - 1) >> VCI_WINDOW_LOG2;
}

/* All of the data of a direct write lies in one segment. */
static bool in_segment(const struct vci_header *h, const struct vci_entry *e)
{
	u64 at = e->old_addr - h->segments;

	return e->old_addr >= h->segments &&
	       at < (u64)h->nr_segments * h->segment_blocks &&
	       e->blocks <= h->segment_blocks - (at & (h->segment_blocks - 1));
}

/* MOVE and CLEAN name the mapping they replace, DIRECT its data, the others none. */
static bool entry_old_addr_ok(const struct vci_header *h, const struct vci_entry *e)
{
	switch (e->kind) {
	case VCI_ENTRY_MOVE:
	case VCI_ENTRY_CLEAN:
		return e->old_addr && e->old_addr <= VCI_ADDR_MAX - e->blocks;
	case VCI_ENTRY_DIRECT:
		return in_segment(h, e);
	default:
		return !e->old_addr;
	}
}

static bool entry_kind_ok(const struct vci_entry *e)
{
	switch (e->kind) {
	case VCI_ENTRY_FILL:
	case VCI_ENTRY_CLEAN:
		return !(e->flags & VCI_EXT_DIRTY);
	case VCI_ENTRY_WRITE:
	case VCI_ENTRY_DIRECT:
		return e->flags & VCI_EXT_DIRTY;
	case VCI_ENTRY_MOVE:
		return true;
	case VCI_ENTRY_DROP:
	case VCI_ENTRY_VOID:
		return !e->flags && !e->heat;
	default:
		return false;
	}
}

static bool entry_ok(const struct vci_entry_disk *d, const struct vci_entry *e,
		     const struct vci_header *h)
{
	if (d->reserved || d->reserved2 || e->flags & ~VCI_EXT_KNOWN)
		return false;
	if (e->data_crc && (e->flags & VCI_EXT_NOCSUM || !vci_entry_has_data(e->kind)))
		return false;
	return entry_kind_ok(e) && entry_range_ok(e, h->backing_blocks ? : VCI_BACKING_MAX) &&
	       entry_old_addr_ok(h, e);
}

static int batch_check_entries(const struct vci_batch_disk *d,
			       const struct vci_batch_info *info,
			       const struct vci_header *h,
			       struct vci_entry *entries, struct vci_damage *dmg)
{
	u32 used = info->header_blocks;
	unsigned int i;

	for (i = 0; i < info->nr_entries; i++) {
		struct vci_entry *e = &entries[i];

		entry_decode(&d->entries[i], e);
		if (!entry_ok(&d->entries[i], e, h))
			return batch_damaged(dmg, info->addr, i, i);
		if (!vci_entry_has_data(e->kind))
			continue;
		e->addr = info->addr + used;
		used += e->blocks;
	}
	if (used > info->blocks)
		return batch_damaged(dmg, info->addr, info->blocks, used);
	return 0;
}

/**
 * vci_batch_check() - judge a batch header
 * @header: a unit, or as much as there is up to the end of its segment
 * @h: of the image: its UUID, alignment, segments, and the backing device's size, of
 *	which 0 allows all that is supported
 * @addr: where it was read from
 * @room: blocks from there to the end of its segment
 * @info: receives the header, valid if 0 is returned
 * @entries: VCI_BATCH_ENTRIES_MAX of them; the first info->nr_entries are set
 * @dmg: receives the damage, may be NULL
 *
 * The segments named in info->next are not judged: their number isn't known
 * here.  Nor is the data, which is read only if it is wanted.
 *
 * Return: 0; -EILSEQ damaged, or no batch; -ENOTBLK intact, of another place.
 */
int vci_batch_check(const void *header, const struct vci_header *h, u64 addr, u32 room,
		    struct vci_batch_info *info,
		    struct vci_entry *entries, struct vci_damage *dmg)
{
	const struct vci_batch_disk *d = header;
	u32 crc = le32_to_cpu(d->crc), want;
	int err;

	err = batch_check_shape(d, addr, room, dmg);
	if (err)
		return err;
	want = batch_crc(d, vci_batch_seed(h->uuid),
			 batch_used_bytes(le16_to_cpu(d->nr_entries)));
	if (crc != want)
		return vci_damaged(dmg, VCI_DMG_BATCH_CSUM, addr, crc, want, -EILSEQ);
	if (le64_to_cpu(d->addr) != addr)
		return vci_damaged(dmg, VCI_DMG_BATCH_PLACE, addr, le64_to_cpu(d->addr),
				   addr, -ENOTBLK);
	batch_decode(d, info);
	err = batch_check_fields(d, addr, room, h->batch_align, info, dmg);
	if (err)
		return err;
	return batch_check_entries(d, info, h, entries, dmg);
}

/* ---- building --------------------------------------------------------- */

static void entry_encode(const struct vci_entry *e, struct vci_entry_disk *d)
{
	d->offset = cpu_to_le64(e->off);
	d->blocks = cpu_to_le32(e->blocks);
	d->kind = e->kind;
	d->flags = e->flags;
	d->heat = e->heat;
	d->old_addr = cpu_to_le64(e->old_addr);
	d->data_crc = cpu_to_le32(e->data_crc);
}

static void batch_encode(const struct vci_batch_info *info, struct vci_batch_disk *d)
{
	unsigned int i;

	d->magic = cpu_to_le32(VCI_BATCH_MAGIC);
	d->seq = cpu_to_le64(info->seq);
	d->epoch = cpu_to_le64(info->epoch);
	d->durable_seq = cpu_to_le64(info->durable_seq);
	d->addr = cpu_to_le64(info->addr);
	d->blocks = cpu_to_le32(info->blocks);
	d->header_blocks = info->header_blocks;
	d->stream = info->stream;
	d->nr_entries = cpu_to_le16(info->nr_entries);
	for (i = 0; i < VCI_WINDOW; i++)
		d->next[i] = cpu_to_le32(info->next[i]);
}

/**
 * vci_batch_seal() - build a batch header
 * @header: info->header_blocks blocks, overwritten
 * @dirty: how many bytes of it, from its start, may not be 0 now
 * @seed: vci_batch_seed() of the image
 * @info: what it says
 * @entries: info->nr_entries of them; their addr is set as a side result
 *
 * Return: how many bytes of it, from its start, may not be 0 from now on.
 */
u32 vci_batch_seal(void *header, u32 dirty, u32 seed, const struct vci_batch_info *info,
		   struct vci_entry *entries)
{
	struct vci_batch_disk *d = header;
	size_t bytes = batch_used_bytes(info->nr_entries);
	u64 addr = info->addr + info->header_blocks;
	unsigned int i;

	VCI_ASSERT(info->nr_entries && info->nr_entries <= VCI_BATCH_ENTRIES_MAX);
	VCI_ASSERT(info->header_blocks * VCI_BLOCK_SIZE >= bytes);
	memset(header, 0, max_t(size_t, bytes, dirty));
	batch_encode(info, d);
	for (i = 0; i < info->nr_entries; i++) {
		entry_encode(&entries[i], &d->entries[i]);
		entries[i].addr = 0;
		if (!vci_entry_has_data(entries[i].kind))
			continue;
		entries[i].addr = addr;
		addr += entries[i].blocks;
	}
	VCI_ASSERT(addr - info->addr <= info->blocks);
	/* The field itself is 0 until now. */
	d->crc = cpu_to_le32(crc32c(seed, d, bytes));
	return bytes;
}
