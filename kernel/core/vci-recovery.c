// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recovery: judging the log that a crash left.
 *
 * Each batch counts that is whole, of the right epoch and newer than the
 * checkpoint (vci-scan.c, vci-log.h L1-L4).  Here they are taken in the order of
 * their numbers, whatever segments they lie in; their changes wait by region until
 * they are wanted (vci-redo.h).  The tree isn't read here, and nothing is written.
 *
 * WHAT IS MISSING (O5).  Sequence numbers have no gaps, so what is missing is
 * known; if it was durable it is damage, else a torn tail.  It was durable
 *
 *  - up to the header's durable_seq, which an activation raises to the last one
 *    before the first that was missing then: all those it had found and flushed;
 *  - up to the newest stamp in the batches of its own epoch.
 *
 * Stamps of later epochs don't count: the activation that began such an epoch
 * went on behind the holes.  It began at the number behind the last batch that it
 * found, in segments that held none.  What it read it flushed before it wrote its
 * header, and overwrites at the earliest after the next checkpoint: in the segments
 * that it reuses it had found no batch.  So a later recovery finds the same batches
 * of each older epoch, the same holes, the same stamps, and comes to the same
 * judgement and the same number for the first batch of the next epoch: if that one
 * is missing and a stamp behind it covers it, that is seen too.  And if a batch that
 * was found then is damaged now, it is one of those up to the header's durable_seq,
 * or the last of its epoch, which leaves a gap before the stamps of the next one, or
 * a hole behind an older hole: that alone passes for torn.
 */
#include "vci-cache-internal.h"
#include "vci-scan.h"

struct replay {
	struct vci_cache *c;
	struct vci_open_report *report;
	struct vci_scan scan;
	u64 seq;			/* newest one taken */
	u64 first_missing;		/* of all that are missing or torn; 0: none */
	/* Of the epoch that is at it: */
	u32 epoch;			/* index in the header's list */
	u64 begin;			/* its first number */
	u64 missing;			/* oldest one missing or torn; 0: none */
	u64 durable;			/* newest stamp */
};

static void note_missing(struct replay *rp, u64 seq)
{
	if (!rp->missing)
		rp->missing = seq;
	if (!rp->first_missing)
		rp->first_missing = seq;
}

/* ---- what is missing ---- */

static void report_damage(struct replay *rp, u64 durable)
{
	const struct vci_scan *sc = &rp->scan;
	const char *name = rp->c->dev->name;
	u32 i;

	rp->report->log_damaged = true;
	vci_warn("%s: the log is damaged from batch %llu on, though it was durable up to %llu",
		 name, rp->missing, durable);
	for (i = 0; i < min(sc->nr_torn, VCI_TORN_MAX); i++)
		if (sc->torn[i].seq >= rp->begin && sc->torn[i].seq <= durable &&
		    sc->torn[i].seq <= rp->seq)
			vci_warn("%s: batch %llu: what was cached of %u blocks from %llu of the backing device is damaged",
				 name, sc->torn[i].seq, sc->torn[i].blocks,
				 sc->torn[i].off);
}

/* The next epoch begins with the number behind this one's last. */
static void end_epoch(struct replay *rp)
{
	u64 durable = max(rp->durable, rp->c->header.durable_seq);

	if (rp->missing && rp->missing <= durable)
		report_damage(rp, durable);
	rp->durable = 0;
	rp->missing = 0;
	rp->begin = rp->seq + 1;
}

static void end_log(struct replay *rp)
{
	struct vci_header *h = &rp->c->header;
	u64 found;

	if (rp->seq < h->durable_seq)
		note_missing(rp, rp->seq + 1);
	end_epoch(rp);
	/* What is lost is lost; but the next crash should not tell of it again. */
	if (rp->report->log_damaged)
		WRITE_ONCE(rp->c->checkpoint_due, true);
	rp->seq = max(rp->seq, h->durable_seq);
	/* The activation writes it to the device, behind its flush. */
	found = rp->first_missing ? rp->first_missing - 1 : rp->seq;
	h->durable_seq = max(h->durable_seq, found);
	/* Those behind it left nothing: the next one takes their place. */
	if (h->nr_epochs > rp->epoch + 1) {
		memset(&h->epochs[rp->epoch + 1], 0,
		       (h->nr_epochs - rp->epoch - 1) * sizeof(h->epochs[0]));
		h->nr_epochs = rp->epoch + 1;
	}
}

