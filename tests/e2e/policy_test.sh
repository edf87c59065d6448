#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who asks, as the kernel says it, and what policy makes of it. As root with
# two more users; as an ordinary user only with oneself.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

ALICE=61001 BOB=61002 STAFF=61100
me=$(id -u)
all='capabilities = ["create", "read", "update", "delete", "list", "sudo"]'

# as UID [GID...] -- COMMAND...: as somebody who has these groups besides
as() {
	local uid=$1 groups=$1
	shift
	while [ "$1" != -- ]; do
		groups=$groups,$1
		shift
	done
	shift
	setpriv --reuid="$uid" --regid="$uid" --groups="$groups" "$@"
}

generation() { json .policy_generation holdfast status; }

# reload NAME: by signal, and waits until it was done
reload() {
	local before i
	before=$(generation)
	kill -HUP "$DAEMON_PID"
	for i in $(seq 100); do
		[ "$(generation)" = "$before" ] || break
		sleep 0.05
	done
	[ "$i" != 100 ] || fail "$1: not reloaded"
	ok "$1"
}

start_service 'log_level = "debug"'
printf 'attack at dawn' >"$T/data"
chmod 644 "$T/data"
holdfast key create payments >/dev/null
holdfast key create secret >/dev/null
holdfast key create vault --level hsm >/dev/null
holdfast encrypt payments <"$T/data" >"$T/sealed"

# -- Oneself --
is "whoami tells the uid" "$me" "$(json .uid holdfast whoami)"
is "whoami tells the policies" admin "$(json '.policies | join(",")' holdfast whoami)"
is "policy list tells what is in force" "uid:$me" \
	"$(json '.policies[] | select(.name == "admin") | .subjects[0]' holdfast policy list)"

# -- Broken files: refused with file, line and reason; the old set stays --
before=$(generation)
broken() { # broken NAME LINE REASON TEXT
	printf '%s\n' "$4" >"$T/policy.d/broken.hcl"
	refuse "broken: $1" 2 "broken.hcl:$2: " holdfast policy reload
	has "broken: $1, with the reason" "$3" "$T/err"
	kill -HUP "$DAEMON_PID"
	refuse "broken: $1, also offline" 1 "broken.hcl:$2: " \
		holdfast policy check "$T/policy.d"
}
broken "unknown capability" 2 'unknown capability "wirte"' '
path "transit/*" { capabilities = ["wirte"] }'
broken "unknown block" 1 '"pth" is not known here' 'pth "transit/*" { }'
broken "end is missing" 4 '' 'path "transit/*" {
  capabilities = ["read"]
'
broken "a star inside" 1 '"*" stands only at the end' \
	'path "transit/*/x" { capabilities = ["read"] }'
broken "unknown subject" 2 'a subject begins with' 'path "a" { capabilities = ["read"] }
bind { subjects = ["person:7"] }'
broken "unknown user" 1 'there is no user' 'bind { subjects = ["user:nobody-has-this"] }'
broken "unknown policy in a bind" 1 '' 'bind { subjects = ["uid:7"] policies = ["nosuch"] }'
broken "JSON with a comma too many" 1 '' '{"path": {"a": {"capabilities": ["read"],}}}'
is "the old set stays in force" "$before" "$(generation)"
expect "and works" quiet holdfast encrypt payments "$T/data"
has "a broken set by signal is in the log" "the old ones stay in force" "$T/keyd.log"
rm "$T/policy.d/broken.hcl"
expect "a whole set is accepted again" quiet holdfast policy reload
is "that is a new generation" $((before + 1)) "$(generation)"
has "the reload stands in the audit" '"op":"policy.reload"' "$T/audit.log"

# -- policy test, for whom there is --
cat >"$T/policy.d/alice.hcl" <<END
# Alice encrypts payments.
path "transit/encrypt/payments" {
  capabilities = ["update"]
}
path "transit/keys/new-*" { capabilities = ["create"] }
bind { subjects = ["uid:1001", "uid:$ALICE"] }
END
reload "reload by SIGHUP"
is "policy test: yes" true "$(json .allowed holdfast policy test encrypt payments --uid 1001)"
is "policy test: names the rule" "transit/encrypt/payments" \
	"$(json .rule holdfast policy test encrypt payments --uid 1001)"
is "policy test: names file and line" "alice ($T/policy.d/alice.hcl:2)" \
	"$(json .policy holdfast policy test encrypt payments --uid 1001)"
is "policy test: by operation name" true \
	"$(json .allowed holdfast policy test transit.encrypt payments --uid 1001)"
refuse "policy test: no" 2 "" holdfast policy test sign payments --uid 1001
refuse "policy test: nobody" 2 "" holdfast policy test encrypt payments --uid 1002
is "policy test: by path" true "$(json .allowed holdfast policy test \
	--path transit/encrypt/payments --capability update --uid 1001)"
refuse "policy test: unknown capability" 1 "must be one of create" holdfast policy test \
	--path transit/encrypt/payments --capability wirte --uid 1001
