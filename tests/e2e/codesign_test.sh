#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# osslsigncode signs a program.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

# u32 OFFSET VALUE: a little-endian number in the program
u32() {
	printf '%08x' "$2" | tac -rs .. | xxd -r -p |
		dd of="$R/program.exe" bs=1 seek="$1" conv=notrunc status=none
}

# A program of nothing but headers: MZ, PE, one optional header of 64 bits.
make_program() {
	truncate -s 1024 "$R/program.exe"
	printf MZ | dd of="$R/program.exe" conv=notrunc status=none
	u32 60 128            # where the PE header is
	u32 128 $((0x4550))   # "PE"
	u32 132 $((0x18664))  # x86-64, one section
	u32 148 $((0x2200f0)) # size of the optional header; executable
	u32 152 $((0x20b))    # PE32+
	u32 260 16            # data directories
}

start_service
recipe osslsigncode "Key and certificate"
make_program
recipe osslsigncode Sign
has "the signature verifies" "Signature verification: ok" "$T/out"
has "with the certificate in the service" "CN=Release" "$T/out"
is "one signature" 1 "$(signatures release osslsigncode)"
printf x | dd of="$R/signed.exe" bs=1 seek=700 conv=notrunc status=none
refuse "of a program that was changed it does not" 1 "" \
	osslsigncode verify -CAfile "$R/release.pem" -in "$R/signed.exe"

echo "1..$checks"
