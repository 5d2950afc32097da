"""The datasets that are watched, as their files say at present."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.dataset import Dataset, load_dataset
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from infra.service.faults import Faults
    from tasks.services import Services


class Watched:
    """Dataset files, read again when they change; one that is wrong is told, and its dataset waits.

    Args:
        services: The stores.
        faults: Where a wrong file is told.
    """

    def __init__(self, services: Services, faults: Faults) -> None:
        self._project = services.project
        self._faults = faults
        self._read: dict[str, tuple[tuple[int, int], Dataset | None]] = {}

    def look(self) -> None:
        """Read what is new or has changed, and forget what is gone.

        Raises:
            ConfigError: The folder of dataset files cannot be read; what was known of it stays.
        """
        names = self._project.dataset_names()
        for gone in self._read.keys() - set(names):
            self._faults.ends(_fault(gone), f"{gone}: its dataset file is gone.")
        self._read = {name: found for name, found in self._read.items() if name in names}
        for name in names:
            self._look_at(name, self._project.dataset_file(name))

    @property
    def datasets(self) -> dict[str, Dataset]:
        """By name; those whose file is right."""
        return {name: dataset for name, (_, dataset) in self._read.items() if dataset is not None}

    def _look_at(self, name: str, path: Path) -> None:
        what = _fault(name)
        try:
            stat = path.stat()
            version = (stat.st_mtime_ns, stat.st_size)
            if name in self._read and self._read[name][0] == version:
                return
            self._read[name] = (version, None)
            self._read[name] = (version, load_dataset(path))
        except (ConfigError, OSError) as error:
            self._faults.begins(what, f"{name} waits: {error}", "dataset_refused", dataset=name)
        else:
            self._faults.ends(what, f"{name}: its dataset file is right again.")


def _fault(name: str) -> str:
    return f"the dataset file of {name}"
