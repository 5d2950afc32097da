"""The status page: how things stand, every value as text."""

from __future__ import annotations

from datetime import date
from html.parser import HTMLParser

from infra.runtime.events import Event
from infra.runtime.requests import Asked

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202e'


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += f" {data.strip()}"


def test_the_page_says_how_things_stand(served):
    state = served.services.state
    state.ask(Asked("flows", "nightly", "http", "ci", date(2026, 9, 21)))
    state.tell(Event("child_died", "The Prefect server ended and was started again.", "warning"))
    state.tell(Event("promoted", "nothing to worry about"))
    page = Page(served.ask("/").body.decode())
    for said in ("flows", "2026-09-20", "done", "90", "ci (http)", "waiting", "started again", "reader", "(read)"):
        assert said in page.text, said
    assert "nothing to worry about" not in page.text
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == ["/api/v1/datasets/flows/nights/2026-09-20/report"]
    assert served.ask(links[0]).status == 200


def test_a_project_without_anything_has_a_page_too(served):
    served.services.project.dataset_file("flows").unlink()
    assert "There is no dataset yet." in Page(served.ask("/").body.decode()).text


def test_nothing_comes_from_elsewhere_and_nothing_that_was_said_acts(served, finish):
    state = served.services.state
    finish(served.services, date(2026, 9, 22), "failed", reason=HOSTILE)
    state.tell(Event("child_died", HOSTILE, "error", dataset="flows"))
    state.ask(Asked("flows", "nightly", "command", HOSTILE, date(2026, 9, 21)))
    body = served.ask("/").body.decode()
    page = Page(body)
    assert {tag for tag, _ in page.tags} <= {
        *(
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "h1",
            "h2",
            "p",
            "table",
            "tr",
            "th",
            "td",
            "span",
            "br",
            "a",
        )
    }
    assert not [name for _, attributes in page.tags for name in attributes if name in ("src", "onerror", "action")]
    assert "\u202e" not in body
    assert "url(" not in body
    assert page.text.count("<script>alert(1)</script>") == 3
