"""Like rows: a normal row beside each alert, nearest in the columns that did not make it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.scoring import Scorer
from schemas.results import Alert, Contribution
from tasks.like_row import columns_that_made, rows_of_alerts, with_like_rows

MADE = (
    Contribution(column="got", share=0.85, actual="9e6", expected="50"),
    Contribution(column="sent", share=0.1, actual="1", expected="2"),
)


@pytest.fixture(scope="module")
def scorer(detector):
    return Scorer(detector.folder, detector.hash)


@pytest.fixture(scope="module")
def candidates(make_rows):
    return make_rows(1_000, seed=5, start=10_000).to_pandas().assign(night="2026-09-19")


def an_alert(line, contributions=MADE, rank=1):
    return Alert(
        rank=rank, key="k", score=9.0, p_value=0.0, source_file="a.csv", source_line=line, contributions=contributions
    )


def spoilt_twin(candidates, scorer, at):
    """A row that is a normal candidate in all but `got`."""
    normal = candidates[scorer.score(candidates, top=0).score <= np.median(scorer.calibration)]
    twin = normal.iloc[at : at + 1].copy()
    twin["got"], twin["sereno_line"] = 9e6, 7
    return twin, normal.iloc[at]


@pytest.mark.parametrize("at", [0, 17, 200])
def test_the_twin_of_an_alert_is_found_whatever_its_guilty_column_holds(candidates, scorer, at):
    row, twin = spoilt_twin(candidates, scorer, at)
    (alert,) = with_like_rows([an_alert(7)], row, candidates, scorer, "host")
    assert alert.like is not None
    assert (alert.like.key, alert.like.source_line) == (twin["sereno_key"], twin["sereno_line"])
    assert (alert.like.night, alert.like.source_file) == ("2026-09-19", "a.csv")
    assert list(alert.like.values) == ["got", "sent"]
    assert alert.like.score <= np.median(scorer.calibration)
    assert alert.like.score == pytest.approx(float(scorer.score(twin.to_frame().T.astype(row.dtypes), top=0).score[0]))


def test_the_alerts_own_entity_goes_first(candidates, scorer):
    row, twin = spoilt_twin(candidates, scorer, 3)
    others = candidates[candidates["sereno_key"] != twin["sereno_key"]]
    (alert,) = with_like_rows([an_alert(7)], row, others, scorer, "host")
    hosts = dict(zip(others["sereno_key"], others["host"], strict=True))
    assert hosts[alert.like.key] == twin["host"]
    elsewhere = others[others["host"] != twin["host"]]
    (alert,) = with_like_rows([an_alert(7)], row, elsewhere, scorer, "host")
    assert alert.like is not None


def test_no_like_row_is_an_anomaly_itself(candidates, scorer):
    row, _ = spoilt_twin(candidates, scorer, 3)
    odd = row.assign(night="2026-09-20", sereno_key="odd")
    assert with_like_rows([an_alert(7)], row, odd, scorer, "host")[0].like is None
    both = with_like_rows([an_alert(7)], row, candidates.iloc[:0], scorer, "host")
    assert both[0].like is None


def test_the_order_of_the_candidates_changes_nothing(candidates, scorer):
    row, _ = spoilt_twin(candidates, scorer, 9)
    turned = candidates.sample(frac=1, random_state=1)
    assert with_like_rows([an_alert(7)], row, turned, scorer) == with_like_rows([an_alert(7)], row, candidates, scorer)


def test_an_alert_whose_row_is_gone_stays_as_it_is(candidates, scorer):
    row, _ = spoilt_twin(candidates, scorer, 0)
    first, second = with_like_rows([an_alert(7), an_alert(8, rank=2)], row, candidates, scorer)
    assert first.like is not None
    assert second == an_alert(8, rank=2)


def test_missing_values_are_said_in_words(candidates, scorer):
    row, _ = spoilt_twin(candidates, scorer, 0)
    without = candidates.assign(got=np.nan)
    (alert,) = with_like_rows([an_alert(7)], row, without, scorer)
    assert alert.like is None or alert.like.values["got"] == "missing"


def test_the_columns_that_made_an_alert_are_those_with_most_of_its_score():
    def shares(*values):
        return [Contribution(column=f"c{at}", share=share, actual="", expected="") for at, share in enumerate(values)]

    assert columns_that_made(shares(0.85, 0.1, 0.05)) == ("c0",)
    assert columns_that_made(shares(0.4, 0.3, 0.2, 0.1)) == ("c0", "c1", "c2")
    assert columns_that_made(shares(0.2, 0.1)) == ("c0", "c1")
    assert columns_that_made(()) == ()


def test_rows_are_looked_up_by_file_and_line_in_the_parts(make_rows, tmp_path):
    paths = []
    for at, name in enumerate(("a.csv", "b.csv", "c.csv")):
        rows = make_rows(50, start=100 * at)
        rows = rows.set_column(rows.column_names.index("sereno_file"), "sereno_file", pa.array([name] * 50))
        lines = pa.array(range(2, 52) if at < 2 else range(900, 950), pa.int64())
        rows = rows.set_column(rows.column_names.index("sereno_line"), "sereno_line", lines)
        paths.append(tmp_path / f"{at}.parquet")
        pq.write_table(rows, paths[-1])
    alerts = [an_alert(5), an_alert(9).model_copy(update={"source_file": "b.csv"}), an_alert(77)]
    found = rows_of_alerts(alerts, paths, ["sent", "host"])
    assert found.column_names == ["sent", "host", "sereno_file", "sereno_line"]
    assert sorted(zip(found["sereno_file"].to_pylist(), found["sereno_line"].to_pylist(), strict=True)) == [
        ("a.csv", 5),
        ("b.csv", 9),
    ]
    assert rows_of_alerts([], paths, ["sent"]).num_rows == 0
