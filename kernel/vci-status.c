// SPDX-License-Identifier: GPL-2.0-only
/*
 * Status: what an administrator sees.
 *
 * The status line is an interface: fields keep their order, new ones are
 * appended, and Documentation/dm-vci.rst describes each of them.
 */
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

static u64 bypassed(struct vci_target *t)
{
	u64 sum = 0;
	int i;

	for (i = VCI_BYPASSED_MODE; i <= VCI_BYPASSED_UNKNOWN; i++)
		sum += vci_counter_sum(t, i);
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
	       vci_counter_sum(t, VCI_WRITES) + vci_counter_sum(t, VCI_DISCARDS) +
	       vci_counter_sum(t, VCI_WRITES_IN_PLACE) +
	       bypassed(t);
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
	[VCI_FIELD_DIRTY_BLOCKS]	= { "dirty_sectors",	' ', false },
	[VCI_FIELD_WRITTEN_BLOCKS]	= { "written_sectors",	' ', true },
	[VCI_FIELD_WRITTEN_BACK_BLOCKS]	= { "written_back_sectors", ' ', true },
	[VCI_FIELD_BATCHES]		= { "batches",		' ', true },
	[VCI_FIELD_FLUSH_LEFT]		= { "flush_sectors_left", ' ', false },
	[VCI_FIELD_RECOVERED]		= { "recovered_batches", ' ', false },
	[VCI_FIELD_TORN]		= { "torn_entries",	' ', false },
	[VCI_FIELD_WRITES_IN_PLACE]	= { "writes_in_place",	' ', true },
	[VCI_FIELD_BYPASSED_MODE]	= { "bypassed_mode",	' ', true },
	[VCI_FIELD_BYPASSED_SIZE]	= { "bypassed_size",	' ', true },
	[VCI_FIELD_BYPASSED_WRITING]	= { "bypassed_writing",	' ', true },
	[VCI_FIELD_BYPASSED_MEMORY]	= { "bypassed_memory",	' ', true },
	[VCI_FIELD_BYPASSED_UNKNOWN]	= { "bypassed_unknown",	' ', true },
	[VCI_FIELD_MOVED]		= { "appended_again_sectors", ' ', true },
	[VCI_FIELD_AHEAD]		= { "read_around_sectors", ' ', true },
	[VCI_FIELD_AHEAD_USED]		= { "read_around_used_sectors", ' ', true },
	[VCI_FIELD_AHEAD_WASTED]	= { "read_around_wasted_sectors", ' ', true },
	[VCI_FIELD_BYPASSED_SEQ]	= { "bypassed_sequential", ' ', true },
};

