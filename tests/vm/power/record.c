// SPDX-License-Identifier: GPL-2.0-only
/*
 * The record of a life, and the disks' contents: an array with a pointer for each
 * sector, into the data of the write that wrote it.  Data is never copied or
 * changed once it is received, so a disk as it was costs an array.
 */
#include <linux/nbd.h>
#include <stdarg.h>

#include "record.h"

#define CHUNK_SIZE	(4u << 20)

const char *const disk_names[DISKS] = { "cache", "backing" };
const u64 disk_sectors[DISKS] = { 4 << 11, 128 << 11 };

static u64 the_clock;
static const u8 zeros[SECTOR_SIZE];

struct chunk {
	struct chunk *next;
	size_t used, size;
	u8 bytes[] __attribute__((aligned(16)));
};

u64 tick(void)
{
	return __atomic_add_fetch(&the_clock, 1, __ATOMIC_SEQ_CST);
}

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "power: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(2);
}

const u8 **sectors_new(int disk)
{
	const u8 **s = calloc(disk_sectors[disk], sizeof(*s));

	if (!s)
		die("out of memory");
	return s;
}

const u8 *sector_data(const u8 *const *sectors, u64 sector)
{
	return sectors[sector] ? sectors[sector] : zeros;
}

struct life *life_new(const u8 **base[DISKS], struct life *before)
{
	struct life *l = calloc(1, sizeof(*l));
	int d;

	if (!l)
		die("out of memory");
	for (d = 0; d < DISKS; d++) {
		l->base[d] = base[d];
		l->now[d] = sectors_new(d);
		memcpy(l->now[d], base[d], disk_sectors[d] * sizeof(*l->now[d]));
	}
	l->before = before;
	l->began = tick();
	return l;
}

void life_free(struct life *l)
{
	struct chunk *c, *next;
	int d;

	for (c = l->memory; c; c = next) {
		next = c->next;
		free(c);
	}
	for (d = 0; d < DISKS; d++) {
		free(l->base[d]);
		free(l->now[d]);
	}
	free(l->requests);
	free(l->changes);
	free(l);
}

void *life_alloc(struct life *l, size_t size)
{
	struct chunk *c = l->memory;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (!c || c->size - c->used < size) {
		size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;

		c = malloc(sizeof(*c) + room);
		if (!c)
			die("out of memory");
		c->next = l->memory;
		c->used = 0;
		c->size = room;
		l->memory = c;
	}
	p = c->bytes + c->used;
	c->used += size;
	return p;
}

static void append(struct request ***list, size_t *nr, size_t *max, struct request *r)
{
	if (*nr == *max) {
		*max = *max ? 2 * *max : 1024;
		*list = realloc(*list, *max * sizeof(**list));
		if (!*list)
			die("out of memory");
	}
	(*list)[(*nr)++] = r;
}

struct request *life_receive(struct life *l, const struct request *from)
{
	struct request *r = life_alloc(l, sizeof(*r));

	*r = *from;
	r->received = tick();
	append(&l->requests, &l->nr_requests, &l->max_requests, r);
	return r;
}

/* The sector as this write or discard leaves it. */
static const u8 *new_sector(const struct request *r, u32 i)
{
	return r->data ? r->data + (size_t)i * SECTOR_SIZE : NULL;
}

void life_do(struct life *l, struct request *r)
{
	u32 i;

	r->done = tick();
	if ((r->op != NBD_CMD_WRITE && r->op != NBD_CMD_TRIM) || r->no_effect)
		return;
	append(&l->changes, &l->nr_changes, &l->max_changes, r);
	for (i = 0; i < r->sectors; i++)
		l->now[r->disk][r->sector + i] = new_sector(r, i);
}
