/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vci-format's steps, in their order: look, plan, make.  Each returns an exit
 * status, after it has said what is wrong; only make writes.
 */
#ifndef VCI_FORMAT_RUN_H
#define VCI_FORMAT_RUN_H

#include "vci-file.h"
#include "vci-format.h"

enum format_exit {
	EXIT_MADE	= 0,
	EXIT_USAGE	= 1,	/* wrong options, or a size that can't be */
	EXIT_REFUSED	= 2,	/* in use or with contents; nothing written */
	EXIT_DEVICE	= 3,	/* can't be opened, read or written */
};

enum discard { DISCARD_IF_POSSIBLE, DISCARD_ALWAYS, DISCARD_NEVER };

struct options {
	const char *path;
	const char *backing;
	u64 size;		/* bytes, 0 all */
	bool has_uuid, force, dry_run;
	enum discard discard;
};

struct run {
	struct options o;
	struct vci_format_params p;
	struct vci_file file;	/* fd < 0: not open */
	bool is_new;		/* the file doesn't exist yet */
	bool is_block_device, backing_is_block_device;
	bool created;
	u64 device_blocks;
	struct vci_header h;	/* as planned */
};

/* Opens what is there, and judges whether it may be overwritten. */
int format_look(struct run *run);
int format_plan(struct run *run);
int format_make(struct run *run);

#endif /* VCI_FORMAT_RUN_H */
