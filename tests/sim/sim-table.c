// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of orderings and events: a cell counts the crashes that came during
 * that event while that ordering was at stake.
 *
 * An event goes on when the crash comes; several may at once:
 *
 *	append		a batch is between the gate's entry and its exit
 *	flush		a user's FLUSH is between its begin and its end, or a flush
 *			message is
 *	write-back	in vci_cache_writeback()
 *	checkpoint	between the call, or the freeze, and the commit
 *	reclaim		there are victims, or segments being emptied or freed
 *	recovery	in vci_cache_open() after a crash
 *	mode change	a write, FLUSH or batch is in flight that began in another
 *			mode than the one of now
 *	discard		one is between its begin and its end
 *	re-append	what reclaim appended again isn't in a checkpoint yet
 *
 * An ordering is at stake if the crash would do harm, were it not kept; see
 * stakes().  During a recovery what was at stake when the cache was lost still
 * is: nothing was written to the image since.
 */
#include "sim-world.h"
#include "vci-cache-internal.h"

static const char *const event_names[EVENTS] = {
	"append", "flush", "write-back", "checkpoint", "reclaim", "recovery", "mode",
	"discard", "re-append",
};

static const char *const ordering_names[ORDERINGS] = {
	"O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9", "O10", "O11", "O12", "O13",
};

/* ---- what goes on ---- */

static bool mode_changed(const struct world *w)
{
	u32 i;

	for (i = 0; i < OPS_MAX; i++) {
		const struct op *op = &w->ops[i];

		if (op->kind != OP_NONE && op->kind != OP_READ && op->mode != w->mode)
			return true;
	}
	return w->stream.phase != ST_IDLE && w->stream.mode != w->mode;
}

static bool in_flight(const struct world *w, enum op_kind kind)
{
	u32 i;

	for (i = 0; i < OPS_MAX; i++)
		if (w->ops[i].kind == kind)
			return true;
	return false;
}

static bool emptying(const struct vci_cache *c)
{
	const u32 *count = c->segments.count;

	return count[VCI_LIFE_VICTIM] || count[VCI_LIFE_DRAINED] ||
	       count[VCI_LIFE_FREEING];
}

static u32 events(const struct world *w)
{
	const struct now *now = &w->now;
	const struct vci_cache *c = w->cache;
	bool on[EVENTS] = { false };
	u32 i, mask = 0;

	if (!c)
		return 1u << EV_RECOVERY;
	on[EV_APPEND] = now->append || w->stream.phase != ST_IDLE;
	on[EV_FLUSH] = now->message || in_flight(w, OP_FLUSH);
	on[EV_WRITEBACK] = now->writeback;
	on[EV_CHECKPOINT] = now->checkpoint || c->nodes.in_checkpoint;
	on[EV_RECLAIM] = emptying(c);
	on[EV_MODE] = mode_changed(w);
	on[EV_DISCARD] = in_flight(w, OP_DISCARD);
	on[EV_MOVE] = c->stats.moved_blocks != now->moved;
	for (i = 0; i < EVENTS; i++)
		mask |= (u32)on[i] << i;
	return mask;
}

/* ---- what is at stake ---- */

/*
 * O1	a region is marked, or about to be: a mapping there may be wrong
 * O2	since the activation a write past the log met dirty data, or one is in
 *	flight while something is dirty
 * O3	a round of write-back is under way, or CLEAN records are in the log that
 *	no checkpoint covers
 * O4	at least two batches aren't known durable: any of them may be missing
 * O5	the durable stamp is newer than the checkpoint: damage and a torn tail must
 *	be told apart
 * O6	a batch with several entries isn't known durable: one entry may be torn
 * O7	the log holds fills, CLEAN records or moves that no checkpoint covers:
 *	replay must not let them win over a later write
 * O8	a segment is being emptied or freed, or one was opened since some were
 * O9	a checkpoint is under way, or nodes differ from the last one's
 * O10	the log holds batches of several activations
 * O11	this life began with what a host crash had left in a volatile cache
 * O12	something was written in place since the activation
 * O13	the last checkpoint is that of a suspend or of a clean close
 */
