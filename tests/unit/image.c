// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: see image.h.
 */
#include "image.h"
#include "vci-format.h"

const struct vci_format_params image_params = {
	.layout = { .type = VCI_TYPE_FIXED },
	.uuid = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x47, 0x88, 0x99 },
	.modification_uuid = { 0xa1, 0xa2, 0xa3 },
	.label = "test image",
	.format_time = 1700000000,
};

/* ---- the device ------------------------------------------------------- */

static struct mem_dev *mem_of(struct vci_dev *dev)
{
	return container_of(dev, struct mem_dev, dev);
}

static bool mem_fails(struct mem_dev *m)
{
	m->count++;
	return m->fail_at && !--m->fail_at;
}

static bool mem_inside(const struct vci_dev *dev, u64 addr, u32 blocks)
{
	assert(!(addr % dev->lbs_blocks) && !(blocks % dev->lbs_blocks));
	return addr <= dev->blocks && blocks <= dev->blocks - addr;
}

static int mem_read(struct vci_dev *dev, u64 addr, u32 blocks, void *data)
{
	struct mem_dev *m = mem_of(dev);

	if (mem_fails(m) || !mem_inside(dev, addr, blocks))
		return -EIO;
	memcpy(data, mem_block(m, addr), blocks * VCI_BLOCK_SIZE);
	return 0;
}

static int mem_write(struct vci_dev *dev, u64 addr, u32 blocks, const void *data,
		     unsigned int flags)
{
	struct mem_dev *m = mem_of(dev);

	(void)flags;
	if (mem_fails(m) || !mem_inside(dev, addr, blocks))
		return -EIO;
	memcpy(mem_block(m, addr), data, blocks * VCI_BLOCK_SIZE);
	m->writes++;
	if (m->after_write)
		m->after_write(m);
	return 0;
}

static int mem_flush(struct vci_dev *dev)
{
	return mem_fails(mem_of(dev)) ? -EIO : 0;
}

static const struct vci_io_ops mem_ops = {
	.read = mem_read,
	.write = mem_write,
	.flush = mem_flush,
};

/* Full of bytes that mean nothing, as a used device. */
void mem_dev_init(struct mem_dev *m, u64 blocks)
{
	memset(m, 0, sizeof(*m));
	m->dev.ops = &mem_ops;
	m->dev.blocks = blocks;
	m->dev.lbs_blocks = 1;
	snprintf(m->dev.name, sizeof(m->dev.name), "memory");
	m->data = malloc(blocks * VCI_BLOCK_SIZE);
	assert(m->data);
	memset(m->data, 0x5a, blocks * VCI_BLOCK_SIZE);
}

void mem_dev_destroy(struct mem_dev *m)
{
	free(m->data);
}

/* ---- images ----------------------------------------------------------- */

void image_format(struct mem_dev *m, struct vci_header *h)
{
	int err = vci_format(&m->dev, &image_params, h);

	assert(!err);
}

void image_reseal_header(struct mem_dev *m, const struct vci_header *h)
{
	vci_header_seal(h, mem_block(m, 0));
	vci_header_seal(h, mem_block(m, vci_header_backup_addr(h->blocks)));
}

void image_reseal_node(struct mem_dev *m, const struct vci_header *h, u64 addr)
{
	vci_node_seal(mem_block(m, addr), h->uuid, addr,
		      vci_node_gen(mem_block(m, addr)) ? : h->checkpoint_gen);
}

void image_reseal_page(struct mem_dev *m, const struct vci_header *h, u64 addr)
{
	struct vci_page_disk *p = mem_block(m, addr);

	vci_page_seal(p, h->uuid, addr, le32_to_cpu(p->index), le64_to_cpu(p->gen));
}

u8 *image_bits(struct mem_dev *m, const struct vci_header *h)
{
	return mem_block(m, h->bitmap + 1);
}

void image_reseal_bitmap(struct mem_dev *m, const struct vci_header *h,
			 u64 data_blocks)
{
	u64 used = vci_bitmap_weight(image_bits(m, h), h->blocks);
	const struct vci_bitmap_info info = {
		.managed = h->blocks,
		.free = h->blocks - used,
		.metadata = used - data_blocks,
		.data = data_blocks,
		.ext_crc = crc32c(~0u, image_bits(m, h), h->blocks / 8),
	};

	vci_bitmap_seal(mem_block(m, h->bitmap), &info);
}

struct vci_page_disk *image_page(struct mem_dev *m, const struct vci_area *a, u32 i)
{
	return mem_block(m, a->addr + i * VCI_PAGE_BLOCKS);
}

/* Gives out units of the node area in order; the root has the first. */
struct builder {
	struct mem_dev *m;
	struct vci_header *h;
	const struct vci_extent *e;
	unsigned int nr;
	u32 units;
};

