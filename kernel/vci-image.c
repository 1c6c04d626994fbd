// SPDX-License-Identifier: GPL-2.0-only
/*
 * The image on the cache device: opened, handed over, closed.
 *
 * Which instance may do that is the claim's business (vci-claim.h).  An instance
 * opens the image when it is resumed for the first time, or again after another
 * one had it; suspending leaves a checkpoint (O13), so that the next instance
 * finds it as if after a harmless crash; the destructor closes it to plain VCI
 * version 1, if it still is this instance's.
 */
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/uuid.h>

#include "vci-target.h"

static void drain_readers(void *ctx)
{
	struct vci_target *t = ctx;

	vci_guard_drain(&t->guard);
}

static void cache_failed(void *ctx, int error)
{
	struct vci_target *t = ctx;

	queue_work(t->wq, &t->failed_work);
}

static void wait_log(void *ctx)
{
	struct vci_target *t = ctx;

	vci_stream_wait_log(&t->stream);
}

static void log_free(void *ctx)
{
	struct vci_target *t = ctx;

	vci_stream_log_free(&t->stream);
}

static const struct vci_cache_ops cache_ops = {
	.drain_readers	= drain_readers,
	.failed		= cache_failed,
	.wait_log	= wait_log,
	.log_free	= log_free,
};

/**
 * vci_image_failed_work() - tell who waits for events that the cache failed
 * @work: a target's failed_work
 *
 * The core has said why; this needs a context that may sleep.
 */
void vci_image_failed_work(struct work_struct *work)
{
	struct vci_target *t = container_of(work, struct vci_target, failed_work);

	dm_table_event(t->ti->table);
}

/* Sets what bios and status see; the device is suspended. */
static void set_cache(struct vci_target *t, struct vci_cache *cache)
{
	mutex_lock(&t->cache_lock);
	t->cache = cache;
	mutex_unlock(&t->cache_lock);
}

/* Frees the memory of a cache whose image is closed, or somebody else's. */
static void drop_cache(struct vci_target *t)
{
	struct vci_cache *cache = t->cache;

	if (!cache)
		return;
	/* Status and the shrinker look no more: then what they look at can go. */
	set_cache(t, NULL);
	vci_stream_detach(&t->stream);
	vci_writer_detach(&t->writer);
	vci_cache_destroy(cache);
}

/* One line that names the device, what is wrong and what helps. */
static void report_refusal(struct vci_target *t, int error, const struct vci_damage *dmg,
			   const char *why)
{
	const char *name = dm_table_device_name(t->ti->table);

	if (dmg->number)
		DMERR("%s: cannot use cache device %pg: %s (%s, block %llu: %s)", name,
		      t->cache_dev->bdev, why, vci_damage_what(dmg->number), dmg->addr,
		      vci_damage_words(dmg->number));
	else
		DMERR("%s: cannot use cache device %pg with backing device %pg: %s (error %d)",
		      name, t->cache_dev->bdev, t->backing_dev->bdev, why, error);
}

/* Why the cache starts empty, if it does, the core has said. */
static void report_open(struct vci_target *t, const struct vci_cache *cache)
{
	const struct vci_open_report *report = &t->report;
	const char *name = dm_table_device_name(t->ti->table);
	u64 dirty = vci_cache_dirty_blocks(cache);

	if (report->was_clean)
		DMINFO("%s: cache device %pg was closed cleanly", name, t->cache_dev->bdev);
	else
		DMINFO("%s: cache device %pg recovered: %u batches, %u torn, %u regions marked",
		       name, t->cache_dev->bdev, report->batches, report->torn,
		       report->regions_marked);
	if (dirty)
		DMINFO("%s: %llu sectors are newer on cache device %pg than on %pg",
		       name, dirty, t->cache_dev->bdev, t->backing_dev->bdev);
	if (report->forced)
		DMWARN("%s: cache device %pg was activated by force: dirty data may be lost",
		       name, t->cache_dev->bdev);
}

/* An image that was bypassed, and could not be told that it is out of date. */
static int check_retired(struct vci_target *t)
{
	struct vci_header header;
	struct vci_damage dmg;
	void *block;
	int r;

	if (!t->claim->retired)
		return 0;
	block = kmalloc(VCI_UNIT_SIZE, GFP_NOIO);
	if (!block)
		return -ENOMEM;
	r = vci_read(&t->cache_io.dev, 0, VCI_UNIT_BLOCKS, block);
	if (!r)
		r = vci_header_check(block, t->cache_io.dev.blocks, &header, &dmg);
	kfree(block);
	/* If it can't be read, opening it says why. */
	if (r || header.flags & VCI_HDR_RETIRED ||
	    !vci_claim_is_retired(t->claim, header.uuid))
		return 0;
	DMERR("%s: cache device %pg failed while in use and is out of date: run vci-format",
	      dm_table_device_name(t->ti->table), t->cache_dev->bdev);
	return -ESTALE;
}

static int open_image(struct vci_target *t, struct vci_cache **cache)
{
	struct vci_damage dmg = {};
	struct vci_open_params p = {
		.cache_dev = &t->cache_io.dev,
		.backing_dev = &t->backing_io.dev,
		.backing_blocks = t->ti->len,
		.force = t->force,
		.ordered = t->ordered,
		.direct = true,
		.volatile_cache = bdev_write_cache(t->cache_dev->bdev),
		.mem_limit = vci_mem_limit_core(t->mem_limit),
		.ops = &cache_ops,
		.ctx = t,
	};
	const char *why = "";
	int r;

	r = check_retired(t);
	if (r)
		return r;
	get_random_bytes(&p.random, sizeof(p.random));
	generate_random_uuid(p.modification_uuid);
	r = vci_cache_open(&p, cache, &t->report, &dmg, &why);
	if (r)
		report_refusal(t, r, &dmg, why);
	else
		report_open(t, *cache);
	return r;
}

