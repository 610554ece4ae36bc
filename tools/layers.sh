#!/bin/sh
# The layers of core/: which folder may include which, and that no two units need each other in a circle. Arguments: the folder of the
# build's objects. Prints each violation with both its ends; fails if there is one.
set -u
objects=${1:-build/release}
failed=0
complain() {
	printf '%s\n' "$1" | sed 's/^/layers: /' >&2
	failed=1
}

# --- A folder includes itself and the folders of its row, nothing else; a path with .h is that header alone. "server": everything.
may_include='
base
net     base
wire    base
store   base wire/msg.h
files   base wire/msg.h
state   base wire
hub     base net
http    base net
flow    base wire hub files state
site    base wire http store files
room    base net/ipban.h wire hub store files state flow
admin   base wire http store files hub room
server  base net wire store files state hub http flow site room admin
'
found=$(grep -nE '^#[[:space:]]*include "' core/*/*.[ch] /dev/null | awk -F: -v table="$may_include" '
	BEGIN {
		rows = split(table, row, "\n")
		for (i = 1; i <= rows; i++) {
			words = split(row[i], word, " ")
			if (words) is_folder[word[1]] = 1
			for (j = 1; j <= words; j++) may[word[1], word[j]] = 1
		}
	}
	{
		split($1, path, "/")
		split($3, quoted, "\"")
		wanted = quoted[2]
		folder = wanted
		sub(/\/.*/, "", folder)
		if (!(path[2] in is_folder)) print "core/" path[2] " is no folder of the table"
		else if (wanted == "civetweb.c" && path[2] == "http") next
		else if (wanted !~ /\//) print $1 ":" $2 ": \"" wanted "\" is not written from core/"
		else if (!(path[2] SUBSEP folder in may) && !(path[2] SUBSEP wanted in may))
			print $1 ":" $2 ": " path[2] " may not include \"" wanted "\""
	}')
[ -z "$found" ] || complain "$found"
found=$(grep -rnE --include='*.[ch]' '^#[[:space:]]*include "server/' cmd tools 2>/dev/null | grep -v '^cmd/wavechatd/')
[ -z "$found" ] || complain "outside core/server and cmd/wavechatd: $found"
stray=$(ls core/*.[ch] 2>/dev/null)
[ -z "$stray" ] || complain "in no folder: $stray"

# --- No circle among units, by the symbols that their objects need of each other. static.c is in libc's place: everybody needs it.
units=
for source in core/*/*.c; do
	object=$objects/${source%.c}.o
	[ "$source" != core/base/static.c ] || continue
	[ -f "$object" ] && units="$units $object" || complain "$object is missing: make"
done
circles=$(LC_ALL=C ${NM:-nm} -A -P $units | sed "s|^$objects/core/||" | awk '
	# Tarjan: a circle is a strongly connected set of two units or more.
	function visit(u, i, v, n, list, members) {
		rank[u] = low[u] = ++count
		stack[++depth] = u
		on_stack[u] = 1
		n = split(needs[u], list, " ")
		for (i = 1; i <= n; i++) {
			v = list[i]
			if (!(v in rank)) {
				visit(v)
				if (low[v] < low[u]) low[u] = low[v]
			} else if (on_stack[v] && rank[v] < low[u]) low[u] = rank[v]
		}
		if (low[u] != rank[u]) return
		members = 0
		while (1) {
			v = stack[depth--]
			on_stack[v] = 0
			set[v] = u
			members++
			if (v == u) break
		}
		size[u] = members
	}
	{
		unit = $1
		sub(/\.o:$/, "", unit)
		if ($3 == "U") wanted[unit, ++wants[unit]] = $2
		else if ($3 ~ /[A-Z]/) owner[$2] = unit
		is_unit[unit] = 1
	}
	END {
		for (unit in is_unit)
			for (i = 1; i <= wants[unit]; i++) {
				symbol = wanted[unit, i]
				other = owner[symbol]
				if (other == "" || other == unit) continue
				if (!((unit, other) in symbols)) needs[unit] = needs[unit] " " other
				symbols[unit, other] = symbols[unit, other] " " symbol
			}
		for (unit in is_unit)
			if (!(unit in rank)) visit(unit)
		for (pair in symbols) {
			split(pair, end, SUBSEP)
			if (set[end[1]] == set[end[2]] && size[set[end[1]]] > 1)
				print "circle of " size[set[end[1]]] " with " set[end[1]] ": " end[1] " needs " end[2] ":" symbols[pair]
		}
	}' | sort)
[ -z "$circles" ] || complain "$circles"

exit $failed
