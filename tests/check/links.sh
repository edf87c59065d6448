#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every link of a Markdown file to another file or to a heading leads there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

failed=0

# The anchors of a file, as GitHub makes them from headings.
anchors() {
	sed -n '/^```/,/^```/d; s/^#\{1,6\} //p' "$1" | tr '[:upper:]' '[:lower:]' |
		sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

while read -r page; do
	[ -f "$page" ] || continue
	folder=$(dirname "$page")
	while read -r link; do
		target=${link%%#*}
		case $link in
		*://* | mailto:*) continue ;;
		esac
		file=$page
		[ -z "$target" ] || file=$folder/$target
		if [ ! -e "$file" ]; then
			echo "$page: $link leads nowhere" >&2
			failed=1
		elif [ "$link" != "$target" ] &&
			! anchors "$file" | grep -qxF -- "${link#*#}"; then
			echo "$page: $link: there is no such heading" >&2
			failed=1
		fi
	done < <(sed '/^```/,/^```/d' "$page" | sed 's/`[^`]*`//g' |
		grep -oE '\]\([^) ]+\)' | sed 's/^](//; s/)$//')
done < <(git ls-files -co --exclude-standard -- '*.md')
exit "$failed"
