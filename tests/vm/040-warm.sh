#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Removed and created again: the cache is warm, the image between is valid VCI
# version 1 for whoever reads it, and after a crash it is warm as well.
# timeout: 400

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/warm

# read_set: a working set of 4 KiB blocks, the same each time.
read_set() {
	fio --name=set --filename="$DEVICE" --rw=randread --bs=4k --direct=1 \
		--ioengine=libaio --iodepth=16 --randseed=7 --norandommap \
		--number_ios=2000 --output=/dev/null
}

backing_reads() {
	io_count "$BACKING" reads
}

test_cold_and_warm() {
	local before

	vci_create warm "$BACKING" "$CACHE" || bail_out "cannot create"
	before="$(backing_reads)"
	read_set
	check "cold: the backing device is read" test "$(backing_reads)" -gt "$((before + 1500))"
	vci_settle warm
	before="$(backing_reads)"
	read_set
	is "$(($(backing_reads) - before))" 0 "warm: it is not"
}

test_closed() {
	local before used

	used="$(vci_stat warm used_sectors)"
	check "remove" vci_remove warm
	image_is_valid "$CACHE" "$BACKING"
	vci_create warm "$BACKING" "$CACHE" || bail_out "cannot create again"
	is "$(vci_stat warm used_sectors)" "$used" "all is still mapped"
	before="$(backing_reads)"
	read_set
	is "$(($(backing_reads) - before))" 0 "created again, it is warm at once"
	vci_remove warm
	image_is_valid "$CACHE" "$BACKING"
}

# What is on the disks now is what a crash would leave: copied, then used.
test_crash() {
	local crashed_cache crashed_backing before

	vci_create warm "$BACKING" "$CACHE" || bail_out "cannot create"
	dd if=/dev/urandom of="$DEVICE" bs=4K count=500 oflag=direct 2>/dev/null
	read_set
	vci_settle warm
	dd if=/dev/urandom of="$DEVICE" bs=4K count=100 seek=900 oflag=direct 2>/dev/null
	crashed_cache="$(CACHE_NAME=cache2 make_cache 64)"
	crashed_backing="$(BACKING_NAME=backing2 make_backing 128)"
	dmsetup suspend --noflush --nolockfs warm
	dd if="$CACHE" of="$crashed_cache" bs=1M iflag=direct oflag=direct 2>/dev/null
	dd if="$BACKING" of="$crashed_backing" bs=1M iflag=direct oflag=direct 2>/dev/null
	dmsetup resume warm
	vci_remove warm

	log_mark
	check "a crashed pair is activated" vci_create crashed "$crashed_backing" "$crashed_cache"
	check "the log says that it recovered" log_has "recovered"
	check "its data is right" same_data /dev/mapper/crashed "$crashed_backing" 128
	DEVICE=/dev/mapper/crashed
	before="$(vci_stat crashed read_hits)"
	read_set
	check "and the cache is not empty" \
		test "$(($(vci_stat crashed read_hits) - before))" -gt 100
	vci_remove crashed
	image_is_valid "$crashed_cache" "$crashed_backing"
}

vci_pair 128 64
dd if=/dev/urandom of="$BACKING" bs=1M oflag=direct 2>/dev/null
test_cold_and_warm
test_closed
test_crash
done_testing
