// SPDX-License-Identifier: GPL-2.0-only
/*
 * One history: an image, and what becomes of it over many crashes.
 */
#include "sim-history.h"
#include "vci-cache-internal.h"
#include "vci-format.h"

#define ROUNDS		24u	/* crashes and closes of one image */
#define OPEN_TRIES	6u	/* crashes while it is being activated */

static const struct vci_cache_ops cache_ops = {
	.drain_readers = world_drain,
};

/* ---- a new world ---- */

/* Fills all the time, so that segments come round; or many small extents. */
static void choose_busy(struct sim_rng *r, struct weights *wt)
{
	bool small = sim_percent(r, 30);

	wt->read = sim_range(r, 30, 80);
	wt->write = sim_range(r, 1, small ? 6 : 40);
	wt->writer = sim_range(r, 10, 30);
	wt->append = sim_range(r, 40, 80);
	wt->maintain = sim_range(r, 5, 20);
	wt->fill_writes = sim_range(r, 60, 100);
	wt->op_blocks = small ? sim_range(r, 1, 3) : sim_range(r, 32, 128);
	wt->patience = small ? 8 : 4;
}

/* Kinds of histories: what there is much of. */
static void choose_weights(struct world *w)
{
	struct sim_rng *r = &w->rng;
	struct weights *wt = &w->weights;
	static const u32 longest[] = { 1, 8, 16, 64, 128 };

	wt->read = sim_range(r, 0, 60);
	wt->write = sim_range(r, 1, 50);
	wt->discard = sim_percent(r, 50) ? 0 : sim_range(r, 1, 8);
	wt->flush = sim_range(r, 0, 8);
	wt->writer = sim_range(r, 5, 40);
	wt->append = sim_range(r, 20, 80);
	wt->maintain = sim_percent(r, 30) ? 0 : sim_range(r, 1, 15);
	wt->idle = sim_percent(r, 50) ? 0 : sim_range(r, 1, 10);
	wt->checkpoint = sim_percent(r, 40) ? 0 : sim_range(r, 1, 10);
	wt->invalidate = sim_percent(r, 80) ? 0 : sim_range(r, 1, 5);
	wt->settle = sim_percent(r, 60) ? 0 : sim_range(r, 1, 8);
	wt->shrink = sim_percent(r, 70) ? 0 : sim_range(r, 1, 6);
	wt->advance = sim_range(r, 50, 90);
	wt->hook = sim_percent(r, 30) ? 0 : sim_range(r, 1, 40);
	wt->op_blocks = longest[sim_below(r, ARRAY_SIZE(longest))];
	wt->fua = sim_range(r, 0, 30);
	wt->fill_writes = sim_percent(r, 25) ? 0 : sim_range(r, 20, 100);
	wt->hot = sim_range(r, 0, 90);
	wt->no_spare_memory = sim_percent(r, 30);
	wt->no_memory = sim_percent(r, 70) ? 0 : sim_range(r, 1, 40);
	wt->errors = sim_percent(r, 85) ? 0 : sim_range(r, 1, 40);
	wt->patience = 1;
	if (sim_percent(r, 30))
		choose_busy(r, wt);
	if (sim_percent(r, 10))
		wt->discard = sim_range(r, 20, 60);
	if (sim_percent(r, 15)) {
		/* A log as long as it gets. */
		wt->maintain = 0;
		wt->checkpoint = 0;
		wt->idle = 0;
		wt->settle = sim_range(r, 0, 4);
	}
}

/* Where trouble is likely: ends, edges of regions, tickets and windows. */
static u64 spot_place(struct world *w, u64 blocks, u32 len)
{
	struct sim_rng *r = &w->rng;
	u64 last = blocks - len, at;

	switch (sim_below(r, 5)) {
	case 0:
		return 0;
	case 1:
		return last;
	case 2:
		at = (sim_rand(r) % blocks) & ~255ull;
		break;
	case 3:
		at = (sim_rand(r) % blocks) & ~(VCI_WINDOW_BLOCKS - 1);
		break;
	default:
		return sim_rand(r) % (last + 1);
	}
	at = at > len / 2 ? at - len / 2 : 0;
	return min(at, last);
}

