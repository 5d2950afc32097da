"""How well detectors find planted anomalies, kind by kind: what the gate leaves for report, ledger and JSON."""

from __future__ import annotations

from pydantic import Field

from schemas.detector import Frozen

CHALLENGER, CHAMPION = "challenger", "champion"
WORST = 3
BEHIND = 0.02


class KindFound(Frozen):
    """One kind of planted anomalies.

    Args (fields):
        kind: Its name; `rows`: how many were planted.
        auroc: Detector to the chance that it scores one of them above a usual row.
    """

    kind: str
    rows: int
    auroc: dict[str, float]


class Battery(Frozen):
    """All kinds, each with what every detector finds of it.

    Args (fields):
        rows: Usual rows, each with a planted twin.
        is_recent: Whether they are the newest half of the held-out rows; else they are all of them.
        all: Detector to its AUROC on all kinds together.
        kinds: In the order in which people read them.
    """

    rows: int = 0
    is_recent: bool = False
    all: dict[str, float] = Field(default_factory=dict)
    kinds: tuple[KindFound, ...] = ()

    def weakest(self) -> str:
        """The kinds of which the challenger finds least, and those in which another is ahead, in one sentence."""
        ranked = sorted((kind for kind in self.kinds if CHALLENGER in kind.auroc), key=lambda k: k.auroc[CHALLENGER])
        if not ranked:
            return ""
        least = ", ".join(f"{kind.kind} ({kind.auroc[CHALLENGER]:.3f})" for kind in ranked[:WORST])
        behind = [said for kind in self.kinds if (said := _behind(kind))]
        ahead = f"; others are ahead in {', '.join(behind)}" if behind else "; no other is ahead in any kind"
        return f"the challenger finds least of {least}{ahead}"


def _behind(kind: KindFound) -> str:
    """Who is ahead in a kind, if somebody is by more than a hair."""
    others = {name: value for name, value in kind.auroc.items() if name != CHALLENGER}
    best = max(others, key=lambda name: others[name], default=None)
    if best is None or others[best] <= kind.auroc[CHALLENGER] + BEHIND:
        return ""
    return f"{kind.kind} ({best} {others[best]:.3f})"
