// SPDX-License-Identifier: GPL-2.0-only
/*
 * Codec of header and static header: what is sealed is read back, each field
 * that can be wrong is found out by its number, and no flipped bit passes.
 */
#include "vci-codec.h"
#include "vt.h"

#define DEVICE_BLOCKS	(64ull * 4096)

static void make_header(struct vci_header *h)
{
	const struct vci_layout_params p = {
		.blocks = DEVICE_BLOCKS, .backing_blocks = 1 << 22,
		.type = VCI_TYPE_FIXED,
	};
	const char *why;
	unsigned int i;
	int err;

	memset(h, 0, sizeof(*h));
	err = vci_layout(&p, h, &why);
	assert(!err);
	memset(h->uuid, 0x17, sizeof(h->uuid));
	memset(h->modification_uuid, 0x23, sizeof(h->modification_uuid));
	memset(h->backing_id, 0x31, sizeof(h->backing_id));
	h->root = h->nodes.addr + 3 * VCI_NODE_BLOCKS;
	h->incompat = VCI_INCOMPAT_EXPERIMENTAL;
	h->compat = 0x80000000;		/* unknown ones are fine */
	h->flags = VCI_HDR_BOUND | VCI_HDR_DIRTY;
	h->backing_blocks = 1 << 22;
	h->write_gen = 900;
	h->checkpoint_gen = 300;
	h->checkpoint_seq = 5000;
	h->durable_seq = 5001;
	h->nr_extents = 2;
	h->data_blocks = 16;
	h->lru_head = h->segments + 8;
	h->lru_tail = h->segments + 16;
	h->open[0] = (struct vci_open_segment) { 7, 24 };
	h->open[1] = (struct vci_open_segment) { VCI_NO_SEGMENT, 0 };
	h->open[2] = (struct vci_open_segment) { 5, h->segment_blocks };
	for (i = 0; i < VCI_QUEUE; i++)
		h->queue[i] = 10 + i;
	h->queue[VCI_QUEUE - 1] = VCI_NO_SEGMENT;
	h->nr_epochs = 2;
	h->epochs[0] = 11;
	h->epochs[1] = 12;
	h->pages_crc = 0x89abcdef;
}

static void test_round_trip(void)
{
	u8 block[VCI_BLOCK_SIZE], again[VCI_BLOCK_SIZE];
	struct vci_header h, got;

	make_header(&h);
	vci_header_seal(&h, block);
	ok(!memcmp(block + 384, "\xef\xcd\xab\x89", 4), "header:place_of_pages_crc");
	memset(&got, 0, sizeof(got));
	ok(!vci_header_check(block, DEVICE_BLOCKS, &got, NULL), "header:sealed_passes");
	vci_header_seal(&got, again);
	ok(!memcmp(block, again, sizeof(block)), "header:round_trip_keeps_every_byte");
	ok(!memcmp(&h, &got, sizeof(h)), "header:round_trip_keeps_every_field");
	ok(!vci_header_check(block, ~0ull, &got, NULL), "header:device_size_unknown");
	ok(!memcmp(block, "VCI\0\1\0\0\0", 8), "header:begins_with_the_v1_signature");
}

static void test_bit_flips(void)
{
	u8 block[VCI_BLOCK_SIZE];
	struct vci_header h;
	unsigned int i, passed = 0;

	make_header(&h);
	vci_header_seal(&h, block);
	for (i = 0; i < VCI_BLOCK_SIZE * 8; i++) {
		block[i / 8] ^= 1u << (i % 8);
		passed += !vci_header_check(block, DEVICE_BLOCKS, &h, NULL);
		block[i / 8] ^= 1u << (i % 8);
	}
	is_u64(passed, 0, "header:every_flipped_bit_is_found");
}

/* ---- fields: changed in memory, then sealed ---------------------------- */

struct field_case {
	const char *name;
	void (*change)(struct vci_header *h);
	enum vci_damage_number number;
	int err;
};

#define CASE(what, nr, error, code)					\
	static void change_##what(struct vci_header *h) { code; }
