#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every link of a Markdown file to another file or to a heading leads there, and
# docs/architecture.md knows every source file.
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

# The names of files in that page, which may end in "*".
map() { sed -n '/^### lib:/,/^## Decisions/p' docs/architecture.md; }
mapfile -t names < <(map | grep -oE '`[a-z0-9_]+\*?`' | tr -d '`' | sort -u)
while read -r source; do
	[ -f "$source" ] || continue
	noun=$(basename "$source" .c)
	for name in "${names[@]}"; do
		# shellcheck disable=SC2053 # a pattern
		[[ $noun != $name ]] || continue 2
	done
	echo "docs/architecture.md does not say what $source is" >&2
	failed=1
done < <(git ls-files -co --exclude-standard -- 'lib/*.c' 'keyd/*.c' 'pkcs11/*.c')
while read -r name; do
	if ! compgen -G "lib/$name.[ch]" >/dev/null &&
		! compgen -G "keyd/$name.[ch]" >/dev/null; then
		echo "docs/architecture.md: there is no $name" >&2
		failed=1
	fi
done < <(map | sed -n 's/^| \(`[^|]*\) |.*/\1/p' | grep -oE '`[a-z0-9_]+\*?`' | tr -d '`')
exit "$failed"
