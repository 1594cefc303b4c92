#!/bin/sh
# Installs the Debian packages named as arguments: unattended, and without starting their services.
# Run as root; `cargo xtask setup` does.
set -eu
export DEBIAN_FRONTEND=noninteractive

# One at a time: two runs would restore each other's policy.
exec 9>/run/lock/starttls-xtask.lock
flock 9

# While packages are configured, policy-rc.d forbids that any service starts. What was there comes back.
policy=/usr/sbin/policy-rc.d
restore() {
    rm -f "$policy"
    if [ -e "$policy.before-xtask" ]; then mv "$policy.before-xtask" "$policy"; fi
}
if [ -e "$policy" ] && [ ! -e "$policy.before-xtask" ]; then mv "$policy" "$policy.before-xtask"; fi
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

# INN cannot be configured on a machine without a fully qualified name unless it is told a domain.
# The tests bring their own configuration; this one only has to be valid.
name_inn() {
    conf=/etc/news/inn.conf
    case $(hostname -f 2>/dev/null) in *.*) return ;; esac
    if [ ! -f "$conf" ] || grep -q '^domain:' "$conf"; then return; fi
    sed -i 's/^#domain:.*/domain: invalid/' "$conf"
    grep -q '^domain:' "$conf" || echo 'domain: invalid' >>"$conf"
}

install() {
    apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 \
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        "$@"
}

apt-get update -q -o DPkg::Lock::Timeout=600
# Its settings come in a package of their own, so they can be there before it is configured.
case " $* " in *" inn2 "*)
    install inn2-inews
    name_inn
    ;;
esac
install "$@"
