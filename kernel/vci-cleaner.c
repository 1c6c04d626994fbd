// SPDX-License-Identifier: GPL-2.0-only
/*
 * Background write-back, and the message "flush".
 *
 * The writer's tick calls for one round after another:
 *
 *	no I/O for a second			large rounds, until there is some
 *	more than half of the cache is dirty	small rounds, with rests in between
 *						that get shorter the more is dirty
 *	the mode wants nothing to be dirty	a small round each second
 *	what is older than max_dirty_age	a small round each second
 *
 * So beside users' I/O the backing device is theirs for most of the time, until
 * three quarters of the cache are dirty: then it is that, or writes that wait.
 *
 * A round is short, and the writer's lock is free between rounds: appends and
 * maintenance come in between.
 */
#define DM_MSG_PREFIX "vci"

#include <linux/delay.h>
#include <linux/device-mapper.h>
#include <linux/sched/signal.h>

#include "vci-writer.h"

/* Blocks of a round. */
#define VCI_ROUND_LARGE		8192u
#define VCI_ROUND_SMALL		1024u

/* Time between small rounds. */
#define VCI_PACE_MS		1000u

/* Of the cache, dirty: from where on write-back hurries, and no longer rests. */
#define VCI_URGENT_PERCENT	50u
#define VCI_FULL_PERCENT	75u
/* The longest rest, in rounds; and in any case. */
#define VCI_REST_ROUNDS		3u
#define VCI_REST_MAX_MS		2000u

/* Samples cover twice the age that is asked for, if they are so far apart. */
#define VCI_SAMPLE_MS(age)	max(1000u, (age) * (2 * 1000u / VCI_AGE_SAMPLES))

/* A round that fails is passed by with so many blocks, doubled each time. */
#define VCI_PASS_BY		2048u
#define VCI_PASS_BY_SHIFT	16u

/* Rounds in a row may find no room for their records before there is a pause. */
#define VCI_NO_ROOM_TRIES	3u

/* "flush" waits so long for writes past the log that were in its way. */
#define VCI_FLUSH_WAIT_MS	20u
/* ... and as often in a row for room for its records. */
#define VCI_FLUSH_TRIES		10
/* Passes for the sake of what is overwritten again and again. */
#define VCI_FLUSH_PASSES	10

/* ---- age ---- */

static const struct vci_age_sample *nth_sample(const struct vci_cleaner *cl, unsigned int n)
{
	return &cl->samples[n % VCI_AGE_SAMPLES];
}

static void take_sample(struct vci_writer *w, unsigned int age)
{
	struct vci_cleaner *cl = &w->cleaner;
	unsigned long apart = msecs_to_jiffies(VCI_SAMPLE_MS(age));
	struct vci_age_sample *s = &cl->samples[cl->nr_samples % VCI_AGE_SAMPLES];

	if (cl->nr_samples &&
	    time_before(jiffies, nth_sample(cl, cl->nr_samples - 1)->when + apart))
		return;
	s->when = jiffies;
	s->seq = vci_cache_log_seq(w->cache);
	cl->nr_samples++;
}

/* What is older than @age seconds has at most this number; 0: nothing is. */
static u64 aged_seq(const struct vci_cleaner *cl, unsigned int age)
{
	unsigned int n = cl->nr_samples, oldest;

	oldest = n > VCI_AGE_SAMPLES ? n - VCI_AGE_SAMPLES : 0;
	while (age && n-- > oldest) {
		const struct vci_age_sample *s = nth_sample(cl, n);

		if (time_after_eq(jiffies, s->when + (unsigned long)age * HZ))
			return s->seq;
	}
	return 0;
}

/* ---- rounds ---- */

enum vci_hurry { NOTHING_TO_DO, PACED, URGENT, AT_ONCE };

static enum vci_hurry how_urgent(struct vci_writer *w, bool busy, u64 *max_seq)
{
	struct vci_cleaner *cl = &w->cleaner;
	unsigned int age = READ_ONCE(cl->max_age);

	take_sample(w, age);
	*max_seq = U64_MAX;
	if (!vci_cache_dirty_blocks(w->cache))
		return NOTHING_TO_DO;
	if (!busy)
		return AT_ONCE;
	if (vci_cache_dirty_percent(w->cache) > VCI_URGENT_PERCENT)
		return URGENT;
	if (time_before(jiffies, cl->last_paced + msecs_to_jiffies(VCI_PACE_MS)))
		return NOTHING_TO_DO;
	if (READ_ONCE(cl->always))
		return PACED;
	*max_seq = aged_seq(cl, age);
	return *max_seq > cl->clean_seq ? PACED : NOTHING_TO_DO;
}

