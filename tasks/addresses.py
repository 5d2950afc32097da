"""Which files a night consists of: address templates, allowed protocols and roots, what exists.

Addresses are fsspec's (`s3://bucket/x`); one without a protocol is a local path that starts at the project folder.
"""

from __future__ import annotations

import glob
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from infra.runtime.logs import MASK
from schemas.dataset import DATE_FIELD
from schemas.errors import ForbiddenAddress, NoInput, UnreadableInput, listed

if TYPE_CHECKING:
    from schemas.dataset import Dataset
    from schemas.settings import InputSettings

LOCAL = frozenset({"file", "local"})
WILD = re.compile(r"[*?\[]")
DIGITS = {
    "Y": r"\d{4}",
    "m": r"\d{2}",
    "d": r"\d{2}",
    "H": r"\d{2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
    "y": r"\d{2}",
    "j": r"\d{3}",
}
NEAREST = 3
QUERY = f"?{MASK}"


@dataclass(frozen=True)
class Address:
    """One address, taken apart.

    Args:
        protocol: `file` for local ones.
        path: Absolute path of a local file; the whole address of any other.
    """

    protocol: str
    path: str

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine's disks."""
        return self.protocol in LOCAL

    @property
    def name(self) -> str:
        """Base name, for messages and the column `sereno_file`; a query may hold a signature and is no part of it."""
        return posixpath.basename(self.shown.removesuffix(QUERY).rstrip("/")) or self.shown

    @property
    def shown(self) -> str:
        """The address for people and reports: without a password, token or query in it."""
        if self.is_local:
            return self.path
        place, query, _ = self.path.partition("?")
        # abfs://container@account: only before a web host is a lone name a token.
        named = r"https?://" if self.protocol.startswith("http") else r"[^:]+://[^/:@]*:"
        return re.sub(rf"\A({named})[^/]*@", rf"\g<1>{MASK}@", place) + (QUERY if query else "")


def parse_address(text: str, root: Path) -> Address:
    """Take an address apart; local ones become absolute.

    Raises:
        ForbiddenAddress: The address is a chain (`zip://a::s3://b`) or holds a NUL.
    """
    if "::" in text or "\0" in text:
        raise ForbiddenAddress(
            f"address {text!r} chains file systems, which is not allowed",
            hint="name the file itself; compression is recognised without it",
        )
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    if not found:
        return Address("file", os.path.normpath(root / text))
    protocol = found.group(1).lower()
    if protocol in LOCAL:
        return Address("file", os.path.normpath(root / text[found.end() :]))
    return Address(protocol, protocol + text[found.end(1) :])


def check_allowed(address: Address, inputs: InputSettings, root: Path) -> None:
    """Hold an address against the allow-list.

    Raises:
        ForbiddenAddress: Its protocol is not allowed, or it does not lie below an allowed root.
    """
    allowed = {"file" if p in LOCAL else p for p in inputs.protocols}
    if address.protocol not in allowed:
        raise ForbiddenAddress(
            f"address {address.shown!r}: protocol {address.protocol} is not allowed; "
            f"allowed: {listed(sorted(allowed))}",
            hint=f"in sereno.yaml: inputs: {{protocols: [{', '.join([*sorted(allowed), address.protocol])}]}}",
        )
    if inputs.roots and not any(_is_below(address, parse_address(r, root)) for r in inputs.roots):
        raise ForbiddenAddress(
            f"address {address.shown!r} does not lie below an allowed root; allowed: {listed(inputs.roots)}",
            hint="the allowed roots stand in sereno.yaml under inputs.roots",
        )


def _is_below(address: Address, root: Address) -> bool:
    if address.protocol != root.protocol:
        return False
    if address.is_local:
        base = os.path.realpath(root.path)
        return os.path.realpath(_without_wildcards(address.path)).startswith(base.rstrip("/") + "/")
    path = unquote(address.path)
    if ".." in path.split("/"):
        return False
    return path.startswith(root.path.rstrip("/") + "/")


def _without_wildcards(path: str) -> str:
    """The deepest folder that is named without a wildcard, so that `allowed/*` is judged before it is listed."""
    if not WILD.search(path) or os.path.lexists(path):
        return path
    parts = path.split("/")
    fixed = next(i for i, part in enumerate(parts) if WILD.search(part))
    return "/".join(parts[:fixed]) + "/x"


def file_system(protocol: str) -> Any:
    """The fsspec file system of a protocol.

    Raises:
        UnreadableInput: The package that the protocol needs is not installed.
    """
    import fsspec

    try:
        return fsspec.filesystem(protocol)
    except (ImportError, ValueError) as error:
        raise UnreadableInput(f"protocol {protocol}: {error}", hint="install what it names beside Sereno") from None


