// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segments: see vci-segment.h.  All functions but init, load and destroy want
 * the cache's lock.
 */
#include "vci-segment.h"

/**
 * vci_segments_init() - allocate the memory of the segment table
 * @t: to set up
 * @h: header of the image
 *
 * May sleep.  Return: 0 or -ENOMEM; vci_segments_destroy() undoes both.
 */
int vci_segments_init(struct vci_segments *t, const struct vci_header *h)
{
	int r;

	memset(t, 0, sizeof(*t));
	t->addr = h->segments;
	t->nr = h->nr_segments;
	t->blocks = h->segment_blocks;
	t->blocks_log2 = ilog2(h->segment_blocks);
	t->direct = VCI_NO_SEGMENT;
	t->count[VCI_LIFE_FREE] = t->nr;
	r = vci_shadow_init(&t->table, &h->segtable);
	if (r)
		return r;
	t->young_max = 1;
	t->s = kvcalloc(t->nr, sizeof(*t->s), GFP_KERNEL);
	t->quiet = kvcalloc(t->nr, sizeof(*t->quiet), GFP_KERNEL);
	t->young = kvcalloc(t->nr, sizeof(*t->young), GFP_KERNEL);
	if (t->s && t->quiet && t->young)
		return 0;
	vci_segments_destroy(t);
	return -ENOMEM;
}

/**
 * vci_segments_destroy() - free the memory of the segment table
 * @t: zeroed or initialised
 */
void vci_segments_destroy(struct vci_segments *t)
{
	vci_shadow_destroy(&t->table);
	kvfree(t->s);
	kvfree(t->quiet);
	kvfree(t->young);
	t->s = NULL;
	t->quiet = NULL;
	t->young = NULL;
}

static struct vci_segment_disk *entry(struct vci_segments *t, u32 i)
{
	return (struct vci_segment_disk *)t->table.data + i;
}

/**
 * vci_segments_load() - read the segment table of the last checkpoint
 * @t: initialised
 * @dev: cache device
 * @h: header of the image
 * @dmg: what is wrong, if -EILSEQ
 *
 * May sleep.  Return: 0, -EILSEQ, -ENOMEM or the device's error.
 */
int vci_segments_load(struct vci_segments *t, struct vci_dev *dev,
		      const struct vci_header *h, struct vci_damage *dmg)
{
	static const u8 lives[] = {
		[VCI_SEG_FREE] = VCI_LIFE_FREE,
		[VCI_SEG_USED] = VCI_LIFE_CLOSED,
		[VCI_SEG_BAD] = VCI_LIFE_BAD,
	};
	int r = vci_shadow_load(&t->table, dev, h->uuid, h->checkpoint_gen, dmg);
	u32 i;

	for (i = 0; !r && i < t->nr; i++) {
		const struct vci_segment_disk *d = entry(t, i);

		if (d->state >= ARRAY_SIZE(lives) || d->stream >= VCI_STREAMS ||
		    le32_to_cpu(d->live_blocks) > t->blocks)
			return vci_damaged(dmg, VCI_DMG_SEG_STATE,
					   vci_segment_addr(t, i), d->state, 0,
					   -EILSEQ);
		t->s[i].seq = le64_to_cpu(d->seq);
		t->s[i].turn = vci_segment_old_turn(t->s[i].seq, i);
		t->turns = max(t->turns, t->s[i].turn);
		t->s[i].live = le32_to_cpu(d->live_blocks);
		t->s[i].stream = d->stream;
		vci_segment_set(t, i, lives[d->state]);
	}
	return r;
}

/**
 * vci_segment_set() - let a segment lead another life
 * @t: table
 * @i: segment
 * @life: the new one
 */
void vci_segment_set(struct vci_segments *t, u32 i, enum vci_segment_life life)
{
	t->count[t->s[i].life]--;
	t->count[life]++;
	t->s[i].life = life;
}

/**
 * vci_segment_take_free() - queue the next free segment, round robin
 * @t: table
 *
 * Return: its number, VCI_NO_SEGMENT if there is none.
 */
