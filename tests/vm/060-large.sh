#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Backing devices from 64 MiB to 200 TiB: extents on both sides of each 2 TiB
# line; a device that is too large is refused by name.
# timeout: 400

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

# The windows of the tree have 2^31 blocks of 512 bytes: 1 TiB.  So every second
# edge is a 2 TiB line.
TIB=2147483648
DEVICE=/dev/mapper/large

# make_sparse SECTORS: a dm-snapshot of dm-zero: /dev/mapper/sparse.
make_sparse() {
	load_driver dm-snapshot || return 1
	dmsetup create zero --table "0 $1 zero" &&
		dmsetup create sparse --table "0 $1 snapshot /dev/mapper/zero $STORE N 16"
}

drop_sparse() {
	dmsetup remove --retry sparse
	dmsetup remove --retry zero
	wipefs -q -a "$STORE"
	dd if=/dev/zero of="$STORE" bs=64K count=1 oflag=direct 2>/dev/null
}

# edges COMMAND LAST: writes or reads 8 KiB on either side of each edge; what is
# there tells its place.
edges() {
	python3 - "$DEVICE" "$1" "$2" <<-'END'
		import mmap, os, sys

		device, command, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
		fd = os.open(device, os.O_RDWR | os.O_DIRECT)
		buffer = mmap.mmap(-1, 16384)
		for edge in range(1, last + 1):
		    text = (b"edge %d " % edge * 4096)[:16384]
		    place = (edge << 40) - 8192
		    if command == "write":
		        buffer[:] = text
		        os.pwritev(fd, [buffer], place)
		    elif os.preadv(fd, [buffer], place) != 16384 or buffer[:] != text:
		        sys.exit("edge %d is wrong" % edge)
	END
}

test_small() {
	local size

	for size in 64 100; do
		BACKING="$(BACKING_NAME="b$size" make_backing "$size")"
		vci_format "$CACHE"
		check "$size MiB: create" vci_create large "$BACKING" "$CACHE"
		check "$size MiB: read all" dd if="$DEVICE" of=/dev/null bs=1M iflag=direct
		check "$size MiB: remove" vci_remove large
		image_is_valid "$CACHE" "$BACKING"
	done
}

test_large() {
	local tib="$1" hits

	make_sparse $((tib * TIB)) || bail_out "no sparse device of $tib TiB"
	BACKING=/dev/mapper/sparse
	vci_format "$CACHE"
	check "$tib TiB: create" vci_create large "$BACKING" "$CACHE"
	check "$tib TiB: write across each edge" edges write $((tib - 1))
	check "$tib TiB: what was written is read" edges read $((tib - 1))
	# A burst of misses may find no buffer: what is missing is read again.
	vci_settle large
	check "$tib TiB: the rest of it, too" edges read $((tib - 1))
	vci_settle large
	hits="$(vci_stat large read_hits)"
	check "$tib TiB: once more" edges read $((tib - 1))
	check "$tib TiB: from the cache" \
		test "$(($(vci_stat large read_hits) - hits))" -ge $((tib - 1))
	check "$tib TiB: remove" vci_remove large
	image_is_valid "$CACHE" "$BACKING"
	check "$tib TiB: create again" vci_create large "$BACKING" "$CACHE"
	check "$tib TiB: still right" edges read $((tib - 1))
	# A read that crosses an edge may miss while its nodes aren't in memory.
	dmsetup message large 0 clear_stats
	check "$tib TiB: and once more" edges read $((tib - 1))
	is "$(vci_stat large read_misses)" 0 "$tib TiB: all of it from the cache"
	check "$tib TiB: remove" vci_remove large
	drop_sparse
}

test_too_large() {
	local sectors=$((205 * TIB))

	dmsetup create zero --table "0 $sectors zero"
	log_mark
	check_fails "205 TiB: refused" dmsetup create large \
		--table "0 $sectors vci /dev/mapper/zero $CACHE"
	check "the log names it" log_has "Backing device is too large"
	dmsetup remove zero
}

load_module
CACHE="$(make_cache 64)"
STORE="$(BACKING_NAME=store make_backing 128)"
test_small
test_large 5
test_large 200
test_too_large
done_testing
