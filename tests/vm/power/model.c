// SPDX-License-Identifier: GPL-2.0-only
/*
 * Versions of sectors, and which are legal; see model.h.
 */
#include "model.h"

#define WORDS		(SECTOR_SIZE / 8)
#define TAG		0x706f7765u	/* "powe" */

/* An operation as one of its sectors saw it. */
struct event {
	struct op *op;
	u32 version;		/* of a read: what it saw */
};

struct events {
	struct event *e;
	u32 nr, max;
};

static u32 last_version = VERSION_FIRST;

/* ---- contents ---- */

static u64 word(u64 sector, u32 version, u32 i)
{
	return (sector + 1) * 0x9e3779b97f4a7c15ull +
	       (u64)version * 0xd1b54a32d192ed03ull + i * 0x94d049bb133111ebull;
}

void fill_sector(u8 *data, u64 sector, u32 version)
{
	u64 *p = (u64 *)data;
	u32 i;

	p[0] = sector;
	p[1] = (u64)version << 32 | TAG;
	for (i = 2; i < WORDS; i++)
		p[i] = word(sector, version, i);
}

static bool is_zero(const u64 *p)
{
	u32 i;

	for (i = 0; i < WORDS; i++)
		if (p[i])
			return false;
	return true;
}

u32 version_of(const u8 *data, u64 sector)
{
	const u64 *p = (const u64 *)data;
	u32 version = p[1] >> 32, i;

	if (!p[1])
		return is_zero(p) ? VERSION_ZERO : VERSION_GARBAGE;
	if ((u32)p[1] != TAG)
		return VERSION_GARBAGE;
	for (i = 2; i < WORDS; i++)
		if (p[i] != word(p[0], version, i))
			return VERSION_GARBAGE;
	return p[0] == sector ? version : VERSION_FOREIGN;
}

/* ---- spots ---- */

static u64 spots[NR_SPOTS];

/* In ascending order, apart from each other or side by side, none at 4 KiB. */
void spots_init(struct sim_rng *rng)
{
	u64 share = disk_sectors[BACKING] / NR_SPOTS;
	u32 i;

	for (i = 0; i < NR_SPOTS; i++)
		spots[i] = i * share + sim_below(rng, share - SPOT_SECTORS);
	spots[0] = 0;
	spots[1] = SPOT_SECTORS;
	spots[NR_SPOTS - 1] = disk_sectors[BACKING] - SPOT_SECTORS;
}

u64 spot_start(u32 spot)
{
	return spots[spot];
}

u32 sector_index(u64 sector)
{
	u32 low = 0, high = NR_SPOTS, middle;

	while (high - low > 1) {
		middle = (low + high) / 2;
		if (spots[middle] <= sector)
			low = middle;
		else
			high = middle;
	}
	if (sector - spots[low] >= SPOT_SECTORS)
		die("sector %llu is in no spot", sector);
	return low * SPOT_SECTORS + (sector - spots[low]);
}

u64 sector_at(u32 index)
{
	return spots[index / SPOT_SECTORS] + index % SPOT_SECTORS;
}

/* ---- history ---- */

struct history *history_new(u32 *base)
{
	struct history *h = calloc(1, sizeof(*h));

	if (!h)
		die("out of memory");
	pthread_mutex_init(&h->lock, NULL);
	h->base = base;
	h->events = calloc(NR_SECTORS, sizeof(*h->events));
	if (!h->events)
		die("out of memory");
	return h;
}

static void free_ops(struct op *op)
{
	struct op *next;

	for (; op; op = next) {
		next = op->next;
		free(op);
	}
}

