#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/vm/selftest.sh: gives up in a command substitution.
. "$VCI_ROOT/tests/vm/lib.sh"
disk="$(make_null bad 16 nonsense=1)"
ok "never reached: $disk"
done_testing
