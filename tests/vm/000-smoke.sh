#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The test VM itself: what the other scripts rely on is there and works.
# timeout: 120

. "$VCI_ROOT/tests/vm/lib.sh"

test_files() {
	check "host's files are there" test -x "$VCI_ROOT/tests/vm/run"
	check "root can be written" touch /etc/vci-smoke
	check "writes stay in the guest" test -e /etc/vci-smoke
	echo kept >"$VCI_OUT/kept"
	is "$(cat "$VCI_OUT/kept")" kept "VCI_OUT can be written"
}

test_linear() {
	local ram size

	ram="$(make_brd 16)"
	size="$(sectors_of "$ram")"
	check "dmsetup creates a device" \
		dmsetup create linear --table "0 $size linear $ram 0"
	check "its node appears without udev" test -b /dev/mapper/linear
	check "it takes writes" \
		dd if=/dev/urandom of=/dev/mapper/linear bs=1M count=4 oflag=direct
	check "they reach the disk below" \
		cmp -n 4194304 /dev/mapper/linear "$ram"
	check "dmsetup removes it" dmsetup remove --retry linear
}

test_null_blk() {
	local backing before

	backing="$(make_backing 64)"
	is "$(sectors_of "$backing")" 131072 "null_blk has the size asked for"
	is "$(cat /sys/block/backing/queue/write_cache)" "write back" \
		"null_blk has a volatile cache"
	is "$(blockdev --getss "$backing")" 512 "null_blk has 512-byte sectors"
	before="$(io_count "$backing" flushes)"
	dd if=/dev/urandom of="$backing" bs=64K count=8 conv=fsync 2>/dev/null
	check "null_blk sees flushes" \
		test "$(io_count "$backing" flushes)" -gt "$before"
}

# 20 reads one after another of a disk that takes 5 ms each.
test_delay() {
	local slow begin took_ms

	slow="$(BACKING_NAME=slow make_backing 64 5)"
	begin="$(date +%s%N)"
	dd if="$slow" of=/dev/null bs=4K count=20 iflag=direct 2>/dev/null
	took_ms=$((($(date +%s%N) - begin) / 1000000))
	check "a delayed disk takes its time ($took_ms ms)" test "$took_ms" -ge 100
	make_delayed slower "$slow" 8 >/dev/null
	check "dm-delay works" dd if=/dev/mapper/slower of=/dev/null bs=4K count=2
}

test_filesystems() {
	local disk kind

	disk="$(CACHE_NAME=files make_cache 320)"
	for kind in ext4 xfs; do
		check "mkfs.$kind" "mkfs.$kind" -q "$disk"
		check "mount $kind" mount "$disk" /mnt
		check "copy files to $kind" cp -r "$VCI_ROOT/tests/vm" /mnt/
		check "umount $kind" umount /mnt
		wipefs -q -a "$disk"
	done
}

test_programs() {
	check "fio runs" fio --name=smoke --filename=/dev/files --rw=randwrite \
		--bs=4k --size=1M --direct=1 --ioengine=libaio --iodepth=4 \
		--output=/dev/null
	check "a loop device can be made" test -b "$(make_loop 16)"
	check "nbd can be loaded" load_driver nbd
}

test_files
test_linear
test_null_blk
test_delay
test_filesystems
test_programs
done_testing
