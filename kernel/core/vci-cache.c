// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache's life, and what map context needs of it: see vci-cache.h.
 */
#include "vci-cache-internal.h"

/* ---- what the tree tells and asks ---- */

static void on_mapped(void *ctx, const struct vci_extent *e)
{
	struct vci_cache *c = ctx;

	vci_segment_mapped(&c->segments, e->addr, e->blocks);
	c->stats.data_blocks += e->blocks;
	if (e->flags & VCI_EXT_DIRTY)
		c->stats.dirty_blocks += e->blocks;
}

static void on_unmapped(void *ctx, const struct vci_extent *e)
{
	struct vci_cache *c = ctx;

	vci_segment_unmapped(&c->segments, e->addr, e->blocks);
	c->stats.data_blocks -= e->blocks;
	if (e->flags & VCI_EXT_DIRTY)
		c->stats.dirty_blocks -= e->blocks;
}

/**
 * vci_cache_alloc_node() - a unit for a node that is written now
 * @ctx: cache; its lock is not held
 *
 * Return: its address, 0 if there is none.
 */
u64 vci_cache_alloc_node(void *ctx)
{
	struct vci_cache *c = ctx;
	u64 addr;

	spin_lock(vci_cache_lock(c));
	addr = vci_nodes_alloc(&c->nodes);
	spin_unlock(vci_cache_lock(c));
	return addr;
}

static void free_node(void *ctx, u64 addr)
{
	struct vci_cache *c = ctx;

	vci_nodes_free(&c->nodes, addr);
}

static int write_nodes(void *ctx, u64 addr, u32 nr_nodes, const void *data)
{
	struct vci_cache *c = ctx;

	c->stats.node_writes += nr_nodes;
	return vci_write(c->dev, addr, nr_nodes * VCI_NODE_BLOCKS, data, 0);
}

static int read_node(void *ctx, u64 addr, void *data)
{
	struct vci_cache *c = ctx;

	return vci_read(c->dev, addr, VCI_NODE_BLOCKS, data);
}

static const struct vci_btree_ops tree_ops = {
	.mapped = on_mapped,
	.unmapped = on_unmapped,
	.alloc_node = vci_cache_alloc_node,
	.free_node = free_node,
	.write_nodes = write_nodes,
	.read_node = read_node,
};

/* ---- life ---- */

/**
 * vci_cache_create() - the memory of a cache, nothing read yet
 * @cache: where it is returned
 * @h: checked header, bound to its backing device
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int vci_cache_create(struct vci_cache **cache, const struct vci_header *h)
{
	struct vci_cache *c = kvzalloc(sizeof(*c), GFP_KERNEL);
	int r = -ENOMEM;

	if (!c)
		return r;
	mutex_init(&c->header_lock);
	c->bits_step = VCI_BITS_STEP;
	c->header = *h;
	c->batch_seed = vci_batch_seed(h->uuid);
	c->stats.data_blocks = h->data_blocks;
	c->stats.dirty_blocks = h->dirty_blocks;
	c->dirty_blocks = h->dirty_blocks;
	c->may_dirty = h->flags & VCI_HDR_DIRTY;
	c->ordered_seq = h->ordered_seq;
	c->header_unit = kvzalloc(VCI_UNIT_SIZE, GFP_KERNEL);
	c->walk = kvcalloc(VCI_LEAF_MAX, sizeof(*c->walk), GFP_KERNEL);
	c->entries = kvcalloc(VCI_BATCH_ENTRIES_MAX, sizeof(*c->entries), GFP_KERNEL);
	c->direct_unit = kvzalloc(VCI_UNIT_SIZE, GFP_KERNEL);
	c->refills = kvcalloc(VCI_BATCH_ENTRIES_MAX, sizeof(*c->refills), GFP_KERNEL);
	c->tree = vci_btree_create(&tree_ops, c, &c->header);
	if (c->tree)
		c->lock = vci_btree_lock(c->tree);
	if (c->header_unit && c->walk && c->entries && c->direct_unit && c->refills &&
	    c->tree)
		r = vci_nodes_init(&c->nodes, h);
	if (!r)
		r = vci_segments_init(&c->segments, h);
	if (!r)
		r = vci_tickets_init(&c->tickets);
	vci_log_init(&c->log, &c->segments);
	*cache = c;
	if (r) {
		vci_cache_destroy(c);
		*cache = NULL;
	}
	return r;
}

/**
 * vci_cache_destroy() - free a cache's memory
 * @c: cache or NULL; nobody uses it any more
 *
 * Writes nothing: the image stays as the last checkpoint or close left it.
 */
