#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 900
#
# Instructions that a target adds to an I/O of the raw RAM disk, all hits: run
# by tests/bench/run with --icount.  32768 extents of 4 KiB, loaded in random
# order so that they don't merge.

. "$VCI_ROOT/tests/vm/lib.sh"

MIB=1048576
SPAN=$((128 * MIB))
COUNT="$VCI_ROOT/build/tests/count-io"

per_io() {
	"$COUNT" "$1" "$2" random 4096 "${3:-4000}" "$SPAN"
}

# Every 4 KiB block of the working set is read once, in random order.
warm() {
	local round

	for round in 1 2 3 4 5 6; do
		fio --name=warm --minimal --filename="$1" --size="$SPAN" --rw=randread \
			--bs=4k --direct=1 --ioengine=libaio --iodepth=16 >/dev/null
		sleep 2
		diag "round $round: $(dmsetup message bench 0 stats | tr ' ' '\n' |
			grep -E '^(extents|read_misses|dropped_fills)=' | tr '\n' ' ')"
	done
}

modprobe brd rd_nr=2 rd_size=$((512 * 1024)) || skip_all "no brd in this kernel"
raw_read="$(per_io /dev/ram0 read)"
dmsetup create bench --table "0 $(sectors_of /dev/ram0) linear /dev/ram0 0"
linear_read="$(per_io /dev/mapper/bench read)"
vci_remove bench
vci-format --force -q --backing /dev/ram0 /dev/ram1
vci_create bench /dev/ram0 /dev/ram1
warm /dev/mapper/bench
vci_read="$(per_io /dev/mapper/bench read)"
diag "raw brd: $raw_read instructions per 4 KiB random read"
diag "dm-linear adds $((linear_read - raw_read))"
diag "dm-vci adds $((vci_read - raw_read)) (hit)"
ok "measured"
done_testing
