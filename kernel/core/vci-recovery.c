// SPDX-License-Identifier: GPL-2.0-only
/*
 * Activation: from an image to a cache, whatever a crash left of it.
 *
 * A clean image is its checkpoint.  After a crash the log is replayed: each
 * batch that is whole, of the epoch its segment's ordinal belongs to, and newer
 * than the checkpoint (vci-log.h, L1-L4).  Entries whose data doesn't match
 * their checksum are dropped one by one (O6).  Then all clean mappings in marked
 * regions go (O1).  Nothing is written before the header that opens the new
 * epoch, and that is written after a flush of both devices (O10, O11).
 */
#include "vci-cache-internal.h"

struct replay {
	struct vci_cache *c;
	struct vci_open_report *report;
	u8 *segment;			/* buffer of a whole one */
	struct vci_entry *entries;
	u32 *names;			/* segment of each ordinal that is named */
	u32 nr_names;
	u32 last;			/* last ordinal that held a batch */
	u64 seq;			/* newest one taken */
	u64 missing;			/* oldest one missing or torn, 0 none */
	u64 durable;			/* those up to it can't be torn (O5) */
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
static bool entry_change(const struct vci_entry *e, struct vci_change *ch)
{
	*ch = (struct vci_change) {
		.e = { .off = e->off, .blocks = e->blocks, .addr = e->addr,
		       .flags = e->flags, .heat = e->heat },
		.old_addr = e->old_addr,
	};
	switch (e->kind) {
	case VCI_ENTRY_FILL:
		/* What of it lies in a marked region goes when all is replayed. */
		ch->kind = VCI_CHANGE_FILL;
		return true;
	case VCI_ENTRY_WRITE:
		ch->kind = VCI_CHANGE_INSERT;
		return true;
	case VCI_ENTRY_MOVE:
		ch->kind = VCI_CHANGE_REPLACE;
		return true;
	case VCI_ENTRY_CLEAN:
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
}

static int replay_entry(struct replay *rp, const struct vci_entry *e,
			const u8 *segment, u64 segment_addr)
{
	struct vci_change ch;
	int r;

	if (vci_entry_has_data(e->kind) && !(e->flags & VCI_EXT_NOCSUM) &&
	    vci_data_crc(segment + (e->addr - segment_addr) * VCI_BLOCK_SIZE,
			 e->blocks) != e->data_crc) {
		rp->report->torn++;
		note_missing(rp, rp->seq);
		return 0;
	}
	if (!entry_change(e, &ch))
		return 0;
	r = vci_cache_change(rp->c, &ch);
	if (r)
		return r;
	rp->report->entries++;
	rp->report->replayed_blocks += e->blocks;
	return 0;
}

/* Names the segments that a batch says follow its own. */
static void learn_names(struct replay *rp, u32 ordinal, const u32 *next)
{
	u32 i;

	for (i = 0; i < VCI_WINDOW && next[i] < rp->c->segments.nr; i++) {
		if (ordinal + 1 + i > rp->c->segments.nr)
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
	if (info->seq != rp->seq + 1)
		note_missing(rp, rp->seq + 1);
	rp->durable = max(rp->durable, info->durable_seq);
	rp->last = ordinal;
	rp->seq = info->seq;
	for (i = 0; !r && i < info->nr_entries; i++)
		r = replay_entry(rp, &rp->entries[i], rp->segment, segment_addr);
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

static int replay_segment(struct replay *rp, u32 ordinal, u32 pos)
{
	struct vci_cache *c = rp->c;
	u32 blocks = c->segments.blocks;
	u64 addr = vci_segment_addr(&c->segments, rp->names[ordinal]);
	struct vci_batch_info info;
	int r = 0;

	/* L3: nothing in its first unit, nothing that was flushed. */
	if (!pos) {
		r = vci_read(c->dev, addr, VCI_UNIT_BLOCKS, rp->segment);
		if (r || !batch_counts(rp, ordinal, addr, blocks, rp->segment, &info))
			return r;
	}
	if (pos < blocks)
		r = vci_read(c->dev, addr + pos, blocks - pos,
			     rp->segment + (size_t)pos * VCI_BLOCK_SIZE);
	while (!r && pos < blocks) {
		if (!batch_counts(rp, ordinal, addr + pos, blocks - pos,
				  rp->segment + (size_t)pos * VCI_BLOCK_SIZE, &info)) {
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
	rp->durable = h->durable_seq;
	rp->names[0] = h->log_segment;
	rp->nr_names = 1;
	for (i = 0; i < VCI_QUEUE && h->queue[i] < rp->c->segments.nr; i++)
		rp->names[rp->nr_names++] = h->queue[i];
	if (h->log_segment != VCI_NO_SEGMENT)
		r = replay_segment(rp, 0, h->log_used);
	for (i = 1; !r && i < rp->nr_names && i <= rp->c->segments.nr; i++)
		r = replay_segment(rp, i, 0);
	return r;
}

/*
 * O5: what is missing below the durable stamp was damaged, above it torn.  From
 * now on all that is left is durable, so a hole must not be seen again.
 */
static void judge_missing(struct replay *rp)
{
	if (rp->seq < rp->durable)
		note_missing(rp, rp->seq + 1);
	rp->c->checkpoint_due = rp->missing;
	if (!rp->missing || rp->missing > rp->durable)
		return;
	rp->report->log_damaged = true;
	vci_warn("%s: the log is damaged from batch %llu on, though it was written up to %llu: what it cached is lost",
		 rp->c->dev->name, rp->missing, rp->durable);
}

/* The log goes on in a new segment, with what the old one named next. */
static void resume_log(struct replay *rp)
{
	struct vci_log *log = &rp->c->log;
	u32 i;

	spin_lock(vci_cache_lock(rp->c));
	log->seq = max(rp->seq, rp->durable);
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

static int drop_marked(struct vci_cache *c, struct vci_open_report *report)
{
	u64 before = c->stats.data_blocks;
	u32 i;
	int r = 0;

	for (i = vci_intent_next(&c->intent, 0); !r && i < c->intent.nr_regions;
	     i = vci_intent_next(&c->intent, i + 1)) {
		u64 off = (u64)i << c->intent.log2;

		report->regions_marked++;
		r = vci_cache_unmap(c, off, min(1ull << c->intent.log2,
						c->header.backing_blocks - off), true);
	}
	report->dropped_blocks = before - c->stats.data_blocks;
	return r;
}

/**
 * vci_recover() - replay the log after a crash
 * @c: cache, checkpoint loaded
 * @report: what was found
 *
 * May sleep.  Writes nothing.  Return: 0, -EILSEQ, -ENOMEM or the device's error.
 */
int vci_recover(struct vci_cache *c, struct vci_open_report *report)
{
	struct replay rp = { .c = c, .report = report };
	int r = -ENOMEM;

	rp.segment = kvmalloc((size_t)c->segments.blocks * VCI_BLOCK_SIZE, GFP_KERNEL);
	rp.entries = kvcalloc(VCI_BATCH_ENTRIES_MAX, sizeof(*rp.entries), GFP_KERNEL);
	rp.names = kvcalloc(c->segments.nr + 1 + VCI_QUEUE, sizeof(u32), GFP_KERNEL);
	if (rp.segment && rp.entries && rp.names)
		r = replay_log(&rp);
	if (!r) {
		judge_missing(&rp);
		resume_log(&rp);
		r = drop_marked(c, report);
	}
	kvfree(rp.segment);
	kvfree(rp.entries);
	kvfree(rp.names);
	return r;
}
