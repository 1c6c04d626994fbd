// SPDX-License-Identifier: GPL-2.0-only
/*
 * vci-dump: header, bitmap, segment table, and the batches in the log.
 */
#include "vci-dump.h"

#define CHUNK_BLOCKS	512u

static u8 unit[2 * VCI_UNIT_SIZE] __attribute__((aligned(8)));

/* ---- header ----------------------------------------------------------- */

static void add_identity(struct json_object *o, const struct vci_header *h)
{
	char uuid[CLI_UUID_TEXT];

	cli_json_text(o, "uuid", cli_uuid_text(h->uuid, uuid));
	cli_json_text(o, "modification_uuid", cli_uuid_text(h->modification_uuid, uuid));
	cli_json_u64(o, "blocks", h->blocks);
	cli_json_bool(o, "unclean", h->unclean);
	cli_json_text(o, "type", h->type == VCI_TYPE_FIXED ? "fixed" : "dynamic");
	cli_json_u64(o, "compat", h->compat);
	cli_json_u64(o, "ro_compat", h->ro_compat);
	cli_json_u64(o, "incompat", h->incompat);
	cli_json_bool(o, "dirty", h->flags & VCI_HDR_DIRTY);
	cli_json_bool(o, "bound", h->flags & VCI_HDR_BOUND);
	cli_json_bool(o, "retired", h->flags & VCI_HDR_RETIRED);
	cli_json_u64(o, "backing_blocks", h->backing_blocks);
	cli_json_text(o, "backing_id", cli_uuid_text(h->backing_id, uuid));
}

static void add_area(struct json_object *o, const char *name, u64 addr, u64 blocks)
{
	char key[40];

	snprintf(key, sizeof(key), "%s_address", name);
	cli_json_u64(o, key, addr);
	snprintf(key, sizeof(key), "%s_blocks", name);
	cli_json_u64(o, key, blocks);
}

static void add_geometry(struct json_object *o, const struct vci_header *h)
{
	add_area(o, "bitmap", h->bitmap, h->bitmap_blocks);
	add_area(o, "intent_map", h->intent.addr, h->intent.blocks);
	add_area(o, "segment_table", h->segtable.addr, h->segtable.blocks);
	add_area(o, "node_map", h->nodemap.addr, h->nodemap.blocks);
	add_area(o, "info", h->info.addr, h->info.blocks);
	add_area(o, "node_area", h->nodes.addr, h->nodes.blocks);
	add_area(o, "segments", h->segments, (u64)h->nr_segments * h->segment_blocks);
	cli_json_u64(o, "nr_segments", h->nr_segments);
	cli_json_u64(o, "segment_blocks", h->segment_blocks);
	cli_json_u64(o, "batch_align", h->batch_align);
	cli_json_u64(o, "region_blocks", 1ull << h->region_blocks_log2);
}

static void add_segment(struct json_object *o, const char *key, u32 segment)
{
	if (segment == VCI_NO_SEGMENT)
		cli_json_text(o, key, "none");
	else
		cli_json_u64(o, key, segment);
}

static void add_state(struct json_object *o, const struct vci_header *h)
{
	char key[40];
	u32 i;

	cli_json_u64(o, "root", h->root);
	cli_json_u64(o, "write_generation", h->write_gen);
	cli_json_u64(o, "checkpoint_generation", h->checkpoint_gen);
	cli_json_u64(o, "checkpoint_sequence", h->checkpoint_seq);
	cli_json_u64(o, "durable_sequence", h->durable_seq);
	cli_json_u64(o, "extents", h->nr_extents);
	cli_json_u64(o, "data_blocks", h->data_blocks);
	cli_json_u64(o, "dirty_blocks", h->dirty_blocks);
	cli_json_u64(o, "ordered_sequence", h->ordered_seq);
	cli_json_u64(o, "lru_head", h->lru_head);
	cli_json_u64(o, "lru_tail", h->lru_tail);
	for (i = 0; i < VCI_STREAMS; i++) {
		snprintf(key, sizeof(key), "open_%u", i);
		add_segment(o, key, h->open[i].segment);
		snprintf(key, sizeof(key), "open_%u_used", i);
		cli_json_u64(o, key, h->open[i].used);
	}
	for (i = 0; i < VCI_QUEUE; i++) {
		snprintf(key, sizeof(key), "queue_%u", i);
		add_segment(o, key, h->queue[i]);
	}
	for (i = 0; i < h->nr_epochs; i++) {
		snprintf(key, sizeof(key), "epoch_%u", i);
		cli_json_u64(o, key, h->epochs[i]);
	}
	cli_json_u64(o, "pages_checksum", h->pages_crc);
}

