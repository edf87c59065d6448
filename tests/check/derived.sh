#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is printed from the tables of the programs stands in the tree as they
# print it. The CDDL and the list of errors: tests/lib/protocol_test.c.
#   derived.sh BUILD_DIR          check
#   derived.sh BUILD_DIR --fix    write what they print
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

fix=${2-}
same conf/keyd.conf "$build/bin/holdfast-keyd" --print-config
same docs/operations.md "$build/bin/holdfast" reference
same conf/completion/holdfast.bash "$build/bin/holdfast" completion bash
same docs/holdfast.cddl "$build/tests/lib_protocol_test" --cddl
exit "$failed"
