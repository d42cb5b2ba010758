#!/usr/bin/env bash
# An S3 server of one's own, for development and tests: a whole Ceph of one monitor, one in-memory store and radosgw.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/daemon.sh"

usage() {
    cat <<'TEXT'
usage: radosgw.sh up DIR | down DIR | stop-gateway DIR | start-gateway DIR

  up             start the server with its files in DIR (made when missing) and print what to export
  down           stop it; the objects, which live in memory, are gone
  stop-gateway   an outage: the part that speaks S3 is killed; the objects stay
  start-gateway  its end: the same address answers again

example:
  eval "$(infra/dev/radosgw.sh up /tmp/faces-s3)"
  python -m crawler import photos --into "$S3_URL/photos"
  infra/dev/radosgw.sh down /tmp/faces-s3

Needs Ceph's programs (Debian: apt-get install radosgw ceph-mon ceph-osd). Listens on 127.0.0.1 alone.
TEXT
}

umask 077 # the files in DIR hold the keys
bucket=faces
processes=(radosgw osd mon) # in the order in which they are stopped

configure() {
    local dir=$1 fsid=$2 mon=$3 port=$4
    cat >"$dir/ceph.conf" <<TEXT
[global]
fsid = $fsid
mon host = v1:127.0.0.1:$mon
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = $dir/keyring
run dir = $dir
admin socket =
log file = $dir/\$name.log
mon data = $dir/mon
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 2147483648
auth allow insecure global id reclaim = false
mon allow pool size one = true
mon max pg per osd = 1000
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
rgw data = $dir/radosgw
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw thread pool size = 64
rgw override bucket index max shards = 1
TEXT
}

start_mon() {
    local dir=$1 fsid=$2 mon=$3
    ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool "$dir/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    monmaptool --create --fsid "$fsid" --addv a "[v1:127.0.0.1:$mon]" "$dir/monmap"
    ceph-mon --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring"
    launch "$dir" mon ceph-mon -i a
    wait_until 60 "the monitor" "$dir/mon.out" timeout 5 ceph mon stat
}

start_osd() {
    local dir=$1 uuid secret
    uuid=$(</proc/sys/kernel/random/uuid)
    secret=$(ceph-authtool --gen-print-key)
    echo "{\"cephx_secret\": \"$secret\"}" | ceph osd new "$uuid" -i -
    ceph-authtool --create-keyring "$dir/osd/keyring" --name osd.0 --add-key "$secret"
    ceph-osd -i 0 --mkfs --osd-uuid "$uuid" --keyring "$dir/osd/keyring"
    ceph osd crush add osd.0 1.0 root=default
    launch "$dir" osd ceph-osd -i 0 --keyring "$dir/osd/keyring"
    wait_until 60 "the object store" "$dir/osd.out" osd_is_up
}

osd_is_up() { timeout 5 ceph osd stat | grep -q '1 up'; }

start_radosgw() {
    local dir=$1 port=$2 access=$3 secret=$4
    radosgw-admin user create --uid=faces --display-name=faces --access-key="$access" --secret-key="$secret"
    start_gateway "$dir" "$port"
}

start_gateway() {
    local dir=$1 port=$2
    launch "$dir" radosgw radosgw -n client.admin --keyring "$dir/keyring"
    wait_until 60 "radosgw" "$dir/radosgw.out" answers "$port"
}

answers() {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET / HTTP/1.0\r\n\r\n' >&3
    grep -q HTTP <&3
}

# launch DIR NAME COMMAND…: in the background, in the foreground mode of Ceph's programs, its id in DIR/NAME.pid.
launch() {
    local dir=$1 name=$2
    shift 2
    setsid "$@" -f --conf "$dir/ceph.conf" >"$dir/$name.out" 2>&1 </dev/null &
    echo $! >"$dir/$name.pid"
}

# make_bucket PORT BUCKET ACCESS SECRET: signed by hand (S3's signature version 2), so that no S3 client is needed.
make_bucket() {
    ACCESS=$3 SECRET=$4 python3 - "$1" "$2" <<'PYTHON'
import base64, email.utils, hashlib, hmac, http.client, os, sys

port, bucket = sys.argv[1:]
date = email.utils.formatdate(usegmt=True)
signed = hmac.new(os.environ["SECRET"].encode(), f"PUT\n\n\n{date}\n/{bucket}".encode(), hashlib.sha1).digest()
authorization = f"AWS {os.environ['ACCESS']}:{base64.b64encode(signed).decode()}"
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
connection.request("PUT", f"/{bucket}", headers={"Date": date, "Authorization": authorization})
answer = connection.getresponse()
if answer.status != 200:
    sys.exit(f"making the bucket was answered {answer.status}: {answer.read()!r}")
PYTHON
}

up() {
    local dir=$1 fsid mon port access secret program
    for program in ceph ceph-mon ceph-osd radosgw radosgw-admin; do
        command -v "$program" >/dev/null ||
            die "$program is not installed (Debian: apt-get install radosgw ceph-mon ceph-osd)"
    done
    if running "$dir/radosgw.pid"; then
        cat "$dir/environment"
        return
    fi
    down "$dir"
    rm -rf "$dir"/{mon,osd,radosgw,keyring,monmap,environment}
    mkdir -p "$dir"/{mon,osd,radosgw}
    fsid=$(</proc/sys/kernel/random/uuid)
    mon=$(free_port) port=$(free_port)
    access=$(</proc/sys/kernel/random/uuid) secret=$(</proc/sys/kernel/random/uuid)
    configure "$dir" "$fsid" "$mon" "$port"
    export CEPH_CONF=$dir/ceph.conf
    started=$dir
    trap '[[ -z $started ]] || down "$started"' EXIT
    {
        start_mon "$dir" "$fsid" "$mon"
        start_osd "$dir"
        start_radosgw "$dir" "$port" "$access" "$secret"
        make_bucket "$port" "$bucket" "$access" "$secret"
    } >"$dir/up.log" 2>&1 || die "the server did not come up; see $dir/up.log"
    cat >"$dir/environment" <<TEXT
export AWS_ENDPOINT_URL=http://127.0.0.1:$port
export AWS_ACCESS_KEY_ID=$access
export AWS_SECRET_ACCESS_KEY=$secret
export AWS_REGION=us-east-1
export S3_URL=s3://$bucket
TEXT
    started=
    cat "$dir/environment"
}

down() {
    local name
    for name in "${processes[@]}"; do kill_now "$1/$name.pid"; done
}

# The address comes from the file that `up` wrote, so that whoever was talking to the server finds it again.
start_gateway_again() {
    local dir=$1 port
    running "$dir/osd.pid" || die "no server in $dir; start it with: radosgw.sh up $dir"
    running "$dir/radosgw.pid" && return
    port=$(sed -n 's/^rgw frontends = .*:\([0-9]*\) .*/\1/p' "$dir/ceph.conf")
    start_gateway "$dir" "$port"
}

case "${1:-} $#" in
    "up 2") mkdir -p "$2" && up "$(realpath "$2")" ;;
    "down 2") down "$(realpath -m "$2")" ;;
    "stop-gateway 2") kill_now "$(realpath -m "$2")/radosgw.pid" ;;
    "start-gateway 2") start_gateway_again "$(realpath -m "$2")" ;;
    "-h 1" | "--help 1") usage ;;
    *) usage >&2; exit 2 ;;
esac
