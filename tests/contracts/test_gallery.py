"""The gallery: each script runs, writes a picture, and does what its page claims."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

DOCS = Path(__file__).parents[2] / "docs"
USES = sorted(path.stem for path in (DOCS / "gallery").glob("[!_]*.py"))
MOST_BYTES = 120_000


def _anomalies(f):
    mine, pca, forest = f["autoencoder, AUROC"], f["PCA, AUROC"], f["isolation forest, AUROC"]
    yield "The area under the curve is above 0.93, and not below that of PCA.", mine > 0.93 and mine >= pca
    yield "It is within 0.03 of the isolation forest's.", abs(mine - forest) <= 0.03


def _cleaning(f):
    after = f["cleaned by the autoencoder"]
    yield "The PSNR rises by at least 4 dB.", after >= f["PSNR with noise, dB"] + 4
    yield "It is at least 1 dB above that of PCA and of a blur.", after >= 1 + max(f["by PCA"], f["by a blur"])


def _compression(f):
    gains = [f[name] - f[name.replace("autoencoder", "PCA")] for name in f if "autoencoder" in name]
    yield "At each ratio the autoencoder is at least 0.8 dB above PCA.", len(gains) == 3 and min(gains) >= 0.8


def _disentangling(f):
    style, pca = f["digits told by their style"], f["digits told by two numbers of PCA"]
    asked = f["written digits that are read as asked"]
    yield "At least 85 in 100 written digits are read as what was asked for.", asked >= 0.85
    yield (
        "Style tells at most 45 in 100 digits, and at least 0.15 fewer than two numbers of PCA.",
        style <= min(0.45, pca - 0.15),
    )
    yield (
        "The error with style is at most 0.75 of that of the class alone: style is not nothing.",
        f["error of style and class"] <= 0.75 * f["error of the class alone"],
    )


def _embedding(f):
    mine = f["autoencoder"]
    yield (
        "The autoencoder is at least 0.1 above PCA, and at least 0.05 above LDA and MDS.",
        mine >= max(f["PCA"] + 0.1, f["LDA"] + 0.05, f["MDS"] + 0.05),
    )
    yield "It is not worse than Isomap.", mine >= f["Isomap"]
    yield "t-SNE is better than all others.", f["t-SNE"] == max(f.values())


def _generation(f):
    made, normal = (f[f"the judge is sure of {name}"] for name in ("made-up digits", "normal distribution"))
    yield (
        "The judge is sure of at least half of them, and of 1.3 times as many as of the rival's.",
        made >= max(0.5, 1.3 * normal),
    )
    yield "No digit is rarer than 3 in 100.", f["share of the rarest digit"] >= 0.03


def _hashing(f):
    bits = f["32 bits of the autoencoder"]
    whole = f["64 numbers, Euclidean distance"]
    yield "The bits find at least 0.93 of what Euclidean distance finds.", bits >= 0.93 * whole
    yield "They are at least 0.1 above random projections.", bits >= f["32 random projections"] + 0.1


def _recommendation(f):
    mine, mean, svd = (f[f"{name}, RMSE"] for name in ("autoencoder", "mean of the film", "decomposition"))
    yield "The root mean square error is at most 0.6 of that of the films' means.", mine <= 0.6 * mean
    yield "It is within 5 in 100 of the decomposition's.", abs(mine / svd - 1) <= 0.05


def _super_resolution(f):
    mine, bicubic = f["autoencoder, dB"], f["bicubic, dB"]
    yield "The autoencoder is at least 2 dB above bicubic interpolation.", mine >= bicubic + 2
    yield "It is within 1 dB of ridge regression on pairs.", abs(mine - f["ridge regression on pairs, dB"]) <= 1


def _transfer(f):
    (cold, warm), (high, low) = (
        (f[f"{what} from nothing"], f[f"{what} from the digits 0 to 4"]) for what in ("epochs", "best loss")
    )
    yield "It needs at most half of the epochs.", warm <= cold / 2
    yield "It ends with a lower loss.", low < high


CLAIMS = {
    "anomaly_detection": _anomalies,
    "cleaning": _cleaning,
    "compression": _compression,
    "disentangling": _disentangling,
    "embedding": _embedding,
    "generation": _generation,
    "hashing": _hashing,
    "recommendation": _recommendation,
    "super_resolution": _super_resolution,
    "transfer": _transfer,
}


@cache
def gallery():
    """Import `docs/gallery/__main__.py`, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("docs_gallery", DOCS / "gallery" / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def section(name):
    """The part of the page on one use."""
    parts = re.split(r"^## ", (DOCS / "gallery.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = [part for part in parts[1:] if f"](pictures/gallery/{name}.png)" in part]
    assert len(found) == 1
    return found[0]


def test_each_use_has_a_script_and_claims():
    assert sorted(CLAIMS) == USES


@pytest.mark.parametrize("name", USES)
def test_a_use_does_what_it_claims(name, tmp_path):
    figures = gallery().run(name, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.png"]
    assert np.std(imread(tmp_path / f"{name}.png")[..., :3]) > 0.05
    assert not [text for text, holds in CLAIMS[name](figures) if not holds], figures
    assert list(figures) == list(written_figures(name))


def written_figures(name):
    """The figures that the page tells."""
    rows = re.findall(r"^\| (.+) \| ([\d.]+) \|$", section(name), flags=re.MULTILINE)
    assert rows
    return {figure: float(value) for figure, value in rows}


@pytest.mark.parametrize("name", USES)
def test_the_page_tells_what_is_held_and_figures_that_hold(name):
    claims = dict(CLAIMS[name](written_figures(name)))
    assert re.findall(r"^- (.+)$", section(name), flags=re.MULTILINE) == list(claims)
    assert all(claims.values())
    picture = DOCS / "pictures" / "gallery" / f"{name}.png"
    assert picture.stat().st_size < MOST_BYTES
    assert np.std(imread(picture)[..., :3]) > 0.05


def test_figures_are_written_where_the_page_has_a_place_for_them():
    page = "a\n<!-- figures of x, written by `python docs/gallery` -->\nold\n<!-- end -->\nb"
    written = gallery().with_figures(page, "x", {"PSNR": 12.3456})
    assert written.splitlines()[2:5] == ["| figure | value |", "|---|---|", "| PSNR | 12.3 |"]
    assert written.startswith("a\n<!--")
    assert written.endswith("<!-- end -->\nb")
    with pytest.raises(ValueError, match="no place for the figures of y"):
        gallery().with_figures(page, "y", {})
