#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Memory: a limit holds under reads and writes of a full cache whose tree is larger
# than it, nothing is lost by it, and the kernel's shrinkers get back what they ask for.
# A limit that can't be kept is refused.  Hits don't block (RWF_NOWAIT).
# timeout: 600

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/memory
# 6 MiB are for buffers; the tree takes more than what is left.
LIMIT=$((6850 * 1024))

is_debug_kernel() {
	[ "$(scale 8)" != 8 ]
}

# watch_memory FILE: the largest memory_bytes, until FILE is gone.
watch_memory() {
	local bytes max=0

	while [ -e "$1" ]; do
		bytes="$(vci_stat memory memory_bytes)"
		((bytes > max)) && max="$bytes"
		sleep 0.2
	done
	echo "$max" >"$1.max"
}

# write_or_verify NUMBER OPTION: 1 KiB in random places, none twice.
write_or_verify() {
	fio --name=verify "--filename=$DEVICE" --rw=randwrite --bs=1k --direct=1 \
		--ioengine=libaio --iodepth=16 --number_ios="$1" --verify=crc32c \
		--verify_fatal=1 --randseed=7 --allrandrepeat=1 --output=/tmp/verify "$2"
}

test_limit() {
	local n tree

	log_mark
	check_fails "a limit that is too small is refused" \
		vci_create memory "$BACKING" "$CACHE" writeback mem_limit=1M
	check "... with the number of bytes that are missing" \
		log_has "mem_limit is too small for this image: it needs [0-9]* bytes more"
	check "create" vci_create memory "$BACKING" "$CACHE" writeback mem_limit=$LIMIT
	check "the table says so" \
		sh -c "dmsetup table memory | grep -q ' 3 writeback mem_limit $LIMIT'"
	check_fails "a message with less than it needs is refused" \
		dmsetup message memory 0 mem_limit 2M
	n="$(scale 50000)"
	touch /tmp/watching
	watch_memory /tmp/watching &
	check "writes" write_or_verify "$n" --do_verify=0
	check "verified" write_or_verify "$n" --verify_only=1
	check "read all" dd if="$DEVICE" of=/dev/null bs=4k iflag=direct \
		count="$((n / 4))"
	rm /tmp/watching
	wait
	tree="$(vci_stat memory extents)"
	diag "$tree extents, at most $(cat /tmp/watching.max) bytes of memory of $LIMIT"
	check "memory stayed below the limit" test "$(cat /tmp/watching.max)" -le "$LIMIT"
	# A node has room for 107 extents; at least so many bytes for each, of at most 1.6 MiB.
	is_debug_kernel ||
		check "the tree is larger than what is left for it" \
			test "$((tree * 2048 / 107))" -gt $((LIMIT - (6 << 20)))
}

test_shrinker() {
	local before after

	check "no limit" dmsetup message memory 0 mem_limit 0
	dmsetup message memory 0 flush
	dd if="$DEVICE" of=/dev/null bs=4k iflag=direct 2>/dev/null
	dmsetup message memory 0 checkpoint
	before="$(vci_stat memory tree_bytes)"
	for _ in 1 2 3 4 5 6; do echo 2 >/proc/sys/vm/drop_caches; done
	after="$(vci_stat memory tree_bytes)"
	diag "drop_caches: $before bytes of tree before, $after after"
	check "shrinkers free the tree" test "$after" -lt $((before / 2))
}

test_nowait() {
	dd if="$DEVICE" of=/dev/null bs=64k count=64 iflag=direct 2>/dev/null
	sleep 2
	check "reads that may not block" fio --name=nowait --filename="$DEVICE" --rw=randread \
		--bs=4k --size=4M --direct=1 --ioengine=pvsync2 --nowait=1 --output=/tmp/nowait
}

vci_pair 512 192
test_limit
test_shrinker
test_nowait
check "remove" vci_remove memory
image_is_valid "$CACHE" "$BACKING"
done_testing
