#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ten thousand connections of one user, while another connection is served; and
# one user who takes all that he may, while others are served.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# A descriptor for each connection, and one for the process at the other end.
ulimit -n "$(ulimit -Hn)"
crowd=10000
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge $((crowd + 1000)) ] ||
	crowd=$(($(ulimit -n) - 1000))

mkdir "$T/policy.d"
cat >"$T/policy.d/other.hcl" <<-END
	path "sys/whoami" { capabilities = ["read"] }
	bind { subjects = ["uid:65534"] }
END
start_service "limits {" "  connections = $((crowd + 200))" "  connections_uid = $((crowd + 100))" "}"

nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups timeout 20 "$@"
}

descriptors() { # of the daemon
	find "/proc/$DAEMON_PID/fd" -type l | wc -l
}

memory() { # KiB that are the daemon's own
	awk '/^Private_(Clean|Dirty)/ { kib += $2 } END { print kib }' "/proc/$DAEMON_PID/smaps_rollup"
}

# busy NAME COUNT: the line of crowd.c, and memory and descriptors meanwhile in
# $held and $open
busy() {
	mkfifo "$T/more"
	"$E2E/crowd" "$HOLDFAST_SOCKET" "$2" 2000 <"$T/more" >"$T/said" 2>&1 &
	local pid=$!
	exec 9>"$T/more"
	until_true 120 grep -q max "$T/said" || fail "$1: $(cat "$T/said")"
	held=$(memory)
	open=$(descriptors)
	"${3:-true}"
	exec 9>&-
	wait "$pid" || fail "$1: $(cat "$T/said")"
	rm "$T/more"
	said=$(cat "$T/said")
}

busy "alone" 1
alone=$held few=$open
echo "# alone: $said"
busy "a crowd" "$crowd"
echo "# beside $crowd: $said"
is "$crowd connections are taken" "$crowd" "$(awk '{ print $2 }' <<<"$said")"
expect "the busy one is served within a second each" \
	awk '$6 > 1000000 { exit 1 }' <<<"$said"
is "and cost a descriptor each" "$((crowd - 1))" "$((open - few))"
each=$(((held - alone) * 1024 / crowd))
echo "# $each bytes for an idle connection"
[ "$each" -lt 8192 ] || fail "$each bytes of memory for each idle connection"
ok "an idle connection takes less than 8 KiB"

quickly() {
	expect "another user is served beside one who takes all that he may" \
		quiet nobody "$T/bin/holdfast" whoami
}
if [ "$(id -u)" = 0 ]; then
	mkdir "$T/bin" # where others may run it
	cp "$BUILD_DIR/bin/holdfast" "$T/bin"
	busy "too large a crowd" $((crowd + 150)) quickly
	[ "$(awk '{ print $2 }' <<<"$said")" -lt $((crowd + 100)) ] ||
		fail "more than may be: $said"
	ok "no more of one user than connections_uid"
	refuse "who may not follow the events is sent away" 2 "may not read sys/events" \
		nobody "$T/bin/holdfast" events
fi
expect "and all is well afterwards" quiet holdfast status
echo "$checks checks"
