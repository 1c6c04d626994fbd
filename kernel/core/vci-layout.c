// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where things lie in a new image, and which of its blocks are metadata by
 * their place alone.
 *
 * The areas follow each other in the order of the overview in vci-ondisk.h.
 * A grown image may have them elsewhere: only vci_layout() knows this order.
 */
#include "vci-codec.h"

#define LAYOUT_SEGMENTS		128u	/* wanted, for small images */
#define LAYOUT_SEGMENTS_MIN	16u	/* the log's window and queue, and some */
#define LAYOUT_SEGMENT_LARGE	4096u	/* 2 MiB: large enough for any device */
#define LAYOUT_ALIGN_MAX	2048u	/* segments start on 1 MiB if they can */
#define LAYOUT_SMALL		0x20000u	/* 64 MiB: few intent blocks */
#define LAYOUT_NODES_SHARE	32u	/* node area: this part of the image */
/* A tree of 2 MiB of 4 KiB extents, twice. */
#define LAYOUT_NODES_MIN	(20u * VCI_NODE_BLOCKS)
#define LAYOUT_NODES_MAX	0x80000000u	/* 1 TiB */

/* Regions: 16 MiB is enough; small devices are divided more finely. */
#define REGION_LOG2_DEFAULT	15u
#define REGION_LOG2_FINEST	8u
#define REGIONS_WANTED_LOG2	12u

static_assert(VCI_IMAGE_MAX / VCI_SEGMENT_BLOCKS_MAX <= VCI_SEGMENTS_MAX);
static_assert(VCI_SIZE_GRAIN / VCI_SEGMENT_BLOCKS_MIN >= LAYOUT_SEGMENTS);

/**
 * vci_layout_region_log2() - size of the regions of the intent map
 * @backing_blocks: size of the backing device, 0 if it isn't known yet
 * @intent_blocks: blocks of the intent map
 *
 * Small regions lose less of the cache after a crash, large ones are marked
 * less often: about 4096 of them, of 128 KiB to 16 MiB, larger only if the map
 * wouldn't suffice.
 *
 * Return: log2 of the blocks of a region.
 */
u32 vci_layout_region_log2(u64 backing_blocks, u32 intent_blocks)
{
	u64 regions = (u64)intent_blocks * VCI_INTENT_BITS;
	u32 log2 = REGION_LOG2_DEFAULT;

	VCI_ASSERT(intent_blocks);
	if (!backing_blocks)
		return log2;
	while (log2 > REGION_LOG2_FINEST &&
	       backing_blocks >> log2 < 1u << REGIONS_WANTED_LOG2)
		log2--;
	while (log2 < VCI_REGION_LOG2_MAX && regions << log2 < backing_blocks)
		log2++;
	return log2;
}

static u32 layout_segment_blocks(u64 blocks)
{
	u64 wanted = blocks / LAYOUT_SEGMENTS;
	u32 size;

	wanted = min_t(u64, wanted, LAYOUT_SEGMENT_LARGE);
	size = 1u << ilog2(max_t(u64, wanted, VCI_SEGMENT_BLOCKS_MIN));
	while (blocks >> ilog2(size) > VCI_SEGMENTS_MAX)
		size <<= 1;
	return size;
}

static int layout_check(const struct vci_layout_params *p, u64 blocks,
			const char **why)
{
	u32 size = p->segment_blocks;

	*why = NULL;
	if (blocks < VCI_SIZE_GRAIN)
		*why = "the cache device is smaller than 2 MiB";
	else if (blocks > VCI_IMAGE_MAX)
		*why = "the image would be larger than 64 TiB";
	else if (p->backing_blocks > VCI_BACKING_MAX)
		*why = "the backing device is larger than 204 TiB";
	else if (p->type != VCI_TYPE_DYNAMIC && p->type != VCI_TYPE_FIXED)
		*why = "the type is neither dynamic nor fixed";
	else if (size && (size & (size - 1) || size < VCI_SEGMENT_BLOCKS_MIN ||
			  size > VCI_SEGMENT_BLOCKS_MAX))
		*why = "the segment size is no power of two from 16 KiB to 1 GiB";
	else if (size && blocks >> ilog2(size) > VCI_SEGMENTS_MAX)
		*why = "the segment size is too small: more than 65536 segments";
	return *why ? -EINVAL : 0;
}

/* Takes @blocks blocks at *@next. */
static struct vci_area layout_take(u64 *next, u32 blocks)
{
	struct vci_area a = { .addr = *next, .blocks = blocks };

	*next += blocks;
	return a;
}

