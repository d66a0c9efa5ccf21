#!/usr/bin/env python3
"""Judges templates with checkov. A template says in its metadata which of checkov's findings are meant so, and why:

    Metadata:
      Checkov:
        CKV_AWS_158: one sentence.

What it does not say there is an error, and so is an exception that nothing needs any more.
Usage: checkov.py CHECKOV TEMPLATE... (CHECKOV: the program)
"""

import json
import re
import subprocess
import sys

SHORTEST_REASON = 30


def exceptions(path):
    """The section's entries: read by their shape, because no YAML reader knows CloudFormation's tags."""
    found, inside = {}, False
    for line in open(path, encoding="utf-8"):
        if re.match(r"  Checkov:\s*$", line):
            inside = True
        elif inside and (entry := re.match(r"    (CKV2?_AWS_\d+): (.+)$", line)):
            found[entry[1]] = entry[2].strip().strip("'\"")
        elif inside and re.match(r"\s*#|\s*$", line) is None:
            inside = False
    return found


def findings(checkov, path):
    command = [checkov, "--framework", "cloudformation", "--skip-download", "--quiet", "--compact", "-o", "json", "-f", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"checkov failed on {path}:\n{done.stderr}")
    answer = json.loads(done.stdout)
    if "results" not in answer:
        # Nothing was found: checkov prints a summary alone.
        if answer.get("parsing_errors") != 0:
            sys.exit(f"checkov cannot read {path}: {done.stdout}")
        return {}
    if answer["results"].get("parsing_errors"):
        sys.exit(f"checkov cannot read {path}")
    found = {}
    for failed in answer["results"]["failed_checks"]:
        found.setdefault(failed["check_id"], (failed["check_name"], []))[1].append(failed["resource"])
    return found


def main(checkov, *paths):
    wrong = []
    for path in paths:
        said, found = exceptions(path), findings(checkov, path)
        for check, (name, resources) in sorted(found.items()):
            if check not in said:
                wrong.append(f"{path}: {check} ({name}): {', '.join(sorted(resources))}")
        for check, reason in said.items():
            if check not in found:
                wrong.append(f"{path}: nothing needs the exception {check} any more")
            if len(reason) < SHORTEST_REASON:
                wrong.append(f"{path}: {check}: say why")
        print(f"{path}: {len(found)} kinds of findings, {len(said)} explained")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
