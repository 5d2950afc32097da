"""What a run must share with worker processes that it did not start: code, and variables that workers read."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("infra", "models", "schemas", "tasks")
BESIDE = ("dask", "distributed", "numpy", "onnxruntime", "pandas", "pyarrow")
READ_BY_WORKERS = (
    "AWS_",
    "AZURE_",
    "CUDA_",
    "FSSPEC_",
    "GOOGLE_",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "PYTHONPATH",
    "SERENO_FAILPOINT",
    "SSL_",
    "TZ",
)
"""How names begin by which inputs are reached, places are found or results change."""


def likeness() -> str:
    """A digest that two processes share when a call does the same in both."""
    digest = hashlib.sha256()
    for said in (sys.version, sys.prefix, *_releases(), *_files(), *_variables()):
        digest.update(f"{said}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _releases() -> Iterator[str]:
    return (f"{name} {version(name)}" for name in BESIDE)


def _files() -> Iterator[str]:
    """Our own code: a worker that was started before an upgrade still has what stood there before."""
    top = Path(__file__).resolve().parents[2]
    for path in sorted(path for package in PACKAGES for path in (top / package).rglob("*.py")):
        file = path.stat()
        yield f"{path} {file.st_mtime_ns} {file.st_size}"


def _variables() -> Iterator[str]:
    return (f"{name}={value}" for name, value in sorted(os.environ.items()) if name.upper().startswith(READ_BY_WORKERS))
