"""The page on attacks in network traffic: its lines run as they stand, and its figures are what they give."""

from __future__ import annotations

import re
import runpy
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "network-attacks.md"
FILE = "UNSW_NB15_training-set.zip"
TOLERANCE = 0.03  # of a figure: another processor rounds differently, and training carries that on
ROW = re.compile(r"^\| ([a-z, ]+) \| ([\d. |]+) \|$", flags=re.MULTILINE)


def run_the_page(folder, monkeypatch, most=None):
    """Run the page's first blocks, or all of them, in a folder that has the file; return what they leave."""
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (folder / "page.py").write_text("\n".join(blocks[:most]), encoding="utf-8")
    return runpy.run_path(str(folder / "page.py"), run_name="page")


def printed_figures():
    """Return the page's table: name to precision, recall, F1, AUROC, average precision."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {name: tuple(float(cell) for cell in cells.split("|")) for name, cells in rows}


def write_stand_in(path):
    """Simulated flows with attacks, in the form of the real file: zip, byte order mark, CRLF, `-` for missing."""
    from tasks.simulate_attacks import plant
    from tasks.simulate_traffic import ordinary_flows

    random = np.random.default_rng(0)
    flows, kinds = plant(ordinary_flows(date(2026, 9, 1), 5_000, random), 700, 0, random)
    named = {row: kind.name for row, kind in kinds.items()}
    names = [named.get(row, "Normal") for row in range(len(flows))]
    told = flows.drop(columns=["flow_id", "community_id", "start_time", "collector", "dst_host", "remark"])
    told["service"] = told["service"].where(random.random(len(told)) > 0.3, "-")
    told.insert(0, "id", np.arange(len(told)))
    told = told.assign(attack_cat=names, label=[int(name != "Normal") for name in names])
    text = told.to_csv(index=False, lineterminator="\r\n")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("UNSW_NB15_training-set.csv", "\ufeff" + text)


def test_the_lines_run_on_simulated_flows_too(tmp_path, monkeypatch):
    write_stand_in(tmp_path / FILE)
    names = run_the_page(tmp_path, monkeypatch)
    assert names["figures"].keys() == printed_figures().keys()
    chance = float(np.mean(names["is_attack"][names["rest"]]))
    for name, (precision, _, _, of_ranks, average) in names["figures"].items():
        assert min(precision, average) > chance, name
        assert of_ranks > 0.6, name


def test_no_answer_and_no_row_number_is_a_feature_and_no_row_is_on_both_sides(tmp_path, monkeypatch):
    write_stand_in(tmp_path / FILE)
    names = run_the_page(tmp_path, monkeypatch, most=2)
    assert not [c for c in names["X"].columns if c == "id" or c.startswith(("label", "attack_cat"))]
    parts = [set(names[part].tolist()) for part in ("fit", "held_out", "rest")]
    assert len(set.union(*parts)) == sum(map(len, parts))
    assert not names["is_attack"][[*parts[0], *parts[1]]].any()
    assert "service_missing" in names["X"].columns
    assert not [c for c in names["features"](names["rows"], names["SHORTCUTS"]).columns if c in names["SHORTCUTS"]]


# A minute of training: ten thousand real rows, seven detectors.
@pytest.mark.slow
def test_the_figures_on_the_page_are_those_of_the_real_rows(shared_data, tmp_path, monkeypatch):
    (tmp_path / FILE).symlink_to(shared_data / "unsw_nb15" / FILE)
    names = run_the_page(tmp_path, monkeypatch)
    printed = printed_figures()
    assert names["figures"].keys() == printed.keys()
    for name, figures in names["figures"].items():
        assert figures == pytest.approx(printed[name], abs=TOLERANCE), name
    assert (len(names["rows"]), round(float(names["is_attack"].mean()), 2)) == (55_945, 0.39)
