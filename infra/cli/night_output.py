"""How the outcome of a night is printed, and which exit code it ends with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from infra.cli.invocation import say, show
from schemas.errors import Exit

if TYPE_CHECKING:
    from schemas.results import NightResult
    from tasks.training import TrainingDecision

VALIDATED_FIELDS = (
    "dataset",
    "date",
    "status",
    "reason",
    "rows",
    "failures",
    "expectations",
    "warnings",
    "report",
    "seconds",
)
STATUS_EXIT = {
    "done": Exit.DONE,
    "skipped": Exit.DONE,
    "blocked": Exit.BLOCKED,
    "partial": Exit.PARTIAL,
    "failed": Exit.FAILED,
    "missing": Exit.NO_INPUT,
}
# From worst to best: what a person must look at first decides a range's exit code.
SEVERITY = (Exit.FAILED, Exit.LOCKED, Exit.USAGE, Exit.BLOCKED, Exit.NO_INPUT, Exit.PARTIAL, Exit.REFUSED, Exit.DONE)


def exit_code(result: NightResult) -> Exit:
    """The exit code of a night's status."""
    return STATUS_EXIT[result.status]


def worst(codes: Iterable[Exit]) -> Exit:
    """The exit code of a range of nights."""
    return min(codes, key=SEVERITY.index, default=Exit.DONE)


def print_result(result: NightResult, as_json: bool, fields: tuple[str, ...] | None = None) -> None:
    """Print a night: JSON for programs, a few lines for people."""
    if as_json:
        values = result.model_dump(mode="json")
        show({name: values[name] for name in fields} if fields else values)
        return
    for line in _lines(result):
        say(line)


def _lines(result: NightResult) -> list[str]:
    lines = [one_line(result)]
    if result.reason and result.status != "skipped":
        lines += [f"  {line}" for line in result.reason.split("\n")]
    lines += [f"  warning: {warning}" for warning in result.warnings]
    if result.failures:
        failed = ", ".join(f"{column} {count:,}" for column, count in result.failures.items())
        lines.append(f"  failed values: {failed}")
    if result.model.reason:
        lines.append(f"  model: {result.model.reason}")
    if result.report:
        lines.append(f"report: {result.report}")
    return lines


def one_line(result: NightResult) -> str:
    """One line of a night: date, status, rows, alerts, seconds."""
    rows = result.rows
    parts = [f"{rows.read:,} read", f"{rows.accepted:,} accepted"]
    parts += [f"{rows.quarantined:,} quarantined"] if rows.quarantined else []
    parts += [f"{rows.held:,} held"] if rows.held else []
    if result.model.version:
        suppressed = f", {result.suppressed} suppressed" if result.suppressed else ""
        incidents = f" in {result.incidents} incident{'' if result.incidents == 1 else 's'}" if result.incidents else ""
        parts.append(f"{result.alerts} alerts{incidents}{suppressed} (version {result.model.version})")
    status = "already done" if result.status == "skipped" else result.status
    seconds = sum(result.seconds.values())
    took = f"  {seconds:.1f} s" if seconds and result.status != "skipped" else ""
    why = f"  {first_line(result.reason)}" if result.status in ("missing", "failed") and result.reason else ""
    return f"{result.dataset} {result.date}: {status}  {', '.join(parts)}{took}{why}"


def first_line(text: str) -> str:
    """What stands before the first line end; other characters that end a line somewhere are part of a value."""
    return text.partition("\n")[0]


def print_training(decision: TrainingDecision, as_json: bool) -> Exit:
    """Print what became of a training."""
    if as_json:
        show(decision.model_dump(mode="json"))
    else:
        say(
            f"{decision.dataset}: version {decision.version}, {decision.rows:,} rows of {len(decision.nights)} nights, "
            f"{decision.epochs} epochs, {decision.seconds:.1f} s"
        )
        say(f"  {'champion' if decision.promoted else 'not promoted'}: {decision.reason}")
    return Exit.DONE
