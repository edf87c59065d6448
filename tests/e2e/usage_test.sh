#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What keys are used for is counted, kept over restarts, and costs nothing while
# nothing happens.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

AUDIT='checkpoint_seconds = 1'
start_service 'usage {' '  flush_seconds = 1' '}'
printf 'four score and seven' >"$T/data"

# uses KEY VERSION OPERATION MEMBER
uses() {
	json ".uses[]? | select(.version == $2 and .operation == \"$3\") | .$4" holdfast key show "$1"
}

for key in counted inside; do
	level=wrapped
	[ $key = inside ] && level=hsm
	holdfast key create $key --level $level >/dev/null
	is "a new key of level $level was not used" "[]" "$(json '.uses // []' holdfast key show $key)"
	for _ in 1 2 3; do
		holdfast encrypt $key <"$T/data" >"$T/$key.c"
	done
	quiet holdfast decrypt $key "$T/$key.c"
	quiet holdfast rewrap $key "$T/$key.c"
	quiet holdfast datakey $key
	is "level $level: encrypted" 5 "$(uses $key 1 encrypt count)"
	is "level $level: decrypted" 1 "$(uses $key 1 decrypt count)"
	is "level $level: moved on" 1 "$(uses $key 1 rewrap count)"
	is "level $level: by one caller" 1 "$(uses $key 1 encrypt callers)"
	is "level $level: made" 5 "$(json '.keys[0].made' holdfast key show $key)"
done
[ "$(uses counted 1 encrypt last_use)" -ge $(($(date +%s) - 60)) ] || fail "last use"
ok "with the time of the last use"
expect "the table shows it too" grep -q 'OPERATION *COUNT *FIRST USE *LAST USE *CALLERS' \
	<(holdfast key show counted)
cp "$(command -v holdfast)" "$T/holdfast-too"
"$T/holdfast-too" encrypt counted <"$T/data" >/dev/null
is "another program is another caller" 2 "$(uses counted 1 encrypt callers)"

# -- Idle: nobody wakes up --
until_true 20 asleep 3 || fail "the daemon wakes up while nothing happens: $(wakes)"
ok "an idle daemon sleeps"

# -- Restarts --
stop_daemon
start_daemon
is "an orderly stop loses nothing" 6 "$(uses counted 1 encrypt count)"
is "not what limits the key either" 6 "$(json '.keys[0].made' holdfast key show counted)"
holdfast encrypt counted <"$T/data" >/dev/null
until_true 10 asleep 3
stop_daemon -KILL
start_daemon
is "a crash loses nothing that was written" 7 "$(uses counted 1 encrypt count)"
made=$(json '.keys[0].made' holdfast key show counted)
[ "$made" -ge 7 ] || fail "a crash makes $made of 7"
ok "a crash never makes it too few"
for _ in $(seq 20); do
	holdfast encrypt counted <"$T/data" >/dev/null
done
stop_daemon -KILL
start_daemon
[ "$(json '.keys[0].made' holdfast key show counted)" -ge 27 ] || fail "a crash forgot"
ok "not even of what was not written yet"

# -- Backups --
for key in back inside-back; do
	options=(--allow-plaintext-backup)
	[ $key = back ] || options=(--level hsm)
	quiet holdfast key create $key --deletion-allowed "${options[@]}"
	holdfast key backup $key >"$T/$key.backup"
	for _ in 1 2 3; do
		holdfast encrypt $key <"$T/data" >/dev/null
	done
	until_true 10 asleep 3
	holdfast key delete $key
	stop_daemon
	start_daemon
	quiet holdfast key restore-backup $key "$T/$key.backup"
	is "$key: a deleted key that comes back was used before" 3 "$(uses $key 1 encrypt count)"
	[ "$(json '.keys[0].made' holdfast key show $key)" -ge 3 ] || fail "$key: too few"
	ok "$key: and nears its limit as before"
done

expect "the audit log of it all is whole" holdfast audit verify "$T/audit.log"
echo "$checks checks"
