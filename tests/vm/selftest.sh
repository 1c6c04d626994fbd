#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests the runner: each script of tests/vm/selftest goes wrong in one way, and
# tests/vm/run must say so.  About two minutes: each failure costs a boot.
#
# Usage: tests/vm/selftest.sh [OPTION of tests/vm/run...]

set -uo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# What the runner must say of each script.
CASES="
fine	^ok [0-9]+ - vm:[^ ]*:fine #
warning	^not ok .*:warning # .*dirty kernel log: .*WARNING: fake
not-ok	^not ok .*:not-ok # .*1 of 2 failed
no-plan	^not ok .*:no-plan # .*no plan
status	^not ok .*:status # .*exit status 3
bail-out	^not ok .*:bail-out # .*bailed out
leftover	^not ok .*:leftover # .*left devices behind: leftover
slow	^not ok .*:slow # .*timed out
stuck	^not ok .*:stuck # .*timed out after 5 s and cannot be killed
panic	^not ok .*:panic # .*Kernel panic
skipped	^ok .*:skipped # SKIP nothing to see
"

main() {
	local scripts=() number=0 failed=0
	local name pattern output

	while IFS=$'\t' read -r name pattern; do
		[ -z "$name" ] || scripts+=("$HERE/selftest/$name.sh")
	done <<<"$CASES"
	output="$("$HERE/run" --no-module "$@" "${scripts[@]}" 2>&1)"
	echo "TAP version 13"
	while IFS=$'\t' read -r name pattern; do
		[ -n "$name" ] || continue
		number=$((number + 1))
		if grep -q -E "$pattern" <<<"$output"; then
			echo "ok $number - runner:$name"
		else
			failed=$((failed + 1))
			echo "not ok $number - runner:$name"
		fi
	done <<<"$CASES"
	echo "1..$number"
	[ "$failed" -gt 0 ] || return 0
	while IFS= read -r name; do echo "# $name"; done <<<"$output"
	return 1
}

main "$@"
