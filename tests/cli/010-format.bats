#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# vci-format: what it makes, what it refuses, and that what is refused leaves
# every byte as it was.

load common

@test "format: help is as documented" {
	help_is vci-format
}

@test "format: version names the format" {
	run vci-format --version
	status_is 0
	says "image format version 1"
}

@test "format: makes a file that check and the independent reader accept" {
	local size

	for size in 2M 3M 16M 64M 100M; do
		run vci-format --size="$size" "image-$size"
		status_is 0
		says "dmsetup create NAME --table \"0 \$(blockdev --getsz BACKING) vci BACKING"
		vci-check -q "image-$size"
		reader_finds_valid "image-$size"
	done
}

@test "format: a file keeps its size, the image has whole 2 MiB of it" {
	truncate -s 5000001 image
	run vci-format --json image
	status_is 0
	[ "$(jq .size_bytes <<<"$output")" -eq $((4 << 20)) ]
	[ "$(stat -c %s image)" -eq 5000001 ]
	vci-check -q image
}

@test "format: --size extends a file, and uses a part of a larger one" {
	truncate -s 2M image
	vci-format -q --size 8M image
	[ "$(stat -c %s image)" -eq $((8 << 20)) ]
	truncate -s 16M larger
	vci-format -q --size 4M larger
	[ "$(stat -c %s larger)" -eq $((16 << 20)) ]
	vci-check -q larger
}

@test "format: sizes have units" {
	local size

	for size in 4194304 4096K 4096k 4M 4m 4MiB; do
		run vci-format -n --json --size "$size" image
		status_is 0
		[ "$(jq .size_bytes <<<"$output")" -eq $((4 << 20)) ]
	done
	for size in "" 0 -4M 4X 4MM M 4.5M 99999999999999999999 99999999T; do
		run vci-format -n --size "$size" image
		status_is 1
		says "--size"
	done
	[ ! -e image ]
}

@test "format: a fixed image has its blocks, a dynamic one is sparse" {
	vci-format -q --type fixed --size 32M fixed
	vci-format -q --type dynamic --size 32M dynamic
	[ "$(stat -c %b fixed)" -ge $((32 << 11)) ]
	[ "$(stat -c %b dynamic)" -lt $((16 << 11)) ]
	vci-dump fixed | grep -q 'type *fixed'
	vci-dump dynamic | grep -q 'type *dynamic'
}

@test "format: uuid, label and segment size are those given" {
	run vci-format --json --size 64M --uuid 01234567-89ab-cdef-0123-456789abcdef \
		--label "cache of /srv" --segment-size 256K image
	status_is 0
	[ "$(jq -r .uuid <<<"$output")" = 01234567-89ab-cdef-0123-456789abcdef ]
	[ "$(jq -r .label <<<"$output")" = "cache of /srv" ]
	[ "$(jq .segment_bytes <<<"$output")" -eq 262144 ]
	run vci-dump --json image
	[ "$(jq -r .header.uuid <<<"$output")" = 01234567-89ab-cdef-0123-456789abcdef ]
	[ "$(jq -r .header.label <<<"$output")" = "cache of /srv" ]
	[ "$(jq .header.segment_blocks <<<"$output")" -eq 512 ]
	# libuuid's byte order, at byte 41.
	[ "$(od -An -tx1 -j 41 -N 4 image | tr -d ' ')" = 01234567 ]
}

@test "format: a UUID is new each time" {
	vci-format -q --size 2M one
	vci-format -q --size 2M two
	[ "$(vci-dump --json one | jq .header.uuid)" != "$(vci-dump --json two | jq .header.uuid)" ]
}

@test "format: --backing prints a line with real values" {
	truncate -s 1G slow.img
	run vci-format --size 16M --backing slow.img image
	status_is 0
	says "dmsetup create slow.img-cached --table \"0 2097152 vci "
	says "slow.img"
	# Nothing of it is recorded: the first activation binds the image.
	run vci-dump --json image
	[ "$(jq .header.backing_blocks <<<"$output")" -eq 0 ]
	[ "$(jq .header.bound <<<"$output")" = false ]
}

@test "format: --backing refuses a device that is too large or not there" {
	run vci-format --size 16M --backing nowhere image
	status_is 3
	says "nowhere"
	# 205 TiB; not every file system has files so large.
	if truncate -s 225399883694080 huge 2>/dev/null; then
		run vci-format --size 16M --backing huge image
		status_is 1
		says "204 TiB"
	fi
	[ ! -e image ]
}

@test "format: the same time and UUID make the same image but for one UUID" {
	export SOURCE_DATE_EPOCH=1700000000
	vci-format -q --size 4M --uuid 01234567-89ab-cdef-0123-456789abcdef one
	vci-format -q --size 4M --uuid 01234567-89ab-cdef-0123-456789abcdef two
	# The modification UUID and the header's checksum, twice.
	[ "$(cmp -l one two | wc -l)" -le $((2 * (16 + 4))) ]
}

