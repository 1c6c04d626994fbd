#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 3600
#
# The measurements of "make bench", in a guest under --icount: see tests/bench/run.
# Writes lines of "TARGET <tab> WHAT <tab> NUMBER" to $VCI_OUT/results.

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"
. "$VCI_ROOT/tests/bench/bench-lib.sh"
. "$VCI_ROOT/tests/bench/peers.sh"

# A little more than 32,768 extents of 4 KiB, a few of which merge.
SPAN=$((132 << 20))
SYNCED=128
DEPTH=16

if [ -n "${QUICK:-}" ]; then
	NR_4K=4000 NR_64K=1000 NR_64K_NEW=200 NR_1M=20 NR_MISSES=1000
else
	NR_4K=4000 NR_64K=2048 NR_64K_NEW=2048 NR_1M=128 NR_MISSES=8000
fi

field() {
	awk -v "name=$1:" '$1 == name { print $2 * 1024 }' /proc/meminfo
}

# Bytes of memory that the kernel itself uses.
kernel_memory() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
	echo $(($(field Slab) + $(field VmallocUsed) + $(field Percpu)))
}

## Instructions ---------------------------------------------------------------

count() {
	local name="$1" what="$2"

	shift 2
	result "$name" "$what" "$("$COUNT" "$@" "$SPAN")"
}

fill_with() {
	fio --name=fill --minimal --filename="$1" --size="$SPAN" --rw="$2" --bs="$3" \
		--direct=1 --ioengine=psync --randrepeat=1 >/dev/null
}

# What is there was written in random order, 4 KiB by 4 KiB: nothing merges.
count_small() {
	count "$1" randread-4k "$2" read random 4096 "$NR_4K"
	count "$1" randwrite-4k "$2" write random 4096 "$NR_4K"
}

# ... and now in order.
count_large() {
	count "$1" seqread-64k "$2" read seq 65536 "$NR_64K"
	count "$1" seqwrite-64k "$2" write seq 65536 "$NR_64K"
	count "$1" seqread-1m "$2" read seq 1048576 "$NR_1M"
}

count_extents() {
	local extents

	extents="$(vci_stat bench extents)"
	result vci extents "$extents"
	is "$((extents >= 32768))" 1 "at least 32,768 extents don't merge: $extents"
}

# In the order of flushes all is copied into the log, and has a checksum.
with_checksums() {
	local device

	load_module
	vci-format --force -q --backing "$BACKING" "$CACHE" >/dev/null
	device="$(bench_table vci "$BACKING" "$CACHE" 4 writeback ordered max_dirty_age 86400)"
	count vci seqwrite-64k-new-checksums "$device" write seq 65536 "$NR_64K_NEW"
	bench_gone
}

# brd has no volatile cache, and lets nobody say so.
with_volatile_cache() {
	local CACHE device

	if ! modprobe sd_mod || ! modprobe scsi_debug dev_size_mb=512 delay=0; then
		diag "no scsi_debug"
		return
	fi
	until CACHE="$(echo /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block/*)" &&
		[ -d "$CACHE" ]; do sleep 0.1; done
	CACHE="/dev/${CACHE##*/}"
	is "$(cat "/sys/block/${CACHE##*/}/queue/write_cache")" "write back" "scsi_debug is volatile"
	dd if=/dev/zero of="$CACHE" bs=1M oflag=direct 2>/dev/null
	count raw seqwrite-64k-volatile "$CACHE" write seq 65536 "$NR_64K_NEW"
	device="$(vci_up)" || bail_out "no target"
	count vci seqwrite-64k-new-volatile "$device" write seq 65536 "$NR_64K_NEW"
	vci_down
	modprobe -r scsi_debug
}

instructions() {
	local name="$1" device before

	before="$(kernel_memory)"
	device="$("${name}_up")" || { diag "$name: cannot be set up"; return; }
	result "$name" memory-empty $(($(kernel_memory) - before))
	case "$name" in
	linear | dmcache) ;;
	*) count "$name" randwrite-4k-new "$device" write random 4096 "$NR_4K" ;;
	esac
	fill_with "$device" randwrite 4k
	! declare -F "${name}_settle" >/dev/null || "${name}_settle"
	count_small "$name" "$device"
	result "$name" memory-full $(($(kernel_memory) - before))
	if [ "$name" = vci ]; then
		count_extents
		count vci seqwrite-64k-new "$device" write seq 65536 "$NR_64K_NEW"
	fi
	fill_with "$device" write 64k
	! declare -F "${name}_settle" >/dev/null || "${name}_settle"
	count_large "$name" "$device"
	"${name}_down"
}

