"""A detector as data: JSON, ONNX, Keras weights and calibration scores under a manifest of SHA-256.

    manifest.json      {"protocol": 2, "files": {name: sha256}}; its own hash names the bundle
    detector.json      settings, features, score map, threshold and its rule, calibration facts, nights, seed, summary
    transform.json     one encoder a feature
    model.onnx         the graph that scores
    encoder.onnx       from rows to codes; with decoder.onnx since protocol 2
    decoder.onnx       from codes to rows
    weights.keras      the Keras model, for those who train on
    calibration.npy    sorted float64 scores of held-out rows
    reference.npy      float32 rows that others are compared with, encoded and bent; with the next one in protocol 5
    ranks.npy          float64, a row a number that varied: its place, and center, scale and knots of its ranks
    rival.npy          float64, all that a classical detector has learnt, end to end; `detector.json` names its arrays
                       and their shapes. Protocol 4, which has neither graphs nor weights beside it

Everything is checked before anything is read, and what is read are the very bytes that were checked.
"""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.calibration import ScoreMap
from models.durable import sync, write_synced
from models.judge import Judge
from models.judge_files import NEAR, check_judge, near_arrays, near_of, neighbours_of
from models.neighbours import Neighbours
from models.transform import Transform
from schemas.errors import BundleError, ConfigError, OutdatedBundle, listed
from schemas.failpoints import durable

if TYPE_CHECKING:
    from models.rivals import Rival

PROTOCOL = 5
MANIFEST = "manifest.json"
HALVES = ("decoder.onnx", "encoder.onnx")
FILES = ("calibration.npy", "detector.json", "model.onnx", "transform.json", "weights.keras")
OF_RIVAL = ("calibration.npy", "detector.json", "rival.npy", "transform.json")
LISTED = {1: FILES, 2: (*FILES, *HALVES), 4: OF_RIVAL, 5: (*FILES, *HALVES, *NEAR)}
# Protocol 3 had near rows by two views, which nothing reads any more; a new bundle may still take such a one's place.
ONCE_LISTED = "spread.npy"
BY_BUDGET = {"method": "budget"}
MOST_BYTES = 2_000_000_000
RESTORE = "restore the bundle from the registry, or train again; a bundle is never edited by hand"


@dataclass(frozen=True, kw_only=True)
class BundleContents:
    """What a bundle holds.

    Args:
        detector: Plain JSON values; has at least `threshold`, and of a network `score_map` {factors, starts}.
        transform: The feature transform.
        onnx: The ONNX graph's bytes.
        keras: The canonical `.keras` archive's bytes.
        calibration: Sorted calibration scores, float64 [rows].
        encoder: The bytes of the graph from rows to codes; None in bundles of protocol 1.
        decoder: The bytes of the graph from codes to rows; None in bundles of protocol 1.
        neighbours: What near rows say; None where residuals alone count, in protocols 1 and 2.
        rival: The classical detector that scores in place of a network, whose bytes are empty then.
    """

    detector: dict[str, Any]
    transform: Transform
    onnx: bytes = b""
    keras: bytes = b""
    calibration: np.ndarray[Any, np.dtype[np.float64]]
    encoder: bytes | None = None
    decoder: bytes | None = None
    neighbours: Neighbours | None = None
    rival: Rival | None = None

    @property
    def protocol(self) -> int:
        """The first protocol that holds all of it."""
        if self.rival is not None:
            return 4
        if self.encoder is None or self.decoder is None:
            return 1
        return 2 if self.neighbours is None else 5

    @property
    def judge(self) -> Judge:
        """Rows and reconstructions to parts of a score."""
        if self.neighbours is None:
            return Judge(self.score_map)
        return Judge(self.score_map, near_of(self.neighbours, self.detector))

    @property
    def score_map(self) -> ScoreMap:
        """Residuals to parts of a score."""
        values = self.detector["score_map"]
        return ScoreMap(tuple(map(float, values["factors"])), tuple(map(int, values["starts"])))

    @property
    def threshold(self) -> float:
        """The score above which a row is an alert."""
        return float(self.detector["threshold"])

    @property
    def threshold_rule(self) -> dict[str, Any]:
        """How the threshold came about, as plain values; see `rule_facts`."""
        rule: dict[str, Any] = self.detector.get("threshold_rule", BY_BUDGET)
        return rule


@dataclass(frozen=True, kw_only=True)
class Bundle(BundleContents):
    """A bundle that was checked and read.

    Args:
        folder: Where it lies.
        hash: SHA-256 of its manifest, in hex.
    """

    folder: Path
    hash: str


