// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is on a device: libblkid for what others made, our own eyes for VCI
 * images, which libblkid doesn't know.
 */
#include <blkid/blkid.h>
#include <glob.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "vci-cli.h"
#include "vci-probe.h"

/* ---- VCI images ------------------------------------------------------- */

static u8 unit[VCI_UNIT_SIZE] __attribute__((aligned(8)));

static void describe_image(struct probe *p, const struct vci_header *h)
{
	char uuid[CLI_UUID_TEXT];

	p->found = true;
	p->has_vci = true;
	memcpy(p->uuid, h->uuid, sizeof(p->uuid));
	snprintf(p->what, sizeof(p->what), "a VCI image (UUID %s%s%s)",
		 cli_uuid_text(h->uuid, uuid),
		 h->unclean ? ", in use or not closed cleanly" : "",
		 h->flags & VCI_HDR_DIRTY ? ", with data its backing device lacks" : "");
}

/* Block 0 is judged gently: a damaged image is an image. */
static int probe_header(struct vci_file *f, struct probe *p)
{
	struct vci_header h;
	struct vci_damage dmg;
	int err;

	if (f->dev.blocks < VCI_UNIT_BLOCKS)
		return 0;
	err = vci_read(&f->dev, 0, VCI_UNIT_BLOCKS, unit);
	if (err)
		return err;
	err = vci_header_check(unit, ~0ull, &h, &dmg);
	if (!err || err == -EROFS) {
		describe_image(p, &h);
	} else if (dmg.number != VCI_DMG_HDR_SIGNATURE) {
		p->found = true;
		snprintf(p->what, sizeof(p->what), "a VCI image (%s)",
			 vci_damage_words(dmg.number));
	}
	return 0;
}

static int probe_backup(struct vci_file *f, struct probe *p)
{
	u64 blocks = round_down(f->dev.blocks, (u64)VCI_SIZE_GRAIN);
	struct vci_header h;
	int err;

	if (!blocks)
		return 0;
	err = vci_read(&f->dev, vci_header_backup_addr(blocks), VCI_UNIT_BLOCKS, unit);
	if (err)
		return err;
	if (vci_header_check(unit, f->dev.blocks, &h, NULL))
		return 0;
	describe_image(p, &h);
	snprintf(p->what, sizeof(p->what),
		 "the backup header of a VCI image whose header is lost");
	return 0;
}

/* ---- what libblkid knows ---------------------------------------------- */

static void describe_signature(struct probe *p, blkid_probe pr)
{
	const char *type = "something", *label = NULL, *kind = "partition table";

	if (blkid_probe_lookup_value(pr, "PTTYPE", &type, NULL)) {
		kind = "signature";
		blkid_probe_lookup_value(pr, "TYPE", &type, NULL);
		blkid_probe_lookup_value(pr, "USAGE", &kind, NULL);
	}
	blkid_probe_lookup_value(pr, "LABEL", &label, NULL);
	p->found = true;
	snprintf(p->what, sizeof(p->what), "%s (%s%s%s%s)", type, kind,
		 label ? " labelled '" : "", label ? label : "", label ? "'" : "");
}

static int probe_foreign(struct vci_file *f, struct probe *p)
{
	blkid_probe pr = blkid_new_probe();
	int r;

	if (!pr)
		return -ENOMEM;
	if (blkid_probe_set_device(pr, f->fd, 0, 0)) {
		blkid_free_probe(pr);
		return -EIO;
	}
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL |
					      BLKID_SUBLKS_USAGE | BLKID_SUBLKS_MAGIC);
	blkid_probe_enable_partitions(pr, 1);
	blkid_probe_set_partitions_flags(pr, BLKID_PARTS_MAGIC);
	r = blkid_do_safeprobe(pr);
	if (!r) {
		describe_signature(p, pr);
	} else if (r == -2) {
		p->found = true;
		snprintf(p->what, sizeof(p->what), "several signatures that contradict each other");
	}
	blkid_free_probe(pr);
	return r == -1 ? -EIO : 0;
}

/**
 * vci_probe_contents() - look for what a device holds
 * @f: the device
 * @p: overwritten
 *
 * Return: 0 or -errno.
 */
int vci_probe_contents(struct vci_file *f, struct probe *p)
{
	int err;

	memset(p, 0, sizeof(*p));
	err = probe_header(f, p);
	if (!err && !p->found)
		err = probe_backup(f, p);
	if (!err && !p->found && f->dev.blocks)
		err = probe_foreign(f, p);
	return err;
}

/* ---- users ------------------------------------------------------------ */

static bool is_mounted(dev_t number)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char want[32], *line = NULL;
	bool found = false;
	size_t size = 0;

	if (!mounts)
		return false;
	snprintf(want, sizeof(want), " %u:%u ", major(number), minor(number));
	while (!found && getline(&line, &size, mounts) > 0)
		found = strstr(line, want) != NULL;
	free(line);
	fclose(mounts);
	return found;
}

/* Is the file's first line @want? */
static bool file_says(const char *name, const char *want)
{
	FILE *file = fopen(name, "re");
	char *line = NULL;
	bool same = false;
	size_t size = 0;

	if (!file)
		return false;
	if (getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		same = !strcmp(line, want);
	}
	free(line);
	fclose(file);
	return same;
}

/* The loop device over a file, as /sys/block/loopN/loop/backing_file. */
static bool find_loop(const char *path, char what[PROBE_TEXT])
{
	const size_t dir = strlen("/sys/block/");
	char *real = realpath(path, NULL);
	bool same = false;
	glob_t found;
	size_t i;

	if (!real)
		return false;
	if (!glob("/sys/block/loop*/loop/backing_file", 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc && !same; i++) {
			const char *name = found.gl_pathv[i] + dir;

			same = file_says(found.gl_pathv[i], real);
			if (same)
				snprintf(what, PROBE_TEXT, "in use by /dev/%.*s",
					 (int)strcspn(name, "/"), name);
		}
		globfree(&found);
	}
	free(real);
	return same;
}

/**
 * vci_probe_user() - look for who uses a device or file
 * @path: of the device or file
 * @what: receives words
 *
 * Return: whether somebody was found.
 */
bool vci_probe_user(const char *path, char what[PROBE_TEXT])
{
	struct stat st;

	if (stat(path, &st))
		return false;
	if (S_ISREG(st.st_mode))
		return find_loop(path, what);
	if (!S_ISBLK(st.st_mode) || !is_mounted(st.st_rdev))
		return false;
	snprintf(what, PROBE_TEXT, "mounted");
	return true;
}