static void collect_bios(struct vci_target *t, u64 *n)
{
	n[VCI_FIELD_READ_HITS] = vci_counter_sum(t, VCI_READ_HITS);
	n[VCI_FIELD_READ_MISSES] = vci_counter_sum(t, VCI_READ_MISSES);
	n[VCI_FIELD_WRITES_IN_PLACE] = vci_counter_sum(t, VCI_WRITES_IN_PLACE);
	n[VCI_FIELD_WRITE_HITS] = vci_counter_sum(t, VCI_WRITE_HITS) +
				  n[VCI_FIELD_WRITES_IN_PLACE];
	n[VCI_FIELD_WRITES] = vci_counter_sum(t, VCI_WRITES) +
			      n[VCI_FIELD_WRITES_IN_PLACE];
	n[VCI_FIELD_DISCARDS] = vci_counter_sum(t, VCI_DISCARDS);
	n[VCI_FIELD_BYPASSED] = bypassed(t);
	n[VCI_FIELD_BYPASSED_MODE] = vci_counter_sum(t, VCI_BYPASSED_MODE);
	n[VCI_FIELD_BYPASSED_SIZE] = vci_counter_sum(t, VCI_BYPASSED_SIZE);
	n[VCI_FIELD_BYPASSED_SEQ] = vci_counter_sum(t, VCI_BYPASSED_SEQ);
	n[VCI_FIELD_BYPASSED_WRITING] = vci_counter_sum(t, VCI_BYPASSED_WRITING);
	n[VCI_FIELD_BYPASSED_MEMORY] = vci_counter_sum(t, VCI_BYPASSED_MEMORY);
	n[VCI_FIELD_BYPASSED_UNKNOWN] = vci_counter_sum(t, VCI_BYPASSED_UNKNOWN);
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
	n[VCI_FIELD_MEMORY_BYTES] = s.memory_bytes + vci_shell_bytes(t);
	n[VCI_FIELD_DIRTY_BLOCKS] = s.dirty_blocks;
	n[VCI_FIELD_WRITTEN_BLOCKS] = s.written_blocks;
	n[VCI_FIELD_WRITTEN_BACK_BLOCKS] = s.written_back_blocks;
	n[VCI_FIELD_BATCHES] = s.batches;
	n[VCI_FIELD_MOVED] = s.moved_blocks;
	n[VCI_FIELD_AHEAD] = s.ahead_blocks;
	n[VCI_FIELD_AHEAD_USED] = s.ahead_used_blocks;
	n[VCI_FIELD_AHEAD_WASTED] = s.ahead_wasted_blocks;
	n[VCI_FIELD_FLUSH_LEFT] = READ_ONCE(t->writer.cleaner.flush_left);
	n[VCI_FIELD_RECOVERED] = t->report.batches;
	n[VCI_FIELD_TORN] = t->report.torn;
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

/**
 * vci_status_clear() - let all counters begin at zero
 * @t: target with an open cache; cache_lock held
 */
void vci_status_clear(struct vci_target *t)
{
	u64 n[VCI_NR_FIELDS];
	unsigned int i;

	collect(t, n);
	for (i = 0; i < VCI_NR_FIELDS; i++)
		if (fields[i].counter)
			t->cleared[i] = n[i];
}

/* ---- status ---- */

/* As dm-cache does: words that monitoring knows. */
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
		DMEMIT(vci_cache_is_stuck(t->cache) ? "Fail read-only" : "Fail");
		return sz;
	}
	collect_shown(t, n);
	DMEMIT("%s %s", vci_mode_name(READ_ONCE(t->mode)),
	       atomic_read(&t->nr_cache_errors) ? "degraded" : "ok");
	for (i = 0; i < VCI_NR_FIELDS; i++)
		DMEMIT("%c%llu", fields[i].separator, n[i]);
	return sz;
}

/* What the constructor accepts, as it is now. */
static void status_table(struct vci_target *t, char *result, unsigned int maxlen)
{
	unsigned int age = READ_ONCE(t->writer.cleaner.max_age);
	u64 limit = READ_ONCE(t->mem_limit);
	u64 reads = READ_ONCE(t->reads.cutoff), writes = READ_ONCE(t->writes.cutoff);
	unsigned int sz = 0, nr = 1;

	nr += age == VCI_MAX_DIRTY_AGE ? 0 : 2;
	nr += limit ? 2 : 0;
	nr += reads ? 2 : 0;
	nr += writes ? 2 : 0;
	nr += t->force + t->ordered + t->alone;
	DMEMIT("%s %s %u %s", t->backing_dev->name, t->cache_dev->name, nr,
	       vci_mode_name(READ_ONCE(t->mode)));
	if (age != VCI_MAX_DIRTY_AGE)
		DMEMIT(" max_dirty_age %u", age);
	if (limit)
		DMEMIT(" mem_limit %llu", limit);
	if (reads)
		DMEMIT(" seq_read_cutoff %llu", reads);
	if (writes)
		DMEMIT(" seq_write_cutoff %llu", writes);
	if (t->alone)
		DMEMIT(" no_read_around");
	if (t->ordered)
		DMEMIT(" ordered");
	if (t->force)
		DMEMIT(" force");
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

	switch (type) {
	case STATUSTYPE_INFO:
		mutex_lock(&t->cache_lock);
		status_info(t, result, maxlen);
		mutex_unlock(&t->cache_lock);
		break;
	case STATUSTYPE_TABLE:
		status_table(t, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		status_ima(t, result, maxlen);
		break;
	}
}

/**
 * vci_status_stats() - all fields with their names
 * @t: target with an open cache; cache_lock held
 * @result: where to
 * @maxlen: its size
 *
 * Return: 1, as a message that has an answer.
 */
int vci_status_stats(struct vci_target *t, char *result, unsigned int maxlen)
{
	u64 n[VCI_NR_FIELDS];
	unsigned int sz = 0, i;

	collect_shown(t, n);
	DMEMIT("mode=%s", vci_mode_name(READ_ONCE(t->mode)));
	for (i = 0; i < VCI_NR_FIELDS; i++)
		DMEMIT(" %s=%llu", fields[i].name, n[i]);
	return 1;
}
