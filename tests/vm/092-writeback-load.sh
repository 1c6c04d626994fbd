#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Write-back under load: verified I/O, changes of mode, suspend and reload,
# flushes, a cache full of dirty data; at the end the backing device has all.
# timeout: 900

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/load
MODES=(writeback writethrough writeback writearound writeback passthrough)

start_load() {
	fio --name=load --filename="$DEVICE" --rw=randrw --direct=1 --ioengine=libaio \
		--iodepth=16 --blockalign=512 --bssplit=512/30:4k/30:9k/20:64k/20 \
		--size=24M --time_based --runtime="$1" --randrepeat=0 --fdatasync=32 \
		--verify=crc32c --verify_fatal=1 --verify_backlog=256 \
		>"$VCI_OUT/fio-$2" 2>&1 &
	LOAD=$!
}

end_load() {
	if wait "$LOAD"; then
		ok "$1: all data was right"
	else
		not_ok "$1: all data was right" "$(tail -n 30 "$VCI_OUT/fio-$1")"
	fi
}

rounds() {
	local i count="$1"

	shift
	for ((i = 0; i < count; i++)); do
		"$@" "$i" || return 1
		sleep 0.3
	done
}

change_mode() {
	vci_mode load "${MODES[$1 % 6]}"
}

suspend_resume() {
	dmsetup suspend load && dmsetup resume load
}

noflush_suspend_resume() {
	dmsetup suspend --noflush load && dmsetup resume load
}

reload() {
	vci_reload load "$BACKING" "$CACHE" "${MODES[$1 % 6]}"
}

flush() {
	dmsetup message load 0 flush
}

under_load() {
	local name="$1" count="$2"

	shift 2
	start_load 8 "$name"
	check "$name under load" rounds "$count" "$@"
	end_load "$name"
	same_after_flush "$name"
}

# Verified load after verified load, for as long as it takes.
load_until() {
	while [ ! -e "$1" ]; do
		start_load 8 modes
		wait "$LOAD" || return 1
	done
}

# test_modes COUNT: VCI_SWITCHES=1000 for a long time.
test_modes() {
	local stop="$VCI_OUT/stop" pid

	rm -f "$stop"
	load_until "$stop" &
	pid=$!
	check "$1 changes of mode under load" rounds "$1" change_mode
	touch "$stop"
	if wait "$pid"; then
		ok "changes of mode: all data was right"
	else
		not_ok "changes of mode: all data was right" "$(tail -n 30 "$VCI_OUT/fio-modes")"
	fi
	same_after_flush "changes of mode"
}

# same_after_flush WHAT: the backing device alone equals what the device read as.
same_after_flush() {
	check "$1: flush" dmsetup message load 0 flush
	is "$(vci_stat load dirty_sectors)" 0 "$1: nothing is dirty"
	check "$1: the backing device has everything" same_data "$DEVICE" "$BACKING" 64
}

test_verify() {
	fio_verify "verified random I/O" "$DEVICE" --size="$(scale 24)M"
	fio_verify "with a sync every eight writes" "$DEVICE" --size="$(scale 16)M" --fdatasync=8
	fio_verify "large writes" "$DEVICE" --size=32M --io_size="$(scale 64)M" \
		--bssplit=2M/30:1M/30:700k/40
	same_after_flush "verify"
}

# Four times the cache, faster than the slow backing device takes it.
test_full_of_dirty() {
	fio_verify "a cache full of dirty data" "$DEVICE" --size=64M --rw=randwrite \
		--io_size="$(($(scale 64) + 24))M" --bssplit=4k/30:64k/70
	check "it was written back to make room" \
		test "$(vci_stat load written_back_sectors)" -ge 1000
	check "no error of the cache device" test "$(vci_stat load cache_errors)" = 0
	same_after_flush "full"
}

BACKING="$(make_backing 64 2)"
CACHE="$(make_cache 16)"
vci_format "$CACHE"
vci_create load "$BACKING" "$CACHE" writeback || bail_out "cannot create"
test_verify
test_modes "${VCI_SWITCHES:-16}"
vci_mode load writeback
under_load flushes 8 flush
under_load suspend 12 suspend_resume
under_load noflush 12 noflush_suspend_resume
under_load reload 12 reload
vci_mode load writeback
test_full_of_dirty
check "remove" vci_remove load
image_is_valid "$CACHE" "$BACKING"
done_testing
