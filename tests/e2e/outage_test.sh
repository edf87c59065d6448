#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Running programs and their keys in the HSM, while the daemon is killed again
# and again, while it is away for longer, and while the HSM is: nginx under a
# load of handshakes, and an ssh-agent. Nothing is reloaded.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# Signatures by the agent, until the file is gone; as tls_load tells it.
agent_load() {
	local begin good=0 bad=0
	while [ -e "$T/agent.on" ]; do
		begin=$(now_ms)
		if ssh-keygen -q -Y sign -n file -f "$T/ssh/alice.pub" \
			<"$T/pin" >"$T/agent.sig" 2>/dev/null; then
			good=$((good + 1))
		else
			bad=$((bad + 1))
			echo "$begin $(now_ms)"
			sleep 0.02
		fi
	done
	echo "good $good bad $bad"
}

begin_load() {
	: >"$T/agent.on"
	: >"$T/away"
	agent_load >"$T/agent.load" &
	agent_pid=$!
	"$E2E/tls_load" "$PORT" 4 >"$T/nginx.load" &
	echo $! >"$T/ssh/load.pid"
	sleep 0.5
}

end_load() {
	local pid
	pid=$(cat "$T/ssh/load.pid")
	kill -TERM "$pid"
	wait "$pid"
	rm -f "$T/agent.on"
	wait "$agent_pid"
}

# The last line of a load is its sum: good N bad N.
good_of() { tail -1 "$T/$1.load" | cut -d' ' -f2; }
bad_of() { tail -1 "$T/$1.load" | cut -d' ' -f4; }

# Times of absence, "from to" in a line each, in $T/away.
away() { from=$(now_ms); }
back() { echo "$from $(now_ms)" >>"$T/away"; }

# other_failures PROGRAM: those that were over before an absence, or began
# after it
other_failures() {
	awk 'NR == FNR { from[NR] = $1; to[NR] = $2; n = NR; next }
		$1 != "good" {
			for (i = 1; i <= n; i++)
				if ($2 >= from[i] && $1 <= to[i])
					next
			print
		}' "$T/away" "$T/$1.load"
}

export HOLDFAST_PKCS11_CONFIG=$T/pkcs11.conf
echo 'patience = 2' >"$HOLDFAST_PKCS11_CONFIG"
MODULE=$E2E/p11_shim.so
export P11_FAULTS=$T/faults
start_service 'default_level = "hsm"'
recipe nginx "Key and certificate"
recipe nginx Start
recipe ssh "A user's key"
# In force from the next start: how long a request waits for the HSM.
sed -i 's/^hsm {/&\n  deadline_ms = 1000/' "$T/keyd.conf"
workers=$(pgrep -P "$(cat "$T/nginx/nginx.pid")" | sort)
is "nginx has two workers" 2 "$(wc -w <<<"$workers")"

# -- Killed 20 times, and back at once: calls wait for it. On a machine where it
# needs more than two seconds to start, some fail, but none when it is back. --

begin_load
for i in $(seq 20); do
	away
	stop_daemon -KILL
	start_daemon
	back
	sleep 0.2
done
end_load
for program in nginx agent; do
	[ "$(good_of $program)" -ge 20 ] || fail "$program signed only $(good_of $program) times"
	is "20 kills cost $program $(bad_of $program) of $(good_of $program) signatures" "" \
		"$(other_failures $program)"
done

# -- Away for longer than they wait --

begin_load
away
stop_daemon -KILL
sleep 4
start_daemon
back
sleep 2
end_load
for program in nginx agent; do
	[ "$(bad_of $program)" -gt 0 ] || fail "$program did not need the daemon"
	is "$program failed $(bad_of $program) times while the daemon was away, never else" "" \
		"$(other_failures $program)"
done

# -- The HSM goes and comes back --

hsm_ready() {
	[ "$(json .hsm_state holdfast status)" = ready ]
}
hsm_away() {
	! hsm_ready
}
begin_load
away
echo no-token >"$P11_FAULTS"
until_true 10 hsm_away || fail "the HSM is gone, and nobody noticed"
sleep 2
rm "$P11_FAULTS"
until_true 20 hsm_ready || fail "the HSM is back, and nobody noticed"
back
sleep 2
end_load
for program in nginx agent; do
	[ "$(bad_of $program)" -gt 0 ] || fail "$program did not need the HSM"
	is "$program failed $(bad_of $program) times while the HSM was away, never else" "" \
		"$(other_failures $program)"
	[ "$(good_of $program)" -ge 10 ] || fail "$program signed only $(good_of $program) times"
done

is "the workers are the same as at first" "$workers" \
	"$(pgrep -P "$(cat "$T/nginx/nginx.pid")" | sort)"
stop_server "$T/nginx/nginx.pid"
stop_server "$T/ssh/agent.pid"

echo "1..$checks"
