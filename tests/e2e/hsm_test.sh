#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The HSM: initialisation, PINs, being away and coming back, the probe, and one
# that must not be used (p11_shim.c misbehaves on demand).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

MODULE=$E2E/p11_shim.so
export P11_FAULTS="$T/faults" P11_LOG="$T/p11.log"
printf data >"$T/data"
: >"$P11_LOG"
make_token
make_policy
make_config
logins() { grep -c " C_Login = " "$P11_LOG"; }
state() { json .hsm_state holdfast status; }
is_state() { [ "$(state)" = "$1" ]; }

# -- Initialisation --
holdfast hsm init >"$T/first" 2>>"$T/keyd.log" || fail "hsm init"
has "hsm init makes the master key" "Master key: version 1, made now" "$T/first"
expect "and writes the audit key" openssl pkey -pubin -in "$T/audit.pub" -noout
cp "$T/audit.pub" "$T/audit.pub.first"
holdfast hsm init >"$T/second" 2>>"$T/keyd.log" || fail "hsm init again"
has "a second time it finds it" "was there already" "$T/second"
expect "with the same audit key" cmp "$T/audit.pub" "$T/audit.pub.first"
is "the token holds one master key" 1 "$(pkcs11-tool --module "$MODULE" --login --pin 1234 \
	--list-objects --type secrkey 2>/dev/null | grep -c holdfast-master)"
pkcs11-tool --module "$MODULE" --login --pin 1234 --list-objects --type secrkey >"$T/objects" 2>/dev/null
is "none of its keys was ever extractable" "$(grep -c '^Secret Key Object' "$T/objects")" \
	"$(grep -c 'never extractable' "$T/objects")"
start_daemon
holdfast key create payments >/dev/null
holdfast key create inside --type ecdsa-p256 --level hsm >/dev/null
holdfast encrypt payments "$T/data" >"$T/sealed"
refuse "hsm init is refused while the service runs" 1 "another process is using it" holdfast hsm init

# -- The probe --
holdfast hsm probe >"$T/probe" || fail "hsm probe, online"
has "probe online: mechanisms" CKM_AES_GCM "$T/probe"
is "probe online: as JSON" works \
	"$(json '.mechanisms[] | select(.name == "CKM_AES_GCM") | .result' holdfast hsm probe | head -1)"
is "hsm status" "ready holdfast 1" \
	"$(json '"\(.state) \(.token) \(.master_version)"' holdfast hsm status)"
stop_daemon
holdfast hsm probe >"$T/probe" 2>>"$T/keyd.log" || fail "hsm probe, offline"
has "probe offline" CKM_AES_GCM "$T/probe"
expect "probe by URI and PIN source" quiet holdfast hsm probe \
	--uri "pkcs11:token=holdfast?module-path=/usr/lib/softhsm/libsofthsm2.so" --pin-source "file:$T/pin"
refuse "probe of a token that is not there" 1 "no token" timeout 50 holdfast hsm probe \
	--uri "pkcs11:token=elsewhere?module-path=/usr/lib/softhsm/libsofthsm2.so" --pin-source "file:$T/pin"

# -- PINs --
pin_from() { # pin_from SOURCE NAME
	sed -i "s|^  pin = .*|  pin = \"$1\"|" "$T/keyd.conf"
	start_daemon
	is "$2" data "$(holdfast decrypt payments "$T/sealed")"
	stop_daemon
}
export HSM_PIN=1234
pin_from env:HSM_PIN "PIN from the environment"
unset HSM_PIN
exec 7<"$T/pin"
pin_from fd:7 "PIN from a descriptor"
exec 7<&-
mkdir "$T/credentials"
cp "$T/pin" "$T/credentials/hsm-pin"
export CREDENTIALS_DIRECTORY="$T/credentials"
pin_from cred:hsm-pin "PIN from a systemd credential"
sed -i 's|^  pin = .*|  pin = "1234"|' "$T/keyd.conf"
refuse "a PIN in the configuration is refused" 1 "file:" holdfast-keyd --config "$T/keyd.conf" --check-config
! grep -q 1234 "$T/err" || fail "the message shows the PIN"
ok "and not shown"
sed -i 's|^  pin = .*|  pin = "file:nothing"|' "$T/keyd.conf"
refuse "a PIN file that is not there" 1 "nothing" holdfast-keyd --config "$T/keyd.conf"
sed -i 's|^  pin = .*|  pin = "file:pin"|' "$T/keyd.conf"
sed 's|module-path=|pin-value=1234\&module-path=|' "$T/keyd.conf" >"$T/pinned.conf"
refuse "a PIN in the URI is refused" 1 "PIN" holdfast-keyd --config "$T/pinned.conf"

echo 4321 >"$T/wrong"
refuse "hsm init with a wrong PIN" 1 "refused the PIN" holdfast hsm init --pin-source "file:$T/wrong"
echo 4321 >"$T/pin"
: >"$P11_LOG"
start_daemon
is "with a wrong PIN the service starts and says so" pin_refused "$(state)"
refuse "and gives the reason" 2 hsm_pin_refused holdfast decrypt payments "$T/sealed"
refuse "again and again" 2 hsm_pin_refused holdfast sign inside "$T/data"
sleep 1.5
is "but tries the PIN once" 1 "$(logins)"
stop_daemon
echo 1234 >"$T/pin"

# -- Away, and back --
mv "$T/tokens" "$T/away"
mkdir "$T/tokens"
start_daemon
is "without its HSM it starts" absent "$(state)"
is "and tells" degraded "$(json .state holdfast status)"
refuse "keys cannot be opened" 2 hsm_unavailable holdfast decrypt payments "$T/sealed"
rmdir "$T/tokens"
mv "$T/away" "$T/tokens"
until_true 15 is_state ready || fail "it does not find its HSM: $(state)"
is "when the HSM comes it recovers" data "$(holdfast decrypt payments "$T/sealed")"
expect "with its keys inside" quiet holdfast sign inside "$T/data"

echo no-token >"$P11_FAULTS"
refuse "the HSM is lost while it runs" 2 "hsm_" holdfast sign inside "$T/data"
is "what is open goes on" data "$(holdfast decrypt payments "$T/sealed")"
expect "and new data too" quiet holdfast encrypt payments "$T/data"
! is_state ready || fail "it does not see that it is lost"
rm "$P11_FAULTS"
until_true 15 is_state ready || fail "it does not come back: $(state)"
until_true 5 quiet holdfast sign inside "$T/data" || fail "signing after the HSM came back"
ok "and comes back by itself"
stop_daemon

# -- One that must not be used --
echo gcm-iv same >"$P11_FAULTS"
refuse "an HSM whose GCM repeats is refused at the start" 1 "AES-GCM" \
	holdfast-keyd --config "$T/keyd.conf"
refuse "by hsm init too" 1 "AES-GCM" holdfast hsm init
rm "$P11_FAULTS"
start_daemon
is "all is there after all that" data "$(holdfast decrypt payments "$T/sealed")"
expect "the audit log is whole" quiet holdfast audit verify "$T/audit.log"
echo "$checks checks"
