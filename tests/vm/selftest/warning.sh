#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/vm/selftest.sh: leaves a warning in the kernel log.
. "$VCI_ROOT/tests/vm/lib.sh"
ok "fine but for the log"
echo 'WARNING: fake' >/dev/kmsg
done_testing
