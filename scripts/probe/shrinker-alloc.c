// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compiles where shrinkers are allocated: mainline 6.7 (commit c42d50aefd17).
 */
#include <linux/shrinker.h>

struct shrinker *probe(void *ctx);
struct shrinker *probe(void *ctx)
{
	struct shrinker *shrinker = shrinker_alloc(0, "probe");

	if (shrinker)
		shrinker->private_data = ctx;
	return shrinker;
}
