// SPDX-License-Identifier: GPL-2.0-only
/*
 * The layout of new images, swept over sizes: whatever vci_layout() makes
 * passes vci_header_check(), and its areas account for every block.
 */
#include "vci-codec.h"
#include "vt.h"

#define MIB	2048ull		/* in blocks */
#define GIB	(1024 * MIB)
#define TIB	(1024 * GIB)

/* Geometry from the layout; the rest is what a new image has. */
static int make(const struct vci_layout_params *p, struct vci_header *h,
		const char **why)
{
	int err;

	memset(h, 0, sizeof(*h));
	err = vci_layout(p, h, why);
	h->root = h->nodes.addr;
	h->write_gen = 1;
	h->checkpoint_gen = 1;
	vci_header_clear_log(h);
	return err;
}

/* Fixed areas, node area and segments together are the image. */
static bool accounts_for_all(const struct vci_header *h)
{
	u64 sum = h->nodes.blocks + (u64)h->nr_segments * h->segment_blocks;
	struct vci_area a;
	unsigned int i;

	for (i = 0; vci_layout_fixed(h, i, &a); i++)
		sum += a.blocks;
	return sum == h->blocks;
}

static bool is_good(const struct vci_layout_params *p, const struct vci_header *h)
{
	u8 block[VCI_BLOCK_SIZE];
	struct vci_header got;
	struct vci_damage dmg;

	vci_header_seal(h, block);
	if (vci_header_check(block, p->blocks, &got, &dmg)) {
		printf("# %llu blocks: %s, %llu\n", p->blocks,
		       vci_damage_name(dmg.number), dmg.found);
		return false;
	}
	if (h->nr_segments < 16 || h->nr_segments > 65536)
		return false;
	if (h->segments % min(h->segment_blocks, 2048u))
		return false;
	if (p->backing_blocks && (u64)h->intent.blocks * VCI_INTENT_BITS <<
	    h->region_blocks_log2 < p->backing_blocks)
		return false;
	return accounts_for_all(h) && h->blocks == round_down(p->blocks, 4096ull);
}

static void test_sweep(void)
{
	u64 state = vt_seed(), blocks;
	unsigned int n = 0, bad = 0;
	struct vci_header h;
	const char *why;

	for (blocks = 2 * MIB; blocks <= 64 * TIB; n++) {
		const struct vci_layout_params p = {
			.blocks = blocks, .type = VCI_TYPE_DYNAMIC,
			.backing_blocks = vt_random(&state) >> (24 + n % 40),
		};

		if (p.backing_blocks <= VCI_BACKING_MAX)
			bad += make(&p, &h, &why) || !is_good(&p, &h);
		/* Each size near the small end, then ever larger steps. */
		blocks += blocks < 64 * MIB ? 8 * (1 + vt_random(&state) % 64) :
					      1 + vt_random(&state) % (blocks / 256);
	}
	is_u64(bad, 0, "layout:sizes_from_2_mib_to_64_tib_make_good_headers");
	ok(n > 3000, "layout:sweep_is_dense");
}

static void test_powers(void)
{
	struct vci_header h;
	const char *why;
	u64 blocks;

	for (blocks = 2 * MIB; blocks <= 64 * TIB; blocks *= 2) {
		const struct vci_layout_params p = {
			.blocks = blocks, .type = VCI_TYPE_FIXED };

		ok(!make(&p, &h, &why) && is_good(&p, &h), "layout:size_of_%llu_mib",
		   blocks / MIB);
	}
}

static void test_segment_sizes(void)
{
	static const u64 sizes[] = { 2 * MIB, 64 * MIB, GIB, 100 * GIB, TIB, 64 * TIB };
	unsigned int i, bad = 0, good = 0;
	struct vci_header h;
	const char *why;
	u32 segment;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		for (segment = 1; segment; segment <<= 1) {
			const struct vci_layout_params p = {
				.blocks = sizes[i], .segment_blocks = segment,
				.type = VCI_TYPE_FIXED };

			why = NULL;
			if (make(&p, &h, &why)) {
				bad += !why;
				continue;
			}
			good++;
			bad += h.segment_blocks != segment || !is_good(&p, &h);
		}
	is_u64(bad, 0, "layout:segment_sizes_are_kept_or_refused_with_words");
	ok(good > 30, "layout:many_segment_sizes_are_accepted");
}

