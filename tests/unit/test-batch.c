// SPDX-License-Identifier: GPL-2.0-only
/*
 * Codec of batch headers: what is sealed is read back, each rule that a header
 * can break is found out by its number, and no flipped bit passes.
 */
#include "vci-codec.h"
#include "vt.h"

#define ADDR		8192u
#define ROOM		1024u
#define BACKING		(1ull << 32)

static const u8 uuid[16] = { 0xd0, 0xd1, 0xd2, 0xd3 };

/* What is known of the image. */
static struct vci_header image = {
	.uuid = { 0xd0, 0xd1, 0xd2, 0xd3 }, .backing_blocks = BACKING, .batch_align = 1,
};

struct batch {
	struct vci_batch_info info;
	struct vci_entry e[VCI_BATCH_ENTRIES_MAX];
};

static struct batch *make_batch(void)
{
	static const struct vci_entry entries[] = {
		{ .off = 800, .blocks = 16, .kind = VCI_ENTRY_FILL, .heat = 9,
		  .flags = VCI_EXT_NOCSUM },
		{ .off = 4000, .blocks = 1, .kind = VCI_ENTRY_WRITE,
		  .flags = VCI_EXT_DIRTY, .data_crc = 0xabcdef },
		{ .off = 5000, .blocks = 128, .kind = VCI_ENTRY_DROP },
		{ .off = 1 << 20, .blocks = 128, .kind = VCI_ENTRY_MOVE,
		  .flags = VCI_EXT_DIRTY, .old_addr = 700000, .data_crc = 1 },
		{ .off = 6000, .blocks = 7, .kind = VCI_ENTRY_CLEAN, .old_addr = 1234,
		  .heat = 3 },
		{ .off = 7000, .blocks = 3, .kind = VCI_ENTRY_VOID, .data_crc = 77 },
	};
	struct batch *b = calloc(1, sizeof(*b));

	assert(b);
	b->info = (struct vci_batch_info) {
		.seq = 1001, .epoch = 5, .durable_seq = 1000, .addr = ADDR, .blocks = 152,
		.header_blocks = 1, .stream = 2, .nr_entries = ARRAY_SIZE(entries),
		.next = { 3, 9, 4, VCI_NO_SEGMENT },
	};
	memcpy(b->e, entries, sizeof(entries));
	return b;
}

static int seal_and_check(struct batch *b, u8 *header, struct vci_damage *dmg)
{
	struct batch got;

	memset(header, 0xee, VCI_UNIT_SIZE);
	vci_batch_seal(header, VCI_UNIT_SIZE, vci_batch_seed(uuid), &b->info, b->e);
	memset(dmg, 0, sizeof(*dmg));
	return vci_batch_check(header, &image, ADDR, ROOM, &got.info, got.e, dmg);
}

static void test_round_trip(void)
{
	struct batch *b = make_batch(), got;
	u8 header[VCI_UNIT_SIZE];
	struct vci_damage dmg;
	unsigned int i, bad = 0;

	memset(&got, 0, sizeof(got));
	ok(!seal_and_check(b, header, &dmg), "batch:sealed_passes");
	ok(!vci_batch_check(header, &image, ADDR, 152, &got.info, got.e, NULL),
	   "batch:fits_its_room_exactly");
	ok(!memcmp(&b->info, &got.info, sizeof(got.info)), "batch:round_trip_of_the_header");
	for (i = 0; i < b->info.nr_entries; i++)
		bad += b->e[i].off != got.e[i].off || b->e[i].blocks != got.e[i].blocks ||
		       b->e[i].kind != got.e[i].kind || b->e[i].flags != got.e[i].flags ||
		       b->e[i].heat != got.e[i].heat || b->e[i].addr != got.e[i].addr ||
		       b->e[i].old_addr != got.e[i].old_addr ||
		       b->e[i].data_crc != got.e[i].data_crc;
	is_u64(bad, 0, "batch:round_trip_of_the_entries");
	ok(got.e[0].addr == ADDR + 1 && got.e[1].addr == ADDR + 17 && !got.e[2].addr &&
	   got.e[3].addr == ADDR + 18 && !got.e[4].addr && got.e[5].addr == ADDR + 146,
	   "batch:addresses_follow_each_other");
	free(b);
}

static void test_full(void)
{
	struct batch *b = make_batch();
	u8 header[VCI_UNIT_SIZE];
	struct vci_damage dmg;
	unsigned int i;

	b->info.nr_entries = VCI_BATCH_ENTRIES_MAX;
	b->info.header_blocks = 8;
	b->info.blocks = 1024;
	for (i = 0; i < VCI_BATCH_ENTRIES_MAX; i++)
		b->e[i] = (struct vci_entry) { .off = 8 * i, .blocks = 8,
					       .kind = VCI_ENTRY_FILL };
	ok(!seal_and_check(b, header, &dmg), "batch:full_header");
	b->e[0].blocks = 16;	/* all of the padding */
	ok(!seal_and_check(b, header, &dmg), "batch:full_header_without_padding");
	free(b);
}

