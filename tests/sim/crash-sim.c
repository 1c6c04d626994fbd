// SPDX-License-Identifier: GPL-2.0-only
/*
 * crash-sim: random histories of a cache with crashes, against a model.
 *
 *	crash-sim --count 200000		that many crashes, seeds from the clock
 *	crash-sim --seed 0x1234 --ops 100	one history again
 *	crash-sim --seed 0x1234 --shrink	... and a shorter one, if there is
 *
 * A history is one image from its formatting on, over its crashes and closes: at
 * least 24 of them and 200 operations of users.  What is assumed of the disks is
 * in sim-disk.h, what counts as a violation in sim-world.h, what the table at the
 * end counts in sim-table.c.  Everything in a history follows from its seed, --ops
 * and --rounds.
 */
#include <getopt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim-history.h"

#define JOBS_MAX	64
/* How many steps --shrink may try, divided by the length of the rounds. */
#define SHRINK_STEPS	8000u
/* Seconds of CPU for one history: it takes a hundredth of one. */
#define HANG_SECONDS	60u
/* After so many crashes the table has no empty cell, or the histories are worth less. */
#define TABLE_CRASHES	10000u

static const struct option options[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "count", required_argument, NULL, 'c' },
	{ "ops", required_argument, NULL, 'o' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "shrink", no_argument, NULL, 'S' },
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
	     "  --seconds N   stop after N seconds of CPU time\n"
	     "  --seed S      run the history with this seed; with --count or\n"
	     "                --seconds: it and those that follow\n"
	     "  --ops N       at most N steps between two crashes (200)\n"
	     "  --rounds N    at most N crashes and closes of one image\n"
	     "  --shrink      after a violation: look for a shorter history with one\n"
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

/* A history that goes on for ever is one that died. */
static void watch_out(void)
{
	const struct itimerval limit = { .it_value.tv_sec = HANG_SECONDS };

	setitimer(ITIMER_PROF, &limit, NULL);
}

static u64 ns_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* So that as much is tried on a machine that does other things, too. */
static u64 cpu_ns(void)
{
	return ns_of(CLOCK_PROCESS_CPUTIME_ID);
}

/* Histories from o->seed on, every @step-th, until there were enough. */
static void run(const struct sim_options *o, u64 first, u64 step, u64 count,
		struct sim_result *res)
{
	u64 end = o->seconds ? cpu_ns() + o->seconds * 1000000000ull : 0;
	u64 seed = first;

	current_ops = o->ops;
	do {
		current_seed = seed;
		watch_out();
		sim_history(res, o, seed);
		res->histories++;
		res->last_seed = seed;
		seed += step;
	} while (!res->failed && (count || end) && (!count || res->crashes < count) &&
		 (!end || cpu_ns() < end));
}

