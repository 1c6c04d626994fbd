// SPDX-License-Identifier: GPL-2.0-only
/*
 * One workload, and the power cuts in it: activates what is left, verifies, goes
 * on writing, writes back, detaches, verifies the backing device alone, and cuts
 * the power in all that again.
 */
#include <unistd.h>

#include "power.h"

#define MAX_IN_A_ROW	4u	/* power cuts */
#define MAX_SWITCHES	20u	/* changes of mode */

/* ---- the workload ---- */

static void some_delays(struct power *p, struct sim_rng *rng)
{
	static const u32 delays[] = { 0, 0, 200, 1000, 4000 };

	pair_set_delay(p->pair, CACHE, delays[sim_below(rng, 5)]);
	pair_set_delay(p->pair, BACKING, delays[sim_below(rng, 5)]);
}

static void no_delays(struct power *p)
{
	pair_set_delay(p->pair, CACHE, 0);
	pair_set_delay(p->pair, BACKING, 0);
}

static void invalidate_some(struct sim_rng *rng)
{
	char text[64];

	snprintf(text, sizeof(text), "invalidate %llu %u",
		 sector_at(sim_below(rng, NR_SECTORS - SPOT_SECTORS)),
		 sim_range(rng, 1, SPOT_SECTORS));
	target_message(text);
}

static void rest(struct power *p, struct sim_rng *rng)
{
	load_pause(p->load);
	usleep(sim_below(rng, 1500000));
	load_continue(p->load);
}

/* One who can't make up their mind, if the test is about that. */
static void change_modes(struct power *p, struct sim_rng *rng)
{
	u32 i, n = sim_range(rng, 1, MAX_SWITCHES);

	for (i = 0; i < n; i++) {
		target_change_mode(p, rng);
		usleep(sim_below(rng, 10000));
	}
}

/* What an administrator does while the load goes on. */
static void meddle(void *ctx, struct sim_rng *rng)
{
	struct power *p = ctx;

	some_delays(p, rng);
	if (!strcmp(p->o.mode, "mixed"))
		change_modes(p, rng);
	switch (sim_below(rng, 10)) {
	case 0:
		target_message("checkpoint");
		break;
	case 1:
		invalidate_some(rng);
		break;
	case 2:
		target_suspend_resume();
		break;
	case 3:
		if (target_writes_back(p))
			target_message("flush");
		break;
	case 4:
		rest(p, rng);
		break;
	default:
		break;
	}
}

static void run_load(struct power *p, struct history *h, u32 ops, bool meddling)
{
	struct load load = {
		.fd = p->fd,
		.history = h,
		.threads = sim_range(&p->rng, 2, 12),
		.ops = ops,
		.read_percent = sim_percent(&p->rng, 70) ? 30 : 60,
		.seed = sim_rand(&p->rng),
		.meddle = meddling ? meddle : NULL,
		.ctx = p,
	};

	p->load = &load;
	some_delays(p, &p->rng);
	p->violations += load_run(&load);
	no_delays(p);
	p->load = NULL;
}

/* ---- a life after a power cut ---- */

static void flush_all(struct power *p, const struct life *l, const u32 *seen)
{
	int r;

	if (fdatasync(p->fd))
		die("fdatasync: %s", strerror(errno));
	r = target_message("flush");
	if (!r)
		check_written_back(p, l, seen);
	else if (violated(p, l))
		printf("# VIOLATION: message \"flush\": %s\n", strerror(-r));
}

/* What was read after the recovery must stay: a history begins with it. */
static struct history *history_from(const u32 *seen)
{
	u32 *base = versions_new();

	memcpy(base, seen, NR_SECTORS * sizeof(*base));
	return history_new(base);
}

static void write_more(struct power *p, const struct life *l, struct history *h, u32 *seen)
{
	struct past now = { .history = h };

	run_load(p, h, sim_range(&p->rng, 20, 150), false);
	now.since = tick();
	read_all_spots(p, seen);
	check_legal(p, l, &now, seen, "after more writes");
	p->loaded++;
}

static void check_image(struct power *p, const struct life *l)
{
	p->checked++;
	if (!target_image_is_valid(p) && violated(p, l))
		printf("# VIOLATION: vci-check finds the closed image damaged\n");
}

/* The target is active.  Returns the history since. */
static struct history *use(struct power *p, struct life *l, const struct past *past)
{
	u32 *seen = versions_new(), *again = versions_new();
	struct history *h;

	read_all_spots(p, seen);
	check_legal(p, l, past, seen, "after recovery");
	h = history_from(seen);
	if (sim_percent(&p->rng, 40))
		write_more(p, l, h, seen);
	flush_all(p, l, seen);
	if (sim_percent(&p->rng, 30)) {
		read_all_spots(p, again);
		check_same(p, l, seen, again, "read once more");
	}
	target_detach(p);
	versions_on(l->now[BACKING], again);
	check_same(p, l, seen, again, "the backing device alone, detached");
	free(seen);
	free(again);
	return h;
}

/* NULL: it cannot be activated. */
static struct history *live(struct power *p, struct life *l, const struct past *past)
{
	struct history *h = NULL;
	int r;

	r = target_activate(p);
	l->active = tick();
	if (!r)
		h = use(p, l, past);
	else if (violated(p, l))
		printf("# VIOLATION: activation fails: %s\n", strerror(-r));
	l->ended = tick();
	if (h && sim_percent(&p->rng, 5))
		check_image(p, l);
	return h;
}

