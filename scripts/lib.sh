# Steps of scripts/setup. Read by it, not run.

# One line about what is wrong and what to type next; nothing goes on after it.
stop() {
    printf '%s. next: %s\n' "$1" "$2" >&2
    exit 1
}

on_debian() {
    grep -qE '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release 2>/dev/null && [ "$(id -u)" = 0 ]
}

# The newest suitable Python that the name `python3` does not hide; $PYTHON wins.
find_python() {
    for name in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    if on_debian && ! command -v python3 >/dev/null; then
        apt_install "python3 python3-venv" "No Python is installed" 20 >&2
        find_python
        return
    fi
    found=$(python3 -V 2>/dev/null || echo none)
    stop "Python 3.11 or newer is needed (found: $found)" "install one and name it: PYTHON=/path/to/python3 make up"
}

# Prints the fixes that set-up can make; ends the set-up where something else is wrong.
host_check() {
    "$python" -B -m anvil_ctl.doctor.host --setup $download $ports
}

has_stamp() {
    [ -x .venv/bin/anvil-ctl ] && [ "$(head -n 1 .venv/anvil-stamp 2>/dev/null)" = "$1" ] &&
        grep -qx "$2" .venv/anvil-stamp
}

# Seconds that the packages of a lock took on two cores with nothing cached.
estimate() {
    case $1 in dev) echo 25 ;; *) echo 12 ;; esac
}

# step TEXT SECONDS COMMAND...: run it with its output in the log, and say how long it took.
step() {
    text=$1 seconds=$2
    shift 2
    started=$(date +%s)
    printf '%s (about %s s) ... ' "$text" "$seconds"
    if "$@" >>"$log" 2>&1; then
        printf 'done in %s s\n' "$(($(date +%s) - started))"
    else
        printf 'failed\n'
        tail -n 5 "$log" >&2
        stop "set-up failed: $text" "read $PWD/$log, then again: make up"
    fi
}

# Ask on a terminal; where there is none, say what is done and go on.
confirm() {
    if [ -t 0 ] && [ -t 1 ]; then
        printf '%s. Shall I %s? [Y/n] ' "$1" "$2"
        read -r answer
        case $answer in
        '' | [Yy]*) ;;
        *) stop "$1" "mend it yourself, then again: make up" ;;
        esac
    else
        printf '%s: I %s (there is no terminal to ask on)\n' "$1" "$2"
    fi
}

# apt_install PACKAGES WHY SECONDS
apt_install() {
    confirm "$2" "install $1 with apt-get"
    step "apt-get update" 5 apt-get update -q
    apt_get "$1" "$3"
}

# apt_get PACKAGES SECONDS. Word splitting is wanted: several packages in one argument.
apt_get() {
    step "apt-get install $1" "$2" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qy --no-install-recommends $1
}

# Debian 13 has the docker command in a package of its own, earlier ones in docker.io itself.
install_engine() {
    confirm "No Docker Engine is installed" "install docker.io with apt-get"
    step "apt-get update" 5 apt-get update -q
    packages="docker.io ca-certificates apparmor"
    if apt-cache show docker-cli >/dev/null 2>&1; then packages="$packages docker-cli"; fi
    apt_get "$packages" 40
}

engine_answers() {
    docker info >/dev/null 2>&1
}

wait_for_engine() {
    tries=0
    until engine_answers; do
        tries=$((tries + 1))
        [ "$tries" -lt 30 ] || return 1
        sleep 1
    done
}

# By the service manager that is there; a container or a chroot has none, so directly then.
start_engine() {
    if engine_answers; then return; fi
    if [ -d /run/systemd/system ]; then
        step "start the Docker daemon (systemd)" 5 systemctl enable --now docker
    elif [ -x /etc/init.d/docker ] && service docker start >>"$log" 2>&1 && sleep 2 && engine_answers; then
        echo "the Docker daemon is started (service docker)"
    else
        # It outlives this script, so it is told to be quiet here and writes its own log.
        setsid dockerd >>/var/log/dockerd.log 2>&1 </dev/null &
    fi
    step "wait for the Docker daemon" 5 wait_for_engine
}
