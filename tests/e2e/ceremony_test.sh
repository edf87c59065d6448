#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A master key in shares: the ceremony, killed at each of its syncs too; what is
# done with wrong shares; and a fresh token that opens what the lost one sealed.
# tests/e2e/shares.py does the arithmetic a second time.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/two_hsm_lib.sh
. "$(dirname "$0")/two_hsm_lib.sh"
unset P11_AWAY

shares() { timeout 60 python3 "$SOURCE_DIR/tests/e2e/shares.py" "$@"; }
printf data >"$T/data"
make_two_tokens
make_policy
two_config left=holdfast
mkdir -m 700 "$T/one" "$T/two" "$T/enc" "$T/mine"

# objects LABEL: how many master and wrapping keys that token holds
objects() {
	pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label "$1" --login --pin 1234 \
		--list-objects --type secrkey 2>/dev/null | grep -c 'label:.*holdfast-\(master\|wrap\)' || :
}
fresh_tokens() {
	rm -rf "$T/tokens"
	make_two_tokens
}

# -- Plans that make no sense --
refuse "one share is not a backup" 1 "at least 2" holdfast hsm init --shares 5 --threshold 1 --share-dir "$T/one"
refuse "nor are more than there are" 1 "not more needed" holdfast hsm init --shares 2 --threshold 3 --share-dir "$T/one"
refuse "a folder that is not there" 1 "nowhere" holdfast hsm init --shares 3 --threshold 2 --share-dir "$T/nowhere"
refuse "neither folder nor terminal" 1 "terminal" setsid -w holdfast hsm init --shares 3 --threshold 2
refuse "options of shares need shares" 1 usage holdfast hsm init --share-dir "$T/one"
is "nothing was made" 0 "$(objects holdfast)"

# -- The ceremony --
touch "$T/two/share-3.txt"
refuse "a share is not written over another file" 1 "share-3.txt" \
	holdfast hsm init --shares 5 --threshold 3 --share-dir "$T/two"
is "and none stays behind" "share-3.txt" "$(ls "$T/two")"
rm "$T/two/share-3.txt"
holdfast hsm init --shares 5 --threshold 3 --share-dir "$T/two" >"$T/out" 2>>"$T/keyd.log" || fail "ceremony"
has "a second try begins anew, and tells" "any 3 of them bring the master key back" "$T/out"
is "five files for their owner alone" "600 5" \
	"$(stat -c %a "$T/two"/* | sort -u) $(find "$T/two" -name 'share-?.txt' | wc -l)"
is "the token holds one master and one wrapping key" 2 "$(objects holdfast)"
is "every three of five shares give the keys, by another implementation" "10 1" "$(shares all "$T/two"/*)"
pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label holdfast --login --pin 1234 \
	--read-object --type secrkey --label holdfast-master-v1 -o "$T/stolen" >/dev/null 2>&1 || :
is "the master key cannot be read" "" "$(cat "$T/stolen" 2>/dev/null)"
start_daemon
is "hsm status tells of shares" "3 of 5" "$(of_hsm left shares | sed 's/^[0-9a-f]\{16\}, //')"
holdfast key create payments >/dev/null
holdfast key create inside --type ecdsa-p256 --level hsm >/dev/null
holdfast encrypt payments "$T/data" >"$T/sealed"
holdfast sign inside "$T/data" >"$T/signature"
refuse "not while the service runs: it says to stop it" 1 "stop it first" \
	holdfast hsm restore-master "$T/two/share-1.txt" "$T/two/share-2.txt" "$T/two/share-3.txt"
refuse "hsm init says so too" 1 "stop it first" holdfast hsm init
refuse "and a second daemon" 1 "stop it first" holdfast-keyd --config "$T/keyd.conf"
stop_daemon
refuse "shares are of a key that is being made" 1 "already" \
	holdfast hsm init --shares 3 --threshold 2 --share-dir "$T/one"
digits=$(sed -n '/^HFS1/,$p' "$T/two/share-1.txt" | tail -1 | tr -d ' ' | cut -c1-20)
! grep -rqF "$digits" "$T/keyd.log" "$T/audit.log" "$T/state" || fail "a share is in a log"
ok "no share is in a log or in the store"

