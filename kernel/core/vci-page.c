// SPDX-License-Identifier: GPL-2.0-only
/*
 * Codec of shadow pages (segment table, node map, info) and of what the
 * segment table and info pages hold.
 *
 * A page has two slots.  Each slot is judged alone; of the intact ones whose
 * generation doesn't exceed the header's checkpoint_gen the newer counts, if the
 * generations of all pages are those that the header knows.
 */
#include "vci-codec.h"

/**
 * vci_block_crc() - checksum of a block that begins with a magic and the checksum
 * @block: the block
 * @bytes: its size
 * @uuid: of the image
 * @addr: where it lies
 *
 * Return: crc32c over @uuid, @addr and the block with the checksum's field 0.
 */
u32 vci_block_crc(const void *block, unsigned int bytes, const u8 *uuid, u64 addr)
{
	const __le64 addr_le = cpu_to_le64(addr);
	const __le32 zero = 0;
	u32 crc;

	crc = crc32c(~0u, uuid, 16);
	crc = crc32c(crc, &addr_le, sizeof(addr_le));
	crc = crc32c(crc, block, sizeof(__le32));
	crc = crc32c(crc, &zero, sizeof(zero));
	return crc32c(crc, (const u8 *)block + 2 * sizeof(__le32),
		      bytes - 2 * sizeof(__le32));
}

static_assert(offsetof(struct vci_page_disk, crc) == sizeof(__le32));

static int page_check_place(const struct vci_page_disk *d, u64 addr, u32 index,
			    struct vci_damage *dmg)
{
	if (le64_to_cpu(d->addr) != addr)
		return vci_damaged(dmg, VCI_DMG_PAGE_CSUM, addr,
				   le64_to_cpu(d->addr), addr, -ENOTBLK);
	if (le32_to_cpu(d->index) != index)
		return vci_damaged(dmg, VCI_DMG_PAGE_CSUM, addr,
				   le32_to_cpu(d->index), index, -ENOTBLK);
	if (d->reserved)
		return vci_damaged(dmg, VCI_DMG_PAGE_CSUM, addr,
				   le32_to_cpu(d->reserved), 0, -EILSEQ);
	return 0;
}

/**
 * vci_page_check() - judge one slot of a shadow page
 * @page: VCI_UNIT_SIZE bytes
 * @uuid: of the image
 * @addr: where it was read from
 * @index: which page of its area it must be
 * @max_gen: checkpoint_gen of the header
 * @gen: receives its generation if 0 is returned
 * @dmg: receives the damage, may be NULL
 *
 * Return: 0; -EILSEQ damaged (or never written); -ENOTBLK intact, but another
 * page, or of a checkpoint that was not completed (VCI_DMG_PAGE_GEN).
 */
int vci_page_check(const void *page, const u8 *uuid, u64 addr, u32 index,
		   u64 max_gen, u64 *gen, struct vci_damage *dmg)
{
	const struct vci_page_disk *d = page;
	u32 crc = le32_to_cpu(d->crc);
	u32 want = vci_block_crc(d, sizeof(*d), uuid, addr);
	u64 found = le64_to_cpu(d->gen);
	int err;

	if (le32_to_cpu(d->magic) != VCI_PAGE_MAGIC)
		return vci_damaged(dmg, VCI_DMG_PAGE_CSUM, addr,
				   le32_to_cpu(d->magic), VCI_PAGE_MAGIC, -EILSEQ);
	if (crc != want)
		return vci_damaged(dmg, VCI_DMG_PAGE_CSUM, addr, crc, want, -EILSEQ);
	err = page_check_place(d, addr, index, dmg);
	if (err)
		return err;
	if (!found || found > max_gen)
		return vci_damaged(dmg, VCI_DMG_PAGE_GEN, addr, found, max_gen,
				   -ENOTBLK);
	*gen = found;
	return 0;
}

/**
 * vci_page_seal() - complete a shadow page whose payload is set
 * @page: VCI_UNIT_SIZE bytes; all but the payload is overwritten
 * @uuid: of the image
 * @addr: where it will be written
 * @index: which page of its area it is
 * @gen: checkpoint that writes it
 */
