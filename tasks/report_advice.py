"""What a person reads first: the night in a word, why it ended so, and what to do next."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass
from statistics import median

from schemas.results import ExpectationOutcome, NightReport
from tasks.report_text import count, number, percent, shortened

_NUMBER = re.compile(r"(?<![\w.])[-−]?\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Step:
    """One thing to do: a sentence and, where there is one, the command for it."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Reason:
    """One reason of the verdict; `rule`, where a rule of the dataset file failed."""

    text: str
    rule: str = ""


@dataclass(frozen=True)
class Verdict:
    """The top of the report.

    Args:
        tone: Which colour and sign: a status, or `alerts` for a night that is done and has some.
        word: The night in a few words.
        sentence: What that means.
        reasons: Why.
        steps: What to do next, the first thing first.
    """

    tone: str
    word: str
    sentence: str
    reasons: tuple[Reason, ...]
    steps: tuple[Step, ...]


def verdict(report: NightReport) -> Verdict:
    """Return the top of the report for any night, also one of which most is absent."""
    result = report.result
    said = tuple(Reason(text) for text in (result.reason,) if text)
    if result.status == "blocked":
        return _blocked(report, said)
    if result.status == "failed":
        steps = (
            Step("Mend what the reason names, then run the night again; it starts over and doubles nothing.", _run(report)),
            Step("The log of the run has the details.", "ls -t state/logs"),
        )
        return Verdict("failed", "Failed", "The night did not finish; what it had written does not count.", said, steps)
    if result.status == "missing":
        steps = (
            Step("See where this night is looked for.", f"sereno plan {_names(report)}"),
            Step("Once the files are there, run the night.", _run(report)),
        )
        return Verdict("missing", "No data arrived", "Nothing was found for this date, so nothing was checked or scored.", said, steps)
    if result.status == "partial":
        return _partial(report, said)
    return _done(report, said)


def off_by(outcome: ExpectationOutcome) -> str:
    """Return by how much a failed expectation was missed, such as ``8.2 times too low``; empty where the texts do not tell."""
    if outcome.success or ("%" in outcome.observed) != ("%" in outcome.expected):
        return ""
    seen, bounds = _numbers(outcome.observed), _numbers(outcome.expected)
    if len(seen) != 1:
        return ""
    words = outcome.expected.lower()
    low = high = None
    if len(bounds) == 2 and bounds[0] <= bounds[1]:
        low, high = bounds
    elif len(bounds) == 1 and re.search(r"at least|above|≥|>=|more than", words):
        low = bounds[0]
    elif len(bounds) == 1 and re.search(r"at most|below|≤|<=|less than|up to", words):
        high = bounds[0]
    if low is not None and seen[0] < low:
        return _distance(low, seen[0], low - seen[0], "too low")
    if high is not None and seen[0] > high:
        return _distance(seen[0], high, seen[0] - high, "too high")
    return ""


def _distance(larger: float, smaller: float, difference: float, words: str) -> str:
    if smaller > 0 and larger / smaller >= 2:
        return f"{number(larger / smaller, 3)} times {words}"
    return f"{number(difference, 3)} {words}"


def _numbers(text: str) -> list[float]:
    found = [match.group().replace(",", "").replace("−", "-") for match in _NUMBER.finditer(text[:400])]
    return [float(item) for item in found if len(item) < 40]


def _names(report: NightReport) -> str:
    return f"{shlex.quote(report.result.dataset)} --date {shlex.quote(report.result.date)}"


def _run(report: NightReport, *options: str) -> str:
    return " ".join(["sereno run", _names(report), *options])


def _blocking(report: NightReport) -> list[ExpectationOutcome]:
    return [o for o in report.expectation_outcomes if not o.success and o.policy == "block"]


def _failed_reason(outcome: ExpectationOutcome) -> Reason:
    distance = off_by(outcome)
    seen = f"{outcome.observed or 'nothing'} where {outcome.expected} is allowed" if outcome.expected else outcome.message
    return Reason(f"{seen}{f', {distance}' if distance else ''}", outcome.rule or outcome.expect)


