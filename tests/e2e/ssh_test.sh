#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# OpenSSH: agent, login, host key and certificate authority.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

start_service


recipe ssh "A user's key"
has "the public key is that of the key" ecdsa-sha2-nistp256 "$R/alice.pub"
is "the agent signs with it" 1 "$(signatures ssh-alice ssh-pkcs11-helper)"

recipe ssh "A host's key"
recipe ssh "Log in"
is "logged in with the agent and without" 2 "$(grep -c '^logged in$' "$T/out")"
is "the agent signed for one" 2 "$(signatures ssh-alice ssh-pkcs11-helper)"
is "the host signed too" 2 "$(signatures ssh-host)"

recipe ssh "A certificate authority"
has "logged in with a certificate" "logged in" "$T/out"
has "of the authority in the service" "$(ssh-keygen -lf "$R/ca.pub" | cut -d' ' -f2)" \
	<(ssh-keygen -Lf "$R/bob-cert.pub")


is "the policy on the page suffices" "" "$(
	for key in ssh-alice ssh-host ssh-ca; do
		holdfast policy test --user nobody transit.sign "$key" >/dev/null || echo "$key"
	done
)"

echo "1..$checks"
