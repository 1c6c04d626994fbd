// SPDX-License-Identifier: GPL-2.0-only
/*
 * Table lines and messages: what is accepted, what is refused and in which
 * words.
 */
#include "vt.h"

#include "../../kernel/vci-args.c"

#define WORDS_MAX	8

/* Cuts a line into words, which live until the next call. */
static unsigned int words(const char *line, char **argv)
{
	static char copy[256];
	char *save = NULL, *word;
	unsigned int argc = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	for (word = strtok_r(copy, " ", &save); word && argc < WORDS_MAX;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	return argc;
}

static int parse_line(const char *line, struct vci_config *config, const char **error)
{
	char *argv[WORDS_MAX];
	unsigned int argc = words(line, argv);

	*error = "";
	memset(config, 0, sizeof(*config));
	return vci_args_parse(argc, argv, config, error);
}

static int parse_message(const char *line, struct vci_message *m, const char **error)
{
	char *argv[WORDS_MAX];
	unsigned int argc = words(line, argv);

	*error = "";
	memset(m, 0, sizeof(*m));
	return vci_message_parse(argc, argv, m, error);
}

static void test_accepted_lines(void)
{
	static const struct {
		const char *line;
		enum vci_mode mode;
	} cases[] = {
		{ "/dev/b /dev/c", VCI_MODE_WRITETHROUGH },
		{ "/dev/b /dev/c 0", VCI_MODE_WRITETHROUGH },
		{ "/dev/b /dev/c 1 writethrough", VCI_MODE_WRITETHROUGH },
		{ "/dev/b /dev/c 1 writearound", VCI_MODE_WRITEAROUND },
		{ "/dev/b /dev/c 1 passthrough", VCI_MODE_PASSTHROUGH },
		{ "/dev/b /dev/c 1 PassThrough", VCI_MODE_PASSTHROUGH },
		{ "8:0 8:16 1 writearound", VCI_MODE_WRITEAROUND },
		{ "/dev/b /dev/c 1 writeback", VCI_MODE_WRITEBACK },
		{ "/dev/b /dev/c 3 max_dirty_age 5 writeback", VCI_MODE_WRITEBACK },
		{ "/dev/b /dev/c 1 force", VCI_MODE_WRITETHROUGH },
		{ "/dev/b /dev/c 2 max_dirty_age=5 writeback", VCI_MODE_WRITEBACK },
		{ "/dev/b /dev/c 3 mem_limit 64M writeback", VCI_MODE_WRITEBACK },
		{ "/dev/b /dev/c 3 writeback seq_write_cutoff 4M", VCI_MODE_WRITEBACK },
	};
	struct vci_config config;
	const char *error;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ok(!parse_line(cases[i].line, &config, &error),
		   "args:accepts \"%s\"", cases[i].line);
		ok(config.mode == cases[i].mode, "args:mode_of \"%s\"", cases[i].line);
	}
	ok(!parse_line("/dev/b /dev/c", &config, &error) &&
	   !strcmp(config.backing_path, "/dev/b") && !strcmp(config.cache_path, "/dev/c"),
	   "args:keeps_the_paths");
}

static void test_features(void)
{
	struct vci_config config;
	const char *error;

	ok(!parse_line("/dev/b /dev/c", &config, &error) && !config.force &&
	   config.max_dirty_age == 300, "args:defaults_of_the_features");
	ok(!parse_line("/dev/b /dev/c 5 force writeback max_dirty_age 60 ordered", &config,
		       &error) &&
	   config.mode == VCI_MODE_WRITEBACK && config.force && config.ordered &&
	   config.max_dirty_age == 60,
	   "args:takes_all_features_at_once");
	ok(!parse_line("/dev/b /dev/c 1 no_read_around", &config, &error) && config.alone &&
	   !parse_line("/dev/b /dev/c 1 force", &config, &error) && !config.alone,
	   "args:takes_no_read_around");
	ok(!parse_line("/dev/b /dev/c 3 seq_read_cutoff 1m seq_write_cutoff=512", &config,
		       &error) &&
	   config.seq_read_cutoff == 1 << 20 && config.seq_write_cutoff == 512 &&
	   !config.mem_limit, "args:takes_both_cutoffs");
	ok(!parse_line("/dev/b /dev/c 1 mem_limit=1G", &config, &error) &&
	   !config.seq_read_cutoff && !config.seq_write_cutoff,
	   "args:runs_of_any_length_are_cached_unless_told");
	ok(!parse_line("/dev/b /dev/c 2 MAX_DIRTY_AGE 0", &config, &error) &&
	   config.max_dirty_age == 0, "args:an_age_of_0_is_no_limit");
	ok(!parse_line("/dev/b /dev/c 2 max_dirty_age 316224000", &config, &error) &&
	   config.max_dirty_age == 316224000, "args:takes_ten_years");
	ok(!parse_line("/dev/b /dev/c 1 Max_Dirty_Age=7", &config, &error) &&
	   config.max_dirty_age == 7, "args:takes_a_value_after_an_equals_sign");
}

