/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TAP for unit tests: a program's tests are its calls of ok() and is_u64().
 *
 *	ok(a < b, "sum:is_larger_after_%u", i);
 *	is_u64(count, 3, "list:holds_three");
 *	return done_testing();
 *
 * Names are suite:function_and_situation.  Random tests take their seed from
 * vt_seed(), which the environment variable VT_SEED repeats.
 */
#ifndef VT_H
#define VT_H

#include <stdarg.h>

#include "vci-platform.h"

static unsigned int vt_nr, vt_nr_failed;

__printf(4, 5)
static inline bool vt_ok(bool passed, const char *file, int line, const char *name, ...)
{
	va_list args;

	if (!vt_nr++)
		printf("TAP version 13\n");
	printf("%sok %u - ", passed ? "" : "not ", vt_nr);
	va_start(args, name);
	vprintf(name, args);
	va_end(args);
	printf("\n");
	if (!passed) {
		vt_nr_failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	return passed;
}

/* All return whether the test passed. */
#define ok(cond, ...)	vt_ok(!!(cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_u64(got, want, ...) ({					\
	u64 _got = (got), _want = (want);				\
	bool _passed = ok(_got == _want, __VA_ARGS__);			\
									\
	if (!_passed)							\
		printf("# got %llu, expected %llu\n", _got, _want);	\
	_passed;							\
})

static inline u64 vt_seed(void)
{
	const char *text = getenv("VT_SEED");
	u64 seed = text ? strtoull(text, NULL, 0) : 1;

	printf("# VT_SEED=%llu\n", seed);
	return seed;
}

/* xorshift64*: @state must not be 0. */
static inline u64 vt_random(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static inline int done_testing(void)
{
	printf("1..%u\n", vt_nr);
	return vt_nr_failed ? 1 : 0;
}

#endif /* VT_H */
