#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/vm/selftest.sh: one of two fails.
. "$VCI_ROOT/tests/vm/lib.sh"
ok "one"
not_ok "two" "as planned"
done_testing
