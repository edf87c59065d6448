# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Runs what docs/recipes say, for end-to-end tests; they source it after
# pkcs11_lib.sh. A recipe runs in a folder of its own, $R, and in the shell of
# the test, so that the test can look at what it left. What differs from the
# page: the ports 8443 and 8444 are free ones, and what binds alice or root binds
# nobody (here root may do all, and a more specific path would narrow that).
export HOLDFAST_MODULE=$module
export PKCS11_MODULE_PATH=$module # OpenSSL's engine
R= # the folder of the recipe that ran last
exec 9>&2 # where failures are told, whatever a recipe's output goes to

# Hosts under a sanitizer: see pkcs11_lib.sh.
if [ "${#preload[@]}" != 0 ]; then
	skip "recipes run programs without a sanitizer's run time"
fi

# A port of loopback on which nobody listens.
free_port() {
	local port=$((20000 + RANDOM % 12000))
	while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
		port=$((port + 1))
	done
	echo "$port"
}
PORT=$(free_port)
PORT2=$(free_port)

# blocks PAGE LANGUAGE [HEADING]: the code of a page, on the lines on which it
# stands there
blocks() {
	awk -v language="$2" -v heading="${3-}" '
		/^```/ { inside = $0 == "```" language; print ""; next }
		!inside && /^## / { section = substr($0, 4) }
		{ print inside && (heading == "" || section == heading) ? $0 : "" }
	' "$1" | sed "s/\\b8443\\b/$PORT/g; s/\\b8444\\b/$PORT2/g; s/user:\(alice\|root\)/user:nobody/g"
}

recipe_failed() {
	cat "$T/out" "$T/err" >&9
	fail "$1" 2>&9
}

# recipe NAME [HEADING]: runs the commands of docs/recipes/NAME.md, or of that
# section, with the policy of the page; what they say is in $T/out and $T/err
recipe() {
	local page=$SOURCE_DIR/docs/recipes/$1.md script=$T/$1.md
	R=$T/$1
	if [ ! -d "$R" ]; then
		mkdir -p "$R"
		blocks "$page" hcl >"$T/policy.d/$1.hcl"
		holdfast policy reload >/dev/null
	fi
	blocks "$page" sh "${2-}" >"$script"
	grep -q . "$script" || fail "$1: there is no section '${2-}'"
	cd "$R" || fail "$R"
	trap 'recipe_failed "docs/recipes/${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND"' ERR
	# shellcheck source=/dev/null
	. "$script" >"$T/out" 2>"$T/err"
	trap - ERR
	cd "$OLDPWD" || fail "$OLDPWD"
}

# signatures KEY [PROGRAM]: how many were asked of it, by that program
signatures() {
	grep '"type":"request"' "$T/audit.log" |
		grep -c "\"path\":\"transit/sign/$1\".*\"exe\":\"[^\"]*${2:+/$2}\"" || :
}

# A process that is gone, or that nobody has waited for yet.
ended() {
	! grep -qs '^State:.[^Z]' "/proc/$1/status"
}

# stop_server PID_FILE [SIGNAL]: ends what a recipe started
stop_server() {
	local pid
	pid=$(cat "$1") || fail "no $1"
	kill "${2:--TERM}" "$pid"
	until_true 10 ended "$pid" || fail "process $pid of $1 does not end"
	rm -f "$1"
}

# Whatever a failed test left running: recipes write pid files. Servers end
# their workers when they are asked to end, not when they are killed.
more_cleanup() {
	local file pid
	for file in "$T"/*/*.pid; do
		[ -s "$file" ] || continue
		pid=$(cat "$file")
		kill "$pid" 2>/dev/null || continue
		until_true 3 ended "$pid" || kill -KILL "$pid" 2>/dev/null || :
	done
}
