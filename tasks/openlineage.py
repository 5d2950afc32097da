"""A night's lineage as an OpenLineage RunEvent, for tools that collect such events; plain JSON, no library.

https://openlineage.io/docs/spec/object-model says what run, job, datasets and facets are; each facet names the schema
that it keeps to. What OpenLineage has no facet for (content hashes, the training window) stands in facets of our own,
which it allows: their names begin with `sereno_`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from datetime import time as Clock
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.runtime.inputs import Input
    from infra.runtime.runs import Run
    from tasks.lineage import DetectorSource, Lineage, NightSource
    from tasks.services import Services

SPEC = "https://openlineage.io/spec"
SCHEMA_URL = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
NAMESPACE = uuid.UUID("6f4d1c5e-9a0b-5c1f-8d5e-2f7a3b9c1d60")
JOBS = {"run": "nightly", "validate": "validation", "score": "scoring", "release": "release"}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://[^/]*")


def run_event(services: Services, found: Lineage) -> dict[str, Any]:
    """The event that says that the night's newest run completed: what it read, and what it wrote."""
    run = found.scored or found.accepted.run
    if run is None or run.ended_at is None:
        raise ValueError("only what ended can be told")
    return {
        "eventType": "COMPLETE",
        "eventTime": run.ended_at.isoformat(),
        "producer": _producer(),
        "schemaURL": SCHEMA_URL,
        "run": {"runId": str(uuid.uuid5(NAMESPACE, run.id)), "facets": _run_facets(found, run)},
        "job": {
            "namespace": "sereno",
            "name": f"{found.dataset}.{JOBS.get(run.kind, run.kind)}",
            "facets": {
                "jobType": _facet(
                    "facets/2-0-3/JobTypeJobFacet",
                    processingType="BATCH",
                    integration="SERENO",
                    jobType=JOBS.get(run.kind, run.kind).upper(),
                )
            },
        },
        "inputs": [*_files(found.accepted.read), *_detector(found)],
        "outputs": _tables(services, found),
    }


def _run_facets(found: Lineage, run: Run) -> dict[str, Any]:
    facets = {
        "nominalTime": _facet(
            "facets/1-0-1/NominalTimeRunFacet",
            nominalStartTime=datetime.combine(found.night, Clock(), UTC).isoformat(),
        ),
        "processing_engine": _facet("facets/1-1-1/ProcessingEngineRunFacet", version=version("sereno"), name="sereno"),
        "sereno_run": _own("Run", run=run.id, fingerprint=run.fingerprint, status=run.status),
    }
    if found.detector is not None:
        facets["sereno_training"] = _training(found.detector)
    if found.row is not None:
        row = found.row
        facets["sereno_row"] = _own("Row", key=row.key, score=row.score, file=row.file, line=row.line)
    return facets


def _training(detector: DetectorSource) -> dict[str, Any]:
    return _own(
        "Training",
        version=detector.version,
        bundleHash=detector.bundle_hash,
        registeredAt=detector.made_at.isoformat(),
        nights=[_night(night) for night in detector.nights],
    )


def _night(source: NightSource) -> dict[str, Any]:
    return {
        "night": source.night.isoformat(),
        "run": source.run.id if source.run is not None else None,
        "samples": source.run.versions.get("samples") if source.run is not None else None,
        "files": [{"name": one.name, "sha256": one.sha256} for one in source.read if one.kind == "file"],
    }


def _files(read: Sequence[Input]) -> list[dict[str, Any]]:
    found = []
    for one in read:
        namespace, name = _named(one.address)
        facets = {
            "version": _facet("facets/1-0-1/DatasetVersionDatasetFacet", datasetVersion=one.sha256),
            "sereno_content": _own("Content", kind=one.kind, sha256=one.sha256),
        }
        counts: dict[str, Any] = {"columnMetrics": {}}
        counts |= {name: value for name, value in (("rowCount", one.rows), ("bytes", one.bytes)) if value is not None}
        metrics = {"dataQualityMetrics": _facet("facets/1-0-2/DataQualityMetricsInputDatasetFacet", **counts)}
        found.append(
            {"namespace": namespace, "name": name, "facets": facets, "inputFacets": metrics if one.rows else {}}
        )
    return found


def _detector(found: Lineage) -> list[dict[str, Any]]:
    if found.detector is None:
        return []
    facets = {
        "version": _facet("facets/1-0-1/DatasetVersionDatasetFacet", datasetVersion=found.detector.version),
        "sereno_content": _own("Content", kind="bundle", sha256=found.detector.bundle_hash),
    }
    return [{"namespace": "sereno", "name": f"{found.dataset}.detector", "facets": facets, "inputFacets": {}}]


def _tables(services: Services, found: Lineage) -> list[dict[str, Any]]:
    """Each table at the version that the state pins, which any Delta reader opens."""
    tables: dict[str, Run] = {}
    for run in (found.accepted.run, found.scored):
        if run is not None:
            tables |= dict.fromkeys(run.versions, run)
    return [_table(services, found, table, run) for table, run in tables.items()]


def _table(services: Services, found: Lineage, table: str, run: Run) -> dict[str, Any]:
    namespace, name = _named(services.lake.uri(found.dataset, table))
    facets = {"version": _facet("facets/1-0-1/DatasetVersionDatasetFacet", datasetVersion=str(run.versions[table]))}
    rows = (run.result.get("rows") or {}).get({"scores": "accepted"}.get(table, table))
    statistics = _facet("facets/1-0-2/OutputStatisticsOutputDatasetFacet", rowCount=rows) if rows is not None else None
    return {
        "namespace": namespace,
        "name": name,
        "facets": facets,
        "outputFacets": {"outputStatistics": statistics} if statistics is not None else {},
    }


def _named(address: str) -> tuple[str, str]:
    """Namespace and name by OpenLineage's conventions: `s3://bucket` and the path within; `file` and the whole path."""
    found = _SCHEME.match(address)
    if found is None or address.startswith("file://"):
        return "file", address.removeprefix("file://")
    return found[0], address[found.end() :].lstrip("/") or "/"


def _facet(schema: str, **values: Any) -> dict[str, Any]:
    path, name = schema.rsplit("/", 1)
    return {"_producer": _producer(), "_schemaURL": f"{SPEC}/{path}/{name}.json#/$defs/{name}", **values}


def _own(name: str, **values: Any) -> dict[str, Any]:
    """A facet that is ours alone."""
    return {"_producer": _producer(), "_schemaURL": f"{_producer()}:{name}", **values}


def _producer() -> str:
    return f"urn:sereno:{version('sereno')}"
