/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A trace through dm-vci itself: the core, on devices in memory.
 */
#ifndef TRACE_VCI_H
#define TRACE_VCI_H

#include "trace-model.h"
#include "vci-cache.h"

struct trace_vci_params {
	u64 cache_bytes;		/* the whole image */
	enum trace_device device;	/* what the backing device is */
	bool around;			/* read around misses */
	u64 seq_cutoff;			/* bytes, of reads and of writes; 0: none */
};

/*
 * Every read is compared with what the backing device holds.  Returns 0 or
 * -errno, -EUCLEAN if a read was wrong, after a message on stderr.
 */
int trace_run_vci(const struct trace *t, const struct trace_vci_params *p,
		  struct trace_result *r, struct vci_cache_stats *stats);

#endif /* TRACE_VCI_H */
