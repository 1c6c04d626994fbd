// SPDX-License-Identifier: GPL-2.0-only
/*
 * Power failures under the real target, in a VM; see record.h for what disks may
 * do, model.h for what is legal, run.c for what happens.
 */
#include <getopt.h>
#include <time.h>

#include "power.h"

#define CUTS_PER_RUN	50u	/* then another workload is run */

static void print_help(void)
{
	printf("Usage: power-test [OPTION]...\n"
	       "Cut the power of the disks under a dm-vci target, again and again.\n"
	       "As root, in a VM, with the modules nbd and dm-vci loaded.\n"
	       "\n"
	       "  --mode MODE    the target's; ordered: writeback in order; mixed: changing\n"
	       "                 at random\n"
	       "  --cuts N       how often at least\n"
	       "  --ops N        operations of each workload\n"
	       "  --seed N       of all that is left to chance, but not of timing\n"
	       "  --dump DIR     keep the disks of the first violation there\n"
	       "  --write-through\n"
	       "                 the cache device has no volatile cache\n"
	       "  --fault FAULT  a disk lies, which must be noticed: cache-flush,\n"
	       "                 cache-fua, cache-write-through, backing-flush, backing-fua\n"
	       "\n"
	       "Exit status: 0 all is well, 1 violations, 2 the test can't go on.\n");
}

static void set_fault(struct faults *f, const char *name)
{
	if (!strcmp(name, "cache-flush"))
		f->no_flush[CACHE] = true;
	else if (!strcmp(name, "backing-flush"))
		f->no_flush[BACKING] = true;
	else if (!strcmp(name, "cache-fua"))
		f->no_fua[CACHE] = true;
	else if (!strcmp(name, "backing-fua"))
		f->no_fua[BACKING] = true;
	else if (!strcmp(name, "cache-write-through"))
		f->write_through[CACHE] = f->no_through[CACHE] = true;
	else
		die("unknown fault '%s'", name);
}

static const struct option long_options[] = {
	{ "mode", required_argument, NULL, 'm' },
	{ "cuts", required_argument, NULL, 'c' },
	{ "ops", required_argument, NULL, 'o' },
	{ "seed", required_argument, NULL, 's' },
	{ "fault", required_argument, NULL, 'f' },
	{ "write-through", no_argument, NULL, 'w' },
	{ "dump", required_argument, NULL, 'd' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static void parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (c == 'm')
			o->mode = optarg;
		else if (c == 'c')
			o->cuts = strtoul(optarg, NULL, 0);
		else if (c == 'o')
			o->ops = strtoul(optarg, NULL, 0);
		else if (c == 's')
			o->seed = strtoull(optarg, NULL, 0);
		else if (c == 'f')
			set_fault(&o->faults, optarg);
		else if (c == 'w')
			o->faults.write_through[CACHE] = true;
		else if (c == 'd')
			o->dump = optarg;
		else
			print_help(), exit(c == 'h' ? 0 : 2);
	}
}

static void print_sums(const struct power *p)
{
	printf("# %s: %u power cuts, %u of them in a life after one; %u such lives with more"
	       " writes; %u changes of mode; %u looks at the backing device alone;"
	       " %u images checked; %u violations; seed %llu\n", p->o.mode, p->cuts,
	       p->later_cuts, p->loaded, p->switches, p->alone, p->checked, p->violations,
	       p->o.seed);
}

int main(int argc, char **argv)
{
	struct power p = {
		.o = { .mode = "writethrough", .cuts = 10, .ops = 1200, .seed = time(NULL) },
	};
	u32 left;

	parse(&p.o, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	p.rng.state = p.o.seed;
	if (posix_memalign((void **)&p.buffer, 4096, READ_SECTORS * SECTOR_SIZE))
		die("out of memory");
	while (p.cuts < p.o.cuts && p.violations < MAX_TOLD) {
		left = p.o.cuts - p.cuts;
		run(&p, left < CUTS_PER_RUN ? left : CUTS_PER_RUN);
	}
	if (p.pair)
		pair_stop(p.pair);
	print_sums(&p);
	return p.violations != 0;
}
