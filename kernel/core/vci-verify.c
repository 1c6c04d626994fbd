// SPDX-License-Identifier: GPL-2.0-only
/*
 * The whole-image walker: headers, intent map, bitmap, and the order of it all.
 *
 * What each part finds wrong is reported and the walk goes on; what depends on
 * a part that can't be read is left out.
 */
#include "vci-verify-internal.h"

#define VERIFY_TEXT	256u

/* ---- findings --------------------------------------------------------- */

/**
 * vci_verify_found() - report damage
 * @v: the walk
 * @dmg: what was found
 */
void vci_verify_found(struct verify *v, const struct vci_damage *dmg)
{
	char text[VERIFY_TEXT];

	v->r->nr_findings++;
	if (!v->p->finding)
		return;
	vci_damage_print(dmg, text, sizeof(text));
	v->p->finding(v->p->ctx, dmg, text);
}

/**
 * vci_verify_report() - report damage that no codec found
 * @v: the walk
 * @nr: its number
 * @addr: block in the image
 * @found: value found
 * @expected: value expected
 */
void vci_verify_report(struct verify *v, enum vci_damage_number nr, u64 addr,
		       u64 found, u64 expected)
{
	const struct vci_damage dmg = {
		.number = nr, .addr = addr, .found = found, .expected = expected,
	};

	vci_verify_found(v, &dmg);
}

/* The first bit set in a run of them; the run's end if there is none. */
static u64 bits_first_set(const u8 *bits, u64 first, u64 end)
{
	while (first < end) {
		if (first % 8 == 0 && end - first >= 8) {
			const u8 *at = memchr_inv(bits + first / 8, 0, (end - first) / 8);

			if (!at) {
				first += round_down(end - first, 8ull);
				continue;
			}
			first = (u64)(at - bits) * 8;
		}
		if (vci_bitmap_test(bits, first))
			return first;
		first++;
	}
	return end;
}

/**
 * vci_verify_use() - mark blocks as used
 * @v: the walk
 * @addr: the first
 * @blocks: how many; all lie in the image
 */
void vci_verify_use(struct verify *v, u64 addr, u64 blocks)
{
	u64 twice = bits_first_set(v->used, addr, addr + blocks);

	if (twice != addr + blocks)
		vci_verify_report(v, VCI_DMG_OVERLAP, twice, 0, 0);
	vci_bitmap_set(v->used, addr, blocks);
}

/* ---- headers ---------------------------------------------------------- */

/* 0: go on. Negative: can't tell. Positive: damaged, and nothing more to see. */
static int verify_header(struct verify *v)
{
	struct vci_header *h = &v->r->header;
	struct vci_damage dmg;
	int err;

	err = vci_read(v->p->dev, 0, VCI_UNIT_BLOCKS, v->buf);
	if (err)
		return err;
	err = vci_header_check(v->buf, v->p->dev->blocks, h, &dmg);
	if (!err || err == -EROFS) {
		v->r->clean = !h->unclean;
		return 0;
	}
	memset(h, 0, sizeof(*h));
	vci_verify_found(v, &dmg);
	return err == -EILSEQ ? 1 : err;
}

/* v->buf holds the header unit. */
static void verify_static(struct verify *v)
{
	char label[VCI_LABEL_SIZE + 1];
	struct vci_damage dmg;
	u64 format_time;

	if (vci_static_check(v->buf + VCI_BLOCK_SIZE, label, &format_time, &dmg))
		vci_verify_found(v, &dmg);
}

/*
 * The copy is written after the header, and is durable before the next one is:
 * after a crash it may be one write behind, whether the image is clean or not.
 */
static int verify_backup(struct verify *v)
{
	u64 addr = vci_header_backup_addr(v->h->blocks);
	struct vci_header copy;
	int err;

	err = vci_read(v->p->dev, addr, VCI_UNIT_BLOCKS, v->buf2);
	if (err)
		return err;
	err = vci_header_check(v->buf2, v->p->dev->blocks, &copy, NULL);
	if (err && err != -EROFS)
		vci_verify_report(v, VCI_DMG_BACKUP, addr, 0, 0);
	else if (memcmp(copy.uuid, v->h->uuid, sizeof(copy.uuid)))
		vci_verify_report(v, VCI_DMG_BACKUP, addr, 0, 0);
	else if (copy.write_gen != v->h->write_gen &&
		 copy.write_gen + 1 != v->h->write_gen)
		vci_verify_report(v, VCI_DMG_BACKUP, addr, copy.write_gen,
				  v->h->write_gen);
	else if (copy.write_gen == v->h->write_gen &&
		 memcmp(v->buf, v->buf2, VCI_BLOCK_SIZE))
		vci_verify_report(v, VCI_DMG_BACKUP, addr, 0, 0);
	return 0;
}

