"""What a run would read, do and cost, from what lies there; nothing is written, not even a state folder."""

from __future__ import annotations

from datetime import date as Date
from typing import TYPE_CHECKING

from infra.runtime.compute import MOST_TRAININGS
from models.families import most_epochs
from models.halving import Rung, rungs
from schemas.detector import Frozen
from schemas.errors import NoInput
from tasks.addresses import QUERY, parse_address, resolve_inputs
from tasks.candidates import differences
from tasks.done_before import find_done
from tasks.night import NightOptions, NightRequest, window_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.runtime.project import Project
    from infra.runtime.runs import Run
    from schemas.dataset import Dataset
    from schemas.settings import Settings

# Measured on two cores with 44 columns; a plan says "about".
START_SECONDS = 26.0
TRAIN_SECONDS_PER_MILLION_ROW_EPOCHS = 6.5
ROW_SECONDS_PER_MILLION = 25.0
EXPORT_SECONDS = 3.0
FLOW_MEGABYTES, SERVER_MEGABYTES, TRAINING_MEGABYTES = 500, 230, 1_100


class PlannedFile(Frozen):
    """An input file: its address, and its size in bytes where that can be told without reading it."""

    address: str
    bytes: int | None


class NightPlan(Frozen):
    """What a run of one night would read, do and cost."""

    dataset: str
    date: str
    status: str
    files: tuple[PlannedFile, ...]
    columns: int
    features: int
    window: tuple[str, ...]
    training_rows: int
    epochs: int
    candidates: tuple[str, ...] = ()
    rungs: tuple[int, ...] = ()
    stages: tuple[str, ...]
    writes: tuple[str, ...]
    seconds: float
    megabytes: int

    def lines(self) -> list[str]:
        """The plan for people."""
        size = sum(file.bytes or 0 for file in self.files)
        window = "tonight's own rows (no night before it), so that scores are in-sample"
        if self.window:
            window = f"{self.window[0]} to {self.window[-1]}, {len(self.window)} nights"
        lines = [f"{self.dataset} {self.date}: {self.status}"]
        lines += [f"  reads   {file.address}" for file in self.files]
        columns = f"{self.columns} columns, {self.features} of them features"
        lines += [f"          {len(self.files)} files, {size / 1e6:,.2f} MB as delivered; {columns}"]
        if "train" in self.stages:
            lines += [f"  trains  on {window}; at most {self.training_rows:,} rows, {self.epochs} epochs"]
        if self.candidates:
            ladder = ", ".join(map(str, self.rungs))
            lines += [
                f"  tries   {', '.join(self.candidates)}",
                f"          on {len(self.rungs)} rungs, up to epoch {ladder}; {self.epochs} epochs in all",
            ]
        lines += [f"  does    {', '.join(self.stages)}"]
        lines += [f"  writes  {path}" for path in self.writes]
        lines += [f"  costs   about {self.seconds:.0f} s and {self.megabytes:,} MB of memory on this machine"]
        return lines


def plan_night(project: Project, settings: Settings, dataset: Dataset, night: Date, *, train: bool = True) -> NightPlan:
    """Plan one night.

    Raises:
        ForbiddenAddress: An input address is not on the allow-list.
    """
    request = NightRequest(dataset, night, NightOptions(train=train))
    files, missing = _files(project, settings, dataset, night)
    window, done_by = _history(project, settings, request, files)
    rows = sum(int(run.counters.get("rows", 0)) for run in window) or _rows_guess(files, dataset)
    training_rows = min(rows, dataset.detector.rows, dataset.detector.sample_rows * max(len(window), 1)) if train else 0
    training = ("train", "gate") if train else ()
    stages = ("ingest", "validate", "preprocess", *training, "score", "alert", "promote", "report")
    page = project.report_file(dataset.name, night.isoformat())
    lake = settings.lake or str(project.lake)
    return NightPlan(
        dataset=dataset.name,
        date=night.isoformat(),
        status=missing or (f"already done by run {done_by}; --force does it again" if done_by else "would run"),
        files=files,
        columns=len(dataset.columns),
        features=len(dataset.features),
        window=tuple(run.night.isoformat() for run in window),
        training_rows=training_rows,
        epochs=most_epochs(dataset.detector, training_rows) if train else 0,
        candidates=_candidates(dataset) if train else (),
        rungs=tuple(rung.epochs for rung in _ladder(dataset, training_rows)) if train else (),
        stages=stages,
        writes=(
            *(f"{lake}/{dataset.name}/{table}" for table in ("accepted", "quarantined", "samples", "scores")),
            str(page),
        ),
        seconds=_seconds(files, dataset, training_rows),
        megabytes=FLOW_MEGABYTES + SERVER_MEGABYTES + (_processes(dataset) * TRAINING_MEGABYTES if train else 0),
    )


