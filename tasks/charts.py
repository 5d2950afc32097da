"""The report's charts: pure functions from numbers to inline SVG.

Each has a title and a description for those who cannot see it, takes its colours from the page's stylesheet by class, and
tells its series apart by shape and words as well as by colour. A chart of nothing is empty markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from schemas.results import RowCounts, ScoreDistribution, TrainingSummary
from tasks.chart_scales import Bins, Linear, LogCount, LogValue, merged, thinned
from tasks.report_text import count, number, percent, seconds, shortened

MOST_BINS = 72
MOST_POINTS = 160
MOST_STAGES = 24
WIDTH = 360.0
WIDE = 520.0
NOTHING = Markup("")


@dataclass(frozen=True)
class Night:
    """One night of a timeline.

    Args:
        date: Its logical date.
        value: What the bar shows; None: there is nothing to show, for example no scores on a blocked night.
        status: The night's status, which marks the bar where it is not `done`.
        tonight: Whether the report is about this night.
    """

    date: str
    value: float | None
    status: str = "done"
    tonight: bool = False


@dataclass(frozen=True)
class _Area:
    """The inner rectangle of a chart, in the units of its viewBox."""

    height: float = 220.0
    width: float = WIDE
    left: float = 44.0
    right: float = 12.0
    top: float = 24.0
    bottom: float = 32.0

    def x(self, share: float) -> float:
        return self.left + share * (self.width - self.left - self.right)

    def y(self, share: float) -> float:
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)


def _tag(name: str, text: str | None = None, **attributes: str | float) -> Markup:
    parts = Markup("")
    for key, value in attributes.items():
        shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
        parts += Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), shown)
    if text is None:
        return Markup("<{}{}/>").format(Markup(name), parts)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), parts, text)


def _svg(name: str, box: tuple[float, float], title: str, description: str, body: Sequence[Markup], fit: str = "xMidYMid") -> Markup:
    return Markup(
        '<svg class="chart {7} {0}" viewBox="0 0 {1:.0f} {2:.0f}" preserveAspectRatio="{6}" role="img" aria-labelledby="{0}-t {0}-d">'
        '<title id="{0}-t">{3}</title><desc id="{0}-d">{4}</desc>{5}</svg>'
    ).format(name, *box, title, description, Markup("").join(body), fit, "wide" if box[0] > WIDTH else "small")


def _path(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    steps = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    return _tag("path", class_=kind, d=steps)


def _axes(area: _Area, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], x_name: str) -> list[Markup]:
    right, floor = area.x(1), area.y(0)
    out = [_tag("line", class_="c-axis", x1=area.left, x2=right, y1=floor, y2=floor)]
    for share, label in y_ticks:
        y = area.y(share)
        out.append(_tag("line", class_="c-grid", x1=area.left, x2=right, y1=y, y2=y))
        out.append(_tag("text", label, class_="c-tick", x=area.left - 5, y=y + 3.5, text_anchor="end"))
    for share, label in x_ticks:
        anchor = "end" if share > 0.95 else "middle"
        out.append(_tag("text", label, class_="c-tick", x=area.x(share), y=floor + 13, text_anchor=anchor))
    out.append(_tag("text", x_name, class_="c-name", x=right, y=area.height - 3, text_anchor="end"))
    return out


def _rising(edges: Sequence[float]) -> bool:
    pairs = zip(edges, edges[1:], strict=False)
    return len(edges) > 1 and all(math.isfinite(e) for e in edges) and all(a < b for a, b in pairs)


def histogram(scores: ScoreDistribution) -> Markup:
    """Draw tonight's scores as bars (counts on a log axis), calibration as an outline, the threshold as a line.

    Args:
        scores: `edges` [bins + 1] rising, `tonight` and `calibration` [bins] counts. The outline is scaled to tonight's rows.
    """
    if not _rising(scores.edges) or len(scores.tonight) != len(scores.edges) - 1 or not sum(scores.tonight):
        return NOTHING
    tonight, edges = merged(scores.tonight, scores.edges, MOST_BINS)
    calibration: list[float] = []
    if len(scores.calibration) == len(scores.tonight) and sum(scores.calibration):
        scale = sum(scores.tonight) / sum(scores.calibration)
        calibration = [n * scale for n in merged(scores.calibration, scores.edges, MOST_BINS)[0]]
    area, bins = _Area(), Bins(tuple(edges))
    heights = LogCount(max([*tonight, *calibration]))
    body = _axes(area, [(bins.at(t), number(t, 3)) for t in bins.ticks()], [(heights.at(t), count(t)) for t in heights.ticks()], "score")
    body += [_bar(area, bins, heights, i, n, scores.threshold) for i, n in enumerate(tonight) if n]
    if calibration:
        body.append(_outline(area, calibration, heights))
    body += _threshold_line(area, bins.at(scores.threshold), scores.threshold) if scores.threshold is not None else []
    title = "How tonight's scores are spread"
    said = f"the threshold is {number(scores.threshold)}" if scores.threshold is not None else "there is no threshold"
    description = f"Histogram of {count(sum(scores.tonight))} scores from {number(edges[0])} to {number(edges[-1])}, counts on a log axis; {said}."
    return _svg("histogram", (area.width, area.height), title, description, body)


def _bar(area: _Area, bins: Bins, heights: LogCount, i: int, n: float, threshold: float | None) -> Markup:
    past = threshold is not None and bins.edges[i] + (bins.edges[i + 1] - bins.edges[i]) / 2 >= threshold
    total = len(bins.edges) - 1
    x, y, floor = area.x(i / total), area.y(heights.at(n)), area.y(0)
    width = max(0.6, area.x((i + 1) / total) - x - 0.7)
    hint = f"{count(n)} rows score {number(bins.edges[i])} to {number(bins.edges[i + 1])}"
    bar = _tag("rect", class_="c-hot" if past else "c-bar", x=x, y=y, width=width, height=floor - y)
    return Markup("<g>{}{}</g>").format(_tag("title", hint), bar)


def _outline(area: _Area, counts: Sequence[float], heights: LogCount) -> Markup:
    points = [(area.x(0), area.y(0))]
    for i, n in enumerate(counts):
        y = area.y(heights.at(n))
        points += [(area.x(i / len(counts)), y), (area.x((i + 1) / len(counts)), y)]
    return _path([*points, (area.x(1), area.y(0))], "c-outline")


def _threshold_line(area: _Area, share: float, threshold: float) -> list[Markup]:
    x = area.x(share)
    anchor = "end" if share > 0.55 else "start"
    label = _tag("text", f"threshold {number(threshold, 3)}", class_="c-mark", x=x + (-4 if anchor == "end" else 4), y=area.top - 8, text_anchor=anchor)
    return [_tag("line", class_="c-threshold", x1=x, x2=x, y1=area.top - 16, y2=area.y(0)), label]


def alert_curve(scores: ScoreDistribution, budget: float | None = None) -> Markup:
    """Draw how many alerts tonight would have had at other thresholds, with the one in force and the alert budget.

    Args:
        scores: `alert_curve` holds (threshold, alerts) pairs.
        budget: Alerts a night that a person wants to see; drawn as a dashed line.
    """
    pairs = sorted((t, n) for t, n in scores.alert_curve if math.isfinite(t))
    if len(pairs) < 2 or pairs[0][0] == pairs[-1][0]:
        return NOTHING
    points = thinned(pairs, MOST_POINTS)
    area, heights = _Area(), LogCount(max([n for _, n in points] + [budget or 0]))
    low, high = points[0][0], points[-1][0]
    scale: Linear | LogValue = LogValue(low, high) if low > 0 and high / low > 30 else Linear(low, high)
    x_ticks = [(scale.at(t), number(t, 3)) for t in scale.ticks()]
    body = _axes(area, x_ticks, [(heights.at(t), count(t)) for t in heights.ticks()], "threshold")
    body.append(_path([(area.x(scale.at(t)), area.y(heights.at(n))) for t, n in points], "c-line"))
    if budget:
        y = area.y(heights.at(budget))
        body.append(_tag("line", class_="c-budget", x1=area.left, x2=area.x(1), y1=y, y2=y))
        body.append(_tag("text", f"budget {number(budget, 3)}", class_="c-name", x=area.x(1), y=y - 4, text_anchor="end"))
    description = f"From {count(points[0][1])} alerts at {number(low)} to {count(points[-1][1])} at {number(high)}, counts on a log axis."
    if scores.threshold is not None:
        alerts = min(pairs, key=lambda pair: abs(pair[0] - (scores.threshold or 0.0)))[1]
        share = scale.at(scores.threshold)
        body += _threshold_line(area, share, scores.threshold)
        body.append(_tag("circle", class_="c-dot", cx=area.x(share), cy=area.y(heights.at(alerts)), r=4.0))
        description += f" In force: {number(scores.threshold)}."
    return _svg("alertcurve", (area.width, area.height), "Alerts against threshold", description, body)


def training_curve(training: TrainingSummary) -> Markup:
    """Draw the loss of each epoch on the rows that were fitted (solid) and on those held out (dashed), and the best epoch."""
    series = [("fit", training.loss, "c-line"), ("held out", training.held_out_loss, "c-dash")]
    drawn = [(name, [(i + 1, v) for i, v in enumerate(values) if math.isfinite(v)], kind) for name, values, kind in series]
    values = [v for _, points, _ in drawn for _, v in points]
    epochs = max((points[-1][0] for _, points, _ in drawn if points), default=0)
    if epochs < 2 or len(values) < 2:
        return NOTHING
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    scale: Linear | LogValue = LogValue(low, high) if low > 0 and high / low > 8 else Linear(low, high)
    area, across = _Area(), Linear(1, epochs)
    x_ticks = [(across.at(t), count(t)) for t in across.ticks() if t >= 1 and t == round(t)]
    body = _axes(area, x_ticks, [(scale.at(t), number(t, 3)) for t in scale.ticks()], "epoch")
    for _, points, kind in drawn:
        if points:
            body.append(_path([(area.x(across.at(e)), area.y(scale.at(v))) for e, v in thinned(points, MOST_POINTS)], kind))
    description = f"{epochs} epochs; " + "; ".join(f"{n} from {number(p[0][1])} to {number(p[-1][1])}" for n, p, _ in drawn if p) + "."
    if drawn[1][1]:
        epoch, best = min(drawn[1][1], key=lambda point: point[1])
        share = across.at(epoch)
        body.append(_tag("circle", class_="c-dot", cx=area.x(share), cy=area.y(scale.at(best)), r=4.0))
        anchor = "end" if share > 0.5 else "start"
        body.append(_tag("text", f"best: epoch {epoch}, {number(best, 3)}", class_="c-mark", x=area.x(share), y=area.top - 8, text_anchor=anchor))
    return _svg("training", (area.width, area.height), "Loss of each training epoch", description, body)


def stage_bars(stages: Sequence[tuple[str, float]]) -> Markup:
    """Draw how long each stage took, in the order given, one bar each.

    Args:
        stages: (stage, seconds) pairs.
    """
    known = [(name, s) for name, s in stages if math.isfinite(s) and s >= 0][:MOST_STAGES]
    if not known:
        return NOTHING
    longest = max(s for _, s in known) or 1.0
    left, row = 86.0, 19.0
    body: list[Markup] = []
    for i, (name, taken) in enumerate(known):
        y = i * row + 3
        body.append(_tag("text", shortened(name, 14)[0], class_="c-label", x=left - 8, y=y + 11, text_anchor="end"))
        width = max(1.0, taken / longest * (WIDTH - left - 62))
        body.append(_tag("rect", class_="c-bar", x=left, y=y + 1.5, width=width, height=11.0, rx="2"))
        body.append(_tag("text", seconds(taken), class_="c-value", x=left + width + 6, y=y + 11))
    slowest = max(known, key=lambda stage: stage[1])
    description = f"{len(known)} stages; the longest, {shortened(slowest[0], 40)[0]}, took {seconds(slowest[1])}."
    return _svg("stages", (WIDTH, row * len(known) + 4), "Seconds of each stage", description, body)


def rows_bar(rows: RowCounts) -> Markup:
    """Draw where the rows went: accepted (filled), quarantined (dark), held (dashed outline)."""
    if rows.read <= 0:
        return NOTHING
    parts = [("accepted", rows.accepted, "c-bar"), ("quarantined", rows.quarantined, "c-hot"), ("held", rows.held, "c-held")]
    shown = [(name, n, kind) for name, n, kind in parts if n > 0]
    space = WIDTH - 2.0 * (len(shown) - 1) - 2.0
    # A part that is there is seen, however small it is beside the others.
    widths = [max(3.0, space * n / rows.read) for _, n, _ in shown]
    widths = [w * space / sum(widths) for w in widths]
    body, x = [], 1.0
    for (name, n, kind), width in zip(shown, widths, strict=True):
        rect = _tag("rect", class_=kind, x=x, y=1.0, width=width, height=14.0)
        body.append(Markup("<g>{}{}</g>").format(_tag("title", f"{count(n)} {name}"), rect))
        x += width + 2.0
    description = ", ".join(f"{name} {count(n)} ({percent(n, rows.read)})" for name, n, _ in parts) + "."
    return _svg("rows", (WIDTH, 16.0), f"Where {count(rows.read)} rows went", description, body, "none")


def timeline(name: str, label: str, nights: Sequence[Night]) -> Markup:
    """Draw one measure over the last nights, a bar each; tonight is emphasised, nights that are not done carry a mark.

    Args:
        name: A word that is unique on the page, for ids.
        label: What the bars count.
        nights: Oldest first.
    """
    if not nights:
        return NOTHING
    most = max((n.value for n in nights if n.value is not None and math.isfinite(n.value)), default=0.0)
    area = _Area(84.0, WIDTH, left=2.0, right=2.0, top=16.0, bottom=26.0)
    step = (area.x(1) - area.left) / max(len(nights), 7)
    body = [_tag("line", class_="c-axis", x1=area.left, x2=area.x(1), y1=area.y(0), y2=area.y(0))]
    for i, night in enumerate(nights):
        body.append(_night(area, night, area.left + i * step, step, most))
    body.append(_tag("text", nights[0].date[-5:], class_="c-tick", x=area.left, y=area.height - 2))
    if len(nights) > 1:
        last = area.left + len(nights) * step
        body.append(_tag("text", nights[-1].date[-5:], class_="c-tick", x=last, y=area.height - 2, text_anchor="end"))
    marked = [f"{n.date} {n.status}" for n in nights if n.status not in ("done", "skipped")]
    description = f"{len(nights)} nights, at most {count(most)}; {'not done: ' + ', '.join(marked[:8]) if marked else 'all done'}."
    return _svg(f"timeline-{name}", (area.width, area.height), label, description, body)


def _night(area: _Area, night: Night, x: float, step: float, most: float) -> Markup:
    width, floor = max(1.0, min(step * 0.72, 22.0)), area.y(0)
    middle = x + width / 2
    value = night.value if night.value is not None and math.isfinite(night.value) else None
    said = f"{night.date}: {count(value) if value is not None else 'no figure'}" + ("" if night.status == "done" else f" ({night.status})")
    parts = [_tag("title", said)]
    if value is None:
        parts.append(_tag("rect", class_="c-held", x=x + 0.5, y=area.y(0.55), width=width - 1, height=floor - area.y(0.55)))
    else:
        y = area.y(value / most if most > 0 else 0.0)
        height = max(floor - y, 1.2 if value else 0.0)
        parts.append(_tag("rect", class_="c-tonight" if night.tonight else "c-bar", x=x, y=floor - height, width=width, height=height))
    if night.tonight and value is not None:
        y = area.y(value / most if most > 0 else 0.0) - 4
        parts.append(_tag("text", count(value), class_="c-mark", x=middle, y=y, text_anchor="middle"))
    if night.status not in ("done", "skipped"):
        parts.append(_status_mark(night.status, middle, floor + 7))
    return Markup("<g>{}</g>").format(Markup("").join(parts))


def _status_mark(status: str, x: float, y: float) -> Markup:
    """Shapes, so that the marks differ without colour: square blocked, cross failed, ring missing, diamond partial."""
    if status == "blocked":
        return _tag("rect", class_="m-blocked", x=x - 3, y=y - 3, width=6.0, height=6.0)
    if status == "failed":
        return _tag("path", class_="m-failed", d=f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6")
    if status == "missing":
        return _tag("circle", class_="m-missing", cx=x, cy=y, r=2.8)
    return _tag("path", class_="m-partial", d=f"M{x:.1f} {y - 3.6:.1f}l3.6 3.6l-3.6 3.6l-3.6 -3.6z")