void history_free(struct history *h)
{
	u32 i;

	for (i = 0; i < NR_SECTORS; i++)
		free(h->events[i].e);
	free(h->events);
	free_ops(h->ops);
	free_ops(h->flushes);
	free(h->base);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static void add_event(struct events *list, struct op *op, u32 version)
{
	if (list->nr == list->max) {
		list->max = list->max ? 2 * list->max : 8;
		list->e = realloc(list->e, list->max * sizeof(*list->e));
		if (!list->e)
			die("out of memory");
	}
	list->e[list->nr++] = (struct event) { op, version };
}

struct op *history_begin(struct history *h, enum op_kind kind, u64 sector,
			 u32 sectors, bool fua)
{
	struct op *op = calloc(1, sizeof(*op));
	struct op **list = kind == OP_FLUSH ? &h->flushes : &h->ops;
	u32 first = sectors ? sector_index(sector) : 0;
	u32 i;

	if (!op)
		die("out of memory");
	op->kind = kind;
	op->sector = sector;
	op->sectors = sectors;
	op->fua = fua;
	pthread_mutex_lock(&h->lock);
	if (kind == OP_WRITE)
		op->version = ++last_version;
	op->begin = tick();
	op->next = *list;
	*list = op;
	h->nr_ops[kind]++;
	for (i = 0; i < sectors && kind != OP_READ; i++)
		add_event(&h->events[first + i], op, op->version);
	pthread_mutex_unlock(&h->lock);
	return op;
}

/* ---- what is legal ---- */

/* From where it is looked: after a power cut, or by a read. */
struct view {
	u64 until;		/* what began before it may be seen */
	u64 kept;		/* what ended before it can't be lost */
	u64 fua_kept;		/* ... with FUA */
	u64 seen;		/* reads that ended before it count */
};

static u64 op_end(const struct op *op)
{
	u64 end = __atomic_load_n(&op->end, __ATOMIC_SEQ_CST);

	return end ? end : ~0ull;
}

static bool is_kept(const struct view *v, const struct op *op)
{
	u64 end = op_end(op);

	return end < v->kept || (op->fua && end <= v->fua_kept);
}

/* The last tick at which @op certainly hadn't been overtaken by what ended before. */
static u64 certain_from(const struct events *list, const struct view *v,
			const struct op *op)
{
	u64 from = op->begin;
	u32 i;

	for (i = 0; i < list->nr; i++) {
		const struct event *e = &list->e[i];

		if (e->op->kind == OP_READ && e->version == op->version &&
		    op_end(e->op) <= v->seen && e->op->begin > from)
			from = e->op->begin;
	}
	return from;
}

/* Another write that can't be lost came certainly after @mine; NULL: the base. */
static bool is_overwritten(const struct events *list, const struct view *v,
			   const struct op *mine)
{
	u64 end = mine ? op_end(mine) : 0;
	u32 i;

	for (i = 0; i < list->nr; i++) {
		const struct op *op = list->e[i].op;

		if (op != mine && op->kind == OP_WRITE && is_kept(v, op) &&
		    certain_from(list, v, op) > end)
			return true;
	}
	return false;
}

static bool is_legal(const struct history *h, u32 index, u32 version,
		     const struct view *v)
{
	const struct events *list = &h->events[index];
	u32 i;

	if (version == h->base[index] && !is_overwritten(list, v, NULL))
		return true;
	for (i = 0; i < list->nr; i++) {
		const struct op *op = list->e[i].op;

		if (op->begin > v->until || op->kind == OP_READ)
			continue;
		if (op->kind == OP_WRITE ? version == op->version : version == VERSION_ZERO)
			if (!is_overwritten(list, v, op))
				return true;
	}
	return false;
}

/* The beginning of the last flush that ended before @cut. */
static u64 flushed_at(const struct history *h, u64 cut)
{
	const struct op *op;
	u64 at = 0;

	for (op = h->flushes; op; op = op->next)
		if (op->begin > at && op_end(op) <= cut)
			at = op->begin;
	return at;
}

bool legal_after_cut(const struct history *h, u32 index, u32 version, u64 cut)
{
	struct view v = {
		.until = cut,
		.kept = flushed_at(h, cut),
		.fua_kept = cut,
		.seen = cut,
	};

	return is_legal(h, index, version, &v);
}

bool legal_in_order(const struct history *h, u32 index, u32 version, u64 cut, u64 newest)
{
	struct view v = {
		.until = cut,
		.kept = flushed_at(h, newest),
		.fua_kept = newest,
		.seen = cut,
	};

	return is_legal(h, index, version, &v);
}

u64 newest_of(const struct history *h, const u32 *versions)
{
	u64 newest = 0;
	u32 i, k;

	for (i = 0; i < NR_SECTORS; i++) {
		const struct events *list = &h->events[i];

		for (k = 0; k < list->nr; k++) {
			const struct op *op = list->e[k].op;

			if (op->kind == OP_WRITE && op->version == versions[i] &&
			    op->begin > newest)
				newest = op->begin;
		}
	}
	return newest;
}

bool legal_now(const struct history *h, u32 index, u32 version, u64 since)
{
	struct view v = { .until = ~0ull, .kept = since, .seen = since };

	return is_legal(h, index, version, &v);
}

void history_end_read(struct history *h, struct op *op, const u32 *versions, int *index)
{
	struct view v = { .kept = op->begin, .seen = op->begin };
	u32 first = sector_index(op->sector);
	u32 i;

	op->end = tick();
	v.until = op->end;
	*index = -1;
	pthread_mutex_lock(&h->lock);
	for (i = 0; i < op->sectors; i++) {
		if (*index < 0 && !is_legal(h, first + i, versions[i], &v))
			*index = first + i;
		add_event(&h->events[first + i], op, versions[i]);
	}
	pthread_mutex_unlock(&h->lock);
}

/* ---- for the one who looks for the reason ---- */

static void print_version(u32 version)
{
	if (version == VERSION_GARBAGE)
		printf("garbage");
	else if (version == VERSION_FOREIGN)
		printf("another sector's data");
	else if (version == VERSION_ZERO)
		printf("zeros");
	else
		printf("version %u", version);
}

void explain_history(const struct history *h, u32 index, u32 version, u64 cut)
{
	static const char *const kinds[] = { "read", "write", "discard", "flush" };
	const struct events *list = &h->events[index];
	u32 i;

	printf("#   sector %llu reads as ", sector_at(index));
	print_version(version);
	if (cut)
		printf("; cut at %llu, flushed at %llu", cut, flushed_at(h, cut));
	printf("; it began as version %u\n", h->base[index]);
	for (i = 0; i < list->nr; i++) {
		const struct event *e = &list->e[i];

		if (cut && e->op->begin > cut)
			continue;
		printf("#     %s%s %llu+%u ticks %llu to %llu: ", kinds[e->op->kind],
		       e->op->fua ? " FUA" : "", e->op->sector, e->op->sectors,
		       e->op->begin, e->op->end);
		print_version(e->version);
		printf("\n");
	}
}
