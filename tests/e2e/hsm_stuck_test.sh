#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An HSM's library that hangs, and one that crashes, at every function that the
# daemon calls: the caller is told within the deadline, others go on, and the
# HSM works again without anybody's help. p11_shim.c does it before SoftHSM.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/hsm_lib.sh
. "$(dirname "$0")/hsm_lib.sh"

hsm_service 'deadline_ms = 1500' 'keepalive_ms = 3600000'

holdfast key create payments >/dev/null
holdfast key create outside --type rsa-2048 >/dev/null
holdfast key create inside --type ecdsa-p256 --level hsm >/dev/null
holdfast key create sealed --level hsm >/dev/null
holdfast key create resident --type ed25519 --level hsm >/dev/null
holdfast encrypt payments "$T/data" >"$T/payments"
holdfast encrypt sealed "$T/data" >"$T/sealed"
holdfast sign inside "$T/data" >/dev/null

# Keys of level wrapped, on the threads that read and on those that may wait.
go_on() {
	[ "$(holdfast decrypt payments "$T/payments")" = data ] &&
		quiet holdfast encrypt payments "$T/data" && quiet holdfast sign outside "$T/data"
}

opens_sealed() { [ "$(holdfast decrypt sealed "$T/sealed" 2>>"$T/err")" = data ]; }

# The same daemon, the HSM ready, and nothing lost.
whole() {
	until_true 20 is_state ready || fail "$1: $(status state): $(status reason)"
	kill -0 "$daemon" || fail "$1: the daemon is gone"
	# It may still be called ready while the worker that was killed is not buried,
	# and the next one come after a pause.
	until_true 20 opens_sealed || fail "$1: a ciphertext of level hsm"
	quiet holdfast sign inside "$T/data" || fail "$1: a key of level hsm"
	quiet holdfast sign resident "$T/data" || fail "$1: a resident key"
	go_on || fail "$1: keys of level wrapped"
}
daemon=$DAEMON_PID

# fault FUNCTION: what makes the daemon call it
use() {
	case $1 in
	C_Sign | C_SignInit) holdfast sign inside "$T/data" ;;
	C_Encrypt | C_EncryptInit) holdfast encrypt sealed "$T/data" ;;
	C_Decrypt | C_DecryptInit) holdfast decrypt sealed "$T/sealed" ;;
	C_GenerateRandom) holdfast random ;;
	C_DigestInit | C_Digest | C_DeriveKey) holdfast hsm probe ;;
	# Others are called when the HSM is connected.
	*) holdfast sign inside "$T/data" ;;
	esac
}

# told FUNCTION ACTION EXPECTED...: one of them
told() {
	local function=$1 action=$2 got before=
	shift 2
	case $function in
	C_Sign* | C_Encrypt* | C_Decrypt* | C_GenerateRandom | C_Digest* | C_DeriveKey) ;;
	*) before='C_SignInit 1 CKR_DEVICE_REMOVED' ;;
	esac
	faults "$before" "$function 1 $action"
	got=$(how timeout 60 bash -c "$(declare -f use); use $function")
	grep -q " $function $action " "$P11_LOG" || fail "$function was never called"
	[[ " $* " == *" $got "* ]] || fail "$function $action: the caller is told $got: $(cat "$T/err")"
	whole "$function $action"
	ok "$function: $action: $got, and then all is well"
}
export T P11_FAULTS

# -- One call that does not come back --
for function in C_SignInit C_Sign C_EncryptInit C_Encrypt C_DecryptInit C_Decrypt C_GenerateRandom; do
	told $function hang hsm_stuck
done
for function in C_Initialize C_GetSlotList C_GetTokenInfo C_OpenSession C_Login C_FindObjectsInit C_UnwrapKey; do
	told $function hang hsm_unavailable hsm_stuck timeout
done
has "the log says which operation" "did not come back from hsm_key_sign within" "$T/keyd.log"
has "or that it was connecting" "did not come back from connecting within" "$T/keyd.log"

# -- One of them holds up nobody else in the HSM, also where one thread had been
# enough for what is short --
for i in $(seq 60); do
	holdfast encrypt sealed "$T/data"
