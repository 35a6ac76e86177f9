#!/bin/sh
# What Raspberry Pi OS before trixie runs once, at its first start, from the card's boot partition:
# the user, the network's country, and roommood's part; then it starts again.
set -u
# SETTINGS
boot=$(cd "$(dirname "$0")" && pwd)

make_user() {
    first=$(getent passwd 1000 | cut -d: -f1)
    if [ -x /usr/lib/userconf-pi/userconf ]; then
        # The system's own way; `!` is the password of nobody.
        /usr/lib/userconf-pi/userconf "$USER_NAME" '!'
    elif [ "$first" != "$USER_NAME" ]; then
        useradd --create-home --shell /bin/bash "$USER_NAME"
    fi
    for group in $(echo "$GROUPS" | tr , ' '); do
        ! getent group "$group" >/dev/null || usermod -a -G "$group" "$USER_NAME"
    done
    # sudo passes over files with a dot in their names.
    rule=/etc/sudoers.d/010_roommood
    (umask 277 && rm -f "$rule" && echo "$USER_NAME ALL=(ALL) NOPASSWD: ALL" >"$rule")
    home=$(getent passwd "$USER_NAME" | cut -d: -f6)
    install -d -m 700 -o "$USER_NAME" "$home/.ssh"
    echo "$AUTHORIZED" >"$home/.ssh/authorized_keys"
    chown "$USER_NAME" "$home/.ssh/authorized_keys"
}

name_machine() {
    before=$(hostname)
    echo "$HOST_NAME" >/etc/hostname
    sed -i "s/^127\.0\.1\.1.*/127.0.1.1\t$HOST_NAME/" /etc/hosts
    grep -q '^127\.0\.1\.1' /etc/hosts || printf '127.0.1.1\t%s\n' "$HOST_NAME" >>/etc/hosts
    [ "$before" = "$HOST_NAME" ] || hostname "$HOST_NAME" || true
}

allow_wifi() { # radios are off until a country is known
    [ -n "$COUNTRY" ] || return 0
    [ ! -x /usr/bin/raspi-config ] || raspi-config nonint do_wifi_country "$COUNTRY" || true
}

make_user
name_machine
allow_wifi
systemctl enable ssh 2>/dev/null || true
sh "$boot/roommood/first-start.sh" take later
rm -f "$boot/firstrun.sh"
sed -i 's| systemd.run=[^ ]*||g; s| systemd.run_success_action=[^ ]*||g; s| systemd.unit=[^ ]*||g' \
    "$boot/cmdline.txt"
exit 0