static void test_sizes(void)
{
	static const struct {
		const char *word;
		u64 bytes;
	} cases[] = {
		{ "0", 0 }, { "123", 123 }, { "1K", 1ull << 10 }, { "64M", 64ull << 20 },
		{ "64m", 64ull << 20 }, { "2g", 2ull << 30 }, { "3T", 3ull << 40 },
		{ "18446744073709551615", ~0ull }, { "16777215T", 16777215ull << 40 },
	};
	struct vci_config config;
	const char *error;
	char line[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(line, sizeof(line), "/dev/b /dev/c 1 mem_limit=%s", cases[i].word);
		ok(!parse_line(line, &config, &error) && config.mem_limit == cases[i].bytes,
		   "args:size_of \"%s\"", cases[i].word);
	}
}

static void test_refused_lines(void)
{
	static const struct {
		const char *line, *word;	/* the error has that word */
	} cases[] = {
		{ "", "Missing backing device" },
		{ "/dev/b", "Missing cache device" },
		{ "/dev/b /dev/c x", "not a number" },
		{ "/dev/b /dev/c -1", "not a number" },
		{ "/dev/b /dev/c 1x writethrough", "not a number" },
		{ "/dev/b /dev/c 18446744073709551616", "not a number" },
		{ "/dev/b /dev/c 18446744073709551615", "Fewer" },
		{ "/dev/b /dev/c 1", "Fewer" },
		{ "/dev/b /dev/c 2 writethrough", "Fewer" },
		{ "/dev/b /dev/c 0 writethrough", "More arguments" },
		{ "/dev/b /dev/c 1 writethrough 1", "More arguments" },
		{ "/dev/b /dev/c 1 writebackwards", "Unknown feature" },
		{ "/dev/b /dev/c 2 writeback 5", "Unknown feature" },
		{ "/dev/b /dev/c 2 writeback writeback", "More than one" },
		{ "/dev/b /dev/c 2 force force", "force is given twice" },
		{ "/dev/b /dev/c 2 ordered ordered", "ordered is given twice" },
		{ "/dev/b /dev/c 2 no_read_around no_read_around", "is given twice" },
		{ "/dev/b /dev/c 1 max_dirty_age", "max_dirty_age wants" },
		{ "/dev/b /dev/c 2 max_dirty_age writeback", "max_dirty_age wants" },
		{ "/dev/b /dev/c 2 max_dirty_age -1", "max_dirty_age wants" },
		{ "/dev/b /dev/c 2 max_dirty_age 316224001", "max_dirty_age wants" },
		{ "/dev/b /dev/c 2 max_dirty_age 4294967297", "max_dirty_age wants" },
		{ "/dev/b /dev/c 4 max_dirty_age 1 max_dirty_age 2", "max_dirty_age wants" },
		{ "/dev/b /dev/c 1 max_dirty_age=", "max_dirty_age wants" },
		{ "/dev/b /dev/c 1 max_dirty_ages=1", "Unknown feature" },
		{ "/dev/b /dev/c 1 mem_limit", "mem_limit wants" },
		{ "/dev/b /dev/c 2 mem_limit M", "mem_limit wants" },
		{ "/dev/b /dev/c 1 mem_limit=1X", "mem_limit wants" },
		{ "/dev/b /dev/c 1 mem_limit=1KM", "mem_limit wants" },
		{ "/dev/b /dev/c 1 mem_limit=16777216T", "mem_limit wants" },
		{ "/dev/b /dev/c 1 mem_limit=00000000000000000000000000000001", "mem_limit wants" },
		{ "/dev/b /dev/c 2 mem_limit=1G mem_limit=1G", "mem_limit wants" },
		{ "/dev/b /dev/c 1 seq_read_cutoff", "seq_read_cutoff wants" },
		{ "/dev/b /dev/c 2 seq_read_cutoff 1.5M", "seq_read_cutoff wants" },
		{ "/dev/b /dev/c 2 seq_read_cutoff -1", "seq_read_cutoff wants" },
		{ "/dev/b /dev/c 2 seq_read_cutoff=1 seq_read_cutoff=2",
		  "seq_read_cutoff wants" },
		{ "/dev/b /dev/c 1 seq_write_cutoff=", "seq_write_cutoff wants" },
		{ "/dev/b /dev/c 2 seq_write_cutoff=1 seq_write_cutoff=1",
		  "seq_write_cutoff wants" },
		{ "/dev/b /dev/c 1 seq_cutoff=1M", "Unknown feature" },
		{ "/dev/b /dev/c 1 write", "Unknown feature" },
		{ "/dev/b /dev/c 2 writethrough writethrough", "More than one" },
		{ "/dev/b /dev/c 2 writethrough passthrough", "More than one" },
	};
	struct vci_config config;
	const char *error;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		bool refused = parse_line(cases[i].line, &config, &error) == -EINVAL;

		ok(refused && strstr(error, cases[i].word),
		   "args:refuses \"%s\": %s", cases[i].line, error);
	}
}