done >/dev/null
faults 'C_Sign 1 hang'
timeout 60 holdfast sign inside "$T/data" >"$T/hung" 2>&1 &
hung=$!
until_true 10 grep -q ' C_Sign hang ' "$P11_LOG" || fail "nothing hangs"
is "beside a call that hangs, others go on" data "$(holdfast decrypt sealed "$T/sealed")"
kill -0 "$hung" || fail "not while it hung: $(cat "$T/hung")"
wait "$hung" || true
rm "$P11_FAULTS"
whole "one that hung"

# -- While calls hang, on all sessions and then on all threads that wait --
faults 'C_Sign * hang'
for i in $(seq 12); do
	how timeout 60 holdfast sign inside "$T/data" >"$T/hung.$i" 2>&1 &
	pids[i]=$!
done
until_true 10 grep -q ' C_Sign hang ' "$P11_LOG" || fail "nothing hangs"
rounds=0
while kill -0 "${pids[1]}" 2>/dev/null || [ "$rounds" -lt 5 ]; do
	go_on || fail "keys of level wrapped, while calls to the HSM hang"
	rounds=$((rounds + 1))
done
wait "${pids[@]}"
ok "while calls hang, keys of level wrapped go on ($rounds times)"
told=$(cat "$T"/hung.* | sort -u | tr '\n' ' ')
[[ "hsm_stuck hsm_unavailable timeout busy " == *"${told%% *}"* ]] || fail "they were told $told"
ok "those that hung were told: $told"
[ "$(status state)" != ready ] || [ "$(status generation)" -gt 1 ] || fail "nobody noticed"
rm "$P11_FAULTS"
whole "after they hung"
ok "the HSM works again"

# -- Crashes: what does no harm is done again, and nobody is told. A worker that
# dies again and again is replaced after longer and longer pauses. --
stop_daemon
sed -i 's/deadline_ms = 1500/deadline_ms = 8000/' "$T/keyd.conf"
start_daemon
daemon=$DAEMON_PID
for function in C_SignInit C_Sign C_EncryptInit C_Encrypt C_DecryptInit C_Decrypt C_GenerateRandom; do
	told $function crash ok
done
told C_Sign abort ok
for function in C_Initialize C_GetSlotList C_GetTokenInfo C_GetMechanismInfo C_OpenSession C_CloseSession \
	C_CloseAllSessions C_Finalize C_Login C_CreateObject C_DestroyObject C_GenerateKey C_UnwrapKey \
	C_FindObjectsInit C_FindObjects C_FindObjectsFinal C_GetAttributeValue; do
	told $function crash ok hsm_unavailable
done
for function in C_DigestInit C_Digest C_DeriveKey; do
	told $function crash hsm_unavailable
done
has "the log says how it ended" "ended by signal 11" "$T/keyd.log"
faults 'C_Sign * crash'
is "one that crashes each time is not tried for ever" hsm_unavailable "$(how holdfast sign inside "$T/data")"
died=$(grep -c ' C_Sign crash ' "$P11_LOG")
[ "$died" -le 5 ] || fail "$died workers died of one request"
ok "$died workers died of it, or of signing when they connected"
rm "$P11_FAULTS"
whole "after crashes"

# -- A key that is made as the library ends: no key, no harm --
for function in C_GenerateKeyPair C_WrapKey; do
	for action in crash 'after crash'; do
		faults "$function 1 $action"
		is "made while the library dies ($function, $action)" hsm_unavailable \
			"$(how holdfast key create "lost" --type ecdsa-p256 --level hsm)"
		is "there is no such key" key_not_found "$(how holdfast sign lost "$T/data")"
		whole "$function $action"
	done
done
expect "and it can be made" quiet holdfast key create lost --type ecdsa-p256 --level hsm

# -- The process itself --
kill -STOP "$(worker)"
is "a worker that is stopped" hsm_stuck "$(how holdfast sign inside "$T/data")"
whole "a stopped worker"
kill -KILL "$(worker)"
is "a worker that is killed: nobody is told" ok "$(how holdfast sign inside "$T/data")"
whole "a killed worker"
# In its sandbox the daemon cannot start another host: it ends, and whoever
# started it starts it again.
kill -KILL "$(pgrep -P "$DAEMON_PID")"
ended() { ! kill -0 "$DAEMON_PID" 2>/dev/null; }
replaced() { [ -n "$(worker)" ] && is_state ready; }
settled() { ended || replaced; }
until_true 20 settled || fail "without a host it goes on, $(status state)"
if ended; then
	wait "$DAEMON_PID" || true
	start_daemon
	daemon=$DAEMON_PID
