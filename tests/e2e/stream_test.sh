#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# holdfast seal and open over a real service, against a second implementation
# (stream_peer.py) in both directions, and against whoever tampers with a file.
# Of the clouds' features it shows CK3.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

peer() { /usr/bin/python3 "$SOURCE_DIR/tests/e2e/stream_peer.py" "$@"; }

start_service
cd "$T"
holdfast key create payments >/dev/null
holdfast key create hsm-key --level hsm >/dev/null
head -c 3000000 /dev/urandom >big
printf 'four score and seven' >small
: >none

# -- There and back --
for file in none small big; do
	holdfast seal payments "$file" --out "$file.sealed"
	holdfast open "$file.sealed" --out "$file.plain"
	expect "$file comes back" cmp -s "$file" "$file.plain"
	expect "$file comes back through pipes" cmp -s "$file" \
		<(holdfast seal payments <"$file" | holdfast open)
done
is "an opened file is its owner's alone" 600 "$(stat -c %a big.plain)"
is "a sealed one is what umask says" "$(printf '%o' $((0666 & ~$(umask))))" \
	"$(stat -c %a big.sealed)"
for size in 4K 64K 1M; do
	expect "chunks of $size" cmp -s big \
		<(holdfast seal payments big --chunk-size $size | holdfast open)
done
expect "a key in the HSM" cmp -s big <(holdfast seal hsm-key big | holdfast open)

# -- The other implementation --
for file in none small big; do
	expect "the peer opens ours: $file" cmp -s "$file" <(peer open <"$file.sealed")
	KEY=payments peer seal tenant=acme "note=$file" <"$file" >peer.sealed
	expect "we open the peer's: $file" cmp -s "$file" <(holdfast open peer.sealed)
done
holdfast seal payments big --context tenant=acme --context b=2 --context a= --out context.sealed
expect "the peer opens ours with a context" cmp -s big <(peer open <context.sealed)
# A file of version 1: its context is associated data of the data key.
FORMAT=1 KEY=payments peer seal tenant=acme <big >old-format.sealed
expect "a context of version 1 opens" cmp -s big <(holdfast open old-format.sealed)
expect "and is rewrapped" holdfast seal --rewrap old-format.sealed
expect "and still opens" cmp -s big <(holdfast open old-format.sealed --context tenant=acme)
KEY=payments CHUNK=4096 peer seal <big >peer.sealed
expect "we open the peer's small chunks" cmp -s big <(holdfast open peer.sealed)
mkdir vectors
peer vectors vectors
expect "the vectors are what the peer makes" diff -r vectors "$SOURCE_DIR/tests/vectors/stream"

# -- What a file says of itself --
is "--info needs no service" "payments 1 65536 3000000 46" "$(
	HOLDFAST_SOCKET=$T/nowhere holdfast seal --info big.sealed -o json |
		jq -r '"\(.key) \(.key_version) \(.chunk_size) \(.size) \(.chunks)"'
)"
is "--info shows the context" "a= b=2 tenant=acme" \
	"$(holdfast seal --info context.sealed -o json |
		jq -r '[.context[] | "\(.name)=\(.value)"] | join(" ")')"
refuse "--info of something else" 2 "not a sealed file" holdfast seal --info big

# -- Context --
expect "the context that it has" cmp -s big \
	<(holdfast open context.sealed --context tenant=acme)
refuse "another context" 2 "not of this context" \
	holdfast open context.sealed --context tenant=evil --out never
refuse "a context that it lacks" 2 "not of this context" \
	holdfast open big.sealed --context tenant=acme --out never
refuse "the same name twice" 2 "twice" \
	holdfast seal payments small --context a=1 --context a=2 --out never
refuse "no equals sign" 1 "NAME=VALUE" holdfast seal payments small --context a --out never

