/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The core's devices: struct vci_io_ops over block devices.
 */
#ifndef VCI_BDEV_H
#define VCI_BDEV_H

#include <linux/device-mapper.h>
#include <linux/mutex.h>

#include "vci-io.h"

struct dm_io_client;

struct vci_bdev {
	struct vci_dev dev;
	struct dm_dev *dm_dev;
	struct dm_io_client *client;
	struct mutex bounce_lock;	/* guards what bounce holds */
	u8 *bounce;			/* one unit, for memory that isn't aligned */
};

int vci_bdev_init(struct vci_bdev *b, struct dm_dev *dm_dev) __must_check;
void vci_bdev_exit(struct vci_bdev *b);

#endif /* VCI_BDEV_H */
