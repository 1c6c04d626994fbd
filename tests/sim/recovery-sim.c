// SPDX-License-Identifier: GPL-2.0-only
/*
 * What recovery reads: of an image that is large and full, no more than of a
 * small one with the same log.
 *
 * Images are sparse files, made full of 4 KiB extents at random places of a
 * backing device four times as large; then a log of 4 KiB writes at random places
 * is appended, the host crashes, and reads of the cache device are counted while
 * the image is activated.
 */
#include <fcntl.h>
#include <getopt.h>
#include <time.h>
#include <unistd.h>

#include "sim-rng.h"
#include "vci-build.h"
#include "vci-cache-internal.h"
#include "vci-format.h"
#include "vt.h"

#define GIB_BLOCKS	(1ull << 21)
#define MIB_BLOCKS	(1ull << 11)
#define EXTENT		VCI_UNIT_BLOCKS
/* Part of the image's size. */
#define BACKING		4u
#define PROBES		1000u
#define RATIO_PERCENT	110u

struct file_disk {
	struct vci_dev dev;	/* first */
	int fd;			/* -1: reads as zeros, takes no write */
	u64 reads, blocks_read;
};

struct image {
	struct file_disk cache, backing;
	struct vci_cache *c;
	struct vci_open_report report;
	struct sim_rng rng;
	u64 *log;		/* offsets of its entries */
	u32 nr_log;
};

