#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon's own command line: what it takes, what it refuses, and that it
# reads its configuration whole before it does anything.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

make_policy
make_config
conf=$T/keyd.conf
keyd() { holdfast-keyd --config "$conf" "$@"; }

# -- What needs no configuration --
is "--version" "holdfast-keyd $(holdfast --version | grep -oE '[0-9.]+$')" "$(holdfast-keyd --version)"
has "--help says what there is" "--restore-master" <(holdfast-keyd --help)
holdfast-keyd --print-config >"$T/default.conf"
has "--print-config: each setting with its sentence" "state_dir" "$T/default.conf"

# -- The configuration --
is "--check-config" "$conf is valid" "$(keyd --check-config | tail -1)"
expect "what --print-config prints can be read" \
	bash -c "sed 's:^#* *policy_dir = .*:policy_dir = \"$T/policy.d\":' '$T/default.conf' >'$T/read.conf' && holdfast-keyd --config '$T/read.conf' --check-config"
refuse "no configuration" 1 "$T/nothing.conf" holdfast-keyd --config "$T/nothing.conf" --check-config
cp "$conf" "$T/good.conf"
printf 'nonsense = 1\n' >>"$conf"
refuse "a setting that there is not" 1 "keyd.conf:$(wc -l <"$conf"): " keyd --check-config
refuse "... stops every mode" 1 "nonsense" keyd --init
cp "$T/good.conf" "$conf"
printf 'path "x" {' >"$T/policy.d/broken.hcl"
refuse "--check-config reads the policies too" 1 "broken.hcl:1" keyd --check-config
refuse "--check-policy" 1 "broken.hcl:1" holdfast-keyd --check-policy "$T/policy.d"
rm "$T/policy.d/broken.hcl"
expect "--check-policy" quiet holdfast-keyd --check-policy "$T/policy.d"

# -- Words that do not belong together: nothing is done --
while read -r line; do
	read -ra words <<<"$line"
	refuse "refused: $line" 1 "usage: holdfast-keyd" keyd "${words[@]}"
done <<-'END'
	--nonsense
	--check-config --init
	--backup
	--shares 3
	--check-config --shares 3
	--init --threshold 2
	--init --shares x
	--init --shares -1
	--init --shares 256
	--init --shares 3x
	--init --shares 3 --threshold 2x
	--init --share-dir folder
	--init --share-to key.pem
	--init --device hsm
	--init left-over
	--check-config left-over
	--probe --device hsm
END
more=()
for ((i = 0; i < 256; i++)); do more+=(--share-to key.pem); done
refuse "more keys for shares than there can be shares" 1 "usage" keyd --init --shares 255 --threshold 2 "${more[@]}"
[ ! -e "$T/state" ] || fail "a command that was refused made $T/state"
ok "... and left nothing behind"

# -- Instead of what the configuration says --
sed -i 's:token=holdfast:token=nobody:; s:"file\:pin":"file\:nobody":' "$conf"
make_token
expect "--hsm-uri and --pin-source" quiet keyd --probe --hsm-uri "pkcs11:token=holdfast?module-path=$MODULE" --pin-source "file:$T/pin"
refuse "a PIN from nowhere" 1 "nobody" keyd --probe --hsm-uri "pkcs11:token=holdfast?module-path=$MODULE"


# -- Nobody but the daemon starts the process for the HSM's library --
refuse "--hsm-host by hand" 1 "" timeout -s KILL 60 holdfast-keyd --hsm-host 3<&-
mkfifo "$T/fifo" # nothing ever comes out of it
refuse "... with something as its socket" 1 "" timeout -s KILL 60 holdfast-keyd --hsm-host 3<>"$T/fifo"
echo "$checks checks"
