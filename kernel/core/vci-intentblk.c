// SPDX-License-Identifier: GPL-2.0-only
/*
 * Codec of one block of the intent map.
 *
 * A block is written in place: it is judged alone, and a reader that finds it
 * damaged takes all its regions as marked.
 */
#include "vci-codec.h"

static_assert(offsetof(struct vci_intent_disk, crc) == sizeof(__le32));

/**
 * vci_intent_check() - judge a block of the intent map
 * @block: VCI_BLOCK_SIZE bytes
 * @uuid: of the image
 * @addr: where it was read from
 * @index: which block of the map it must be
 * @dmg: receives the damage, may be NULL
 *
 * Return: 0; -EILSEQ damaged; -ENOTBLK intact, but another block of the map.
 */
int vci_intent_check(const void *block, const u8 *uuid, u64 addr, u32 index,
		     struct vci_damage *dmg)
{
	const struct vci_intent_disk *d = block;
	u32 crc = le32_to_cpu(d->crc);
	u32 want = vci_block_crc(d, sizeof(*d), uuid, addr);

	if (le32_to_cpu(d->magic) != VCI_INTENT_MAGIC)
		return vci_damaged(dmg, VCI_DMG_INTENT_CSUM, addr,
				   le32_to_cpu(d->magic), VCI_INTENT_MAGIC, -EILSEQ);
	if (crc != want)
		return vci_damaged(dmg, VCI_DMG_INTENT_CSUM, addr, crc, want, -EILSEQ);
	if (le32_to_cpu(d->index) != index)
		return vci_damaged(dmg, VCI_DMG_INTENT_CSUM, addr,
				   le32_to_cpu(d->index), index, -ENOTBLK);
	if (memchr_inv(d->reserved, 0, sizeof(d->reserved)))
		return vci_damaged(dmg, VCI_DMG_INTENT_CSUM, addr, 0, 0, -EILSEQ);
	return 0;
}

/**
 * vci_intent_seal() - complete a block of the intent map whose bits are set
 * @block: VCI_BLOCK_SIZE bytes; all but the bits is overwritten
 * @uuid: of the image
 * @addr: where it will be written
 * @index: which block of the map it is
 */
void vci_intent_seal(void *block, const u8 *uuid, u64 addr, u32 index)
{
	struct vci_intent_disk *d = block;

	memset(d, 0, offsetof(struct vci_intent_disk, bits));
	d->magic = cpu_to_le32(VCI_INTENT_MAGIC);
	d->index = cpu_to_le32(index);
	d->crc = cpu_to_le32(vci_block_crc(d, sizeof(*d), uuid, addr));
}
