#!/bin/sh
# Prints the version of the sources in this folder: the last tag v1.2.3 without its v, or the version given as an argument if there is none; behind
# it, unless the tag is of this very commit, +git, the commit's day (UTC) and its short hash, as 0.1.0+git20261126.5c9a08e; and .dirty for
# changes that are not committed. Without git it is the version given. Each day's sorts behind that of the day before, as dpkg
# compares; commits of one day are in no order. The same commit has the same version wherever and whenever it is built.
set -eu
version=$1
cd "$(dirname "$0")/.."
export GIT_OPTIONAL_LOCKS=0 LC_ALL=C TZ=UTC

# In a folder that lies within somebody else's repository, git would speak of that one.
if [ "$(git rev-parse --show-prefix 2>/dev/null || echo none)" = "" ] &&
	commit=$(git log -1 --no-show-signature --abbrev=7 --date=format-local:%Y%m%d --format=git%cd.%h 2>/dev/null); then
	tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || true)
	[ -z "$tag" ] || version=${tag#v}
	[ -n "$tag" ] && [ "$(git describe --tags --exact-match --match "$tag" 2>/dev/null || true)" = "$tag" ] || version=$version+$commit
	case $(git describe --always --exclude='*' --dirty=.dirty 2>/dev/null) in
	*.dirty) case $version in *+*) version=$version.dirty ;; *) version=$version+dirty ;; esac ;;
	esac
fi
printf '%s\n' "$version"