static void test_bit_flips(void)
{
	struct batch *b = make_batch(), got;
	u8 header[VCI_UNIT_SIZE];
	struct vci_damage dmg;
	unsigned int i, passed = 0, behind = 0;

	b->info.header_blocks = 2;	/* as on a device of larger blocks */
	b->info.blocks = 160;
	ok(!seal_and_check(b, header, &dmg), "batch:header_larger_than_needed");
	for (i = 0; i < VCI_UNIT_SIZE * 8; i++) {
		header[i / 8] ^= 1u << (i % 8);
		if (i < 2 * VCI_BLOCK_SIZE * 8)
			passed += !vci_batch_check(header, &image, ADDR, ROOM,
						   &got.info, got.e, &dmg);
		else
			behind += vci_batch_check(header, &image, ADDR, ROOM,
						  &got.info, got.e, &dmg) != 0;
		header[i / 8] ^= 1u << (i % 8);
	}
	is_u64(passed, 0, "batch:every_flipped_bit_of_the_header_is_found");
	is_u64(behind, 0, "batch:data_behind_the_header_is_not_judged");
	free(b);
}

static void test_place(void)
{
	struct batch *b = make_batch(), got;
	struct vci_header other = image;
	u8 header[VCI_UNIT_SIZE];
	struct vci_damage dmg;

	other.uuid[3] = 0xd4;

	seal_and_check(b, header, &dmg);
	ok(vci_batch_check(header, &image, ADDR + 8, ROOM, &got.info, got.e, &dmg) ==
	   -ENOTBLK && dmg.number == VCI_DMG_BATCH_PLACE, "batch:refuses_one_of_another_place");
	ok(vci_batch_check(header, &other, ADDR, ROOM, &got.info, got.e, &dmg) ==
	   -EILSEQ && dmg.number == VCI_DMG_BATCH_CSUM, "batch:refuses_one_of_another_image");
	ok(vci_batch_check(header, &image, ADDR, 151, &got.info, got.e, &dmg) ==
	   -EILSEQ && dmg.number == VCI_DMG_BATCH_FIELD, "batch:refuses_one_beyond_its_segment");
	header[0] ^= 1;
	ok(vci_batch_check(header, &image, ADDR, ROOM, &got.info, got.e, &dmg) ==
	   -EILSEQ && dmg.number == VCI_DMG_BATCH_MAGIC, "batch:refuses_what_is_none");
	free(b);
}

static int align_error(u32 align, u32 header_blocks, u32 blocks)
{
	struct batch *b = make_batch();
	u8 header[VCI_UNIT_SIZE];
	struct vci_damage dmg;
	int err;

	image.batch_align = align;
	b->info.header_blocks = header_blocks;
	b->info.blocks = blocks;
	err = seal_and_check(b, header, &dmg);
	image.batch_align = 1;
	free(b);
	return err;
}

static void test_align(void)
{
	ok(!align_error(1, 1, 153) && !align_error(2, 2, 154) && !align_error(8, 8, 160),
	   "batch:aligned_as_the_image_says");
	ok(align_error(2, 2, 153) == -EILSEQ && align_error(8, 8, 156) == -EILSEQ,
	   "batch:refuses_one_that_ends_in_a_physical_block");
	ok(align_error(2, 1, 154) == -EILSEQ && align_error(8, 4, 160) == -EILSEQ,
	   "batch:refuses_a_header_that_does");
	ok(vci_batch_header_blocks(1, 1) == 1 && vci_batch_header_blocks(14, 1) == 1 &&
	   vci_batch_header_blocks(15, 1) == 2 && vci_batch_header_blocks(126, 1) == 8 &&
	   vci_batch_header_blocks(15, 4) == 4 && vci_batch_header_blocks(1, 8) == 8,
	   "batch:header_is_as_long_as_its_entries");
}

/* ---- fields: changed in memory, then sealed ---------------------------- */

struct field_case {
	const char *name;
	void (*change)(struct batch *b);
};

