"""Packs a folder into a zip whose bytes depend on nothing but the files: `pack.py FOLDER ZIP`."""

import pathlib
import sys
import zipfile

# A zip's first possible time.
EPOCH = (1980, 1, 1, 0, 0, 0)


def main(folder, target):
    folder, target = pathlib.Path(folder), pathlib.Path(target)
    new = target.with_suffix(".new")
    with zipfile.ZipFile(new, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink():
                sys.exit(f"{path}: a link would become a copy on the way; make it a file")
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EPOCH)
                entry.create_system = 3
                entry.external_attr = (0o100755 if path.stat().st_mode & 0o100 else 0o100644) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes(), compresslevel=9)
    new.replace(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
