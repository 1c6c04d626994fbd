// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target's life: module, constructor, destructor, suspend and resume.
 *
 * The constructor opens devices and checks what can be checked without reading
 * them: the old table may still be using them.  The image's turn is preresume,
 * postsuspend and the destructor (vci-image.c).
 */
#include <linux/module.h>

#include "vci-compat.h"
#include "vci-target.h"

/* Larger discards are cut: each has to be looked up and marked. */
#define VCI_DISCARD_SECTORS_MAX	(128u << (20 - SECTOR_SHIFT))

#define VCI_BOUNCE_BIOS		64

/* ---- constructor: devices ---- */

static int get_devices(struct vci_target *t, const struct vci_config *config)
{
	struct dm_target *ti = t->ti;
	int r;

	r = dm_get_device(ti, config->backing_path, dm_table_get_mode(ti->table),
			  &t->backing_dev);
	if (r) {
		ti->error = "Error opening backing device";
		return r;
	}
	r = dm_get_device(ti, config->cache_path, BLK_OPEN_READ | BLK_OPEN_WRITE,
			  &t->cache_dev);
	if (r) {
		ti->error = "Error opening cache device";
		dm_put_device(ti, t->backing_dev);
		return r;
	}
	t->cache_bdev = t->cache_dev->bdev;
	return 0;
}

static void put_devices(struct vci_target *t)
{
	dm_put_device(t->ti, t->cache_dev);
	dm_put_device(t->ti, t->backing_dev);
}

static bool same_device(struct block_device *a, struct block_device *b)
{
	return a->bd_dev == b->bd_dev;
}

static int check_devices(struct vci_target *t)
{
	struct block_device *backing = t->backing_dev->bdev;
	struct block_device *cache = t->cache_dev->bdev;
	struct dm_target *ti = t->ti;

	if (same_device(backing, cache))
		ti->error = "Backing device and cache device are the same";
	else if (same_device(bdev_whole(backing), cache) ||
		 same_device(bdev_whole(cache), backing))
		ti->error = "Backing device and cache device overlap";
	else if (ti->len > bdev_nr_sectors(backing))
		ti->error = "Backing device is smaller than the target";
	else if (ti->len > VCI_BACKING_MAX)
		ti->error = "Backing device is too large (at most 204 TiB)";
	else if (bdev_nr_sectors(cache) < VCI_SIZE_GRAIN)
		ti->error = "Cache device is too small (at least 2 MiB)";
	else if (bdev_logical_block_size(cache) > bdev_logical_block_size(backing))
		ti->error = "Cache device has larger logical blocks than the backing device";
	else
		return 0;
	return -EINVAL;
}

/* ---- constructor: resources ---- */

static int init_io(struct vci_target *t)
{
	int r;

	r = vci_bdev_init(&t->backing_io, t->backing_dev);
	if (r)
		return r;
	r = vci_bdev_init(&t->cache_io, t->cache_dev);
	if (r)
		goto err_backing;
	r = bioset_init(&t->bounce_bios, VCI_BOUNCE_BIOS, 0, BIOSET_NEED_BVECS);
	if (r)
		goto err_cache;
	return 0;

err_cache:
	vci_bdev_exit(&t->cache_io);
err_backing:
	vci_bdev_exit(&t->backing_io);
	return r;
}

static void exit_io(struct vci_target *t)
{
	bioset_exit(&t->bounce_bios);
	vci_bdev_exit(&t->cache_io);
	vci_bdev_exit(&t->backing_io);
}

static void log_has_room(void *ctx, int error)
{
	struct vci_target *t = ctx;

	vci_stream_room(&t->stream, error);
}

static const struct vci_writer_ops writer_ops = {
	.activity	= vci_activity,
	.room		= log_has_room,
};

static int init_workers(struct vci_target *t)
{
	int r;

	INIT_WORK(&t->failed_work, vci_image_failed_work);
	t->wq = alloc_workqueue("vci", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!t->wq)
		return -ENOMEM;
	r = vci_writer_init(&t->writer, &writer_ops, t);
	if (r)
		goto err_wq;
	r = vci_stream_init(&t->stream);
	if (r)
		goto err_writer;
	return 0;

err_writer:
	vci_writer_exit(&t->writer);
err_wq:
	destroy_workqueue(t->wq);
	return r;
}

static void exit_workers(struct vci_target *t)
{
	vci_stream_exit(&t->stream);
	vci_writer_exit(&t->writer);
	destroy_workqueue(t->wq);
}

static int init_state(struct vci_target *t)
{
	int r;

	mutex_init(&t->cache_lock);
	t->counters = alloc_percpu(struct vci_counters);
	if (!t->counters)
		return -ENOMEM;
	r = vci_guard_init(&t->guard);
	if (r)
		goto err_counters;
	r = -ENOMEM;
	t->claim = vci_claim_get(t->cache_dev->bdev->bd_dev);
	if (!t->claim)
		goto err_guard;
	r = vci_shrinker_start(t);
	if (!r)
		return 0;
	vci_claim_put(t->claim);
err_guard:
	vci_guard_exit(&t->guard);
err_counters:
	free_percpu(t->counters);
	return r;
}

static void exit_state(struct vci_target *t)
{
	vci_shrinker_stop(t);
	vci_claim_put(t->claim);
	vci_guard_exit(&t->guard);
	free_percpu(t->counters);
	mutex_destroy(&t->cache_lock);
}