void vci_cache_destroy(struct vci_cache *c)
{
	if (!c)
		return;
	if (c->tree)
		vci_btree_destroy(c->tree);
	vci_nodes_destroy(&c->nodes);
	vci_segments_destroy(&c->segments);
	vci_intent_destroy(&c->intent);
	vci_tickets_destroy(&c->tickets);
	vci_policy_destroy(&c->policy);
	vci_identity_destroy(&c->identity);
	vci_wb_destroy(c);
	kvfree(c->entries);
	kvfree(c->direct_unit);
	kvfree(c->direct.ring);
	kvfree(c->refills);
	vci_redo_destroy(&c->redo);
	kvfree(c->header_unit);
	kvfree(c->walk);
	kvfree(c);
}

/**
 * vci_cache_fail() - give up the cache device
 * @c: cache
 * @error: why
 *
 * Any context.  Clean data is read from the backing device from now on (law 5).
 */
void vci_cache_fail(struct vci_cache *c, int error)
{
	if (cmpxchg(&c->failed, 0, error ? error : -EIO))
		return;
	vci_err("%s: error %d: the cache is bypassed from now on; replace the device and format it",
		c->dev->name, error);
	if (c->ops && c->ops->failed)
		c->ops->failed(c->ctx, error);
}

/**
 * vci_cache_is_failed() - is the cache bypassed?
 * @c: cache
 *
 * Any context.
 */
bool vci_cache_is_failed(const struct vci_cache *c)
{
	return READ_ONCE(c->failed) != 0;
}

static int write_header_locked(struct vci_cache *c, const struct vci_header *h)
{
	u32 blocks = max_t(u32, 1, c->dev->lbs_blocks);
	struct vci_header new = *h;
	int r;

	new.write_gen = c->header.write_gen + 1;
	if (c->may_dirty || c->announcing)
		new.flags |= VCI_HDR_DIRTY;
	new.ordered_seq = c->ordered && !c->ordered_drain ? c->ordered_seq : 0;
	vci_header_seal(&new, c->header_unit);
	r = vci_write(c->dev, 0, blocks, c->header_unit, VCI_IO_FUA);
	if (r)
		return r;
	c->header = new;
	WRITE_ONCE(c->ordered_durable, new.ordered_seq);
	return vci_write(c->dev, vci_header_backup_addr(new.blocks), blocks,
			 c->header_unit, VCI_IO_FUA);
}

/**
 * vci_cache_announce_dirty() - let the image say that it may hold dirty data
 * @c: cache
 *
 * A sleeper, before the first batch of users' writes.  A checkpoint in progress
 * that was frozen without dirty data takes the flag over.  Return: 0, -ENOMEM,
 * or the error with which the cache failed.
 */
int vci_cache_announce_dirty(struct vci_cache *c)
{
	struct vci_header h;
	int r = vci_wb_prepare(c);

	if (r)
		return r;
	mutex_lock(&c->header_lock);
	h = c->header;
	c->announcing = true;
	r = c->retired ? -EIO : write_header_locked(c, &h);
	c->announcing = false;
	if (!r)
		WRITE_ONCE(c->may_dirty, true);
	mutex_unlock(&c->header_lock);
	if (r)
		vci_cache_fail(c, r);
	return r;
}

/* Of a cache that has failed: 0, -EIO if it is stuck, -EAGAIN if it may yet be. */
static int check_stuck(const struct vci_cache *c)
{
	bool in_flight;

	/*
	 * Failed before what is in flight: pairs with vci_append_begin() and
	 * vci_direct_begin().
	 */
	smp_mb();
	in_flight = READ_ONCE(c->write_in_flight) || READ_ONCE(c->direct.in_flight);
	/* It is mapped before it is in flight no longer: landed(), vci_direct_end(). */
	smp_rmb();
	if (READ_ONCE(c->stuck) || vci_cache_dirty_blocks(c))
		return -EIO;
	return in_flight ? -EAGAIN : 0;
}

