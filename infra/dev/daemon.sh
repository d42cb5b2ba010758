# shellcheck shell=bash
# Sourced by the scripts beside it: free ports, waiting, stopping a server by its process id.

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

# running PIDFILE: whether the process it names lives.
running() { [[ -s $1 ]] && kill -0 "$(<"$1")" 2>/dev/null; }

# stop PIDFILE: ask the process to end, insist after ten seconds, remove the file.
stop() {
    local pid
    [[ -s $1 ]] || return 0
    pid=$(<"$1")
    kill "$pid" 2>/dev/null || { rm -f "$1"; return 0; }
    for _ in {1..100}; do
        kill -0 "$pid" 2>/dev/null || { rm -f "$1"; return 0; }
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
    rm -f "$1"
}
