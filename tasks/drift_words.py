"""What a person reads of drift as the detector sees it: a sentence with numbers, what to do, and what to type."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.results import DetectorDrift, RisenColumn, SeenMeasure
from tasks.report_text import count, number, percent, shortened

NAMED = 3
NO_CODES = "The version that scored has no encoder by itself, so it is not known whether its codes moved."


@dataclass(frozen=True)
class Finding:
    """What was measured, to be told.

    Args:
        dataset: Its name.
        nights: ISO dates of the nights that were looked at, oldest first and tonight last.
        verdict: What it comes to.
        moved: Columns that moved, the worst first.
        scores: How many rows score above the calibration's median.
        codes: How far the codes lie apart; None where the version has none.
        risen: Columns whose residuals rose most.
        nights_up: Nights without a break, tonight the last, on which scores were up.
        follows: Whether the version learned from the last night already.
    """

    dataset: str
    nights: tuple[str, ...]
    verdict: Literal["steady", "columns moved", "relations moved", "beyond the detector", "stale", "not known"]
    moved: tuple[str, ...]
    scores: SeenMeasure
    codes: SeenMeasure | None
    risen: tuple[RisenColumn, ...]
    nights_up: int
    follows: bool

    @property
    def night(self) -> str:
        """Tonight."""
        return self.nights[-1]

    def command(self, verb: str, *more: str) -> str:
        """A command about the dataset."""
        return " ".join(["sereno", verb, shlex.quote(self.dataset), *more])


def told(finding: Finding, onset: tuple[str, Literal["sudden", "gradual"]] | None) -> DetectorDrift:
    """Put a finding into words.

    Args:
        finding: What was measured.
        onset: The first night like tonight, and how it began; None where nothing moved or it is not known.
    """
    message, advice, command = _WORDS[finding.verdict](finding, onset[0] if onset else finding.night)
    said = f"{message}{_since(onset, finding)}"
    return DetectorDrift(
        verdict=finding.verdict,
        message=said,
        advice=advice,
        command=command,
        onset=onset[1] if onset else "",
        since=onset[0] if onset else None,
        nights=len(finding.nights) - 1,
        codes=finding.codes,
        scores=finding.scores,
        columns=finding.risen,
    )


def not_known(dataset: str, version: str | None, nights: int, reason: str) -> DetectorDrift:
    """A night of which it is not known, and why."""
    return DetectorDrift(
        message=reason,
        advice="Nothing to do; which nights there are:",
        command=f"sereno status {shlex.quote(dataset)}",
        version=version,
        nights=nights,
    )


def _steady(finding: Finding, _since: str) -> tuple[str, str, str]:
    return (
        f"The detector sees what it usually sees: {_of_scores(finding)}; {_of_codes(finding)}.",
        "Nothing to do; the numbers:",
        _report(finding),
    )


def _copes(finding: Finding, _since: str) -> tuple[str, str, str]:
    with_them = finding.codes is not None and finding.codes.verdict != "steady"
    how = "; its codes moved with them, and it reconstructs the rows as well as before" if with_them else ""
    message = f"{_columns_moved(finding)}, and the detector copes: {_of_scores(finding)}; {_of_codes(finding)}{how}."
    advice = "Nothing to do for the detector; what moved in the columns is listed with them. The numbers:"
    return message, advice, _report(finding)


def _relations(finding: Finding, _since: str) -> tuple[str, str, str]:
    if finding.nights_up:
        why = (
            f"No column moved by itself, yet the rows fit worse: {_of_scores(finding)}; {_of_codes(finding)}. Values "
            "that are usual alone do not go together as they did, and the detector does not know this."
        )
    else:
        why = (
            f"No column moved by itself, yet the codes did: {_of_codes(finding)}; {_of_scores(finding)}. The rows are "
            "another mix, which the detector can still reconstruct."
        )
    names = [shortened(column.column, 40)[0] for column in finding.risen]
    look = f"Look at {_listed(names)}: " if names else "Look at the rows that score highest: "
    advice = (
        f"{look}was a file joined, sorted or filled wrongly at the source? Each row's score with its reasons is in the "
        f"file that this writes. If it is right and stays, train with tonight: "
        f"{finding.command('train', '--to', finding.night)}"
    )
    return f"{why}{_risen(finding)}", advice, finding.command("scores", "--date", finding.night, "--to", "scores.csv")


def _beyond(finding: Finding, _since: str) -> tuple[str, str, str]:
    message = (
        f"{_columns_moved(finding)} to where the detector does not know them: {_of_scores(finding)}; "
        f"{_of_codes(finding)}.{_risen(finding)}"
    )
    advice = (
        "Look at the source first: alerts of such a night say little. If the data is right, the next night's training "
        "takes it in; to train with tonight at once:"
    )
    return message, advice, finding.command("train", "--to", finding.night)


def _stale(finding: Finding, since: str) -> tuple[str, str, str]:
    slow = (
        " Each night trains already, but on many nights of before: a smaller `detector.window_nights` in the dataset "
        "file lets it follow sooner."
    )
    take = finding.command("models promote", "VERSION", "--force", "--reason", "WHY")
    advice = (
        "Train on the nights since. Where the gate refuses what comes of it and you accept that the data stays as it "
        f"is, take it with: {take}.{slow if finding.follows else ''}"
    )
    message = (
        f"The detector is stale: for {count(finding.nights_up)} nights more rows than usual have scored high; "
        f"{_of_scores(finding)}; {_of_codes(finding)}.{_risen(finding)}"
    )
    return message, advice, finding.command("train", "--from", since, "--to", finding.night)


def _unknown(finding: Finding, _since: str) -> tuple[str, str, str]:
    return (
        f"{NO_CODES} Its scores are as usual: {_of_scores(finding)}.",
        "A version that is trained anew has one:",
        finding.command("train", "--to", finding.night),
    )


_WORDS: dict[str, Callable[[Finding, str], tuple[str, str, str]]] = {
    "steady": _steady,
    "columns moved": _copes,
    "relations moved": _relations,
    "beyond the detector": _beyond,
    "stale": _stale,
    "not known": _unknown,
}


def _report(finding: Finding) -> str:
    return finding.command("report", "--date", finding.night, "--json")


def _of_scores(finding: Finding) -> str:
    scores = finding.scores
    return (
        f"{percent(scores.value, 1.0)} of tonight's rows score above the median of the calibration rows, usually "
        f"{percent(scores.usual, 1.0)}"
    )


def _of_codes(finding: Finding) -> str:
    codes = finding.codes
    if codes is None:
        return "its codes are not known"
    apart, usual = number(codes.value, 2), number(codes.usual, 2)
    return f"its codes lie {apart} from those of the nights before, usually at most {usual}"


def _columns_moved(finding: Finding) -> str:
    names = [shortened(name, 40)[0] for name in finding.moved[:NAMED]]
    more = len(finding.moved) - len(names)
    which = f"{', '.join(names)}{f' and {count(more)} more' if more else ''}"
    return f"{count(len(finding.moved))} column{'s' if len(finding.moved) > 1 else ''} moved ({which})"


def _risen(finding: Finding) -> str:
    if not finding.risen:
        return ""
    named = [f"{shortened(column.column, 40)[0]} ({number(column.times, 2)} times)" for column in finding.risen]
    return f" Residuals rose most in {_listed(named)}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _since(onset: tuple[str, Literal["sudden", "gradual"]] | None, finding: Finding) -> str:
    if onset is None:
        return ""
    since, how = onset
    if since == finding.night:
        return " It set in tonight, at once."
    return f" It set in {'suddenly' if how == 'sudden' else 'little by little'}, and has been so since {since}."
