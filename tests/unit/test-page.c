// SPDX-License-Identifier: GPL-2.0-only
/*
 * Codecs of shadow pages, what they hold, and of the intent map's blocks.
 */
#include "vci-codec.h"
#include "vt.h"

#define ADDR	4096u
#define INDEX	7u
#define GEN	300u

static const u8 uuid[16] = { 0x77, 0x66 };
static const u8 other_uuid[16] = { 0x77, 0x67 };

static void make_page(struct vci_page_disk *p)
{
	memset(p, 0x6b, sizeof(*p));
	vci_page_seal(p, uuid, ADDR, INDEX, GEN);
}

static void test_page(void)
{
	struct vci_page_disk p;
	unsigned int i, passed = 0;
	struct vci_damage dmg;
	u64 gen = 0;

	make_page(&p);
	ok(!vci_page_check(&p, uuid, ADDR, INDEX, GEN, &gen, NULL) && gen == GEN,
	   "page:sealed_passes");
	for (i = 0; i < VCI_UNIT_SIZE * 8; i++) {
		((u8 *)&p)[i / 8] ^= 1u << (i % 8);
		passed += !vci_page_check(&p, uuid, ADDR, INDEX, GEN, &gen, &dmg) ||
			  dmg.number != VCI_DMG_PAGE_CSUM;
		((u8 *)&p)[i / 8] ^= 1u << (i % 8);
	}
	is_u64(passed, 0, "page:every_flipped_bit_is_found");
	ok(vci_page_check(&p, uuid, ADDR + 8, INDEX, GEN, &gen, &dmg) == -EILSEQ &&
	   dmg.number == VCI_DMG_PAGE_CSUM, "page:refuses_one_of_another_place");
	ok(vci_page_check(&p, other_uuid, ADDR, INDEX, GEN, &gen, &dmg) == -EILSEQ &&
	   dmg.number == VCI_DMG_PAGE_CSUM, "page:refuses_one_of_another_image");
	ok(vci_page_check(&p, uuid, ADDR, INDEX + 1, GEN, &gen, &dmg) == -ENOTBLK &&
	   dmg.number == VCI_DMG_PAGE_CSUM, "page:refuses_another_page");
	ok(vci_page_check(&p, uuid, ADDR, INDEX, GEN - 1, &gen, &dmg) == -ENOTBLK &&
	   dmg.number == VCI_DMG_PAGE_GEN, "page:refuses_one_of_an_unfinished_checkpoint");
	memset(&p, 0, sizeof(p));
	ok(vci_page_check(&p, uuid, ADDR, INDEX, GEN, &gen, &dmg) == -EILSEQ,
	   "page:refuses_zeros");
}

static u32 page_crc(const struct vci_page_disk *p)
{
	const __le64 addr = cpu_to_le64(ADDR);

	return crc32c(crc32c(crc32c(~0u, uuid, 16), &addr, 8), p, sizeof(*p));
}

static void test_page_fields(void)
{
	struct vci_page_disk p;
	struct vci_damage dmg;
	u64 gen;

	make_page(&p);
	p.reserved = cpu_to_le32(1);
	p.crc = 0;
	p.crc = cpu_to_le32(page_crc(&p));
	ok(vci_page_check(&p, uuid, ADDR, INDEX, GEN, &gen, &dmg) == -EILSEQ &&
	   dmg.number == VCI_DMG_PAGE_CSUM, "page:refuses_reserved_bytes");
	make_page(&p);
	p.addr = cpu_to_le64(ADDR + 8);
	p.crc = 0;
	p.crc = cpu_to_le32(page_crc(&p));
	ok(vci_page_check(&p, uuid, ADDR, INDEX, GEN, &gen, &dmg) == -ENOTBLK &&
	   dmg.number == VCI_DMG_PAGE_CSUM, "page:refuses_another_address");
	make_page(&p);
	p.gen = 0;
	p.crc = 0;
	p.crc = cpu_to_le32(page_crc(&p));
	ok(vci_page_check(&p, uuid, ADDR, INDEX, GEN, &gen, &dmg) == -ENOTBLK &&
	   dmg.number == VCI_DMG_PAGE_GEN, "page:refuses_generation_0");
}

/* ---- segment table ---------------------------------------------------- */

struct segment_case {
	const char *name;
	unsigned int at;	/* entry */
	struct vci_segment_disk s;
	bool good;
};

#define SEG(l, st, r)	{ .live_blocks = l, .state = st, .reserved = { r } }
#define SEG_OF(str)	{ .state = VCI_SEG_USED, .stream = str }