refuse "policy test: unknown operation" 1 "there is no operation" \
	holdfast policy test transit.encrpt payments --uid 1001
is "policy test: may make a key that is not there" true \
	"$(json .allowed holdfast policy test "key create" new-1 --uid 1001)"

refuse "policy test: not one that is there" 2 "" \
	holdfast policy test "key create" payments --uid 1001
holdfast alias set current --target payments >/dev/null
is "policy test: an alias stands for its key" "transit/encrypt/payments" \
	"$(json .path holdfast policy test encrypt current --uid 1001)"

if [ "$me" != 0 ]; then
	echo "not root: nobody else to be; the rest is left out"
	echo "$checks checks"
	exit 0
fi

# -- Two users --
expect "alice may" quiet as $ALICE -- holdfast encrypt payments "$T/data"
refuse "bob may not" 2 "permission denied" as $BOB -- holdfast encrypt payments "$T/data"
refuse "alice may not decrypt" 2 "permission denied" \
	as $ALICE -- holdfast decrypt payments "$T/sealed"
line=$(grep '"type":"refused"' "$T/audit.log" | grep "\"uid\":$BOB" | tail -1)
is "the refusal stands in the audit" "transit.encrypt transit/encrypt/payments permission_denied" \
	"$(jq -r '[.op, .path, .result] | join(" ")' <<<"$line")"
is "with its length but without its data" 14 "$(jq -r .in.plaintext.len <<<"$line")"
is "and with the program" "$(readlink -f "$BUILD_DIR/bin/holdfast")" "$(jq -r .exe <<<"$line")"
expect "the log is whole" quiet holdfast audit verify "$T/audit.log"

# -- Capabilities --
is "create makes what is not there" new-1 "$(json .name as $ALICE -- holdfast key create new-1)"
refuse "but needs update for what is there" 2 "permission denied" \
	as $ALICE -- holdfast key create new-1
refuse "and no other name" 2 "permission denied" as $ALICE -- holdfast key create old-1

# -- A stranger learns nothing --
for what in "encrypt NAME $T/data" "decrypt NAME $T/sealed" "key show NAME" \
	"key create NAME" "key rotate NAME" "key delete NAME" "sign NAME $T/data" \
	"keyring destroy NAME" "alias delete NAME"; do
	for name in payments nothing; do
		# shellcheck disable=SC2086 # words
		as $BOB -- holdfast ${what/NAME/$name} >"$T/$name.out" 2>&1 </dev/null &&
			fail "a stranger may $what"
	done
	cmp -s "$T/payments.out" "$T/nothing.out" || fail "a stranger sees a difference: $what"
	ok "a stranger learns nothing by '${what%% NAME*}'"
done
for request in '"sys.status"' '"sys.metrics"' '"key.list"' '"policy.list"' '"audit.status"' '"hsm.status"'; do
	printf '{"op": %s}\n' "$request" |
		as $BOB -- "$E2E/nng_client" "ipc://$T/keyd.sock" >"$T/out" || fail "$request"
	has "a stranger is refused $request" permission_denied "$T/out"
done

# -- deny, groups, JSON --
cat >"$T/policy.d/staff.json" <<END
{"path": {"transit/*": {"capabilities": ["create", "read", "update", "list"]},
          "transit/+/secret": {"capabilities": ["deny"]}},
 "bind": [{"subjects": ["gid:$STAFF"]}]}
END
expect "reload by command" quiet holdfast policy reload
expect "a member of the group may" quiet as $BOB $STAFF -- holdfast encrypt payments "$T/data"
refuse "others may not" 2 "permission denied" as $BOB -- holdfast encrypt payments "$T/data"
refuse "deny wins" 2 "permission denied" as $BOB $STAFF -- holdfast encrypt secret "$T/data"
cat >"$T/policy.d/more.hcl" <<END
path "transit/+/secret" { $all }
bind { subjects = ["uid:$BOB"] }
END
quiet holdfast policy reload
refuse "also over what another policy grants" 2 "permission denied" \
	as $BOB $STAFF -- holdfast encrypt secret "$T/data"
expect "which holds where deny is not bound" quiet as $BOB -- holdfast encrypt secret "$T/data"
rm "$T/policy.d/more.hcl" "$T/policy.d/staff.json"
cat >"$T/policy.d/group.hcl" <<END
path "transit/encrypt/payments" { capabilities = ["update"] }
bind { subjects = ["group:$(id -gn)"] require = ["uid:$BOB"] }
END
quiet holdfast policy reload
expect "group by name, with a required uid" quiet as $BOB "$(id -g)" -- holdfast encrypt payments "$T/data"
refuse "not without the group" 2 "permission denied" as $BOB -- holdfast encrypt payments "$T/data"
refuse "not without the uid" 2 "permission denied" as 61003 "$(id -g)" -- holdfast encrypt payments "$T/data"
rm "$T/policy.d/group.hcl"

