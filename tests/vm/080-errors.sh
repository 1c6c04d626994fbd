#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A cache device that breaks costs speed, never data (law 5); an image that was
# bypassed is not used again.
# timeout: 400

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/errors

# broken FEATURE...: the cache device fails from now on; none: it works.
broken() {
	local table

	table="0 $(sectors_of "$CACHE") linear $CACHE 0"
	[ $# -eq 0 ] || table="0 $(sectors_of "$CACHE") flakey $CACHE 0 0 3600 $*"
	dmsetup suspend --noflush --nolockfs flaky &&
		dmsetup reload flaky --table "$table" && dmsetup resume flaky
}

start() {
	broken || bail_out "cannot mend the cache device"
	vci_format /dev/mapper/flaky
	vci_create errors "$BACKING" /dev/mapper/flaky || bail_out "cannot create"
	dd if="$DEVICE" of=/dev/null bs=64K count=128 iflag=direct 2>/dev/null
	vci_settle errors
}

reads_right() {
	same_data "$DEVICE" "$BACKING" 16 64K
}

is_failed() {
	[ "$(dmsetup status errors | cut -d ' ' -f 4)" = Fail ]
}

stop() {
	local what="$1"

	check "$what: remove" vci_remove errors
	broken
	log_mark
	check_fails "$what: the image is not used again" \
		vci_create errors "$BACKING" /dev/mapper/flaky
	dmsetup remove errors 2>/dev/null
	check "$what: the log says why" log_has "failed while in use and is out of date"
}

test_reads_fail() {
	start
	broken 0
	check "reads fail: the data comes from the backing device" reads_right
	check "reads fail: then the cache is given up" wait_until 5 is_failed
	check "reads fail: and all still works" reads_right
	fio_verify "reads fail: verified random I/O" "$DEVICE" --size="$(scale 16)M"
	stop "reads fail"
}

test_writes_fail() {
	start
	broken 1 error_writes
	fio_verify "writes fail: verified random I/O" "$DEVICE" --size="$(scale 16)M"
	check "writes fail: the cache is given up" wait_until 5 is_failed
	check "writes fail: data is right" reads_right
	stop "writes fail"
}

test_breaks_under_load() {
	local load

	start
	fio --name=load --filename="$DEVICE" --rw=randrw --direct=1 --ioengine=libaio \
		--iodepth=16 --bssplit=512/30:4k/40:64k/30 --blockalign=512 --size=32M \
		--time_based --runtime=6 --verify=crc32c --verify_fatal=1 \
		--verify_backlog=128 >"$VCI_OUT/fio" 2>&1 &
	load=$!
	sleep 3
	broken 0
	wait "$load"
	is $? 0 "breaks under load: all data was right"
	check "breaks under load: the cache is given up" wait_until 5 is_failed
	check "breaks under load: a reload does not use it again" no_reload
	stop "breaks under load"
}

no_reload() {
	broken
	! vci_reload errors "$BACKING" /dev/mapper/flaky
}

# The device's own errors are the user's.
test_backing_fails() {
	local n

	n="$(sectors_of "$BACKING")"
	dmsetup create bad --table "0 $n linear $BACKING 0"
	broken
	vci_format /dev/mapper/flaky
	vci_create errors /dev/mapper/bad /dev/mapper/flaky || bail_out "cannot create"
	dd if="$DEVICE" of=/dev/null bs=64K count=16 iflag=direct 2>/dev/null
	vci_settle errors
	dmsetup suspend --noflush --nolockfs bad
	dmsetup reload bad --table "0 $n error"
	dmsetup resume bad
	check "backing fails: hits are still read" \
		dd if="$DEVICE" of=/dev/null bs=64K count=16 iflag=direct
	check_fails "backing fails: a miss is an error" \
		dd if="$DEVICE" of=/dev/null bs=64K skip=64 count=1 iflag=direct
	check_fails "backing fails: a write is an error" \
		dd if=/dev/zero of="$DEVICE" bs=4K count=1 oflag=direct
	check "backing fails: counted" test "$(vci_stat errors backing_errors)" -ge 2
	dmsetup suspend --noflush --nolockfs bad
	dmsetup reload bad --table "0 $n linear $BACKING 0"
	dmsetup resume bad
	check "mended: the sector reads as the backing device has it" reads_right
	check "mended: remove" vci_remove errors
	image_is_valid /dev/mapper/flaky "$BACKING"
	dmsetup remove bad
}

load_driver dm-flakey || skip_all "no dm-flakey in this kernel"
load_module
BACKING="$(make_backing 64)"
CACHE="$(make_cache 32)"
dd if=/dev/urandom of="$BACKING" bs=1M oflag=direct 2>/dev/null
dmsetup create flaky --table "0 $(sectors_of "$CACHE") linear $CACHE 0"
allow_log "I/O error|Buffer I/O"
test_reads_fail
test_writes_fail
test_breaks_under_load
test_backing_fails
dmsetup remove flaky
done_testing
