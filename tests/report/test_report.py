"""Pages need nothing but themselves, show text as text, and are the same for the same data."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jinja2
import numpy as np
import pytest
from markupsafe import Markup
from matplotlib.figure import Figure

from gatewise.errors import InputError
from gatewise.figures import NARROW, Size, alarm_scores, forecast_band, hidden_state
from gatewise.figures.style import DARK, LIGHT
from gatewise.report import MOST_BYTES, Section, drawing, inline_svg, page, png, render, svg_file, table, tiles

HOSTILE = "<script>alert(1)</script><img src=http://e.org onerror='x'>\"&'"


class Parts(HTMLParser):
    """Every element with its attributes, the ids, and the text outside of elements that browsers do not show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        self.text += "" if self._open == "style" else data

    @property
    def ids(self) -> list[str]:
        return [value for _, each in self.elements if (value := each.get("id"))]


def draw(size: Size) -> Figure:
    rng = np.random.default_rng(0)
    figure = Figure(figsize=(size.width, 4), layout="constrained")
    above, below, state = figure.subplots(3)
    low = rng.normal(size=50)
    forecast_band(np.arange(50), low, low + 1, observed=low, alarms=low > 1, unit=HOSTILE, ax=above)
    alarm_scores(np.arange(50), low**2, 2.0, ax=below)
    hidden_state(np.arange(50), np.tanh(rng.normal(size=(50, 4))), ax=state)
    return figure


def whole() -> str:
    return page(
        "Pump 7",
        "Two of 2,880 minutes were not expected.",
        [Section("What was found", [drawing("found", "scores", draw), table(["when", "score"], [["noon", 3.2]])])],
        [Section("How it was found", ["A detector was trained."])],
        footer="Made up.",
    )


def test_a_page_opens_with_the_answer_then_the_evidence_then_the_method() -> None:
    text = whole()
    order = ["Pump 7</h1>", "Two of 2,880 minutes", "What was found", "<svg", "<table", "How it was found", "Made up."]
    places = [text.index(each) for each in order]
    assert places == sorted(places)
    assert Parts(text).text.count("Two of 2,880 minutes were not expected.") == 1


def test_a_page_needs_nothing_from_elsewhere() -> None:
    text = whole()
    found = Parts(text)
    assert {tag for tag, _ in found.elements} & {"script", "link", "iframe", "object", "embed", "base", "form"} == set()
    addresses = [
        value
        for _, each in found.elements
        for name, value in each.items()
        if name in ("src", "srcset", "href", "xlink:href", "action", "poster", "data")
    ]
    assert addresses
    assert all(re.match(r"#|data:image/png;base64,", str(each)) for each in addresses)
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) == {"#"}
    outside = set(re.findall(r"https?://[^\"'\s<]*", text)) - {f"http://{HOSTILE.partition('//')[2].split()[0]}"}
    assert outside == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    (policy,) = [each["content"] for tag, each in found.elements if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_ids_are_those_of_one_element_and_references_lead_to_one() -> None:
    text = whole()
    ids = Parts(text).ids
    assert len(ids) == len(set(ids)) > 20
    referred = set(re.findall(r'xlink:href="#([^"]+)"|url\(#([^)]+)\)', text))
    assert {a or b for a, b in referred} <= set(ids)
    assert all(each.startswith(("found-wide-", "found-narrow-")) for each in ids)


def test_two_drawings_of_one_name_are_refused() -> None:
    twice = [drawing("a", "", draw), drawing("a", "", draw)]
    with pytest.raises(InputError, match="two elements of the page have the id 'a-wide-.*give each drawing a name"):
        page("t", "a", [Section("", twice)])
    for name in ("", "1a", 'a" onload="x', "a b"):
        with pytest.raises(InputError, match="letters, digits"):
            inline_svg(Figure(), name)


def test_text_is_shown_as_text_wherever_it_stands() -> None:
    text = page(
        HOSTILE,
        HOSTILE,
        [Section(HOSTILE, [HOSTILE, table([HOSTILE], [[HOSTILE]]), tiles([(HOSTILE, HOSTILE)])])],
        [Section("", [drawing("d", HOSTILE, draw)])],
        footer=HOSTILE,
    )
    found = Parts(text)
    assert {"script", "img"} & {tag for tag, _ in found.elements} == set()
    assert not any(name.startswith("on") for _, each in found.elements for name in each)
    assert found.text.count(HOSTILE) == 10  # title, two headings, answer, paragraph, two cells, two in the tile, footer
    assert [each["aria-label"] for _, each in found.elements if each.get("role") == "img"] == [HOSTILE]


def test_html_is_taken_as_it_is() -> None:
    text = page("t", Markup("<b>so</b>"), [Section("h", [Markup("<p class='x'>y</p>")])])
    assert "<b>so</b>" in text
    assert "<p class='x'>y</p>" in text


def test_the_same_data_give_the_same_bytes() -> None:
    assert whole() == whole()
    assert png(draw(NARROW)) == png(draw(NARROW))


def test_a_page_that_is_too_large_is_refused() -> None:
    assert len(whole().encode()) < 400_000
    with pytest.raises(InputError, match=f"more than {MOST_BYTES:,}"):
        page("t", "a", [Section("", ["x" * MOST_BYTES])])


def test_colours_of_figures_are_variables_that_light_and_dark_pages_set() -> None:
    text = whole()
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) == 2
    used = {name for each in drawings for name in re.findall(r"var\(--(\w+)\)", each)}
    assert used == {"ink", "grey", "blue", "orange"}
    assert not any(re.search(r"(fill|stroke): ?#", each) for each in drawings)
    (style,) = re.findall(r"<style>\n(:root.*?)</style>", text, re.DOTALL)
    light, dark = style.split("@media screen and (prefers-color-scheme: dark)", 1)
    for name in LIGHT:
        assert f"--{name}: {LIGHT[name]};" in light
        assert f"--{name}: {DARK[name]};" in dark.split(".drawing image")[0]
    assert set(re.findall(r"var\(--(\w+)\)", text)) <= set(re.findall(r"--(\w+):", light))


