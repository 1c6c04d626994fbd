// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct writes of the users: a place, the data, landing.  Steps of sim-ops.c.
 */
#include "sim-world.h"
#include "vci-cache-internal.h"

/*
 * Whether it is worth it is asked less strictly than elsewhere: small ones and ones with FUA
 * may be direct whatever the device is like, often as if many writes had come since the
 * last flush.
 */
static u32 direct_begin(struct world *w, struct op *op)
{
	struct vci_direct *d = &w->cache->direct;
	bool is_volatile = d->is_volatile;
	u32 blocks;

	if (sim_percent(&w->rng, 50))
		d->since_flush = OPS_MAX;
	if (sim_percent(&w->rng, 70))
		d->is_volatile = false;
	blocks = vci_direct_begin(w->cache, op->off + op->done, op->blocks - op->done,
				  op->fua && sim_percent(&w->rng, 40), &op->direct);
	d->is_volatile = is_volatile;
	return blocks;
}

/* As much as there is a place for; false: none. */
bool sim_direct_begin(struct world *w, struct op *op)
{
	if (!sim_percent(&w->rng, w->weights.direct) || !direct_begin(w, op))
		return false;
	trace(w, "write %u: %u blocks from %u on go to %llu", op->version, op->direct.blocks,
	      op->done, op->direct.addr);
	op->wait = sim_percent(&w->rng, 20) ? sim_below(&w->rng, 200) : 0;
	op->phase = PH_DIRECT;
	return true;
}

void sim_direct_write(struct world *w, struct op *op)
{
	if (user_io(w, &w->cache_disk, op->direct.addr, op->direct.blocks,
		    op->data + (size_t)op->done * VCI_BLOCK_SIZE, true,
		    vci_direct_is_volatile(w->cache) ? 0 : VCI_IO_FUA)) {
		if (stopped(w))
			return;
		vci_direct_failed(w->cache, &op->direct, -EIO);
		if (!vci_cache_is_stuck(w->cache))
			violation(w, "broken: a direct write failed, and the cache isn't stuck");
		op_failed(w, op);
		return;
	}
	op->wait = sim_percent(&w->rng, 20) ? sim_below(&w->rng, 50) : 0;
	op->phase = PH_LAND;
}

/* It is acknowledged at once, or when a batch has named it. */
static void landed(struct world *w, struct op *op)
{
	model_logged(w, op->off + op->done, op->direct.blocks, op->version);
	trace(w, "write %u landed at %llu", op->version, op->direct.addr);
	op->done += op->direct.blocks;
	w->writes_direct++;
	if (op->done < op->blocks) {
		if (!sim_direct_begin(w, op))
			op_to_log(w, op);
	} else if (op->fua || vci_direct_due(w->cache)) {
		op_to_log(w, op);
	} else {
		model_ack(w, op->version);
		op->kind = OP_NONE;
	}
}

void sim_direct_land(struct world *w, struct op *op)
{
	int r = vci_direct_end(w->cache, &op->direct);

	if ((r == -EAGAIN || r == -ENOMEM) && !core_locked(w)) {
		op->busy = true;
		r = vci_direct_end_sleep(w->cache, &op->direct);
		op->busy = false;
	}
	if (stopped(w) || r == -EBUSY || r == -EAGAIN || r == -ENOMEM)
		return;
	if (!r)
		landed(w, op);
	else if (!unexpected(w, "vci_direct_end", r))
		op_failed(w, op);
}
