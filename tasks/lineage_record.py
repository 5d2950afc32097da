"""What a night leaves behind of where its scores came from: in the state with its final row, and in MLflow's run."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

from infra.runtime.inputs import Input
from infra.runtime.logs import SecretFilter, secrets_of
from schemas.errors import SerenoError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.mlflow_inputs import LoggedInput
    from tasks.night import Night

logger = logging.getLogger("sereno.night")
MOST_NAMED = 100
"""So many files of a night are named in MLflow, whose field for them is bounded; the state has all."""


def inputs_of(night: Night) -> list[Input]:
    """What a night read; nothing where it read no file."""
    if night.ingested is None:
        return []
    masking = SecretFilter(secrets_of(night.services.settings))
    files = [
        Input("file", file.name, masking.mask(file.address), file.sha256, file.bytes, file.rows)
        for file in night.ingested.files
    ]
    place = night.services.project.dataset_file(night.dataset.name)
    return [*files, Input("contract", place.name, str(place), contract_hash(night))]


def contract_hash(night: Night) -> str:
    """Hash of the resolved dataset file, less what decides no score (SHA-256, hex)."""
    from tasks.labels import what_decides

    return hashlib.sha256(json.dumps(what_decides(night.dataset), sort_keys=True).encode()).hexdigest()


def log_lineage(night: Night) -> None:
    """Tell MLflow what the night's detector was trained on and what it scored; a night is none the worse without it."""
    try:
        for version, logged in _by_version(night):
            night.services.registry.log_inputs(night.dataset.name, version, logged)
    except SerenoError as error:
        logger.warning("%s %s: MLflow was not told of its inputs: %s", night.dataset.name, night.request.iso, error)


def _by_version(night: Night) -> Iterator[tuple[str, list[LoggedInput]]]:
    if night.challenger is not None and night.trained is not None:
        yield night.challenger, _trained_on(night)
    if night.model.version is not None and "scores" in night.versions:
        yield night.model.version, [_scored(night)]


def _trained_on(night: Night) -> list[LoggedInput]:
    from models.mlflow_inputs import LoggedInput

    trained = set(night.trained.summary.nights) if night.trained is not None else set()
    window = [(run.night.isoformat(), run, run.versions) for run in night.window]
    # In-sample: the night itself, whose run has no final row yet.
    tonight = (night.request.iso, night.run, night.versions)
    return [
        LoggedInput(
            night.dataset.name,
            f"{date} {run.fingerprint[:16]}",
            "training",
            {"night": date, "run": run.id, "samples": versions.get("samples")},
        )
        for date, run, versions in [*window, tonight]
        if date in trained
    ]


def _scored(night: Night) -> LoggedInput:
    from models.mlflow_inputs import LoggedInput

    read = inputs_of(night)
    files = [one for one in read if one.kind == "file"]
    facts: dict[str, Any] = {
        "night": night.request.iso,
        "run": night.run.id,
        "files": [{"name": one.name, "sha256": one.sha256} for one in files[:MOST_NAMED]],
        "files_in_all": len(files),
        "contract": contract_hash(night),
        "tables": dict(night.versions),
    }
    return LoggedInput(night.dataset.name, f"{night.request.iso} {night.run.fingerprint[:16]}", "scoring", facts)
