// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recovery: reading the log that a crash left.
 *
 * Each batch counts that is whole, of the epoch its segment's ordinal belongs
 * to, and newer than the checkpoint (vci-log.h, L1-L4).  Entries whose data
 * doesn't match their checksum are left out one by one (O6).  The others wait
 * by region until they are wanted (vci-redo.h); the tree isn't read here, and
 * nothing is written.
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
 * found, in a segment behind the last one that holds a batch.  What it read it
 * flushed before it wrote its header, and overwrites at the earliest after the
 * next checkpoint: in the segments behind, of which it reuses, it had found no
 * batch.  So a later recovery finds the same batches of each older epoch, the
 * same holes, the same stamps, and comes to the same judgement and the same
 * number for the first batch of the next epoch: if that one is missing and a
 * stamp behind it covers it, that is seen too.  And if a batch that was found
 * then is damaged now, it is one of those up to the header's durable_seq, or the
 * last of its epoch, which leaves a gap before the stamps of the next one, or a
 * hole behind an older hole: that alone passes for torn.
 */
#include "vci-cache-internal.h"

#define READ_BLOCKS	(4 * VCI_BATCH_BLOCKS_MAX)	/* of a segment, at once */
#define TORN_MAX	8u	/* ranges of an epoch that a message can name */

struct torn {
	u64 seq, off;
	u32 blocks;
};

struct replay {
	struct vci_cache *c;
	struct vci_open_report *report;
	u8 *buf;			/* a piece of a segment: */
	u32 buf_blocks;			/* its size */
	u32 at, have;			/* from this block on, so many */
	struct vci_entry *entries;
	u32 *names;			/* segment of each ordinal that is named */
	u32 nr_names;
	u32 last;			/* last ordinal that held a batch */
	u64 seq;			/* newest one taken */
	u64 first_missing;		/* of all that are missing or torn; 0: none */
	/* Of the epoch that is being read: */
	u64 epoch;
	u64 missing;			/* oldest one missing or torn; 0: none */
	u64 durable;			/* newest stamp */
	u32 nr_torn;
	struct torn torn[TORN_MAX];
};

static u64 epoch_of(const struct vci_header *h, u32 ordinal)
{
	u64 epoch = 0;
	u32 i;

	for (i = 0; i < h->nr_epochs; i++)
		if (h->epochs[i].ordinal <= ordinal)
			epoch = h->epochs[i].epoch;
	return epoch;
}

/* Which change of the tree an entry means; false: none. */
static bool entry_change(struct replay *rp, const struct vci_entry *e,
			 struct vci_change *ch)
{
	*ch = (struct vci_change) {
		.e = { .off = e->off, .blocks = e->blocks, .addr = e->addr,
		       .flags = e->flags, .heat = e->heat },
		.old_addr = e->old_addr,
	};
	switch (e->kind) {
	case VCI_ENTRY_FILL:
		ch->kind = VCI_CHANGE_FILL;
		return true;
	case VCI_ENTRY_WRITE:
		ch->kind = VCI_CHANGE_INSERT;
		return true;
	case VCI_ENTRY_MOVE:
		ch->kind = VCI_CHANGE_REPLACE;
		return true;
	case VCI_ENTRY_CLEAN:
		rp->c->ordered_addr = e->old_addr;
		ch->kind = VCI_CHANGE_REPLACE;
		ch->e.addr = e->old_addr;
		return true;
	case VCI_ENTRY_DROP:
		ch->kind = VCI_CHANGE_REMOVE;
		return true;
	default:
		return false;
	}
}

static void note_missing(struct replay *rp, u64 seq)
{
	if (!rp->missing || seq < rp->missing)
		rp->missing = seq;
	if (!rp->first_missing || seq < rp->first_missing)
		rp->first_missing = seq;
}

static void note_torn(struct replay *rp, const struct vci_entry *e)
{
	note_missing(rp, rp->seq);
	rp->report->torn++;
	if (rp->nr_torn < TORN_MAX)
		rp->torn[rp->nr_torn++] = (struct torn) {
			.seq = rp->seq, .off = e->off, .blocks = e->blocks,
		};
}

/* ---- what is missing ---- */

