// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tools share: messages, sizes, progress, JSON, UUIDs.
 */
#include <stdarg.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "vci-cli.h"

struct cli cli = { .tool = "vci" };

static bool progress_shown;

/* ---- messages --------------------------------------------------------- */

void cli_begin(const char *tool, char **argv)
{
	cli.tool = tool;
	argv[0] = (char *)tool;
	vci_log_file = stderr;
}

static void message(const char *prefix, const char *fmt, va_list args)
{
	cli_progress_end();
	fflush(stdout);
	fprintf(stderr, "%s%s", cli.tool, prefix);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

void cli_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	message(": ", fmt, args);
	va_end(args);
}

void cli_hint(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	message(":   ", fmt, args);
	va_end(args);
}

void cli_print_version(void)
{
	printf("%s (dm-vci) %s, image format version %u\n", cli.tool, CLI_VERSION,
	       VCI_VERSION);
}

void cli_usage_error(void)
{
	fprintf(stderr, "Try '%s --help'.\n", cli.tool);
}

const char *cli_strerror(int err)
{
	switch (err) {
	case -ENOTBLK:
		return "neither a regular file nor a block device";
	case -ENODATA:
		return "ends unexpectedly";
	case -EBUSY:
		return "is in use";
	default:
		return strerror(-err);
	}
}

int cli_close_stdout(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	cli_error("standard output: %s", strerror(errno));
	return 1;
}

/* ---- sizes and UUIDs -------------------------------------------------- */

int cli_parse_size(const char *text, u64 *bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned int shift = 0;
	char *end;
	u64 value;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end) {
		unit = strchr(units, *end & ~0x20);
		if (!unit || !*unit)
			return -EINVAL;
		shift = 10 * (unit - units + 1);
		end++;
		if (!strcmp(end, "iB"))
			end += 2;
	}
	if (*end)
		return -EINVAL;
	if (value << shift >> shift != value)
		return -ERANGE;
	*bytes = value << shift;
	return 0;
}

char *cli_size_text(u64 bytes, char text[CLI_SIZE_TEXT])
{
	static const char * const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	unsigned int i = 0;
	u64 scale = 1;

	while (i + 1 < ARRAY_SIZE(units) && bytes >= scale * 1024) {
		scale *= 1024;
		i++;
	}
	if (bytes % scale == 0)
		snprintf(text, CLI_SIZE_TEXT, "%llu %s", bytes / scale, units[i]);
	else
		snprintf(text, CLI_SIZE_TEXT, "%llu.%llu %s", bytes / scale,
			 bytes % scale * 10 / scale, units[i]);
	return text;
}

char *cli_uuid_text(const u8 uuid[16], char text[CLI_UUID_TEXT])
{
	uuid_unparse_lower(uuid, text);
	return text;
}

/* ---- progress --------------------------------------------------------- */

void cli_progress(const char *what, u64 done, u64 total)
{
	static unsigned int shown = ~0u;
	unsigned int percent = total ? done * 100 / total : 100;

	if (cli.quiet || cli.json || !isatty(STDERR_FILENO))
		return;
	if (progress_shown && percent == shown)
		return;
	fprintf(stderr, "\r%s: %3u %%", what, percent);
	progress_shown = true;
	shown = percent;
}

void cli_progress_end(void)
{
	if (progress_shown)
		fputc('\n', stderr);
	progress_shown = false;
}

/* ---- JSON ------------------------------------------------------------- */

void cli_json_u64(struct json_object *o, const char *key, u64 value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

void cli_json_text(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

void cli_json_bool(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

void cli_json_print(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
					       JSON_C_TO_STRING_SPACED |
					       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}
