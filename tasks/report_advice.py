"""What a person reads first: the night in a word, why it ended so, and what to do next."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from statistics import median

from schemas.results import ExpectationOutcome, NightReport
from tasks.report_incidents import first_step, incidents_in_words
from tasks.report_reduced import reduced
from tasks.report_text import count, number, percent, shortened

_NUMBER = re.compile(r"(?<![\w.])[-−]?\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d+)?")
_BAND = re.compile(rf"({_NUMBER.pattern}) to ({_NUMBER.pattern})")
_ASIDE = re.compile(r"\([^()]*\)")
_LEAST = re.compile(r"at least|above|≥|>=|more than", re.IGNORECASE)
_MOST = re.compile(r"at most|below|≤|<=|less than|up to", re.IGNORECASE)
_HINT = "Hint:"
SHARE_OPTIONS = {"quantile": "--share", "p_value": "--p-value", "tail": "--risk"}
_IN_SAMPLE = (
    "No night before shows what is usual now: the detector learnt from this very night. "
    "Trust the order of the alerts more than their number."
)


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
    said, hints = _split(result.reason)
    match result.status:
        case "blocked":
            return _blocked(report, said)
        case "failed":
            steps = (
                *hints,
                Step("Once that is mended, run the night again; it starts over and doubles nothing.", _run(report)),
            )
            sentence = "The night did not finish; what it had written does not count."
            return Verdict("failed", "Failed", sentence, said, steps)
        case "missing":
            steps = (
                Step("See where this night is looked for.", f"sereno plan {_names(report)}"),
                Step("Once the files are there:", _run(report)),
            )
            sentence = "Nothing was found for this date, so nothing was checked or scored."
            return Verdict("missing", "No data arrived", sentence, said, steps)
        case "partial":
            return _partial(report, said)
        case _:
            return _done(report, said)


def _split(reason: str) -> tuple[tuple[Reason, ...], tuple[Step, ...]]:
    """Tell a reason's lines from its hints, which say what to do."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    said = tuple(Reason(line) for line in lines if not line.startswith(_HINT))
    return said, tuple(Step(_sentence(line.removeprefix(_HINT).strip())) for line in lines if line.startswith(_HINT))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ":", "!", "?")) else ".")


def off_by(outcome: ExpectationOutcome) -> str:
    """Return by how much an expectation was missed, such as ``8.2 times too low``; empty where none can tell."""
    if outcome.success or ("%" in outcome.observed) != ("%" in outcome.expected):
        return ""
    seen = _numbers(_ASIDE.sub("", outcome.observed[:400]))
    if len(seen) != 1:
        return ""
    low, high = _bounds(outcome.expected[:400])
    points = "points " if "%" in outcome.observed else ""
    if low is not None and seen[0] < low:
        return _distance(low, seen[0], f"{points}too low")
    if high is not None and seen[0] > high:
        return _distance(seen[0], high, f"{points}too high")
    return ""


def _distance(larger: float, smaller: float, words: str) -> str:
    if smaller > 0 and larger / smaller >= 2:
        return f"{number(larger / smaller, 3)} times {words.removeprefix('points ')}"
    return f"{number(larger - smaller, 3)} {words}"


def _bounds(expected: str) -> tuple[float | None, float | None]:
    """Read the smallest and largest allowed value out of words such as ``300 to 9,000`` or ``at most 12 %``."""
    if band := _BAND.search(expected):
        low, high = (_numbers(part) for part in band.groups())
        return (low[0], high[0]) if low and high and low[0] <= high[0] else (None, None)
    bounds = _numbers(_ASIDE.sub("", expected))
    if len(bounds) != 1:
        return None, None
    return (bounds[0] if _LEAST.search(expected) else None), (bounds[0] if _MOST.search(expected) else None)


def _numbers(text: str) -> list[float]:
    found = [match.group().replace(",", "").replace("−", "-") for match in _NUMBER.finditer(text)]
    return [float(item) for item in found if len(item) < 40]


def subject(outcome: ExpectationOutcome) -> str:
    """Return what an expectation is about, without what is allowed where its rule ends with that."""
    rule = outcome.rule or outcome.expect
    return rule.removesuffix(f": {outcome.expected}") or rule


