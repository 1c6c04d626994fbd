#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# ext4 and xfs on top, with a real tree of files, compared by checksum: through
# the cache, after a new activation, and on the backing device alone.
# timeout: 600

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/files
TREE=/usr/share/perl

# sums FOLDER: of every file below it.
sums() {
	(cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

mount_options() {
	case "$1" in
	xfs) echo nouuid,discard ;;
	*) echo discard ;;
	esac
}

agrees() {
	cmp /tmp/sums <(sums "/mnt/$1")
}

test_kind() {
	local kind="$1" options

	options="$(mount_options "$kind")"
	vci_format "$CACHE"
	vci_create files "$BACKING" "$CACHE" || bail_out "cannot create"
	check "mkfs.$kind" "mkfs.$kind" -q "$DEVICE"
	check "$kind: mount" mount -o "$options" "$DEVICE" /mnt
	check "$kind: copy a tree" cp -r "$TREE" /mnt/first
	check "$kind: once more" cp -r "$TREE" /mnt/second
	check "$kind: remove half" rm -r /mnt/first
	check "$kind: and write it again" cp -r /mnt/second /mnt/third
	sync
	echo 3 >/proc/sys/vm/drop_caches
	check "$kind: the copies are right" agrees second
	check "$kind: all of them" agrees third
	umount /mnt
	vci_remove files
	image_is_valid "$CACHE" "$BACKING"

	vci_create files "$BACKING" "$CACHE" || bail_out "cannot create again"
	mount -o "$options" "$DEVICE" /mnt
	check "$kind: right after a new activation" agrees third
	check "$kind: the cache was warm" test "$(vci_stat files read_hits)" -gt 0
	umount /mnt
	vci_remove files

	mount -o "$options" "$BACKING" /mnt
	check "$kind: right on the backing device alone" agrees second
	umount /mnt
	check "$kind: fsck finds nothing" check_fs "$kind"
	wipefs -q -a "$BACKING"
}

check_fs() {
	case "$1" in
	xfs) xfs_repair -n "$BACKING" ;;
	ext4) e2fsck -f -n "$BACKING" ;;
	esac
}

sums "$TREE" >/tmp/sums
vci_pair 512 64
test_kind ext4
test_kind xfs
done_testing
