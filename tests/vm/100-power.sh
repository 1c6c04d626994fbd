#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Power failures of both devices at any point of a workload; see power/record.h
# for what disks may do.  "direct" is writeback to a cache device without a volatile
# cache.  VCI_POWER_CUTS (8), VCI_POWER_MODES, VCI_POWER_SEED (fresh, printed),
# VCI_POWER_OPS (of each workload).
# timeout: 7200

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

CUTS="${VCI_POWER_CUTS:-$(scale 8)}"
MODES="${VCI_POWER_MODES:-writeback direct writethrough writearound passthrough mixed ordered}"
OPS="${VCI_POWER_OPS:-$(scale 700)}"
SEED="${VCI_POWER_SEED:-$RANDOM$RANDOM}"

# A disk that ignores flushes must be noticed, or the test is worth nothing.
test_lie() {
	local mode="$1" fault="$2" status=0

	power-test --seed "$SEED" --ops "$OPS" --mode "$mode" --cuts 100 --fault "$fault" \
		>"$VCI_OUT/$mode-$fault" 2>&1 || status=$?
	is "$status" 1 "$mode: with $fault lying there are violations"
	[ "$status" = 1 ] || diag "$(tail -n 5 "$VCI_OUT/$mode-$fault")"
}

# power NAME ARGS...: runs the test; its output is kept and shown.
power() {
	local name="$1"

	shift
	mkdir -p "$VCI_OUT/$name"
	power-test --dump "$VCI_OUT/$name" --seed "$SEED" --ops "$OPS" "$@" \
		2>&1 | tee "$VCI_OUT/$name/log"
	return "${PIPESTATUS[0]}"
}

load_module
load_driver nbd || bail_out "no nbd in this kernel"
for mode in $MODES; do
	args=(--mode "$mode")
	[ "$mode" != direct ] || args=(--mode writeback --write-through)
	if power "$mode" "${args[@]}" --cuts "$CUTS"; then
		ok "$mode: $CUTS power cuts"
	else
		not_ok "$mode: $CUTS power cuts" "seed $SEED"
	fi
done
test_lie writeback cache-flush
test_lie writeback cache-write-through
test_lie writethrough backing-flush
modprobe -q -r nbd
done_testing
