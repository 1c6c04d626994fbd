// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readers of block traces: see trace-read.h.
 *
 * The format is told by the first line that says something:
 *	time_us,op,lba,sectors		csv; a header line is skipped
 *	fio version 2 iolog		fio's read_iolog, versions 2 and 3
 *	8,0 3 1 0.000000000 697 Q R 223490 + 8 [...]	blkparse's default output
 */
#include "trace-read.h"

#define ROOM_MIN	4096
/* Each file of an iolog gets so much of one address space: 1 TiB. */
#define FILE_BLOCKS	(1ull << 31)
#define FILES_MAX	64

struct iolog {
	unsigned int nr;
	char *name[FILES_MAX];
};

struct reader {
	struct trace *t;
	const char *path;
	unsigned int line;
	int (*parse)(struct reader *rd, char *text);
	struct iolog files;
};

static int bad_line(const struct reader *rd)
{
	fprintf(stderr, "%s:%u: not a line of a trace\n", rd->path, rd->line);
	return -EINVAL;
}

/**
 * trace_add() - add one request to the end of a trace
 * @t: trace
 * @us: microseconds since its beginning
 * @is_write: or a read
 * @off: first block of 512 bytes
 * @blocks: how many; 0 is ignored
 */
void trace_add(struct trace *t, u64 us, bool is_write, u64 off, u32 blocks)
{
	if (!blocks)
		return;
	if (t->nr == t->room) {
		t->room = max_t(size_t, ROOM_MIN, 2 * t->room);
		t->r = realloc(t->r, t->room * sizeof(*t->r));
		assert(t->r);
	}
	t->r[t->nr++] = (struct trace_request){
		.us = us, .off = off, .blocks = blocks, .is_write = is_write,
	};
	t->end = max(t->end, off + blocks);
	t->timed |= us > t->nr;
}

static int parse_csv(struct reader *rd, char *text)
{
	unsigned long long us, lba, sectors;
	char op;

	if (sscanf(text, "%llu,%c,%llu,%llu", &us, &op, &lba, &sectors) != 4 ||
	    sectors > U32_MAX)
		return rd->line == 1 ? 0 : bad_line(rd);
	if (op != 'R' && op != 'W')
		return bad_line(rd);
	trace_add(rd->t, us, op == 'W', lba, sectors);
	return 0;
}

/* blkparse ends with a summary, and prints events that are no I/O. */
static int parse_blkparse(struct reader *rd, char *text)
{
	unsigned long long sector, blocks;
	char action[8], rwbs[16];
	double seconds;

	if (sscanf(text, " %*u,%*u %*u %*u %lf %*u %7s %15s %llu + %llu", &seconds,
		   action, rwbs, &sector, &blocks) != 5)
		return 0;
	if (!strchr("QDC", action[0]) || action[1] || strchr(rwbs, 'D') ||
	    !strpbrk(rwbs, "RW") || blocks > U32_MAX)
		return 0;
	trace_add(rd->t, seconds * 1e6, strchr(rwbs, 'W'), sector, blocks);
	if (blocks)
		rd->t->r[rd->t->nr - 1].action = action[0];
	return 0;
}

static unsigned int iolog_file(struct iolog *files, const char *name)
{
	unsigned int i;

	for (i = 0; i < files->nr; i++)
		if (!strcmp(files->name[i], name))
			return i;
	if (files->nr < FILES_MAX)
		files->name[files->nr++] = strdup(name);
	return files->nr - 1;
}

static int iolog_action(struct reader *rd, u64 us, const char *name, const char *action,
			u64 offset, u64 bytes)
{
	u64 base = iolog_file(&rd->files, name) * FILE_BLOCKS;
	u64 first = offset / 512, end = DIV_ROUND_UP(offset + bytes, 512);

	if (end - first > U32_MAX)
		return bad_line(rd);
	if (!strcmp(action, "read") || !strcmp(action, "write"))
		trace_add(rd->t, us, action[0] == 'w', base + first, end - first);
	return 0;
}

static int parse_iolog2(struct reader *rd, char *text)
{
	unsigned long long offset = 0, bytes = 0;
	char name[512], action[16];
	int n = sscanf(text, "%511s %15s %llu %llu", name, action, &offset, &bytes);

	if (n < 2)
		return bad_line(rd);
	return n < 4 ? 0 : iolog_action(rd, 0, name, action, offset, bytes);
}

