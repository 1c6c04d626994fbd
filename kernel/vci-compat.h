/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only file that knows that kernels differ.
 *
 * The shell is written for the newest interfaces; what an older kernel lacks is
 * given here under its upstream name.  Each difference is found by a macro of
 * the kernel's own or by a probe (scripts/probe, run by Kbuild), never by a
 * version number: stable kernels backport changed interfaces.
 */
#ifndef VCI_COMPAT_H
#define VCI_COMPAT_H

#include <linux/blkdev.h>
#include <linux/dm-io.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

/* Since 6.5, "block: replace fmode_t with a block-specific type". */
#ifndef BLK_OPEN_READ
#define BLK_OPEN_READ	FMODE_READ
#define BLK_OPEN_WRITE	FMODE_WRITE
#endif

/* Since 6.9 and 6.1.83, "dm io: Support IO priority". */
#ifndef VCI_HAVE_DM_IO_IOPRIO
static inline int vci_compat_dm_io(struct dm_io_request *request,
				   unsigned int num_regions,
				   struct dm_io_region *region,
				   unsigned long *sync_error_bits,
				   unsigned short ioprio)
{
	return dm_io(request, num_regions, region, sync_error_bits);
}

#define dm_io	vci_compat_dm_io
#endif

typedef unsigned long (*vci_shrinker_fn)(struct shrinker *s, struct shrink_control *sc);

/* Since 6.7, "mm: shrinker: add infrastructure for dynamically allocating shrinker". */
#ifdef VCI_HAVE_SHRINKER_ALLOC
static inline void *vci_shrinker_ctx(struct shrinker *s)
{
	return s->private_data;
}

static inline struct shrinker *vci_shrinker_add(vci_shrinker_fn count,
						vci_shrinker_fn scan, void *ctx)
{
	struct shrinker *s = shrinker_alloc(0, "dm-vci");

	if (!s)
		return NULL;
	s->count_objects = count;
	s->scan_objects = scan;
	s->private_data = ctx;
	shrinker_register(s);
	return s;
}

static inline void vci_shrinker_remove(struct shrinker *s)
{
	shrinker_free(s);
}
#else
struct vci_compat_shrinker {
	struct shrinker shrinker;
	void *private_data;
};

static inline void *vci_shrinker_ctx(struct shrinker *s)
{
	return container_of(s, struct vci_compat_shrinker, shrinker)->private_data;
}

static inline struct shrinker *vci_shrinker_add(vci_shrinker_fn count,
						vci_shrinker_fn scan, void *ctx)
{
	struct vci_compat_shrinker *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return NULL;
	s->shrinker.count_objects = count;
	s->shrinker.scan_objects = scan;
	s->shrinker.seeks = DEFAULT_SEEKS;
	s->private_data = ctx;
	if (!register_shrinker(&s->shrinker, "dm-vci"))
		return &s->shrinker;
	kfree(s);
	return NULL;
}

static inline void vci_shrinker_remove(struct shrinker *s)
{
	unregister_shrinker(s);
	kfree(container_of(s, struct vci_compat_shrinker, shrinker));
}
#endif

#endif /* VCI_COMPAT_H */