static u64 builder_node(struct builder *b)
{
	u64 addr = b->h->nodes.addr + (u64)b->units++ * VCI_NODE_BLOCKS;
	struct vci_page_disk *map = image_page(b->m, &b->h->nodemap, 0);

	assert(b->units <= b->h->nodes.blocks / VCI_NODE_BLOCKS);
	vci_bitmap_set(map->payload, b->units - 1, 1);
	vci_bitmap_set(image_bits(b->m, b->h), addr, VCI_NODE_BLOCKS);
	return addr;
}

/* Leaf of the extents from @i on, up to @end; returns what its parent says. */
static struct vci_child builder_leaf(struct builder *b, unsigned int i,
				     unsigned int end)
{
	struct vci_child c = { .off = b->e[i].off, .addr = builder_node(b) };
	void *node = mem_block(b->m, c.addr);
	unsigned int n;

	vci_node_init(node, VCI_NODE_LEAF);
	for (n = 0; i < end && n < VCI_LEAF_MAX; i++, n++) {
		vci_node_put_extent(node, n, &b->e[i], i ? b->e[i - 1].addr : 0,
				    i + 1 < b->nr ? b->e[i + 1].addr : 0);
		c.blocks = b->e[i].off + b->e[i].blocks - c.off;
	}
	image_reseal_node(b->m, b->h, c.addr);
	return c;
}

/* The subtree of one window, of one or two levels; returns the window's entry. */
static struct vci_child builder_window(struct builder *b, unsigned int i,
				       unsigned int end)
{
	u64 window = round_down(b->e[i].off, VCI_WINDOW_BLOCKS);
	struct vci_child c, top = { .off = window, .blocks = VCI_WINDOW_BLOCKS };
	unsigned int n;
	void *node;

	if (end - i <= VCI_LEAF_MAX) {
		top.addr = builder_leaf(b, i, end).addr;
		return top;
	}
	top.addr = builder_node(b);
	node = mem_block(b->m, top.addr);
	vci_node_init(node, VCI_NODE_INTERNAL);
	for (n = 0; i < end; i += VCI_LEAF_MAX, n++) {
		c = builder_leaf(b, i, end);
		vci_node_put_child(node, n, &c);
	}
	image_reseal_node(b->m, b->h, top.addr);
	return top;
}

static void builder_tree(struct builder *b)
{
	u64 addr = builder_node(b);
	void *root = mem_block(b->m, addr);
	unsigned int i, end, n = 0;
	struct vci_child c;

	vci_node_init(root, VCI_NODE_INTERNAL);
	for (i = 0; i < b->nr; i = end, n++) {
		for (end = i; end < b->nr; end++)
			if (b->e[end].off >> VCI_WINDOW_LOG2 !=
			    b->e[i].off >> VCI_WINDOW_LOG2)
				break;
		c = builder_window(b, i, end);
		vci_node_put_child(root, n, &c);
	}
	b->h->root = addr;
	image_reseal_node(b->m, b->h, addr);
	image_reseal_page(b->m, b->h, b->h->nodemap.addr);
}

static void builder_data(struct builder *b)
{
	unsigned int i;

	for (i = 0; i < b->nr; i++) {
		const struct vci_extent *e = &b->e[i];
		u32 seg = (e->addr - b->h->segments) / b->h->segment_blocks;
		u32 page = seg / VCI_SEGMENTS_PER_PAGE;
		struct vci_segment_disk *s = (void *)
			image_page(b->m, &b->h->segtable, page)->payload;

		s += seg % VCI_SEGMENTS_PER_PAGE;
		s->state = VCI_SEG_USED;
		s->seq = cpu_to_le64(seg + 1);
		s->live_blocks = cpu_to_le32(le32_to_cpu(s->live_blocks) + e->blocks);
		image_reseal_page(b->m, b->h, b->h->segtable.addr + page * VCI_PAGE_BLOCKS);
		vci_bitmap_set(image_bits(b->m, b->h), e->addr, e->blocks);
		b->h->data_blocks += e->blocks;
		if (e->flags & VCI_EXT_DIRTY) {
			b->h->flags |= VCI_HDR_DIRTY;
			b->h->dirty_blocks += e->blocks;
		}
	}
}

void image_build(struct mem_dev *m, struct vci_header *h,
		 const struct vci_extent *e, unsigned int nr)
{
	struct builder b = { .m = m, .h = h, .e = e, .nr = nr };

	image_format(m, h);
	builder_tree(&b);
	builder_data(&b);
	h->nr_extents = nr;
	h->lru_head = nr ? e[0].addr : 0;
	h->lru_tail = nr ? e[nr - 1].addr : 0;
	h->write_gen++;
	image_reseal_bitmap(m, h, h->data_blocks);
	image_reseal_header(m, h);
}
