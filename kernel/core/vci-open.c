// SPDX-License-Identifier: GPL-2.0-only
/*
 * Activation's outer steps: read and judge the header, load, recover, and open
 * the new epoch as the last and only write (laws 5 and 6, O10, O11).
 */
#include "vci-cache-internal.h"

static int read_header(struct vci_dev *dev, u8 *unit, struct vci_header *h,
		       struct vci_damage *dmg, const char **why)
{
	int r = vci_read(dev, 0, VCI_UNIT_BLOCKS, unit);

	if (r) {
		*why = "Cannot read the header of the cache device";
		return r;
	}
	r = vci_header_check(unit, dev->blocks, h, dmg);
	if (r)
		*why = r == -EOPNOTSUPP || r == -EROFS ? "Image needs a newer dm-vci" :
		       "Cache device holds no valid VCI image: run vci-check or vci-format";
	return r;
}

/*
 * A batch that shares a physical block with an older one could take that with it when the
 * power fails.
 */
static int check_align(const struct vci_dev *dev, const struct vci_header *h,
		       const char **why)
{
	u32 blocks = min(max(dev->lbs_blocks, dev->pbs_blocks), VCI_UNIT_BLOCKS);

	if (h->batch_align >= blocks)
		return 0;
	vci_err("%s: the image is for physical blocks of %u bytes at most, the device's have %u",
		dev->name, h->batch_align * VCI_BLOCK_SIZE, dev->pbs_blocks * VCI_BLOCK_SIZE);
	*why = "Cache device has larger physical blocks than the image was made for";
	return -EINVAL;
}

/* Is this the backing device the image was made for, by its size? */
static int bind_backing(const struct vci_open_params *p, struct vci_header *h,
			const char **why)
{
	if (!p->backing_blocks || p->backing_blocks > VCI_BACKING_MAX) {
		*why = "Backing device is larger than 204 TiB, or empty";
		return -EINVAL;
	}
	if (h->flags & VCI_HDR_BOUND) {
		if (h->backing_blocks == p->backing_blocks)
			return 0;
		vci_err("%s: the image is of a backing device of %llu blocks, %s has %llu",
			p->cache_dev->name, h->backing_blocks, p->backing_dev->name,
			p->backing_blocks);
		*why = "Backing device has another size than the image was made for";
		return -EINVAL;
	}
	h->flags |= VCI_HDR_BOUND;
	h->backing_blocks = p->backing_blocks;
	h->region_blocks_log2 = vci_layout_region_log2(h->backing_blocks,
						       h->intent.blocks);
	return 0;
}

/*
 * A page whose newer slot has rotted was loaded as of an older checkpoint: what
 * is in use would be called free (law 3).
 */
static int check_pages(const struct vci_cache *c, const struct vci_header *h,
		       struct vci_damage *dmg)
{
	u32 crc = vci_cache_pages_crc(c);

	if (crc == h->pages_crc)
		return 0;
	return vci_damaged(dmg, VCI_DMG_PAGE_LOST, h->segtable.addr, crc, h->pages_crc,
			   -EILSEQ);
}

static int load(struct vci_cache *c, const struct vci_header *h, struct vci_damage *dmg)
{
	int r;

	r = vci_intent_init(&c->intent, &c->header, c->dev);
	if (!r)
		r = vci_identity_init(&c->identity, &c->header, c->backing);
	if (!r)
		r = vci_intent_load(&c->intent);
	if (!r)
		r = vci_nodes_load(&c->nodes, c->dev, h, dmg);
	if (!r)
		r = vci_segments_load(&c->segments, c->dev, h, dmg);
	if (!r)
		r = vci_policy_init(&c->policy, (u64)vci_segments_good(&c->segments) *
				    h->segment_blocks);
	if (!r) {
		c->segments.young_max = vci_policy_young(&c->policy, h->segment_blocks);
		vci_btree_set_quiet(c->tree, h->segments, ilog2(h->segment_blocks),
				    c->segments.quiet);
	}
	if (!r)
		r = vci_shadow_load(&c->identity.info, c->dev, h->uuid,
				    h->checkpoint_gen, dmg);
	if (!r)
		r = check_pages(c, h, dmg);
	if (!r)
		r = vci_btree_open(c->tree, h->root, h->nr_extents);
	return r;
}

/* The log of a cleanly closed image: empty. */
static void start_log(struct vci_cache *c, struct vci_header *h)
{
	spin_lock(vci_cache_lock(c));
	c->log.seq = h->checkpoint_seq;
	c->log.completed_seq = h->checkpoint_seq;
	vci_log_freeze(&c->log, h);
	vci_log_commit(&c->log, h);
	spin_unlock(vci_cache_lock(c));
}

/* Nothing clean is to be believed, now or after a crash before a checkpoint. */
static int drop_all(struct vci_cache *c, struct vci_open_report *report)
{
	int r = 0;
	u32 i;

	report->dropped_all = true;
	c->header.flags |= VCI_HDR_RETIRED;
	vci_identity_forget(&c->identity);
	if (report->was_clean)
		r = vci_redo_init(&c->redo, c->intent.nr_regions, c->intent.log2);
	for (i = 0; !r && i < c->intent.nr_regions; i++)
		vci_redo_drop(&c->redo, i);
	return r;
}

static const char changed_and_dirty[] =
	"Backing device was changed, and there may be dirty data for it: feature force keeps that";

/* It is another device, or was changed behind the cache's back. */
static int other_backing_device(struct vci_cache *c, const struct vci_open_params *p,
				u64 where, struct vci_open_report *report,
				const char **why)
{
	bool dirty = c->header.flags & VCI_HDR_DIRTY;

	if (dirty && !p->force) {
		vci_err("%s: block %llu of the backing device differs from what the cache knows of it, which may hold dirty data: feature force keeps that, and drops what is clean",
			c->backing->name, where);
		*why = changed_and_dirty;
		return -EINVAL;
	}
	vci_warn("%s: block %llu differs from what the cache knows of it: the cache starts empty but for dirty data",
		 c->backing->name, where);
	report->forced |= dirty;
	return drop_all(c, report);
}

