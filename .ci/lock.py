"""Solve the dependencies into `requirements.lock`: runtime, dev and build back end, with hashes, for all Pythons.

The file names no index, so that it installs from whatever mirror a machine is set up with. Needs uv.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
# pip refuses `-e .` beside hashes and builds without isolation: the back end and its editable hook are locked too.
BUILD = "hatchling\neditables\n"
HEADER = "# Made by `make lock`: runtime, dev and build requirements for Python 3.11 to 3.13. Not edited by hand.\n"


def solve(uv):
    """Return the solved requirements, kept as close to the present lock as the bounds allow."""
    with tempfile.TemporaryDirectory() as folder:
        build, out = Path(folder) / "build.in", Path(folder) / "requirements.lock"
        build.write_text(BUILD)
        if LOCK.exists() and not os.environ.get("UPGRADE"):
            shutil.copyfile(str(LOCK), str(out))
        command = [uv, "pip", "compile", "pyproject.toml", str(build), "--extra", "dev", "--universal"]
        command += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        command += ["--no-emit-index-url", "--no-emit-find-links", "--output-file", str(out)]
        subprocess.run(command, check=True, cwd=str(ROOT))
        return out.read_text()


def main():
    """Write the lock; refuse one that holds an address."""
    uv = shutil.which("uv")
    if not uv:
        print("sereno: `make lock` needs uv; everything else works without it", file=sys.stderr)
        return 2
    text = "".join(line for line in solve(uv).splitlines(keepends=True) if not line.lstrip().startswith("#"))
    addresses = re.findall(r"\S+://\S+|^--\S+.*$", text, flags=re.MULTILINE)
    if addresses:
        print("sereno: the lock would hold addresses: %s" % addresses[:5], file=sys.stderr)
        return 1
    LOCK.write_text(HEADER + text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