int dump_header(struct dump *d)
{
	struct json_object *o;
	char label[VCI_LABEL_SIZE + 1] = "";
	struct vci_damage dmg;
	u64 format_time = 0;
	int err;

	err = vci_read(&d->file.dev, 0, VCI_UNIT_BLOCKS, unit);
	if (err)
		return err;
	if (vci_static_check(unit + VCI_BLOCK_SIZE, label, &format_time, &dmg))
		dump_damage(d, &dmg);
	o = json_object_new_object();
	add_identity(o, &d->h);
	cli_json_text(o, "label", label);
	cli_json_u64(o, "format_time", format_time);
	add_geometry(o, &d->h);
	add_state(o, &d->h);
	dump_object(d, "header", o);
	return 0;
}

/* ---- bitmap ----------------------------------------------------------- */

struct run {
	u64 first, blocks;
};

static void end_run(struct dump *d, struct run *r)
{
	struct json_object *o;

	if (!r->blocks)
		return;
	o = json_object_new_object();
	cli_json_u64(o, "block", r->first);
	cli_json_u64(o, "blocks", r->blocks);
	dump_item(d, o);
	r->blocks = 0;
}

static int dump_bits(struct dump *d, u8 *bits)
{
	u64 at, i, nr, left = d->h.bitmap_blocks - 1;
	struct run r = { };
	int err;

	for (at = 0; left; at += nr, left -= nr) {
		nr = min_t(u64, left, CHUNK_BLOCKS);
		err = vci_read(&d->file.dev, d->h.bitmap + 1 + at, nr, bits);
		if (err)
			return err;
		for (i = 0; i < nr * VCI_BITS_PER_BLOCK; i++) {
			if (!vci_bitmap_test(bits, i)) {
				end_run(d, &r);
				continue;
			}
			if (!r.blocks++)
				r.first = at * VCI_BITS_PER_BLOCK + i;
		}
	}
	end_run(d, &r);
	return 0;
}

int dump_bitmap(struct dump *d)
{
	struct json_object *o = json_object_new_object();
	struct vci_bitmap_info info = { };
	struct vci_damage dmg;
	u8 *bits;
	int err;

	err = vci_read(&d->file.dev, d->h.bitmap, 1, unit);
	if (!err && vci_bitmap_check(unit, d->h.blocks, &info, &dmg)) {
		dmg.addr = d->h.bitmap;
		dump_damage(d, &dmg);
	}
	cli_json_u64(o, "managed", info.managed);
	cli_json_u64(o, "free", info.free);
	cli_json_u64(o, "metadata", info.metadata);
	cli_json_u64(o, "data", info.data);
	cli_json_u64(o, "crc", info.ext_crc);
	dump_object(d, "bitmap", o);
	bits = malloc(CHUNK_BLOCKS * VCI_BLOCK_SIZE);
	if (err || !bits) {
		free(bits);
		return err ? err : -ENOMEM;
	}
	dump_begin(d, "allocated");
	err = dump_bits(d, bits);
	dump_end(d);
	free(bits);
	return err;
}

/* ---- segment table ---------------------------------------------------- */

static u64 segment_addr(const struct dump *d, u32 i)
{
	return d->h.segments + (u64)i * d->h.segment_blocks;
}

static void dump_segment(struct dump *d, u32 i, const struct vci_segment_disk *s)
{
	static const char * const states[] = { "free", "used", "bad" };
	struct json_object *o = json_object_new_object();

	cli_json_u64(o, "segment", i);
	cli_json_u64(o, "address", segment_addr(d, i));
	cli_json_text(o, "state", s->state < ARRAY_SIZE(states) ? states[s->state] : "unknown");
	cli_json_u64(o, "stream", s->stream);
	cli_json_u64(o, "live_blocks", le32_to_cpu(s->live_blocks));
	cli_json_u64(o, "sequence", le64_to_cpu(s->seq));
	dump_item(d, o);
}