/* Begins a rest that fits the round that began at @begin; its milliseconds. */
static unsigned int rest(struct vci_writer *w, unsigned long begin)
{
	u32 percent = max(vci_cache_dirty_percent(w->cache), VCI_URGENT_PERCENT);
	unsigned int took = jiffies_to_msecs(jiffies - begin), ms;

	if (percent >= VCI_FULL_PERCENT)
		return 0;
	ms = took * VCI_REST_ROUNDS * (VCI_FULL_PERCENT - percent) /
	     (VCI_FULL_PERCENT - VCI_URGENT_PERCENT);
	ms = min(ms, VCI_REST_MAX_MS);
	w->cleaner.rests_until = jiffies + msecs_to_jiffies(ms);
	return ms;
}

static void begin_pass(struct vci_writer *w)
{
	struct vci_cleaner *cl = &w->cleaner;

	cl->pass = (struct vci_writeback) { 0 };
	cl->pass_seq = vci_cache_log_seq(w->cache);
}

/* Returns true if it did anything. */
static bool end_pass(struct vci_writer *w)
{
	struct vci_cleaner *cl = &w->cleaner;
	bool did = cl->pass.blocks;

	if (!cl->pass.skipped && !cl->pass.error)
		cl->clean_seq = max(cl->clean_seq, cl->pass_seq);
	begin_pass(w);
	return did;
}

/*
 * What is behind a bad sector must not wait for it.  The round doesn't say where
 * it met the error, so it's passed by in growing steps; the next pass tries again.
 */
static void pass_by(struct vci_cleaner *cl)
{
	u64 step = (u64)VCI_PASS_BY << min(cl->errors, VCI_PASS_BY_SHIFT);

	cl->errors++;
	cl->pass.skipped++;
	cl->pass.off = min(cl->pass.off + step, cl->end);
}

/* In order, a write past the log that is in flight holds up all that follows. */
static bool is_held_up(const struct vci_writeback *now, const struct vci_writeback *before)
{
	return now->off == before->off && now->blocks == before->blocks;
}

static int one_round(struct vci_writer *w, u64 max_seq, u64 blocks)
{
	struct vci_cleaner *cl = &w->cleaner;
	int r;

	cl->pass.max_seq = max_seq;
	cl->pass_seq = min(cl->pass_seq, max_seq);
	mutex_lock(&w->serial);
	r = vci_cache_writeback(w->cache, &cl->pass, blocks);
	cl->no_room = r == -ENOSPC ? cl->no_room + 1 : 0;
	if (r == -ENOSPC)
		r = vci_cache_maintain(w->cache, false);
	mutex_unlock(&w->serial);
	return r;
}

/* One round, and what follows from it; an error as it does. */
static int tick_round(struct vci_writer *w, u64 max_seq, u64 blocks)
{
	struct vci_cleaner *cl = &w->cleaner;
	int r = one_round(w, max_seq, blocks);

	if (!r) {
		cl->errors = 0;
		return 0;
	}
	if (!vci_cache_is_failed(w->cache))
		DMWARN_LIMIT("%s: write-back failed: error %d; it will be tried again",
			     w->name, r);
	pass_by(cl);
	return r;
}

/**
 * vci_cleaner_tick() - write back some of what is dirty, if it is time to
 * @w: attached writer
 * @busy: there is I/O of users
 *
 * By the writer's thread.  May sleep.  Return: milliseconds until there is more to
 * do, or VCI_CLEANER_IDLE.
 */
