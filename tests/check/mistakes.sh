#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What must not be in the sources, found by pattern.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

failed=0

# never WHY PATTERN FILE...: no line of the files may match
never() {
	local why=$1 pattern=$2 found
	shift 2
	[ $# -gt 0 ] || return 0
	if found=$(grep -nE -- "$pattern" /dev/null "$@"); then
		printf '%s:\n%s\n\n' "$why" "$found" >&2
		failed=1
	fi
}

# Files of git that match a pathspec, those that are not added yet included.
files() {
	git ls-files -co --exclude-standard -- "$@" | while read -r f; do
		[ -f "$f" ] && printf '%s\n' "$f"
	done
}

# except PATTERN: the lines of standard input that do not match
except() {
	grep -vE -- "$1" || :
}

mapfile -t sources < <(files 'lib/*.[ch]' 'keyd/*.[ch]' 'tools/*.[ch]' \
	'pkcs11/*.[ch]' 'include/*')
mapfile -t base < <(files 'lib/*.[ch]')
mapfile -t all < <(files '*.c' '*.h' '*.def' '*.sh' '*.cmake' '*CMakeLists.txt' \
	'tools/*' 'docs/*' 'conf/*' README.md)

# -- Functions that are too easy to use wrongly --

never "no bounds" \
	'\b(strcpy|strcat|sprintf|vsprintf|gets|stpcpy|alloca)\(' "${sources[@]}"
never "hidden state, or a shell" \
	'\b(strtok|system|popen|mktemp|tmpnam|asctime|ctime|gmtime|localtime)\(' \
	"${sources[@]}"
never "no way to tell a failure" '\b(atoi|atol|atof)\(' "${sources[@]}"
never "not for keys: use crypto_random" '\b(rand|srand|random|drand48)\(' \
	"${sources[@]}"

# Time that depends on the data: bytes_equal_ct where secrets are at hand.
mapfile -t secret < <(files 'lib/secret.c' 'keyd/crypto*.c' 'keyd/op_*.c' \
	'keyd/key*.c' 'keyd/record.c' 'keyd/text_form.c')
never "compares in a time that tells what it compared" \
	'\b(memcmp|bytes_equal|strcmp)\(.*(secret|plain|hmac|mac|pin|tag)' \
	"${secret[@]}"
never "memcmp where secrets are at hand" '\bmemcmp\(' "${secret[@]}"

# -- Layers --

never "the library speaks to nobody" \
	'\b(printf|fprintf|puts|fputs|perror|syslog|exit)\(' "${base[@]}"
never "a library below the daemon" '#include "(\.\./)?(keyd|tools|pkcs11)/' \
	"${base[@]}"

# door LIBRARY HEADERS DOORS: who may include its headers
door() {
	local found
	mapfile -t found < <(printf '%s\n' "${sources[@]}" | except "^($3)\$")
	never "$1 has its door elsewhere" "#include <($2)" "${found[@]}"
}

door libcbor 'cbor' 'lib/cbor_item\.c'
door nng 'nng/' 'tools/events\.c|tools/bench/nng\.c'
door SQLite 'sqlite3' 'keyd/store[a-z_]*\.[ch]'
door OpenSSL 'openssl/' 'keyd/crypto[a-z0-9_]*\.[ch]|keyd/tls_channel\.c|lib/stream_crypto\.c|tools/bench/(limit|tls)\.c'
door GnuTLS 'gnutls/' 'lib/tls_gnutls\.c'
door 'PKCS#11' 'p11-kit/' 'keyd/hsm[a-z_]*\.[ch]|pkcs11/cryptoki\.h'
door nettle 'nettle/' 'pkcs11/digest\.c'
door systemd 'systemd/' 'keyd/(daemon|chores|listener)\.c'

# -- Lists --

# An error that nothing gives is one that somebody handles in vain.
while read -r name; do
	echo "include/holdfast/err.def: nothing gives $name" >&2
	failed=1
done < <(comm -23 \
	<(sed -n 's/^HF_ERR(\([A-Z0-9_]*\),.*/HF_ERR_\1/p' include/holdfast/err.def | sort) \
	<(grep -hoE 'HF_ERR_[A-Z0-9_]+' "${sources[@]}" | sort -u))

# -- Housekeeping --

mapfile -t most < <(printf '%s\n' "${all[@]}" | except 'tests/check/mistakes\.sh')
never "say it in an issue" '\b(TODO|FIXME)\b' "${most[@]}"
mapfile -t code < <(files '*.c' '*.h' '*.def' '*.sh' '*CMakeLists.txt' '*.cmake' \
	'tools/quickstart' 'tools/check' 'tools/packages' '.ci/run' 'conf/*')
for f in "${code[@]}"; do
	if ! head -5 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' &&
		[ "$f" != conf/keyd.conf ]; then
		echo "$f: no SPDX line" >&2
		failed=1
	fi
done

exit "$failed"
