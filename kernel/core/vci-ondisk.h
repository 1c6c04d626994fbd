/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VCI image on its cache device: every structure, constant and limit.
 *
 * OVERVIEW
 *
 * All integers are little endian.  A block is 512 bytes.  An "address" is a
 * block number in the image, an "offset" a block number on the backing device.
 * A unit is 8 blocks (4 KiB): metadata areas, nodes and segments start on a
 * unit, batches on what the header says.  The image is, from its first block to its last:
 *
 *	header		1 unit: block 0 is the atomic header, block 1 the static one
 *	bitmap		VCI v1 block bitmap; exact after a clean close only
 *	intent map	which regions of the backing device may differ (O1)
 *	segment table	shadow-paged: state and age of each segment
 *	node map	shadow-paged: which units of the node area are in use
 *	info		shadow-paged: fingerprint of the backing device
 *	node area	B+-tree nodes, one unit each, written copy-on-write
 *	segments	the log: batches of one header and its data
 *	tail		unused blocks, then the backup header in the last unit
 *
 * What a reader may believe after a crash is in Documentation/on-disk-format.rst,
 * and the orderings O1-O13 that keep it in Documentation/design.rst.
 */
#ifndef VCI_ONDISK_H
#define VCI_ONDISK_H

#include "vci-platform.h"

#define VCI_BLOCK_SIZE		512u
#define VCI_UNIT_BLOCKS		8u
#define VCI_UNIT_SIZE		(VCI_UNIT_BLOCKS * VCI_BLOCK_SIZE)
/* The image's size is a multiple of this: whole blocks of bitmap bits. */
#define VCI_SIZE_GRAIN		4096u
/* Addresses have 38 bits in memory; images that are made are at most 64 TiB. */
#define VCI_ADDR_MAX		0x4000000000ull
#define VCI_IMAGE_MAX		0x2000000000ull

/* ---- header ----------------------------------------------------------- */

#define VCI_SIGNATURE		0x00494356u	/* "VCI\0" */
#define VCI_VERSION		1u
#define VCI_TYPE_DYNAMIC	1u
#define VCI_TYPE_FIXED		2u
#define VCI_EXT_MAGIC		0x31584356u	/* "VCX1" */
#define VCI_EXT_VERSION		3u

/* Feature words: unknown bits refuse all use / writing / nothing. */
#define VCI_INCOMPAT_EXPERIMENTAL	0x00000001u	/* format not yet final */
#define VCI_INCOMPAT_DIRECT		0x00000002u	/* the log may name direct writes */
#define VCI_INCOMPAT_KNOWN		(VCI_INCOMPAT_EXPERIMENTAL | VCI_INCOMPAT_DIRECT)
#define VCI_ROCOMPAT_KNOWN		0u
#define VCI_COMPAT_KNOWN		0u

/* Header flags. */
#define VCI_HDR_DIRTY		0x00000001u	/* may hold dirty extents */
#define VCI_HDR_BOUND		0x00000002u	/* backing identity is set */
#define VCI_HDR_RETIRED		0x00000004u	/* clean mappings count no more */
#define VCI_HDR_KNOWN		(VCI_HDR_DIRTY | VCI_HDR_BOUND | VCI_HDR_RETIRED)

/* Epochs since the last checkpoint; a full list forces a checkpoint. */
#define VCI_EPOCHS		6u
/* Segments that are open at once: one for each kind of data. */
enum vci_log_stream {
	VCI_STREAM_NEW,		/* writes, fills, records */
	VCI_STREAM_KEPT,	/* appended again by reclaim */
	VCI_STREAM_AHEAD,	/* read ahead of use */
};

#define VCI_STREAMS		3u
static_assert(VCI_STREAM_AHEAD + 1 == VCI_STREAMS);
/* Segments that are promised to the log in advance. */
#define VCI_QUEUE		8u
/* How many of them each batch header names; also the durable window. */
#define VCI_WINDOW		4u

struct vci_area_disk {
	__le64	addr;		/* first block */
	__le32	blocks;
} __packed;

struct vci_open_disk {
	__le32	segment;	/* VCI_NO_SEGMENT: none */
	__le32	used;		/* blocks of it that are before the checkpoint */
} __packed;

