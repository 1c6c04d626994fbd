// SPDX-License-Identifier: GPL-2.0-only
/*
 * The backing device's fingerprint: see vci-identity.h.
 */
#include "vci-identity.h"

/*
 * Where superblocks lie: boot sector, ext (1 KiB), LVM and md (4 KiB), btrfs
 * (64 KiB); see the superblock tables of libblkid.
 */
static const u16 superblocks[] = { 0, 1, 2, 8, 16, 128, 2048 };

#define NR_SCATTERED	24u
#define FIRST_RECENT	(ARRAY_SIZE(superblocks) + 2 + NR_SCATTERED)

/**
 * vci_identity_init() - allocate the memory of the fingerprint
 * @id: to set up
 * @h: header of the image
 * @backing: device that is sampled
 *
 * May sleep.  Return: 0 or -ENOMEM; vci_identity_destroy() undoes both.
 */
int vci_identity_init(struct vci_identity *id, const struct vci_header *h,
		      struct vci_dev *backing)
{
	int r;

	memset(id, 0, sizeof(*id));
	id->backing = backing;
	id->backing_blocks = h->backing_blocks;
	r = vci_shadow_init(&id->info, &h->info);
	if (r)
		return r;
	id->buf = kvmalloc(VCI_UNIT_SIZE, GFP_KERNEL);
	if (id->buf)
		return 0;
	vci_identity_destroy(id);
	return -ENOMEM;
}

/**
 * vci_identity_destroy() - free the memory of the fingerprint
 * @id: zeroed or initialised
 */
void vci_identity_destroy(struct vci_identity *id)
{
	vci_shadow_destroy(&id->info);
	kvfree(id->buf);
	id->buf = NULL;
}

/**
 * vci_identity_wrote() - remember where was written
 * @id: fingerprint
 * @off: block on the backing device
 *
 * Any context; what races with another is forgotten.
 */
void vci_identity_wrote(struct vci_identity *id, u64 off)
{
	u32 i = READ_ONCE(id->next_recent) % VCI_IDENTITY_RECENT;

	WRITE_ONCE(id->recent[i], off + 1);
	WRITE_ONCE(id->next_recent, i + 1);
}

/* Block of sample @i, or false if there is none. */
static bool choose(const struct vci_identity *id, u32 i, u64 *off)
{
	u64 n = id->backing_blocks;

	if (i < ARRAY_SIZE(superblocks)) {
		*off = superblocks[i];
	} else if (i < ARRAY_SIZE(superblocks) + 2) {
		/* backup GPT and the end of md's 0.90 superblock */
		*off = n - (i == ARRAY_SIZE(superblocks) ? 1 : min_t(u64, n, 128));
	} else if (i < FIRST_RECENT) {
		i -= ARRAY_SIZE(superblocks) + 2;
		*off = div_u64(n, NR_SCATTERED) * i;
	} else {
		*off = READ_ONCE(id->recent[i - FIRST_RECENT]);
		if (!*off)
			return false;
		--*off;
	}
	return *off < n;
}

static int sample(struct vci_identity *id, u64 off, u32 *crc)
{
	u32 step = max_t(u32, id->backing->lbs_blocks, 1);
	u64 first = round_down(off, (u64)step);
	int r = vci_read(id->backing, first, step, id->buf);

	if (!r)
		*crc = vci_data_crc(id->buf + (off - first) * VCI_BLOCK_SIZE, 1);
	return r;
}

static void update_one(struct vci_identity *id, const struct vci_intent *m, u32 i,
		       bool (*dirty)(void *ctx, u64 off), void *ctx)
{
	struct vci_info_disk *info = (void *)id->info.data;
	struct vci_sample_disk *s = &info->samples[i], d = { };
	u64 off;
	u32 crc;

	if (choose(id, i, &off)) {
		d.offset = cpu_to_le64(off);
		if (!vci_intent_marked(m, off) && !dirty(ctx, off)) {
			if (s->offset == d.offset && s->flags)
				return;
			/* A block that can't be read says nothing. */
			if (!sample(id, off, &crc)) {
				d.crc = cpu_to_le32(crc);
				d.flags = cpu_to_le32(VCI_SAMPLE_VALID);
			}
		}
	}
	if (memcmp(s, &d, sizeof(d))) {
		*s = d;
		vci_shadow_dirty(&id->info, 0);
	}
}

/**
 * vci_identity_forget() - the samples are of another time
 * @id: fingerprint, loaded
 */