#define CASES(x)							\
	x(size_zero, HDR_SIZE, EILSEQ, h->blocks = 0)			\
	x(size_odd, HDR_SIZE, EILSEQ, h->blocks -= 8)			\
	x(size_beyond_device, HDR_SIZE, EILSEQ, h->blocks += 4096)	\
	x(type, HDR_TYPE, EILSEQ, h->type = 3)				\
	x(type_zero, HDR_TYPE, EILSEQ, h->type = 0)			\
	x(incompat, HDR_INCOMPAT, EOPNOTSUPP, h->incompat |= 4)		\
	x(ro_compat, HDR_ROCOMPAT, EROFS, h->ro_compat = 1)		\
	x(unclean, HDR_FIELD, EILSEQ, h->unclean = 2)			\
	x(flags, HDR_FIELD, EILSEQ, h->flags |= 8)			\
	x(write_gen, HDR_FIELD, EILSEQ, h->write_gen = 0)		\
	x(checkpoint_gen, HDR_FIELD, EILSEQ, h->checkpoint_gen = 0)	\
	x(durable_seq, HDR_FIELD, EILSEQ, h->durable_seq = 4999)	\
	x(unit, HDR_FIELD, EILSEQ, h->unit_blocks = 16)			\
	x(align_none, HDR_FIELD, EILSEQ, h->batch_align = 0)		\
	x(align_large, HDR_FIELD, EILSEQ, h->batch_align = 16)		\
	x(align_odd, HDR_FIELD, EILSEQ, h->batch_align = 3)		\
	x(segment_small, HDR_FIELD, EILSEQ, h->segment_blocks = 16)	\
	x(segment_large, HDR_FIELD, EILSEQ, h->segment_blocks = 1u << 22) \
	x(segment_odd, HDR_FIELD, EILSEQ, h->segment_blocks = 96)	\
	x(segments_none, HDR_FIELD, EILSEQ, h->nr_segments = 0)		\
	x(segments_many, HDR_FIELD, EILSEQ, h->nr_segments = 65537)	\
	x(region_small, HDR_FIELD, EILSEQ, h->region_blocks_log2 = 2)	\
	x(region_large, HDR_FIELD, EILSEQ, h->region_blocks_log2 = 32)	\
	x(region_few, HDR_FIELD, EILSEQ, (h->region_blocks_log2 = 3,	\
					  h->backing_blocks = 1 << 30))	\
	x(backing_large, HDR_FIELD, EILSEQ, h->backing_blocks = VCI_BACKING_MAX + 1) \
	x(backing_none, HDR_FIELD, EILSEQ, h->backing_blocks = 0)	\
	x(data_many, HDR_FIELD, EILSEQ, h->data_blocks = ~0ull)		\
	x(extents_many, HDR_FIELD, EILSEQ, h->nr_extents = 17)		\
	x(extents_none, HDR_FIELD, EILSEQ, h->nr_extents = 0)		\
	x(lru_half, HDR_FIELD, EILSEQ, h->lru_tail = 0)			\
	x(lru_missing, HDR_FIELD, EILSEQ, h->lru_head = h->lru_tail = 0) \
	x(lru_head_low, HDR_FIELD, EILSEQ, h->lru_head = h->segments - 1) \
	x(lru_tail_high, HDR_FIELD, EILSEQ, h->lru_tail = h->blocks - 8) \
	x(open_far, HDR_FIELD, EILSEQ, h->open[2].segment = h->nr_segments) \
	x(open_twice, HDR_FIELD, EILSEQ, h->open[2].segment = h->open[0].segment) \
	x(used_far, HDR_FIELD, EILSEQ, h->open[2].used = h->segment_blocks + 8) \
	x(used_odd, HDR_FIELD, EILSEQ, h->open[0].used = 25)		\
	x(used_alone, HDR_FIELD, EILSEQ, h->open[1].used = 8)		\
	x(queue_far, HDR_FIELD, EILSEQ, h->queue[0] = h->nr_segments)	\
	x(queue_twice, HDR_FIELD, EILSEQ, h->queue[3] = h->queue[1])	\
	x(queue_open, HDR_FIELD, EILSEQ, h->queue[3] = h->open[2].segment)	\
	x(epochs_many, HDR_FIELD, EILSEQ, h->nr_epochs = VCI_EPOCHS + 1) \
	x(epochs_unused, HDR_FIELD, EILSEQ, h->nr_epochs = 1)		\
	x(epochs_zero, HDR_FIELD, EILSEQ, h->epochs[0] = 0)	\
	x(epochs_same, HDR_FIELD, EILSEQ, h->epochs[1] = 11)	\
	x(bitmap_size, HDR_GEOMETRY, EILSEQ, h->bitmap_blocks++)	\
	x(bitmap_far, HDR_GEOMETRY, EILSEQ, h->bitmap = h->blocks)	\
	x(bitmap_wrap, HDR_GEOMETRY, EILSEQ, h->bitmap = ~0ull - 7)	\
	x(bitmap_odd, HDR_GEOMETRY, EILSEQ, h->bitmap = 9)		\
	x(bitmap_header, HDR_GEOMETRY, EILSEQ, h->bitmap = 0)		\
	x(intent_none, HDR_GEOMETRY, EILSEQ, h->intent.blocks = 0)	\
	x(intent_large, HDR_GEOMETRY, EILSEQ, h->intent.blocks = 72)	\
	x(intent_overlap, HDR_GEOMETRY, EILSEQ, h->intent.addr -= 8)	\
	x(segtable_small, HDR_GEOMETRY, EILSEQ, h->segtable.blocks = 0)	\
	x(segtable_odd, HDR_GEOMETRY, EILSEQ, h->segtable.blocks += 8)	\
	x(segtable_overlap, HDR_GEOMETRY, EILSEQ, h->segtable.addr = h->segments) \
	x(nodemap_small, HDR_GEOMETRY, EILSEQ, h->nodemap.blocks = 0)	\
	x(nodemap_far, HDR_GEOMETRY, EILSEQ, h->nodemap.addr = 1ull << 63) \
	x(info_size, HDR_GEOMETRY, EILSEQ, h->info.blocks = 8)		\
	x(info_overlap, HDR_GEOMETRY, EILSEQ, h->info.addr = h->nodemap.addr) \
	x(nodes_none, HDR_GEOMETRY, EILSEQ, h->nodes.blocks = 0)	\
	x(nodes_odd, HDR_GEOMETRY, EILSEQ, h->nodes.blocks -= 4)	\
	x(nodes_many, HDR_GEOMETRY, EILSEQ, h->nodes.blocks += 8)	\
	x(segments_far, HDR_GEOMETRY, EILSEQ, h->segments += h->segment_blocks) \
	x(segments_backup, HDR_GEOMETRY, EILSEQ, h->nr_segments += 1)	\
	x(root_low, HDR_GEOMETRY, EILSEQ, h->root = h->nodes.addr - 8)	\
	x(root_high, HDR_GEOMETRY, EILSEQ, h->root = h->nodes.addr + h->nodes.blocks) \
	x(root_odd, HDR_GEOMETRY, EILSEQ, h->root += 1)

