// SPDX-License-Identifier: GPL-2.0-only
/*
 * vci-check: judges a VCI image by every rule of its format; writes nothing.
 */
#include <getopt.h>

#include "vci-cli.h"
#include "vci-file.h"
#include "vci-verify.h"

enum check_exit {
	EXIT_CLEAN	= 0,
	EXIT_DAMAGED	= 1,
	EXIT_UNKNOWN	= 2,	/* unreadable, no image, in use, wrong usage */
};

/* Of each kind of damage so many findings are printed. */
#define PRINTED_MAX	20u
#define NUMBERS		128u

struct check {
	const char *path;
	const char *backing_path;
	struct json_object *findings;
	u64 count[NUMBERS];		/* by damage number */
	struct vci_verify_result r;
};

static void print_help(void)
{
	printf("Usage: vci-check [OPTION]... DEVICE|FILE\n"
	       "Check a VCI cache image by every rule of its format. Nothing is written.\n"
	       "\n"
	       "      --backing=DEVICE  compare clean extents with the backing device\n"
	       "      --json            print the result as JSON\n"
	       "  -q, --quiet           print damage only\n"
	       "  -h, --help            print this text\n"
	       "  -V, --version         print the version\n"
	       "\n"
	       "Exit status: 0 clean and good, 1 damaged, 2 can't tell: not readable, no\n"
	       "VCI image, unknown features, or in use or not closed cleanly.\n");
}

static const struct option long_options[] = {
	{ "backing", required_argument, NULL, 'b' },
	{ "json", no_argument, NULL, 'j' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

/* A positive result is to end the program with status result - 1. */
static int parse_options(struct check *c, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "qhV", long_options, NULL)) >= 0) {
		switch (option) {
		case 'b':
			c->backing_path = optarg;
			break;
		case 'j':
			cli.json = true;
			break;
		case 'q':
			cli.quiet = true;
			break;
		case 'h':
			print_help();
			return 1 + EXIT_CLEAN;
		case 'V':
			cli_print_version();
			return 1 + EXIT_CLEAN;
		default:
			cli_usage_error();
			return 1 + EXIT_UNKNOWN;
		}
	}
	if (optind + 1 != argc) {
		cli_error(optind < argc ? "more than one device or file given" :
					  "no device or file given");
		cli_usage_error();
		return 1 + EXIT_UNKNOWN;
	}
	c->path = argv[optind];
	return 0;
}

/* ---- findings --------------------------------------------------------- */

static void add_json(struct check *c, const struct vci_damage *dmg, const char *text)
{
	struct json_object *o = json_object_new_object();

	cli_json_u64(o, "number", dmg->number);
	cli_json_text(o, "name", vci_damage_name(dmg->number));
	cli_json_u64(o, "block", dmg->addr);
	cli_json_u64(o, "found", dmg->found);
	cli_json_u64(o, "expected", dmg->expected);
	cli_json_text(o, "text", text);
	json_object_array_add(c->findings, o);
}

static void note_finding(void *ctx, const struct vci_damage *dmg, const char *text)
{
	struct check *c = ctx;
	unsigned int number = dmg->number;

	if (number >= NUMBERS || ++c->count[number] > PRINTED_MAX)
		return;
	if (c->findings)
		add_json(c, dmg, text);
	else
		printf("%s: %s [%s]\n", c->path, text, vci_damage_name(dmg->number));
}

static void print_more(const struct check *c)
{
	unsigned int i;

	for (i = 0; i < NUMBERS; i++)
		if (c->count[i] > PRINTED_MAX)
			printf("%s: and %llu more: %s %s [%s]\n", c->path,
			       c->count[i] - PRINTED_MAX, vci_damage_what(i),
			       vci_damage_words(i), vci_damage_name(i));
}

/* ---- the result ------------------------------------------------------- */

static const char *verdict_of(int status)
{
	static const char * const words[] = { "clean", "damaged", "can't tell" };

	return words[status];
}

static const char *reason_of(const struct check *c, int err)
{
	if (err == -ENOTBLK)
		return "no VCI image";
	if (err == -EOPNOTSUPP)
		return "unknown version or features";
	if (err)
		return cli_strerror(err);
	if (c->r.header.blocks && !c->r.clean)
		return "in use, or not closed cleanly";
	return "";
}

