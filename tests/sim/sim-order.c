// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-back in the order of users' flushes: what it promises of the backing
 * device alone, at any moment.
 *
 * It is what a power failure could have left of a single disk at some time T: no
 * write that began behind T, and all that had been acknowledged when the last
 * FLUSH began that was complete at T.  The earliest T that the device allows is
 * when the newest write on it began, so it is enough to try that one.
 *
 * Followed from an activation on that found nothing dirty, to the next crash.
 */
#include "sim-world.h"

/* An activation, and all that was found has been looked at. */
void order_begin(struct world *w)
{
	struct order *o = &w->order;
	u32 i, version;

	o->nr = 0;
	o->armed = w->ordered && !vci_cache_dirty_blocks(w->cache) &&
		   !vci_cache_is_failed(w->cache);
	for (i = 0; o->armed && i < w->nr_sectors; i++) {
		const struct sector *s = &w->sectors[i];

		o->armed = model_version_of(sim_disk_peek(&w->backing_disk, s->off), s->off,
					    &version) && version == s->version;
	}
}

void order_flushed(struct world *w, u32 began, u32 completed)
{
	struct order *o = &w->order;

	if (o->nr == FLUSHES_MAX)
		o->armed = false;
	if (!o->armed)
		return;
	o->began[o->nr] = began;
	o->completed[o->nr++] = completed;
}

/* When did the last FLUSH begin that was complete at @then?  0: none was. */
static u32 last_flush(const struct order *o, u32 then)
{
	u32 i, began = 0;

	for (i = 0; i < o->nr; i++)
		if (o->completed[i] <= then)
			began = max(began, o->began[i]);
	return began;
}

/*
 * The numbers of the sector's version: of several that are the same (zeros), the
 * oldest and the newest.  False: it isn't known which.
 */
static bool number_of(struct sector *s, u32 version, u32 *first, u32 *last)
{
	bool found = version == s->version;
	u32 i;

	*first = s->next_past;
	*last = s->next_past;
	for (i = s->next_past; i-- > model_oldest(s);) {
		if (model_past(s, i)->version != version)
			continue;
		if (!found)
			*last = i;
		*first = i;
		found = true;
	}
	return found;
}

static u32 version_below(struct world *w, const struct sector *s)
{
	u32 version = 0;

	(void)!model_version_of(sim_disk_peek(&w->backing_disk, s->off), s->off, &version);
	return version;
}

/* The newest number that was acknowledged by then. */
static u32 needed(const struct world *w, struct sector *s, u32 then)
{
	u32 k, acked;

	for (k = s->next_past; k > model_oldest(s); k--) {
		acked = model_written(w, model_past(s, k - 1)->by).acked;
		if (acked && acked <= then)
			return k;
	}
	return 0;
}

/* The crash has come, and the disks hold what is left. */
void order_check(struct world *w)
{
	u32 i, first, last, then = 0;

	if (!w->order.armed)
		return;
	for (i = 0; i < w->nr_sectors; i++) {
		struct sector *s = &w->sectors[i];

		if (number_of(s, version_below(w, s), &first, &last) &&
		    first > model_oldest(s))
			then = max(then, model_written(w, model_past(s, first - 1)->by).began);
	}
	for (i = 0; i < w->nr_sectors; i++) {
		struct sector *s = &w->sectors[i];
		u32 version = version_below(w, s), from;

		/* A discard that was in flight may be there in part. */
		if (!version && w->discard_in_flight)
			continue;
		from = needed(w, s, last_flush(&w->order, then));
		if (number_of(s, version, &first, &last) && last < from)
			violation(w, "disordered: sector %llu has version %u (number %u) on the backing device, at least number %u belongs to what is there of time %u",
				  s->off, version, last, from, then);
	}
	w->order.armed = false;
}
