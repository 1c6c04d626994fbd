/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policy: what is worth keeping, and where.
 *
 * The rest of the core decides how; what these say can make the cache useless, but
 * never wrong.
 */
#ifndef VCI_POLICY_H
#define VCI_POLICY_H

#include "vci-codec.h"

#define VCI_POLICY_DROP	(-1)

/*
 * Reclaim empties the segment in which @e lies, which is clean: VCI_POLICY_DROP, or
 * the stream to which it is appended again, with *@heat.  By the writer.
 */
int vci_policy_keep(const struct vci_extent *e, u8 *heat);

#endif /* VCI_POLICY_H */
