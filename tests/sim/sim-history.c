// SPDX-License-Identifier: GPL-2.0-only
/*
 * One history: an image, and what becomes of it over many crashes.
 */
#include "sim-history.h"
#include "vci-cache-internal.h"
#include "vci-format.h"

#define ROUNDS		24u	/* crashes and closes of one image */
#define ROUNDS_MAX	400u	/* ... if there were fewer operations than: */
#define OPS_MIN		200u
/* As many as the smallest image has. */
#define NODES_MIN	16u
#define BRIEF_STEPS	30u
#define OPEN_TRIES	6u	/* crashes while it is being activated */

static const struct vci_cache_ops cache_ops = {
	.drain_readers = world_drain,
	.wait_log = world_wait_log,
	.log_free = world_log_free,
};

/* ---- a new world ---- */

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
	if (sim_percent(&w->rng, 50))
		h->nodes.blocks = VCI_NODE_BLOCKS * NODES_MIN;
	vci_header_seal(h, block);
	sim_disk_poke(&w->cache_disk, 0, block);
	sim_disk_poke(&w->cache_disk, vci_header_backup_addr(h->blocks), block);
}

static int format(struct world *w)
{
	struct vci_format_params p = {
		.layout = {
			.type = VCI_TYPE_FIXED,
			.segment_blocks = w->weights.small_segments ? 32 :
					  sim_percent(&w->rng, 60) ? 128 :
					  sim_percent(&w->rng, 50) ? 64 : 32,
			.batch_align = 1u << sim_below(&w->rng, 4),
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

static void world_init(struct world *w, const struct sim_options *o, u64 seed,
		       struct sim_table *table)
{
	u64 image, backing;
	u32 i;

	memset(w, 0, sizeof(*w));
	w->table = table;
	w->seed = seed;
	w->verbose = o->verbose;
	w->max_ops = o->ops;
	w->rng.state = seed;
	choose_weights(w);
	change_mode(w);
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
	w->buffer_blocks = VCI_UNIT_BLOCKS;
	w->batch_align = 1;
	for (i = 0; i < FILLS; i++)
		w->buffers[i] = calloc(VCI_BATCH_BLOCKS_MAX, VCI_BLOCK_SIZE);
	w->stream.buffer = calloc(VCI_BATCH_BLOCKS_MAX, VCI_BLOCK_SIZE);
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
	free(w->stream.buffer);
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
	w->moved += s.moved_blocks;
	w->stale += s.stale_fills;
	w->clones += tree.clones;
}

static void power_cut(struct world *w)
{
	enum sim_cut a = sim_below(&w->rng, SIM_CUTS);
	enum sim_cut b = sim_below(&w->rng, SIM_CUTS);

	trace(w, "power cut: cache %u, backing %u", a, b);
	sim_disk_power_cut(&w->cache_disk, a);
	sim_disk_power_cut(&w->backing_disk, b);
	check_promised_survived(w);
	w->host_only = false;
}

static void crash(struct world *w)
{
	/* What it had evicted but not yet forgotten durably is not expected. */
	if (w->cache) {
		stream_sync(w);
		expect_refresh(w);
		count_stats(w);
	}
	table_crash(w);
	w->power.dead = false;
	w->power.crash_at = 0;
	w->power.hook = NULL;
	world_forget_ops(w);
	vci_cache_destroy(w->cache);
	w->cache = NULL;
	w->closed = false;
	w->cache_disk.fail_in = 0;
	w->backing_disk.fail_in = 0;
	w->backing_disk.broken = false;
	w->crashes++;
	w->now.host_crash = false;
	if (sim_percent(&w->rng, 70)) {
		power_cut(w);
	} else {
		w->now.host_crash = w->cache_disk.nr_undo || w->backing_disk.nr_undo;
		trace(w, "host crash");
	}
	order_check(w);
}

/* What activation needs; @rng: for what it may not make up itself. */
static struct vci_open_params open_params(struct world *w, struct sim_rng *rng)
{
	struct vci_open_params p = {
		.cache_dev = &w->cache_disk.dev,
		.backing_dev = &w->backing_disk.dev,
		.backing_blocks = w->backing_disk.dev.blocks,
		.random = sim_rand(rng),
		.ordered = w->ordered,
		.direct = w->weights.direct,
		.volatile_cache = w->weights.flushes_names,
		.ops = &cache_ops,
		.ctx = w,
	};
	u32 i;

	for (i = 0; i < 16; i++)
		p.modification_uuid[i] = sim_rand(rng);
	return p;
}

static int open_cache(struct world *w)
{
	struct vci_open_params p = open_params(w, &w->rng);
	const char *why = "";
	struct vci_damage dmg;
	int r;

	r = vci_cache_open(&p, &w->cache, &w->report, &dmg, &why);
	if (r) {
		w->cache = NULL;
		trace(w, "open: %d, %s: %s", r, why, vci_damage_words(dmg.number));
		if (!stopped(w) && (r != -EIO || (!w->cache_disk.errors &&
						  !w->backing_disk.errors)))
			violation(w, "refused: %d, %s: %s", r, why,
				  vci_damage_words(dmg.number));
		return r;
	}
	w->opens++;
	if (w->report.log_damaged)
		violation(w, "refused: the log was taken for damaged");
	if (w->report.dropped_all && !w->cache_disk.errors && !w->backing_disk.errors)
		violation(w, "refused: the backing device was taken for another one");
	trace(w, "open: clean %d, %u batches, %u torn, %u marked, dirty %d",
	      w->report.was_clean, w->report.batches, w->report.torn,
	      w->report.regions_marked, w->report.dirty);
	if (w->ordered)
		trace(w, "in order: from batch %llu on, drain %llu", w->cache->ordered_seq,
		      w->cache->ordered_drain);
	if (w->weights.names && w->weights.direct)
		w->cache->direct.names = w->weights.names;
	w->buffer_blocks = vci_cache_batch_blocks(w->cache);
	w->batch_align = vci_cache_batch_align(w->cache);
	/* So little that a few leaves are too many: not what users may ask for. */
	if (w->weights.memory)
		w->cache->mem_limit = vci_memory_fixed(w->cache) + w->weights.memory;
	world_forget_ops(w);
	table_opened(w, w->report.was_clean);
	return 0;
}

/* The cache is open, nothing is in flight: all is decided. */
static void check_all(struct world *w)
{
	w->cache_disk.fail_in = 0;
	w->backing_disk.fail_in = 0;
	if (vci_cache_is_failed(w->cache)) {
		if (!w->cache_disk.errors && !w->backing_disk.errors)
			violation(w, "broken: the cache has failed");
		if (!vci_cache_is_stuck(w->cache))
			check_detached(w);
		return;
	}
	check_expected(w);
	check_rest(w);
	if (!stopped(w) && !vci_cache_dirty_blocks(w->cache))
		check_detached(w);
	if (!stopped(w) && vci_cache_dirty_blocks(w->cache) &&
	    !(vci_cache_header(w->cache)->flags & VCI_HDR_DIRTY))
		violation(w, "attached: something is dirty, and the image denies it");
	if (sim_percent(&w->rng, 12))
		check_deep(w);
}

/*
 * What a second activation of copies finds is what the first will find, when
 * its log is replayed bit by bit.
 */
static void look_at_copy(struct world *w)
{
	static struct sim_rng rng = { .state = 1 };
	struct sim_power power = { .rng = &rng };
	struct vci_open_params p = open_params(w, &rng);
	struct vci_open_report report;
	struct sim_disk cache, backing;
	const char *why = "";
	struct vci_damage dmg;
	struct view v = { .cache_disk = &cache, .backing_disk = &backing };

	sim_disk_init(&cache, &power, w->cache_disk.dev.blocks, "copy");
	sim_disk_init(&backing, &power, w->backing_disk.dev.blocks, "backing copy");
	sim_disk_copy(&cache, &w->cache_disk);
	sim_disk_copy(&backing, &w->backing_disk);
	p.cache_dev = &cache.dev;
	p.backing_dev = &backing.dev;
	if (vci_cache_open(&p, &v.cache, &report, &dmg, &why))
		violation(w, "refused: a second activation: %s", why);
	else
		check_recovered(w, v);
	vci_cache_destroy(v.cache);
	sim_disk_destroy(&cache);
	sim_disk_destroy(&backing);
}

/* From now on the model knows what the volume holds. */
static void look(struct world *w)
{
	struct view v = {
		.cache = w->cache,
		.cache_disk = &w->cache_disk,
		.backing_disk = &w->backing_disk,
	};

	if (sim_percent(&w->rng, 30) && !w->cache_disk.errors && !w->backing_disk.errors) {
		w->view = v;
		look_at_copy(w);
		return;
	}
	check_recovered(w, v);
	check_all(w);
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

static void run_ops(struct world *w)
{
	u32 i, n = sim_range(&w->rng, w->max_ops / 10 + 1, w->max_ops);

	n *= w->weights.patience;
	if (sim_percent(&w->rng, w->weights.brief))
		n = sim_range(&w->rng, 1, BRIEF_STEPS);
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
	writer_work(w);
	w->power.hook = NULL;
}

static void closed(struct world *w)
{
	w->closes++;
	w->power.crash_at = 0;
	expect_refresh(w);
	count_stats(w);
	w->closed_dirty = vci_cache_dirty_blocks(w->cache);
	vci_cache_destroy(w->cache);
	w->cache = NULL;
	w->closed = true;
	w->now.suspended = true;
	model_at_rest(w);
	if (sim_percent(&w->rng, 25))
		check_image(w);
}

static void close_cache(struct world *w)
{
	int r;

	if (!world_finish_ops(w))
		return;
	if (sim_percent(&w->rng, 50))
		check_all(w);
	if (stopped(w))
		return;
	w->now.suspended = true;
	r = vci_cache_close(w->cache);
	trace(w, "close: %d", r);
	if (!stopped(w) && !unexpected(w, "vci_cache_close", r) && !r)
		closed(w);
}

static void plan_errors(struct world *w)
{
	if (sim_percent(&w->rng, w->weights.errors)) {
		if (sim_percent(&w->rng, 50))
			w->cache_disk.fail_in = sim_range(&w->rng, 1, 60);
		else
			w->stream.fail_in = sim_range(&w->rng, 1, 12);
		w->cache_disk.fail_for_good = sim_below(&w->rng, 2);
	}
	if (sim_percent(&w->rng, w->weights.backing_errors)) {
		w->backing_disk.fail_in = sim_range(&w->rng, 1, 60);
		w->backing_disk.fail_for_good = sim_percent(&w->rng, 30);
	}
}

/* With nothing dirty, what is to be followed can be followed. */
static void begin_in_order(struct world *w)
{
	if (!w->ordered)
		return;
	if (sim_percent(&w->rng, 50))
		quiet_message(w);
	if (!w->violation[0])
		order_begin(w);
}

static void round_of(struct world *w)
{
	bool late;

	if (!open_somehow(w))
		return;
	look(w);
	if (w->violation[0])
		return;
	expect_all(w);
	begin_in_order(w);
	if (w->violation[0])
		return;
	plan_errors(w);
	late = sim_percent(&w->rng, w->weights.late);
	w->power.crash_at = late ? 0 : w->power.io +
		sim_range(&w->rng, 1, w->max_ops * w->weights.patience);
	run_ops(w);
	if (!stopped(w) && late)
		crash_in_work(w);
	else if (!stopped(w) && sim_percent(&w->rng, 30))
		close_cache(w);
	else if (!stopped(w) && sim_percent(&w->rng, 60))
		crash_in_work(w);
	if (w->cache && !w->violation[0])
		w->power.dead = true;
	if (w->power.dead && !w->violation[0])
		crash(w);
}

/* A device that takes no more writes: what was dirty is lost with it. */
static void replace_cache_device(struct world *w)
{
	u64 blocks = w->cache_disk.dev.blocks;

	trace(w, "a new cache device");
	w->power.crash_at = 0;
	sim_disk_destroy(&w->cache_disk);
	sim_disk_init(&w->cache_disk, &w->power, blocks, "cache");
	w->cache_disk.settled = cache_settled;
	w->cache_disk.ctx = w;
	/* The power is cycled: what was on its way to the backing device is. */
	sim_disk_power_cut(&w->backing_disk, SIM_CUT_KEEP_ALL);
	model_rebase(w);
	w->closed = false;
	w->host_only = false;
	if (format(w))
		violation(w, "broken: vci_format()");
}

static void add_counters(struct sim_result *res, const struct world *w)
{
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
	res->moved += w->moved;
	res->stale += w->stale;
	res->full_appends += w->full_appends;
	res->clones += w->clones;
	res->writes_logged += w->writes_logged;
	res->writes_direct += w->writes_direct;
	res->writes_placed += w->writes_placed;
	res->dead_places += w->dead_places;
	res->fill_reads += w->fill_reads;
	res->around += w->around;
	res->dirty_hits += w->dirty_hits;
	res->met_dirty += w->met_dirty;
	res->past_log += w->past_log;
	res->written_back += w->written_back;
	res->messages += w->messages;
	res->failed_ops += w->failed_ops;
	res->wedged += w->wedged;
	if (!res->histories || w->ops_done < res->min_ops)
		res->min_ops = w->ops_done;
}

/* One image, over as many crashes as it takes. */
void sim_history(struct sim_result *res, const struct sim_options *o, u64 seed)
{
	u32 i, rounds = o->rounds ? o->rounds : ROUNDS_MAX;
	static struct world *w;

	if (!w)
		w = malloc(sizeof(*w));
	assert(w);
	world_init(w, o, seed, &res->table);
	for (i = 0; i < rounds && !w->violation[0]; i++) {
		if (i >= ROUNDS && w->ops_done >= OPS_MIN)
			break;
		round_of(w);
		if (w->cache_disk.broken && !w->violation[0])
			replace_cache_device(w);
	}
	res->rounds = i;
	add_counters(res, w);
	res->failed = w->violation[0];
	snprintf(res->violation, sizeof(res->violation), "%s", w->violation);
	world_exit(w);
}