/* ---- power cuts ---- */

/* Power is lost at @cut of @l: the next life. */
static struct life *cut_power(struct power *p, struct life *l, u64 cut)
{
	const u8 **sectors[DISKS];
	struct life *next;

	l->cut = cut;
	p->survival = sim_below(&p->rng, SURVIVALS);
	survivors(l, cut, p->survival, &p->o.faults, &p->rng, sectors);
	next = life_new(sectors, l);
	pair_set_life(p->pair, next);
	p->cuts++;
	p->later_cuts += l->before != NULL;
	return next;
}

/*
 * Cuts a life, lives the next one, and cuts that again, maybe.  @h: what was
 * done in @l since it was active; @past: what counts until then.
 */
static void cut_and_live(struct power *p, struct life *l, const struct history *h,
			 struct past past, u32 row)
{
	u32 violations = p->violations;
	u64 to = row > 1 && sim_percent(&p->rng, 60) ? l->active + 1 : l->ended;
	u64 cut = choose_cut(l, l->began, to, &p->rng);
	struct life *next = cut_power(p, l, cut);
	struct history *since;

	if (row == 1 || cut > l->active)
		past = (struct past) { .history = h, .cut = cut };
	since = live(p, next, &past);
	if (violations != p->violations)
		printf("#   that was cut %u, at %llu, number %u in a row, kept: %s\n", p->cuts,
		       cut, row, survival_names[p->survival]);
	if (since && row < MAX_IN_A_ROW && sim_percent(&p->rng, 50))
		cut_and_live(p, next, since, past, row + 1);
	pair_set_life(p->pair, l);
	life_free(next);
	if (since)
		history_free(since);
}

/* ---- the first life ---- */

/* The backing device begins with one version of everything in the spots. */
static struct life *first_life(struct history **h)
{
	const u8 **base[DISKS] = { sectors_new(CACHE), sectors_new(BACKING) };
	struct life *l = life_new(base, NULL);
	u32 *versions = versions_new();
	u32 i;

	for (i = 0; i < NR_SECTORS; i++) {
		u64 sector = sector_at(i);
		u8 *data = life_alloc(l, SECTOR_SIZE);

		fill_sector(data, sector, VERSION_FIRST);
		l->base[BACKING][sector] = data;
		l->now[BACKING][sector] = data;
		versions[i] = VERSION_FIRST;
	}
	*h = history_new(versions);
	return l;
}

static void serve(struct power *p, struct life *l)
{
	if (p->pair) {
		pair_set_life(p->pair, l);
		life_free(p->first);
	} else {
		p->pair = pair_start(l, &p->o.faults, sim_rand(&p->rng));
	}
	p->first = l;
}

static void print_life(const struct life *l, const struct history *h)
{
	size_t i, n[5] = {}, fua = 0;

	for (i = 0; i < l->nr_requests; i++) {
		n[l->requests[i]->op]++;
		fua += l->requests[i]->fua;
	}
	printf("# workload: %llu reads, %llu writes, %llu discards, %llu flushes\n",
	       h->nr_ops[OP_READ], h->nr_ops[OP_WRITE], h->nr_ops[OP_DISCARD],
	       h->nr_ops[OP_FLUSH]);
	printf("# disks: %zu reads, %zu writes, %zu of them FUA, %zu flushes, %zu discards\n",
	       n[0], n[1], fua, n[3], n[4]);
}

/* The target is closed without a flush: the power may be cut there, too. */
static void close_first_life(struct power *p, struct life *l, const struct history *h)
{
	struct past now = { .history = h, .since = tick() };
	u32 *seen = versions_new(), *backing = versions_new();

	read_all_spots(p, seen);
	check_legal(p, l, &now, seen, "after the workload");
	target_print_stats();
	target_detach(p);
	l->ended = tick();
	versions_on(l->now[BACKING], backing);
	if (!target_writes_back(p))
		check_same(p, l, seen, backing, "the backing device alone, detached");
	/* In order, what is dirty leaves a checkpoint, not a plain image. */
	if (!target_is_ordered(p))
		check_image(p, l);
	free(seen);
	free(backing);
}

/* Some runs close the image and open it again between parts of the workload. */
static void load_first_life(struct power *p, struct life *l, struct history *h)
{
	u32 parts = sim_range(&p->rng, 1, 3), part;

	l->began = tick();
	for (part = 0; part < parts; part++) {
		if (part)
			target_detach(p);
		if (target_activate(p))
			die("the target can't be activated, without any power cut");
		run_load(p, h, p->o.ops / parts, true);
	}
	close_first_life(p, l, h);
	print_life(l, h);
}

void run(struct power *p, u32 cuts)
{
	u32 end = p->cuts + cuts;
	struct history *h;
	struct life *l;

	spots_init(&p->rng);
	l = first_life(&h);
	serve(p, l);
	target_format(p);
	load_first_life(p, l, h);
	while (p->cuts < end && p->violations < MAX_TOLD) {
		cut_and_live(p, l, h, (struct past) {}, 1);
		if (!target_writes_back(p) || target_is_ordered(p))
			check_backing_alone(p, l, h);
	}
	printf("# %u cuts, %u of them in a life after one\n", p->cuts, p->later_cuts);
	history_free(h);
}
