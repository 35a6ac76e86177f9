#!/bin/sh
# activate ID: makes a release of roommood the current one, and runs its units.
# activate --stop: stops everything and takes the units out of systemd.
#
# Every unit of type notify is awaited until it says that it is ready; where one does not, the
# exit code is 1 and its last lines are printed. Going back is `activate` with the earlier ID.
set -eu
root=/opt/roommood
etc=/etc/roommood
units=/etc/systemd/system

listed() { # the units that a release runs
    [ -f "$1/units.run" ] && cat "$1/units.run" || true
}

stop_those_not_in() { # $1: units that stay
    for unit in $(listed "$root/current"); do
        case " $1 " in *" $unit "*) ;; *) systemctl disable --now --quiet "$unit" || true ;; esac
    done
}

if [ "$1" = --stop ]; then
    stop_those_not_in ""
    systemctl disable --now --quiet roommood.target || true
    for file in "$root"/current/units/*; do rm -f "$units/$(basename "$file")"; done
    systemctl daemon-reload
    systemctl reset-failed 2>/dev/null || true
    exit 0
fi

release=$root/releases/$1
[ -f "$release/units.run" ] || { echo "there is no release $1 in $root/releases" >&2; exit 2; }
wanted=$(listed "$release" | tr '\n' ' ')
stop_those_not_in "$wanted"

# Redis is left alone where nothing of it changes: all that counts would wait for it.
redis=roommood-redis.service
users=$(cat "$etc/redis/users.acl" 2>/dev/null | sha256sum)
if [ "$users" = "$(cat "$root/redis-users" 2>/dev/null)" ] &&
    cmp -s "$release/units/$redis" "$units/$redis" &&
    cmp -s "$release/etc/redis.conf" "$etc/redis.conf" && systemctl is-active --quiet "$redis"; then
    keep=$redis
else
    keep=
fi

install -d -m 755 "$etc"
for file in "$release"/etc/*; do install -m 644 "$file" "$etc/"; done
for file in "$release"/units/*; do install -m 644 "$file" "$units/"; done
ln -sfn "releases/$1" "$root/current.new"
mv -fT "$root/current.new" "$root/current"

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
echo "$users" >"$root/redis-users"
systemctl start roommood.target
