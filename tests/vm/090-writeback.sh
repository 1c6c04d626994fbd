#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Write-back: a synced write costs one write and one flush of the cache device
# and nothing else; the backing device gets what is dirty by "flush", by age, by a
# change of mode and when nothing else goes on; dirty data survives a removal.
# timeout: 900

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/wb
MIB=64

# Small reads of cached data, so that the device isn't idle.
start_busy() {
	start_reads "$DEVICE"
	READS="$(reads)"
	wait_until 30 is_busy || bail_out "no reads"
}

reads() {
	echo $(($(vci_stat wb read_hits) + $(vci_stat wb read_misses) + $(vci_stat wb bypassed)))
}

is_busy() {
	[ "$(reads)" -gt "$READS" ]
}

# put BYTES NUMBER COUNT [CONV]: new data to device and model.
put() {
	dd if=/dev/urandom of=/tmp/data bs="$1" count="$3" 2>/dev/null
	dd if=/tmp/data of="$MODEL" bs="$1" seek="$2" conv=notrunc 2>/dev/null
	dd if=/tmp/data of="$DEVICE" bs="$1" seek="$2" oflag=direct \
		conv="notrunc${4:+,$4}" 2>/dev/null
}

dirty() {
	vci_stat wb dirty_sectors
}

is_clean() {
	[ "$(dirty)" = 0 ]
}

is_right() {
	same_data "$DEVICE" "$MODEL" "$MIB" "${1:-1M}"
}

# count DEVICE: "writes sectors flushes" so far; a flush counts as a write, too.
count() {
	awk '{ print $5 - $16, $7, $16 }' "/sys/block/${1##*/}/stat"
}

# cost COMMAND...: sets COST, what it cost the cache and the backing device.
cost() {
	local a b

	a="$(count "$CACHE") $(count "$BACKING")"
	"$@"
	b="$(count "$CACHE") $(count "$BACKING")"
	COST="$(paste <(tr ' ' '\n' <<<"$a") <(tr ' ' '\n' <<<"$b") |
		awk '{ printf "%d ", $2 - $1 }')"
}

# costs EXPECTED COMMAND...
costs() {
	local expected="$1"

	shift
	cost "$@"
	[ "$COST" = "$expected " ] || diag "cost: $COST"
	[ "$COST" = "$expected " ]
}

# The background may come between; not each time.
test_cost_of_a_synced_write() {
	local i right=0 unsynced=0

	put 4K 1000 64 fsync
	start_busy
	vci_settle wb
	for i in 1 2 3 4 5 6 7 8; do
		costs "1 9 1 0 0 0" put 4K $((2000 + 17 * i)) 1 fsync &&
			right=$((right + 1))
		costs "1 9 0 0 0 0" put 4K $((3000 + 17 * i)) 1 &&
			unsynced=$((unsynced + 1))
	done
	check "a synced write of 4 KiB is one write and one flush of the cache device" \
		test "$right" -ge 5
	check "one that isn't synced is one write" test "$unsynced" -ge 5
	cost fio --name=sync "--filename=$DEVICE" --rw=write --bs=4k --direct=1 \
		--offset=32M --size=1M --fdatasync=1 --output=/dev/null
	check "256 of them flush the cache device no more often: $COST" \
		test "$(cut -d ' ' -f 3 <<<"$COST")" -le 260
	is "$(cut -d ' ' -f 4-6 <<<"$COST")" "0 0 0" "and the backing device hears nothing"
	stop_reads
	dd if="$DEVICE" of="$MODEL" bs=1M skip=32 seek=32 count=1 conv=notrunc \
		iflag=direct 2>/dev/null
}

