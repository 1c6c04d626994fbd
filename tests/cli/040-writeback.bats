#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# vci-writeback: what is dirty reaches the backing device, and nothing else does.

load common

@test "writeback: help is as documented" {
	help_is vci-writeback
}

@test "writeback: dirty data is written back, the cache stays warm" {
	image_with_extents
	run vci-check image
	says "1 dirty"
	run vci-writeback image.backing image
	status_is 0
	says "written back to image.backing"
	run vci-check --backing image.backing image
	status_is 0
	says "300 extents"
	says "0 dirty"
	reader_finds_valid --backing image.backing image
}

@test "writeback: a second time there is nothing to do" {
	image_with_extents
	vci-writeback -q image.backing image
	FILE=image
	unchanged_by vci-writeback image.backing image
	status_is 0
	says "nothing is dirty"
}

@test "writeback: an image without dirty data stays as it is" {
	vci-format -q --size 4M image
	truncate -s 64M image.backing
	FILE=image
	unchanged_by vci-writeback image.backing image
	status_is 0
	says "nothing is dirty"
}

@test "writeback: what is no image is refused" {
	truncate -s 4M image
	truncate -s 4M image.backing
	FILE=image
	unchanged_by vci-writeback image.backing image
	status_is 2
}

@test "writeback: wrong usage" {
	run vci-writeback image
	status_is 2
	says "must be given"
	run vci-writeback --nonsense a b
	status_is 2
	run vci-writeback absent image
	status_is 2
	says "absent"
}