def _blocked(report: NightReport, said: tuple[Reason, ...]) -> Verdict:
    result = report.result
    reasons = tuple(_failed_reason(outcome) for outcome in _blocking(report)) or said
    again = Step("If the delivery is wrong, have the files replaced and run the night again.", _run(report))
    if not result.rows.read:
        sentence = "The files could not be read as the table that the contract describes; nothing was scored."
        return Verdict("blocked", "Blocked", sentence, reasons, (again,))
    sentence = f"The data gate holds {count(result.rows.held)} of {count(result.rows.read)} rows; nothing was scored and no model changed."
    steps = (
        Step("Look at what failed below and ask whoever delivers the data.", f"sereno quarantine list {_names(report)}" if result.rows.quarantined else ""),
        again,
        Step("If the data is right, take it as it is; that is recorded.", _run(report, "--accept")),
    )
    return Verdict("blocked", "Blocked", sentence, reasons, steps)


def _partial(report: NightReport, said: tuple[Reason, ...]) -> Verdict:
    alerts = report.result.alerts
    version = report.result.model.version or report.result.model.champion
    scored = f"Version {version} scored instead" if version else "What could be done was done"
    sentence = f"{scored}: {_alerts(alerts)}. Tonight's training gave no detector, or a part of the data failed."
    steps = (*_look(report), Step("Do the whole night again once the reason is mended.", _run(report, "--force")))
    return Verdict("partial", f"Partly done, {_alerts(alerts)}", sentence, said, steps)


def _done(report: NightReport, said: tuple[Reason, ...]) -> Verdict:
    result = report.result
    alerts, scored = result.alerts, result.rows.accepted
    budget = f" About {number(report.alert_budget, 3)} a night are asked for." if report.alert_budget else ""
    if alerts:
        sentence = f"{_alerts(alerts).capitalize()} among {count(scored)} scored rows ({percent(alerts, scored)}).{budget}"
    elif result.model.version or report.scores is not None:
        sentence = f"None of {count(scored)} scored rows lies past the threshold.{budget}"
    else:
        sentence = f"{count(scored)} rows accepted; nothing was scored."
    reasons = said if result.status == "done" else (Reason("The same inputs were done before; this is what they gave."), *said)
    if alerts:
        reasons = (*reasons, *_stand_out(report), *_usual(report))
    if report.training is not None and report.training.in_sample:
        note = "There is no history yet: the detector learnt from this very night. Trust the order of the alerts more than their number."
        reasons = (*reasons, Reason(note))
    tone, word = ("alerts", _alerts(alerts)) if alerts else ("done", "Quiet night")
    return Verdict(tone, word, sentence, reasons, _look(report) or (Step("Nothing to do."),))


def _stand_out(report: NightReport) -> tuple[Reason, ...]:
    """Say which columns most often make up the largest part of an alert's score."""
    first = Counter(alert.contributions[0].column for alert in report.alerts if alert.contributions)
    if not first:
        return ()
    named = [f"{shortened(column, 40)[0]} in {count(n)}" for column, n in first.most_common(3)]
    rest = len(first) - len(named)
    return (Reason(f"What stands out most: {', '.join(named)}{f', {rest} other columns' if rest > 0 else ''}."),)


def _usual(report: NightReport) -> tuple[Reason, ...]:
    """Say how many alerts a night usually has, once there are enough nights to say so."""
    before = [n.get("alerts") for n in report.history if n.get("status") in ("done", "partial") and n.get("date") != report.result.date]
    known = [n for n in before if isinstance(n, int)]
    return (Reason(f"Usual, over the last {count(len(known))} nights with scores: {number(median(known), 3)}."),) if len(known) >= 5 else ()


def _look(report: NightReport) -> tuple[Step, ...]:
    if not report.result.alerts:
        return ()
    first = report.alerts[0] if report.alerts else None
    where = f" It is line {count(first.source_line)} of {first.source_file}." if first and first.source_file and first.source_line else ""
    steps = [Step(f"Start with the first alert below.{where}")] if first else []
    file = f"{report.result.dataset}-{report.result.date}.csv"
    return (*steps, Step("Take all scores with their reasons along.", f"sereno scores {_names(report)} --to {shlex.quote(file)}"))


def _alerts(n: int) -> str:
    return "no alerts" if not n else ("1 alert" if n == 1 else f"{count(n)} alerts")
