# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests with two HSMs, "left" and "right": tokens of one SoftHSM, of which
# single ones can be taken away. After lib.sh.
MODULE=$E2E/p11_two_shim.so
export P11_AWAY="$T/away"

make_two_tokens() {
	make_token
	softhsm2-util --init-token --free --label right --so-pin 5678 --pin 1234 >/dev/null
}

# hsm_block NAME TOKEN
hsm_block() {
	printf 'hsm "%s" {\n  uri = "pkcs11:token=%s?module-path=%s"\n  pin = "file:pin"\n  deadline_ms = 1000\n}\n' \
		"$1" "$2" "$MODULE"
}

# two_config NAME=TOKEN...: a keyd.conf with these HSMs
two_config() {
	local one
	make_config 'hsm_return_seconds = 1' "${MORE_CONFIG:-}"
	sed -i '/^hsm {/,/^}/d' "$T/keyd.conf"
	for one in "$@"; do
		hsm_block "${one%%=*}" "${one#*=}" >>"$T/keyd.conf"
	done
}

take_away() { printf '%s\n' "$@" >"$P11_AWAY"; }
give_back() { rm -f "$P11_AWAY"; }

# of_hsm NAME FIELD
of_hsm() {
	json ".devices[] | select(.name == \"$1\") | .$2" holdfast hsm status
}
role_is() { [ "$(of_hsm "$1" role)" = "$2" ]; }
# until_role NAME ROLE
until_role() {
	until_true 20 role_is "$1" "$2" || fail "HSM $1 is $(of_hsm "$1" role), not $2"
}
state_is() { [ "$(json .state holdfast status)" = "$1" ]; }
# master_keys LABEL: how many master keys that token holds
master_keys() {
	pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label "$1" --login --pin 1234 \
		--list-objects --type secrkey 2>/dev/null | grep -c 'label:.*holdfast-master' || :
}
