// SPDX-License-Identifier: GPL-2.0-only
/*
 * Power is lost: what the disks hold when it comes back.  See record.h.
 */
#include <linux/nbd.h>

#include "record.h"

const char *const survival_names[SURVIVALS] = {
	"none", "all", "sectors", "few", "writes", "torn", "ordered", "all but one",
	"one", "cache device's", "backing device's",
};

/* What is common to all decisions of one cut. */
struct cut {
	u64 at;
	u64 flushed[DISKS];	/* answered before this tick: durable */
	enum survival survival;
	const struct faults *faults;
	struct sim_rng *rng;
	size_t chosen;		/* among what isn't durable */
};

static void find_flushed(const struct life *l, struct cut *c)
{
	size_t i;

	for (i = 0; i < l->nr_requests; i++) {
		const struct request *r = l->requests[i];

		if (r->op == NBD_CMD_FLUSH && r->answered && r->answered <= c->at &&
		    !c->faults->no_flush[r->disk] && r->received > c->flushed[r->disk])
			c->flushed[r->disk] = r->received;
	}
}

static bool is_durable(const struct cut *c, const struct request *r)
{
	if (!r->answered || r->answered > c->at)
		return false;
	return r->answered < c->flushed[r->disk] ||
	       (r->fua && !c->faults->no_fua[r->disk]) ||
	       (c->faults->write_through[r->disk] && !c->faults->no_through[r->disk]);
}

/* How many of its sectors, from the first, may survive; number @n of its kind. */
static u32 survive_prefix(struct cut *c, const struct request *r, size_t n)
{
	switch (c->survival) {
	case KEEP_NONE:
		return 0;
	case KEEP_WRITES:
		return sim_percent(c->rng, 50) ? r->sectors : 0;
	case KEEP_TORN:
		return sim_below(c->rng, r->sectors + 1);
	case KEEP_ORDERED:
		if (n == c->chosen)
			return sim_below(c->rng, r->sectors + 1);
		return n < c->chosen ? r->sectors : 0;
	case KEEP_BUT_ONE:
		return n == c->chosen ? 0 : r->sectors;
	case KEEP_ONE:
		return n == c->chosen ? r->sectors : 0;
	case KEEP_CACHE:
		return r->disk == CACHE ? r->sectors : 0;
	case KEEP_BACKING:
		return r->disk == BACKING ? r->sectors : 0;
	default:
		return r->sectors;
	}
}

static bool survives_alone(struct cut *c)
{
	if (c->survival == KEEP_SECTORS)
		return sim_percent(c->rng, 50);
	if (c->survival == KEEP_FEW)
		return !sim_below(c->rng, 8);
	return true;
}

static void apply(struct cut *c, const struct request *r, u32 prefix, bool durable,
		  const u8 **sectors)
{
	u32 i;

	for (i = 0; i < prefix; i++)
		if (durable || survives_alone(c))
			sectors[r->sector + i] =
				r->data ? r->data + (size_t)i * SECTOR_SIZE : NULL;
}

static size_t count_volatile(const struct life *l, const struct cut *c)
{
	size_t i, n = 0;

	for (i = 0; i < l->nr_changes; i++)
		n += l->changes[i]->received <= c->at && !is_durable(c, l->changes[i]);
	return n;
}

void survivors(const struct life *l, u64 cut, enum survival survival,
	       const struct faults *faults, struct sim_rng *rng,
	       const u8 **sectors[DISKS])
{
	struct cut c = { .at = cut, .survival = survival, .faults = faults, .rng = rng };
	size_t i, n = 0;
	int d;

	find_flushed(l, &c);
	c.chosen = sim_below(rng, count_volatile(l, &c) + 1);
	for (d = 0; d < DISKS; d++) {
		sectors[d] = sectors_new(d);
		memcpy(sectors[d], l->base[d], disk_sectors[d] * sizeof(*sectors[d]));
	}
	for (i = 0; i < l->nr_changes; i++) {
		const struct request *r = l->changes[i];

		if (r->received > cut)
			continue;
		if (is_durable(&c, r))
			apply(&c, r, r->sectors, true, sectors[r->disk]);
		else
			apply(&c, r, survive_prefix(&c, r, n++), false, sectors[r->disk]);
	}
}

/*
 * Just before or behind a step of what makes something durable, or when its user
 * has learnt of it, some ticks later.
 */
static u64 cut_near_flush(const struct life *l, struct sim_rng *rng)
{
	const struct request *r;
	u32 tries;

	for (tries = 0; tries < 200 && l->nr_requests; tries++) {
		r = l->requests[sim_below(rng, l->nr_requests)];
		if (r->op != NBD_CMD_FLUSH && !r->fua)
			continue;
		return (sim_percent(rng, 50) ? r->received : r->answered) - 2 +
		       sim_below(rng, sim_percent(rng, 50) ? 6 : 40);
	}
	return 0;
}

u64 choose_cut(const struct life *l, u64 from, u64 to, struct sim_rng *rng)
{
	u64 cut;
	u32 tries;

	for (tries = 0; tries < 20 && sim_percent(rng, 80); tries++) {
		cut = cut_near_flush(l, rng);
		if (cut >= from && cut <= to && sim_percent(rng, 50))
			return cut;
	}
	return from + sim_below(rng, to - from + 1);
}

void explain_sector(const struct life *l, int disk, u64 sector, u64 cut)
{
	static const struct faults none;
	struct cut c = { .at = cut, .faults = &none };
	size_t i;

	find_flushed(l, &c);
	printf("#   %s device, life of ticks %llu to %llu, flushed to %llu:\n",
	       disk_names[disk], l->began, l->ended, c.flushed[disk]);
	for (i = 0; i < l->nr_changes; i++) {
		const struct request *r = l->changes[i];

		if (r->disk != disk || r->received > cut || sector < r->sector ||
		    sector - r->sector >= r->sectors)
			continue;
		printf("#     %s%s %llu+%u received %llu done %llu answered %llu%s\n",
		       r->op == NBD_CMD_WRITE ? "write" : "discard", r->fua ? " FUA" : "",
		       r->sector, r->sectors, r->received, r->done, r->answered,
		       is_durable(&c, r) ? " durable" : "");
	}
}
