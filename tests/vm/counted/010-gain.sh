#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 900
#
# What a cache must gain, in virtual time (--icount: one instruction is one
# nanosecond, so the machine's load doesn't count): a backing device of 5 ms per
# I/O, a cache device of 100 us.

. "$VCI_ROOT/tests/vm/lib.sh"

READS=50000

# iops DEVICE DEPTH SIZE [FIO-OPTION...]
iops() {
	local device="$1" depth="$2" size="$3"

	shift 3
	fio --name=gain --minimal --direct=1 --ioengine=libaio --rw=randread --bs=4k \
		--filename="$device" --iodepth="$depth" --size="$size" "$@" |
		awk -F';' 'NF > 49 { printf "%d\n", $8 }'
}

median() {
	printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"
}

ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", b ? a / b : 0 }'
}

at_least() {
	awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= b) }'
}

stat_of() {
	dmsetup message gain 0 stats | tr ' ' '\n' | sed -n "s/^$1=//p"
}

# Warm reads of 32 MiB against the cache device alone, five rounds in turn.
test_warm() {
	local depth="$1" least="$2"
	local alone=() cached=() round got

	for round in 1 2 3 4 5; do
		alone+=("$(iops "$CACHE_ALONE" "$depth" 32M --number_ios=4000 --randseed="$round")")
		cached+=("$(iops /dev/mapper/gain "$depth" 32M --number_ios=4000 --randseed="$round")")
	done
	got="$(ratio "$(median "${cached[@]}")" "$(median "${alone[@]}")")"
	diag "queue depth $depth: cache device alone ${alone[*]}, dm-vci ${cached[*]}"
	if at_least "$got" "$least"; then
		ok "warm reads at depth $depth reach $got of the cache device alone"
	else
		not_ok "warm reads at depth $depth reach $got of the cache device alone" \
			"expected $least"
	fi
}

test_zipf() {
	local alone cached got

	alone="$(iops "$BACKING" 32 2048M --number_ios=$READS \
		--random_distribution=zipf:1.1 --randseed=7)"
	cached="$(iops /dev/mapper/gain 32 2048M --number_ios=$READS \
		--random_distribution=zipf:1.1 --randseed=7)"
	got="$(ratio "$cached" "$alone")"
	diag "backing device alone $alone I/O per s, dm-vci $cached," \
		"$(stat_of read_hits) hits, $(stat_of read_misses) misses"
	if at_least "$got" 3; then
		ok "the first $READS zipf reads, cold, are $got times as fast"
	else
		not_ok "the first $READS zipf reads, cold, are $got times as fast" "expected 3"
	fi
}

BACKING="$(make_backing 2048 5)"
CACHE="$(make_cache 256 100)"
CACHE_ALONE="$(CACHE_NAME=alone make_cache 64 100)"
vci-format --force -q --backing "$BACKING" "$CACHE" || bail_out "vci-format failed"
vci_create gain "$BACKING" "$CACHE" no_read_around || bail_out "dmsetup create failed"
# Everything is read once from the host before it counts.
iops "$BACKING" 32 32M --number_ios=200 >/dev/null
test_zipf
vci_remove gain
vci_create gain "$BACKING" "$CACHE" no_read_around
fio --name=load --minimal --direct=1 --ioengine=libaio --rw=read --bs=64k \
	--iodepth=16 --filename=/dev/mapper/gain --size=32M >/dev/null
sleep 3
test_warm 1 0.9
test_warm 4 0.9
test_warm 8 0
test_warm 32 0
vci_remove gain
check "the image is closed and whole" vci-check --backing "$BACKING" "$CACHE"
done_testing
