#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# vci-check: exit status and words for good, damaged and untold images.  Every
# rule has its own test in tests/unit/test-verify.c; here is the tool.

load common

# Offset in bytes of an address in the image's header.
byte_of() {
	echo $(($(vci-dump --json image | jq ".header.$1") * 512))
}

@test "check: help is as documented" {
	help_is vci-check
}

@test "check: a new image is clean" {
	vci-format -q --size 4M image
	FILE=image
	unchanged_by vci-check image
	status_is 0
	says "image: clean"
	run vci-check -q image
	status_is 0
	[ -z "$output" ]
}

@test "check: an image with extents is clean, and equals its backing device" {
	image_with_extents
	run vci-check --backing image.backing image
	status_is 0
	says "300 extents"
	says "1 dirty"
	says "compared with image.backing"
	reader_finds_valid --backing image.backing image
}

@test "check: JSON of a clean image" {
	image_with_extents
	run vci-check --json --backing image.backing image
	status_is 0
	[ "$(jq -r .verdict <<<"$output")" = clean ]
	[ "$(jq .extents <<<"$output")" -eq 300 ]
	[ "$(jq .compared_blocks <<<"$output")" -eq 2392 ]
	[ "$(jq '.damage | length' <<<"$output")" -eq 0 ]
}

@test "check: damage is named, and status is 1" {
	image_with_extents
	poke image $(($(byte_of root) + 10))
	FILE=image
	unchanged_by vci-check image
	status_is 1
	says "corrupt node: block"
	says "[NODE_CSUM]"
	says "image: damaged"
	run vci-check --json image
	status_is 1
	[ "$(jq -r .verdict <<<"$output")" = damaged ]
	[ "$(jq -r '.damage[0].name' <<<"$output")" = NODE_CSUM ]
	[ "$(jq '.damage[0].number' <<<"$output")" -eq 21 ]
	run vci-check -q image
	status_is 1
	says "NODE_CSUM"
}

@test "check: each metadata area's damage is found" {
	local area name

	for area in "bitmap_address 2 BITMAP_MAGIC" "intent_map_address 100 INTENT_CSUM" \
		"segment_table_address 100 PAGE_LOST" "node_map_address 9 PAGE_LOST" \
		"info_address 77 PAGE_LOST"; do
		read -r area at name <<<"$area"
		image_with_extents
		poke image $(($(byte_of "$area") + at))
		run vci-check image
		status_is 1
		says "[$name]"
	done
	image_with_extents
	poke image $((512 + 7))
	run vci-check image
	status_is 1
	says "[STATIC_CSUM]"
	image_with_extents
	poke image $(($(stat -c %s image) - 4096))
	run vci-check image
	status_is 1
	says "[BACKUP]"
}

@test "check: many findings of a kind are counted, not all printed" {
	image_with_extents
	dd if=/dev/urandom of=image.backing bs=1M count=4 conv=notrunc status=none
	run vci-check --backing image.backing image
	status_is 1
	says "[DATA_DIFFERS]"
	says "more: data clean extent differs"
	[ "${#lines[@]}" -lt 30 ]
	run vci-check --json --backing image.backing image
	status_is 1
	[ "$(jq .damage_count <<<"$output")" -gt 20 ]
	[ "$(jq '.damage | length' <<<"$output")" -eq 20 ]
}

@test "check: a damaged header is damage" {
	vci-format -q --size 4M image
	poke image 100
	run vci-check image
	status_is 1
	says "[HDR_CSUM]"
}

@test "check: what can't be told has status 2" {
	head -c 100000 /dev/zero >zeros
	run vci-check zeros
	status_is 2
	says "no VCI image"
	: >empty
	run vci-check empty
	status_is 2
	run vci-check missing
	status_is 2
	says "missing"
	run vci-check .
	status_is 2
	run vci-check
	status_is 2
	run vci-check --unknown zeros
	status_is 2
	vci-format -q --size 4M image
	run vci-check --backing missing image
	status_is 2
	run vci-check --json zeros
	status_is 2
	[ "$(jq -r .verdict <<<"$output")" = "can't tell" ]
}

@test "check: a version that is not known has status 2" {
	vci-format -q --size 4M image
	poke image 4
	run vci-check image
	status_is 2
	says "unknown version"
}

@test "check: a block device can be checked" {
	vci-format -q --size 4M image
	loop_over image
	run vci-check "$LOOP"
	status_is 0
}
