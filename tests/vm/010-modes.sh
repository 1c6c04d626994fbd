#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Data in each mode: random verified I/O of odd sizes, reads over hits and
# misses, more data than the cache holds; at the end the backing device alone
# has everything.
# timeout: 600

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/modes

test_verify() {
	local mode="$1"

	check "$mode: create" vci_create modes "$BACKING" "$CACHE" "$mode"
	is "$(dmsetup table modes | cut -d ' ' -f 7)" "$mode" "$mode: the table says so"
	fio_verify "$mode: verified random I/O" "$DEVICE" --size="$(scale 24)M"
	# Eight times the cache: segments are used again.
	fio_verify "$mode: more data than the cache" "$DEVICE" --size=192M \
		--io_size="$(scale 128)M"
	check "$mode: remove" vci_remove modes
	image_is_valid "$CACHE" "$BACKING"
}

# A block that hits lies in the middle of each read.
test_hits_and_misses() {
	local i

	dd if=/dev/urandom of="$BACKING" bs=1M count=16 oflag=direct 2>/dev/null
	vci_format "$CACHE"
	vci_create modes "$BACKING" "$CACHE" no_read_around || bail_out "cannot create"
	for i in 3 5 6 17 40 41; do
		dd if="$DEVICE" of=/dev/null bs=1536 skip="$i" count=1 iflag=direct 2>/dev/null
	done
	vci_settle modes
	is "$(vci_stat modes read_misses)" 6 "six reads miss"
	check "a large read over hits and misses is right" \
		same_data "$DEVICE" "$BACKING" 1
	check "it isn't cut at the hits in it" test "$(vci_stat modes read_misses)" -le 10
	vci_settle modes
	check "reads of odd sizes over them are right" \
		same_data "$DEVICE" "$BACKING" 1 3584
	check "now all is mapped" test "$(vci_stat modes used_sectors)" -ge 2048
	vci_remove modes
	image_is_valid "$CACHE" "$BACKING"
}

# A write that the cache knows must replace what it knows, in every mode.
test_coherence() {
	local mode

	vci_format "$CACHE"
	vci_create modes "$BACKING" "$CACHE" || bail_out "cannot create"
	for mode in writethrough writearound passthrough; do
		vci_mode modes writethrough
		dd if="$DEVICE" of=/dev/null bs=64K count=16 iflag=direct 2>/dev/null
		vci_settle modes
		vci_mode modes "$mode"
		dd if=/dev/urandom of="$DEVICE" bs=2560 count=100 seek=7 oflag=direct 2>/dev/null
		vci_mode modes writethrough
		check "after writes in $mode all copies agree" \
			same_data "$DEVICE" "$BACKING" 1
	done
	vci_remove modes
	image_is_valid "$CACHE" "$BACKING"
}

test_discard() {
	vci_create modes "$BACKING" "$CACHE" || bail_out "cannot create"
	dd if="$DEVICE" of=/dev/null bs=64K count=32 iflag=direct 2>/dev/null
	vci_settle modes
	check "discard" blkdiscard -o 65536 -l 524288 "$DEVICE"
	check "discarded data reads as the backing device has it" \
		same_data "$DEVICE" "$BACKING" 2
	check "it was counted" test "$(vci_stat modes discards)" -gt 0
	check "discard of all" blkdiscard "$DEVICE"
	is "$(vci_stat modes used_sectors)" 0 "nothing is mapped then"
	vci_remove modes
}

test_messages() {
	vci_create modes "$BACKING" "$CACHE" no_read_around || bail_out "cannot create"
	dd if="$DEVICE" of=/dev/null bs=64K count=64 iflag=direct 2>/dev/null
	vci_settle modes
	is "$(vci_stat modes used_sectors)" 8192 "reads filled the cache"
	check "invalidate a range" dmsetup message modes 0 invalidate 128 256
	is "$(vci_stat modes used_sectors)" 7936 "its sectors are unmapped"
	check "invalidate all" dmsetup message modes 0 invalidate
	is "$(vci_stat modes used_sectors)" 0 "no sector is mapped"
	check "clear_stats" dmsetup message modes 0 clear_stats
	is "$(vci_stat modes read_misses)" 0 "counters begin anew"
	check_fails "an unknown mode is refused" dmsetup message modes 0 mode writesideways
	check_fails "an unknown message is refused" dmsetup message modes 0 frobnicate
	check_fails "a range behind the end is refused" \
		dmsetup message modes 0 invalidate 100 99999999999
	vci_remove modes
}

# A debug kernel gets a smaller cache as well, so that it still overflows.
vci_pair 256 "$((8 + $(scale 16)))"
load_module
for mode in writethrough writearound passthrough; do
	test_verify "$mode"
done
test_hits_and_misses
test_coherence
test_discard
test_messages
done_testing
