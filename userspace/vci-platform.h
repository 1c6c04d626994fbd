/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the core may use from its surroundings: the side of tools and tests.
 *
 * The names and their meaning are the kernel's (kernel/vci-platform.h lists
 * them).  Programs here run the core in one thread, so locks only check their
 * pairing and RCU frees at once.  Every allocation can be made to fail, for
 * tests: see vci_alloc_fail_at.
 */
#ifndef VCI_PLATFORM_H
#define VCI_PLATFORM_H

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef int32_t s32;
typedef long long s64;
typedef unsigned int gfp_t;
#define U16_MAX		UINT16_MAX
#define U32_MAX		UINT32_MAX
#define U64_MAX		UINT64_MAX

#ifdef __CHECKER__
#define __bitwise __attribute__((bitwise))
#define __force __attribute__((force))
#else
#define __bitwise
#define __force
#endif
typedef u16 __bitwise __le16;
typedef u32 __bitwise __le32;
typedef u64 __bitwise __le64;

#define __packed		__attribute__((packed))
#define __must_check		__attribute__((warn_unused_result))
#define __maybe_unused		__attribute__((unused))
#define __printf(a, b)		__attribute__((format(printf, a, b)))
#define __rcu
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define fallthrough		__attribute__((fallthrough))
#define prefetch(x)		__builtin_prefetch(x)

#undef static_assert
#define static_assert(expr, ...) _Static_assert(expr, #expr)

#define cpu_to_le16(x)		((__force __le16)htole16(x))
#define cpu_to_le32(x)		((__force __le32)htole32(x))
#define cpu_to_le64(x)		((__force __le64)htole64(x))
#define le16_to_cpu(x)		le16toh((__force u16)(x))
#define le32_to_cpu(x)		le32toh((__force u32)(x))
#define le64_to_cpu(x)		((u64)le64toh((__force u64)(x)))

#define min(a, b)		({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); \
				   (void)(&_a == &_b); _a < _b ? _a : _b; })
#define max(a, b)		({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); \
				   (void)(&_a == &_b); _a > _b ? _a : _b; })
#define min_t(t, a, b)		({ t _a = (a); t _b = (b); _a < _b ? _a : _b; })
#define max_t(t, a, b)		({ t _a = (a); t _b = (b); _a > _b ? _a : _b; })
#define clamp_t(t, v, a, b)	min_t(t, max_t(t, v, a), b)
#define swap(a, b)		({ __typeof__(a) _t = (a); (a) = (b); (b) = _t; })
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define round_up(x, y)		((((x) - 1) | ((__typeof__(x))((y) - 1))) + 1)
#define round_down(x, y)	((x) & ~((__typeof__(x))((y) - 1)))
#define BIT(n)			(1ul << (n))
#define container_of(p, t, m)	((t *)((char *)(p) - offsetof(t, m)))
#define offsetofend(t, m)	(offsetof(t, m) + sizeof(((t *)0)->m))

/* 64-bit divisions have names in the kernel: 32-bit machines call a function. */
static inline u64 div_u64(u64 n, u32 d) { return n / d; }
static inline u64 div64_u64(u64 n, u64 d) { return n / d; }
static inline int ilog2(u64 n) { return 63 - __builtin_clzll(n); }
static inline u64 roundup_pow_of_two(u64 n)
{
	return n < 2 ? 1 : 1ull << (64 - __builtin_clzll(n - 1));
}

#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define data_race(x)		READ_ONCE(x)
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

typedef struct { int v; } atomic_t;
#define ATOMIC_INIT(i)		{ (i) }
#define atomic_read(a)		__atomic_load_n(&(a)->v, __ATOMIC_RELAXED)
#define atomic_set(a, i)	__atomic_store_n(&(a)->v, i, __ATOMIC_RELAXED)
#define atomic_inc(a)		((void)__atomic_add_fetch(&(a)->v, 1, __ATOMIC_SEQ_CST))
#define atomic_dec(a)		((void)__atomic_sub_fetch(&(a)->v, 1, __ATOMIC_SEQ_CST))
#define smp_mb__after_atomic()	smp_mb()
#define cmpxchg(p, old, new)	__sync_val_compare_and_swap(p, old, new)
#define smp_mb__before_atomic()	smp_mb()

/* ---- memory ---- */

