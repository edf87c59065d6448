#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the HSM may do to us: every class of error at each step of an operation,
# sessions that run out or grow old, objects and slots that go away, through
# p11_shim.c before SoftHSM. Each row says what the caller is told, how often
# the call is made, and whether there is a new connection.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/hsm_lib.sh
. "$(dirname "$0")/hsm_lib.sh"

hsm_service 'deadline_ms = 8000'

holdfast key create payments >/dev/null
holdfast key create inside --type ecdsa-p256 --level hsm >/dev/null
holdfast key create sealed --level hsm >/dev/null
holdfast key create resident --type ed25519 --level hsm >/dev/null
holdfast encrypt payments "$T/data" >"$T/payments"
holdfast encrypt sealed "$T/data" >"$T/sealed"
holdfast sign inside "$T/data" >/dev/null

# -- The classes of errors: a signature whose call fails once, and always --

# row CLASS FUNCTION ONCE CALLS GENERATIONS ALWAYS CALLS VALUE...
row() {
	local class=$1 function=$2 once=$3 calls=$4 generations=$5 always=$6 all_calls=$7 value before
	shift 7
	for value in "$@"; do
		before=$(status generation)
		faults "$function 1 $value"
		[ "$(how holdfast sign inside "$T/data")" = "$once" ] ||
			fail "$class: $value once from $function: $(cat "$T/err")"
		[ "$(called "$function")" = "$calls" ] ||
			fail "$class: $value once: $(called "$function") calls of $function"
		is_state ready || fail "$class: $value once: $(status state)"
		[ "$(status generation)" = $((before + generations)) ] ||
			fail "$class: $value once: $(($(status generation) - before)) connections"
		faults "$function * $value"
		[ "$(how holdfast sign inside "$T/data")" = "$always" ] ||
			fail "$class: $value always from $function: $(cat "$T/err")"
		[ "$(called "$function")" = "$all_calls" ] ||
			fail "$class: $value always: $(called "$function") calls of $function"
		[ "$(holdfast decrypt payments "$T/payments")" = data ] ||
			fail "$class: $value always: keys of level wrapped"
		calm "$class: $value"
		quiet holdfast sign inside "$T/data" || fail "$class: after $value"
	done
	ok "$class, $function: $once in $calls calls and $generations connections; always: $always in $all_calls: $*"
}

for function in C_SignInit C_Sign; do
	row data $function bad_input 1 0 bad_input 1 CKR_DATA_INVALID CKR_DATA_LEN_RANGE
	row data $function hsm_mechanism 1 0 hsm_mechanism 1 \
		CKR_MECHANISM_INVALID CKR_MECHANISM_PARAM_INVALID CKR_KEY_TYPE_INCONSISTENT
	row data $function hsm_refused 1 0 hsm_refused 1 CKR_KEY_FUNCTION_NOT_PERMITTED \
		CKR_ATTRIBUTE_VALUE_INVALID CKR_TEMPLATE_INCONSISTENT CKR_BUFFER_TOO_SMALL
	row "ambiguous, and the known answer is right" $function hsm_refused 1 0 hsm_refused 1 \
		CKR_GENERAL_ERROR CKR_FUNCTION_FAILED 0x80000001
	row session $function ok 2 0 hsm_unavailable 4 CKR_SESSION_HANDLE_INVALID \
		CKR_SESSION_CLOSED CKR_OPERATION_ACTIVE CKR_OPERATION_NOT_INITIALIZED
	row handle $function ok 2 0 hsm_refused 4 CKR_OBJECT_HANDLE_INVALID CKR_KEY_HANDLE_INVALID
	row login $function ok 2 1 hsm_unavailable 4 CKR_USER_NOT_LOGGED_IN
	row device $function ok 2 1 hsm_unavailable 4 CKR_DEVICE_ERROR CKR_DEVICE_REMOVED \
		CKR_DEVICE_MEMORY CKR_HOST_MEMORY CKR_TOKEN_NOT_PRESENT \
		CKR_TOKEN_NOT_RECOGNIZED CKR_CRYPTOKI_NOT_INITIALIZED CKR_SLOT_ID_INVALID
