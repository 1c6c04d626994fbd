/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A struct vci_dev over a regular file or a block device.
 *
 * I/O goes through the page cache; a flush is fdatasync(), a FUA write a write
 * followed by one.  Reads beyond the end of a file fail with -ENODATA.
 */
#ifndef VCI_FILE_H
#define VCI_FILE_H

#include "vci-io.h"

#define VCI_FILE_WRITE	1u	/* else read-only: writes return -EROFS */
#define VCI_FILE_EXCL	2u	/* claim a block device: -EBUSY if it is in use */

struct vci_file {
	struct vci_dev dev;
	const char *path;	/* as given; must live as long */
	int fd;
	bool is_block_device;
	bool writable;
	u64 bytes;		/* size; dev.blocks rounds it down */
};

/* Opens @path, which must exist. Returns 0 or -errno (-ENOTBLK: neither kind). */
int vci_file_open(struct vci_file *f, const char *path, unsigned int flags) __must_check;
/* Closes it; what wasn't flushed may be lost. */
void vci_file_close(struct vci_file *f);

#endif /* VCI_FILE_H */