static int init_resources(struct vci_target *t)
{
	int r;

	r = init_io(t);
	if (r)
		goto err;
	r = init_workers(t);
	if (r)
		goto err_io;
	r = init_state(t);
	if (r)
		goto err_workers;
	return 0;

err_workers:
	exit_workers(t);
err_io:
	exit_io(t);
err:
	t->ti->error = "Out of memory";
	return r;
}

static void exit_resources(struct vci_target *t)
{
	exit_workers(t);
	exit_state(t);
	exit_io(t);
}

static void set_features(struct dm_target *ti)
{
	ti->num_flush_bios = VCI_NR_FLUSHES;
	ti->flush_supported = true;
	ti->num_discard_bios = 1;
	ti->discards_supported = true;
	ti->limit_swap_bios = true;
	ti->accounts_remapped_io = true;
	ti->per_io_data_size = sizeof(struct vci_bio);
}

/*
 *	<backing dev> <cache dev> [<#feature args> <feature arg>...]
 */
static int vci_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct vci_config config = {};
	const char *error = NULL;
	struct vci_target *t;
	int r;

	r = vci_args_parse(argc, argv, &config, &error);
	if (r) {
		ti->error = (char *)error;
		return r;
	}
	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t) {
		ti->error = "Out of memory";
		return -ENOMEM;
	}
	t->ti = ti;
	t->force = config.force;
	t->ordered = config.ordered;
	t->mem_limit = config.mem_limit;
	vci_seq_init(&t->reads, config.seq_read_cutoff);
	vci_seq_init(&t->writes, config.seq_write_cutoff);
	t->alone = config.alone;
	vci_set_mode(t, config.mode);
	t->writer.cleaner.max_age = config.max_dirty_age;
	r = get_devices(t, &config);
	if (r)
		goto err_free;
	r = check_devices(t);
	if (r)
		goto err_devices;
	r = init_resources(t);
	if (r)
		goto err_devices;
	set_features(ti);
	ti->private = t;
	return 0;

err_devices:
	put_devices(t);
err_free:
	kfree(t);
	return r;
}

/* ---- destructor ---- */

static void vci_dtr(struct dm_target *ti)
{
	struct vci_target *t = ti->private;

	vci_image_release(t);
	exit_resources(t);
	put_devices(t);
	kfree(t);
}

/* ---- suspend and resume ---- */

static void vci_presuspend(struct dm_target *ti)
{
	struct vci_target *t = ti->private;

	vci_writer_pause(&t->writer);
}

static void vci_presuspend_undo(struct dm_target *ti)
{
	struct vci_target *t = ti->private;

	vci_writer_start(&t->writer);
}

static void vci_postsuspend(struct dm_target *ti)
{
	vci_image_suspend(ti->private);
}

static int vci_preresume(struct dm_target *ti)
{
	return vci_image_take(ti->private);
}

static void vci_resume(struct dm_target *ti)
{
	struct vci_target *t = ti->private;

	vci_writer_start(&t->writer);
}

/* ---- limits ---- */

static int vci_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn,
			       void *data)
{
	struct vci_target *t = ti->private;
	int r;

	r = fn(ti, t->cache_dev, 0, bdev_nr_sectors(t->cache_dev->bdev), data);
	if (!r)
		r = fn(ti, t->backing_dev, 0, ti->len, data);
	return r;
}

/*
 * Discards go to the backing device, if it knows them, and to the cache's map:
 * what the cache device can do with them doesn't matter.
 */
static void vci_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct vci_target *t = ti->private;
	struct block_device *backing = t->backing_dev->bdev;
	unsigned int max = VCI_DISCARD_SECTORS_MAX;
	unsigned int granularity = limits->logical_block_size;

	if (bdev_max_discard_sectors(backing)) {
		max = min(max, bdev_max_discard_sectors(backing));
		granularity = max(granularity, bdev_discard_granularity(backing));
	}
	limits->max_discard_sectors = max;
	limits->max_hw_discard_sectors = max;
	limits->discard_granularity = granularity;
}

static struct target_type vci_target = {
	.name			= "vci",
	.version		= { 1, 0, 0 },
	.features		= DM_TARGET_NOWAIT,
	.module			= THIS_MODULE,
	.ctr			= vci_ctr,
	.dtr			= vci_dtr,
	.map			= vci_map,
	.end_io			= vci_end_io,
	.presuspend		= vci_presuspend,
	.presuspend_undo	= vci_presuspend_undo,
	.postsuspend		= vci_postsuspend,
	.preresume		= vci_preresume,
	.resume			= vci_resume,
	.status			= vci_status,
	.message		= vci_message,
	.iterate_devices	= vci_iterate_devices,
	.io_hints		= vci_io_hints,
};

static int __init vci_init(void)
{
	return dm_register_target(&vci_target);
}

static void __exit vci_exit(void)
{
	dm_unregister_target(&vci_target);
	/* The core's nodes are freed by RCU callbacks. */
	rcu_barrier();
	vci_claims_exit();
}

module_init(vci_init);
module_exit(vci_exit);

MODULE_DESCRIPTION(DM_NAME " VCI cache target");
MODULE_AUTHOR("The dm-vci developers");
MODULE_LICENSE("GPL");
