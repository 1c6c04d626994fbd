#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 3600
#
# The measurements of "make bench" that replay what tests/bench/make-iolog made, in a
# guest under --icount: see tests/bench/run.
#
#  hot set	zipf reads, then the same with the hot set elsewhere; backing device of
#		eight times the cache, 5 ms.  Hits: reads for which the backing device
#		wasn't read; of dm-cache, which reads it to copy as well, what it says
#  once	random 4 KiB reads of 4 GiB, none of them twice, 5 ms; the cache has 512 MiB.
#		What is read from the backing device and written to the cache device
#  trace	TRACE, if there is one, cold, through dm-vci and dm-cache in writethrough
#		mode, on a disk (8 ms for each I/O) and a network volume (1 ms); the cache
#		is a tenth of the footprint.  Bytes take no time, so count them, too

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"
. "$VCI_ROOT/tests/bench/bench-lib.sh"
. "$VCI_ROOT/tests/bench/peers.sh"

LOGS="$VCI_ROOT/build/bench/iolog"
CHUNK=50000

# dm-cache's map must not say beforehand that all is cached.
SPAN=0

# read_hits NAME: so far.
read_hits() {
	case "$1" in
	vci) vci_stat bench read_hits ;;
	dmcache) dmsetup status bench | awk '{ print $8 }' ;;
	*) echo 0 ;;
	esac
}

## Hot set ------------------------------------------------------------------------

hot_set() {
	local name="$1" device chunk reads before

	device="$("${name}_up")" || return
	for chunk in zipf-{0..3} moved-{0..3}; do
		before="$(read_hits "$name")"
		reads="$(io_count "$BACKING" reads)"
		replay "$LOGS/$chunk" "$device" --ioengine=libaio --iodepth=16 >/dev/null
		reads=$(($(io_count "$BACKING" reads) - reads))
		diag "$name $chunk: $reads backing reads," \
			"$(($(read_hits "$name") - before)) hits by its own count"
		[ "$name" != dmcache ] || reads=$((CHUNK - $(read_hits "$name") + before))
		result "$name" "$chunk-hits" \
			"$(awk -v n="$reads" -v all="$CHUNK" 'BEGIN { printf "%.3f", 1 - n / all }')"
	done
	"${name}_down"
}

hot_sets() {
	local name ratio

	while read -r name ratio; do
		result infinite "$name-hits" "$ratio"
	done <"$LOGS/infinite"
	BACKING="$(make_backing 2048 5 max_sectors=2560)"
	CACHE="$(make_cache 256 0 max_sectors=2560)"
	META="$(make_null meta 16)"
	for name in $(peers); do
		case "$name" in
		vci | dmcache | bcache) hot_set "$name" ;;
		esac
	done
	rmdir "$NULL_BLK"/{backing,cache,meta}
}

## Read once ----------------------------------------------------------------------

once() {
	local name="$1" device reads writes

	device="$("${name}_up")" || return
	reads="$(io_count "$BACKING" read_sectors)"
	writes="$(io_count "$CACHE" write_sectors)"
	replay "$LOGS/once" "$device" --ioengine=libaio --iodepth=32 >/dev/null
	# What waits for company is written, too.
	dmsetup suspend bench 2>/dev/null && dmsetup resume bench
	result "$name" once-read-mib $((($(io_count "$BACKING" read_sectors) - reads) / 2048))
	result "$name" once-write-mib $((($(io_count "$CACHE" write_sectors) - writes) / 2048))
	"${name}_down"
}

read_once() {
	local name

	# bcache takes some of it for itself.
	BACKING="$(make_backing 4104 5 max_sectors=2560)"
	CACHE="$(make_cache 512 0 max_sectors=2560)"
	META="$(make_null meta 16)"
	for name in $(peers); do
		case "$name" in
		vci | dmcache | bcache) once "$name" ;;
		esac
	done
	rmdir "$NULL_BLK"/{backing,cache,meta}
}

## A trace ------------------------------------------------------------------------

trace_up() {
	case "$1" in
	linear) linear_up ;;
	vci)
		vci-format --force -q --backing "$BACKING" "$CACHE" >/dev/null
		load_module
		bench_table vci "$BACKING" "$CACHE" 1 writethrough
		;;
	dmcache)
		dd if=/dev/zero of="$META" bs=1M count=1 oflag=direct 2>/dev/null
		bench_table cache "$META" "$CACHE" "$BACKING" 128 2 metadata2 writethrough smq 0
		;;
	esac
}

# trace_on KIND DELAY_MS
trace_on() {
	local kind="$1" mib name device before

	mib=$((($(<"$LOGS/footprint") + 9) / 10))
	BACKING="$(make_backing $(($(<"$LOGS/size") + 1)) "$2" max_sectors=2560)"
	CACHE="$(make_cache $((mib < 4 ? 4 : mib)) 0 max_sectors=2560)"
	META="$(make_null meta 16)"
	for name in linear vci dmcache; do
		peers | grep -q -x "$name" || continue
		device="$(trace_up "$name")" || continue
		before="$(io_count "$BACKING" read_sectors) $(io_count "$BACKING" write_sectors)"
		result "$name" "trace-$kind-ms" \
			"$(replay "$LOGS/trace" "$device" --ioengine=psync)"
		read -r reads writes <<<"$before"
		result "$name" "trace-$kind-read-kib" \
			$((($(io_count "$BACKING" read_sectors) - reads) / 2))
		result "$name" "trace-$kind-write-kib" \
			$((($(io_count "$BACKING" write_sectors) - writes) / 2))
		[ "$name" = linear ] || result "$name" "trace-$kind-hits" "$(read_hits "$name")"
		bench_gone
	done
	rmdir "$NULL_BLK"/{backing,cache,meta}
}

# What the host reads through 9p is there before it counts.
warm() {
	fio --name=warm --minimal --filename=/dev/zero --rw=read --bs=4k --size=4k >/dev/null
	echo 1 | jq . >/dev/null
	modprobe -q -a dm-cache dm-cache-smq bcache
}

warm
if [ -n "${TRACE:-}" ]; then
	trace_on hdd 8
	trace_on net 1
fi
hot_sets
read_once
ok "measured"
done_testing
