#!/bin/sh
# Makes build/wavechat_VERSION_ARCH.deb (`package.sh deb VERSION`) or build/wavechat-VERSION-linux-ARCH.tar.gz (`package.sh dist VERSION`)
# of what `make install` installs. Called by make, after all is built. Nothing in either file depends on where, when or by whom it was made:
# times are the last commit's (SOURCE_DATE_EPOCH beats it), owners are root, names are sorted.
set -eu
kind=$1 version=$2
cd "$(dirname "$0")/.."
export LC_ALL=C TZ=UTC
umask 022

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
arch=$(dpkg --print-architecture)
# A hyphen would begin a Debian revision. In a version it stands before what comes before a release, as 1.0.0-rc1: so it must sort.
deb_version=$(printf '%s' "$version" | sed 's/-/~/; s/-/./g')
dpkg --validate-version "$deb_version" >&2
maintainer='WaveChat maintainers <maintainers@wavechat.invalid>'
# The notices of the libraries; see tools/notices.sh.
if grep -q '^===== Not found' build/THIRD-PARTY; then
	echo "package.sh: build/THIRD-PARTY is not complete: build on Debian, with the libraries from its packages" >&2
	exit 1
fi

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
install_to() { # DESTDIR VARIABLE=VALUE...
	to=$1
	shift
	${MAKE:-make} --no-print-directory -s install DESTDIR="$to" "$@" >/dev/null
}
# A checkout's modes are its owner's affair.
level() {
	chmod -R u=rwX,go=rX "$1"
	find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

# Alert rules for Prometheus and a dashboard for Grafana.
monitoring() { # DIRECTORY
	mkdir -p "$1"
	cp packaging/prometheus/wavechat.rules.yml "$1/"
	cp packaging/grafana/wavechat.json "$1/wavechat.grafana.json"
}

make_deb() {
	root=$stage/deb doc=$stage/deb/usr/share/doc/wavechat
	install_to "$root" PREFIX=/usr UNITDIR=/lib/systemd/system ZSHDIR=/usr/share/zsh/vendor-completions
	find "$root/usr/share/man" -type f -exec gzip -9n {} +
	install -D -m 644 packaging/wavechatd.default "$root/etc/default/wavechatd"
	mkdir -p "$doc" "$root/DEBIAN" "$root/usr/share/lintian/overrides"
	# Debian has the full licences at the end of it in /usr/share/common-licenses.
	sed '/^===== Apache-2.0 =====$/,$d' build/THIRD-PARTY | cat packaging/copyright - >"$doc/copyright"
	gzip -9nc README.md >"$doc/README.md.gz"
	gzip -9nc README.ru.md >"$doc/README.ru.md.gz"
	cp -r docs "$doc/docs"
	gzip -9nc CHANGELOG.md >"$doc/CHANGELOG.md.gz"
	cp packaging/nginx.conf packaging/Caddyfile "$doc/"
	monitoring "$doc/examples"
	printf 'wavechat (%s) unstable; urgency=medium\n\n  * What changed: /usr/share/doc/wavechat/CHANGELOG.md.gz\n\n -- %s  %s\n' \
		"$deb_version" "$maintainer" "$(date -u -d "@$SOURCE_DATE_EPOCH" -R)" | gzip -9n >"$doc/changelog.gz"
	cp packaging/deb/lintian-overrides "$root/usr/share/lintian/overrides/wavechat"

	printf '/etc/default/wavechatd\n' >"$root/DEBIAN/conffiles"
	for script in postinst prerm postrm; do
		install -m 755 "packaging/deb/$script" "$root/DEBIAN/$script"
	done
	# Its headings name them: ===== SOURCE VERSION (PACKAGE) =====
	built_using=$(sed -n 's/^===== \([^ ]*\) \([^ ]*\) (.*) =====$/\1 (= \2), /p' build/THIRD-PARTY | sort -u | tr -d '\n')
	{
		sed "s|@VERSION@|$deb_version|; s|@ARCH@|$arch|; s|@MAINTAINER@|$maintainer|
			s|@SIZE@|$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)|
			s|@BUILT_USING@|${built_using}civetweb (= $(sed -n 's/^version=//p' tools/fetch-civetweb.sh))|" packaging/deb/control
	} >"$root/DEBIAN/control"
	(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | sort | xargs md5sum) >"$root/DEBIAN/md5sums"
	level "$root"
	out=build/wavechat_${deb_version}_$arch.deb
	# One thread: how xz cuts its input depends on their number.
	dpkg-deb --root-owner-group --threads-max=1 -Zxz --build "$root" "$out" >/dev/null
	echo "$out"
}

make_dist() {
	name=wavechat-$version
	root=$stage/$name
	# The unit names the place that the tarball's note says to copy to.
	install_to "$stage" PREFIX="/$name" UNIT_BINDIR=/usr/local/bin
	mkdir -p "$root/share/doc/wavechat"
	cp LICENSE build/THIRD-PARTY "$root/share/doc/wavechat/"
	cp packaging/nginx.conf packaging/Caddyfile packaging/wavechatd.default "$root/share/doc/wavechat/"
	monitoring "$root/share/doc/wavechat/examples"
	cp LICENSE build/THIRD-PARTY README.md README.ru.md BENCH.md CONTRIBUTING.md CHANGELOG.md SECURITY.md packaging/INSTALL "$root/"
	cp -r docs "$root/docs"
	level "$root"
	out=build/wavechat-$version-linux-$arch.tar.gz
	tar -C "$stage" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
		-cf "$stage/tar" "$name"
	gzip -9n <"$stage/tar" >"$out.part" && mv "$out.part" "$out"
	echo "$out"
}

case $kind in
deb) make_deb ;;
dist) make_dist ;;
*)
	echo "usage: package.sh deb|dist VERSION" >&2
	exit 2 ;;
esac
