# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# How each target of the benchmark is put together: NAME_up makes /dev/mapper/bench
# (bcache: /dev/bcache0) of BACKING, CACHE and META and prints the device; NAME_down
# takes it apart.  Sourced by tests/bench/guest.sh.

# Which can be measured in this kernel and with these tools.
peers() {
	echo linear
	echo vci
	! modprobe -q dm-writecache || echo writecache
	! { modprobe -q -a dm-cache dm-cache-smq && command -v cache_restore; } >/dev/null ||
		echo dmcache
	! { modprobe -q bcache && command -v make-bcache; } >/dev/null || echo bcache
	[ -z "${WRITEBOOST:-}" ] || ! load_writeboost || echo writeboost
}

load_writeboost() {
	[ -d /sys/module/dm_writeboost ] || insmod "$WRITEBOOST" 2>/dev/null
}

bench_table() {
	dmsetup create bench --table "0 $(sectors_of "$BACKING") $*" || return
	echo /dev/mapper/bench
}

bench_gone() {
	dmsetup remove --retry bench
}

linear_up() { bench_table linear "$BACKING" 0; }
linear_down() { bench_gone; }

# Nothing is written back while it is measured, as with the others: if the device were
# idle, it would be.
vci_up() {
	vci-format --force -q --backing "$BACKING" "$CACHE" >/dev/null &&
		vci_again || return
	"$COUNT" /dev/mapper/bench keep-busy >/dev/null 2>&1 &
}
# A checkpoint: what it covers is overwritten in place.
vci_settle() {
	dmsetup suspend bench && dmsetup resume bench
}
vci_again() {
	load_module
	bench_table vci "$BACKING" "$CACHE" 3 writeback max_dirty_age 86400
}
vci_down() { bench_gone; }

writecache_up() {
	dd if=/dev/zero of="$CACHE" bs=4k count=1 oflag=direct 2>/dev/null
	writecache_again
}
writecache_again() {
	bench_table writecache s "$BACKING" "$CACHE" 4096 4 high_watermark 95 low_watermark 94
}
writecache_down() { bench_gone; }

# dm-cache promotes in its own time: the map says that all is cached.
dmcache_up() {
	local blocks=$(($(sectors_of "$CACHE") / 128)) used=$((SPAN / 65536))

	{
		echo "<superblock uuid=\"\" block_size=\"128\" nr_cache_blocks=\"$blocks\" policy=\"smq\" hint_width=\"4\">"
		echo "<mappings>"
		seq 0 $((used - 1)) | sed 's/.*/<mapping cache_block="&" origin_block="&" dirty="false"\/>/'
		echo "</mappings><hints></hints></superblock>"
	} >/tmp/cache.xml
	dd if=/dev/zero of="$META" bs=1M count=1 oflag=direct 2>/dev/null
	cache_restore -q --metadata-version 2 -i /tmp/cache.xml -o "$META" >/dev/null &&
		dmcache_again
}
dmcache_again() {
	bench_table cache "$META" "$CACHE" "$BACKING" 128 2 metadata2 writeback smq 0
}
dmcache_down() { bench_gone; }

bcache_up() {
	dd if=/dev/zero of="$CACHE" bs=1M count=1 oflag=direct 2>/dev/null
	dd if=/dev/zero of="$BACKING" bs=1M count=1 oflag=direct 2>/dev/null
	make-bcache --writeback --bucket 128k -C "$CACHE" -B "$BACKING" >/dev/null 2>&1 || return
	bcache_again
}
bcache_again() {
	local device set

	for device in "$CACHE" "$BACKING"; do
		echo "$device" >/sys/fs/bcache/register 2>/dev/null
	done
	wait_until 10 test -b /dev/bcache0 || return
	echo 0 >/sys/block/bcache0/bcache/sequential_cutoff
	echo 0 >/sys/block/bcache0/bcache/writeback_running
	for set in /sys/fs/bcache/*-*; do
		echo 0 >"$set/congested_read_threshold_us"
		echo 0 >"$set/congested_write_threshold_us"
	done
	echo /dev/bcache0
}
bcache_settle() {
	local set

	for _ in 1 2 3; do
		for set in /sys/fs/bcache/*-*; do
			echo 1 >"$set/internal/trigger_gc" 2>/dev/null
		done
		sleep 1
	done
}
bcache_down() {
	local set

	echo 1 >/sys/block/bcache0/bcache/stop
	for set in /sys/fs/bcache/*-*; do
		[ ! -e "$set/stop" ] || echo 1 >"$set/stop"
	done
	wait_until 20 test ! -e /sys/block/bcache0
	# shellcheck disable=SC2144 # there is one
	wait_until 20 bcache_sets_gone
}
bcache_sets_gone() {
	! compgen -G '/sys/fs/bcache/*-*' >/dev/null
}

writeboost_up() {
	dd if=/dev/zero of="$CACHE" bs=4k count=1 oflag=direct 2>/dev/null
	writeboost_again
}
writeboost_again() { bench_table writeboost "$BACKING" "$CACHE"; }
writeboost_down() { bench_gone; }
