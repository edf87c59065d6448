#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# flow.sh PROGRAM: no branch and no address depends on a secret (constant_time.c).
# What the caller is told, whether a padding is right and how long the message
# is, is no secret any more: those functions themselves are left out, by name,
# and what they call is not.
set -euo pipefail

program=$1
suppressions=$(mktemp)
trap 'rm -f "$suppressions"' EXIT
cat >"$suppressions" <<'END'
{
   told to the caller: right or not
   Memcheck:Cond
   fun:crypto_pkcs1_unpad
}
{
   the same
   Memcheck:Cond
   fun:crypto_oaep_unpad_as
}
END

watch() {
	valgrind -q --error-exitcode=9 --suppressions="$suppressions" "$program" flow "$@"
}

watch || {
	echo "FAILED: a branch or an address depends on a secret"
	exit 1
}
if watch leaky >/dev/null 2>&1; then
	echo "FAILED: a comparison that leaks was not noticed"
	exit 1
fi
echo "no branch and no address depends on a secret; one that does is noticed"