static void retire_locked(struct vci_cache *c)
{
	struct vci_header h = c->header;
	int r;

	h.flags |= VCI_HDR_RETIRED;
	r = write_header_locked(c, &h);
	if (r)
		vci_err("%s: error %d: the image can't be told that it is out of date; never activate it again with this backing device",
			c->dev->name, r);
	WRITE_ONCE(c->retired, true);
}

/**
 * vci_cache_retire() - tell the image of a failed cache that it is out of date
 * @c: cache that has failed
 *
 * May sleep.  Writes to the backing device leave no mark any more, so what the
 * image maps must not be believed when it is activated again.  If the device
 * doesn't take the write either, only the fingerprint is left to notice.
 *
 * Return: 0 if writes may go past it from now on, for good; -EIO if the cache is stuck;
 * -EAGAIN if that isn't known before what is in flight has ended.
 */
int vci_cache_retire(struct vci_cache *c)
{
	int r = 0;

	mutex_lock(&c->header_lock);
	if (!c->retired) {
		r = check_stuck(c);
		if (!r)
			retire_locked(c);
	}
	mutex_unlock(&c->header_lock);
	return r;
}

/**
 * vci_cache_is_retired() - was the image of a failed cache told?
 * @c: cache
 *
 * Any context.
 */
bool vci_cache_is_retired(const struct vci_cache *c)
{
	return READ_ONCE(c->retired);
}

/**
 * vci_cache_is_stuck() - did it fail with data that is nowhere else?
 * @c: cache
 *
 * Any context.  Then nothing may be written any more, neither to the log nor past
 * it: what the log holds would be newer, or undo it, when the device is back.  While
 * something is in flight it counts as stuck, and may not be in the end: who is to
 * write past it asks vci_cache_retire().
 */
bool vci_cache_is_stuck(const struct vci_cache *c)
{
	return vci_cache_is_failed(c) && check_stuck(c);
}

/**
 * vci_cache_header() - the header as it is on the device
 * @c: cache
 */
const struct vci_header *vci_cache_header(const struct vci_cache *c)
{
	return &c->header;
}

/**
 * vci_cache_flush() - flush the cache device, and let the log know
 * @c: cache
 *
 * By the writer, or in the gate.  May sleep.  Return: 0 or the error with which the
 * cache failed.
 */
int vci_cache_flush(struct vci_cache *c)
{
	struct vci_flush_token t;
	int r;

	vci_flush_cache_begin(c, &t);
	r = vci_flush(c->dev);
	if (r) {
		vci_cache_fail(c, r);
		return r;
	}
	vci_flush_cache_end(c, &t);
	spin_lock(vci_cache_lock(c));
	c->stats.flushes++;
	spin_unlock(vci_cache_lock(c));
	return 0;
}

/**
 * vci_cache_pages_crc() - the header's pages_crc, of all shadow pages in use
 * @c: cache; pages of the checkpoint in progress count as written
 *
 * By the writer, or before there is one.
 */
u32 vci_cache_pages_crc(const struct vci_cache *c)
{
	u32 crc = vci_shadow_gens_crc(&c->segments.table, ~0u);

	crc = vci_shadow_gens_crc(&c->nodes.map, crc);
	return vci_shadow_gens_crc(&c->identity.info, crc);
}

/**
 * vci_cache_write_header() - write the header, then its backup
 * @c: cache
 * @h: what to write; becomes c->header on success
 *
 * By the writer.  May sleep.  One atomic FUA write switches; what it points to
 * is durable before.  Return: 0, -EIO if the image was retired, or the device's
 * error.
 */
int vci_cache_write_header(struct vci_cache *c, const struct vci_header *h)
{
	int r = -EIO;

	mutex_lock(&c->header_lock);
	if (!c->retired)
		r = write_header_locked(c, h);
	mutex_unlock(&c->header_lock);
	return r;
}

/**
 * vci_cache_get_stats() - counters for status
 * @c: cache
 * @s: filled in
 *
 * May not be called in map context: it takes the lock.
 */
