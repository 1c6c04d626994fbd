// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policy: see vci-policy.h.
 */
#include "vci-policy.h"

/**
 * vci_policy_keep() - is a clean extent of a victim worth keeping?
 * @e: the extent
 * @heat: what it has when it was appended again
 *
 * What was hit since it was appended is kept once, and must be hit again.  By the
 * writer.  Return: a stream, or VCI_POLICY_DROP.
 */
int vci_policy_keep(const struct vci_extent *e, u8 *heat)
{
	*heat = 0;
	return e->heat ? VCI_STREAM_KEPT : VCI_POLICY_DROP;
}
