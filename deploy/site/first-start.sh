#!/bin/sh
# What a card of `roommood deploy --card` does when its Pi starts for the first time.
#
#   first-start.sh take [later]   moves the secrets off the card, and has the rest done at once, or
#                                 (`later`) after the next start
#   first-start.sh install        installs and starts the camera; tried at each start until it is done
#
# Beside it lie card.env, camera.key, files.tar, wheels/ and, where they were given, wifi.nmconnection
# and source.password.
set -eu
umask 077
beside=$(cd "$(dirname "$0")" && pwd)
keep=/var/lib/roommood-card
unit=roommood-first-start.service
. "$beside/card.env"

wipe() { # $1: a file of the card, whose file system knows neither owners nor modes
    [ -e "$1" ] || return 0
    dd if=/dev/zero of="$1" bs="$(stat -c %s "$1")" count=1 conv=notrunc,fsync 2>/dev/null || true
    rm -f "$1"
}

take_to() { # $1: a secret of the card; $2: where root alone reads it
    [ -e "$1" ] || return 0
    [ -d "$(dirname "$2")" ] || mkdir -p -m 700 "$(dirname "$2")"
    cp "$1" "$2.new"
    chmod 600 "$2.new"
    mv -fT "$2.new" "$2"
    sync
    wipe "$1"
}

take() {
    mkdir -p -m 755 /etc/roommood
    mkdir -p -m 700 /etc/roommood/keys "$keep"
    chmod 700 /etc/roommood/keys
    take_to "$beside/camera.key" "/etc/roommood/keys/camera-$NAME.key"
    take_to "$beside/source.password" "/etc/roommood/keys/camera-$NAME.source-password"
    take_to "$beside/wifi.nmconnection" /etc/NetworkManager/system-connections/roommood.nmconnection
    # By now cloud-init has it; older versions leave it, and a log with it, for everybody to read.
    for file in /etc/netplan/*.yaml /var/log/cloud-init*.log; do [ ! -e "$file" ] || chmod 600 "$file"; done
    if grep -qs '"password"' "$beside/../network-config"; then
        wipe "$beside/../network-config"
        echo '# Taken at the first start.' >"$beside/../network-config"
    fi
    cp -R "$beside/." "$keep/"
    echo "CARD=$beside" >>"$keep/card.env"
    cat >"/etc/systemd/system/$unit" <<END
[Unit]
Description=First start of the roommood camera $NAME
After=network-online.target
Wants=network-online.target
[Service]
Type=oneshot
ExecStart=/bin/sh $keep/first-start.sh install
TimeoutStartSec=1800
[Install]
WantedBy=multi-user.target
END
    chmod 644 "/etc/systemd/system/$unit"
    systemctl enable --quiet "$unit"
    [ "${1:-}" = later ] || systemctl start --no-block "$unit"
}

tell() { # for somebody who puts the card into another computer
    [ -d "$CARD" ] || return 0
    echo "$*" >"$CARD/first-start.log" || true
    echo "$*"
}

install() {
    trap '[ $? = 0 ] || tell "the camera is not installed: journalctl -u $unit says why"' EXIT
    release=/opt/roommood/cameras/$NAME/releases/$RELEASE
    venv=/opt/roommood/cameras/$NAME/venvs/$PROGRAMS
    umask 022
    tar -x -p --no-same-owner -C / -f "$keep/files.tar"
    for package in $PACKAGES; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed && continue
        tell "installing $package, which the system lacks"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$package"; }
        echo "$package" >>/opt/roommood/packages
    done
    systemd-sysusers roommood.conf
    if [ ! -e "$venv/complete" ]; then
        rm -rf "$venv"
        python3 -m venv $VENV_OPTIONS "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --no-index \
            --find-links "$keep/wheels" "$REQUIREMENT"
        touch "$venv/complete"
    fi
    ln -sfn "../../venvs/$PROGRAMS" "$release/venv"
    /opt/roommood/activate "cameras/$NAME" "$RELEASE"
    touch "$release/good"
    systemctl disable --quiet "$unit"
    rm -rf "$keep" "/etc/systemd/system/$unit" "$CARD/files.tar" "$CARD/wheels"
    tell "the camera $NAME is installed and runs"
}

"$@"