fi
whole "a killed host"
ok "a host that is killed comes back, with the daemon if need be"
host=$(pgrep -P "$DAEMON_PID") worker=$(worker)
is "neither has the PIN in its environment" "" \
	"$(tr '\0' '\n' <"/proc/$worker/environ" | grep -a 1234 || true)"
is "nor do they write core dumps" "0 0" "$(for p in $host $worker; do
	awk '/Max core file size/ { printf "%s ", $5 }' "/proc/$p/limits"
done | sed 's/ $//')"
kill -KILL "$DAEMON_PID"
wait "$DAEMON_PID" 2>/dev/null || true
DAEMON_PID=
gone() { ! kill -0 "$host" 2>/dev/null && ! kill -0 "$worker" 2>/dev/null; }
until_true 5 gone || fail "they outlive the daemon"
ok "when the daemon is killed they go, too"
start_daemon
daemon=$DAEMON_PID
whole "the next daemon"
worker=$(worker)
stop_daemon
! kill -0 "$worker" 2>/dev/null || fail "a worker outlives its daemon"
ok "and when it is stopped"

# -- A sign of life that does not come back, and nobody waits for it --
sed -i 's/deadline_ms = 8000/deadline_ms = 1000/; s/keepalive_ms = .*/keepalive_ms = 200/' "$T/keyd.conf"
start_daemon
daemon=$DAEMON_PID
for action in hang crash; do
	worker=$(worker)
	faults "C_GetSessionInfo 1 $action"
	another() { [ "$(worker)" != "$worker" ]; }
	until_true 30 another || fail "nobody noticed: $action"
	whole "the sign of life: $action"
	ok "the sign of life does not come back ($action): noticed without a request"
done
# -- With the library inside nobody can be killed: a stop comes to its end all
# the same, whichever thread hangs --
stop_daemon
rm -f "$P11_FAULTS"
sed -i 's/deadline_ms = .*/deadline_ms = 1000/; s/keepalive_ms = .*/keepalive_ms = 3600000/' "$T/keyd.conf"
hsm_setting 'process = "inside"'
echo 'drain_seconds = 1' >>"$T/keyd.conf"
for function in C_Sign C_GenerateKeyPair; do
	start_daemon
	faults "$function 1 hang"
	case $function in
	C_Sign) timeout 60 holdfast sign inside "$T/data" >/dev/null 2>&1 & ;;
	*) timeout 60 holdfast key create stuck --type ecdsa-p256 --level hsm >/dev/null 2>&1 & ;;
	esac
	hung=$!
	until_true 10 grep -q " $function hang " "$P11_LOG" || fail "nothing hangs in $function"
	kill -TERM "$DAEMON_PID"
	until_true 60 ended || fail "a stop waits for ever for $function"
	wait "$DAEMON_PID" || true
	DAEMON_PID=
	wait "$hung" || true
	rm "$P11_FAULTS"
	ok "the library hangs inside in $function: the daemon stops"
done
# A checkpoint of the audit log is signed by the thread that signals go to.
sed -i 's/checkpoint_seconds = .*/checkpoint_seconds = 1/' "$T/keyd.conf"
start_daemon
faults 'C_Sign * hang'
go_on || fail "keys of level wrapped"
until_true 20 grep -q ' C_Sign hang ' "$P11_LOG" || fail "no checkpoint"
kill -TERM "$DAEMON_PID"
until_true 60 ended || fail "a stop that nobody hears of"
wait "$DAEMON_PID" || true
DAEMON_PID=
rm "$P11_FAULTS"
ok "the library hangs inside in the main thread: the daemon stops"
start_daemon
until_true 20 is_state ready || fail "after a stop: $(status state)"
expect "and starts again, whole" opens_sealed
expect "the audit log is whole" quiet holdfast audit verify "$T/audit.log"
echo "$checks checks"
