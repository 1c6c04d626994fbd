// SPDX-License-Identifier: GPL-2.0-only
/*
 * The clean close: what stays on the device is a plain VCI v1 image.
 *
 *	1 a checkpoint: everything appended is in the tree, intent marks go
 *	2 one pass over all extents: a compact tree with LRU links is built in
 *	  unused nodes, and the exact bitmap of 64 GiB of image in memory; larger
 *	  images take one pass more for each of the pieces that follow
 *	3 the bitmap, the segment table, the node map and the fingerprint are
 *	  written, then flushed
 *	4 the header, FUA: clean
 *
 * A crash before 4 leaves the checkpoint of 1 (the bitmap counts only in a
 * clean image).
 */
#include "vci-bits.h"
#include "vci-build.h"
#include "vci-cache-internal.h"

struct closing {
	struct vci_cache *c;
	struct vci_bits bits;
};

static int close_write(void *ctx, u64 addr, const void *node)
{
	struct vci_cache *c = ctx;

	c->stats.node_writes++;
	return vci_write(c->dev, addr, VCI_NODE_BLOCKS, node, 0);
}

static const struct vci_build_ops build_ops = {
	.alloc_node = vci_cache_alloc_node,
	.write_node = close_write,
};

/* Passes over all extents; each goes into the bitmap, and into @b if there is one. */
static int pass(struct closing *cl, struct vci_build *b)
{
	const struct vci_extent *e = cl->c->walk;
	u64 off = 0;
	int r = 0, n, i;

	for (;;) {
		n = vci_btree_walk_sleep(cl->c->tree, &off, cl->c->walk, VCI_LEAF_MAX);
		if (n <= 0)
			return n;
		for (i = 0; !r && i < n; i++) {
			vci_bits_set(&cl->bits, e[i].addr, e[i].blocks);
			if (b)
				r = vci_build_add(b, &e[i]);
		}
		if (r)
			return r;
		cond_resched();
	}
}

static int build_tree(struct closing *cl, struct vci_header *h)
{
	struct vci_build_result res;
	struct vci_build *b;
	int r = vci_build_begin(&b, h, h->checkpoint_gen, &build_ops, cl->c);

	if (!r)
		r = pass(cl, b);
	if (!r)
		r = vci_build_end(b, &res);
	vci_build_free(b);
	if (r)
		return r;
	h->root = res.root;
	h->lru_head = res.lru_head;
	h->lru_tail = res.lru_tail;
	h->nr_extents = res.nr_extents;
	h->data_blocks = res.data_blocks;
	return 0;
}

static void mark_metadata(struct closing *cl, const struct vci_header *h)
{
	struct vci_area area;
	unsigned int i;
	u64 addr;

	for (i = 0; vci_layout_fixed(h, i, &area); i++)
		vci_bits_set(&cl->bits, area.addr, area.blocks);
	for (addr = vci_nodes_next(&cl->c->nodes, 0); addr;
	     addr = vci_nodes_next(&cl->c->nodes, addr))
		vci_bits_set(&cl->bits, addr, VCI_NODE_BLOCKS);
}

/* The first piece has the extents already, from building the tree. */
static int write_bitmap(struct closing *cl, const struct vci_header *h)
{
	int r;

	mark_metadata(cl, h);
	r = vci_bits_write(&cl->bits);
	while (!r && vci_bits_next(&cl->bits)) {
		mark_metadata(cl, h);
		r = pass(cl, NULL);
		if (!r)
			r = vci_bits_write(&cl->bits);
	}
	return r ? r : vci_bits_finish(&cl->bits, h->data_blocks);
}

/* Empty segments are free; what is promised to the log is free again. */
static void release_segments(struct vci_cache *c)
{
	struct vci_segments *t = &c->segments;
	u32 i;

	spin_lock(vci_cache_lock(c));
	for (i = 0; i < t->nr; i++)
		if (t->s[i].life != VCI_LIFE_BAD)
			vci_segment_set(t, i, t->s[i].live ? VCI_LIFE_CLOSED :
					VCI_LIFE_FREE);
	vci_segments_freeze(t);
	spin_unlock(vci_cache_lock(c));
}

static int write_pages(struct vci_cache *c, struct vci_header *h)
{
	release_segments(c);
	vci_identity_freeze(&c->identity, &c->intent, vci_cache_block_dirty, c);
	return vci_cache_write_pages(c, h);
}

static int write_clean(struct closing *cl)
{
	struct vci_cache *c = cl->c;
	struct vci_header h = c->header;
	int r;

	h.checkpoint_gen++;
	h.flags &= ~VCI_HDR_RETIRED;
	vci_header_clear_log(&h);
	h.incompat &= ~VCI_INCOMPAT_DIRECT;
	h.unclean = 0;
	vci_nodes_clear(&c->nodes);
	r = build_tree(cl, &h);
	vci_identity_update(&c->identity, &c->intent, vci_cache_block_dirty, c);
	if (!r)
		r = write_pages(c, &h);
	if (!r)
		r = write_bitmap(cl, &h);
	if (!r)
		r = vci_flush(c->dev);
	if (!r)
		r = vci_cache_write_header(c, &h);
	return r;
}

/* A compact tree is written beside the last checkpoint's: both must fit. */
static int checkpoint_for_close(struct vci_cache *c)
{
	u64 before;
	int r = vci_cache_checkpoint(c);

	while (!r && 2ull * c->nodes.nr_committed > c->nodes.nr) {
		before = c->stats.data_blocks;
		r = vci_drop_some(c);
		if (!r)
			r = vci_cache_checkpoint(c);
		if (!r && !before)
			r = -ENOSPC;
	}
	return r;
}

/**
 * vci_cache_close() - leave a plain VCI v1 image behind
 * @c: cache; no reads, writes or fills any more.  Only vci_cache_destroy()
 *	may follow
 *
 * By the writer.  May sleep; one pass over all extents, or one for each 64 GiB, in
 * bounded memory.  With dirty data that is
 * to be written back in order, it is a checkpoint only.  Return: 0; on an error
 * the image stays unclean, and the next activation recovers it.
 */
int vci_cache_close(struct vci_cache *c)
{
	struct closing cl = { .c = c };
	int r = checkpoint_for_close(c);

	if (r)
		return r;
	if (vci_intent_count(&c->intent))
		return -EBUSY;
	/* What was overwritten, and is to be written back before, must stay. */
	if (c->ordered && c->stats.dirty_blocks)
		return 0;
	r = vci_bits_init(&cl.bits, &c->header, c->dev, c->bits_step);
	if (!r)
		r = write_clean(&cl);
	vci_bits_exit(&cl.bits);
	return r;
}