static void report_damage(struct replay *rp, u64 durable)
{
	const char *name = rp->c->dev->name;
	u32 i;

	rp->report->log_damaged = true;
	vci_warn("%s: the log is damaged from batch %llu on, though it was durable up to %llu",
		 name, rp->missing, durable);
	for (i = 0; i < rp->nr_torn; i++)
		if (rp->torn[i].seq <= durable)
			vci_warn("%s: batch %llu: what was cached of %u blocks from %llu of the backing device is damaged",
				 name, rp->torn[i].seq, rp->torn[i].blocks,
				 rp->torn[i].off);
}

/* The next epoch begins with the number behind this one's last. */
static void end_epoch(struct replay *rp)
{
	u64 durable = max(rp->durable, rp->c->header.durable_seq);

	if (rp->missing && rp->missing <= durable)
		report_damage(rp, durable);
	rp->durable = 0;
	rp->missing = 0;
	rp->nr_torn = 0;
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
}

/* ---- batches ---- */

static u8 *data_at(const struct replay *rp, u32 pos)
{
	return rp->buf + (size_t)(pos - rp->at) * VCI_BLOCK_SIZE;
}

static bool is_torn(const struct vci_entry *e, const u8 *data)
{
	return !(e->flags & VCI_EXT_NOCSUM) &&
	       vci_data_crc(data, e->blocks) != e->data_crc;
}

static int replay_entry(struct replay *rp, const struct vci_entry *e, u64 segment_addr)
{
	struct vci_change ch;

	if (vci_entry_has_data(e->kind) &&
	    is_torn(e, data_at(rp, e->addr - segment_addr))) {
		note_torn(rp, e);
		return 0;
	}
	if (!entry_change(rp, e, &ch))
		return 0;
	rp->report->entries++;
	rp->report->replayed_blocks += e->blocks;
	return vci_redo_add(&rp->c->redo, &ch);
}

/*
 * Within an epoch no segment is opened twice; but those in which a crash left
 * nothing are free again in the next.
 */
static u32 max_names(const struct vci_cache *c)
{
	return VCI_EPOCHS * c->segments.nr + 1 + VCI_QUEUE;
}

/* Names the segments that a batch says follow its own. */
static void learn_names(struct replay *rp, u32 ordinal, const u32 *next)
{
	u32 i;

	for (i = 0; i < VCI_WINDOW && next[i] < rp->c->segments.nr; i++) {
		if (ordinal + 1 + i >= max_names(rp->c))
			return;
		rp->names[ordinal + 1 + i] = next[i];
		rp->nr_names = max(rp->nr_names, ordinal + 2 + i);
	}
}

static int replay_batch(struct replay *rp, u32 ordinal, u64 segment_addr,
			const struct vci_batch_info *info)
{
	struct vci_segments *t = &rp->c->segments;
	u32 s = rp->names[ordinal], i;
	int r = 0;

	if (t->s[s].life != VCI_LIFE_CLOSED) {
		spin_lock(vci_cache_lock(rp->c));
		vci_segment_set(t, s, VCI_LIFE_CLOSED);
		t->s[s].seq = info->seq;
		spin_unlock(vci_cache_lock(rp->c));
	}
	if (info->epoch != rp->epoch)
		end_epoch(rp);
	rp->epoch = info->epoch;
	if (info->seq != rp->seq + 1)
		note_missing(rp, rp->seq + 1);
	rp->durable = max(rp->durable, info->durable_seq);
	rp->last = ordinal;
	rp->seq = info->seq;
	for (i = 0; !r && i < info->nr_entries; i++)
		r = replay_entry(rp, &rp->entries[i], segment_addr);
	learn_names(rp, ordinal, info->next);
	rp->report->batches++;
	return r;
}

static bool batch_counts(struct replay *rp, u32 ordinal, u64 addr, u32 room,
			 const void *unit, struct vci_batch_info *info)
{
	const struct vci_header *h = &rp->c->header;

	return !vci_batch_check(unit, h->uuid, addr, room, h->backing_blocks, info,
				rp->entries, NULL) &&
	       info->seq > rp->seq && info->epoch == epoch_of(h, ordinal);
}

