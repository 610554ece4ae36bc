#!/bin/bash
# The unit under the real service manager: a small Debian 12 booted in a container (systemd-nspawn, no network of its own), the package installed
# there, and the service started, asked, reloaded, restored from a backup, hung until the watchdog ends it, and given a wrong option.
# Root; needs debootstrap, systemd-container and a build of `make deb`. MIRROR: where Debian is had. BOOT_DIR keeps the base system between runs.
set -u
cd "$(dirname "$0")/../.." || exit
[ "$(id -u)" -eq 0 ] || { echo "boot.sh: root alone can boot a container" >&2; exit 2; }
for tool in debootstrap systemd-nspawn; do command -v $tool >/dev/null || { echo "boot.sh: $tool is missing" >&2; exit 2; }; done
deb=$(echo build/wavechat_*.deb)
[ -f "$deb" ] || { echo "boot.sh: no package in build/, or several: make deb" >&2; exit 2; }
dir=${BOOT_DIR:-/var/tmp/wavechat-boot}
mirror=${MIRROR:-$(awk '/^URIs:/{ print $2; exit } /^deb /{ print $2; exit }' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null)}
root=$dir/root.$$
mkdir -p "$dir"
trap 'rm -rf --one-file-system "$root"' EXIT
if [ ! -s "$dir/base.tar" ]; then
	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,init-system-helpers,iproute2 bookworm "$root" "$mirror" >"$dir/log" 2>&1 || { tail -n 5 "$dir/log" >&2; exit 1; }
	tar -C "$root" -cf "$dir/base.part" . && mv "$dir/base.part" "$dir/base.tar" && rm -rf --one-file-system "$root"
fi
mkdir -p "$root" && tar -C "$root" -xf "$dir/base.tar" && cp "$deb" "$root/root/wavechat.deb" || exit

cat >"$root/root/try.sh" <<'TRY'
#!/bin/bash
# shellcheck disable=SC2016 # each check is a command for a shell of its own
exec >/root/try.log 2>&1
passed=0 failed=0
check() { # check WHAT COMMAND
	local log
	if log=$(bash -c "$2" 2>&1); then
		passed=$((passed + 1)); echo "  PASS    $1"
	else
		failed=$((failed + 1)); echo "  FAIL    $1"; printf '%s\n' "$log" | tail -n 20 | sed 's/^/          /'
	fi
}
check "the package starts it" 'dpkg -i /root/wavechat.deb && systemctl is-active wavechatd && systemctl is-enabled wavechatd'
check "it serves" 'exec 3<>/dev/tcp/127.0.0.1/8080; printf "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" >&3; grep -q "^ok" <&3'
check "wavechatctl finds it" 'wavechatctl status && wavechatctl say hello'
check "what it says is in the journal, with priorities" 'journalctl -u wavechatd -p info --no-pager | grep " ready port=8080"'
check "its start is a few lines of the log, and no word for a terminal" '! journalctl -u wavechatd --no-pager | grep Ctrl && journalctl -u wavechatd -p info --no-pager | grep " listening url=http://localhost:8080 "'
check "it is reloaded" 'systemctl reload wavechatd && systemctl is-active wavechatd'
check "settings take effect at a reload; what needs a restart is named; a wrong line is in the status and changes nothing" '
	echo MAX_FILE_MB=3 >>/etc/default/wavechatd; echo WAVECHAT_THREADS=2 >>/etc/default/wavechatd; systemctl reload wavechatd; sleep 1
	wavechatctl config | grep -E "^max-file-mb +3 +/etc/default/wavechatd:" && wavechatctl config | grep -E "^threads .*after a restart: 2" || exit
	cp /etc/default/wavechatd /root/good; echo MAX_FILE_MBS=4 >>/etc/default/wavechatd; systemctl reload wavechatd; sleep 1
	systemctl status --no-pager wavechatd | grep "Settings not reloaded.*did you mean MAX_FILE_MB" && wavechatctl config | grep -E "^max-file-mb +3 " || exit
	cp /root/good /etc/default/wavechatd; systemctl reload wavechatd; sleep 1; ! systemctl status --no-pager wavechatd | grep "Settings not reloaded"'
check "a backup is put in the place of what it has, as the manual says" 'cd /root && wavechatctl backup chat.tar && systemctl stop wavechatd &&
	mv /var/lib/private/wavechat /var/lib/private/wavechat.old && wavechatctl restore chat.tar /var/lib/private/wavechat &&
	systemctl start wavechatd && wavechatctl audit | grep " say "'