void vci_cache_get_stats(struct vci_cache *c, struct vci_cache_stats *s)
{
	struct vci_btree_stats tree;

	spin_lock(vci_cache_lock(c));
	*s = c->stats;
	vci_btree_get_stats(c->tree, &tree);
	s->nr_segments = c->segments.nr;
	s->free_segments = c->segments.count[VCI_LIFE_FREE] +
			   c->segments.count[VCI_LIFE_QUEUED];
	s->segment_blocks = c->segments.blocks;
	spin_unlock(vci_cache_lock(c));
	s->dirty_blocks = vci_cache_dirty_blocks(c);
	s->nr_extents = tree.nr_extents;
	s->tree_bytes = tree.bytes;
	s->intent_writes = c->intent.writes;
	s->nr_regions = c->intent.nr_regions;
	s->regions_marked = vci_intent_count(&c->intent);
	s->memory_bytes = tree.bytes + vci_memory_fixed(c);
	s->ahead_used_blocks = vci_policy_first_used(&c->policy);
}

/* ---- reads ---- */

static void note_first_use(const struct vci_extent *e, struct vci_first_uses *first)
{
	if (!(e->heat & VCI_HEAT_AHEAD) || first->nr == VCI_FIRST_USES)
		return;
	first->blocks += e->blocks;
	first->use[first->nr].unit = e->off >> VCI_UNIT_LOG2;
	first->use[first->nr++].bin = e->heat & VCI_HEAT_BIN;
}

static bool is_mapped(struct vci_cache *c, u64 off, u32 blocks)
{
	struct vci_lookup res;

	for (; blocks; off += res.e.blocks, blocks -= res.e.blocks)
		if (vci_btree_lookup(c->tree, off, blocks, &res) || !res.mapped)
			return false;
	return true;
}

/* Takes in what goes on where @res ends, in the image too. */
static void extend_lookup(struct vci_cache *c, u32 blocks, struct vci_lookup *res,
			  struct vci_first_uses *first)
{
	struct vci_extent *e = &res->e;
	struct vci_lookup next;

	while (e->blocks < blocks) {
		/* A use is noted only if it is one. */
		if (vci_btree_lookup(c->tree, e->off + e->blocks, blocks - e->blocks, &next) ||
		    !next.mapped || next.e.addr != e->addr + e->blocks ||
		    next.e.flags != e->flags)
			break;
		if (vci_btree_lookup_touch(c->tree, e->off + e->blocks, blocks - e->blocks,
					   &next) ||
		    !next.mapped || next.e.addr != e->addr + e->blocks ||
		    next.e.flags != e->flags)
			break;
		note_first_use(&next.e, first);
		e->blocks += next.e.blocks;
	}
}

/**
 * vci_cache_lookup() - what the cache knows of a range, from its start
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many
 * @res: filled in; extents that continue each other in the image are one
 *
 * Map context.  Return: as vci_btree_lookup().
 */
int vci_cache_lookup(struct vci_cache *c, u64 off, u32 blocks,
		     struct vci_lookup *res)
{
	struct vci_first_uses first;
	int r;

	if (vci_redo_pending(&c->redo, off, blocks))
		return -EAGAIN;
	r = vci_btree_lookup_touch(c->tree, off, blocks, res);
	if (r || !res->mapped)
		return r;
	if (likely(res->e.blocks == blocks && !(res->e.heat & VCI_HEAT_AHEAD)))
		return 0;
	first.nr = 0;
	first.blocks = 0;
	note_first_use(&res->e, &first);
	extend_lookup(c, blocks, res, &first);
	if (first.nr)
		vci_policy_first_uses(&c->policy, &first,
				      is_mapped(c, off + res->e.blocks,
						blocks - res->e.blocks) ? VCI_AROUND_ONE : 0);
	return 0;
}

/**
 * vci_cache_peek() - what the cache knows of a range, from its start, unused
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many
 * @res: filled in
 *
 * Task context: it waits for who changes a leaf.  Return: as vci_btree_lookup().
 */
int vci_cache_peek(struct vci_cache *c, u64 off, u32 blocks, struct vci_lookup *res)
{
	if (vci_redo_pending(&c->redo, off, blocks))
		return -EAGAIN;
	return vci_btree_lookup(c->tree, off, blocks, res);
}

/**
 * vci_cache_load() - let a lookup succeed: catch up with the log, read nodes
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many
 *
 * May sleep.  Return: 0, -EILSEQ if a node is damaged (the cache has failed
 * then), -ENOMEM or the device's error.
 */
