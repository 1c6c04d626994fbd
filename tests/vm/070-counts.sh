#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# How much I/O it costs, counted at the devices: a miss reads its own bytes
# once, a hit reads the cache device alone, fills are written in large writes.
# timeout: 300

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/counts

# cost COMMAND...: sets COST, "backing reads, sectors / cache reads, sectors".
cost() {
	local a b c d

	a="$(io_count "$BACKING" reads)"
	b="$(io_count "$BACKING" read_sectors)"
	c="$(io_count "$CACHE" reads)"
	d="$(io_count "$CACHE" read_sectors)"
	"$@"
	COST="$(($(io_count "$BACKING" reads) - a)), $(($(io_count "$BACKING" read_sectors) - b))"
	COST+=" / $(($(io_count "$CACHE" reads) - c)), $(($(io_count "$CACHE" read_sectors) - d))"
}

# read_at BYTES NUMBER COUNT
read_at() {
	dd if="$DEVICE" of=/dev/null bs="$1" skip="$2" count="$3" iflag=direct 2>/dev/null
}

# What was filled is in the log, and nothing is left to do in the background.
test_misses_and_hits() {
	vci_settle counts
	cost read_at 4096 1000 1
	is "$COST" "1, 8 / 0, 0" "a 4 KiB miss reads its 8 sectors once"
	vci_settle counts
	cost read_at 512 9001 1
	is "$COST" "1, 1 / 0, 0" "a 512 byte miss reads its sector once"
	vci_settle counts
	cost read_at 131072 50 1
	is "$COST" "1, 256 / 0, 0" "a 128 KiB miss is one read"
	vci_settle counts
	cost read_at 4096 1000 1
	is "$COST" "0, 0 / 1, 8" "a 4 KiB hit reads the cache device once"
	cost read_at 131072 50 1
	is "${COST% /*}" "0, 0" "a 128 KiB hit does not read the backing device"
	is "${COST##*, }" 256 "but its sectors of the cache device"
}

# Buffers take what comes in half a second at this rate: without it, a host that is
# busy and runs one processor of the guest and not the other decides what is dropped.
test_fills() {
	local writes sectors kib

	writes="$(io_count "$CACHE" writes)"
	sectors="$(io_count "$CACHE" write_sectors)"
	fio --name=fill --filename="$DEVICE" --rw=randread --bs=4k --direct=1 \
		--ioengine=libaio --iodepth=32 --rate_iops=2000 --size=64M --output=/dev/null
	writes=$(($(io_count "$CACHE" writes) - writes))
	sectors=$(($(io_count "$CACHE" write_sectors) - sectors))
	kib=$((sectors / 2 / writes))
	check "4 KiB misses under load reach the cache in writes of $kib KiB" test "$kib" -ge 128
	check "they were not dropped" \
		test "$(vci_stat counts dropped_fills)" -le $((16384 / 20))
	check "nearly all of it is mapped" \
		test "$(vci_stat counts used_sectors)" -ge $((131072 * 9 / 10))
}

test_flushes() {
	local cache backing

	cache="$(io_count "$CACHE" flushes)"
	backing="$(io_count "$BACKING" flushes)"
	fio --name=sync --filename="$DEVICE" --rw=randwrite --bs=4k --direct=1 \
		--size=4M --fdatasync=1 --number_ios=100 --output=/dev/null
	check "each fdatasync flushes the backing device" \
		test $(($(io_count "$BACKING" flushes) - backing)) -ge 99
	check "and seldom the cache device" \
		test $(($(io_count "$CACHE" flushes) - cache)) -le 40
}

# Requests as large as those of real disks, so that they aren't cut there.
BACKING="$(make_backing 256 2 max_sectors=2560)"
CACHE="$(make_cache 128 0 max_sectors=2560)"
vci_format "$CACHE"
dd if=/dev/urandom of="$BACKING" bs=1M oflag=direct 2>/dev/null
vci_create counts "$BACKING" "$CACHE" no_read_around || bail_out "cannot create"
test_misses_and_hits
test_fills
test_flushes
check "remove" vci_remove counts
image_is_valid "$CACHE" "$BACKING"
done_testing
