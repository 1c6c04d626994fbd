/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only way the core reaches a device: synchronous, may sleep.
 *
 * Addresses and counts in blocks of 512 bytes.  Each returns 0 or -errno; a
 * write with an error may have written any part.  A write without VCI_IO_FUA
 * is durable after a later flush that returned 0; VCI_IO_PREFLUSH flushes all
 * that completed before, as part of this write.
 */
#ifndef VCI_IO_H
#define VCI_IO_H

#include "vci-platform.h"

#define VCI_IO_FUA	1u
#define VCI_IO_PREFLUSH	2u

struct vci_dev;

/* One of several I/Os that are done at once. */
struct vci_piece {
	u64 addr;
	u32 blocks;
	void *data;
};

struct vci_io_ops {
	int (*read)(struct vci_dev *dev, u64 addr, u32 blocks, void *data);
	int (*write)(struct vci_dev *dev, u64 addr, u32 blocks, const void *data,
		     unsigned int flags);
	int (*flush)(struct vci_dev *dev);
	/* All of them, in any order; may be NULL.  An error is that of any. */
	int (*read_many)(struct vci_dev *dev, const struct vci_piece *p, u32 nr);
	int (*write_many)(struct vci_dev *dev, const struct vci_piece *p, u32 nr);
};

struct vci_dev {
	const struct vci_io_ops *ops;
	u64 blocks;		/* size */
	u32 lbs_blocks;		/* logical block size; I/O is aligned to it */
	u32 pbs_blocks;		/* physical: a torn write may harm all of it; 0: not known */
	char name[64];		/* for messages */
};

static inline int __must_check vci_read(struct vci_dev *dev, u64 addr, u32 blocks,
					void *data)
{
	return dev->ops->read(dev, addr, blocks, data);
}

static inline int __must_check vci_write(struct vci_dev *dev, u64 addr, u32 blocks,
					 const void *data, unsigned int flags)
{
	return dev->ops->write(dev, addr, blocks, data, flags);
}

static inline int __must_check vci_flush(struct vci_dev *dev)
{
	return dev->ops->flush(dev);
}

static inline int __must_check vci_read_many(struct vci_dev *dev,
					     const struct vci_piece *p, u32 nr)
{
	int r = 0;
	u32 i;

	if (dev->ops->read_many)
		return dev->ops->read_many(dev, p, nr);
	for (i = 0; !r && i < nr; i++)
		r = vci_read(dev, p[i].addr, p[i].blocks, p[i].data);
	return r;
}

static inline int __must_check vci_write_many(struct vci_dev *dev,
					      const struct vci_piece *p, u32 nr)
{
	int r = 0;
	u32 i;

	if (dev->ops->write_many)
		return dev->ops->write_many(dev, p, nr);
	for (i = 0; !r && i < nr; i++)
		r = vci_write(dev, p[i].addr, p[i].blocks, p[i].data, 0);
	return r;
}

#endif /* VCI_IO_H */