/* Is there a violation in a history with fewer steps and rounds?  Prints it. */
static void shrink(const struct sim_options *o, const struct sim_result *r)
{
	static const unsigned int steps[] = { 10, 15, 20, 30, 40, 60, 80, 100, 130, 160 };
	struct sim_options less = *o;
	static struct sim_result res;
	u64 seeds, best = ~0ull;
	u32 i, k;

	less.verbose = false;
	less.rounds = r->rounds;
	printf("# shorter: the same history ends with round %llu\n", r->rounds);
	for (i = 0; i < ARRAY_SIZE(steps) && steps[i] < o->ops; i++) {
		less.ops = steps[i];
		seeds = SHRINK_STEPS / steps[i];
		for (k = 0; k < seeds && best > steps[i]; k++) {
			memset(&res, 0, sizeof(res));
			watch_out();
			sim_history(&res, &less, r->last_seed + k);
			if (!res.failed || strncmp(res.violation, r->violation, 5) ||
			    res.rounds * steps[i] >= best)
				continue;
			best = res.rounds * steps[i];
			printf("# %s\n# crash-sim --seed 0x%llx --ops %u --rounds %llu\n",
			       res.violation, r->last_seed + k, steps[i], res.rounds);
		}
	}
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
	sum->moved += r->moved;
	sum->stale += r->stale;
	sum->full_appends += r->full_appends;
	sum->clones += r->clones;
	sum->writes_logged += r->writes_logged;
	sum->writes_direct += r->writes_direct;
	sum->writes_placed += r->writes_placed;
	sum->dead_places += r->dead_places;
	sum->fill_reads += r->fill_reads;
	sum->around += r->around;
	sum->dirty_hits += r->dirty_hits;
	sum->met_dirty += r->met_dirty;
	sum->past_log += r->past_log;
	sum->written_back += r->written_back;
	sum->messages += r->messages;
	sum->failed_ops += r->failed_ops;
	sum->wedged += r->wedged;
	if (!sum->min_ops || r->min_ops < sum->min_ops)
		sum->min_ops = r->min_ops;
	table_add(&sum->table, &r->table);
	if (r->failed && !sum->failed) {
		sum->failed = true;
		memcpy(sum->violation, r->violation, sizeof(sum->violation));
		sum->last_seed = r->last_seed;
		sum->rounds = r->rounds;
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

static void print_violation(const struct sim_options *o, const struct sim_result *r)
{
	printf("# %s\n# crash-sim --seed 0x%llx --ops %u", r->violation, r->last_seed,
	       o->ops);
	if (o->rounds)
		printf(" --rounds %u", o->rounds);
	printf("\n");
}

/* Of all processes, in milliseconds. */
static u64 cpu_ms(void)
{
	u64 ms = 0;
	int who[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(who); i++) {
		struct rusage u;

		if (getrusage(who[i], &u))
			continue;
		ms += (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000ull +
		      (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
	}
	return ms;
}

static int report(const struct sim_options *o, const struct sim_result *r)
{
	u32 empty = table_count_empty(&r->table);
	bool judged = o->count >= TABLE_CRASHES;

	if (o->tap)
		printf("TAP version 13\n1..2\n%sok 1 - crash_sim:no_violation\n%sok 2 - crash_sim:no_empty_cell%s\n",
		       r->failed ? "not " : "", judged && empty ? "not " : "",
		       judged ? "" : " # SKIP too few crashes");
	printf("%scrash-sim: %llu crashes, seeds 0x%llx..0x%llx, %d violations, %llu crashes per second of CPU\n",
	       o->tap ? "# " : "", r->crashes, o->seed, r->last_seed, r->failed,
	       r->crashes * 1000 / (cpu_ms() + 1));
	printf("# %llu histories of at least %llu operations, %llu on average (%llu in all), %llu activations, %llu closes, %llu I/Os\n",
	       r->histories, r->min_ops, r->ops / (r->histories ? r->histories : 1), r->ops,
	       r->opens, r->closes, r->io);
	printf("# %llu hits, %llu of dirty data, %llu on their way into the log, %llu misses, %llu read around, %llu sectors compared, %llu operations failed with a device\n",
	       r->hits, r->dirty_hits, r->fill_reads, r->misses, r->around, r->verified,
	       r->failed_ops);
	printf("# %llu writes to the log, %llu direct ones, %llu in place (%llu sectors mapped elsewhere meanwhile), %llu past it, %llu met dirty data, %llu blocks written back, %llu flush messages, %llu times in order without room\n",
	       r->writes_logged, r->writes_direct, r->writes_placed, r->dead_places,
	       r->past_log,
	       r->met_dirty, r->written_back, r->messages, r->wedged);
	printf("# %llu batches, %llu checkpoints, %llu blocks evicted, %llu appended again, %llu stale fills, %llu appends without room, %llu nodes cloned\n",
	       r->batches, r->checkpoints, r->evicted, r->moved, r->stale, r->full_appends,
	       r->clones);
	table_print(&r->table);
	if (empty)
		printf("# %u cells are empty\n", empty);
	if (!r->failed)
		return judged && empty;
	print_violation(o, r);
	if (o->shrink)
		shrink(o, r);
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
		case 'r':
			o->rounds = strtoul(optarg, NULL, 0);
			break;
		case 'S':
			o->shrink = true;
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
	struct sim_options o = { .ops = 200, .seed = ns_of(CLOCK_REALTIME) << 8 >> 8 };
	static struct sim_result res;

	parse(argc, argv, &o);
	signal(SIGABRT, on_abort);
	signal(SIGPROF, on_abort);
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