CASES(CASE)

static const struct field_case field_cases[] = {
#define ENTRY(what, nr, error, code) { #what, change_##what, VCI_DMG_##nr, -error },
	CASES(ENTRY)
#undef ENTRY
};

static void test_fields(void)
{
	u8 block[VCI_BLOCK_SIZE];
	struct vci_damage dmg;
	struct vci_header h;
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(field_cases); i++) {
		make_header(&h);
		field_cases[i].change(&h);
		vci_header_seal(&h, block);
		memset(&dmg, 0, sizeof(dmg));
		err = vci_header_check(block, DEVICE_BLOCKS, &h, &dmg);
		ok(err == field_cases[i].err && dmg.number == field_cases[i].number,
		   "header:refuses_%s", field_cases[i].name);
		if (err != field_cases[i].err || dmg.number != field_cases[i].number)
			printf("# error %d, %s\n", err, vci_damage_name(dmg.number));
	}
}

/* ---- bytes: changed in the block, with the right checksum ----------------- */

struct byte_case {
	const char *name;
	unsigned int at;
	bool reseal;
	enum vci_damage_number number;
	int err;
};

static const struct byte_case byte_cases[] = {
	{ "signature", 0, true, VCI_DMG_HDR_SIGNATURE, -ENOTBLK },
	{ "version", 4, true, VCI_DMG_HDR_VERSION, -EOPNOTSUPP },
	{ "extension", 80, true, VCI_DMG_HDR_EXT, -EOPNOTSUPP },
	{ "extension_version", 84, true, VCI_DMG_HDR_EXT, -EOPNOTSUPP },
	{ "checksum", 508, false, VCI_DMG_HDR_CSUM, -EILSEQ },
	{ "any_byte", 61, false, VCI_DMG_HDR_CSUM, -EILSEQ },
	{ "pad", 73, true, VCI_DMG_HDR_FIELD, -EILSEQ },
	{ "pad_end", 79, true, VCI_DMG_HDR_FIELD, -EILSEQ },
	{ "unused_epoch", 391, true, VCI_DMG_HDR_FIELD, -EILSEQ },
	{ "reserved", 404, true,
	  VCI_DMG_HDR_FIELD, -EILSEQ },
	{ "reserved_end", 507, true, VCI_DMG_HDR_FIELD, -EILSEQ },
};

