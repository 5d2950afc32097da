"""Contenders in processes of their own, and the environment of those that the project does not depend on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from contender import Entry, Race, Result
from harness import NotMeasured

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parents[1] / ".venv-peers"
PACKAGES = ("torch==2.13.0", "pyod==3.6.7", "tqdm")
LIMIT_S = 1_800
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
THREADS = ((0, 0), (1, 0), (1, 1))
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""For small networks whose time does not count: a second thread mostly waits for the first, and takes a core."""


def python_of_peers() -> Path:
    """The interpreter of the peers' environment, which is made where it is missing.

    Raises:
        NotMeasured: When it cannot be made, for want of a package index for example.
    """
    python = ENVIRONMENT / "bin" / "python"
    ready = ENVIRONMENT / "ready"
    if ready.is_file() and ready.read_text(encoding="utf-8").split() == list(PACKAGES):
        return python
    print(f"making {ENVIRONMENT.name} with {', '.join(PACKAGES)}: some minutes", file=sys.stderr)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)],
        [str(python), "-m", "pip", "install", "--quiet", *PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()[-600:]
            raise NotMeasured(f"the peers' environment cannot be made: {' '.join(command)} ended with: {said}")
    ready.write_text("\n".join(PACKAGES), encoding="utf-8")
    return python


def run(race: Race, entry: Entry) -> Result:
    """Have one contender train.

    Raises:
        NotMeasured: When it fails.
    """
    is_ours = entry.who != "pyod"
    python = sys.executable if is_ours else str(python_of_peers())
    script = HERE / ("contender.py" if is_ours else "pyod_contender.py")
    asked = json.dumps({"race": asdict(race), "entry": asdict(entry)})
    return Result(**json.loads(said_by(python, script, asked, who=str(entry))[-1]))


def said_by(
    python: str | Path,
    script: Path,
    asked: str,
    *,
    who: str,
    limit_s: float = LIMIT_S,
    environ: Mapping[str, str] | None = None,
) -> list[str]:
    """Run a script with one word, and return the lines that it prints.

    Args:
        python: The interpreter.
        script: What it runs.
        asked: The word.
        who: Its name in an error.
        limit_s: Most seconds.
        environ: Further variables.

    Raises:
        NotMeasured: When it fails.
    """
    done = subprocess.run(
        [str(python), str(script), asked],
        capture_output=True,
        text=True,
        check=False,
        timeout=limit_s,
        env={**os.environ, **QUIET, **(environ or {})},
    )
    if done.returncode != 0:
        raise NotMeasured(f"{who} failed: {done.stderr.strip()[-600:]}")
    return done.stdout.splitlines()


def fastest(race: Race, entries: Iterable[Entry]) -> Entry:
    """Who trains fastest, without building and compiling."""
    taken = {entry: run(race, entry).again_s for entry in entries}
    for entry, seconds in taken.items():
        print(f"  {seconds:8.3f} s  {entry}", file=sys.stderr)
    return min(taken, key=lambda entry: taken[entry])
