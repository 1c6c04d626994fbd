/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The reader guard: keeps segments from being used again while a read of them
 * is in flight (O8), at the price of one per-CPU increment and decrement.
 *
 * Two counts on each CPU, one for each phase.  A reader counts itself into the
 * current phase, and out of it, perhaps on another CPU, when its I/O ends: a
 * count may be negative, the sum over all CPUs may not.  vci_guard_drain() makes
 * the other phase current and waits until the sum of the old one is 0.  Why that
 * is enough: design.rst, "Concurrency of the hit path".
 */
#ifndef VCI_GUARD_H
#define VCI_GUARD_H

#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>

struct vci_guard_counts {
	unsigned long readers[2];	/* by phase */
};

struct vci_guard {
	struct vci_guard_counts __percpu *counts;
	unsigned int phase;		/* that is current */
	unsigned long __percpu *readers;	/* ... and its counts */
	struct mutex drain;		/* one drain at a time */
};

int vci_guard_init(struct vci_guard *g) __must_check;
void vci_guard_exit(struct vci_guard *g);
void vci_guard_drain(struct vci_guard *g);

/* Enters, under rcu_read_lock_sched(); the result goes to vci_guard_leave(). */
static inline unsigned long __percpu *vci_guard_enter(struct vci_guard *g)
{
	/* Pairs with vci_guard_drain(). */
	unsigned long __percpu *readers = smp_load_acquire(&g->readers);

	this_cpu_inc(*readers);
	return readers;
}

/* Any context, any CPU. */
static inline void vci_guard_leave(unsigned long __percpu *readers)
{
	/* What was read was read before: pairs with vci_guard_drain(). */
	smp_mb__before_atomic();
	this_cpu_dec(*readers);
}

#endif /* VCI_GUARD_H */
