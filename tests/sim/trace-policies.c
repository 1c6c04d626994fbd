// SPDX-License-Identifier: GPL-2.0-only
/*
 * Known cache policies: see trace-policies.h.
 *
 * Keys are in nodes of one array, found through a hash with chains, and on one
 * of four queues.  A queue's head is where keys enter, its tail where they leave.
 * What a queue means depends on the policy:
 *
 *		Q0		Q1		Q2		Q3
 *	FIFO, LRU, SIEVE, Belady: all keys
 *	S3-FIFO	small		main		ghosts
 *	ARC	T1		T2		B1		B2
 */
#include "trace-policies.h"

#define NONE		0xffffffffu
#define NR_QUEUES	4u
#define S3_SMALL	0.10
#define S3_GHOSTS	0.90
#define S3_PROMOTE	2	/* hits that lead from small to main */
#define S3_FREQ_MAX	3

struct tp_node {
	u64 key;
	u32 prev, next;		/* in its queue; next is towards the tail */
	u32 chain;		/* in its hash slot, or of free nodes */
	u32 use;		/* Belady: when it is used next */
	u32 heap;		/* Belady: where it is in the heap */
	u8 queue;
	u8 freq;
	bool dirty;
};

struct tp_queue {
	u32 head, tail;
	u32 nr;
};

struct trace_policy {
	enum trace_policy_kind kind;
	u32 capacity;
	struct tp_node *n;
	u32 *hash;
	u32 hash_bits;
	u32 free;
	struct tp_queue q[NR_QUEUES];
	u32 hand;		/* SIEVE */
	u32 small, main, ghosts;	/* S3-FIFO: sizes */
	double target;		/* ARC: of T1 */
	const u32 *next;	/* Belady */
	u32 now;
	u32 *heap;
	u64 cleaned;
};

const char *const trace_policy_names[TRACE_POLICIES] = {
	"FIFO", "LRU", "SIEVE", "S3FIFO", "ARC", "BELADY",
};

/* ---- nodes, hash, queues ---- */

static u32 *slot_of(const struct trace_policy *p, u64 key)
{
	return &p->hash[(key * 0x9e3779b97f4a7c15ull) >> (64 - p->hash_bits)];
}

static u32 find(const struct trace_policy *p, u64 key)
{
	u32 i = *slot_of(p, key);

	while (i != NONE && p->n[i].key != key)
		i = p->n[i].chain;
	return i;
}

static void unlink_node(struct trace_policy *p, u32 i)
{
	struct tp_node *n = &p->n[i];
	struct tp_queue *q = &p->q[n->queue];

	*(n->prev == NONE ? &q->head : &p->n[n->prev].next) = n->next;
	*(n->next == NONE ? &q->tail : &p->n[n->next].prev) = n->prev;
	q->nr--;
}

static void link_head(struct trace_policy *p, u32 i, u8 queue)
{
	struct tp_queue *q = &p->q[queue];
	struct tp_node *n = &p->n[i];

	n->queue = queue;
	n->prev = NONE;
	n->next = q->head;
	*(q->head == NONE ? &q->tail : &p->n[q->head].prev) = i;
	q->head = i;
	q->nr++;
}

static void move_to(struct trace_policy *p, u32 i, u8 queue)
{
	unlink_node(p, i);
	link_head(p, i, queue);
}

static u32 insert(struct trace_policy *p, u64 key, u8 queue)
{
	u32 i = p->free, *slot = slot_of(p, key);
	struct tp_node *n = &p->n[i];

	assert(i != NONE);
	p->free = n->chain;
	memset(n, 0, sizeof(*n));
	n->key = key;
	n->chain = *slot;
	*slot = i;
	link_head(p, i, queue);
	return i;
}

static void forget(struct trace_policy *p, u32 i)
{
	u32 *slot = slot_of(p, p->n[i].key);

	while (*slot != i)
		slot = &p->n[*slot].chain;
	*slot = p->n[i].chain;
	unlink_node(p, i);
	p->n[i].chain = p->free;
	p->free = i;
}

/* It leaves the cache; its node may live on as a ghost. */
static void clean(struct trace_policy *p, u32 i)
{
	p->cleaned += p->n[i].dirty;
	p->n[i].dirty = false;
}

static void evict(struct trace_policy *p, u32 i)
{
	clean(p, i);
	forget(p, i);
}

/* ---- FIFO, LRU, SIEVE ---- */

static u32 queue_miss(struct trace_policy *p, u64 key)
{
	if (p->q[0].nr == p->capacity)
		evict(p, p->q[0].tail);
	return insert(p, key, 0);
}

static void sieve_evict(struct trace_policy *p)
{
	u32 i = p->hand == NONE ? p->q[0].tail : p->hand;

	while (p->n[i].freq) {
		p->n[i].freq = 0;
		i = p->n[i].prev == NONE ? p->q[0].tail : p->n[i].prev;
	}
	p->hand = p->n[i].prev;
	evict(p, i);
}

