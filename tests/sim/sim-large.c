// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large images that are full: see sim-large.h.
 */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "sim-large.h"
#include "vci-build.h"
#include "vci-format.h"

/* ---- disks ---- */

static int disk_read(struct vci_dev *dev, u64 addr, u32 blocks, void *data)
{
	struct file_disk *d = (struct file_disk *)dev;
	size_t bytes = (size_t)blocks * VCI_BLOCK_SIZE;

	d->reads++;
	d->blocks_read += blocks;
	if (d->hook)
		d->hook(d->ctx);
	memset(data, 0, bytes);
	if (d->fd >= 0 && pread(d->fd, data, bytes, addr * VCI_BLOCK_SIZE) < 0)
		return -EIO;
	return 0;
}

static int disk_write(struct vci_dev *dev, u64 addr, u32 blocks, const void *data,
		      unsigned int flags)
{
	struct file_disk *d = (struct file_disk *)dev;
	ssize_t bytes = (ssize_t)blocks * VCI_BLOCK_SIZE;

	(void)flags;
	d->blocks_written += blocks;
	if (d->hook)
		d->hook(d->ctx);
	if (addr >= d->kept)
		return 0;
	return pwrite(d->fd, data, bytes, addr * VCI_BLOCK_SIZE) == bytes ? 0 : -EIO;
}

static int disk_flush(struct vci_dev *dev)
{
	(void)dev;
	return 0;
}

static const struct vci_io_ops disk_ops = {
	.read = disk_read,
	.write = disk_write,
	.flush = disk_flush,
};

static void disk_init(struct file_disk *d, u64 blocks, int fd, const char *name)
{
	memset(d, 0, sizeof(*d));
	d->dev.ops = &disk_ops;
	d->dev.blocks = blocks;
	d->dev.lbs_blocks = 1;
	snprintf(d->dev.name, sizeof(d->dev.name), "%s", name);
	d->fd = fd;
	d->kept = fd < 0 ? 0 : blocks;
}

static int sparse_file(void)
{
	char path[] = "build/large-sim-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0)
		fd = mkstemp(strcpy(path, "/var/tmp/sim-XXXXXX"));
	if (fd >= 0)
		unlink(path);
	return fd;
}

/**
 * large_init_fd() - format an image in what is open already, and reads as zeros
 * @m: to set up
 * @fd: file or block device; becomes the image's
 * @blocks: its size
 * @extent: blocks of each extent
 */
void large_init_fd(struct large *m, int fd, u64 blocks, u32 extent)
{
	struct vci_format_params p = {
		.layout = { .type = VCI_TYPE_FIXED, .blocks = blocks },
		.uuid = { 1 },
		.label = "large",
	};
	struct vci_header h;
	int r;

	memset(m, 0, sizeof(*m));
	m->rng.state = 1;
	m->extent = extent;
	disk_init(&m->cache, blocks, fd, "cache");
	disk_init(&m->backing, LARGE_BACKING * blocks, -1, "backing");
	r = vci_format(&m->cache.dev, &p, &h);
	if (r) {
		printf("Bail out! no image of %llu blocks: %d\n", blocks, r);
		exit(1);
	}
}

/**
 * large_init() - format an image in a sparse file
 * @m: to set up
 * @blocks: its size
 * @extent: blocks of each extent
 */
void large_init(struct large *m, u64 blocks, u32 extent)
{
	int fd = sparse_file();

	if (fd < 0 || ftruncate(fd, blocks * VCI_BLOCK_SIZE)) {
		printf("Bail out! no file of %llu blocks\n", blocks);
		exit(1);
	}
	large_init_fd(m, fd, blocks, extent);
}

/**
 * large_exit() - free it
 * @m: image, not open
 */
void large_exit(struct large *m)
{
	close(m->cache.fd);
	free(m->log);
}

/* ---- a full image ---- */

/**
 * large_open() - activate the image
 * @m: made by large_init()
 */
void large_open(struct large *m)
{
	struct vci_open_params p = {
		.cache_dev = &m->cache.dev,
		.backing_dev = &m->backing.dev,
		.backing_blocks = m->backing.dev.blocks,
		.random = sim_rand(&m->rng),
		.mem_limit = m->mem_limit,
		.direct = m->volatile_cache,
		.volatile_cache = m->volatile_cache,
	};
	struct vci_damage dmg;
	const char *why;
	int r = vci_cache_open(&p, &m->c, &m->report, &dmg, &why);

	if (r) {
		printf("Bail out! activation: %d, %s\n", r, why);
		exit(1);
	}
}

static int write_node(void *ctx, u64 addr, const void *node)
{
	struct vci_cache *c = ctx;

	return vci_write(c->dev, addr, VCI_NODE_BLOCKS, node, 0);
}

static const struct vci_build_ops build_ops = {
	.alloc_node = vci_cache_alloc_node,
	.write_node = write_node,
};

/**
 * large_offset() - where an extent of the full image lies
 * @m: image
 * @i: which one, in order of offset
 *
 * Return: block of the backing device.
 */
