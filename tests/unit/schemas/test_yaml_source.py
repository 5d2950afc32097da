import re
from pathlib import Path

import pytest

from schemas.dataset import Dataset, load_dataset
from schemas.errors import ConfigError
from schemas.yaml_source import parse_yaml, read_yaml, validate_model

GOOD = """\
name: flows
source:
  path: incoming/{date:%Y-%m-%d}.csv.gz
key: [flow_id]
event_time: start_time
columns:
  flow_id: {type: integer, nullable: false}
  start_time: {type: time}
  proto: {type: category, values: [tcp, udp]}
  bytes: {type: integer, min: 0}
  note: {type: text, left_out: free text}
expectations:
  - {expect: volume, usual: 100, between: [0.5, 2.0], policy: block}
detector:
  threshold: {method: tail, risk: 0.0001}
"""


def mistakes(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        validate_model(Dataset, parse_yaml(text, Path("flows.yaml")), "dataset file")
    return str(caught.value)


def test_a_good_file_loads_with_its_features_in_order(tmp_path: Path):
    path = tmp_path / "flows.yaml"
    path.write_text(GOOD, encoding="utf-8")
    dataset = load_dataset(path)
    assert [feature.column for feature in dataset.features] == ["proto", "bytes"]


CASES = {
    "top-level-key": ("key: [", "kye: [", ["line 4", "`kye` is not a known key", "did you mean `key`?"]),
    "nested-key": ("min: 0", "mn: 0", ["line 10", "`columns.bytes.mn`", "did you mean `min`?"]),
    "value": (
        "type: integer, min",
        "type: integr, min",
        ["line 10", "did you mean `integer`?", "allowed: integer, number"],
    ),
    "in-a-list": ("usual: 100", "usul: 100", ["line 13", "`expectations[0].usul`", "did you mean `usual`?"]),
    "band": ("[0.5, 2.0]", "[2.0, 0.5]", ["line 13", "2 is above 0.5"]),
    "role-of-unknown-column": ("key: [flow_id]", "key: [flow_idd]", ["flow_idd", "did you mean `flow_id`?"]),
    "template": ("{date:%Y-%m-%d}", "{day}", ["line 3", "{date:%Y-%m-%d}"]),
    "range": ("min: 0", "min: 5, max: 1", ["line 10", "min 5 is above max 1"]),
    "rule-of-the-threshold": (
        "method: tail",
        "method: tial",
        ["line 15", "`detector.threshold.method` is 'tial' (did you mean `tail`?)", "budget, quantile, p_value, tail"],
    ),
    "no-rule": ("method: tail, ", "", ["line 15", "`detector.threshold` must say its `method`"]),
    "key-of-a-rule": ("risk: 0.0", "rsik: 0.0", ["line 15", "`detector.threshold.rsik`", "did you mean `risk`?"]),
    "risk": ("risk: 0.0001", "risk: 2", ["line 15", "`detector.threshold.risk` is 2", "less than 1"]),
    "yaml-1.1-boolean-among-texts": ("tcp, udp", "tcp, NO", ["line 9", "string"]),
}


@pytest.mark.parametrize(("old", "new", "words"), CASES.values(), ids=CASES)
def test_a_mistake_is_refused_with_its_line_and_the_nearest_name(old: str, new: str, words: list[str]):
    assert old in GOOD
    text = mistakes(GOOD.replace(old, new))
    for word in words:
        assert word in text


def test_all_mistakes_are_told_at_once():
    text = mistakes(GOOD.replace("key:", "kye:").replace("min: 0", "mn: 0"))
    assert "2 mistakes" in text
    assert "kye" in text
    assert "mn" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("a: 1\na: 2\n", "`a` stands twice", id="key-twice"),
        pytest.param("a: [1, 2\n", "line 2", id="not-closed"),
        pytest.param("- 1\n- 2\n", "expected `name: value` lines, found a list", id="list"),
        pytest.param("a: !!python/object/apply:os.system [ls]\n", "not YAML", id="tag-that-runs-code"),
        pytest.param("? [1, 2]\n: 3\n", "a key must be a plain name", id="complex-key"),
    ],
)
def test_what_is_no_settings_file_is_refused_with_words(text: str, words: str):
    with pytest.raises(ConfigError, match=re.escape(words)):
        parse_yaml(text, Path("x.yaml"))


def test_aliases_cannot_grow_without_bound(tmp_path: Path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError, match="alias"):
        read_yaml(path)


def test_missing_and_undecodable_files_are_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(tmp_path / "absent.yaml")
    bad = tmp_path / "latin.yaml"
    bad.write_bytes("name: caf\xe9".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_yaml(bad)


def test_the_file_must_be_called_like_the_dataset(tmp_path: Path):
    path = tmp_path / "other.yaml"
    path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 1: `name` is 'flows', but the file is called other\.yaml"):
        load_dataset(path)
