# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of the tools share.  VCI_TOOLS is where the tools are; each
# test has a directory of its own, $BATS_TEST_TMPDIR, and works in it.

ROOT="$(cd "$BATS_TEST_DIRNAME/../.." && pwd)"
TOOLS="${VCI_TOOLS:-$ROOT/build/bin}"
READER="$ROOT/tests/reader/vci_reader.py"
WRITER="$ROOT/build/tests/unit/test-verify"

setup() {
	PATH="$TOOLS:$PATH:/usr/sbin:/sbin"
	export LC_ALL=C
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	if [ -n "${LOOP:-}" ]; then
		losetup --detach "$LOOP"
	fi
}

# status_is WANT: the status of the last "run".
status_is() {
	[ "$status" -eq "$1" ] || {
		echo "status $status, expected $1; output:"
		echo "$output"
		return 1
	}
}

# says TEXT: the last "run" printed it.
says() {
	[[ "$output" == *"$1"* ]] || {
		echo "expected: $1"
		echo "got: $output"
		return 1
	}
}

sum_of() {
	sha256sum "$1" | cut -d ' ' -f 1
	stat -c '%s' "$1"
}

# unchanged_by COMMAND...: $FILE has the same bytes and length afterwards.
unchanged_by() {
	local before after

	before="$(sum_of "$FILE")"
	run "$@"
	after="$(sum_of "$FILE")"
	[ "$before" = "$after" ] || {
		echo "$FILE was changed by: $*"
		return 1
	}
}

# An image with 300 extents, one of them dirty, and image.backing.
image_with_extents() {
	[ -x "$WRITER" ] || skip "build/tests/unit/test-verify is not built"
	"$WRITER" --write image
}

# poke FILE BYTE: changes one byte.
poke() {
	local value

	value="$(od -An -tu1 -j "$2" -N 1 "$1")"
	printf '%b' "\\x$(printf %02x $((value ^ 16)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

reader_finds_valid() {
	python3 "$READER" --quiet "$@"
}

# $LOOP becomes a loop device over FILE; skips where there are none.
loop_over() {
	[ "$(id -u)" -eq 0 ] || skip "needs root for a loop device"
	LOOP="$(losetup --find --show "$1" 2>/dev/null)" ||
		{ LOOP="" && skip "no loop devices here"; }
}

# help_is TOOL: "TOOL --help" prints what TOOL.help has.
help_is() {
	run "$1" --help
	status_is 0
	diff "$BATS_TEST_DIRNAME/$1.help" - <<<"$output"
}
