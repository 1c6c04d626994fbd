// SPDX-License-Identifier: GPL-2.0-only
/*
 * vci-format: makes a VCI image on a device or in a file.
 *
 * Everything is looked at and judged before the first write: what is refused
 * leaves every byte, and every file's length, as it was.
 */
#include <getopt.h>
#include <uuid/uuid.h>

#include "vci-cli.h"
#include "vci-format-run.h"

#define WORD_SIZE	400	/* a path that is longer is cut in the printed line */

/* ---- options ---------------------------------------------------------- */

static void print_help(void)
{
	printf("Usage: vci-format [OPTION]... DEVICE|FILE\n"
	       "Make a VCI cache image for dm-vci on a device, or in a regular file.\n"
	       "\n"
	       "  -s, --size=SIZE          size of the image; a FILE is made or extended\n"
	       "      --type=TYPE          dynamic (a FILE stays sparse) or fixed\n"
	       "      --uuid=UUID          of the image; never one that was used before\n"
	       "      --label=LABEL        at most 64 bytes\n"
	       "      --segment-size=SIZE  a power of two from 16K to 1G\n"
	       "      --backing=DEVICE     lay out for it, and print the line for it\n"
	       "  -f, --force              also over a known signature\n"
	       "  -n, --dry-run            check and print, write nothing\n"
	       "      --discard            discard the device first, or fail\n"
	       "      --no-discard         don't (default: if the device can)\n"
	       "      --json               print what was made as JSON\n"
	       "  -q, --quiet              print errors only\n"
	       "  -h, --help               print this text\n"
	       "  -V, --version            print the version\n"
	       "\n"
	       "A SIZE is in bytes, or with K, M, G or T in powers of 1024.\n"
	       "Exit status: 0 made, 1 wrong usage, 2 refused (in use, or not empty),\n"
	       "3 the device can't be read or written.\n");
}

enum { OPT_TYPE = 256, OPT_UUID, OPT_LABEL, OPT_SEGMENT, OPT_BACKING, OPT_JSON,
       OPT_DISCARD, OPT_NO_DISCARD };

