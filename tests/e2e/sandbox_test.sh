#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The sandbox: the daemon does all of its work in it, and somebody else's code in
# its process cannot write elsewhere, start programs or reach other machines.
# (That all other tests run under the filter of system calls is the default.)
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$T/run" "$T/outside"
echo mine >"$T/outside/victim"
make_token
make_policy
make_config 'sandbox {' '  files = "on"' '  calls = "on"' '}'
sed -i 's:^socket = .*:socket = "run/keyd.sock":; s:^events = .*:events = "ipc\://run/events.sock":; s:"audit:"run/audit:' "$T/keyd.conf"
sed -i "s:ipc\\://run:ipc\\://$T/run:" "$T/keyd.conf"
export HOLDFAST_SOCKET=$T/run/keyd.sock HOLDFAST_EVENTS=ipc://$T/run/events.sock
if ! python3 -c 'import ctypes; exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 1)'; then
	refuse "a kernel without Landlock" 1 "Landlock" holdfast-keyd --config "$T/keyd.conf"
	skip "the kernel has no Landlock"
fi
holdfast-keyd --config "$T/keyd.conf" --init >/dev/null 2>>"$T/keyd.log"

export ESCAPE_WHEN=$T/escape ESCAPE_LOG=$T/state/escape.log ESCAPE_FOLDER=$T/outside ESCAPE_PORT=9
PRELOAD=$E2E/escape_shim.so start_daemon

# -- All of its work --
printf 'the plaintext' >"$T/data"
for level in wrapped hsm; do
	quiet holdfast key create "$level" --level "$level"
	holdfast encrypt "$level" "$T/data" >"$T/sealed-$level"
	is "level $level" 'the plaintext' "$(holdfast decrypt "$level" "$T/sealed-$level")"
done
quiet holdfast key create later --type ed25519
quiet holdfast key rotate wrapped
quiet holdfast hsm rotate-master
quiet holdfast policy reload
mv "$T/run/audit.log" "$T/run/audit.log.1"
kill -HUP "$DAEMON_PID"
until_true 10 test -s "$T/run/audit.log" || fail "no new audit log"
expect "keys, rotations, reloads and a new audit log" holdfast audit verify "$T/run/audit.log.1" "$T/run/audit.log"
expect "a copy of the store" holdfast-keyd --config "$T/keyd.conf" --backup "$T/copy"
worker=$(pgrep -P "$(pgrep -P "$DAEMON_PID" | head -1)" | head -1)
[ -n "$worker" ] || fail "there is no worker"
kill -9 "$worker"
until_true 20 holdfast decrypt hsm "$T/sealed-hsm" || fail "no new worker"
ok "a worker that dies is replaced"
status=$(grep -E '^(NoNewPrivs|Seccomp):' "/proc/$DAEMON_PID/status" | tr -d '\n\t')
is "the kernel says so" 'NoNewPrivs:1Seccomp:2' "$status"

# -- What somebody else's code could not --
touch "$T/escape"
quiet holdfast status
until_true 10 grep -q unshare "$ESCAPE_LOG" || fail "nothing was tried"
while IFS=: read -r what want; do
	is "$what" "$what:$want" "$(grep "^$what:" "$ESCAPE_LOG")"
done <<-END
	make a file: Permission denied
	make a folder: Operation not permitted
	make a link: Operation not permitted
	write a file: Permission denied
	remove a file: Permission denied
	read a file: ok
	new process: Operation not permitted
	mknod: Operation not permitted
	setuid: Operation not permitted
	unshare: Operation not permitted
END
# From Linux 6.7 on.
if python3 -c 'import ctypes; exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 4)'; then
	is "connect" "connect: Permission denied" "$(grep ^connect: "$ESCAPE_LOG")"
fi
is "nothing is there" victim "$(ls "$T/outside")"
is "the daemon goes on" 'the plaintext' "$(holdfast decrypt hsm "$T/sealed-hsm")"
echo x >"$T/escape"
holdfast status >/dev/null 2>&1 || :
status=0
{ wait "$DAEMON_PID" || status=$?; } 2>/dev/null
DAEMON_PID=
is "who starts a program is killed (SIGSYS)" $((128 + 31)) "$status"

# -- The host of the HSM's library dies: nothing can replace it from inside --
rm "$T/escape"
start_daemon
host=$(pgrep -P "$DAEMON_PID" | head -1)
kill -9 "$host"
status=0
{ wait "$DAEMON_PID" || status=$?; } 2>/dev/null
DAEMON_PID=
has "a daemon whose host is gone ends, to be started anew" "to be started anew" "$T/keyd.log"

# -- It cannot be had --
sed -i 's:^  pin = .*:&\n  process = "inside":' "$T/keyd.conf"
refuse "a library inside" 1 'process = "worker"' holdfast-keyd --config "$T/keyd.conf"
echo "$checks checks"