u32 vci_segment_take_free(struct vci_segments *t)
{
	u32 k, i;

	for (k = 0; t->count[VCI_LIFE_FREE] && k < t->nr; k++) {
		i = t->cursor;
		t->cursor = i + 1 < t->nr ? i + 1 : 0;
		if (t->s[i].life != VCI_LIFE_FREE)
			continue;
		vci_segment_set(t, i, VCI_LIFE_QUEUED);
		return i;
	}
	return VCI_NO_SEGMENT;
}

/* The oldest of what is young isn't any more. */
static void grow_up(struct vci_segments *t)
{
	u32 oldest = (t->young_at + t->nr - t->nr_young) % t->nr;

	WRITE_ONCE(t->quiet[t->young[oldest]], false);
	t->nr_young--;
}

static void note_young(struct vci_segments *t, u32 i)
{
	while (t->nr_young && t->nr_young >= t->young_max)
		grow_up(t);
	WRITE_ONCE(t->quiet[i], true);
	t->young[t->young_at] = i;
	t->young_at = (t->young_at + 1) % t->nr;
	t->nr_young++;
}

/**
 * vci_segment_opened() - a segment begins a new life
 * @t: table
 * @i: the segment
 * @stream: for which
 * @seq: of its first batch
 */
void vci_segment_opened(struct vci_segments *t, u32 i, u8 stream, u64 seq)
{
	struct vci_segment *s = &t->s[i];

	vci_segment_set(t, i, VCI_LIFE_OPEN);
	s->seq = seq;
	s->stream = stream;
	s->turn = ++t->turns;
	s->born = t->clock;
	WRITE_ONCE(t->quiet[i], false);
	if (stream == VCI_STREAM_NEW)
		note_young(t, i);
}

/**
 * vci_segment_mapped() - blocks of a segment are mapped now
 * @t: table
 * @addr: first block in the image
 * @blocks: how many
 */
void vci_segment_mapped(struct vci_segments *t, u64 addr, u32 blocks)
{
	t->s[vci_segment_of(t, addr)].live += blocks;
}

/**
 * vci_segment_unmapped() - blocks of a segment are no longer mapped
 * @t: table
 * @addr: first block in the image
 * @blocks: how many
 */
void vci_segment_unmapped(struct vci_segments *t, u64 addr, u32 blocks)
{
	struct vci_segment *s = &t->s[vci_segment_of(t, addr)];

	VCI_ASSERT(s->live >= blocks);
	s->live -= blocks;
}

static bool is_closed(const struct vci_segment *s, u32 stream)
{
	return s->life == VCI_LIFE_CLOSED && (stream == VCI_STREAMS || s->stream == stream);
}

/**
 * vci_segments_closed() - how many closed segments each stream has
 * @t: table
 * @nr: filled in
 *
 * By the writer; the lock need not be held.
 */
void vci_segments_closed(const struct vci_segments *t, u32 nr[VCI_STREAMS])
{
	u32 i;

	memset(nr, 0, VCI_STREAMS * sizeof(*nr));
	for (i = 0; i < t->nr; i++)
		if (is_closed(&t->s[i], t->s[i].stream))
			nr[t->s[i].stream]++;
}

/* A stream takes turns; write-back in order takes all as they lie in the log. */
static u64 place_of(const struct vci_segments *t, u32 i, u32 stream)
{
	const struct vci_segment *s = &t->s[i];

	return stream == VCI_STREAMS ? vci_segment_old_turn(s->seq, i) : s->turn;
}

static u32 count_closed(const struct vci_segments *t, u32 stream, u64 max_place)
{
	u32 i, nr = 0;

	for (i = 0; i < t->nr; i++)
		nr += is_closed(&t->s[i], stream) &&
		      place_of(t, i, stream) <= max_place;
	return nr;
}

/**
 * vci_segments_age() - how old are the oldest?
 * @t: table
 * @stream: of which, VCI_STREAMS for all
 * @want: how many
 *
 * By the writer.  Return: the turn, of all streams a turn by the first batch, up to which
 * there are at most @want closed segments, and no later one with as many; the lock need
 * not be held.
 */