# -- Keys --
holdfast key rotate payments >/dev/null
expect "sealed before a rotation" cmp -s big <(holdfast open big.sealed)
holdfast seal payments small --out v2.sealed
is "the new version seals" 2 "$(holdfast seal --info v2.sealed -o json | jq .key_version)"
holdfast seal payments small --key-version 1 --out v1.sealed
is "or the one that is named" 1 "$(holdfast seal --info v1.sealed -o json | jq .key_version)"

# -- Rewrap --
cp context.sealed old.sealed
expect "the wrapped key is replaced" holdfast seal --rewrap context.sealed
is "by one of the latest version" 2 \
	"$(holdfast seal --info context.sealed -o json | jq .key_version)"
expect "and nothing else" cmp -s <(tail -c +513 old.sealed) <(tail -c +513 context.sealed)
holdfast key config payments --min-decryption-version 2 >/dev/null
refuse "the old version is retired" 2 "too old" holdfast open old.sealed --out never
expect "the rewrapped file opens" cmp -s big <(holdfast open context.sealed)
expect "for the peer, too" cmp -s big <(peer open <context.sealed)
refuse "what is retired cannot be rewrapped" 2 "too old" holdfast seal --rewrap old.sealed
holdfast key config payments --min-decryption-version 1 >/dev/null
cp context.sealed bad
printf x | dd of=bad bs=1 seek=130 conv=notrunc status=none
cp bad kept
refuse "a damaged header is not rewrapped" 2 "" holdfast seal --rewrap bad
expect "and left as it is" cmp -s bad kept
refuse "nor is what is no sealed file" 2 "not a sealed file" holdfast seal --rewrap big

refuse "a missing key" 2 "key not found" holdfast seal nothing small --out never
refuse "an odd name" 2 "starts with a letter" holdfast seal ../x small --out never
refuse "opening under another key" 2 "" holdfast open big.sealed --key hsm-key --out never
expect "opening under an alias" quiet holdfast alias set old --target payments
expect "of the same key" cmp -s big <(holdfast open big.sealed --key old)

# -- Tampering --
# tampered NAME TEXT: $T/bad must not open, to a file or to a pipe
tampered() {
	refuse "$1" 2 "$2" holdfast open bad --out never
	[ ! -e never ] || fail "$1: left a file"
	local got=0
	holdfast open bad >part 2>err || got=$?
	[ "$got" = 2 ] || fail "$1: status $got through a pipe"
	cmp -s -n "$(stat -c %s part)" part big || fail "$1: wrote what is not true"
	ok "$1, through a pipe: $(stat -c %s part) true bytes"
}

# flip OFFSET: big.sealed with one bit changed
flip() {
	cp big.sealed bad
	local byte
	byte=$(od -An -tu1 -j "$1" -N1 bad)
	printf '%b' "\\x$(printf '%02x' $((byte ^ 1)))" |
		dd of=bad bs=1 seek="$1" conv=notrunc status=none
}

# slice OFFSET LENGTH: of big.sealed
slice() {
	tail -c +$(($1 + 1)) big.sealed | head -c "$2" || :
}

size=$(stat -c %s big.sealed)
for at in 0 12 18 24 60 89 100 140 300 511 512 70000 1500000 $((size - 1)); do
	flip "$at"
	tampered "one bit at $at" ""
done
for cut in 1 16 $((size - 512 - 65552)) $((size - 512)) $((size - 100)); do
	head -c $((size - cut)) big.sealed >bad
	tampered "cut by $cut" ""