struct vci_header_disk {
	/* VCI version 1, 73 bytes */
	__le32	signature;
	__le32	version;
	__le64	blocks;		/* size of the image */
	u8	unclean;
	__le32	type;
	__le64	root;		/* address of the B+-tree's root node */
	__le64	bitmap;
	__le32	bitmap_blocks;
	u8	uuid[16];
	u8	modification_uuid[16];
	/* the extension */
	u8	pad[7];
	__le32	ext_magic;
	__le32	ext_version;
	__le32	compat;
	__le32	ro_compat;
	__le32	incompat;
	__le32	flags;
	__le64	write_gen;	/* one more with each write of this header */
	__le64	checkpoint_gen;
	__le64	checkpoint_seq;	/* every batch up to it is in the tree */
	__le64	durable_seq;	/* every batch up to it was durable */
	__le64	backing_blocks;
	u8	backing_id[16];
	__le32	unit_blocks;
	__le32	segment_blocks;
	__le32	nr_segments;
	__le32	region_blocks_log2;	/* of the intent map */
	struct vci_area_disk intent;
	struct vci_area_disk segtable;
	struct vci_area_disk nodemap;
	struct vci_area_disk info;
	struct vci_area_disk nodes;
	__le64	segments;	/* address of segment 0 */
	__le64	lru_head;	/* data address of the most recent extent, 0 none */
	__le64	lru_tail;
	__le64	nr_extents;
	__le64	data_blocks;	/* sum of the extents' blocks */
	struct vci_open_disk open[VCI_STREAMS];	/* at the checkpoint */
	__le32	queue[VCI_QUEUE];
	__le32	nr_epochs;
	__le64	epochs[VCI_EPOCHS];	/* the checkpoint's, then later ones */
	__le32	pages_crc;	/* of the generations of all pages in use */
	__le64	dirty_blocks;	/* of data_blocks */
	__le64	ordered_seq;	/* batches before it are written back, in order; 0 none */
	__le32	batch_align;	/* blocks: what batches and their headers are aligned to */
	u8	reserved[100];
	__le32	crc;		/* crc32c of the 508 bytes before */
} __packed;

#define VCI_NO_SEGMENT		0xffffffffu

static_assert(sizeof(struct vci_header_disk) == VCI_BLOCK_SIZE);
static_assert(offsetof(struct vci_header_disk, unclean) == 16);
static_assert(offsetof(struct vci_header_disk, type) == 17);
static_assert(offsetof(struct vci_header_disk, root) == 21);
static_assert(offsetof(struct vci_header_disk, bitmap) == 29);
static_assert(offsetof(struct vci_header_disk, bitmap_blocks) == 37);
static_assert(offsetof(struct vci_header_disk, uuid) == 41);
static_assert(offsetof(struct vci_header_disk, modification_uuid) == 57);
static_assert(offsetof(struct vci_header_disk, pad) == 73);
static_assert(offsetof(struct vci_header_disk, ext_magic) == 80);
static_assert(offsetof(struct vci_header_disk, open) == 276);
static_assert(offsetof(struct vci_header_disk, epochs) == 336);
static_assert(offsetof(struct vci_header_disk, pages_crc) == 384);
static_assert(offsetof(struct vci_header_disk, dirty_blocks) == 388);
static_assert(offsetof(struct vci_header_disk, batch_align) == 404);
static_assert(offsetof(struct vci_header_disk, crc) == 508);

/* Block 1: written by vci-format alone, so it needs no atomicity. */
#define VCI_LABEL_SIZE		64u

struct vci_static_disk {
	__le32	magic;		/* VCI_STATIC_MAGIC */
	u8	label[VCI_LABEL_SIZE];	/* NUL padded UTF-8 */
	__le64	format_time;	/* seconds since 1970, 0 unknown */
	u8	reserved[432];
	__le32	crc;		/* crc32c of the 508 bytes before */
} __packed;

#define VCI_STATIC_MAGIC	0x53494356u	/* "VCIS" */

static_assert(sizeof(struct vci_static_disk) == VCI_BLOCK_SIZE);

/* ---- block bitmap ----------------------------------------------------- */

#define VCI_BITMAP_MAGIC	0x4b4c4256u	/* "VBLK" */
#define VCI_BITMAP_VERSION	1u
#define VCI_BITS_PER_BLOCK	(VCI_BLOCK_SIZE * 8)

struct vci_bitmap_disk {
	__le32	magic;
	__le32	version;
	__le64	managed;
	__le64	free;
	__le64	metadata;
	__le64	data;
	__le32	ext_crc;	/* crc32c of all bits; checked by vci-check */
	u8	reserved[468];
} __packed;

static_assert(sizeof(struct vci_bitmap_disk) == VCI_BLOCK_SIZE);

/* ---- B+-tree ---------------------------------------------------------- */