/* ---- intent map ------------------------------------------------------- */

static int verify_intent(struct verify *v)
{
	const struct vci_area *a = &v->h->intent;
	struct vci_damage dmg;
	u32 i;
	int err;

	static_assert(VCI_INTENT_BLOCKS_MAX <= VERIFY_CHUNK_BLOCKS);

	err = vci_read(v->p->dev, a->addr, a->blocks, v->buf);
	if (err)
		return err;
	for (i = 0; i < a->blocks; i++) {
		const struct vci_intent_disk *d = (void *)(v->buf + i * VCI_BLOCK_SIZE);

		if (vci_intent_check(d, v->h->uuid, a->addr + i, i, &dmg)) {
			vci_verify_found(v, &dmg);
			v->r->regions_marked += VCI_INTENT_BITS;
		} else {
			v->r->regions_marked += vci_bitmap_weight(d->bits, VCI_INTENT_BITS);
		}
	}
	return 0;
}

/* ---- bitmap ----------------------------------------------------------- */

/* Reports each run of differing bits between the device's and ours. */
static void bits_compare(struct verify *v, const u8 *disk, u64 first, u64 nbits)
{
	u64 i = 0, start;
	bool marked;

	while (i < nbits) {
		if (i % 8 == 0 && disk[i / 8] == v->used[(first + i) / 8]) {
			i += 8;
			continue;
		}
		marked = vci_bitmap_test(disk, i);
		if (marked == vci_bitmap_test(v->used, first + i)) {
			i++;
			continue;
		}
		start = i;
		while (i < nbits && vci_bitmap_test(disk, i) == marked &&
		       vci_bitmap_test(v->used, first + i) != marked)
			i++;
		vci_verify_report(v, marked ? VCI_DMG_BITMAP_LEAK :
				  VCI_DMG_BITMAP_UNMARKED, first + start, i - start, 0);
	}
}

static void bitmap_check_counts(struct verify *v, const struct vci_bitmap_info *info)
{
	u64 used = vci_bitmap_weight(v->used, v->h->blocks);
	u64 metadata = used - v->r->data_blocks;

	if (info->data != v->r->data_blocks)
		vci_verify_report(v, VCI_DMG_BITMAP_COUNT, v->h->bitmap, info->data,
				  v->r->data_blocks);
	else if (info->metadata != metadata)
		vci_verify_report(v, VCI_DMG_BITMAP_COUNT, v->h->bitmap,
				  info->metadata, metadata);
}

static int verify_bitmap_header(struct verify *v, struct vci_bitmap_info *info)
{
	struct vci_damage dmg;

	if (!vci_bitmap_check(v->buf, v->h->blocks, info, &dmg))
		return 0;
	dmg.addr = v->h->bitmap;
	vci_verify_found(v, &dmg);
	return -EILSEQ;
}

/* Of a clean image whose tree is whole. */
static int verify_bitmap(struct verify *v)
{
	u32 nr = v->h->bitmap_blocks;
	struct vci_bitmap_info info = { };
	u32 at, run, skip, crc = ~0u;
	bool intact = false;
	int err;

	for (at = 0; at < nr; at += run) {
		run = min_t(u32, nr - at, VERIFY_CHUNK_BLOCKS);
		skip = !at;	/* its header is the first block */
		err = vci_read(v->p->dev, v->h->bitmap + at,
			       round_up(run, VCI_UNIT_BLOCKS), v->buf);
		if (err)
			return err;
		if (skip)
			intact = !verify_bitmap_header(v, &info);
		crc = crc32c(crc, v->buf + skip * VCI_BLOCK_SIZE,
			     (run - skip) * VCI_BLOCK_SIZE);
		bits_compare(v, v->buf + skip * VCI_BLOCK_SIZE,
			     (u64)(at + skip - 1) * VCI_BITS_PER_BLOCK,
			     (u64)(run - skip) * VCI_BITS_PER_BLOCK);
		cond_resched();
	}
	if (!intact)
		return 0;
	if (crc != info.ext_crc)
		vci_verify_report(v, VCI_DMG_BITMAP_CSUM, v->h->bitmap, info.ext_crc, crc);
	bitmap_check_counts(v, &info);
	return 0;
}

