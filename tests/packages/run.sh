#!/bin/bash
# What is packed: two builds of HEAD in two places give the same bytes; lintian and systemd find nothing; what was unpacked starts by the
# unit's own command line. Leaves the first build's packages in build/. Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit
export LC_ALL=C
# shellcheck source=tests/packages/check.sh
. tests/packages/check.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --- Twice, with whatever could leak into a build being another: place, time of day and zone, language, umask, number of jobs.
build() { # build DIRECTORY VARIABLE=VALUE...
	local dir=$1
	shift
	git clone -q . "$dir" && mkdir -p "$dir/build" || return
	[ ! -d build/civetweb ] || cp -r build/civetweb "$dir/build/"
	(cd "$dir" && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS "$@" make deb dist)
}
one=$work/one two=$work/a/longer/path/two
umask 022
check "build" build "$one" TZ=UTC
umask 077
check "build elsewhere" build "$two" TZ=Asia/Kamchatka LC_ALL=C.UTF-8 HOME="$work" MAKEFLAGS=-j1
umask 022
same() { cmp "$one/build/$1" "$two/build/$1"; }
deb=$(cd "$one/build" && ls wavechat_*.deb) tarball=$(cd "$one/build" && ls wavechat-*.tar.gz)
for file in wavechatd wavechatctl "$deb" "$tarball"; do
	check "the same bytes twice: $file" same "$file"
done
cp "$one/build/$deb" "$one/build/$tarball" build/

# --- Judges.
check "promtool finds nothing wrong with the alert rules" promtool check rules packaging/prometheus/wavechat.rules.yml
check "each alert fires when it should, and only then" promtool test rules tests/packages/wavechat.rules.test.yml
check "lintian has nothing to say" lintian --allow-root --fail-on error,warning,info,pedantic -I --pedantic "$one/build/$deb"
check "unpack the package" dpkg-deb -x "$one/build/$deb" "$work/root"
unit=$work/root/lib/systemd/system/wavechatd.service
verify() {
	# The program lies elsewhere than the unit says: it is not installed here.
	mkdir -p "$work/verify" && sed "s|/usr/bin/wavechatd|$work/root/usr/bin/wavechatd|" "$unit" >"$work/verify/wavechatd.service" || return
	local said
	said=$(systemd-analyze verify --man=no "$work/verify/wavechatd.service" 2>&1) && [ -z "$said" ] || { printf '%s\n' "$said"; false; }
}
check "systemd-analyze verify" verify
verify_backup() {
	local said
	sed "s|/usr/bin/wavechatctl|$work/root/usr/bin/wavechatctl|" "$work/root/lib/systemd/system/wavechat-backup.service" >"$work/verify/wavechat-backup.service" &&
		cp "$work/root/lib/systemd/system/wavechat-backup.timer" "$work/verify/" || return
	said=$(systemd-analyze verify --man=no "$work/verify/wavechat-backup.timer" "$work/verify/wavechat-backup.service" 2>&1) && [ -z "$said" ] || { printf '%s\n' "$said"; false; }
}
check "systemd-analyze verify: the backup's timer and service" verify_backup
check "exposure of at most 1.5" systemd-analyze security --offline=true --no-pager --threshold=15 "$unit"
systemd-analyze security --offline=true --no-pager "$unit" 2>/dev/null | sed -n 's/^→ /          /p'

