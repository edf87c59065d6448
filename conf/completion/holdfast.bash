# SPDX-License-Identifier: Apache-2.0
# bash completion of holdfast; printed by 'holdfast completion bash'.

_holdfast_options() {
	case "$1" in
	'encrypt') echo '--associated-data --context --derivation-context --key-version --type --binary --out --encoding' ;;
	'decrypt') echo '--associated-data --context --derivation-context --out --encoding' ;;
	'rewrap') echo '--associated-data --context --derivation-context --key-version --binary --out --encoding' ;;
	'datakey') echo '--bits --associated-data --context --derivation-context --key-version --binary --out --encoding' ;;
	'datakey-wrapped') echo '--bits --associated-data --context --derivation-context --key-version --binary --out --encoding' ;;
	'hmac') echo '--algorithm --key-version --binary --out --encoding' ;;
	'sign') echo '--derivation-context --hash-algorithm --prehashed --signature-algorithm --marshaling-algorithm --salt-length --key-version --binary --out --encoding' ;;
	'verify') echo '--signature --hmac --cmac --derivation-context --hash-algorithm --prehashed --signature-algorithm --marshaling-algorithm --salt-length --mac-length' ;;
	'random') echo '--bytes --source --out --encoding' ;;
	'hash') echo '--algorithm --out --encoding' ;;
	'key create') echo '--type --level --keyring --prefix --key-size --derived --convergent-encryption --committing --exportable --allow-plaintext-backup --deletion-allowed --required-context --auto-rotate-period --audit-context --dry-run --idempotency-key' ;;
	'key show') echo '--derivation-context' ;;
	'key list') echo '--after --limit' ;;
	'key config') echo '--min-decryption-version --min-encryption-version --primary-version --auto-rotate-period --use-limit --auto-retire-age --auto-retire-behind --deletion-allowed --exportable --allow-plaintext-backup --required-context --audit-context --dry-run' ;;
	'key rotate') echo ' --dry-run --idempotency-key' ;;
	'key trim') echo '--unused-for --force --dry-run' ;;
	'key delete') echo ' --dry-run' ;;
	'key soft-delete') echo ' --dry-run' ;;
	'key undelete') echo ' --dry-run' ;;
	'key enable') echo ' --dry-run' ;;
	'key disable') echo ' --dry-run' ;;
	'key destroy') echo '--delay --unused-for --force --dry-run' ;;
	'key restore') echo ' --dry-run' ;;
	'alias set') echo ' --dry-run' ;;
	'alias delete') echo ' --dry-run' ;;
	'alias list') echo '--after --limit' ;;
	'keyring create') echo ' --dry-run --idempotency-key' ;;
	'keyring list') echo '--after --limit' ;;
	'keyring destroy') echo '--with-keys --dry-run' ;;
	'status') echo '' ;;
	'whoami') echo '' ;;
	'metrics') echo ' --out --encoding' ;;
	'hsm status') echo '' ;;
	'hsm rotate-master') echo '--destroy-old --drop-shares --dry-run' ;;
	'policy reload') echo ' --dry-run' ;;
	'policy list') echo '' ;;
	'audit status') echo '' ;;
	'hsm add') echo '' ;;
	'hsm remove') echo '--destroy --confirm' ;;
	'hsm migrate') echo '--destroy --confirm' ;;
	'pin set') echo ' --dry-run' ;;
	'pin remove') echo ' --dry-run' ;;
	'key wrapping-key') echo ' --out --encoding' ;;
	'key csr') echo '--version --csr --subject --alt-names --out --encoding' ;;
	'key set-certificate') echo '--version --dry-run' ;;
	'key self-sign') echo '--version --subject --alt-names --days --dry-run --idempotency-key' ;;
	'key export-public') echo '--version --all --format --out --encoding' ;;
	'key export-chain') echo '--version --all --format --out --encoding' ;;
	'key export-encryption') echo '--version --all --format --out --encoding' ;;
	'key export-signing') echo '--version --all --format --out --encoding' ;;
	'key export-hmac') echo '--version --all --format --out --encoding' ;;
	'key byok-export') echo '--version --out --encoding' ;;
	'key backup') echo '--recipient --out --encoding' ;;
	'key restore-backup') echo '--force --dry-run --idempotency-key' ;;
	'reencrypt') echo '--destination --associated-data --context --derivation-context --new-associated-data --new-derivation-context --new-context --key-version --binary --out --encoding' ;;
	'cmac') echo '--mac-length --key-version --binary --out --encoding' ;;
	'key derive') echo '--base-key-version --derived-key-type --level --keyring --prefix --exportable --allow-plaintext-backup --deletion-allowed --dry-run --idempotency-key' ;;
	'datakey-pairs') echo '--count --associated-data --context --derivation-context --key-version --binary' ;;
	'datakey-pairs-wrapped') echo '--count --associated-data --context --derivation-context --key-version --binary' ;;
	'schedule show') echo '' ;;
	'schedule confirm') echo '' ;;
	'derived-keys') echo '--salt --info --key-index-from --key-index-to --bits --key-version' ;;
	'seal') echo '--out --force --context --key-version --chunk-size --quiet --info --rewrap' ;;
	'open') echo '--out --force --context --key --offset --length --quiet' ;;
	'hsm init') echo '--uri --pin-source --shares --threshold --share-dir --share-to' ;;
	'hsm restore-master') echo '--device --uri --pin-source' ;;
	'hsm probe') echo '--device --uri --pin-source' ;;
	'key import') echo '--type --level --keyring --prefix --allow-rotation --auto-rotate-period --derived --committing --exportable --allow-plaintext-backup --deletion-allowed --dry-run' ;;
	'key import-version') echo '--version --dry-run' ;;
	'key retire-report') echo '--all --older-than' ;;
	'rewrap-file') echo '--out --batch --force --quiet' ;;
	'backup') echo '' ;;
	'restore') echo '' ;;
	'policy check') echo '' ;;
	'policy test') echo '--uid --user --gid --group --unit --exe --cert --subject --path --capability --context' ;;
	'audit verify') echo '--key --expect' ;;
	'events') echo '--url' ;;
	'bench') echo '--list --only --repeat --seconds --quick --full --dir --markdown --plot --update' ;;
	'help') echo '' ;;
	'reference') echo '' ;;
	'completion') echo '' ;;
	esac
}

