// SPDX-License-Identifier: GPL-2.0-only
/*
 * The intent map: see vci-intent.h.
 */
#include "vci-intent.h"

/**
 * vci_intent_init() - allocate the memory of the intent map
 * @m: to set up
 * @h: header of the image; must outlive the map
 * @dev: cache device
 *
 * May sleep.  Return: 0 or -ENOMEM; vci_intent_destroy() undoes both.
 */
int vci_intent_init(struct vci_intent *m, const struct vci_header *h,
		    struct vci_dev *dev)
{
	u64 region = 1ull << h->region_blocks_log2;
	size_t longs;

	memset(m, 0, sizeof(*m));
	mutex_init(&m->lock);
	m->addr = h->intent.addr;
	m->blocks = h->intent.blocks;
	m->log2 = h->region_blocks_log2;
	m->nr_regions = (h->backing_blocks + region - 1) >> m->log2;
	m->uuid = h->uuid;
	m->dev = dev;
	longs = BITS_TO_LONGS(m->nr_regions);
	m->marked = kvcalloc(longs, sizeof(long), GFP_KERNEL);
	m->recent = kvcalloc(longs, sizeof(long), GFP_KERNEL);
	m->clearing = kvcalloc(longs, sizeof(long), GFP_KERNEL);
	m->unit = kvmalloc(VCI_UNIT_SIZE, GFP_KERNEL);
	if (m->marked && m->recent && m->clearing && m->unit)
		return 0;
	vci_intent_destroy(m);
	return -ENOMEM;
}

/**
 * vci_intent_destroy() - free the memory of the intent map
 * @m: zeroed or initialised
 */
void vci_intent_destroy(struct vci_intent *m)
{
	kvfree(m->marked);
	kvfree(m->recent);
	kvfree(m->clearing);
	kvfree(m->unit);
	m->marked = NULL;
	m->recent = NULL;
	m->clearing = NULL;
	m->unit = NULL;
}

/* Takes the marks of one block of the map; a damaged block counts as all set. */
static void load_block(struct vci_intent *m, u32 i, const void *block)
{
	const struct vci_intent_disk *d = block;
	bool bad = vci_intent_check(block, m->uuid, m->addr + i, i, NULL);
	u32 k, region;

	if (bad)
		vci_warn("intent map: block %llu is damaged: all its regions count as written",
			 m->addr + i);
	for (k = 0; k < VCI_INTENT_BITS; k++) {
		region = i * VCI_INTENT_BITS + k;
		if (region >= m->nr_regions)
			break;
		if (bad || vci_bitmap_test(d->bits, k))
			__set_bit(region, m->marked);
	}
}

/**
 * vci_intent_load() - read the marks
 * @m: initialised
 *
 * May sleep.  Return: 0 or the device's error.
 */
int vci_intent_load(struct vci_intent *m)
{
	u32 i, k;
	int r;

	for (i = 0; i < m->blocks; i += VCI_UNIT_BLOCKS) {
		r = vci_read(m->dev, m->addr + i, VCI_UNIT_BLOCKS, m->unit);
		if (r)
			return r;
		for (k = 0; k < VCI_UNIT_BLOCKS; k++)
			load_block(m, i + k, m->unit + k * VCI_BLOCK_SIZE);
	}
	return 0;
}

static u32 first_region(const struct vci_intent *m, u64 off)
{
	return off >> m->log2;
}

static u32 last_region(const struct vci_intent *m, u64 off, u64 blocks)
{
	return (off + blocks - 1) >> m->log2;
}

static bool is_wide(const struct vci_intent *m, u64 off, u64 blocks)
{
	return last_region(m, off, blocks) - first_region(m, off) >= VCI_INTENT_WIDE;
}

/**
 * vci_intent_begin() - a write is about to be submitted to the backing device
 * @m: map
 * @off: first block
 * @blocks: how many
 *
 * Any context.  Holds back clearing until vci_intent_end().  Return: true if
 * all its regions are marked; else vci_intent_mark() comes first.
 */
bool vci_intent_begin(struct vci_intent *m, u64 off, u64 blocks)
{
	u32 i, last = last_region(m, off, blocks);
	bool marked = true;

	if (is_wide(m, off, blocks)) {
		atomic_inc(&m->wide);
	} else {
		for (i = first_region(m, off); i <= last; i++)
			atomic_inc(&m->writers[i % VCI_INTENT_SLOTS]);
	}
	/* Counted before the mark is looked at: pairs with collect(). */
	smp_mb__after_atomic();
	for (i = first_region(m, off); i <= last; i++) {
		if (!test_bit(i, m->recent))
			set_bit(i, m->recent);
		if (!test_bit(i, m->marked))
			marked = false;
	}
	return marked;
}

/**
 * vci_intent_end() - the write is complete
 * @m: map
 * @off: as in vci_intent_begin()
 * @blocks: likewise
 *
 * Any context.
 */
void vci_intent_end(struct vci_intent *m, u64 off, u64 blocks)
{
	u32 i, last = last_region(m, off, blocks);

	/* Recent once more: a freeze may have come since the write began. */
	for (i = first_region(m, off); i <= last; i++)
		if (!test_bit(i, m->recent))
			set_bit(i, m->recent);
	/* Recent before it is no longer counted: pairs with is_quiet(). */
	smp_mb__before_atomic();
	if (is_wide(m, off, blocks)) {
		atomic_dec(&m->wide);
		return;
	}
	for (i = first_region(m, off); i <= last; i++)
		atomic_dec(&m->writers[i % VCI_INTENT_SLOTS]);
}

/* Blocks that are written together: one where the device allows it. */
static u32 write_step(const struct vci_intent *m)
{
	return m->dev->lbs_blocks > 1 ? VCI_UNIT_BLOCKS : 1;
}

