// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time, and what the processor counts, where there are counters: often not in a virtual
 * machine.
 */
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench-core.h"

static const uint64_t configs[BENCH_COUNTERS] = {
	[BENCH_INSTRUCTIONS] = PERF_COUNT_HW_INSTRUCTIONS,
	[BENCH_CACHE_MISSES] = PERF_COUNT_HW_CACHE_MISSES,
};

static int fds[BENCH_COUNTERS];
static int opened;

static int open_counter(uint64_t config)
{
	struct perf_event_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.size = sizeof(attr);
	attr.type = PERF_TYPE_HARDWARE;
	attr.config = config;
	attr.exclude_kernel = 1;
	attr.exclude_hv = 1;
	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

void bench_count_begin(struct bench_count *k)
{
	int i;

	for (i = 0; i < BENCH_COUNTERS; i++) {
		if (!opened)
			fds[i] = open_counter(configs[i]);
		if (fds[i] >= 0)
			ioctl(fds[i], PERF_EVENT_IOC_RESET, 0);
	}
	opened = 1;
	k->began = bench_now();
}

void bench_count_end(const struct bench_count *k, struct bench_cost *cost)
{
	double ns = (bench_now() - k->began) / BENCH_LOOKUPS * 1e9;
	uint64_t n;
	int i;

	if (cost->ns && cost->ns <= ns)
		return;
	cost->ns = ns;
	for (i = 0; i < BENCH_COUNTERS; i++) {
		cost->count[i] = -1;
		if (fds[i] >= 0 && read(fds[i], &n, sizeof(n)) == sizeof(n))
			cost->count[i] = (double)n / BENCH_LOOKUPS;
	}
}