/* Reads on, until the buffer holds what a batch at @pos may need. */
static int read_on(struct replay *rp, u64 segment_addr, u32 pos)
{
	u32 left = rp->c->segments.blocks - pos, keep = rp->at + rp->have - pos;
	int r;

	if (keep >= min(left, VCI_BATCH_BLOCKS_MAX))
		return 0;
	memmove(rp->buf, data_at(rp, pos), (size_t)keep * VCI_BLOCK_SIZE);
	rp->at = pos;
	rp->have = min(left, rp->buf_blocks);
	r = vci_read(rp->c->dev, segment_addr + pos + keep, rp->have - keep,
		     data_at(rp, pos + keep));
	cond_resched();
	return r;
}

static int replay_segment(struct replay *rp, u32 ordinal, u32 pos)
{
	struct vci_cache *c = rp->c;
	u32 blocks = c->segments.blocks;
	u64 addr = vci_segment_addr(&c->segments, rp->names[ordinal]);
	struct vci_batch_info info;
	int r = 0;

	rp->at = pos;
	rp->have = 0;
	/* L3: nothing in its first unit, nothing that was flushed. */
	if (!pos) {
		r = vci_read(c->dev, addr, VCI_UNIT_BLOCKS, rp->buf);
		if (r || !batch_counts(rp, ordinal, addr, blocks, rp->buf, &info))
			return r;
		rp->have = VCI_UNIT_BLOCKS;
	}
	while (!r && pos < blocks) {
		r = read_on(rp, addr, pos);
		if (r)
			break;
		if (!batch_counts(rp, ordinal, addr + pos, blocks - pos,
				  data_at(rp, pos), &info)) {
			pos += VCI_UNIT_BLOCKS;
			continue;
		}
		r = replay_batch(rp, ordinal, addr, &info);
		pos += info.blocks;
	}
	return r;
}

static int replay_log(struct replay *rp)
{
	const struct vci_header *h = &rp->c->header;
	u32 i;
	int r = 0;

	rp->seq = h->checkpoint_seq;
	rp->epoch = epoch_of(h, 0);
	rp->names[0] = h->log_segment;
	rp->nr_names = 1;
	for (i = 0; i < VCI_QUEUE && h->queue[i] < rp->c->segments.nr; i++)
		rp->names[rp->nr_names++] = h->queue[i];
	if (h->log_segment != VCI_NO_SEGMENT)
		r = replay_segment(rp, 0, h->log_used);
	for (i = 1; !r && i < rp->nr_names; i++)
		r = replay_segment(rp, i, 0);
	return r;
}

/* The log goes on in a new segment, with what the old one named next. */
static void resume_log(struct replay *rp)
{
	struct vci_log *log = &rp->c->log;
	u32 i;

	spin_lock(vci_cache_lock(rp->c));
	log->seq = rp->seq;
	log->completed_seq = log->seq;
	log->durable_seq = log->seq;
	log->ordinal = rp->last;
	for (i = rp->last + 1; i < rp->nr_names && log->nr_queue < VCI_QUEUE; i++) {
		log->queue[log->nr_queue++] = rp->names[i];
		vci_segment_set(&rp->c->segments, rp->names[i], VCI_LIFE_QUEUED);
	}
	log->named_durable = rp->last + log->nr_queue;
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
	int r = vci_redo_init(&c->redo, c->intent.nr_regions, c->intent.log2);

	if (r)
		return r;
	drop_marked(c, rp->report);
	r = replay_log(rp);
	if (r)
		return r;
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
	int r = -ENOMEM;

	rp.buf_blocks = min(c->segments.blocks, READ_BLOCKS);
	rp.buf = kvmalloc((size_t)rp.buf_blocks * VCI_BLOCK_SIZE, GFP_KERNEL);
	rp.entries = kvcalloc(VCI_BATCH_ENTRIES_MAX, sizeof(*rp.entries), GFP_KERNEL);
	rp.names = kvcalloc(max_names(c), sizeof(u32), GFP_KERNEL);
	if (rp.buf && rp.entries && rp.names)
		r = replay(&rp);
	kvfree(rp.buf);
	kvfree(rp.entries);
	kvfree(rp.names);
	if (r || !report->log_damaged || !(c->header.flags & VCI_HDR_DIRTY))
		return r;
	if (force) {
		report->forced = true;
		return 0;
	}
	*why = lost_dirty;
	return -EILSEQ;
}
