#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/vm/selftest.sh: ends early, with status 0.
echo "ok 1 - one"
