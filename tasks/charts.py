"""The report's charts: pure functions from numbers to inline SVG.

Each has a title and a description for those who cannot see it, takes its colours from the page's stylesheet by class,
and tells its series apart by shape and words as well as by colour. A chart of nothing is empty markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from schemas.results import RowCounts, ScoreDistribution, TrainingSummary
from tasks.chart_scales import Bins, Linear, LogCount, LogValue, merged, rising, thinned
from tasks.chart_svg import NOTHING, WIDTH, Area, axes, path, svg, tag, threshold_line
from tasks.report_text import count, number, percent

MOST_BINS = 72
MOST_POINTS = 160


def histogram(scores: ScoreDistribution) -> Markup:
    """Draw tonight's scores as bars (counts on a log axis), calibration as an outline, the threshold as a line.

    Args:
        scores: `edges` [bins + 1] rising, `tonight` and `calibration` [bins] counts; the outline is scaled to
            tonight's rows.
    """
    if not rising(scores.edges) or len(scores.tonight) != len(scores.edges) - 1 or not any(scores.tonight):
        return NOTHING
    tonight, edges = merged(scores.tonight, scores.edges, MOST_BINS)
    calibration: list[float] = []
    if len(scores.calibration) == len(scores.tonight) and any(scores.calibration):
        scale = sum(scores.tonight) / sum(scores.calibration)
        calibration = [n * scale for n in merged(scores.calibration, scores.edges, MOST_BINS)[0]]
    area, bins = Area(), Bins(tuple(edges))
    heights = LogCount(max([*tonight, *calibration]))
    body = axes(
        area,
        [(bins.at(t), number(t, 3)) for t in bins.ticks()],
        [(heights.at(t), count(t)) for t in heights.ticks()],
        "score",
    )
    body += [_bar(area, bins, heights, i, n, scores.threshold) for i, n in enumerate(tonight) if n]
    if calibration:
        body.append(_outline(area, calibration, heights))
    body += threshold_line(area, bins.at(scores.threshold), scores.threshold) if scores.threshold is not None else []
    title = "How tonight's scores are spread"
    said = f"the threshold is {number(scores.threshold)}" if scores.threshold is not None else "there is no threshold"
    span = f"{number(edges[0])} to {number(edges[-1])}"
    description = f"Histogram of {count(sum(tonight))} scores from {span}, counts on a log axis; {said}."
    return svg("histogram", (area.width, area.height), title, description, body)


def _bar(area: Area, bins: Bins, heights: LogCount, i: int, n: float, threshold: float | None) -> Markup:
    past = threshold is not None and bins.edges[i] + (bins.edges[i + 1] - bins.edges[i]) / 2 >= threshold
    total = len(bins.edges) - 1
    x, y, floor = area.x(i / total), area.y(heights.at(n)), area.y(0)
    width = max(0.6, area.x((i + 1) / total) - x - 0.7)
    hint = f"{count(n)} rows score {number(bins.edges[i])} to {number(bins.edges[i + 1])}"
    bar = tag("rect", class_="c-hot" if past else "c-bar", x=x, y=y, width=width, height=floor - y)
    return Markup("<g>{}{}</g>").format(tag("title", hint), bar)


def _outline(area: Area, counts: Sequence[float], heights: LogCount) -> Markup:
    points = [(area.x(0), area.y(0))]
    for i, n in enumerate(counts):
        y = area.y(heights.at(n))
        points += [(area.x(i / len(counts)), y), (area.x((i + 1) / len(counts)), y)]
    return path([*points, (area.x(1), area.y(0))], "c-outline")


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
    area, heights = Area(), LogCount(max([n for _, n in points] + [budget or 0]))
    low, high = points[0][0], points[-1][0]
    scale: Linear | LogValue = LogValue(low, high) if low > 0 and high / low > 30 else Linear(low, high)
    x_ticks = [(scale.at(t), number(t, 3)) for t in scale.ticks()]
    body = axes(area, x_ticks, [(heights.at(t), count(t)) for t in heights.ticks()], "threshold")
    body.append(path([(area.x(scale.at(t)), area.y(heights.at(n))) for t, n in points], "c-line"))
    if budget:
        y = area.y(heights.at(budget))
        body.append(tag("line", class_="c-budget", x1=area.left, x2=area.x(1), y1=y, y2=y))
        body.append(
            tag("text", f"budget {number(budget, 3)}", class_="c-name", x=area.x(1), y=y - 4, text_anchor="end")
        )
    ends = [f"{count(n)} alerts at {number(t)}" for t, n in (points[0], points[-1])]
    description = f"From {ends[0]} to {ends[1]}, counts on a log axis."
    if scores.threshold is not None:
        alerts = min(pairs, key=lambda pair: abs(pair[0] - (scores.threshold or 0.0)))[1]
        share = scale.at(scores.threshold)
        body += threshold_line(area, share, scores.threshold)
        body.append(tag("circle", class_="c-dot", cx=area.x(share), cy=area.y(heights.at(alerts)), r=4.0))
        description += f" In force: {number(scores.threshold)}."
    return svg("alertcurve", (area.width, area.height), "Alerts against threshold", description, body)


def training_curve(training: TrainingSummary) -> Markup:
    """Draw each epoch's loss on the fitted rows (solid) and on those held out (dashed), and the best epoch."""
    series = [("fit", training.loss, "c-line"), ("held out", training.held_out_loss, "c-dash")]
    drawn = [
        (name, [(i + 1, v) for i, v in enumerate(values) if math.isfinite(v)], kind) for name, values, kind in series
    ]
    values = [v for _, points, _ in drawn for _, v in points]
    epochs = max((points[-1][0] for _, points, _ in drawn if points), default=0)
    if epochs < 2 or len(values) < 2:
        return NOTHING
    low, high = min(values), max(values)
    pad = (high - low) * 0.05 or 0.5
    low, high = (low - pad if low - pad > 0 or low <= 0 else low * 0.95), high + pad
    scale: Linear | LogValue = LogValue(low, high) if low > 0 and high / low > 8 else Linear(low, high)
    area, across = Area(), Linear(1, epochs)
    x_ticks = [(across.at(t), count(t)) for t in across.ticks() if t >= 1 and t == round(t)]
    body = axes(area, x_ticks, [(scale.at(t), number(t, 3)) for t in scale.ticks()], "epoch")
    for _, points, kind in drawn:
        if points:
            body.append(
                path([(area.x(across.at(e)), area.y(scale.at(v))) for e, v in thinned(points, MOST_POINTS)], kind)
            )
    description = (
        f"{epochs} epochs; "
        + "; ".join(f"{n} from {number(p[0][1])} to {number(p[-1][1])}" for n, p, _ in drawn if p)
        + "."
    )
    if drawn[1][1]:
        epoch, best = min(drawn[1][1], key=lambda point: point[1])
        share = across.at(epoch)
        body.append(tag("circle", class_="c-dot", cx=area.x(share), cy=area.y(scale.at(best)), r=4.0))
        anchor = "end" if share > 0.5 else "start"
        body.append(
            tag(
                "text",
                f"best: epoch {epoch}, {number(best, 3)}",
                class_="c-mark",
                x=area.x(share),
                y=area.y(scale.at(best)) - 9,
                text_anchor=anchor,
            )
        )
    return svg("training", (area.width, area.height), "Loss of each training epoch", description, body)


