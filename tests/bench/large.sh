#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 3600
#
# The measurements of "make bench" that take large caches, full of 4 KiB extents that
# don't merge: reads with a million of them; lookups in the tree alone among 50 thousand and
# 50 million; activation of 64 GiB, closed cleanly and after a crash.  In a guest under
# --icount: see tests/bench/run.
#
# The disks keep in memory only what is written: metadata, since full-image writes no
# data, and hits read zeros.

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"
. "$VCI_ROOT/tests/bench/bench-lib.sh"
. "$VCI_ROOT/tests/bench/peers.sh"

FULL_IMAGE="$VCI_ROOT/build/tests/full-image"
BENCH_CORE="$VCI_ROOT/build/tests/bench-core"
MILLION_MIB=4352
NR_READS=4000
LARGE_MIB=65536
LOG_MIB=16

# fill_image MIB: the number of extents.
fill_image() {
	"$FULL_IMAGE" "$CACHE" "$1" && blockdev --flushbufs "$CACHE"
}

# up CACHE
up() {
	bench_table vci "$BACKING" "$1" 3 writeback max_dirty_age 86400
}

# A read for each leaf, and some: it is in memory then.
load_tree() {
	fio --name=load --minimal --filename="$1" --rw=read:124k --bs=4k --size="$2" \
		--direct=1 --ioengine=psync >/dev/null
}

million() {
	local extents device span

	modprobe brd rd_nr=2 "rd_size=$((MILLION_MIB * 1024))" || bail_out "no brd"
	BACKING=/dev/ram0 CACHE=/dev/ram1
	extents="$(fill_image "$MILLION_MIB")" || bail_out "no image"
	span=$((extents * 4096))
	result raw randread-4k-million "$("$COUNT" "$BACKING" read random 4096 "$NR_READS" "$span")"
	device="$(up "$CACHE")" || bail_out "no target"
	result vci extents-million "$(vci_stat bench extents)"
	load_tree "$device" "$span"
	result vci randread-4k-million "$("$COUNT" "$device" read random 4096 "$NR_READS" "$span")"
	is "$(vci_stat bench read_misses)" 0 "all of a million extents is read from the cache"
	bench_gone
	modprobe -r brd
}

## Lookups ------------------------------------------------------------------------

# A nanosecond of this guest is an instruction.
lookups() {
	local out="$VCI_OUT/bench-core"

	"$BENCH_CORE" --lookups 50000 50000000 >"$out" || bail_out "no lookups"
	awk -F '\t' '/^tree, random/ { print (NR == 2 ? "50k" : "50m"), $5 }' "$out" |
		while read -r among instructions; do
			result vci "lookup-$among" "$instructions"
		done
}

## Activation of 64 GiB -----------------------------------------------------------

# The cache device is seen through a table that can be exchanged for an error.
power_is() {
	dmsetup suspend --noflush power
	dmsetup load power --table "0 $(sectors_of "$CACHE") $1"
	dmsetup resume power
}

# What the log has when power fails: no checkpoint, no close.
fill_log() {
	local before

	before="$(vci_stat bench appended_sectors)"
	fio --name=log --minimal --filename=/dev/mapper/bench --rw=randwrite --bs=4k \
		--size=8G --number_ios=$((LOG_MIB * 256)) --direct=1 --ioengine=libaio \
		--iodepth=32 --norandommap --randrepeat=1 >/dev/null
	result vci activation-crash-log-kib \
		$((($(vci_stat bench appended_sectors) - before) / 2))
	is "$(vci_stat bench checkpoints)" 0 "power fails before there is a checkpoint"
}

# As the events name it.
dev_of() {
	local major minor

	read -r major minor < <(stat -Lc '%t %T' "$1")
	echo "$((0x$major)),$((0x$minor))"
}

# The function that reads the image, alone: "dmsetup" itself takes longer than that, and
# then the log is caught up with in the background.  Its milliseconds, and the sectors of
# CACHE that are read in it.
preresume() {
	local tracing=/sys/kernel/tracing dev trace="$VCI_OUT/trace"

	dev="$(dev_of "$1")"
	echo 1 >"$tracing/events/block/block_bio_queue/enable"
	echo vci_preresume >"$tracing/set_graph_function"
	echo 1 >"$tracing/max_graph_depth"
	echo function_graph >"$tracing/current_tracer"
	up "$1" >/dev/null || return
	cat "$tracing/trace" >"$trace"
	awk -v "dev=$dev" '
		/vci_preresume.*\{/ { inside = 1 }
		inside && /block_bio_queue/ && $0 ~ " " dev " R" {
			sub(/.* \+ /, ""); sectors += $1
		}
		inside && / us / && /\}/ {
			sub(/ us .*/, ""); us = $NF; inside = 0
			printf "%.1f %d\n", us / 1000, sectors
		}' "$trace"
	echo 0 >"$tracing/events/block/block_bio_queue/enable"
	echo nop >"$tracing/current_tracer"
	echo 0 >"$tracing/max_graph_depth"
	echo >"$tracing/set_graph_function"
}

# activation NAME CACHE: its milliseconds and reads.
activation() {
	local counted ms sectors

	counted="$(preresume "$2")"
	read -r ms sectors <<<"$counted"
	[ "${sectors:-0}" -gt 0 ] ||
		bail_out "no target, or the tracer missed it"
	result vci "activation-$1-ms" "$ms"
	result vci "activation-$1-read-kib" $((sectors / 2))
}

large() {
	local begin

	BACKING="$(make_backing "$LARGE_MIB" 0 max_sectors=2560)"
	CACHE="$(make_cache "$LARGE_MIB" 0 max_sectors=2560)"
	diag "64 GiB: $(fill_image "$LARGE_MIB") extents"
	dmsetup create power --table "0 $(sectors_of "$CACHE") linear $CACHE 0"
	activation 64g /dev/mapper/power
	fill_log
	power_is error
	bench_gone
	dmsetup remove --retry power
	activation crash "$CACHE"
	result vci activation-crash-batches "$(vci_stat bench recovered_batches)"
	begin="$(busy)"
	bench_gone
	result vci removal-64g-ms $((($(busy) - begin) / 1000000))
}

allow_log "vci|device-mapper|I/O error"
load_module
million
lookups
large
done_testing