static void close_image(struct vci_target *t, struct vci_cache *cache)
{
	int r = 0;

	if (!vci_cache_is_failed(cache))
		r = vci_cache_close(cache);
	if (r)
		DMERR("%s: cache device %pg is not closed cleanly: error %d; recovery is needed",
		      dm_table_device_name(t->ti->table), t->cache_dev->bdev, r);
}

static int claim_check_locked(struct vci_target *t)
{
	struct vci_claim *claim = t->claim;

	lockdep_assert_held(&claim->lock);
	if (!claim->owner || !claim->running)
		return 0;
	DMERR("%s: cache device %pg is in use by device %s: remove or suspend that first",
	      dm_table_device_name(t->ti->table), t->cache_dev->bdev,
	      dm_table_device_name(claim->owner->ti->table));
	return -EBUSY;
}

static int attach(struct vci_target *t, struct vci_cache *cache)
{
	int r;

	r = vci_writer_attach(&t->writer, cache, dm_table_device_name(t->ti->table));
	if (r)
		return r;
	r = vci_stream_attach(&t->stream, cache, t->cache_dev->bdev);
	if (r)
		vci_writer_detach(&t->writer);
	return r;
}

/* Makes the image this instance's, and opens it. */
static int take_locked(struct vci_target *t)
{
	struct vci_cache *cache;
	int r;

	lockdep_assert_held(&t->claim->lock);
	if (t->claim->owner == t)
		return 0;
	r = claim_check_locked(t);
	if (r)
		return r;
	/* What is left of an earlier life, if another instance came between. */
	drop_cache(t);
	atomic_set(&t->nr_cache_errors, 0);
	r = open_image(t, &cache);
	if (r)
		return r;
	/* From here on a suspended owner of the image has lost it. */
	t->claim->owner = NULL;
	r = attach(t, cache);
	if (r) {
		close_image(t, cache);
		vci_cache_destroy(cache);
		return r;
	}
	set_cache(t, cache);
	t->claim->owner = t;
	return 0;
}

/*
 * The image is told, if it takes a write; and we remember, if it doesn't.  Not so
 * if it holds dirty data: then nothing was written past it, and it's recovered.
 */
static void retire_if_failed(struct vci_target *t)
{
	lockdep_assert_held(&t->claim->lock);
	if (t->claim->owner != t || !vci_cache_is_failed(t->cache) ||
	    vci_cache_retire(t->cache))
		return;
	vci_claim_retire(t->claim, vci_cache_header(t->cache)->uuid);
}

/**
 * vci_image_take() - make the image this instance's, and open it
 * @t: suspended target
 *
 * May sleep.  An instance that had it, and is suspended, loses it.  Return: 0 or
 * an error that was told in one line; nothing was written then.
 */
int vci_image_take(struct vci_target *t)
{
	unsigned int noio = memalloc_noio_save();
	int r;

	mutex_lock(&t->claim->lock);
	r = take_locked(t);
	if (!r)
		t->claim->running = true;
	mutex_unlock(&t->claim->lock);
	memalloc_noio_restore(noio);
	return r;
}

/* Law 5: what was acknowledged, and a recovery may not find. */
static void tell_unnamed(struct vci_target *t, int error)
{
	const char *name = dm_table_device_name(t->ti->table);

	if (vci_cache_is_failed(t->cache))
		DMCRIT("%s: error %d: new data that was not flushed may be lost", name, error);
	else
		DMCRIT("%s: error %d: resume this table and flush, or new data may be lost",
		       name, error);
}

/*
 * O13: suspend is a checkpoint and a flush.  What was acknowledged is in the log before:
 * another instance finds it without the checkpoint, too.
 */
static void checkpoint_and_flush(struct vci_target *t)
{
	int r, named;

	mutex_lock(&t->writer.serial);
	named = vci_direct_name(t->cache);
	r = vci_cache_checkpoint(t->cache);
	mutex_unlock(&t->writer.serial);
	if (r && named)
		tell_unnamed(t, named);
	if (!r)
		r = vci_flush(&t->backing_io.dev);
	if (r && !vci_cache_is_failed(t->cache))
		DMERR("%s: no checkpoint at suspend: error %d; recovery will take longer",
		      dm_table_device_name(t->ti->table), r);
}

/**
 * vci_image_suspend() - leave the image so that another instance can go on
 * @t: target without bios in flight
 *
 * May sleep.
 */
void vci_image_suspend(struct vci_target *t)
{
	unsigned int noio = memalloc_noio_save();

	/* Who has completed the last bio may not be quite done. */
	flush_workqueue(t->wq);
	vci_stream_drain(&t->stream);
	mutex_lock(&t->claim->lock);
	if (t->claim->owner == t) {
		vci_writer_stop(&t->writer);
		if (!vci_cache_is_failed(t->cache))
			checkpoint_and_flush(t);
		else if (vci_direct_pending(t->cache))
			tell_unnamed(t, -EIO);
		retire_if_failed(t);
		t->claim->running = false;
	}
	mutex_unlock(&t->claim->lock);
	memalloc_noio_restore(noio);
}

/**
 * vci_image_release() - close the image if it is ours; forget it
 * @t: suspended target, or one that was never resumed
 *
 * May sleep.
 */
void vci_image_release(struct vci_target *t)
{
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&t->claim->lock);
	retire_if_failed(t);
	if (t->claim->owner == t) {
		vci_writer_stop(&t->writer);
		close_image(t, t->cache);
		t->claim->owner = NULL;
		t->claim->running = false;
	}
	mutex_unlock(&t->claim->lock);
	drop_cache(t);
	memalloc_noio_restore(noio);
}
