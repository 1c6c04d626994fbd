/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of vci-dump share: sections of items, as text or as JSON.
 *
 * An item is a flat JSON object; as text it is a line of "key value" pairs.  It
 * is printed and freed at once, so the size of an image doesn't matter.
 */
#ifndef VCI_DUMP_H
#define VCI_DUMP_H

#include "vci-cli.h"
#include "vci-file.h"

struct dump {
	struct vci_file file;
	struct vci_header h;
	bool damaged;		/* something was; it has been said what */
	unsigned int nr_sections, nr_items;
};

/* A section that is one object: its members one a line. Frees @o. */
void dump_object(struct dump *d, const char *name, struct json_object *o);
void dump_begin(struct dump *d, const char *name);
void dump_item(struct dump *d, struct json_object *o);
void dump_end(struct dump *d);
/* Says what is damaged, and goes on. */
void dump_damage(struct dump *d, const struct vci_damage *dmg);

/* Each prints a section; 0, or -errno if the device can't be read. */
int dump_header(struct dump *d);
int dump_bitmap(struct dump *d);
int dump_segments(struct dump *d);
int dump_log(struct dump *d);
int dump_tree(struct dump *d);
int dump_extents(struct dump *d);

#endif /* VCI_DUMP_H */
