#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# stunnel serves with a key of the service.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

start_service
recipe stunnel "Set up"
recipe stunnel "Use it"
is "what the service says comes through" "through the tunnel" "$(cat "$T/out")"
is "by one signature" 1 "$(signatures tunnel stunnel4)"
stop_server "$R/stunnel.pid"

echo "1..$checks"