def resolve_inputs(dataset: Dataset, date: Date, root: Path, inputs: InputSettings) -> tuple[str, ...]:
    """The addresses of the files that are there for one logical date, sorted within each template.

    Args:
        dataset: Whose source names the templates.
        date: The logical date.
        root: The project folder, where relative addresses start.
        inputs: The allow-list.

    Raises:
        ForbiddenAddress: A template, or a file that it leads to, is not allowed.
        NoInput: A template leads to no file.
    """
    found: dict[str, None] = {}
    for template, text in zip(dataset.source.paths, dataset.source.addresses(date), strict=True):
        address = parse_address(text, root)
        check_allowed(address, inputs, root)
        files = [Address(address.protocol, path) for path in _matches(address)]
        if not files:
            raise _no_input(dataset, template, address, date, root)
        for file in files:
            check_allowed(file, inputs, root)
            found[file.path] = None
    return tuple(found)


def _matches(address: Address) -> list[str]:
    if address.is_local:
        if os.path.lexists(address.path):
            return [] if Path(address.path).is_dir() else [address.path]
        return sorted(matching_files(address.path))
    system = file_system(address.protocol)
    try:
        if WILD.search(address.path):
            return sorted(system.unstrip_protocol(p) for p in system.glob(address.path) if system.isfile(p))
        return [address.path] if system.exists(address.path) else []
    except OSError as error:
        raise UnreadableInput(f"{address.shown}: cannot be looked up: {error}") from None


def _no_input(dataset: Dataset, template: str, address: Address, date: Date, root: Path) -> NoInput:
    if address.is_local and Path(address.path).is_dir():
        return NoInput(
            f"dataset {dataset.name}: {address.path} is a folder, not a file, for {date}",
            hint=f"write source.path: {template.rstrip('/')}/* for all files in it",
        )
    dates = available_dates(template, root) if address.is_local and DATE_FIELD.search(template) else {}
    near = sorted(dates, key=lambda d: abs((d - date).days))[:NEAREST]
    nearby = f"; nearest that exist: {listed(d.isoformat() for d in sorted(near))}" if near else ""
    return NoInput(
        f"dataset {dataset.name}: no file matches {address.shown} for {date}{nearby}",
        hint="check the date, and source.path in the dataset file"
        if near
        else "no file of any date matches source.path of the dataset file; is it right, and did the delivery arrive?",
    )


def available_dates(template: str, root: Path) -> Mapping[Date, tuple[str, ...]]:
    """The dates for which a local template leads to files, with the files of each."""
    anywhere = parse_address(DATE_FIELD.sub("*", template), root)
    if not anywhere.is_local:
        return {}
    pattern, forms = _pattern(os.path.normpath(root / template.removeprefix("file://")))
    dates: dict[Date, list[str]] = {}
    for path in sorted(matching_files(anywhere.path)):
        found = re.fullmatch(pattern, path)
        night = _date(found.groups(), forms) if found else None
        if night is not None:
            dates.setdefault(night, []).append(path)
    return {night: tuple(paths) for night, paths in sorted(dates.items())}


def matching_files(pattern: str) -> Iterator[str]:
    """Local files that an absolute pattern matches; folders are none."""
    found = glob.iglob(pattern, recursive=True)  # noqa: PTH207 -- pathlib matches hidden files and refuses absolute patterns
    return (path for path in found if not Path(path).is_dir())


def _pattern(template: str) -> tuple[str, list[str]]:
    """A regular expression with a group for each `{date:FORM}`, and the forms."""
    pattern, forms, end = "", [], 0
    for field in DATE_FIELD.finditer(template):
        form = field.group(1) or "%Y-%m-%d"
        pattern += _wild(template[end : field.start()]) + f"({_form(form)})"
        forms.append(form)
        end = field.end()
    return pattern + _wild(template[end:]), forms


def _form(form: str) -> str:
    pieces = re.split(r"%(.)", form)
    return "".join(DIGITS.get(p, "[^/]+?") if i % 2 else re.escape(p) for i, p in enumerate(pieces))


def _wild(text: str) -> str:
    pieces = re.split(r"(\*\*/?|\*|\?)", text)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(piece, re.escape(piece)) for piece in pieces)


def _date(texts: tuple[str, ...], forms: list[str]) -> Date | None:
    try:
        return datetime.strptime("\x1f".join(texts), "\x1f".join(forms)).date()  # noqa: DTZ007  a date has no zone
    except ValueError:
        return None
