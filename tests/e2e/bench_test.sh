#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# holdfast bench: every row measures something. How fast is not asked here.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# nginx and valgrind take no program with a sanitizer in it, and its figures
# would say nothing.
if nm "$BUILD_DIR/bin/holdfast-bench" | grep '__[at]san_init' >/dev/null; then
	skip "built with a sanitizer"
fi

# into FILE COMMAND...
into() {
	local file=$1
	shift
	"$@" >"$file"
}

expect "lists its rows" into "$T/list" holdfast bench --list
has "with their titles" "encrypt-1 " "$T/list"
refuse "knows no other rows" 1 "there is no row" holdfast bench --only nothing

mkdir "$T/tmp"
expect "runs" into "$T/all" \
	holdfast bench --quick --dir "$T/tmp" --plot "$T/plot.svg" -o json
is "leaves nothing behind" "" "$(ls "$T/tmp")"

expect "prints JSON" quiet jq -e . "$T/all"
is "has every row" "$(awk '/^[a-z0-9-]+ / { print $1 }' "$T/list" | sort)" \
	"$(jq -r '.rows[].name' "$T/all" | sort)"
# Of some the best figure is 0: nothing that happens, nothing that is taken. And
# not every host lets its users mount.
is "every row measures Holdfast" "" \
	"$(jq -r '.rows[] | select([.cells[] | select((.who | startswith("Holdfast"))
		and (.state == "measured" and .value.median > 0 or
			.note == "no file system of huge pages"))] | length == 0) | .name' "$T/all" |
		grep -vxE 'idle-wakeups|allocations|key-memory|connection-memory' || :)"
is "nothing fails" "" \
	"$(jq -r '.rows[] | .name as $r | .cells[] | select(.state == "failed") | "\($r): \(.who) \(.note)"' "$T/all")"
is "every goal has a figure or a peer that is missing" "" \
	"$(jq -r '.rows[] | .name as $r | select([.cells[].state] | all(. == "measured")) | .goals[] |
		select(.measured.median == null) | $r' "$T/all")"
has "draws them" "</svg>" "$T/plot.svg"

printf 'before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n' >"$T/page.md"
quiet holdfast bench --quick --only encrypt-1 --update "$T/page.md"
is "replaces the tables of a page" "before after" \
	"$(grep -xE 'before|old|after' "$T/page.md" | tr '\n' ' ' | sed 's/ $//')"
has "with new ones" "### encrypt-1" "$T/page.md"
has "and its picture" "</svg>" "$T/page.svg"
printf 'no marks\n' >"$T/plain.md"
refuse "but no page without the marks" 1 "has no lines" \
	holdfast bench --quick --only encrypt-1 --update "$T/plain.md"

echo "1..$checks"