void vci_identity_forget(struct vci_identity *id)
{
	memset(id->info.data, 0, sizeof(struct vci_info_disk));
	vci_shadow_dirty(&id->info, 0);
}

/**
 * vci_identity_update() - sample what is new or was written
 * @id: fingerprint
 * @m: intent map; a sample that is written later lies in a marked region
 * @dirty: is a block dirty, so that the backing device's says nothing?
 * @ctx: for @dirty
 *
 * By the writer, before a checkpoint.  May sleep.
 */
void vci_identity_update(struct vci_identity *id, const struct vci_intent *m,
			 bool (*dirty)(void *ctx, u64 off), void *ctx)
{
	struct vci_info_disk *info = (void *)id->info.data;
	u32 i, nr = FIRST_RECENT + VCI_IDENTITY_RECENT;

	for (i = 0; i < nr; i++)
		update_one(id, m, i, dirty, ctx);
	if (le32_to_cpu(info->nr_samples) != nr) {
		info->nr_samples = cpu_to_le32(nr);
		vci_shadow_dirty(&id->info, 0);
	}
}

static void forget_sample(struct vci_identity *id, struct vci_sample_disk *s)
{
	s->flags = 0;
	vci_shadow_dirty(&id->info, 0);
}

/**
 * vci_identity_written_back() - the backing device changes, without a mark
 * @id: fingerprint
 * @off: first block
 * @blocks: how many
 *
 * By the writer.  Samples there are taken anew for the next checkpoint; until
 * then recovery doesn't compare them, as the log has touched the range.
 */
void vci_identity_written_back(struct vci_identity *id, u64 off, u32 blocks)
{
	struct vci_info_disk *info = (void *)id->info.data;
	u32 i;

	for (i = 0; i < FIRST_RECENT + VCI_IDENTITY_RECENT; i++)
		if (le64_to_cpu(info->samples[i].offset) - off < blocks)
			forget_sample(id, &info->samples[i]);
}

/**
 * vci_identity_freeze() - take the fingerprint for a checkpoint
 * @id: fingerprint
 * @m: intent map
 * @dirty: is a block dirty?  The lock is held
 * @ctx: for @dirty
 *
 * By the writer, at the freeze.  What was written since it was sampled lies in a
 * region that is marked now, though this checkpoint may clear the mark, or was
 * written back: vci_identity_written_back().  What is dirty will be.
 */
void vci_identity_freeze(struct vci_identity *id, const struct vci_intent *m,
			 bool (*dirty)(void *ctx, u64 off), void *ctx)
{
	struct vci_info_disk *info = (void *)id->info.data;
	u32 i;

	for (i = 0; i < FIRST_RECENT + VCI_IDENTITY_RECENT; i++) {
		struct vci_sample_disk *s = &info->samples[i];

		u64 off = le64_to_cpu(s->offset);

		if (!s->flags || (!vci_intent_marked(m, off) && !dirty(ctx, off)))
			continue;
		s->flags = 0;
		vci_shadow_dirty(&id->info, 0);
	}
	vci_shadow_freeze(&id->info);
}

/**
 * vci_identity_compare() - is this the backing device the image knows?
 * @id: fingerprint, loaded
 * @m: intent map, loaded
 * @skip: true for a block that may have changed since it was sampled; its sample
 *	is taken anew for the next checkpoint
 * @ctx: for @skip
 * @where: first block that differs
 *
 * May sleep.  Return: 0, -ESTALE if a sample differs, or the device's error.
 */
int vci_identity_compare(struct vci_identity *id, const struct vci_intent *m,
			 bool (*skip)(void *ctx, u64 off), void *ctx, u64 *where)
{
	struct vci_info_disk *info = (void *)id->info.data;
	u32 i, crc, nr = min_t(u32, le32_to_cpu(info->nr_samples), VCI_SAMPLES_MAX);
	int r;

	for (i = 0; i < nr; i++) {
		struct vci_sample_disk *s = &info->samples[i];
		u64 off = le64_to_cpu(s->offset);

		if (skip(ctx, off))
			forget_sample(id, s);
		if (!(le32_to_cpu(s->flags) & VCI_SAMPLE_VALID) ||
		    off >= id->backing_blocks || vci_intent_marked(m, off))
			continue;
		r = sample(id, off, &crc);
		if (r)
			return r;
		if (crc != le32_to_cpu(s->crc)) {
			*where = off;
			return -ESTALE;
		}
	}
	return 0;
}
