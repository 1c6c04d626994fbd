/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every way an image can be wrong: a permanent number, a name, and words.
 *
 * Numbers are never reused.  Messages have one grammar:
 * "corrupt <what>: block <addr>, <words>[: <value>, expected <value>]".
 */
#ifndef VCI_DAMAGE_H
#define VCI_DAMAGE_H

#include "vci-platform.h"

#define VCI_DAMAGE_LIST(x)							\
	x(NONE,			 0, "image",	"no damage")			\
	x(HDR_SIGNATURE,	 1, "header",	"not a VCI image")		\
	x(HDR_VERSION,		 2, "header",	"unknown version")		\
	x(HDR_CSUM,		 3, "header",	"wrong checksum")		\
	x(HDR_SIZE,		 4, "header", \
	  "size is not a multiple of 2 MiB, or larger than the device") \
	x(HDR_TYPE,		 5, "header",	"unknown cache type")		\
	x(HDR_EXT,		 6, "header",	"no dm-vci extension, or an unknown one") \
	x(HDR_INCOMPAT,		 7, "header",	"unknown incompatible feature bits") \
	x(HDR_ROCOMPAT,		 8, "header",	"unknown read-only compatible feature bits") \
	x(HDR_GEOMETRY,		 9, "header", \
	  "an area lies outside the image or overlaps another") \
	x(HDR_FIELD,		10, "header",	"impossible value in a field")	\
	x(STATIC_CSUM,		11, "static header", "wrong magic or checksum")	\
	x(NODE_TYPE,		20, "node",	"unknown type")			\
	x(NODE_CSUM,		21, "node",	"wrong checksum, or of another place or image") \
	x(NODE_GEN,		22, "node",	"generation is newer than the checkpoint") \
	x(NODE_ORDER,		23, "node",	"keys out of order or overlapping") \
	x(NODE_RANGE,		24, "node",	"key outside the range of its parent") \
	x(NODE_ADDR,		25, "node",	"address outside its area")	\
	x(NODE_SLACK,		26, "node",	"unused entry is not zero")	\
	x(NODE_FLAGS,		27, "node", \
	  "reserved byte of an extent is not zero")		\
	x(NODE_DEPTH,		28, "node",	"tree is too deep, or has a cycle") \
	x(BATCH_MAGIC,		30, "batch",	"no batch here")		\
	x(BATCH_CSUM,		31, "batch",	"wrong checksum")		\
	x(BATCH_PLACE,		32, "batch",	"of another place")		\
	x(BATCH_FIELD,		33, "batch",	"impossible value in a field")	\
	x(BATCH_LOST,		34, "batch",	"a durable batch is missing")	\
	x(BATCH_DATA,		35, "batch",	"wrong checksum of data")	\
	x(PAGE_CSUM,		40, "page",	"wrong magic, place or checksum") \
	x(PAGE_LOST,		41, "page",	"the copy in use is lost")	\
	x(PAGE_GEN,		42, "page",	"generation is newer than the checkpoint") \
	x(INFO_FIELD,		43, "fingerprint", "impossible value in a field") \
	x(INTENT_CSUM,		45, "intent map", "wrong magic, place or checksum") \
	x(BITMAP_MAGIC,		50, "bitmap",	"wrong magic or version")	\
	x(BITMAP_SIZE,		51, "bitmap",	"doesn't manage the image's blocks") \
	x(BITMAP_COUNT,		52, "bitmap",	"counters don't add up")	\
	x(BITMAP_CSUM,		53, "bitmap",	"wrong checksum of bits")	\
	x(BITMAP_LEAK,		54, "bitmap",	"block is marked, but nothing uses it") \
	x(BITMAP_UNMARKED,	55, "bitmap",	"block is in use, but not marked") \
	x(OVERLAP,		60, "image",	"block is used twice")		\
	x(LRU_LINK,		61, "LRU list",	"link is wrong")		\
	x(LRU_LENGTH,		62, "LRU list",	"doesn't hold every extent once") \
	x(COUNT_EXTENTS,	63, "header",	"number of extents is wrong")	\
	x(SEG_STATE,		64, "segment table", "impossible state")	\
	x(SEG_LIVE,		65, "segment table", "live blocks are wrong")	\
	x(NODEMAP,		66, "node map",	"doesn't agree with the tree")	\
	x(UNCLEAN,		67, "header",	"was not closed cleanly")	\
	x(BACKUP,		68, "backup header", "damaged or out of date")	\
	x(DATA_DIFFERS,		69, "data",	"clean extent differs from the backing device")

enum vci_damage_number {
#define VCI_DAMAGE_ENUM(name, nr, what, words) VCI_DMG_##name = nr,
	VCI_DAMAGE_LIST(VCI_DAMAGE_ENUM)
#undef VCI_DAMAGE_ENUM
};

struct vci_damage {
	enum vci_damage_number number;
	u64 addr;		/* block in the image */
	u64 found, expected;	/* meaning depends on the number */
};

const char *vci_damage_name(enum vci_damage_number nr);
const char *vci_damage_what(enum vci_damage_number nr);
const char *vci_damage_words(enum vci_damage_number nr);
/* Notes damage in @dmg (may be NULL) and returns @err, for "return vci_damaged(...)". */
int vci_damaged(struct vci_damage *dmg, enum vci_damage_number nr, u64 addr,
		u64 found, u64 expected, int err);
/* One line in the grammar above, without a newline. */
void vci_damage_print(const struct vci_damage *dmg, char *text, size_t size);

#endif /* VCI_DAMAGE_H */
