// SPDX-License-Identifier: GPL-2.0-only
/*
 * The B+-tree's readers in the middle of changes, and changes in the middle of
 * readers: in one thread, so that each seed repeats.
 *
 * A reader is interrupted at its READ_ONCE() and wherever it begins or checks a
 * sequence counter: whole changes run there.  A change is interrupted at its
 * WRITE_ONCE(), wherever it begins or ends a counter, and wherever it tells its
 * owner something: whole lookups run there.  Where a reader would have to wait
 * for a counter, it is abandoned.
 *
 * What a lookup says must have been true at some moment while it ran: the value
 * before, or one that a change left behind meanwhile.  So what is overwritten
 * is never seen as a hole.
 */
#include <setjmp.h>

#include "vci-platform.h"
#include "vt.h"

struct vci_node;

static void keep_for_later(struct vci_node *node);
static unsigned int begin_or_give_up(const seqcount_t *s);
static void in_reader(void);
static void in_writer(void);

/* RCU: what is freed stays until no lookup runs. */
#undef kfree_rcu
#define kfree_rcu(p, field)	keep_for_later(p)
#undef read_seqcount_begin
#define read_seqcount_begin(s)	begin_or_give_up(s)
#undef raw_seqcount_begin
#define raw_seqcount_begin(s)	(in_reader(), (s)->seq & ~1u)
#undef read_seqcount_retry
#define read_seqcount_retry(s, v) (in_reader(), READ_ONCE((s)->seq) != (v))
#undef READ_ONCE
#define READ_ONCE(x)		(in_reader(), *(const volatile __typeof__(x) *)&(x))
#undef WRITE_ONCE
#define WRITE_ONCE(x, v) \
	do { *(volatile __typeof__(x) *)&(x) = (v); in_writer(); } while (0)
#undef raw_write_seqcount_begin
#define raw_write_seqcount_begin(s) do { (s)->seq++; in_writer(); } while (0)
#undef raw_write_seqcount_end
#define raw_write_seqcount_end(s) do { (s)->seq++; in_writer(); } while (0)

#include "../../kernel/core/vci-btree.c"
#include "../../kernel/core/vci-btree-checkpoint.c"
#include "../../kernel/core/vci-btree-edit.c"
#include "../../kernel/core/vci-btree-load.c"
#include "../../kernel/core/vci-btree-node.c"
#include "../../kernel/core/vci-btree-shape.c"
#include "../../kernel/core/vci-btree-validate.c"

#include "btree-world.h"

#define SMALL		8u
#define LOOKUPS		150000u
#define VALUES_MAX	64u

static struct world *w;
static struct vci_node *kept;
static jmp_buf give_up;

static bool reading;			/* a lookup runs that changes may interrupt */
static bool nested;			/* one that runs in the middle of a change */
static struct world_change now;		/* the change that runs */
static bool changing;

/* The block that is looked up, and all it was mapped to since it began. */
static u32 place;
static u64 values[VALUES_MAX];
static unsigned int nr_values;

static u64 nr_abandoned, nr_interrupted, nr_nested, nr_hits, nr_hits_nested;

static void keep_for_later(struct vci_node *node)
{
	node->next = kept;
	kept = node;
}

static void free_kept(void)
{
	struct vci_node *next;

	for (; kept; kept = next) {
		next = kept->next;
		kfree(kept);
	}
}

/* Where a reader is, so that it meets what happens there. */
static void move_close(struct world_change *c)
{
	u32 at = place + world_rand(w, 40);

	at = at < 20 ? 0 : min(at - 20, WORLD_BLOCKS - c->e.blocks);
	if (at < WORLD_EDGE && at + c->e.blocks > WORLD_EDGE)
		at = WORLD_EDGE;
	c->e.off = WORLD_BASE + at;
	c->old_addr = w->model.addr[at];
}

static void random_change(void)
{
	struct world_change c = world_random_change(w, SMALL);

	if (reading && world_rand(w, 4))
		move_close(&c);
	if (!world_rand(w, 16)) {
		c.op = WORLD_REMOVE;
		c.e.blocks = min_t(u32, 128, WORLD_BASE + WORLD_BLOCKS - c.e.off);
		if (c.e.off < VCI_WINDOW_BLOCKS)
			c.e.blocks = min_t(u64, c.e.blocks, VCI_WINDOW_BLOCKS - c.e.off);
	}
	now = c;
	changing = true;
	if (world_change(w, &c))
		world_bad(w, "change");
	changing = false;
	if (nr_values < VALUES_MAX)
		values[nr_values++] = w->model.addr[place];
}

/* ---- interruptions ---- */

static void in_reader(void)
{
	if (!reading || nested || changing || world_rand(w, 8))
		return;
	nr_interrupted++;
	random_change();
}