void vci_page_seal(void *page, const u8 *uuid, u64 addr, u32 index, u64 gen)
{
	struct vci_page_disk *d = page;

	VCI_ASSERT(gen);
	d->magic = cpu_to_le32(VCI_PAGE_MAGIC);
	d->gen = cpu_to_le64(gen);
	d->addr = cpu_to_le64(addr);
	d->index = cpu_to_le32(index);
	d->reserved = 0;
	d->crc = cpu_to_le32(vci_block_crc(d, sizeof(*d), uuid, addr));
}

/**
 * vci_page_gen_crc() - add a page in use to the header's pages_crc
 * @crc: of the pages before it; ~0u if it is the first
 * @gen: its generation
 *
 * Return: the checksum with it.
 */
u32 vci_page_gen_crc(u32 crc, u64 gen)
{
	const __le64 gen_le = cpu_to_le64(gen);

	return crc32c(crc, &gen_le, sizeof(gen_le));
}

static bool segment_ok(const struct vci_segment_disk *s, u32 segment_blocks)
{
	u32 live = le32_to_cpu(s->live_blocks);

	if (s->state > VCI_SEG_BAD || s->stream >= VCI_STREAMS || live > segment_blocks)
		return false;
	if (s->state == VCI_SEG_FREE && live)
		return false;
	return !memchr_inv(s->reserved, 0, sizeof(s->reserved));
}

/**
 * vci_segpage_check() - judge the payload of an intact segment table page
 * @page: the page
 * @nr: how many segments it describes; the other entries must be zero
 * @segment_blocks: size of a segment, from the header
 * @dmg: receives the damage, may be NULL; found is the entry's index
 *
 * Return: 0, or -EILSEQ.
 */
int vci_segpage_check(const void *page, u32 nr, u32 segment_blocks,
		      struct vci_damage *dmg)
{
	const struct vci_page_disk *d = page;
	const struct vci_segment_disk *s = (const void *)d->payload;
	u64 addr = le64_to_cpu(d->addr);
	u32 i;

	for (i = 0; i < nr; i++)
		if (!segment_ok(s + i, segment_blocks))
			return vci_damaged(dmg, VCI_DMG_SEG_STATE, addr, i, i, -EILSEQ);
	if (memchr_inv(s + nr, 0, VCI_PAGE_PAYLOAD - nr * sizeof(*s)))
		return vci_damaged(dmg, VCI_DMG_SEG_STATE, addr, nr, nr, -EILSEQ);
	return 0;
}

static bool sample_ok(const struct vci_sample_disk *s, u64 backing_blocks)
{
	if (le32_to_cpu(s->flags) & ~VCI_SAMPLE_VALID)
		return false;
	return le64_to_cpu(s->offset) < backing_blocks;
}

/**
 * vci_info_check() - judge the payload of an intact info page
 * @page: the page
 * @backing_blocks: size of the backing device, from the header
 * @dmg: receives the damage, may be NULL
 *
 * Return: 0, or -EILSEQ.
 */
int vci_info_check(const void *page, u64 backing_blocks, struct vci_damage *dmg)
{
	const struct vci_page_disk *d = page;
	const struct vci_info_disk *info = (const void *)d->payload;
	u64 addr = le64_to_cpu(d->addr);
	u32 nr = le32_to_cpu(info->nr_samples);
	const u8 *end;
	u32 i;

	if (nr > VCI_SAMPLES_MAX)
		return vci_damaged(dmg, VCI_DMG_INFO_FIELD, addr, nr,
				   VCI_SAMPLES_MAX, -EILSEQ);
	if (memchr_inv(info->reserved, 0, sizeof(info->reserved)))
		return vci_damaged(dmg, VCI_DMG_INFO_FIELD, addr, 0, 0, -EILSEQ);
	for (i = 0; i < nr; i++)
		if (!sample_ok(&info->samples[i], backing_blocks))
			return vci_damaged(dmg, VCI_DMG_INFO_FIELD, addr,
					   le64_to_cpu(info->samples[i].offset),
					   backing_blocks, -EILSEQ);
	end = (const u8 *)&info->samples[nr];
	if (memchr_inv(end, 0, d->payload + VCI_PAGE_PAYLOAD - end))
		return vci_damaged(dmg, VCI_DMG_INFO_FIELD, addr, 0, 0, -EILSEQ);
	return 0;
}