int vci_cache_load(struct vci_cache *c, u64 off, u64 blocks)
{
	int r = vci_redo_apply(c, off, blocks);

	if (!r)
		r = vci_btree_load(c->tree, off, blocks);
	if (r && r != -ENOMEM)
		vci_cache_fail(c, r);
	vci_memory_keep(c);
	return r;
}

/**
 * vci_cache_block_dirty() - is a block dirty, or may it be?
 * @ctx: cache
 * @off: block on the backing device
 *
 * A sleeper; for the fingerprint, before a checkpoint.
 */
bool vci_cache_block_dirty(void *ctx, u64 off)
{
	struct vci_cache *c = ctx;

	return vci_cache_find_dirty(c, off, 1) != 0;
}

/**
 * vci_ticket_take() - as vci_tickets_take()
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many
 * @t: filled in
 */
bool vci_ticket_take(struct vci_cache *c, u64 off, u32 blocks, struct vci_ticket *t)
{
	return vci_tickets_take(&c->tickets, off, blocks, t);
}

/**
 * vci_ticket_valid() - as vci_tickets_valid()
 * @c: cache
 * @off: first block, as when it was taken
 * @blocks: likewise
 * @t: the ticket
 */
bool vci_ticket_valid(struct vci_cache *c, u64 off, u32 blocks,
		      const struct vci_ticket *t)
{
	return vci_tickets_valid(&c->tickets, off, blocks, t);
}

/* ---- writes ---- */

/*
 * Under the lock: a fill checks its ticket and maps in one go, so it either
 * sees this write's ticket bump or has mapped what is found here.
 */
static int find_mapping(struct vci_cache *c, u64 off, u64 blocks)
{
	int r = vci_redo_pending(&c->redo, off, blocks) ? -EAGAIN : 0;
	struct vci_lookup res;

	spin_lock(vci_cache_lock(c));
	while (!r && blocks) {
		r = vci_btree_lookup(c->tree, off, min_t(u64, blocks, U32_MAX), &res);
		if (!r && res.mapped)
			r = -EAGAIN;
		if (!r) {
			off += res.e.blocks;
			blocks -= res.e.blocks;
		}
	}
	spin_unlock(vci_cache_lock(c));
	return r;
}

/**
 * vci_write_begin() - announce a write or discard to the backing device
 * @c: cache
 * @w: filled in; vci_write_end() must follow whatever is returned
 * @off: first block
 * @blocks: how many, not 0
 *
 * Map context.  Return: 0 if it may be submitted now, -EAGAIN if
 * vci_write_prepare() comes first.
 */
int vci_write_begin(struct vci_cache *c, struct vci_write *w, u64 off, u64 blocks)
{
	bool marked;

	w->range.off = off;
	w->range.blocks = blocks;
	w->replaces = false;
	w->heat = 0;
	w->nr_places = 0;
	vci_tickets_write_begin(&c->tickets, &w->range);
	marked = vci_intent_begin(&c->intent, off, blocks);
	vci_identity_wrote(&c->identity, off);
	if (vci_cache_is_failed(c))
		return vci_cache_is_retired(c) ? 0 : -EAGAIN;
	if (!marked || blocks > VCI_BATCH_BLOCKS_MAX || c->ordered)
		return -EAGAIN;
	return find_mapping(c, off, blocks) ? -EAGAIN : 0;
}

/* What takes the place of something is one use hotter: for vci_plan_written(). */
static void note_replaced(struct vci_cache *c, struct vci_write *w)
{
	u64 off = w->range.off, end = off + w->range.blocks;
	struct vci_lookup res;

	if (w->range.blocks > VCI_BATCH_BLOCKS_MAX)
		return;
	while (off < end && !vci_cache_peek(c, off, end - off, &res)) {
		if (res.mapped) {
			w->replaces = true;
			w->heat = max(w->heat, vci_heat_used(vci_heat_uses(res.e.heat)));
		}
		off += res.e.blocks;
	}
}

/* Is @addr the block behind @p, in the same segment? */
static bool goes_on(const struct vci_cache *c, const struct vci_write_place *p, u64 addr)
{
	return addr == p->addr + p->blocks &&
	       vci_segment_of(&c->segments, addr) == vci_segment_of(&c->segments, p->addr);
}

