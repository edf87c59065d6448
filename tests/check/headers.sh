#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each header compiles alone, the installed ones also as C++.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

failed=0
flags=(-std=gnu17 -fsyntax-only -Wall -Wextra -D_GNU_SOURCE -Iinclude
	-DHOLDFAST_VERSION='""')
read -ra libraries < <(pkg-config --cflags p11-kit-1 sqlite3 libcbor)

while read -r header; do
	[ -f "$header" ] || continue
	if ! printf '#include "%s"\n' "$header" |
		gcc "${flags[@]}" "${libraries[@]}" -I. -x c -; then
		echo "$header does not compile alone" >&2
		failed=1
	fi
done < <(git ls-files -co --exclude-standard -- 'lib/*.h' 'keyd/*.h' \
	'tools/*.h' 'pkcs11/*.h' 'include/*.h')

if command -v g++ >/dev/null; then
	echo '#include <holdfast/holdfast.h>' |
		g++ -std=c++17 -fsyntax-only -Wall -Wextra -Iinclude -x c++ - ||
		failed=1
fi
exit "$failed"
