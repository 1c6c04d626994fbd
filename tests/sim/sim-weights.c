// SPDX-License-Identifier: GPL-2.0-only
/*
 * What there is much of in a history, and what little: chosen at its start.
 */
#include "sim-world.h"

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

/* Reads that hit what is about to be reclaimed, so that it is appended again. */
static void choose_kept(struct sim_rng *r, struct weights *wt)
{
	choose_busy(r, wt);
	wt->read = sim_range(r, 60, 90);
	wt->op_blocks = sim_range(r, 8, 64);
	wt->hot = sim_range(r, 20, 60);
	if (sim_percent(r, 50)) {
		wt->write = sim_range(r, 20, 50);
		wt->modes[MODE_WRITEBACK] = 10;
		wt->stream = sim_range(r, 40, 70);
	}
	wt->maintain = sim_range(r, 1, 5);
	wt->invalidate = 0;
	wt->checkpoint = sim_range(r, 0, 2);
	wt->idle = 0;
	wt->hook = sim_range(r, 10, 60);
	wt->late = sim_range(r, 40, 90);
	wt->brief = sim_range(r, 0, 10);
	wt->small_segments = sim_percent(r, 30);
}

/* Mostly one mode, or all of them. */
static void choose_modes(struct sim_rng *r, struct weights *wt)
{
	u32 i;

	wt->change = sim_percent(r, 40) ? 0 : sim_range(r, 1, 30);
	for (i = 0; i < MODES; i++)
		wt->modes[i] = 1;
	if (sim_percent(r, 60))
		wt->modes[MODE_WRITEBACK] = sim_range(r, 2, 10);
	wt->stream = sim_range(r, 10, 60);
	wt->writeback = sim_percent(r, 20) ? 0 : sim_range(r, 1, 40);
	wt->message = sim_percent(r, 60) ? 0 : sim_range(r, 1, 6);
	wt->suspend = sim_percent(r, 70) ? 0 : sim_range(r, 1, 4);
	wt->backing_errors = sim_percent(r, 88) ? 0 : sim_range(r, 1, 40);
}

/* Writes, flushes, and now and then some write-back. */
static void choose_in_order(struct sim_rng *r, struct weights *wt)
{
	wt->read = sim_range(r, 0, 10);
	wt->write = sim_range(r, 20, 50);
	wt->discard = 0;
	wt->flush = sim_range(r, 3, 20);
	wt->writer = sim_range(r, 1, 5);
	wt->change = 0;
	wt->modes[MODE_WRITEBACK] = 40;
	wt->writeback = sim_range(r, 1, 10);
	wt->maintain = 1;
	wt->idle = 0;
	wt->op_blocks = sim_range(r, 1, 24);
	wt->late = sim_range(r, 20, 80);
}

/* Overwrites what a checkpoint covers, while it is written back now and then. */
static void choose_in_place(struct sim_rng *r, struct weights *wt)
{
	wt->read = sim_range(r, 0, 20);
	wt->write = sim_range(r, 30, 60);
	wt->discard = sim_percent(r, 80) ? 0 : sim_range(r, 1, 4);
	wt->flush = sim_range(r, 0, 10);
	wt->writer = sim_range(r, 2, 12);
	wt->append = sim_range(r, 0, 10);
	wt->checkpoint = sim_range(r, 10, 30);
	wt->writeback = sim_range(r, 2, 30);
	wt->change = sim_percent(r, 70) ? 0 : sim_range(r, 1, 10);
	wt->modes[MODE_WRITEBACK] = 40;
	wt->stream = sim_range(r, 30, 60);
	wt->hook = sim_range(r, 10, 60);
	wt->hot = sim_range(r, 60, 100);
	wt->op_blocks = sim_percent(r, 50) ? 8 : sim_range(r, 1, 32);
	wt->late = sim_range(r, 20, 80);
	wt->brief = sim_range(r, 0, 10);
}

/* Flushes all the time, so that a moment too late or too early counts. */
static void choose_flushes(struct sim_rng *r, struct weights *wt)
{
	wt->read = sim_range(r, 0, 5);
	wt->write = sim_range(r, 30, 60);
	wt->flush = sim_range(r, 15, 50);
	wt->writer = sim_range(r, 1, 6);
	wt->fua = sim_range(r, 0, 4);
	wt->settle = 0;
}

