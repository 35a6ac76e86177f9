#!/bin/sh
# activate PART ID: makes a release of a part the current one, and runs its units.
# activate PART --stop: stops the part, and takes from the system what no other part has.
# PART is `desktop` or `cameras/NAME`, a folder of /opt/roommood.
#
# Every unit of type notify is awaited until it says that it is ready; where one does not, the
# exit code is 1 and its last lines are printed. Going back is `activate` with the earlier ID.
set -eu
umask 022
[ $# = 2 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
root=/opt/roommood
etc=/etc/roommood
units=/etc/systemd/system
part=$root/$1

listed() { # the units that a release runs
    [ -f "$1/units.run" ] && cat "$1/units.run" || true
}

others() { # the releases that other parts run
    for link in "$root"/desktop/current "$root"/cameras/*/current; do
        [ "$link" = "$part/current" ] || [ ! -e "$link" ] || echo "$link"
    done
}

stop_those_not_in() { # $1: units that stay
    for unit in $(listed "$part/current"); do
        case " $1 " in *" $unit "*) ;; *) systemctl disable --now --quiet "$unit" || true ;; esac
    done
}

drop() { # $1: `etc` or `units`; $2: where they lie; $3: the release whose files stay
    [ -d "$part/current/$1" ] || return 0
    (cd "$part/current/$1" && find . -type f) | while read -r file; do
        kept=
        for one in "$3" $(others); do [ ! -e "$one/$1/$file" ] || kept=yes; done
        [ -n "$kept" ] || rm -f "$2/$file"
    done
}

put() { # $1: `etc` or `units` of the release; $2: where they go
    (cd "$release/$1" && find . -type f) | while read -r file; do
        install -D -m 644 "$release/$1/$file" "$2/$file"
    done
}

if [ "$2" = --stop ]; then
    stop_those_not_in ""
    [ -n "$(others)" ] || systemctl disable --now --quiet roommood.target || true
    drop units "$units" none
    drop etc "$etc" none
    systemctl daemon-reload
    systemctl reset-failed 2>/dev/null || true
    exit 0
fi

release=$part/releases/$2
[ -f "$release/units.run" ] || { echo "there is no release $2 in $part/releases" >&2; exit 2; }
wanted=$(listed "$release" | tr '\n' ' ')
stop_those_not_in "$wanted"

# Redis is left alone where nothing of it changes: all that counts would wait for it.
redis=roommood-redis.service
users=$(cat "$etc/redis/users.acl" 2>/dev/null | sha256sum)
if [ "$users" = "$(cat "$part/redis-users" 2>/dev/null)" ] &&
    cmp -s "$release/units/$redis" "$units/$redis" &&
    cmp -s "$release/etc/redis.conf" "$etc/redis.conf" && systemctl is-active --quiet "$redis"; then
    keep=$redis
else
    keep=
fi

drop units "$units" "$release"
drop etc "$etc" "$release"
put units "$units"
put etc "$etc"
# A release from when a machine had one part has its programs below a link of that time.
if grep -qs "^ExecStart=$root/current/" "$release"/units/*.service; then
    ln -sfn "$1/releases/$2" "$root/current.new" && mv -fT "$root/current.new" "$root/current"
fi
ln -sfn "releases/$2" "$part/current.new"
mv -fT "$part/current.new" "$part/current"

systemctl daemon-reload
systemctl reset-failed 2>/dev/null || true
systemctl enable --quiet roommood.target $wanted
failed=
for unit in $wanted; do
    # In the order of the list, so that what others need is up before them.
    [ "$unit" != "$keep" ] || continue
    systemctl restart "$unit" || failed="$failed $unit"
    [ -z "$failed" ] || break
done
if [ -n "$failed" ]; then
    echo "not started:$failed" >&2
    for unit in $failed; do journalctl -u "$unit" -n 15 --no-pager -o cat >&2 || true; done
    exit 1
fi
[ ! -e "$release/units/$redis" ] || echo "$users" >"$part/redis-users"
systemctl start roommood.target