#define GFP_KERNEL		1u
#define GFP_NOIO		2u
#define GFP_NOWAIT		4u
#define __GFP_NOWARN		16u
#define __GFP_ZERO		8u

/*
 * For tests: the n-th allocation from now fails, and only that one (0: none).
 * vci_alloc_count counts all, vci_alloc_live those not freed yet.  With
 * vci_alloc_fail_optional those fail that have a way to go on (__GFP_NOWARN).
 */
extern unsigned long vci_alloc_fail_at;
extern bool vci_alloc_fail_optional;
extern unsigned long vci_alloc_count;
extern long vci_alloc_live;

void *vci_platform_alloc(size_t size, gfp_t flags);
void vci_platform_free(const void *p);

#define kmalloc(s, f)		vci_platform_alloc(s, f)
#define kzalloc(s, f)		vci_platform_alloc(s, (f) | __GFP_ZERO)
#define kvmalloc(s, f)		vci_platform_alloc(s, f)
#define kvzalloc(s, f)		vci_platform_alloc(s, (f) | __GFP_ZERO)
#define kcalloc(n, s, f)	vci_platform_alloc((size_t)(n) * (s), (f) | __GFP_ZERO)
#define kvcalloc(n, s, f)	vci_platform_alloc((size_t)(n) * (s), (f) | __GFP_ZERO)
#define kvmalloc_array(n, s, f)	vci_platform_alloc((size_t)(n) * (s), f)
#define kfree(p)		vci_platform_free(p)
#define kvfree(p)		vci_platform_free(p)

/* ---- RCU, locks: one thread ---- */

struct rcu_head { void *unused; };
#define kfree_rcu(p, field)	vci_platform_free(p)
#define rcu_read_lock()		do { } while (0)
#define rcu_read_unlock()	do { } while (0)
#define rcu_dereference(p)	READ_ONCE(p)
#define rcu_dereference_protected(p, c) (p)
#define rcu_access_pointer(p)	READ_ONCE(p)
#define rcu_assign_pointer(p, v) __atomic_store_n(&(p), v, __ATOMIC_RELEASE)
#define RCU_INIT_POINTER(p, v)	WRITE_ONCE(p, v)
#define synchronize_rcu()	do { } while (0)
#define rcu_barrier()		do { } while (0)

typedef struct { bool held; } spinlock_t;
#define spin_lock_init(l)	((l)->held = false)
#define spin_lock(l)		do { assert(!(l)->held); (l)->held = true; } while (0)
#define spin_unlock(l)		do { assert((l)->held); (l)->held = false; } while (0)
#define spin_lock_irqsave(l, f)	do { (f) = 0; spin_lock(l); } while (0)
#define spin_unlock_irqrestore(l, f) do { (void)(f); spin_unlock(l); } while (0)
#define lockdep_assert_held(l)	assert((l)->held)
/* For lockdep; here nobody interrupts anybody. */
#define vci_may_wait_for(l)	((void)(l))
#define lockdep_is_held(l)	((l)->held)
#define cond_resched()		do { } while (0)

struct mutex { bool held; };
#define mutex_init(l)		((l)->held = false)
#define mutex_destroy(l)	assert(!(l)->held)
#define mutex_lock(l)		do { assert(!(l)->held); (l)->held = true; } while (0)
#define mutex_unlock(l)		do { assert((l)->held); (l)->held = false; } while (0)

typedef struct { unsigned int seq; } seqcount_t;
#define seqcount_init(s)	((s)->seq = 0)
#define read_seqcount_begin(s)	__atomic_load_n(&(s)->seq, __ATOMIC_ACQUIRE)
#define raw_seqcount_begin(s)	(read_seqcount_begin(s) & ~1u)
#define raw_read_seqcount(s)	__atomic_load_n(&(s)->seq, __ATOMIC_ACQUIRE)
#define read_seqcount_retry(s, v) (smp_rmb(), READ_ONCE((s)->seq) != (v))
#define raw_write_seqcount_begin(s) do { (s)->seq++; smp_wmb(); } while (0)
#define raw_write_seqcount_end(s) do { smp_wmb(); (s)->seq++; } while (0)

/* ---- lists ---- */

