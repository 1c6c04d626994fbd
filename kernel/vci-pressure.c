// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory: the administrator's limit, and what the kernel asks back.
 *
 * The core keeps the limit (vci-memory.c); here it learns of it, less what the
 * shell's buffers take.  The shrinker drops clean nodes, which are read again when
 * they are wanted.  It is registered as long as the target exists: waiting for other
 * shrinkers while the device is suspended could wait for that device's I/O.
 */
#include "vci-compat.h"
#include "vci-target.h"

/* What a clean node gives back, about. */
#define VCI_NODE_BYTES	2048u

/* Buffers of writer and stream, at most. */
#define VCI_BUFFER_BYTES	(7u << 20)

/**
 * vci_mem_limit_core() - what is left for the core
 * @bytes: limit for all, or 0
 */
u64 vci_mem_limit_core(u64 bytes)
{
	if (!bytes)
		return 0;
	return bytes > VCI_BUFFER_BYTES ? bytes - VCI_BUFFER_BYTES : 1;
}

/**
 * vci_shell_bytes() - memory of the shell's buffers
 * @t: target
 */
u64 vci_shell_bytes(struct vci_target *t)
{
	return vci_writer_bytes(&t->writer) + vci_stream_bytes(&t->stream);
}

/**
 * vci_set_mem_limit() - change the limit, at any time
 * @t: target
 * @bytes: limit, or 0 for none
 *
 * May sleep.  Return: 0, -EBUSY without an open image, or -EINVAL.
 */
int vci_set_mem_limit(struct vci_target *t, u64 bytes)
{
	u64 core = vci_mem_limit_core(bytes), least = 0;
	int r = 0;

	mutex_lock(&t->cache_lock);
	if (!t->cache)
		r = -EBUSY;
	else
		least = vci_cache_set_mem_limit(t->cache, core);
	if (least)
		r = -EINVAL;
	if (!r)
		WRITE_ONCE(t->mem_limit, bytes);
	mutex_unlock(&t->cache_lock);
	if (least)
		DMERR("%s: mem_limit is too small for this image: it needs %llu bytes more",
		      dm_table_device_name(t->ti->table), least - core);
	return r;
}

/* ---- the shrinker: in reclaim, waits for nobody ---- */

static unsigned long count_nodes(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct vci_target *t = vci_shrinker_ctx(shrinker);
	u64 bytes = 0;

	if (!mutex_trylock(&t->cache_lock))
		return 0;
	if (t->cache)
		bytes = vci_cache_clean_bytes(t->cache);
	mutex_unlock(&t->cache_lock);
	return bytes / VCI_NODE_BYTES;
}

static unsigned long scan_nodes(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct vci_target *t = vci_shrinker_ctx(shrinker);
	u64 freed = 0;

	if (!mutex_trylock(&t->cache_lock))
		return SHRINK_STOP;
	if (t->cache)
		freed = vci_cache_shrink(t->cache, sc->nr_to_scan * VCI_NODE_BYTES);
	mutex_unlock(&t->cache_lock);
	return freed ? DIV_ROUND_UP(freed, VCI_NODE_BYTES) : SHRINK_STOP;
}

/**
 * vci_shrinker_start() - let the kernel ask for memory
 * @t: target
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_shrinker_start(struct vci_target *t)
{
	t->shrinker = vci_shrinker_add(count_nodes, scan_nodes, t);
	return t->shrinker ? 0 : -ENOMEM;
}

/**
 * vci_shrinker_stop() - undo vci_shrinker_start()
 * @t: target
 *
 * May sleep.
 */
void vci_shrinker_stop(struct vci_target *t)
{
	vci_shrinker_remove(t->shrinker);
}