_holdfast_values() {
	case "$1" in
	'--type') echo 'aes256-gcm96 aes192-gcm96 aes128-gcm96 chacha20-poly1305 xchacha20-poly1305 ecdsa-p256 ecdsa-p384 ecdsa-p521 ed25519 rsa-2048 rsa-3072 rsa-4096 hmac aes128-cmac aes192-cmac aes256-cmac' ;;
	'--algorithm') echo 'sha1 sha2-224 sha2-256 sha2-384 sha2-512 sha3-224 sha3-256 sha3-384 sha3-512' ;;
	'--hash-algorithm') echo 'sha1 sha2-224 sha2-256 sha2-384 sha2-512 sha3-224 sha3-256 sha3-384 sha3-512 none' ;;
	'--signature-algorithm') echo 'pss pkcs1v15' ;;
	'--marshaling-algorithm') echo 'asn1 jws' ;;
	'--source') echo 'hsm platform all' ;;
	'--level') echo 'wrapped hsm' ;;
	'--capability') echo 'create read update patch delete list sudo' ;;
	'--mechanism') echo 'rsa-pkcs rsa-pss rsa-oaep rsa-raw ecdsa eddsa hmac aes-gcm aes-cbc aes-cbc-pad aes-ctr aes-ecb aes-cmac aes-kw aes-kwp rsa-aes-kwp ecdh hkdf' ;;
	'--hash') echo 'sha1 sha2-224 sha2-256 sha2-384 sha2-512 sha3-224 sha3-256 sha3-384 sha3-512' ;;
	'--steps') echo 'extract expand' ;;
	'--operation') echo 'sign verify mac encrypt decrypt' ;;
	'--hash-function') echo 'SHA1 SHA224 SHA256 SHA384 SHA512' ;;
	'--derived-key-type') echo 'aes256-gcm96 aes192-gcm96 aes128-gcm96 chacha20-poly1305 xchacha20-poly1305 ecdsa-p256 ecdsa-p384 ecdsa-p521 ed25519 rsa-2048 rsa-3072 rsa-4096 hmac aes128-cmac aes192-cmac aes256-cmac' ;;
	'-o') echo 'json table' ;;
	esac
}

