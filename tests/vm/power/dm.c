// SPDX-License-Identifier: GPL-2.0-only
/*
 * device-mapper by its ioctls.
 */
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "dm.h"

#define BUFFER_SIZE	4096u

union buffer {
	struct dm_ioctl io;
	u8 bytes[BUFFER_SIZE];
};

static void start(union buffer *b, const char *name)
{
	memset(b, 0, sizeof(*b));
	b->io.version[0] = DM_VERSION_MAJOR;
	b->io.data_size = sizeof(*b);
	b->io.data_start = sizeof(b->io);
	snprintf(b->io.name, sizeof(b->io.name), "%s", name);
}

static int control(unsigned long command, union buffer *b)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/dev/mapper/control: %s", strerror(errno));
	return ioctl(fd, command, b) ? -errno : 0;
}

static int load(const char *name, u64 sectors, const char *target, const char *params)
{
	union buffer b;
	struct dm_target_spec *spec = (void *)(b.bytes + sizeof(b.io));

	start(&b, name);
	b.io.target_count = 1;
	spec->length = sectors;
	spec->next = sizeof(*spec) + 512;
	snprintf(spec->target_type, sizeof(spec->target_type), "%s", target);
	snprintf((char *)(spec + 1), 512, "%s", params);
	return control(DM_TABLE_LOAD, &b);
}

int dm_create(const char *name, u64 sectors, const char *target, const char *params,
	      char *path, size_t size)
{
	union buffer b;
	int r;

	start(&b, name);
	r = control(DM_DEV_CREATE, &b);
	if (r)
		return r;
	snprintf(path, size, "/dev/dm-%u", minor(b.io.dev));
	r = load(name, sectors, target, params);
	if (!r)
		r = dm_suspend(name, false);
	if (r)
		dm_remove(name);
	return r;
}

int dm_remove(const char *name)
{
	union buffer b;

	start(&b, name);
	return control(DM_DEV_REMOVE, &b);
}

int dm_suspend(const char *name, bool suspend)
{
	union buffer b;

	start(&b, name);
	b.io.flags = suspend ? DM_SUSPEND_FLAG : 0;
	return control(DM_DEV_SUSPEND, &b);
}

int dm_message(const char *name, const char *message, char *reply, size_t size)
{
	union buffer b;
	struct dm_target_msg *msg = (void *)(b.bytes + sizeof(b.io));
	int r;

	start(&b, name);
	snprintf(msg->message, BUFFER_SIZE - sizeof(b.io) - sizeof(*msg), "%s", message);
	r = control(DM_TARGET_MSG, &b);
	if (!r && reply)
		snprintf(reply, size, "%s", b.io.flags & DM_DATA_OUT_FLAG ?
			 (char *)b.bytes + b.io.data_start : "");
	return r;
}
