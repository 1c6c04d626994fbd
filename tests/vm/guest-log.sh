# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The kernel log of one test: marks where it begins, and says afterwards what
# must not be in it.  Sourced by tests/vm/guest.  Needs OUT and VCI_ROOT.

KMEMLEAK=/sys/kernel/debug/kmemleak

log_begin() {
	: >"/run/allow.$1"
	echo "vci-test: begin $1" >/dev/kmsg
}

# log_end NAME: keeps the log in NAME.dmesg, prints the first finding.
log_end() {
	local name="$1"
	local log="$OUT/$name.dmesg"

	find_leaks "$name"
	echo "vci-test: end $name" >/dev/kmsg
	dmesg | sed -n "/vci-test: begin $name\$/,\$p" >"$log"
	{
		[ ! -s "$OUT/$name.leaks" ] || echo "kmemleak: see $name.leaks"
		grep -E -f "$VCI_ROOT/tests/vm/log-patterns" "$log" |
			grep -v 'vci-test: begin' | disallowed "$name"
		lockdep_off
	} | head -n 1
}

# Leaves out what the test said to expect (allow_log in lib.sh).
disallowed() {
	if [ -s "/run/allow.$1" ]; then
		grep -v -E -f "/run/allow.$1"
	else
		cat
	fi
}

# Objects younger than five seconds are not reported, nor those whose bytes
# changed since the last scan.  A scan takes ten seconds in emulation, so it is
# made only when the module was there.  In debug kernels everything else is
# built in: an address without a symbol, in a report's stack, is ours.
find_leaks() {
	local leaks="$OUT/$1.leaks"

	rm -f "$leaks"
	[ -e "$KMEMLEAK" ] && [ -e "/run/loaded.$1" ] || return 0
	echo scan >"$KMEMLEAK" 2>/dev/null || return 0
	sleep 6
	echo scan >"$KMEMLEAK"
	awk -v RS='unreferenced object' 'NR > 1 && /\[dm_vci\]|\] 0xffffffff/ {
		print "unreferenced object" $0
	}' "$KMEMLEAK" >"$leaks"
}

# lockdep switches itself off after its first report or any other's.
lockdep_off() {
	grep -q 'debug_locks: *0' /proc/lockdep_stats 2>/dev/null || return 0
	echo "lockdep has switched itself off"
}