check "the timer's service makes a backup, and a second one beside it" 'systemctl start wavechat-backup && sleep 1 && systemctl start wavechat-backup &&
	[ "$(stat -c %a /var/backups/wavechat)" = 700 ] && [ "$(ls /var/backups/wavechat | grep -cx "wavechat-[0-9]\{8\}-[0-9]\{6\}.tar")" = 2 ] &&
	for f in /var/backups/wavechat/*; do wavechatctl verify "$f" || exit; done && ! systemctl is-enabled wavechat-backup.timer'
check "its exposure is at most 1.5" 'systemd-analyze security --threshold=15 --no-pager wavechatd >/dev/null'
mkdir -p /run/systemd/system/wavechatd.service.d
printf '[Service]\nWatchdogSec=2s\n' >/run/systemd/system/wavechatd.service.d/watchdog.conf
systemctl daemon-reload
check "it keeps a watchdog content" 'systemctl restart wavechatd; pid=$(systemctl show -p MainPID --value wavechatd); sleep 5; [ "$pid" = "$(systemctl show -p MainPID --value wavechatd)" ]'
check "hung, it is ended and started again" 'kill -STOP "$(systemctl show -p MainPID --value wavechatd)"; sleep 9; [ "$(systemctl show -p NRestarts --value wavechatd)" = 1 ] && wavechatctl status'
check "a wrong option is said, and not tried again" 'echo PROT=1 >>/etc/default/wavechatd; systemctl restart wavechatd; sleep 4
	[ "$(systemctl show -p NRestarts --value wavechatd) $(systemctl show -p ExecMainStatus --value wavechatd)" = "0 2" ] && journalctl -u wavechatd --no-pager | grep "did you mean PORT"'
sed -i '/^PROT=/d' /etc/default/wavechatd
check "a certificate of its own is for the addresses of the machine" 'ip addr add 10.9.8.7/32 dev lo && echo WAVECHAT_TLS_SELF_SIGNED=yes >>/etc/default/wavechatd && systemctl restart wavechatd &&
	sed -n "/BEGIN CERT/,/END CERT/p" /var/lib/private/wavechat/tls-self-signed.pem | grep -v -e ----- | base64 -d | LC_ALL=C grep -aqzP "\\x87\\x04\\x0a\\x09\\x08\\x07"'
sed -i '/TLS_SELF/d' /etc/default/wavechatd
systemctl restart wavechatd
find /var/lib/private/wavechat -type f -exec sha256sum {} + | sort >/root/before
check "removed, it says where the data are" 'dpkg -r wavechat 2>&1 | grep -F "left as it is, with what people wrote: /var/lib/private/wavechat ("; ! systemctl is-active wavechatd'
check "purged, nothing of it is left but the data" 'dpkg -P wavechat 2>&1 | grep -F /var/lib/private/wavechat; systemctl daemon-reload; ! systemctl cat wavechatd
	left=$(find /etc /usr /run /lib/systemd /var -name "*wavechat*" ! -path "/var/lib/private/wavechat*" ! -path /var/lib/wavechat ! -path "/var/backups/wavechat*" \
		! -path "/run/systemd/system/wavechatd.service.d*" ! -path "/var/log/*"); printf "%s\n" "$left"; [ -z "$left" ]'
check "of the data every byte" 'find /var/lib/private/wavechat -type f -exec sha256sum {} + | sort | grep -v -e "wavechat.db" -e lock >/root/after; grep -v -e "wavechat.db" -e lock /root/before | cmp - /root/after && [ -s /var/lib/private/wavechat/wavechat.db ]'
echo "$passed passed, $failed failed"
systemctl poweroff
TRY
chmod +x "$root/root/try.sh"
printf '[Unit]\nAfter=multi-user.target\n[Service]\nType=exec\nExecStart=/root/try.sh\n' >"$root/etc/systemd/system/try.service"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants" && ln -s ../try.service "$root/etc/systemd/system/multi-user.target.wants/try.service"
timeout -k 5 180 systemd-nspawn -q -D "$root" --boot --private-network --register=no --keep-unit --console=pipe >"$dir/boot.log" 2>&1
cat "$root/root/try.log" || tail -n 20 "$dir/boot.log"
grep -q ', 0 failed$' "$root/root/try.log"
