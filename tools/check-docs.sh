#!/bin/sh
# Do the man pages say what the program does, no less and no more? Compares the tables of the sources with the pages: options with
# their ranges, defaults and variables, error codes, close codes, metrics, the types of frames and their members, routes, events of the
# log. One line a fault; ends with "docs: N passed, N failed". Reads only. WAVECHATD: the program, whose table of options is asked for. CHECK_DOCS_ROOT: another tree (for trying this script).
# shellcheck disable=SC2086,SC2016 # lists of words are meant to split; sh -c gets its own $1
set -u
export LC_ALL=C
cd "${CHECK_DOCS_ROOT:-$(dirname "$0")/..}" || exit 1

daemon=man/wavechatd.8
wire=man/wavechat-protocol.7
admin=man/wavechat-admin.7
ctl=man/wavechatctl.1
metrics_page=man/wavechat-metrics.7
passed=0
failed=0

fault() {
	printf 'check-docs: %s\n' "$*"
	failed=$((failed + 1))
}
expect() { # expect TEXT-OF-FAULT COMMAND...
	what=$1
	shift
	if "$@"; then passed=$((passed + 1)); else fault "$what"; fi
}
contains() {
	case $1 in *"$2"*) return 0 ;; *) return 1 ;; esac
}

# compare KIND SOURCE SOURCE-NAMES PAGE PAGE-NAMES: the same names, both ways. An empty list is a pattern here that no longer fits.
compare() {
	[ -n "$3" ] || fault "no $1 found in $2: has it moved?"
	for name in $3; do
		expect "$1 $name of $2 is not in $4" contains " $5 " " $name "
	done
	for name in $5; do
		contains " $3 " " $name " || fault "$1 $name of $4 is not in $2"
	done
}
words() {
	sort -u | tr '\n' ' ' | sed 's/ *$//'
}
# The lines of a page's section.
section() {
	awk -v want="$2" '/^\.Sh /{ is_in = substr($0, 5) == want; next } is_in' "$1"
}
# The names that items of a section begin with, after the macro $3.
items() {
	section "$1" "$2" | sed -n "s/^\.It $3 //p" | sed 's/ , /\n/g; s/ Pq .*//' | words
}
# One item with its text, on one line.
item() {
	section "$1" "$2" | awk -v want="$3" '
		/^\.It |^\.El/{ is_in = 0 }
		index($0 " ", ".It " want " ") == 1{ is_in = 1 }
		is_in{ printf "%s ", $0 }'
}

# --- Options. One row a line: name|variable|kind|low|high|default|choices|live; no row for what --help does not show.
option_rows=$("${WAVECHATD:-build/wavechatd}" --help-table) || exit 1
options=$(printf '%s\n' "$option_rows" | cut -d'|' -f1 | words)
documented=$(section $daemon OPTIONS | sed -n 's/^\.It Fl -\([a-z-]*\).*/\1/p' | words)
compare option core/server/options.c "$options" "$daemon OPTIONS" "$documented"

variables=
while IFS='|' read -r name env kind low high fallback choices _; do
	[ -n "$name" ] || continue
	text=$(item $daemon OPTIONS "Fl -$name")
	if [ -n "$env" ]; then
		variables="$variables $env"
		expect "$daemon does not give --$name its variable $env" contains "$text" "Pq Ev $env "
	else
		contains "${text%%.}" "Pq Ev " && fault "$daemon gives --$name a variable that it does not have"
	fi
	case $kind in
	INT)
		range="$low to $high"
		[ "$high" != 2147483647 ] || range="$low or more"
		# -1 stands for "not given": what holds then is no number, and --help says it in words
		said="The range is $range; the default is"
		[ "$fallback" = -1 ] || said="$said $fallback"
		expect "$daemon does not say of --$name: \"$said\"" contains "$(printf '%s' "$text" | tr -s ' ')" "$said"
		;;
	CHOICE)
		for word in $choices; do
			expect "$daemon does not tell of --$name's value $word" contains "$text" ".Cm $word "
		done
		expect "$daemon does not say that --$name's default is $fallback" contains "$text" "default is .Cm $fallback "
		;;
	esac
done <<EOF
$option_rows
EOF

