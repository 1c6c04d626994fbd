// SPDX-License-Identifier: GPL-2.0-only
/*
 * vci-format's steps: look at what is there, plan, make.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "vci-cli.h"
#include "vci-format-run.h"
#include "vci-probe.h"

#ifndef BLKDISCARD
#define BLKDISCARD	_IO(0x12, 119)
#endif

#define DISCARD_STEP	(1ull << 30)

/* ---- looking at what is there ------------------------------------------ */

static int look_at_backing(struct run *run)
{
	struct vci_file backing;
	int err;

	if (!run->o.backing)
		return EXIT_MADE;
	err = vci_file_open(&backing, run->o.backing, 0);
	if (err) {
		cli_error("%s: %s", run->o.backing, cli_strerror(err));
		return EXIT_DEVICE;
	}
	run->p.layout.backing_blocks = backing.dev.blocks;
	run->backing_is_block_device = backing.is_block_device;
	vci_file_close(&backing);
	if (run->p.layout.backing_blocks)
		return EXIT_MADE;
	cli_error("%s: is empty", run->o.backing);
	return EXIT_USAGE;
}

static bool is_backing(const struct run *run, const struct stat *st)
{
	struct stat b;

	if (!run->o.backing || stat(run->o.backing, &b))
		return false;
	if (S_ISBLK(st->st_mode))
		return S_ISBLK(b.st_mode) && b.st_rdev == st->st_rdev;
	return b.st_dev == st->st_dev && b.st_ino == st->st_ino;
}

/* Sets is_new, is_block_device and, for a new file, device_blocks. */
static int look_at_path(struct run *run)
{
	struct stat st;

	if (stat(run->o.path, &st)) {
		if (errno != ENOENT || !run->o.size) {
			cli_error("%s: %s", run->o.path, strerror(errno));
			if (errno == ENOENT)
				cli_hint("give --size to make a file of this name");
			return EXIT_DEVICE;
		}
		run->is_new = true;
		run->device_blocks = run->o.size / VCI_BLOCK_SIZE;
		return EXIT_MADE;
	}
	run->is_block_device = S_ISBLK(st.st_mode);
	if (is_backing(run, &st)) {
		cli_error("%s: is the backing device itself", run->o.path);
		return EXIT_REFUSED;
	}
	return EXIT_MADE;
}

/* Opens what is there, claiming a block device. */
static int open_existing(struct run *run)
{
	char what[PROBE_TEXT];
	int err;

	if (vci_probe_user(run->o.path, what)) {
		cli_error("%s: is %s", run->o.path, what);
		cli_hint("unmount or detach it first; --force doesn't help here");
		return EXIT_REFUSED;
	}
	err = vci_file_open(&run->file, run->o.path, VCI_FILE_WRITE | VCI_FILE_EXCL);
	if (err == -EBUSY) {
		cli_error("%s: is in use (mounted, swap, or part of RAID, LVM or a mapping)",
			  run->o.path);
		cli_hint("stop its user first; --force doesn't help here");
		return EXIT_REFUSED;
	}
	if (err) {
		cli_error("%s: %s", run->o.path, cli_strerror(err));
		return EXIT_DEVICE;
	}
	run->device_blocks = run->file.dev.blocks;
	if (!run->is_block_device && run->o.size / VCI_BLOCK_SIZE > run->device_blocks)
		run->device_blocks = run->o.size / VCI_BLOCK_SIZE;
	return EXIT_MADE;
}

static int check_contents(struct run *run)
{
	struct probe found;
	int err;

	err = vci_probe_contents(&run->file, &found);
	if (err) {
		cli_error("%s: can't be read: %s", run->o.path, cli_strerror(err));
		return EXIT_DEVICE;
	}
	if (found.found && !run->o.force) {
		cli_error("%s: holds %s", run->o.path, found.what);
		cli_hint("give --force to overwrite it");
		return EXIT_REFUSED;
	}
	if (found.has_vci && run->o.has_uuid && !uuid_compare(found.uuid, run->p.uuid)) {
		cli_error("--uuid: the image on %s has this UUID already", run->o.path);
		cli_hint("what is left of it would be taken for the new one's; give another");
		return EXIT_REFUSED;
	}
	return EXIT_MADE;
}

