// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model: which versions of a sector a read may return; see sim-world.h.
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
static bool version_of(const u8 *data, u64 off, u32 *version)
{
	u64 p[WORDS];
	u32 i;

	memcpy(p, data, sizeof(p));
	*version = p[1] >> 32;
	if (!p[1])
		return !memchr_inv(data, 0, 512);
	if (p[0] != off || (u32)p[1] != (u32)TAG || !*version)
		return false;
	for (i = 2; i < WORDS; i++)
		if (p[i] != word(off, *version, i))
			return false;
	return true;
}

/* ---- versions ---- */

void model_init(struct world *w)
{
	u32 s, i;

	w->max_acked = 4096;
	w->acked = calloc(w->max_acked, sizeof(*w->acked));
	assert(w->acked);
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
	free(w->acked);
	w->acked = NULL;
}

int model_index(const struct world *w, u64 off)
{
	u32 s;

	for (s = 0; s < w->nr_spots; s++)
		if (off - w->spots[s].off < w->spots[s].blocks)
			return w->spots[s].base + (off - w->spots[s].off);
	return -1;
}

u32 model_new_version(struct world *w)
{
	u32 n = ++w->last_version - w->base_version;

	if (n >= w->max_acked) {
		w->acked = realloc(w->acked, 2 * w->max_acked * sizeof(*w->acked));
		assert(w->acked);
		w->max_acked *= 2;
	}
	w->acked[n] = 0;
	return w->last_version;
}

void model_ack(struct world *w, u32 version)
{
	w->acked[version - w->base_version] = ++w->clock;
}

/* When was the write acknowledged?  0: not yet. */
static u32 acked_at(const struct world *w, u32 version)
{
	return version < w->base_version ? 1 : w->acked[version - w->base_version];
}

/* The backing device holds write @version now; @zero: as zeros. */
void model_apply(struct world *w, u64 off, u32 blocks, u32 version, bool zero,
		 bool durable)
{
	u32 i;

	for (i = 0; i < blocks; i++) {
		int n = model_index(w, off + i);
		struct sector *s;

		if (n < 0)
			continue;
		s = &w->sectors[n];
		s->past[s->next_past++ % RING] = (struct past) { s->version, version };
		s->version = zero ? 0 : version;
		if (durable)
			s->durable = s->next_past;
	}
}

static bool may_return(const struct world *w, const struct sector *s, u32 version,
		       u32 began)
{
	u32 i;

	if (version == s->version)
		return true;
	for (i = 0; i < min(RING, s->next_past); i++) {
		const struct past *p = &s->past[i];
		u32 t;

		if (p->version != version)
			continue;
		t = acked_at(w, p->by);
		if (!t || t > began)
			return true;
	}
	if (s->next_past <= RING)
		return false;
	/* Older ones were forgotten: the read may be as old. */
	i = acked_at(w, s->past[s->next_past % RING].by);
	return !i || i > began;
}

/* @data was read from @off by a read that began at @began. */
bool model_check_read(struct world *w, u64 off, u32 blocks, const u8 *data, u32 began)
{
	u32 i, version;

	for (i = 0; i < blocks; i++) {
		int n = model_index(w, off + i);

		if (!version_of(data + i * 512, off + i, &version)) {
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

/* A flush of the backing device completed. */
void model_flushed(struct world *w)
{
	u32 i;

	for (i = 0; i < w->nr_sectors; i++)
		w->sectors[i].durable = w->sectors[i].next_past;
}

/* Nothing is in flight: what was overwritten may not be seen again. */
void model_at_rest(struct world *w)
{
	w->base_version = w->last_version + 1;
	w->clock = 1;
}

/* May the backing device hold @version of the sector after a crash? */
static bool may_survive(const struct world *w, const struct sector *s, u32 version)
{
	u32 k = s->next_past;

	if (version == s->version)
		return true;
	/* A write or discard that was in flight, and reached the disk in part. */
	if (version ? !acked_at(w, version) : w->discard_in_flight)
		return true;
	/* What a write replaced that is not durable; if the ring knows them all. */
	if (k - s->durable > RING)
		return true;
	while (k > s->durable)
		if (s->past[--k % RING].version == version)
			return true;
	return false;
}

/*
 * After a crash the backing device decides: what it holds now is the content
 * from now on, if it is not older than what was durable (law 1).
 */
void model_after_crash(struct world *w)
{
	u32 i, version;

	for (i = 0; i < w->nr_sectors; i++) {
		struct sector *s = &w->sectors[i];

		if (!version_of(sim_disk_peek(&w->backing_disk, s->off), s->off, &version))
			violation(w, "foreign: sector %llu on the backing device", s->off);
		else if (!may_survive(w, s, version))
			violation(w, "stale: backing sector %llu has version %u after the crash, not %u",
				  s->off, version, s->version);
		s->version = version;
		s->durable = 0;
		s->next_past = 0;
	}
	w->discard_in_flight = false;
	model_at_rest(w);
}

/* Somebody writes there: no mapping is expected any more. */
void model_unmap(struct world *w, u64 off, u64 blocks)
{
	u32 i;

	for (i = 0; i < w->nr_sectors; i++)
		if (w->sectors[i].off - off < blocks)
			w->sectors[i].appended = 0;
}
