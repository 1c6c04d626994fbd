// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must hold when nothing is in flight, and after each recovery.
 */
#include "sim-world.h"
#include "vci-cache-internal.h"
#include "vci-verify.h"

/*
 * What a user who reads the sector now would be given, of the @run sectors from
 * there on.  Loads nodes.
 */
struct found {
	bool known;
	bool mapped, dirty;
	u64 addr;
	u32 run;
};

static struct found find(struct world *w, u64 off, u32 blocks)
{
	struct vci_cache *c = w->view.cache;
	struct found f = { .run = 1 };
	struct vci_lookup res;
	int r, i;

	for (i = 0; i < 3; i++) {
		r = vci_cache_lookup(c, off, blocks, &res);
		if (r != -EAGAIN)
			break;
		if (vci_cache_load(c, off, blocks))
			break;
	}
	if (r) {
		if (!stopped(w) && !w->cache_disk.errors)
			violation(w, "broken: lookup of %llu returned %d", off, r);
		return f;
	}
	f.known = true;
	f.run = min(res.e.blocks, blocks);
	f.mapped = res.mapped;
	f.dirty = res.mapped && res.e.flags & VCI_EXT_DIRTY;
	f.addr = res.mapped ? res.e.addr : 0;
	return f;
}

/* Of a failed cache only what is dirty is read. */
static const u8 *contents(struct world *w, const struct found *f, u64 off, u32 i)
{
	const struct view *v = &w->view;

	if (f->mapped && (f->dirty || !vci_cache_is_failed(v->cache)))
		return sim_disk_peek(v->cache_disk, f->addr + i);
	return sim_disk_peek(v->backing_disk, off + i);
}

/* Calls @fn for each sector and what was found of it. */
static void for_each_sector(struct world *w,
			    void (*fn)(struct world *w, struct sector *s,
				       const struct found *f, const u8 *data))
{
	u32 n, i, k;

	for (n = 0; n < w->nr_spots; n++) {
		const struct spot *p = &w->spots[n];

		for (i = 0; i < p->blocks && !stopped(w);) {
			struct found f = find(w, p->off + i, p->blocks - i);

			for (k = 0; k < f.run && f.known; k++)
				fn(w, &w->sectors[p->base + i + k], &f,
				   contents(w, &f, p->off + i, k));
			i += f.run;
		}
	}
}

static void sector_recovered(struct world *w, struct sector *s, const struct found *f,
			     const u8 *data)
{
	(void)f;
	model_recovered(w, s, data);
	w->verified++;
}

static void look_at(struct world *w)
{
	w->view = (struct view) {
		.cache = w->cache,
		.cache_disk = &w->cache_disk,
		.backing_disk = &w->backing_disk,
	};
}

/*
 * After an activation: what is there, by lookups, is the truth from now on.
 * Looking makes the cache replay its log; so the looks may go to a copy.
 */
void check_recovered(struct world *w, struct view view)
{
	w->view = view;
	for_each_sector(w, sector_recovered);
	look_at(w);
	model_at_rest(w);
	w->discard_in_flight = false;
	w->closed = false;
	w->host_only = true;
}

static void sector_at_rest(struct world *w, struct sector *s, const struct found *f,
			   const u8 *data)
{
	const u8 *backing = sim_disk_peek(&w->backing_disk, s->off);
	u32 there, below;
	bool known = model_version_of(data, s->off, &there);
	bool same = model_version_of(backing, s->off, &below) &&
		    !memcmp(data, backing, VCI_BLOCK_SIZE);

	if (!known || there != s->version)
		violation(w, "differs: sector %llu is version %u, not %u (%s at %llu)", s->off,
			  there, s->version, f->dirty ? "dirty" : f->mapped ? "clean" :
			  "not cached", f->addr);
	else if (!f->dirty && !same)
		violation(w, "differs: sector %llu is clean at %llu with version %u, and has %u on the backing device",
			  s->off, f->addr, there, below);
	w->verified++;
}

/* Nothing is in flight: all is as the model says, and what is clean is on both. */
void check_rest(struct world *w)
{
	for_each_sector(w, sector_at_rest);
}