struct list_head { struct list_head *next, *prev; };
#define LIST_HEAD_INIT(n)	{ &(n), &(n) }
#define LIST_HEAD(n)		struct list_head n = LIST_HEAD_INIT(n)
static inline void INIT_LIST_HEAD(struct list_head *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list_head *l) { return l->next == l; }
static inline void __list_add(struct list_head *n, struct list_head *p,
			      struct list_head *x)
{
	x->prev = n;
	n->next = x;
	n->prev = p;
	p->next = n;
}
static inline void list_add(struct list_head *n, struct list_head *h)
{
	__list_add(n, h, h->next);
}
static inline void list_add_tail(struct list_head *n, struct list_head *h)
{
	__list_add(n, h->prev, h);
}
static inline void list_del_init(struct list_head *e)
{
	e->next->prev = e->prev;
	e->prev->next = e->next;
	INIT_LIST_HEAD(e);
}
#define list_del(e)		list_del_init(e)
static inline void list_replace_init(struct list_head *o, struct list_head *n)
{
	n->next = o->next;
	n->next->prev = n;
	n->prev = o->prev;
	n->prev->next = n;
	INIT_LIST_HEAD(o);
}
static inline void list_move_tail(struct list_head *e, struct list_head *h)
{
	list_del_init(e);
	list_add_tail(e, h);
}
static inline void list_splice_tail_init(struct list_head *l, struct list_head *h)
{
	if (list_empty(l))
		return;
	l->next->prev = h->prev;
	h->prev->next = l->next;
	l->prev->next = h;
	h->prev = l->prev;
	INIT_LIST_HEAD(l);
}
#define list_entry(p, t, m)	container_of(p, t, m)
#define list_first_entry(h, t, m) list_entry((h)->next, t, m)
#define list_first_entry_or_null(h, t, m) \
	(list_empty(h) ? NULL : list_first_entry(h, t, m))
#define list_for_each_entry(p, h, m) \
	for (p = list_entry((h)->next, __typeof__(*p), m); &p->m != (h); \
	     p = list_entry(p->m.next, __typeof__(*p), m))
#define list_for_each_entry_safe(p, n, h, m) \
	for (p = list_entry((h)->next, __typeof__(*p), m), \
	     n = list_entry(p->m.next, __typeof__(*p), m); &p->m != (h); \
	     p = n, n = list_entry(n->m.next, __typeof__(*n), m))

/* ---- bits ---- */

#define BITS_PER_LONG		64
#define BITS_TO_LONGS(n)	DIV_ROUND_UP((n), BITS_PER_LONG)
static inline void set_bit(unsigned long n, unsigned long *b)
{
	b[n / BITS_PER_LONG] |= 1ul << (n % BITS_PER_LONG);
}
static inline void clear_bit(unsigned long n, unsigned long *b)
{
	b[n / BITS_PER_LONG] &= ~(1ul << (n % BITS_PER_LONG));
}
static inline bool test_bit(unsigned long n, const unsigned long *b)
{
	return (READ_ONCE(b[n / BITS_PER_LONG]) >> (n % BITS_PER_LONG)) & 1;
}
#define __set_bit		set_bit
#define __clear_bit		clear_bit
unsigned long find_next_bit(const unsigned long *b, unsigned long size,
			    unsigned long from);
unsigned long find_next_zero_bit(const unsigned long *b, unsigned long size,
				 unsigned long from);
unsigned int bitmap_weight(const unsigned long *b, unsigned int nbits);

/* ---- the rest ---- */

u32 crc32c(u32 seed, const void *data, unsigned int bytes);
static inline void sort(void *base, size_t n, size_t size,
			int (*cmp)(const void *, const void *), void *unused)
{
	(void)unused;
	if (n)
		qsort(base, n, size, cmp);
}
void *memchr_inv(const void *s, int c, size_t n);

/* Messages go to stderr; tests silence or capture them (NULL: silent). */
extern FILE *vci_log_file;
__printf(2, 3) void vci_platform_print(const char *level, const char *fmt, ...);
#define vci_err(fmt, ...)	vci_platform_print("error", fmt, ##__VA_ARGS__)
#define vci_warn(fmt, ...)	vci_platform_print("warning", fmt, ##__VA_ARGS__)
#define vci_info(fmt, ...)	vci_platform_print("note", fmt, ##__VA_ARGS__)

#define VCI_ASSERT(cond)	assert(cond)

#endif /* VCI_PLATFORM_H */