struct choice {
	u64 blocks;
	u32 segment_blocks;
};

static void test_defaults(void)
{
	static const struct choice choices[] = {
		{ 2 * MIB, 32 }, { 16 * MIB, 256 }, { 64 * MIB, 1024 },
		{ GIB, 4096 }, { 128 * GIB, 4096 }, { 256 * GIB, 8192 },
		{ 64 * TIB, 1u << 21 },
	};
	struct vci_header h;
	const char *why;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(choices); i++) {
		const struct vci_layout_params p = {
			.blocks = choices[i].blocks, .type = VCI_TYPE_FIXED };

		if (make(&p, &h, &why))
			h.segment_blocks = 0;
		is_u64(h.segment_blocks, choices[i].segment_blocks,
		       "layout:default_segment_of_%llu_mib", choices[i].blocks / MIB);
	}
}

struct refusal {
	const char *name;
	struct vci_layout_params p;
};

static void test_refusals(void)
{
	static const struct refusal refusals[] = {
		{ "nothing", { 0, 0, 0, VCI_TYPE_FIXED, 0 } },
		{ "less_than_2_mib", { 2 * MIB - 1, 0, 0, VCI_TYPE_FIXED, 0 } },
		{ "more_than_64_tib", { 64 * TIB + 4096, 0, 0, VCI_TYPE_FIXED, 0 } },
		{ "any_64_bit_size", { ~0ull, 0, 0, VCI_TYPE_FIXED, 0 } },
		{ "large_backing", { GIB, VCI_BACKING_MAX + 1, 0, VCI_TYPE_FIXED, 0 } },
		{ "type_0", { GIB, 0, 0, 0, 0 } },
		{ "type_3", { GIB, 0, 0, 3, 0 } },
		{ "odd_segment", { GIB, 0, 3000, VCI_TYPE_FIXED, 0 } },
		{ "small_segment", { GIB, 0, 16, VCI_TYPE_FIXED, 0 } },
		{ "large_segment", { GIB, 0, 1u << 22, VCI_TYPE_FIXED, 0 } },
		{ "many_segments", { TIB, 0, 32, VCI_TYPE_FIXED, 0 } },
		{ "few_segments", { 64 * MIB, 0, 16384, VCI_TYPE_FIXED, 0 } },
	};
	struct vci_header h;
	const char *why;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(refusals); i++) {
		why = NULL;
		ok(make(&refusals[i].p, &h, &why) == -EINVAL && why,
		   "layout:refuses_%s", refusals[i].name);
	}
}

static void test_regions(void)
{
	u64 state = vt_seed(), backing;
	unsigned int i, bad = 0;
	u32 log2, intent;

	is_u64(vci_layout_region_log2(0, 8), 15, "region:default_is_16_mib");
	is_u64(vci_layout_region_log2(64 * MIB, 8), 8, "region:small_device_is_divided");
	is_u64(vci_layout_region_log2(TIB, 64), 15, "region:16_mib_for_1_tib");
	for (i = 0; i < 20000; i++) {
		backing = vt_random(&state) % VCI_BACKING_MAX >> (i % 39);
		intent = 8 * (1 + vt_random(&state) % 8);
		log2 = vci_layout_region_log2(backing, intent);
		bad += log2 < VCI_REGION_LOG2_MIN || log2 > VCI_REGION_LOG2_MAX ||
		       (u64)intent * VCI_INTENT_BITS << log2 < backing;
	}
	is_u64(bad, 0, "region:the_map_always_suffices");
	log2 = vci_layout_region_log2(VCI_BACKING_MAX, 8);
	ok(8ull * VCI_INTENT_BITS << log2 >= VCI_BACKING_MAX &&
	   8ull * VCI_INTENT_BITS << (log2 - 1) < VCI_BACKING_MAX,
	   "region:largest_device_has_the_smallest_that_suffices");
}

int main(void)
{
	test_sweep();
	test_powers();
	test_segment_sizes();
	test_defaults();
	test_refusals();
	test_regions();
	return done_testing();
}