/* ---- the whole -------------------------------------------------------- */

static void verify_counts(struct verify *v)
{
	if (v->r->nr_extents != v->h->nr_extents)
		vci_verify_report(v, VCI_DMG_COUNT_EXTENTS, 0, v->h->nr_extents,
				  v->r->nr_extents);
	else if (v->r->data_blocks != v->h->data_blocks)
		vci_verify_report(v, VCI_DMG_COUNT_EXTENTS, 0, v->h->data_blocks,
				  v->r->data_blocks);
	else if (v->r->dirty_blocks != v->h->dirty_blocks)
		vci_verify_report(v, VCI_DMG_COUNT_EXTENTS, 0, v->h->dirty_blocks,
				  v->r->dirty_blocks);
}

static void verify_backing(struct verify *v)
{
	if (v->p->backing && v->h->flags & VCI_HDR_BOUND &&
	    v->p->backing->blocks != v->h->backing_blocks)
		vci_verify_report(v, VCI_DMG_DATA_DIFFERS, 0, v->p->backing->blocks,
				  v->h->backing_blocks);
}

static void verify_use_fixed(struct verify *v)
{
	struct vci_area a;
	unsigned int i;

	/* The header's check has excluded overlaps. */
	for (i = 0; vci_layout_fixed(v->h, i, &a); i++)
		vci_bitmap_set(v->used, a.addr, a.blocks);
}

/* What compares with all of the tree. */
static int verify_agreement(struct verify *v)
{
	int err;

	if (!v->incomplete) {
		verify_counts(v);
		vci_verify_nodemap(v);
	}
	err = vci_verify_segments(v);
	if (err || v->incomplete || !v->r->clean)
		return err;
	vci_verify_lru(v);
	return verify_bitmap(v);
}

static int verify_areas(struct verify *v)
{
	int err;

	verify_static(v);
	verify_backing(v);
	err = verify_backup(v);
	if (!err)
		err = verify_intent(v);
	if (!err)
		err = vci_verify_page_gens(v);
	if (!err)
		err = vci_verify_info(v);
	if (!err)
		err = vci_verify_load_nodemap(v);
	if (err)
		return err;
	v->used = kvzalloc(v->h->blocks / 8, GFP_KERNEL);
	v->live = kvcalloc(v->h->nr_segments, sizeof(*v->live), GFP_KERNEL);
	if (!v->used || !v->live)
		return -ENOMEM;
	verify_use_fixed(v);
	err = vci_verify_tree(v);
	if (err)
		return err;
	return verify_agreement(v);
}

static void verify_free(struct verify *v)
{
	kvfree(v->links);
	kvfree(v->live);
	kvfree(v->used);
	kvfree(v->nodemap);
	kvfree(v->buf2);
	kvfree(v->buf);
	kfree(v);
}

/**
 * vci_verify() - judge a whole image
 * @p: what, and where findings go
 * @result: overwritten
 *
 * Context: may sleep.
 * Return: see vci-verify.h.
 */
int vci_verify(const struct vci_verify_params *p, struct vci_verify_result *result)
{
	struct verify *v;
	int err;

	memset(result, 0, sizeof(*result));
	v = kzalloc(sizeof(*v), GFP_KERNEL);
	if (!v)
		return -ENOMEM;
	v->p = p;
	v->r = result;
	v->h = &result->header;
	v->buf = kvmalloc(VERIFY_CHUNK_SIZE, GFP_KERNEL);
	v->buf2 = kvmalloc(VERIFY_CHUNK_SIZE, GFP_KERNEL);
	err = v->buf && v->buf2 ? verify_header(v) : -ENOMEM;
	if (!err)
		err = verify_areas(v);
	verify_free(v);
	return err > 0 ? 0 : err;
}