static void test_segments(void)
{
	const struct segment_case cases[] = {
		{ "free", 3, SEG(0, VCI_SEG_FREE, 0), true },
		{ "full", 3, SEG(cpu_to_le32(512), VCI_SEG_USED, 0), true },
		{ "bad", 3, SEG(0, VCI_SEG_BAD, 0), true },
		{ "unknown_state", 3, SEG(0, 3, 0), false },
		{ "too_many_live", 3, SEG(cpu_to_le32(513), VCI_SEG_USED, 0), false },
		{ "live_but_free", 3, SEG(cpu_to_le32(8), VCI_SEG_FREE, 0), false },
		{ "last_stream", 3, SEG_OF(VCI_STREAMS - 1), true },
		{ "unknown_stream", 3, SEG_OF(VCI_STREAMS), false },
		{ "reserved", 3, SEG(0, VCI_SEG_USED, 1), false },
		{ "one_too_many", 100, SEG(0, VCI_SEG_USED, 0), false },
		{ "last_of_page", 253, SEG(0, VCI_SEG_USED, 0), false },
	};
	struct vci_page_disk p;
	struct vci_damage dmg;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vci_segment_disk *s = (void *)p.payload;
		int err;

		memset(&p, 0, sizeof(p));
		s[cases[i].at] = cases[i].s;
		err = vci_segpage_check(&p, 100, 512, &dmg);
		ok(cases[i].good ? !err : err == -EILSEQ && dmg.number == VCI_DMG_SEG_STATE,
		   "segments:%s", cases[i].name);
	}
}

/* ---- info ------------------------------------------------------------- */

static void make_info(struct vci_page_disk *p, u32 nr)
{
	struct vci_info_disk *info = (void *)p->payload;
	u32 i;

	memset(p, 0, sizeof(*p));
	info->nr_samples = cpu_to_le32(nr);
	for (i = 0; i < nr && i < VCI_SAMPLES_MAX; i++) {
		info->samples[i].offset = cpu_to_le64(i * 8);
		info->samples[i].flags = cpu_to_le32(VCI_SAMPLE_VALID);
	}
}

static bool info_refused(const struct vci_page_disk *p)
{
	struct vci_damage dmg = { };

	return vci_info_check(p, 4096, &dmg) == -EILSEQ && dmg.number == VCI_DMG_INFO_FIELD;
}

static void test_info(void)
{
	struct vci_page_disk p;
	struct vci_info_disk *info = (void *)p.payload;

	make_info(&p, 0);
	ok(!vci_info_check(&p, 0, NULL), "info:empty");
	make_info(&p, VCI_SAMPLES_MAX);
	ok(!vci_info_check(&p, 4096, NULL), "info:full");
	make_info(&p, VCI_SAMPLES_MAX + 1);
	ok(info_refused(&p), "info:refuses_too_many_samples");
	make_info(&p, 3);
	info->reserved[27] = 1;
	ok(info_refused(&p), "info:refuses_reserved_bytes");
	make_info(&p, 3);
	info->samples[1].flags = cpu_to_le32(2);
	ok(info_refused(&p), "info:refuses_unknown_flags");
	make_info(&p, 3);
	info->samples[2].offset = cpu_to_le64(4096);
	ok(info_refused(&p), "info:refuses_a_sample_beyond_the_device");
	make_info(&p, 3);
	info->samples[3].crc = cpu_to_le32(1);
	ok(info_refused(&p), "info:refuses_bytes_behind_the_samples");
	make_info(&p, 3);
	p.payload[VCI_PAGE_PAYLOAD - 1] = 1;
	ok(info_refused(&p), "info:refuses_bytes_at_the_end");
}

/* ---- intent map ------------------------------------------------------- */

static void test_intent(void)
{
	struct vci_intent_disk d;
	const __le64 addr = cpu_to_le64(ADDR);
	unsigned int i, passed = 0;
	struct vci_damage dmg;

	memset(&d, 0x81, sizeof(d));
	vci_intent_seal(&d, uuid, ADDR, INDEX);
	ok(!vci_intent_check(&d, uuid, ADDR, INDEX, NULL) && d.bits[479] == 0x81,
	   "intent:sealed_passes");
	for (i = 0; i < VCI_BLOCK_SIZE * 8; i++) {
		((u8 *)&d)[i / 8] ^= 1u << (i % 8);
		passed += !vci_intent_check(&d, uuid, ADDR, INDEX, &dmg) ||
			  dmg.number != VCI_DMG_INTENT_CSUM;
		((u8 *)&d)[i / 8] ^= 1u << (i % 8);
	}
	is_u64(passed, 0, "intent:every_flipped_bit_is_found");
	ok(vci_intent_check(&d, uuid, ADDR + 1, INDEX, &dmg) == -EILSEQ &&
	   dmg.number == VCI_DMG_INTENT_CSUM, "intent:refuses_one_of_another_place");
	ok(vci_intent_check(&d, other_uuid, ADDR, INDEX, &dmg) == -EILSEQ &&
	   dmg.number == VCI_DMG_INTENT_CSUM, "intent:refuses_one_of_another_image");
	ok(vci_intent_check(&d, uuid, ADDR, INDEX + 1, &dmg) == -ENOTBLK &&
	   dmg.number == VCI_DMG_INTENT_CSUM, "intent:refuses_another_block");
	d.reserved[3] = 1;
	d.crc = 0;
	d.crc = cpu_to_le32(crc32c(crc32c(crc32c(~0u, uuid, 16), &addr, 8), &d, sizeof(d)));
	ok(vci_intent_check(&d, uuid, ADDR, INDEX, &dmg) == -EILSEQ &&
	   dmg.number == VCI_DMG_INTENT_CSUM, "intent:refuses_reserved_bytes");
}

int main(void)
{
	test_page();
	test_page_fields();
	test_segments();
	test_info();
	test_intent();
	return done_testing();
}