done
head -c $((512 + 3 * 65552)) big.sealed >bad
tampered "cut between chunks" "was cut off after chunk 2 (truncated)"
{ cat big.sealed && printf x; } >bad
tampered "a byte appended" ""
{ cat big.sealed && tail -c +513 small.sealed; } >bad
tampered "another file's chunk appended" ""
{
	slice 0 512
	slice $((512 + 65552)) 65552
	slice 512 65552
	slice $((512 + 2 * 65552)) "$size"
} >bad
tampered "two chunks exchanged" "chunk 0"
{
	slice 0 $((512 + 65552))
	slice 512 "$size"
} >bad
tampered "a chunk twice" "chunk 1"
: >bad
tampered "nothing at all" "not a sealed file"
got=0
head -c $((512 + 3 * 65552)) big.sealed | holdfast open >part 2>err || got=$?
is "truncated on a pipe: the status" 2 "$got"
is "truncated on a pipe: what came before" $((2 * 65536)) "$(stat -c %s part)"
grep -q "not all of the file" err || fail "truncated on a pipe: $(cat err)"
ok "truncated on a pipe: says so"
# A producer that stops but does not end must not keep us once it is clear.
mkfifo fifo
flip 600
{ cat bad && exec sleep 60; } >fifo &
stuck=$!
refuse "damage ends the wait for more" 2 "chunk 0" timeout 20 holdfast open fifo --out never
kill "$stuck" 2>/dev/null || true

# -- Parts --
for part in "0 1" "65535 2" "100000 1000000" "2999999 5" "3000000 5" "0 99999999"; do
	read -r offset length <<<"$part"
	expect "part $part" cmp -s <(tail -c +$((offset + 1)) big | head -c "$length") \
		<(holdfast open big.sealed --offset "$offset" --length "$length")
done
expect "a part without its length" cmp -s <(tail -c 1000 big) \
	<(holdfast open big.sealed --offset 2999000)
head -c $((512 + 3 * 65552)) big.sealed >bad
refuse "a part of a file that was cut" 2 "cut off" holdfast open bad --offset 0 --length 1
got=0
holdfast open --offset 1 < <(cat big.sealed) >/dev/null 2>err || got=$?
is "no part of a pipe" 2 "$got"

# -- Output --
refuse "nothing is overwritten" 1 "--force replaces it" holdfast seal payments small --out big
expect "but by force" holdfast seal payments small --out bad --force
expect "all of it" cmp -s small <(holdfast open bad)
holdfast open big.sealed --out bad --force
expect "in place of the old one" cmp -s big bad
flip 600
cp bad kept
refuse "damage replaces nothing" 2 "chunk 0" holdfast open bad --out kept --force
expect "not even by force" cmp -s bad kept
refuse "a folder is no output" 1 "directory" holdfast seal payments small --out "$T" --force
refuse "nor is a missing one" 1 "No such file" holdfast seal payments small --out "$T/no/where"
refuse "nor is a full device" 1 "No space left" holdfast seal payments small --out /dev/full
refuse "a folder is no input" 1 "directory" holdfast seal payments "$T" --out never
refuse "a missing input" 1 "No such file" holdfast seal payments missing --out never
expect "a device takes it" holdfast open big.sealed --out /dev/null
refuse "an odd chunk size" 2 "power of two" holdfast seal payments small --chunk-size 5000 --out never
refuse "an unknown option" 1 "--frobnicate" holdfast seal payments small --frobnicate
refuse "no service" 3 "unreachable" holdfast seal payments small --out never --socket "$T/nowhere"
[ ! -e never ] || fail "a refusal left a file"
is "no temporary file is left" "" "$(find "$T" -name '.holdfast-*')"

# -- Files by several threads: both ends are files, of more than a few blocks --
expect "one core is enough" taskset -c "$(taskset -cp $$ | grep -oE '[0-9]+$')" \
	"$BUILD_DIR/bin/holdfast" seal payments big --out one.sealed
expect "and to open" taskset -c "$(taskset -cp $$ | grep -oE '[0-9]+$')" \
	"$BUILD_DIR/bin/holdfast" open one.sealed --out one.plain
