#!/usr/bin/env bash
# A PostgreSQL server of one's own, for development and tests: trusts everybody on this machine, keeps its data in DIR.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/daemon.sh"

usage() {
    cat <<'TEXT'
usage: postgres.sh up DIR | down DIR

  up    start PostgreSQL with its data in DIR (made when missing) and print what to export
  down  stop it; the data stays in DIR

example:
  eval "$(infra/dev/postgres.sh up /tmp/faces-postgres)"
  python tune/run.py --params params/demo.yaml --set store="$DATABASE_URL"
  infra/dev/postgres.sh down /tmp/faces-postgres

Needs the server's programs (Debian: apt-get install postgresql). Not for anything that must last: fsync is off.
TEXT
}

# programs: the folder of initdb and pg_ctl, the newest where there are several.
programs() {
    local found
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)
    [[ -x $found ]] || found=$(command -v initdb) ||
        die "PostgreSQL's programs are not installed (Debian: apt-get install postgresql)"
    dirname "$(readlink -f "$found")"
}

# as_owner COMMAND…: PostgreSQL refuses to run as root, so root hands over to a system user.
as_owner() {
    if ((EUID != 0)); then "$@"; else (cd / && runuser -u "$owner" -- "$@"); fi
}

owner=$(id -u postgres >/dev/null 2>&1 && echo postgres || echo nobody)

up() {
    local dir=$1 bin port sockets
    bin=$(programs)
    if [[ ! -f $dir/data/PG_VERSION ]]; then
        ((EUID != 0)) || chown "$owner" "$dir"
        as_owner "$bin/initdb" -D "$dir/data" -U faces --auth=trust --encoding=UTF8 --locale=C --no-sync \
            >"$dir/initdb.log" 2>&1 || die "initdb failed; its log is $dir/initdb.log"
    fi
    if ! as_owner "$bin/pg_ctl" status -D "$dir/data" >/dev/null 2>&1; then
        port=$(free_port)
        # A socket's path may have 107 bytes; a longer one leaves the loopback port alone.
        sockets=$dir
        ((${#dir} < 80)) || sockets=
        as_owner "$bin/pg_ctl" start -w -D "$dir/data" -l "$dir/data/server.log" -o \
            "-c port=$port -c listen_addresses=127.0.0.1 -c unix_socket_directories='$sockets' -c fsync=off" \
            >/dev/null || die "PostgreSQL did not start; its log is $dir/data/server.log"
        echo "$port" >"$dir/port"
    fi
    port=$(<"$dir/port")
    as_owner "$bin/psql" -h 127.0.0.1 -p "$port" -U faces -d postgres -Atc \
        "SELECT 1 FROM pg_database WHERE datname = 'faces'" | grep -q 1 ||
        as_owner "$bin/createdb" -h 127.0.0.1 -p "$port" -U faces faces
    echo "export DATABASE_URL=postgresql+psycopg://faces@127.0.0.1:$port/faces"
}

down() {
    local dir=$1
    [[ -f $dir/data/postmaster.pid ]] || return 0
    as_owner "$(programs)/pg_ctl" stop -w -m fast -D "$dir/data" >/dev/null
}

case "${1:-} $#" in
    "up 2") mkdir -p "$2" && up "$(realpath "$2")" ;;
    "down 2") down "$(realpath -m "$2")" ;;
    "-h 1" | "--help 1") usage ;;
    *) usage >&2; exit 2 ;;
esac
