/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Codecs: one block or unit of the image, no I/O, no memory, no state.
 *
 * check judges bytes and never writes; seal fills in address, generation and
 * checksum just before a write.  No unchecked byte passes a codec; behind it
 * code may trust.  Each failed check returns -EILSEQ (damaged), -ENOTBLK
 * (intact, but of another place, image or time) or -EOPNOTSUPP (unknown
 * feature), and puts the damage number and its words into struct vci_damage.
 */
#ifndef VCI_CODEC_H
#define VCI_CODEC_H

#include "vci-damage.h"
#include "vci-ondisk.h"

/* ---- header (vci-header.c) ---- */

struct vci_area {
	u64 addr;
	u32 blocks;
};

struct vci_open_segment {
	u32 segment;
	u32 used;
};

/* The atomic header in memory; fields as in struct vci_header_disk. */
struct vci_header {
	u64 blocks;
	u8 unclean;
	u32 type;
	u64 root;
	u64 bitmap;
	u32 bitmap_blocks;
	u8 uuid[16];
	u8 modification_uuid[16];
	u32 compat, ro_compat, incompat;
	u32 flags;
	u64 write_gen;
	u64 checkpoint_gen;
	u64 checkpoint_seq;
	u64 durable_seq;
	u64 backing_blocks;
	u8 backing_id[16];
	u32 unit_blocks;
	u32 segment_blocks;
	u32 nr_segments;
	u32 region_blocks_log2;
	struct vci_area intent, segtable, nodemap, info, nodes;
	u64 segments;
	u64 lru_head, lru_tail;
	u64 nr_extents;
	u64 data_blocks;
	struct vci_open_segment open[VCI_STREAMS];
	u32 queue[VCI_QUEUE];
	u32 nr_epochs;
	u64 epochs[VCI_EPOCHS];
	u32 pages_crc;
	u64 dirty_blocks;
	u64 ordered_seq;
	u32 batch_align;
};

int vci_header_check(const void *block, u64 device_blocks,
		     struct vci_header *h, struct vci_damage *dmg) __must_check;
void vci_header_seal(const struct vci_header *h, void *block);
/* No log: neither segments nor epochs. */
void vci_header_clear_log(struct vci_header *h);

/* The static header, block 1 (label is NUL terminated). */
int vci_static_check(const void *block, char label[VCI_LABEL_SIZE + 1],
		     u64 *format_time, struct vci_damage *dmg) __must_check;
void vci_static_seal(const char *label, u64 format_time, void *block);

/* Address of the backup header of an image of that many blocks. */
static inline u64 vci_header_backup_addr(u64 blocks)
{
	return blocks - VCI_UNIT_BLOCKS;
}

/* ---- layout (vci-layout.c): where things lie in a new image ---- */

struct vci_layout_params {
	u64 blocks;		/* of the device; rounded down to VCI_SIZE_GRAIN */
	u64 backing_blocks;	/* 0: not known yet, bound at first activation */
	u32 segment_blocks;	/* 0: chosen from the size */
	u32 type;
	u32 batch_align;	/* blocks, 1 to a unit; 0: a unit */
};

/* Fills every geometry field of @h, -EINVAL with *why set if it can't be. */
int vci_layout(const struct vci_layout_params *p, struct vci_header *h,
	       const char **why) __must_check;
/* Smallest log2(blocks per region) for which the intent map suffices. */
u32 vci_layout_region_log2(u64 backing_blocks, u32 intent_blocks);
/*
 * The areas that are metadata by their place, in a clean image's bitmap: the
 * @i-th of them from 0; false behind the last.  Nodes and data are the others.
 */
bool vci_layout_fixed(const struct vci_header *h, unsigned int i, struct vci_area *a);

/* ---- nodes (vci-node.c) ---- */

struct vci_extent {
	u64 off;		/* block on the backing device */
	u64 addr;		/* block in the image */
	u32 blocks;
	u8 flags;		/* VCI_EXT_* */
	u8 heat;		/* see vci_heat_used() */
};

/*
 * Heat: how often an extent was used since it was appended, up to VCI_HEAT_USES;
 * or VCI_HEAT_AHEAD and the bin of read-around that wanted it, if it was read
 * ahead and nobody asked for it yet (vci-around.h).
 */
#define VCI_HEAT_USES	3u
#define VCI_HEAT_AHEAD	0x20u
#define VCI_HEAT_BIN	0x0fu
static_assert((VCI_HEAT_AHEAD | VCI_HEAT_BIN) <= VCI_HEAT_MAX);

/* Uses that count: what was read ahead has none yet. */
static inline u8 vci_heat_uses(u8 heat)
{
	return heat & VCI_HEAT_AHEAD ? 0 : heat;
}

/* The heat of an extent that is used now. */
static inline u8 vci_heat_used(u8 heat)
{
	if (heat & VCI_HEAT_AHEAD)
		return 1;
	return heat < VCI_HEAT_USES ? heat + 1 : heat;
}

struct vci_child {
	u64 off;
	u64 addr;
	u32 blocks;
};

