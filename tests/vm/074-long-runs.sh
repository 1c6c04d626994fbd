#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Long runs of requests: what goes past the cache, what doesn't, and that the data is
# right all the time.  Requests are of 64 KiB, the cutoffs 1 MiB: 16 requests are cached.
# timeout: 300

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/runs
DATA=/tmp/data

bypassed() {
	vci_stat runs bypassed_sequential
}

# put OFFSET_MIB: DATA, 8 MiB.
put() {
	dd if="$DATA" of="$DEVICE" bs=64K seek="$(($1 * 16))" oflag=direct 2>/dev/null
}

# has DEVICE OFFSET_MIB: is DATA there?
has() {
	cmp "$DATA" <(dd if="$1" bs=1M skip="$2" count=8 iflag=direct 2>/dev/null)
}

test_table() {
	check "create" vci_create runs "$BACKING" "$CACHE" no_read_around seq_read_cutoff=1m \
		seq_write_cutoff 1M
	check "the table says so" sh -c \
		"dmsetup table runs | grep -q ' seq_read_cutoff 1048576 seq_write_cutoff 1048576'"
	check_fails "a cutoff that is no number is refused" \
		dmsetup message runs 0 seq_read_cutoff some
}

test_reads() {
	dd if="$DEVICE" of=/dev/null bs=64K count=128 iflag=direct 2>/dev/null
	vci_settle runs
	is "$(vci_stat runs filled_sectors)" 2048 "reads are cached up to the cutoff"
	is "$(bypassed)" 112 "the others aren't, and are counted"
	is "$(vci_stat runs bypassed)" 112 "... as bypassed"
	dd if="$DEVICE" of=/dev/null bs=64K count=16 iflag=direct 2>/dev/null
	check "what is cached is served" test "$(vci_stat runs read_hits)" -ge 16
	is "$(bypassed)" 112 "... and nothing else is read past it"
	check "a run that is partly cached is right" same_data "$DEVICE" "$BACKING" 16
	check "message" dmsetup message runs 0 seq_read_cutoff 0
	dmsetup message runs 0 clear_stats
	dd if="$DEVICE" of=/dev/null bs=64K skip=512 count=64 iflag=direct 2>/dev/null
	vci_settle runs
	# Whoever looks for labels reads a little, too.
	check "without a cutoff all is cached" \
		test "$(vci_stat runs filled_sectors)" -ge 8192
}

test_write_modes() {
	dmsetup message runs 0 clear_stats
	put 64
	is "$(bypassed)" 112 "writethrough: writes are cached up to the cutoff"
	vci_settle runs
	is "$(vci_stat runs filled_sectors)" 2048 "... and no more is filled"
	check "writethrough: reads are right" has "$DEVICE" 64
	vci_mode runs writeback
	dmsetup message runs 0 clear_stats
	put 80
	is "$(vci_stat runs written_sectors)" 2048 "writeback: to the log up to the cutoff"
	is "$(bypassed)" 112 "... and then past it"
	check "the rest is on the backing device" \
		cmp <(tail -c +1048577 "$DATA") \
		<(dd if="$BACKING" bs=1M skip=81 count=7 iflag=direct 2>/dev/null)
	check "writeback: reads are right" has "$DEVICE" 80
}

# Reads keep idle write-back from making it clean.
test_dirty() {
	start_reads "$DEVICE"
	dmsetup message runs 0 seq_write_cutoff 0
	put 96
	dmsetup message runs 0 seq_write_cutoff 1M
	dmsetup message runs 0 clear_stats
	dd if=/dev/urandom of="$DATA" bs=1M count=8 2>/dev/null
	put 96
	is "$(bypassed)" 0 "no write goes past dirty data"
	check "what was written last is there" has "$DEVICE" 96
	check "... and nothing newer than the cache on the backing device" \
		test "$(vci_stat runs dirty_sectors)" -ge 16384
	stop_reads
	check "write back" dmsetup message runs 0 flush
	check "then the backing device has it" has "$BACKING" 96
	put 96
	check "what is clean is overwritten past the log" test "$(bypassed)" -ge 100
	check "and read again" has "$DEVICE" 96
}

test_verify() {
	dmsetup message runs 0 seq_read_cutoff 64K
	dmsetup message runs 0 seq_write_cutoff 64K
	dmsetup message runs 0 clear_stats
	fio_verify "runs of 16 requests are right" "$DEVICE" --rw=randrw:16 \
		--size="$(scale 64)M"
	check "some of them went past the cache" test "$(bypassed)" -gt 0
	check "and some of the writes into the log" \
		test "$(vci_stat runs written_sectors)" -gt 0
	vci_mode runs writethrough
	check "flush" dmsetup message runs 0 flush
	check "remove" vci_remove runs
	image_is_valid "$CACHE" "$BACKING"
}

test_ordered() {
	vci_create runs "$BACKING" "$CACHE" writeback ordered seq_write_cutoff=1M ||
		bail_out "cannot create"
	put 0
	is "$(bypassed)" 0 "in order no write goes past the log"
	check "reads are right" has "$DEVICE" 0
	vci_remove runs
}

vci_pair 128 64
dd if=/dev/urandom of="$BACKING" bs=1M oflag=direct 2>/dev/null
dd if=/dev/urandom of="$DATA" bs=1M count=8 2>/dev/null
test_table
test_reads
test_write_modes
test_dirty
test_verify
test_ordered
done_testing