@test "format: dry run judges and writes nothing" {
	truncate -s 8M FILE
	FILE=FILE
	unchanged_by vci-format --dry-run --size 16M FILE
	status_is 0
	says "would be made"
	run vci-format --dry-run --size 16M new
	status_is 0
	[ ! -e new ]
}

@test "format: an image is refused without --force" {
	vci-format -q --size 4M image
	FILE=image
	unchanged_by vci-format image
	status_is 2
	says "holds a VCI image"
	says "--force"
	unchanged_by vci-format --size 8M image
	status_is 2
	run vci-format --force image
	status_is 0
	vci-check -q image
}

@test "format: a damaged image is an image all the same" {
	vci-format -q --size 4M image
	FILE=image
	poke image 100
	unchanged_by vci-format image
	status_is 2
	says "wrong checksum"
	dd if=/dev/zero of=image bs=4096 count=1 conv=notrunc status=none
	unchanged_by vci-format image
	status_is 2
	says "backup header"
}

@test "format: the UUID of the image that is there is refused, even with --force" {
	vci-format -q --size 4M --uuid 01234567-89ab-cdef-0123-456789abcdef image
	FILE=image
	unchanged_by vci-format --force --uuid 01234567-89ab-cdef-0123-456789abcdef image
	status_is 2
	says "UUID"
}

@test "format: known signatures are refused without --force" {
	command -v mkfs.ext4 >/dev/null || skip "no mkfs.ext4"
	truncate -s 16M image
	mkfs.ext4 -q -L precious image
	FILE=image
	unchanged_by vci-format image
	status_is 2
	says "holds ext4"
	says "precious"
	run vci-format --force image
	status_is 0
	vci-check -q image
}

@test "format: a partition table and swap are refused" {
	FILE=image
	truncate -s 16M image
	mkswap image >/dev/null
	unchanged_by vci-format image
	status_is 2
	says "swap"
	truncate -s 0 image
	truncate -s 16M image
	command -v sfdisk >/dev/null || skip "no sfdisk"
	echo 'start=2048' | sfdisk -q image
	unchanged_by vci-format image
	status_is 2
	says "partition table"
}

@test "format: sizes that can't be are refused by name" {
	truncate -s 1M image
	FILE=image
	unchanged_by vci-format image
	status_is 1
	says "smaller than 2 MiB"
	truncate -s 64M image
	unchanged_by vci-format --segment-size 50K image
	status_is 1
	says "segment size"
	unchanged_by vci-format --segment-size 8M image
	status_is 1
	says "fewer than 16 segments"
	run vci-format --dry-run --size 65T large
	status_is 1
	says "64 TiB"
	run vci-format --dry-run --size 64T large
	status_is 0
}

@test "format: wrong usage is refused" {
	truncate -s 4M image
	FILE=image
	unchanged_by vci-format
	status_is 1
	unchanged_by vci-format image image
	status_is 1
	unchanged_by vci-format --unknown image
	status_is 1
	says "--help"
	unchanged_by vci-format --type sparse image
	status_is 1
	says "dynamic nor fixed"
	unchanged_by vci-format --uuid 123 image
	status_is 1
	says "no UUID"
	unchanged_by vci-format --label "$(printf '%065d' 0)" image
	status_is 1
	says "64 bytes"
	unchanged_by vci-format --backing image image
	status_is 2
	says "itself"
	unchanged_by vci-format --discard image
	status_is 3
	says "discarded"
}

@test "format: what is no device and no file is refused" {
	run vci-format missing
	status_is 3
	says "--size"
	run vci-format .
	status_is 3
	says "neither"
	run vci-format /dev/null
	status_is 3
	mkfifo pipe
	run timeout 10 vci-format pipe
	status_is 3
}

@test "format: --quiet prints nothing" {
	run vci-format --quiet --size 4M image
	status_is 0
	[ -z "$output" ]
}

@test "format: a file under a loop device is in use" {
	truncate -s 8M image
	loop_over image
	FILE=image
	unchanged_by vci-format --force image
	status_is 2
	says "$LOOP"
}

@test "format: a block device is formatted, discarded and mapped by its name" {
	truncate -s 32M image
	loop_over image
	run vci-format --label loop "$LOOP"
	status_is 0
	says "vci BACKING $LOOP\""
	says "Type:         fixed"
	vci-check -q "$LOOP"
	run vci-format "$LOOP"
	status_is 2
	run vci-format --force --no-discard "$LOOP"
	status_is 0
	vci-check -q "$LOOP"
}

@test "format: a mounted device is refused, even with --force" {
	command -v mkfs.ext4 >/dev/null || skip "no mkfs.ext4"
	truncate -s 16M image
	mkfs.ext4 -q image
	loop_over image
	mkdir mnt
	mount "$LOOP" mnt 2>/dev/null || skip "can't mount here"
	run vci-format --force "$LOOP"
	umount mnt
	status_is 2
	says "mounted"
	fsck.ext4 -fn "$LOOP"
}