def rule_facts(rule: dict[str, Any]) -> dict[str, Any]:
    """What `detector.json` says of a threshold's rule: nothing of the alert budget, which older bundles know alone."""
    return {} if rule == BY_BUDGET else {"threshold_rule": rule}


def canonical_json(values: Any) -> bytes:
    """JSON with sorted keys, no blanks and finite numbers: equal values give equal bytes."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return (text + "\n").encode("ascii")


def write_bundle(folder: Path, contents: BundleContents, *, replace: bool = False) -> str:
    """Write a bundle; it appears when all of it is on disk.

    Args:
        folder: Must not exist yet, unless `replace`.
        contents: What it holds.
        replace: Whether a bundle that is there, whole or not, gives way, and drafts that other processes left too.

    Returns:
        The bundle's hash.

    Raises:
        BundleError: When the folder exists and may not be replaced, or holds what no bundle does.
    """
    if folder.exists() and not (replace and _holds_only_a_bundle(folder)):
        raise BundleError(f"{folder} exists already", hint="give a folder that does not exist yet")
    files = _files(contents)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = canonical_json({"protocol": contents.protocol, "files": digests})
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    for leftover in _drafts(folder) if replace else [draft]:
        shutil.rmtree(leftover, ignore_errors=True)
    with durable("bundle.write"):
        draft.mkdir(parents=True)
        for name, data in {**files, MANIFEST: manifest}.items():
            write_synced(draft / name, data)
        sync(draft)
        if replace:
            shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
        sync(folder.parent)
    return hashlib.sha256(manifest).hexdigest()


def _holds_only_a_bundle(folder: Path) -> bool:
    known = {name for names in LISTED.values() for name in names} | {MANIFEST, ONCE_LISTED}
    return not folder.is_symlink() and folder.is_dir() and all(entry.name in known for entry in folder.iterdir())


def _drafts(folder: Path) -> list[Path]:
    """What processes that were killed while they wrote this bundle left beside it."""
    found = folder.parent.glob(f".{glob.escape(folder.name)}.*")
    return [path for path in found if path.suffix[1:].isdigit()]


def _files(contents: BundleContents) -> dict[str, bytes]:
    if contents.rival is not None:
        return _files_of_rival(contents, contents.rival)
    arrays: dict[str, np.ndarray[Any, Any]] = {"calibration.npy": np.asarray(contents.calibration, dtype=np.float64)}
    if contents.neighbours is not None:
        arrays |= near_arrays(contents.neighbours)
    halves = {"encoder.onnx": contents.encoder, "decoder.onnx": contents.decoder}
    return {
        **{name: _saved(array) for name, array in arrays.items()},
        "detector.json": canonical_json(contents.detector),
        "model.onnx": contents.onnx,
        "transform.json": canonical_json(contents.transform.to_json()),
        "weights.keras": contents.keras,
        **{name: data for name, data in halves.items() if data is not None and contents.protocol > 1},
    }


def _files_of_rival(contents: BundleContents, rival: Rival) -> dict[str, bytes]:
    from models.rival_files import packed

    numbers, facts = packed(rival)
    return {
        "calibration.npy": _saved(np.asarray(contents.calibration, dtype=np.float64)),
        "detector.json": canonical_json({**contents.detector, "rival": facts}),
        "rival.npy": _saved(numbers),
        "transform.json": canonical_json(contents.transform.to_json()),
    }


def _saved(array: np.ndarray[Any, Any]) -> bytes:
    saved = io.BytesIO()
    np.save(saved, array, allow_pickle=False)
    return saved.getvalue()


def _loaded(data: bytes) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def bundle_hash(folder: Path) -> str:
    """The hash that the folder's manifest has now; says nothing of the other files.

    Raises:
        BundleError: When there is no manifest.
    """
    return hashlib.sha256(_read(folder, MANIFEST)).hexdigest()


def is_outdated(folder: Path) -> bool:
    """Whether a bundle's manifest names a protocol that nothing reads any more; not whether it is whole."""
    try:
        _listed_files(folder, _read(folder, MANIFEST))
    except OutdatedBundle:
        return True
    except BundleError:
        return False
    return False


def open_bundle(folder: Path, expected_hash: str | None = None) -> Bundle:
    """Check a bundle as a whole, then read it.

    Args:
        folder: Where it lies.
        expected_hash: The hash that the ledger or the registry names; not compared where none is given.

    Raises:
        BundleError: When a file is missing, changed or not listed, or the protocol is not this version's;
            `OutdatedBundle` where it was an earlier version's.
    """
    if not folder.is_dir():
        raise BundleError(f"there is no bundle at {folder}", hint=RESTORE)
    manifest = _read(folder, MANIFEST)
    found = hashlib.sha256(manifest).hexdigest()
    if expected_hash is not None and found != expected_hash:
        raise BundleError(f"{folder}: the bundle's hash is {found}, not {expected_hash} as recorded", hint=RESTORE)
    protocol, listing = _listed_files(folder, manifest)
    return _READERS[protocol](folder, found, _checked(folder, listing))