# The options that SIGHUP changes, by the rows and by the page.
compare "option that SIGHUP changes" core/server/options.c "$(printf '%s\n' "$option_rows" | sed -n 's/^\([a-z-]*\)|.*|live$/\1/p' | words)" "$daemon SIGNALS" \
	"$(section $daemon SIGNALS | sed -n '/^These take effect/,/^Of the certificate/s/^\.Fl -\([a-z-]*\).*/\1/p' | words)"

# Every option that a page mentions exists.
for page in $daemon $wire $admin; do
	for name in $(grep -E '^\.' $page | grep -oE 'Fl -[a-z][a-z-]*' | sed 's/Fl -//' | words); do
		contains " $options " " $name " || fault "$page speaks of an option --$name, which core/server/options.c does not have"
	done
done

# --- Variables: those of options, and what else is read, but for the faults of a build for tests. TZ is the C library's.
read_too=$(find core cmd/wavechatd -name '*.c' ! -name 'fault*' -exec grep -ohE 'getenv\("[A-Z_]+"\)' {} + | sed 's/.*"\(.*\)".*/\1/')
compare variable core/server/options.c "$(printf '%s\n' $variables $read_too TZ | words)" "$daemon ENVIRONMENT" \
	"$(items $daemon ENVIRONMENT Ev)"

# --- Codes and metrics.
compare "error code" core/wire/event.c "$(grep -oE '\[ERR_[A-Z_]*\] = "[a-z_]*"' core/wire/event.c | sed 's/.*"\(.*\)"/\1/' | words)" \
	"$wire ERROR CODES" "$(items $wire 'ERROR CODES' Cm)"
compare "close code" "core/hub/wsframe.h or core/wire/msg.h" "$(grep -ohE 'CLOSE_[A-Z0-9_]+ = [0-9]+' core/hub/wsframe.h core/wire/msg.h | sed 's/.* //' | words)" \
	"$wire CLOSE CODES" "$(items $wire 'CLOSE CODES' Cm)"
# "name kind" a line: labels aside, histograms too, all with the prefix they are shown with.
metrics=$({
	sed -n 's/^[ \t]*X([A-Z_0-9]*, \([a-z]*\), [a-z]*, "\([a-z_0-9]*\)[\\"{].*/wavechat_\2 \1/p' core/base/metrics.h | sed 's/^wavechat_process_/process_/'
	sed -n '/define HISTOGRAMS/,/define HISTOGRAM_/s/^[ \t]*X([A-Z_0-9]*, "\([a-z_0-9]*\)".*/wavechat_\1 histogram/p' core/base/metrics.h
} | sort -u)
compare metric core/base/metrics.h "$(printf '%s\n' "$metrics" | cut -d' ' -f1 | words)" "$metrics_page" "$(items $metrics_page METRICS Va)"
while read -r name kind; do
	expect "$metrics_page does not say that metric $name is a $kind" contains "$(item $metrics_page METRICS "Va $name")" "Va $name Pq $kind "
done <<EOF
$metrics
EOF

# --- The administrator's verbs: method, path and parameters, as the pages' items have them.
verbs=$(tr -d "\n" <core/admin/verbs.h | sed "s/REQUEST(/\nREQUEST(/g" | sed -n 's/^REQUEST([a-z_]*, "\([A-Z]*\)", "\([a-z0-9/-]*\)", [A-Z_]*, "[a-z-]*", "\([a-z_ ]*\)",.*/\1_\2 \3/p')
compare verb core/admin/verbs.h "$(printf '%s\n' "$verbs" | sed 's/ .*//' | words)" "$admin VERBS" \
	"$(items $admin VERBS Pa | tr ' ' '\n' | paste -d_ - - | words)"
