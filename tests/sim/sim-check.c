// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must hold when nothing is in flight, and after each recovery.
 */
#include "sim-world.h"
#include "vci-cache-internal.h"
#include "vci-verify.h"

/* Where the sector's data is in the cache; 0: nowhere. Loads nodes. */
static u64 find_addr(struct world *w, u64 off, u32 blocks, u32 *run)
{
	struct vci_lookup res;
	int r, i;

	for (i = 0; i < 3; i++) {
		r = vci_cache_lookup(w->cache, off, blocks, &res);
		if (r != -EAGAIN)
			break;
		if (vci_cache_load(w->cache, off, blocks))
			break;
	}
	*run = 1;
	if (r) {
		if (!stopped(w) && !w->cache_disk.errors)
			violation(w, "broken: lookup of %llu returned %d", off, r);
		return 0;
	}
	*run = min(res.e.blocks, blocks);
	return res.mapped ? res.e.addr : 0;
}

/* Nothing is in flight: what is cached is what the backing device holds. */
void check_rest(struct world *w)
{
	u32 s, i, k, run;

	for (s = 0; s < w->nr_spots && !stopped(w); s++) {
		const struct spot *p = &w->spots[s];

		for (i = 0; i < p->blocks && !stopped(w); i += run) {
			u64 addr = find_addr(w, p->off + i, p->blocks - i, &run);

			for (k = 0; addr && k < run; k++) {
				if (!memcmp(sim_disk_peek(&w->cache_disk, addr + k),
					    sim_disk_peek(&w->backing_disk, p->off + i + k),
					    VCI_BLOCK_SIZE))
					continue;
				violation(w, "differs: sector %llu at %llu of the cache (version %u there, %u on the backing device)",
					  p->off + i + k, addr + k,
					  (u32)(((const u64 *)sim_disk_peek(&w->cache_disk, addr + k))[1] >> 32),
					  (u32)(((const u64 *)sim_disk_peek(&w->backing_disk, p->off + i + k))[1] >> 32));
				break;
			}
			w->verified += run;
		}
	}
}

/* ---- O4: what was durable is found again ---- */

static bool is_mapped(struct world *w, u64 off)
{
	struct vci_lookup res;

	/* Not resident: it cannot be told, so nothing is expected. */
	return !vci_cache_lookup(w->cache, off, 1, &res) && res.mapped;
}

/* The last append mapped what it could of these. */
void expect_appended(struct world *w, const struct vci_fill_entry *e, u32 nr)
{
	u32 i, k;

	w->appends++;
	for (i = 0; i < nr; i++) {
		for (k = 0; k < e[i].blocks; k++) {
			int n = model_index(w, e[i].off + k);

			if (n >= 0 && !w->sectors[n].appended &&
			    is_mapped(w, e[i].off + k))
				w->sectors[n].appended = w->appends;
		}
	}
}

/* The writer may have evicted something. */
void expect_refresh(struct world *w)
{
	u32 i;

	for (i = 0; i < w->nr_sectors; i++)
		if (w->sectors[i].appended && !is_mapped(w, w->sectors[i].off))
			w->sectors[i].appended = 0;
}

/* After an activation, which flushed: all that is mapped is durable. */
void expect_all(struct world *w)
{
	u32 i;

	w->durable_appends = ++w->appends;
	for (i = 0; i < w->nr_sectors; i++)
		w->sectors[i].appended = is_mapped(w, w->sectors[i].off) ? w->appends : 0;
}

/* Before an activation: what lies in a marked region may be dropped (O1). */
void expect_unmarked(struct world *w)
{
	struct vci_header h;
	u32 i;

	if (vci_header_check(sim_disk_peek(&w->cache_disk, 0), w->cache_disk.dev.blocks,
			     &h, NULL) || !(h.flags & VCI_HDR_BOUND))
		return;
	for (i = 0; i < w->nr_sectors; i++) {
		u32 region = w->sectors[i].off >> h.region_blocks_log2;
		const struct vci_intent_disk *d;

		d = (const void *)sim_disk_peek(&w->cache_disk,
						h.intent.addr + region / VCI_INTENT_BITS);
		if (vci_bitmap_test(d->bits, region % VCI_INTENT_BITS))
			w->sectors[i].appended = 0;
	}
}

