/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * device-mapper by its ioctls: starting dmsetup costs more than what it does.
 * Each returns 0 or -errno.
 */
#ifndef POWER_DM_H
#define POWER_DM_H

#include "record.h"

/* Creates and resumes; @path gets /dev/dm-N.  On an error nothing is left. */
int dm_create(const char *name, u64 sectors, const char *target, const char *params,
	      char *path, size_t size);
int dm_remove(const char *name);
int dm_suspend(const char *name, bool suspend);
/* @reply may be NULL. */
int dm_message(const char *name, const char *message, char *reply, size_t size);

#endif /* POWER_DM_H */
