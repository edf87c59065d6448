#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The layout of the sources. Tables between "clang-format off" and "on" may be
# as wide as they need.
#   format.sh          check
#   format.sh --fix    let clang-format rewrite what differs
#   format.sh --diff   show what it would change
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

mapfile -t files < <(git ls-files -co --exclude-standard -- '*.c' '*.h')

case ${1-} in
--fix) exec clang-format -i "${files[@]}" ;;
--diff)
	for f in "${files[@]}"; do
		clang-format "$f" | diff -u --label "$f" --label "$f" "$f" - || :
	done
	exit 0
	;;
esac

awk '
FNR == 1 { off = 0 }
/clang-format off/ { off = 1 }
/clang-format on/ { off = 0 }
/[ \t]$/ { say("white space at the end of the line") }
/\r/ { say("a carriage return") }
off { next }
/^ {4,}[^ *]/ && !/^    [^ ]/ && !/^ {5,8}[^ ]/ {
	say("indented with spaces")
}
{
	line = $0
	width = 0
	for (i = 1; i <= length(line); i++)
		width = substr(line, i, 1) == "\t" ? width + 8 - width % 8 : width + 1
	# A string is not broken where its reader would have to join it.
	if (width > 80 && $0 !~ /^[ \t]*"/)
		say(width " columns")
}
function say(what) { print FILENAME ":" FNR ": " what; bad = 1 }
END { exit bad }
' "${files[@]}"
