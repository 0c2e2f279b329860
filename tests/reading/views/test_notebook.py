"""A notebook shows a view as HTML: its stack and its first samples, without calling a function or a download."""

from html.parser import HTMLParser
from typing import Any

import numpy as np
from IPython.core.formatters import HTMLFormatter

from dataset_assets import View, view_of


class Cells(HTMLParser):
    """The texts of a page by the element that holds them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.pre, self.inside = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag in ("pre", "p", "table", "tr", "th", "td") and not attrs
        self.inside = tag
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.inside == "pre":
            self.pre += data
        elif self.inside in ("th", "td"):
            self.rows[-1][-1] += data


def shown(view: View) -> Cells:
    """Return what a notebook shows; it asks as IPython does."""
    return Cells(HTMLFormatter()(view))


def test_a_notebook_shows_the_stack_and_the_first_samples() -> None:
    view = view_of(i=np.arange(9), picture=np.zeros((9, 4, 5), np.uint8), word=[f"<b>{k}</b>" for k in range(9)])
    page = shown(view.shuffle(seed=1)[2:])
    assert page.pre == repr(view.shuffle(seed=1)[2:])
    order = [sample["i"] for sample in view.shuffle(seed=1)[2:]]
    assert page.rows[0] == ["", "i", "picture", "word"]
    assert page.rows[1:] == [[str(k), str(order[k]), "uint8 4 x 5", f"<b>{order[k]}</b>"] for k in range(5)]


class Pairs(View):
    streams = ("0", "1")

    def __len__(self) -> int:
        return 2

    def rows(self, where: Any) -> Any:
        raise NotImplementedError

    def each(self, where: Any) -> Any:
        return iter([(0, "a"), (1, "b")][where])


def test_samples_of_any_kind_are_shown() -> None:
    view = view_of(i=np.arange(2), some=[{"a": [1] * 99}, None], long=["x" * 99, "y"])
    assert shown(view).rows[1][2:] == ["{'a': [1, 1, 1, 1, 1, 1, ...]}", f"{'x' * 80}..."]
    assert shown(Pairs()).rows[:2] == [["", "0", "1"], ["0", "0", "a"]]
    assert shown(view[:0]).rows == []


def test_no_function_is_called_to_show_a_view() -> None:
    def refused(sample: Any) -> Any:
        raise AssertionError

    view = view_of(i=np.arange(3)).map(refused)
    assert shown(view).pre == repr(view) and not shown(view).rows


def test_a_view_that_cannot_be_read_is_shown_with_its_error() -> None:
    class Broken(View):
        streams = ("i",)

        def __len__(self) -> int:
            return 3

        def rows(self, where: Any) -> Any:
            raise OSError("<the disk>")

    text = Broken()._repr_html_()
    assert text.startswith("<pre>Broken(3)</pre>") and text.endswith("<p>OSError: &lt;the disk&gt;</p>")
