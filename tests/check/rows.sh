#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each row of docs/transit.md (T1, KT1, FM1, CK1, ...) and of the holes in
# docs/threats.md says in its last cell which tests show it, or that none does
# and why. A test that is named there exists and names the row.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

failed=0
complain() {
	echo "$1" >&2
	failed=1
}

# check PAGE ROW CELL REST: REST is the row without its last cell
check() {
	local page=$1 row=$2 cell=$3 rest=$4 test file
	if [[ $cell != *\`* ]]; then
		[[ $cell == – ]] ||
			complain "$page: $row: '$cell' is neither a test nor –"
		[[ $rest =~ not\ yet|not\ here|–\ in\ transit ]] ||
			complain "$page: $row: no test, and no word why"
		return
	fi
	while read -r test; do
		file=$(git ls-files -co --exclude-standard -- "tests/**/$test" "tests/*/$test" | sort -u)
		if [ -z "$file" ]; then
			complain "$page: $row: there is no test $test"
		elif ! grep -qE "(^|[^A-Za-z0-9])$row([^0-9-]|$)" "$file"; then
			complain "$page: $row: $file does not name it"
		fi
	done < <(grep -oE '[a-z0-9_]+\.(sh|c)' <<<"$cell")
}

# rows PAGE PATTERN: sets $count to how many there were
rows() {
	local page=$1 pattern=$2 line first rest cell row
	count=0
	while IFS= read -r line; do
		first=${line#| }
		first=${first%% |*}
		line=${line% |}
		cell=${line##*| }
		rest=${line%| *}
		while read -r row; do
			count=$((count + 1))
			check "$page" "$row" "$cell" "$rest"
		done < <(grep -oE "$pattern" <<<"${first%%[:(]*}" | head -"$most")
	done < <(grep -E "^\| ($pattern)[^|]*\|" "$page")
}

most=9
rows docs/transit.md '(T|KT|FM|CK)[0-9]+'
[ "$count" -ge 75 ] || complain "only $count rows in docs/transit.md: are they read?"
most=1 # of several numbers of one hole the first is looked for
rows docs/threats.md '(GHSA-[0-9a-z-]+|CVE-[0-9]+-[0-9]+)'
[ "$count" -ge 17 ] || complain "only $count rows in docs/threats.md: are they read?"
exit "$failed"