static u32 sieve_miss(struct trace_policy *p, u64 key)
{
	if (p->q[0].nr == p->capacity)
		sieve_evict(p);
	return insert(p, key, 0);
}

/* ---- S3-FIFO ---- */

static bool s3_evict_small(struct trace_policy *p)
{
	u32 i = p->q[0].tail;

	if (p->n[i].freq >= S3_PROMOTE) {
		p->n[i].freq = 0;
		move_to(p, i, 1);
		return false;
	}
	clean(p, i);
	if (!p->ghosts) {
		forget(p, i);
		return true;
	}
	if (p->q[2].nr == p->ghosts)
		forget(p, p->q[2].tail);
	move_to(p, i, 2);
	return true;
}

static bool s3_evict_main(struct trace_policy *p)
{
	u32 i = p->q[1].tail;

	if (!p->n[i].freq) {
		evict(p, i);
		return true;
	}
	p->n[i].freq = min_t(u8, p->n[i].freq, S3_FREQ_MAX) - 1;
	move_to(p, i, 1);
	return false;
}

/* One eviction works on one queue until something left the cache. */
static void s3_evict(struct trace_policy *p)
{
	bool from_main = p->q[1].nr > p->main || !p->q[0].nr;

	if (from_main)
		while (!s3_evict_main(p))
			;
	else
		while (p->q[0].nr && !s3_evict_small(p))
			;
}

static u32 s3_miss(struct trace_policy *p, u64 key, u32 ghost)
{
	u8 queue = 0;

	if (ghost != NONE) {
		forget(p, ghost);
		queue = 1;
	}
	while (p->q[0].nr + p->q[1].nr >= p->capacity)
		s3_evict(p);
	return insert(p, key, queue);
}

/* ---- ARC ---- */

static void arc_replace(struct trace_policy *p, bool in_b2)
{
	u32 t1 = p->q[0].nr;
	u8 from = t1 && (t1 > p->target || (in_b2 && t1 == (u32)p->target)) ? 0 : 1;
	u32 i = p->q[from].tail;

	if (i == NONE) {
		from = 1 - from;
		i = p->q[from].tail;
	}
	clean(p, i);
	move_to(p, i, from + 2);
}

static u32 arc_ghost(struct trace_policy *p, u32 ghost)
{
	double b1 = p->q[2].nr, b2 = p->q[3].nr;
	bool in_b2 = p->n[ghost].queue == 3;

	if (in_b2)
		p->target = max(p->target - max(b1 / b2, 1.0), 0.0);
	else
		p->target = min(p->target + max(b2 / b1, 1.0), (double)p->capacity);
	if (p->q[0].nr + p->q[1].nr >= p->capacity)
		arc_replace(p, in_b2);
	move_to(p, ghost, 1);
	p->n[ghost].freq = 0;
	return ghost;
}

static u32 arc_miss(struct trace_policy *p, u64 key, u32 ghost)
{
	u32 l1 = p->q[0].nr + p->q[2].nr, all = l1 + p->q[1].nr + p->q[3].nr;

	if (ghost != NONE)
		return arc_ghost(p, ghost);
	if (l1 == p->capacity) {
		if (p->q[0].nr < p->capacity) {
			forget(p, p->q[2].tail);
			arc_replace(p, false);
		} else {
			evict(p, p->q[0].tail);
		}
	} else if (all >= p->capacity) {
		if (all == 2 * p->capacity)
			forget(p, p->q[3].tail);
		arc_replace(p, false);
	}
	return insert(p, key, 0);
}

/* ---- Belady: a heap, the latest next use on top ---- */

static void heap_put(struct trace_policy *p, u32 at, u32 i)
{
	p->heap[at] = i;
	p->n[i].heap = at;
}

static void heap_up(struct trace_policy *p, u32 i)
{
	u32 at = p->n[i].heap, up;

	for (; at; at = up) {
		up = (at - 1) / 2;
		if (p->n[p->heap[up]].use >= p->n[i].use)
			break;
		heap_put(p, at, p->heap[up]);
	}
	heap_put(p, at, i);
}

static void heap_down(struct trace_policy *p, u32 i, u32 nr)
{
	u32 at = p->n[i].heap, c;

	for (; (c = 2 * at + 1) < nr; at = c) {
		if (c + 1 < nr && p->n[p->heap[c + 1]].use > p->n[p->heap[c]].use)
			c++;
		if (p->n[p->heap[c]].use <= p->n[i].use)
			break;
		heap_put(p, at, p->heap[c]);
	}
	heap_put(p, at, i);
}

static u32 belady_miss(struct trace_policy *p, u64 key)
{
	u32 nr = p->q[0].nr, i;

	if (nr == p->capacity) {
		evict(p, p->heap[0]);
		nr--;
		heap_put(p, 0, p->heap[nr]);
		heap_down(p, p->heap[0], nr);
	}
	i = insert(p, key, 0);
	heap_put(p, nr, i);
	return i;
}