# Once a checkpoint covers what is dirty, it is overwritten where it lies.
test_cost_in_place() {
	local i before synced=0 unsynced=0 forced=0

	start_busy
	put 4K 6000 64
	check "suspend, which is a checkpoint" dmsetup suspend wb
	check "resume" dmsetup resume wb
	vci_settle wb
	before="$(vci_stat wb writes_in_place)"
	for i in 1 2 3 4 5 6 7 8; do
		costs "1 8 1 0 0 0" put 4K $((6000 + 7 * i)) 1 fsync &&
			synced=$((synced + 1))
		costs "1 8 0 0 0 0" put 4K $((6000 + 7 * i)) 1 &&
			unsynced=$((unsynced + 1))
		costs "0 0 1 0 0 0" sync_device && forced=$((forced + 1))
	done
	check "a synced overwrite of 4 KiB of dirty data is one write of 8 sectors and one flush: $synced" \
		test "$synced" -ge 5
	check "one that isn't synced is one write of 8 sectors: $unsynced" \
		test "$unsynced" -ge 5
	check "a flush behind it is one flush of the cache device: $forced" test "$forced" -ge 5
	is "$(($(vci_stat wb writes_in_place) - before))" 16 "counted: writes in place"
	check "all is right" is_right
	put 4K 6100 1
	check "a write of what isn't dirty goes to the log" \
		test "$(($(vci_stat wb writes_in_place) - before))" = 16
	stop_reads
	check "remove" vci_remove wb
	check "vci-check finds nothing wrong" vci-check -q "$CACHE"
	check "create again" vci_create wb "$BACKING" "$CACHE" writeback
	check "what was written in place is there" is_right
}

sync_device() {
	dd if=/dev/null of="$DEVICE" conv=notrunc,fsync 2>/dev/null
}

# A fill that waits to be appended doesn't know of a write to the log.
test_write_over_a_fill() {
	local i wrong=0

	for i in $(seq 5000 17 5500); do
		dd if="$DEVICE" of=/tmp/read bs=8K skip="$i" count=1 iflag=direct 2>/dev/null
		put 4K $((2 * i + 1)) 1
		dd if="$DEVICE" of=/tmp/read bs=8K skip="$i" count=1 iflag=direct 2>/dev/null
		dd if="$MODEL" bs=8K skip="$i" count=1 2>/dev/null | cmp -s - /tmp/read ||
			wrong=$((wrong + 1))
	done
	is "$wrong" 0 "a write over a fill that is not appended yet is read"
}

# What idle time would write back is kept by making the device busy.
test_dirty_survives() {
	local before n

	dmsetup message wb 0 flush
	before="$(digest "$BACKING")"
	start_busy
	put 4K 5000 300 fsync
	put 512 70001 77
	put 8M 3 1 fsync
	check "data is read as it was written" is_right
	check "in pieces of odd sizes too" is_right 23040
	n="$(dirty)"
	check "it is dirty: $n sectors" test "$n" -ge $((16384 + 2400))
	is "$(digest "$BACKING")" "$before" "the backing device is unchanged"
	stop_reads
	check "remove with dirty data" vci_remove wb
	is "$(digest "$BACKING")" "$before" "the backing device is still unchanged"
	check "vci-check finds the dirty image valid" vci-check "$CACHE"
	log_mark
	check "create again" vci_create wb "$BACKING" "$CACHE" writeback
	check "it is still dirty" test "$(dirty)" -ge $((n / 2))
	check "the log tells of dirty data" log_has "sectors are newer on cache device"
	check "it is still there" is_right
}

test_flush() {
	check "flush" dmsetup message wb 0 flush
	is "$(dirty)" 0 "nothing is dirty after flush"
	check "the backing device has everything" same_data "$BACKING" "$MODEL" "$MIB"
	check "the device too" is_right
	check "remove" vci_remove wb
	check "the backing device alone has everything" same_data "$BACKING" "$MODEL" "$MIB"
	image_is_valid "$CACHE" "$BACKING"
	check "create" vci_create wb "$BACKING" "$CACHE" writeback
}

test_passthrough_reads_dirty() {
	start_busy
	put 4K 6000 100
	check "mode passthrough" vci_mode wb passthrough
	check "dirty data is read in passthrough" is_right 64K
	put 4K 6050 100
	check "a write over dirty data is read in passthrough" is_right
	check "passthrough writes back, busy or not" wait_until 60 is_clean
	stop_reads
	check "the backing device has everything" same_data "$BACKING" "$MODEL" "$MIB"
}