/* Written or cleaned by the log: the sample may be of a time before that. */
static bool rewrote(void *ctx, u64 off)
{
	const struct vci_cache *c = ctx;

	return vci_redo_rewrote(&c->redo, off);
}

static int check_identity(struct vci_cache *c, const struct vci_open_params *p,
			  struct vci_open_report *report, const char **why)
{
	u64 where = 0;
	int r;

	if (c->header.flags & VCI_HDR_RETIRED) {
		vci_warn("%s: was given up while its backing device was written: it starts empty but for dirty data",
			 c->dev->name);
		return drop_all(c, report);
	}
	r = vci_identity_compare(&c->identity, &c->intent, rewrote, c, &where);
	if (r == -ESTALE)
		return other_backing_device(c, p, where, report, why);
	if (r)
		*why = "Cannot read the backing device";
	return r;
}

/* Adds the new epoch to those since the checkpoint; false if there is no room. */
static bool add_epoch(struct vci_header *h, u64 epoch)
{
	if (h->nr_epochs == VCI_EPOCHS)
		return false;
	h->epochs[h->nr_epochs++] = epoch;
	return true;
}

/* O11, then O10: the header that says "in use" and begins the epoch. */
static int open_epoch(struct vci_cache *c, const struct vci_open_params *p,
		      bool was_clean)
{
	struct vci_header h = c->header;
	bool room = true;
	int r;

	r = vci_flush(c->dev);
	if (!r)
		r = vci_flush(c->backing);
	if (r)
		return r;
	/* Ascending, and not to be guessed by who writes user data. */
	c->log.epoch = (h.write_gen + 1) << 32 | p->random;
	if (was_clean)
		start_log(c, &h);
	else
		room = add_epoch(&h, c->log.epoch);
	h.unclean = 1;
	if (c->direct.on)
		h.incompat |= VCI_INCOMPAT_DIRECT;
	memcpy(h.modification_uuid, p->modification_uuid, 16);
	r = vci_cache_write_header(c, &h);
	/* Without room the epoch begins with a checkpoint. */
	if (!r && !room)
		r = vci_cache_checkpoint(c);
	return r;
}

static int set_mem_limit(struct vci_cache *c, u64 bytes, const char **why)
{
	u64 least = vci_cache_set_mem_limit(c, bytes);

	if (!least)
		return 0;
	vci_err("%s: mem_limit is too small for this image: it needs %llu bytes more",
		c->dev->name, least - bytes);
	*why = "mem_limit is too small for this image";
	return -EINVAL;
}

static int activate(struct vci_cache *c, const struct vci_open_params *p,
		    struct vci_open_report *report, struct vci_damage *dmg,
		    const char **why)
{
	int r;

	*why = "Cannot load the image: run vci-check";
	r = vci_btree_prepare(c->tree, GFP_KERNEL);
	if (!r && c->may_dirty)
		r = vci_wb_prepare(c);
	if (!r)
		r = load(c, &c->header, dmg);
	if (!r && !report->was_clean)
		r = vci_recover(c, p->force, report, why);
	/* What was clean may be older than what is lost. */
	if (!r && report->log_damaged && c->may_dirty)
		r = drop_all(c, report);
	if (!r)
		r = check_identity(c, p, report, why);
	if (r)
		return r;
	r = set_mem_limit(c, p->mem_limit, why);
	if (r)
		return r;
	*why = "Cannot read the log for ordered write-back";
	r = vci_ordered_begin(c, p->ordered);
	if (!r)
		r = vci_direct_init(c, p);
	if (r)
		return r;
	*why = "Cannot write to the cache device";
	return open_epoch(c, p, report->was_clean);
}

/**
 * vci_cache_open() - activate an image
 * @p: devices and what the core may not make up itself
 * @cache: where the cache is returned
 * @report: what activation found
 * @dmg: which damage, if -EILSEQ or -ENOTBLK
 * @why: words for the user, on any error
 *
 * May sleep.  Reads what is needed to begin, and the log after a crash; nothing
 * is written on an error.  Return: 0 or -errno, see vci-cache.h.
 */
int vci_cache_open(const struct vci_open_params *p, struct vci_cache **cache,
		   struct vci_open_report *report, struct vci_damage *dmg,
		   const char **why)
{
	struct vci_cache *c = NULL;
	struct vci_header h;
	u8 *unit;
	int r;

	memset(report, 0, sizeof(*report));
	memset(dmg, 0, sizeof(*dmg));
	*why = "Out of memory";
	unit = kvmalloc(VCI_UNIT_SIZE, GFP_KERNEL);
	r = unit ? read_header(p->cache_dev, unit, &h, dmg, why) : -ENOMEM;
	if (!r)
		r = check_align(p->cache_dev, &h, why);
	if (!r)
		r = bind_backing(p, &h, why);
	if (!r)
		r = vci_cache_create(&c, &h);
	if (!r) {
		memcpy(c->header_unit, unit, VCI_UNIT_SIZE);
		c->dev = p->cache_dev;
		c->backing = p->backing_dev;
		report->was_clean = !h.unclean;
		report->dirty = h.flags & VCI_HDR_DIRTY;
		r = activate(c, p, report, dmg, why);
	}
	kvfree(unit);
	if (r) {
		vci_cache_destroy(c);
		return r;
	}
	c->ops = p->ops;
	c->ctx = p->ctx;
	*cache = c;
	return 0;
}
