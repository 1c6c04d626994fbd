/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Re-append: reclaim's batches of what it keeps.
 */
#ifndef VCI_MOVE_H
#define VCI_MOVE_H

#include "vci-cache-internal.h"

struct vci_move;

/* May sleep.  NULL: no memory, so nothing is kept. */
struct vci_move *vci_move_begin(struct vci_cache *c);
/*
 * Takes an extent, or as much from its start as there is room for; what was taken
 * before may be appended on the way.  It must be clean, and the writer must see to
 * it that its segment isn't used again while it is mapped there.  By the writer.  May
 * sleep.  Return: 0, or the error with which the cache failed.
 */
int vci_move_take(struct vci_move *mv, const struct vci_extent *e, u32 stream,
		  u8 heat) __must_check;
/*
 * Appends what was taken, unless there is an @error; frees @mv, which may be NULL.
 * Return: @error, or the one with which the cache failed.
 */
int vci_move_end(struct vci_move *mv, int error) __must_check;

#endif /* VCI_MOVE_H */
