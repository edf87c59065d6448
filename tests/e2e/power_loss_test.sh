#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What was acknowledged survives that the power goes. power_shim.c notes each
# write, rename and sync of the daemon while keys are made and used; from that
# power_loss.py makes what a disk may hold when it went at a moment (writes not
# yet synced are there, torn, out of order or gone). On each of these a daemon
# must start by itself, have all that was acknowledged by then, nothing by half,
# and an audit log that verifies.
# POWER_CUTS says how many moments are tried.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/acked.sh
. "$(dirname "$0")/acked.sh"

cuts=${POWER_CUTS:-40}
journal=$T/journal

position() {
	stat -c %s "$journal"
}

loss() {
	python3 "$SOURCE_DIR/tests/e2e/power_loss.py" "$@"
}

# -- Work, under the eyes of the shim, from the first file on --
AUDIT='checkpoint_lines = 7'
PRELOAD=$E2E/power_shim.so
export POWER_UNDER="$T/run" POWER_JOURNAL=$journal
mkdir "$T/run"
make_token
make_policy
make_config
sed -i 's:^state_dir.*:state_dir = "run/state":; s:file = "audit.log":file = "run/audit.log":; s:"audit.pub":"run/audit.pub":' \
	"$T/keyd.conf"
ln -s run/audit.log run/audit.pub "$T"
ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS:-} LD_PRELOAD=$PRELOAD \
	holdfast-keyd --config "$T/keyd.conf" --init >/dev/null
start_daemon
ready=$(position)
for client in 1 2 3; do
	(for n in 1 2 3 4 5 6; do work "w$client-$n"; done) &
	pids[client]=$!
done
wait "${pids[@]}"
stop_daemon -KILL
PRELOAD=
end=$(position)
[ "$(wc -l <"$T/acked")" = 36 ] || fail "some work was not acknowledged"
sed -i 's:"run/:"lost/:' "$T/keyd.conf"
ln -sf lost/audit.log lost/audit.pub "$T"
ok "18 keys made by three clients: $(loss list "$journal" | wc -l) writes and syncs"

# -- The power goes --
# lost AT SEED
lost() {
	rm -rf "$T/lost"
	loss image "$journal" "$1" "$2" "$T/run" "$T/lost"
	start_daemon
	check "power lost after $1 bytes of the journal (seed $2)" "$1"
	stop_daemon -KILL
}
mapfile -t moments < <(loss list "$journal" | awk -v from="$ready" '$1 >= from')
for cut in $(seq "$cuts"); do
	at=${moments[RANDOM * 32768 % ${#moments[@]}]}
	lost "$at" "$cut"
done
lost "$end" 0
ok "the power went $cuts times: nothing acknowledged was lost"

# -- The test can fail: the same, had nothing been synced --
lost=0
for seed in 1 2 3 4 5; do
	rm -rf "$T/lost"
	loss forget "$journal" "$end" "$seed" "$T/run" "$T/lost"
	launch_daemon
	until_true 20 eval 'holdfast status || ! kill -0 $DAEMON_PID'
	[ "$(holdfast key list --limit 1000 2>/dev/null | wc -l)" = 18 ] || lost=$((lost + 1))
	stop_daemon -KILL
done
[ "$lost" -ge 1 ] || fail "without syncs nothing is lost either: what does this test show?"
ok "without syncs $lost of 5 stores were lost"
echo "$checks checks"
