# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts that run in the test VM share.  Source it first:
#
#	. "$VCI_ROOT/tests/vm/lib.sh"
#
# It runs as root in a VM of its own: on leaving, it unmounts, removes every
# dm, null_blk and loop device, and unloads dm-vci.  Never source it elsewhere.
# A script ends with "done_testing"; "set -u" is on, "set -e" is not.

set -u

NULL_BLK=/sys/kernel/config/nullb
TAP_COUNT=0
TAP_FAILED=0
exec 3>&1

## TAP ------------------------------------------------------------------------

# ok DESCRIPTION, not_ok DESCRIPTION [REASON...]
ok() {
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT - $1"
}

not_ok() {
	TAP_COUNT=$((TAP_COUNT + 1))
	TAP_FAILED=$((TAP_FAILED + 1))
	echo "not ok $TAP_COUNT - $1"
	shift
	[ $# -eq 0 ] || diag "$@"
}

diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

# is ACTUAL EXPECTED DESCRIPTION
is() {
	if [ "$1" = "$2" ]; then
		ok "$3"
	else
		not_ok "$3" "got '$1', expected '$2'"
	fi
}

# check DESCRIPTION COMMAND...: the command must succeed.
check() {
	local description="$1"
	local output status=0

	shift
	output="$("$@" 2>&1)" || status=$?
	if [ "$status" -eq 0 ]; then
		ok "$description"
	else
		not_ok "$description" "status $status of: $*" "$output"
	fi
}

# check_fails DESCRIPTION COMMAND...: the command must fail.
check_fails() {
	local description="$1"
	local output

	shift
	if output="$("$@" 2>&1)"; then
		not_ok "$description" "succeeded: $*" "$output"
	else
		ok "$description"
	fi
}

skip() {
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT - $1 # SKIP ${2:-}"
}

# The whole script cannot run here.
skip_all() {
	echo "1..0 # SKIP $*"
	echo "$*" >&2
	exit 77
}

# The test cannot go on.  Works in $(...) as well: it ends the script.
bail_out() {
	echo "Bail out! $*" >&3
	kill -TERM $$
	exit 1
}

# plan N, where the number of tests is known at the start.
plan() {
	echo "1..$1"
	TAP_PLANNED=1
}

done_testing() {
	[ -n "${TAP_PLANNED:-}" ] || echo "1..$TAP_COUNT"
	[ "$TAP_FAILED" -eq 0 ]
	exit
}

## Kernel log -----------------------------------------------------------------

# allow_log REGEX: lines that match do not fail this test.
allow_log() {
	echo "$1" >>"/run/allow.$VCI_TEST"
}

# log_mark [TEXT], log_since_mark, log_has REGEX (since the last mark).
log_mark() {
	LOG_MARK="vci-test: mark $RANDOM$RANDOM ${1:-}"
	echo "$LOG_MARK" >/dev/kmsg
}

log_since_mark() {
	dmesg | sed -n "/${LOG_MARK:-vci-test: begin}/,\$p" | tail -n +2
}

log_has() {
	log_since_mark | grep -q -E -- "$1"
}

## Devices --------------------------------------------------------------------

# load_driver NAME: a module of the kernel; it may be built in, as everything
# is in a debug kernel, which has no modules.
load_driver() {
	modprobe -q "$1" || [ -d "/sys/module/${1//-/_}" ] ||
		[ ! -d "/lib/modules/$(uname -r)" ]
}

# make_null NAME SIZE_MIB [KEY=VALUE...]: a null_blk disk in memory with a
# volatile cache, 512-byte sectors.  Prints its path.
make_null() {
	local folder="$NULL_BLK/$1"
	local size="$2"
	local pair

	shift 2
	load_driver null_blk || bail_out "no null_blk in this kernel"
	mkdir "$folder" || bail_out "cannot make the null_blk disk ${folder##*/}"
	for pair in memory_backed=1 "size=$size" blocksize=512 cache_size=64 \
		discard=1 irqmode=0 "$@" power=1; do
		echo "${pair#*=}" >"$folder/${pair%%=*}" ||
			bail_out "null_blk refuses $pair"
	done
	echo "/dev/${folder##*/}"
}

# make_backing SIZE_MIB [DELAY_MS [KEY=VALUE...]]: prints /dev/backing (or
# /dev/$BACKING_NAME).  The delay is per I/O, of any number of I/Os at once.
make_backing() {
	local size="$1" delay_ms="${2:-0}"

	shift $(($# < 2 ? $# : 2))
	make_slow "${BACKING_NAME:-backing}" "$size" "$((delay_ms * 1000))" "$@"
}

# make_cache SIZE_MIB [DELAY_US [KEY=VALUE...]]: prints /dev/cache.
make_cache() {
	local size="$1" delay_us="${2:-0}"

	shift $(($# < 2 ? $# : 2))
	make_slow "${CACHE_NAME:-cache}" "$size" "$delay_us" "$@"
}

# make_slow NAME SIZE_MIB DELAY_US [KEY=VALUE...]
make_slow() {
	local name="$1" size="$2" delay_us="$3"

	shift 3
	[ "$delay_us" -eq 0 ] ||
		set -- irqmode=2 "completion_nsec=$((delay_us * 1000))" \
			hw_queue_depth=256 "$@"
	make_null "$name" "$size" "$@"
}

# make_delayed NAME DEVICE MS: dm-delay over a device (its grain is a jiffy).
make_delayed() {
	load_driver dm-delay || bail_out "no dm-delay in this kernel"
	dmsetup create "$1" --table "0 $(sectors_of "$2") delay $2 0 $3" ||
		bail_out "cannot make the delayed device $1"
	echo "/dev/mapper/$1"
}

# make_brd SIZE_MIB: /dev/ram0, counts no I/O and has no volatile cache.  The
# debug kernels have none: there it is a null_blk disk without a cache.
make_brd() {
	if ! modprobe -q -n brd; then
		make_null ram "$1" cache_size=0
		return
	fi
	modprobe brd rd_nr=1 "rd_size=$(($1 * 1024))" || bail_out "no brd in this kernel"
	echo /dev/ram0
}

# make_loop SIZE_MIB [SECTOR_SIZE]: a loop device over a sparse file in memory.
make_loop() {
	local file

	load_driver loop || bail_out "no loop driver in this kernel"
	file="$(mktemp /tmp/loop.XXXXXX)"
	truncate -s "${1}M" "$file"
	losetup --find --show --direct-io=off --sector-size "${2:-512}" "$file"
}

sectors_of() {
	blockdev --getsz "$1"
}

# io_count DEVICE FIELD: a counter of /sys/block/*/stat.
io_count() {
	local name field

	name="$(basename "$(readlink -f "$1")")"
	case "$2" in
	reads) field=1 ;;
	read_sectors) field=3 ;;
	writes) field=5 ;;
	write_sectors) field=7 ;;
	discards) field=12 ;;
	flushes) field=16 ;;
	*) bail_out "io_count: no field '$2'" ;;
	esac
	awk -v "field=$field" '{ print $field }' "/sys/block/$name/stat"
}

