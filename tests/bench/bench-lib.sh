# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the measurements in the guest share.  Source it after tests/vm/lib.sh.

# shellcheck disable=SC2034 # for who sources this
COUNT="$VCI_ROOT/build/tests/count-io"

# result TARGET WHAT NUMBER
result() {
	printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$VCI_OUT/results"
	diag "$1: $2: $3"
}

# Nanoseconds that the processor did not sleep so far.
busy() {
	echo $(($(date +%s%N) - $(awk '/idle_sleeptime|iowait_sleeptime/ { sum += $3 }
		END { printf "%d", sum }' /proc/timer_list)))
}

# activated NAME PREFIX COMMAND...: what an activation takes, of work and of reads.
activated() {
	local name="$1" prefix="$2" begin reads before

	shift 2
	before="$(io_count "$CACHE" read_sectors)"
	begin="$(busy)"
	"$@" >/dev/null || return
	# At once: what is left for later goes on.
	reads="$(io_count "$CACHE" read_sectors)"
	result "$name" "$prefix-ms" $((($(busy) - begin) / 1000000))
	result "$name" "$prefix-read-kib" $(((reads - before) / 2))
}

# replay FILE DEVICE FIO-OPTION...: the I/Os of a log, one after another as fast as they go;
# milliseconds that it took.
replay() {
	local log="$1" device="$2"

	shift 2
	fio --name=replay --output-format=json --direct=1 --read_iolog="$log" \
		--replay_redirect="$device" --replay_no_stall=1 "$@" |
		jq '.jobs[0].job_runtime'
}
