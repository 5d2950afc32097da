"""Versions of detectors in MLflow: each bundle once, under the hash of its content.

MLflow holds runs, metrics, bundles and the alias `champion`. The ledger in the state database decides who is champion;
the alias only follows it, for those who load a model through MLflow.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.mlflow_delete import delete_version
from models.mlflow_inputs import LoggedInput, log_inputs
from models.mlflow_model import bundle_folder, settings_of, write_model_folder
from models.mlflow_repair import RUN_TAG, end_stopped
from models.mlflow_runs import close_leftovers, log_training, runs_of
from models.mlflow_store import connect, ensure_registered, experiment_of, file_path, first_line, sqlite_file, told
from schemas.errors import BundleError, SerenoError, UsageError
from schemas.failpoints import durable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from schemas.results import TrainingSummary

CHAMPION = "champion"
HASH_TAG = "bundle_hash"
NIGHTS_TAG = "nights"
_PLACE_TAG = "artifact_path"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
_PAGE = 1000
_TAG_LETTERS = 5000


@dataclass(frozen=True)
class VersionInfo:
    """One registered version.

    Args:
        version: Its number, as text.
        bundle_hash: SHA-256 of the bundle's manifest, in hex.
        created_at: UTC.
        tags: What was said of it when it was registered (dataset, night, ...).
        params: Settings of its training.
        metrics: Last value of each metric.
    """

    version: str
    bundle_hash: str
    created_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def nights(self) -> tuple[str, ...]:
        """The nights whose rows trained it."""
        return tuple(filter(None, self.tags.get(NIGHTS_TAG, "").split(",")))


class Registry:
    """The detectors of one project in MLflow; nothing heavy happens before the first call.

    Args:
        tracking_uri: MLflow's store: ``sqlite:///...``, another database, or a server.
        artifacts: Folder of the bundles, where no server keeps them.
    """

    def __init__(self, tracking_uri: str, artifacts: Path) -> None:
        self._uri = tracking_uri
        self._artifacts = artifacts.absolute()
        self._client: MlflowClient | None = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Import MLflow and create or open its store: seconds that may pass in a thread while a training runs.

        Raises:
            SerenoError: The store cannot be used.
        """
        self._connected()

    def register(
        self,
        name: str,
        bundle: Path,
        bundle_hash: str,
        summary: TrainingSummary,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        params: Mapping[str, Any] | None = None,
    ) -> str:
        """Register a bundle; the same bundle twice is one version.

        Args:
            name: The dataset.
            bundle: The bundle's folder; it is copied, by way of a folder beside it.
            bundle_hash: SHA-256 of its manifest, in hex.
            summary: The training, whose losses become metrics epoch by epoch.
            metrics: More numbers of this version.
            tags: More words, for example the night.
            params: More settings than the bundle itself names.

        Returns:
            The version's number, as text.

        Raises:
            BundleError: The hash is none.
            SerenoError: MLflow refused.
        """
        if not _HASH.fullmatch(bundle_hash):
            raise BundleError(f"{bundle_hash!r} is not a bundle's hash.")
        if (known := self.find(name, bundle_hash)) is not None:
            return known
        with told("register a detector"):
            client = self._connected()
            experiment = experiment_of(client, name, self._uri, self._artifacts)
            close_leftovers(client, experiment, HASH_TAG, bundle_hash)
            nights = ",".join(summary.nights)[-_TAG_LETTERS:]
            labels = {"dataset": name, HASH_TAG: bundle_hash, NIGHTS_TAG: nights, **tags}
            title = f"{name} {max(summary.nights, default='')}".strip()
            with durable("registry.run"):
                run_id = client.create_run(experiment, tags=labels, run_name=title).info.run_id
            log_training(client, run_id, summary, metrics, {**settings_of(bundle), **(params or {})})
            version = self._log_model(client, name, experiment, run_id, bundle, labels)
            client.set_terminated(run_id)
        return version

    def find(self, name: str, bundle_hash: str) -> str | None:
        """Return the version that a bundle is registered under, None where it is not."""
        if not _HASH.fullmatch(bundle_hash):
            return None
        found = self._search(name, f" and tags.{HASH_TAG} = '{bundle_hash}'")
        return min((str(item.version) for item in found), key=int, default=None)

    def versions(self, name: str) -> tuple[VersionInfo, ...]:
        """Return all versions of a dataset's detector with their metrics, oldest first."""
        found = sorted(self._search(name), key=lambda item: int(item.version))
        with told("read the runs"):
            runs = runs_of(self._connected(), name) if found else {}
        return tuple(_info(item, runs.get(str(item.run_id))) for item in found)

    def version(self, name: str, version: str) -> VersionInfo:
        """Return one version.

        Raises:
            UsageError: There is no such version.
        """
        item = self._model_version(name, version)
        with told("read a run"):
            client = self._connected()
            return _info(item, client.get_run(item.run_id) if item.run_id else None)

    def log_inputs(self, name: str, version: str, inputs: Sequence[LoggedInput]) -> None:
        """Add to a version's run what it was trained on, or what it scored.

        Raises:
            UsageError: There is no such version.
            SerenoError: MLflow refused.
        """
        item = self._model_version(name, version)
        if item.run_id:
            with told("write down inputs"):
                log_inputs(self._connected(), item.run_id, inputs)

    def download(self, name: str, version: str, to: Path | None = None) -> Path:
        """Return a local folder with a version's bundle; what lies on this machine's disk is not copied.

        Args:
            name: The dataset.
            version: The version's number.
            to: Folder to download to where the bundle lies elsewhere; one of the registry's own where none is given.

        Raises:
            UsageError: There is no such version.
            BundleError: Its files are not there any more.
        """
        item = self._model_version(name, version)
        # Not asked for as a download: MLflow would read every version of the detector first.
        source = str(item.source)
        local = self._local(source, item)
        if local is None:
            with told("download a bundle"):
                from mlflow.artifacts import download_artifacts

                to = to or self._artifacts / "downloaded" / name / version
                to.mkdir(parents=True, exist_ok=True)
                local = Path(download_artifacts(artifact_uri=source, dst_path=str(to), tracking_uri=self._uri))
        try:
            return bundle_folder(local)
        except (OSError, StopIteration):
            raise BundleError(
                f"The bundle of {name}, version {version}, is not at {local}.",
                hint="Bring the folder of artefacts back from a backup, or promote another version.",
            ) from None

    def size(self, name: str, version: str) -> int:
        """Return the bytes of a version's files on this disk; none where they lie elsewhere, or are gone.

        Raises:
            UsageError: There is no such version.
        """
        item = self._model_version(name, version)
        local = self._own_place(item) or self._local(str(item.source), item)
        return sum(file.stat().st_size for file in local.rglob("*") if file.is_file()) if local is not None else 0

    def delete(self, name: str, version: str) -> str:
        """Take a version away: its files, its MLflow run, its number; nothing where there is no such version.

        Returns:
            Why files stay; empty where none do.

        Raises:
            SerenoError: MLflow refused, or the alias of the champion points at the version.
        """
        try:
            item = self._model_version(name, version)
        except UsageError:
            return ""
        if self.champion(name) == version:
            raise SerenoError(f"{name}: the alias `{CHAMPION}` points at version {version}, which stays for that.")
        with told("delete a version"), durable("registry.delete"):
            local = self._own_place(item) or self._local(str(item.source), item)
            shutil.rmtree(self._artifacts / "downloaded" / _checked(name) / str(item.version), ignore_errors=True)
            return delete_version(self._connected(), item, local, self._artifacts, self._uri)

    def set_champion(self, name: str, version: str | None) -> None:
        """Point the alias `champion` at a version, or take it away.

        Raises:
            UsageError: There is no such version.
        """
        if version is not None:
            self._model_version(name, version)
        if self.champion(name) == version:
            return
        with told("set the champion's alias"), durable("registry.alias"):
            client = self._connected()
            if version is None:
                client.delete_registered_model_alias(name, CHAMPION)
            else:
                client.set_registered_model_alias(name, CHAMPION, version)

    def champion(self, name: str) -> str | None:
        """Return the version that the alias points at."""
        with told("read the champion's alias"):
            found = self._connected().search_registered_models(f"name = '{_checked(name)}'")
            version = dict(found[0].aliases).get(CHAMPION) if found else None
        return None if version is None else str(version)

    @property
    def store_file(self) -> Path | None:
        """The file of the store, None where a server or another database keeps it."""
        return sqlite_file(self._uri)

    def end_stopped(self, name: str, is_stopped: Callable[[str], bool], before: float | None = None) -> int:
        """End the MLflow runs that stopped runs of ours left open, and return how many.

        Args:
            name: The dataset.
            is_stopped: Whether one of our runs, by its id, is at work no more.
            before: Only MLflow runs that began before this moment, in seconds since 1970.
        """

        def is_left(run: Run) -> bool:
            is_old = before is None or run.info.start_time < before * 1000
            return is_old and is_stopped(run.data.tags.get(RUN_TAG, ""))

        with told("end what stopped runs left"):
            client = self._connected()
            return end_stopped(
                client, name, self._artifacts, is_left, lambda digest: self.find(name, digest) is not None
            )

    def _connected(self) -> MlflowClient:
        with self._lock:
            if self._client is None:
                self._client = connect(self._uri, self._artifacts)
            return self._client

    def _log_model(
        self, client: MlflowClient, name: str, experiment: str, run_id: str, bundle: Path, labels: Mapping[str, str]
    ) -> str:
        logged = client.create_logged_model(experiment, name=name, source_run_id=run_id, tags=dict(labels))
        with tempfile.TemporaryDirectory(prefix="model-", dir=bundle.parent) as folder:
            write_model_folder(Path(folder), bundle, labels[HASH_TAG], run_id=run_id, model_id=logged.model_id)
            with durable("registry.files"):
                client.log_model_artifacts(logged.model_id, folder)
        client.finalize_logged_model(logged.model_id, "READY")
        ensure_registered(client, name)
        place = file_path(logged.artifact_location)
        if place is not None and place.is_relative_to(self._artifacts):
            labels = {**labels, _PLACE_TAG: place.relative_to(self._artifacts).as_posix()}
        with durable("registry.version"):
            made = client.create_model_version(
                name, logged.artifact_location, run_id=run_id, tags=dict(labels), model_id=logged.model_id
            )
        return str(made.version)

    def _local(self, source: str, item: ModelVersion) -> Path | None:
        """Return where a model lies on this disk, also after the project folder was moved; None: elsewhere."""
        recorded = file_path(source)
        if recorded is None or recorded.is_dir():
            return recorded
        return self._own_place(item, there=False) or recorded

    def _own_place(self, item: ModelVersion, *, there: bool = True) -> Path | None:
        """Return where a model belongs among this project's artefacts, which may be those of a copied project."""
        inside = item.tags.get(_PLACE_TAG)
        if not inside or ".." in Path(inside).parts:
            return None
        place = self._artifacts / inside
        return place if place.is_dir() or not there else None

    def _model_version(self, name: str, version: str) -> ModelVersion:
        from mlflow.exceptions import MlflowException

        client = self._connected()
        try:
            return client.get_model_version(_checked(name), version)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise SerenoError(f"MLflow could not read a version: {first_line(error)}") from error
            raise UsageError(
                f"The detector of {name} has no version {version}.", hint=f"See them with: sereno models list {name}"
            ) from None

    def _search(self, name: str, more: str = "") -> list[ModelVersion]:
        with told("list the versions"):
            client, token = self._connected(), None
            found: list[ModelVersion] = []
            while True:
                query = f"name = '{_checked(name)}'{more}"
                page = client.search_model_versions(query, max_results=_PAGE, page_token=token)
                found.extend(page)
                token = page.token
                if not token:
                    return found


def _info(item: ModelVersion, run: Run | None) -> VersionInfo:
    tags = {key: str(value) for key, value in item.tags.items() if key != _PLACE_TAG}
    created = datetime.fromtimestamp(item.creation_timestamp / 1000, UTC)
    data = run.data if run is not None else None
    return VersionInfo(
        version=str(item.version),
        bundle_hash=tags.get(HASH_TAG, ""),
        created_at=created,
        tags=tags,
        params=dict(data.params) if data else {},
        metrics=dict(data.metrics) if data else {},
    )


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a dataset's name.")
    return name
