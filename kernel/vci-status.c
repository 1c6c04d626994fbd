// SPDX-License-Identifier: GPL-2.0-only
/*
 * Status and messages: what an administrator sees and says.
 *
 * The status line is an interface: fields keep their order, new ones are
 * appended, and Documentation/dm-vci.rst describes each of them.
 */
#include <linux/sched/mm.h>

#include "vci-target.h"

/**
 * vci_counter_sum() - a per-CPU counter's value
 * @t: target
 * @which: counter
 */
u64 vci_counter_sum(struct vci_target *t, enum vci_counter which)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(t->counters, cpu)->nr[which]);
	return sum;
}

/**
 * vci_activity() - a number that changes with each bio
 * @ctx: target
 */
u64 vci_activity(void *ctx)
{
	struct vci_target *t = ctx;

	return vci_counter_sum(t, VCI_READ_HITS) + vci_counter_sum(t, VCI_READ_MISSES) +
	       vci_counter_sum(t, VCI_WRITES) + vci_counter_sum(t, VCI_DISCARDS);
}

static const struct {
	const char *name;
	char separator;		/* before it, in the status line */
	bool counter;		/* never goes back, but by clear_stats */
} fields[VCI_NR_FIELDS] = {
	[VCI_FIELD_EXTENTS]		= { "extents",		' ', false },
	[VCI_FIELD_USED_BLOCKS]		= { "used_sectors",	' ', false },
	[VCI_FIELD_TOTAL_BLOCKS]	= { "total_sectors",	'/', false },
	[VCI_FIELD_FREE_SEGMENTS]	= { "free_segments",	' ', false },
	[VCI_FIELD_SEGMENTS]		= { "segments",		'/', false },
	[VCI_FIELD_READ_HITS]		= { "read_hits",	' ', true },
	[VCI_FIELD_READ_MISSES]		= { "read_misses",	' ', true },
	[VCI_FIELD_WRITE_HITS]		= { "write_hits",	' ', true },
	[VCI_FIELD_WRITES]		= { "writes",		' ', true },
	[VCI_FIELD_DISCARDS]		= { "discards",		' ', true },
	[VCI_FIELD_BYPASSED]		= { "bypassed",		' ', true },
	[VCI_FIELD_FILLED]		= { "filled_sectors",	' ', true },
	[VCI_FIELD_APPENDED]		= { "appended_sectors",	' ', true },
	[VCI_FIELD_EVICTED]		= { "evicted_sectors",	' ', true },
	[VCI_FIELD_STALE_FILLS]		= { "stale_fills",	' ', true },
	[VCI_FIELD_DROPPED_FILLS]	= { "dropped_fills",	' ', true },
	[VCI_FIELD_CHECKPOINTS]		= { "checkpoints",	' ', true },
	[VCI_FIELD_INTENT_WRITES]	= { "intent_writes",	' ', true },
	[VCI_FIELD_MARKED_REGIONS]	= { "marked_regions",	' ', false },
	[VCI_FIELD_CACHE_ERRORS]	= { "cache_errors",	' ', true },
	[VCI_FIELD_BACKING_ERRORS]	= { "backing_errors",	' ', true },
	[VCI_FIELD_TREE_BYTES]		= { "tree_bytes",	' ', false },
	[VCI_FIELD_MEMORY_BYTES]	= { "memory_bytes",	' ', false },
};

static void collect_bios(struct vci_target *t, u64 *n)
{
	n[VCI_FIELD_READ_HITS] = vci_counter_sum(t, VCI_READ_HITS);
	n[VCI_FIELD_READ_MISSES] = vci_counter_sum(t, VCI_READ_MISSES);
	n[VCI_FIELD_WRITE_HITS] = vci_counter_sum(t, VCI_WRITE_HITS);
	n[VCI_FIELD_WRITES] = vci_counter_sum(t, VCI_WRITES);
	n[VCI_FIELD_DISCARDS] = vci_counter_sum(t, VCI_DISCARDS);
	n[VCI_FIELD_BYPASSED] = vci_counter_sum(t, VCI_BYPASSED);
	n[VCI_FIELD_CACHE_ERRORS] = vci_counter_sum(t, VCI_CACHE_ERRORS);
	n[VCI_FIELD_BACKING_ERRORS] = vci_counter_sum(t, VCI_BACKING_ERRORS);
}