static u32 stakes(const struct world *w)
{
	const struct now *now = &w->now;
	const struct vci_cache *c = w->cache;
	bool at[ORDERINGS] = { false };
	u32 i, mask = 0;

	at[O_1] = vci_intent_count(&c->intent);
	at[O_2] = now->met_dirty;
	for (i = 0; i < OPS_MAX; i++)
		at[O_2] |= w->ops[i].kind == OP_WRITE && w->ops[i].phase == PH_SUBMIT &&
			   vci_cache_dirty_blocks(c);
	at[O_3] = now->writeback || c->stats.written_back_blocks != now->written_back;
	at[O_4] = c->log.seq >= c->log.durable_seq + 2;
	at[O_5] = c->log.durable_seq > c->header.checkpoint_seq;
	at[O_6] = now->several_seq > c->log.durable_seq;
	at[O_7] = now->fills || c->stats.written_back_blocks != now->written_back ||
		  c->stats.moved_blocks != now->moved;
	at[O_8] = emptying(c) || (now->reclaim_opened &&
				  c->log.opened >= now->reclaim_opened);
	at[O_9] = c->nodes.in_checkpoint || vci_btree_dirty_nodes(c->tree);
	at[O_10] = c->header.nr_epochs > 1;
	at[O_11] = now->host_crash;
	at[O_12] = atomic_read(&c->placed);
	at[O_13] = now->suspended;
	for (i = 0; i < ORDERINGS; i++)
		mask |= (u32)at[i] << i;
	return mask;
}

/* ---- keeping track ---- */

void table_opened(struct world *w, bool clean)
{
	struct now *now = &w->now;
	bool host_crash = now->host_crash && !clean;
	bool suspended = now->suspended && !w->cache->stats.checkpoints;

	memset(now, 0, sizeof(*now));
	now->host_crash = host_crash;
	now->suspended = suspended;
	now->checkpoints = w->cache->stats.checkpoints;
}

/* After each piece of the writer's work. */
void table_note(struct world *w)
{
	const struct vci_cache_stats *s = &w->cache->stats;
	struct now *now = &w->now;

	if (s->evicted_blocks != now->evicted)
		now->reclaim_opened = w->cache->log.opened + 1;
	now->evicted = s->evicted_blocks;
	if (s->checkpoints == now->checkpoints)
		return;
	now->checkpoints = s->checkpoints;
	now->fills = 0;
	now->written_back = s->written_back_blocks;
	now->moved = s->moved_blocks;
	now->suspended = false;
}

/* Called when the crash has come, and all is as it was then. */
void table_crash(struct world *w)
{
	struct now *now = &w->now;
	u32 e = events(w), o, i;

	if (w->cache)
		now->stakes = stakes(w);
	for (o = 0; o < ORDERINGS; o++)
		for (i = 0; i < EVENTS; i++)
			w->table->cell[o][i] += now->stakes >> o & e >> i & 1;
	/* What it reads then isn't what a power cut would have left. */
	if (!w->cache)
		return;
	now->writeback = false;
	now->checkpoint = false;
	now->maintain = false;
	now->append = false;
	now->message = false;
}

/* ---- the sum ---- */

void table_add(struct sim_table *sum, const struct sim_table *t)
{
	u32 o, e;

	for (o = 0; o < ORDERINGS; o++)
		for (e = 0; e < EVENTS; e++)
			sum->cell[o][e] += t->cell[o][e];
}

u32 table_count_empty(const struct sim_table *t)
{
	u32 o, e, empty = 0;

	for (o = 0; o < ORDERINGS; o++)
		for (e = 0; e < EVENTS; e++)
			empty += !t->cell[o][e];
	return empty;
}

void table_print(const struct sim_table *t)
{
	u32 o, e;

	printf("# crashes:");
	for (e = 0; e < EVENTS; e++)
		printf("%11s", event_names[e]);
	printf("\n");
	for (o = 0; o < ORDERINGS; o++) {
		printf("# %-8s", ordering_names[o]);
		for (e = 0; e < EVENTS; e++)
			printf("%11llu", t->cell[o][e]);
		printf("\n");
	}
}
