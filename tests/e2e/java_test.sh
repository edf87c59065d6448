#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Java: keytool, jarsigner and a program that signs.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

# It need not be fast, and starts quicker this way.
export JAVA_TOOL_OPTIONS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
start_service
recipe java "A key with a certificate"
recipe java "The provider"
has "keytool lists the key" "release, PrivateKeyEntry" "$T/out"
expect "and makes a request signed by it" quiet \
	openssl req -in "$R/release.csr" -noout -verify
recipe java "Sign a jar"
has "the jar that jarsigner signed verifies" "jar verified." "$T/out"
recipe java "Sign in a program"
has "and so does what a program signed" "Verified OK" "$T/out"
is "each with one signature" 3 "$(($(signatures release keytool) +
	$(signatures release jarsigner) + $(signatures release java)))"

echo "1..$checks"