expect "what one core sealed" cmp -s big one.plain
{
	dd bs=1000 count=1 status=none of=/dev/null
	holdfast seal payments --out rest.sealed
} <big
expect "the rest of a file that was begun" cmp -s <(tail -c +1001 big) <(holdfast open rest.sealed)
{
	dd bs=1000 count=1 status=none of=/dev/null
	holdfast open --out rest.plain
} < <(head -c 1000 /dev/zero && cat big.sealed)
expect "and of a pipe" cmp -s big rest.plain
for size in 1048576 1048577 1114112 1310720 1310721 2097151; do
	head -c $size big >edge
	holdfast seal payments edge --out edge.sealed --force
	holdfast open edge.sealed --out edge.plain --force
	expect "$size bytes come back" cmp -s edge edge.plain
	expect "and to the peer" cmp -s edge <(peer open <edge.sealed)
done
flip $((512 + 30 * 65552))
cp bad big.bad
printf x | dd of=big.bad bs=1 seek=$((512 + 11 * 65552 + 9)) conv=notrunc status=none
refuse "of two damaged chunks the first is told" 2 "chunk 11 " holdfast open big.bad --out never

# What ends the writer: a limit on the size of files, a full file system.
limited() { # limited KIBIBYTES COMMAND...
	(
		ulimit -f "$1"
		trap '' XFSZ
		shift
		"$@"
	)
}
for kib in 100 1500; do
	refuse "sealing ends at $kib KiB" 1 "writing: File too large" \
		limited $kib holdfast seal payments big --out never
	refuse "opening ends at $kib KiB" 1 "writing: File too large" \
		limited $kib holdfast open big.sealed --out never
	[ ! -e never ] || fail "a file is left"
done
mkdir tiny
if unshare -rm true 2>/dev/null; then
	refuse "a file system that is full" 1 "writing: No space left" unshare -rm bash -c '
		mount -t tmpfs -o size=2M tiny tiny && cd tiny || exit 9
		"$0" seal payments ../big --out here
		status=$?
		[ -z "$(ls -A)" ] || exit 8
		exit $status' "$BUILD_DIR/bin/holdfast"
else
	echo "# not tried: a full file system takes a namespace of one's own"
fi

# Interrupted in the middle of a file that is larger than could be sealed
# before.
truncate -s 8G endless
# A shell has its children in the background ignore this signal.
env --default-signal=INT "$BUILD_DIR/bin/holdfast" seal payments endless --out never &
interrupted=$!
written() { # bytes that it wrote so far
	local n
	n=$(sed -n 's/^wchar: //p' "/proc/$interrupted/io" 2>/dev/null)
	echo "${n:-0}"
}
for ((i = 0; i < 2000; i++)); do
	[ "$(written)" -lt 5000000 ] || break
	sleep 0.01
done
kill -INT "$interrupted"
got=0
wait "$interrupted" || got=$?
is "interrupted: the status" 130 "$got"
[ ! -e never ] || fail "interrupted: a file is left"
is "interrupted: nothing is left" "" "$(find "$T" -name '.holdfast-*')"
rm endless

# -- Memory, and one request a file --
head -c 100000000 /dev/zero >large
# peak COMMAND...: kilobytes of resident memory at most
peak() { /usr/bin/python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$@"; }
limit=32768
# A sanitizer needs memory of its own.
if grep -q -e __tsan_init -e __asan_init "$BUILD_DIR/bin/holdfast"; then limit=100000; fi
for size in 4K 64K 1M; do
	kb=$(peak holdfast seal payments large --chunk-size $size --out large.sealed --force)
	[ "$kb" -lt $limit ] || fail "seal took $kb KiB with chunks of $size"
	kb2=$(peak holdfast open large.sealed --out large.plain --force)
	[ "$kb2" -lt $limit ] || fail "open took $kb2 KiB with chunks of $size"
	expect "100 MB with chunks of $size in $kb and $kb2 KiB" cmp -s large large.plain
done
is "a file is one request" 1 "$(
	before=$(grep -c '"transit.datakey_plaintext"' audit.log)
	holdfast seal payments large --out large.sealed --force
	after=$(grep -c '"transit.datakey_plaintext"' audit.log)
	echo $(((after - before + 1) / 2))
)"
echo "$checks checks"
