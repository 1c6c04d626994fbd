// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: see rig.h.
 */
#include "rig.h"
#include "vci-format.h"
#include "vci-verify.h"

/* Unit tests are linked with the sources of this directory alone. */
#include "../sim/sim-disk.c"

static void drain(void *ctx)
{
	struct rig *rig = ctx;

	rig->drained++;
}

static const struct vci_cache_ops rig_ops = { .drain_readers = drain };

void rig_init(struct rig *rig, u64 blocks, u64 backing_blocks, u32 segment_blocks)
{
	struct vci_format_params p = {
		.layout = { .type = VCI_TYPE_FIXED, .segment_blocks = segment_blocks },
		.uuid = { 0x52, 0x49, 0x47 },
		.label = "rig",
	};
	u32 i;
	u64 word[VCI_BLOCK_SIZE / 8];

	memset(rig, 0, sizeof(*rig));
	rig->rng.state = 1;
	rig->power.rng = &rig->rng;
	sim_disk_init(&rig->cache, &rig->power, blocks, "cache");
	sim_disk_init(&rig->backing, &rig->power, backing_blocks, "backing");
	rig->buffer = malloc((size_t)VCI_BATCH_BLOCKS_MAX * VCI_BLOCK_SIZE);
	rig->data = malloc((size_t)VCI_BATCH_BLOCKS_MAX * VCI_BLOCK_SIZE);
	assert(rig->buffer && rig->data);
	for (i = 0; i < 4096 && i < backing_blocks; i++) {
		memset(word, 0, sizeof(word));
		word[0] = i;
		word[1] = 1;
		sim_disk_poke(&rig->backing, i, word);
	}
	assert(!vci_format(&rig->cache.dev, &p, NULL));
}

void rig_exit(struct rig *rig)
{
	vci_cache_destroy(rig->c);
	free(rig->buffer);
	free(rig->data);
	sim_disk_destroy(&rig->cache);
	sim_disk_destroy(&rig->backing);
}

int rig_open(struct rig *rig)
{
	struct vci_open_params p = {
		.cache_dev = &rig->cache.dev,
		.backing_dev = &rig->backing.dev,
		.backing_blocks = rig->backing.dev.blocks,
		.random = sim_rand(&rig->rng),
		.ordered = rig->ordered,
		.direct = rig->direct,
		.volatile_cache = rig->volatile_cache,
		.force = rig->force,
		.ops = &rig_ops,
		.ctx = rig,
	};
	int r;

	p.modification_uuid[0] = sim_rand(&rig->rng);
	rig->why = NULL;
	rig->c = NULL;
	r = vci_cache_open(&p, &rig->c, &rig->report, &rig->dmg, &rig->why);
	if (!r)
		vci_fill_init(&rig->fill, rig->buffer, vci_cache_batch_blocks(rig->c),
			      vci_cache_batch_align(rig->c));
	return r;
}

int rig_close(struct rig *rig)
{
	int r = vci_cache_close(rig->c);

	vci_cache_destroy(rig->c);
	rig->c = NULL;
	return r;
}

void rig_crash(struct rig *rig, enum sim_cut cut)
{
	vci_cache_destroy(rig->c);
	rig->c = NULL;
	rig->power.dead = false;
	rig->power.crash_at = 0;
	sim_disk_power_cut(&rig->cache, cut);
	sim_disk_power_cut(&rig->backing, cut);
}

int rig_reserve(struct rig *rig, u64 off, u32 blocks)
{
	struct vci_ticket t;
	int i;

	if (!vci_ticket_take(rig->c, off, blocks, &t))
		return -EBUSY;
	i = vci_fill_reserve(&rig->fill, off, blocks, &t);
	if (i < 0)
		return i;
	assert(rig->fill.e[i].blocks == blocks);
	vci_fill_commit(&rig->fill, i,
			!vci_read(&rig->backing.dev, off, blocks,
				  vci_fill_data(&rig->fill, i)));
	return 0;
}

int rig_append(struct rig *rig)
{
	return vci_cache_append(rig->c, &rig->fill);
}

int rig_fill(struct rig *rig, u64 off, u32 blocks)
{
	int r = rig_reserve(rig, off, blocks);

	return r ? r : rig_append(rig);
}

int rig_write(struct rig *rig, u64 off, u32 blocks, u32 value)
{
	struct vci_write w;
	int r = vci_write_begin(rig->c, &w, off, blocks);

	if (r == -EAGAIN)
		r = vci_write_prepare(rig->c, &w);
	if (r && vci_cache_is_failed(rig->c))
		r = vci_cache_retire(rig->c);
	if (!r) {
		memset(rig->data, value, (size_t)blocks * VCI_BLOCK_SIZE);
		r = vci_write(&rig->backing.dev, off, blocks, rig->data, 0);
	}
	vci_write_end(rig->c, &w, NULL);
	return r;
}

/* In the gate; -ENOSPC leaves it to the caller to maintain. */
static int log_write(struct rig *rig, struct vci_fill *f)
{
	struct vci_append a;
	int r;

	do
		r = vci_append_begin(rig->c, f, &a);
	while (r == -EAGAIN && !(r = vci_append_prepare(rig->c)));
	if (r)
		return r;
	r = vci_write(&rig->cache.dev, a.addr, a.blocks,
		      f->buffer + a.skip * VCI_BLOCK_SIZE, a.flags);
	if (r) {
		vci_append_failed(rig->c, &a, r);
		return r;
	}
	r = vci_append_map(rig->c, f, &a);
	return r == -EAGAIN ? vci_append_map_sleep(rig->c, f, &a) : r;
}

