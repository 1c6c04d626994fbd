// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lazy replay: see vci-redo.h.
 */
#include "vci-cache-internal.h"

#define CHUNKS_MIN	16u	/* room in the table of chunks, doubled when full */

static_assert(sizeof(struct vci_redo_entry) == 32);

/* ---- keeping ---- */

/**
 * vci_redo_init() - allocate what is kept by region
 * @rd: all zero
 * @nr_regions: of the intent map
 * @log2: of the blocks of each
 *
 * May sleep.  Return: 0 or -ENOMEM; vci_redo_destroy() undoes both.
 */
int vci_redo_init(struct vci_redo *rd, u32 nr_regions, u32 log2)
{
	size_t longs = BITS_TO_LONGS(nr_regions);

	mutex_init(&rd->lock);
	rd->nr_regions = nr_regions;
	rd->log2 = log2;
	rd->pending = kvcalloc(longs, sizeof(long), GFP_KERNEL);
	rd->drop = kvcalloc(longs, sizeof(long), GFP_KERNEL);
	rd->last = kvcalloc(nr_regions, sizeof(*rd->last), GFP_KERNEL);
	if (rd->pending && rd->drop && rd->last)
		return 0;
	vci_redo_destroy(rd);
	return -ENOMEM;
}

/* Lookups may still be at the bitmaps: those stay. */
static void free_entries(struct vci_redo *rd)
{
	while (rd->nr_chunks)
		kvfree(rd->chunks[--rd->nr_chunks]);
	kvfree(rd->chunks);
	kvfree(rd->last);
	rd->chunks = NULL;
	rd->last = NULL;
	rd->max_chunks = 0;
	rd->nr_entries = 0;
}

/**
 * vci_redo_destroy() - free all memory
 * @rd: all zero or initialised; nobody uses it any more
 */
void vci_redo_destroy(struct vci_redo *rd)
{
	free_entries(rd);
	kvfree(rd->pending);
	kvfree(rd->drop);
	memset(rd, 0, sizeof(*rd));
}

/**
 * vci_redo_bytes() - memory in use
 * @rd: all zero or initialised
 */
u64 vci_redo_bytes(const struct vci_redo *rd)
{
	u64 chunk = VCI_REDO_CHUNK * sizeof(struct vci_redo_entry);

	if (!vci_redo_any(rd))
		return 0;
	return READ_ONCE(rd->nr_chunks) * chunk + rd->nr_regions * sizeof(*rd->last);
}

/**
 * vci_redo_nodes() - by how many nodes the tree may grow with what waits
 * @rd: all zero or initialised
 *
 * Any context.  A change adds at most two extents next to each other, so it splits
 * one leaf at most.
 */
u32 vci_redo_nodes(const struct vci_redo *rd)
{
	u32 nr = READ_ONCE(rd->nr_left);

	return nr ? nr + nr / 64 + VCI_DEPTH_MAX : 0;
}

/**
 * vci_redo_dirty() - at most so many more blocks are dirty with what waits
 * @rd: all zero or initialised
 *
 * Any context.  What the log made clean again, or wrote twice, is counted too.
 */
u64 vci_redo_dirty(const struct vci_redo *rd)
{
	return READ_ONCE(rd->dirty);
}

static struct vci_redo_entry *entry(const struct vci_redo *rd, u32 i)
{
	return &rd->chunks[i / VCI_REDO_CHUNK][i % VCI_REDO_CHUNK];
}

/* Room for one more chunk in the table of them. */
static int grow_table(struct vci_redo *rd)
{
	struct vci_redo_entry **chunks;
	u32 max_chunks = max(2 * rd->max_chunks, CHUNKS_MIN);

	chunks = kvcalloc(max_chunks, sizeof(*chunks), GFP_KERNEL);
	if (!chunks)
		return -ENOMEM;
	if (rd->chunks)
		memcpy(chunks, rd->chunks, rd->nr_chunks * sizeof(*chunks));
	kvfree(rd->chunks);
	rd->chunks = chunks;
	rd->max_chunks = max_chunks;
	return 0;
}

static int grow(struct vci_redo *rd)
{
	struct vci_redo_entry *chunk;

	if (rd->nr_chunks == rd->max_chunks && grow_table(rd))
		return -ENOMEM;
	chunk = kvmalloc_array(VCI_REDO_CHUNK, sizeof(*chunk), GFP_KERNEL);
	if (!chunk)
		return -ENOMEM;
	rd->chunks[rd->nr_chunks++] = chunk;
	return 0;
}