unsigned int vci_cleaner_tick(struct vci_writer *w, bool busy)
{
	struct vci_cleaner *cl = &w->cleaner;
	struct vci_writeback before = cl->pass;
	unsigned long begin = jiffies;
	enum vci_hurry hurry;
	u64 max_seq;
	int r;

	if (vci_cache_is_failed(w->cache))
		return VCI_CLEANER_IDLE;
	hurry = how_urgent(w, busy, &max_seq);
	if (hurry == NOTHING_TO_DO)
		return VCI_CLEANER_IDLE;
	if (hurry == URGENT && time_before(jiffies, cl->rests_until))
		return jiffies_to_msecs(cl->rests_until - jiffies);
	if (hurry == PACED)
		cl->last_paced = jiffies;
	r = tick_round(w, max_seq, hurry == AT_ONCE ? VCI_ROUND_LARGE : VCI_ROUND_SMALL);
	if (is_held_up(&cl->pass, &before) || (cl->pass.off >= cl->end && !end_pass(w)))
		return VCI_CLEANER_IDLE;
	if (r || hurry == PACED || cl->no_room >= VCI_NO_ROOM_TRIES)
		return VCI_CLEANER_IDLE;
	return hurry == URGENT ? rest(w, begin) : 0;
}

/* ---- flush ---- */

static int flush_round(struct vci_writer *w, struct vci_writeback *wb, int *tries)
{
	int r;

	mutex_lock(&w->serial);
	r = vci_cache_writeback(w->cache, wb, VCI_ROUND_LARGE);
	if (r == -ENOSPC && --*tries)
		r = vci_cache_maintain(w->cache, false);
	else
		*tries = VCI_FLUSH_TRIES;
	mutex_unlock(&w->serial);
	return r;
}

/*
 * Writes over dirty data are dirty in any mode, but where nothing is dirty any more
 * there are none: so without writeback this comes to an end, but for what is
 * overwritten faster than it is written back, which is given up after a while.
 */
static bool needs_another_pass(struct vci_writer *w, const struct vci_writeback *wb,
			       int *passes)
{
	if (wb->skipped)
		return true;
	return READ_ONCE(w->cleaner.always) && vci_cache_dirty_blocks(w->cache) &&
	       --*passes > 0;
}

/* For who looks at the status. */
static void show_progress(struct vci_cleaner *cl, u64 todo, const struct vci_writeback *wb)
{
	WRITE_ONCE(cl->flush_left, todo > wb->blocks ? todo - wb->blocks : 0);
}

/* Another pass begins at the start, when what was in the way may have gone. */
static void begin_again(struct vci_writer *w, struct vci_writeback *wb)
{
	wb->off = 0;
	wb->skipped = 0;
	wb->error = 0;
	if (READ_ONCE(w->cleaner.always))
		wb->max_seq = U64_MAX;
	msleep_interruptible(VCI_FLUSH_WAIT_MS);
}

/**
 * vci_cleaner_flush() - write back all that is dirty now
 * @w: attached writer
 *
 * May sleep, may take long.  In writeback mode, what is written meanwhile may stay
 * dirty; in others nothing is dirty afterwards, but for what is overwritten all the
 * time.  Return: 0, -EINTR, or an error: then it was not all.
 */
int vci_cleaner_flush(struct vci_writer *w)
{
	struct vci_cleaner *cl = &w->cleaner;
	struct vci_writeback wb = { 0 }, before;
	int r = 0, tries = VCI_FLUSH_TRIES, passes = VCI_FLUSH_PASSES;
	u64 todo = vci_cache_dirty_blocks(w->cache);

	wb.max_seq = READ_ONCE(cl->always) ? U64_MAX : vci_cache_log_seq(w->cache);
	while (!r && wb.off < cl->end) {
		show_progress(cl, todo, &wb);
		before = wb;
		r = flush_round(w, &wb, &tries);
		if (!r && wb.off >= cl->end && needs_another_pass(w, &wb, &passes))
			begin_again(w, &wb);
		else if (!r && is_held_up(&wb, &before))
			msleep_interruptible(VCI_FLUSH_WAIT_MS);
		/* Suspending waits for us, and all I/O waits for that. */
		if (!r && (signal_pending(current) || !READ_ONCE(w->taking)))
			r = -EINTR;
		cond_resched();
	}
	WRITE_ONCE(cl->flush_left, 0);
	/* What could not be written held up nothing else. */
	return r ? r : wb.error;
}

/**
 * vci_cleaner_start() - begin anew, with a cache that was just attached
 * @w: writer
 * @end: of the device, in blocks
 */
void vci_cleaner_start(struct vci_writer *w, u64 end)
{
	struct vci_cleaner *cl = &w->cleaner;

	cl->end = end;
	cl->clean_seq = 0;
	cl->errors = 0;
	cl->no_room = 0;
	cl->nr_samples = 0;
	cl->last_paced = jiffies;
	cl->rests_until = jiffies;
	begin_pass(w);
}