#define VCI_NODE_BLOCKS		VCI_UNIT_BLOCKS
#define VCI_NODE_SIZE		VCI_UNIT_SIZE
#define VCI_NODE_INTERNAL	1u
#define VCI_NODE_LEAF		2u
#define VCI_INTERNAL_MAX	204u
#define VCI_LEAF_MAX		107u
/* Root, then at most this many levels below one window. */
#define VCI_DEPTH_MAX		8u

/* The root is a table of windows of this many blocks each. */
#define VCI_WINDOW_LOG2		31u
#define VCI_WINDOW_BLOCKS	0x80000000ull
static_assert(VCI_WINDOW_BLOCKS >> VCI_WINDOW_LOG2 == 1);
#define VCI_WINDOWS_MAX		VCI_INTERNAL_MAX
#define VCI_BACKING_MAX		(VCI_WINDOWS_MAX * VCI_WINDOW_BLOCKS)

struct vci_internal_entry_disk {
	__le64	offset;
	__le32	blocks;
	__le64	child;
} __packed;

struct vci_leaf_entry_disk {
	__le64	lru_prev;
	__le64	lru_next;
	u8	flags;
	u8	reserved;	/* 0 */
	__le64	offset;
	__le32	blocks;
	__le64	addr;
} __packed;

static_assert(sizeof(struct vci_internal_entry_disk) == 20);
static_assert(sizeof(struct vci_leaf_entry_disk) == 38);

/* Extent flags. */
#define VCI_EXT_DIRTY		0x01u	/* newer than the backing device */
#define VCI_EXT_NOCSUM		0x02u	/* of an entry: none for its data */
#define VCI_EXT_KNOWN		(VCI_EXT_DIRTY | VCI_EXT_NOCSUM)
/* On the device the flags' upper six bits are the extent's heat. */
#define VCI_EXT_HEAT_SHIFT	2u
#define VCI_HEAT_MAX		63u

/* Longest extent in the tree, and longest entry of a batch. */
#define VCI_EXTENT_BLOCKS_MAX	0xffffu
/* Neighbours become one extent only up to this: heat is a matter of small pieces. */
#define VCI_MERGE_BLOCKS_MAX	16u
#define VCI_ENTRY_BLOCKS_MAX	128u

/* The last 12 bytes of a node, in the slack behind its entries. */
struct vci_node_tail_disk {
	__le64	gen;		/* checkpoint that wrote it */
	__le32	crc;		/* over uuid, own address, the bytes before */
} __packed;

#define VCI_NODE_TAIL		(VCI_NODE_SIZE - sizeof(struct vci_node_tail_disk))

static_assert(1 + VCI_LEAF_MAX * 38 <= VCI_NODE_TAIL);
static_assert(1 + VCI_INTERNAL_MAX * 20 <= VCI_NODE_TAIL);

/* ---- log -------------------------------------------------------------- */

#define VCI_BATCH_MAGIC		0x42494356u	/* "VCIB" */

enum vci_entry_kind {
	VCI_ENTRY_FILL		= 1,	/* clean; applies to unmapped blocks only */
	VCI_ENTRY_WRITE		= 2,	/* dirty; always applies */
	VCI_ENTRY_MOVE		= 3,	/* re-append: applies where old_addr is mapped */
	VCI_ENTRY_CLEAN		= 4,	/* no data: dirty at old_addr is clean now */
	VCI_ENTRY_DROP		= 5,	/* no data: unmap, whatever is there (discard) */
	VCI_ENTRY_VOID		= 6,	/* data that maps nothing: a fill gone stale */
	VCI_ENTRY_DIRECT	= 7,	/* a WRITE whose data lies at old_addr already */
};

struct vci_entry_disk {
	__le64	offset;
	__le32	blocks;
	u8	kind;
	u8	flags;		/* VCI_EXT_* the mapping gets */
	u8	heat;		/* recency the mapping gets */
	u8	reserved;
	__le64	old_addr;	/* MOVE, CLEAN: mapping it replaces; DIRECT: its data */
	__le32	data_crc;	/* crc32c of the data, 0 and NOCSUM: none */
	__le32	reserved2;
} __packed;

struct vci_batch_disk {
	__le32	magic;
	__le32	crc;		/* over uuid, then used bytes with this field 0 */
	__le64	seq;
	__le64	epoch;
	__le64	durable_seq;	/* newest batch known durable when built (O5) */
	__le64	addr;		/* own address */
	__le32	blocks;		/* header, data and padding: multiple of batch_align */
	u8	header_blocks;	/* data of entry 0 starts behind them */
	u8	stream;		/* of its segment */
	__le16	nr_entries;
	__le32	next[VCI_WINDOW];	/* segments that the log goes on with */
	struct vci_entry_disk entries[];
} __packed;