u64 vci_segments_age(const struct vci_segments *t, u32 stream, u32 want)
{
	u64 low = 0, high = 0, mid;
	u32 i;

	for (i = 0; i < t->nr; i++)
		if (is_closed(&t->s[i], stream))
			high = max(high, place_of(t, i, stream));
	while (low < high) {
		mid = high - (high - low) / 2;
		if (count_closed(t, stream, mid) <= want)
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}

/**
 * vci_segments_pick_victims() - choose the oldest closed segments to empty
 * @t: table
 * @stream: of which, VCI_STREAMS for all
 * @age: those up to there: vci_segments_age()
 *
 * Return: how many were found.
 */
u32 vci_segments_pick_victims(struct vci_segments *t, u32 stream, u64 age)
{
	u32 i, n = 0;

	for (i = 0; i < t->nr; i++) {
		if (!is_closed(&t->s[i], stream) || place_of(t, i, stream) > age)
			continue;
		vci_segment_set(t, i, VCI_LIFE_VICTIM);
		t->s[i].compact = false;
		n++;
	}
	return n;
}

/**
 * vci_segments_renew() - what is worth keeping as a whole stays where it is
 * @t: table
 * @stream: of which
 * @max_turn: those whose turn it is: vci_segments_age()
 *
 * Those of which 15/16 is worth keeping are the youngest now.  Return: how many.
 */
u32 vci_segments_renew(struct vci_segments *t, u32 stream, u64 max_turn)
{
	u32 i, n = 0;

	for (i = 0; i < t->nr; i++) {
		struct vci_segment *s = &t->s[i];

		if (!is_closed(s, stream) || s->turn > max_turn ||
		    s->keep < t->blocks - t->blocks / 16)
			continue;
		s->turn = ++t->turns;
		s->born = t->clock;
		s->renewed = true;
		n++;
	}
	return n;
}

static u32 count_sparse(const struct vci_segments *t, u32 max_live)
{
	u32 i, nr = 0;

	for (i = 0; i < t->nr; i++)
		nr += t->s[i].life == VCI_LIFE_CLOSED && t->s[i].live <= max_live;
	return nr;
}

static u32 pick_up_to(struct vci_segments *t, u32 want, u32 live, u64 *dead)
{
	u32 i;

	for (i = 0; want && i < t->nr; i++) {
		struct vci_segment *s = &t->s[i];

		if (s->life != VCI_LIFE_CLOSED || s->live > live)
			continue;
		vci_segment_set(t, i, VCI_LIFE_VICTIM);
		s->compact = true;
		*dead += t->blocks - s->live;
		want--;
	}
	return want;
}

/**
 * vci_segments_pick_sparse() - choose closed segments of which little lives
 * @t: table
 * @want: how many at most
 * @max_live: and so much at most
 *
 * Those with the least.  All that lives in them is to be kept.  Return: blocks that
 * are dead in them.
 */
u64 vci_segments_pick_sparse(struct vci_segments *t, u32 want, u32 max_live)
{
	u32 low = 0, high = max_live, mid;
	u64 dead = 0;

	while (low < high) {
		mid = high - (high - low) / 2;
		if (count_sparse(t, mid) <= want)
			low = mid;
		else
			high = mid - 1;
	}
	want = pick_up_to(t, want, low, &dead);
	/* Many have a block more. */
	if (low < max_live)
		pick_up_to(t, want, low + 1, &dead);
	return dead;
}

/**
 * vci_segments_pick_empty() - choose the closed segments that nothing maps
 * @t: table
 * @before: only those begun before this batch
 *
 * They cost nothing: overwritten, or records of write-back only.  Return: how many.
 */
u32 vci_segments_pick_empty(struct vci_segments *t, u64 before)
{
	u32 i, n = 0;

	for (i = 0; i < t->nr; i++) {
		if (t->s[i].life != VCI_LIFE_CLOSED || t->s[i].live ||
		    t->s[i].seq >= before)
			continue;
		vci_segment_set(t, i, VCI_LIFE_VICTIM);
		t->s[i].compact = false;
		n++;
	}
	return n;
}

/**
 * vci_segments_all() - let all segments of one life lead another
 * @t: table
 * @from: life they lead
 * @to: life they are to lead
 */
void vci_segments_all(struct vci_segments *t, enum vci_segment_life from,
		      enum vci_segment_life to)
{
	u32 i;

	for (i = 0; t->count[from] && i < t->nr; i++)
		if (t->s[i].life == from)
			vci_segment_set(t, i, to);
}

/**
 * vci_segments_drained() - the sweep is over, and readers are gone
 * @t: table
 * @before: segments begun at or behind this batch are still to be read
 *
 * A victim that something still maps is none.  Return: how many are empty.
 */
u32 vci_segments_drained(struct vci_segments *t, u64 before)
{
	u32 i, nr = 0;

	for (i = 0; t->count[VCI_LIFE_VICTIM] && i < t->nr; i++) {
		bool empty = !t->s[i].live && t->s[i].seq < before;

		if (t->s[i].life != VCI_LIFE_VICTIM)
			continue;
		nr += empty;
		vci_segment_set(t, i, empty ? VCI_LIFE_DRAINED : VCI_LIFE_CLOSED);
	}
	return nr;
}

static u8 disk_state(u8 life)
{
	switch (life) {
	case VCI_LIFE_FREE:
	case VCI_LIFE_QUEUED:
	case VCI_LIFE_FREEING:
		return VCI_SEG_FREE;
	case VCI_LIFE_BAD:
		return VCI_SEG_BAD;
	default:
		return VCI_SEG_USED;
	}
}

/**
 * vci_segments_freeze() - take the table as it is now for the checkpoint
 * @t: table
 *
 * What was drained before becomes free with this checkpoint.
 */
void vci_segments_freeze(struct vci_segments *t)
{
	u32 i;

	t->frozen_turns = t->turns;
	vci_segments_all(t, VCI_LIFE_DRAINED, VCI_LIFE_FREEING);
	for (i = 0; i < t->nr; i++) {
		struct vci_segment_disk d = {
			.live_blocks = cpu_to_le32(t->s[i].live),
			.state = disk_state(t->s[i].life),
			.stream = t->s[i].stream,
			.seq = cpu_to_le64(t->s[i].seq),
		};

		if (!memcmp(entry(t, i), &d, sizeof(d)))
			continue;
		*entry(t, i) = d;
		vci_shadow_dirty(&t->table, i * sizeof(d));
	}
	vci_shadow_freeze(&t->table);
}

/**
 * vci_segments_commit() - the header has switched
 * @t: table
 */
void vci_segments_commit(struct vci_segments *t)
{
	vci_shadow_commit(&t->table);
	vci_segments_all(t, VCI_LIFE_FREEING, VCI_LIFE_FREE);
}

/*
 * Blocks of a segment that lie before the checkpoint's place in the log.  One for direct
 * writes may have been opened since without a new number: it got a turn, as all do.
 */
static u32 settled_by(const struct vci_segments *t, u32 i, const struct vci_header *h)
{
	u32 k;

	for (k = 0; k < VCI_STREAMS; k++)
		if (h->open[k].segment == i)
			return h->open[k].used;
	if (i == t->direct)
		return t->direct_settled;
	return t->s[i].seq <= h->checkpoint_seq && t->s[i].turn <= t->frozen_turns ?
	       t->blocks : 0;
}

/**
 * vci_segments_settle() - a checkpoint of this activation is durable
 * @t: table
 * @h: its header
 *
 * What lies before its place in the log is read by no recovery any more (O12).
 */
void vci_segments_settle(struct vci_segments *t, const struct vci_header *h)
{
	u32 i;

	for (i = 0; i < t->nr; i++)
		WRITE_ONCE(t->s[i].settled, settled_by(t, i, h));
}

/**
 * vci_segments_unsettle() - nothing is settled before the next checkpoint
 * @t: table
 */
void vci_segments_unsettle(struct vci_segments *t)
{
	u32 i;

	for (i = 0; i < t->nr; i++)
		WRITE_ONCE(t->s[i].settled, 0);
}
