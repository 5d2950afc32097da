"""The attacks of the simulated week: each kind turns ordinary flows into what an intruder's flows look like."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tasks.simulate_traffic import BY_NAME, SERVICES, ZONE_TTL, ZONES, draw_behaviour, rounded

Attack = Callable[[int, np.random.Generator], pd.DataFrame]


@dataclass(frozen=True)
class Kind:
    """One kind of attack; `inside_range` kinds hold no value that is unusual for its own column."""

    name: str
    inside_range: bool
    draw: Attack


def _near(service: str, rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw answered flows near the middle of a service."""
    return draw_behaviour(np.full(rows, BY_NAME[service]), rng, spread=0.3)


def _exfiltration(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Hundreds of megabytes leave through an encrypted web session."""
    packets = rng.uniform(2e5, 6e5, rows)
    return _near("https", rows, rng).assign(
        src_packets=packets,
        dst_packets=packets * 0.5,
        src_bytes=packets * 1400,
        dst_bytes=packets * 0.5 * 60,
        duration_s=rng.uniform(1200, 4000, rows),
    )


def _flood(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Hundreds of thousands of pings in seconds, of which the host answers one in thirty."""
    packets = rng.uniform(3e5, 1.5e6, rows)
    return _near("ping", rows, rng).assign(
        src_packets=packets,
        dst_packets=packets / 30,
        src_bytes=packets * 84,
        dst_bytes=packets / 30 * 84,
        duration_s=rng.uniform(10, 60, rows),
    )


def _marathon(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """A remote shell that stays open for most of a day, hardly used."""
    packets = rng.uniform(40, 80, rows)
    return _near("ssh", rows, rng).assign(
        src_packets=packets,
        dst_packets=packets * 1.1,
        src_bytes=packets * 95,
        dst_bytes=packets * 1.1 * 130,
        duration_s=rng.uniform(60_000, 85_000, rows),
    )


def _amplification(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """One small question to a time server, an avalanche of answers."""
    packets = rng.uniform(2.5e5, 8e5, rows)
    return _near("ntp", rows, rng).assign(
        dst_packets=packets, dst_bytes=packets * 468, duration_s=rng.uniform(20, 120, rows)
    )


def _dns_tunnel(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Name look-ups that carry as much as a file share does, in both directions."""
    packets = rng.uniform(70, 160, rows)
    return _near("dns", rows, rng).assign(
        src_packets=packets,
        dst_packets=packets * 1.05,
        src_bytes=packets * 220,
        dst_bytes=packets * 1.05 * 240,
        duration_s=packets * rng.uniform(0.2, 0.5, rows),
    )


def _slow_upload(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """A web session whose client sends like a server: full packets out at leisure, few bare answers back."""
    packets = rng.uniform(150, 350, rows)
    return _near("https", rows, rng).assign(
        src_packets=packets,
        dst_packets=packets * 0.08,
        src_bytes=packets * 1350,
        dst_bytes=packets * 0.08 * 60,
        duration_s=rng.uniform(200, 400, rows),
    )


def _beacon(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """A web session that only keeps in touch: near-empty packets, one every few seconds."""
    packets = rng.uniform(18, 40, rows)
    return _near("https", rows, rng).assign(
        src_packets=packets,
        dst_packets=packets,
        src_bytes=packets * 54,
        dst_bytes=packets * 54,
        duration_s=packets * rng.uniform(6, 9, rows),
    )


def _pivot(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """A camera or sensor reads a file share, on the port that its telemetry uses."""
    return _near("smb", rows, rng).assign(
        src_zone="iot", src_ttl=int(ZONE_TTL[ZONES.index("iot")]), dst_port=SERVICES[BY_NAME["mqtt"]].port
    )


KINDS = (
    Kind("exfiltration", False, _exfiltration),
    Kind("dns_tunnel", True, _dns_tunnel),
    Kind("flood", False, _flood),
    Kind("slow_upload", True, _slow_upload),
    Kind("marathon", False, _marathon),
    Kind("beacon", True, _beacon),
    Kind("amplification", False, _amplification),
    Kind("pivot", True, _pivot),
)


def plant(frame: pd.DataFrame, rows: int, first: int, rng: np.random.Generator) -> tuple[pd.DataFrame, dict[int, Kind]]:
    """Turn some flows of a night into attacks; their key and start stay what they were.

    Args:
        frame: The night's ordinary flows.
        rows: How many attack rows to plant, the kinds taking turns.
        first: Position in `KINDS` of the kind that begins, so that nights do not all favour the same kinds.
        rng: Source of chance.

    Returns:
        The night with the attacks in it, and the kind planted at each changed row position.
    """
    positions = rng.choice(len(frame), size=rows, replace=False).tolist()
    turns = [(first + turn) % len(KINDS) for turn in range(rows)]
    changed = frame.copy()
    for code in sorted(set(turns)):
        where = [position for position, turn in zip(positions, turns, strict=True) if turn == code]
        drawn = rounded(KINDS[code].draw(len(where), rng))
        drawn.index = frame.index[where]
        changed.loc[drawn.index, drawn.columns] = drawn
    return changed, {position: KINDS[turn] for position, turn in zip(positions, turns, strict=True)}
