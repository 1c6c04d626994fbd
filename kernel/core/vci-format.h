/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Making a new image: cleanly closed, empty, bound to no backing device.
 *
 * The core takes neither time nor chance: both UUIDs and the time are given.
 * A UUID names one image for ever.  Whoever formats again with the UUID of an
 * image that was on the device before revives its old log and nodes: don't.
 */
#ifndef VCI_FORMAT_H
#define VCI_FORMAT_H

#include "vci-codec.h"
#include "vci-io.h"

struct vci_format_params {
	struct vci_layout_params layout;	/* blocks 0: the whole device */
	u8 uuid[16];
	u8 modification_uuid[16];
	const char *label;	/* at most VCI_LABEL_SIZE bytes; NULL none */
	u64 format_time;	/* seconds since 1970, 0 unknown */
	/* Called after each write, if not NULL. Counts are blocks of metadata. */
	void (*progress)(void *ctx, u64 done, u64 total);
	void *ctx;
};

/* What the header of the image would be; writes nothing, does no I/O. */
int vci_format_plan(const struct vci_format_params *p, u64 device_blocks,
		    struct vci_header *h, const char **why) __must_check;
/*
 * Makes the image; may sleep.  The old one, if any, is gone after the first
 * write; until the last one there is none.  Returns 0, -EINVAL (said why by
 * vci_err), -ENOMEM, or an error of the device.  @out may be NULL.
 */
int vci_format(struct vci_dev *dev, const struct vci_format_params *p,
	       struct vci_header *out) __must_check;

#endif /* VCI_FORMAT_H */