static unsigned int begin_or_give_up(const seqcount_t *s)
{
	in_reader();
	if (s->seq & 1) {
		if (!nested) {
			world_bad(w, "a change was not ended");
			abort();
		}
		longjmp(give_up, 1);
	}
	return s->seq;
}

static bool was_true(const struct vci_lookup *res)
{
	u64 got = res->mapped ? res->e.addr : 0;
	unsigned int i;

	for (i = 0; i < nr_values; i++)
		if (values[i] == got)
			return true;
	return nr_values == VALUES_MAX;
}

static void in_writer(void)
{
	struct world_change c = now;
	struct vci_lookup res;
	struct world_map *m;
	u32 at, distance;
	u64 want[2], got;
	struct vci_hit hit;
	bool hits;

	if (!changing || nested || world_rand(w, 4))
		return;
	distance = world_rand(w, c.e.blocks + 8);
	at = c.e.off - WORLD_BASE + distance;
	if (at >= WORLD_BLOCKS)
		return;
	nested = true;
	nr_nested++;
	if (setjmp(give_up)) {
		nr_abandoned++;
		nested = false;
		return;
	}
	want[0] = w->model.addr[at];
	want[1] = want[0];
	if (distance < c.e.blocks) {
		m = &w->frozen;
		m->addr[at] = want[0];
		m->flags[at] = w->model.flags[at];
		c.e.off += distance;
		c.e.addr += distance;
		c.old_addr += distance;
		c.e.blocks = 1;
		world_apply_model(m, &c);
		want[1] = m->addr[at];
	}
	res.mapped = true;
	hits = vci_bt_hit(w->bt, WORLD_BASE + at, 1, &hit);
	if (hits) {
		nr_hits_nested++;
		res.e.addr = hit.addr;
	}
	if (hits || !vci_btree_lookup(w->bt, WORLD_BASE + at, 1, &res)) {
		got = res.mapped ? res.e.addr : 0;
		if (got != want[0] && got != want[1])
			world_bad(w, "in op %d: %u is at %llu, not %llu or %llu", c.op,
				  at, got, want[0], want[1]);
	}
	nested = false;
}

static void tell_mapped(void *ctx, const struct vci_extent *e)
{
	world_mapped(ctx, e);
	in_writer();
}

static void tell_unmapped(void *ctx, const struct vci_extent *e)
{
	world_unmapped(ctx, e);
	in_writer();
}

/* ---- lookups ---- */

/* The short way, and if that says nothing the long one. */
static int look(u32 blocks, struct vci_lookup *res)
{
	struct vci_hit hit;

	if (world_rand(w, 2) || !vci_bt_hit(w->bt, WORLD_BASE + place, blocks, &hit))
		return vci_btree_lookup_touch(w->bt, WORLD_BASE + place, blocks, res);
	nr_hits++;
	res->mapped = true;
	res->e.addr = hit.addr;
	return 0;
}

static void look_up(void)
{
	struct vci_lookup res;
	int err;

	place = world_rand(w, WORLD_BLOCKS);
	nr_values = 1;
	values[0] = w->model.addr[place];
	reading = true;
	err = look(1 + world_rand(w, 9), &res);
	reading = false;
	if (err)
		world_bad(w, "lookup: %d", err);
	else if (!was_true(&res))
		world_bad(w, "block %u was never at %llu", place,
			  res.mapped ? res.e.addr : 0);
	free_kept();
}

static void test_interrupted(u64 seed)
{
	struct vci_btree_ops ops = world_ops;
	u32 i;

	w = world_create(seed);
	ops.mapped = tell_mapped;
	ops.unmapped = tell_unmapped;
	w->bt->ops = &ops;
	w->bt->leaf_max = SMALL;
	w->bt->inner_max = SMALL;
	for (i = 0; i < LOOKUPS; i++) {
		look_up();
		if (i % 8000 == 7999) {
			world_checkpoint(w);
			world_check_all(w);
		}
	}
	world_check_all(w);
	world_ok(w, "btree-readers:lookups_are_true_%llu", seed);
	free_kept();
	world_destroy(w);
}

int main(void)
{
	u64 seed = vt_seed();
	long live;

	vci_log_file = stderr;
	live = vci_alloc_live;
	test_interrupted(seed);
	test_interrupted(seed + 7919);
	ok(nr_interrupted > 1000, "btree-readers:lookups_were_interrupted");
	ok(nr_nested > 1000 && nr_abandoned < nr_nested / 2,
	   "btree-readers:changes_were_interrupted");
	ok(nr_hits > 1000 && nr_hits_nested > 100, "btree-readers:some_were_hits");
	is_u64(vci_alloc_live, live, "btree-readers:all_memory_is_freed");
	printf("# %llu changes in lookups, %llu lookups in changes, %llu had to wait\n",
	       nr_interrupted, nr_nested, nr_abandoned);
	return done_testing();
}