/* At least its share of the image, up to where segments are well aligned. */
static u32 layout_node_blocks(const struct vci_header *h)
{
	u64 share = h->blocks / LAYOUT_NODES_SHARE;

	share = min_t(u64, share, LAYOUT_NODES_MAX);
	share = max_t(u64, share, LAYOUT_NODES_MIN);
	return round_down(share, (u64)VCI_NODE_BLOCKS);
}

static u32 layout_nodemap_blocks(u32 node_blocks)
{
	/* One more block than needed never hurts; the share is rounded up later. */
	u32 units = node_blocks / VCI_NODE_BLOCKS + LAYOUT_ALIGN_MAX / VCI_NODE_BLOCKS;

	return DIV_ROUND_UP(units, VCI_NODES_PER_PAGE) * VCI_PAGE_BLOCKS;
}

static void layout_areas(struct vci_header *h)
{
	u32 align = min_t(u32, h->segment_blocks, LAYOUT_ALIGN_MAX);
	u32 segments = h->blocks >> ilog2(h->segment_blocks);
	u32 nodes = layout_node_blocks(h);
	u64 next = VCI_UNIT_BLOCKS;

	h->bitmap = next;
	h->bitmap_blocks = 1 + h->blocks / VCI_SIZE_GRAIN;
	next += round_up((u64)h->bitmap_blocks, VCI_UNIT_BLOCKS);
	h->intent = layout_take(&next, h->blocks < LAYOUT_SMALL ? VCI_UNIT_BLOCKS :
						   VCI_INTENT_BLOCKS_MAX);
	h->segtable = layout_take(&next, DIV_ROUND_UP(segments, VCI_SEGMENTS_PER_PAGE) *
						 VCI_PAGE_BLOCKS);
	h->nodemap = layout_take(&next, layout_nodemap_blocks(nodes));
	h->info = layout_take(&next, VCI_PAGE_BLOCKS);
	nodes += round_up(next + nodes, (u64)align) - (next + nodes);
	h->nodes = layout_take(&next, nodes);
	h->segments = next;
}

/**
 * vci_layout() - decide where things lie in a new image
 * @p: what is wanted
 * @h: receives size, type, and every geometry field; others stay as they are
 *	(backing_blocks too: it is recorded when the image is bound)
 * @why: receives a constant string if -EINVAL is returned
 *
 * Return: 0, or -EINVAL.
 */
int vci_layout(const struct vci_layout_params *p, struct vci_header *h,
	       const char **why)
{
	u64 blocks = round_down(p->blocks, (u64)VCI_SIZE_GRAIN);
	u64 end = vci_header_backup_addr(blocks);
	int err;

	err = layout_check(p, blocks, why);
	if (err)
		return err;
	h->blocks = blocks;
	h->type = p->type;
	h->unit_blocks = VCI_UNIT_BLOCKS;
	h->batch_align = p->batch_align ? p->batch_align : VCI_UNIT_BLOCKS;
	h->segment_blocks = p->segment_blocks;
	if (!h->segment_blocks)
		h->segment_blocks = layout_segment_blocks(blocks);
	layout_areas(h);
	h->nr_segments = 0;
	if (h->segments < end)
		h->nr_segments = (end - h->segments) >> ilog2(h->segment_blocks);
	if (h->nr_segments < LAYOUT_SEGMENTS_MIN) {
		*why = "the segment size is too large: fewer than 16 segments";
		return -EINVAL;
	}
	h->region_blocks_log2 = vci_layout_region_log2(p->backing_blocks,
						       h->intent.blocks);
	return 0;
}

/**
 * vci_layout_fixed() - the areas that are metadata by their place
 * @h: a checked header
 * @i: which, from 0
 * @a: receives the area
 *
 * Header unit, bitmap (to the end of its last unit), intent map, segment
 * table, node map, info, and the tail from the end of the last segment to the
 * end of the image.  The node area isn't among them: only nodes in use count.
 *
 * Return: false if there are not so many.
 */
bool vci_layout_fixed(const struct vci_header *h, unsigned int i, struct vci_area *a)
{
	u64 end = h->segments + (u64)h->nr_segments * h->segment_blocks;
	const struct vci_area areas[] = {
		{ 0, VCI_UNIT_BLOCKS },
		{ h->bitmap, round_up(h->bitmap_blocks, VCI_UNIT_BLOCKS) },
		h->intent,
		h->segtable,
		h->nodemap,
		h->info,
		{ end, h->blocks - end },
	};

	if (i >= ARRAY_SIZE(areas))
		return false;
	*a = areas[i];
	return true;
}
