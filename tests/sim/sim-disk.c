// SPDX-License-Identifier: GPL-2.0-only
/*
 * A simulated disk: see sim-disk.h.
 */
#include "sim-disk.h"

#define SIM_HASH	4096u
#define PAGE_SECTORS	8u
#define SECTOR_SIZE	512u
#define MANY_MAX	1024u

struct sim_page {
	struct sim_page *next;
	u64 nr;
	u32 cut;		/* power cut that decided the sectors below */
	u8 decided;
	_Alignas(8) u8 data[PAGE_SECTORS * SECTOR_SIZE];
};

/* One sector of one write that isn't durable: what was there before. */
struct sim_undo {
	struct sim_page *page;
	u32 write;		/* counted from the last flush */
	u16 pos;		/* sector's place in its write, saturating */
	u16 len;
	u8 sector;		/* in the page */
	bool fua;
};

static struct sim_disk *to_disk(struct vci_dev *dev)
{
	return container_of(dev, struct sim_disk, dev);
}

/* ---- pages ---- */

static struct sim_page **chain(struct sim_disk *d, u64 nr)
{
	return &d->hash[(nr * 0x9e3779b97f4a7c15ull) >> 52];
}

static_assert(SIM_HASH == 1u << 12);

static struct sim_page *find_page(struct sim_disk *d, u64 nr)
{
	struct sim_page *p;

	if (d->last && d->last->nr == nr)
		return d->last;
	for (p = *chain(d, nr); p; p = p->next) {
		if (p->nr == nr) {
			d->last = p;
			return p;
		}
	}
	return NULL;
}

static struct sim_page *get_page(struct sim_disk *d, u64 nr)
{
	struct sim_page *p = find_page(d, nr), **head;

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	assert(p);
	p->nr = nr;
	head = chain(d, nr);
	p->next = *head;
	*head = p;
	d->nr_pages++;
	d->last = p;
	return p;
}

const u8 *sim_disk_peek(struct sim_disk *d, u64 sector)
{
	struct sim_page *p = find_page(d, sector / PAGE_SECTORS);

	if (!p)
		p = d->zero_page;
	return p->data + sector % PAGE_SECTORS * SECTOR_SIZE;
}

void sim_disk_poke(struct sim_disk *d, u64 sector, const void *data)
{
	struct sim_page *p = get_page(d, sector / PAGE_SECTORS);

	memcpy(p->data + sector % PAGE_SECTORS * SECTOR_SIZE, data,
	       SECTOR_SIZE);
}

/* ---- the volatile cache ---- */

static struct sim_undo *add_undo(struct sim_disk *d)
{
	if (d->nr_undo == d->max_undo) {
		d->max_undo = d->max_undo ? 2 * d->max_undo : 1024;
		d->undo = realloc(d->undo, d->max_undo * sizeof(*d->undo));
		d->arena = realloc(d->arena, d->max_undo * SECTOR_SIZE);
		assert(d->undo && d->arena);
	}
	return &d->undo[d->nr_undo++];
}

static void put_sector(struct sim_disk *d, u64 sector, const u8 *data, bool fua,
		       u32 pos, u32 len)
{
	struct sim_page *p = get_page(d, sector / PAGE_SECTORS);
	u8 *at = p->data + sector % PAGE_SECTORS * SECTOR_SIZE;
	struct sim_undo *u = add_undo(d);

	*u = (struct sim_undo) {
		.page = p,
		.write = d->nr_writes,
		.pos = min_t(u32, pos, UINT16_MAX),
		.len = min_t(u32, len, UINT16_MAX),
		.sector = sector % PAGE_SECTORS,
		.fua = fua,
	};
	memcpy(d->arena + (d->nr_undo - 1) * SECTOR_SIZE, at, SECTOR_SIZE);
	memcpy(at, data, SECTOR_SIZE);
}

/* Which part of a write counts that failed: none, all, a prefix, or any. */
static bool part_done(struct sim_rng *rng, u32 how, u32 cut, u32 i)
{
	switch (how) {
	case 0:
		return false;
	case 1:
		return true;
	case 2:
		return i < cut;
	default:
		return sim_below(rng, 2);
	}
}

static void put_part(struct sim_disk *d, u64 addr, u32 blocks, const u8 *data)
{
	struct sim_rng *rng = d->power->rng;
	u32 how = sim_below(rng, 4), cut = sim_below(rng, blocks + 1), i;

	for (i = 0; i < blocks; i++)
		if (part_done(rng, how, cut, i))
			put_sector(d, addr + i, data + (size_t)i * SECTOR_SIZE,
				   false, i, blocks);
	d->nr_writes++;
}

static void forget_undo(struct sim_disk *d)
{
	d->nr_undo = 0;
	d->nr_writes = 0;
}

