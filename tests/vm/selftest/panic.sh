#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/vm/selftest.sh: the kernel panics.
echo c >/proc/sysrq-trigger
