#!/bin/bash
# Installs what was packed, as its notes say, on a machine that can be thrown away afterwards, and starts it by the unit's own command: first
# the package, then, that one purged, the tarball. Root; it changes the machine, so it wants INSTALL=yes. Needs a build of `make deb dist`.
set -u
cd "$(dirname "$0")/../.." || exit
export LC_ALL=C.UTF-8
[ "${INSTALL:-}" = yes ] && [ "$(id -u)" -eq 0 ] || { echo "install.sh: changes this machine; if it may: INSTALL=yes, as root" >&2; exit 2; }
# shellcheck source=tests/packages/check.sh
. tests/packages/check.sh
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
make=(make --no-print-directory -s)

# The command of the installed unit, which reads its settings itself, as a user without rights: what the service manager does, but for its sandbox.
serves() { # serves UNIT DEFAULTS
	local unit=$1 defaults=$2 pid port='' status=1
	[ "$(stat -c %a "$unit")" = 644 ] || { echo "the unit's mode"; return 1; }
	grep -q "^ExecStart=.* --config -$defaults" "$unit" || { echo "the unit does not name $defaults"; return 1; }
	# Shells and the program read the same out of it.
	# shellcheck disable=SC1090 # one of ours
	(set -a; unset PORT; . "$defaults"; wavechatd --check --config "$defaults" --port 0 --data :memory:) || return 1
	rm -rf "$work/state" "$work/run" "$work/said"
	install -d -m 700 -o nobody -g nogroup "$work/state" "$work/run"
	: >"$work/said"
	# shellcheck disable=SC2016 # for the inner shell
	env -i STATE_DIRECTORY="$work/state" RUNTIME_DIRECTORY="$work/run" setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all --no-new-privs \
		bash -c 'set -a; LISTEN=127.0.0.1 PORT=0; exec $1' sh "$(sed -n 's/^ExecStart=//p' "$unit" | sed 's/ \$OPTIONS//')" >"$work/said" 2>&1 &
	pid=$!
	for _ in $(seq 100); do
		port=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\).*|\1|p' "$work/said" | head -n 1)
		[ -z "$port" ] || break
		sleep 0.1
	done
	if wget -qO- "http://127.0.0.1:$port/health" | grep -qx ok && wget -qO- "http://127.0.0.1:$port/" | grep -qi '<!doctype html>' &&
		[ "$(stat -c '%a %U' "$work/run/wavechat.sock")" = "600 nobody" ] &&
		wavechatctl --socket "$work/run/wavechat.sock" status | grep -q '^online *0 people' &&
		wavechatctl --socket "$work/run/wavechat.sock" backup "$work/backup.tar" --force; then
		status=0
	fi
	kill "$pid"
	wait "$pid" && [ $status -eq 0 ] || { cat "$work/said"; return 1; }
	# The backup, restored as it says, is good data.
	rm -rf "$work/restored" && wavechatctl restore "$work/backup.tar" "$work/restored" && wavechatd --check --data "$work/restored"
}
shows_pages() { # in a machine that has man: each page is found and not empty
	command -v man >/dev/null || return 0
	local page
	for page in wavechatd wavechatctl wavechat-admin wavechat-protocol; do man "$page" | grep -q NAME || return 1; done
}

deb=$(echo build/wavechat_*.deb) tarball=$(echo build/wavechat-*-linux-*.tar.gz)
[ -f "$deb" ] && [ -f "$tarball" ] || { echo "install.sh: no package in build/, or several: make clean deb dist" >&2; exit 2; }

check "apt installs the package" apt-get install -y --no-install-recommends wget "./$deb"
check "its files are what it lists" sh -c 'test -z "$(dpkg -V wavechat)"'
check "the programs are found" sh -c '[ "$(command -v wavechatd)" = /usr/bin/wavechatd ] && wavechatd --version && wavechatctl --version'
check "its pages are read" shows_pages
check "the unit's own command starts" serves /lib/systemd/system/wavechatd.service /etc/default/wavechatd
check "it is installed over itself" apt-get install -y --reinstall "./$deb"
echo 'PORT=9999' >>/etc/default/wavechatd
check "settings outlive its removal" sh -c 'apt-get remove -y wavechat && grep -q PORT=9999 /etc/default/wavechatd && ! command -v wavechatd'
check "purged, it leaves nothing" sh -c 'apt-get purge -y wavechat && ! test -e /etc/default/wavechatd && ! find / -xdev -name "*wavechat*" -path "/[elu]*" -not -path "/usr/src/*" | grep .'

# Its commands behind "Install it, as root" and "With systemd", without those for a service manager, which is not here.
check "the tarball, as its INSTALL says" bash -ec 'tar -C "$1" -xf "$2"; cd "$1"/wavechat-*
	awk "/Install it, as root|With systemd/{ is_due = 1; is_in = 0 } is_due && /^    /{ is_in = 1; print; next } is_in{ is_due = 0 }" INSTALL | grep -v systemctl >"$1/commands"; [ "$(wc -l <"$1/commands")" -ge 3 ]; sh -ex "$1/commands"' bash "$work" "$tarball"
check "the unit's own command starts from there" serves /usr/local/lib/systemd/system/wavechatd.service /etc/default/wavechatd
check "its pages are read from there" shows_pages
rm -rf /etc/default/wavechatd "$work"/wavechat-*
check "make uninstall takes it away" sh -c '"$@" uninstall PREFIX=/usr/local && ! test -e /usr/local/bin/wavechatd && ! test -e /usr/local/lib/systemd/system/wavechatd.service' sh "${make[@]}"
check "make install brings it back" "${make[@]}" install PREFIX=/usr/local
check "the unit's own command starts once more" sh -c 'cp packaging/wavechatd.default /etc/default/wavechatd'
check "  as installed by make" serves /usr/local/lib/systemd/system/wavechatd.service /etc/default/wavechatd

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
