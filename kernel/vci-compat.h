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

#endif /* VCI_COMPAT_H */
