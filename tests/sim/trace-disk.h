/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices of the trace simulator: the cache device is memory, the backing
 * device knows of each block only how often it was written.
 */
#ifndef TRACE_DISK_H
#define TRACE_DISK_H

#include "vci-io.h"

struct trace_disk {
	struct vci_dev dev;
	u8 *data;		/* cache device */
	u64 *key;		/* backing device: a hash, block + 1 to version */
	u32 *version;
	u32 bits, nr;
	u64 written_blocks;
};

void trace_disk_memory(struct trace_disk *d, u64 blocks, const char *name);
void trace_disk_backing(struct trace_disk *d, u64 blocks, const char *name);
void trace_disk_destroy(struct trace_disk *d);
/* What the backing device's block begins with now. */
u64 trace_disk_stamp(const struct trace_disk *d, u64 block);
/* Blocks of the backing device get new contents. */
void trace_disk_change(struct trace_disk *d, u64 off, u32 blocks);

#endif /* TRACE_DISK_H */
