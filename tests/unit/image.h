/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For tests: a device in memory that can fail, and images built by hand, with
 * codecs alone, so that what builds trees in the product is not needed here.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include "vci-codec.h"
#include "vci-io.h"

struct mem_dev {
	struct vci_dev dev;
	u8 *data;
	unsigned long count;	/* operations: reads, writes, flushes */
	unsigned long writes;
	unsigned long fail_at;	/* the n-th operation from now fails; 0 none */
	void (*after_write)(struct mem_dev *m);
};

void mem_dev_init(struct mem_dev *m, u64 blocks);
void mem_dev_destroy(struct mem_dev *m);

static inline void *mem_block(struct mem_dev *m, u64 addr)
{
	return m->data + addr * VCI_BLOCK_SIZE;
}

/* A label, both UUIDs and a size that every test may use. */
struct vci_format_params;
extern const struct vci_format_params image_params;

/* Formats @m and fills @h. */
void image_format(struct mem_dev *m, struct vci_header *h);
/*
 * Builds a clean image that holds @nr extents of @e, sorted by offset, at most
 * 107 * 204 in each window; the LRU list has the order of the array.
 */
void image_build(struct mem_dev *m, struct vci_header *h,
		 const struct vci_extent *e, unsigned int nr);

/* After a change by hand: seal again. */
void image_reseal_header(struct mem_dev *m, const struct vci_header *h);
void image_reseal_node(struct mem_dev *m, const struct vci_header *h, u64 addr);
void image_reseal_page(struct mem_dev *m, const struct vci_header *h, u64 addr);
/* Header and checksum of the bitmap, from its bits and @data_blocks. */
void image_reseal_bitmap(struct mem_dev *m, const struct vci_header *h,
			 u64 data_blocks);
u8 *image_bits(struct mem_dev *m, const struct vci_header *h);
struct vci_page_disk *image_page(struct mem_dev *m, const struct vci_area *a, u32 i);

#endif /* IMAGE_H */