void check_expected(struct world *w)
{
	u32 i, run;

	/* After an error of the device it may have started empty. */
	if (w->cache_disk.errors)
		return;
	for (i = 0; i < w->nr_sectors && !stopped(w); i++) {
		const struct sector *s = &w->sectors[i];

		if (!s->appended || s->appended > w->durable_appends)
			continue;
		if (!find_addr(w, s->off, 1, &run) && !stopped(w))
			violation(w, "lost: sector %llu, append %u, durable up to %u",
				  s->off, s->appended, w->durable_appends);
	}
}

/* ---- the core's own invariants ---- */

struct usage {
	u8 *used;		/* a bit per block of the image */
	u32 *live;		/* per segment */
	u64 extents, blocks;
};

static void use_extent(struct world *w, struct usage *u, const struct vci_extent *e)
{
	struct vci_segments *t = &w->cache->segments;
	u32 s = vci_segment_of(t, e->addr), i;
	u8 life = t->s[s].life;

	if (life != VCI_LIFE_CLOSED && life != VCI_LIFE_OPEN && life != VCI_LIFE_VICTIM)
		violation(w, "broken: extent %llu+%u in segment %u, whose life is %u",
			  e->off, e->blocks, s, life);
	if (model_index(w, e->off) < 0 || model_index(w, e->off + e->blocks - 1) < 0)
		violation(w, "foreign: extent %llu+%u was never written", e->off, e->blocks);
	for (i = 0; i < e->blocks; i++)
		if (vci_bitmap_test(u->used, e->addr + i))
			violation(w, "broken: block %llu of the image is mapped twice",
				  e->addr + i);
	vci_bitmap_set(u->used, e->addr, e->blocks);
	u->live[s] += e->blocks;
	u->extents++;
	u->blocks += e->blocks;
}

static void check_usage(struct world *w, const struct usage *u)
{
	struct vci_segments *t = &w->cache->segments;
	struct vci_cache_stats stats;
	u32 i;

	vci_cache_get_stats(w->cache, &stats);
	if (stats.nr_extents != u->extents || stats.data_blocks != u->blocks)
		violation(w, "broken: %llu extents of %llu blocks, counted %llu of %llu",
			  u->extents, u->blocks, stats.nr_extents, stats.data_blocks);
	for (i = 0; i < t->nr; i++)
		if (t->s[i].live != u->live[i])
			violation(w, "broken: segment %u has %u live blocks, counted %u",
				  i, u->live[i], t->s[i].live);
}

void check_deep(struct world *w)
{
	struct vci_extent e[16];
	struct usage u = { 0 };
	u64 off = 0;
	int n = -1, i;

	if (vci_btree_validate(w->cache->tree))
		violation(w, "broken: vci_btree_validate()");
	u.used = calloc(1, w->cache_disk.dev.blocks / 8 + 8);
	u.live = calloc(w->cache->segments.nr, sizeof(*u.live));
	assert(u.used && u.live);
	while (!stopped(w)) {
		n = vci_btree_walk_sleep(w->cache->tree, &off, e, ARRAY_SIZE(e));
		if (n < 0 && !stopped(w) && !w->cache_disk.errors)
			violation(w, "broken: walk returned %d", n);
		if (n <= 0)
			break;
		for (i = 0; i < n; i++)
			use_extent(w, &u, &e[i]);
	}
	if (!stopped(w) && n == 0)
		check_usage(w, &u);
	free(u.used);
	free(u.live);
}

/* ---- the image ---- */

static void on_finding(void *ctx, const struct vci_damage *dmg, const char *text)
{
	struct world *w = ctx;

	(void)dmg;
	violation(w, "broken: vci_verify: %s", text);
}

void check_image(struct world *w)
{
	struct vci_verify_params p = {
		.dev = &w->cache_disk.dev,
		.backing = &w->backing_disk.dev,
		.finding = on_finding,
		.ctx = w,
	};
	struct vci_verify_result res;
	int r;

	w->cache_disk.fail_in = 0;
	r = vci_verify(&p, &res);
	if (stopped(w))
		return;
	if (r)
		violation(w, "broken: vci_verify returned %d", r);
	else if (!res.clean)
		violation(w, "broken: not clean after a clean close");
}
