// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading the log: see vci-scan.h.
 *
 * WHAT COUNTS (L3, L4).  In a segment that was open at the checkpoint: batches of
 * the checkpoint's epoch.  In a named one: those of the epoch of the batch in its
 * first unit; if there is none, nothing in it was flushed.  In either only those
 * that are newer than the checkpoint and than what lies before them: what an older
 * life left has a number that the checkpoint covers, or another epoch.
 */
#include "vci-cache-internal.h"
#include "vci-scan.h"

#define READ_BLOCKS	(4 * VCI_BATCH_BLOCKS_MAX)	/* of a segment, at once */
#define FOUND_MIN	256u	/* room for batches, doubled when full */
#define NO_EPOCH	VCI_EPOCHS	/* not known yet */

static_assert(sizeof(struct vci_found) == 32);

struct reader {
	struct vci_scan *sc;
	struct vci_cache *c;
	struct vci_open_report *report;
	struct vci_entry *entries;
	u8 *buf;			/* a piece of a segment: */
	u32 buf_blocks;			/* its size */
	u32 at, have;			/* from this block on, so many */
	/* The segment: */
	u32 segment;
	u64 addr;
	u64 seq;			/* of the last batch in it, or the checkpoint */
	u32 epoch;			/* of its batches: index in the header's list */
};

/* ---- what a batch says ---- */

