#!/usr/bin/env bash
set -euo pipefail
echo "greetings to ${1:?whom to greet}, from commit ${CI_COMMIT_SHORT_SHA:?} of ${CI_PROJECT_PATH:?}"
