#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Suspend, resume, reload and changes of mode while verified I/O goes on.
# timeout: 600

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/load
MODES=(writethrough writearound passthrough)

start_load() {
	fio --name=load --filename="$DEVICE" --rw=randrw --direct=1 --ioengine=libaio \
		--iodepth=16 --blockalign=512 --bssplit=512/30:4k/30:9k/20:64k/20 \
		--size=48M --time_based --runtime="$1" --randrepeat=0 \
		--verify=crc32c --verify_fatal=1 --verify_backlog=256 \
		>"$VCI_OUT/fio-$2" 2>&1 &
	LOAD=$!
}

end_load() {
	if wait "$LOAD"; then
		ok "$1: all data was right"
	else
		not_ok "$1: all data was right" "$(tail -n 30 "$VCI_OUT/fio-$2")"
	fi
}

# rounds COUNT COMMAND...: true if none failed.
rounds() {
	local i count="$1"

	shift
	for ((i = 0; i < count; i++)); do
		"$@" "$i" || return 1
		sleep 0.3
	done
}

suspend_resume() {
	dmsetup suspend load && dmsetup resume load
}

noflush_suspend_resume() {
	dmsetup suspend --noflush load && dmsetup resume load
}

change_mode() {
	vci_mode load "${MODES[$1 % 3]}"
}

reload() {
	vci_reload load "$BACKING" "$CACHE" "${MODES[$1 % 3]}"
}

under_load() {
	local name="$1"

	shift
	start_load 12 "$name"
	check "$name under load" rounds 20 "$@"
	end_load "$name" "$name"
}

vci_pair 128 32
vci_create load "$BACKING" "$CACHE" || bail_out "cannot create"
under_load suspend suspend_resume
under_load noflush noflush_suspend_resume
under_load modes change_mode
under_load reload reload

check "a suspended device is removed" dmsetup suspend load
check "remove" vci_remove load
image_is_valid "$CACHE" "$BACKING"

# Warm across a reload: what was mapped is still there.
vci_create load "$BACKING" "$CACHE" || bail_out "cannot create"
dd if="$DEVICE" of=/dev/null bs=64K count=64 iflag=direct 2>/dev/null
vci_settle load
used="$(vci_stat load used_sectors)"
check "reload" vci_reload load "$BACKING" "$CACHE" writearound
is "$(vci_stat load used_sectors)" "$used" "a reload keeps the cache's contents"
check "the end of the old table leaves the image open" image_in_use "$CACHE"
is "$(dmsetup table load | cut -d ' ' -f 7)" writearound "and has the new mode"
check "the table is accepted as it is printed" \
	dmsetup reload load --table "$(dmsetup table load)"
check "resume" dmsetup resume load
check "remove" vci_remove load
image_is_valid "$CACHE" "$BACKING"
done_testing
