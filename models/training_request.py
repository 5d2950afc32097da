"""What the training process is asked, and what it answers, as JSON values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.dataset import Dataset
from schemas.results import TrainingSummary


@dataclass(frozen=True)
class TrainingRequest:
    """One training.

    Args:
        dataset: Whose detector; names features, family, budgets.
        nights: Logical dates of the window, ISO.
        sample: One Parquet file with the samples of the window, columns of `accepted`.
        seed: Decides every random choice.
        expected_rows: Rows of a usual night, for the alert budget.
        in_sample: Whether the nights that will be scored are among those that train.
        output: Folder that the bundle becomes; what a training that was stopped left there is replaced.
        tonight: The sample of the night that will be scored, where its rows are among those that train.
        checkpoints: Folder of the training's own, from which a second try goes on; none are written without it.
        checkpoint_seconds: Time between two checkpoints; 0: after each epoch.
        start: Bundle whose weights it starts from, where they are of the same shape.
        start_hash: What that bundle's hash is on record.
        pause: Epochs after which the training pauses: there is a bundle then, and its checkpoints stay to go on from.
    """

    dataset: Dataset
    nights: tuple[str, ...]
    sample: Path
    seed: int
    expected_rows: float
    in_sample: bool
    output: Path
    tonight: Path | None = None
    checkpoints: Path | None = None
    checkpoint_seconds: float = 5.0
    start: Path | None = None
    start_hash: str | None = None
    pause: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "dataset": self.dataset.resolved(),
            "nights": list(self.nights),
            "sample": str(self.sample.absolute()),
            "seed": self.seed,
            "expected_rows": self.expected_rows,
            "in_sample": self.in_sample,
            "output": str(self.output.absolute()),
            "tonight": None if self.tonight is None else str(self.tonight.absolute()),
            "checkpoints": None if self.checkpoints is None else str(self.checkpoints.absolute()),
            "checkpoint_seconds": self.checkpoint_seconds,
            "start": None if self.start is None else str(self.start.absolute()),
            "start_hash": self.start_hash,
            "pause": self.pause,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainingRequest:
        """Build from `to_json`'s values."""
        return cls(
            dataset=Dataset.model_validate(values["dataset"]),
            nights=tuple(values["nights"]),
            sample=Path(values["sample"]),
            seed=int(values["seed"]),
            expected_rows=float(values["expected_rows"]),
            in_sample=bool(values["in_sample"]),
            output=Path(values["output"]),
            tonight=None if values.get("tonight") is None else Path(values["tonight"]),
            checkpoints=None if values.get("checkpoints") is None else Path(values["checkpoints"]),
            checkpoint_seconds=float(values.get("checkpoint_seconds", cls.checkpoint_seconds)),
            start=None if values.get("start") is None else Path(values["start"]),
            start_hash=values.get("start_hash"),
            pause=values.get("pause"),
        )


@dataclass(frozen=True)
class TrainingOutcome:
    """One detector.

    Args:
        bundle: Its folder.
        bundle_hash: SHA-256 of its manifest, in hex.
        summary: What the report says of the training.
        metrics: Numbers for the tracking server.
    """

    bundle: Path
    bundle_hash: str
    summary: TrainingSummary
    metrics: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "bundle": str(self.bundle),
            "bundle_hash": self.bundle_hash,
            "summary": self.summary.model_dump(mode="json"),
            "metrics": self.metrics,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainingOutcome:
        """Build from `to_json`'s values."""
        return cls(
            bundle=Path(values["bundle"]),
            bundle_hash=str(values["bundle_hash"]),
            summary=TrainingSummary.model_validate(values["summary"]),
            metrics={str(name): float(value) for name, value in values["metrics"].items()},
        )
