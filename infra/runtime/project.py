"""The project folder: where each thing of one project lies on disk."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from schemas.settings import Settings

SETTINGS_FILE = "sereno.yaml"
_DATASET_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")

_QUIET = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DASK_LOGGING__DISTRIBUTED": "warning",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    # Pandera switches it on when it is imported; Arrow would then drop the zone of every time that it is given.
    "PYARROW_IGNORE_TIMEZONE": "",
    # A child must not find the user's own models.py or tasks/ before ours, whoever starts it.
    "PYTHONSAFEPATH": "1",
}


@dataclass(frozen=True)
class Project:
    """One project folder.

    Args:
        root: The folder that holds `sereno.yaml`, absolute.
        state_folder: Where state lies, relative to the root or absolute.
        reports_folder: Where reports lie, likewise.
        resume_seconds: How long what a stopped night left is kept.
    """

    root: Path
    state_folder: str = "state"
    reports_folder: str = "reports"
    resume_seconds: float = 7 * 86_400.0

    def placed(self, settings: Settings) -> Project:
        """Return the project with the folders that its settings name."""
        return replace(
            self,
            state_folder=settings.state,
            reports_folder=settings.reports,
            resume_seconds=settings.retention.resumes.total_seconds(),
        )

    @property
    def settings_file(self) -> Path:
        """The project's settings."""
        return self.root / SETTINGS_FILE

    @property
    def datasets(self) -> Path:
        """The folder of dataset files."""
        return self.root / "datasets"

    def dataset_file(self, name: str) -> Path:
        """Return the path of one dataset's file.

        Raises:
            ConfigError: The name could not be a path part.
        """
        return self.datasets / f"{_checked_name(name)}.yaml"

    def dataset_names(self) -> list[str]:
        """The names of the datasets that have a file, sorted; none where there is no folder for them.

        Raises:
            ConfigError: The folder cannot be read.
        """
        try:
            files = [path for path in self.datasets.iterdir() if path.suffix == ".yaml"]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(
                f"The folder of dataset files {self.datasets} cannot be read: {error.strerror or error}.",
                hint="Look at who may read it, and at the disk that it is on.",
            ) from error
        return sorted(path.stem for path in files if _DATASET_NAME.fullmatch(path.stem))

    @property
    def state(self) -> Path:
        """The one folder for everything that runs write, reports excepted."""
        return self.root / self.state_folder

    @property
    def lake(self) -> Path:
        """The root of the Delta tables."""
        return self.state / "lake"

    @property
    def database_url(self) -> str:
        """The state database's address where the settings name no other."""
        return f"sqlite:///{self.state / 'state.db'}"

    @property
    def mlflow_uri(self) -> str:
        """MLflow's tracking and registry store where the settings name no other."""
        return f"sqlite:///{self.state / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """The folder of MLflow's artefacts."""
        return self.state / "artifacts"

    @property
    def prefect_home(self) -> Path:
        """Prefect's home: database and settings of the project's own server."""
        return self.state / "prefect"

    @property
    def work(self) -> Path:
        """The scratch space of runs."""
        return self.state / "work"

    @property
    def resume(self) -> Path:
        """What finished stages of unfinished nights left, ``DATASET/NIGHT/RUN``."""
        return self.state / "resume"

    @property
    def logs(self) -> Path:
        """The log files, one a run."""
        return self.state / "logs"

    @property
    def reports(self) -> Path:
        """The reports that people open."""
        return self.root / self.reports_folder

    def report_file(self, dataset: str, night: str, suffix: str = "html") -> Path:
        """Return the path of one night's report, ``reports/NAME/DATE.html`` or ``.json``."""
        return self.reports / _checked_name(dataset) / f"{night}.{suffix}"

    def create_state(self) -> None:
        """Make the state folder, closed to other users: it holds the data and a password."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        ignore = self.state / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")


def find_project(start: Path) -> Project:
    """Find the project that a folder belongs to.

    Args:
        start: A folder; it or the nearest parent that holds `sereno.yaml` is the project.

    Raises:
        ConfigError: There is none.
    """
    folder = start.expanduser().resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / SETTINGS_FILE).is_file():
            return Project(candidate)
    raise ConfigError(
        f"No {SETTINGS_FILE} in {folder} or a folder above it.",
        hint="Go to a project folder, name one with --project DIR, or make one: sereno init DIR --from 'FILES'.",
    )


def quiet_environment(project: Project | None = None, *, gpu: bool = False) -> None:
    """Set the environment before anything heavy is imported: no telemetry, no noise, no foreign profile.

    What the user has set stays, Prefect's home excepted: a profile in it that names a server would send a run there.

    Args:
        project: The project whose Prefect home is used.
        gpu: Leave the graphics cards visible.
    """
    for name, value in _QUIET.items():
        if gpu and name == "CUDA_VISIBLE_DEVICES":
            continue
        os.environ.setdefault(name, value)
    if project is not None:
        os.environ["PREFECT_HOME"] = str(project.prefect_home)
        os.environ["PREFECT_PROFILES_PATH"] = str(project.prefect_home / "profiles.toml")
        os.environ.pop("PREFECT_PROFILE", None)


def _checked_name(name: str) -> str:
    if not _DATASET_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a dataset's name.",
            hint="Begin with a small letter, then small letters, digits, - and _; at most 64 in all.",
        )
    return name
