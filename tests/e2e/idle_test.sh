#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where nothing happens nobody wakes up, neither in the daemon nor in the
# process of the HSM's library; and still nothing that goes wrong with those
# processes stays unnoticed.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/hsm_lib.sh
. "$(dirname "$0")/hsm_lib.sh"

hsm_service 'deadline_ms = 1000'
holdfast key create payments >/dev/null
holdfast key create inside --type ecdsa-p256 --level hsm >/dev/null
worker() { pgrep -P "$(pgrep -d, -P "$DAEMON_PID")" || true; }
works() { is_state ready && quiet holdfast sign inside "$T/data"; }
works || fail "it does not work"

# -- Nothing happens --
# Longer than the period of the signs of life. The last of what requests leave
# behind, counters that are written down after some seconds, may come before.
faults '# nothing'
until_true 60 asleep 7 || fail "somebody wakes up while nothing happens: $(wakes)"
ok "an idle service sleeps, and so does the process of the HSM's library"
is "an HSM that is in files needs no signs of life" 0 "$(called C_GetSessionInfo)"
expect "after that it works as before" works
until_true 60 asleep 7 || fail "somebody wakes up after requests: $(wakes)"
ok "and sleeps again"

# -- An HSM at the other end of a connection --
stop_daemon
faults connection
start_daemon
alive() { [ "$(called C_GetSessionInfo)" -gt 1 ]; }
until_true 30 alive || fail "no signs of life: $(called C_GetSessionInfo)"
ok "where the library holds a connection there are signs of life"
is "it is ready all the time" "ready 1" "$(status state) $(status generation)"
stop_daemon
rm "$P11_FAULTS"
start_daemon

# -- The process of the library, while nobody asks --
old=$(worker)
replaced() { [ -n "$(worker)" ] && [ "$(worker)" != "$old" ] && is_state ready; }
until_true 60 asleep 3 || fail "somebody wakes up: $(wakes)"
kill -KILL "$old"
until_true 20 replaced || fail "a worker that was killed is not replaced"
ok "one that is killed is replaced without a request"

# What it is doing while the HSM is away is not known.
faults no-token
is "the HSM goes away" hsm_unavailable "$(how holdfast sign inside "$T/data")"
away() { is_state absent; }
until_true 20 away || fail "it is $(status state)"
old=$(worker)
kill -STOP "$old"
rm "$P11_FAULTS"
until_true 60 replaced || fail "a worker that stopped is not replaced: $(status state)"
has "one that stops while the HSM is away is replaced, too" "keeps its process from running" "$T/keyd.log"
expect "and the HSM is found" works
until_true 60 asleep 7 || fail "somebody wakes up afterwards: $(wakes)"
ok "after all that they sleep again"
expect "the audit log is whole" quiet holdfast audit verify "$T/audit.log"
echo "$checks checks"
