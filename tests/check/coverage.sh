#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/check/coverage.sh FILE.info: what the tests ran, as lcov wrote it down.
# No file of security weight may be below 85 % of its lines: what stands between
# a stranger's bytes and a key, which is all but the command line (tools/).
set -euo pipefail
least=85

# Below it for a reason; a row that is no longer needed is an error, too.
exceptions() {
	cat <<-'END'
	keyd/leave.h  what comes behind the writing of these figures is in none
	END
}

awk -F '[:,]' -v top="$PWD/" -v least="$least" '
	FNR == NR { split($0, row, /  +/); excused[row[1]] = 1; next }
	/^SF:/ { file = substr($0, 4); sub("^" top, "", file) }
	/^DA:/ { all[file]++; ran[file] += $3 > 0 }
	END {
		for (file in all) {
			lines += all[file]
			hit += ran[file]
			share = 100 * ran[file] / all[file]
			weighs = file ~ /^(keyd|lib|pkcs11)\//
			low = weighs && share < least
			line = sprintf("%5.1f %% of %4d lines  %s%s", share,
			    all[file], file, weighs ? "" : " (no weight)")
			print line | "sort -n"
			if (low && !(file in excused)) {
				said[++faults] = file ": " ran[file] " of " \
				    all[file] " lines, which is below " least " %"
			}
			if (low)
				delete excused[file]
		}
		close("sort -n")
		for (file in excused)
			said[++faults] = file ": an exception without need"
		for (i = 1; i <= faults; i++)
			print said[i]
		if (lines == 0) {
			print "no lines at all"
			exit 1
		}
		printf "RESULT: %.1f %% of %d lines; no file of keyd, lib and " \
		    "pkcs11 below %d %%%s\n", 100 * hit / lines, lines, least,
		    faults ? " but " faults : ""
		exit faults > 0
	}
' <(exceptions) "$1"