static void set_pending(struct vci_redo *rd, u32 region)
{
	if (test_bit(region, rd->pending))
		return;
	__set_bit(region, rd->pending);
	rd->nr_pending++;
}

/* Puts an entry behind the last one of its region's ring. */
static void link_entry(struct vci_redo *rd, u32 i)
{
	u32 region = entry(rd, i)->next, last = rd->last[region];

	if (last) {
		entry(rd, i)->next = entry(rd, last - 1)->next;
		entry(rd, last - 1)->next = i;
	} else {
		entry(rd, i)->next = i;
	}
	rd->last[region] = i + 1;
	set_pending(rd, region);
}

static int add_part(struct vci_redo *rd, const struct vci_change *ch, u32 done, u32 blocks)
{
	u64 off = ch->e.off + done;
	u32 region = off >> rd->log2, i = rd->nr_entries;

	if (i == rd->nr_chunks * VCI_REDO_CHUNK && grow(rd))
		return -ENOMEM;
	*entry(rd, i) = (struct vci_redo_entry) {
		.next = region,
		.addr = ch->e.addr + done,
		.old_addr = ch->old_addr + done,
		.off = off - ((u64)region << rd->log2),
		.blocks = blocks,
		.kind = ch->kind,
		.flags = ch->e.flags,
		.heat = ch->e.heat,
	};
	rd->nr_entries++;
	return 0;
}

/**
 * vci_redo_add() - keep a change for later
 * @rd: initialised
 * @ch: the change, checked
 *
 * As entries from rd->nr_entries on; vci_redo_link() lets them count.
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_redo_add(struct vci_redo *rd, const struct vci_change *ch)
{
	u32 done = 0, n;
	int r = 0;

	while (!r && done < ch->e.blocks) {
		u64 rest = (1ull << rd->log2) -
			   ((ch->e.off + done) & ((1ull << rd->log2) - 1));

		n = min_t(u64, ch->e.blocks - done, rest);
		r = add_part(rd, ch, done, n);
		done += n;
	}
	return r;
}

/**
 * vci_redo_link() - let entries that were added count, behind those that do
 * @rd: initialised
 * @first: the first of them
 * @nr: how many
 */
void vci_redo_link(struct vci_redo *rd, u32 first, u32 nr)
{
	u32 i;

	for (i = first; i < first + nr; i++) {
		const struct vci_redo_entry *e = entry(rd, i);

		rd->nr_left++;
		if (e->flags & VCI_EXT_DIRTY)
			rd->dirty += e->blocks;
		link_entry(rd, i);
	}
}

/**
 * vci_redo_drop() - what is clean in a region counts no more
 * @rd: initialised
 * @region: its number
 *
 * As of the time when all changes are applied.
 */
void vci_redo_drop(struct vci_redo *rd, u32 region)
{
	__set_bit(region, rd->drop);
	set_pending(rd, region);
}

/**
 * vci_redo_rewrote() - did the log write, move or clean a block?
 * @rd: all zero or initialised; nothing was applied yet
 * @off: block on the backing device
 */
bool vci_redo_rewrote(const struct vci_redo *rd, u64 off)
{
	u32 region, i, at;

	if (!rd->last || off >> rd->log2 >= rd->nr_regions)
		return false;
	region = off >> rd->log2;
	at = off - ((u64)region << rd->log2);
	i = rd->last[region];
	while (i) {
		const struct vci_redo_entry *e = entry(rd, i - 1);

		if (at >= e->off && at - e->off < e->blocks &&
		    (e->kind == VCI_CHANGE_INSERT || e->kind == VCI_CHANGE_REPLACE))
			return true;
		i = e->next + 1;
		if (i == rd->last[region])
			break;
	}
	return false;
}

/* ---- applying ---- */

/* The first pending region from @region up to @last; behind it if there is none. */
static u32 next_pending(const struct vci_redo *rd, u32 region, u32 last)
{
	return find_next_bit(rd->pending, last + 1, region);
}

static u32 last_region(const struct vci_redo *rd, u64 off, u64 blocks)
{
	return min_t(u64, (off + blocks - 1) >> rd->log2, rd->nr_regions - 1);
}

/**
 * vci_redo_in_range() - is a region of the range pending?
 * @rd: something is, or was
 * @off: first block
 * @blocks: how many
 *
 * Any context.
 */
