"""The report of a night into which rows were released: the page that was there, with the new numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from schemas.incident_results import NightIncidents
from schemas.results import Alert, NightReport, NightResult

if TYPE_CHECKING:
    from schemas.dataset import Dataset
    from tasks.release_rows import QuarantinedRow
    from tasks.release_scores import NightScores
    from tasks.services import Services


def rewrite_report(
    services: Services,
    dataset: Dataset,
    result: NightResult,
    rows: Sequence[QuarantinedRow],
    scored: NightScores | None,
    run_id: str,
    incidents: NightIncidents | None = None,
) -> None:
    """Write the draft of a night's new report; what a release does not touch stays as it was written.

    Args:
        services: The stores.
        dataset: The dataset.
        result: The night's result now.
        rows: What was released.
        scored: The night's scores now; None where it was not scored.
        run_id: The release.
        incidents: The night's incidents now; None where it was not scored.
    """
    from tasks.report import write_report

    earlier = _earlier(services, dataset, result)
    gone = {row.place for row in rows}
    sample = [item for item in earlier.quarantine_sample if (item.source_file, item.source_line) not in gone]
    update: dict[str, Any] = {
        "result": result,
        "generated_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quarantine_sample": tuple(sample),
        "history": tuple(_point(point, result) for point in earlier.history),
        "sensitive": tuple(name for name, column in dataset.columns.items() if column.sensitive),
        "key": dataset.key,
        "entity": dataset.entity,
        "event_time": dataset.event_time,
    }
    if scored is not None:
        update |= {"scores": scored.distribution, "alerts": _with_likes(scored.top, earlier.alerts)}
        update["incidents"] = incidents
    write_report(earlier.model_copy(update=update), services.project.reports / dataset.name, draft_of=run_id)


def _earlier(services: Services, dataset: Dataset, result: NightResult) -> NightReport:
    page = services.project.report_file(dataset.name, result.date, "json")
    try:
        return NightReport.model_validate_json(page.read_bytes())
    except (OSError, ValueError):  # gone, or of another release: the numbers are in the state all the same
        wished = dataset.detector.wished_alerts(result.rows.accepted)
        return NightReport(result=result, generated_at="", alert_budget=wished)


def _point(point: dict[str, Any], result: NightResult) -> dict[str, Any]:
    if point.get("date") != result.date:
        return point
    counts = {"accepted": result.rows.accepted, "quarantined": result.rows.quarantined, "alerts": result.alerts}
    return {**point, **counts}


def _with_likes(alerts: Sequence[Alert], earlier: Sequence[Alert]) -> tuple[Alert, ...]:
    """The like rows and labels that the page had found stay beside their alerts."""
    known = {(alert.source_file, alert.source_line): {"like": alert.like, "said": alert.said} for alert in earlier}
    return tuple(alert.model_copy(update=known.get((alert.source_file, alert.source_line), {})) for alert in alerts)