def _listed_files(folder: Path, manifest: bytes) -> tuple[int, dict[str, str]]:
    """The manifest's protocol, names and digests."""
    try:
        values = json.loads(manifest)
        protocol, digests = int(values["protocol"]), values["files"]
        listing = {str(name): str(digest) for name, digest in digests.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BundleError(f"{folder}: {MANIFEST} is not a manifest", hint=RESTORE) from None
    if protocol not in _READERS:
        said = f"{folder}: the bundle has protocol {protocol}, this version reads {listed(map(str, sorted(_READERS)))}"
        if protocol < PROTOCOL:
            raise OutdatedBundle(said, hint="train again")
        raise BundleError(said, hint="upgrade Sereno on this machine: pip install --upgrade sereno")
    due = LISTED[protocol]
    if set(listing) != set(due):
        odd = listed(repr(name) for name in sorted(set(listing) ^ set(due)))
        raise BundleError(f"{folder}: the manifest must list {listed(due)}; it differs in {odd}", hint=RESTORE)
    return protocol, listing


def _checked(folder: Path, listing: dict[str, str]) -> dict[str, bytes]:
    """The listed files' bytes, all of them as the manifest says, and no file beside them."""
    present = {entry.name for entry in folder.iterdir()} - {MANIFEST}
    problems = [f"{name!r} is missing" for name in sorted(set(listing) - present)]
    problems += [f"{name!r} is not listed" for name in sorted(present - set(listing))]
    files = {name: _read(folder, name) for name in sorted(set(listing) & present)}
    problems += [
        f"{name!r} was changed" for name, data in files.items() if hashlib.sha256(data).hexdigest() != listing[name]
    ]
    if problems:
        raise BundleError(f"{folder}: the bundle is not what its manifest says: {listed(problems)}", hint=RESTORE)
    return files


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{folder}: {name} is missing, or no plain file", hint=RESTORE)
        if path.stat().st_size > MOST_BYTES:
            raise BundleError(f"{folder}: {name} is larger than any file of a bundle", hint=RESTORE)
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{folder}: {name} cannot be read: {error.strerror}", hint=RESTORE) from None


def _parse(folder: Path, found: str, files: dict[str, bytes]) -> Bundle:
    try:
        detector = json.loads(files["detector.json"])
        transform = Transform.from_json(json.loads(files["transform.json"]))
        near = {name: _loaded(files[name]) for name in NEAR if name in files}
        bundle = Bundle(
            detector=detector,
            transform=transform,
            onnx=files.get("model.onnx", b""),
            keras=files.get("weights.keras", b""),
            calibration=_loaded(files["calibration.npy"]),
            neighbours=neighbours_of(detector, near) if near else None,
            rival=_rival(detector, transform, files),
            encoder=files.get("encoder.onnx"),
            decoder=files.get("decoder.onnx"),
            folder=folder,
            hash=found,
        )
        _check_shapes(bundle)
    except (ValueError, KeyError, TypeError, EOFError, RecursionError, ConfigError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{folder}: the bundle cannot be read: {error}", hint=RESTORE) from None
    return bundle


def _rival(detector: dict[str, Any], transform: Transform, files: dict[str, bytes]) -> Rival | None:
    if "rival.npy" not in files:
        return None
    from models.rival_files import unpacked

    return unpacked(_loaded(files["rival.npy"]), detector["rival"], transform)


def _check_shapes(bundle: Bundle) -> None:
    scores, width = bundle.calibration, bundle.transform.width
    if scores.ndim != 1 or scores.dtype != np.float64 or len(scores) == 0 or not np.isfinite(scores).all():
        raise ValueError("calibration.npy must hold finite float64 scores")
    if (np.diff(scores) < 0).any():
        raise ValueError("calibration.npy must be sorted")
    if not np.isfinite(bundle.threshold):
        raise ValueError("the threshold is no number")
    if bundle.rival is not None:
        return
    starts = [group.start for group in bundle.transform.groups.values()]
    score_map = bundle.score_map
    if len(score_map.factors) != width or list(score_map.starts) != starts:
        raise ValueError("detector.json does not fit transform.json")
    check_judge(bundle.judge, width)


_READERS: Mapping[int, Callable[[Path, str, dict[str, bytes]], Bundle]] = {1: _parse, 2: _parse, 4: _parse, 5: _parse}
"""Protocol to what reads a bundle of it; when `PROTOCOL` is raised, those that can still be read stay."""
