"""Holds a SARIF log on standard input against a JSON schema."""

import json
import sys

from jsonschema import Draft7Validator, FormatChecker

with open(sys.argv[1], encoding="utf-8") as schema:
    validator = Draft7Validator(json.load(schema), format_checker=FormatChecker())
misfits = list(validator.iter_errors(json.load(sys.stdin)))
for misfit in misfits:
    print("/".join(map(str, misfit.absolute_path)), misfit.message[:300])
sys.exit(bool(misfits))
