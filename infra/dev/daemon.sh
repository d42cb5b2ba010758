# shellcheck shell=bash
# Sourced by the scripts beside it: free ports, waiting, ending a server by its process id.

die() { echo "error: $*" >&2; exit 1; }

# free_port: a loopback port that nobody listens on, below the range that outgoing connections take theirs from.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    die "no free port on 127.0.0.1"
}

# wait_until SECONDS WHAT LOG COMMAND…: tries COMMAND until it succeeds; says what LOG ends with when it never does.
wait_until() {
    local seconds=$1 what=$2 log=$3 deadline
    shift 3
    deadline=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)); then
            tail -n 5 "$log" >&2 || true
            die "$what did not come up in $seconds seconds; its log is $log"
        fi
        sleep 0.1
    done
}

# running PIDFILE: whether the process it names lives and is ours: its command line names the folder of PIDFILE, so that
# a number that was given to somebody else meanwhile is not taken for it.
running() {
    [[ -s $1 ]] && tr '\0' '\n' 2>/dev/null <"/proc/$(<"$1")/cmdline" | grep -qF "$(dirname "$1")/"
}

# kill_now PIDFILE: end the process without ceremony; for servers that keep nothing.
kill_now() {
    if running "$1"; then
        kill -9 "$(<"$1")" 2>/dev/null || true
        while running "$1"; do sleep 0.05; done
    fi
    rm -f "$1"
}