/* Block @i of the map, with the marks in memory and those from @first to @last. */
static void build_block(const struct vci_intent *m, u32 i, u32 first, u32 last,
			struct vci_intent_disk *d)
{
	u32 bit, region = i * VCI_INTENT_BITS;

	memset(d, 0, sizeof(*d));
	for (bit = 0; bit < VCI_INTENT_BITS && region < m->nr_regions; bit++, region++)
		if (test_bit(region, m->marked) || (region >= first && region <= last))
			vci_bitmap_set(d->bits, bit, 1);
	vci_intent_seal(d, m->uuid, m->addr + i, i);
}

static int write_blocks(struct vci_intent *m, u32 i, u32 first, u32 last,
			unsigned int flags)
{
	u32 k, step = write_step(m);

	for (k = 0; k < step; k++)
		build_block(m, i + k, first, last,
			    (void *)(m->unit + k * VCI_BLOCK_SIZE));
	m->writes++;
	return vci_write(m->dev, m->addr + i, step, m->unit, flags);
}

static int write_marks(struct vci_intent *m, u32 first, u32 last)
{
	u32 step = write_step(m);
	u32 i = round_down(first / VCI_INTENT_BITS, step);
	int r = 0;

	for (; !r && i <= last / VCI_INTENT_BITS; i += step)
		r = write_blocks(m, i, first, last, VCI_IO_FUA);
	return r;
}

/**
 * vci_intent_mark() - make the marks of a range durable
 * @m: map
 * @off: first block on the backing device
 * @blocks: how many
 *
 * Between vci_intent_begin() and vci_intent_end() of the same range.  May
 * sleep.  Return: 0 or the device's error.
 */
int vci_intent_mark(struct vci_intent *m, u64 off, u64 blocks)
{
	u32 first = first_region(m, off), last = last_region(m, off, blocks), i;
	int r = 0;

	mutex_lock(&m->lock);
	while (first <= last && test_bit(first, m->marked))
		first++;
	if (first <= last)
		r = write_marks(m, first, last);
	for (i = first; !r && i <= last; i++)
		set_bit(i, m->marked);
	mutex_unlock(&m->lock);
	return r;
}

/**
 * vci_intent_marked() - is the region of a block marked?
 * @m: map
 * @off: block on the backing device
 */
bool vci_intent_marked(const struct vci_intent *m, u64 off)
{
	return test_bit(first_region(m, off), m->marked);
}

/**
 * vci_intent_count() - how many regions are marked
 * @m: map
 */
u32 vci_intent_count(const struct vci_intent *m)
{
	return bitmap_weight(m->marked, m->nr_regions);
}

/**
 * vci_intent_next() - the next marked region
 * @m: map
 * @region: where to begin
 *
 * Return: its number, m->nr_regions if there is none.
 */
u32 vci_intent_next(const struct vci_intent *m, u32 region)
{
	return find_next_bit(m->marked, m->nr_regions, region);
}

/**
 * vci_intent_freeze() - a checkpoint takes the tree as it is now
 * @m: map
 *
 * Under the lock under which writes unmap what they replace.
 */
void vci_intent_freeze(struct vci_intent *m)
{
	u32 i;

	for (i = 0; i < BITS_TO_LONGS(m->nr_regions); i++)
		WRITE_ONCE(m->recent[i], 0);
}

static bool is_quiet(struct vci_intent *m, u32 region)
{
	return !atomic_read(&m->wide) && !test_bit(region, m->recent) &&
	       !atomic_read(&m->writers[region % VCI_INTENT_SLOTS]);
}

/* Takes back the marks of quiet regions in memory; returns how many. */
static u32 collect(struct vci_intent *m)
{
	u32 i, n = 0;

	for (i = vci_intent_next(m, 0); i < m->nr_regions;
	     i = vci_intent_next(m, i + 1)) {
		if (!is_quiet(m, i))
			continue;
		clear_bit(i, m->marked);
		/* A write that still saw the mark is seen below: vci_intent_begin(). */
		smp_mb__after_atomic();
		if (!is_quiet(m, i)) {
			set_bit(i, m->marked);
			continue;
		}
		__set_bit(i, m->clearing);
		n++;
	}
	return n;
}

static void restore(struct vci_intent *m)
{
	u32 i;

	for (i = 0; i < m->nr_regions; i++) {
		i = find_next_bit(m->clearing, m->nr_regions, i);
		if (i < m->nr_regions)
			set_bit(i, m->marked);
	}
}

static int write_cleared(struct vci_intent *m)
{
	u32 step = write_step(m), i = 0;
	int r = 0;

	while (!r) {
		i = find_next_bit(m->clearing, m->nr_regions, i);
		if (i >= m->nr_regions)
			break;
		i = round_down(i / VCI_INTENT_BITS, step);
		r = write_blocks(m, i, 1, 0, 0);
		i = (i + step) * VCI_INTENT_BITS;
	}
	return r;
}

/**
 * vci_intent_clear() - clear the marks that the last checkpoint made needless
 * @m: map
 * @backing: device to flush before
 *
 * After the header switched; by the one who froze.  May sleep.  On an error
 * the marks stay.  Return: 0 or the device's error.
 */
int vci_intent_clear(struct vci_intent *m, struct vci_dev *backing)
{
	int r = 0;

	mutex_lock(&m->lock);
	memset(m->clearing, 0, BITS_TO_LONGS(m->nr_regions) * sizeof(long));
	if (collect(m)) {
		r = vci_flush(backing);
		if (r)
			restore(m);
		else
			r = write_cleared(m);
	}
	mutex_unlock(&m->lock);
	return r;
}
