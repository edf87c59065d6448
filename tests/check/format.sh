#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The layout of the sources is clang-format's; tables between "clang-format
# off" and "on" are laid out by hand, and may be as wide as they need.
#   format.sh          check
#   format.sh --fix    let clang-format rewrite what differs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

mapfile -t files < <(git ls-files -co --exclude-standard -- '*.c' '*.h')
if [ "${1-}" = --fix ]; then
	exec clang-format -i "${files[@]}"
fi
clang-format --dry-run -Werror "${files[@]}"
if grep -nE '[[:space:]]$' "${files[@]}"; then
	echo "white space at the end of a line" >&2
	exit 1
fi