def rows_bar(rows: RowCounts) -> Markup:
    """Draw where the rows went: accepted (filled), quarantined (dark), held (dashed outline)."""
    if rows.read <= 0:
        return NOTHING
    parts = [
        ("accepted", rows.accepted, "c-bar"),
        ("quarantined", rows.quarantined, "c-quarantined"),
        ("held", rows.held, "c-held"),
    ]
    shown = [(name, n, kind) for name, n, kind in parts if n > 0]
    space = WIDTH - 2.0 * (len(shown) - 1) - 2.0
    # A part that is there is seen, however small it is beside the others.
    widths = [max(3.0, space * n / rows.read) for _, n, _ in shown]
    widths = [w * space / sum(widths) for w in widths]
    body, x = [], 1.0
    for (name, n, kind), width in zip(shown, widths, strict=True):
        rect = tag("rect", class_=kind, x=x, y=1.0, width=width, height=14.0)
        body.append(Markup("<g>{}{}</g>").format(tag("title", f"{count(n)} {name}"), rect))
        x += width + 2.0
    description = ", ".join(f"{name} {count(n)} ({percent(n, rows.read)})" for name, n, _ in parts) + "."
    return svg("rows", (WIDTH, 16.0), f"Where {count(rows.read)} rows went", description, body, "none")
