#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 900
#
# The demonstration in the VM: a backing device of 5 ms per I/O, a cache device
# of 100 us, an eighth of its size.  Not a test of make check; scripts/demo
# runs it.

. "$VCI_ROOT/tests/vm/lib.sh"

load_module
backing="$(make_backing 2048 5)"
cache="$(make_cache 256 100)"
if "$VCI_ROOT/scripts/demo-run" "$backing" "$cache" 2>&1; then
	ok "the demonstration ran to its end"
else
	not_ok "the demonstration ran to its end"
fi
done_testing