static bool overlaps(const struct world *w, u64 off, u32 len)
{
	u32 i;

	for (i = 0; i < w->nr_spots; i++)
		if (off < w->spots[i].off + w->spots[i].blocks + 8 &&
		    w->spots[i].off < off + len + 8)
			return true;
	return false;
}

static void choose_spots(struct world *w, u64 blocks)
{
	u32 want = sim_range(&w->rng, 1, SPOTS_MAX), tries;

	w->nr_spots = 0;
	for (tries = 0; tries < 20 && w->nr_spots < want; tries++) {
		u32 len = sim_range(&w->rng, 16, SPOT_SECTORS);
		u64 off = spot_place(w, blocks, len);

		if (overlaps(w, off, len))
			continue;
		w->spots[w->nr_spots++] = (struct spot) { .off = off, .blocks = len };
	}
}

static u64 choose_backing(struct world *w)
{
	if (sim_percent(&w->rng, 20))
		return (1ull << sim_range(&w->rng, 31, 36)) + sim_below(&w->rng, 100000);
	return (u64)sim_range(&w->rng, 4, 64) * 2048 + sim_below(&w->rng, 200);
}

/*
 * Fewer segments, so that they come round soon, and fewer nodes.  What was cut
 * off is unused by its place: the tail of an image may have any size.
 */
static void shrink_image(struct world *w, struct vci_header *h)
{
	static u8 block[VCI_BLOCK_SIZE];

	h->nr_segments = min(h->nr_segments, sim_range(&w->rng, 10, 24));
	if (sim_percent(&w->rng, 40))
		h->nodes.blocks = VCI_NODE_BLOCKS * sim_range(&w->rng, 3, 16);
	vci_header_seal(h, block);
	sim_disk_poke(&w->cache_disk, 0, block);
	sim_disk_poke(&w->cache_disk, vci_header_backup_addr(h->blocks), block);
}

static int format(struct world *w)
{
	struct vci_format_params p = {
		.layout = {
			.type = VCI_TYPE_FIXED,
			.segment_blocks = sim_percent(&w->rng, 60) ? 128 :
					  sim_percent(&w->rng, 50) ? 64 : 32,
		},
		.label = "sim",
	};
	struct vci_header h;
	u32 i;
	int r;

	for (i = 0; i < 16; i++)
		p.uuid[i] = sim_rand(&w->rng);
	r = vci_format(&w->cache_disk.dev, &p, &h);
	if (!r && sim_percent(&w->rng, 85))
		shrink_image(w, &h);
	return r;
}

static void cache_settled(void *ctx)
{
	struct world *w = ctx;

	if (w->cache)
		w->durable_appends = w->appends;
}

/* Before an activation nobody has seen what a crash left. */
static void backing_settled(void *ctx)
{
	struct world *w = ctx;

	if (!w->cache)
		model_after_crash(w);
	model_flushed(w);
}

static void world_init(struct world *w, const struct sim_options *o, u64 seed)
{
	u64 image, backing;
	u32 i;

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->verbose = o->verbose;
	w->max_ops = o->ops;
	w->rng.state = seed;
	choose_weights(w);
	image = sim_percent(&w->rng, 85) ? 4096 : 4096ull * sim_range(&w->rng, 2, 8);
	backing = choose_backing(w);
	sim_disk_init(&w->cache_disk, &w->power, image, "cache");
	sim_disk_init(&w->backing_disk, &w->power, backing, "backing");
	w->power.rng = &w->rng;
	w->power.ctx = w;
	choose_spots(w, backing);
	model_init(w);
	w->cache_disk.settled = cache_settled;
	w->cache_disk.ctx = w;
	w->backing_disk.settled = backing_settled;
	w->backing_disk.ctx = w;
	w->buffer_blocks = VCI_UNIT_BLOCKS;
	for (i = 0; i < FILLS; i++)
		w->buffers[i] = calloc(VCI_BATCH_BLOCKS_MAX, VCI_BLOCK_SIZE);
	world_forget_ops(w);
	if (format(w))
		violation(w, "broken: vci_format()");
	trace(w, "image %llu blocks, backing device %llu", image, backing);
	for (i = 0; i < w->nr_spots; i++)
		trace(w, "spot %llu+%u", w->spots[i].off, w->spots[i].blocks);
}

