// SPDX-License-Identifier: GPL-2.0-only
/*
 * trace-sim: block traces through dm-vci and through known policies.
 *
 * Prints for each size of the cache what was missed, moved and written, and how
 * long the reads would take on three kinds of backing devices (trace-model.h).
 * The cache's size is that of the whole image for dm-vci, and of the data alone
 * for the others.  See trace-vci.c for what it runs, usage() for the options.
 */
#include <getopt.h>
#include <unistd.h>

#include "trace-reference.h"
#include "trace-vci.h"

#define SIZES_MAX	16
#define EXIT_SKIP	77
#define BLOCK_SMALL	4096u
#define BLOCK_LARGE	65536u
#define VCI		TRACE_POLICIES	/* after the built-in ones */

static const char *const default_sizes[] = { "1%", "3%", "10%", "30%" };
static const char *const default_traces[] = { "hplajw92", "arc-p3" };

struct options {
	const char *trace_dir;
	const char *size[SIZES_MAX];
	unsigned int nr_sizes;
	u32 policies;		/* bits */
	u32 block;		/* 0: both */
	u64 seq_cutoff;
	bool json, check, round, alone;
};

static void usage(FILE *f)
{
	fprintf(f,
"Usage: trace-sim [OPTION]... [TRACE]...\n"
"Replay block traces through dm-vci and through known cache policies.\n"
"\n"
"TRACE is a file (csv, blkparse text, fio iolog; .xz too) or a name in the\n"
"trace directory.  Without one: all that are known there.\n"
"\n"
"  -s, --size SIZE        of the cache: bytes (K, M, G), or percent of the\n"
"                         footprint (1%%); may be repeated; 1%% 3%% 10%% 30%%\n"
"  -p, --policy NAME      vci, fifo, lru, sieve, s3fifo, arc, belady; may be\n"
"                         repeated; all of them\n"
"  -b, --block BYTES      of the known policies: 4096, 65536; both\n"
"  -r, --round            round requests outward to 4 KiB\n"
"  -a, --alone            dm-vci without read-around\n"
"  -q, --seq-cutoff SIZE  dm-vci with seq_read_cutoff and seq_write_cutoff of SIZE\n"
"  -j, --json             one JSON object a line\n"
"      --check-reference  compare with the table in the directory's README.md;\n"
"                         TAP; exit status 77 if there is none\n"
"      --trace-dir DIR    where traces are; $VCI_TRACES, or ../shared/traces\n"
"  -h, --help             this text\n");
}

/* ---- options ---- */

static int policy_bit(const char *name)
{
	int k;

	if (!strcasecmp(name, "vci"))
		return VCI;
	for (k = 0; k < TRACE_POLICIES; k++)
		if (!strcasecmp(name, trace_policy_names[k]))
			return k;
	return -1;
}

/* Return: 0 if it is neither a size nor a share. */
static u64 parse_size(const char *text, u64 footprint)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	char *end;
	double value = strtod(text, &end);

	if (end == text || value <= 0)
		return 0;
	if (!strcmp(end, "%"))
		return footprint * value / 100;
	if (!*end)
		return value;
	suffix = strchr(suffixes, *end);
	return suffix && !end[1] ? value * (1024ull << 10 * (suffix - suffixes)) : 0;
}

static bool set_policy(struct options *o, const char *name)
{
	int k = policy_bit(name);

	if (k < 0)
		fprintf(stderr, "trace-sim: no such policy: %s\n", name);
	else
		o->policies |= 1u << k;
	return k >= 0;
}

static bool set_block(struct options *o, const char *text)
{
	o->block = atoi(text);
	if (o->block >= BLOCK_SMALL && !(o->block % BLOCK_SMALL))
		return true;
	fprintf(stderr, "trace-sim: blocks are multiples of 4096 bytes: %s\n", text);
	return false;
}

static bool set_size(struct options *o, const char *text)
{
	if (o->nr_sizes == SIZES_MAX || !parse_size(text, 1ull << 40)) {
		fprintf(stderr, "trace-sim: no size, or too many: %s\n", text);
		return false;
	}
	o->size[o->nr_sizes++] = text;
	return true;
}

static bool set_cutoff(struct options *o, const char *text)
{
	o->seq_cutoff = parse_size(text, 0);
	if (!o->seq_cutoff)
		fprintf(stderr, "trace-sim: no size: %s\n", text);
	return o->seq_cutoff;
}

