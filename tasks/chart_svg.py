"""Pieces of SVG that the charts are made of: elements, axes, the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tasks.report_text import number, shortened

WIDTH = 360.0
"""Of a small chart."""
WIDE = 520.0
NOTHING = Markup("")


@dataclass(frozen=True)
class Area:
    """The inner rectangle of a chart, in the units of its viewBox."""

    height: float = 220.0
    width: float = WIDE
    left: float = 44.0
    right: float = 12.0
    top: float = 24.0
    bottom: float = 32.0

    def x(self, share: float) -> float:
        """Return where a share 0..1 of the width lies."""
        return self.left + share * (self.width - self.left - self.right)

    def y(self, share: float) -> float:
        """Return where a share 0..1 of the height lies; 0 is the floor."""
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)


def tag(name: str, text: str | None = None, **attributes: str | float) -> Markup:
    """Return one element; `class_` stands for `class`, `_` for `-`. Text is bounded, made visible and escaped."""
    parts = Markup("")
    for key, value in attributes.items():
        shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
        parts += Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), shown)
    if text is None:
        return Markup("<{}{}/>").format(name, parts)
    return Markup("<{0}{1}>{2}</{0}>").format(name, parts, shortened(text)[0])


def svg(
    name: str,
    box: tuple[float, float],
    title: str,
    description: str,
    body: Sequence[Markup],
    fit: str = "xMidYMid",
) -> Markup:
    """Return a whole chart.

    Args:
        name: A word that is unique on the page: class and ids.
        box: Width and height, in units of its own; the page scales it.
        title: What it shows, for those who cannot see it.
        description: What there is to see.
        body: Its elements.
        fit: `preserveAspectRatio`.
    """
    size = "wide" if box[0] > WIDTH else "small"
    return Markup(
        '<svg class="chart {7} {0}" viewBox="0 0 {1:.0f} {2:.0f}" preserveAspectRatio="{6}" role="img"'
        ' aria-labelledby="{0}-t {0}-d"><title id="{0}-t">{3}</title><desc id="{0}-d">{4}</desc>{5}</svg>'
    ).format(name, *box, shortened(title)[0], shortened(description, 400)[0], Markup("").join(body), fit, size)


def path(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    """Return a line through points [(x, y)] of a class."""
    steps = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    return tag("path", class_=kind, d=steps)


def axes(
    area: Area, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], x_name: str
) -> list[Markup]:
    """Return the floor, the grid and the ticks; a tick is (position 0..1, label)."""
    right, floor = area.x(1), area.y(0)
    out = [tag("line", class_="c-axis", x1=area.left, x2=right, y1=floor, y2=floor)]
    for share, label in y_ticks:
        y = area.y(share)
        out.append(tag("line", class_="c-grid", x1=area.left, x2=right, y1=y, y2=y))
        out.append(tag("text", label, class_="c-tick", x=area.left - 5, y=y + 3.5, text_anchor="end"))
    for share, label in x_ticks:
        anchor = "end" if share > 0.95 else "middle"
        out.append(tag("text", label, class_="c-tick", x=area.x(share), y=floor + 13, text_anchor=anchor))
    out.append(tag("text", x_name, class_="c-name", x=right, y=area.height - 3, text_anchor="end"))
    return out


def threshold_line(area: Area, share: float, threshold: float) -> list[Markup]:
    """Return the threshold as a line with its label."""
    x = area.x(share)
    anchor = "end" if share > 0.55 else "start"
    label = tag(
        "text",
        f"threshold {number(threshold, 3)}",
        class_="c-mark",
        x=x + (-4 if anchor == "end" else 4),
        y=area.top - 8,
        text_anchor=anchor,
    )
    return [tag("line", class_="c-threshold", x1=x, x2=x, y1=area.top - 16, y2=area.y(0)), label]