/* What bounds the contents of a node: known from its parent and the header. */
struct vci_node_bounds {
	const u8 *uuid;
	u64 addr;		/* where it was read from */
	u64 off;		/* range its parent gives it */
	u64 blocks;
	u64 max_gen;		/* checkpoint_gen of the header */
	u64 image_blocks;
	u64 nodes_addr;		/* node area, for children */
	u64 nodes_blocks;
	u64 data_addr;		/* segments, for extents */
	u64 data_blocks;
};

int vci_node_check(const void *node, const struct vci_node_bounds *b,
		   struct vci_damage *dmg) __must_check;
/* Type and number of entries in use of a checked node. */
unsigned int vci_node_type(const void *node);
unsigned int vci_node_count(const void *node);
void vci_node_extent(const void *node, unsigned int i, struct vci_extent *e);
void vci_node_lru(const void *node, unsigned int i, u64 *prev, u64 *next);
void vci_node_child(const void *node, unsigned int i, struct vci_child *c);
u64 vci_node_gen(const void *node);
/* Building: init, put entries in order, seal. */
void vci_node_init(void *node, unsigned int type);
void vci_node_put_extent(void *node, unsigned int i, const struct vci_extent *e,
			 u64 lru_prev, u64 lru_next);
void vci_node_set_lru_next(void *node, unsigned int i, u64 lru_next);
void vci_node_put_child(void *node, unsigned int i, const struct vci_child *c);
void vci_node_seal(void *node, const u8 *uuid, u64 addr, u64 gen);

/* ---- batch headers (vci-batch.c) ---- */

struct vci_entry {
	u64 off;
	u32 blocks;
	u8 kind;		/* enum vci_entry_kind */
	u8 flags;
	u8 heat;
	u64 old_addr;
	u32 data_crc;
	u64 addr;		/* of the data in the image; computed, not stored */
};

struct vci_batch_info {
	u64 seq, epoch, durable_seq;
	u64 addr;
	u32 blocks;
	u8 header_blocks;
	u8 stream;
	u16 nr_entries;
	u32 next[VCI_WINDOW];
};

/* True for kinds whose entries are followed by data in the batch. */
static inline bool vci_entry_has_data(u8 kind)
{
	return kind == VCI_ENTRY_FILL || kind == VCI_ENTRY_WRITE ||
	       kind == VCI_ENTRY_MOVE || kind == VCI_ENTRY_VOID;
}

/* Blocks of a header with so many entries. */
static inline u32 vci_batch_header_blocks(u32 nr_entries, u32 align)
{
	size_t bytes = sizeof(struct vci_batch_disk) +
		       nr_entries * sizeof(struct vci_entry_disk);

	return round_up(DIV_ROUND_UP(bytes, VCI_BLOCK_SIZE), align);
}

/*
 * @header: VCI_UNIT_SIZE bytes read from @addr, or up to the end of its segment, which is
 * @room blocks away.  @entries: VCI_BATCH_ENTRIES_MAX of them, filled in.
 */
int vci_batch_check(const void *header, const struct vci_header *h, u64 addr, u32 room,
		    struct vci_batch_info *info,
		    struct vci_entry *entries, struct vci_damage *dmg) __must_check;
u32 vci_batch_seed(const u8 *uuid);
/* Sets entries[i].addr from info->addr as a side result. */
u32 vci_batch_seal(void *header, u32 dirty, u32 seed, const struct vci_batch_info *info,
		   struct vci_entry *entries);
u32 vci_data_crc(const void *data, u32 blocks);

/* ---- shadow pages (vci-page.c) and intent blocks (vci-intentblk.c) ---- */

u32 vci_block_crc(const void *block, unsigned int bytes, const u8 *uuid, u64 addr);
int vci_page_check(const void *page, const u8 *uuid, u64 addr, u32 index,
		   u64 max_gen, u64 *gen, struct vci_damage *dmg) __must_check;
void vci_page_seal(void *page, const u8 *uuid, u64 addr, u32 index, u64 gen);
/*
 * The header's pages_crc: begins with ~0u, then the generation of each page in
 * use, in order of page index; areas: segment table, node map, info.
 */
u32 vci_page_gen_crc(u32 crc, u64 gen);
/* What intact pages hold: @nr segments in one of the segment table; samples. */
int vci_segpage_check(const void *page, u32 nr, u32 segment_blocks,
		      struct vci_damage *dmg) __must_check;
int vci_info_check(const void *page, u64 backing_blocks,
		   struct vci_damage *dmg) __must_check;

int vci_intent_check(const void *block, const u8 *uuid, u64 addr, u32 index,
		     struct vci_damage *dmg) __must_check;
void vci_intent_seal(void *block, const u8 *uuid, u64 addr, u32 index);

/* ---- VCI v1 bitmap header (vci-bitmap.c) ---- */

struct vci_bitmap_info {
	u64 managed, free, metadata, data;
	u32 ext_crc;
};

int vci_bitmap_check(const void *block, u64 image_blocks,
		     struct vci_bitmap_info *info, struct vci_damage *dmg) __must_check;
void vci_bitmap_seal(void *block, const struct vci_bitmap_info *info);
/* Sets @blocks bits from @first in a bitmap of bytes, LSB first. */
void vci_bitmap_set(u8 *bits, u64 first, u64 blocks);
bool vci_bitmap_test(const u8 *bits, u64 i);
u64 vci_bitmap_weight(const u8 *bits, u64 nbits);

#endif /* VCI_CODEC_H */
