// SPDX-License-Identifier: GPL-2.0-only
/*
 * vci-writeback: writes what is dirty in a VCI image to its backing device, without
 * a kernel that can.  Afterwards the backing device alone has everything.
 */
#include <getopt.h>
#include <sys/random.h>
#include <uuid/uuid.h>

#include "vci-cache.h"
#include "vci-cli.h"
#include "vci-file.h"

enum writeback_exit {
	EXIT_DONE	= 0,
	EXIT_FAILED	= 1,	/* something is still dirty */
	EXIT_REFUSED	= 2,	/* nothing was written: wrong usage, in use, damaged */
};

/* Blocks between two lines of progress. */
#define ROUND_BLOCKS	65536u

struct job {
	const char *backing_path, *cache_path;
	bool force;
	struct vci_file backing, cache;
	struct vci_header header;
};

static void print_help(void)
{
	printf("Usage: vci-writeback [OPTION]... BACKING CACHE\n"
	       "Write what is dirty in the VCI image on CACHE to its backing device, and close\n"
	       "the image.  Neither may be in use.\n"
	       "\n"
	       "      --force           go on though dirty data is lost, or the backing device\n"
	       "                        was changed without the cache\n"
	       "  -q, --quiet           print errors only\n"
	       "  -h, --help            print this text\n"
	       "  -V, --version         print the version\n"
	       "\n"
	       "Exit status: 0 nothing is dirty any more, 1 something still is, 2 nothing was\n"
	       "written: wrong usage, in use, or no image of this backing device.\n");
}

static const struct option long_options[] = {
	{ "force", no_argument, NULL, 'f' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

/* A positive result is to end the program with status result - 1. */
static int parse_options(struct job *j, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "qhV", long_options, NULL)) >= 0) {
		switch (option) {
		case 'f':
			j->force = true;
			break;
		case 'q':
			cli.quiet = true;
			break;
		case 'h':
			print_help();
			return 1 + EXIT_DONE;
		case 'V':
			cli_print_version();
			return 1 + EXIT_DONE;
		default:
			cli_usage_error();
			return 1 + EXIT_REFUSED;
		}
	}
	if (optind + 2 != argc) {
		cli_error("backing device and cache device must be given");
		cli_usage_error();
		return 1 + EXIT_REFUSED;
	}
	j->backing_path = argv[optind];
	j->cache_path = argv[optind + 1];
	return 0;
}

/* ---- devices ---------------------------------------------------------- */

static int open_device(struct vci_file *f, const char *path)
{
	int err = vci_file_open(f, path, VCI_FILE_WRITE | VCI_FILE_EXCL);

	if (err)
		cli_error("%s: %s", path, cli_strerror(err));
	return err;
}

static int open_devices(struct job *j)
{
	if (open_device(&j->backing, j->backing_path))
		return -1;
	if (!open_device(&j->cache, j->cache_path))
		return 0;
	vci_file_close(&j->backing);
	return -1;
}

static void close_devices(struct job *j)
{
	vci_file_close(&j->cache);
	vci_file_close(&j->backing);
}

static int read_header(struct job *j)
{
	static _Alignas(8) u8 unit[VCI_UNIT_SIZE];
	struct vci_damage dmg = { };
	int err = vci_read(&j->cache.dev, 0, VCI_UNIT_BLOCKS, unit);

	if (!err)
		err = vci_header_check(unit, j->cache.dev.blocks, &j->header, &dmg);
	if (err == -EILSEQ || err == -ENOTBLK)
		cli_error("%s: %s %s", j->cache_path, vci_damage_what(dmg.number),
			  vci_damage_words(dmg.number));
	else if (err)
		cli_error("%s: %s", j->cache_path, cli_strerror(err));
	return err;
}

/* ---- write-back ------------------------------------------------------- */

static int pass(struct vci_cache *c, u64 total)
{
	struct vci_writeback wb = { .max_seq = U64_MAX };
	int err = 0;

	while (!err && wb.off < vci_cache_header(c)->backing_blocks) {
		err = vci_cache_writeback(c, &wb, ROUND_BLOCKS);
		if (err == -ENOSPC)
			err = vci_cache_maintain(c, false);
		if (!cli.quiet)
			cli_progress("writing back", min(wb.blocks, total), total);
	}
	cli_progress_end();
	return err ? err : wb.error;
}

static int write_back(const struct job *j, struct vci_cache *c)
{
	u64 total = vci_cache_dirty_blocks(c), left;
	char text[CLI_SIZE_TEXT];
	int err = pass(c, total);

	left = vci_cache_dirty_blocks(c);
	if (err)
		cli_error("%s: %s", j->backing_path, cli_strerror(err));
	if (left)
		cli_error("%s: %s are still dirty", j->cache_path,
			  cli_size_text(left * VCI_BLOCK_SIZE, text));
	else if (!cli.quiet)
		printf("%s: %s written back to %s\n", j->cache_path,
		       cli_size_text(total * VCI_BLOCK_SIZE, text), j->backing_path);
	if (!vci_cache_is_failed(c) && vci_cache_close(c))
		cli_error("%s: the image could not be closed", j->cache_path);
	return err || left ? EXIT_FAILED : EXIT_DONE;
}

static int activate(struct job *j, struct vci_cache **c)
{
	struct vci_open_params p = {
		.cache_dev = &j->cache.dev,
		.backing_dev = &j->backing.dev,
		.backing_blocks = j->header.flags & VCI_HDR_BOUND ?
				  j->header.backing_blocks : j->backing.dev.blocks,
		.force = j->force,
		.ordered = j->header.ordered_seq,
	};
	struct vci_open_report report;
	struct vci_damage dmg;
	const char *why = "";
	int err;

	if (getrandom(&p.random, sizeof(p.random), 0) != sizeof(p.random))
		return -EIO;
	uuid_generate(p.modification_uuid);
	err = vci_cache_open(&p, c, &report, &dmg, &why);
	if (err)
		cli_error("%s: %s", j->cache_path, why);
	return err;
}

static int run(struct job *j)
{
	struct vci_cache *c;
	int status;

	if (read_header(j))
		return EXIT_REFUSED;
	if (!(j->header.flags & VCI_HDR_DIRTY)) {
		if (!cli.quiet)
			printf("%s: nothing is dirty\n", j->cache_path);
		return EXIT_DONE;
	}
	if (j->header.flags & VCI_HDR_BOUND &&
	    j->header.backing_blocks > j->backing.dev.blocks) {
		cli_error("%s: is smaller than the backing device of the image",
			  j->backing_path);
		return EXIT_REFUSED;
	}
	if (activate(j, &c))
		return EXIT_REFUSED;
	status = write_back(j, c);
	vci_cache_destroy(c);
	return status;
}

int main(int argc, char **argv)
{
	static struct job j;
	int status;

	cli_begin("vci-writeback", argv);
	status = parse_options(&j, argc, argv);
	if (status)
		return status - 1;
	if (open_devices(&j))
		return EXIT_REFUSED;
	status = run(&j);
	close_devices(&j);
	return cli_close_stdout() ? EXIT_FAILED : status;
}
