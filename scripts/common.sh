# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the shell scripts of this project share.  Source it; it runs nothing.
# Needs VCI_ROOT, the root of the project, to be set by the caller.

# Everything that is built, downloaded or logged goes below this directory.
VCI_BUILD="$VCI_ROOT/build"
VCI_LOG="$VCI_BUILD/log"

note() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	note "error: $*"
	exit 1
}

# need_command NAME GROUP: stop with the remedy when a program is missing.
need_command() {
	command -v "$1" >/dev/null 2>&1 ||
		die "the program '$1' is missing; run scripts/install-deps $2"
}

# as_root COMMAND...: run a command with root's rights.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo -- "$@"
	else
		die "needs root for '$*', and there is no sudo; run it as root"
	fi
}

# with_lock NAME COMMAND...: run COMMAND while no other caller holds NAME.
with_lock() {
	local name="$1"
	local status=0

	shift
	mkdir -p "$VCI_BUILD/lock"
	{
		if ! flock -n 9; then
			note "waiting for another run to finish ($name)"
			flock 9
		fi
		"$@" 9>&- || status=$?
	} 9>"$VCI_BUILD/lock/$name"
	return "$status"
}

# private_apt PROGRAM ARGS...: apt with lists of its own below build/, so that
# neither root's rights nor fresh lists of the system are needed.  It uses the
# system's list of package sources and changes nothing in the system.
private_apt() {
	local program="$1"
	local state="$VCI_BUILD/apt"
	local options=(
		-o "Dir::State::lists=$state/lists"
		-o "Dir::Cache=$state/cache"
		-o "APT::Sandbox::User=root"
		-o "Debug::NoLocking=1"
	)

	shift
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	"$program" "${options[@]}" "$@"
}

# refresh_private_lists: a source of no interest may be out of reach, so a
# failure is told, not fatal: the look-up that follows decides.
refresh_private_lists() {
	local log="$VCI_LOG/apt-update.log"

	mkdir -p "$VCI_LOG"
	with_lock apt private_apt apt-get -q update >"$log" 2>&1 ||
		note "apt-get update reported errors, see ${log#"$VCI_ROOT"/}"
}
