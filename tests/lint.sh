#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The rules of this project that a program can check.  Prints TAP.
#
# Usage: tests/lint.sh [--with-module] [CHECK...]
#
# CHECK is a part of a check's name (see "main"); without one, all are made.
# --with-module also builds the module with sparse, W=1 and -Werror for 6.1.
# A missing tool is a visible skip; scripts/install-deps check installs them.

set -uo pipefail

VCI_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
. "$VCI_ROOT/scripts/common.sh"
cd "$VCI_ROOT" || exit 1

MAX_FUNCTION_LINES=70
MAX_FILE_LINES=1000

# The list of damages is an X-macro: no parentheses around its entries.
CHECKPATCH_EXCEPTIONS='^kernel/core/vci-damage\.h:.*(Macros with complex|Macro argument reuse)'

NUMBER=0
FAILED=0
FILTERS=()
MODULE_TOO=false

## Files ----------------------------------------------------------------------

# Every file of the project, tracked or new, but nothing that is ignored.
all_files() {
	if [ -d .git ] && command -v git >/dev/null; then
		git ls-files --cached --others --exclude-standard
	else
		find . -path ./build -prune -o -type f -print | sed 's,^\./,,'
	fi | while IFS= read -r file; do
		[ ! -f "$file" ] || printf '%s\n' "$file"
	done | sort -u
}

files_matching() {
	printf '%s\n' "$FILES" | grep -E "$1"
}

sources() {
	files_matching '\.[ch]$'
}

kernel_sources() {
	files_matching '^kernel/.*\.[ch]$'
}

core_sources() {
	files_matching '^kernel/core/.*\.[ch]$'
}

shell_scripts() {
	local file

	while IFS= read -r file; do
		case "$file" in
		*.bats) ;;
		*.sh) echo "$file" ;;
		*) head -n 1 "$file" | grep -q -a -E '^#!.*\b(ba)?sh\b' && echo "$file" ;;
		esac
	done <<<"$FILES"
}

# Text in which a style can be asked for; images and licences are others'.
texts() {
	printf '%s\n' "$FILES" |
		grep -v -E '^COPYING$|^tests/(images|fuzz/corpus)/|\.(xz|zst|gz|img|bin|png|svg)$'
}

# grep_in PATTERN LIST-COMMAND: findings as file:line: text.
grep_in() {
	local files=()

	mapfile -t files < <("$2")
	[ "${#files[@]}" -gt 0 ] || return 0
	grep -n -H -E -- "$1" "${files[@]}"
}

## Checks: each prints its findings, nothing if all is well ---------------------

core_is_self_contained() {
	grep_in '#[[:space:]]*include[[:space:]]*<' core_sources
	grep_in '__KERNEL__|LINUX_VERSION|VCI_HAVE_|VCI_USERSPACE' core_sources
}

versions_are_in_compat() {
	grep_in 'LINUX_VERSION|KERNEL_VERSION|VCI_HAVE_' kernel_sources |
		grep -v '^kernel/vci-compat\.h:'
}

