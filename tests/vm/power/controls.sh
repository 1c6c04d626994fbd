#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The power-failure test must notice targets that forget something, and disks
# that lie.  Not a test of make check; tests/vm/power/run runs it, with the
# modules in VCI_POWER_CONTROLS, "NAME:MODE[,MODE...]:PATH" each.
# timeout: 3600

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

CUTS="${VCI_POWER_CUTS:-200}"
SEED="${VCI_POWER_SEED:-$RANDOM$RANDOM}"
OWN_MODULE="$VCI_MODULE"

# must_fail NAME MODE ARGS...: violations are found, and nothing else goes wrong.
must_fail() {
	local name="$1" mode="$2" log="$VCI_OUT/$1-$2" status=0

	shift 2
	power-test --mode "$mode" --cuts "$CUTS" --seed "$SEED" "$@" >"$log" 2>&1 || status=$?
	if [ "$status" -eq 1 ]; then
		ok "$name, $mode: noticed"
		diag "$(grep -m 1 VIOLATION "$log")"
		diag "$(tail -n 1 "$log")"
	else
		not_ok "$name, $mode: noticed" "status $status"
		tail -n 20 "$log" | sed 's/^/# /'
	fi
}

# Whatever a target does that is broken, or has such disks, is no news.
allow_log "dm_vci|device-mapper: vci"
load_driver nbd || bail_out "no nbd in this kernel"
for control in ${VCI_POWER_CONTROLS:-}; do
	IFS=: read -r name modes path <<<"$control"
	unload_module
	VCI_MODULE="$path"
	load_module
	for mode in ${modes//,/ }; do
		must_fail "$name" "$mode"
	done
done
unload_module
VCI_MODULE="$OWN_MODULE"
load_module
for fault in backing-flush backing-fua cache-flush cache-fua; do
	must_fail "$fault-lies" writethrough --fault "$fault"
done
modprobe -q -r nbd
done_testing
