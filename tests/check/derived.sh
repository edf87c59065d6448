#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is printed from the tables of the programs stands in the tree as they
# print it. The CDDL and the list of errors: tests/lib/protocol_test.c.
#   derived.sh BUILD_DIR          check
#   derived.sh BUILD_DIR --fix    write what they print
# shellcheck disable=SC2317 # functions are called by name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

build=$1
failed=0

# same FILE COMMAND...
same() {
	local file=$1 printed
	shift
	printed=$(mktemp)
	"$@" >"$printed"
	if [ "${fix-}" = --fix ]; then
		cat "$printed" >"$file"
	elif ! diff -u "$file" "$printed"; then
		echo "$file is not what '$*' prints; run tests/check/derived.sh BUILD_DIR --fix" >&2
		failed=1
	fi
	rm -f "$printed"
}

# The settings, from a printed configuration file to the list of a manual page.
settings_mdoc() {
	"$build/bin/holdfast-keyd" --print-config | awk '
	function row(value) {
		gsub(/"/, "\\(dq", value)
		print ".It Ic " $1 " No = " value
		gsub(/\. /, ".\n", doc) # mdoc: each sentence on a line of its own
		print doc
		doc = ""
	}
	BEGIN { print ".Bl -tag -width Ds" }
	/^#hsm /, /^#}/ { next } # an example
	{ sub(/^#?\t/, "") }
	/^$/ || /^# (The settings|relative to|Several HSMs|A TLS listener|The client)/ { next }
	/^#?}/ { print ".El"; next }
	/ \{$/ {
		sub(/^#/, "")
		if (!blocks++)
			print ".El"
		print ".Ss Block " $1 ($1 == "listener" ? " \\(dqname\\(dq" : "")
		print ".Bl -tag -width Ds"
		next
	}
	/^# / { doc = doc (doc == "" ? "" : "\n") substr($0, 3); next }
	/ = / { row(substr($0, index($0, "= ") + 2)) }'
}

settings_page() {
	sed -n '1,/^\.\\" settings/p' docs/man/keyd.conf.5
	settings_mdoc
	sed -n '/^\.\\" end of settings/,$p' docs/man/keyd.conf.5
}

# What 'holdfast help VERB' says of each verb, as a section of a manual page.
verbs_mdoc() {
	local verb
	"$build/bin/holdfast" help | sed -n 's/^  \([a-z][a-z -]*[a-z]\)  .*/\1/p' |
		while read -r verb; do
			# shellcheck disable=SC2086 # words
			"$build/bin/holdfast" help $verb
		done | awk '
	function text(s) {
		gsub(/\\/, "\\e", s)
		gsub(/-/, "\\-", s)
		return s ~ /^[.\047]/ ? "\\&" s : s
	}
	function quoted(s) { s = text(s); gsub(/"/, "\\(dq", s); return "\"" s "\"" }
	function sentences(s) { s = text(s); gsub(/\. /, ".\n", s); print s }
	function begin() { if (!list++) print ".Bl -tag -width Ds" }
	function end() { if (list) print ".El"; list = 0 }
	/^usage: holdfast / {
		end()
		sub(/^usage: holdfast /, "")
		print ".Ss " quoted($0)
		next
	}
	/^$/ { next }
	/^          / { # goes on, or has the words that may stand there
		sub(/^ +/, "")
		if ($0 !~ / / && /\|/) print ".br"
		sentences($0)
		next
	}
	/^  / {
		begin()
		sub(/^  /, "")
		at = index($0, "  ")
		if (!at) { # no room for two blanks: the option is as long as can be
			match($0, /^--[a-z-]+[= ][A-Z|@a-z]+/)
			at = RLENGTH + 1
		}
		print ".It " quoted(substr($0, 1, at - 1))
		rest = substr($0, at)
		sub(/^ +/, "", rest)
		sentences(rest)
		next
	}
	{ end(); sentences($0) }
	END { end() }'
}

verbs_page() {
	sed -n '1,/^\.\\" verbs/p' docs/man/holdfast-verbs.1
	verbs_mdoc
	sed -n '/^\.\\" end of verbs/,$p' docs/man/holdfast-verbs.1
}

# A table of docs/protocol.md: from its head to the first line without a bar.
protocol_page() {
	"$build/tests/lib_protocol_test" "--$1" >"$build/table"
	awk -v table="$build/table" '
	BEGIN { getline head <table; close(table) }
	$0 == head { while ((getline line <table) > 0) print line; skip = 1 }
	skip && /^\|/ { next }
	{ skip = 0; print }' docs/protocol.md
}

fix=${2-}
same conf/keyd.conf "$build/bin/holdfast-keyd" --print-config
same docs/man/keyd.conf.5 settings_page
same docs/man/holdfast-verbs.1 verbs_page
same docs/operations.md "$build/bin/holdfast" reference
same conf/completion/holdfast.bash "$build/bin/holdfast" completion bash
same docs/protocol.md protocol_page errors
same docs/protocol.md protocol_page operations
same docs/holdfast.cddl "$build/tests/lib_protocol_test" --cddl
exit "$failed"
