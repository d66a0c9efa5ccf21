#!/usr/bin/env bash
# Says what an account lacks for lanes of instances, or for a pool, before the first job finds it out. It changes nothing.
#
# Usage: check-ec2.sh [OPTIONS] [-- OPTIONS OF aws]
#
#   --parameter-path PATH   the stack's parameter ParameterPath (default /runnerless)
#   --on-demand             Ec2Machines asks for no spot: the role of spot and its quota are not looked at
#   --pool STACK            for the pool of this stack (docs/pool.md) instead of lanes
#   OPTIONS OF aws          go to each call as they are: --profile, --region
#
# It needs `aws` with iam:GetRole, ssm:GetParameter, ec2:DescribeImages and servicequotas:GetServiceQuota, and for a pool with
# ssm:DescribeParameters. Exit codes: 0 nothing lacks, 1 something does, 4 something could not be looked at.
set -euo pipefail
# shellcheck source=helper-scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

path=/runnerless
pool=
markets=(spot on-demand)
options=()
while (($#)); do
  case "$1" in
    -h | --help) usage && exit 0 ;;
    --parameter-path)
      path="${2:?--parameter-path needs the path}"
      shift
      ;;
    --pool)
      pool="${2:?--pool needs the name of its stack}"
      shift
      ;;
    --on-demand) markets=(on-demand) ;;
    --) shift && options=("$@") && break ;;
    *) fail 2 "$1 is no option of mine; options of aws come after --" ;;
  esac
  shift
done
command -v aws > /dev/null || fail 3 "there is no aws on PATH; install the AWS CLI"

result=0
answer=
why=
fine() { printf 'ok       %s\n' "$*"; }
lacks() {
  printf 'lacks    %s\n' "$*"
  ((result)) || result=1
}
unknown() {
  printf 'unknown  %s\n' "$*"
  result=4
}
# Asks AWS: the answer as text, or why there is none.
ask() {
  local told
  told="$(mktemp)"
  if answer="$(aws "$@" --output text "${options[@]}" 2> "$told")"; then
    rm -f "$told"
    return 0
  fi
  why="$(tr '\n' ' ' < "$told")"
  rm -f "$told"
  return 1
}

# role <name> <service>: a role that AWS makes for a service, when somebody asks for it.
role() {
  if ask iam get-role --role-name "$1" --query Role.RoleName; then
    fine "the role $1"
  elif [[ "$why" == *NoSuchEntity* ]]; then
    lacks "the role $1: aws iam create-service-linked-role --aws-service-name $2"
  else
    unknown "the role $1: $why"
  fi
}

# The image that the launch template resolves at each launch.
image() {
  local parameter="$path${pool:+/pool/$pool}/ami"
  if ! ask ssm get-parameter --name "$parameter" --query Parameter.Value; then
    if [[ "$why" == *ParameterNotFound* ]]; then
      lacks "the parameter $parameter: build an image (${pool:+docs/pool.md, }docs/ami.md), or put the id of yours there"
    else
      unknown "the parameter $parameter: $why"
    fi
    return
  fi
  local id="$answer"
  if ! ask ec2 describe-images --image-ids "$id" --query 'Images[0].[State,Architecture]'; then
    if [[ "$why" == *InvalidAMIID* ]]; then
      lacks "the image $id that $parameter names: $why"
    else
      unknown "the image $id: $why"
    fi
  elif [[ "$answer" == available[[:space:]]* ]]; then
    fine "the image $id, for $(cut -f 2 <<< "$answer"): the instance types of all rows must be of that architecture"
  else
    lacks "the image $id that $parameter names is not available: $answer"
  fi
}

# The token of a pool's runner; its value is not read.
token() {
  if ! ask ssm describe-parameters --parameter-filters "Key=Name,Values=$path/pool/$pool/token" --query 'Parameters[0].Type'; then
    unknown "the parameter $path/pool/$pool/token: $why"
  elif [[ "$answer" == SecureString ]]; then
    fine "the parameter $path/pool/$pool/token"
  elif [[ "$answer" == None ]]; then
    lacks "the parameter $path/pool/$pool/token: aws ssm put-parameter --type SecureString --name $path/pool/$pool/token --value file://token.txt"
  else
    lacks "the parameter $path/pool/$pool/token is a $answer, which everybody may read who may list: delete it, and put a SecureString there"
  fi
}

# quota <market> <code>: processors of running standard instances (families a, c, d, h, i, m, r, t, z) in this region.
quota() {
  if ! ask service-quotas get-service-quota --service-code ec2 --quota-code "$2" --query Quota.Value; then
    unknown "the quota of $1 instances: $why"
  elif ((${answer%.*} >= 2)); then
    fine "${answer%.*} processors of $1 instances at the same time; a job takes those of its instance type"
  else
    lacks "${answer%.*} processors of $1 instances: aws service-quotas request-service-quota-increase --service-code ec2 --quota-code $2 --desired-value N"
  fi
}

if [[ -n "$pool" ]]; then
  role AWSServiceRoleForAutoScaling autoscaling.amazonaws.com
  token
else
  role AWSServiceRoleForEC2Fleet ec2fleet.amazonaws.com
fi
for market in "${markets[@]}"; do
  case "$market" in
    spot)
      role AWSServiceRoleForEC2Spot spot.amazonaws.com
      quota spot L-34B43A08
      ;;
    on-demand) quota on-demand L-1216C47A ;;
  esac
done
image
exit "$result"
