/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a run over a trace counts, and the time that devices would take.
 *
 * The device model: each I/O to the backing device costs its latency and its
 * transfer; parts of one request that are adjacent on the device are one I/O,
 * and what is read around a request extends it.  A read of which something was
 * cached costs a hit once, on every model.  One request at a time, no overlap.
 */
#ifndef TRACE_MODEL_H
#define TRACE_MODEL_H

#include "trace-policies.h"
#include "trace-read.h"

enum trace_device { TRACE_HDD, TRACE_NET, TRACE_SSD, TRACE_DEVICES };

struct trace_device_model {
	const char *name;
	double latency_ms;
	double mb_per_s;	/* 10^6 bytes */
};

extern const struct trace_device_model trace_devices[TRACE_DEVICES];
#define TRACE_HIT_MS	0.1

struct trace_result {
	u64 reads, read_misses;		/* requests; missed: not all of it cached */
	u64 read_bytes, read_miss_bytes;	/* asked for; missed of them */
	u64 write_bytes;
	u64 units, unit_misses;		/* of 4 KiB, reads and writes */
	u64 read_units, read_unit_misses;
	u64 hit_reads;			/* reads of which something was cached */
	u64 read_ios, read_io_bytes;	/* to the backing device, for reads */
	u64 fetch_ios, fetch_bytes;	/* as above, and for parts of written blocks */
	u64 out_ios, out_bytes;		/* written to the backing device */
	u64 cache_bytes;		/* written to the cache device */
};

/* Seconds for all reads of a run. */
double trace_seconds(const struct trace_result *r, enum trace_device device);
/*
 * Runs a trace through a policy with blocks of @block_bytes in write-back mode;
 * a written block that isn't cached is fetched unless it is written whole.
 */
void trace_run_policy(const struct trace *t, enum trace_policy_kind kind,
		      u32 block_bytes, u64 cache_bytes, struct trace_result *r);
/* Miss ratios; 0 where nothing was asked for. */
double trace_ratio(u64 part, u64 of);

#endif /* TRACE_MODEL_H */
