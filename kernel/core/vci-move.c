// SPDX-License-Identifier: GPL-2.0-only
/*
 * Re-append: what reclaim keeps is copied out of its victims (O7, O8).
 *
 *	1 take clean extents of victims until there is a batch of them
 *	2 read them from the cache device: nobody overwrites a victim but the writer
 *	3 append them as MOVE entries, which name the mapping they replace, and map
 *	  them where it is still that one (vci_append_moves())
 *	4 the checkpoint that frees the victims flushes first
 *
 * Until 4 is complete both places hold the same data, and whichever a recovery
 * finds is right.  What can't be kept is dropped: it is clean.
 */
#include "vci-move.h"

/* Pieces that are read at once. */
#define MOVE_PIECES	64u

struct move_batch {
	u8 *buffer;			/* NULL: not needed yet */
	u32 room;			/* blocks of header and data that it takes */
	u32 used;
	u32 nr;
	struct vci_entry e[VCI_BATCH_ENTRIES_MAX];	/* with the new flags and heat */
};

struct vci_move {
	struct vci_cache *c;
	bool full;			/* the log takes no more */
	struct move_batch b[VCI_STREAMS];
	struct vci_piece from[MOVE_PIECES];
};

/**
 * vci_move_begin() - get ready to append again
 * @c: cache
 *
 * By the writer.  May sleep.  Return: NULL without memory.
 */
struct vci_move *vci_move_begin(struct vci_cache *c)
{
	struct vci_move *mv = kvzalloc(sizeof(*mv), GFP_NOIO);

	if (mv)
		mv->c = c;
	return mv;
}

/* ---- a batch ---- */

/* So large that it still fits into the open segment, if there is some room in it. */
static u32 batch_room(struct vci_cache *c, u32 stream)
{
	u32 most = vci_cache_batch_blocks(c) - VCI_UNIT_BLOCKS, room;

	spin_lock(vci_cache_lock(c));
	room = vci_log_room(&c->log, stream);
	spin_unlock(vci_cache_lock(c));
	return room > VCI_UNIT_BLOCKS ? min(room, most) : most;
}

/* Blocks of data that its next entry can have. */
static u32 room_left(const struct vci_move *mv, const struct move_batch *b)
{
	u32 taken = vci_batch_header_blocks(b->nr + 1, mv->c->header.batch_align) + b->used;

	return b->nr == VCI_BATCH_ENTRIES_MAX || taken > b->room ? 0 : b->room - taken;
}

/* False: no memory, or no room. */
static bool begin_batch(struct vci_move *mv, u32 stream)
{
	struct move_batch *b = &mv->b[stream];
	size_t size = (size_t)vci_cache_batch_blocks(mv->c) * VCI_BLOCK_SIZE;

	if (mv->full)
		return false;
	if (!b->buffer)
		b->buffer = kvmalloc(size, GFP_NOIO);
	if (!b->buffer)
		return false;
	b->room = batch_room(mv->c, stream);
	return true;
}

/* Their data lies in the buffer back to back, so neighbours are one piece. */
static int read_entries(struct vci_move *mv, const struct move_batch *b)
{
	u8 *data = b->buffer + VCI_UNIT_SIZE;
	u32 i, nr = 0;
	int r = 0;

	for (i = 0; !r && i < b->nr; i++) {
		const struct vci_entry *e = &b->e[i];
		struct vci_piece *last = &mv->from[nr ? nr - 1 : 0];

		if (nr && last->addr + last->blocks == e->old_addr) {
			last->blocks += e->blocks;
		} else {
			if (nr == MOVE_PIECES) {
				r = vci_read_many(mv->c->dev, mv->from, nr);
				nr = 0;
			}
			mv->from[nr++] = (struct vci_piece) {
				e->old_addr, e->blocks, data,
			};
		}
		data += (size_t)e->blocks * VCI_BLOCK_SIZE;
	}
	return r ? r : vci_read_many(mv->c->dev, mv->from, nr);
}

static int drop_batch(struct vci_move *mv, const struct move_batch *b)
{
	u32 i;
	int r = 0;

	for (i = 0; !r && i < b->nr; i++)
		r = vci_reclaim_drop(mv->c, b->e[i].off, b->e[i].blocks, b->e[i].old_addr);
	return r;
}

/* Appends it, or drops what can't be read; what finds no room stays where it is. */
static int end_batch(struct vci_move *mv, u32 stream)
{
	struct move_batch *b = &mv->b[stream];
	int r = read_entries(mv, b);

	if (r) {
		r = drop_batch(mv, b);
	} else {
		r = vci_append_moves(mv->c, stream, b->e, b->nr, b->buffer);
		if (r == -ENOSPC) {
			mv->full = true;
			r = 0;
		}
	}
	b->nr = 0;
	b->used = 0;
	return r;
}

/* ---- taking ---- */

/**
 * vci_move_take() - keep an extent
 * @mv: from vci_move_begin()
 * @e: the extent: clean, in a victim
 * @stream: where to
 * @heat: that it has then
 *
 * By the writer.  May sleep.  What finds no room stays where it is.  Return: 0, or the
 * error with which the cache failed.
 */
int vci_move_take(struct vci_move *mv, const struct vci_extent *e, u32 stream, u8 heat)
{
	struct move_batch *b = &mv->b[stream];
	u32 done = 0, n;
	int r;

	while (done < e->blocks) {
		if (!b->nr && !begin_batch(mv, stream))
			break;
		n = min(e->blocks - done, room_left(mv, b));
		n = min(n, VCI_ENTRY_BLOCKS_MAX);
		if (n)
			b->e[b->nr++] = (struct vci_entry) {
				.off = e->off + done, .blocks = n,
				.kind = VCI_ENTRY_MOVE, .heat = heat,
				.old_addr = e->addr + done,
			};
		b->used += n;
		done += n;
		if (!room_left(mv, b)) {
			r = end_batch(mv, stream);
			if (r)
				return r;
		}
	}
	return 0;
}

/**
 * vci_move_end() - append what was taken
 * @mv: from vci_move_begin(), may be NULL; freed
 * @error: then nothing is appended any more, and what was taken stays where it is
 *
 * By the writer.  May sleep.  Return: @error, or the one with which the cache failed.
 */
int vci_move_end(struct vci_move *mv, int error)
{
	u32 i;

	if (!mv)
		return error;
	for (i = 0; i < VCI_STREAMS; i++) {
		if (!error && mv->b[i].nr)
			error = end_batch(mv, i);
		kvfree(mv->b[i].buffer);
	}
	kvfree(mv);
	return error;
}