/* Return: -1 to go on, else the exit status. */
static int parse_options(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "size", required_argument, NULL, 's' },
		{ "policy", required_argument, NULL, 'p' },
		{ "block", required_argument, NULL, 'b' },
		{ "round", no_argument, NULL, 'r' },
		{ "alone", no_argument, NULL, 'a' },
		{ "seq-cutoff", required_argument, NULL, 'q' },
		{ "json", no_argument, NULL, 'j' },
		{ "check-reference", no_argument, NULL, 'c' },
		{ "trace-dir", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool good = true;
	int c;

	while (good && (c = getopt_long(argc, argv, "s:p:b:raq:jh", longs, NULL)) != -1) {
		if (c == 's')
			good = set_size(o, optarg);
		else if (c == 'p')
			good = set_policy(o, optarg);
		else if (c == 'b')
			good = set_block(o, optarg);
		else if (c == 'q')
			good = set_cutoff(o, optarg);
		else if (c == 'd')
			o->trace_dir = optarg;
		else if (c == '?')
			good = false;
		o->round |= c == 'r';
		o->alone |= c == 'a';
		o->json |= c == 'j';
		o->check |= c == 'c';
		if (c == 'h') {
			usage(stdout);
			return 0;
		}
	}
	if (!o->policies)
		o->policies = ~0u;
	while (!o->nr_sizes || (o->size[0] == default_sizes[0] &&
				o->nr_sizes < ARRAY_SIZE(default_sizes))) {
		o->size[o->nr_sizes] = default_sizes[o->nr_sizes];
		o->nr_sizes++;
	}
	return good ? -1 : 2;
}

/* ---- output ---- */

struct row {
	const char *trace, *size, *policy;
	u64 bytes;
	u32 block;			/* 0: extents */
	double seconds[TRACE_DEVICES];
	struct trace_result r;
};

static void print_heading(const struct options *o)
{
	if (o->json)
		return;
	printf("# seconds of all reads on hdd (8 ms + 150 MB/s), net (1 ms + 250 MB/s),\n"
	       "# ssd (0.1 ms + 2 GB/s); a hit 0.1 ms; one I/O for what is adjacent; vci-X: as\n"
	       "# dm-vci behaves on X\n"
	       "%-9s %5s %-7s %4s %6s %6s %6s %8s %7s %8s %7s %8s %8s %8s %7s\n", "trace",
	       "size", "policy", "blk", "rmiss", "rbyte", "miss4K", "fetchMB", "fetches",
	       "outMB", "outs", "cacheMB", "hdd", "net", "ssd");
}

static void print_text(const struct row *w)
{
	const struct trace_result *r = &w->r;
	char block[16] = "-";

	if (w->block)
		snprintf(block, sizeof(block), "%uK", w->block / 1024);
	printf("%-9s %5s %-7s %4s %6.3f %6.3f %6.3f %8.1f %7llu %8.1f %7llu %8.1f %8.2f %8.2f %7.2f\n",
	       w->trace, w->size, w->policy, block, trace_ratio(r->read_misses, r->reads),
	       trace_ratio(r->read_miss_bytes, r->read_bytes),
	       trace_ratio(r->unit_misses, r->units), r->fetch_bytes / 1e6, r->fetch_ios,
	       r->out_bytes / 1e6, r->out_ios, r->cache_bytes / 1e6,
	       w->seconds[TRACE_HDD], w->seconds[TRACE_NET], w->seconds[TRACE_SSD]);
}

static void print_json(const struct row *w)
{
	const struct trace_result *r = &w->r;
	int d;

	printf("{\"trace\":\"%s\",\"size\":\"%s\",\"cache_bytes\":%llu,\"policy\":\"%s\","
	       "\"block\":%u,\"reads\":%llu,\"read_misses\":%llu,\"read_bytes\":%llu,"
	       "\"read_miss_bytes\":%llu,\"units\":%llu,\"unit_misses\":%llu,"
	       "\"read_units\":%llu,\"read_unit_misses\":%llu,",
	       w->trace, w->size, w->bytes, w->policy, w->block, r->reads, r->read_misses,
	       r->read_bytes, r->read_miss_bytes, r->units, r->unit_misses, r->read_units,
	       r->read_unit_misses);
	printf("\"fetch_bytes\":%llu,\"fetch_ios\":%llu,\"out_bytes\":%llu,\"out_ios\":%llu,"
	       "\"written_bytes\":%llu,\"cache_written_bytes\":%llu", r->fetch_bytes,
	       r->fetch_ios, r->out_bytes, r->out_ios, r->write_bytes, r->cache_bytes);
	for (d = 0; d < TRACE_DEVICES; d++)
		printf(",\"seconds_%s\":%.3f", trace_devices[d].name, w->seconds[d]);
	printf("}\n");
}

static void print_row(const struct options *o, const struct row *w)
{
	if (o->json)
		print_json(w);
	else
		print_text(w);
	fflush(stdout);
}

/* ---- runs ---- */

static void run_policy(const struct options *o, const struct trace *t, struct row *w,
		       enum trace_policy_kind kind, u32 block)
{
	int d;

	w->policy = trace_policy_names[kind];
	w->block = block;
	trace_run_policy(t, kind, block, w->bytes, &w->r);
	for (d = 0; d < TRACE_DEVICES; d++)
		w->seconds[d] = trace_seconds(&w->r, d);
	print_row(o, w);
}

static void print_stats(const struct row *w, const struct vci_cache_stats *s)
{
	printf("# %s %s %s: %llu segments of %llu KiB, %llu checkpoints, log %.1f MB, "
	       "moved %.1f MB, evicted %.1f MB, %llu fills dropped\n",
	       w->trace, w->size, w->policy, s->nr_segments, s->segment_blocks / 2,
	       s->checkpoints, s->appended_blocks * 512 / 1e6,
	       s->moved_blocks * 512 / 1e6, s->evicted_blocks * 512 / 1e6, s->dropped_fills);
}

