#!/usr/bin/env bash
# Makes in an AWS account what infra/deploy/cluster.yaml needs, and writes cluster.local.yaml from it. May be run again.
set -euo pipefail
umask 077

usage() {
    cat <<'TEXT'
usage: setup.sh REGION BUCKET [ADDRESS]

  REGION    such as us-east-1
  BUCKET    a name that nobody has, for dataset, checkpoints and champions; made when missing
  ADDRESS   who may use ssh, such as 203.0.113.7/32; default: the address that this machine has to the outside

Makes: the bucket (private, encrypted), the roles faces-head and faces-worker, the policy faces-operator (for who runs
`ray up`; attach it yourself), the key pair faces-ray (into ~/.ssh/faces-ray.pem), the security group faces-ray, the
image repository faces-ray. Writes infra/deploy/cluster.local.yaml once an image is in that repository.

AMI=ami-… in the environment takes that machine image instead of the newest Deep Learning Base AMI for Ubuntu 24.04.
Needs the aws command with the rights of an administrator. Nothing here costs anything while no node runs, but what is
in the bucket and the repository. Postgres: setup.sh does not; see docs/deploying.md.
TEXT
}

case "${1:-}" in -h | --help) usage; exit ;; esac
(($# == 2 || $# == 3)) || { usage >&2; exit 2; }
region=$1 bucket=$2 address=${3:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export AWS_REGION=$region AWS_DEFAULT_REGION=$region AWS_PAGER=

say() { echo "$*" >&2; }

# filled FILE: its content with the words in CAPITALS replaced.
filled() {
    sed -e "s/ACCOUNT/$account/g" -e "s/REGION/$region/g" -e "s/BUCKET/$bucket/g" \
        -e "s/SECURITY_GROUP/${group:-}/g" -e "s/SUBNETS/${subnets:-}/g" -e "s/AMI /${ami:-} /g" -e "s/DIGEST/${digest:-}/g" "$1"
}

make_bucket() {
    if ! aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1; then
        local where=(--create-bucket-configuration "LocationConstraint=$region")
        [[ $region != us-east-1 ]] || where=() # the one region that must not be named
        aws s3api create-bucket --bucket "$bucket" "${where[@]}" >/dev/null
        say "made the bucket $bucket"
    fi
    aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
        BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
    # What a spot node left half uploaded when it was taken away.
    aws s3api put-bucket-lifecycle-configuration --bucket "$bucket" --lifecycle-configuration \
        '{"Rules": [{"ID": "unfinished", "Status": "Enabled", "Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}]}' >/dev/null
}

make_group() {
    local vpc
    vpc=$(aws ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' --output text)
    [[ $vpc == vpc-* ]] || { say "error: $region has no default VPC; aws ec2 create-default-vpc makes one"; exit 1; }
    subnets=$(aws ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" Name=default-for-az,Values=true \
        --query 'Subnets[].SubnetId' --output text | sed 's/[[:space:]]\+/, /g')
    group=$(aws ec2 describe-security-groups --filters "Name=vpc-id,Values=$vpc" Name=group-name,Values=faces-ray \
        --query 'SecurityGroups[0].GroupId' --output text)
    [[ $group != sg-* ]] || return 0
    group=$(aws ec2 create-security-group --group-name faces-ray --description "Ray nodes of faces" --vpc-id "$vpc" \
        --query GroupId --output text)
    aws ec2 authorize-security-group-ingress --group-id "$group" --protocol all --source-group "$group" >/dev/null
    aws ec2 authorize-security-group-ingress --group-id "$group" --protocol tcp --port 22 --cidr "$address" >/dev/null
    say "made the security group $group: ssh from $address, all among its nodes"
}

make_key() {
    local file=$HOME/.ssh/faces-ray.pem
    if aws ec2 describe-key-pairs --key-names faces-ray >/dev/null 2>&1; then
        [[ -s $file ]] || { say "error: the key pair faces-ray is there, but not $file; delete it, or bring the file"; exit 1; }
        return
    fi
    mkdir -p "$HOME/.ssh"
    aws ec2 create-key-pair --key-name faces-ray --key-type ed25519 --query KeyMaterial --output text >"$file"
    chmod 400 "$file"
    say "made the key pair faces-ray: $file"
}

# make_role NAME POLICY…: the role, its instance profile, and its policies as they are written here now.
make_role() {
    local name=$1 policy
    shift
    if ! aws iam get-role --role-name "$name" >/dev/null 2>&1; then
        aws iam create-role --role-name "$name" --assume-role-policy-document "file://$here/trust.json" >/dev/null
        aws iam create-instance-profile --instance-profile-name "$name" >/dev/null
        aws iam add-role-to-instance-profile --instance-profile-name "$name" --role-name "$name"
        say "made the role $name"
    fi
    for policy in "$@"; do
        aws iam put-role-policy --role-name "$name" --policy-name "$policy" --policy-document "$(filled "$here/$policy.json")"
    done
}

make_operator() {
    local arn=arn:aws:iam::$account:policy/faces-operator
    aws iam get-policy --policy-arn "$arn" >/dev/null 2>&1 && return
    aws iam create-policy --policy-name faces-operator --policy-document "$(filled "$here/operator.json")" >/dev/null
    say "made the policy $arn: attach it to who runs ray up"
}

account=$(aws sts get-caller-identity --query Account --output text)
[[ -n $address ]] || address=$(curl --silent --show-error --fail --max-time 10 https://checkip.amazonaws.com)/32
make_bucket
make_group
make_key
make_role faces-worker worker
make_role faces-head worker head
make_operator
aws iam create-service-linked-role --aws-service-name spot.amazonaws.com >/dev/null 2>&1 || true # there, mostly
aws ecr describe-repositories --repository-names faces-ray >/dev/null 2>&1 ||
    aws ecr create-repository --repository-name faces-ray --image-tag-mutability IMMUTABLE \
        --image-scanning-configuration scanOnPush=true >/dev/null
ami=${AMI:-$(aws ssm get-parameter --query Parameter.Value --output text --name \
    /aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id)}
digest=$(aws ecr describe-images --repository-name faces-ray --output text \
    --query 'sort_by(imageDetails, &imagePushedAt)[-1].imageDigest')
if [[ $digest != sha256:* ]]; then
    say "no image yet: build and push one (docs/deploying.md), then run this again"
    exit
fi
filled "$here/../cluster.yaml" >"$here/../cluster.local.yaml"
say "wrote infra/deploy/cluster.local.yaml: image $digest, AMI $ami"
