#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Keys that stay in the HSM (Ed25519, which SoftHSM cannot wrap), and a daemon
# that ends between their making and the commit of their record: the next one
# destroys them, and nothing else in the token.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/hsm_lib.sh
. "$(dirname "$0")/hsm_lib.sh"

# Inside the daemon the library can take it along.
hsm_service 'process = "inside"'
soft=/usr/lib/softhsm/libsofthsm2.so
private_keys() {
	pkcs11-tool --module "$soft" --login --pin 1234 --list-objects --type privkey 2>/dev/null |
		grep -c '^Private Key Object' || true
}

holdfast key create kept --type ed25519 --level hsm >/dev/null
quiet holdfast sign kept "$T/data"
stop_daemon
pkcs11-tool --module "$soft" --login --pin 1234 --keypairgen --key-type EC:prime256v1 \
	--label somebody-elses --id 4242 >/dev/null 2>&1 || fail "somebody else's key"
before=$(private_keys) # the audit key, ours, and theirs
is "the token holds the audit key, ours, and somebody else's" 3 "$before"

# The first pair is the one that cannot be wrapped, the second stays.
start_daemon
faults 'C_GenerateKeyPair 2 after crash'
! timeout 10 holdfast key create orphan --type ed25519 --level hsm >/dev/null 2>&1 ||
	fail "it was made?"
ok "nobody was told that the key is there"
wait "$DAEMON_PID" 2>/dev/null || true
DAEMON_PID=
rm "$P11_FAULTS"
is "it is left behind in the token" $((before + 1)) "$(private_keys)"
start_daemon
until_true 10 grep -q "were looked for in the HSM and destroyed" "$T/keyd.log" ||
	fail "the next daemon does not look for it"
is "its name is free" key_not_found "$(how holdfast sign orphan "$T/data")"
is "what has a record works" ok "$(how holdfast sign kept "$T/data")"
stop_daemon
is "the next daemon destroyed it, and nothing else" "$before" "$(private_keys)"

# Once is enough.
: >"$T/keyd.log"
start_daemon
stop_daemon
! grep -q "were looked for" "$T/keyd.log" || fail "it looks again"
ok "a start after that looks for nothing"

# With a worker the daemon lives on, and sees to it itself.
sed -i '/process = /d' "$T/keyd.conf"
start_daemon
faults 'C_GenerateKeyPair 2 after crash' '# another file, counted anew'
is "the library crashed after it made the key" hsm_unavailable \
	"$(how holdfast key create orphan --type ed25519 --level hsm)"
rm "$P11_FAULTS"
until_true 10 is_state ready || fail "the HSM stays $(status state)"
stop_daemon
start_daemon # what could not be destroyed then is destroyed now
stop_daemon
is "nothing is left of it either" "$before" "$(private_keys)"
start_daemon
expect "it can be made now" quiet holdfast key create orphan --type ed25519 --level hsm
expect "and used" quiet holdfast sign orphan "$T/data"
stop_daemon
is "and stays" $((before + 1)) "$(private_keys)"
start_daemon
expect "also after another start" quiet holdfast sign orphan "$T/data"
echo "$checks checks"
