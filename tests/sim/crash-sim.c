// SPDX-License-Identifier: GPL-2.0-only
/*
 * crash-sim: random histories of a cache with crashes, against a model.
 *
 *	crash-sim --count 200000		that many crashes, seeds from the clock
 *	crash-sim --seed 0x1234 --ops 100	one history again
 *
 * What is assumed of the disks is in sim-disk.h, what counts as a violation in
 * sim-world.h.  Everything in a history follows from its seed and --ops.
 */
#include <getopt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim-history.h"

#define JOBS_MAX	64

static const struct option options[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "count", required_argument, NULL, 'c' },
	{ "ops", required_argument, NULL, 'o' },
	{ "seconds", required_argument, NULL, 't' },
	{ "jobs", required_argument, NULL, 'j' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "tap", no_argument, NULL, 'T' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void usage(void)
{
	puts("crash-sim [options]: simulated crashes of the core, against a model\n"
	     "  --count N     stop after N crashes\n"
	     "  --seconds N   stop after N seconds\n"
	     "  --seed S      run the history with this seed; with --count or\n"
	     "                --seconds: it and those that follow\n"
	     "  --ops N       at most N steps between two crashes (200)\n"
	     "  --jobs N      processes\n"
	     "  --verbose     trace of every step\n"
	     "  --tap         output for the test runner");
}

/* The history that runs: an assertion that fails prints how to repeat it. */
static u64 current_seed;
static unsigned int current_ops;

static void on_abort(int sig)
{
	char line[120];
	int n = snprintf(line, sizeof(line), "# died by signal %d\n# crash-sim --seed 0x%llx --ops %u\n",
			 sig, current_seed, current_ops);

	if (write(STDOUT_FILENO, line, n) != n)
		_exit(4);
	_exit(3);
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Histories from o->seed on, every @step-th, until there were enough. */
static void run(const struct sim_options *o, u64 first, u64 step, u64 count,
		struct sim_result *res)
{
	u64 end = o->seconds ? now_ns() + o->seconds * 1000000000ull : 0;
	u64 seed = first;

	current_ops = o->ops;
	do {
		current_seed = seed;
		sim_history(res, o, seed);
		res->histories++;
		res->last_seed = seed;
		seed += step;
	} while (!res->failed && (count || end) && (!count || res->crashes < count) &&
		 (!end || now_ns() < end));
}

static void add(struct sim_result *sum, const struct sim_result *r)
{
	sum->histories += r->histories;
	sum->crashes += r->crashes;
	sum->opens += r->opens;
	sum->closes += r->closes;
	sum->ops += r->ops;
	sum->verified += r->verified;
	sum->hits += r->hits;
	sum->misses += r->misses;
	sum->io += r->io;
	sum->batches += r->batches;
	sum->checkpoints += r->checkpoints;
	sum->evicted += r->evicted;
	sum->stale += r->stale;
	sum->full_appends += r->full_appends;
	sum->clones += r->clones;
	if (r->failed && !sum->failed) {
		sum->failed = true;
		memcpy(sum->violation, r->violation, sizeof(sum->violation));
		sum->last_seed = r->last_seed;
	} else if (!sum->failed) {
		sum->last_seed = max(sum->last_seed, r->last_seed);
	}
}

static void run_jobs(const struct sim_options *o, struct sim_result *sum)
{
	struct sim_result *shared;
	unsigned int i;
	int status;

	shared = mmap(NULL, o->jobs * sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(shared != MAP_FAILED);
	for (i = 0; i < o->jobs; i++) {
		pid_t pid = fork();

		assert(pid >= 0);
		if (!pid) {
			shared[i].last_seed = o->seed + i;
			run(o, o->seed + i, o->jobs, DIV_ROUND_UP(o->count, o->jobs),
			    &shared[i]);
			_exit(0);
		}
	}
	while (wait(&status) > 0) {
		if (!status)
			continue;
		sum->failed = true;
		snprintf(sum->violation, sizeof(sum->violation),
			 "a job died (status 0x%x)", status);
	}
	for (i = 0; i < o->jobs; i++)
		add(sum, &shared[i]);
}

static int report(const struct sim_options *o, const struct sim_result *r)
{
	if (o->tap)
		printf("TAP version 13\n1..1\n%sok 1 - crash_sim:no_violation\n",
		       r->failed ? "not " : "");
	printf("%scrash-sim: %llu crashes, seeds 0x%llx..0x%llx, %d violations\n",
	       o->tap ? "# " : "", r->crashes, o->seed, r->last_seed, r->failed);
	printf("# %llu histories, %llu activations, %llu closes, %llu operations, %llu I/Os, %llu hits, %llu misses, %llu sectors compared\n",
	       r->histories, r->opens, r->closes, r->ops, r->io, r->hits, r->misses,
	       r->verified);
	printf("# %llu batches, %llu checkpoints, %llu blocks evicted, %llu stale fills, %llu appends without room, %llu nodes cloned\n",
	       r->batches, r->checkpoints, r->evicted, r->stale, r->full_appends,
	       r->clones);
	if (!r->failed)
		return 0;
	printf("# %s\n# crash-sim --seed 0x%llx --ops %u\n", r->violation,
	       r->last_seed, o->ops);
	return 1;
}

static void parse(int argc, char **argv, struct sim_options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			o->seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			o->count = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			o->ops = max(10ul, strtoul(optarg, NULL, 0));
			break;
		case 't':
			o->seconds = strtoul(optarg, NULL, 0);
			break;
		case 'j':
			o->jobs = min_t(unsigned long, JOBS_MAX, strtoul(optarg, NULL, 0));
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'T':
			o->tap = true;
			break;
		case 'h':
			usage();
			exit(0);
		default:
			usage();
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct sim_options o = { .ops = 200, .seed = now_ns() << 8 >> 8 };
	struct sim_result res = { 0 };

	parse(argc, argv, &o);
	signal(SIGABRT, on_abort);
	signal(SIGSEGV, on_abort);
	if (o.tap && !o.count)
		o.count = 20000;
	if (o.verbose)
		vci_log_file = stdout;
	if (o.jobs > 1)
		run_jobs(&o, &res);
	else
		run(&o, o.seed, 1, o.count, &res);
	return report(&o, &res);
}