#define CASE(what, code)	static void change_##what(struct batch *b) { code; }
#define CASES(x)							\
	x(seq_zero, b->info.seq = b->info.durable_seq = 0)		\
	x(durable_now, b->info.durable_seq = b->info.seq)		\
	x(durable_later, b->info.durable_seq = b->info.seq + 1)		\
	x(epoch_zero, b->info.epoch = 0)				\
	x(blocks_far, b->info.blocks = ROOM + 8)			\
	x(entry_empty, b->e[0].blocks = 0)				\
	x(entry_long, (b->e[2].blocks = 129))				\
	x(entry_beyond, b->e[2].off = BACKING - 127)			\
	x(entry_wraps, b->e[2].off = ~0ull - 3)				\
	x(entry_window, b->e[2].off = VCI_WINDOW_BLOCKS - 1)		\
	x(kind_zero, b->e[2].kind = 0)					\
	x(kind_unknown, b->e[2].kind = 7)				\
	x(flags_unknown, b->e[3].flags = 4)				\
	x(fill_dirty, b->e[0].flags = VCI_EXT_DIRTY)			\
	x(write_clean, b->e[1].flags = 0)				\
	x(clean_dirty, b->e[4].flags = VCI_EXT_DIRTY)			\
	x(void_flags, (b->e[0].kind = VCI_ENTRY_VOID))			\
	x(drop_flags, b->e[2].flags = VCI_EXT_NOCSUM)			\
	x(drop_heat, b->e[2].heat = 1)					\
	x(drop_old, b->e[2].old_addr = 8)				\
	x(drop_crc, b->e[2].data_crc = 8)				\
	x(fill_old, b->e[0].old_addr = 8)				\
	x(move_no_old, b->e[3].old_addr = 0)				\
	x(move_far_old, b->e[3].old_addr = VCI_ADDR_MAX - 127)		\
	x(clean_no_old, b->e[4].old_addr = 0)				\
	x(crc_unwanted, b->e[0].data_crc = 1)

CASES(CASE)

static const struct field_case field_cases[] = {
#define ENTRY(what, code) { #what, change_##what },
	CASES(ENTRY)
#undef ENTRY
};

static void test_fields(void)
{
	u8 header[VCI_UNIT_SIZE];
	struct vci_damage dmg;
	unsigned int i;
	struct batch *b;
	int err;

	for (i = 0; i < ARRAY_SIZE(field_cases); i++) {
		b = make_batch();
		field_cases[i].change(b);
		err = seal_and_check(b, header, &dmg);
		ok(err == -EILSEQ && dmg.number == VCI_DMG_BATCH_FIELD,
		   "batch:refuses_%s", field_cases[i].name);
		free(b);
	}
}

/* ---- bytes: changed in the header, with the right checksum ----------------- */

static void reseal(struct vci_batch_disk *d, unsigned int nr)
{
	size_t used = 64 + 32 * nr;
	u32 crc;

	d->crc = 0;
	crc = crc32c(crc32c(~0u, uuid, 16), d, used);
	d->crc = cpu_to_le32(crc);
}

struct byte_case {
	const char *name;
	unsigned int at;
	u8 value;
};

static const struct byte_case byte_cases[] = {
	{ "no_entries", 46, 0 },
	{ "many_entries", 46, 127 },
	{ "far_too_many_entries", 47, 0xff },
	{ "no_header_blocks", 44, 0 },
	{ "many_header_blocks", 44, 9 },
	{ "unknown_stream", 45, VCI_STREAMS },
	{ "no_blocks", 40, 0 },
	{ "too_few_blocks", 40, 144 },
	{ "reserved_byte", 64 + 15, 1 },
	{ "reserved_word", 64 + 28, 1 },
	{ "unused_byte", 64 + 6 * 32, 1 },
	{ "last_unused_byte", 511, 1 },
};

static void test_bytes(void)
{
	u8 header[VCI_UNIT_SIZE];
	struct vci_damage dmg;
	struct batch got, *b;
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(byte_cases); i++) {
		b = make_batch();
		seal_and_check(b, header, &dmg);
		header[byte_cases[i].at] = byte_cases[i].value;
		reseal((void *)header, b->info.nr_entries);
		err = vci_batch_check(header, &image, ADDR, ROOM, &got.info, got.e, &dmg);
		ok(err == -EILSEQ && dmg.number == VCI_DMG_BATCH_FIELD,
		   "batch:refuses_%s", byte_cases[i].name);
		free(b);
	}
}

static void test_data_crc(void)
{
	u8 data[4 * VCI_BLOCK_SIZE];
	u32 crc;

	memset(data, 0x3c, sizeof(data));
	crc = vci_data_crc(data, 4);
	ok(crc != vci_data_crc(data, 3), "data:checksum_depends_on_length");
	data[2047] ^= 0x80;
	ok(crc != vci_data_crc(data, 4), "data:checksum_sees_one_bit");
	/* The check value of CRC-32C is E3069283, inverted at the end. */
	is_u64(~crc32c(~0u, "123456789", 9) & 0xffffffff, 0xe3069283,
	       "data:polynomial_is_castagnoli");
}

int main(void)
{
	test_round_trip();
	test_full();
	test_bit_flips();
	test_place();
	test_align();
	test_fields();
	test_bytes();
	test_data_crc();
	return done_testing();
}
