// SPDX-License-Identifier: GPL-2.0-only
/*
 * vci-dump: prints what is in a VCI image; writes nothing.
 */
#include <getopt.h>

#include "vci-dump.h"

enum dump_exit {
	EXIT_DUMPED	= 0,
	EXIT_DAMAGED	= 1,	/* something was damaged and left out */
	EXIT_UNREADABLE	= 2,	/* no image, can't be read, or wrong usage */
};

struct section {
	const char *option;
	int (*print)(struct dump *d);
	bool wanted;
};

static struct section sections[] = {
	{ "header", dump_header, false },
	{ "bitmap", dump_bitmap, false },
	{ "segments", dump_segments, false },
	{ "tree", dump_tree, false },
	{ "extents", dump_extents, false },
	{ "log", dump_log, false },
};

static void print_help(void)
{
	printf("Usage: vci-dump [OPTION]... DEVICE|FILE\n"
	       "Print what is in a VCI cache image. Nothing is written.\n"
	       "\n"
	       "      --header     header and geometry (default)\n"
	       "      --bitmap     counters and runs of allocated blocks\n"
	       "      --segments   the segment table\n"
	       "      --tree       the nodes of the tree\n"
	       "      --extents    the extents, in the order of the backing device\n"
	       "      --log        the batches in all segments\n"
	       "      --json       print JSON\n"
	       "  -h, --help       print this text\n"
	       "  -V, --version    print the version\n"
	       "\n"
	       "Addresses, offsets and lengths are in blocks of 512 bytes.\n"
	       "Exit status: 0 printed, 1 something is damaged and was left out, 2 no VCI\n"
	       "image, or it can't be read.\n");
}

/* ---- output ----------------------------------------------------------- */

static void print_name(struct dump *d, const char *name)
{
	if (!cli.json)
		printf("%s%s:\n", d->nr_sections ? "\n" : "", name);
	else
		printf("%s\n  \"%s\": ", d->nr_sections ? "," : "{", name);
	d->nr_sections++;
}

static const char *json_text(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_SPACED |
						 JSON_C_TO_STRING_NOSLASHESCAPE);
}

void dump_object(struct dump *d, const char *name, struct json_object *o)
{
	print_name(d, name);
	if (cli.json) {
		printf("%s", json_text(o));
	} else {
		json_object_object_foreach(o, key, value)
			printf("  %-24s%s\n", key, json_object_get_string(value));
	}
	json_object_put(o);
}

void dump_begin(struct dump *d, const char *name)
{
	print_name(d, name);
	d->nr_items = 0;
	if (cli.json)
		printf("[");
}

void dump_item(struct dump *d, struct json_object *o)
{
	const char *gap = " ";

	if (cli.json) {
		printf("%s\n    %s", d->nr_items ? "," : "", json_text(o));
	} else {
		json_object_object_foreach(o, key, value) {
			printf("%s %s %s", gap, key, json_object_get_string(value));
			gap = ",";
		}
		printf("\n");
	}
	d->nr_items++;
	json_object_put(o);
}

void dump_end(struct dump *d)
{
	if (cli.json)
		printf("%s]", d->nr_items ? "\n  " : "");
}

void dump_damage(struct dump *d, const struct vci_damage *dmg)
{
	char text[256];

	vci_damage_print(dmg, text, sizeof(text));
	cli_error("%s: %s", d->file.path, text);
	d->damaged = true;
}

/* ---- the whole -------------------------------------------------------- */

static const struct option long_options[] = {
	{ "header", no_argument, NULL, 0 },
	{ "bitmap", no_argument, NULL, 1 },
	{ "segments", no_argument, NULL, 2 },
	{ "tree", no_argument, NULL, 3 },
	{ "extents", no_argument, NULL, 4 },
	{ "log", no_argument, NULL, 5 },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

/* A positive result is to end the program with status result - 1. */
static int parse_options(int argc, char **argv)
{
	bool any = false;
	int c;

	while ((c = getopt_long(argc, argv, "hV", long_options, NULL)) >= 0) {
		if (c < (int)ARRAY_SIZE(sections)) {
			sections[c].wanted = true;
			any = true;
		} else if (c == 'j') {
			cli.json = true;
		} else if (c == 'h') {
			print_help();
			return 1 + EXIT_DUMPED;
		} else if (c == 'V') {
			cli_print_version();
			return 1 + EXIT_DUMPED;
		} else {
			cli_usage_error();
			return 1 + EXIT_UNREADABLE;
		}
	}
	if (!any)
		sections[0].wanted = true;
	if (optind + 1 == argc)
		return 0;
	cli_error(optind < argc ? "more than one device or file given" :
				  "no device or file given");
	cli_usage_error();
	return 1 + EXIT_UNREADABLE;
}

/* The header, or if it is damaged its backup. */
static int read_header(struct dump *d)
{
	static u8 unit[VCI_UNIT_SIZE] __attribute__((aligned(8)));
	u64 blocks = round_down(d->file.dev.blocks, (u64)VCI_SIZE_GRAIN);
	struct vci_damage dmg;
	int err;

	err = vci_read(&d->file.dev, 0, VCI_UNIT_BLOCKS, unit);
	if (err)
		return err;
	err = vci_header_check(unit, ~0ull, &d->h, &dmg);
	if (!err || err == -EROFS)
		return 0;
	dump_damage(d, &dmg);
	if (err == -EOPNOTSUPP || !blocks ||
	    vci_read(&d->file.dev, vci_header_backup_addr(blocks), VCI_UNIT_BLOCKS, unit) ||
	    vci_header_check(unit, ~0ull, &d->h, NULL))
		return err;
	cli_hint("going on with the backup header");
	return 0;
}

static int dump_sections(struct dump *d)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(sections) && !err; i++)
		if (sections[i].wanted)
			err = sections[i].print(d);
	if (cli.json)
		printf("%s\n}\n", d->nr_sections ? "" : "{");
	return err;
}

static int dump(struct dump *d)
{
	int err;

	err = read_header(d);
	if (err == -EILSEQ || err == -ENOTBLK || err == -EOPNOTSUPP)
		return EXIT_UNREADABLE;	/* has been said */
	if (!err)
		err = dump_sections(d);
	if (!err)
		return d->damaged ? EXIT_DAMAGED : EXIT_DUMPED;
	cli_error("%s: %s", d->file.path, cli_strerror(err));
	return EXIT_UNREADABLE;
}

int main(int argc, char **argv)
{
	static struct dump d;
	int status, err;

	cli_begin("vci-dump", argv);
	status = parse_options(argc, argv);
	if (status)
		return status - 1;
	err = vci_file_open(&d.file, argv[optind], 0);
	if (err) {
		cli_error("%s: %s", argv[optind], cli_strerror(err));
		return EXIT_UNREADABLE;
	}
	status = dump(&d);
	vci_file_close(&d.file);
	return cli_close_stdout() ? EXIT_UNREADABLE : status;
}
