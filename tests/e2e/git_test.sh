#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# git signs commits and tags with a key of the service.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
start_service
recipe git "The key"
recipe git Sign
is "commit and tag are signed by the key" 2 "$(signatures git-alice ssh-pkcs11-helper)"
recipe git Verify
is "and verify" 2 "$(grep -c 'Good "git" signature for alice@example.org' "$T/err")"
git -C "$T/git/project" commit -q --allow-empty -m 'Not signed'
refuse "a commit without a signature does not" 1 "" \
	git -C "$T/git/project" verify-commit HEAD

echo "1..$checks"