static void test_accepted_messages(void)
{
	struct vci_message m;
	const char *error;
	unsigned int i;

	for (i = 0; i < VCI_NR_MODES; i++) {
		char line[64];

		snprintf(line, sizeof(line), "mode %s", vci_mode_name(i));
		ok(!parse_message(line, &m, &error) && m.kind == VCI_MSG_MODE && m.mode == i,
		   "message:accepts \"%s\"", line);
	}
	ok(!parse_message("invalidate", &m, &error) && m.kind == VCI_MSG_INVALIDATE && m.all,
	   "message:invalidate_alone_means_all");
	ok(!parse_message("invalidate 8 18446744073709551607", &m, &error) && !m.all &&
	   m.start == 8 && m.len == 18446744073709551607ull,
	   "message:invalidate_takes_64_bits");
	ok(!parse_message("checkpoint", &m, &error) && m.kind == VCI_MSG_CHECKPOINT,
	   "message:accepts_checkpoint");
	ok(!parse_message("clear_stats", &m, &error) && m.kind == VCI_MSG_CLEAR_STATS,
	   "message:accepts_clear_stats");
	ok(!parse_message("STATS", &m, &error) && m.kind == VCI_MSG_STATS,
	   "message:ignores_case");
	ok(!parse_message("flush", &m, &error) && m.kind == VCI_MSG_FLUSH,
	   "message:accepts_flush");
	ok(!parse_message("max_dirty_age 7", &m, &error) &&
	   m.kind == VCI_MSG_MAX_DIRTY_AGE && m.seconds == 7,
	   "message:accepts_max_dirty_age");
	ok(!parse_message("max_dirty_age 0", &m, &error) && m.seconds == 0,
	   "message:max_dirty_age_0_is_no_limit");
	ok(!parse_message("mem_limit 64M", &m, &error) &&
	   m.kind == VCI_MSG_MEM_LIMIT && m.bytes == 64ull << 20,
	   "message:accepts_mem_limit");
	ok(!parse_message("seq_read_cutoff 1m", &m, &error) &&
	   m.kind == VCI_MSG_SEQ_READ_CUTOFF && m.bytes == 1 << 20,
	   "message:accepts_seq_read_cutoff");
	ok(!parse_message("SEQ_WRITE_CUTOFF 0", &m, &error) &&
	   m.kind == VCI_MSG_SEQ_WRITE_CUTOFF && !m.bytes,
	   "message:accepts_seq_write_cutoff");
}

static void test_refused_messages(void)
{
	static const struct {
		const char *line, *word;
	} cases[] = {
		{ "", "unknown message" },
		{ "frobnicate", "unknown message" },
		{ "mode", "mode wants" },
		{ "mode write", "mode wants" },
		{ "mode writeback 1", "mode wants" },
		{ "flush now", "no arguments" },
		{ "max_dirty_age", "max_dirty_age wants" },
		{ "max_dirty_age x", "max_dirty_age wants" },
		{ "max_dirty_age 316224001", "max_dirty_age wants" },
		{ "max_dirty_age 1 2", "max_dirty_age wants" },
		{ "mem_limit", "mem_limit wants" },
		{ "mem_limit all", "mem_limit wants" },
		{ "seq_read_cutoff", "seq_read_cutoff wants" },
		{ "seq_read_cutoff off", "seq_read_cutoff wants" },
		{ "seq_read_cutoff 1 2", "seq_read_cutoff wants" },
		{ "seq_write_cutoff 1P", "seq_write_cutoff wants" },
		{ "seq_cutoff 1", "unknown message" },
		{ "mode writethrough now", "mode wants" },
		{ "invalidate 1", "invalidate wants" },
		{ "invalidate 1 2 3", "invalidate wants" },
		{ "invalidate 1 x", "invalidate wants" },
		{ "invalidate 1 0", "empty" },
		{ "invalidate 8 18446744073709551608", "wraps" },
		{ "checkpoint now", "no arguments" },
		{ "stats all", "no arguments" },
	};
	struct vci_message m;
	const char *error;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		bool refused = parse_message(cases[i].line, &m, &error) == -EINVAL;

		ok(refused && strstr(error, cases[i].word),
		   "message:refuses \"%s\": %s", cases[i].line, error);
	}
}

int main(void)
{
	test_accepted_lines();
	test_features();
	test_sizes();
	test_refused_lines();
	test_accepted_messages();
	test_refused_messages();
	return done_testing();
}
