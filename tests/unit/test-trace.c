// SPDX-License-Identifier: GPL-2.0-only
/*
 * The trace simulator's policies against brute force: the same rules over plain
 * arrays, with no hash, list or heap.  And its readers of traces.
 *
 * Both are compiled in here, since unit tests are linked to the core alone.
 */
#include "../sim/trace-policies.c"
#include "../sim/trace-read.c"
#include "vt.h"

#define KEYS_MAX	64
#define LIST_MAX	128
#define ACCESSES	400

/* Entry 0 is where keys enter, the last one where they leave. */
struct brute_list {
	u64 key[LIST_MAX];
	u8 freq[LIST_MAX];
	u32 nr;
};

struct brute {
	enum trace_policy_kind kind;
	u32 capacity, hand;
	struct brute_list q[4];
	double target;
	const u64 *keys;	/* the whole run, for Belady */
	u32 now, end;
};

static int position(const struct brute_list *l, u64 key)
{
	u32 i;

	for (i = 0; i < l->nr; i++)
		if (l->key[i] == key)
			return i;
	return -1;
}

static void take_out(struct brute_list *l, u32 i)
{
	l->nr--;
	memmove(l->key + i, l->key + i + 1, (l->nr - i) * sizeof(l->key[0]));
	memmove(l->freq + i, l->freq + i + 1, l->nr - i);
}

static void put_in(struct brute_list *l, u64 key, u8 freq)
{
	assert(l->nr < LIST_MAX);
	memmove(l->key + 1, l->key, l->nr * sizeof(l->key[0]));
	memmove(l->freq + 1, l->freq, l->nr);
	l->key[0] = key;
	l->freq[0] = freq;
	l->nr++;
}

static u64 pop(struct brute_list *l)
{
	u64 key = l->key[l->nr - 1];

	take_out(l, l->nr - 1);
	return key;
}

/* The hand is kept as the key it points to, + 1. */
static void brute_sieve_evict(struct brute *b)
{
	struct brute_list *l = &b->q[0];
	int i = b->hand ? position(l, b->hand - 1) : (int)l->nr - 1;

	while (l->freq[i]) {
		l->freq[i] = 0;
		i = i ? i - 1 : (int)l->nr - 1;
	}
	b->hand = i ? l->key[i - 1] + 1 : 0;
	take_out(l, i);
}

static void brute_belady_evict(struct brute *b)
{
	struct brute_list *l = &b->q[0];
	u32 i, k, worst = 0, worst_use = 0;

	for (i = 0; i < l->nr; i++) {
		for (k = b->now + 1; k < b->end && b->keys[k] != l->key[i]; k++)
			;
		if (k > worst_use) {
			worst = i;
			worst_use = k;
		}
	}
	take_out(l, worst);
}

static void brute_s3_evict(struct brute *b)
{
	u32 small = max(1u, (u32)(b->capacity * 0.1 + 0.5));
	struct brute_list *s = &b->q[0], *m = &b->q[1];
	bool from_main = m->nr > b->capacity - small || !s->nr;

	for (;;) {
		struct brute_list *l = from_main ? m : s;
		u8 freq;
		u64 key;

		if (!l->nr)
			return;
		freq = l->freq[l->nr - 1];
		key = pop(l);
		if (from_main && freq) {
			put_in(m, key, min(freq, (u8)3) - 1);
		} else if (!from_main && freq >= 2) {
			put_in(m, key, 0);
		} else {
			if (!from_main) {
				put_in(&b->q[2], key, 0);
				if (b->q[2].nr > (u32)(b->capacity * 0.9 + 0.5))
					pop(&b->q[2]);
			}
			return;
		}
	}
}

static void brute_s3_miss(struct brute *b, u64 key)
{
	int ghost = position(&b->q[2], key);

	if (ghost >= 0)
		take_out(&b->q[2], ghost);
	while (b->q[0].nr + b->q[1].nr >= b->capacity)
		brute_s3_evict(b);
	put_in(&b->q[ghost >= 0], key, 0);
}