def note(outcome: ExpectationOutcome) -> str:
    """Return a failed expectation's message, unless it only repeats what was observed and allowed."""
    repeats = outcome.observed in outcome.message and outcome.expected in outcome.message
    return "" if outcome.success or repeats else outcome.message


def recalibrate(report: NightReport) -> str:
    """Return the command that sets another threshold: half of what is asked where alerts were plenty, else twice."""
    # Twice a budget must be a number still.
    budget = report.alert_budget if report.alert_budget and math.isfinite(2.0 * report.alert_budget) else 20.0
    times = 0.5 if report.result.alerts > budget else 2.0
    command = f"sereno recalibrate {shlex.quote(report.result.dataset)}"
    for choice in report.scores.choices if report.scores else ():
        if choice.in_force and choice.method in SHARE_OPTIONS and 0 < times * choice.share < 1:
            return f"{command} {SHARE_OPTIONS[choice.method]} {times * choice.share:.3g}"
    return f"{command} --budget {max(1, round(times * budget))}"


def _names(report: NightReport) -> str:
    return f"{shlex.quote(report.result.dataset)} --date {shlex.quote(report.result.date)}"


def _run(report: NightReport, *options: str) -> str:
    return " ".join(["sereno run", _names(report), *options])


def _blocking(report: NightReport) -> list[ExpectationOutcome]:
    return [o for o in report.expectation_outcomes if not o.success and o.policy == "block"]


def _failed_reason(outcome: ExpectationOutcome) -> Reason:
    allowed = f"allowed: {outcome.expected}" if outcome.expected else ""
    said = [part for part in (outcome.observed, allowed, off_by(outcome)) if part]
    return Reason("; ".join(said) or outcome.message or "failed", subject(outcome))


def _blocked(report: NightReport, said: tuple[Reason, ...]) -> Verdict:
    result = report.result
    failed = _blocking(report)
    told = {outcome.message for outcome in failed}
    reasons = (
        *(_failed_reason(outcome) for outcome in failed),
        *(reason for reason in said if reason.text not in told),
    )
    again = Step("If the delivery is wrong, have the files replaced and run the night again.", _run(report))
    if not result.rows.read:
        sentence = "The files could not be read as the table that the contract describes; nothing was scored."
        return Verdict("blocked", "Blocked", sentence, reasons, (again,))
    held = f"{count(result.rows.held)} of {count(result.rows.read)} rows"
    sentence = f"The data gate holds {held}; nothing was scored and no model changed."
    steps = (
        Step("Look at what failed below and ask whoever delivers the data."),
        again,
        Step("If the data is right, take it as it is; that is recorded.", _run(report, "--accept")),
    )
    return Verdict("blocked", "Blocked", sentence, reasons, steps)


def _partial(report: NightReport, said: tuple[Reason, ...]) -> Verdict:
    alerts = report.result.alerts
    version = report.result.model.version
    scored = f"Version {version} scored instead" if version else "What could be done was done"
    sentence = f"{scored}: {_alerts(alerts)}. Tonight's training gave no detector, or a part of the data failed."
    steps = (*_look(report), Step("Do the whole night again once the reason is mended.", _run(report, "--force")))
    return Verdict("partial", f"Partly done, {_alerts(alerts)}", sentence, said, steps)


def _done(report: NightReport, said: tuple[Reason, ...]) -> Verdict:
    result = report.result
    alerts, scored = result.alerts, result.rows.accepted
    budget = f" About {number(report.alert_budget, 3)} a night are asked for." if report.alert_budget else ""
    if alerts:
        sentence = (
            f"{_alerts(alerts).capitalize()} among {count(scored)} scored rows ({percent(alerts, scored)}).{budget}"
        )
    elif result.model.version or report.scores is not None:
        sentence = f"None of {count(scored)} scored rows lies past the threshold.{budget}"
    else:
        sentence = f"{count(scored)} rows accepted; nothing was scored."
    reasons = (
        said
        if result.status == "done"
        else (Reason("The same inputs were done before; this is what they gave."), *said)
    )
    if alerts:
        reasons = (*reasons, *_incidents(report), *_stand_out(report), *_usual(report), *_like_labels(report))
    reasons = (*reasons, *_moved(report), *_seen(report), *_changed(report))
    warned = sum(not outcome.success for outcome in report.expectation_outcomes)
    if warned:
        reasons = (*reasons, Reason(f"{count(warned)} expectation{'s' if warned > 1 else ''} failed, see below."))
    if any(check.get("passed") is False for check in report.gate):
        new = f"new version {shortened(result.model.challenger, 40)[0]}" if result.model.challenger else "new version"
        reasons = (*reasons, Reason(f"Tonight's {new} did not pass the gate, see champion and challenger below."))
    if report.training is not None and report.training.in_sample:
        reasons = (*reasons, Reason(_IN_SAMPLE))
    tone, word = ("alerts", _alerts(alerts)) if alerts else ("done", "Quiet night")
    steps = (*_look(report), *_about_drift(report))
    return Verdict(tone, word, sentence, reasons, steps or (Step("Nothing to do."),))


