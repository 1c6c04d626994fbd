#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A read hit takes no lock and does nothing atomic: the functions of dm-vci that
# ftrace sees during one have no instruction with a lock prefix.

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

TRACING=/sys/kernel/tracing
DEVICE=/dev/mapper/hit

# What the processor locks the bus for, named or not.
LOCKED='[[:space:]](lock |xchg .*\(.*\))'

# traced COMMAND...: the module's functions that the command calls.
traced() {
	echo 0 >"$TRACING/tracing_on"
	echo function >"$TRACING/current_tracer"
	echo ':mod:dm_vci' >"$TRACING/set_ftrace_filter"
	echo >"$TRACING/trace"
	# shellcheck disable=SC2016 # the inner shell's own number
	sh -c 'echo $$ >"$0/set_ftrace_pid"; echo 1 >"$0/tracing_on"; exec "$@"' \
		"$TRACING" "$@" 2>/dev/null
	echo 0 >"$TRACING/tracing_on"
	sed -n 's/^[^#].*: \([a-z0-9_.]*\) <-.*/\1/p' "$TRACING/trace" | sort -u
	echo nop >"$TRACING/current_tracer"
	echo >"$TRACING/set_ftrace_pid"
	echo >"$TRACING/set_ftrace_filter"
}

# locked_in FUNCTION: its instructions that lock.
locked_in() {
	objdump -d --no-show-raw-insn "--disassemble=$1" "$VCI_MODULE" | grep -E "$LOCKED"
}

read_at() {
	dd if="$DEVICE" of=/dev/null bs=4k skip="$1" count="$2" iflag=direct 2>/dev/null
}

grep -q -w function "$TRACING/available_tracers" 2>/dev/null ||
	skip_all "no function tracer in this kernel"
BACKING="$(make_backing 64)"
CACHE="$(make_cache 64)"
vci_format "$CACHE"
vci_create hit "$BACKING" "$CACHE" || bail_out "cannot create"
read_at 0 64
vci_settle hit
read_at 0 64
hits="$(vci_stat hit read_hits)"
functions="$(traced dd "if=$DEVICE" of=/dev/null bs=4k skip=3 count=20 iflag=direct)"
is "$(($(vci_stat hit read_hits) - hits))" 20 "20 reads hit"
diag "a hit calls: ${functions//$'\n'/ }"
check "vci_map and vci_end_io are traced" \
	grep -q -z -w 'vci_end_io.*vci_map' <<<"$functions"
for name in $functions; do
	is "$(locked_in "$name")" "" "$name has no instruction that locks"
done
functions="$(traced dd if=/dev/zero "of=$DEVICE" bs=4k seek=3 count=1 oflag=direct)"
locked=0
for name in $functions; do
	[ -z "$(locked_in "$name")" ] || locked=$((locked + 1))
done
check "and a write calls $locked that have" test "$locked" -gt 0
done_testing
