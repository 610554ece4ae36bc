#!/bin/sh
# notices.sh CC LIBRARY... prints THIRD-PARTY: the notices of what is linked into the programs. They are civetweb's licence, the copyright
# file of each Debian package that holds a library here, and the licences that those files refer to. A LIBRARY is named as behind -l.
# A library of no package is listed at the end and on standard error: such a text is not complete, and packaging/package.sh refuses it.
# Reads only.
# shellcheck disable=SC2086,SC2016 # lists of words are meant to split; $Id is civetweb's
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."
docs=${NOTICES_DOCS:-/usr/share/doc}
cc=$1
shift

# The C library and the compiler's own routines come with every program.
files=$(for library in "$@" c gcc; do
	file=$($cc -print-file-name="lib$library.a")
	[ ! -f "$file" ] || file=$(realpath "$file")
	printf '%s\n' "$file"
done | sort -u)
package_of() {
	dpkg-query -S "$1" 2>/dev/null | sed -n '1s/[:,].*//p'
}
packages=
unknown=
for file in $files; do
	package=$(package_of "$file" || true)
	# Where /lib is a link to /usr/lib, a package may name the file by either.
	[ -n "$package" ] || package=$(package_of "${file#/usr}" || true)
	if [ -n "$package" ]; then packages="$packages $package"; else unknown="$unknown ${file##*/}"; fi
done
# Its table of look-alikes is compiled in.
table=python3-confusable-homoglyphs
if dpkg-query -W "$table" >/dev/null 2>&1; then packages="$packages $table"; else unknown="$unknown $table"; fi
packages=$(printf '%s\n' $packages | sort -u)

# Small images leave out the links by which packages of one source share a notice: then another one's is the same.
notice_of() {
	source=$(dpkg-query -W -f '${source:Package}' "$1")
	for name in "$1" $(dpkg-query -W -f '${Package} ${source:Package}\n' | sed -n "s/ $source\$//p"); do
		[ -f "$docs/$name/copyright" ] || continue
		printf '%s\n' "$docs/$name/copyright"
		return
	done
}

heading() {
	printf '\n\n===== %s =====\n\n' "$1"
}
cat <<'TEXT'
Third-party notices

The programs hold the libraries below, linked into them. Each notice is the one
that came with the library; some also cover parts of a package that are not
linked in. The licences that they refer to stand at the end.

The GNU C library is under the LGPL. To use a changed one, build the programs
anew: `make` links the same sources, which are free, with what is installed.
TEXT
heading "civetweb 1.15"
if [ -f build/civetweb/LICENSE.md ]; then cat build/civetweb/LICENSE.md; else sed '/\*\//q' build/civetweb/src/civetweb.c; fi
heading "civetweb: MD5"
sed -n '/\$Id: md5.c/,/\*\//p' build/civetweb/src/md5.inl
for package in $packages; do
	heading "$(dpkg-query -W -f '${source:Package} ${source:Version} (${Package})' "$package")"
	notice=$(notice_of "$package")
	if [ -n "$notice" ]; then cat "$notice"; else unknown="$unknown $package"; fi
done
for licence in Apache-2.0 LGPL-2.1 GPL-3; do
	heading "$licence"
	if [ -f "/usr/share/common-licenses/$licence" ]; then cat "/usr/share/common-licenses/$licence"; else unknown="$unknown $licence"; fi
done
if [ -n "$unknown" ]; then
	heading "Not found on the machine of this build"
	printf '%s\n' $unknown
	echo "notices: not complete, nothing here tells of:$unknown" >&2
fi
