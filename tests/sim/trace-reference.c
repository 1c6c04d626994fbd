// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reference table: read from the README beside the traces, and compared.
 *
 * A table's heading says what its columns are: the name of a policy (its miss
 * ratio, of reads only if the section says so), or of a column that is known.
 */
#include "trace-model.h"
#include "trace-reference.h"

#define COLUMNS_MAX	20
/* Ratios far above 1 are compared relatively. */
#define TOLERANCE	0.005
#define SMALL_BLOCK	4096u
#define LARGE_BLOCK	65536u

struct table {
	char *text;		/* of the heading */
	char *column[COLUMNS_MAX];
	unsigned int nr;
	bool reads_only;
};

struct check {
	const struct trace *t;
	const char *name;
	u64 footprint;
	unsigned int nr, nr_bad;
};

static unsigned int split(char *text, char **cell)
{
	unsigned int n = 0;
	char *save, *s, *e;

	for (s = strtok_r(text, "|\n", &save); s && n < COLUMNS_MAX;
	     s = strtok_r(NULL, "|\n", &save)) {
		s += strspn(s, " *");
		for (e = s + strlen(s); e > s && strchr(" *", e[-1]); e--)
			e[-1] = '\0';
		if (*s)
			cell[n++] = s;
	}
	return n;
}

static int policy_named(const char *name)
{
	int k;

	for (k = 0; k < TRACE_POLICIES; k++)
		if (!strcmp(name, trace_policy_names[k]))
			return k;
	return -1;
}

/* Half of the last digit that is printed. */
static double rounding(const char *number)
{
	const char *point = strchr(number, '.');
	double half = 0.5;

	for (; point && point[1]; point++)
		half /= 10;
	return half;
}

static void compare(struct check *c, const char *what, const char *size,
		    const char *reference, double got)
{
	double want = atof(reference);
	double off = (got > want ? got - want : want - got) - rounding(reference);
	bool good = off <= TOLERANCE * max(1.0, want);

	c->nr_bad += !good;
	printf("%sok %u - %s %s %s: %.4f, reference %s\n", good ? "" : "not ", ++c->nr,
	       c->name, size, what, got, reference);
}

static void check_miss_ratio(struct check *c, const struct table *table, char **cell)
{
	u64 bytes = c->footprint * atof(cell[1]) / 100;
	struct trace_result r;
	unsigned int i;
	int k;

	for (i = 2; i < table->nr; i++) {
		k = policy_named(table->column[i]);
		if (k < 0)
			continue;
		trace_run_policy(c->t, k, SMALL_BLOCK, bytes, &r);
		if (table->reads_only)
			compare(c, table->column[i], cell[1], cell[i],
				trace_ratio(r.read_unit_misses, r.read_units));
		else
			compare(c, table->column[i], cell[1], cell[i],
				trace_ratio(r.unit_misses, r.units));
	}
}

/* A column such as "rbyte 64K" of a row with the policy's name. */
static void check_granularity(struct check *c, const struct table *table, char **cell)
{
	u64 bytes = c->footprint * atof(cell[1]) / 100;
	struct trace_result r[2];
	char what[64];
	unsigned int i;
	int k = policy_named(cell[2]);

	if (k < 0)
		return;
	trace_run_policy(c->t, k, SMALL_BLOCK, bytes, &r[0]);
	trace_run_policy(c->t, k, LARGE_BLOCK, bytes, &r[1]);
	for (i = 3; i < table->nr; i++) {
		const char *column = table->column[i];
		const struct trace_result *x = &r[strstr(column, "64K") != NULL];
		double got = trace_ratio(x->read_miss_bytes, x->read_bytes);

		if (!strncmp(column, "fill", 4))
			got = trace_ratio(x->fetch_bytes, x->read_bytes);
		if (!strncmp(column, "wb", 2))
			got = trace_ratio(x->out_bytes, x->write_bytes);
		snprintf(what, sizeof(what), "%s %s", cell[2], column);
		if (strcmp(cell[i], "-"))
			compare(c, what, cell[1], cell[i], got);
	}
}

static void new_table(struct table *table, const char *heading)
{
	bool reads_only = table->reads_only;

	free(table->text);
	table->text = strdup(heading);
	assert(table->text);
	table->nr = split(table->text, table->column);
	table->reads_only = reads_only;
}

static void read_row(struct check *c, struct table *table, char *line)
{
	char *copy = strdup(line), *cell[COLUMNS_MAX];
	unsigned int n;

	assert(copy);
	n = split(copy, cell);
	if (n > 2 && !strcmp(cell[0], "trace"))
		new_table(table, line);
	else if (n == table->nr && n > 3 && !strcmp(cell[0], c->name)) {
		if (!strcmp(table->column[2], "policy"))
			check_granularity(c, table, cell);
		else if (strchr(cell[1], '%'))
			check_miss_ratio(c, table, cell);
	}
	free(copy);
}

/**
 * trace_check_reference() - compare with the published table
 * @t: trace
 * @name: its name in the table
 * @readme: path of the file with the table
 *
 * Return: number of cells that differ by more than 0.005, or -errno.
 */
int trace_check_reference(const struct trace *t, const char *name, const char *readme)
{
	struct check c = { .t = t, .name = name };
	struct table table = { 0 };
	FILE *f = fopen(readme, "r");
	char *line = NULL;
	size_t size = 0;

	if (!f)
		return -errno;
	c.footprint = trace_footprint(t, SMALL_BLOCK / 512);
	printf("TAP version 13\n");
	while (getline(&line, &size, f) > 0) {
		if (!strncmp(line, "## ", 3))
			table.reads_only = !strncmp(line + 3, "Read ", 5);
		if (line[0] == '|')
			read_row(&c, &table, line);
	}
	fclose(f);
	free(line);
	free(table.text);
	printf("1..%u\n", c.nr);
	return c.nr ? (int)c.nr_bad : -ENOENT;
}
