// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct vci_io_ops over a regular file or a block device.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vci-file.h"
#include "vci-ondisk.h"

static struct vci_file *file_of(struct vci_dev *dev)
{
	return container_of(dev, struct vci_file, dev);
}

static int file_read(struct vci_dev *dev, u64 addr, u32 blocks, void *data)
{
	struct vci_file *f = file_of(dev);
	size_t left = (size_t)blocks * VCI_BLOCK_SIZE;
	off_t at = addr * VCI_BLOCK_SIZE;
	char *to = data;

	while (left) {
		ssize_t n = pread(f->fd, to, left, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ENODATA;
		to += n;
		at += n;
		left -= n;
	}
	return 0;
}

static int file_flush(struct vci_dev *dev)
{
	return fdatasync(file_of(dev)->fd) ? -errno : 0;
}

static int file_write_all(struct vci_file *f, u64 addr, u32 blocks, const void *data)
{
	size_t left = (size_t)blocks * VCI_BLOCK_SIZE;
	off_t at = addr * VCI_BLOCK_SIZE;
	const char *from = data;

	while (left) {
		ssize_t n = pwrite(f->fd, from, left, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		at += n;
		left -= n;
	}
	return 0;
}

static int file_write(struct vci_dev *dev, u64 addr, u32 blocks, const void *data,
		      unsigned int flags)
{
	struct vci_file *f = file_of(dev);
	int err = 0;

	if (!f->writable)
		return -EROFS;
	if (addr > dev->blocks || blocks > dev->blocks - addr)
		return -ENOSPC;
	if (flags & VCI_IO_PREFLUSH)
		err = file_flush(dev);
	if (!err)
		err = file_write_all(f, addr, blocks, data);
	if (!err && flags & VCI_IO_FUA)
		err = file_flush(dev);
	return err;
}

static const struct vci_io_ops file_ops = {
	.read = file_read,
	.write = file_write,
	.flush = file_flush,
};

static int file_measure(struct vci_file *f, const struct stat *st)
{
	u64 bytes = 0;
	int lbs = VCI_BLOCK_SIZE;
	unsigned int pbs = VCI_UNIT_SIZE;

	if (f->is_block_device) {
		if (ioctl(f->fd, BLKGETSIZE64, &bytes) || ioctl(f->fd, BLKSSZGET, &lbs) ||
		    ioctl(f->fd, BLKPBSZGET, &pbs))
			return -errno;
	} else {
		bytes = st->st_size;
	}
	f->bytes = bytes;
	f->dev.blocks = bytes / VCI_BLOCK_SIZE;
	f->dev.lbs_blocks = max(lbs / (int)VCI_BLOCK_SIZE, 1);
	/* A file may end up on any device. */
	f->dev.pbs_blocks = max(pbs / VCI_BLOCK_SIZE, 1u);
	return 0;
}

/**
 * vci_file_open() - open a file or block device as a device of the core
 * @f: overwritten
 * @path: what to open; kept, not copied
 * @flags: VCI_FILE_*
 *
 * Return: 0 or -errno; -ENOTBLK if it is neither a regular file nor a block
 * device, -EBUSY if VCI_FILE_EXCL was asked for and somebody else uses it.
 */
int vci_file_open(struct vci_file *f, const char *path, unsigned int flags)
{
	int mode = flags & VCI_FILE_WRITE ? O_RDWR : O_RDONLY;
	struct stat st;
	int err;

	memset(f, 0, sizeof(*f));
	f->path = path;
	f->dev.ops = &file_ops;
	f->writable = flags & VCI_FILE_WRITE;
	snprintf(f->dev.name, sizeof(f->dev.name), "%s", path);
	/* Looked at before it is opened: opening a pipe or a tape may do things. */
	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENOTBLK;
	f->is_block_device = S_ISBLK(st.st_mode);
	if (f->is_block_device && flags & VCI_FILE_EXCL)
		mode |= O_EXCL;
	f->fd = open(path, mode | O_CLOEXEC);
	if (f->fd < 0)
		return -errno;
	if (fstat(f->fd, &st))
		err = -errno;
	else
		err = file_measure(f, &st);
	if (err)
		vci_file_close(f);
	return err;
}

/**
 * vci_file_close() - close what vci_file_open() opened
 * @f: the file
 */
void vci_file_close(struct vci_file *f)
{
	close(f->fd);
	f->fd = -1;
}