def _files(
    project: Project, settings: Settings, dataset: Dataset, night: Date
) -> tuple[tuple[PlannedFile, ...], str | None]:
    from tasks.input_sizes import input_sizes

    try:
        addresses = resolve_inputs(dataset, night, project.root, settings.inputs)
    except NoInput as error:
        return (), f"nothing to do: {error.message}"
    sizes = input_sizes(addresses)
    shown = {address: parse_address(address, project.root).shown for address in addresses}
    return tuple(PlannedFile(address=shown[address], bytes=sizes.get(address)) for address in addresses), None


def _history(
    project: Project, settings: Settings, request: NightRequest, files: Sequence[PlannedFile]
) -> tuple[tuple[Run, ...], str | None]:
    """The nights that would train, and the run that did this night already; the state is looked at without a trace."""
    from tasks.gone import parted
    from tasks.lessons import lessons_for
    from tasks.services import looked_at

    with looked_at(project, settings) as services:
        if services is None:
            return (), None
        done = find_done(services, request) if files else None
        window = window_of(request, services)
        if request.options.trains:
            window = tuple(parted(lessons_for(services, request.dataset, window).taught)[0])
        return window, done.id if done else None


def _rows_guess(files: Sequence[PlannedFile], dataset: Dataset) -> int:
    bytes_per_row = 6 * len(dataset.columns)
    packed = (".gz", ".bz2", ".xz", ".zst", ".zip")
    unpacked = sum((f.bytes or 0) * (4 if f.address.removesuffix(QUERY).endswith(packed) else 1) for f in files)
    return max(unpacked // bytes_per_row, 1)


def _seconds(files: Sequence[PlannedFile], dataset: Dataset, training_rows: int) -> float:
    tonight = _rows_guess(files, dataset)
    training = training_rows * most_epochs(dataset.detector, training_rows) / 1e6 * TRAIN_SECONDS_PER_MILLION_ROW_EPOCHS
    # The trainings of candidates are as long as one; what each rung costs more is an exported detector.
    exports = (
        sum(rung.candidates for rung in _ladder(dataset, training_rows)) * EXPORT_SECONDS if training_rows else 0.0
    )
    return round(START_SECONDS + tonight / 1e6 * ROW_SECONDS_PER_MILLION + training + exports, 1)


def _candidates(dataset: Dataset) -> tuple[str, ...]:
    """Each candidate in words."""
    detector = dataset.detector
    if not detector.candidates:
        return ()
    said = [(settings.family, differences(settings, detector)) for settings in detector.tried]
    return tuple(f"{family} ({own})" if own else family for family, own in said)


def _ladder(dataset: Dataset, rows: int) -> tuple[Rung, ...]:
    detector = dataset.detector
    return rungs(len(detector.tried), most_epochs(detector, rows)) if detector.candidates else ()


def _processes(dataset: Dataset) -> int:
    """Training processes at once, on one machine."""
    return min(len(dataset.detector.tried), MOST_TRAININGS)
