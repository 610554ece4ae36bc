#!/bin/sh
# Installs the Debian packages that are missing: `setup.sh build` what compiling needs, `test` that and what the tests need, `engines` that and
# two more browsers, `packages` that and what judges packages and stands in front of the server there, `bench` what it is measured against,
# `fuzz` a clang beside what compiling needs, `lint` that, the tests' headers and clang-format. Quick and silent when all is there. The only step that needs root, and only if something is missing.
set -eu

build="build-essential libjson-c-dev zlib1g-dev libsqlite3-dev libssl-dev libutf8proc-dev python3-confusable-homoglyphs ca-certificates"
# fonts: pictures of pages with Cyrillic and emoji in them; file, binutils (in build-essential): what the binary claims to be; iproute2: a network
# of a test's own
tests="libcmocka-dev mandoc chromium-headless-shell fonts-dejavu-core fonts-noto-color-emoji file sqlite3 iproute2"

case ${1:-build} in
build) wanted=$build ;;
test | engines | packages | bench)
	wanted="$build $tests"
	[ "$1" != engines ] || wanted="$wanted firefox-esr webkit2gtk-driver xvfb"
	[ "$1" != packages ] || wanted="$build git lintian systemd nginx caddy curl openssl prometheus"
	[ "$1" != bench ] || wanted="$build git python3-aiohttp nginx"
	# A node of another origin (18 or newer, with npm) is as good as Debian's.
	if ! command -v npm >/dev/null || ! node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' 2>/dev/null; then
		wanted="$wanted nodejs npm"
	fi ;;
fuzz) wanted="$build clang" ;;
lint) wanted="$build libcmocka-dev git clang clang-format shellcheck" ;;
*)
	echo "usage: setup.sh build|test|engines|packages|bench|fuzz|lint" >&2
	exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
	echo "setup: not a Debian system; needed are the equivalents of: $wanted" >&2
	exit 0
fi
# One query for all; a package it does not know is on standard error alone, and so counts as missing.
# shellcheck disable=SC2086
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $wanted 2>/dev/null | sed -n 's/ installed$//p' | tr '\n' ' ')
missing=
for package in $wanted; do
	case " $installed" in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "setup: missing packages, and neither root nor sudo to install them; as root: apt-get install$missing" >&2
		exit 1
	}
	sudo="sudo DEBIAN_FRONTEND=noninteractive"
fi
export DEBIAN_FRONTEND=noninteractive
echo "setup: installing Debian packages (this alone needs root):$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The lists on this machine may be absent or old; only then are they fetched anew.
install() {
	# shellcheck disable=SC2086
	$sudo apt-get install -y --no-install-recommends $missing >"$log" 2>&1 </dev/null
}
install || { $sudo apt-get update >"$log" 2>&1 && install; } || {
	tail -n 8 "$log" >&2
	echo "setup: apt-get could not install:$missing" >&2
	exit 1
}