static void begin_log_write(struct rig *rig, bool fua)
{
	struct vci_fill *f = &rig->fill;

	assert(vci_append_enter(rig->c) && !f->nr);
	vci_fill_init(f, rig->buffer, vci_cache_batch_blocks(rig->c),
			      vci_cache_batch_align(rig->c));
	f->stream = rig->log_stream;
	f->write = true;
	f->fua = fua;
}

static void add_log_write(struct rig *rig, u64 off, u32 blocks, u32 value)
{
	static const struct vci_ticket none;
	struct vci_fill *f = &rig->fill;
	int i = vci_fill_reserve(f, off, blocks, &none);

	assert(i >= 0 && f->e[i].blocks == blocks);
	memset(vci_fill_data(f, i), value, (size_t)blocks * VCI_BLOCK_SIZE);
	vci_fill_commit(f, i, true);
}

static int end_log_write(struct rig *rig)
{
	int r = log_write(rig, &rig->fill);

	vci_append_leave(rig->c);
	vci_fill_init(&rig->fill, rig->buffer, vci_cache_batch_blocks(rig->c),
			      vci_cache_batch_align(rig->c));
	return r;
}

int rig_log_write(struct rig *rig, u64 off, u32 blocks, u32 value, bool fua)
{
	begin_log_write(rig, fua);
	add_log_write(rig, off, blocks, value);
	return end_log_write(rig);
}

int rig_log_writes(struct rig *rig, u64 off, u32 nr, u32 value)
{
	u32 i;

	begin_log_write(rig, false);
	for (i = 0; i < nr; i++)
		add_log_write(rig, off + 2 * i, 1, value);
	return end_log_write(rig);
}

int rig_value(struct rig *rig, u64 off)
{
	struct vci_lookup res;
	const u8 *p;
	int r;

	while ((r = vci_cache_lookup(rig->c, off, 1, &res)) == -EAGAIN)
		if (vci_cache_load(rig->c, off, 1))
			return -1;
	if (r)
		return -1;
	p = res.mapped ? sim_disk_peek(&rig->cache, res.e.addr) :
			 sim_disk_peek(&rig->backing, off);
	return memchr_inv(p, p[0], VCI_BLOCK_SIZE) ? -1 : p[0];
}

int rig_flush(struct rig *rig)
{
	struct vci_flush_token t;
	int r = 0;

	if (vci_flush_cache_begin(rig->c, &t)) {
		r = vci_flush(&rig->cache.dev);
		if (!r)
			vci_flush_cache_end(rig->c, &t);
	}
	if (!r && vci_flush_backing_begin(rig->c, &t)) {
		r = vci_flush(&rig->backing.dev);
		if (!r)
			vci_flush_backing_end(rig->c, &t);
	}
	return r;
}

int rig_write_back(struct rig *rig)
{
	struct vci_writeback wb = { .max_seq = U64_MAX };
	int r = 0;

	while (!r && wb.off < RIG_BACKING)
		r = vci_cache_writeback(rig->c, &wb, U32_MAX);
	return r ? r : wb.error;
}

int rig_cached(struct rig *rig, u64 off, u32 blocks)
{
	u64 end = off + blocks;
	struct vci_lookup res;
	int n = 0, r;
	u32 k;

	while (off < end) {
		r = vci_cache_lookup(rig->c, off, end - off, &res);
		if (r == -EAGAIN && !vci_cache_load(rig->c, off, end - off))
			continue;
		if (r)
			return -1;
		for (k = 0; res.mapped && k < res.e.blocks; k++)
			if (memcmp(sim_disk_peek(&rig->cache, res.e.addr + k),
				   sim_disk_peek(&rig->backing, off + k), VCI_BLOCK_SIZE))
				return -1;
		n += res.mapped ? res.e.blocks : 0;
		off += res.e.blocks;
	}
	return n;
}

static void finding(void *ctx, const struct vci_damage *dmg, const char *text)
{
	struct rig *rig = ctx;

	(void)dmg;
	if (!rig->finding[0])
		snprintf(rig->finding, sizeof(rig->finding), "%s", text);
}

int rig_verify(struct rig *rig)
{
	struct vci_verify_params p = {
		.dev = &rig->cache.dev,
		.backing = rig->no_data ? NULL : &rig->backing.dev,
		.finding = finding,
		.ctx = rig,
	};
	struct vci_verify_result res;
	int r;

	rig->finding[0] = '\0';
	r = vci_verify(&p, &res);
	if (rig->finding[0])
		printf("# %s\n", rig->finding);
	return r ? r : (int)res.nr_findings;
}

u64 rig_digest(struct rig *rig)
{
	return sim_disk_digest(&rig->cache) * 3 + sim_disk_digest(&rig->backing);
}

void rig_header(struct rig *rig, struct vci_header *h)
{
	assert(!vci_header_check(sim_disk_peek(&rig->cache, 0), rig->cache.dev.blocks, h,
				 NULL));
}

void rig_put_header(struct rig *rig, const struct vci_header *h)
{
	u8 block[VCI_BLOCK_SIZE];

	vci_header_seal(h, block);
	sim_disk_poke(&rig->cache, 0, block);
}

void rig_damage(struct rig *rig, u64 block, u32 byte)
{
	u8 copy[VCI_BLOCK_SIZE];

	memcpy(copy, sim_disk_peek(&rig->cache, block), sizeof(copy));
	copy[byte] ^= 1;
	sim_disk_poke(&rig->cache, block, copy);
}
