#!/usr/bin/env bash
# Runs the audit or the attack of the action in the working directory, and writes starttls.sarif. The inputs are variables, so
# that their text is never part of a script.
set -euo pipefail

options=(--format sarif --output starttls.sarif --progress never)
if [ -n "${FAIL_ON:-}" ]; then options+=(--fail-on "$FAIL_ON"); fi
# Words, without globs: an argument cannot contain a space.
set -f
# shellcheck disable=SC2206
options+=(${ARGUMENTS:-})

if [ -n "${ATTACK:-}" ]; then
    exec starttls attack "$ATTACK" --run "$RUN" "${options[@]}"
fi
if [ -z "${TARGETS:-}" ]; then
    echo "error: set the input targets or the input attack" >&2
    exit 2
fi
# Each result refers to the line of its target in this file.
printf '%s\n' "$TARGETS" >starttls-targets.txt
exec starttls check --file starttls-targets.txt "${options[@]}"
