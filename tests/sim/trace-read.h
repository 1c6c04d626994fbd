/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Block traces in memory, read from csv, blkparse text or fio iologs.
 */
#ifndef TRACE_READ_H
#define TRACE_READ_H

#include "vci-platform.h"

struct trace_request {
	u64 us;			/* since the trace began, 0 if it has no times */
	u64 off;		/* block of 512 bytes */
	u32 blocks;
	bool is_write;
	char action;		/* blkparse: Q, D or C */
};

struct trace {
	struct trace_request *r;
	size_t nr, room;
	u64 end;		/* behind the last block */
	bool timed;		/* the times are real */
};

/*
 * Reads a trace of any of the formats; a name that ends in .xz goes through xz.
 * Returns 0 or -errno, -EINVAL after a message on stderr.
 */
int trace_read(struct trace *t, const char *path);
void trace_free(struct trace *t);
/* Adds a request; synthetic traces are made with this. */
void trace_add(struct trace *t, u64 us, bool is_write, u64 off, u32 blocks);
/* Bytes of all units of @unit blocks (a power of two) that any request touches. */
u64 trace_footprint(const struct trace *t, u32 unit);

#endif /* TRACE_READ_H */
