// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model: which versions of a sector may be seen, and when; see sim-world.h.
 */
#include <stdarg.h>

#include "sim-world.h"

#define WORDS		64u	/* of a sector */
#define TAG		0x7663692d73696dull	/* "vci-sim" */

void violation(struct world *w, const char *fmt, ...)
{
	va_list args;

	if (w->violation[0])
		return;
	va_start(args, fmt);
	vsnprintf(w->violation, sizeof(w->violation), fmt, args);
	va_end(args);
	trace(w, "VIOLATION: %s", w->violation);
}

void trace(struct world *w, const char *fmt, ...)
{
	va_list args;

	if (!w->verbose)
		return;
	printf("# io %llu t %u: ", w->power.io, w->clock);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

/* ---- contents ---- */

static u64 word(u64 off, u32 version, u32 i)
{
	return (off + 1) * 0x9e3779b97f4a7c15ull + (u64)version * 0xd1b54a32d192ed03ull + i;
}

void model_fill_data(u8 *data, u64 off, u32 blocks, u32 version)
{
	u64 *p = (u64 *)data;
	u32 b, i;

	for (b = 0; b < blocks; b++, p += WORDS) {
		p[0] = off + b;
		p[1] = (u64)version << 32 | (u32)TAG;
		for (i = 2; i < WORDS; i++)
			p[i] = word(off + b, version, i);
	}
}

/* Which version of the sector is this?  False: none. */
bool model_version_of(const u8 *data, u64 off, u32 *version)
{
	u64 p[WORDS];
	u32 i;

	memcpy(p, data, sizeof(p));
	*version = p[1] >> 32;
	if (!p[1]) {
		for (i = 0; i < WORDS; i++)
			if (p[i])
				return false;
		return true;
	}
	if (p[0] != off || (u32)p[1] != (u32)TAG || !*version)
		return false;
	for (i = 2; i < WORDS; i++)
		if (p[i] != word(off, *version, i))
			return false;
	return true;
}

/* ---- life ---- */

void model_init(struct world *w)
{
	u32 s, i;

	w->max_written = 4096;
	w->written = calloc(w->max_written, sizeof(*w->written));
	assert(w->written);
	w->last_version = 1;
	w->base_version = 2;
	w->nr_sectors = 0;
	memset(w->sectors, 0, sizeof(w->sectors));
	for (s = 0; s < w->nr_spots; s++) {
		w->spots[s].base = w->nr_sectors;
		for (i = 0; i < w->spots[s].blocks; i++)
			w->sectors[w->nr_sectors++].off = w->spots[s].off + i;
	}
}

void model_free(struct world *w)
{
	free(w->written);
	w->written = NULL;
}

int model_index(const struct world *w, u64 off)
{
	u32 s;

	for (s = 0; s < w->nr_spots; s++)
		if (off - w->spots[s].off < w->spots[s].blocks)
			return w->spots[s].base + (off - w->spots[s].off);
	return -1;
}

/* ---- versions ---- */

u32 model_new_version(struct world *w, bool fua)
{
	u32 n = ++w->last_version - w->base_version;

	if (n >= w->max_written) {
		w->written = realloc(w->written, 2 * w->max_written * sizeof(*w->written));
		assert(w->written);
		w->max_written *= 2;
	}
	w->written[n] = (struct written) { .began = w->clock, .fua = fua };
	return w->last_version;
}

void model_ack(struct world *w, u32 version)
{
	w->written[version - w->base_version].acked = ++w->clock;
}

/* What is known of a write; of those before the last crash, that they were. */
struct written model_written(const struct world *w, u32 version)
{
	static const struct written before = { .acked = 1 };

	return version < w->base_version ? before : w->written[version - w->base_version];
}

/* When was the write acknowledged?  0: not yet. */
static u32 acked_at(const struct world *w, u32 version)
{
	return model_written(w, version).acked;
}

/* The oldest number of a version of which past[] still knows. */
u32 model_oldest(const struct sector *s)
{
	return s->next_past > RING ? s->next_past - RING : 0;
}

struct past *model_past(struct sector *s, u32 i)
{
	return &s->past[i % RING];
}

/* Nothing is in flight: what was overwritten may not be seen again. */
void model_at_rest(struct world *w)
{
	w->base_version = w->last_version + 1;
	w->clock = 1;
}

/* Somebody begins to write there: no mapping is expected any more. */
void model_begin_write(struct world *w, u64 off, u64 blocks)
{
	u32 i;

	for (i = 0; i < w->nr_sectors; i++) {
		struct sector *s = &w->sectors[i];

		if (s->off - off < blocks) {
			s->appended = 0;
			s->began = true;
			s->detached = false;
		}
	}
}

static void overwrite(struct world *w, struct sector *s, u32 version, u32 by, bool log)
{
	*model_past(s, s->next_past++) = (struct past) {
		.version = s->version,
		.by = by,
		.at = w->clock,
		.log = log,
	};
	s->version = version;
}

/* A write to the log was mapped. */
void model_logged(struct world *w, u64 off, u32 blocks, u32 version)
{
	u32 i;

	w->clock++;
	for (i = 0; i < blocks; i++) {
		int n = model_index(w, off + i);

		assert(n >= 0);
		overwrite(w, &w->sectors[n], version, version, true);
		w->sectors[n].logged_at = w->clock;
	}
}

/*
 * @s was overwritten by a write to the log since @began: by which first?  If the ring
 * forgot, the oldest is as good.
 */
static bool dirty_since(struct sector *s, u32 began, u32 *i)
{
	if (s->logged_at <= began)
		return false;
	for (*i = model_oldest(s); *i < s->next_past; ++*i)
		if (model_past(s, *i)->log && model_past(s, *i)->at > began)
			return true;
	*i = model_oldest(s);
	return true;
}

/* As if it had come just before past(@i). */
static void insert(struct world *w, struct sector *s, u32 i, u32 version, u32 by)
{
	u32 k;

	for (k = s->next_past++; k > i; k--)
		*model_past(s, k) = *model_past(s, k - 1);
	model_past(s, i + 1)->version = version;
	/* With a full ring it may be forgotten at once. */
	if (i >= model_oldest(s)) {
		model_past(s, i)->by = by;
		model_past(s, i)->at = w->clock;
		model_past(s, i)->log = false;
	}
	if (s->durable > i)
		s->durable++;
}

static void pass_sector(struct world *w, struct sector *s, const struct op *op, bool zero)
{
	u32 i, version = zero ? 0 : op->version;

	if (dirty_since(s, op->began, &i))
		insert(w, s, i, version, op->version);
	else
		overwrite(w, s, version, op->version, false);
}

/* A write past the log, or a discard, is on the backing device. */
void model_passed(struct world *w, const struct op *op, bool zero)
{
	u32 i;

	w->clock++;
	for (i = 0; i < op->blocks; i++) {
		int n = model_index(w, op->off + i);

		assert(n >= 0);
		pass_sector(w, &w->sectors[n], op, zero);
	}
}

/* A write in place is on the cache device: seen, unless it is mapped elsewhere now. */
void model_placed(struct world *w, const struct op *op)
{
	u32 i, k;

	model_passed(w, op, false);
	for (i = 0; i < op->blocks; i++)
		w->dead_places += dirty_since(&w->sectors[model_index(w, op->off + i)],
					      op->began, &k);
}

/* It failed, so it may have reached any sector. */
void model_place_failed(struct world *w, const struct op *op)
{
	u32 i, version;

	w->clock++;
	for (i = 0; i < op->blocks; i++) {
		u64 off = op->off + i;

		if (model_version_of(sim_disk_peek(&w->cache_disk, op->addr + i), off,
				     &version) && version == op->version)
			pass_sector(w, &w->sectors[model_index(w, off)], op, false);
	}
	model_ack(w, op->version);
}

/* It failed, so it may have reached any sector: only now that is known. */
void model_pass_failed(struct world *w, const struct op *op, bool zero)
{
	u32 i, version;

	w->clock++;
	for (i = 0; i < op->blocks; i++) {
		u64 off = op->off + i;

		if (model_version_of(sim_disk_peek(&w->backing_disk, off), off, &version) &&
		    version == (zero ? 0 : op->version))
			pass_sector(w, &w->sectors[model_index(w, off)], op, zero);
	}
	model_ack(w, op->version);
}

/* ---- durability ---- */

/* The newest version that was acknowledged by then, as far as is known. */
static u32 newest_acked(const struct world *w, struct sector *s, u32 then)
{
	u32 k, t;

	for (k = s->next_past; k > model_oldest(s); k--) {
		t = acked_at(w, model_past(s, k - 1)->by);
		if (t && t <= then)
			return k;
	}
	return 0;
}

/* A FLUSH of both devices completed that began at @began. */
void model_flushed(struct world *w, u32 began)
{
	u32 i;

	order_flushed(w, began, ++w->clock);
	for (i = 0; i < w->nr_sectors; i++) {
		struct sector *s = &w->sectors[i];

		s->durable = max(s->durable, newest_acked(w, s, began));
	}
}

/* A FUA write is acknowledged. */
void model_ack_fua(struct world *w, const struct op *op)
{
	u32 i, k;

	for (i = 0; i < op->blocks; i++) {
		struct sector *s = &w->sectors[model_index(w, op->off + i)];

		for (k = s->next_past; k > model_oldest(s); k--)
			if (model_past(s, k - 1)->by == op->version)
				break;
		if (k > model_oldest(s))
			s->durable = max(s->durable, k);
	}
}

/* ---- reads ---- */

static bool may_return(const struct world *w, struct sector *s, u32 version, u32 began)
{
	u32 i, t;

	if (version == s->version)
		return true;
	for (i = model_oldest(s); i < s->next_past; i++) {
		if (model_past(s, i)->version != version)
			continue;
		t = acked_at(w, model_past(s, i)->by);
		if (!t || t > began)
			return true;
	}
	if (s->next_past <= RING)
		return false;
	/* Older ones were forgotten: the read may be as old. */
	t = acked_at(w, model_past(s, model_oldest(s))->by);
	return !t || t > began;
}

/* @data was read from @off by a read that began at @began. */
bool model_check_read(struct world *w, u64 off, u32 blocks, const u8 *data, u32 began)
{
	u32 i, version;

	stream_sync(w);
	for (i = 0; i < blocks; i++) {
		int n = model_index(w, off + i);

		if (!model_version_of(data + i * 512, off + i, &version)) {
			violation(w, "foreign: sector %llu returned what was never written there",
				  off + i);
			return false;
		}
		if (n < 0 && version) {
			violation(w, "foreign: sector %llu was never written", off + i);
			return false;
		}
		if (n >= 0 && !may_return(w, &w->sectors[n], version, began)) {
			violation(w, "stale: sector %llu returned version %u, it is %u",
				  off + i, version, w->sectors[n].version);
			return false;
		}
		w->verified++;
	}
	return true;
}

/* ---- crashes ---- */

static bool may_survive(const struct world *w, struct sector *s, u32 version)
{
	u32 k = s->next_past, floor = s->durable;

	/* A host crash loses nothing that was acknowledged, but for direct writes. */
	if (w->host_only && !w->weights.direct)
		floor = max(floor, newest_acked(w, s, U32_MAX));
	if (version == s->version)
		return true;
	/* A write or discard that was in flight, and is there in part. */
	if (version ? !acked_at(w, version) : w->discard_in_flight)
		return true;
	/* What a write replaced that is not durable; if the ring knows them all. */
	if (k - floor > RING)
		return true;
	while (k > floor)
		if (model_past(s, --k)->version == version)
			return true;
	return false;
}

/*
 * The first look at a sector after an activation: @data is its content from now
 * on, if it may be.
 */
void model_recovered(struct world *w, struct sector *s, const u8 *data)
{
	u32 version;

	if (!model_version_of(data, s->off, &version))
		violation(w, "foreign: sector %llu after an activation", s->off);
	else if (w->closed && version != s->version)
		violation(w, "stale: sector %llu has version %u after a clean close, not %u",
			  s->off, version, s->version);
	else if (!may_survive(w, s, version))
		violation(w, "stale: sector %llu has version %u after the crash, not %u (%u in the ring, %u durable)",
			  s->off, version, s->version, s->next_past, s->durable);
	s->version = version;
	s->durable = 0;
	s->next_past = 0;
	s->logged_at = 0;
	s->detached = false;
}

/* The cache device is gone with all that was dirty: the backing device decides. */
void model_rebase(struct world *w)
{
	u32 i, version;

	for (i = 0; i < w->nr_sectors; i++) {
		struct sector *s = &w->sectors[i];

		if (!model_version_of(sim_disk_peek(&w->backing_disk, s->off), s->off, &version))
			violation(w, "foreign: sector %llu on the backing device", s->off);
		s->version = version;
		s->durable = 0;
		s->next_past = 0;
		s->logged_at = 0;
		s->appended = 0;
		s->detached = false;
	}
	model_at_rest(w);
}