# Headers of the own layer and of lower ones only: tests/layers.
layers_point_down() {
	local files=()

	mapfile -t files < <(kernel_sources)
	[ "${#files[@]}" -gt 0 ] || return 0
	awk '
	function layer(stem,    i) {
		for (i = 1; i <= words; i++)
			if (stem ~ pattern[i])
				return rank[i]
		return 0
	}
	FILENAME == "tests/layers" {
		if (/^#/ || !NF) next
		height++
		for (i = 1; i <= NF; i++) {
			pattern[++words] = "^" $i "$"
			gsub(/\*/, ".*", pattern[words])
			rank[words] = height
		}
		next
	}
	FNR == 1 {
		stem = FILENAME
		gsub(/^.*\/|\.[ch]$/, "", stem)
		own = layer(stem)
		if (!own) print FILENAME ": not in tests/layers"
	}
	/^#[ \t]*include[ \t]*"/ {
		header = $0
		gsub(/^[^"]*"|\.h".*$/, "", header)
		other = layer(header)
		if (!other) print FILENAME ":" FNR ": " header ".h is not in tests/layers"
		else if (own && other > own)
			print FILENAME ":" FNR ": includes " header ".h of a higher layer"
	}' tests/layers "${files[@]}"
}

functions_are_short() {
	local files=()

	mapfile -t files < <(sources; shell_scripts)
	[ "${#files[@]}" -gt 0 ] || return 0
	awk -v max="$MAX_FUNCTION_LINES" '
	/^\{/ || /^[a-z_]+\(\) \{/ { start = FNR }
	/^\}/ {
		if (start && FNR - start - 1 > max)
			print FILENAME ":" start ": function of " FNR - start - 1 " lines"
		start = 0
	}' "${files[@]}"
}

files_are_short() {
	local file lines

	for file in $(sources; shell_scripts); do
		lines="$(wc -l <"$file")"
		[ "$lines" -le "$MAX_FILE_LINES" ] || echo "$file: $lines lines"
	done
}

# SPDX first, after "#!" in scripts.
licences_are_named() {
	local file line pattern

	for file in $(texts); do
		case "$file" in
		*.c) pattern='^// SPDX-' ;;
		*.h) pattern='^/\* SPDX-' ;;
		*.sh | *.py | *.bats | *.rst | *.8 | Makefile | Kbuild | scripts/* | tests/*/run | tests/run)
			pattern='SPDX-License-Identifier: GPL-2\.0-only' ;;
		*) head -n 1 "$file" | grep -q '^#!' || continue
			pattern='SPDX-License-Identifier: GPL-2\.0-only' ;;
		esac
		line="$(head -n 1 "$file")"
		[[ "$line" != '#!'* ]] || line="$(sed -n 2p "$file")"
		grep -q -E "$pattern" <<<"$line" || echo "$file:1: no SPDX line"
	done
}

text_is_clean() {
	local file

	grep_in '[[:blank:]]+$' texts
	grep_in $'\r' texts
	while IFS= read -r file; do
		[ -z "$(tail -c 1 "$file")" ] || echo "$file: no newline at the end"
	done < <(texts)
}

# Nothing may depend on one machine or name a host to download from.
nothing_is_local() {
	grep_in '(^|[^a-z])/(wor[k]|hom[e])/[a-z]' texts
	grep_in '(deb|security|snapshot|ftp)[.]debian[.]org|pypi[.]org|npmjs[.]|crates[.]io|proxy[.]golang' texts
}

# As part of the module or, in a comment, as userspace's alone.
kbuild_lists_every_source() {
	diff <(sed -n -E 's/^(dm-vci-y *[:+]=|#) *(kernel.*)\.o$/\2.c/p' Kbuild | sort) \
		<(files_matching '^kernel/.*\.c$') | grep '^[<>]' |
		sed 's/^</Kbuild: no source for/; s/^>/Kbuild does not list/'
}

checkpatch_is_silent() {
	local files=() program

	program="$(scripts/fetch-checkpatch)" || { echo "no checkpatch.pl" && return; }
	mapfile -t files < <(kernel_sources)
	[ "${#files[@]}" -eq 0 ] ||
		"$program" --strict --no-tree --terse --no-summary -f "${files[@]}" 2>&1 |
		grep -v -E "$CHECKPATCH_EXCEPTIONS"
}

# The core as userspace sees it; the module has a check of its own.
sparse_is_silent() {
	local files=()

	mapfile -t files < <(files_matching '^kernel/core/.*\.c$')
	[ "${#files[@]}" -eq 0 ] || sparse -std=gnu11 -D__CHECK_ENDIAN__ -D_GNU_SOURCE \
		-DVCI_USERSPACE -Iuserspace -Ikernel/core "${files[@]}" 2>&1
}

