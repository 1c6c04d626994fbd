// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes of a block device, which must read as zeros, a cleanly closed cache full of
 * 4 KiB extents, as random writes leave it: neighbours don't lie side by side, so
 * that none merge.  No data is written: a RAM disk holds more than there is memory.
 *
 * Usage: full-image DEVICE MIB
 *
 * Prints how many extents there are.  They are those of the first blocks of a backing
 * device as large as the cache, which must read as zeros, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../sim/sim-large.h"

#define MEM_LIMIT	(256ull << 20)

int main(int argc, char **argv)
{
	u64 blocks = argc == 3 ? strtoull(argv[2], NULL, 10) * MIB_BLOCKS : 0;
	struct large m;
	int fd, r;

	if (!blocks) {
		fprintf(stderr, "usage: full-image DEVICE MIB\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	vci_log_file = stderr;
	large_init_fd(&m, fd, blocks, VCI_UNIT_BLOCKS);
	/* As large as the cache: then it is mapped without a gap. */
	m.backing.dev.blocks = blocks;
	large_make_full(&m, blocks / 64);
	/* The close that a target does, so that there is nothing left to be found. */
	m.mem_limit = MEM_LIMIT;
	large_open(&m);
	r = vci_cache_close(m.c);
	vci_cache_destroy(m.c);
	if (!r && fsync(fd))
		r = -errno;
	large_exit(&m);
	if (r) {
		fprintf(stderr, "full-image: %s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	printf("%llu\n", m.nr_extents);
	return 0;
}
