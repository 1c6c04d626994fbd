/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the core may use from its surroundings: the kernel's side.
 *
 * The core (kernel/core) includes this header and nothing else from outside.
 * userspace/vci-platform.h gives the same names to tools and tests; which of
 * the two is meant is decided by the include path.  Adding a name here means
 * adding it there: this list is the whole contract.
 *
 * Types	u8..u64, s64, bool, __le16/32/64, spinlock_t, seqcount_t, struct mutex,
 *		atomic_t, struct rcu_head, struct list_head
 * Memory	kmalloc kzalloc kfree kvmalloc kvzalloc kvfree kfree_rcu
 * Ordering	READ_ONCE WRITE_ONCE cmpxchg smp_* rcu_* read_seqcount_* write_seqcount_*
 *		prefetch
 * Bits		set_bit clear_bit test_bit find_next_bit find_next_zero_bit
 *		bitmap_weight
 * Checksum	crc32c(seed, data, bytes): the raw kernel form
 * Locks	spin_lock* lockdep_*, vci_may_wait_for()
 * Messages	vci_err vci_warn vci_info: one line each, no newline in the format
 */
#ifndef VCI_PLATFORM_H
#define VCI_PLATFORM_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/build_bug.h>
#include <linux/crc32c.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/prefetch.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/vmalloc.h>

#define vci_err(fmt, ...)	pr_err("device-mapper: vci: " fmt "\n", ##__VA_ARGS__)
#define vci_warn(fmt, ...)	pr_warn("device-mapper: vci: " fmt "\n", ##__VA_ARGS__)
#define vci_info(fmt, ...)	pr_info("device-mapper: vci: " fmt "\n", ##__VA_ARGS__)

/*
 * Without taking it, the caller may wait for whoever holds a lock; not if he does
 * himself.  Tells lockdep, which finds who may have interrupted that one.
 */
static inline void vci_may_wait_for(spinlock_t *lock)
{
#ifdef CONFIG_PROVE_LOCKING
	if (!lockdep_is_held(lock))
		might_lock(lock);
#endif
}

/*
 * A broken invariant of our own: says so once and goes on.  Never for bytes
 * that came from a device.
 */
#define VCI_ASSERT(cond)	((void)WARN_ON_ONCE(!(cond)))

#endif /* VCI_PLATFORM_H */