static_assert(sizeof(struct vci_entry_disk) == 32);
static_assert(sizeof(struct vci_batch_disk) == 64);

#define VCI_BATCH_ENTRIES_MAX \
	((VCI_UNIT_SIZE - sizeof(struct vci_batch_disk)) / sizeof(struct vci_entry_disk))
#define VCI_BATCH_BLOCKS_MAX	2048u	/* 1 MiB, header included */
static_assert(VCI_BATCH_ENTRIES_MAX == 126);

/* ---- shadow pages: segment table, node map, info ---------------------- */

#define VCI_PAGE_MAGIC		0x50494356u	/* "VCIP" */
#define VCI_PAGE_PAYLOAD	4064u

/*
 * Page i of an area lies at unit 2i or 2i+1 of it; the valid one is the newer
 * of those whose gen does not exceed the header's checkpoint_gen.
 */
struct vci_page_disk {
	__le32	magic;
	__le32	crc;		/* over uuid, own address, the page with this field 0 */
	__le64	gen;
	__le64	addr;
	__le32	index;
	__le32	reserved;
	u8	payload[VCI_PAGE_PAYLOAD];
} __packed;

static_assert(sizeof(struct vci_page_disk) == VCI_UNIT_SIZE);

enum vci_segment_state {
	VCI_SEG_FREE	= 0,
	VCI_SEG_USED	= 1,	/* closed, or open at the checkpoint */
	VCI_SEG_BAD	= 2,	/* a write to it failed: never used again */
};

struct vci_segment_disk {
	__le32	live_blocks;	/* mapped blocks in it */
	u8	state;
	u8	stream;		/* for which it was opened last */
	u8	reserved[2];
	__le64	seq;		/* its first batch: the age */
} __packed;

static_assert(sizeof(struct vci_segment_disk) == 16);

#define VCI_SEGMENT_BLOCKS_MIN	32u		/* 16 KiB */
#define VCI_SEGMENT_BLOCKS_MAX	0x200000u	/* 1 GiB */
#define VCI_SEGMENTS_MAX	65536u
#define VCI_SEGMENTS_PER_PAGE \
	(VCI_PAGE_PAYLOAD / (u32)sizeof(struct vci_segment_disk))
#define VCI_NODES_PER_PAGE	(VCI_PAGE_PAYLOAD * 8)	/* bits of the node map */
/* Blocks of an area for each page in it: two slots. */
#define VCI_PAGE_BLOCKS		(2 * VCI_UNIT_BLOCKS)
static_assert(VCI_SEGMENTS_PER_PAGE == 254);

/* ---- intent map ------------------------------------------------------- */

#define VCI_INTENT_MAGIC	0x49494356u	/* "VCII" */
#define VCI_INTENT_BYTES	480u
#define VCI_INTENT_BITS		(VCI_INTENT_BYTES * 8)	/* regions per block */
#define VCI_INTENT_BLOCKS_MAX	64u
/* Sizes of a region, as log2 of its blocks: a unit to a window. */
#define VCI_REGION_LOG2_MIN	3u
#define VCI_REGION_LOG2_MAX	31u

/* One block each, written in place; a damaged one counts as all set. */
struct vci_intent_disk {
	__le32	magic;
	__le32	crc;		/* over uuid, own address, the block with this field 0 */
	__le32	index;
	u8	reserved[20];
	u8	bits[VCI_INTENT_BYTES];
} __packed;

static_assert(sizeof(struct vci_intent_disk) == VCI_BLOCK_SIZE);

/* ---- fingerprint of the backing device: payload of the info area ------ */

#define VCI_SAMPLES_MAX		127u

struct vci_sample_disk {
	__le64	offset;		/* block on the backing device */
	__le32	crc;		/* crc32c of that block */
	__le32	flags;		/* VCI_SAMPLE_VALID */
} __packed;

#define VCI_SAMPLE_VALID	1u

struct vci_info_disk {
	__le32	nr_samples;
	u8	reserved[28];
	struct vci_sample_disk samples[VCI_SAMPLES_MAX];
} __packed;

static_assert(sizeof(struct vci_info_disk) == 2064);
static_assert(sizeof(struct vci_info_disk) <= VCI_PAGE_PAYLOAD);

#endif /* VCI_ONDISK_H */
