"""Run the gallery, and write its pictures and its figures into the page.

python docs/gallery                  all uses
python docs/gallery NAME [NAME ...]  some
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.with_suffix(".md")
PICTURES = HERE.parent / "pictures" / "gallery"


def run(name: str, pictures: Path) -> dict[str, float]:
    """Run one use, and return its figures."""
    spec = importlib.util.spec_from_file_location(f"gallery_{name}", HERE / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    figures: dict[str, float] = module.main(pictures)
    return figures


def with_figures(page: str, name: str, figures: Mapping[str, float]) -> str:
    """The page with a use's table written anew."""
    rows = "\n".join(f"| {figure} | {value:.3g} |" for figure, value in figures.items())
    start, end = f"<!-- figures of {name}, written by `python docs/gallery` -->", "<!-- end -->"
    written, count = re.subn(
        f"({re.escape(start)}\n).*?({re.escape(end)})",
        lambda found: f"{found[1]}| figure | value |\n|---|---|\n{rows}\n{found[2]}",
        page,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{PAGE.name} has no place for the figures of {name}")
    return written


def main(names: list[str]) -> None:
    """Run uses one after the other."""
    for name in names or sorted(path.stem for path in HERE.glob("[!_]*.py")):
        figures = run(name, PICTURES)
        PAGE.write_text(with_figures(PAGE.read_text(encoding="utf-8"), name, figures), encoding="utf-8")
        print(name, figures)


if __name__ == "__main__":
    main(sys.argv[1:])