done

# -- Bad data or a sick token --

# With another letter in the middle.
whole=$(cat "$T/sealed")
other=A
[ "${whole:30:1}" != A ] || other=B
echo "${whole:0:30}$other${whole:31}" >"$T/tampered"
generation=$(status generation)
for answer in CKR_GENERAL_ERROR CKR_FUNCTION_FAILED CKR_ENCRYPTED_DATA_INVALID 0x80000002; do
	faults "gcm-error $answer"
	is "a ciphertext that was changed, answered with $answer" authentication_failed \
		"$(how holdfast decrypt sealed "$T/tampered")"
done
is "and nobody takes the HSM for sick" "$generation ready" "$(status generation) $(status state)"
faults 'C_Decrypt * CKR_GENERAL_ERROR'
is "a token that fails its known answer" hsm_unavailable "$(how holdfast decrypt sealed "$T/sealed")"
[ "$(status generation)" = "$generation" ] || fail "a sick token was connected"
! is_state ready || fail "a sick token is called ready"
has "is said to be sick" "CKR_GENERAL_ERROR" <(holdfast hsm status)
is "and the service goes on" data "$(holdfast decrypt payments "$T/payments")"
is "in its state of need" degraded "$(json .state holdfast status)"
calm "a sick token"
is "and afterwards all is well" data "$(holdfast decrypt sealed "$T/sealed")"

# -- Every step of a connection, failing once --
for step in Initialize GetSlotList GetTokenInfo OpenSession Login GenerateRandom GenerateKey \
	EncryptInit Encrypt DecryptInit Decrypt CreateObject UnwrapKey; do
	for value in CKR_DEVICE_ERROR CKR_GENERAL_ERROR; do
		faults 'C_SignInit 1 CKR_DEVICE_REMOVED' "C_$step 1 $value"
		is "a connection whose first C_$step answers $value" ok "$(how holdfast sign inside "$T/data")"
	done
done
for value in CKR_PIN_INCORRECT CKR_PIN_LOCKED; do
	faults 'C_SignInit 1 CKR_DEVICE_REMOVED' "C_Login * $value"
	is "a connection whose login answers $value" hsm_pin_refused "$(how holdfast sign inside "$T/data")"
	sleep 1
	is "is not tried again" "1 pin_refused" "$(called C_Login) $(status state)"
	has "and says why" "$value" <(holdfast hsm status)
	kill -KILL "$(pgrep -P "$(pgrep -P "$DAEMON_PID")")"
	sleep 1
	is "nor when its process is killed" "1 pin_refused" "$(called C_Login) $(status state)"
	is "what is open goes on" data "$(holdfast decrypt payments "$T/payments")"
	rm -f "$P11_FAULTS"
	stop_daemon
	start_daemon
	calm "a PIN that was refused"
done
stop_daemon
echo 4321 >"$T/pin"
sed -i 's/deadline_ms = 8000/deadline_ms = 1000/' "$T/keyd.conf"
faults 'C_Login 1 after hang'
start_daemon
until_true 30 is_state pin_refused || fail "a refusal that was not heard: $(status state)"
is "a wrong PIN whose refusal was not heard is not tried again" 1 \
	"$(grep -c ' C_Login ' "$P11_LOG")"
rm -f "$P11_FAULTS"
stop_daemon
echo 1234 >"$T/pin"
sed -i 's/deadline_ms = 1000/deadline_ms = 8000/' "$T/keyd.conf"
start_daemon
calm "the right PIN"

# -- Sessions --
fresh() { # fresh TRAIT...: a daemon that begins with them
	stop_daemon
	faults "$@"
	start_daemon
	is_state ready || fail "$*: $(status state) $(status reason)"
}

