#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Changes of mode under verified writes, with crashes in between: both devices are
# gone at once, the module too, and when they are back all that was acknowledged is
# there.  Here nothing is lost in a device; 100-power is about that.
# VCI_SWITCHES (40): how many changes in all; there are three crashes at least, and at
# least one for each 60 changes.
# timeout: 5400

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/vm/vci-lib.sh"

DEVICE=/dev/mapper/switch
MIB=32
SWITCHES="${VCI_SWITCHES:-$(scale 40)}"
MODES=(writeback writethrough writeback writearound writeback passthrough)
# fio writes each block once, in the order that the seed says.
JOB=(--name=load "--filename=$DEVICE" --rw=randwrite --bs=4k --direct=1
	--ioengine=libaio --iodepth=8 "--size=${MIB}M" --verify=crc32c --verify_fatal=1
	--fdatasync=32)

# put_below SLOW FAST: targets for both devices below, at the same instant: while both
# are suspended nothing ends.
put_below() {
	dmsetup suspend --noflush --nolockfs slow &&
		dmsetup suspend --noflush --nolockfs fast &&
		dmsetup reload slow --table "0 $(sectors_of "$BACKING") $1" &&
		dmsetup reload fast --table "0 $(sectors_of "$CACHE") $2" &&
		dmsetup resume slow && dmsetup resume fast
}

take_devices_away() {
	put_below error error
}

give_devices_back() {
	put_below "linear $BACKING 0" "linear $CACHE 0"
}

# start_load SEED [OPTION]: what fio had done is in its state file.
start_load() {
	rm -f "$STATE"/*
	fio "${JOB[@]}" "--randseed=$1" ${2:+"$2"} --verify_backlog=64 --verify_state_save=1 \
		"--aux-path=$STATE" >"$VCI_OUT/fio-$1" 2>&1 &
	LOAD=$!
}

# offsets_of FILE REGEX: of the lines that match, sorted.
offsets_of() {
	grep -E "$2" "$1" | grep -o 'offset=[0-9]*' | sort -u
}

# Writes that failed when the devices went may be there or not; all others must be.
verify_load() {
	local log="$VCI_OUT/verify-$1" wrong

	fio "${JOB[@]}" "--randseed=$1" --verify_only --verify_state_load=1 \
		--verify_fatal=0 --continue_on_error=verify "--aux-path=$STATE" >"$log" 2>&1
	wrong="$(comm -23 <(offsets_of "$log" "^(verify|crc32c): ") \
		<(offsets_of "$VCI_OUT/fio-$1" "io_u error"))"
	VERIFIED="$(sed -n 's/.*issued rwts: total=\([0-9]*\),.*/\1/p' "$log")"
	diag "round $1: ${VERIFIED:-0} blocks looked at, wrong: ${wrong:-none}"
	[ -z "$wrong" ] && [ "${VERIFIED:-0}" -ge 50 ]
}

is_writing() {
	[ "$(vci_stat switch writes)" -ge 50 ]
}

# change_modes MAX WRITES: for as long as fio has made fewer writes than that.
change_modes() {
	local i

	for ((i = 0; i < $1; i++)); do
		[ $((i % 8)) -ne 7 ] || [ "$(vci_stat switch writes)" -lt "$2" ] || break
		vci_mode switch "${MODES[NUMBER++ % 6]}" || return 1
		sleep "0.0$((RANDOM % 6))"
	done
}

create() {
	vci_create switch /dev/mapper/slow /dev/mapper/fast "${MODES[NUMBER % 6]}"
}

check_load() {
	if wait "$LOAD"; then
		ok "round $1: all data was right"
	else
		not_ok "round $1: all data was right" "$(tail -n 30 "$VCI_OUT/fio-$1")"
	fi
}

# A crash in the middle of it; or none, and then all must have gone well.
one_round() {
	local seed="$1" crash="$2" status=0 before="$NUMBER" blocks=$((MIB << 8))

	# So slow that it isn't done before.
	start_load "$seed" "$("$crash" && echo --rate_iops=100)"
	wait_until 60 is_writing || bail_out "fio doesn't write"
	change_modes "$PER_ROUND" $((blocks / 10 + RANDOM % (blocks * 4 / 10))) || status=1
	is "$status" 0 "round $seed: $((NUMBER - before)) changes of mode"
	if ! "$crash"; then
		check_load "$seed"
		return
	fi
	check "round $seed: both devices are gone" take_devices_away
	if wait "$LOAD"; then
		diag "round $seed: fio was done before"
	else
		CRASHES=$((CRASHES + 1))
	fi
	check "round $seed: remove" vci_remove switch
	unload_module
	give_devices_back
	log_mark
	check "round $seed: create" create
	check "round $seed: the log says what was recovered" log_has "recovered: .*batches"
	if verify_load "$seed"; then
		ok "round $seed: all that was acknowledged is there"
	else
		not_ok "round $seed: all that was acknowledged is there" \
			"$(tail -n 30 "$VCI_OUT/verify-$seed")"
	fi
}

# That verifying finds a block that isn't there as it was written.
test_verifies() {
	check "round $1: all is there" verify_load "$1"
	printf '%4096s' wrong | dd of=/tmp/wrong bs=4K 2>/dev/null
	dd if=/tmp/wrong of="$DEVICE" bs=4K count=1 seek=100 oflag=direct conv=notrunc \
		2>/dev/null
	check_fails "a block that was changed is noticed" verify_load "$1"
}

BACKING="$(make_backing "$MIB" 1)"
CACHE="$(make_cache 16)"
STATE="$(mktemp -d)"
NUMBER=0
CRASHES=0
PER_ROUND=$((SWITCHES < 180 ? SWITCHES / 3 + 1 : 60))
allow_log "I/O error|Buffer I/O|lost async page write"
vci_format "$CACHE"
dmsetup create slow --table "0 $(sectors_of "$BACKING") linear $BACKING 0"
dmsetup create fast --table "0 $(sectors_of "$CACHE") linear $CACHE 0"
create || bail_out "cannot create"
for ((ROUND = 1; NUMBER < SWITCHES; ROUND++)); do
	one_round "$ROUND" true
done
check "there were crashes under load: $CRASHES" test "$CRASHES" -ge $((SWITCHES / 60 + 1))
one_round "$ROUND" false
check "flush" dmsetup message switch 0 flush
check "the backing device alone has everything" same_data "$DEVICE" "$BACKING" "$MIB"
test_verifies "$ROUND"
diag "$NUMBER changes of mode, $CRASHES crashes"
check "remove" vci_remove switch
dmsetup remove fast
dmsetup remove slow
done_testing