kernel_doc_is_complete() {
	local files=() program common

	common="$(dirname "$(scripts/fetch-kernel 6.1)")/usr/src"
	program="$(echo "$common"/linux-headers-*-common/scripts/kernel-doc)"
	[ -x "$program" ] || { echo "no kernel-doc in $common" && return; }
	mapfile -t files < <(kernel_sources)
	[ "${#files[@]}" -gt 0 ] || return 0
	"$program" -none -Werror "${files[@]}" 2>&1
	functions_without_doc "${files[@]}"
}

# Functions that are not static and have no "/** name() -" anywhere in kernel/.
functions_without_doc() {
	awk '
	/^ \* [a-z0-9_]+(\(\))? - / {
		name = $2
		sub(/\(\)/, "", name)
		documented[name] = 1
	}
	/^[a-z]/ && /\(/ && !/^(static|typedef|struct [a-z_]+ \{|module_|EXPORT)/ {
		name = $0
		sub(/\(.*/, "", name)
		sub(/.*[ *]/, "", name)
		place = FILENAME ":" FNR
	}
	/^static|;$/ { name = "" }
	/^\{/ { if (name != "") defined[name] = place; name = "" }
	END {
		for (name in defined)
			if (!(name in documented))
				print defined[name] ": " name "() has no kernel-doc comment"
	}' "$@" | sort
}

shellcheck_is_silent() {
	local files=()

	mapfile -t files < <(shell_scripts)
	shellcheck -f gcc "${files[@]}" 2>&1
}

mandoc_is_silent() {
	local files=()

	mapfile -t files < <(files_matching '^Documentation/man/.*\.8$')
	[ "${#files[@]}" -eq 0 ] || mandoc -T lint "${files[@]}" 2>&1
}

codespell_is_silent() {
	local files=()

	mapfile -t files < <(texts)
	codespell --ignore-words-list="vie,fo,te,ba,inout,nd" "${files[@]}" 2>&1
}

module_is_silent() {
	scripts/build-module --check "$(scripts/fetch-kernel 6.1)" 2>&1 | grep -v '/dm-vci\.ko$'
}

## TAP ------------------------------------------------------------------------

is_wanted() {
	local filter

	[ "${#FILTERS[@]}" -gt 0 ] || return 0
	for filter in "${FILTERS[@]}"; do
		[[ "$1" != *"$filter"* ]] || return 0
	done
	return 1
}

# check FUNCTION [TOOL]: one line of TAP, the findings below it.
check() {
	local findings

	is_wanted "$1" || return 0
	NUMBER=$((NUMBER + 1))
	if [ $# -gt 1 ] && ! command -v "$2" >/dev/null; then
		echo "ok $NUMBER - lint:$1 # SKIP $2 is not installed"
		return
	fi
	findings="$("$1")"
	if [ -z "$findings" ]; then
		echo "ok $NUMBER - lint:$1"
		return
	fi
	FAILED=$((FAILED + 1))
	echo "not ok $NUMBER - lint:$1"
	head -n 60 <<<"$findings" | sed 's/^/# /'
	[ "$(wc -l <<<"$findings")" -le 60 ] || echo "# ... $(wc -l <<<"$findings") findings"
}

main() {
	while [ $# -gt 0 ]; do
		case "$1" in
		--with-module) MODULE_TOO=true ;;
		-*) sed -n '/^# Usage/,/^$/{s/^# \?//p}' "${BASH_SOURCE[0]}" && return ;;
		*) FILTERS+=("$1") ;;
		esac
		shift
	done
	FILES="$(all_files)"
	echo "TAP version 13"
	check core_is_self_contained
	check versions_are_in_compat
	check layers_point_down
	check functions_are_short
	check files_are_short
	check licences_are_named
	check text_is_clean
	check nothing_is_local
	check kbuild_lists_every_source
	check checkpatch_is_silent
	check sparse_is_silent sparse
	check kernel_doc_is_complete
	check shellcheck_is_silent shellcheck
	check mandoc_is_silent mandoc
	check codespell_is_silent codespell
	if $MODULE_TOO; then check module_is_silent sparse; fi
	echo "1..$NUMBER"
	[ "$FAILED" -eq 0 ]
}

main "$@"