void sim_disk_settle(struct sim_disk *d)
{
	forget_undo(d);
	if (d->settled)
		d->settled(d->ctx);
}

struct cut_plan {
	enum sim_cut cut;
	u32 write;		/* ORDERED, ONE_LOST: which */
	u32 salt;		/* for decisions by write */
};

static bool keep(struct sim_rng *rng, const struct cut_plan *plan,
		 const struct sim_undo *u)
{
	struct sim_rng by_write = { .state = (u64)plan->salt << 32 | u->write };

	if (u->fua)
		return true;
	switch (plan->cut) {
	case SIM_CUT_KEEP_ALL:
		return true;
	case SIM_CUT_SECTORS:
		return sim_below(rng, 2);
	case SIM_CUT_WRITES:
		return sim_below(&by_write, 2);
	case SIM_CUT_ORDERED:
		return u->write < plan->write ||
		       (u->write == plan->write && sim_below(rng, 2));
	case SIM_CUT_ONE_LOST:
		return u->write != plan->write;
	case SIM_CUT_TORN:
		return u->pos < sim_below(&by_write, u->len + 1u);
	default:
		return false;
	}
}

/*
 * From the newest to the oldest: the newest version of a sector that is kept
 * decides, whatever else was written to it.
 */
void sim_disk_power_cut(struct sim_disk *d, enum sim_cut cut)
{
	struct sim_rng *rng = d->power->rng;
	struct cut_plan plan = {
		.cut = cut,
		.write = sim_below(rng, d->nr_writes + 1),
		.salt = sim_rand(rng),
	};
	size_t i;

	d->cut++;
	for (i = d->nr_undo; i--;) {
		struct sim_undo *u = &d->undo[i];
		struct sim_page *p = u->page;

		if (p->cut != d->cut) {
			p->cut = d->cut;
			p->decided = 0;
		}
		if (p->decided & 1u << u->sector)
			continue;
		if (keep(rng, &plan, u))
			p->decided |= 1u << u->sector;
		else
			memcpy(p->data + u->sector * SECTOR_SIZE,
			       d->arena + i * SECTOR_SIZE, SECTOR_SIZE);
	}
	forget_undo(d);
}

/* ---- the operations ---- */

enum fate { FATE_GOOD, FATE_CRASH, FATE_ERROR };

static enum fate next_io(struct sim_disk *d, bool write)
{
	struct sim_power *p = d->power;

	if (p->hook && !p->in_hook_io)
		p->hook(p->ctx);
	if (p->dead)
		return FATE_ERROR;
	p->io++;
	if (p->io == p->crash_at) {
		p->dead = true;
		return FATE_CRASH;
	}
	if (write && d->broken)
		return FATE_ERROR;
	if (d->fail_in && !--d->fail_in) {
		d->broken = d->fail_for_good;
		d->errors++;
		return FATE_CRASH;
	}
	return FATE_GOOD;
}

/* It is done, but who asked for it doesn't know yet: others may go on. */
static void done_io(struct sim_disk *d)
{
	struct sim_power *p = d->power;

	if (p->hook && !p->in_hook_io && !p->dead && sim_below(p->rng, 2))
		p->hook(p->ctx);
}

static bool bad_range(const struct sim_disk *d, u64 addr, u32 blocks)
{
	u32 lbs = d->dev.lbs_blocks;

	return !blocks || addr >= d->dev.blocks || blocks > d->dev.blocks - addr ||
	       addr % lbs || blocks % lbs;
}

static int disk_read(struct vci_dev *dev, u64 addr, u32 blocks, void *data)
{
	struct sim_disk *d = to_disk(dev);
	u32 i, run;

	assert(!bad_range(d, addr, blocks));
	if (next_io(d, false) != FATE_GOOD)
		return -EIO;
	d->reads++;
	d->blocks_read += blocks;
	for (i = 0; i < blocks; i += run) {
		struct sim_page *p = find_page(d, (addr + i) / PAGE_SECTORS);
		u32 first = (addr + i) % PAGE_SECTORS;

		run = min(PAGE_SECTORS - first, blocks - i);
		memcpy((u8 *)data + (size_t)i * SECTOR_SIZE,
		       (p ? p : d->zero_page)->data + first * SECTOR_SIZE,
		       (size_t)run * SECTOR_SIZE);
	}
	done_io(d);
	return 0;
}

static int disk_flush(struct vci_dev *dev)
{
	struct sim_disk *d = to_disk(dev);
	enum fate fate = next_io(d, false);

	if (fate == FATE_CRASH && sim_below(d->power->rng, 2))
		sim_disk_settle(d);
	if (fate != FATE_GOOD)
		return -EIO;
	d->flushes++;
	sim_disk_settle(d);
	done_io(d);
	return 0;
}

