# check.sh — sourced: runs a command, says PASS or FAIL, and counts; what a failed one said is shown.
# shellcheck shell=bash disable=SC2034
passed=0 failed=0
check() { # check WHAT COMMAND...
	local what=$1 log
	shift
	if log=$("$@" 2>&1); then
		passed=$((passed + 1))
		echo "  PASS    $what"
	else
		failed=$((failed + 1))
		echo "  FAIL    $what"
		printf '%s\n' "$log" | tail -n 40 | sed 's/^/          /'
	fi
}