def brightness(colour: str) -> float:
    """Relative luminance, WCAG 2.1."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", sorted(set(LIGHT) - {"ink"}))
def test_colours_are_legible_on_light_and_dark(name: str) -> None:
    """A contrast of 3 to 1, which WCAG 2.1 asks of graphics: also of the light colour on black, for plain figures."""
    white, black = 1.05, brightness("#16181b") + 0.05
    assert white / (brightness(LIGHT[name]) + 0.05) >= 3
    assert (brightness(LIGHT[name]) + 0.05) / black >= 3
    assert (brightness(DARK[name]) + 0.05) / black >= 3


def test_a_figure_is_drawn_for_the_page_and_for_a_phone() -> None:
    sizes = []

    def noted(size: Size) -> Figure:
        sizes.append(size)
        return draw(size)

    text = drawing("d", "words", noted, Size(8, 11, 1))
    assert sizes == [Size(8, 11, 1), NARROW]
    shown = re.findall(r'<div class="(\w+)-only".*?viewBox="0 0 ([\d.]+) ', text, re.DOTALL)
    assert [(name, float(width)) for name, width in shown] == [("wide", 8 * 72.0), ("narrow", NARROW.width * 72)]


def test_an_svg_file_is_xml_with_its_own_colours() -> None:
    text = svg_file(draw(NARROW), "plot")
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    light, dark = re.findall(r"svg {(.*?)}", text)
    used = set(re.findall(r"var\(--(\w+)\)", text))
    assert used == set(re.findall(r"--(\w+):", light)) == set(re.findall(r"--(\w+):", dark))


def test_tables_align_numbers_and_refuse_ragged_rows() -> None:
    text = table(["when", "score", "share"], [["noon", 3, "1,200"], ["night", 2.5, "-3.1 %"]])
    assert text.count('<th class="r">') == 2
    assert '<td>noon</td><td class="r">3</td><td class="r">1,200</td>' in text
    with pytest.raises(InputError, match="row 1 of the table has 1 cells for 2 columns"):
        table(["a", "b"], [[1, 2], [3]])


def test_a_template_fills_in_the_blocks(tmp_path: Path) -> None:
    own = tmp_path / "own.html.j2"
    own.write_text(
        '{% extends "page.html.j2" %}{% block title %}Own {{ name }}{% endblock %}{% block answer %}So.{% endblock %}'
        "{% block evidence %}<p>{{ name }}</p>{% endblock %}"
        "{% block method %}{% endblock %}{% block footer %}{% endblock %}"
    )
    text = render(own, name="<x>")
    assert "<h1>Own &lt;x&gt;</h1>" in text
    assert "<title>Own &lt;x&gt; - gatewise</title>" in text
    assert "<p>&lt;x&gt;</p>" in text
    with pytest.raises(jinja2.UndefinedError, match="'name' is undefined"):
        render(own)
