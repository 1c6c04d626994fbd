// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flushes: which devices must be flushed, and what that made durable.
 *
 * Each device has a count of what completed and one of what is durable.  The
 * second follows the first only when a flush has completed that began after: a
 * FLUSH that arrives while another is in flight starts its own.
 */
#include "vci-cache-internal.h"

/**
 * vci_flush_cache_begin() - does a FLUSH need one of the cache device?
 * @c: cache
 * @t: filled in, for vci_flush_cache_end()
 *
 * Any context.
 */
bool vci_flush_cache_begin(struct vci_cache *c, struct vci_flush_token *t)
{
	bool needed = READ_ONCE(c->log.write_seq) > READ_ONCE(c->log.durable_seq);
	struct vci_log_flush f;

	vci_log_flush_begin(&c->log, &f);
	t->seq = f.seq;
	t->named = f.named;
	t->written = atomic_read(&c->placed);
	return needed || t->written != READ_ONCE(c->placed_flushed);
}

/* Of two at once one may be forgotten: then one more flush is made. */
static void note_flushed(u32 *flushed, u32 to)
{
	if ((s32)(to - READ_ONCE(*flushed)) > 0)
		WRITE_ONCE(*flushed, to);
}

/**
 * vci_flush_cache_end() - a flush of the cache device succeeded
 * @c: cache
 * @t: from vci_flush_cache_begin(), before the flush was submitted
 *
 * Any context.
 */
void vci_flush_cache_end(struct vci_cache *c, const struct vci_flush_token *t)
{
	struct vci_log_flush f = { .seq = t->seq, .named = t->named };

	vci_log_flush_end(&c->log, &f);
	note_flushed(&c->placed_flushed, t->written);
}

/**
 * vci_flush_backing_begin() - does a FLUSH need one of the backing device?
 * @c: cache
 * @t: filled in, for vci_flush_backing_end()
 *
 * Any context.
 */
bool vci_flush_backing_begin(struct vci_cache *c, struct vci_flush_token *t)
{
	t->written = atomic_read(&c->backing_writes);
	return t->written != READ_ONCE(c->backing_flushed);
}

/**
 * vci_flush_backing_end() - a flush of the backing device succeeded
 * @c: cache
 * @t: from vci_flush_backing_begin(), before the flush was submitted
 *
 * Any context.
 */
void vci_flush_backing_end(struct vci_cache *c, const struct vci_flush_token *t)
{
	note_flushed(&c->backing_flushed, t->written);
}