static void collect_cache(struct vci_target *t, u64 *n)
{
	struct vci_cache_stats s;

	vci_cache_get_stats(t->cache, &s);
	n[VCI_FIELD_EXTENTS] = s.nr_extents;
	n[VCI_FIELD_USED_BLOCKS] = s.data_blocks;
	n[VCI_FIELD_TOTAL_BLOCKS] = s.nr_segments * s.segment_blocks;
	n[VCI_FIELD_FREE_SEGMENTS] = s.free_segments;
	n[VCI_FIELD_SEGMENTS] = s.nr_segments;
	n[VCI_FIELD_FILLED] = s.filled_blocks;
	n[VCI_FIELD_APPENDED] = s.appended_blocks;
	n[VCI_FIELD_EVICTED] = s.evicted_blocks;
	n[VCI_FIELD_STALE_FILLS] = s.stale_fills;
	n[VCI_FIELD_DROPPED_FILLS] = s.dropped_fills + vci_writer_dropped(&t->writer);
	n[VCI_FIELD_CHECKPOINTS] = s.checkpoints;
	n[VCI_FIELD_INTENT_WRITES] = s.intent_writes;
	n[VCI_FIELD_MARKED_REGIONS] = s.regions_marked;
	n[VCI_FIELD_TREE_BYTES] = s.tree_bytes;
	n[VCI_FIELD_MEMORY_BYTES] = s.memory_bytes;
}

static void collect(struct vci_target *t, u64 *n)
{
	lockdep_assert_held(&t->cache_lock);
	collect_bios(t, n);
	collect_cache(t, n);
}

static void collect_shown(struct vci_target *t, u64 *n)
{
	unsigned int i;

	collect(t, n);
	for (i = 0; i < VCI_NR_FIELDS; i++)
		n[i] -= min(n[i], t->cleared[i]);
}

static void clear_stats(struct vci_target *t)
{
	u64 n[VCI_NR_FIELDS];
	unsigned int i;

	collect(t, n);
	for (i = 0; i < VCI_NR_FIELDS; i++)
		if (fields[i].counter)
			t->cleared[i] = n[i];
}

/* ---- status ---- */

/* As dm-cache does: one word that monitoring knows. */
static unsigned int status_info(struct vci_target *t, char *result, unsigned int maxlen)
{
	u64 n[VCI_NR_FIELDS];
	unsigned int sz = 0, i;

	lockdep_assert_held(&t->cache_lock);
	if (!t->cache) {
		DMEMIT("Inactive");
		return sz;
	}
	if (vci_cache_is_failed(t->cache)) {
		DMEMIT("Fail");
		return sz;
	}
	collect_shown(t, n);
	DMEMIT("%s %s", vci_mode_name(READ_ONCE(t->mode)),
	       atomic_read(&t->nr_cache_errors) ? "degraded" : "ok");
	for (i = 0; i < VCI_NR_FIELDS; i++)
		DMEMIT("%c%llu", fields[i].separator, n[i]);
	return sz;
}

static void status_ima(struct vci_target *t, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;

	DMEMIT_TARGET_NAME_VERSION(t->ti->type);
	DMEMIT(",backing_device_name=%s,cache_device_name=%s,mode=%s;",
	       t->backing_dev->name, t->cache_dev->name,
	       vci_mode_name(READ_ONCE(t->mode)));
}

/**
 * vci_status() - device-mapper's status
 * @ti: target
 * @type: which
 * @flags: DM_STATUS_* flags; nothing here needs a flush to be told
 * @result: where to
 * @maxlen: its size
 */
void vci_status(struct dm_target *ti, status_type_t type, unsigned int flags,
		char *result, unsigned int maxlen)
{
	struct vci_target *t = ti->private;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		mutex_lock(&t->cache_lock);
		status_info(t, result, maxlen);
		mutex_unlock(&t->cache_lock);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %s 1 %s", t->backing_dev->name, t->cache_dev->name,
		       vci_mode_name(READ_ONCE(t->mode)));
		break;
	case STATUSTYPE_IMA:
		status_ima(t, result, maxlen);
		break;
	}
}

/* ---- messages ---- */

static int message_stats(struct vci_target *t, char *result, unsigned int maxlen)
{
	u64 n[VCI_NR_FIELDS];
	unsigned int sz = 0, i;

	collect_shown(t, n);
	DMEMIT("mode=%s", vci_mode_name(READ_ONCE(t->mode)));
	for (i = 0; i < VCI_NR_FIELDS; i++)
		DMEMIT(" %s=%llu", fields[i].name, n[i]);
	return 1;
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
		clear_stats(t);
	else
		r = message_stats(t, result, maxlen);
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
		WRITE_ONCE(t->mode, m.mode);
		return 0;
	case VCI_MSG_CHECKPOINT:
	case VCI_MSG_INVALIDATE:
		return message_with_image(t, &m);
	case VCI_MSG_CLEAR_STATS:
	case VCI_MSG_STATS:
		return message_about_stats(t, &m, result, maxlen);
	}
	return -EINVAL;
}