# -- The token is lost --
cp -a "$T/state" "$T/state.lost"
fresh_tokens
holdfast hsm init >/dev/null 2>"$T/err" && fail "init over a store that has a master key"
has "an empty token is not taken for ours" "wrong token" "$T/err"
wrong() { # wrong NAME TEXT FILE...
	local name=$1 text=$2
	shift 2
	refuse "$name" 1 "$text" holdfast hsm restore-master "$@"
	[ "$(objects holdfast)" = 0 ] || fail "$name: the token was changed"
	diff -r "$T/state" "$T/state.lost" >/dev/null || fail "$name: the store was changed"
}
s=$T/two/share
wrong "too few shares" "1 more" "$s-1.txt" "$s-2.txt"
wrong "one twice" "share 2 is given twice" "$s-2.txt" "$s-2.txt" "$s-3.txt"
sed 's/^HFS1/&A/' "$s-4.txt" >"$T/long"
wrong "one with a character too many" "not complete" "$s-1.txt" "$s-2.txt" "$T/long"
last=$(tail -1 "$s-4.txt")
first=${last%"${last#?}"}
other=A
[ "$first" != A ] || other=B
sed "\$s/^./$other/" "$s-4.txt" >"$T/typo"
wrong "one with a typo" "typo" "$s-1.txt" "$s-2.txt" "$T/typo"
wrong "something else" "not a share" "$s-1.txt" "$s-2.txt" "$T/data"
wrong "a file that is not there" "nothing.txt" "$s-1.txt" "$s-2.txt" "$T/nothing.txt"
# Another service's shares.
mkdir -p "$T/elsewhere"
sed "s|state_dir = .*|state_dir = \"elsewhere/state\"|; s|audit\\.|elsewhere/audit.|; s|token=holdfast|token=right|" \
	"$T/keyd.conf" >"$T/other.conf"
holdfast --config "$T/other.conf" hsm init --shares 3 --threshold 3 --share-dir "$T/one" >/dev/null 2>&1 ||
	fail "another service"