test_changes_of_mode() {
	local mode

	for mode in writethrough writearound; do
		check "mode writeback" vci_mode wb writeback
		start_busy
		put 4K 7000 50
		put 12K 2500 5
		check "mode $mode" vci_mode wb "$mode"
		put 4K 7025 50
		put 4K 9000 3
		check "$mode: data over dirty data is read" is_right 128K
		check "$mode: soon nothing is dirty" wait_until 60 is_clean
		check "$mode: the backing device has everything" \
			same_data "$BACKING" "$MODEL" "$MIB"
		stop_reads
	done
	vci_mode wb writeback
}

test_age() {
	check "max_dirty_age 0" dmsetup message wb 0 max_dirty_age 0
	is "$(dmsetup table wb | cut -d ' ' -f 6-)" "3 writeback max_dirty_age 0" \
		"the table has it"
	start_busy
	put 4K 8000 20
	sleep 5
	check "without a limit nothing is written back while busy" test "$(dirty)" -ge 160
	check "max_dirty_age 2" dmsetup message wb 0 max_dirty_age 2
	check "what is older is written back" wait_until 30 is_clean
	stop_reads
	check "the backing device has it" same_data "$BACKING" "$MODEL" "$MIB"
	dmsetup message wb 0 max_dirty_age 300
	is "$(dmsetup table wb | cut -d ' ' -f 6-)" "1 writeback" "the default isn't printed"
	put 4K 8100 20
	check "when idle, it is written back at once" wait_until 20 is_clean
}

test_discard_of_dirty() {
	start_busy
	put 4K 9000 16
	check "a discard over dirty data succeeds" \
		blkdiscard --offset $((9000 * 4096)) --length 65536 "$DEVICE"
	check "the data stays" is_right
	stop_reads
	vci_remove wb
	vci_create wb "$BACKING" "$CACHE" writeback
	check "and is there after a removal" is_right
}

test_status() {
	local fields

	fields="$(dmsetup status wb)"
	is "$(cut -d ' ' -f 4 <<<"$fields")" writeback "status: the mode"
	is "$(wc -w <<<"$fields")" 44 "status: as many fields as documented"
	for fields in dirty_sectors written_sectors written_back_sectors batches \
		flush_sectors_left recovered_batches torn_entries writes_in_place \
		bypassed_mode bypassed_size bypassed_writing bypassed_memory bypassed_unknown \
		appended_again_sectors read_around_sectors read_around_used_sectors \
		read_around_wasted_sectors bypassed_sequential; do
		check "stats: $fields" test -n "$(vci_stat wb "$fields")"
	done
	put 4K 100 5
	is "$(vci_stat wb written_sectors)" 40 "counted: what was written to the log"
}

BACKING="$(make_backing "$MIB" 0 max_sectors=2560)"
# Large enough that reads of the whole device push nothing out; it completes in an
# interrupt, that of 092 at once.
CACHE="$(make_cache 128 20 max_sectors=2560)"
vci_format "$CACHE"
# What the device must read as.
MODEL="$(make_loop "$MIB")"
dd if=/dev/urandom of="$MODEL" bs=1M count="$MIB" 2>/dev/null
dd if="$MODEL" of="$BACKING" bs=1M oflag=direct 2>/dev/null
vci_create wb "$BACKING" "$CACHE" writeback || bail_out "cannot create"
is "$(dmsetup table wb | cut -d ' ' -f 6-)" "1 writeback" "the table says writeback"
test_cost_of_a_synced_write
test_cost_in_place
test_write_over_a_fill
test_dirty_survives
test_flush
test_passthrough_reads_dirty
test_changes_of_mode
test_age
test_discard_of_dirty
test_status
check "flush" dmsetup message wb 0 flush
check "remove" vci_remove wb
check "at the end the backing device has everything" same_data "$BACKING" "$MODEL" "$MIB"
image_is_valid "$CACHE" "$BACKING"
done_testing