while read -r verb params; do
	listed=
	for param in $params; do listed="$listed${listed:+ , }$param"; done
	expect "$admin VERBS does not give ${verb%_*} ${verb#*_} the parameters: ${params:-none}" contains \
		"$(section $admin VERBS | grep -E "^\.It Pa ${verb%%_*} ${verb#*_}( |\$)")." \
		" ${verb#*_}${listed:+ Pq Va $listed}."
done <<EOF
$verbs
EOF

# --- wavechatctl: verbs, each with its options; variables; exit codes.
ctl_rows=$(sed ':a; /\\$/{ N; s/[ \t]*\\\n[ \t]*/ /; ba; }; s/COMMAND(/\n&/g; s/REQUEST(/\n&/g' core/admin/verbs.h | awk '
	function names(text,  list) {
		while (match(text, /OPTION(_OF)?\("[a-z-]+"|VERB_[A-Z_]+/)) {
			piece = substr(text, RSTART, RLENGTH); text = substr(text, RSTART + RLENGTH)
			if (piece in means) list = list means[piece]
			else { split(piece, part, "\""); list = list " " part[2] }
		}
		return list
	}
	/^#define VERB_/{ means[$2] = names(substr($0, index($0, $2) + length($2))) }
	/^COMMAND\([a-z_]+, "/{ split($0, part, "\""); print part[2] names($0) }')
compare verb core/admin/verbs.h "$(printf '%s\n' "$ctl_rows" | cut -d' ' -f1 | words)" "$ctl VERBS" \
	"$(section $ctl VERBS | sed -n '/^\.It Xo$/{n;s/^\.Cm /.It Cm /;}; s/^\.It Cm \([a-z-]*\).*/\1/p' | words)"
while read -r verb rest; do
	# From the item's first line to its text: macros only.
	head=$(section $ctl VERBS | sed '/^\.It Xo$/{N;s/Xo\n\.//;}' | awk -v want=".It Cm $verb" '
		index($0 " ", want " ") == 1{ is_in = 1; print; next } is_in && /^[^.]|^\.It/{ exit } is_in && /^\.(Op|Ar|Fl|Oo|Oc)/{ print }' | tr '\n' ' ')
	for name in $rest; do
		expect "$ctl does not give $verb its option --$name" contains "$head" "Fl -$name "
	done
	for name in $(printf '%s' "$head" | grep -oE 'Fl -[a-z-]+' | sed 's/Fl -//'); do
		contains " $rest " " $name " || fault "$ctl gives $verb an option --$name that it does not have"
	done
done <<EOF
$ctl_rows
EOF
ctl_common=$(sed -n '/^static const struct option common/,/^};/p' cmd/wavechatctl/main.c | grep -oE 'OPTION\("[a-z-]+"' | sed 's/.*("//; s/"//')
ctl_options=$({ printf '%s\n' "$ctl_rows" | cut -s -d' ' -f2- | tr ' ' '\n'; printf '%s\n' $ctl_common; } | grep . | words)
compare option cmd/wavechatctl/main.c "$ctl_options" "$ctl OPTIONS" \
	"$(section $ctl OPTIONS | sed -n 's/^\.It Fl -\([a-z-]*\).*/\1/p' | words)"
compare variable cmd/wavechatctl "$(cat cmd/wavechatctl/*.c | grep -oE 'getenv\("[A-Z_]+"\)' | sed 's/.*"\(.*\)".*/\1/' | words)" \
	"$ctl ENVIRONMENT" "$(items $ctl ENVIRONMENT Ev)"
compare "exit status" cmd/wavechatctl/ctl.h "$(grep -oE '^	EXIT_[A-Z_]+ = [0-9]+' cmd/wavechatctl/ctl.h | sed 's/.* //' | words)" \
	"$ctl EXIT" "$(section $ctl 'EXIT STATUS' | sed -n 's/^\.It \([0-9]*\)$/\1/p' | words)"

# --- Frames: every type that is read or sent, every member.
shapes=$(awk '/^\.Bd -literal/{ is_in = 1 } /^\.Ed/{ is_in = 0 } is_in' $wire)
sources="core/wire/encode.c core/room/room.c core/room/join.c core/room/message.c core/room/lockdown.c core/room/pages.c core/room/presence.c core/room/chores.c core/state/tail.c core/state/user.c core/flow/publish.c core/site/site_upload.c"
types_read=$(sed -n '/^} types\[\] = {/,/^};/p' core/wire/decode.c | grep -oE '\{ "[a-z_]+"' | tr -d '{ "')
types_sent=$(cat $sources | grep -oE '\{\\"type\\":\\"[a-z_]+' | sed 's/.*"//')
compare "type of frame" "core/wire/decode.c and what encodes" "$(printf '%s\n' $types_read $types_sent | words)" "$wire" \
	"$(printf '%s\n' "$shapes" | grep -oE '"type":"[a-z_]+"' | sed 's/.*:"\(.*\)"/\1/' | words)"

members_read=$(grep -ohE '\(in, "[a-z0-9_]+"' core/wire/decode.c | sed 's/.*"\(.*\)"/\1/')
members_sent=$(cat $sources | grep -oE '\\"[a-z0-9_]+\\":|put_[a-z0-9_]+\((b|before|after), "[a-z0-9_]+"' |
	sed 's/.*"\([a-z0-9_]*\)\(\\":\|"\)$/\1/')
named=$(printf '%s\n' "$shapes" | grep -oE '"[a-z0-9_]+"\??:' | tr -d '":?' | words)
told=$(grep -E '^\.(It )?(Va|Ql)' $wire | sed 's/\\(dq/"/g' | grep -oE '[a-z0-9_]+')
for name in $(printf '%s\n' $members_read $members_sent | words); do
	expect "member \"$name\" of frames is not in $wire" contains " $named $(printf '%s ' $told) " " $name "
done
for name in $named; do
	contains " $(printf '%s\n' $members_read $members_sent | words) " " $name " || fault "member \"$name\" of $wire is in no source"
done

# --- Paths: the routes, and the parts of the page.
paths=$({
	sed -n '/http_route fixed\[\] = {/,/^};/p' core/site/site.c | grep -oE '"[A-Z]+", "/[^"]*"' | sed 's/", "/ /; s/"//g'
	grep -oE '\.path = "/[^"]*"' tools/embed.c | sed 's/.*"\(.*\)"/GET \1/'
	sed -n 's/^#define WC_WS_PATH "\(.*\)"/GET \1/p' core/http/httpd.h
} | sort -u)
http=$(section $wire HTTP)
[ "$(printf '%s\n' "$paths" | grep -c .)" -ge 10 ] || fault "no routes found in core/site/site.c and tools/embed.c: have they moved?"
while read -r method path; do
	pattern=$(printf '%s' "$path" | sed 's/[.]/\\./g')
	expect "$method $path of the server is not in $wire HTTP" \
		sh -c 'printf "%s\n" "$1" | grep -qE "$2"' sh "$http" "^\.It Pa $method $pattern([?]|[A-Z]|\$)|^\.Pa $pattern( |\$)"
done <<EOF
$paths
EOF
for path in $(printf '%s\n' "$http" | sed -n 's/^\.It Pa [A-Z]* \(\/[^?]*\).*/\1/p; s/^\.Pa \(\/[^ ]*\).*/\1/p' | sed 's/[A-Z].*//' | words); do
	printf '%s\n' "$paths" | grep -qxE "[A-Z]+ $path" || fault "$wire HTTP has a path $path that is no route"
done

# --- The log: what is said at the default level.
events=$(cat core/*/*.c cmd/wavechatd/*.c | tr '\n' ' ' | grep -oE '(log_(error|warn|info)|say_complaint)\([[:space:]]*"[^"]+"' | sed 's/.*([[:space:]]*"\(.*\)"/\1/; s/ /_/g' | words)
compare "log event" core "$events" "$daemon DIAGNOSTICS" \
	"$(section $daemon DIAGNOSTICS | sed -n 's/^\.It //p' | tr -d '"' | sed 's/ /_/g' | words)"

# --- SECURITY.md: the tests and the rows of attacks that it names are there.
tests_named() { grep '^| ' SECURITY.md | cut -d'|' -f"$1" | grep -oE "$2" | sort -u; }
for name in $(tests_named 3 '[0-9][0-9]-[a-z-]+'); do
	found=$(ls "tests/net/$name.test.mjs" "tests/browser/$name.test.mjs" 2>/dev/null)
	expect "SECURITY.md names a test $name that is not there" [ -n "$found" ]
done
for name in $(tests_named 3 'test_[a-z_]+'); do
	found=$(ls tests/unit/*/"$name.c" 2>/dev/null)
	expect "SECURITY.md names a unit test $name that is not there" [ -n "$found" ]
done
for name in $(tests_named 4 '`[a-z-]+`' | tr -d '`'); do
	expect "SECURITY.md names a row $name that tests/net/fairness-foes.mjs has not" grep -q "'$name'" tests/net/fairness-foes.mjs
done

# --- Form.
for page in man/*.[1-8]; do
	# Examples and security stand before long tables, against the convention.
	if command -v mandoc >/dev/null; then
		said=$(mandoc -T lint -W warning "$page" 2>&1 | grep -v 'sections out of conventional order' | head -n 1)
		expect "mandoc complains of $page: $said" [ -z "$said" ]
	fi
	grep -qE '^[^.].{80}' "$page" && fault "$page has a line of text longer than 80 characters"
done

echo "docs: $passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
