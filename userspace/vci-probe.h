/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Is there anything on a device, or anybody at it, that must not be lost?
 */
#ifndef VCI_PROBE_H
#define VCI_PROBE_H

#include "vci-file.h"

#define PROBE_TEXT	200

struct probe {
	bool found;		/* there is something */
	char what[PROBE_TEXT];	/* in words, for "PATH holds ..." */
	bool has_vci;		/* a VCI image, or what is left of one */
	u8 uuid[16];		/* its UUID */
};

/* Looks for signatures; reads only. Returns 0, or -errno if it can't be told. */
int vci_probe_contents(struct vci_file *f, struct probe *p) __must_check;
/*
 * Who uses the path: a mount, or a loop device over a file.  Returns true and
 * words for "PATH is ...".
 */
bool vci_probe_user(const char *path, char what[PROBE_TEXT]);

#endif /* VCI_PROBE_H */