static void belady_used(struct trace_policy *p, u32 i)
{
	p->n[i].use = p->next[p->now];
	heap_up(p, i);
	heap_down(p, i, p->q[0].nr);
}

/* ---- all ---- */

static u32 miss(struct trace_policy *p, u64 key, u32 ghost)
{
	switch (p->kind) {
	case TRACE_SIEVE:
		return sieve_miss(p, key);
	case TRACE_S3FIFO:
		return s3_miss(p, key, ghost);
	case TRACE_ARC:
		return arc_miss(p, key, ghost);
	case TRACE_BELADY:
		return belady_miss(p, key);
	default:
		return queue_miss(p, key);
	}
}

static void hit(struct trace_policy *p, u32 i)
{
	struct tp_node *n = &p->n[i];

	if (n->freq < 0xff)
		n->freq++;
	if (p->kind == TRACE_LRU)
		move_to(p, i, 0);
	else if (p->kind == TRACE_ARC)
		move_to(p, i, 1);
}

static bool is_ghost(const struct trace_policy *p, u32 i)
{
	return p->n[i].queue >= 2;
}

/**
 * trace_policy_has() - is a key cached?
 * @p: policy
 * @key: any
 */
bool trace_policy_has(const struct trace_policy *p, u64 key)
{
	u32 i = find(p, key);

	return i != NONE && !is_ghost(p, i);
}

/**
 * trace_policy_access() - use a key, and cache it if it isn't
 * @p: policy
 * @key: any
 * @dirty: it was written
 *
 * Return: was it cached?
 */
bool trace_policy_access(struct trace_policy *p, u64 key, bool dirty)
{
	u32 i = find(p, key);
	bool was_hit = i != NONE && !is_ghost(p, i);

	if (was_hit)
		hit(p, i);
	else
		i = miss(p, key, i);
	p->n[i].dirty |= dirty;
	if (p->kind == TRACE_BELADY)
		belady_used(p, i);
	p->now++;
	return was_hit;
}

/**
 * trace_policy_cleaned() - how many dirty keys were evicted so far
 * @p: policy
 * @at_end: as if all were evicted now
 */
u64 trace_policy_cleaned(const struct trace_policy *p, bool at_end)
{
	u64 nr = p->cleaned;
	u32 i, k;

	for (k = 0; at_end && k < NR_QUEUES; k++)
		for (i = p->q[k].head; i != NONE; i = p->n[i].next)
			nr += p->n[i].dirty;
	return nr;
}

/**
 * trace_policy_new() - an empty cache
 * @kind: policy
 * @capacity: in keys
 * @next: for Belady: from trace_next_uses(), of all accesses to come
 */
struct trace_policy *trace_policy_new(enum trace_policy_kind kind, u32 capacity,
				      const u32 *next)
{
	struct trace_policy *p = calloc(1, sizeof(*p));
	u32 nr = 2 * capacity + 2, i;

	assert(p && capacity);
	p->kind = kind;
	p->capacity = capacity;
	p->next = next;
	p->hand = NONE;
	p->small = max_t(u32, 1, capacity * S3_SMALL + 0.5);
	p->main = capacity - min(p->small, capacity);
	p->ghosts = capacity * S3_GHOSTS + 0.5;
	p->hash_bits = ilog2(nr) + 1;
	p->n = calloc(nr, sizeof(*p->n));
	p->hash = malloc(sizeof(*p->hash) << p->hash_bits);
	p->heap = malloc(sizeof(*p->heap) * nr);
	assert(p->n && p->hash && p->heap);
	memset(p->hash, 0xff, sizeof(*p->hash) << p->hash_bits);
	for (i = 0; i < nr; i++)
		p->n[i].chain = i + 1 < nr ? i + 1 : NONE;
	for (i = 0; i < NR_QUEUES; i++)
		p->q[i].head = p->q[i].tail = NONE;
	return p;
}

/**
 * trace_policy_free() - free a cache
 * @p: from trace_policy_new()
 */
void trace_policy_free(struct trace_policy *p)
{
	free(p->n);
	free(p->hash);
	free(p->heap);
	free(p);
}

struct key_at {
	u64 key;
	u32 at;
};

static int compare_key_at(const void *a, const void *b)
{
	const struct key_at *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/**
 * trace_next_uses() - when is the key of each access used next?
 * @keys: of all accesses
 * @nr: how many
 *
 * Return: an array to be freed; TRACE_NEVER where it isn't used again.
 */
u32 *trace_next_uses(const u64 *keys, u32 nr)
{
	struct key_at *all = malloc(sizeof(*all) * nr + 1);
	u32 *next = malloc(sizeof(*next) * nr + 1), i;

	assert(all && next);
	for (i = 0; i < nr; i++)
		all[i] = (struct key_at){ keys[i], i };
	qsort(all, nr, sizeof(*all), compare_key_at);
	for (i = 0; i < nr; i++)
		next[all[i].at] = i + 1 < nr && all[i + 1].key == all[i].key ?
				  all[i + 1].at : TRACE_NEVER;
	free(all);
	return next;
}