static void brute_arc_replace(struct brute *b, bool in_b2)
{
	u32 t1 = b->q[0].nr;
	u32 from = t1 && (t1 > b->target || (in_b2 && t1 == (u32)b->target)) ? 0 : 1;

	if (!b->q[from].nr)
		from = 1 - from;
	put_in(&b->q[from + 2], pop(&b->q[from]), 0);
}

/* Figure 4 of the paper, cases II to IV. */
static void brute_arc_miss(struct brute *b, u64 key)
{
	int b1 = position(&b->q[2], key), b2 = position(&b->q[3], key);
	double n1 = b->q[2].nr, n2 = b->q[3].nr;
	u32 c = b->capacity, l1 = b->q[0].nr + b->q[2].nr;
	u32 all = l1 + b->q[1].nr + b->q[3].nr;

	if (b1 >= 0 || b2 >= 0) {
		b->target += b1 >= 0 ? max(n2 / n1, 1.0) : -max(n1 / n2, 1.0);
		b->target = min(max(b->target, 0.0), (double)c);
		if (b->q[0].nr + b->q[1].nr >= c)
			brute_arc_replace(b, b2 >= 0);
		if (b1 >= 0)
			take_out(&b->q[2], position(&b->q[2], key));
		else
			take_out(&b->q[3], position(&b->q[3], key));
		put_in(&b->q[1], key, 0);
		return;
	}
	if (l1 == c && b->q[0].nr == c) {
		pop(&b->q[0]);
	} else if (l1 == c) {
		pop(&b->q[2]);
		brute_arc_replace(b, false);
	} else if (all >= c) {
		if (all == 2 * c)
			pop(&b->q[3]);
		brute_arc_replace(b, false);
	}
	put_in(&b->q[0], key, 0);
}

static bool brute_hit(struct brute *b, u64 key)
{
	u32 k;
	int i;

	for (k = 0; k < 2; k++) {
		i = position(&b->q[k], key);
		if (i < 0)
			continue;
		b->q[k].freq[i]++;
		if (b->kind == TRACE_LRU || b->kind == TRACE_ARC) {
			take_out(&b->q[k], i);
			put_in(&b->q[b->kind == TRACE_ARC], key, 0);
		}
		return true;
	}
	return false;
}

static bool brute_access(struct brute *b, u64 key)
{
	bool hit = brute_hit(b, key), full = b->q[0].nr == b->capacity;

	if (hit) {
		;
	} else if (b->kind == TRACE_S3FIFO) {
		brute_s3_miss(b, key);
	} else if (b->kind == TRACE_ARC) {
		brute_arc_miss(b, key);
	} else {
		if (full && b->kind == TRACE_SIEVE)
			brute_sieve_evict(b);
		else if (full && b->kind == TRACE_BELADY)
			brute_belady_evict(b);
		else if (full)
			pop(&b->q[0]);
		put_in(&b->q[0], key, 0);
	}
	b->now++;
	return hit;
}

/* Belady may choose among keys that are never used again: hits count then. */
static bool same_run(enum trace_policy_kind kind, u32 capacity, const u64 *keys)
{
	struct brute *b = calloc(1, sizeof(*b));
	u32 *next = trace_next_uses(keys, ACCESSES), i, hits[2] = { 0 };
	struct trace_policy *p = trace_policy_new(kind, capacity, next);
	bool same = true;

	assert(b);
	b->kind = kind;
	b->capacity = capacity;
	b->keys = keys;
	b->end = ACCESSES;
	for (i = 0; i < ACCESSES && same; i++) {
		bool x = trace_policy_access(p, keys[i], false);
		bool y = brute_access(b, keys[i]);

		hits[0] += x;
		hits[1] += y;
		same = kind == TRACE_BELADY || x == y;
	}
	same &= hits[0] == hits[1];
	trace_policy_free(p);
	free(next);
	free(b);
	return same;
}

