#!/usr/bin/env python3
"""Makes a template of a release from template.yaml, or from pool/template.yaml: code comes from zips in a bucket, so that
nobody builds anything.

Usage: release.py [--template template.yaml] > release.yaml

Each function's CodeUri becomes an S3 object `<ArtifactPrefix>/<part>-<architecture>.zip` of `ArtifactBucket`, by the same
conditions as its Architectures, and each workflow's DefinitionUri `<ArtifactPrefix>/<name>.asl.json`. The template is
changed as text and in no other line, so that what was linted and tested is what is released.
"""

import argparse
import pathlib
import re
import sys

PARAMETERS = """  ArtifactBucket:
    Type: String
    Description: The bucket, of this region, that holds the release's zips. deploy.sh uploads them.
  ArtifactPrefix:
    Type: String
    AllowedPattern: '^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$'
    Description: The folder of that bucket, without slashes around it. Another release is another folder.
"""
ARCHITECTURE = re.compile(r"(?m)^      Architectures: \[(!If \[.*\]|!Ref \w+)\]$")


def released(text):
    functions = re.split(r"(?m)^(?=  [A-Za-z0-9]+:$)", text)
    done, count = [], 0
    for block in functions:
        code = re.search(r"(?m)^      CodeUri: (?:\.\./)?crates/bin/([a-z-]+)/$", block)
        if code:
            chosen = ARCHITECTURE.search(block)
            if not chosen:
                sys.exit(f"{code[1]}: no line with its Architectures")
            key = f"!Sub ['${{ArtifactPrefix}}/{code[1]}-${{Built}}.zip', {{Built: {chosen[1]}}}]"
            block = block.replace(code[0], f"      CodeUri: {{Bucket: !Ref ArtifactBucket, Key: {key}}}")
            block, built = re.subn(r"(?m)^    Metadata: \{BuildMethod: .*\}\n", "", block)
            if built != 1:
                sys.exit(f"{code[1]}: no line that says how it is built")
            count += 1
        block = re.sub(
            r"(?m)^      DefinitionUri: statemachines/(\S+\.asl\.json)$",
            r"      DefinitionUri: {Bucket: !Ref ArtifactBucket, Key: !Sub '${ArtifactPrefix}/\1'}",
            block,
        )
        block = re.sub(
            r"(?m)^      ContentUri: target/layer/(tools-[a-z0-9_]+\.zip)$",
            r"      ContentUri: {Bucket: !Ref ArtifactBucket, Key: !Sub '${ArtifactPrefix}/\1'}",
            block,
        )
        done.append(block)
    text = "".join(done)
    if count == 0 or text.count("\nParameters:\n") != 1:
        sys.exit("this is not the template")
    if left := re.findall(r"(?m)^.*(?:crates/bin/|statemachines/|target/layer|BuildMethod).*$", text):
        sys.exit(f"these lines still lead to files: {left}")
    return text.replace("\nParameters:\n", "\nParameters:\n" + PARAMETERS, 1)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--template", default=pathlib.Path(__file__).parent.parent / "template.yaml", type=pathlib.Path)
    sys.stdout.write(released(arguments.parse_args().template.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