static int parse_iolog3(struct reader *rd, char *text)
{
	unsigned long long us, offset = 0, bytes = 0;
	char name[512], action[16];
	int n = sscanf(text, "%llu %511s %15s %llu %llu", &us, name, action, &offset,
		       &bytes);

	if (n < 3)
		return bad_line(rd);
	return n < 5 ? 0 : iolog_action(rd, us, name, action, offset, bytes);
}

static int choose_format(struct reader *rd, char *text)
{
	unsigned int version, a, b;

	if (sscanf(text, "fio version %u iolog", &version) == 1) {
		if (version != 2 && version != 3)
			return bad_line(rd);
		rd->parse = version == 2 ? parse_iolog2 : parse_iolog3;
		return 0;
	}
	if (sscanf(text, " %u,%u %*u %*u", &a, &b) == 2 && strchr(text, ' '))
		rd->parse = parse_blkparse;
	else
		rd->parse = parse_csv;
	return rd->parse(rd, text);
}

/* Of the events of one request, the first kind that was traced counts. */
static void keep_one_action(struct trace *t)
{
	static const char order[] = "QDC";
	const char *keep = order;
	size_t i, n = 0;

	for (; *keep; keep++) {
		for (i = 0; i < t->nr && t->r[i].action != *keep; i++)
			;
		if (i < t->nr)
			break;
	}
	for (i = 0; i < t->nr; i++)
		if (!t->r[i].action || t->r[i].action == *keep)
			t->r[n++] = t->r[i];
	t->nr = n;
}

static int read_lines(struct reader *rd, FILE *f)
{
	char *text = NULL;
	size_t size = 0;
	int r = 0;

	while (!r && getline(&text, &size, f) > 0) {
		rd->line++;
		if (text[strspn(text, " \t\r\n")] == '\0')
			continue;
		r = rd->parse ? rd->parse(rd, text) : choose_format(rd, text);
	}
	free(text);
	return r;
}

static FILE *open_trace(const char *path, bool *is_pipe)
{
	size_t n = strlen(path);
	char *command;
	FILE *f;

	*is_pipe = n > 3 && !strcmp(path + n - 3, ".xz");
	f = fopen(path, "r");
	if (!f || !*is_pipe)
		return f;
	fclose(f);
	/* The name reaches the shell in single quotes: it may hold none itself. */
	if (strchr(path, '\'') || asprintf(&command, "exec xz -dc -- '%s'", path) < 0) {
		errno = EINVAL;
		return NULL;
	}
	f = popen(command, "r");
	free(command);
	return f;
}

/**
 * trace_read() - read a trace of any known format
 * @t: overwritten; trace_free() it
 * @path: file, compressed if its name ends in .xz
 *
 * Return: 0 or -errno.
 */
int trace_read(struct trace *t, const char *path)
{
	struct reader rd = { .t = t, .path = path };
	bool is_pipe;
	FILE *f;
	int r, status;

	memset(t, 0, sizeof(*t));
	f = open_trace(path, &is_pipe);
	if (!f)
		return -errno;
	r = read_lines(&rd, f);
	status = is_pipe ? pclose(f) : fclose(f);
	if (!r && status)
		r = -EIO;
	while (rd.files.nr)
		free(rd.files.name[--rd.files.nr]);
	keep_one_action(t);
	if (!r && !t->nr) {
		fprintf(stderr, "%s: no request in it\n", path);
		r = -EINVAL;
	}
	if (r)
		trace_free(t);
	return r;
}

/**
 * trace_free() - free the requests
 * @t: read or zeroed
 */
void trace_free(struct trace *t)
{
	free(t->r);
	memset(t, 0, sizeof(*t));
}

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/**
 * trace_footprint() - how much a trace touches
 * @t: trace
 * @unit: blocks of 512 bytes to a unit; touched ones count whole
 *
 * Return: bytes.
 */
u64 trace_footprint(const struct trace *t, u32 unit)
{
	size_t nr = 0, distinct = 0, i;
	u64 *all, k;

	for (i = 0; i < t->nr; i++)
		nr += (t->r[i].off + t->r[i].blocks - 1) / unit - t->r[i].off / unit + 1;
	all = malloc(nr * sizeof(*all) + 1);
	assert(all);
	for (nr = 0, i = 0; i < t->nr; i++)
		for (k = t->r[i].off / unit;
		     k <= (t->r[i].off + t->r[i].blocks - 1) / unit; k++)
			all[nr++] = k;
	qsort(all, nr, sizeof(*all), compare_u64);
	for (i = 0; i < nr; i++)
		distinct += !i || all[i] != all[i - 1];
	free(all);
	return distinct * unit * 512;
}
