// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making an image: the result is whole, an interrupted one is none, and what
 * can't be made is refused before anything is written.
 */
#include "image.h"
#include "vci-format.h"
#include "vci-verify.h"
#include "vt.h"

#define MIB	2048ull		/* in blocks */

static bool has_image(struct mem_dev *m)
{
	struct vci_header h;

	return !vci_header_check(mem_block(m, 0), m->dev.blocks, &h, NULL);
}

static void print_finding(void *ctx, const struct vci_damage *dmg, const char *text)
{
	(void)ctx;
	(void)dmg;
	printf("# %s\n", text);
}

static bool is_whole(struct mem_dev *m)
{
	const struct vci_verify_params p = { .dev = &m->dev, .finding = print_finding };
	struct vci_verify_result r;

	return !vci_verify(&p, &r) && !r.nr_findings && r.clean && r.nr_nodes == 1 &&
	       !r.nr_extents && !r.regions_marked;
}

static void test_sizes(void)
{
	static const u64 sizes[] = { 2 * MIB, 3 * MIB + 7, 5 * MIB, 63 * MIB, 66 * MIB };
	char label[VCI_LABEL_SIZE + 1];
	struct vci_header h, plan;
	struct mem_dev m;
	const char *why;
	unsigned int i;
	u64 when;
	int err;

	for (i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		mem_dev_init(&m, sizes[i / 2]);
		m.dev.lbs_blocks = i % 2 ? 8 : 1;
		err = vci_format_plan(&image_params, m.dev.blocks, &plan, &why);
		ok(!err && !vci_format(&m.dev, &image_params, &h) &&
		   !memcmp(&h, &plan, sizeof(h)),
		   "format:%llu_blocks_of_%u_as_planned", sizes[i / 2], 512 << (i % 2 * 3));
		ok(has_image(&m) && is_whole(&m), "format:%llu_blocks_is_whole", sizes[i / 2]);
		ok(!memcmp(mem_block(&m, 0), mem_block(&m, vci_header_backup_addr(h.blocks)),
			   2 * VCI_BLOCK_SIZE), "format:backup_is_a_copy_of_both_headers");
		ok(!vci_static_check(mem_block(&m, 1), label, &when, NULL) &&
		   !strcmp(label, "test image") && when == image_params.format_time,
		   "format:label_and_time");
		mem_dev_destroy(&m);
	}
}

static void test_fresh_fields(void)
{
	struct vci_header h;
	unsigned int i, set = 0;
	struct mem_dev m;

	mem_dev_init(&m, 8 * MIB);
	image_format(&m, &h);
	for (i = 0; i < VCI_QUEUE; i++)
		set += h.queue[i] != VCI_NO_SEGMENT;
	for (i = 0; i < VCI_STREAMS; i++)
		set += h.open[i].segment != VCI_NO_SEGMENT;
	ok(!h.unclean && h.checkpoint_gen == 1 && !h.nr_epochs && !set &&
	   h.incompat == VCI_INCOMPAT_EXPERIMENTAL &&
	   !(h.flags & VCI_HDR_BOUND) && !h.backing_blocks,
	   "format:header_is_clean_empty_and_unbound");
	ok(!memcmp(h.uuid, image_params.uuid, 16) &&
	   !memcmp(h.modification_uuid, image_params.modification_uuid, 16),
	   "format:uuids_are_those_given");
	mem_dev_destroy(&m);
}

/* Second slots are read later: bytes of an older life must not be in them. */
static void test_second_slots(void)
{
	struct vci_header h;
	struct mem_dev m;
	unsigned int i, k, dirty = 0;

	mem_dev_init(&m, 8 * MIB);
	image_format(&m, &h);
	for (k = 0; k < 3; k++) {
		const struct vci_area *a = k == 0 ? &h.segtable : k == 1 ? &h.nodemap : &h.info;

		for (i = 0; i < a->blocks / VCI_PAGE_BLOCKS; i++)
			dirty += !!memchr_inv(image_page(&m, a, i) + 1, 0, VCI_UNIT_SIZE);
	}
	is_u64(dirty, 0, "format:second_slots_are_zero");
	mem_dev_destroy(&m);
}

/* ---- interruptions ----------------------------------------------------- */

static unsigned int images_seen;

static void look_for_image(struct mem_dev *m)
{
	images_seen += has_image(m);
}

static void test_crashes(void)
{
	struct vci_format_params p = image_params;
	struct vci_header h;
	struct mem_dev m;

	mem_dev_init(&m, 8 * MIB);
	image_format(&m, &h);
	m.after_write = look_for_image;
	m.writes = 0;
	images_seen = 0;
	p.uuid[3] ^= 1;
	ok(!vci_format(&m.dev, &p, &h) && m.writes > 10, "format:again");
	is_u64(images_seen, 1, "format:only_after_the_last_write_there_is_an_image");
	ok(is_whole(&m), "format:again_is_whole");
	mem_dev_destroy(&m);
}

