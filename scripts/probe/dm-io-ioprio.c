// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compiles where dm_io() takes an I/O priority as its fifth argument: mainline
 * 6.9 (commit 6e5f0f6383b4), stable since 6.1.83 and 6.6.23.
 */
#include <linux/dm-io.h>

int probe(struct dm_io_request *request, struct dm_io_region *region);
int probe(struct dm_io_request *request, struct dm_io_region *region)
{
	unsigned long error_bits;

	return dm_io(request, 1, region, &error_bits, 0);
}