u64 large_offset(const struct large *m, u64 i)
{
	u64 step = m->backing.dev.blocks / m->extent / m->nr_extents;
	u64 hash = (i + 1) * 0x9e3779b97f4a7c15ull;

	return (i * step + (hash >> 32) % step) * m->extent;
}

/* As many extents as fit into the first @used segments, in random places. */
static void build_tree(struct large *m, struct vci_header *h, u32 used)
{
	u64 nr = (u64)used * h->segment_blocks / m->extent, i;
	struct vci_build_result res;
	struct vci_build *b;
	int r = vci_build_begin(&b, h, h->checkpoint_gen, &build_ops, m->c);

	m->nr_extents = nr;
	for (i = 0; !r && i < nr; i++) {
		struct vci_extent e = {
			.off = large_offset(m, i),
			/* A prime: every place once. */
			.addr = h->segments + i * 2654435761u % nr * m->extent,
			.blocks = m->extent,
		};

		r = vci_build_add(b, &e);
	}
	if (!r)
		r = vci_build_end(b, &res);
	vci_build_free(b);
	assert(!r && nr % 2654435761u);
	h->root = res.root;
	h->lru_head = res.lru_head;
	h->lru_tail = res.lru_tail;
	h->nr_extents = res.nr_extents;
	h->data_blocks = res.data_blocks;
}

static void fill_segments(struct vci_segments *t, u32 used)
{
	u32 i;

	for (i = 0; i < t->nr; i++) {
		vci_segment_set(t, i, i < used ? VCI_LIFE_CLOSED : VCI_LIFE_FREE);
		t->s[i].live = i < used ? t->blocks : 0;
		t->s[i].seq = i < used ? i + 1 : 0;
	}
	vci_segments_freeze(t);
}

/**
 * large_make_full() - a cleanly closed image whose segments are full
 * @m: image, not open
 * @log_blocks: so much log shall find room
 */
void large_make_full(struct large *m, u64 log_blocks)
{
	struct vci_cache *c;
	struct vci_header h;
	u32 used;

	large_open(m);
	c = m->c;
	h = c->header;
	used = h.nr_segments - log_blocks / h.segment_blocks * 105 / 100 - VCI_QUEUE;
	h.checkpoint_gen++;
	h.checkpoint_seq = used + 1;
	h.durable_seq = used + 1;
	h.unclean = 0;
	vci_header_clear_log(&h);
	vci_nodes_clear(&c->nodes);
	build_tree(m, &h, used);
	fill_segments(&c->segments, used);
	assert(!vci_cache_write_pages(c, &h) && !vci_cache_write_header(c, &h));
	vci_cache_destroy(c);
	m->c = NULL;
}

/* ---- a log ---- */

static void add_entry(struct large *m, struct vci_fill *f)
{
	u64 units = m->backing.dev.blocks / m->extent;
	u64 off = sim_rand(&m->rng) % units * m->extent;
	static const struct vci_ticket none;
	int i = vci_fill_reserve(f, off, m->extent, &none);

	assert(i >= 0);
	memset(vci_fill_data(f, i), off / m->extent, m->extent * VCI_BLOCK_SIZE);
	vci_fill_commit(f, i, true);
	m->log[m->nr_log++] = off;
}

/**
 * large_append() - append a batch of users' writes
 * @c: cache, whose gate the caller is in
 * @f: the batch
 *
 * Return: 0 or an error; -ENOSPC: there is no room now.
 */
int large_append(struct vci_cache *c, struct vci_fill *f)
{
	struct vci_append a;
	int r;

	while ((r = vci_append_begin(c, f, &a)) == -EAGAIN) {
		r = vci_append_prepare(c);
		if (r)
			return r;
	}
	if (!r)
		r = vci_write(c->dev, a.addr, a.blocks, f->buffer + a.skip * VCI_BLOCK_SIZE,
			      a.flags);
	if (!r)
		r = vci_append_map(c, f, &a);
	return r == -EAGAIN ? vci_append_map_sleep(c, f, &a) : r;
}

/**
 * large_append_log() - append users' writes of one extent each, at random places
 * @m: open image
 * @log_blocks: how much, without headers
 */
void large_append_log(struct large *m, u64 log_blocks)
{
	static u8 buffer[VCI_BATCH_BLOCKS_MAX * VCI_BLOCK_SIZE];
	u32 nr = log_blocks / m->extent, i;
	static struct vci_fill f;
	int r = 0;

	m->log = calloc(nr, sizeof(*m->log));
	assert(m->log);
	assert(vci_append_enter(m->c));
	vci_fill_init(&f, buffer, VCI_BATCH_BLOCKS_MAX, vci_cache_batch_align(m->c));
	for (i = 0; !r && i < nr; i++) {
		add_entry(m, &f);
		if (f.nr < VCI_BATCH_ENTRIES_MAX && i + 1 < nr)
			continue;
		f.write = true;
		r = large_append(m->c, &f);
		vci_fill_init(&f, buffer, VCI_BATCH_BLOCKS_MAX, vci_cache_batch_align(m->c));
	}
	vci_append_leave(m->c);
	if (r) {
		printf("Bail out! append: %d\n", r);
		exit(1);
	}
}

/**
 * large_now() - a clock
 *
 * Return: seconds since some moment.
 */
double large_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}