def _incidents(report: NightReport) -> tuple[Reason, ...]:
    said = incidents_in_words(report)
    return (Reason(said),) if said else ()


def _take_up(report: NightReport) -> tuple[Step, ...]:
    step = first_step(report)
    return (Step(*step),) if step is not None else ()


def _stand_out(report: NightReport) -> tuple[Reason, ...]:
    """Say which columns most often make up the largest part of an alert's score."""
    first = Counter(alert.contributions[0].column for alert in report.alerts if alert.contributions)
    if not first:
        return ()
    named = [f"{shortened(column, 40)[0]} ({count(n)})" for column, n in first.most_common(3)]
    rest = len(first) - len(named)
    others = f" and {count(rest)} other column{'s' if rest > 1 else ''}" if rest > 0 else ""
    return (Reason(f"What stands out most: {', '.join(named)}{others}."),)


def _like_labels(report: NightReport) -> tuple[Reason, ...]:
    """Say which alerts are like labelled false alarms, or why none can be called so."""
    said = reduced(report.reduction)
    return (Reason(said),) if said else ()


def _usual(report: NightReport) -> tuple[Reason, ...]:
    """Say how many alerts a night usually has, once there are enough nights to say so."""
    before = [
        n.get("alerts")
        for n in report.history
        if n.get("status") in ("done", "partial") and n.get("date") != report.result.date
    ]
    known = [n for n in before if isinstance(n, int)]
    return (
        (Reason(f"Usual, over the last {count(len(known))} nights with scores: {number(median(known), 3)}."),)
        if len(known) >= 5
        else ()
    )


def _moved(report: NightReport) -> tuple[Reason, ...]:
    """Say what moved in the data, where it did."""
    if report.drift is None or report.drift.verdict in ("steady", "not known"):
        return ()
    moved = [column for column in report.drift.columns if column.verdict != "steady"]
    named = ", ".join(shortened(column.column, 40)[0] for column in moved[:3])
    rest = f" and {count(len(moved) - 3)} more" if len(moved) > 3 else ""
    return (Reason(f"The data {report.drift.verdict}{': ' if named else ''}{named}{rest}."),)


def _seen(report: NightReport) -> tuple[Reason, ...]:
    """Say what the detector makes of the night, where a person has something to do."""
    seen = report.drift.detector if report.drift is not None else None
    return (Reason(seen.message),) if seen is not None and seen.wants_a_person else ()


def _about_drift(report: NightReport) -> tuple[Step, ...]:
    seen = report.drift.detector if report.drift is not None else None
    return (Step(seen.advice, seen.command),) if seen is not None and seen.wants_a_person else ()


def _changed(report: NightReport) -> tuple[Reason, ...]:
    """Say what differs notably from the last night, the first two things."""
    notable = [change for change in report.changes if change.notable][:2]
    said = [[shortened(text, 60)[0] for text in (change.what, change.tonight, change.before)] for change in notable]
    return tuple(Reason(f"Since the last night, {what}: {tonight}, before {before}.") for what, tonight, before in said)


def _look(report: NightReport) -> tuple[Step, ...]:
    if not report.result.alerts:
        return ()
    first = report.alerts[0] if report.alerts else None
    where = (
        f" It is line {count(first.source_line)} of {first.source_file}."
        if first and first.source_file and first.source_line
        else ""
    )
    steps = [Step(f"Start with the first alert below.{where}")] if first else []
    return (
        *steps,
        *_take_up(report),
        Step("Take all scores with their reasons along.", f"sereno scores {_names(report)} --to scores.csv"),
    )


def _alerts(n: int) -> str:
    return "no alerts" if not n else ("1 alert" if n == 1 else f"{count(n)} alerts")