/* What it decides may depend on the backing device: a run and a row for each. */
static int run_vci(const struct options *o, const struct trace *t, struct row *w)
{
	static const char *const names[TRACE_DEVICES] = { "vci-hdd", "vci-net", "vci-ssd" };
	struct vci_cache_stats stats;
	int d, k, r = 0;

	for (d = 0; !r && d < TRACE_DEVICES; d++) {
		const struct trace_vci_params p = { .cache_bytes = w->bytes, .device = d,
						    .around = !o->alone,
						    .seq_cutoff = o->seq_cutoff };

		r = trace_run_vci(t, &p, &w->r, &stats);
		if (r)
			break;
		w->policy = names[d];
		w->block = 0;
		for (k = 0; k < TRACE_DEVICES; k++)
			w->seconds[k] = trace_seconds(&w->r, k);
		print_row(o, w);
		if (!o->json)
			print_stats(w, &stats);
	}
	return r;
}

static int run_size(const struct options *o, const struct trace *t, struct row *w)
{
	int k;

	for (k = 0; k < TRACE_POLICIES; k++) {
		if (!(o->policies & 1u << k))
			continue;
		if (o->block)
			run_policy(o, t, w, k, o->block);
		else {
			run_policy(o, t, w, k, BLOCK_SMALL);
			run_policy(o, t, w, k, BLOCK_LARGE);
		}
	}
	return o->policies & 1u << VCI ? run_vci(o, t, w) : 0;
}

static void round_requests(struct trace *t)
{
	const u32 unit = BLOCK_SMALL / 512;
	size_t i;

	for (i = 0; i < t->nr; i++) {
		struct trace_request *q = &t->r[i];
		u64 end = round_up(q->off + q->blocks, (u64)unit);

		q->off = round_down(q->off, (u64)unit);
		q->blocks = end - q->off;
		t->end = max(t->end, end);
	}
}

/* "/a/b/name.csv.xz" is called "name". */
static char *name_of(const char *path)
{
	const char *base = strrchr(path, '/');
	char *name = strdup(base ? base + 1 : path);

	assert(name);
	name[strcspn(name, ".")] = '\0';
	return name;
}

static char *find_trace(const struct options *o, const char *name)
{
	char *path;

	if (!access(name, R_OK))
		return strdup(name);
	if (asprintf(&path, "%s/%s.csv.xz", o->trace_dir, name) < 0)
		return NULL;
	if (!access(path, R_OK))
		return path;
	free(path);
	return NULL;
}

static int check_reference(const struct options *o, const struct trace *t,
			   const char *name)
{
	char *readme;
	int r;

	if (asprintf(&readme, "%s/README.md", o->trace_dir) < 0)
		return 1;
	r = trace_check_reference(t, name, readme);
	free(readme);
	if (r == -ENOENT)
		printf("1..0 # SKIP no reference for %s in %s\n", name, o->trace_dir);
	return r == -ENOENT ? EXIT_SKIP : r != 0;
}

static int run_trace(const struct options *o, const char *path)
{
	char *name = name_of(path);
	struct row w = { .trace = name };
	struct trace t;
	u64 footprint;
	unsigned int i;
	int r = trace_read(&t, path);

	if (r) {
		fprintf(stderr, "trace-sim: %s: %s\n", path, strerror(-r));
		free(name);
		return 1;
	}
	footprint = trace_footprint(&t, BLOCK_SMALL / 512);
	if (o->round)
		round_requests(&t);
	if (o->check)
		r = check_reference(o, &t, name);
	for (i = 0; !o->check && !r && i < o->nr_sizes; i++) {
		w.size = o->size[i];
		w.bytes = parse_size(w.size, footprint);
		r = run_size(o, &t, &w) ? 1 : 0;
	}
	trace_free(&t);
	free(name);
	return r;
}

int main(int argc, char **argv)
{
	struct options o = { .trace_dir = getenv("VCI_TRACES") };
	int r = parse_options(&o, argc, argv), i, nr;
	const char *const *names = default_traces;

	if (r >= 0)
		return r;
	if (!o.trace_dir)
		o.trace_dir = "../shared/traces";
	nr = argc - optind;
	if (nr)
		names = (const char *const *)argv + optind;
	else
		nr = ARRAY_SIZE(default_traces);
	if (!o.check)
		print_heading(&o);
	for (r = 0, i = 0; !r && i < nr; i++) {
		char *path = find_trace(&o, names[i]);

		if (path)
			r = run_trace(&o, path);
		else if (o.check)
			printf("1..0 # SKIP no trace %s in %s\n", names[i], o.trace_dir);
		else
			fprintf(stderr, "trace-sim: no trace %s in %s\n", names[i],
				o.trace_dir);
		if (!path)
			r = o.check ? EXIT_SKIP : 1;
		free(path);
	}
	return r;
}