# -- The program: only of files that root alone can change --
nngcat=$(readlink -f "$(command -v nngcat)")
cp "$nngcat" "$T/nngcat" # in a folder below one that everybody may write to
cat >"$T/policy.d/exe.hcl" <<END
path "transit/encrypt/payments" { capabilities = ["update"] }
bind { subjects = ["exe:$nngcat", "exe:$T/nngcat"] require = ["uid:$BOB"] }
END
quiet holdfast policy reload
echo '{"op": "transit.encrypt", "in": {"name": "payments", "plaintext": h'"'00'}}" |
	"$E2E/cbor" encode >"$T/request"
chmod 644 "$T/request"
by() { # by UID PROGRAM: its reply, in diagnostic notation
	as "$1" -- "$2" --req0 --dial "ipc://$T/keyd.sock" --raw --file "$T/request" \
		--recv-timeout 5 | "$E2E/cbor" decode
}
[[ $(by $BOB "$nngcat") == '{"out": '* ]] || fail "exe: does not let the program in"
ok "exe: lets the program in"
[[ $(by 61003 "$nngcat") == *permission_denied* ]] || fail "exe: without the uid"
ok "exe: with require, only for that uid"
[[ $(by $BOB "$T/nngcat") == *permission_denied* ]] || fail "exe: a copy that others could change"
ok "exe: a copy where others may write is not trusted"
refuse "exe: other programs may not" 2 "permission denied" \
	as $BOB -- holdfast encrypt payments "$T/data"
rm "$T/policy.d/exe.hcl"

# -- min_level --
cat >"$T/policy.d/level.hcl" <<END
path "transit/*" {
  $all
  min_level = "hsm"
}
bind { subjects = ["uid:$BOB"] }
END
quiet holdfast policy reload
expect "min_level: a key of level hsm" quiet as $BOB -- holdfast encrypt vault "$T/data"
refuse "min_level: not one of level wrapped" 2 "level" as $BOB -- holdfast encrypt payments "$T/data"
refuse "min_level: nor make one" 2 "level" as $BOB -- holdfast key create weak --level wrapped
is "min_level: what is made is of level hsm" hsm \
	"$(json '.keys[0].level' as $BOB -- holdfast key create strong --level hsm)"
rm "$T/policy.d/level.hcl"

# -- Parameter rules --
cat >"$T/policy.d/params.hcl" <<END
path "transit/keys/p-*" {
  capabilities       = ["create", "update"]
  allowed_parameters = { "type" = ["ecdsa-*", "ed25519"], "level" = [], "exportable" = ["false"] }
  required_parameters = ["type"]
}
path "transit/keys/p-1/config" {
  capabilities      = ["update"]
  denied_parameters = { "deletion_allowed" = [] }
}
bind { subjects = ["uid:$BOB"] }
END
quiet holdfast policy reload
expect "parameters: an allowed value" quiet as $BOB -- holdfast key create p-1 --type ecdsa-p256
refuse "parameters: another value" 2 "permission denied" as $BOB -- holdfast key create p-2 --type rsa-2048
refuse "parameters: a required one is missing" 2 "permission denied" as $BOB -- holdfast key create p-2
refuse "parameters: one that is not listed" 2 "permission denied" \
	as $BOB -- holdfast key create p-2 --type ed25519 --prefix x
refuse "parameters: exportable" 2 "permission denied" \
	as $BOB -- holdfast key create p-2 --type ed25519 --exportable
expect "parameters: not denied" quiet as $BOB -- holdfast key config p-1 --min-decryption-version 1
refuse "parameters: denied" 2 "permission denied" \
	as $BOB -- holdfast key config p-1 --deletion-allowed yes
refuse "parameters: denied whatever the value" 2 "permission denied" \
	as $BOB -- holdfast key config p-1 --deletion-allowed no
is "nothing was made by what was refused" "p-1" \
	"$(holdfast key list --prefix p- 2>/dev/null || holdfast key list | grep '^p-')"

# -- What was granted ends with its policy, also on a connection that stays --
mkfifo "$T/lines"
as $BOB -- "$E2E/nng_client" "ipc://$T/keyd.sock" <"$T/lines" >"$T/replies" &
client=$!
exec 3>"$T/lines"
ask='{"op": "key.config", "in": {"name": "p-1", "min_decryption_version": 1}}'
echo "$ask" >&3
until_true 5 grep -q '"out"' "$T/replies" || fail "the connection that stays"
rm "$T/policy.d/params.hcl"
quiet holdfast policy reload
echo "$ask" >&3
until_true 5 grep -q permission_denied "$T/replies" || fail "a revoked right is still there"
ok "a revoked right is gone on open connections too"
exec 3>&-
wait "$client"

expect "the log of it all is whole" quiet holdfast audit verify "$T/audit.log"
# -- The first day --
stop_daemon
rm "$T"/policy.d/*
launch_daemon
until_true 10 grep -q "nobody may do anything" "$T/keyd.log" || fail "nothing about a lack of policies"
ok "a service whose policies name nobody says so"

echo "$checks checks"
