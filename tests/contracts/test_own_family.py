"""The page on a family of one's own: its package trains, saves and opens again, and a dataset file may name it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "own-family.md"
AFTERWARDS = """
import sys
import yaml
from models.families import family
from models.warm_start import weights_of
from schemas.detector import DetectorSettings
again = Autoencoder.load("bundle")
assert np.array_equal(again.score(X), detector.score(X))
assert np.square(X - detector.reconstruct(X)).mean() < 0.3 * X.var()
warm = again.set_params(epochs=1).fit(X, start_from=Autoencoder.load("bundle"))
assert warm.curve_.held_out[0] < 1.5 * min(detector.curve_.held_out)
settings = DetectorSettings(**yaml.safe_load(sys.argv[1])["detector"])
config = family(settings.family).configure(settings)
print(config.straight, config.loss, config.code)
"""


@pytest.fixture(scope="module")
def blocks():
    """The page's blocks of code by language, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert [language for language, _ in found] == ["python", "toml", "python", "yaml"]
    return [code for _, code in found]


@pytest.fixture
def site(blocks, tmp_path):
    """A folder as an installer leaves it: the module, and what the package says of itself."""
    module, project, _, _ = blocks
    about = tomllib.loads(project)["project"]
    folder = tmp_path / "site"
    info = folder / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir(parents=True)
    (folder / "two_paths.py").write_text(module, encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n")
    points = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in named.items())])
        for group, named in about["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points) + "\n")
    return folder


def run(code, site, folder, *arguments):
    """Run code in another process that has the package."""
    start = f"import sys; sys.path.insert(0, {str(site)!r})\n"
    command = [sys.executable, "-P", "-c", start + code, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_family_is_short(blocks):
    assert len([line for line in blocks[0].splitlines() if line.strip()]) <= 30


def test_a_package_adds_a_family_and_a_loss(blocks, site, tmp_path):
    done = run(blocks[2] + AFTERWARDS, site, tmp_path, blocks[3])
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["0.5", "log_cosh", "6"]


def test_a_package_that_cannot_be_imported_is_named(site, tmp_path):
    (site / "two_paths.py").write_text("import not_there\n", encoding="utf-8")
    done = run("from models.families import names; names()", site, tmp_path)
    assert "two-paths offers 'two_paths' to sereno.families" in done.stderr
    assert "No module named 'not_there'" in done.stderr
    assert "Hint: mend or uninstall two-paths" in done.stderr