static void replay_batch(struct replay *rp, const struct vci_found *f)
{
	/* A number is given out once: it is a forgery, or a device that is mad. */
	if (f->seq <= rp->seq)
		return;
	if (f->epoch != rp->epoch)
		end_epoch(rp);
	rp->epoch = f->epoch;
	if (f->seq != rp->seq + 1)
		note_missing(rp, rp->seq + 1);
	if (f->torn)
		note_missing(rp, f->seq);
	rp->durable = max(rp->durable, f->durable_seq);
	rp->seq = f->seq;
	if (f->clean_addr)
		rp->c->ordered_addr = f->clean_addr;
	vci_redo_link(&rp->c->redo, f->first, f->nr);
}

/*
 * The log goes on in segments that were named, and held nothing: their names are
 * durable, as what names them was found, and is flushed before the header.
 */
static void resume_log(struct replay *rp)
{
	struct vci_segments *t = &rp->c->segments;
	struct vci_log *log = &rp->c->log;
	u32 i;

	spin_lock(vci_cache_lock(rp->c));
	log->seq = rp->seq;
	log->completed_seq = log->seq;
	log->durable_seq = log->seq;
	for (i = 0; i < rp->scan.nr_names && log->nr_queue < VCI_QUEUE; i++) {
		u32 segment = rp->scan.names[i];

		if (t->s[segment].life != VCI_LIFE_FREE)
			continue;
		log->queue[log->nr_queue++] = segment;
		vci_segment_set(t, segment, VCI_LIFE_QUEUED);
	}
	log->named_durable = log->nr_queue;
	log->named_completed = log->named_durable;
	spin_unlock(vci_cache_lock(rp->c));
}

/* What is clean in a marked region goes when all is replayed (O1). */
static void drop_marked(struct vci_cache *c, struct vci_open_report *report)
{
	u32 i;

	for (i = vci_intent_next(&c->intent, 0); i < c->intent.nr_regions;
	     i = vci_intent_next(&c->intent, i + 1)) {
		vci_redo_drop(&c->redo, i);
		report->regions_marked++;
	}
}

static int replay(struct replay *rp)
{
	struct vci_cache *c = rp->c;
	u32 i;
	int r = vci_redo_init(&c->redo, c->intent.nr_regions, c->intent.log2);

	if (r)
		return r;
	drop_marked(c, rp->report);
	r = vci_scan_log(&rp->scan, c, rp->report);
	if (r)
		return r;
	rp->seq = c->header.checkpoint_seq;
	rp->begin = rp->seq + 1;
	for (i = 0; i < rp->scan.nr_found; i++)
		replay_batch(rp, &rp->scan.found[i]);
	end_log(rp);
	resume_log(rp);
	return 0;
}

static const char lost_dirty[] =
	"The log is damaged and may have held dirty data: activate with feature force to lose it";

/**
 * vci_recover() - read the log after a crash
 * @c: cache, checkpoint loaded
 * @force: go on though dirty data is lost
 * @report: what was found
 * @why: words for the user, if dirty data is lost
 *
 * May sleep.  Writes nothing.  What is found waits in c->redo.  Return: 0,
 * -EILSEQ, -ENOMEM or the device's error.
 */
int vci_recover(struct vci_cache *c, bool force, struct vci_open_report *report,
		const char **why)
{
	struct replay rp = { .c = c, .report = report };
	int r = replay(&rp);

	vci_scan_destroy(&rp.scan);
	if (r || !report->log_damaged || !(c->header.flags & VCI_HDR_DIRTY))
		return r;
	if (force) {
		report->forced = true;
		return 0;
	}
	*why = lost_dirty;
	return -EILSEQ;
}