static void world_exit(struct world *w)
{
	u32 i;

	vci_cache_destroy(w->cache);
	for (i = 0; i < FILLS; i++)
		free(w->buffers[i]);
	model_free(w);
	sim_disk_destroy(&w->cache_disk);
	sim_disk_destroy(&w->backing_disk);
}

/* ---- crashes ---- */

static void count_stats(struct world *w)
{
	struct vci_btree_stats tree;
	struct vci_cache_stats s;

	vci_cache_get_stats(w->cache, &s);
	vci_btree_get_stats(w->cache->tree, &tree);
	w->batches += s.batches;
	w->checkpoints += s.checkpoints;
	w->evicted += s.evicted_blocks;
	w->stale += s.stale_fills;
	w->clones += tree.clones;
}

static void crash(struct world *w)
{
	bool power = sim_percent(&w->rng, 70);

	/* What it had evicted but not yet forgotten durably is not expected. */
	if (w->cache) {
		expect_refresh(w);
		count_stats(w);
	}
	w->power.dead = false;
	w->power.crash_at = 0;
	w->power.hook = NULL;
	world_forget_ops(w);
	vci_cache_destroy(w->cache);
	w->cache = NULL;
	w->crashes++;
	if (power) {
		enum sim_cut a = sim_below(&w->rng, SIM_CUTS);
		enum sim_cut b = sim_below(&w->rng, SIM_CUTS);

		trace(w, "power cut: cache %u, backing %u", a, b);
		sim_disk_power_cut(&w->cache_disk, a);
		sim_disk_power_cut(&w->backing_disk, b);
		model_after_crash(w);
	} else {
		trace(w, "host crash");
	}
}

static int open_cache(struct world *w)
{
	struct vci_open_params p = {
		.cache_dev = &w->cache_disk.dev,
		.backing_dev = &w->backing_disk.dev,
		.backing_blocks = w->backing_disk.dev.blocks,
		.random = sim_rand(&w->rng),
		.ops = &cache_ops,
		.ctx = w,
	};
	const char *why = "";
	struct vci_damage dmg;
	u32 i;
	int r;

	for (i = 0; i < 16; i++)
		p.modification_uuid[i] = sim_rand(&w->rng);
	r = vci_cache_open(&p, &w->cache, &w->report, &dmg, &why);
	if (r) {
		w->cache = NULL;
		if (!stopped(w) && !w->cache_disk.errors)
			violation(w, "refused: %d, %s: %s", r, why,
				  vci_damage_words(dmg.number));
		return r;
	}
	w->opens++;
	if (w->report.log_damaged)
		violation(w, "refused: the log was taken for damaged");
	if (w->report.dropped_all && !w->cache_disk.errors)
		violation(w, "refused: the backing device was taken for another one");
	trace(w, "open: clean %d, %u batches, %u torn, %u marked",
	      w->report.was_clean, w->report.batches, w->report.torn,
	      w->report.regions_marked);
	w->buffer_blocks = vci_cache_batch_blocks(w->cache);
	world_forget_ops(w);
	return 0;
}

/* Opens the image, however often that is interrupted. */
static bool open_somehow(struct world *w)
{
	u32 i;

	for (i = 0; !w->violation[0] && !w->cache_disk.broken; i++) {
		if (i < OPEN_TRIES && sim_percent(&w->rng, 20))
			w->power.crash_at = w->power.io + sim_range(&w->rng, 1, 120);
		expect_unmarked(w);
		if (!open_cache(w)) {
			w->power.crash_at = 0;
			return !w->violation[0];
		}
		if (w->power.dead)
			crash(w);
	}
	return false;
}

