#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mechanisms of the module, at both levels of protection, against openssl with
# the same keys.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"

start_service
cd "$T"
levels="wrapped"
printf 'four score and seven years ago our fathers' >data
head -c 48 /dev/urandom >blocks
iv=000102030405060708090a0b0c0d0e0f

mech() {
	host "$BUILD_DIR/tests/mech_prog" "$module" "$@"
}

hex() {
	xxd -p -c 1000 "$1"
}

# from FILE COMMAND...
from() {
	"${@:2}" <"$1"
}

# transit_cmac KEY: of the data, by the command line
transit_cmac() {
	holdfast cmac "$1" data | cut -d: -f3 | base64 -d | xxd -p -u
}

# denied NAME CKR FILE USE...: the module must answer with that number
denied() {
	refuse "$1" 1 "0x$2" from "$3" mech "${@:4}"
}

# -- AES: the same bytes as openssl, both ways, at once and in parts --

for size in 16 24 32; do
	head -c $size /dev/urandom >raw$size
	bits=$((8 * size))
	for level in $levels; do
		key=aes$bits-$level
		holdfast key import "$key" raw$size --type aes$bits-gcm96 --level "$level" >/dev/null
		for mode in ecb cbc cbc-pad ctr; do
			in=blocks pad=-nopad param=iv=$iv cipher=$mode
			case $mode in
			ecb) param="" ;;
			cbc-pad) in=data pad="" cipher=cbc ;;
			ctr) in=data param=ctr=128:$iv ;;
			esac
			vector=("-aes-$bits-$cipher" -K "$(hex raw$size)")
			[ $mode = ecb ] || vector+=(-iv "$iv")
			openssl enc "${vector[@]}" ${pad:+"$pad"} -in $in -out want
			mech encrypt "$key" aes-$mode ${param:+"$param"} <$in >got
			cmp want got || fail "$key aes-$mode"
			mech decrypt "$key" aes-$mode ${param:+"$param"} <want >got
			cmp $in got || fail "$key aes-$mode back"
		done
		ok "$key: ECB, CBC, CBC-PAD and CTR as openssl has them"
		mech encrypt "$key" aes-gcm gcm=000102030405060708090a0b <data >sealed
		mech decrypt "$key" aes-gcm gcm=000102030405060708090a0b <sealed >got
		expect "$key: GCM" cmp data got
		is "$key: CMAC" "$(openssl mac -cipher AES-$bits-CBC -macopt "hexkey:$(hex raw$size)" \
			-in data CMAC)" "$(mech sign "$key" aes-cmac <data | xxd -p -u)"
		printf 'short' >part
		denied "$key: CBC takes whole blocks" 21 part encrypt "$key" aes-cbc iv=$iv
		denied "$key: what is no padding" 40 blocks decrypt "$key" aes-cbc-pad iv=$iv
	done
done

# -- Keys for CMAC --

for size in 16 24 32; do
	bits=$((8 * size))
	for level in $levels; do
		key=cmac$bits-$level
		holdfast key import "$key" raw$size --type aes$bits-cmac --level "$level" >/dev/null
		want=$(openssl mac -cipher AES-$bits-CBC -macopt "hexkey:$(hex raw$size)" -in data CMAC)
		mech sign "$key" aes-cmac <data >mac
		is "$key signs" "$want" "$(xxd -p -u mac)"
		expect "$key verifies" mech verify "$key" aes-cmac mac <data
		denied "$key: not another text" c0 blocks verify "$key" aes-cmac mac
		is "$key: eight bytes of it" "${want:0:16}" \
			"$(mech sign "$key" aes-cmac-general bytes=8 <data | xxd -p -u)"
		is "$key: as holdfast cmac" "$want" \
			"$(transit_cmac "$key")"
		is "$key does nothing else" "aes-cmac aes-cmac-general" "$(mech allowed "$key" | sort | xargs)"
	done
done
denied "encryption least of all" 68 blocks encrypt cmac128-wrapped aes-ecb

mech generate maker aes-gen 24 sign,verify
is "an AES key made for MACs is one of transit" aes192-cmac "$(json .type holdfast key show maker)"
mech sign maker aes-cmac <data >mac
is "one key, two faces" "$(xxd -p -u mac)" "$(transit_cmac maker)"
mech generate ciphers aes-gen 24 encrypt,decrypt
is "one for data is not" aes192-gcm96 "$(json .type holdfast key show ciphers)"
denied "and makes no MACs" 68 data sign ciphers aes-cmac
mech bring brought aes sign,verify,extractable <raw24
is "nor is it another when it is brought" \
	"$(openssl mac -cipher AES-192-CBC -macopt "hexkey:$(hex raw24)" -in data CMAC)" \
	"$(mech sign brought aes-cmac <data | xxd -p -u)"

# -- Policy tells the two kinds of MAC apart --

holdfast key create hmac --type hmac >/dev/null
cat >policy.d/nobody.hcl <<-END
path "transit/hmac/*" { capabilities = ["update"] }
bind { subjects = ["uid:65534"] }
END
holdfast policy reload >/dev/null
mac_as_nobody() {
	nobody "$BUILD_DIR/tests/mech_prog" "$module" sign "$@"
}
expect "who may make HMACs does" quiet mac_as_nobody hmac hmac-sha256 <data
refuse "and no CMACs" 2 "no key maker" from data mac_as_nobody maker aes-cmac

echo "1..$checks"
