// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parsing of table lines and messages.
 *
 *	<backing dev> <cache dev> [<#feature args> <feature arg>...]
 *
 *	mode <mode> | flush | max_dirty_age <seconds> | mem_limit <bytes> |
 *	seq_read_cutoff <bytes> | seq_write_cutoff <bytes> |
 *	invalidate [<start> <len>] | checkpoint | clear_stats | stats
 *
 * A feature with a value is two words, or one with an equals sign between.  Every
 * error names what is wrong in one fixed string, as device-mapper's
 * convention wants it.
 */
#include "vci-args.h"

/* Ten years: a larger number is a mistake, and may not overflow anything. */
#define VCI_MAX_DIRTY_AGE_MAX	(10u * 366 * 24 * 3600)

static const char *const mode_names[VCI_NR_MODES] = {
	[VCI_MODE_WRITETHROUGH]	= "writethrough",
	[VCI_MODE_WRITEAROUND]	= "writearound",
	[VCI_MODE_PASSTHROUGH]	= "passthrough",
	[VCI_MODE_WRITEBACK]	= "writeback",
};

/**
 * vci_mode_name() - the word for a mode, in table lines, messages and status
 * @mode: a valid mode
 */
const char *vci_mode_name(enum vci_mode mode)
{
	return mode_names[mode];
}

static int parse_mode(const char *word, enum vci_mode *mode)
{
	unsigned int i;

	for (i = 0; i < VCI_NR_MODES; i++) {
		if (!strcasecmp(word, mode_names[i])) {
			*mode = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* A decimal number without sign, whitespace or overflow. */
static int parse_number(const char *word, u64 *number)
{
	u64 n = 0;

	if (!*word)
		return -EINVAL;
	for (; *word; word++) {
		unsigned int digit = *word - '0';

		if (digit > 9 || n > (~0ull - digit) / 10)
			return -EINVAL;
		n = n * 10 + digit;
	}
	*number = n;
	return 0;
}

static int parse_seconds(const char *word, u32 *seconds)
{
	u64 n;

	if (parse_number(word, &n) || n > VCI_MAX_DIRTY_AGE_MAX)
		return -EINVAL;
	*seconds = n;
	return 0;
}

/* A number of bytes, with K, M, G or T for powers of 1024. */
static int parse_size(const char *word, u64 *bytes)
{
	static const char suffixes[] = "KkMmGgTt";
	size_t len = strlen(word);
	const char *suffix = NULL;
	char digits[24];
	unsigned int shift;

	if (!len || len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, word, len + 1);
	suffix = strchr(suffixes, digits[len - 1]);
	if (suffix)
		digits[len - 1] = '\0';
	if (parse_number(digits, bytes))
		return -EINVAL;
	shift = suffix ? 10 * ((suffix - suffixes) / 2 + 1) : 0;
	if (*bytes > ~0ull >> shift)
		return -EINVAL;
	*bytes <<= shift;
	return 0;
}

/* What is given as a number of bytes, in table lines and messages. */
static const struct size_arg {
	const char *name;
	const char *feature_error, *message_error;
	enum vci_message_kind kind;
} size_args[] = {
	{ "mem_limit",
	  "mem_limit wants a number of bytes (with K, M, G or T), once",
	  "mem_limit wants a number of bytes (with K, M, G or T), 0 for no limit",
	  VCI_MSG_MEM_LIMIT },
	{ "seq_read_cutoff",
	  "seq_read_cutoff wants a number of bytes (with K, M, G or T), once",
	  "seq_read_cutoff wants a number of bytes (with K, M, G or T), 0 for none",
	  VCI_MSG_SEQ_READ_CUTOFF },
	{ "seq_write_cutoff",
	  "seq_write_cutoff wants a number of bytes (with K, M, G or T), once",
	  "seq_write_cutoff wants a number of bytes (with K, M, G or T), 0 for none",
	  VCI_MSG_SEQ_WRITE_CUTOFF },
};

/* What a table line has said already: nothing is said twice. */
struct features_seen {
	bool mode, age, force, ordered, alone;
	bool size[ARRAY_SIZE(size_args)];
};

static bool first_time(bool *seen)
{
	bool first = !*seen;

	*seen = true;
	return first;
}

/*
 * Is it the feature @name, with its value?  Returns how many words it is; @value is
 * NULL if it has none.
 */
static unsigned int named(unsigned int argc, char **argv, const char *name,
			  const char **value)
{
	size_t len = strlen(name);

	if (strncasecmp(argv[0], name, len))
		return 0;
	*value = argv[0][len] == '=' ? argv[0] + len + 1 : NULL;
	if (*value)
		return 1;
	if (argv[0][len])
		return 0;
	*value = argc < 2 ? NULL : argv[1];
	return 2;
}

/*
 * Takes a feature that is a size; returns how many words it is, 0 if it is another
 * feature, or an error with @error set.
 */
static int parse_size_feature(unsigned int argc, char **argv, struct vci_config *config,
			      struct features_seen *seen, const char **error)
{
	u64 *const to[] = {
		&config->mem_limit, &config->seq_read_cutoff, &config->seq_write_cutoff,
	};
	const char *value;
	unsigned int i, n;

	static_assert(ARRAY_SIZE(to) == ARRAY_SIZE(size_args));
	for (i = 0; i < ARRAY_SIZE(size_args); i++) {
		n = named(argc, argv, size_args[i].name, &value);
		if (!n)
			continue;
		*error = size_args[i].feature_error;
		if (!first_time(&seen->size[i]) || !value || parse_size(value, to[i]))
			return -EINVAL;
		return n;
	}
	return 0;
}

/* Takes one feature; returns how many words it is, 0 with @error set. */
static unsigned int parse_feature(unsigned int argc, char **argv,
				  struct vci_config *config,
				  struct features_seen *seen, const char **error)
{
	const char *value;
	int n;

	if (!parse_mode(argv[0], &config->mode)) {
		*error = "More than one cache mode given";
		return first_time(&seen->mode);
	}
	if (!strcasecmp(argv[0], "force")) {
		*error = "force is given twice";
		config->force = true;
		return first_time(&seen->force);
	}
	if (!strcasecmp(argv[0], "ordered")) {
		*error = "ordered is given twice";
		config->ordered = true;
		return first_time(&seen->ordered);
	}
	if (!strcasecmp(argv[0], "no_read_around")) {
		*error = "no_read_around is given twice";
		config->alone = true;
		return first_time(&seen->alone);
	}
	n = named(argc, argv, "max_dirty_age", &value);
	if (n) {
		*error = "max_dirty_age wants a number of seconds, once";
		if (!first_time(&seen->age) || !value ||
		    parse_seconds(value, &config->max_dirty_age))
			return 0;
		return n;
	}
	n = parse_size_feature(argc, argv, config, seen, error);
	if (n)
		return max(n, 0);
	*error = "Unknown feature (mode, mem_limit, seq_read_cutoff, ordered, force, ...)";
	return 0;
}

static int parse_features(unsigned int argc, char **argv, struct vci_config *config,
			  const char **error)
{
	struct features_seen seen = { false };
	unsigned int i, n;

	for (i = 0; i < argc; i += n) {
		n = parse_feature(argc - i, argv + i, config, &seen, error);
		if (!n)
			return -EINVAL;
	}
	return 0;
}

/**
 * vci_args_parse() - parse a table line's arguments
 * @argc: how many words there are
 * @argv: the words; @config refers to them
 * @config: filled in on success
 * @error: what is wrong, on failure
 *
 * Return: 0 or -EINVAL.
 */
int vci_args_parse(unsigned int argc, char **argv, struct vci_config *config,
		   const char **error)
{
	u64 nr = 0;

	if (argc < 1) {
		*error = "Missing backing device";
		return -EINVAL;
	}
	if (argc < 2) {
		*error = "Missing cache device";
		return -EINVAL;
	}
	config->backing_path = argv[0];
	config->cache_path = argv[1];
	config->mode = VCI_MODE_WRITETHROUGH;
	config->max_dirty_age = VCI_MAX_DIRTY_AGE;
	config->force = false;
	config->ordered = false;
	config->mem_limit = 0;
	config->seq_read_cutoff = 0;
	config->seq_write_cutoff = 0;
	config->alone = false;
	if (argc == 2)
		return 0;
	if (parse_number(argv[2], &nr)) {
		*error = "Number of feature arguments is not a number";
		return -EINVAL;
	}
	if (nr > argc - 3) {
		*error = "Fewer feature arguments than announced";
		return -EINVAL;
	}
	if (nr < argc - 3) {
		*error = "More arguments than the number of feature arguments says";
		return -EINVAL;
	}
	return parse_features(nr, argv + 3, config, error);
}

static int parse_mode_message(unsigned int argc, char **argv, struct vci_message *m,
			      const char **error)
{
	m->kind = VCI_MSG_MODE;
	if (argc != 2 || parse_mode(argv[1], &m->mode)) {
		*error = "mode wants one of writeback, writethrough, writearound, passthrough";
		return -EINVAL;
	}
	return 0;
}

static int parse_age_message(unsigned int argc, char **argv, struct vci_message *m,
			     const char **error)
{
	m->kind = VCI_MSG_MAX_DIRTY_AGE;
	if (argc != 2 || parse_seconds(argv[1], &m->seconds)) {
		*error = "max_dirty_age wants a number of seconds, 0 for no limit";
		return -EINVAL;
	}
	return 0;
}

static const struct size_arg *find_size_message(const char *word)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(size_args); i++)
		if (!strcasecmp(word, size_args[i].name))
			return &size_args[i];
	return NULL;
}

static int parse_size_message(unsigned int argc, char **argv, const struct size_arg *arg,
			      struct vci_message *m, const char **error)
{
	m->kind = arg->kind;
	if (argc != 2 || parse_size(argv[1], &m->bytes)) {
		*error = arg->message_error;
		return -EINVAL;
	}
	return 0;
}

static int parse_invalidate(unsigned int argc, char **argv, struct vci_message *m,
			    const char **error)
{
	m->kind = VCI_MSG_INVALIDATE;
	m->all = argc == 1;
	m->start = 0;
	m->len = 0;
	if (m->all)
		return 0;
	if (argc != 3 || parse_number(argv[1], &m->start) ||
	    parse_number(argv[2], &m->len)) {
		*error = "invalidate wants nothing, or start and length in sectors";
		return -EINVAL;
	}
	if (!m->len || m->start + m->len < m->start) {
		*error = "invalidate wants a range that is neither empty nor wraps";
		return -EINVAL;
	}
	return 0;
}

/**
 * vci_message_parse() - parse a message
 * @argc: how many words there are
 * @argv: the words
 * @m: filled in on success
 * @error: what is wrong, on failure
 *
 * Return: 0 or -EINVAL.
 */
int vci_message_parse(unsigned int argc, char **argv, struct vci_message *m,
		      const char **error)
{
	static const struct {
		const char *word;
		enum vci_message_kind kind;
	} plain[] = {
		{ "checkpoint", VCI_MSG_CHECKPOINT },
		{ "clear_stats", VCI_MSG_CLEAR_STATS },
		{ "stats", VCI_MSG_STATS },
		{ "flush", VCI_MSG_FLUSH },
	};
	const struct size_arg *size;
	unsigned int i;

	*error = "unknown message (mode, flush, mem_limit, seq_read_cutoff, invalidate, ...)";
	if (!argc)
		return -EINVAL;
	if (!strcasecmp(argv[0], "mode"))
		return parse_mode_message(argc, argv, m, error);
	if (!strcasecmp(argv[0], "max_dirty_age"))
		return parse_age_message(argc, argv, m, error);
	size = find_size_message(argv[0]);
	if (size)
		return parse_size_message(argc, argv, size, m, error);
	if (!strcasecmp(argv[0], "invalidate"))
		return parse_invalidate(argc, argv, m, error);
	for (i = 0; i < ARRAY_SIZE(plain); i++) {
		if (strcasecmp(argv[0], plain[i].word))
			continue;
		*error = "this message takes no arguments";
		m->kind = plain[i].kind;
		return argc == 1 ? 0 : -EINVAL;
	}
	return -EINVAL;
}
