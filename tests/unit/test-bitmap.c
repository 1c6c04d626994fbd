// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block bitmap: its header block, and its bits against a plain model.
 */
#include "vci-codec.h"
#include "vt.h"

#define BLOCKS	40960u
#define NBITS	1000u

static const struct vci_bitmap_info good = {
	.managed = BLOCKS, .free = 40000, .metadata = 900, .data = 60,
	.ext_crc = 0x12345678,
};

struct byte_case {
	const char *name;
	unsigned int at;
	u8 flip;
	enum vci_damage_number number;
};

static const struct byte_case byte_cases[] = {
	{ "magic", 0, 1, VCI_DMG_BITMAP_MAGIC },
	{ "version", 4, 2, VCI_DMG_BITMAP_MAGIC },
	{ "reserved", 44, 1, VCI_DMG_BITMAP_MAGIC },
	{ "reserved_end", 511, 0x80, VCI_DMG_BITMAP_MAGIC },
	{ "managed", 8, 1, VCI_DMG_BITMAP_SIZE },
	{ "managed_high_half", 12, 1, VCI_DMG_BITMAP_SIZE },
	{ "free", 16, 1, VCI_DMG_BITMAP_COUNT },
	{ "free_high_half", 20, 1, VCI_DMG_BITMAP_COUNT },
	{ "metadata", 24, 1, VCI_DMG_BITMAP_COUNT },
	{ "metadata_high_bit", 31, 0x80, VCI_DMG_BITMAP_COUNT },
	{ "data", 32, 1, VCI_DMG_BITMAP_COUNT },
};

static void test_header(void)
{
	u8 block[VCI_BLOCK_SIZE];
	struct vci_bitmap_info info;
	struct vci_damage dmg;
	unsigned int i;

	vci_bitmap_seal(block, &good);
	memset(&info, 0, sizeof(info));
	ok(!vci_bitmap_check(block, BLOCKS, &info, NULL), "bitmap:sealed_passes");
	ok(!memcmp(block, "VBLK\1\0\0\0", 8), "bitmap:begins_with_the_v1_magic");
	ok(info.managed == BLOCKS && info.free == 40000 && info.metadata == 900 &&
	   info.data == 60 && info.ext_crc == 0x12345678, "bitmap:round_trip");
	ok(vci_bitmap_check(block, BLOCKS + 4096, &info, &dmg) == -EILSEQ &&
	   dmg.number == VCI_DMG_BITMAP_SIZE, "bitmap:refuses_one_of_another_size");
	for (i = 0; i < ARRAY_SIZE(byte_cases); i++) {
		vci_bitmap_seal(block, &good);
		block[byte_cases[i].at] ^= byte_cases[i].flip;
		ok(vci_bitmap_check(block, BLOCKS, &info, &dmg) == -EILSEQ &&
		   dmg.number == byte_cases[i].number, "bitmap:refuses_%s",
		   byte_cases[i].name);
	}
}

/* Counters that add up to the right sum in 64 bits, by wrapping around. */
static void test_wrapping_counters(void)
{
	struct vci_bitmap_info info = {
		.managed = BLOCKS, .free = ~0ull, .metadata = BLOCKS, .data = 1,
	};
	u8 block[VCI_BLOCK_SIZE];
	struct vci_damage dmg;

	vci_bitmap_seal(block, &info);
	ok(vci_bitmap_check(block, BLOCKS, &info, &dmg) == -EILSEQ &&
	   dmg.number == VCI_DMG_BITMAP_COUNT, "bitmap:refuses_counters_that_wrap");
}

static void test_bits(void)
{
	u64 state = vt_seed(), first, nr, i, weight = 0;
	u8 bits[NBITS / 8 + 2], model[NBITS + 16];
	unsigned int round, bad = 0;

	for (round = 0; round < 2000; round++) {
		memset(bits, 0, sizeof(bits));
		memset(model, 0, sizeof(model));
		for (i = 0; i < 3; i++) {
			first = vt_random(&state) % NBITS;
			nr = vt_random(&state) % (NBITS - first + 1);
			vci_bitmap_set(bits, first, nr);
			memset(model + first, 1, nr);
		}
		for (i = 0, weight = 0; i < NBITS; i++) {
			bad += vci_bitmap_test(bits, i) != model[i];
			weight += model[i];
		}
		bad += vci_bitmap_weight(bits, NBITS) != weight;
		bad += bits[NBITS / 8] || bits[NBITS / 8 + 1];
		nr = vt_random(&state) % NBITS;
		for (i = 0, weight = 0; i < nr; i++)
			weight += model[i];
		bad += vci_bitmap_weight(bits, nr) != weight;
	}
	is_u64(bad, 0, "bitmap:set_test_weight_agree_with_a_model");
}

int main(void)
{
	test_header();
	test_wrapping_counters();
	test_bits();
	return done_testing();
}