static void test_io_errors(void)
{
	unsigned long n, bad = 0;
	struct vci_header h;
	struct mem_dev m;
	int err = -EIO;

	mem_dev_init(&m, 2 * MIB);
	image_format(&m, &h);
	for (n = 1; err && n < 1000; n++) {
		m.fail_at = n;
		err = vci_format(&m.dev, &image_params, &h);
		if (!err)
			break;
		/* Only before the first write succeeds is the old image there. */
		bad += err != -EIO || has_image(&m) != (n <= 2);
		if (n <= 2)
			bad += !is_whole(&m);
	}
	m.fail_at = 0;
	is_u64(bad, 0, "format:each_failed_operation_is_an_error_and_leaves_no_image");
	ok(n > 10 && !err && is_whole(&m), "format:after_%lu_errors_one_succeeds", n - 1);
	mem_dev_destroy(&m);
}

static void test_no_memory(void)
{
	unsigned long n, bad = 0;
	struct vci_header h;
	struct mem_dev m;
	int err = -ENOMEM;

	mem_dev_init(&m, 2 * MIB);
	for (n = 1; err && n < 100; n++) {
		vci_alloc_fail_at = n;
		err = vci_format(&m.dev, &image_params, &h);
		bad += err && (err != -ENOMEM || m.count);
		bad += vci_alloc_live != 0;
	}
	vci_alloc_fail_at = 0;
	is_u64(bad, 0, "format:each_failed_allocation_is_an_error_and_writes_nothing");
	ok(!err && n > 2, "format:then_it_succeeds");
	mem_dev_destroy(&m);
}

static void test_old_backup(void)
{
	struct vci_format_params p = image_params;
	struct vci_header h;
	struct mem_dev m;

	mem_dev_init(&m, 8 * MIB);
	image_format(&m, &h);
	p.layout.blocks = 4 * MIB;
	ok(!vci_format(&m.dev, &p, &h) && h.blocks == 4 * MIB && is_whole(&m),
	   "format:smaller_than_the_device");
	ok(!memchr_inv(mem_block(&m, vci_header_backup_addr(8 * MIB)), 0, VCI_UNIT_SIZE),
	   "format:backup_of_the_old_image_is_gone");
	mem_dev_destroy(&m);
}

/* ---- refusals ---------------------------------------------------------- */

static void test_refusals(void)
{
	static const char longest[] =
		"0123456789012345678901234567890123456789012345678901234567890123";
	static const char too_long[] =
		"01234567890123456789012345678901234567890123456789012345678901234";
	struct vci_format_params p = image_params;
	struct vci_header h;
	struct mem_dev m;

	mem_dev_init(&m, 4 * MIB);
	p.label = too_long;
	ok(vci_format(&m.dev, &p, &h) == -EINVAL, "format:refuses_a_long_label");
	p = image_params;
	p.layout.blocks = 6 * MIB;
	ok(vci_format(&m.dev, &p, &h) == -EINVAL, "format:refuses_more_than_the_device");
	p = image_params;
	p.layout.segment_blocks = 44;
	ok(vci_format(&m.dev, &p, &h) == -EINVAL, "format:refuses_an_odd_segment_size");
	p = image_params;
	p.layout.blocks = MIB;
	ok(vci_format(&m.dev, &p, &h) == -EINVAL, "format:refuses_less_than_2_mib");
	is_u64(m.count, 0, "format:what_is_refused_writes_and_reads_nothing");
	p = image_params;
	p.label = longest;
	ok(!vci_format(&m.dev, &p, NULL), "format:longest_label");
	mem_dev_destroy(&m);
}

/* ---- progress ---------------------------------------------------------- */

struct progress {
	u64 last;
	unsigned int calls, bad;
	bool complete;
};

static void note_progress(void *ctx, u64 done, u64 total)
{
	struct progress *p = ctx;

	p->calls++;
	p->bad += done <= p->last || done > total;
	p->last = done;
	p->complete = done == total;
}

static void test_progress(void)
{
	struct vci_format_params p = image_params;
	struct progress seen = { };
	struct vci_header h;
	struct mem_dev m;

	mem_dev_init(&m, 8 * MIB);
	image_format(&m, &h);
	p.layout.blocks = 4 * MIB;
	p.progress = note_progress;
	p.ctx = &seen;
	ok(!vci_format(&m.dev, &p, &h) && seen.calls > 10, "format:tells_its_progress");
	ok(!seen.bad && seen.complete, "format:progress_grows_to_its_total");
	mem_dev_destroy(&m);
}

int main(void)
{
	test_sizes();
	test_fresh_fields();
	test_second_slots();
	test_crashes();
	test_io_errors();
	test_no_memory();
	test_old_backup();
	test_refusals();
	test_progress();
	return done_testing();
}
