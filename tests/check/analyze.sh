#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gcc -fanalyzer over our own sources.
#   analyze.sh FILE...     all of them without arguments
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

read -ra libraries < <(pkg-config --cflags libcbor p11-kit-1 sqlite3 libsystemd libseccomp gnutls)
gcc=(ccache gcc)
command -v ccache >/dev/null || gcc=(gcc)

# Leaks: it loses sight of what reallocarray() gave when that is stored in a
# struct. LeakSanitizer watches for them in every test.
analyze() {
	local before=(-include tests/check/analyze.h) out=build/check/analyze
	[ "$1" != lib/err.c ] || before=() # it defines hf_fail()
	mkdir -p "$out/${1%/*}"
	"${gcc[@]}" -std=gnu17 -g -fanalyzer -Werror \
		-Wno-analyzer-malloc-leak \
		-D_GNU_SOURCE -DHOLDFAST_VERSION='"0"' \
		-DHOLDFAST_BINDIR='"/usr/bin"' \
		-DHOLDFAST_SBINDIR='"/usr/sbin"' \
		-DHOLDFAST_TLS_DIR='"/usr/lib/holdfast"' \
		-DHOLDFAST_MODULES='"/usr/lib/pkcs11"' \
		-Iinclude "${libraries[@]}" "${before[@]}" -c "$1" -o "$out/$1.o"
}

if [ $# = 0 ]; then
	git ls-files -co --exclude-standard -- 'lib/*.c' 'keyd/*.c' 'tools/*.c' \
		'pkcs11/*.c' | xargs -P "$(nproc)" -n 8 "$0"
	exit
fi
failed=0
for source; do
	analyze "$source" || failed=1
done
exit "$failed"
