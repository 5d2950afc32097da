"""Sixty nights by an accelerated clock, over both changes of the clocks, while everything is broken once."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

from harness import Measure, NotMeasured
from service_at_work import Service, Watched, up, wait_until, watched

NAME = "flows"
# Casablanca puts its clocks back on 15 February 2026 at 03:00, and forward on 22 March at 02:00.
ZONE = "Africa/Casablanca"
FIRST = date(2026, 1, 29)
NIGHTS = 60
AT = "02:30"
SPEED = 120.0
NIGHT_S = 400.0
DISK_MB = 64
LOCKED_S = 50.0
GONE_S = 60.0


@dataclass
class Receivers:
    """A mail server and a web server of this machine, and what they took."""

    mails: list[str] = field(default_factory=list)
    posts: list[str] = field(default_factory=list)

    def took(self, text: str) -> bool:
        """Whether both were told a text."""
        return any(text in mail for mail in self.mails) and any(text in post for post in self.posts)


@dataclass
class Planted:
    """A fault: what it is called, and what must be told of it.

    Args:
        name: For people.
        told: A text that status, mail and webhook must hold.
        seen: Whether status showed it.
    """

    name: str
    told: str
    seen: bool = False


class World:
    """The project, its service, and the time there.

    Args:
        project: What is watched.
        clock: The file that says how the time runs.
    """

    def __init__(self, project: Watched, clock: Path) -> None:
        self.project = project
        self._clock = clock
        self.planted: list[Planted] = []

    def at(self, moment: datetime, speed: float = SPEED) -> None:
        """Let it be this moment, and the time run so fast from now on."""
        told = {"at": moment.isoformat(), "since": time.time(), "speed": speed}
        beside = self._clock.with_suffix(".part")
        beside.write_text(json.dumps(told), encoding="utf-8")
        beside.replace(self._clock)

    def now(self) -> datetime:
        told = json.loads(self._clock.read_text(encoding="utf-8"))
        return datetime.fromisoformat(told["at"]) + timedelta(seconds=(time.time() - told["since"]) * told["speed"])

    def recorded(self) -> dict[str, int]:
        """How often each night has a final row that counts, of a run."""
        path = self.project.folder / "state" / "state.db"
        query = "SELECT night, count(*) FROM runs WHERE kind = 'run' AND status IN ('done', 'partial') GROUP BY night"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as database:
            return dict(database.execute(query).fetchall())

    def look(self) -> None:
        """Note which planted faults `sereno status` shows."""
        done = self.project.ask("status", NAME, "--service", "--json")
        shown = done.out if done.code == 0 else done.err
        for fault in self.planted:
            fault.seen = fault.seen or fault.told in shown

    def plant(self, name: str, told: str) -> None:
        self.planted.append(Planted(name, told))


def measure() -> Iterator[Measure]:
    """Sixty nights, each recorded once, though servers, worker, runner, disk, database and files are broken."""
    with receivers() as (taken, routes), watched([NAME], FIRST, 1, family="denoising", epochs=3) as project:
        project.change(NAME, schedule={"timezone": ZONE, "at": AT, "deadline": "4h", "settle": "1s"})
        project.settings(service={"port": 0, "prefect_port": 0, "mlflow_port": 0}, notify={"routes": routes})
        world = World(project, project.folder.with_name("clock.json"))
        world.at(due_of(FIRST) - timedelta(hours=2))
        project.json("schedule", "enable", NAME, "--from", str(FIRST))
        all_nights(world)
        recorded = world.recorded()
        with suppress(NotMeasured):
            wait_until(lambda: all(taken.took(fault.told) for fault in world.planted), 10, "the last message")
    nights = [str(FIRST + timedelta(days=day)) for day in range(NIGHTS)]
    untold = [fault.name for fault in world.planted if not (fault.seen and taken.took(fault.told))]
    for fault in world.planted:
        print(f"{fault.name}: in status {fault.seen}, told {taken.took(fault.told)}", file=sys.stderr)
    yield Measure(
        "nights_recorded", [float(sum(recorded.get(night, 0) > 0 for night in nights))], "nights", ("==", 60.0)
    )
    yield Measure("missing", [float(sum(night not in recorded for night in nights))], "nights", ("==", 0.0))
    yield Measure("doubled", [float(sum(count > 1 for count in recorded.values()))], "nights", ("==", 0.0))
    yield Measure("faults_untold", [float(len(untold))], "faults", ("==", 0.0), {"planted": float(len(world.planted))})


def due_of(night: date) -> datetime:
    """When a night is due: 02:30 of the next day there, a moment as the schedule itself computes it."""
    from schemas.schedule import ScheduleSettings
    from tasks.due_nights import due_between

    schedule = ScheduleSettings(timezone=ZONE, at=AT)
    return next(due_between(schedule, night, datetime(2027, 1, 1, tzinfo=UTC))).due_at


def all_nights(world: World) -> None:
    """Let night after night come in, in one service after the other, with a fault planted every few nights."""
    project, clock = world.project, {"SERENO_SIMULATED_CLOCK": str(world._clock)}
    nights = iter(FIRST + timedelta(days=day) for day in range(NIGHTS))
    faults: dict[int, Callable[[World, Service, date], None]] = {
        4: killed("prefect"),
        8: killed("worker"),
        12: killed_runner,
        16: killed("clock"),
        20: killed("mlflow"),
        23: killed("http"),
        26: locked_database,
        30: database_gone,
        34: late_file,
        38: file_twice,
        42: full_disk,
    }
    number = 0
    with small_disk(project) as prefix:
        with up(project, prefix=prefix, **clock) as service:
            for number, night in enumerate(nights, 1):
                faults.get(number, plain)(world, service, night)
                if number == 48:
                    break
        # The machine is off for three nights.
        for night in [next(nights) for _ in range(3)]:
            project.arrive(NAME, night)
        world.plant("machine off", "nights were missed")
        world.at(due_of(FIRST + timedelta(days=50)) + timedelta(hours=8))
        with up(project, prefix=prefix, **clock) as service:
            settled(world, FIRST + timedelta(days=50))
            for night in [next(nights) for _ in range(3)]:
                plain(world, service, night)
            os.kill(service.process.pid, signal.SIGKILL)
            service.process.wait()
        with up(project, prefix=prefix, **clock) as service:
            for night in nights:
                plain(world, service, night)


def plain(world: World, _service: Service, night: date) -> None:
    world.project.arrive(NAME, night)
    begin(world, night)
    settled(world, night)


def begin(world: World, night: date) -> None:
    """Make it a minute before the night is due; it is due in half a second then."""
    world.at(due_of(night) - timedelta(minutes=1))


def settled(world: World, night: date) -> None:
    """Wait until a night is recorded; what waits for a pause comes soon, as the time runs fast."""
    wait_until(lambda: str(night) in world.recorded(), NIGHT_S, f"the night {night}")
    world.look()


def at_work(world: World) -> bool:
    return any(row["status"] == "running" for row in world.project.json("status", NAME))


def killed(part: str) -> Callable[[World, Service, date], None]:
    """Kill a part of the service while a night is at work."""

    def plant(world: World, service: Service, night: date) -> None:
        world.project.arrive(NAME, night)
        begin(world, night)
        wait_until(lambda: at_work(world), NIGHT_S, f"the begin of {night}")
        service.kill(part)
        world.plant(f"{part} killed", f"{part} of the service was killed by SIGKILL")
        settled(world, night)

    return plant


def killed_runner(world: World, service: Service, night: date) -> None:
    """Kill the process that does the night."""
    world.project.arrive(NAME, night)
    begin(world, night)
    wait_until(lambda: at_work(world), NIGHT_S, f"the begin of {night}")
    service.kill_runs()
    world.plant("runner killed", f"{NAME} {night}: the run died")
    settled(world, night)


def locked_database(world: World, _service: Service, night: date) -> None:
    """Hold the state database's lock for longer than anyone waits for it, while a night is due."""
    world.project.arrive(NAME, night)
    world.plant("database locked", "locked")
    with closing(sqlite3.connect(world.project.folder / "state" / "state.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        begin(world, night)
        time.sleep(LOCKED_S)
        database.execute("ROLLBACK")
    settled(world, night)


def database_gone(world: World, _service: Service, night: date) -> None:
    """Take the state database away for a minute while a night is due."""
    world.project.arrive(NAME, night)
    world.plant("database gone", "is gone")
    state = world.project.folder / "state"
    files = [path for path in state.glob("state.db*") if path.suffix != ".lock"]
    away = {path: path.with_name(f"away-{path.name}") for path in files}
    for path, elsewhere in away.items():
        path.rename(elsewhere)
    begin(world, night)
    time.sleep(GONE_S)
    world.look()
    for path, elsewhere in away.items():
        elsewhere.rename(path)
    settled(world, night)


def late_file(world: World, _service: Service, night: date) -> None:
    """Let the file come when the night was given up as missing."""
    world.plant("file late", f"{NAME} {night}: its files came after the deadline")
    world.at(due_of(night) + timedelta(hours=4))
    wait_until(lambda: str(night) in missing(world), NIGHT_S, f"{night} without its file")
    world.look()
    world.project.arrive(NAME, night)
    settled(world, night)


def missing(world: World) -> set[str]:
    return {row["date"] for row in world.project.json("status", NAME) if row["status"] == "missing"}


def file_twice(world: World, service: Service, night: date) -> None:
    """Let another file come under the same name once the night is done."""
    plain(world, service, night)
    world.plant("file twice", f"{NAME} {night}: its files changed after the night was done")
    world.project.arrive(NAME, night, again=True)
    wait_until(lambda: bool(world.look() or world.planted[-1].seen), NIGHT_S, "the word on the second file")
    # As it was, so that nights are compared with what they were done with.
    world.project.arrive(NAME, night)


def full_disk(world: World, service: Service, night: date) -> None:
    """Fill the disk on which runs work, until a night has failed for it."""
    world.project.arrive(NAME, night)
    place = Path(f"/proc/{service.process.pid}/root") / str(world.project.folder / "state" / "work").lstrip("/")
    world.plant("disk full", "No space left on device")
    filler = place / "filler"
    with suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(1 << 16))
    begin(world, night)
    wait_until(lambda: bool(world.look() or world.planted[-1].seen), NIGHT_S, "a night that has no room")
    filler.unlink()
    settled(world, night)


@contextmanager
def small_disk(project: Watched) -> Iterator[list[str]]:
    """What a command is started with so that the folder of its scratch is a disk of some megabytes."""
    if shutil.which("unshare") is None:
        raise NotMeasured("a small disk cannot be mounted here: unshare is not there")
    work = project.folder / "state" / "work"
    work.mkdir(parents=True, exist_ok=True)
    mounted = f'mount -t tmpfs -o size={DISK_MB}m small "$0" && exec "$@"'
    yield ["unshare", "-rm", "sh", "-c", mounted, str(work)]


@contextmanager
def receivers() -> Iterator[tuple[Receivers, dict[str, Any]]]:
    """A mail server and a web server, and the routes to them."""
    from aiosmtpd.controller import Controller

    taken = Receivers()

    class Mailbox:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 -- the library's name
            taken.mails.append(words_of(envelope.content))
            return "250 OK"

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.posts.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Nothing."""

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mail = Controller(Mailbox(), hostname="127.0.0.1", port=port)
    hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    mail.start()
    try:
        yield (
            taken,
            {
                "mail": {"url": f"mailto://127.0.0.1:{port}?from=sereno@localhost.test&to=ana@localhost.test"},
                "hook": {"url": f"json://127.0.0.1:{hook.server_port}/"},
            },
        )
    finally:
        mail.stop()
        hook.shutdown()


def words_of(content: bytes) -> str:
    """A mail's subject and texts."""
    mail = message_from_bytes(content)
    texts = [part.get_payload(decode=True) for part in mail.walk() if part.get_content_maintype() == "text"]
    said = [text.decode(errors="replace") for text in texts if isinstance(text, bytes)]
    return "\n".join([str(make_header(decode_header(mail["Subject"] or ""))), *said])