static void test_bytes(void)
{
	struct vci_header_disk d;
	struct vci_damage dmg;
	struct vci_header h;
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(byte_cases); i++) {
		make_header(&h);
		vci_header_seal(&h, &d);
		((u8 *)&d)[byte_cases[i].at] ^= 0x40;
		if (byte_cases[i].reseal)
			d.crc = cpu_to_le32(crc32c(~0u, &d, 508));
		memset(&dmg, 0, sizeof(dmg));
		err = vci_header_check(&d, DEVICE_BLOCKS, &h, &dmg);
		ok(err == byte_cases[i].err && dmg.number == byte_cases[i].number,
		   "header:refuses_wrong_byte_in_%s", byte_cases[i].name);
	}
}

/* ---- static header ---------------------------------------------------- */

static void test_static(void)
{
	static const char longest[] =
		"0123456789012345678901234567890123456789012345678901234567890123";
	struct vci_static_disk d;
	char label[VCI_LABEL_SIZE + 1];
	unsigned int i, passed = 0;
	struct vci_damage dmg;
	u64 when = 0;

	vci_static_seal("cache of /srv", 1234567890, &d);
	ok(!vci_static_check(&d, label, &when, NULL) && when == 1234567890 &&
	   !strcmp(label, "cache of /srv"), "static:round_trip");
	for (i = 0; i < VCI_BLOCK_SIZE * 8; i++) {
		((u8 *)&d)[i / 8] ^= 1u << (i % 8);
		passed += !vci_static_check(&d, label, &when, &dmg) ||
			  dmg.number != VCI_DMG_STATIC_CSUM;
		((u8 *)&d)[i / 8] ^= 1u << (i % 8);
	}
	is_u64(passed, 0, "static:every_flipped_bit_is_found");
	vci_static_seal(longest, 0, &d);
	ok(!vci_static_check(&d, label, &when, NULL) && !strcmp(label, longest),
	   "static:longest_label");
	d.reserved[5] = 1;
	d.crc = cpu_to_le32(crc32c(~0u, &d, 508));
	ok(vci_static_check(&d, label, &when, &dmg) == -EILSEQ &&
	   dmg.number == VCI_DMG_STATIC_CSUM, "static:refuses_reserved_bytes");
	vci_static_seal("ab", 0, &d);
	d.label[40] = 'x';
	d.crc = cpu_to_le32(crc32c(~0u, &d, 508));
	ok(vci_static_check(&d, label, &when, &dmg) == -EILSEQ,
	   "static:refuses_bytes_behind_the_label");
}

static void test_damage_words(void)
{
	const struct vci_damage dmg = {
		.number = VCI_DMG_NODE_ORDER, .addr = 1234, .found = 900, .expected = 901,
	};
	char text[100];

	vci_damage_print(&dmg, text, sizeof(text));
	ok(!strcmp(text, "corrupt node: block 1234, keys out of order or overlapping: "
		   "900, expected 901"), "damage:has_one_grammar");
	vci_damage_print(&dmg, text, 10);
	is_u64(strlen(text), 9, "damage:text_is_cut_to_its_buffer");
	ok(!strcmp(vci_damage_name(999), "UNKNOWN"), "damage:unknown_number_has_a_name");
	ok(!strcmp(vci_damage_what(VCI_DMG_LRU_LINK), "LRU list") &&
	   !strcmp(vci_damage_words(VCI_DMG_LRU_LINK), "link is wrong"),
	   "damage:words");
}

int main(void)
{
	test_round_trip();
	test_bit_flips();
	test_fields();
	test_bytes();
	test_static();
	test_damage_words();
	return done_testing();
}