int format_look(struct run *run)
{
	int status;

	status = look_at_backing(run);
	if (!status)
		status = look_at_path(run);
	if (!status && !run->is_new)
		status = open_existing(run);
	if (!status && !run->is_new)
		status = check_contents(run);
	return status;
}

/* ---- planning --------------------------------------------------------- */

static u64 format_time(void)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");

	return epoch ? strtoull(epoch, NULL, 10) : (u64)time(NULL);
}

/* That batches don't share physical blocks. */
static u32 batch_align(const struct vci_dev *dev)
{
	u32 blocks = max(dev->lbs_blocks, dev->pbs_blocks);

	return min_t(u64, roundup_pow_of_two(blocks), VCI_UNIT_BLOCKS);
}

int format_plan(struct run *run)
{
	struct vci_format_params *p = &run->p;
	const char *why;

	if (!p->layout.type)
		p->layout.type = run->is_block_device ? VCI_TYPE_FIXED : VCI_TYPE_DYNAMIC;
	if (!run->o.has_uuid)
		uuid_generate_random(p->uuid);
	uuid_generate_random(p->modification_uuid);
	p->format_time = format_time();
	p->layout.blocks = run->o.size / VCI_BLOCK_SIZE;
	if (!run->is_new)
		p->layout.batch_align = batch_align(&run->file.dev);
	if (!vci_format_plan(p, run->device_blocks, &run->h, &why))
		return EXIT_MADE;
	cli_error("%s: %s", run->o.path, why);
	return EXIT_USAGE;
}

/* ---- making it -------------------------------------------------------- */

/* Makes or extends the file; from here on something changes. */
static int make_file(struct run *run)
{
	off_t bytes = run->device_blocks * VCI_BLOCK_SIZE;
	int fd, err = 0;

	if (run->is_block_device)
		return 0;
	if (run->is_new) {
		fd = open(run->o.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		close(fd);
		run->created = true;
		err = vci_file_open(&run->file, run->o.path, VCI_FILE_WRITE);
		if (err)
			return err;
	}
	if (run->file.bytes < (u64)bytes && ftruncate(run->file.fd, bytes))
		return -errno;
	if (run->p.layout.type == VCI_TYPE_FIXED)
		err = -posix_fallocate(run->file.fd, 0, run->h.blocks * VCI_BLOCK_SIZE);
	run->file.dev.blocks = max(run->file.dev.blocks, run->device_blocks);
	return err;
}

static int discard(struct run *run)
{
	u64 bytes = run->h.blocks * VCI_BLOCK_SIZE, at;

	if (!run->is_block_device || run->o.discard == DISCARD_NEVER) {
		if (run->o.discard != DISCARD_ALWAYS)
			return 0;
		return -EOPNOTSUPP;
	}
	for (at = 0; at < bytes; at += DISCARD_STEP) {
		uint64_t range[2] = { at, min(DISCARD_STEP, bytes - at) };

		if (ioctl(run->file.fd, BLKDISCARD, range)) {
			if (!at && run->o.discard == DISCARD_IF_POSSIBLE)
				return 0;
			return -errno;
		}
		cli_progress("Discarding", at + range[1], bytes);
	}
	cli_progress_end();
	return 0;
}

static void show_progress(void *ctx, u64 done, u64 total)
{
	(void)ctx;
	cli_progress("Writing metadata", done, total);
}

int format_make(struct run *run)
{
	const char *doing = "can't be made or extended";
	int err;

	err = make_file(run);
	if (!err) {
		doing = "can't be discarded";
		err = discard(run);
	}
	if (!err) {
		doing = "can't be written, there is no image on it now";
		run->p.progress = show_progress;
		err = vci_format(&run->file.dev, &run->p, NULL);
	}
	cli_progress_end();
	if (!err)
		return EXIT_MADE;
	cli_error("%s: %s: %s", run->o.path, doing, cli_strerror(err));
	if (run->created)
		unlink(run->o.path);
	return EXIT_DEVICE;
}
