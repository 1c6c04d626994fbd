#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/vm/selftest.sh: waits where no signal reaches it.
# timeout: 5
dmsetup create stuck --table "0 8 zero"
dmsetup suspend stuck
exec dd if=/dev/mapper/stuck of=/dev/null iflag=direct count=1
