#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/vm/selftest.sh: passes.
. "$VCI_ROOT/tests/vm/lib.sh"
ok "fine"
allow_log 'WARNING: expected'
echo 'WARNING: expected by the test' >/dev/kmsg
done_testing
