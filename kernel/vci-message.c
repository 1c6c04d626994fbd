// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages: what an administrator says.  Documentation/dm-vci.rst has them all.
 */
#include <linux/sched/mm.h>

#include "vci-target.h"

/**
 * vci_set_mode() - change the mode, at any time
 * @t: target
 * @mode: from the next bio on
 *
 * What is dirty is written back from now on if the mode isn't writeback.
 */
void vci_set_mode(struct vci_target *t, enum vci_mode mode)
{
	WRITE_ONCE(t->mode, mode);
	WRITE_ONCE(t->writer.cleaner.always, mode != VCI_MODE_WRITEBACK);
}

/* What was filled before must not come back behind it: it goes to the log now. */
static int message_invalidate(struct vci_target *t, const struct vci_message *m)
{
	u64 start = m->start, len = m->len;
	int r;

	if (m->all)
		len = t->ti->len;
	if (start > t->ti->len || len > t->ti->len - start) {
		DMERR("%s: invalidate: the range ends behind the device",
		      dm_table_device_name(t->ti->table));
		return -EINVAL;
	}
	vci_writer_drain(&t->writer);
	mutex_lock(&t->writer.serial);
	r = vci_cache_invalidate(t->cache, start, len);
	mutex_unlock(&t->writer.serial);
	return r;
}

static int message_checkpoint(struct vci_target *t)
{
	int r;

	vci_writer_drain(&t->writer);
	mutex_lock(&t->writer.serial);
	r = vci_cache_checkpoint(t->cache);
	mutex_unlock(&t->writer.serial);
	return r;
}

/*
 * What was acknowledged before is mapped, and so written back.  The checkpoint
 * spares the next activation the log, and the image says that it's clean.
 */
static int message_flush(struct vci_target *t)
{
	int r = vci_cleaner_flush(&t->writer);

	if (!r)
		r = vci_flush(&t->backing_io.dev);
	if (!r)
		r = message_checkpoint(t);
	if (r && r != -EINTR)
		DMERR("%s: flush: error %d: %llu sectors are still newer on the cache device",
		      dm_table_device_name(t->ti->table), r,
		      vci_cache_dirty_blocks(t->cache));
	return r;
}

/* For messages that need the image: it must be this instance's. */
static int message_with_image(struct vci_target *t, const struct vci_message *m)
{
	unsigned int noio = memalloc_noio_save();
	int r;

	mutex_lock(&t->claim->lock);
	if (t->claim->owner != t || !t->claim->running)
		r = -EBUSY;
	else if (vci_cache_is_failed(t->cache))
		r = -EIO;
	else if (m->kind == VCI_MSG_CHECKPOINT)
		r = message_checkpoint(t);
	else if (m->kind == VCI_MSG_FLUSH)
		r = message_flush(t);
	else
		r = message_invalidate(t, m);
	mutex_unlock(&t->claim->lock);
	memalloc_noio_restore(noio);
	if (r == -EBUSY)
		DMERR("%s: this message wants a device that is not suspended",
		      dm_table_device_name(t->ti->table));
	return r;
}

static int message_about_stats(struct vci_target *t, const struct vci_message *m,
			       char *result, unsigned int maxlen)
{
	int r = 0;

	mutex_lock(&t->cache_lock);
	if (!t->cache)
		r = -EBUSY;
	else if (m->kind == VCI_MSG_CLEAR_STATS)
		vci_status_clear(t);
	else
		r = vci_status_stats(t, result, maxlen);
	mutex_unlock(&t->cache_lock);
	return r;
}

/**
 * vci_message() - device-mapper's message
 * @ti: target
 * @argc: number of words
 * @argv: words
 * @result: for an answer
 * @maxlen: its size
 *
 * Return: 0, 1 if there is an answer, or -errno.
 */
int vci_message(struct dm_target *ti, unsigned int argc, char **argv, char *result,
		unsigned int maxlen)
{
	struct vci_target *t = ti->private;
	const char *error;
	struct vci_message m;
	int r;

	r = vci_message_parse(argc, argv, &m, &error);
	if (r) {
		DMERR("%s: message: %s", dm_table_device_name(ti->table), error);
		return r;
	}
	switch (m.kind) {
	case VCI_MSG_MODE:
		vci_set_mode(t, m.mode);
		return 0;
	case VCI_MSG_MAX_DIRTY_AGE:
		WRITE_ONCE(t->writer.cleaner.max_age, m.seconds);
		return 0;
	case VCI_MSG_MEM_LIMIT:
		return vci_set_mem_limit(t, m.bytes);
	case VCI_MSG_SEQ_READ_CUTOFF:
		WRITE_ONCE(t->reads.cutoff, m.bytes);
		return 0;
	case VCI_MSG_SEQ_WRITE_CUTOFF:
		WRITE_ONCE(t->writes.cutoff, m.bytes);
		return 0;
	case VCI_MSG_FLUSH:
	case VCI_MSG_CHECKPOINT:
	case VCI_MSG_INVALIDATE:
		return message_with_image(t, &m);
	case VCI_MSG_CLEAR_STATS:
	case VCI_MSG_STATS:
		return message_about_stats(t, &m, result, maxlen);
	}
	return -EINVAL;
}
