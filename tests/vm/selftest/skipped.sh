#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/vm/selftest.sh: cannot run here.
. "$VCI_ROOT/tests/vm/lib.sh"
skip_all "nothing to see"