/* A log as long as it gets; or longer: little of it becomes durable. */
static void choose_long_log(struct sim_rng *r, struct weights *wt)
{
	wt->maintain = 0;
	wt->checkpoint = 0;
	wt->idle = 0;
	wt->settle = sim_range(r, 0, 4);
	if (sim_percent(r, 50))
		return;
	wt->writer = 2;
	wt->writeback = 0;
	wt->message = 0;
	wt->suspend = 0;
	wt->settle = 0;
	wt->flush = sim_below(r, 2);
	wt->modes[MODE_WRITEBACK] = 50;
	wt->fua = sim_range(r, 2, 12);
	wt->op_blocks = sim_range(r, 8, 48);
	wt->small_segments = true;
}

/* Segments that were just begun when the power went, again and again. */
static void choose_short_lives(struct sim_rng *r, struct weights *wt)
{
	wt->read = sim_range(r, 0, 10);
	wt->write = sim_range(r, 40, 60);
	wt->discard = 0;
	wt->flush = sim_below(r, 2);
	wt->fua = sim_range(r, 0, 5);
	wt->writer = 1;
	wt->change = 0;
	wt->modes[MODE_WRITEBACK] = 50;
	wt->stream = sim_range(r, 50, 80);
	wt->op_blocks = sim_range(r, 1, 8);
	wt->streams = sim_range(r, 1, 2);
	wt->brief = sim_range(r, 70, 100);
	wt->late = 0;
	wt->small_segments = true;
}

static void choose_base(struct sim_rng *r, struct weights *wt)
{
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
	wt->memory = sim_percent(r, 75) ? 0 : sim_range(r, 16, 64) << 10;
	wt->advance = sim_range(r, 50, 90);
	wt->hook = sim_percent(r, 30) ? 0 : sim_range(r, 1, 40);
	wt->op_blocks = longest[sim_below(r, ARRAY_SIZE(longest))];
	wt->fua = sim_range(r, 0, 30);
	wt->fill_writes = sim_percent(r, 25) ? 0 : sim_range(r, 20, 100);
	wt->past = sim_percent(r, 40) ? 0 : sim_range(r, 1, 60);
	wt->around = sim_percent(r, 40) ? 0 : sim_range(r, 5, 100);
	wt->hot = sim_range(r, 0, 90);
	wt->streams = sim_percent(r, 20) ? 1 : sim_range(r, 2, VCI_STREAMS);
	wt->direct = sim_percent(r, 40) ? 0 : sim_range(r, 40, 100);
	wt->flushes_names = sim_percent(r, 60);
	wt->names = sim_percent(r, 50) ? 0 : sim_range(r, 1, 4);
	wt->no_spare_memory = sim_percent(r, 30);
	wt->no_memory = sim_percent(r, 70) ? 0 : sim_range(r, 1, 40);
	wt->errors = sim_percent(r, 85) ? 0 : sim_range(r, 1, 40);
	wt->patience = 1;
	wt->late = sim_percent(r, 70) ? 0 : sim_range(r, 1, 40);
	wt->brief = sim_percent(r, 50) ? 0 : sim_range(r, 1, 60);
}

/* Kinds of histories: what there is much of. */
void choose_weights(struct world *w)
{
	struct sim_rng *r = &w->rng;
	struct weights *wt = &w->weights;

	choose_base(r, wt);
	choose_modes(r, wt);
	if (sim_percent(r, 30))
		choose_busy(r, wt);
	else if (sim_percent(r, 20))
		choose_kept(r, wt);
	if (sim_percent(r, 10))
		wt->discard = sim_range(r, 20, 60);
	if (sim_percent(r, 15))
		choose_long_log(r, wt);
	else if (sim_percent(r, 10))
		choose_flushes(r, wt);
	else if (sim_percent(r, 25))
		choose_short_lives(r, wt);
	w->ordered = sim_percent(r, 30);
	if (!w->ordered && sim_percent(r, 20))
		choose_in_place(r, wt);
	if (w->ordered && sim_percent(r, 60))
		choose_in_order(r, wt);
}