_holdfast_takes_name() {
	case "$1" in
	'encrypt' | 'decrypt' | 'rewrap' | 'datakey' | 'datakey-wrapped' | 'hmac' | 'sign' | 'verify' | 'key create' | 'key show' | 'key config' | 'key rotate' | 'key trim' | 'key delete' | 'key soft-delete' | 'key undelete' | 'key enable' | 'key disable' | 'key destroy' | 'key restore' | 'key csr' | 'key set-certificate' | 'key self-sign' | 'key export-public' | 'key export-chain' | 'key export-encryption' | 'key export-signing' | 'key export-hmac' | 'key byok-export' | 'key backup' | 'key restore-backup' | 'reencrypt' | 'cmac' | 'key derive' | 'datakey-pairs' | 'datakey-pairs-wrapped' | 'derived-keys') return 0 ;;
	esac
	return 1
}

_holdfast_verbs='encrypt
decrypt
rewrap
datakey
datakey-wrapped
hmac
sign
verify
random
hash
key create
key show
key list
key config
key rotate
key trim
key delete
key soft-delete
key undelete
key enable
key disable
key destroy
key restore
alias set
alias delete
alias list
keyring create
keyring list
keyring destroy
status
whoami
metrics
hsm status
hsm rotate-master
policy reload
policy list
audit status
hsm add
hsm remove
hsm migrate
pin set
pin remove
key wrapping-key
key csr
key set-certificate
key self-sign
key export-public
key export-chain
key export-encryption
key export-signing
key export-hmac
key byok-export
key backup
key restore-backup
reencrypt
cmac
key derive
datakey-pairs
datakey-pairs-wrapped
schedule show
schedule confirm
derived-keys
seal
open
hsm init
hsm restore-master
hsm probe
key import
key import-version
key retire-report
rewrap-file
backup
restore
policy check
policy test
audit verify
events
bench
help
reference
completion'

_holdfast() {
	local cur=${COMP_WORDS[COMP_CWORD]}
	local prev=${COMP_WORDS[COMP_CWORD-1]}
	local before="${COMP_WORDS[*]:1:COMP_CWORD-1}" verb='' words='' v

	words=$(_holdfast_values "$prev")
	if [ -n "$words" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
	fi
	while IFS= read -r v; do
		case "$before " in
		"$v "*) [ ${#v} -gt ${#verb} ] && verb=$v ;;
		"${v% *}" | "${v% *} ") [ "$v" != "${v% *}" ] && words+=" ${v##* }" ;;
		esac
		[ -z "$before" ] && words+=" ${v%% *}"
	done <<<"$_holdfast_verbs"
	if [ -n "$verb" ] && [[ $cur == -* ]]; then
		words="$(_holdfast_options "$verb") --address --socket -o --timeout --help"
	elif [ -n "$verb" ] && [ "$before" = "$verb" ] &&
	    _holdfast_takes_name "$verb"; then
		words+=" $(holdfast --timeout 1 key list 2>/dev/null)"
	elif [ -n "$verb" ] && [ -z "$words" ]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _holdfast holdfast
