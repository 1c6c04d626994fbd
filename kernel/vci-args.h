/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Table lines and messages, as data.
 *
 * Pure parsing: no device is opened, nothing is allocated, strings are kept by
 * reference.  It knows no kernel header, so that it is tested in userspace.
 */
#ifndef VCI_ARGS_H
#define VCI_ARGS_H

/* Not vci-platform.h: beside this file lies the kernel's, in userspace too. */
#include "vci-ondisk.h"

enum vci_mode {
	VCI_MODE_WRITETHROUGH,	/* default: reads and small writes are cached */
	VCI_MODE_WRITEAROUND,	/* reads are cached */
	VCI_MODE_PASSTHROUGH,	/* nothing is cached, the cache stays coherent */
	VCI_MODE_WRITEBACK,	/* writes go to the cache device alone */
	VCI_NR_MODES,
};

/* Seconds after which dirty data is written back, unless told. */
#define VCI_MAX_DIRTY_AGE	300u

struct vci_config {
	const char *backing_path;
	const char *cache_path;
	enum vci_mode mode;
	u32 max_dirty_age;		/* seconds; 0: no limit */
	bool force;			/* use the image though dirty data may be lost */
	bool ordered;			/* write back in the order of users' flushes */
	u64 mem_limit;			/* bytes; 0: no limit */
	u64 seq_read_cutoff;		/* bytes; 0: runs of any length are cached */
	u64 seq_write_cutoff;
	bool alone;			/* misses are read without what is around them */
};

enum vci_message_kind {
	VCI_MSG_MODE,
	VCI_MSG_INVALIDATE,
	VCI_MSG_CHECKPOINT,
	VCI_MSG_CLEAR_STATS,
	VCI_MSG_STATS,
	VCI_MSG_FLUSH,
	VCI_MSG_MAX_DIRTY_AGE,
	VCI_MSG_MEM_LIMIT,
	VCI_MSG_SEQ_READ_CUTOFF,
	VCI_MSG_SEQ_WRITE_CUTOFF,
};

struct vci_message {
	enum vci_message_kind kind;
	enum vci_mode mode;		/* MODE */
	bool all;			/* INVALIDATE: the whole device */
	u64 start, len;			/* INVALIDATE: blocks */
	u32 seconds;			/* MAX_DIRTY_AGE */
	u64 bytes;			/* MEM_LIMIT, SEQ_*_CUTOFF */
};

const char *vci_mode_name(enum vci_mode mode);
int vci_args_parse(unsigned int argc, char **argv, struct vci_config *config,
		   const char **error) __must_check;
int vci_message_parse(unsigned int argc, char **argv, struct vci_message *m,
		      const char **error) __must_check;

#endif /* VCI_ARGS_H */
