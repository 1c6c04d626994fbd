#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What is wrong is refused by name, and nothing is written (law 6).
# timeout: 300

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

# refused WHAT REGEX TABLE: creating fails, the log says why, no byte changed.
refused() {
	local what="$1" regex="$2" table="$3"
	local before after

	before="$(digest "$BACKING") $(digest "$CACHE")"
	log_mark "$what"
	check_fails "$what: refused" dmsetup create refused --table "$table"
	dmsetup remove refused 2>/dev/null
	if log_has "$regex"; then
		ok "$what: the log says why"
	else
		not_ok "$what: the log says why" "$(log_since_mark)"
	fi
	after="$(digest "$BACKING") $(digest "$CACHE")"
	is "$after" "$before" "$what: the devices are unchanged"
}

test_arguments() {
	local n

	n="$(sectors_of "$BACKING")"
	refused "no arguments" "Missing backing device" "0 $n vci"
	refused "one argument" "Missing cache device" "0 $n vci $BACKING"
	refused "a device that is not there" "Error opening backing device" \
		"0 $n vci /dev/nowhere $CACHE"
	refused "a cache that is not there" "Error opening cache device" \
		"0 $n vci $BACKING /dev/nowhere"
	refused "an unknown feature" "Unknown feature" "0 $n vci $BACKING $CACHE 1 writesideways"
	refused "two modes" "More than one cache mode" \
		"0 $n vci $BACKING $CACHE 2 writethrough writearound"
	refused "too few features" "Fewer feature arguments" "0 $n vci $BACKING $CACHE 1"
	refused "too many features" "More arguments" \
		"0 $n vci $BACKING $CACHE 1 writethrough writethrough"
	refused "a number that is none" "not a number" "0 $n vci $BACKING $CACHE many"
	refused "one device twice" "are the same" "0 $n vci $CACHE $CACHE"
	refused "a target that is too long" "smaller than the target" \
		"0 $((n + 8)) vci $BACKING $CACHE"
}

test_devices() {
	local tiny big_blocks n

	n="$(sectors_of "$BACKING")"
	tiny="$(CACHE_NAME=tiny make_cache 1)"
	refused "a tiny cache" "too small" "0 $n vci $BACKING $tiny"
	big_blocks="$(CACHE_NAME=big4k make_cache 8 0 blocksize=4096)"
	refused "larger logical blocks" "larger logical blocks" "0 $n vci $BACKING $big_blocks"
}

# Half of what was cached was read again since, from the backing device.
forgot_all() {
	[ "$(vci_stat good used_sectors)" -le 4096 ]
}

test_images() {
	local n other keep

	n="$(sectors_of "$BACKING")"
	refused "a device without an image" "no valid VCI image" "$(vci_table "$BACKING" "$CACHE")"
	vci_format "$CACHE"
	vci_create good "$BACKING" "$CACHE" || bail_out "cannot create"
	dd if=/dev/mapper/good of=/dev/null bs=64K count=64 iflag=direct 2>/dev/null
	vci_remove good
	refused "another size" "of a backing device of $n blocks, .* has $((n - 2048))" \
		"0 $((n - 2048)) vci $BACKING $CACHE"

	keep="$(mktemp)"
	dd if="$CACHE" of="$keep" bs=4K count=1 iflag=direct 2>/dev/null
	printf '\xff' | dd of="$CACHE" bs=1 seek=100 conv=notrunc 2>/dev/null
	refused "a damaged header" "no valid VCI image.*checksum" "$(vci_table "$BACKING" "$CACHE")"
	dd if="$keep" of="$CACHE" bs=4K count=1 oflag=direct conv=notrunc 2>/dev/null
	test_damaged_root
	check "with its header back it is used again" vci_create good "$BACKING" "$CACHE"
	vci_remove good

	other="$(BACKING_NAME=other make_backing 16)"
	dd if=/dev/urandom of="$other" bs=1M oflag=direct 2>/dev/null
	log_mark
	check "another backing device of that size: activated, but empty" \
		vci_create good "$other" "$CACHE"
	check "nothing of the cache is used" same_data /dev/mapper/good "$other" 2
	check "and soon nothing is there" wait_until 20 forgot_all
	check "the log says so" log_has "starts empty"
	vci_remove good
}

# The root's address is at offset 21 of the header.
test_damaged_root() {
	local root keep

	keep="$(mktemp)"
	blockdev --flushbufs "$CACHE"
	root="$(od -A n -t u8 -j 21 -N 8 "$CACHE" | tr -d ' ')"
	dd if="$CACHE" of="$keep" bs=512 skip="$root" count=8 2>/dev/null
	printf '\xff' | dd of="$CACHE" bs=1 seek=$((root * 512 + 30)) conv=notrunc 2>/dev/null
	refused "a damaged root" "cannot use cache device" "$(vci_table "$BACKING" "$CACHE")"
	dd if="$keep" of="$CACHE" bs=512 seek="$root" count=8 conv=notrunc 2>/dev/null
	blockdev --flushbufs "$CACHE"
}

test_second_activation() {
	vci_format "$CACHE"
	vci_create first "$BACKING" "$CACHE" || bail_out "cannot create"
	log_mark
	check_fails "a second activation is refused" vci_create second "$BACKING" "$CACHE"
	dmsetup remove second 2>/dev/null
	check "the log names the first" log_has "is in use by device"
	check "the first still works" \
		dd if=/dev/mapper/first of=/dev/null bs=64K count=16 iflag=direct
	check "remove" vci_remove first
	image_is_valid "$CACHE" "$BACKING"
}

# A suspended owner loses the image to another device, and is refused then.
test_takeover() {
	vci_create first "$BACKING" "$CACHE" || bail_out "cannot create"
	dd if=/dev/mapper/first of=/dev/null bs=64K count=16 iflag=direct 2>/dev/null
	dmsetup suspend first
	check "a second device takes over from a suspended one" \
		vci_create second "$BACKING" "$CACHE"
	check_fails "the first can't be resumed then" dmsetup resume first
	dmsetup suspend second
	check "it can when the second is suspended" dmsetup resume first
	check "and works" dd if=/dev/mapper/first of=/dev/null bs=64K count=16 iflag=direct
	check "remove the second, which lost the image" vci_remove second
	check "which leaves it open" image_in_use "$CACHE"
	check "remove the first" vci_remove first
	image_is_valid "$CACHE" "$BACKING"
}

BACKING="$(make_backing 16)"
CACHE="$(make_cache 8)"
dd if=/dev/urandom of="$BACKING" bs=1M oflag=direct 2>/dev/null
load_module
test_arguments
test_devices
test_images
test_second_activation
test_takeover
done_testing
