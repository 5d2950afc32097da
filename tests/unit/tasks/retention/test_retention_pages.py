"""Reports go with what lies beside them."""

from __future__ import annotations

import pytest

from schemas.errors import UsageError
from tasks.gone import refuse_gone
from tasks.retention import vacuum


def test_reports_go_with_their_docs_and_the_overviews_of_their_dates(year):
    folder = year.project.reports
    docs = folder / "flows" / f"{year.days[0]}-data-docs" / "index.html"
    docs.parent.mkdir()
    docs.write_text("x")
    for position in range(year.done):
        (folder / f"{year.days[position]}.html").write_text("overview")
    (folder / "flows" / "notes.html").write_text("mine")
    done = vacuum(year.services(reports=18))
    assert {one.what for one in done.going} == {"reports", "overviews"}
    assert not docs.exists()
    assert sorted(path.name for path in (folder / "flows").glob("*.html"))[:2] == [
        f"{year.days[2]}.html",
        f"{year.days[3]}.html",
    ]
    assert (folder / "flows" / "notes.html").exists()
    assert not (folder / f"{year.days[1]}.html").exists()
    assert str(year.days[1]) not in (folder / f"{year.days[2]}.html").read_text(), "no link to a page that is gone"
    with pytest.raises(UsageError, match="its report is gone by retention"):
        refuse_gone(year.state, "flows", year.days[0], "report")


def test_a_page_that_is_gone_is_not_written_anew_by_whoever_looks(year):
    from schemas.dataset import load_dataset
    from tasks.page_drafts import recover_page

    services = year.services(reports=18)
    vacuum(services)
    recover_page(services, load_dataset(year.project.dataset_file("flows")), year.days[0])
    assert not year.project.report_file("flows", str(year.days[0])).exists()
