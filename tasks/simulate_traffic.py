"""Ordinary traffic of the simulated network: services, daily rhythm, and how the columns of a flow hang together."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

ZONES = ("office", "guest", "servers", "iot")
ZONE_TTL = np.array([127, 63, 64, 254])

# Three shapes of a day, one weight an hour (0 to 23): people at desks, machines that never sleep, jobs before dawn.
_OFFICE = np.array([1, 1, 1, 1, 1, 2, 4, 9, 16, 20, 20, 18, 13, 17, 20, 19, 17, 12, 7, 5, 4, 3, 2, 1], dtype=float)
_STEADY = np.full(24, 9.0)
_DAWN = np.array([4, 20, 30, 26, 12, 4] + [1] * 18, dtype=float)


@dataclass(frozen=True)
class Service:
    """How one service behaves: what a flow of it looks like, and who asks for it at what time of the day."""

    name: str
    proto: str
    port: int
    share: float
    """Weight among all services, before the daily rhythm."""
    rhythm: npt.NDArray[np.float64]
    zones: tuple[float, float, float, float]
    """Weights in the order of `ZONES`; 0 means that the zone never asks for the service."""
    packets: float
    """Median number of packets from the client."""
    spread: float
    """Standard deviation of the logarithm of the client's packets."""
    answer: float
    """Packets of the server for one packet of the client."""
    src_size: float
    dst_size: float
    pace: float
    """Seconds for one packet of the client."""
    hosts: int
    rtt: float
    """Typical round trip in milliseconds."""


SERVICES = (
    Service("dns", "udp", 53, 22, _OFFICE + 3, (6, 2, 3, 1), 1, 0.5, 1.0, 68, 150, 0.012, 6, 3.0),
    Service("https", "tcp", 443, 26, _OFFICE, (7, 3, 1, 0), 18, 0.7, 1.4, 140, 950, 0.12, 150, 22.0),
    Service("http", "tcp", 80, 8, _OFFICE, (5, 4, 1, 0), 12, 0.6, 1.3, 120, 800, 0.10, 60, 33.0),
    Service("ssh", "tcp", 22, 6, _OFFICE, (3, 0, 2, 0), 130, 0.6, 1.1, 95, 130, 1.2, 20, 1.2),
    Service("smtp", "tcp", 25, 5, _OFFICE, (4, 0, 3, 0), 24, 0.5, 0.7, 820, 75, 0.09, 15, 30.0),
    Service("imap", "tcp", 993, 6, _OFFICE, (5, 1, 0, 0), 16, 0.5, 1.2, 100, 620, 0.60, 8, 18.0),
    Service("smb", "tcp", 445, 7, _OFFICE, (6, 0, 2, 0), 160, 0.7, 1.1, 210, 900, 0.05, 12, 0.8),
    Service("ntp", "udp", 123, 7, _STEADY, (2, 1, 3, 4), 1, 0.3, 1.0, 76, 76, 0.012, 4, 12.0),
    Service("snmp", "udp", 161, 5, _STEADY, (0, 0, 1, 0), 5, 0.3, 1.0, 88, 125, 0.05, 30, 0.9),
    Service("mqtt", "tcp", 8883, 9, _STEADY, (0, 0, 0, 1), 20, 0.4, 0.9, 92, 78, 14.0, 3, 2.0),
    Service("rsync", "tcp", 873, 5, _DAWN, (0, 0, 1, 0), 4200, 0.8, 0.5, 1390, 62, 0.006, 5, 0.7),
    Service("ping", "icmp", 0, 4, _STEADY, (1, 0, 3, 0), 4, 0.3, 1.0, 84, 84, 1.0, 40, 1.5),
)
BY_NAME = {service.name: code for code, service in enumerate(SERVICES)}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _column(field: str) -> Floats:
    return np.array([getattr(service, field) for service in SERVICES], dtype=float)


def hourly_mix() -> Floats:
    """Give the share of each (hour, service) in a day's flows, shape [24, services], summing to 1."""
    rhythm = np.stack([service.rhythm / service.rhythm.sum() for service in SERVICES], axis=1)
    mix = rhythm * _column("share")
    return np.asarray(mix / mix.sum())