bool vci_redo_in_range(const struct vci_redo *rd, u64 off, u64 blocks)
{
	u32 last;

	if (!blocks || off >> rd->log2 >= rd->nr_regions)
		return false;
	last = last_region(rd, off, blocks);
	if (next_pending(rd, off >> rd->log2, last) <= last)
		return true;
	/* Nor is the tree read before: pairs with region_done(). */
	smp_rmb();
	return false;
}

static int apply_entry(struct vci_cache *c, u64 base, struct vci_redo_entry *e)
{
	struct vci_redo *rd = &c->redo;
	struct vci_change ch = {
		.kind = e->kind,
		.e = { .off = base + e->off, .blocks = e->blocks, .addr = e->addr,
		       .flags = e->flags, .heat = e->heat },
		.old_addr = e->old_addr,
		.redo = true,
	};
	int r;

	if (!e->blocks)
		return 0;
	r = vci_cache_change(c, &ch);
	if (r)
		return r;
	/* The tree counts it now: never too few in between. */
	smp_wmb();
	if (e->flags & VCI_EXT_DIRTY)
		WRITE_ONCE(rd->dirty, rd->dirty - e->blocks);
	WRITE_ONCE(rd->nr_left, rd->nr_left - 1);
	e->blocks = 0;
	return 0;
}

/* In the order of the log.  After an error it goes on where it stopped. */
static int apply_ring(struct vci_cache *c, u32 region)
{
	struct vci_redo *rd = &c->redo;
	u64 base = (u64)region << rd->log2;
	u32 i = rd->last[region];
	int r = 0;

	while (i && !r) {
		i = entry(rd, i - 1)->next + 1;
		r = apply_entry(c, base, entry(rd, i - 1));
		if (i == rd->last[region])
			break;
	}
	return r;
}

static int drop_region(struct vci_cache *c, u32 region)
{
	u64 base = (u64)region << c->redo.log2;

	return vci_cache_unmap_redo(c, base, min(1ull << c->redo.log2,
						 c->header.backing_blocks - base));
}

/* A change made after this sees what was applied, and isn't undone by it. */
static void region_done(struct vci_cache *c, u32 region)
{
	struct vci_redo *rd = &c->redo;

	spin_lock(vci_cache_lock(c));
	/* The tree before the bit: pairs with vci_redo_in_range(). */
	smp_mb__before_atomic();
	clear_bit(region, rd->pending);
	/* And the bit before the count: pairs with vci_redo_any(). */
	smp_store_release(&rd->nr_pending, rd->nr_pending - 1);
	spin_unlock(vci_cache_lock(c));
	if (!rd->nr_pending)
		free_entries(rd);
}

static int apply_region(struct vci_cache *c, u32 region)
{
	struct vci_redo *rd = &c->redo;
	int r = 0;

	mutex_lock(&rd->lock);
	if (test_bit(region, rd->pending)) {
		r = apply_ring(c, region);
		if (!r && test_bit(region, rd->drop))
			r = drop_region(c, region);
		if (!r)
			region_done(c, region);
	}
	mutex_unlock(&rd->lock);
	return r;
}

/**
 * vci_redo_apply() - let a range catch up with the log
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many
 *
 * May sleep.  Return: 0: nothing in the range is pending any more; -EILSEQ if a
 * node is damaged, -ENOMEM or the device's error: call again.
 */
int vci_redo_apply(struct vci_cache *c, u64 off, u64 blocks)
{
	struct vci_redo *rd = &c->redo;
	u32 i, last;
	int r = 0;

	if (!vci_redo_pending(rd, off, blocks))
		return 0;
	last = last_region(rd, off, blocks);
	for (i = next_pending(rd, off >> rd->log2, last); !r && i <= last;
	     i = next_pending(rd, i + 1, last)) {
		r = apply_region(c, i);
		cond_resched();
	}
	return r;
}

/**
 * vci_redo_finish() - apply all that is left
 * @c: cache
 *
 * By the writer, before what looks at the whole tree or lets the log go.  May
 * sleep.  Return: 0; -ENOMEM: try again; else the error with which the cache
 * failed.
 */
int vci_redo_finish(struct vci_cache *c)
{
	int r = vci_redo_apply(c, 0, c->header.backing_blocks);

	if (r && r != -ENOMEM)
		vci_cache_fail(c, r);
	return r;
}
