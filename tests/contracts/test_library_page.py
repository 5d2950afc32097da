"""The page on the library: its examples run, one after the other, as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "autoencoders.md"


def test_the_examples_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 6
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102  (our own page)
    assert names["fleet"].of("press").code_size == 3
    assert names["detector"].generate(10).shape == (10, 8)
    assert {path.name for path in tmp_path.iterdir()} == {"detector", "part-1.parquet"}