# wait_until SECONDS COMMAND...: until the command succeeds.
wait_until() {
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

## dm-vci ---------------------------------------------------------------------

load_module() {
	[ -n "$VCI_MODULE" ] || skip_all "no dm-vci.ko in this run"
	[ ! -d /sys/module/dm_vci ] || return 0
	load_driver dm-mod
	modprobe -q -a crc32c libcrc32c
	insmod "$VCI_MODULE" || bail_out "cannot load $VCI_MODULE"
	touch "/run/loaded.$VCI_TEST"
}

unload_module() {
	[ ! -d /sys/module/dm_vci ] || rmmod dm_vci
}

# vci_table BACKING CACHE [FEATURE...]: the table's line.
vci_table() {
	local backing="$1" cache="$2"

	shift 2
	echo "0 $(sectors_of "$backing") vci $backing $cache $# $*"
}

# vci_create NAME BACKING CACHE [FEATURE...]: /dev/mapper/NAME.
vci_create() {
	local name="$1"

	shift
	load_module
	dmsetup create "$name" --table "$(vci_table "$@")"
}

vci_remove() {
	dmsetup remove --retry "$1"
}

## Cleaning up ----------------------------------------------------------------

remove_dm_devices() {
	local round name

	for round in 1 2 3 4 5; do
		dmsetup ls 2>/dev/null | grep -q '^No devices' && return
		for name in $(dmsetup ls 2>/dev/null | cut -f 1); do
			dmsetup resume "$name" 2>/dev/null
			dmsetup remove --retry "$name" 2>/dev/null
		done
	done
	diag "left after $round rounds: $(dmsetup ls)"
}

unmount_all() {
	local point

	for point in $(awk '$1 ~ "^/dev/" { print $2 }' /proc/mounts | tac); do
		umount "$point" || umount -l "$point"
	done
}

cleanup() {
	local status=$?
	local folder

	trap - EXIT
	unmount_all
	remove_dm_devices
	losetup -D 2>/dev/null
	for folder in "$NULL_BLK"/*/; do
		[ ! -d "$folder" ] || rmdir "$folder"
	done
	modprobe -q -r brd 2>/dev/null
	unload_module || status=1
	exit "$status"
}

trap cleanup EXIT
trap 'exit 1' TERM
