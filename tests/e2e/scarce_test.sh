#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Disks that are full, broken or read-only, no more descriptors, no more memory:
# each request is refused in words or served, none hangs, nothing acknowledged
# is lost, and all is well again once the cause is gone, without a restart.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/acked.sh
. "$(dirname "$0")/acked.sh"

if address_sanitizer; then
	skip "the address sanitizer has an allocator of its own"
fi

export IO_FAULTS=$T/faults MEMORY_FAULTS=$T/memory
head -c 4 /dev/zero >"$MEMORY_FAULTS"
PRELOAD="$E2E/io_shim.so:$E2E/memory_shim.so" start_service
quiet holdfast key create field
printf 'the plaintext' >"$T/data"
holdfast encrypt field "$T/data" >"$T/sealed"
n=0

# answered NAME: within 20 s, served or refused, by a daemon that lives
answered() {
	local name=$1 status=0
	shift
	timeout 20 "$@" >"$T/out" 2>"$T/err" || status=$?
	[ "$status" -lt 124 ] || fail "$name: no answer: $*"
	kill -0 "$DAEMON_PID" 2>/dev/null || fail "$name: the daemon died of: $*"
	return "$status"
}

# recovers NAME
recovers() {
	n=$((n + 1))
	rm -f "$IO_FAULTS"
	until_true 20 quiet holdfast key create "again-$n" || fail "$1: changes are not possible again"
	[ "$(holdfast decrypt field "$T/sealed")" = 'the plaintext' ] || fail "$1: decrypting afterwards"
	work "w$n" || fail "$1: work afterwards"
	check "$1"
}

# -- The store's disk: changes are refused, keys are used as before --
for fault in write:ENOSPC write:EIO write:EDQUOT sync:EIO "write:EROFS open:EROFS"; do
	for each in $fault; do
		echo "${each%:*} $T/state/ ${each#*:}"
	done >"$IO_FAULTS"
	answered "store $fault" holdfast key create refused && fail "store $fault: a key was made"
	grep -q "store" "$T/err" || fail "store $fault: says $(cat "$T/err")"
	answered "store $fault" holdfast key rotate field && fail "store $fault: it was rotated"
	answered "store $fault" holdfast encrypt field "$T/data" || fail "store $fault: $(cat "$T/err")"
	answered "store $fault" holdfast status || fail "store $fault: $(cat "$T/err")"
	recovers "store $fault"
	[ "$(json .latest_version holdfast key show field)" = 1 ] || fail "store $fault: it was rotated after all"
	answered "store $fault" holdfast key show refused && fail "store $fault: it was made after all"
	ok "store: $fault is refused, and over when it is over"
done

# -- The audit log's disk: nothing is done --
for fault in write:ENOSPC write:EIO sync:EIO; do
	echo "${fault%:*} $T/audit.log ${fault#*:}" >"$IO_FAULTS"
	answered "audit $fault" holdfast key create refused && fail "audit $fault: a key was made"
	grep -q audit_unavailable "$T/err" || fail "audit $fault: says $(cat "$T/err")"
	answered "audit $fault" holdfast encrypt field "$T/data" &&
		[ "$fault" != sync:EIO ] && fail "audit $fault: encrypted without a trace"
	recovers "audit $fault"
	ok "audit log: $fault is refused, and over when it is over"
done

# -- No more descriptors --
holders=()
mkfifo "$T/never"
exec 9<>"$T/never" # clients that send nothing, and stay
limit=$(awk '/Max open files/ { print $4 }' "/proc/$DAEMON_PID/limits")
open_now=$(find "/proc/$DAEMON_PID/fd" -mindepth 1 | wc -l)
prlimit --pid "$DAEMON_PID" --nofile=$((open_now + 4)):
for _ in 1 2 3 4 5 6 7 8; do
	"$E2E/nng_client" "ipc://$HOLDFAST_SOCKET" <"$T/never" >/dev/null 2>&1 &
	holders+=($!)
done
sleep 1
answered "descriptors" holdfast status || :
kill "${holders[@]}" 2>/dev/null || :
{ wait "${holders[@]}" || :; } 2>/dev/null
prlimit --pid "$DAEMON_PID" --nofile="$limit":
recovers "descriptors"
ok "no more descriptors: the daemon goes on with those that it has"

# -- No more memory: each Nth allocation fails --
memory() {
	printf '%b' "\\x$(printf %02x "$1")\\0\\0\\0" >"$T/number"
	dd if="$T/number" of="$MEMORY_FAULTS" conv=notrunc status=none
}
served=0 refused=0
for every in 2 3 5 7 11 13 17 19 23 29 37 47 61 83 127 251; do
	memory "$every"
	for request in "status" "key create m$every" "encrypt field $T/data" "decrypt field $T/sealed" \
		"key list" "key show field" "key rotate m$every" "hmac field $T/data" "key config m$every --deletion-allowed yes" \
		"alias set a$every --target field" "audit status"; do
		# shellcheck disable=SC2086 # words
		if answered "memory $every" holdfast $request; then
			served=$((served + 1))
		else
			refused=$((refused + 1))
		fi
	done
	memory 0
	recovers "memory $every"
done
[ "$refused" -gt 5 ] || fail "only $refused requests met an allocation that failed"
ok "no more memory: $refused requests were refused, $served served, and the daemon lives"
echo "$checks checks"
