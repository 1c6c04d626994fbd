# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of dm-vci in the VM share.  Source it after lib.sh.

# vci_pair BACKING_MIB CACHE_MIB [BACKING_DELAY_MS]: sets BACKING and CACHE, and
# formats the cache.
vci_pair() {
	BACKING="$(make_backing "$1" "${3:-0}")"
	CACHE="$(make_cache "$2")"
	export BACKING CACHE
	vci_format "$CACHE"
}

vci_format() {
	vci-format --force "$1" >/tmp/vci-format.log 2>&1 ||
		bail_out "vci-format $1: $(cat /tmp/vci-format.log)"
}

# scale N: that much work; an eighth on a debug kernel, which is slow.
scale() {
	case "$VCI_KERNEL" in
	kasan | kcsan) echo $((($1 + 7) / 8)) ;;
	*) echo "$1" ;;
	esac
}

# vci_stat NAME KEY: a value of the message "stats".
vci_stat() {
	dmsetup message "$1" 0 stats | tr ' ' '\n' | sed -n "s/^$2=//p"
}

vci_mode() {
	dmsetup message "$1" 0 mode "$2"
}

# vci_reload NAME BACKING CACHE [FEATURE...]: a new table, then resume.
vci_reload() {
	local name="$1"

	shift
	dmsetup reload "$name" --table "$(vci_table "$@")" && dmsetup resume "$name"
}

# vci_settle NAME: what was filled is in the log and mapped.
vci_settle() {
	dmsetup message "$1" 0 checkpoint
}

# image_in_use CACHE: its header says that an instance writes to it, so that after a
# crash it isn't taken as it is.
image_in_use() {
	blockdev --flushbufs "$1"
	vci-dump --json "$1" | grep -q '"unclean": *true'
}

# image_is_valid CACHE BACKING: the closed image, by our own check and by the
# reader that was written from the format's description alone.
image_is_valid() {
	blockdev --flushbufs "$1"
	blockdev --flushbufs "$2"
	check "vci-check finds $(basename "$1") clean" vci-check "$1"
	check "an independent reader finds the image valid, its data equal" \
		python3 "$VCI_ROOT/tests/reader/vci_reader.py" "$1" --backing "$2"
}

# same_data DEVICE DEVICE MIB [READ_SIZE]: the first MiB are the same; the first
# device is read in pieces of that size, neither through the page cache.
same_data() {
	local bytes=$(($3 << 20)) size="${4:-1M}"

	cmp -n "$bytes" \
		<(dd if="$1" bs="$size" iflag=direct,count_bytes count="$bytes" 2>/dev/null) \
		<(dd if="$2" bs=1M iflag=direct,count_bytes count="$bytes" 2>/dev/null)
}

# digest DEVICE: of all its bytes.
digest() {
	blockdev --flushbufs "$1"
	sha256sum <"$1" | cut -d ' ' -f 1
}

# fio_verify DESCRIPTION DEVICE ARGS...: random I/O of odd sizes, all verified.  Of two
# writes in flight to the same sectors either may win: fio lets one wait.
fio_verify() {
	local description="$1" device="$2"

	shift 2
	check "$description" fio --name=verify "--filename=$device" --rw=randrw \
		--blockalign=512 --direct=1 --ioengine=libaio --iodepth=16 --serialize_overlap=1 \
		--bssplit=512/20:1k/10:1536/10:4k/20:11k/10:64k/20:100k/10 \
		--verify=crc32c --verify_fatal=1 --verify_backlog=64 \
		--randrepeat=0 "$@"
}

# start_reads DEVICE, stop_reads: small reads of the same 64 KiB all the time, so that
# the device isn't idle.
start_reads() {
	fio --name=busy "--filename=$1" --rw=read --bs=4k --size=64k --direct=1 \
		--rate_iops=20 --time_based --runtime=1000 >/dev/null 2>&1 &
	BUSY=$!
}

stop_reads() {
	kill "$BUSY"
	wait "$BUSY" 2>/dev/null
}
