#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Write-back beside users' I/O: the backing device is theirs for most of the time,
# even when more than half of the cache is dirty; the message "flush" shows how far
# it is, and a signal ends it.
# timeout: 600

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/pace

# Reads of cached data, so that the device isn't idle.
start_busy() {
	start_reads "$DEVICE"
	HITS="$(vci_stat pace read_hits)"
	wait_until 60 is_busy || bail_out "no reads of cached data"
}

is_busy() {
	[ "$(vci_stat pace read_hits)" -ge $((HITS + 5)) ]
}

# make_dirty MIB: pieces of 64 KiB at random places.
make_dirty() {
	fio --name=dirty "--filename=$DEVICE" --rw=randwrite --bs=64k --size=128M \
		--io_size="$1M" --direct=1 --ioengine=libaio --iodepth=4 --randrepeat=0 \
		--output=/dev/null
}

# Of the cache, in percent.
dirty() {
	echo $(($(vci_stat pace dirty_sectors) * 100 / $(vci_stat pace total_sectors)))
}

# Milliseconds in which the backing device had something to do.
busy_ms() {
	awk '{ print $10 }' "/sys/block/${BACKING##*/}/stat"
}

now_ms() {
	awk '{ print int($1 * 1000) }' /proc/uptime
}

# Until a tenth of what is over half of the cache is left, for so many seconds.
watch_pace() {
	local end=$((SECONDS + $1)) began busy written

	began="$(now_ms)"
	busy="$(busy_ms)"
	written="$(vci_stat pace written_back_sectors)"
	while [ "$SECONDS" -lt "$end" ] && [ "$(dirty)" -gt 51 ]; do
		sleep 0.5
	done
	diag "$(dmsetup status pace)"
	SHARE=$((($(busy_ms) - busy) * 100 / ($(now_ms) - began)))
	WRITTEN=$(($(vci_stat pace written_back_sectors) - written))
}

test_pace() {
	local before

	start_busy
	make_dirty 40
	before="$(dirty)"
	check "more than half of the cache is dirty: $before %" test "$before" -ge 54
	watch_pace 120
	check "it is written back: $WRITTEN sectors" test "$WRITTEN" -ge 2048
	check "and the backing device is busy for part of the time: $SHARE %" \
		test "$SHARE" -le 65
	stop_reads
}

is_flushing() {
	[ "$(vci_stat pace flush_sectors_left)" -gt 0 ]
}

test_flush() {
	local pid before status=0

	start_busy
	make_dirty 16
	before="$(vci_stat pace dirty_sectors)"
	dmsetup message pace 0 flush 2>/dev/null &
	pid=$!
	check "the status shows that flush is at work" wait_until 20 is_flushing
	kill -TERM "$pid"
	wait "$pid" 2>/dev/null || status=$?
	check "a signal ends it" test "$status" -ne 0
	is "$(vci_stat pace flush_sectors_left)" 0 "it is at work no more"
	check "much is dirty still, of $before sectors" \
		test "$(vci_stat pace dirty_sectors)" -ge $((before / 4))
	stop_reads
	check "flush, to the end" dmsetup message pace 0 flush
	is "$(vci_stat pace dirty_sectors)" 0 "nothing is dirty"
	check "the backing device has everything" same_data "$DEVICE" "$BACKING" 128
}

# A block that is overwritten all the time must not keep flush from returning.
test_flush_under_writes() {
	local pid

	fio --name=hot "--filename=$DEVICE" --rw=randwrite --bs=4k --size=64k --direct=1 \
		--ioengine=libaio --iodepth=4 --time_based --runtime=1000 >/dev/null 2>&1 &
	pid=$!
	sleep 1
	check "flush comes to an end under writes" timeout 60 dmsetup message pace 0 flush
	check "mode writethrough" vci_mode pace writethrough
	check "there too" timeout 60 dmsetup message pace 0 flush
	kill "$pid"
	wait "$pid" 2>/dev/null
	check "flush" dmsetup message pace 0 flush
	is "$(vci_stat pace dirty_sectors)" 0 "without them nothing is dirty then"
	check "the backing device has everything" same_data "$DEVICE" "$BACKING" 128
}

BACKING="$(make_backing 128 100)"
CACHE="$(make_cache 64)"
vci_format "$CACHE"
vci_create pace "$BACKING" "$CACHE" writeback || bail_out "cannot create"
test_pace
test_flush
test_flush_under_writes
check "remove" vci_remove pace
image_is_valid "$CACHE" "$BACKING"
done_testing