/* False: power is lost before anything of the write can reach the device. */
static bool preflush(struct sim_disk *d, enum fate fate)
{
	if (fate == FATE_CRASH && sim_below(d->power->rng, 2))
		return false;
	d->flushes += fate == FATE_GOOD;
	sim_disk_settle(d);
	return true;
}

static int disk_write(struct vci_dev *dev, u64 addr, u32 blocks, const void *data,
		      unsigned int flags)
{
	struct sim_disk *d = to_disk(dev);
	enum fate fate;
	u32 i;

	assert(!bad_range(d, addr, blocks));
	fate = next_io(d, true);
	if (fate == FATE_ERROR || (flags & VCI_IO_PREFLUSH && !preflush(d, fate)))
		return -EIO;
	if (fate == FATE_CRASH) {
		put_part(d, addr, blocks, data);
		return -EIO;
	}
	d->writes++;
	d->blocks_written += blocks;
	for (i = 0; i < blocks; i++)
		put_sector(d, addr + i, (const u8 *)data + (size_t)i * SECTOR_SIZE,
			   flags & VCI_IO_FUA, i, blocks);
	d->nr_writes++;
	done_io(d);
	return 0;
}

/* The pieces in any order; an error of one doesn't keep others from being done. */
static int disk_many(struct vci_dev *dev, const struct vci_piece *p, u32 nr, bool write)
{
	struct sim_rng *rng = to_disk(dev)->power->rng;
	u16 order[MANY_MAX];
	u32 i, k;
	int r = 0, err;

	assert(nr <= MANY_MAX);
	for (i = 0; i < nr; i++) {
		k = sim_below(rng, i + 1);
		order[i] = order[k];
		order[k] = i;
	}
	for (i = 0; i < nr; i++) {
		const struct vci_piece *one = &p[order[i]];

		err = write ? disk_write(dev, one->addr, one->blocks, one->data, 0) :
			      disk_read(dev, one->addr, one->blocks, one->data);
		r = r ? r : err;
	}
	return r;
}

static int disk_read_many(struct vci_dev *dev, const struct vci_piece *p, u32 nr)
{
	return disk_many(dev, p, nr, false);
}

static int disk_write_many(struct vci_dev *dev, const struct vci_piece *p, u32 nr)
{
	return disk_many(dev, p, nr, true);
}

static const struct vci_io_ops disk_ops = {
	.read = disk_read,
	.write = disk_write,
	.flush = disk_flush,
	.read_many = disk_read_many,
	.write_many = disk_write_many,
};

/* ---- life ---- */

void sim_disk_init(struct sim_disk *d, struct sim_power *p, u64 blocks,
		   const char *name)
{
	memset(d, 0, sizeof(*d));
	d->dev.ops = &disk_ops;
	d->dev.blocks = blocks;
	d->dev.lbs_blocks = 1;
	snprintf(d->dev.name, sizeof(d->dev.name), "%s", name);
	d->power = p;
	d->hash = calloc(SIM_HASH, sizeof(*d->hash));
	d->zero_page = calloc(1, sizeof(*d->zero_page));
	assert(d->hash && d->zero_page);
}

void sim_disk_destroy(struct sim_disk *d)
{
	struct sim_page *p, *next;
	u32 i;

	for (i = 0; i < SIM_HASH; i++) {
		for (p = d->hash[i]; p; p = next) {
			next = p->next;
			free(p);
		}
	}
	free(d->hash);
	free(d->zero_page);
	free(d->undo);
	free(d->arena);
	memset(d, 0, sizeof(*d));
}

u64 sim_disk_digest(struct sim_disk *d)
{
	struct sim_page *p;
	u64 sum = 0;
	u32 i;

	/* A sum, since the order in a chain is that of the first writes. */
	for (i = 0; i < SIM_HASH; i++)
		for (p = d->hash[i]; p; p = p->next)
			if (memchr_inv(p->data, 0, sizeof(p->data)))
				sum += ((u64)crc32c(~0u, p->data, sizeof(p->data)) + 1) *
				       (2 * p->nr + 1);
	return sum;
}

void sim_disk_copy(struct sim_disk *to, struct sim_disk *from)
{
	struct sim_page *p;
	u32 i;

	for (i = 0; i < SIM_HASH; i++)
		for (p = to->hash[i]; p; p = p->next)
			memset(p->data, 0, sizeof(p->data));
	for (i = 0; i < SIM_HASH; i++)
		for (p = from->hash[i]; p; p = p->next)
			memcpy(get_page(to, p->nr)->data, p->data, sizeof(p->data));
	forget_undo(to);
}