# All at once; what came of each.
many() {
	local i
	for i in $(seq "$1"); do
		(holdfast sign inside "$T/data" >/dev/null 2>"$T/many.$i" && echo ok >"$T/many.$i") &
		pids[i]=$!
	done
	wait "${pids[@]}"
	cat "$T"/many.* | sort | uniq -c | sed 's/^ *//'
	rm "$T"/many.*
}
fresh 'sessions 2 hidden'
is "a limit of two sessions that nobody tells: calls take turns" "12 ok" "$(many 12)"
is "without a new connection" "1 ready" "$(status generation) $(status state)"
stop_daemon
hsm_setting 'keepalive_ms = 200'
fresh 'idle 1000'
sleep 2.5
is "sessions are kept alive" "1 ready" "$(status generation) $(status state)"
is "and of use" "ok ok" "$(how holdfast sign inside "$T/data") $(how holdfast sign resident "$T/data")"
stop_daemon
sed -i '/keepalive_ms/d' "$T/keyd.conf"
hsm_setting 'keepalive_ms = 3600000'
fresh 'idle 1000'
for try in 1 2; do
	sleep 1.5
	is "all of them closed, time $try: no caller is told" "ok ok ok" \
		"$(how holdfast sign inside "$T/data") $(how holdfast decrypt sealed "$T/sealed") $(how holdfast sign resident "$T/data")"
done
is "it was found again" ready "$(status state)"

# -- Another slot --
generation=$(status generation)
faults 'slot 7'
is "plugged in again, under another number" ok "$(how holdfast sign inside "$T/data")"
is "found by its serial" $((generation + 1)) "$(status generation)"
faults 'slot 0'
is "and back" ok "$(how holdfast sign inside "$T/data")"
stop_daemon
sed -i '/keepalive_ms/d' "$T/keyd.conf"
hsm_setting 'keepalive_ms = 300'

# -- What vanishes --
fresh '# nothing'
faults 'vanish holdfast-master'
is "the master key vanishes: no new keyring" hsm_uninitialized "$(how holdfast keyring create late)"
until_true 10 is_state incomplete || fail "it stays $(status state)"
has "which is told" "does not hold the master key" <(holdfast hsm status)
is "the service is degraded" degraded "$(json .state holdfast status)"
is "keys of both levels go on" "ok ok ok" \
	"$(how holdfast sign inside "$T/data") $(how holdfast decrypt sealed "$T/sealed") $(how holdfast decrypt payments "$T/payments")"
sleep 1
connections=$(called C_Initialize)
[ "$connections" -le 1 ] || fail "looking for it cost $connections connections"
ok "and it is looked for without connecting again and again"
calm "the master key is back"
is "it is found" ok "$(how holdfast keyring create late)"
stop_daemon
faults 'vanish *'
start_daemon
until_true 10 is_state incomplete || fail "without any of them at the start: $(status state)"
ok "without any of them at the start: incomplete"
is "nothing opens" hsm_uninitialized "$(how holdfast decrypt payments "$T/payments")"
calm "all is back"
until_true 15 holdfast decrypt payments "$T/payments" || fail "not opened again: $(holdfast status)"
ok "when they are back the service goes on by itself"

# -- An outcome that nobody knows --
for function in C_GenerateKeyPair C_WrapKey C_UnwrapKey C_GetAttributeValue; do
	faults "$function 1 after CKR_DEVICE_ERROR"
	got=$(how holdfast key create "lost-$function" --type ecdsa-p256 --level hsm)
	calm "$function"
	if [ "$got" = ok ]; then
		quiet holdfast sign "lost-$function" "$T/data" || fail "$function: made, and it does not sign"
	else
		is "$function is done, and its answer lost: there is no key" key_not_found \
			"$(how holdfast sign "lost-$function" "$T/data")"
	fi
done
is "what was made before is all there" "ok ok ok data" \
	"$(how holdfast sign inside "$T/data") $(how holdfast decrypt sealed "$T/sealed") $(how holdfast sign resident "$T/data") $(holdfast decrypt payments "$T/payments")"
expect "and the audit log is whole" quiet holdfast audit verify "$T/audit.log"
echo "$checks checks"
