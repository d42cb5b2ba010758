#!/usr/bin/env bash
# Passwords for compose.yaml: written once into .env beside it, random, readable by their owner alone.
set -euo pipefail
umask 077

usage() {
    cat <<'TEXT'
usage: compose-env.sh [DIR]

  DIR   where .env and secrets/ go; default: the folder of this script, where compose.yaml looks for them

Writes DIR/.env with random passwords for Postgres, S3 and Ray, and empty DIR/secrets/{discord,telegram}-token to fill.
What is there already stays as it is.
TEXT
}

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

case "${1:-}" in
    -h | --help) usage; exit ;;
    -*) usage >&2; exit 2 ;;
esac
dir=${1:-$(dirname "${BASH_SOURCE[0]}")}

mkdir -p "$dir/secrets"
for token in discord-token telegram-token; do
    [[ -e $dir/secrets/$token ]] || : >"$dir/secrets/$token"
done
if [[ -e $dir/.env ]]; then
    echo "$dir/.env is there; nothing was changed"
    exit
fi
cat >"$dir/.env" <<TEXT
POSTGRES_PASSWORD=$(random)
S3_ACCESS_KEY=faces
S3_SECRET_KEY=$(random)
RAY_TOKEN=$(random)
# Worth a look (docs/deploying.md):
# TORCH_INDEX=            PyTorch's package index for CPUs, for images of 2 GB instead of 6
# WORKER_CPUS=2
# WORKER_MEMORY=8g
# GPU_PER_TRIAL=0         0.25: four trials share a GPU
# WEB_HOST=faces.example.org
TEXT
echo "wrote $dir/.env"
