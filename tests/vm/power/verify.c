// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verifying: what the target returns, and what the backing device alone holds.
 */
#include <fcntl.h>
#include <unistd.h>

#include "power.h"

/* ---- violations ---- */

static void dump_disk(const struct power *p, const struct life *l, int disk)
{
	char path[256];
	u64 i;
	int fd;

	snprintf(path, sizeof(path), "%s/%s.img", p->o.dump, disk_names[disk]);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, disk_sectors[disk] * SECTOR_SIZE))
		printf("# cannot write %s\n", path);
	for (i = 0; fd >= 0 && i < disk_sectors[disk]; i++)
		if (l->base[disk][i] &&
		    pwrite(fd, l->base[disk][i], SECTOR_SIZE, i * SECTOR_SIZE) < 0)
			break;
	close(fd);
}

bool violated(struct power *p, const struct life *l)
{
	int d;

	if (!p->violations++ && p->o.dump) {
		for (d = 0; d < DISKS; d++)
			dump_disk(p, l, d);
		printf("# both disks as power came back: %s\n", p->o.dump);
	}
	return p->violations <= MAX_TOLD;
}

/* Who changed it on the backing device, in this life and those before. */
static void explain_lives(const struct life *l, u64 sector)
{
	u64 until = tick();

	for (; l; l = l->before) {
		explain_sector(l, BACKING, sector, until);
		until = l->before ? l->before->cut : 0;
	}
}

/* ---- reading ---- */

u32 *versions_new(void)
{
	u32 *v = malloc(NR_SECTORS * sizeof(*v));

	if (!v)
		die("out of memory");
	return v;
}

void read_all_spots(struct power *p, u32 *versions)
{
	u32 step, i, s;
	u64 sector;

	for (s = 0; s < NR_SECTORS; s += step) {
		step = sim_percent(&p->rng, 80) ? READ_SECTORS :
						  sim_range(&p->rng, 1, READ_SECTORS);
		if (step > SPOT_SECTORS - s % SPOT_SECTORS)
			step = SPOT_SECTORS - s % SPOT_SECTORS;
		sector = sector_at(s);
		if (pread(p->fd, p->buffer, step * SECTOR_SIZE, sector * SECTOR_SIZE) !=
		    (ssize_t)(step * SECTOR_SIZE))
			die("read of %llu+%u: %s", sector, step, strerror(errno));
		for (i = 0; i < step; i++)
			versions[s + i] = version_of(p->buffer + (size_t)i * SECTOR_SIZE,
						     sector + i);
	}
}

void versions_on(const u8 **sectors, u32 *versions)
{
	u32 i;

	for (i = 0; i < NR_SECTORS; i++)
		versions[i] = version_of(sector_data(sectors, sector_at(i)), sector_at(i));
}

/* ---- judging ---- */

static bool is_legal_now(const struct past *past, u32 index, u32 version)
{
	if (past->newest)
		return legal_in_order(past->history, index, version, past->cut, past->newest);
	if (past->cut)
		return legal_after_cut(past->history, index, version, past->cut);
	return legal_now(past->history, index, version, past->since);
}

void check_legal(struct power *p, const struct life *l, const struct past *past,
		 const u32 *versions, const char *what)
{
	u32 i, wrong = 0, first = 0;

	for (i = 0; i < NR_SECTORS; i++)
		if (!is_legal_now(past, i, versions[i]) && !wrong++)
			first = i;
	if (!wrong || !violated(p, l))
		return;
	printf("# VIOLATION: %s: %u sectors are wrong, first:\n", what, wrong);
	explain_history(past->history, first, versions[first], past->cut);
	explain_lives(l, sector_at(first));
}

void check_same(struct power *p, const struct life *l, const u32 *expected,
		const u32 *got, const char *what)
{
	u32 i, wrong = 0, first = 0;

	for (i = 0; i < NR_SECTORS; i++)
		if (expected[i] != got[i] && !wrong++)
			first = i;
	if (!wrong || !violated(p, l))
		return;
	printf("# VIOLATION: %s: %u sectors differ, first %llu: version %u, expected %u\n",
	       what, wrong, sector_at(first), got[first], expected[first]);
	explain_lives(l, sector_at(first));
}

static void free_sectors(const u8 **sectors[DISKS])
{
	free(sectors[CACHE]);
	free(sectors[BACKING]);
}

void check_backing_alone(struct power *p, const struct life *l, const struct history *h)
{
	enum survival survival = sim_below(&p->rng, SURVIVALS);
	struct past past = {
		.history = h,
		.cut = choose_cut(l, l->began, l->ended, &p->rng),
	};
	const u8 **sectors[DISKS];
	u32 *versions = versions_new();

	survivors(l, past.cut, survival, &p->o.faults, &p->rng, sectors);
	versions_on(sectors[BACKING], versions);
	if (target_is_ordered(p))
		past.newest = 1 + newest_of(h, versions);
	check_legal(p, l, &past, versions, "the backing device alone after a cut");
	p->alone++;
	free_sectors(sectors);
	free(versions);
}

void check_written_back(struct power *p, const struct life *l, const u32 *expected)
{
	const u8 **sectors[DISKS];
	u32 *versions = versions_new();

	survivors(l, tick(), KEEP_NONE, &p->o.faults, &p->rng, sectors);
	versions_on(sectors[BACKING], versions);
	check_same(p, l, expected, versions, "the backing device alone after \"flush\"");
	free_sectors(sectors);
	free(versions);
}
