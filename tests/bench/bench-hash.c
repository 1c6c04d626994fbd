// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hash table that bench-core sets beside the tree.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <urcu.h>
#include <urcu/rculfhash.h>

#include "bench-core.h"

struct hashed {
	struct cds_lfht_node node;
	uint64_t off, addr;
};

static int same_off(struct cds_lfht_node *node, const void *key)
{
	return caa_container_of(node, struct hashed, node)->off == *(const uint64_t *)key;
}

static unsigned long hash(uint64_t off)
{
	return (off * 0x9e3779b97f4a7c15ull) >> 16;
}

static struct hashed *find_hashed(struct cds_lfht *ht, uint64_t off)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	cds_lfht_lookup(ht, hash(off), same_off, &off, &iter);
	node = cds_lfht_iter_get_node(&iter);
	return node ? caa_container_of(node, struct hashed, node) : NULL;
}

/* Entries come from one array: what a slab would be. */
static double fill_hash(struct cds_lfht *ht, struct hashed *all, uint32_t nr, uint64_t units)
{
	double t = bench_now();
	uint32_t i;

	bench_restart();
	for (i = 0; i < nr; i++) {
		rcu_read_lock();
		all[i].off = bench_random() % units * BENCH_UNIT;
		all[i].addr = i;
		cds_lfht_node_init(&all[i].node);
		cds_lfht_add_replace(ht, hash(all[i].off), same_off, &all[i].off,
				     &all[i].node);
		rcu_read_unlock();
	}
	return bench_now() - t;
}

static uint64_t look_up_hash(struct cds_lfht *ht, uint32_t nr, uint64_t units)
{
	const struct hashed *found = NULL;
	uint64_t hits = 0;
	uint32_t i, at = 0;

	for (i = 0; i < BENCH_LOOKUPS; i++, at++) {
		if (at == nr)
			at = 0;
		if (!at)
			bench_restart();
		rcu_read_lock();
		found = find_hashed(ht, bench_after(found ? found->addr : 0) % units *
					BENCH_UNIT);
		hits += found != NULL;
		rcu_read_unlock();
	}
	return hits;
}

/* All of its memory but the process's own goes with the process. */
void bench_hash(uint32_t nr)
{
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, bytes;
	struct hashed *all = calloc(nr, sizeof(*all));
	unsigned long buckets = 1024;
	struct bench_row row = { .kind = BENCH_HASH, .nr = nr };
	struct bench_count k;
	struct cds_lfht *ht;
	int i;

	rcu_register_thread();
	/* As large as it has to become: growing is not what is measured. */
	while (buckets < nr)
		buckets *= 2;
	ht = cds_lfht_new(buckets, buckets, 0, 0, NULL);
	if (!all || !ht)
		abort();
	row.insert_ns = fill_hash(ht, all, nr, 8ull * nr) / nr * 1e9;
	for (i = 0; i < BENCH_ROUNDS; i++) {
		bench_count_begin(&k);
		row.hits = (double)look_up_hash(ht, nr, 8ull * nr) / BENCH_LOOKUPS;
		bench_count_end(&k, &row.look_up);
	}
	bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	rcu_unregister_thread();
	row.bytes = (double)bytes / nr;
	bench_print(&row);
}
