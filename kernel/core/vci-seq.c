// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs of requests: see vci-seq.h.
 */
#include "vci-ondisk.h"
#include "vci-seq.h"

/**
 * vci_seq_init() - no run is known yet
 * @s: to set up
 * @cutoff: bytes; 0: no run is too long
 */
void vci_seq_init(struct vci_seq *s, u64 cutoff)
{
	memset(s, 0, sizeof(*s));
	spin_lock_init(&s->lock);
	s->cutoff = cutoff;
}

static u64 distance(u64 a, u64 b)
{
	return a < b ? b - a : a - b;
}

/*
 * The run whose end is nearest, if one is near: to where the request begins, or to where
 * it ends, for it may be the same request once more.
 */
static struct vci_seq_run *find_run(struct vci_seq *s, u64 off, u32 blocks)
{
	struct vci_seq_run *r, *best = NULL;
	u64 least = VCI_SEQ_NEAR + 1;

	for (r = s->run; r < s->run + VCI_SEQ_RUNS; r++) {
		u64 from = min(distance(off, r->end), distance(off + blocks, r->end));

		if (from < least) {
			least = from;
			best = r;
		}
	}
	return best;
}

static struct vci_seq_run *begin_run(struct vci_seq *s, u64 off)
{
	struct vci_seq_run *r, *oldest = s->run;

	for (r = s->run; r < s->run + VCI_SEQ_RUNS; r++)
		if (r->last < oldest->last)
			oldest = r;
	oldest->start = off;
	oldest->end = off;
	return oldest;
}

/**
 * vci_seq_is_long() - note a request, and judge it
 * @s: table of its kind of requests
 * @off: first block
 * @blocks: how many, not 0
 *
 * Task context.  Without a cutoff nothing is noted, and no lock taken.  Return: true if
 * its run, from where that began to where it ends now, is longer than the cutoff.
 */
bool vci_seq_is_long(struct vci_seq *s, u64 off, u32 blocks)
{
	u64 cutoff = READ_ONCE(s->cutoff), length;
	struct vci_seq_run *r;

	if (!cutoff)
		return false;
	spin_lock(&s->lock);
	r = find_run(s, off, blocks);
	if (!r)
		r = begin_run(s, off);
	r->end = max(r->end, off + blocks);
	r->last = ++s->clock;
	length = r->end - r->start;
	spin_unlock(&s->lock);
	return length > cutoff / VCI_BLOCK_SIZE;
}
