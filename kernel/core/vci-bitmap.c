// SPDX-License-Identifier: GPL-2.0-only
/*
 * Codec of the VCI v1 block bitmap: its header block, and the bits in memory.
 *
 * Bit i is block i: byte i/8, least significant bit first, 1 is allocated.
 * The bits carry a checksum of their own in the header's extension; comparing
 * it is the caller's business, since the bits may be larger than memory.
 */
#include "vci-codec.h"

#define BITS_PER_U8	8u

/**
 * vci_bitmap_check() - judge the bitmap's header block
 * @block: VCI_BLOCK_SIZE bytes
 * @image_blocks: size of the image, from its header
 * @info: counters found, valid if 0 is returned
 * @dmg: receives the damage, may be NULL (the address in it is left 0)
 *
 * Return: 0, or -EILSEQ.
 */
int vci_bitmap_check(const void *block, u64 image_blocks,
		     struct vci_bitmap_info *info, struct vci_damage *dmg)
{
	const struct vci_bitmap_disk *d = block;
	struct vci_bitmap_info i = {
		.managed = le64_to_cpu(d->managed),
		.free = le64_to_cpu(d->free),
		.metadata = le64_to_cpu(d->metadata),
		.data = le64_to_cpu(d->data),
		.ext_crc = le32_to_cpu(d->ext_crc),
	};

	if (le32_to_cpu(d->magic) != VCI_BITMAP_MAGIC)
		return vci_damaged(dmg, VCI_DMG_BITMAP_MAGIC, 0,
				   le32_to_cpu(d->magic), VCI_BITMAP_MAGIC, -EILSEQ);
	if (le32_to_cpu(d->version) != VCI_BITMAP_VERSION)
		return vci_damaged(dmg, VCI_DMG_BITMAP_MAGIC, 0,
				   le32_to_cpu(d->version), VCI_BITMAP_VERSION, -EILSEQ);
	if (memchr_inv(d->reserved, 0, sizeof(d->reserved)))
		return vci_damaged(dmg, VCI_DMG_BITMAP_MAGIC, 0, 0, 0, -EILSEQ);
	if (i.managed != image_blocks)
		return vci_damaged(dmg, VCI_DMG_BITMAP_SIZE, 0, i.managed,
				   image_blocks, -EILSEQ);
	/* Each is compared before it is added, so that no sum can wrap. */
	if (i.free > i.managed || i.metadata > i.managed - i.free ||
	    i.data != i.managed - i.free - i.metadata)
		return vci_damaged(dmg, VCI_DMG_BITMAP_COUNT, 0, 0, 0, -EILSEQ);
	*info = i;
	return 0;
}

/**
 * vci_bitmap_seal() - build the bitmap's header block
 * @block: VCI_BLOCK_SIZE bytes, overwritten
 * @info: counters and the checksum of the bits
 */
void vci_bitmap_seal(void *block, const struct vci_bitmap_info *info)
{
	struct vci_bitmap_disk *d = block;

	VCI_ASSERT(info->free + info->metadata + info->data == info->managed);
	memset(d, 0, sizeof(*d));
	d->magic = cpu_to_le32(VCI_BITMAP_MAGIC);
	d->version = cpu_to_le32(VCI_BITMAP_VERSION);
	d->managed = cpu_to_le64(info->managed);
	d->free = cpu_to_le64(info->free);
	d->metadata = cpu_to_le64(info->metadata);
	d->data = cpu_to_le64(info->data);
	d->ext_crc = cpu_to_le32(info->ext_crc);
}

/**
 * vci_bitmap_set() - set a run of bits
 * @bits: the bitmap
 * @first: first bit
 * @blocks: how many
 */
void vci_bitmap_set(u8 *bits, u64 first, u64 blocks)
{
	while (blocks && first % BITS_PER_U8) {
		bits[first / BITS_PER_U8] |= 1u << (first % BITS_PER_U8);
		first++;
		blocks--;
	}
	memset(bits + first / BITS_PER_U8, 0xff, blocks / BITS_PER_U8);
	first += round_down(blocks, (u64)BITS_PER_U8);
	if (blocks % BITS_PER_U8)
		bits[first / BITS_PER_U8] |= (1u << (blocks % BITS_PER_U8)) - 1;
}

/**
 * vci_bitmap_test() - read one bit
 * @bits: the bitmap
 * @i: which
 *
 * Return: whether it is set.
 */
bool vci_bitmap_test(const u8 *bits, u64 i)
{
	return bits[i / BITS_PER_U8] >> (i % BITS_PER_U8) & 1;
}

static unsigned int u8_weight(u8 v)
{
	v = (v & 0x55) + (v >> 1 & 0x55);
	v = (v & 0x33) + (v >> 2 & 0x33);
	return (v & 0x0f) + (v >> 4);
}

/**
 * vci_bitmap_weight() - count the bits that are set
 * @bits: the bitmap
 * @nbits: how many bits from its start to look at
 *
 * Return: the number of set bits.
 */
u64 vci_bitmap_weight(const u8 *bits, u64 nbits)
{
	u64 i, n = 0;

	for (i = 0; i < nbits / BITS_PER_U8; i++)
		n += u8_weight(bits[i]);
	if (nbits % BITS_PER_U8)
		n += u8_weight(bits[i] & ((1u << (nbits % BITS_PER_U8)) - 1));
	return n;
}
