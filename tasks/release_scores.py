"""A night's scores with those of released rows among them: only the released rows are scored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import UsageError
from schemas.results import Alert, NightResult, ScoreDistribution
from schemas.tables import scores_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from infra.runtime.compute import Compute
    from infra.runtime.runs import Run
    from schemas.dataset import Dataset
    from tasks.services import Services


@dataclass(frozen=True)
class NightScores:
    """The scores of a night after a release.

    Args:
        parts: Parquet files with the columns of `scores`.
        alerts: Rows of the night past the threshold.
        released_alerts: How many of them were released now.
        top: The highest alerts, ranked.
        distribution: Of all rows of the night.
    """

    parts: tuple[Path, ...]
    alerts: int
    released_alerts: int
    top: tuple[Alert, ...]
    distribution: ScoreDistribution


def score_released(
    services: Services, dataset: Dataset, scored: Run, released: Path, compute: Compute, work: Path
) -> NightScores:
    """Score released rows with the version that scored their night.

    Args:
        services: The stores.
        dataset: The dataset.
        scored: The run whose scores count.
        released: Parquet of `accepted_schema`.
        compute: Where the rows are scored.
        work: Scratch folder of the run.

    Raises:
        UsageError: It is not recorded which version scored the night.
        BundleError: Its bundle was changed, or is gone.
    """
    from tasks.score import score
    from tasks.versions import known_version

    version = NightResult.model_validate(scored.result).model.version
    if version is None:
        raise UsageError(
            f"{dataset.name} {scored.night}: it is not recorded which version scored the night",
            hint=f"score it again: sereno score {dataset.name} --date {scored.night}",
        )
    known = known_version(services.registry, services.state, dataset.name, version)
    bundle = services.registry.download(dataset.name, version)
    schema = scores_schema(dataset)
    before = write_parts(services, dataset, "scores", {scored.night: scored.versions["scores"]}, schema, work)
    own = score(
        dataset,
        [released],
        bundle,
        known.bundle_hash,
        version,
        compute,
        work,
        in_sample=scored.night.isoformat() in known.nights,
    )
    return _together((*before, *own.parts), own.alerts, bundle, known.bundle_hash, schema)


def write_parts(
    services: Services, dataset: Dataset, table: str, pinned: dict[Date, int], schema: pa.Schema, work: Path
) -> tuple[Path, ...]:
    """Copy a night's rows of a table into parts, in bounded memory."""
    import pyarrow.parquet as pq

    folder = work / f"before-{table}"
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    writer, rows = None, 0
    try:
        for batch in services.lake.batches(dataset.name, table, pinned, columns=schema.names, schema=schema):
            if writer is None or rows >= dataset.partition_rows:
                if writer is not None:
                    writer.close()
                paths.append(folder / f"part-{len(paths):06d}.parquet")
                writer, rows = pq.ParquetWriter(paths[-1], schema), 0
            writer.write_batch(batch)
            rows += batch.num_rows
    finally:
        if writer is not None:
            writer.close()
    return tuple(paths)


def _together(parts: tuple[Path, ...], released: int, bundle: Path, bundle_hash: str, schema: pa.Schema) -> NightScores:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from models.bundle import open_bundle
    from tasks.alert import alerts_of
    from tasks.score import TOP_ALERTS, distribution
    from tasks.score_part import BINS, PartScores, histogram, ranked
    from tasks.threshold_choices import with_rule

    opened = open_bundle(bundle, bundle_hash)
    counts = np.zeros(BINS, dtype=np.int64)
    rows, alerts, highest, top = 0, 0, 0.0, schema.empty_table()
    for path in parts:
        scores = pq.read_table(path, columns=["score", "is_alert"])
        values = scores["score"].to_numpy()
        counts += histogram(values)
        rows, highest = rows + len(scores), max(highest, float(values.max(initial=0.0)))
        alerts += int(pc.sum(scores["is_alert"]).as_py() or 0)
        past = pq.read_table(path, schema=schema, filters=pc.field("is_alert"))
        past = past.filter(pc.invert(pc.fill_null(past["suppressed"], False)))
        top = ranked(pa.concat_tables([top, past]), TOP_ALERTS)
    whole = PartScores(parts[0], rows, alerts, counts, highest, top)
    shown = with_rule(distribution([whole], opened.calibration, opened.threshold, alerts), opened)
    return NightScores(parts, alerts, released, alerts_of(top), shown)