static void print_json(struct check *c, int status, const char *reason)
{
	struct json_object *o = json_object_new_object();
	const struct vci_verify_result *r = &c->r;
	char uuid[CLI_UUID_TEXT];

	cli_json_text(o, "path", c->path);
	cli_json_text(o, "verdict", verdict_of(status));
	cli_json_text(o, "reason", reason);
	cli_json_text(o, "uuid", cli_uuid_text(r->header.uuid, uuid));
	cli_json_bool(o, "clean", r->clean);
	cli_json_u64(o, "extents", r->nr_extents);
	cli_json_u64(o, "data_blocks", r->data_blocks);
	cli_json_u64(o, "dirty_extents", r->dirty_extents);
	cli_json_u64(o, "dirty_blocks", r->dirty_blocks);
	cli_json_u64(o, "nodes", r->nr_nodes);
	cli_json_u64(o, "leaves", r->nr_leaves);
	cli_json_u64(o, "levels", r->depth);
	cli_json_u64(o, "regions_marked", r->regions_marked);
	cli_json_u64(o, "compared_blocks", r->compared_blocks);
	cli_json_u64(o, "damage_count", r->nr_findings);
	json_object_object_add(o, "damage", c->findings);
	cli_json_print(o);
}

static void print_text(const struct check *c, int status, const char *reason)
{
	const struct vci_verify_result *r = &c->r;
	char text[CLI_SIZE_TEXT];

	print_more(c);
	if (cli.quiet)
		return;
	if (r->header.blocks) {
		printf("%s: %llu extents, %s cached, %llu dirty, %llu nodes on %u levels\n",
		       c->path, r->nr_extents,
		       cli_size_text(r->data_blocks * VCI_BLOCK_SIZE, text),
		       r->dirty_extents, r->nr_nodes, r->depth);
		if (c->backing_path && r->clean)
			printf("%s: %s compared with %s\n", c->path,
			       cli_size_text(r->compared_blocks * VCI_BLOCK_SIZE, text),
			       c->backing_path);
	}
	printf("%s: %s%s%s\n", c->path, verdict_of(status), *reason ? ": " : "", reason);
}

/* Damage that was found is certain, even if reading failed later. */
static int status_of(const struct check *c, int err)
{
	if (err == -ENOTBLK || err == -EOPNOTSUPP)
		return EXIT_UNKNOWN;
	if (c->r.nr_findings)
		return EXIT_DAMAGED;
	return err || !c->r.clean ? EXIT_UNKNOWN : EXIT_CLEAN;
}

static int open_or_say(struct vci_file *f, const char *path)
{
	int err = vci_file_open(f, path, 0);

	if (err)
		cli_error("%s: %s", path, cli_strerror(err));
	return err;
}

static int check(struct check *c)
{
	struct vci_file image, backing;
	struct vci_verify_params p = { .finding = note_finding, .ctx = c };
	int status = EXIT_UNKNOWN, err;

	if (open_or_say(&image, c->path))
		return status;
	p.dev = &image.dev;
	if (c->backing_path) {
		if (open_or_say(&backing, c->backing_path))
			goto out_image;
		p.backing = &backing.dev;
	}
	if (cli.json)
		c->findings = json_object_new_array();
	err = vci_verify(&p, &c->r);
	status = status_of(c, err);
	if (cli.json)
		print_json(c, status, reason_of(c, err));
	else
		print_text(c, status, reason_of(c, err));
	if (status == EXIT_UNKNOWN && cli.quiet)
		cli_error("%s: can't tell: %s", c->path, reason_of(c, err));
	if (p.backing)
		vci_file_close(&backing);
out_image:
	vci_file_close(&image);
	return status;
}

int main(int argc, char **argv)
{
	static struct check c;
	int status;

	cli_begin("vci-check", argv);
	status = parse_options(&c, argc, argv);
	if (status)
		return status - 1;
	status = check(&c);
	return cli_close_stdout() ? EXIT_UNKNOWN : status;
}
