/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What read-around learns: which units beside a miss save I/O later, and what
 * I/O costs.
 *
 * A bin is the side, the distance, and whether the read goes on from what is
 * cached on its other side.  Each bin counts the units filled for it and the I/Os
 * they saved; a region of the device has a factor, how much more or less was
 * saved there than its bins promised.  See "Read-around" in design.rst.
 *
 * Numbers are in 1/VCI_AROUND_ONE.
 */
#ifndef VCI_AROUND_H
#define VCI_AROUND_H

#include "vci-platform.h"

#define VCI_AROUND_ONE		65536u
#define VCI_AROUND_UNITS	16u	/* on each side, at most */
#define VCI_AROUND_BINS		16u
#define VCI_AROUND_REGION_LOG2	6u	/* units of a region */

enum vci_around_side { VCI_AROUND_BEHIND, VCI_AROUND_BEFORE };

struct vci_around_bin {
	u32 filled;
	u64 saved;		/* I/Os, in 1/VCI_AROUND_ONE */
};

struct vci_around_region {
	u16 expected;		/* I/Os, in 1/REGION_ONE of vci-around.c */
	u16 saved;
};

/* Sums over I/Os of their units x and microseconds t. */
struct vci_around_device {
	u64 n, x, t, xx, xt;
};

struct vci_around {
	struct vci_around_bin bin[VCI_AROUND_BINS];
	struct vci_around_region *region;
	u32 mask;		/* regions - 1 */
	u64 credit;		/* for trying, in units/VCI_AROUND_ONE */
	u32 cost;		/* of reading one unit more */
	struct vci_around_device device;
	struct vci_around_bin all;	/* of all bins, from nothing on */
	u32 planned;		/* units, while nothing is known */
};

/* What was read ahead, used for the first time by one read. */
#define VCI_FIRST_USES	32u
struct vci_first_uses {
	u32 nr;
	u32 blocks;		/* of all that was asked for */
	struct {
		u64 unit;
		u8 bin;
	} use[VCI_FIRST_USES];
};

int vci_around_init(struct vci_around *a, u32 units) __must_check;
void vci_around_destroy(struct vci_around *a);
u64 vci_around_bytes(const struct vci_around *a);
/* All below: the caller's lock. */
u8 vci_around_bin(enum vci_around_side side, u32 distance, bool goes_on);
u64 vci_around_worth(const struct vci_around *a, u8 bin, u64 unit);
u64 vci_around_own(u8 bin, u64 saved);
void vci_around_filled(struct vci_around *a, u8 bin, u64 unit);
/* @saved: I/Os, in 1/VCI_AROUND_ONE. */
void vci_around_used(struct vci_around *a, u8 bin, u64 unit, u32 saved);
/* What a unit must save to be stored: I/Os, in 1/VCI_AROUND_ONE. */
u64 vci_around_least(const struct vci_around *a);
/* So many units are going to be read and stored. */
void vci_around_planned(struct vci_around *a, u32 units);
/* Is enough on its way, for a beginning? */
bool vci_around_wait(struct vci_around *a);
/* So many units were missed: is it time to try what doesn't pay? */
bool vci_around_try(struct vci_around *a, u32 missed, u32 units);
/* An I/O of the backing device that wasn't merged took so long. */
void vci_around_took(struct vci_around *a, u32 units, u64 us);

#endif /* VCI_AROUND_H */
