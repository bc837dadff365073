#!/usr/bin/env bash
# Runs the README's commands on bare Debian systems, as on machines that were installed today.
#
#   .ci/fresh_machines.sh [RELEASE ...]      bookworm, trixie and testing unless others are named
#
# Each system gets the packages that the README's `apt-get install` names and no others, a clone of
# this repository, and an ordinary user, who runs `make quickstart` and `make test`. Then every shared
# library among those packages is removed in turn, and `mobilenet` has to name the package that is
# missing. One line on standard output tells how a system did; build/fresh-machines/RELEASE.log has
# what was printed. PYTEST_ADDOPTS reaches the tests: PYTEST_ADDOPTS=tests/data runs a part of them.
# Exit code 1 if something failed.
#
# Needs root and debootstrap, and 4 GB in TMPDIR. The systems' mounts are visible to this script's
# processes alone and end with them, however they end.
set -euo pipefail
cd "$(dirname "$0")/.."

refuse() {
    echo "fresh_machines.sh: $1" >&2
    exit 2
}

# Checks what is needed, runs this script again in a namespace of its own, and removes what it made.
outside() {
    [ "$(id -u)" = 0 ] || refuse "making a bare system and entering it needs root"
    command -v debootstrap >/dev/null || refuse "debootstrap is missing: apt-get install debootstrap"
    unshare --mount true 2>/dev/null || refuse "nothing can be mounted here, as in most containers"
    local work inside
    work=$(mktemp -d "${TMPDIR:-/tmp}/fresh-machines-XXXXXX")
    unshare --mount --pid --fork --kill-child --mount-proc "$0" --inside "$work" "$@" &
    inside=$!
    # shellcheck disable=SC2064 - the names as they are now
    trap "kill -KILL $inside 2>/dev/null && wait && sleep 1; rm -rf --one-file-system '$work'" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    wait "$inside"
}

# The packages that the README names.
packages() {
    grep -ozP '`(sudo )?apt-get install (--yes )?\K[^`]+' README.md | tr '\0\n' '  '
}

# Where this machine has Debian's packages from; nothing, for debootstrap's own choice, elsewhere.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1
}

# enter USER COMMAND: runs a command in the bare system, in the user's home, with nothing of this
# process's environment but how this machine reaches package indexes.
enter() {
    local reaching
    mapfile -t reaching < <(env | grep -iE '^(PIP_|SSL_CERT_|REQUESTS_CA_BUNDLE=|PYTEST_ADDOPTS=|[a-z]+_proxy=)')
    chroot --userspec="$1" "$system" env -i HOME="$(chroot "$system" sh -c "echo ~$1")" LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        DEBIAN_FRONTEND=noninteractive "${reaching[@]}" sh -euxc "cd; $2"
}

# This machine's resolver, pip settings and certificates.
copy_configuration() {
    local file
    for file in /etc/resolv.conf /etc/pip.conf /etc/xdg/pip /etc/ssl/certs/ca-certificates.crt; do
        if [ -e "$file" ]; then
            mkdir -p "$system${file%/*}"
            cp -rL "$file" "$system${file%/*}"
        fi
    done
}

install_packages() {
    enter root "apt-get install --yes $(packages)" && copy_configuration
}

# bare_system RELEASE
bare_system() {
    local mirror
    mirror=$(mirror 2>/dev/null || true)
    debootstrap --variant=minbase "$1" "$system" ${mirror:+"$mirror"} &&
        mount --rbind /dev "$system/dev" &&
        mount -t proc proc "$system/proc" &&
        copy_configuration &&
        # A mirror that stands still may be older than its lists say that they are valid.
        enter root "apt-get -o Acquire::Check-Valid-Until=false update" &&
        install_packages &&
        enter root "useradd --create-home user" &&
        git clone --quiet --no-local . "$system/home/user/mobilenet" &&
        enter root "chown -R user:user /home/user"
}

# Each shared library's package is missing once; the command has to say so in its words.
missing_libraries() {
    local package said code
    for package in $(packages); do
        case $package in lib*) ;; *) continue ;; esac
        # libglib2.0-0, for instance, is libglib2.0-0t64 on newer systems.
        enter root "dpkg --remove --force-depends \$(apt-cache showpkg $package | sed -n '/^Reverse Provides/,\$p' | awk 'NR > 1 {print \$1}' | sort -u) $package"
        code=0
        said=$(enter user "mobilenet/.venv/bin/mobilenet info --machine 2>&1 >/dev/null") || code=$?
        echo "without $package, exit code $code: $said"
        install_packages || return 1
        { [ "$code" = 2 ] && grep -q "$package" <<<"$said"; } || return 1
    done
}

# try RELEASE: prints its line, and is true if all went well.
try() {
    local system=$work/$1 step verdict=ok
    SECONDS=0
    {
        step="the bare system" && bare_system "$1" &&
            step="make quickstart" && enter user "cd mobilenet; make quickstart" &&
            step="make test" && enter user "cd mobilenet; make test" &&
            step="missing libraries" && missing_libraries || verdict="FAILED: $step"
    } >"build/fresh-machines/$1.log" 2>&1
    echo "$1: $(enter root "python3 --version" 2>/dev/null), $SECONDS s, $verdict"
    umount --recursive "$system/dev" "$system/proc"
    rm -rf --one-file-system "$system"
    [ "$verdict" = ok ]
}

if [ "${1:-}" != --inside ]; then
    [ $# -gt 0 ] || set -- bookworm trixie testing
    outside "$@"
    exit
fi
work=$2
shift 2
mkdir -p build/fresh-machines
code=0
for release; do
    try "$release" || code=1
done
exit $code
