#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 1200
#
# The measurements of "make bench" with several processors: 1, 2 and 4 readers of what is
# cached, 4 KiB at random, each on a processor of its own.  Not under --icount: wall
# clock, so that only what is measured in one boot compares; and no more readers gain
# than the host has processors for.  dm-linear shows what the machine itself gives.

. "$VCI_ROOT/tests/vm/lib.sh"
. "$VCI_ROOT/tests/bench/bench-lib.sh"
. "$VCI_ROOT/tests/bench/peers.sh"

SPAN=$((64 << 20))
ROUNDS=3
SECONDS_EACH=5

# read_with DEVICE READERS: I/Os per second, of all.
read_with() {
	fio --name=read --output-format=json --filename="$1" --rw=randread --bs=4k \
		--size="$SPAN" --norandommap --direct=1 --ioengine=psync --numjobs="$2" \
		--group_reporting --cpus_allowed=0-$(($2 - 1)) --cpus_allowed_policy=split \
		--time_based --runtime="$SECONDS_EACH" | jq '.jobs[0].read.iops | floor'
}

# What the host takes away makes a round slower, never faster: the best of them counts.
scale() {
	local name="$1" device round readers iops
	declare -A best=([1]=0 [2]=0 [4]=0)

	device="$("${name}_up")" || return
	fio --name=fill --minimal --filename="$device" --size="$SPAN" --rw=randwrite --bs=4k \
		--direct=1 --ioengine=psync >/dev/null
	! declare -F "${name}_settle" >/dev/null || "${name}_settle"
	for ((round = 0; round < ROUNDS; round++)); do
		for readers in 1 2 4; do
			iops="$(read_with "$device" "$readers")"
			[ "$iops" -le "${best[$readers]}" ] || best[$readers]="$iops"
		done
	done
	for readers in 1 2 4; do
		result "$name" "readers-$readers" "${best[$readers]}"
	done
	"${name}_down"
}

modprobe brd rd_nr=3 rd_size=$((256 * 1024)) || skip_all "no brd in this kernel"
BACKING=/dev/ram0 CACHE=/dev/ram1 META=/dev/ram2
[ "$(nproc)" -ge 4 ] || bail_out "four processors are wanted, not $(nproc)"
for name in $(peers); do
	scale "$name"
done
ok "measured"
done_testing
