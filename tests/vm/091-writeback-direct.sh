#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Direct writes, to a cache device without a volatile cache and to one with it: data goes
# there from the users' pages, and is named later.  They cost what they should, are right,
# alone and many at once, in sizes that take several pieces too, and are there after a flush
# and a reset.
# timeout: 900

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/direct
MIB=64

# put KIB NUMBER [FLAG]: new data to device and model.
put() {
	dd if=/dev/urandom of=/tmp/data bs="${1}K" count=1 2>/dev/null
	dd if=/tmp/data of="$MODEL" bs="${1}K" seek="$2" conv=notrunc 2>/dev/null
	dd if=/tmp/data of="$DEVICE" bs="${1}K" seek="$2" "oflag=direct${3:+,$3}" conv=notrunc \
		2>/dev/null
}

# Five writes of 4 KiB to new places: of those that follow no flush is near.
FRESH=15000
leave_flush() {
	local i

	for i in 0 1 2 3 4; do put 4 $((FRESH + i)); done
	FRESH=$((FRESH + 5))
}

# cost COMMAND...: sets COST, "writes sectors" of the cache device.
cost() {
	local a b

	a="$(awk '{ print $5 - $16, $7 }' "/sys/block/${CACHE##*/}/stat")"
	"$@"
	b="$(awk '{ print $5 - $16, $7 }' "/sys/block/${CACHE##*/}/stat")"
	COST="$(awk '{ print $3 - $1, $4 - $2 }' <<<"$a $b")"
}

put_and_flush() {
	put "$@"
	sync "$DEVICE"
}

put_large() {
	put 64 50
}

# often EXPECTED FUNCTION KIB FIRST [FLAG]: of eight, as the background may come between;
# $BEFORE goes before each.
often() {
	local i right=0

	for i in 0 1 2 3 4 5 6 7; do
		"${BEFORE:-:}"
		cost "$2" "$3" $(($4 + 3 * i)) "${@:5}"
		if [ "$COST" = "$1" ]; then right=$((right + 1)); else diag "cost: $COST"; fi
	done
	test "$right" -ge 2
}

# Small reads, so that the device isn't idle, when all that is dirty would be written back.
start_busy() {
	fio --name=busy "--filename=$DEVICE" --rw=read --bs=4k --size=64k --direct=1 \
		--rate_iops=20 --time_based --runtime=1000 >/dev/null 2>&1 &
	BUSY=$!
}

is_right() {
	same_data "$DEVICE" "$MODEL" "$MIB" "${1:-1M}"
}

load() {
	fio --name=load --filename="$DEVICE" --rw=randrw --direct=1 --ioengine=libaio \
		--iodepth=16 --blockalign=4k --bssplit=4k/10:64k/40:68k/20:256k/20:1m/10 \
		--size="${MIB}M" --time_based --runtime=15 --randrepeat=0 --fdatasync=32 \
		--verify=crc32c --verify_fatal=1 --verify_backlog=64 >"$VCI_OUT/fio" 2>&1
}

# up CACHE_OPTIONS...
up() {
	BACKING="$(make_backing "$MIB" 0 max_sectors=2560)"
	CACHE="$(make_cache 256 20 max_sectors=2560 "$@")"
	MODEL="$(make_loop "$MIB")"
	vci_format "$CACHE"
	vci_create direct "$BACKING" "$CACHE" writeback || bail_out "cannot create"
	dmsetup message direct 0 max_dirty_age 86400
	# A header is as long as it must be: here a physical block.
	HEADER=$(($(cat "/sys/block/${CACHE##*/}/queue/physical_block_size") / 512))
	start_busy
	put 64 90
	vci_settle direct
}

stop_busy() {
	kill "$BUSY"
	wait "$BUSY" 2>/dev/null
}

test_cost() {
	leave_flush
	check "a write of 64 KiB is one of the device" often "1 128" put 64 100
	check "one with FUA is one more, which names it" \
		often "2 $((128 + HEADER))" put 64 200 dsync
	check "one of 4 KiB with FUA is copied: one write" \
		often "1 $((8 + HEADER))" put 4 6000 dsync
	sync "$DEVICE"
	check "behind a flush, too" often "1 $((8 + HEADER))" put_and_flush 4 7000
	leave_flush
	check "else it is one of the device" often "1 8" put 4 8000
	check "so is one of 60 KiB" often "1 120" put 60 300
	BEFORE=leave_flush
	check "a flush names it in one write" often "2 $((8 + HEADER))" put_and_flush 4 9000
	BEFORE=
	cost sync "$DEVICE"
	check "another one writes nothing" test "$COST" = "0 0"
}

# A name wants a flush there.
test_cost_volatile() {
	local i named=0

	leave_flush
	check "a write of 4 KiB is copied: one write" often "1 $((8 + HEADER))" put 4 6000
	leave_flush
	check "one of 64 KiB is one of the device" often "1 128" put 64 100
	BEFORE=put_large
	check "one of 4 KiB behind it, too" often "1 8" put 4 8000
	BEFORE=
	check "one with FUA is copied" often "1 $((128 + HEADER))" put 64 200 dsync
	check "so is one behind a flush" often "1 $((128 + HEADER))" put_and_flush 64 300
	for i in 0 1 2 3 4 5 6 7; do
		leave_flush
		put 64 $((400 + 3 * i))
		cost sync "$DEVICE"
		if [ "$COST" = "0 $HEADER" ]; then named=$((named + 1)); else diag "cost: $COST"; fi
	done
	# The block layer counts a write with PREFLUSH as the flush that it is, too.
	check "else a flush writes a name and is no other I/O" test "$named" -ge 2
	cost sync "$DEVICE"
	check "another one writes nothing" test "$COST" = "0 0"
}

test_contents() {
	local size

	check "they are read as they were written" is_right
	check "in pieces of odd sizes too" is_right 23040
	for size in 64 128 1024 2048 3072; do
		put "$size" 5
		put "$size" 6
	done
	check "large ones" is_right
	if load; then ok "verified load"; else not_ok "verified load" "$(tail -n 30 "$VCI_OUT/fio")"; fi
	dd if="$DEVICE" of="$MODEL" bs=1M iflag=direct conv=notrunc 2>/dev/null
	check "remove" vci_remove direct
	check "vci-check finds nothing wrong" vci-check -q "$CACHE"
	check "create again" vci_create direct "$BACKING" "$CACHE" writeback
	check "all is there" is_right
	check "flush" dmsetup message direct 0 flush
	check "remove" vci_remove direct
	check "the backing device has everything" same_data "$BACKING" "$MODEL" "$MIB"
	image_is_valid "$CACHE" "$BACKING"
}

diag "without a volatile cache"
up cache_size=0
test_cost
stop_busy
test_contents
diag "with one"
BACKING_NAME=backing2
CACHE_NAME=cache2
up
test_cost_volatile
stop_busy
test_contents
done_testing