wrong "mixed with another service's" "several sets" "$s-1.txt" "$s-2.txt" "$T/one/share-3.txt"
wrong "all of another service's" "not of the master key" "$T/one"/*.txt
wrong "an HSM that is not configured" "no HSM" --device middle "$s-1.txt" "$s-2.txt" "$s-3.txt"

# -- And comes back --
holdfast hsm restore-master "$s-5.txt" "$s-1.txt" "$s-3.txt" >"$T/out" 2>>"$T/keyd.log" || fail "restore-master"
has "three shares bring it back" "opens all keyrings" "$T/out"
holdfast hsm restore-master "$s-2.txt" "$s-3.txt" "$s-4.txt" "$s-5.txt" >/dev/null 2>>"$T/keyd.log" ||
	fail "a second time"
is "a second time it is there" 2 "$(objects holdfast)"
start_daemon
is "what the lost token sealed opens" data "$(holdfast decrypt payments "$T/sealed")"
expect "keys at level hsm work" quiet holdfast sign inside "$T/data"
expect "a signature of before verifies" quiet holdfast verify inside "$T/data" --signature "$T/signature"
expect "new ones are made" quiet holdfast key create fresh --level hsm --type ecdsa-p256
is "it still has its shares" "3 of 5" "$(of_hsm left shares | sed 's/^[0-9a-f]\{16\}, //')"
stop_daemon
expect "the audit log goes on, under a new key" quiet holdfast audit verify "$T/audit.log"

# -- By another implementation, and by hand --
shares make 2 3 "$T/mine" "$s-1.txt" "$s-2.txt" "$s-3.txt" || fail "shares.py make"
fresh_tokens
expect "shares made elsewhere of the same keys" quiet holdfast hsm restore-master "$T/mine/other-3.txt" "$T/mine/other-1.txt"
fresh_tokens
for file in "$T/typo" "$s-2.txt" "$s-4.txt" "$s-1.txt"; do
	sed -n '/^HFS1/,$p' "$file" | tr -d '\n' | tr 'A-Z ' 'a-z-'
	echo
done | shares type holdfast hsm restore-master >"$T/typed" 2>&1 || fail "typed: $(cat "$T/typed")"
has "typed at a terminal" "opens all keyrings" "$T/typed"
has "a typo can be mended at once" "Once more" "$T/typed"
! grep -qi "$digits" "$T/typed" || fail "a share was shown"
ok "and nothing of it is shown"
start_daemon
is "and opens what it should" data "$(holdfast decrypt payments "$T/sealed")"
stop_daemon
printf '\n' | shares type holdfast hsm restore-master >"$T/typed" 2>&1 && fail "an empty line is a share"
has "an empty line ends it" "nothing is done" "$T/typed"

# -- A second HSM with the same keys: what lives in one works in both --
two_config left=holdfast right=right
quiet holdfast hsm restore-master --device right "$s-1.txt" "$s-2.txt" "$s-3.txt" 2>>"$T/keyd.log" || fail "--device"
export P11_AWAY="$T/away"
take_away holdfast
start_daemon
is "without the first one" data "$(holdfast decrypt payments "$T/sealed")"
expect "also keys at level hsm" quiet holdfast sign inside "$T/data"
is "which are in both" "left right" "$(json '.keys[0].hsm' holdfast key show inside)"
stop_daemon
give_back
unset P11_AWAY

# -- Rotation makes shares useless --
start_daemon
refuse "it is not done by accident" 2 "shares of the master key" holdfast hsm rotate-master --destroy-old
quiet holdfast hsm rotate-master --destroy-old --drop-shares
is "after a rotation there are none" null "$(of_hsm left shares)"
stop_daemon
refuse "and the old ones say why" 1 "rotated since" holdfast hsm restore-master "$s-1.txt" "$s-2.txt" "$s-3.txt"

# -- For the keys of their holders --
two_config left=holdfast
rm -rf "$T/state" "$T/audit.log"
fresh_tokens
to=()
for i in 1 2 3; do
	openssl genrsa -out "$T/holder-$i.key" 2048 2>/dev/null
	openssl pkey -in "$T/holder-$i.key" -pubout -out "$T/holder-$i.pem"
	to+=(--share-to "$T/holder-$i.pem")
done
openssl genpkey -algorithm ed25519 -out "$T/ed.key"
openssl pkey -in "$T/ed.key" -pubout -out "$T/ed.pem"
refuse "a key that cannot decrypt" 1 "RSA public key" holdfast hsm init --shares 3 --threshold 2 \
	--share-dir "$T/enc" "${to[@]:0:4}" --share-to "$T/ed.pem"
refuse "not one for each" 1 "once for each share" holdfast hsm init --shares 4 --threshold 2 \
	--share-dir "$T/enc" "${to[@]}"
quiet holdfast hsm init --shares 3 --threshold 2 --share-dir "$T/enc" "${to[@]}" 2>>"$T/keyd.log" ||
	fail "encrypted shares"
for i in 1 2 3; do
	openssl pkeyutl -decrypt -inkey "$T/holder-$i.key" -in "$T/enc/share-$i.enc" -out "$T/enc/share-$i.txt" \
		-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 || fail "share $i"
done
is "each opens with its holder's key alone" "3 1" "$(shares all "$T/enc"/*.txt)"
! grep -q HFS1 "$T/enc/share-1.enc" || fail "a share in clear"
fresh_tokens
expect "and they bring the master key back" quiet holdfast hsm restore-master "$T/enc/share-3.txt" "$T/enc/share-1.txt"

# -- Shown on a terminal, one at a time --
rm -rf "$T/state" "$T/audit.log"
fresh_tokens
printf '\n\n\n\n' | shares type holdfast hsm init --shares 2 --threshold 2 >"$T/shown" 2>&1 || fail "$(cat "$T/shown")"
tr -d '\r' <"$T/shown" | sed 's/\x1b\[[0-9;]*[HJ]/\n&\n/g' >"$T/pages"
is "each is cleared from the screen" 2 "$(grep -c $'\x1b\\[3J' "$T/shown")"
for i in 1 2; do
	awk -v n="$i" '/^HFS1/ { on = ++c == n } on && /^$/ { on = 0 } on' "$T/pages" >"$T/page-$i.txt"
done
is "what was shown are the shares" "1 1" "$(shares check "$T/page-1.txt" "$T/page-2.txt")"

# -- Killed at each sync of a ceremony --
rm -rf "$T/state" "$T/audit.log"
fresh_tokens
cp -a "$T/tokens" "$T/empty"
killed=0
for at in $(seq 1 20); do
	rm -rf "$T/state" "$T/tokens" "$T/one" "$T/steps"
	cp -a "$T/empty" "$T/tokens"
	mkdir "$T/one"
	status=0
	CRASH_AT=$at CRASH_HOW=after CRASH_STEPS=sync CRASH_UNDER="$T/state:$T/one" CRASH_LOG="$T/steps" \
		ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}" LD_PRELOAD="$E2E/crash_shim.so" \
		holdfast-keyd --config "$T/keyd.conf" --init --shares 3 --threshold 2 --share-dir "$T/one" \
		>/dev/null 2>&1 || status=$?
	[ "$status" = 137 ] || break
	killed=$((killed + 1))
	mv "$T/one" "$T/void"
	mkdir "$T/one"
	if holdfast hsm init --shares 3 --threshold 2 --share-dir "$T/one" >"$T/out" 2>&1; then
		rm -rf "$T/void"
	else # the ceremony was over: its shares are good
		grep -q already "$T/out" || fail "after sync $at: $(cat "$T/out")"
		rm -rf "$T/one"
		mv "$T/void" "$T/one"
	fi
	start_daemon
	holdfast key create k >/dev/null || fail "after sync $at"
	printf x | holdfast encrypt k >"$T/sealed"
	stop_daemon
	[ "$(objects holdfast)" = 2 ] || fail "after sync $at the token holds $(objects holdfast) keys"
	fresh_tokens
	quiet holdfast hsm restore-master "$T/one/share-1.txt" "$T/one/share-3.txt" 2>>"$T/keyd.log" ||
		fail "after sync $at: the shares"
	start_daemon
	[ "$(holdfast decrypt k "$T/sealed")" = x ] || fail "after sync $at"
	stop_daemon
done
[ "$killed" -ge 5 ] || fail "killed only $killed times"
ok "killed at each of $killed syncs: it begins anew, or is over and its shares are good"
echo "$checks checks"