/* Reads both slots of a page; NULL if neither counts. */
static const struct vci_page_disk *read_page(struct dump *d, const struct vci_area *a,
					     u32 index, int *err)
{
	u64 addr = a->addr + (u64)index * VCI_PAGE_BLOCKS, gen, newest = 0;
	const struct vci_damage lost = { .number = VCI_DMG_PAGE_LOST, .addr = addr };
	const struct vci_page_disk *page = NULL;
	unsigned int slot;

	*err = vci_read(&d->file.dev, addr, VCI_PAGE_BLOCKS, unit);
	if (*err)
		return NULL;
	for (slot = 0; slot < 2; slot++) {
		const void *candidate = unit + slot * VCI_UNIT_SIZE;

		if (vci_page_check(candidate, d->h.uuid, addr + slot * VCI_UNIT_BLOCKS,
				   index, d->h.checkpoint_gen, &gen, NULL) || gen <= newest)
			continue;
		newest = gen;
		page = candidate;
	}
	if (!page)
		dump_damage(d, &lost);
	return page;
}

int dump_segments(struct dump *d)
{
	const struct vci_page_disk *page;
	u32 i, k;
	int err = 0;

	dump_begin(d, "segments");
	for (i = 0; i < d->h.nr_segments && !err; i += VCI_SEGMENTS_PER_PAGE) {
		page = read_page(d, &d->h.segtable, i / VCI_SEGMENTS_PER_PAGE, &err);
		for (k = i; page && k < i + VCI_SEGMENTS_PER_PAGE &&
		     k < d->h.nr_segments; k++)
			dump_segment(d, k, (const struct vci_segment_disk *)page->payload +
				     (k - i));
	}
	dump_end(d);
	return err;
}

/* ---- log -------------------------------------------------------------- */

static void dump_batch(struct dump *d, u32 segment, const struct vci_batch_info *b)
{
	struct json_object *o = json_object_new_object();
	char key[40];
	u32 i;

	cli_json_u64(o, "segment", segment);
	cli_json_u64(o, "address", b->addr);
	cli_json_u64(o, "blocks", b->blocks);
	cli_json_u64(o, "stream", b->stream);
	cli_json_u64(o, "sequence", b->seq);
	cli_json_u64(o, "epoch", b->epoch);
	cli_json_u64(o, "durable_sequence", b->durable_seq);
	cli_json_u64(o, "entries", b->nr_entries);
	cli_json_bool(o, "before_checkpoint", b->seq <= d->h.checkpoint_seq);
	for (i = 0; i < VCI_WINDOW; i++) {
		snprintf(key, sizeof(key), "next_%u", i);
		add_segment(o, key, b->next[i]);
	}
	dump_item(d, o);
}

/* Step by step, over whatever is no batch. */
static int dump_segment_log(struct dump *d, u32 segment)
{
	static struct vci_entry entries[VCI_BATCH_ENTRIES_MAX];
	struct vci_batch_info b;
	u32 at, step;
	int err;

	for (at = 0; at < d->h.segment_blocks; at += step) {
		u64 addr = segment_addr(d, segment) + at;

		step = d->h.batch_align;
		err = vci_read(&d->file.dev, addr,
			       min(d->h.segment_blocks - at, VCI_UNIT_BLOCKS), unit);
		if (err)
			return err;
		if (vci_batch_check(unit, &d->h, addr, d->h.segment_blocks - at, &b,
				    entries, NULL))
			continue;
		dump_batch(d, segment, &b);
		step = b.blocks;
	}
	return 0;
}

int dump_log(struct dump *d)
{
	int err = 0;
	u32 i;

	dump_begin(d, "log");
	for (i = 0; i < d->h.nr_segments && !err; i++)
		err = dump_segment_log(d, i);
	dump_end(d);
	return err;
}