static void test_policies(void)
{
	u64 state = vt_seed(), keys[ACCESSES];
	u32 kind, run, i, bad;

	for (kind = 0; kind < TRACE_POLICIES; kind++) {
		for (bad = 0, run = 0; run < 200; run++) {
			u32 range = 2 + vt_random(&state) % (KEYS_MAX - 2);

			for (i = 0; i < ACCESSES; i++)
				keys[i] = vt_random(&state) % range *
					  (vt_random(&state) % 4) / 4;
			bad += !same_run(kind, 1 + vt_random(&state) % 40, keys);
		}
		is_u64(bad, 0, "policies:%s_is_as_brute_force", trace_policy_names[kind]);
	}
}

static void test_dirty(void)
{
	struct trace_policy *p = trace_policy_new(TRACE_LRU, 2, NULL);

	trace_policy_access(p, 1, true);
	trace_policy_access(p, 2, false);
	trace_policy_access(p, 3, true);
	is_u64(trace_policy_cleaned(p, false), 1, "policies:dirty_key_counts_when_evicted");
	is_u64(trace_policy_cleaned(p, true), 2, "policies:dirty_keys_count_at_the_end");
	ok(!trace_policy_has(p, 1) && trace_policy_has(p, 3), "policies:has_what_stayed");
	trace_policy_free(p);
}

static int read_text(struct trace *t, const char *text)
{
	char path[] = "/tmp/test-trace-XXXXXX";
	int fd = mkstemp(path), r;
	FILE *f = fdopen(fd, "w");

	assert(f);
	fputs(text, f);
	fclose(f);
	r = trace_read(t, path);
	remove(path);
	return r;
}

static bool is_request(const struct trace *t, u32 i, bool is_write, u64 off, u32 blocks)
{
	return i < t->nr && t->r[i].is_write == is_write && t->r[i].off == off &&
	       t->r[i].blocks == blocks;
}

static void test_formats(void)
{
	struct trace t;

	ok(!read_text(&t, "time_us,op,lba,sectors\n5,R,8,16\n900,W,3,1\n") && t.nr == 2 &&
	   is_request(&t, 0, false, 8, 16) && is_request(&t, 1, true, 3, 1) && t.timed,
	   "read:csv");
	is_u64(trace_footprint(&t, 8), 3 * 4096, "read:footprint_counts_whole_units");
	trace_free(&t);
	ok(!read_text(&t, "  8,0    3        1     0.000000000   697  Q   W 223490 + 8 [k]\n"
		      "  8,0    3        2     0.000001829   697  D   W 223490 + 8 [k]\n"
		      "  8,0    1        3     0.500000000   697  Q  RA 16 + 64 [cat]\n"
		      "  8,0    1        4     0.500000001   697  Q  FN [cat]\n"
		      "CPU0 (8,0):\n Reads Queued: 1, 4KiB\n") && t.nr == 2 &&
	   is_request(&t, 0, true, 223490, 8) && is_request(&t, 1, false, 16, 64) &&
	   t.r[1].us == 500000, "read:blkparse_takes_each_request_once");
	trace_free(&t);
	ok(!read_text(&t, "fio version 2 iolog\n/dev/a add\n/dev/a open\n"
		      "/dev/a read 4096 8192\n/dev/b write 0 512\n/dev/a close\n") &&
	   t.nr == 2 && is_request(&t, 0, false, 8, 16) &&
	   is_request(&t, 1, true, 1ull << 31, 1), "read:iolog2_with_two_files");
	trace_free(&t);
	ok(!read_text(&t, "fio version 3 iolog\n0 f add\n0 f open\n250 f write 512 1000\n") &&
	   t.nr == 1 && is_request(&t, 0, true, 1, 2) && t.r[0].us == 250, "read:iolog3");
	trace_free(&t);
	vci_log_file = NULL;
	ok(read_text(&t, "time_us,op,lba,sectors\n5,X,8,16\n") == -EINVAL,
	   "read:unknown_operation_is_an_error");
	ok(trace_read(&t, "/nonexistent") == -ENOENT, "read:missing_file");
}

int main(void)
{
	test_policies();
	test_dirty();
	test_formats();
	return done_testing();
}
