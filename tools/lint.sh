#!/bin/sh
# Checks beyond the build's compiler: clang's warnings, the layers' rules, prose, the syntax of scripts. Arguments: the
# compiler's flags. Names the checks that lack their tool, and fails for every finding.
set -u
failed=0
complain() {
	printf '%s\n' "$*" >&2
	failed=1
}

# --- clang. civet.c is compiled together with civetweb, whose warnings are not ours.
if command -v clang >/dev/null; then
	for f in core/*/*.c cmd/*/*.c tools/*.c tools/*/*.c tests/unit/*/*.c; do
		[ -f "$f" ] && [ "$f" != core/http/civet.c ] || continue
		clang -std=gnu11 "$@" -DWC_VERSION='"lint"' -Werror -Wno-unused-command-line-argument -MF /dev/null -fsyntax-only "$f" || failed=1
	done
else
	echo "lint: no clang here; its warnings were not looked at" >&2
fi

# --- Layers: who may include whom, and no circles. Then what only some may see: pattern, where it may be.
only_in() {
	found=$(grep -lE "$1" core/*/*.[ch] cmd/*/*.[ch] tools/*.c tools/*/*.[ch] 2>/dev/null | grep -vxE "$2")
	[ -z "$found" ] || complain "lint: $1 outside $2: $(echo "$found" | tr '\n' ' ')"
}
only_in '#include [<"]sqlite3\.h' 'core/store/[a-z_]+\.[ch]'
only_in '#include [<"]civetweb\.c' 'core/http/civet\.c'
only_in '#include [<"]json-c/json(_object|_tokener)?\.h' 'core/(wire/(decode|encode)|admin/[a-z_]+)\.[ch]|cmd/wavechatctl/[a-z_]+\.c|tools/confusables\.c'
tools/layers.sh "${OUT:-build/release}" || failed=1

# --- Form: as `make fmt` leaves it, and 140 columns at most with tabs of 8; a text that a program prints may be longer.
if command -v clang-format >/dev/null; then
	other=$(git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror 2>&1 | sed -n 's/^\([^ :]*\):.* error: .*/\1/p' | sort -u | tr '\n' ' ')
	[ -z "$other" ] || complain "lint: not as make fmt has it: $other"
else
	echo "lint: no clang-format here; the sources' form was not looked at" >&2
fi
long=$(for f in $(git ls-files '*.c' '*.h'); do
	expand -t 8 "$f" | LC_ALL=C.UTF-8 grep -nE '^.{141}' | grep -v '"' | sed "s|^\([0-9]*\):.*|$f:\1|"
done)
[ -z "$long" ] || complain "lint: lines of more than 140 columns: $(echo "$long" | tr '\n' ' ')"
# --- What must not be used at all.
unsafe=$(grep -nE '\b(strcpy|strcat|gets|vsprintf|strtok|alloca)\(' core/*/*.[ch] cmd/*/*.[ch] 2>/dev/null)
[ -z "$unsafe" ] || complain "lint: unbounded or stateful libc: $unsafe"
when=$(grep -nE '__(DATE|TIME)__' core/*/*.[ch] cmd/*/*.[ch] tools/*.c tools/*/*.[ch] 2>/dev/null)
[ -z "$when" ] || complain "lint: not reproducible: $when"

# --- The page: ui stands on talk and media, these on base; no export without an importer; one breakpoint in styles and scripts.
for f in assets/js/base/*.js assets/js/talk/*.js assets/js/media/*.js; do
	above=$(sed -n "s/.* from '\(.*\)';/\1/p" "$f" | grep -vE "^(\./(lang/)?|\.\./base/)[a-z0-9_]+\.js\$" | tr '\n' ' ')
	[ -z "$above" ] || complain "lint: $f imports what lies above or beside it: $above"
done
for f in assets/js/*/*.js; do
	for name in $(sed -nE 's/^export (const|function|async function|class) (\w+).*/\2/p' "$f"); do
		[ "$(grep -rlw --include='*.js' "$name" assets/js | wc -l)" -gt 1 ] || complain "lint: $f exports $name, which nothing imports"
	done
done
widths=$(grep -rohE '(min|max)-width: [0-9]+px\)' assets/css assets/js | sort -u | wc -l)
[ "$widths" -eq 1 ] || complain "lint: the page has $widths breakpoints"

# --- Prose
tests/lint/prose >&2 && tools/prose.pl >&2 || failed=1

# --- Scripts
for f in $(git ls-files packaging tools tests .ci | grep -E '\.sh$|/run$'); do
	case $(head -n 1 "$f") in *bash*) bash -n "$f" ;; *sh*) sh -n "$f" ;; esac || failed=1
	! command -v shellcheck >/dev/null || shellcheck -x -S warning "$f" || failed=1
done
if command -v node >/dev/null; then
	for f in $(git ls-files 'tests/*.mjs'); do
		node --check "$f" || failed=1
	done
fi

[ $failed -eq 0 ] && echo "lint: clean"
exit $failed
