#!/usr/bin/env bash
# Renews what images are pinned by: asks their registry for the digest of each tag that a file here names, and writes it.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: pin-digests.sh [--check] [FILE…]

  FILE      files that name images as NAME:TAG@sha256:DIGEST; default: all of this folder that do
  --check   write nothing; exit 1 when a tag has another digest by now (it was rebuilt, mostly for security)

Another tag: write it with any digest (64 zeros will do), then run this. Needs docker with buildx, and the network.
TEXT
}

check=
case "${1:-}" in
    -h | --help) usage; exit ;;
    --check) check=1; shift ;;
    -*) usage >&2; exit 2 ;;
esac
here=$(dirname "${BASH_SOURCE[0]}")
pinned='[A-Za-z0-9./_-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}'
files=("$@")
((${#files[@]})) || mapfile -t files < <(grep -lErI --exclude=pin-digests.sh "$pinned" "$here")

stale=0
while read -r image; do
    tag=${image%@*}
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$tag")
    [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "error: $tag: no digest but '$digest'" >&2; exit 1; }
    if [[ $image == "$tag@$digest" ]]; then
        echo "$tag is up to date"
    elif [[ -n $check ]]; then
        echo "$tag has another digest: $digest"
        stale=1
    else
        sed -i "s#$tag@sha256:[0-9a-f]*#$tag@$digest#g" "${files[@]}"
        echo "$tag is now $digest"
    fi
done < <(grep -ohE "$pinned" "${files[@]}" | sort -u)
exit "$stale"