/* Law 4, nothing is in flight or dirty: the backing device alone holds all. */
void check_detached(struct world *w)
{
	u32 i, version;

	for (i = 0; i < w->nr_sectors && !stopped(w); i++) {
		struct sector *s = &w->sectors[i];

		if (!model_version_of(sim_disk_peek(&w->backing_disk, s->off), s->off,
				      &version) || version != s->version)
			violation(w, "attached: sector %llu has version %u on the backing device alone, it is %u",
				  s->off, version, s->version);
	}
}

/* The power is gone: what a flush message put there is still there. */
void check_promised_survived(struct world *w)
{
	u32 i, version;

	for (i = 0; i < w->nr_sectors; i++) {
		struct sector *s = &w->sectors[i];

		if (s->detached &&
		    (!model_version_of(sim_disk_peek(&w->backing_disk, s->off), s->off,
				       &version) || version != s->version))
			violation(w, "attached: sector %llu had version %u durably on the backing device after a flush message, now %u",
				  s->off, s->version, version);
	}
}

/* ---- O4: what was durable is found again ---- */

static u64 mapped_to(struct world *w, u64 off)
{
	struct vci_lookup res;

	/* Not resident: it cannot be told, so nothing is expected. */
	return !vci_cache_lookup(w->cache, off, 1, &res) && res.mapped ? res.e.addr : 0;
}

static bool is_mapped(struct world *w, u64 off)
{
	return mapped_to(w, off);
}

/*
 * The last append mapped what it could of these, to the end of its stream.  Some may have
 * been dropped or gone to their old places, which are settled: of that nothing is expected.
 */
void expect_appended(struct world *w, u32 stream, const struct vci_fill_entry *e, u32 nr)
{
	const struct vci_log *log = &w->cache->log;
	const struct vci_log_open *o = &log->open[stream];
	u64 start, end, begin;
	u32 i, k, used;

	w->appends++;
	if (o->segment == VCI_NO_SEGMENT)
		return;
	start = vci_segment_addr(log->segments, o->segment);
	end = start + o->used;
	used = e[nr - 1].data_block + e[nr - 1].blocks - VCI_UNIT_BLOCKS;
	begin = end - round_up(vci_batch_header_blocks(nr, w->batch_align) + used,
			       w->batch_align);
	begin = max(begin, start + log->segments->s[o->segment].settled);
	for (i = 0; i < nr; i++) {
		for (k = 0; k < e[i].blocks; k++) {
			int n = model_index(w, e[i].off + k);

			/* What is mapped elsewhere may be a user's write. */
			if (n >= 0 && !w->sectors[n].appended &&
			    mapped_to(w, e[i].off + k) - begin < end - begin)
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
	u32 i;

	/* After an error of the device it may have started empty. */
	if (w->cache_disk.errors)
		return;
	for (i = 0; i < w->nr_sectors && !stopped(w); i++) {
		const struct sector *s = &w->sectors[i];

		if (!s->appended || s->appended > w->durable_appends)
			continue;
		if (!find(w, s->off, 1).mapped && !stopped(w))
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

/* What was read around users' data, where they never wrote: nothing. */
static void check_unknown(struct world *w, const struct vci_extent *e)
{
	u32 i, version;

	for (i = 0; i < e->blocks; i++)
		if (model_index(w, e->off + i) < 0 &&
		    (e->flags & VCI_EXT_DIRTY ||
		     !model_version_of(sim_disk_peek(&w->cache_disk, e->addr + i),
				       e->off + i, &version) || version))
			violation(w, "foreign: sector %llu is cached, and was never written",
				  e->off + i);
}

static void use_extent(struct world *w, struct usage *u, const struct vci_extent *e)
{
	struct vci_segments *t = &w->cache->segments;
	u32 s = vci_segment_of(t, e->addr), i;
	u8 life = t->s[s].life;

	if (life != VCI_LIFE_CLOSED && life != VCI_LIFE_OPEN && life != VCI_LIFE_VICTIM)
		violation(w, "broken: extent %llu+%u in segment %u, whose life is %u",
			  e->off, e->blocks, s, life);
	check_unknown(w, e);
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
	w->backing_disk.fail_in = 0;
	w->backing_disk.broken = false;
	r = vci_verify(&p, &res);
	if (stopped(w))
		return;
	if (r)
		violation(w, "broken: vci_verify returned %d", r);
	else if (!res.clean && !(w->ordered && w->closed_dirty))
		violation(w, "broken: not clean after a clean close");
}