/* Of whole physical blocks: others can't be written where they are (L5). */
static bool all_aligned(const struct vci_cache *c, const struct vci_write *w, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if ((w->place[i].addr | w->place[i].blocks) & (c->header.batch_align - 1))
			return false;
	return true;
}

/*
 * Where does it lie, clean?  Return: in how many places; 0 if not all of it, in too many,
 * or in one that isn't aligned: then it becomes one again.  What is mapped keeps its
 * segment, so the turn is that of its life.  Under the lock.
 */
static u32 find_places(struct vci_cache *c, struct vci_write *w)
{
	u64 off = w->range.off, end = off + w->range.blocks;
	struct vci_lookup res;
	u32 nr = 0;

	for (; off < end; off += res.e.blocks) {
		if (vci_btree_lookup(c->tree, off, end - off, &res) || !res.mapped ||
		    res.e.flags & VCI_EXT_DIRTY)
			return 0;
		if (!nr || !goes_on(c, &w->place[nr - 1], res.e.addr)) {
			if (nr == VCI_WRITE_PLACES)
				return 0;
			w->place[nr++] = (struct vci_write_place) {
				.addr = res.e.addr,
				.turn = c->segments.s[vci_segment_of(&c->segments,
								     res.e.addr)].turn,
			};
		}
		w->place[nr - 1].blocks += res.e.blocks;
	}
	return all_aligned(c, w, nr) ? nr : 0;
}

static void note_places(struct vci_cache *c, struct vci_write *w)
{
	if (!w->replaces || w->range.blocks > VCI_ENTRY_BLOCKS_MAX)
		return;
	spin_lock(vci_cache_lock(c));
	w->nr_places = find_places(c, w);
	spin_unlock(vci_cache_lock(c));
}

/* Marks and unmaps; -EEXIST if something is dirty. */
static int prepare(struct vci_cache *c, struct vci_write *w)
{
	int r = vci_cache_find_dirty(c, w->range.off, w->range.blocks);

	/* In order nothing may overtake what is in the log. */
	if (!r && vci_ordered_pending(c))
		r = 1;
	if (r)
		return r > 0 ? -EEXIST : r;
	r = vci_intent_mark(&c->intent, w->range.off, w->range.blocks);
	note_replaced(c, w);
	note_places(c, w);
	return r ? r : vci_cache_unmap(c, w->range.off, w->range.blocks, true);
}

/**
 * vci_write_prepare() - make the mark durable (O1), then unmap the range
 * @c: cache
 * @w: from vci_write_begin()
 *
 * May sleep.  Return: 0; -EEXIST: something is dirty there, so it goes to the log
 * (O2); -ENOMEM: try again, or vci_cache_fail(); else the error with which the cache
 * failed: then the write may go on if vci_cache_retire() says so.
 */
int vci_write_prepare(struct vci_cache *c, struct vci_write *w)
{
	int r;

	if (vci_cache_is_failed(c))
		return -EIO;
	r = prepare(c, w);
	if (r && r != -ENOMEM && r != -EEXIST)
		vci_cache_fail(c, r);
	return r;
}

/**
 * vci_write_end() - a write announced by vci_write_begin() is complete
 * @c: cache
 * @w: from vci_write_begin()
 * @t: NULL, or filled in: a ticket for the data that was written
 *
 * Any context.  Return: true if @t is good.
 */
bool vci_write_end(struct vci_cache *c, const struct vci_write *w, struct vci_ticket *t)
{
	vci_intent_end(&c->intent, w->range.off, w->range.blocks);
	/* Counted before it is acknowledged: vci_flush_backing_begin(). */
	atomic_inc(&c->backing_writes);
	return vci_tickets_write_end(&c->tickets, &w->range, t);
}

/**
 * vci_cache_invalidate() - unmap the clean extents of a range, durably
 * @c: cache
 * @off: first block on the backing device
 * @blocks: how many
 *
 * By the writer.  May sleep.  Return: 0 or an error.
 */
int vci_cache_invalidate(struct vci_cache *c, u64 off, u64 blocks)
{
	int r = vci_cache_unmap(c, off, blocks, true);

	return r ? r : vci_cache_checkpoint(c);
}
