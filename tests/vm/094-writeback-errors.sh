#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Write-back and devices that fail: dirty data is never guessed and never lost by
# a device that comes back; what can't be done is an error (law 5, law 6).
# timeout: 900

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/errors
MIB=32

# broken NAME DEVICE FEATURE...: it fails from now on; without features: it works.
broken() {
	local name="$1" device="$2" n table

	n="$(sectors_of "$device")"
	shift 2
	table="0 $n linear $device 0"
	[ $# -eq 0 ] || table="0 $n flakey $device 0 0 3600 $*"
	dmsetup suspend --noflush --nolockfs "$name" &&
		dmsetup reload "$name" --table "$table" && dmsetup resume "$name"
}

broken_cache() {
	broken flaky "$CACHE" "$@"
}

broken_backing() {
	broken slow "$BACKING" "$@"
}

put() {
	dd if=/dev/urandom of=/tmp/data bs="$1" count="$3" 2>/dev/null
	dd if=/tmp/data of="$MODEL" bs="$1" seek="$2" conv=notrunc 2>/dev/null
	dd if=/tmp/data of="$DEVICE" bs="$1" seek="$2" oflag=direct \
		conv=notrunc,fsync 2>/dev/null
}

read_at() {
	dd if="$DEVICE" of=/dev/null bs=4K skip="$1" count="${2:-1}" iflag=direct
}

write_at() {
	dd if=/dev/zero of="$DEVICE" bs=4K seek="$1" count=1 oflag=direct
}

is_right() {
	same_data "$DEVICE" "$MODEL" "$MIB" 64K
}

is_failed() {
	[[ "$(dmsetup status errors)" == *" Fail"* ]]
}

create() {
	vci_create errors /dev/mapper/slow /dev/mapper/flaky "${@:-writeback}"
}

# A backing device that takes no writes keeps everything dirty.
start() {
	broken_cache
	broken_backing
	vci_format /dev/mapper/flaky
	dd if="$MODEL" of="$BACKING" bs=1M oflag=direct 2>/dev/null
	create || bail_out "cannot create"
	broken_backing 1 error_writes
	read_at 4000 64 2>/dev/null
	vci_settle errors
	put 4K 1000 200
	put 512 60001 33
}

test_backing_fails() {
	log_mark
	start
	check "backing fails: data is right" is_right
	check_fails "backing fails: flush is an error" dmsetup message errors 0 flush
	check "backing fails: the log says how much is left" log_has "still newer on the cache"
	check "backing fails: it is still dirty" test "$(vci_stat errors dirty_sectors)" -ge 1600
	check "backing fails: data is still right" is_right
	broken_backing
	check "backing mended: flush" dmsetup message errors 0 flush
	check "backing mended: it has everything" same_data "$BACKING" "$MODEL" "$MIB"
	check "backing mended: remove" vci_remove errors
	image_is_valid /dev/mapper/flaky "$BACKING"
}

test_cache_fails() {
	start
	broken_cache 1 error_writes
	check_fails "cache fails: a write is an error" write_at 3000
	check "cache fails: the cache is given up" wait_until 5 is_failed
	is "$(dmsetup status errors | cut -d ' ' -f 4-)" "Fail read-only" "cache fails: status"
	check_fails "cache fails: so is any write" write_at 5000
	check "cache fails: what can be read is right" is_right
	broken_cache 0
	log_mark
	check_fails "cache is gone: dirty data is an error" read_at 1000
	check "cache is gone: the log says so" log_has "dirty data lost"
	check "cache is gone: clean data is read" read_at 4000 64
	check "cache is gone: what wasn't cached, too" read_at 6000 64
	check_fails "cache is gone: a write is an error" write_at 7000
	check_fails "cache is gone: a discard is an error" \
		blkdiscard --offset $((64 * 4096)) --length 4096 "$DEVICE"
	check "cache is gone: remove" vci_remove errors
	broken_cache
	broken_backing
	log_mark
	check "cache is back: create" create
	check "cache is back: data is right" is_right
	check "cache is back: flush" dmsetup message errors 0 flush
	check "cache is back: the backing device has everything" \
		same_data "$BACKING" "$MODEL" "$MIB"
	check "cache is back: remove" vci_remove errors
	image_is_valid /dev/mapper/flaky "$BACKING"
}

# Without dirty data a failed cache costs speed only, in writeback mode too.
test_clean_cache_fails() {
	start
	broken_backing
	dmsetup message errors 0 flush
	broken_cache 0
	check "clean cache fails: data is right" is_right
	check "clean cache fails: it is given up" wait_until 5 is_failed
	is "$(dmsetup status errors | cut -d ' ' -f 4-)" "Fail" "clean cache fails: status"
	check "clean cache fails: writes go on" put 4K 2000 100
	check "clean cache fails: data is right" is_right
	check "clean cache fails: the backing device has it" same_data "$BACKING" "$MODEL" "$MIB"
	check "clean cache fails: remove" vci_remove errors
	broken_cache
}

test_force() {
	start
	vci_remove errors
	broken_backing
	# Where a file system's superblock would be: the fingerprint has it.
	printf '%4096s' changed | dd of="$BACKING" bs=4K oflag=direct conv=notrunc 2>/dev/null
	dd if="$BACKING" of="$MODEL" bs=4K count=1 conv=notrunc iflag=direct 2>/dev/null
	log_mark
	check_fails "a backing device changed behind dirty data is refused" create
	dmsetup remove errors 2>/dev/null
	check "the log says why" log_has "cannot use cache device"
	check "and which block differs" log_has "block [0-9]+ of the backing device differs"
	check "force activates it" create writeback force
	check "the log says so" log_has "activated by force"
	check "the table has force" grep -q force <<<"$(dmsetup table errors)"
	check "remove" vci_remove errors
}

load_driver dm-flakey || skip_all "no dm-flakey in this kernel"
load_module
BACKING="$(make_backing "$MIB")"
CACHE="$(make_cache 16)"
# What the device must read as.
MODEL="$(make_loop "$MIB")"
dd if=/dev/urandom of="$MODEL" bs=1M count="$MIB" 2>/dev/null
dmsetup create flaky --table "0 $(sectors_of "$CACHE") linear $CACHE 0"
dmsetup create slow --table "0 $(sectors_of "$BACKING") linear $BACKING 0"
allow_log "I/O error|Buffer I/O|lost async page write"
test_backing_fails
test_cache_fails
test_clean_cache_fails
test_force
dmsetup remove flaky
dmsetup remove slow
done_testing