/* What one activation took. */
struct cost {
	u64 reads, blocks;
	double seconds;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* ---- disks ---- */

static int disk_read(struct vci_dev *dev, u64 addr, u32 blocks, void *data)
{
	struct file_disk *d = (struct file_disk *)dev;
	size_t bytes = (size_t)blocks * VCI_BLOCK_SIZE;

	d->reads++;
	d->blocks_read += blocks;
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
}

static int sparse_file(void)
{
	char path[] = "build/recovery-sim-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0)
		fd = mkstemp(strcpy(path, "/var/tmp/sim-XXXXXX"));
	if (fd >= 0)
		unlink(path);
	return fd;
}

/* ---- a full image ---- */

static void open_image(struct image *m)
{
	struct vci_open_params p = {
		.cache_dev = &m->cache.dev,
		.backing_dev = &m->backing.dev,
		.backing_blocks = m->backing.dev.blocks,
		.random = sim_rand(&m->rng),
	};
	struct vci_damage dmg;
	const char *why;
	int r = vci_cache_open(&p, &m->c, &m->report, &dmg, &why);

	if (r) {
		printf("Bail out! activation: %d, %s\n", r, why);
		exit(1);
	}
}

static u64 alloc_node(void *ctx)
{
	struct vci_cache *c = ctx;
	u64 addr;

	spin_lock(vci_cache_lock(c));
	addr = vci_nodes_alloc(&c->nodes);
	spin_unlock(vci_cache_lock(c));
	return addr;
}

static int write_node(void *ctx, u64 addr, const void *node)
{
	struct vci_cache *c = ctx;

	return vci_write(c->dev, addr, VCI_NODE_BLOCKS, node, 0);
}

static const struct vci_build_ops build_ops = {
	.alloc_node = alloc_node,
	.write_node = write_node,
};

/* As many extents as fit into the first @used segments, in random places. */
static void build_tree(struct image *m, struct vci_header *h, u32 used)
{
	u64 nr = (u64)used * h->segment_blocks / EXTENT, i;
	u64 step = m->backing.dev.blocks / EXTENT / nr;
	struct vci_build_result res;
	struct vci_build *b;
	int r = vci_build_begin(&b, h, h->checkpoint_gen, &build_ops, m->c);

	for (i = 0; !r && i < nr; i++) {
		struct vci_extent e = {
			.off = (i * step + sim_rand(&m->rng) % step) * EXTENT,
			/* A prime: every place once. */
			.addr = h->segments + i * 2654435761u % nr * EXTENT,
			.blocks = EXTENT,
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
	}
	vci_segments_freeze(t);
}

/* Cleanly closed, with all segments full but those that the log needs. */
static void make_full(struct image *m, u64 log_blocks)
{
	struct vci_cache *c;
	struct vci_header h;
	u32 used;

	open_image(m);
	c = m->c;
	h = c->header;
	used = h.nr_segments - log_blocks / h.segment_blocks * 105 / 100 - VCI_QUEUE;
	h.checkpoint_gen++;
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

static void add_entry(struct image *m, struct vci_fill *f)
{
	u64 units = m->backing.dev.blocks / EXTENT;
	u64 off = sim_rand(&m->rng) % units * EXTENT;
	static const struct vci_ticket none;
	int i = vci_fill_reserve(f, off, EXTENT, &none);

	assert(i >= 0);
	memset(vci_fill_data(f, i), off / EXTENT, EXTENT * VCI_BLOCK_SIZE);
	vci_fill_commit(f, i, true);
	m->log[m->nr_log++] = off;
}

static int append(struct vci_cache *c, struct vci_fill *f)
{
	struct vci_append a;
	int r;

	while ((r = vci_append_begin(c, f, &a)) == -EAGAIN) {
		r = vci_append_prepare(c);
		if (r)
			return r;
	}
	if (!r)
		r = vci_write(c->dev, a.addr, a.blocks, f->buffer, a.flags);
	if (!r)
		r = vci_append_map(c, f, &a);
	return r == -EAGAIN ? vci_append_map_sleep(c, f, &a) : r;
}

static void append_log(struct image *m, u64 log_blocks)
{
	static u8 buffer[VCI_BATCH_BLOCKS_MAX * VCI_BLOCK_SIZE];
	u32 nr = log_blocks / EXTENT, i;
	static struct vci_fill f;
	int r = 0;

	m->log = calloc(nr, sizeof(*m->log));
	assert(m->log);
	assert(vci_append_enter(m->c));
	vci_fill_init(&f, buffer, VCI_BATCH_BLOCKS_MAX);
	for (i = 0; !r && i < nr; i++) {
		add_entry(m, &f);
		if (f.nr < VCI_BATCH_ENTRIES_MAX && i + 1 < nr)
			continue;
		f.write = true;
		r = append(m->c, &f);
		vci_fill_init(&f, buffer, VCI_BATCH_BLOCKS_MAX);
	}
	vci_append_leave(m->c);
	if (r) {
		printf("Bail out! append: %d\n", r);
		exit(1);
	}
}

/* ---- counting ---- */

static struct cost since(const struct image *m, double start)
{
	return (struct cost) {
		.reads = m->cache.reads,
		.blocks = m->cache.blocks_read,
		.seconds = now() - start,
	};
}

static void show(const char *what, const struct cost *c)
{
	printf("#   %s: %llu reads, %.1f MiB, %.2f s\n", what, c->reads,
	       (double)c->blocks / MIB_BLOCKS, c->seconds);
}

static struct cost activate(struct image *m)
{
	double start = now();

	m->cache.reads = 0;
	m->cache.blocks_read = 0;
	open_image(m);
	return since(m, start);
}

/* What the log holds is mapped, though nothing of it was at the activation. */
static bool probes_hit(struct image *m)
{
	struct vci_lookup res;
	u32 i, again = 0, hits = 0;

	for (i = 0; i < PROBES; i++) {
		u64 off = m->log[sim_rand(&m->rng) % m->nr_log];

		if (vci_cache_lookup(m->c, off, EXTENT, &res) == -EAGAIN) {
			again++;
			if (vci_cache_load(m->c, off, EXTENT) ||
			    vci_cache_lookup(m->c, off, EXTENT, &res))
				return false;
		}
		hits += res.mapped && res.e.blocks == EXTENT &&
			res.e.flags & VCI_EXT_DIRTY;
	}
	return hits == PROBES && again;
}

static struct cost measure(u64 blocks, u64 log_blocks)
{
	struct vci_format_params p = {
		.layout = { .type = VCI_TYPE_FIXED },
		.uuid = { 1 },
		.label = "recovery",
	};
	struct image m = { .rng = { .state = 1 } };
	double gib = (double)blocks / GIB_BLOCKS, start = now();
	struct vci_header h;
	struct cost opened, finished;

	p.layout.blocks = blocks;
	disk_init(&m.cache, blocks, sparse_file(), "cache");
	disk_init(&m.backing, BACKING * blocks, -1, "backing");
	assert(m.cache.fd >= 0 && !ftruncate(m.cache.fd, blocks * VCI_BLOCK_SIZE));
	assert(!vci_format(&m.cache.dev, &p, &h));
	make_full(&m, log_blocks);
	open_image(&m);
	append_log(&m, log_blocks);
	printf("# %g GiB: %llu extents, %u entries in the log; made in %.1f s\n", gib,
	       m.c->header.nr_extents, m.nr_log, now() - start);
	vci_cache_destroy(m.c);
	opened = activate(&m);
	show("activation", &opened);
	printf("#   %u KiB of memory for what waits\n",
	       (u32)(vci_redo_bytes(&m.c->redo) / 1024));
	is_u64(m.report.entries, m.nr_log, "recovery:finds_the_log_of_%g_gib", gib);
	ok(probes_hit(&m), "recovery:maps_on_demand_of_%g_gib", gib);
	start = now();
	is_u64(vci_redo_finish(m.c), 0, "recovery:finishes_with_%g_gib", gib);
	finished = since(&m, start);
	show("with all replayed", &finished);
	vci_cache_destroy(m.c);
	close(m.cache.fd);
	free(m.log);
	return opened;
}

static void compare(const char *what, u64 small, u64 large)
{
	printf("# %s: %llu and %llu, ratio %.3f\n", what, small, large,
	       (double)large / small);
	ok(large * 100 <= small * RATIO_PERCENT, "recovery:%s_do_not_grow_with_the_image",
	   what);
}

static int usage(void)
{
	printf("recovery-sim [--small GIB] [--large GIB] [--log MIB]: what recovery reads\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "small", required_argument, NULL, 's' },
		{ "large", required_argument, NULL, 'l' },
		{ "log", required_argument, NULL, 'g' },
		{ }
	};
	u64 small = GIB_BLOCKS, large = 64 * GIB_BLOCKS, log = 256 * MIB_BLOCKS;
	struct cost a, b;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			small = atof(optarg) * GIB_BLOCKS;
		else if (c == 'l')
			large = atof(optarg) * GIB_BLOCKS;
		else if (c == 'g')
			log = atof(optarg) * MIB_BLOCKS;
		else
			return usage();
	}
	a = measure(small, log);
	b = measure(large, log);
	compare("reads", a.reads, b.reads);
	compare("blocks_read", a.blocks, b.blocks);
	return done_testing();
}
