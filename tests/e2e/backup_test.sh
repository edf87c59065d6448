#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Copies of the store: taken while the service runs, put back elsewhere, of no
# use without the HSM; and a store in which somebody changed a byte.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start_service
for key in one two three; do
	holdfast key create $key >/dev/null
	printf 'of %s' $key | holdfast encrypt $key >"$T/sealed-$key"
done
holdfast key create inside --type ecdsa-p256 --level hsm >/dev/null
printf data >"$T/data"

opens() { # opens NAME: all keys do
	local key
	for key in one two three; do
		[ "$(holdfast decrypt $key "$T/sealed-$key")" = "of $key" ] || fail "$1: $key"
	done
	quiet holdfast sign inside "$T/data" || fail "$1: the key of level hsm"
	ok "$1"
}

# -- A copy while the service works --
(while quiet holdfast key rotate three; do :; done) 2>/dev/null &
writer=$!
expect "backup of a live service" quiet holdfast backup "$T/copy.db"
expect "for its owner only" [ "$(stat -c %a "$T/copy.db")" = 600 ]
kill $writer
wait $writer 2>/dev/null || :
refuse "a file that is there is not written over" 1 "" holdfast backup "$T/copy.db"
refuse "restore is refused while the service runs" 1 "" holdfast restore "$T/copy.db"
opens "and nothing changed by that"
holdfast key create later >/dev/null

# In the copy is no key in clear: it has what the live one has, and no more.
expect "the copy is a store" quiet grep -aq "key/one" "$T/copy.db"

# -- Elsewhere, with a copy of the token --
stop_daemon
refuse "no such backup" 1 "$T/none.db cannot be opened: No such file" holdfast restore "$T/none.db"
here=$T
elsewhere() { # elsewhere DIR: another service there, with the copy
	mkdir -p "$1"
	cp -a "$here/policy.d" "$here/keyd.conf" "$here/pin" "$1"
	export HOLDFAST_SOCKET=$1/keyd.sock HOLDFAST_CONFIG=$1/keyd.conf SOFTHSM2_CONF=$1/softhsm2.conf
	T=$1
}
home() {
	T=$here
	export HOLDFAST_SOCKET=$T/keyd.sock HOLDFAST_CONFIG=$T/keyd.conf SOFTHSM2_CONF=$T/softhsm2.conf
}
elsewhere "$here/second"
cp -a "$here/tokens" "$T"
sed "s|$here/tokens|$T/tokens|" "$here/softhsm2.conf" >"$SOFTHSM2_CONF"
cp "$here"/sealed-* "$here/data" "$T"
mkdir -m 700 "$T/state"
expect "restore into an empty folder" quiet holdfast restore "$here/copy.db"
start_daemon
opens "all keys open there"
refuse "what came after the copy is not in it" 2 "key not found" holdfast key show later
stop_daemon

# -- Without the HSM --
elsewhere "$here/third"
make_token
cp -a "$here"/sealed-* "$here/data" "$T"
mkdir -m 700 "$T/state"
quiet holdfast restore "$here/copy.db"
start_daemon
refuse "another token opens no key" 2 "" holdfast decrypt one "$T/sealed-one"
has "and the refusal names the reason" "wrong token" "$T/err"
refuse "nor makes a new master key over it" 1 "" holdfast hsm init
stop_daemon
refuse "not even while it is stopped" 1 "it is the wrong token" holdfast hsm init
home

# -- Over the old one --
expect "restore over the old store" quiet holdfast restore "$T/copy.db"
expect "which is kept" test -s "$T/state/store.db.before-restore"
refuse "a second restore would lose it" 1 "before-restore" holdfast restore "$T/copy.db"
start_daemon
opens "all keys open again"
refuse "later is in the kept one only" 2 "key not found" holdfast key show later
stop_daemon
head -c 5000 "$T/copy.db" >"$T/cut.db"
rm "$T/state/store.db.before-restore"
refuse "half a copy is refused" 1 "" holdfast restore "$T/cut.db"
refuse "and so is what is none" 1 "" holdfast restore "$T/data"
start_daemon
opens "and the store stays"

# -- A changed byte, in a store of two keys --
stop_daemon
rm -rf "$T/state" "$T/audit.log" "$T/tokens"
start_service
for key in one two; do
	holdfast key create $key >/dev/null
	printf 'of %s' $key | holdfast encrypt $key >"$T/sealed-$key"
done
stop_daemon
cp -a "$T/state" "$T/state.good"
change() { # change OFFSET: flips a bit so far from the name of key two
	local at old file=$T/state/store.db
	at=$(($(grep -abo key/two "$file" | head -1 | cut -d: -f1) + $1))
	old=$(dd if="$file" bs=1 skip=$at count=1 2>/dev/null | xxd -p)
	printf '%02x' $((0x$old ^ 1)) | xxd -r -p |
		dd of="$file" bs=1 seek=$at conv=notrunc 2>/dev/null
}
# The record of the key follows its name; its version, sealed, stands before.
for offset in 40 100 -40 -60 -100 -150; do
	rm -rf "$T/state"
	cp -a "$T/state.good" "$T/state"
	change $offset
	start_daemon
	refuse "a bit changed at $offset is noticed" 2 store_damaged holdfast decrypt two "$T/sealed-two"
	is "and the rest works ($offset)" "of one" "$(holdfast decrypt one "$T/sealed-one")"
	stop_daemon
done
rm -rf "$T/state"
cp -a "$T/state.good" "$T/state"
dd if=/dev/urandom of="$T/state/store.db" bs=1000 seek=4 count=2 conv=notrunc 2>/dev/null
refuse "a page that is no page any more: it does not start" 1 "store.db" \
	holdfast-keyd --config "$T/keyd.conf"
echo "$checks checks"
