# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For end-to-end tests with a listener for TLS; they source it after lib.sh.

# authority NAME: in $T/NAME.pem and $T/NAME.key
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
		-subj "/O=Holdfast tests/CN=$1" -keyout "$T/$1.key" -out "$T/$1.pem" 2>/dev/null
}

# certificate NAME AUTHORITY [DAYS]
certificate() {
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-subj "/O=Holdfast tests/CN=$1" -keyout "$T/$1.key" -out "$T/$1.csr" 2>/dev/null
	openssl x509 -req -in "$T/$1.csr" -CA "$T/$2.pem" -CAkey "$T/$2.key" \
		-CAcreateserial -days "${3:-2}" -out "$T/$1.pem" 2>/dev/null \
		-extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
}

free_port() {
	local port
	while :; do
		port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

# listening PORT: whether somebody listens there
listening() {
	grep -q "$(printf ':%04X 00000000:0000 0A' "$1")" /proc/net/tcp
}

# listener NAME PORT TLS12: its block in keyd.conf
listener() {
	cat <<-END
	listener "$1" {
	  address     = "127.0.0.1:$2"
	  certificate = "localhost.pem"
	  key         = "localhost.key"
	  client_ca   = "ca.pem"
	  allow_tls12 = $3
	}
	END
}