static const struct option long_options[] = {
	{ "size", required_argument, NULL, 's' },
	{ "type", required_argument, NULL, OPT_TYPE },
	{ "uuid", required_argument, NULL, OPT_UUID },
	{ "label", required_argument, NULL, OPT_LABEL },
	{ "segment-size", required_argument, NULL, OPT_SEGMENT },
	{ "backing", required_argument, NULL, OPT_BACKING },
	{ "force", no_argument, NULL, 'f' },
	{ "dry-run", no_argument, NULL, 'n' },
	{ "discard", no_argument, NULL, OPT_DISCARD },
	{ "no-discard", no_argument, NULL, OPT_NO_DISCARD },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static int parse_size(const char *option, const char *text, u64 *bytes)
{
	int err = cli_parse_size(text, bytes);

	if (!err && *bytes)
		return 0;
	cli_error("--%s: '%s' is no size; give bytes, or a number with K, M, G or T",
		  option, text);
	return -EINVAL;
}

static int parse_type(struct run *run, const char *text)
{
	if (!strcmp(text, "dynamic"))
		run->p.layout.type = VCI_TYPE_DYNAMIC;
	else if (!strcmp(text, "fixed"))
		run->p.layout.type = VCI_TYPE_FIXED;
	else
		cli_error("--type: '%s' is neither dynamic nor fixed", text);
	return run->p.layout.type ? 0 : -EINVAL;
}

static int parse_uuid(struct run *run, const char *text)
{
	if (uuid_parse(text, run->p.uuid) || uuid_is_null(run->p.uuid)) {
		cli_error("--uuid: '%s' is no UUID", text);
		return -EINVAL;
	}
	run->o.has_uuid = true;
	return 0;
}

static int parse_segment(struct run *run, const char *text)
{
	u64 bytes;

	if (parse_size("segment-size", text, &bytes))
		return -EINVAL;
	if (bytes % VCI_BLOCK_SIZE || bytes / VCI_BLOCK_SIZE > VCI_SEGMENT_BLOCKS_MAX) {
		cli_error("--segment-size: '%s' is no power of two from 16K to 1G", text);
		return -EINVAL;
	}
	run->p.layout.segment_blocks = bytes / VCI_BLOCK_SIZE;
	return 0;
}

static int parse_label(struct run *run, const char *text)
{
	if (strlen(text) > VCI_LABEL_SIZE) {
		cli_error("--label: longer than %u bytes", VCI_LABEL_SIZE);
		return -EINVAL;
	}
	run->p.label = text;
	return 0;
}

/* One option; a positive result is to end the program with status result - 1. */
static int parse_option(struct run *run, int c)
{
	switch (c) {
	case 's':
		return parse_size("size", optarg, &run->o.size);
	case OPT_TYPE:
		return parse_type(run, optarg);
	case OPT_UUID:
		return parse_uuid(run, optarg);
	case OPT_LABEL:
		return parse_label(run, optarg);
	case OPT_SEGMENT:
		return parse_segment(run, optarg);
	case OPT_BACKING:
		run->o.backing = optarg;
		return 0;
	case 'f':
		run->o.force = true;
		return 0;
	case 'n':
		run->o.dry_run = true;
		return 0;
	case OPT_DISCARD:
		run->o.discard = DISCARD_ALWAYS;
		return 0;
	case OPT_NO_DISCARD:
		run->o.discard = DISCARD_NEVER;
		return 0;
	case OPT_JSON:
		cli.json = true;
		return 0;
	case 'q':
		cli.quiet = true;
		return 0;
	case 'h':
		print_help();
		return 1 + EXIT_MADE;
	case 'V':
		cli_print_version();
		return 1 + EXIT_MADE;
	default:
		cli_usage_error();
		return 1 + EXIT_USAGE;
	}
}

static int parse_options(struct run *run, int argc, char **argv)
{
	int c, err;

	while ((c = getopt_long(argc, argv, "s:fnqhV", long_options, NULL)) >= 0) {
		err = parse_option(run, c);
		if (err)
			return err < 0 ? 1 + EXIT_USAGE : err;
	}
	if (optind + 1 != argc) {
		cli_error(optind < argc ? "more than one device or file given" :
					  "no device or file given");
		cli_usage_error();
		return 1 + EXIT_USAGE;
	}
	run->o.path = argv[optind];
	return 0;
}

/* ---- telling ---------------------------------------------------------- */

/* A device's name for a command; a file needs a loop device. */
static void device_word(const char *path, bool is_block_device, char *text, size_t size)
{
	snprintf(text, size, is_block_device ? "%s" : "$(losetup --find --show %s)", path);
}

/* The line that maps it; --backing gives it real values. */
static void command_line(const struct run *run, char *text, size_t size)
{
	char cache[WORD_SIZE], backing[WORD_SIZE];
	const char *slash;

	device_word(run->o.path, run->is_block_device, cache, sizeof(cache));
	if (!run->o.backing) {
		snprintf(text, size, "dmsetup create NAME --table \"0 $(blockdev --getsz "
			 "BACKING) vci BACKING %s\"", cache);
		return;
	}
	device_word(run->o.backing, run->backing_is_block_device, backing, sizeof(backing));
	slash = strrchr(run->o.backing, '/');
	snprintf(text, size, "dmsetup create %s-cached --table \"0 %llu vci %s %s\"",
		 slash ? slash + 1 : run->o.backing, run->p.layout.backing_blocks,
		 backing, cache);
}

static u64 metadata_blocks(const struct vci_header *h)
{
	return h->blocks - (u64)h->nr_segments * h->segment_blocks;
}

static void print_json(const struct run *run, const char *command)
{
	const struct vci_header *h = &run->h;
	struct json_object *o = json_object_new_object();
	char uuid[CLI_UUID_TEXT];

	cli_json_text(o, "path", run->o.path);
	cli_json_bool(o, "dry_run", run->o.dry_run);
	cli_json_text(o, "uuid", cli_uuid_text(h->uuid, uuid));
	cli_json_text(o, "label", run->p.label ? run->p.label : "");
	cli_json_text(o, "type", h->type == VCI_TYPE_FIXED ? "fixed" : "dynamic");
	cli_json_u64(o, "size_bytes", h->blocks * VCI_BLOCK_SIZE);
	cli_json_u64(o, "segment_bytes", (u64)h->segment_blocks * VCI_BLOCK_SIZE);
	cli_json_u64(o, "segments", h->nr_segments);
	cli_json_u64(o, "batch_align", h->batch_align * VCI_BLOCK_SIZE);
	cli_json_u64(o, "metadata_bytes", metadata_blocks(h) * VCI_BLOCK_SIZE);
	cli_json_u64(o, "region_bytes", VCI_BLOCK_SIZE * (1ull << h->region_blocks_log2));
	if (run->o.backing) {
		cli_json_text(o, "backing", run->o.backing);
		cli_json_u64(o, "backing_bytes",
			     run->p.layout.backing_blocks * VCI_BLOCK_SIZE);
	}
	cli_json_bool(o, "experimental", h->incompat & VCI_INCOMPAT_EXPERIMENTAL);
	cli_json_text(o, "dmsetup", command);
	cli_json_print(o);
}

static void print_text(const struct run *run, const char *command)
{
	const struct vci_header *h = &run->h;
	char text[CLI_SIZE_TEXT], uuid[CLI_UUID_TEXT];

	printf("VCI image %s %s\n", run->o.dry_run ? "that would be made on" : "on",
	       run->o.path);
	printf("UUID:         %s\n", cli_uuid_text(h->uuid, uuid));
	if (run->p.label)
		printf("Label:        %s\n", run->p.label);
	printf("Type:         %s\n", h->type == VCI_TYPE_FIXED ? "fixed" : "dynamic");
	printf("Size:         %s", cli_size_text(h->blocks * VCI_BLOCK_SIZE, text));
	printf(" (%llu blocks of %u bytes)\n", h->blocks, VCI_BLOCK_SIZE);
	printf("Segments:     %u of %s\n", h->nr_segments,
	       cli_size_text((u64)h->segment_blocks * VCI_BLOCK_SIZE, text));
	printf("Batches:      aligned to %u bytes\n", h->batch_align * VCI_BLOCK_SIZE);
	printf("Metadata:     %s\n",
	       cli_size_text(metadata_blocks(h) * VCI_BLOCK_SIZE, text));
	if (run->o.backing)
		printf("Backing:      %s, %s\n", run->o.backing,
		       cli_size_text(run->p.layout.backing_blocks * VCI_BLOCK_SIZE, text));
	printf("Format:       version %u%s\n", VCI_VERSION,
	       h->incompat & VCI_INCOMPAT_EXPERIMENTAL ? ", experimental" : "");
	printf("\nTo map it:\n%s\n", command);
}

static void tell(const struct run *run)
{
	static char command[3 * WORD_SIZE];

	command_line(run, command, sizeof(command));
	if (cli.json)
		print_json(run, command);
	else if (!cli.quiet)
		print_text(run, command);
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	int status;

	cli_begin("vci-format", argv);
	if (!run)
		return EXIT_DEVICE;
	run->file.fd = -1;
	status = parse_options(run, argc, argv);
	if (status) {
		status--;
		goto out;
	}
	status = format_look(run);
	if (!status)
		status = format_plan(run);
	if (!status && !run->o.dry_run)
		status = format_make(run);
	if (!status) {
		tell(run);
		if (cli_close_stdout())
			status = EXIT_DEVICE;
	}
out:
	if (run->file.fd >= 0)
		vci_file_close(&run->file);
	free(run);
	return status;
}
