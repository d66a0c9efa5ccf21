#!/usr/bin/env python3
"""Puts one program into a zip as Lambda wants it: `bootstrap`, executable. The same program makes the same zip.

Usage: zip.py ZIP PROGRAM
"""

import pathlib
import sys
import zipfile

# A zip's first possible time.
EPOCH = (1980, 1, 1, 0, 0, 0)


def main(target, program):
    entry = zipfile.ZipInfo("bootstrap", EPOCH)
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(entry, pathlib.Path(program).read_bytes(), compresslevel=9)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