# --- Does what was unpacked run? As the service manager would start it, but for its sandbox.
serves() { # serves ROOT UNIT: the command of the unit, below the root, answers and ends well
	local root=$1 unit=$2 command pid port='' status
	command=$(sed -n 's/^ExecStart=//p' "$unit")
	command=${command% \$OPTIONS}
	[ -x "$root${command%% *}" ] || { echo "$unit starts $command, which is not there"; return 1; }
	rm -rf "$work/state" "$work/run" "$work/said"
	mkdir -m 700 "$work/state" "$work/run"
	: >"$work/said" # before the server is started: what the last one said must not be read
	# shellcheck disable=SC2086 # the command's words
	env -i STATE_DIRECTORY="$work/state" RUNTIME_DIRECTORY="$work/run" LISTEN=127.0.0.1 PORT=0 "$root${command%% *}" ${command#"${command%% *}"} >"$work/said" 2>&1 &
	pid=$!
	for _ in $(seq 100); do
		port=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\).*|\1|p' "$work/said" | head -n 1)
		[ -z "$port" ] || break
		sleep 0.1
	done
	[ "$(curl -s -m 5 "http://127.0.0.1:$port/health")" = ok ] && [ -s "$work/state/wavechat.db" ] && [ -S "$work/run/wavechat.sock" ]
	status=$?
	kill "$pid"
	wait "$pid" && [ $status -eq 0 ] || { cat "$work/said"; return 1; }
}
check "the package's command starts" serves "$work/root" "$unit"
check "unpack the tarball" tar -C "$work" -xf "$one/build/$tarball"
# The commands of its INSTALL, those for the service manager apart, below a root of their own.
local=$work/local
notes() { # notes PHRASE: the first commands behind it
	(cd "$work/${tarball%-linux-*}" && awk -v want="$1" 'index($0, want){ is_due = 1 } is_due && /^    /{ is_in = 1; print substr($0, 5); next } is_in{ exit }' INSTALL |
		grep -Ev '^(systemctl|bin/wavechatd|wavechatctl)' | sed "s|/usr/local|$local/usr/local|g; s|/etc/default|$local/etc/default|g" >"$work/commands" &&
		[ -s "$work/commands" ] && sh -e "$work/commands")
}
installs() {
	mkdir -p "$local/usr/local/bin" "$local/etc/default" && notes "Install it, as root" && notes "With systemd" && [ -x "$local/usr/local/bin/wavechatctl" ] && [ -f "$local/etc/default/wavechatd" ]
}
check "install as its note says" installs
updates() { # over a program that runs, which goes on as it is, and is the new one when started again
	local program=$local/usr/local/bin/wavechatd pid was
	rm -rf "$work/state" && mkdir -m 700 "$work/state" && echo '# mine' >>"$local/etc/default/wavechatd"
	was=$(stat -c %i "$program")
	env -i "$program" --data "$work/state" --listen 127.0.0.1 --port 0 >"$work/said" 2>&1 &
	pid=$!
	for _ in $(seq 100); do ! grep -q ' ready ' "$work/said" || break; sleep 0.1; done
	! cp "$work/${tarball%-linux-*}/bin/wavechatd" "$program" 2>/dev/null || echo "cp would have done: this shows nothing"
	notes "To update" && [ "$(stat -c %i "$program")" != "$was" ] && cmp "$program" "$one/build/wavechatd" && grep -qx '# mine' "$local/etc/default/wavechatd" &&
		"$local/usr/local/bin/wavechatctl" --socket "$work/state/admin.sock" status >/dev/null
	local status=$?
	kill "$pid" && wait "$pid" && [ $status -eq 0 ]
}
check "update over a running one as its note says" updates
check "the tarball's command starts" serves "$local" "$local/usr/local/lib/systemd/system/wavechatd.service"
pages() {
	local page
	for page in man/*.[1-8]; do
		cmp "$page" "$local/usr/local/share/man/man${page##*.}/${page##*/}" &&
			zcmp "$page" "$work/root/usr/share/man/man${page##*.}/${page##*/}.gz" || return
	done
}
check "the man pages are in both" pages

removes() {
	notes "To remove it" && [ -z "$(find "$local" -type f -o -type l)" ]
}
check "its note's removal leaves nothing" removes
made() { # what make installs it takes away again, and says what it left
	local to=$work/made said
	make --no-print-directory -s install DESTDIR="$to" && make --no-print-directory -s install DESTDIR="$to" &&
		mkdir -p "$to/var/lib/private/wavechat" "$to/etc/default" && echo x >"$to/var/lib/private/wavechat/wavechat.db" && echo y >"$to/etc/default/wavechatd" &&
		said=$(make --no-print-directory -s uninstall DESTDIR="$to") || return
	printf '%s\n' "$said"
	[ "$(cd "$to" && find . -type f | sort | tr '\n' ' ')" = "./etc/default/wavechatd ./var/lib/private/wavechat/wavechat.db " ] &&
		[ "$(cd "$to/usr/local" && find . -mindepth 1 -type d | sort | tr '\n' ' ')" = "./bin ./lib ./share ./share/man " ] &&
		printf '%s\n' "$said" | grep -q "^left as it is: $to/var/lib/private/wavechat (" && printf '%s\n' "$said" | grep -q "^left as it is: $to/etc/default/wavechatd ("
}
check "make uninstall leaves the data and the settings, and says so" made
named() { # the version: what git says of HEAD, for the package and the program alike
	local want
	want=$(tools/version.sh 0.1.0) && want=${want%.dirty}
	[ "$(dpkg-deb -f "$one/build/$deb" Version)" = "$(printf '%s' "$want" | sed 's/-/~/; s/-/./g')" ] && [ "$("$one/build/wavechatd" --version | head -n 1)" = "wavechatd $want" ] &&
		dpkg --compare-versions "$(dpkg-deb -f "$one/build/$deb" Version)" gt 0.1.0+g5c9a08e
}
check "the version is the commit's, and sorts behind the last one's" named
families() { systemd-analyze security --offline=true --no-pager "$unit" | grep -q 'Service may allocate netlink sockets'; }
check "the unit lets it see the machine's addresses" families

completions() {
	local share=$work/root/usr/share
	bash -n "$share/bash-completion/completions/wavechatctl" && grep -q '^#compdef wavechatctl' "$share/zsh/vendor-completions/_wavechatctl" &&
		grep -q '^complete -c wavechatctl' "$share/fish/vendor_completions.d/wavechatctl.fish"
}
check "completions are in the package" completions

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
