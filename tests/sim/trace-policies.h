/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Known cache policies over fixed blocks, to compare with.
 *
 * A cache holds so many keys, all of one size.  One access is a hit, or inserts
 * the key and maybe evicts others.  FIFO, LRU and SIEVE are as published; ARC as
 * in Megiddo and Modha, FAST 2003; S3-FIFO as in its authors' libCacheSim: a
 * small queue of 10 %, ghosts for 90 %, two hits to get from small to main.
 * Belady evicts what is used last in future, and inserts every miss.
 */
#ifndef TRACE_POLICIES_H
#define TRACE_POLICIES_H

#include "vci-platform.h"

enum trace_policy_kind {
	TRACE_FIFO, TRACE_LRU, TRACE_SIEVE, TRACE_S3FIFO, TRACE_ARC, TRACE_BELADY,
	TRACE_POLICIES
};

extern const char *const trace_policy_names[TRACE_POLICIES];

struct trace_policy;

/*
 * @capacity: keys, at least 1.  @next: for Belady, for each access of the whole
 * run in order when its key is accessed next (TRACE_NEVER: never), else NULL.
 */
struct trace_policy *trace_policy_new(enum trace_policy_kind kind, u32 capacity,
				      const u32 *next);
void trace_policy_free(struct trace_policy *p);
/* True if it was a hit.  A @dirty key stays dirty until it is evicted. */
bool trace_policy_access(struct trace_policy *p, u64 key, bool dirty);
/* Is it cached? Changes nothing. */
bool trace_policy_has(const struct trace_policy *p, u64 key);
/* How many dirty keys were evicted so far; @at_end: those still cached too. */
u64 trace_policy_cleaned(const struct trace_policy *p, bool at_end);

#define TRACE_NEVER	0xffffffffu
/* What Belady wants: for access i of @keys the index of the next one of its key. */
u32 *trace_next_uses(const u64 *keys, u32 nr);

#endif /* TRACE_POLICIES_H */