/* Which change of the tree an entry means; false: none. */
static bool entry_change(const struct vci_entry *e, struct vci_change *ch)
{
	*ch = (struct vci_change) {
		.e = { .off = e->off, .blocks = e->blocks, .addr = e->addr,
		       .flags = e->flags & ~VCI_EXT_NOCSUM, .heat = e->heat },
		.old_addr = e->old_addr,
	};
	switch (e->kind) {
	case VCI_ENTRY_FILL:
		ch->kind = VCI_CHANGE_FILL;
		return true;
	case VCI_ENTRY_WRITE:
		ch->kind = VCI_CHANGE_INSERT;
		return true;
	case VCI_ENTRY_DIRECT:
		ch->kind = VCI_CHANGE_INSERT;
		ch->e.addr = e->old_addr;
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

static void note_torn(struct reader *rd, struct vci_found *f, const struct vci_entry *e)
{
	struct vci_scan *sc = rd->sc;

	f->torn = true;
	rd->report->torn++;
	if (sc->nr_torn < VCI_TORN_MAX)
		sc->torn[sc->nr_torn] = (struct vci_torn) {
			.seq = f->seq, .off = e->off, .blocks = e->blocks,
		};
	sc->nr_torn++;
}

static u8 *data_at(const struct reader *rd, u32 pos)
{
	return rd->buf + (size_t)(pos - rd->at) * VCI_BLOCK_SIZE;
}

static bool is_torn(const struct vci_entry *e, const u8 *data)
{
	return !(e->flags & VCI_EXT_NOCSUM) &&
	       vci_data_crc(data, e->blocks) != e->data_crc;
}

/* Entries whose data doesn't match their checksum are left out one by one (O6). */
static int take_entry(struct reader *rd, struct vci_found *f, const struct vci_entry *e)
{
	struct vci_change ch;

	if (vci_entry_has_data(e->kind) && is_torn(e, data_at(rd, e->addr - rd->addr))) {
		note_torn(rd, f, e);
		return 0;
	}
	if (!entry_change(e, &ch))
		return 0;
	if (e->kind == VCI_ENTRY_CLEAN)
		f->clean_addr = e->old_addr;
	rd->report->entries++;
	rd->report->replayed_blocks += e->blocks;
	return vci_redo_add(&rd->c->redo, &ch);
}

/* Only what is free in the checkpoint can be in its log (L4). */
static void name_segment(struct reader *rd, u32 segment)
{
	const struct vci_segments *t = &rd->c->segments;
	struct vci_scan *sc = rd->sc;

	if (segment >= t->nr || t->s[segment].life != VCI_LIFE_FREE ||
	    test_bit(segment, sc->named))
		return;
	__set_bit(segment, sc->named);
	sc->names[sc->nr_names++] = segment;
}

static int grow(struct vci_scan *sc)
{
	u32 max_found = max(2 * sc->max_found, FOUND_MIN);
	struct vci_found *found = kvmalloc_array(max_found, sizeof(*found), GFP_KERNEL);

	if (!found)
		return -ENOMEM;
	if (sc->found)
		memcpy(found, sc->found, sc->nr_found * sizeof(*found));
	kvfree(sc->found);
	sc->found = found;
	sc->max_found = max_found;
	return 0;
}

/* It is in use: something of @info lies there. */
static void close_segment(struct reader *rd, u32 segment, const struct vci_batch_info *info)
{
	struct vci_segments *t = &rd->c->segments;
	struct vci_segment *s = &t->s[segment];

	if (s->life == VCI_LIFE_CLOSED)
		return;
	spin_lock(vci_cache_lock(rd->c));
	vci_segment_set(t, segment, VCI_LIFE_CLOSED);
	s->seq = info->seq;
	s->turn = vci_segment_old_turn(info->seq, segment);
	t->turns = max(t->turns, s->turn);
	s->stream = info->stream;
	spin_unlock(vci_cache_lock(rd->c));
}

static int take_batch(struct reader *rd, const struct vci_batch_info *info)
{
	struct vci_redo *redo = &rd->c->redo;
	struct vci_scan *sc = rd->sc;
	struct vci_found *f;
	u32 i;
	int r = sc->nr_found == sc->max_found ? grow(sc) : 0;

	if (r)
		return r;
	f = &sc->found[sc->nr_found++];
	*f = (struct vci_found) {
		.seq = info->seq, .durable_seq = info->durable_seq,
		.first = redo->nr_entries, .epoch = rd->epoch,
	};
	for (i = 0; !r && i < info->nr_entries; i++) {
		r = take_entry(rd, f, &rd->entries[i]);
		if (rd->entries[i].kind == VCI_ENTRY_DIRECT)
			close_segment(rd, vci_segment_of(&rd->c->segments,
							 rd->entries[i].old_addr), info);
	}
	f->nr = redo->nr_entries - f->first;
	for (i = 0; i < VCI_WINDOW; i++)
		name_segment(rd, info->next[i]);
	close_segment(rd, rd->segment, info);
	rd->seq = info->seq;
	rd->report->batches++;
	return r;
}

/* ---- segments ---- */

static u32 epoch_index(const struct vci_header *h, u64 epoch)
{
	u32 i = 0;

	while (i < h->nr_epochs && h->epochs[i] != epoch)
		i++;
	return i < h->nr_epochs ? i : NO_EPOCH;
}

/* Is there a batch that counts at @header, which is block @pos? */
static bool batch_counts(struct reader *rd, u32 pos, const void *header,
			 struct vci_batch_info *info)
{
	const struct vci_header *h = &rd->c->header;
	u32 epoch;

	if (vci_batch_check(header, h, rd->addr + pos, rd->c->segments.blocks - pos,
			    info, rd->entries, NULL))
		return false;
	epoch = epoch_index(h, info->epoch);
	if (epoch == NO_EPOCH || info->seq <= rd->seq)
		return false;
	if (rd->epoch == NO_EPOCH)
		rd->epoch = epoch;
	return epoch == rd->epoch;
}

/* Reads on, until the buffer holds what a batch at @pos may need. */
static int read_on(struct reader *rd, u32 pos)
{
	u32 left = rd->c->segments.blocks - pos, keep = rd->at + rd->have - pos;
	int r;

	if (keep >= min(left, VCI_BATCH_BLOCKS_MAX))
		return 0;
	memmove(rd->buf, data_at(rd, pos), (size_t)keep * VCI_BLOCK_SIZE);
	rd->at = pos;
	rd->have = min(left, rd->buf_blocks);
	r = vci_read(rd->c->dev, rd->addr + pos + keep, rd->have - keep,
		     data_at(rd, pos + keep));
	cond_resched();
	return r;
}

/* Step by step over what is no batch. */
static int read_batches(struct reader *rd, u32 pos)
{
	u32 blocks = rd->c->segments.blocks;
	struct vci_batch_info info;
	int r = 0;

	while (!r && pos < blocks) {
		r = read_on(rd, pos);
		if (r)
			break;
		if (!batch_counts(rd, pos, data_at(rd, pos), &info)) {
			pos += rd->c->header.batch_align;
			continue;
		}
		r = take_batch(rd, &info);
		pos += info.blocks;
	}
	return r;
}

static void go_to(struct reader *rd, u32 segment, u32 epoch)
{
	rd->segment = segment;
	rd->addr = vci_segment_addr(&rd->c->segments, segment);
	rd->seq = rd->c->header.checkpoint_seq;
	rd->epoch = epoch;
}

static int read_open(struct reader *rd, const struct vci_open_segment *o)
{
	if (o->segment == VCI_NO_SEGMENT)
		return 0;
	go_to(rd, o->segment, 0);
	rd->at = o->used;
	rd->have = 0;
	return read_batches(rd, o->used);
}

/* L3: nothing in its first unit, nothing that was flushed. */
static int read_named(struct reader *rd, u32 segment)
{
	struct vci_batch_info info;
	int r;

	go_to(rd, segment, NO_EPOCH);
	r = vci_read(rd->c->dev, rd->addr, VCI_UNIT_BLOCKS, rd->buf);
	if (r || !batch_counts(rd, 0, rd->buf, &info))
		return r;
	rd->at = 0;
	rd->have = VCI_UNIT_BLOCKS;
	return read_batches(rd, 0);
}

static int read_log(struct reader *rd)
{
	const struct vci_header *h = &rd->c->header;
	u32 i;
	int r = 0;

	for (i = 0; i < VCI_QUEUE; i++)
		name_segment(rd, h->queue[i]);
	for (i = 0; !r && i < VCI_STREAMS; i++)
		r = read_open(rd, &h->open[i]);
	/* Their number grows on the way. */
	for (i = 0; !r && i < rd->sc->nr_names; i++)
		r = read_named(rd, rd->sc->names[i]);
	return r;
}

/* Numbers are given out once; epochs ascend with them. */
static int compare(const void *a, const void *b)
{
	const struct vci_found *x = a, *y = b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/**
 * vci_scan_log() - read the log that a crash left
 * @sc: overwritten
 * @c: cache, checkpoint loaded, c->redo initialised
 * @report: counts of what was found
 *
 * May sleep.  Return: 0, -ENOMEM or the device's error.
 */
int vci_scan_log(struct vci_scan *sc, struct vci_cache *c,
		 struct vci_open_report *report)
{
	struct reader rd = { .sc = sc, .c = c, .report = report };
	int r = -ENOMEM;

	memset(sc, 0, sizeof(*sc));
	rd.buf_blocks = min(c->segments.blocks, READ_BLOCKS);
	rd.buf = kvmalloc((size_t)rd.buf_blocks * VCI_BLOCK_SIZE, GFP_KERNEL);
	rd.entries = kvcalloc(VCI_BATCH_ENTRIES_MAX, sizeof(*rd.entries), GFP_KERNEL);
	sc->names = kvcalloc(c->segments.nr, sizeof(u32), GFP_KERNEL);
	sc->named = kvcalloc(BITS_TO_LONGS(c->segments.nr), sizeof(long), GFP_KERNEL);
	if (rd.buf && rd.entries && sc->names && sc->named)
		r = read_log(&rd);
	kvfree(rd.buf);
	kvfree(rd.entries);
	if (!r && sc->nr_found)
		sort(sc->found, sc->nr_found, sizeof(*sc->found), compare, NULL);
	return r;
}

/**
 * vci_scan_destroy() - free what vci_scan_log() found
 * @sc: as it left it
 */
void vci_scan_destroy(struct vci_scan *sc)
{
	kvfree(sc->found);
	kvfree(sc->names);
	kvfree(sc->named);
	memset(sc, 0, sizeof(*sc));
}