def ordinary_flows(night: date, rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw one night of ordinary flows, ordered by their start.

    Args:
        night: The day that the flows start on.
        rows: How many flows.
        rng: Source of chance; the same state gives the same flows.

    Returns:
        One row a flow with the columns of a flow collector; bytes and packets are counts, `duration_s` is in seconds,
        `rtt_ms` in milliseconds.
    """
    mix = hourly_mix()
    slots = rng.choice(mix.size, size=rows, p=mix.ravel())
    seconds = (slots // mix.shape[1]) * 3600 + rng.uniform(0, 3600, rows)
    order = np.argsort(seconds, kind="stable")
    services = (slots % mix.shape[1])[order]
    starts = np.datetime64(night, "ms") + (seconds[order] * 1000).astype("timedelta64[ms]")
    frame = pd.DataFrame(
        {
            "flow_id": [f"F{night:%y%m%d}-{number:05d}" for number in range(1, rows + 1)],
            "community_id": [f"1:{value:016x}" for value in rng.integers(0, 2**63, rows)],
            "start_time": np.datetime_as_string(starts, unit="ms", timezone="UTC"),
            "collector": "edge-1",
        }
    )
    behaviour = draw_behaviour(services, rng)
    _end_badly(behaviour, rng)
    behaviour = rounded(behaviour)
    return pd.concat([frame, behaviour, pd.DataFrame({"remark": _remarks(rows, rng)})], axis=1)


def draw_behaviour(services: Ints, rng: np.random.Generator, spread: float = 1.0) -> pd.DataFrame:
    """Draw what answered flows of the given services look like, before counts are rounded.

    Args:
        services: Position of each flow's service in `SERVICES`, shape [rows].
        rng: Source of chance.
        spread: Factor on the spread of sizes and round trips; small values give flows near the middle of their service.

    Returns:
        The columns that describe a flow, from `src_zone` to `dst_ttl`, in the order in which they are written.
    """
    rows = len(services)
    packets = _column("packets")[services] * np.exp(spread * _column("spread")[services] * rng.normal(size=rows))
    src_packets = np.maximum(1, np.rint(packets))
    dst_packets = np.maximum(1, np.rint(src_packets * _column("answer")[services] * _wobble(rng, rows, 0.04)))
    host, rtt = _servers(services, rng, 0.06 * spread)
    zone = _zones(services, rng)
    proto = np.array([service.proto for service in SERVICES])[services]
    return pd.DataFrame(
        {
            "src_zone": np.array(ZONES)[zone],
            "dst_host": host,
            "proto": proto,
            "service": np.array([service.name for service in SERVICES])[services],
            "dst_port": np.array([service.port for service in SERVICES])[services],
            "state": np.where(proto == "tcp", "FIN", "CON"),
            "duration_s": src_packets * _column("pace")[services] * _wobble(rng, rows, 0.08) + rtt / 1000,
            "src_packets": src_packets,
            "dst_packets": dst_packets,
            "src_bytes": src_packets * _column("src_size")[services] * _wobble(rng, rows, 0.03),
            "dst_bytes": dst_packets * _column("dst_size")[services] * _wobble(rng, rows, 0.03),
            "rtt_ms": rtt,
            "src_ttl": ZONE_TTL[zone],
        }
    )


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Give the counts as whole numbers and the times with the digits that a collector writes."""
    counts = ["src_packets", "dst_packets", "src_bytes", "dst_bytes"]
    whole = {name: frame[name].round().astype("int64") for name in counts}
    return frame.assign(duration_s=frame["duration_s"].round(6), rtt_ms=frame["rtt_ms"].round(3), **whole)


def _wobble(rng: np.random.Generator, rows: int, scale: float) -> Floats:
    return np.exp(scale * rng.normal(size=rows))


def _zones(services: Ints, rng: np.random.Generator) -> Ints:
    weights = np.array([service.zones for service in SERVICES], dtype=float)
    edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)[services]
    return np.asarray((rng.uniform(size=(len(services), 1)) > edges[:, :-1]).sum(axis=1), dtype=np.int64)


def _servers(services: Ints, rng: np.random.Generator, wobble: float) -> tuple[npt.NDArray[np.object_], Floats]:
    """Choose each flow's server, few of them busy and many rare, and its round trip, which depends on the server."""
    hosts = _column("hosts")[services]
    number = np.floor(hosts * rng.uniform(size=len(services)) ** 2.5).astype(np.int64)
    distance = 0.8 + 0.4 * ((number * 7919) % 101) / 101
    rtt = _column("rtt")[services] * distance * _wobble(rng, len(services), wobble)
    names = [f"{SERVICES[code].name}-{which:03d}.example.net" for code, which in zip(services, number, strict=True)]
    return np.array(names, dtype=object), rtt


def _end_badly(frame: pd.DataFrame, rng: np.random.Generator) -> None:
    """Let a few flows be reset by the server, and a few get no answer at all, which leaves the round trip unknown."""
    chance = rng.uniform(size=len(frame))
    tcp = (frame["proto"] == "tcp").to_numpy()
    frame.loc[tcp & (chance < 0.06), "state"] = "RST"
    silent = chance > 0.975
    tries = np.where(tcp, 3, 2)[silent]
    size = np.where(tcp[silent], 60, frame["src_bytes"][silent] / frame["src_packets"][silent])
    frame.loc[silent, "state"] = np.where(tcp[silent], "SYN", "REQ")
    frame.loc[silent, "src_packets"] = tries
    frame.loc[silent, "src_bytes"] = tries * size
    frame.loc[silent, ["dst_packets", "dst_bytes"]] = 0.0
    frame.loc[silent, "duration_s"] = tries * 1.0 * _wobble(rng, int(silent.sum()), 0.05)
    frame.loc[silent, "rtt_ms"] = np.nan


def _remarks(rows: int, rng: np.random.Generator) -> list[str]:
    """Write the free text that probes leave beside a flow; it says nothing about the flow."""
    moods = ("seen by", "passed on from", "merged at", "sampled near", "timed against")
    places = ("the north rack", "a rooftop link", "the old switch", "the spare uplink", "the lobby")
    pick = rng.integers(0, 5, (rows, 2))
    probe = rng.integers(1, 10_000, rows)
    return [f"{moods[mood]} probe {which} {places[place]}" for (mood, place), which in zip(pick, probe, strict=True)]