/* The cache is open, nothing is in flight: all reads are decided. */
static void check_all(struct world *w)
{
	w->cache_disk.fail_in = 0;
	if (vci_cache_is_failed(w->cache)) {
		if (!w->cache_disk.errors)
			violation(w, "broken: the cache has failed");
		return;
	}
	check_expected(w);
	check_rest(w);
	if (sim_percent(&w->rng, 12))
		check_deep(w);
}

static void run_ops(struct world *w)
{
	u32 i, n = sim_range(&w->rng, w->max_ops / 10 + 1, w->max_ops);

	n *= w->weights.patience;

	w->power.hook = world_hook;
	/* Nodes are then written one by one: more happens between two. */
	vci_alloc_fail_optional = w->weights.no_spare_memory;
	for (i = 0; i < n && !stopped(w); i++)
		world_step(w);
	w->power.hook = NULL;
}

/* The last thing before the crash is often the writer's work. */
static void crash_in_work(struct world *w)
{
	w->power.crash_at = w->power.io + sim_range(&w->rng, 1, 60);
	w->power.hook = world_hook;
	w->in_writer = true;
	if (sim_below(&w->rng, 2))
		(void)!vci_cache_checkpoint(w->cache);
	else
		(void)!vci_cache_maintain(w->cache, true);
	w->in_writer = false;
	w->power.hook = NULL;
}

static void close_cache(struct world *w)
{
	int r;

	world_finish_ops(w);
	if (!stopped(w) && sim_percent(&w->rng, 50))
		check_all(w);
	if (stopped(w))
		return;
	r = vci_cache_close(w->cache);
	trace(w, "close: %d", r);
	if (stopped(w))
		return;
	if (r && w->cache_disk.errors)
		return;
	if (r) {
		violation(w, "broken: vci_cache_close returned %d", r);
		return;
	}
	w->closes++;
	w->power.crash_at = 0;
	expect_refresh(w);
	count_stats(w);
	vci_cache_destroy(w->cache);
	w->cache = NULL;
	model_at_rest(w);
	if (sim_percent(&w->rng, 25))
		check_image(w);
}

static void round_of(struct world *w)
{
	if (!open_somehow(w))
		return;
	model_after_crash(w);
	model_flushed(w);
	/* To look everywhere is to replay everything: not always at once. */
	if (sim_percent(&w->rng, 60))
		check_all(w);
	if (w->violation[0])
		return;
	expect_all(w);
	if (sim_percent(&w->rng, w->weights.errors)) {
		w->cache_disk.fail_in = sim_range(&w->rng, 1, 60);
		w->cache_disk.fail_for_good = sim_below(&w->rng, 2);
	}
	w->power.crash_at = w->power.io +
		sim_range(&w->rng, 1, w->max_ops * w->weights.patience);
	run_ops(w);
	if (!stopped(w) && sim_percent(&w->rng, 30))
		close_cache(w);
	else if (!stopped(w) && sim_percent(&w->rng, 60))
		crash_in_work(w);
	if (w->cache && !w->violation[0])
		w->power.dead = true;
	if (w->power.dead && !w->violation[0])
		crash(w);
}

void sim_history(struct sim_result *res, const struct sim_options *o, u64 seed)
{
	static struct world *w;
	u32 i;

	if (!w)
		w = malloc(sizeof(*w));
	assert(w);
	world_init(w, o, seed);
	/* A device that takes no more writes is replaced. */
	for (i = 0; i < ROUNDS && !w->violation[0] && !w->cache_disk.broken; i++)
		round_of(w);
	res->crashes += w->crashes;
	res->opens += w->opens;
	res->closes += w->closes;
	res->ops += w->ops_done;
	res->verified += w->verified;
	res->hits += w->hits;
	res->misses += w->misses;
	res->io += w->power.io;
	res->batches += w->batches;
	res->checkpoints += w->checkpoints;
	res->evicted += w->evicted;
	res->stale += w->stale;
	res->full_appends += w->full_appends;
	res->clones += w->clones;
	res->failed = w->violation[0];
	snprintf(res->violation, sizeof(res->violation), "%s", w->violation);
	world_exit(w);
}