## I/Os of synced writes, activation -------------------------------------------

# device_ios: writes and flushes of each device so far (a flush counts as a write).
device_ios() {
	local device flushes

	for device in "$CACHE" "$BACKING" "$META"; do
		flushes="$(io_count "$device" flushes)"
		echo "$(($(io_count "$device" writes) - flushes)) $flushes"
	done | tr '\n' ' '
}

synced_writes() {
	fio --name=sync --minimal --filename="$1" --rw=randwrite --bs=4k --direct=1 \
		--ioengine=psync --fdatasync=1 --number_ios="$SYNCED" "${@:2}" >/dev/null
}

# synced NAME WHAT FIO-OPTION...: I/Os per synced write.
synced() {
	local name="$1" what="$2" before after

	shift 2
	before="$(device_ios)"
	synced_writes "$@"
	after="$(device_ios)"
	paste <(tr ' ' '\n' <<<"$before") <(tr ' ' '\n' <<<"$after") \
		<(printf '%s\n' cache-writes cache-flushes backing-writes backing-flushes \
			meta-writes meta-flushes) |
		awk -v "nr=$SYNCED" 'NF == 3 { printf "%s %.2f\n", $3, ($2 - $1) / nr }' |
		while read -r which number; do
			result "$name" "synced-$what-$which" "$number"
		done
}

activation() {
	local name="$1"

	"${name}_down"
	activated "$name" activation "${name}_again"
}

flushed() {
	local name="$1" device

	device="$("${name}_up")" || return
	synced "$name" new "$device" --size=64M
	synced "$name" again "$device" --size=64M
	[ "$name" = linear ] || activation "$name"
	"${name}_down"
}

## Misses ------------------------------------------------------------------------

iops() {
	fio --name=miss --minimal --direct=1 --ioengine=libaio --rw=randread --bs=4k \
		--filename="$1" --iodepth="$DEPTH" --size=128M --random_distribution=zipf:1.1 \
		--norandommap --number_ios="$NR_MISSES" --randrepeat=1 |
		awk -F';' 'NF > 49 { print int($8) }'
}

misses() {
	local name="$1" device

	device="$("${name}_up")" || return
	result "$name" zipf-iops-first "$(iops "$device")"
	sleep 2
	result "$name" zipf-iops-again "$(iops "$device")"
	"${name}_down"
}

## All ---------------------------------------------------------------------------

on_ram() {
	local disk

	modprobe brd rd_nr=3 rd_size=$((512 * 1024)) || skip_all "no brd in this kernel"
	BACKING=/dev/ram0 CACHE=/dev/ram1 META=/dev/ram2
	# A page that was never written costs a RAM disk less to read, more to write.
	for disk in "$BACKING" "$CACHE"; do
		dd if=/dev/zero of="$disk" bs=1M oflag=direct 2>/dev/null
	done
	count_small raw "$BACKING"
	count_large raw "$BACKING"
	for name in "${PEERS[@]}"; do
		instructions "$name"
	done
	with_checksums
	with_volatile_cache
	modprobe -r brd
}

on_null_blk() {
	BACKING="$(make_backing 256 0 max_sectors=2560)"
	CACHE="$(make_cache 256 0 max_sectors=2560)"
	META="$(make_null meta 16)"
	for name in "${PEERS[@]}"; do
		flushed "$name"
	done
}

# dm-cache's map must not say beforehand that all is cached.
on_a_slow_disk() {
	SPAN=0
	rmdir "$NULL_BLK/backing"
	BACKING="$(make_backing 256 5 max_sectors=2560)"
	for name in "${PEERS[@]}"; do
		misses "$name"
	done
}

uname -r >"$VCI_OUT/kernel"
mapfile -t PEERS < <(peers)
diag "targets: ${PEERS[*]}"
on_ram
on_null_blk
on_a_slow_disk
ok "measured"
done_testing
