"""The timeline: one measure over the last nights, as small bars; nights that are not done carry a mark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tasks.chart_svg import NOTHING, WIDTH, Area, svg, tag
from tasks.report_text import count


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
    area = Area(84.0, WIDTH, left=2.0, right=2.0, top=16.0, bottom=26.0)
    step = (area.x(1) - area.left) / max(len(nights), 7)
    body = [tag("line", class_="c-axis", x1=area.left, x2=area.x(1), y1=area.y(0), y2=area.y(0))]
    for i, night in enumerate(nights):
        body.append(_night(area, night, area.left + i * step, step, most))
    body.append(tag("text", nights[0].date[-5:], class_="c-tick", x=area.left, y=area.height - 2))
    if len(nights) > 1:
        last = area.left + len(nights) * step
        body.append(tag("text", nights[-1].date[-5:], class_="c-tick", x=last, y=area.height - 2, text_anchor="end"))
    marked = [f"{n.date} {n.status}" for n in nights if n.status not in ("done", "skipped")]
    said = f"not done: {', '.join(marked[:8])}" if marked else "all done"
    description = f"{len(nights)} nights, at most {count(most)}; {said}."
    return svg(f"timeline-{name}", (area.width, area.height), label, description, body)


def _night(area: Area, night: Night, x: float, step: float, most: float) -> Markup:
    width, floor = max(1.0, min(step * 0.72, 22.0)), area.y(0)
    middle = x + width / 2
    value = night.value if night.value is not None and math.isfinite(night.value) else None
    said = f"{night.date}: {count(value) if value is not None else 'no figure'}" + (
        "" if night.status == "done" else f" ({night.status})"
    )
    parts = [tag("title", said)]
    if value is None:
        parts.append(
            tag("rect", class_="c-held", x=x + 0.5, y=area.y(0.55), width=width - 1, height=floor - area.y(0.55))
        )
    else:
        y = area.y(value / most if most > 0 else 0.0)
        height = max(floor - y, 1.2 if value else 0.0)
        parts.append(
            tag(
                "rect",
                class_="c-tonight" if night.tonight else "c-bar",
                x=x,
                y=floor - height,
                width=width,
                height=height,
            )
        )
    if night.tonight and value is not None:
        y = area.y(value / most if most > 0 else 0.0) - 4
        parts.append(tag("text", count(value), class_="c-mark", x=middle, y=y, text_anchor="middle"))
    if night.status not in ("done", "skipped"):
        parts.append(_status_mark(night.status, middle, floor + 7))
    return Markup("<g>{}</g>").format(Markup("").join(parts))


def _status_mark(status: str, x: float, y: float) -> Markup:
    """Shapes, so that the marks differ without colour: square blocked, cross failed, ring missing, diamond partial."""
    if status == "blocked":
        return tag("rect", class_="m-blocked", x=x - 3, y=y - 3, width=6.0, height=6.0)
    if status == "failed":
        return tag("path", class_="m-failed", d=f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6")
    if status == "missing":
        return tag("circle", class_="m-missing", cx=x, cy=y, r=2.8)
    return tag("path", class_="m-partial", d=f"M{x:.1f} {y - 3.6:.1f}l3.6 3.6l-3.6 3.6l-3.6 -3.6z")
