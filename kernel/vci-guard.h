/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The reader guard: keeps segments from being used again while a read of them
 * is in flight (O8), at the price of one per-CPU increment and decrement.
 *
 * Two references, one for each phase.  A reader holds the one that is current;
 * vci_guard_drain() makes the other one current and waits until the old one is
 * free.
 */
#ifndef VCI_GUARD_H
#define VCI_GUARD_H

#include <linux/completion.h>
#include <linux/mutex.h>
#include <linux/percpu-refcount.h>

struct vci_guard_phase {
	struct percpu_ref ref;
	struct completion drained;
};

struct vci_guard {
	unsigned int current_phase;
	struct vci_guard_phase phase[2];
	struct mutex drain;		/* one drain at a time */
};

int vci_guard_init(struct vci_guard *g) __must_check;
void vci_guard_exit(struct vci_guard *g);
void vci_guard_drain(struct vci_guard *g);

/*
 * Enters, in any context; the result goes to vci_guard_leave().
 *
 * A reader may be delayed between choosing a phase and getting its reference,
 * and then hold one that the next drain doesn't wait for: so the phase is
 * looked at again.  If it is still (or once more) current, then every drain
 * that does not wait for this reader has begun before it, and it sees what the
 * drain's caller changed before.
 */
static inline struct percpu_ref *vci_guard_enter(struct vci_guard *g)
{
	for (;;) {
		unsigned int i = READ_ONCE(g->current_phase);
		struct percpu_ref *ref = &g->phase[i].ref;

		if (likely(percpu_ref_tryget_live(ref))) {
			/* Pairs with smp_store_release() in vci_guard_drain(). */
			if (likely(smp_load_acquire(&g->current_phase) == i))
				return ref;
			percpu_ref_put(ref);
		}
		cpu_relax();
	}
}

static inline void vci_guard_leave(struct percpu_ref *ref)
{
	percpu_ref_put(ref);
}

#endif /* VCI_GUARD_H */
