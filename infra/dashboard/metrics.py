"""The metrics of a project, read from its state at each scrape: alike from every process, and after a restart.

A scrape costs what there are datasets, not what there is of history: the last night of each, and counts that the state
answers from an index.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from datetime import time as Clock
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, StateSetMetricFamily
from prometheus_client.registry import Collector

from infra.runtime.requests import OPEN, RequestStatus
from infra.runtime.run_row import Status
from schemas.results import DetectorDrift, NightReport, NightResult
from tasks.overview_rows import report_of, result_of

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from infra.runtime.runs import Run
    from tasks.services import Services

MOST_DATASETS = 2_000
MOST_KINDS = 100
STATUSES: tuple[Status, ...] = get_args(Status)
OVER: tuple[RequestStatus, ...] = tuple(status for status in get_args(RequestStatus) if status not in OPEN)
_OF_RUNS = ("dataset", "kind", "status")
PARTS = ("read", "accepted", "quarantined", "held")
COLUMN_VERDICTS = ("steady", "moved", "moved far")
DETECTOR_VERDICTS: tuple[str, ...] = get_args(DetectorDrift.model_fields["verdict"].annotation)

Labelled: TypeAlias = Iterable[tuple[tuple[str, ...], float]]


class ProjectFigures(Collector):
    """Reads the state of a project when it is asked.

    Args:
        services: The project's stores.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Yield every family of metrics.

        Raises:
            StateError: The state database does not answer.
        """
        began = time.perf_counter()
        yield InfoMetricFamily("sereno_build", "The release that answers.", value={"version": version("sereno")})
        yield from self._of_history()
        yield from self._of_requests()
        yield from self._of_nights()
        yield from self._of_datasets()
        yield _gauge("scrape_seconds", "How long this scrape took to read.", (), [((), time.perf_counter() - began)])

    def _names(self) -> list[str]:
        return self._services.project.dataset_names()[:MOST_DATASETS]

    def _of_history(self) -> Iterator[Metric]:
        counted = self._services.state.run_counts()
        over = [((one.dataset, one.kind, one.status), one.runs) for one in counted if one.status != "running"]
        # No counter: retention forgets old runs.
        yield _gauge("runs_over", "Runs that are over and kept.", _OF_RUNS, over[: MOST_DATASETS * 20])
        running = [((one.dataset, one.kind), one.runs) for one in counted if one.status == "running"]
        yield _gauge("runs_running", "Runs that are under way.", ("dataset", "kind"), running)
        events = list(self._services.state.event_counts().items())[:MOST_KINDS]
        yield _counter("events", "What happened, by kind.", ("kind",), [((kind,), count) for kind, count in events])

    def _of_requests(self) -> Iterator[Metric]:
        queue = self._services.state.queue(datetime.now(UTC))
        still = [((status,), queue.counts.get(status, 0)) for status in OPEN]
        yield _gauge("requests_open", "What is still to be done.", ("status",), still)
        over = [((status,), queue.counts.get(status, 0)) for status in OVER]
        yield _counter("requests_over", "What was asked for and is over.", ("status",), over)
        oldest = [] if queue.oldest is None else [((), queue.oldest.timestamp())]
        yield _gauge("requests_oldest_due_timestamp_seconds", "When the oldest that waits was due.", (), oldest)

    def _of_nights(self) -> Iterator[Metric]:
        nights = [(run, result_of(run)) for run in self._services.state.standing_nights(self._names())]
        yield _statuses(nights)
        for name, help_, unit in _NIGHT_GAUGES:
            yield _gauge(
                f"night_{name}", help_, ("dataset",), [((run.dataset,), unit(run, result)) for run, result in nights]
            )
        rows = [((run.dataset, part), getattr(result.rows, part)) for run, result in nights for part in PARTS]
        yield _gauge("night_rows", "Where the last night's rows went.", ("dataset", "part"), rows)
        stages = [((run.dataset, stage), taken) for run, result in nights for stage, taken in result.seconds.items()]
        yield _gauge("night_stage_seconds", "How long its stages took.", ("dataset", "stage"), stages)
        yield from _of_scores(nights)
        yield from _of_reports([(run, report_of(self._services.project, result)) for run, result in nights])

    def _of_datasets(self) -> Iterator[Metric]:
        state, names = self._services.state, self._names()
        switches = state.switches()
        on = [((name,), float(name in switches and switches[name].enabled)) for name in names]
        yield _gauge("schedule_enabled", "Whether its nights are done by themselves.", ("dataset",), on)
        champions = [row for row in state.champions() if row.dataset in set(names)]
        since = [((row.dataset,), row.at.timestamp()) for row in champions]
        yield _gauge("champion_timestamp_seconds", "Since when its champion is in use.", ("dataset",), since)
        found = InfoMetricFamily("sereno_champion", "The version in use.", labels=("dataset",))
        for row in champions:
            found.add_metric((row.dataset,), {"version": row.version})
        yield found


def _finished(run: Run, _result: NightResult) -> float:
    return (run.ended_at or run.started_at).timestamp()


def _logical(run: Run, _result: NightResult) -> float:
    return datetime.combine(run.night, Clock(), UTC).timestamp()


_NIGHT_GAUGES = (
    ("timestamp_seconds", "Logical date of the last night that is over.", _logical),
    ("finished_timestamp_seconds", "When its newest run ended.", _finished),
    ("expectations_failed", "Expectations that it did not meet.", lambda _run, result: result.expectations.failed),
    ("expectations_passed", "Expectations that it met.", lambda _run, result: result.expectations.passed),
    (
        "quarantined_ratio",
        "Share of its rows that did not meet the contract.",
        lambda _run, result: result.rows.quarantined / max(result.rows.read, 1),
    ),
)


def _statuses(nights: list[tuple[Run, NightResult]]) -> Metric:
    found = StateSetMetricFamily("sereno_night_status", "How the last night stands.", labels=("dataset",))
    for run, _ in nights:
        found.add_metric((run.dataset,), {status: run.status == status for status in STATUSES})
    return found


def _of_scores(nights: list[tuple[Run, NightResult]]) -> Iterator[Metric]:
    """Of nights that were scored: a night that was not has no alerts, which is not the same as none."""
    scored = [(run.dataset, result) for run, result in nights if result.threshold is not None]
    alerts = [((name,), float(result.alerts)) for name, result in scored]
    yield _gauge("night_alerts", "Rows of the last night past the threshold.", ("dataset",), alerts)
    rates = [((name,), result.alerts / max(result.rows.accepted, 1)) for name, result in scored]
    yield _gauge("night_alert_ratio", "Share of its accepted rows past the threshold.", ("dataset",), rates)
    above = [((name,), result.above_usual) for name, result in scored if result.above_usual is not None]
    yield _gauge(
        "night_above_usual_ratio", "Share of its rows above the median score of usual ones.", ("dataset",), above
    )


def _of_reports(reports: list[tuple[Run, NightReport | None]]) -> Iterator[Metric]:
    """What only the report of a night says."""
    known = [(run.dataset, report) for run, report in reports if report is not None]
    budgets = [((name,), report.alert_budget) for name, report in known if report.alert_budget is not None]
    yield _gauge("night_alert_budget", "Alerts a night that were asked for.", ("dataset",), budgets)
    drifts = [(name, report.drift) for name, report in known if report.drift is not None]
    columns = [
        ((name, verdict), float(sum(column.verdict == verdict for column in drift.columns)))
        for name, drift in drifts
        for verdict in COLUMN_VERDICTS
    ]
    yield _gauge(
        "night_columns", "Columns of the last night by what drift says of them.", ("dataset", "drift"), columns
    )
    found = StateSetMetricFamily("sereno_night_drift", "Whether the detector copes.", labels=("dataset",))
    for name, drift in drifts:
        if drift.detector is not None:
            said = drift.detector.verdict
            found.add_metric((name,), {verdict: said == verdict for verdict in DETECTOR_VERDICTS})
    yield found


def _gauge(name: str, help_: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    found = GaugeMetricFamily(f"sereno_{name}", help_, labels=labels)
    for of, value in values:
        found.add_metric(of, float(value))
    return found


def _counter(name: str, help_: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    found = CounterMetricFamily(f"sereno_{name}", help_, labels=labels)
    for of, value in values:
        found.add_metric(of, float(value))
    return found
