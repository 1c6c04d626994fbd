// SPDX-License-Identifier: GPL-2.0-only
/*
 * vci-dump: nodes of the tree, and extents, depth first.
 */
#include "vci-dump.h"

#define LEVELS	(VCI_DEPTH_MAX + 1)

struct level {
	u8 node[VCI_NODE_SIZE];
	u64 off, blocks, addr;
	unsigned int count, next;
};

struct walk {
	struct dump *d;
	void (*visit)(struct walk *w, const struct level *l);
	unsigned int depth;
	struct level level[LEVELS];
};

static void visit_node(struct walk *w, const struct level *l)
{
	struct json_object *o = json_object_new_object();

	cli_json_u64(o, "level", w->depth - 1);
	cli_json_u64(o, "node", l->addr);
	cli_json_text(o, "type", vci_node_type(l->node) == VCI_NODE_LEAF ? "leaf" : "internal");
	cli_json_u64(o, "entries", l->count);
	cli_json_u64(o, "offset", l->off);
	cli_json_u64(o, "blocks", l->blocks);
	cli_json_u64(o, "generation", vci_node_gen(l->node));
	dump_item(w->d, o);
}

static void visit_extents(struct walk *w, const struct level *l)
{
	struct vci_extent e;
	unsigned int i;
	u64 prev, next;

	if (vci_node_type(l->node) != VCI_NODE_LEAF)
		return;
	for (i = 0; i < l->count; i++) {
		struct json_object *o = json_object_new_object();

		vci_node_extent(l->node, i, &e);
		vci_node_lru(l->node, i, &prev, &next);
		cli_json_u64(o, "offset", e.off);
		cli_json_u64(o, "blocks", e.blocks);
		cli_json_u64(o, "address", e.addr);
		cli_json_bool(o, "dirty", e.flags & VCI_EXT_DIRTY);
		cli_json_bool(o, "no_checksum", e.flags & VCI_EXT_NOCSUM);
		cli_json_u64(o, "heat", e.heat);
		cli_json_u64(o, "lru_previous", prev);
		cli_json_u64(o, "lru_next", next);
		dump_item(w->d, o);
	}
}

static bool on_path(const struct walk *w, u64 addr)
{
	unsigned int i;

	for (i = 0; i < w->depth; i++)
		if (w->level[i].addr == addr)
			return true;
	return false;
}

static int push(struct walk *w, u64 addr, u64 off, u64 blocks)
{
	const struct vci_header *h = &w->d->h;
	const struct vci_node_bounds b = {
		.uuid = h->uuid, .addr = addr, .off = off, .blocks = blocks,
		.max_gen = h->checkpoint_gen, .image_blocks = h->blocks,
		.nodes_addr = h->nodes.addr, .nodes_blocks = h->nodes.blocks,
		.data_addr = h->segments,
		.data_blocks = (u64)h->nr_segments * h->segment_blocks,
	};
	struct vci_damage dmg = { .number = VCI_DMG_NODE_DEPTH, .addr = addr };
	struct level *l = &w->level[w->depth];
	int err;

	if (w->depth == LEVELS || on_path(w, addr)) {
		dump_damage(w->d, &dmg);
		return 0;
	}
	err = vci_read(&w->d->file.dev, addr, VCI_NODE_BLOCKS, l->node);
	if (err)
		return err;
	if (vci_node_check(l->node, &b, &dmg)) {
		dump_damage(w->d, &dmg);
		return 0;
	}
	l->addr = addr;
	l->off = off;
	l->blocks = blocks;
	l->count = vci_node_count(l->node);
	l->next = 0;
	w->depth++;
	w->visit(w, l);
	return 0;
}

static int step(struct walk *w)
{
	struct level *l = &w->level[w->depth - 1];
	struct vci_child c;

	if (vci_node_type(l->node) == VCI_NODE_LEAF || l->next == l->count) {
		w->depth--;
		return 0;
	}
	vci_node_child(l->node, l->next++, &c);
	return push(w, c.addr, c.off, c.blocks);
}

static int walk(struct dump *d, const char *name,
		void (*visit)(struct walk *w, const struct level *l))
{
	struct walk *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->d = d;
	w->visit = visit;
	dump_begin(d, name);
	err = push(w, d->h.root, 0, VCI_BACKING_MAX);
	while (!err && w->depth)
		err = step(w);
	dump_end(d);
	free(w);
	return err;
}

int dump_tree(struct dump *d)
{
	return walk(d, "tree", visit_node);
}

int dump_extents(struct dump *d)
{
	return walk(d, "extents", visit_extents);
}
