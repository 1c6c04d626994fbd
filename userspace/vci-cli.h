/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tools share: messages, sizes, progress, JSON, UUIDs.
 *
 * Messages go to standard error as "tool: text"; results to standard output.
 */
#ifndef VCI_CLI_H
#define VCI_CLI_H

#include <json-c/json.h>

#include "vci-codec.h"

#define CLI_VERSION	"0.1.0"

struct cli {
	const char *tool;	/* name in messages */
	bool quiet;
	bool json;
};

extern struct cli cli;

/* Sets the name in messages, getopt_long's too. */
void cli_begin(const char *tool, char **argv);

__printf(1, 2) void cli_error(const char *fmt, ...);
/* A hint that belongs to the error before it. */
__printf(1, 2) void cli_hint(const char *fmt, ...);
void cli_print_version(void);
/* "try --help", after an option that getopt_long has complained about. */
void cli_usage_error(void);

/* "64M" and the like: bytes, or K, M, G, T (powers of 1024). -EINVAL, -ERANGE. */
int cli_parse_size(const char *text, u64 *bytes) __must_check;

#define CLI_SIZE_TEXT	48
/* "1.5 GiB", rounded down to a tenth; returns @text. */
char *cli_size_text(u64 bytes, char text[CLI_SIZE_TEXT]);
#define CLI_UUID_TEXT	37
char *cli_uuid_text(const u8 uuid[16], char text[CLI_UUID_TEXT]);

/* A line that overwrites itself, if standard error is a terminal. */
void cli_progress(const char *what, u64 done, u64 total);
void cli_progress_end(void);

/* Words for -errno of opening or reading a device. */
const char *cli_strerror(int err);

/* Adds a value to an object; all of them fit into JSON's integers. */
void cli_json_u64(struct json_object *o, const char *key, u64 value);
void cli_json_text(struct json_object *o, const char *key, const char *value);
void cli_json_bool(struct json_object *o, const char *key, bool value);
/* Prints and frees it. */
void cli_json_print(struct json_object *o);

/* Flushes standard output; 0, or 1 and a message if that failed. */
int cli_close_stdout(void);

#endif /* VCI_CLI_H */
