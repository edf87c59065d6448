#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The habits of other vendors' HSMs, through p11_shim.c before SoftHSM: what
# works, what does not, and what the probe says of it. A service for each.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/hsm_lib.sh
. "$(dirname "$0")/hsm_lib.sh"

begin_anew() {
	stop_daemon
	rm -rf "$T/state" "$T/tokens" "$T/audit.log" "$T/audit.pub" "$P11_FAULTS"
	make_token
	make_policy
	make_config
}

tamper() {
	local whole other=A
	whole=$(cat "$1")
	[ "${whole:30:1}" != A ] || other=B
	echo "${whole:0:30}$other${whole:31}"
}

# vendor NAME ENCRYPT WRAP QUIRK TRAIT...: what comes of encrypting with a key
# of level hsm; whether such keys are wrapped or resident; a text of the probe
vendor() {
	local name=$1 encrypt=$2 wrap=$3 quirk=$4 type resident
	shift 4
	begin_anew
	faults "$@"
	holdfast-keyd --config "$T/keyd.conf" --init >/dev/null 2>>"$T/keyd.log" || fail "$name: --init"
	start_daemon
	is_state ready || fail "$name: $(status state) $(status reason)"
	for type in aes256-gcm96 ecdsa-p256 ed25519 rsa-2048 hmac; do
		# SoftHSM gives CKR_GENERAL_ERROR now and then when it writes an
		# object while another thread looks at the token.
		quiet holdfast key create "$type" --type "$type" --level hsm 2>/dev/null ||
			quiet holdfast key create "$type" --type "$type" --level hsm || fail "$name: making $type"
	done
	for type in ecdsa-p256 ed25519 rsa-2048; do
		holdfast sign "$type" "$T/data" >"$T/signature" || fail "$name: signing with $type"
		quiet holdfast verify "$type" "$T/data" --signature "$(cat "$T/signature")" ||
			fail "$name: a signature by $type"
	done
	quiet holdfast hmac hmac "$T/data" || fail "$name: hmac"
	[ "$(how holdfast encrypt aes256-gcm96 "$T/data")" = "$encrypt" ] ||
		fail "$name: encrypting: $(cat "$T/err")"
	if [ "$encrypt" = ok ]; then
		cp "$T/out" "$T/sealed"
		[ "$(holdfast decrypt aes256-gcm96 "$T/sealed")" = data ] || fail "$name: decrypting"
		tamper "$T/sealed" >"$T/tampered"
		[ "$(how holdfast decrypt aes256-gcm96 "$T/tampered")" = authentication_failed ] ||
			fail "$name: what was changed: $(cat "$T/err")"
	fi
	# Ed25519 is resident on SoftHSM in any case; the others where nothing wraps.
	quiet holdfast key create wrapped
	holdfast encrypt wrapped "$T/data" >"$T/sealed"
	holdfast hsm probe >"$T/probe" || fail "$name: the probe"
	[ -z "$quirk" ] || grep -qF -- "$quirk" "$T/probe" || fail "$name: the probe says nothing of '$quirk'"
	stop_daemon
	resident=$(pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --login --pin 1234 \
		--list-objects --type privkey 2>/dev/null | grep -c '^Private Key Object')
	if [ "$wrap" = wrapped ]; then
		[ "$resident" = 2 ] || fail "$name: $resident private keys in the token"
	else
		[ "$resident" = 4 ] || fail "$name: $resident private keys in the token"
	fi
	# The next start finds everything again.
	start_daemon
	[ "$(holdfast decrypt wrapped "$T/sealed")" = data ] || fail "$name: after a restart"
	quiet holdfast sign rsa-2048 "$T/data" || fail "$name: signing after a restart"
	is_state ready || fail "$name: $(status state)"
	ok "$name: encrypting $encrypt, keys $wrap"
}

# unsuitable NAME TEXT TRAIT...: the service does not start with it, and says why
unsuitable() {
	local name=$1 text=$2
	shift 2
	begin_anew
	faults "$@"
	refuse "$name: not with us" 1 "$text" holdfast-keyd --config "$T/keyd.conf" --init
	refuse "$name: not at a start" 1 "$text" holdfast-keyd --config "$T/keyd.conf"
}

kwp='goes by the number of CKM_AES_KEY_WRAP_PAD'
vendor "SoftHSM 2.6.1" ok wrapped "$kwp" '# none'
vendor "SoftHSM 2.7.0, Utimaco: another error, some objects at a time" ok wrapped "$kwp" \
	'gcm-error CKR_ENCRYPTED_DATA_INVALID' 'find-batch 1'
vendor "PKCS#11 3.0: key wrapping under its own number" ok wrapped "" 'kwp 0x210B'
vendor "0x210A is another padding" ok resident "stay resident" 'kwp other'
vendor "Luna, firmware 7.9.3: its own nonce of 12 bytes follows the tag" hsm_mechanism wrapped \
	"makes the nonce of AES-GCM and appends it" 'gcm-iv luna12' \
	'gcm-error CKR_ENCRYPTED_DATA_INVALID' 'kwp 0x210B'
vendor "nShield: zeros in, its own nonce comes back" hsm_mechanism wrapped \
	"makes the nonce of AES-GCM and writes it back" 'gcm-iv nshield' 'gcm-error CKR_FUNCTION_FAILED'
vendor "CloudHSM: the same, later, and nothing wraps" hsm_mechanism resident \
	"makes the nonce of AES-GCM and writes it back" 'gcm-iv cloudhsm' 'kwp none'
vendor "YubiHSM's sixteen sessions" ok wrapped "$kwp" 'sessions 16'
vendor "two sessions" ok wrapped "$kwp" 'sessions 2'
unsuitable "Luna in FIPS mode, a nonce of 16 bytes" "nonces of 16 bytes" 'gcm-iv luna'
unsuitable "no AES-GCM: SmartcardHSM, YubiHSM 2, Google's kmsp11" AES-GCM 'without 0x1087'
unsuitable "one session" "one session" 'sessions 1'
echo "$checks checks"
