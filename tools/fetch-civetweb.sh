#!/bin/sh
# Unpacks civetweb's source, with Debian's patches, into a folder (default build/civetweb).
#
# Debian ships civetweb's source but no static library, so it is built from the source package: version pinned, upstream
# tarball checked against the SHA-256 below, the mirror taken from this machine's own apt configuration. Needs no root
# and touches nothing outside the folder's parent: apt gets lists, cache and sources of its own there. All or nothing:
# the folder appears by one rename, complete, or not at all.
#
#   CIVETWEB_SRC=DIR   use a civetweb 1.15 tree that is already here instead (no network)
set -eu

version=1.15+dfsg-4
sha256=ec372e9737bc820118bbb735f46a07d41f795814ca0f38bc6e67048e7a460f33
suite=bookworm

target=${1:-build/civetweb}
mkdir -p "$(dirname "$target")"
parent=$(cd "$(dirname "$target")" && pwd)
target=$parent/$(basename "$target")
work=$parent/civetweb-fetch.$$

say() { printf '%s\n' "$*"; }
die() {
	say "fetch-civetweb: $*" >&2
	say "fetch-civetweb: with a civetweb 1.15 source tree at hand: make CIVETWEB_SRC=DIR" >&2
	exit 1
}
is_civetweb() { [ -f "$1/src/civetweb.c" ] && grep -q '"1\.15"' "$1/include/civetweb.h" 2>/dev/null; }
put_in_place() {
	rm -rf "$target"
	mv "$1" "$target"
}
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

if [ -n "${CIVETWEB_SRC:-}" ]; then
	is_civetweb "$CIVETWEB_SRC" || die "CIVETWEB_SRC=$CIVETWEB_SRC is no civetweb 1.15 source tree"
	mkdir -p "$work/tree"
	cp -R "$CIVETWEB_SRC/src" "$CIVETWEB_SRC/include" "$work/tree/"
	put_in_place "$work/tree"
	exit 0
fi
command -v apt-get >/dev/null || die "needs apt-get"
command -v dpkg-source >/dev/null || die "needs dpkg-source (package dpkg-dev): make setup"

# The first archive that this machine installs Debian's main component from, and the key it trusts for it, as a deb822 entry.
# Both of apt's formats: `deb [options] URI suite components` and stanzas. The suite asked for wins over others.
private_sources() {
	{
		cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk '
			$1 == "deb" {
				key = ""; i = 2
				if ($2 ~ /^\[/)
					for (i = 2; i <= NF; i++) {
						word = $i; gsub(/[][]/, "", word)
						if (word ~ /^signed-by=/) key = substr(word, 11)
						if ($i ~ /\]$/) { i++; break }
					}
				components = ""
				for (j = i + 2; j <= NF; j++) components = components " " $j
				print $i "|" $(i + 1) "|" components " |" key
			}'
		for f in /etc/apt/sources.list.d/*.sources; do
			[ -f "$f" ] || continue
			awk '
				function flush(  n, k, suites) {
					if (types ~ /(^| )deb( |$)/ && enabled !~ /^(no|false|0)/) {
						n = split(s, suites, " ")
						for (k = 1; k <= n; k++) print uri "|" suites[k] "| " components " |" key
					}
					types = s = uri = components = key = enabled = ""
				}
				/^#/ { next }
				/^[ \t]*$/ { flush(); next }
				{ field = tolower($1); value = $0; sub(/^[^:]*:[ \t]*/, "", value) }
				field == "types:" { types = value }
				field == "uris:" { split(value, u, " "); uri = u[1] }
				field == "suites:" { s = value }
				field == "components:" { components = value }
				field == "signed-by:" { key = value }
				field == "enabled:" { enabled = tolower(value) }
				END { flush() }' "$f"
		done
	} | awk -F'|' -v suite="$suite" '
		$3 !~ / main / || $1 ~ /security/ { next }
		$2 == suite { print; found = 1; exit }
		$2 ~ /^(bullseye|trixie|forky|stable|testing|unstable|sid)$/ && other == "" { other = $0 }
		END { if (!found && other != "") print other }' | awk -F'|' -v suite="$suite" '{
			print "Types: deb-src\nURIs: " $1 "\nSuites: " suite "\nComponents: main"
			if ($4 != "") print "Signed-By: " $4
		}'
}

mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts"
private_sources >"$work/parts/debian.sources"
[ -s "$work/parts/debian.sources" ] || die "no Debian archive in this machine's apt sources"
# In a file, because #clear has no form on the command line: the machine's own hooks must not run.
cat >"$work/apt.conf" <<CONF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$work/parts";
Dir::State::Lists "$work/lists";
Dir::Cache "$work/cache";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
say "  FETCH   civetweb $version (Debian source package)"
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; die "$1 $2 failed"; }; }
cd "$work"
quietly apt-get -c "$work/apt.conf" -qq update
quietly apt-get -c "$work/apt.conf" -qq --download-only source "civetweb=$version"
tarball=civetweb_${version%-*}.orig.tar.xz
[ -f "$tarball" ] || tarball=$(ls civetweb_*.orig.tar.* 2>/dev/null | head -n 1)
[ -n "$tarball" ] || die "the source package holds no upstream tarball"
echo "$sha256  $tarball" | sha256sum --check --status || die "SHA-256 of $tarball is not $sha256: refused"
quietly dpkg-source --no-check -x "civetweb_$version.dsc" tree
is_civetweb tree || die "the package is not the civetweb expected"
put_in_place "$work/tree"
