// SPDX-License-Identifier: GPL-2.0-only
/*
 * The slow side of the reader guard: see vci-guard.h.
 */
#include <linux/delay.h>

#include "vci-guard.h"

/* How often a drain looks, in microseconds: a read of a fast device, or two. */
#define VCI_DRAIN_US_MIN	50
#define VCI_DRAIN_US_MAX	200

/**
 * vci_guard_init() - make a guard that nobody holds
 * @g: to set up
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_guard_init(struct vci_guard *g)
{
	g->counts = alloc_percpu(struct vci_guard_counts);
	if (!g->counts)
		return -ENOMEM;
	g->phase = 0;
	g->readers = &g->counts->readers[0];
	mutex_init(&g->drain);
	return 0;
}

/**
 * vci_guard_exit() - undo vci_guard_init(); nobody holds or drains the guard
 * @g: guard
 */
void vci_guard_exit(struct vci_guard *g)
{
	free_percpu(g->counts);
	mutex_destroy(&g->drain);
}

/*
 * Nobody enters the phase any more: each count is read once, and may only have
 * gone down meanwhile.  So a sum of 0 was true at the end.
 */
static bool is_empty(struct vci_guard *g, unsigned int phase)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(g->counts, cpu)->readers[phase]);
	/* Pairs with vci_guard_leave(). */
	smp_mb();
	return !sum;
}

/**
 * vci_guard_drain() - wait for every reader that entered before
 * @g: guard
 *
 * Sleeps for an RCU grace period at least.  Readers that enter later see what
 * the caller changed before the call.
 */
void vci_guard_drain(struct vci_guard *g)
{
	unsigned int old;

	mutex_lock(&g->drain);
	old = g->phase;
	g->phase = !old;
	/* Pairs with vci_guard_enter(). */
	smp_store_release(&g->readers, &g->counts->readers[g->phase]);
	/* Who saw the old phase has counted itself when this returns. */
	synchronize_rcu();
	while (!is_empty(g, old))
		usleep_range(VCI_DRAIN_US_MIN, VCI_DRAIN_US_MAX);
	mutex_unlock(&g->drain);
}
