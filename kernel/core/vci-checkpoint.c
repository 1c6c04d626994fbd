// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checkpoints (O9): what the header points to is always whole and durable.
 *
 *	1 sample the backing device (fingerprint); see that nodes find room
 *	2 freeze, behind the gate and under the lock: tree, segments, log position,
 *	  intent.  No batch is in flight, and all that completed are mapped
 *	3 write the changed nodes to unused units, children first
 *	4 write the changed pages of segment table, node map, info to unused slots
 *	5 flush: batches, nodes and pages are durable
 *	6 write the header, FUA: the switch; then the backup header.  It has the
 *	  generations of the pages in use (pages_crc)
 *	7 free what only the checkpoint before needed; clear intent marks
 *
 * A crash before 6 leaves the checkpoint before; from then on there is the new
 * one.  What is appended from 2 on belongs to the log of both.
 */
#include "vci-cache-internal.h"

/* Freezing again after writers took the room that was made. */
#define FREEZE_TRIES	4

/*
 * Under the lock.  What isn't resident hasn't changed since the fingerprint was
 * updated, which looked.
 */
static bool is_dirty_locked(void *ctx, u64 off)
{
	struct vci_cache *c = ctx;
	struct vci_lookup res;

	return !vci_btree_lookup(c->tree, off, 1, &res) && res.mapped &&
	       res.e.flags & VCI_EXT_DIRTY;
}

static void freeze_locked(struct vci_cache *c, struct vci_header *h)
{
	struct vci_btree_stats tree;

	*h = c->header;
	h->checkpoint_gen++;
	h->flags &= ~VCI_HDR_RETIRED;	/* what was mapped then is gone */
	vci_btree_freeze_locked(c->tree, h->checkpoint_gen);
	c->nodes.in_checkpoint = true;
	vci_segments_freeze(&c->segments);
	vci_log_freeze(&c->log, h);
	vci_direct_freeze(c);
	vci_identity_freeze(&c->identity, &c->intent, is_dirty_locked, c);
	vci_intent_freeze(&c->intent);
	vci_btree_get_stats(c->tree, &tree);
	h->nr_extents = tree.nr_extents;
	h->data_blocks = c->stats.data_blocks;
	h->dirty_blocks = c->stats.dirty_blocks;
	h->lru_head = 0;
	h->lru_tail = 0;
	/* The next batch of writes announces it again. */
	if (!h->dirty_blocks && !c->direct.in_flight) {
		h->flags &= ~VCI_HDR_DIRTY;
		WRITE_ONCE(c->may_dirty, false);
		vci_ordered_idle(c);
	}
}

/* Writers may have split extents since there was room: then -ENOSPC. */
static int freeze(struct vci_cache *c, struct vci_header *h)
{
	int r = -ENOSPC;

	vci_append_wait(c);
	spin_lock(vci_cache_lock(c));
	if (vci_cache_is_failed(c)) {
		r = -EIO;
	} else if (vci_checkpoint_fits(c)) {
		freeze_locked(c, h);
		r = 0;
	}
	spin_unlock(vci_cache_lock(c));
	vci_append_leave(c);
	return r;
}

/**
 * vci_cache_write_pages() - write what changed of the shadow-paged areas
 * @c: cache; segment table and fingerprint are frozen
 * @h: header that will point to them; its checksum of the pages is set
 *
 * By the writer, when all nodes have their places.  May sleep.  Durable with the
 * next flush.  Return: 0, -ENOMEM or the device's error.
 */
int vci_cache_write_pages(struct vci_cache *c, struct vci_header *h)
{
	int r;

	spin_lock(vci_cache_lock(c));
	vci_shadow_freeze(&c->nodes.map);
	spin_unlock(vci_cache_lock(c));
	r = vci_shadow_write(&c->segments.table, c->dev, h->uuid, h->checkpoint_gen);
	if (!r)
		r = vci_shadow_write(&c->nodes.map, c->dev, h->uuid, h->checkpoint_gen);
	if (!r)
		r = vci_shadow_write(&c->identity.info, c->dev, h->uuid,
				     h->checkpoint_gen);
	h->pages_crc = vci_cache_pages_crc(c);
	return r;
}

static void commit(struct vci_cache *c, const struct vci_header *h)
{
	spin_lock(vci_cache_lock(c));
	vci_log_commit(&c->log, h);
	vci_segments_commit(&c->segments);
	if (vci_direct_commit(c))
		vci_segments_settle(&c->segments, h);
	vci_shadow_commit(&c->nodes.map);
	vci_nodes_commit(&c->nodes);
	vci_shadow_commit(&c->identity.info);
	vci_btree_thaw_locked(c->tree, 0);
	WRITE_ONCE(c->checkpoint_due, false);
	spin_unlock(vci_cache_lock(c));
	c->stats.checkpoints++;
}

/*
 * Nothing refers to what was written.  Without memory it can be tried again;
 * after an error of the device nobody knows what is on it.
 */
static int give_up(struct vci_cache *c, int error)
{
	spin_lock(vci_cache_lock(c));
	vci_btree_thaw_locked(c->tree, error);
	vci_nodes_abort(&c->nodes);
	WRITE_ONCE(c->checkpoint_due, true);
	spin_unlock(vci_cache_lock(c));
	if (error != -ENOMEM && error != -ENOSPC)
		vci_cache_fail(c, error);
	return error;
}

static int begin(struct vci_cache *c, struct vci_header *h)
{
	int r, tries = FREEZE_TRIES;

	do {
		r = vci_make_room(c);
		vci_identity_update(&c->identity, &c->intent, vci_cache_block_dirty, c);
		if (!r)
			r = freeze(c, h);
	} while (r == -ENOSPC && --tries);
	return r;
}

/*
 * Steps 5 and 6.  Whatever error the device calls it: what is durable, and which
 * header counts, isn't known after it, so there is no second try.
 */
static int switch_to(struct vci_cache *c, const struct vci_header *h)
{
	int r = vci_flush(c->dev);

	if (!r)
		r = vci_cache_write_header(c, h);
	return r ? -EIO : 0;
}

/**
 * vci_cache_checkpoint() - make the state of now what recovery begins with
 * @c: cache
 *
 * By the writer.  May sleep.  Drops cached data if the node area is too small.
 * Return: 0; -ENOMEM, or -ENOSPC if that isn't enough: what was there before
 * stays valid, and it may be tried again; else the error with which the cache
 * failed.
 */
int vci_cache_checkpoint(struct vci_cache *c)
{
	struct vci_header h;
	int r;

	if (vci_cache_is_failed(c))
		return -EIO;
	/* The log that it lets go must be in the tree. */
	r = vci_redo_finish(c);
	if (!r)
		r = begin(c, &h);
	if (r)
		return r;
	r = vci_btree_write_frozen(c->tree, &h.root);
	if (!r)
		r = vci_cache_write_pages(c, &h);
	if (!r)
		r = switch_to(c, &h);
	if (r)
		return give_up(c, r);
	commit(c, &h);
	return vci_intent_clear(&c->intent, c->backing);
}
