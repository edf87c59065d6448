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

# -- Words that do not belong together: nothing is done, and it says why --
while IFS='|' read -r line why; do
	read -ra words <<<"$line"
	refuse "refused: $line" 1 "$why" keyd "${words[@]}"
	refuse "... and --help is named" 1 "usage: holdfast-keyd" keyd "${words[@]}"
done <<-'END'
	--nonsense|unrecognized option '--nonsense'
	--check-config --init|two modes
	--backup|'--backup' requires an argument
	--shares 3|go with --init only
	--check-config --shares 3|go with --init only
	--init --threshold 2|--shares N is missing
	--init --shares x|--shares: 'x' is not a number
	--init --shares -1|'-1' is not a number
	--init --shares 256|'256' is not a number up to 255
	--init --shares 3x|'3x' is not a number
	--init --shares 3 --threshold 2x|--threshold: '2x' is not a number
	--init --share-dir folder|--shares N is missing
	--init --share-to key.pem|--shares N is missing
	--init --device hsm|--device goes with
	--init left-over|'left-over' is one argument too many
	--check-config left-over|'left-over' is one argument too many
END
more=()
for ((i = 0; i < 256; i++)); do more+=(--share-to key.pem); done
refuse "more keys for shares than there can be shares" 1 "more than 16 shares" keyd --init --shares 255 --threshold 2 "${more[@]}"
[ ! -e "$T/state" ] || fail "a command that was refused made $T/state"
ok "... and left nothing behind"

# -- Instead of what the configuration says --
sed -i 's:token=holdfast:token=nobody:; s:"file\:pin":"file\:nobody":' "$conf"
make_token
expect "--hsm-uri and --pin-source" quiet keyd --probe --hsm-uri "pkcs11:token=holdfast?module-path=$MODULE" --pin-source "file:$T/pin"
refuse "a PIN from nowhere" 1 "nobody" keyd --probe --hsm-uri "pkcs11:token=holdfast?module-path=$MODULE"
refuse "a credential outside of a unit" 1 "elsewhere --pin-source" env -u CREDENTIALS_DIRECTORY \
	holdfast-keyd --config "$conf" --probe --pin-source cred:hsm-pin
sed "/^hsm {/,/^}/d" "$conf" >"$T/several.conf"
cat >>"$T/several.conf" <<-END
	hsm "left" {
	  uri = "pkcs11:token=nobody?module-path=$MODULE"
	  pin = "file:nobody"
	}
	hsm "right" {
	  uri = "pkcs11:token=holdfast?module-path=$MODULE"
	  pin = "file:nobody"
	}
END
expect "--device: --pin-source is that HSM's" quiet holdfast-keyd --config "$T/several.conf" --probe \
	--device right --pin-source "file:$T/pin"
refuse "... else it has its own" 1 "nobody cannot be opened" holdfast-keyd --config "$T/several.conf" --probe --device right
refuse "... and one that there is not" 1 "no HSM middle in" holdfast-keyd --config "$T/several.conf" --probe --device middle

# -- Folders that are missing: the setting is named, not the sandbox --
while read -r setting value; do
	sed "s|^ *${setting#audit.} *= .*|${setting#audit.} = \"$value\"|" "$T/good.conf" >"$T/missing.conf"
	refuse "no folder for $setting" 1 "$setting: the folder $T/none: No such file" \
		holdfast-keyd --config "$T/missing.conf"
done <<-END
	socket $T/none/keyd.sock
	events ipc://$T/none/events.sock
	audit.file $T/none/audit.log
	audit.public_key $T/none/audit.pub
END
rm -rf "$T/state"

# -- Who runs it: what root leaves in the service's folder, the service cannot open --
if [ "$(id -u)" = 0 ]; then
	mkdir "$T/state"
	chown 65534 "$T/state"
	for mode in "" --init "--restore $T/pin" "--restore-master $T/pin"; do
		# shellcheck disable=SC2086 # words
		refuse "root in the folder of another user: ${mode:-the daemon}" 1 "belongs to the user nobody" \
			keyd --pin-source "file:$T/pin" $mode
	done
	is "... leaves nothing there" "" "$(ls -A "$T/state")"
	chown 0 "$T/state"
	nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	chmod 755 "$T"
	if "${nobody[@]}" test -x "$BUILD_DIR/bin/holdfast-keyd"; then
		refuse "another user in root's folder" 1 "belong to the user that the service runs as" \
			"${nobody[@]}" "$BUILD_DIR/bin/holdfast-keyd" --config "$conf" --init
	fi
	rm -r "$T/state"
fi

# -- Nobody but the daemon starts the process for the HSM's library --
refuse "--hsm-host by hand" 1 "" timeout -s KILL 60 holdfast-keyd --hsm-host 3<&-
mkfifo "$T/fifo" # nothing ever comes out of it
refuse "... with something as its socket" 1 "" timeout -s KILL 60 holdfast-keyd --hsm-host 3<>"$T/fifo"
echo "$checks checks"
