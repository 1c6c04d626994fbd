#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# vci-dump: each section as text and as JSON, and what it does about damage.

load common
bats_require_minimum_version 1.5.0

@test "dump: help is as documented" {
	help_is vci-dump
}

@test "dump: every section is valid JSON, alone and together" {
	local section

	image_with_extents
	for section in header bitmap segments tree extents log; do
		run vci-dump --json "--$section" image
		status_is 0
		jq -e "has(\"$section\")" <<<"$output"
	done
	run vci-dump --json --header --bitmap --segments --tree --extents --log image
	status_is 0
	[ "$(jq -r 'keys | join(" ")' <<<"$output")" = \
		"allocated bitmap extents header log segments tree" ]
}

@test "dump: a new image is empty" {
	vci-format -q --size 4M image
	FILE=image
	unchanged_by vci-dump --json --tree --extents --log image
	status_is 0
	[ "$(jq '.tree | length' <<<"$output")" -eq 1 ]
	[ "$(jq '.extents | length' <<<"$output")" -eq 0 ]
	[ "$(jq '.log | length' <<<"$output")" -eq 0 ]
}

@test "dump: sections agree with each other" {
	image_with_extents
	run vci-dump --json --header --bitmap --segments --tree --extents image
	status_is 0
	[ "$(jq '.extents | length' <<<"$output")" -eq "$(jq .header.extents <<<"$output")" ]
	[ "$(jq '[.extents[].blocks] | add' <<<"$output")" -eq \
		"$(jq .bitmap.data <<<"$output")" ]
	[ "$(jq '[.segments[].live_blocks] | add' <<<"$output")" -eq \
		"$(jq .bitmap.data <<<"$output")" ]
	[ "$(jq '[.allocated[].blocks] | add' <<<"$output")" -eq \
		"$(jq '.bitmap.data + .bitmap.metadata' <<<"$output")" ]
	[ "$(jq '[.tree[] | select(.type == "leaf").entries] | add' <<<"$output")" -eq 300 ]
	[ "$(jq '[.extents[] | select(.dirty)] | length' <<<"$output")" -eq 1 ]
	# The LRU list's head is the extent that names no previous one.
	[ "$(jq '.extents[] | select(.lru_previous == 0).address' <<<"$output")" -eq \
		"$(jq .header.lru_head <<<"$output")" ]
}

@test "dump: text has a line an item" {
	image_with_extents
	run vci-dump --extents image
	status_is 0
	[ "${lines[0]}" = "extents:" ]
	[ "${#lines[@]}" -eq 301 ]
	says "offset 65, blocks 8, address 496, dirty false"
	run vci-dump image
	status_is 0
	says "header:"
	says "  blocks                  8192"
}

@test "dump: a damaged leaf is left out, and said" {
	image_with_extents
	local leaf

	leaf="$(vci-dump --json --tree image | jq '[.tree[] | select(.type == "leaf")][1].node')"
	poke image $((leaf * 512 + 50))
	run --separate-stderr vci-dump --json --extents image
	status_is 1
	[ "$(jq '.extents | length' <<<"$output")" -eq 193 ]
	[[ "$stderr" == *"corrupt node: block $leaf, wrong checksum"* ]]
}

@test "dump: a damaged header is read from its backup" {
	vci-format -q --size 4M --label spare image
	poke image 100
	run --separate-stderr vci-dump --json image
	status_is 1
	[ "$(jq .header.blocks <<<"$output")" -eq 8192 ]
	[[ "$stderr" == *"backup"* ]]
}

@test "dump: what is no image has status 2" {
	head -c 100000 /dev/zero >zeros
	run vci-dump zeros
	status_is 2
	says "not a VCI image"
	run vci-dump missing
	status_is 2
	run vci-dump
	status_is 2
	run vci-dump --unknown zeros
	status_is 2
}
