# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The kernel, its initramfs and the command line of QEMU, for tests/vm/run.
# Sourced.  Takes KERNEL, SMP, MEM, ICOUNT, DISKS, APPEND, ACCEL and RUN from
# there; gives KERNEL_TREE, KERNEL_KDIR and QEMU.

# What the initramfs must load before the host's files can be seen.
BOOT_MODULES="virtio_pci 9pnet_virtio 9p overlay"

# find_kernel: sets KERNEL_TREE (with vmlinuz, kver) and KERNEL_KDIR.
find_kernel() {
	case "$KERNEL" in
	kasan | kcsan)
		KERNEL_TREE="$VCI_BUILD/kernels/$KERNEL"
		KERNEL_KDIR="$KERNEL_TREE/build"
		with_lock "kernel-$KERNEL" find_debug_kernel
		;;
	*)
		KERNEL_KDIR="$("$VCI_ROOT/scripts/fetch-kernel" "$KERNEL")"
		KERNEL_TREE="$(dirname "$KERNEL_KDIR")"
		;;
	esac
	KVER="$(cat "$KERNEL_TREE/kver")"
}

# A debug kernel that was built here, else a ready pack, else a visible skip.
find_debug_kernel() {
	local packs="${VCI_KERNELS:-$VCI_ROOT/../shared/kernels}"
	local pack

	[ ! -e "$KERNEL_TREE/kver" ] || return 0
	for pack in "$packs/$KERNEL"-*.tar.zst; do
		[ -e "$pack" ] || continue
		note "unpacking ${pack##*/}"
		rm -rf "$KERNEL_TREE.new"
		mkdir -p "$KERNEL_TREE.new"
		tar --zstd -xf "$pack" -C "$KERNEL_TREE.new"
		mv "$KERNEL_TREE.new" "$KERNEL_TREE"
		return 0
	done
	skip_all "no $KERNEL kernel; build one: tests/vm/build-debug-kernel $KERNEL"
}

skip_all() {
	echo "1..0 # SKIP $*"
	echo "# 0 passed, 0 failed, ${#SCRIPTS[@]} skipped"
	exit 77
}

# The modules' files in the order of loading; nothing for built-in ones.
boot_module_files() {
	local module

	[ -d "$KERNEL_TREE/lib/modules/$KVER" ] || return 0
	for module in $BOOT_MODULES; do
		modprobe -d "$KERNEL_TREE" -S "$KVER" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

# make_initramfs FILE: busybox, tests/vm/init and the modules above.
make_initramfs() {
	local tree="$RUN/initramfs"
	local file name

	mkdir -p "$tree/bin" "$tree/modules"
	cp "$(command -v busybox)" "$tree/bin/busybox"
	ln -s busybox "$tree/bin/sh"
	cp "$VCI_ROOT/tests/vm/init" "$tree/init"
	: >"$tree/modules/list"
	for file in $(boot_module_files); do
		name="${file##*/}"
		name="${name%.xz}"
		case "$file" in
		*.xz) xz -dc "$file" >"$tree/modules/$name" ;;
		*) cp "$file" "$tree/modules/$name" ;;
		esac
		echo "$name" >>"$tree/modules/list"
	done
	(cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) >"$1"
}

# kvm only if a kernel really boots in it; told once per boot of the machine.
probe_accel() {
	local known="$VCI_BUILD/vm/accel"
	local boot_id
	local verdict=tcg

	boot_id="$(cat /proc/sys/kernel/random/boot_id)"
	if grep -q -s "^$boot_id " "$known"; then
		cut -d ' ' -f 2 "$known"
		return
	fi
	if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
		timeout -k 1 10 qemu-system-x86_64 -accel kvm -cpu host -m 512 \
			-nodefaults -no-user-config -display none -no-reboot \
			-serial "file:$RUN/probe" -kernel "$KERNEL_TREE/vmlinuz" \
			-initrd "$RUN/initrd" \
			-append "console=ttyS0 panic=-1 vci.probe" \
			>/dev/null 2>&1 </dev/null || true
		! grep -a -q "vci-init: alive" "$RUN/probe" 2>/dev/null || verdict=kvm
	fi
	note "accelerator: $verdict"
	echo "$boot_id $verdict" >"$known"
	echo "$verdict"
}

# In emulation: no "rep movsb" (executed byte by byte) and, for QEMU before
# version 8, no cmpxchg16b (it breaks the allocator of 6.12).
machine_options() {
	if $ICOUNT; then
		QEMU+=(-accel "tcg,thread=single" -icount "shift=0,sleep=off")
		QEMU+=(-cpu "max,-erms,-fsrm,-cx16")
	elif [ "$ACCEL" = kvm ]; then
		QEMU+=(-accel kvm -cpu host)
	else
		QEMU+=(-accel "tcg,thread=multi" -cpu "max,-erms,-fsrm,-cx16")
	fi
	QEMU+=(-m "$MEM" -smp "$SMP,sockets=$SMP")
}

disk_options() {
	local number=0
	local size

	for size in "${DISKS[@]}"; do
		truncate -s "$size" "$RUN/disk$number"
		QEMU+=(-drive "file=$RUN/disk$number,format=raw,if=none,id=disk$number,cache=unsafe,discard=unmap"
			-device "virtio-blk-pci,drive=disk$number,serial=vci$number")
		number=$((number + 1))
	done
}

kernel_arguments() {
	local arguments="console=ttyS0 loglevel=6 rdinit=/init oops=panic panic=-1"

	arguments+=" nokaslr mitigations=off log_buf_len=16M"
	arguments+=" brd.rd_nr=0 null_blk.nr_devices=0"
	[ "$ACCEL" = kvm ] || arguments+=" tsc=reliable"
	case "$KERNEL" in
	kasan) arguments+=" kmemleak=on kasan_multi_shot" ;;
	esac
	echo "$arguments $APPEND"
}

# prepare_qemu: sets QEMU, the complete command.
prepare_qemu() {
	need_command qemu-system-x86_64 vm
	need_command busybox vm
	need_command cpio vm
	make_initramfs "$RUN/initrd"
	if $ICOUNT; then ACCEL=tcg; fi
	[ -n "$ACCEL" ] || ACCEL="$(probe_accel)"
	QEMU=(qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot)
	machine_options
	disk_options
	QEMU+=(-kernel "$KERNEL_TREE/vmlinuz" -initrd "$RUN/initrd")
	QEMU+=(-append "$(kernel_arguments)")
	QEMU+=(-serial "file:$RUN/console")
	QEMU+=(-chardev "stdio,id=tap,signal=off" -serial chardev:tap)
	QEMU+=(-fsdev "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap")
	QEMU+=(-device "virtio-9p-pci,fsdev=host,mount_tag=host")
	QEMU+=(-fsdev "local,id=out,path=$RUN/out,security_model=none")
	QEMU+=(-device "virtio-9p-pci,fsdev=out,mount_tag=out")
	QEMU+=(-device virtio-rng-pci)
}
