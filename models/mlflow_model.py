"""How a bundle lies in MLflow: a folder that our own loader module opens, and no pickle.

`mlflow.pyfunc.save_model` is not used: it walks every installed distribution to compare requirements (1.3 s), warns
about type hints of its own, and takes along a `uv.lock` that happens to lie in the working directory.
"""

from __future__ import annotations

import json
import platform
import shutil
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from schemas.errors import BundleError

LOADER_MODULE = "models.pyfunc"
DATA = "data"
_REQUIRED = ("sereno", "mlflow", "numpy", "onnxruntime", "pandas", "pyarrow", "pydantic")


def write_model_folder(folder: Path, bundle: Path, bundle_hash: str, *, run_id: str, model_id: str) -> None:
    """Write an MLflow model around a bundle.

    The bundle's folder is named by its hash, so that the loader, which is given only a path, knows what to expect.

    Args:
        folder: Empty folder to write to.
        bundle: The bundle.
        bundle_hash: SHA-256 of its manifest, in hex.
        run_id: MLflow's id of the run.
        model_id: MLflow's id of the logged model.
    """
    place = f"{DATA}/{bundle_hash}"
    shutil.copytree(bundle, folder / place)
    flavor = {
        "loader_module": LOADER_MODULE,
        "data": place,
        "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        "python_version": platform.python_version(),
        "streamable": False,
    }
    facts = {
        "flavors": {"python_function": flavor},
        "mlflow_version": version("mlflow"),
        "model_id": model_id,
        "run_id": run_id,
        "model_size_bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(facts), encoding="utf-8")
    _write_environment(folder)


def settings_of(bundle: Path) -> dict[str, Any]:
    """Return the settings that a bundle's `detector.json` names: family, seed, the threshold, the detector's own.

    Raises:
        BundleError: It is not there, or no JSON.
    """
    try:
        detector = json.loads((bundle / "detector.json").read_bytes())
        own = {name: detector[name] for name in ("family", "seed", "threshold", "threshold_rule") if name in detector}
        return {**detector.get("settings", {}), **own}
    except (OSError, ValueError, AttributeError) as error:
        raise BundleError(f"{bundle}: detector.json cannot be read: {error}") from None


def bundle_folder(model_folder: Path) -> Path:
    """Return the bundle within a downloaded model, named by its hash."""
    return next(path for path in sorted((model_folder / DATA).iterdir()) if path.is_dir())


def pip_requirements() -> tuple[str, ...]:
    """Return what a process needs to load the model: exact versions of what is installed here."""
    found = []
    for name in _REQUIRED:
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:  # a source tree on the path, without an installation
            continue
    return tuple(found)


def _write_environment(folder: Path) -> None:
    requirements, python = pip_requirements(), platform.python_version()
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    environment = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment), encoding="utf-8")
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": list(requirements)}],
    }
    (folder / "conda.yaml").write_text(yaml.safe_dump(conda, sort_keys=False), encoding="utf-8")
