"""What the page says, without a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from dcbench.config.paths import shipped_root
from dcbench.errors import RunError, UsageError
from dcbench.leaderboard.boards import load_boards
from dcbench.reports.page import write_page
from tests.reports.page.made import HOSTILE, board, digest, reported, two_boards


class Page(HTMLParser):
    """The elements of a page with their attributes, and the text of styles and scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.code: dict[str, str] = {"style": "", "script": "", "data": ""}
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        data = tag == "script" and ("type", "application/json") in attributes
        self.inside.append("data" if data else tag)

    def handle_endtag(self, tag: str) -> None:
        tag = "data" if self.inside[-1:] == ["data"] else tag
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] in self.code:
            self.code[self.inside[-1]] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def methods(self) -> list[str]:
        """The names of all rows of methods, from top to bottom."""
        names = (each.get("data-name") for each in self.all("tbody"))
        return [name for name in names if name]

    def table(self, state: str) -> str:
        """The markup of the first group of rows of a state."""
        return re.findall(rf'<tbody [^>]*data-state="{state}">.*?</tbody>', self.source, re.S)[0]

    def runs(self) -> dict[str, Any]:
        """The single runs of each row, by its address."""
        methods: dict[str, Any] = json.loads(self.code["data"])["methods"]
        return methods

    def words(self) -> str:
        """The text of the page, its white space joined."""
        return " ".join(re.sub(r"<[^>]*>", " ", self.source).split())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return made(tmp_path_factory.mktemp("made"))


def made(tmp_path: Path, boards=None, published=(), figures=None) -> Page:
    return Page(write_page(boards or two_boards(), published, tmp_path / "page", figures))


def test_hostile_method_name_is_text_and_no_element(page: Page):
    assert page.all("script") == [{"type": "application/json", "id": "runs"}, {}]
    assert "<script>alert" not in page.source
    assert HOSTILE in {each["method"] for each in page.runs().values()}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.source


def test_quotes_in_a_method_name_stay_inside_their_attribute(tmp_path: Path):
    name = '" onclick="alert(1)'
    page = made(tmp_path, [board({name: (0.5, 0.6, 0.7)}, {name: 1})])
    assert all("onclick" not in attributes for _, attributes in page.elements)
    rows = [each for each in page.all("tbody") if each.get("data-state") == "ranked"]
    assert [each["data-name"] for each in rows] == [name]


def test_page_loads_nothing_from_elsewhere(page: Page):
    loading = [
        value
        for tag, attributes in page.elements
        for key, value in attributes.items()
        if key in ("src", "href", "srcset", "data", "action", "poster") and tag != "a"
    ]
    assert [value.partition(",")[0] for value in loading if value] == ["data:image/svg+xml"]
    assert "url(" not in page.code["style"]
    assert "@import" not in page.code["style"]
    assert not re.search(
        r"fetch\(|XMLHttpRequest|import\(|WebSocket|sendBeacon", page.code["script"]
    )


def test_policy_forbids_the_network_and_knows_this_style_and_script_alone(page: Page):
    policy = next(
        each["content"]
        for each in page.all("meta")
        if each.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    hashes = {
        name: base64.b64encode(hashlib.sha256(page.code[name].encode()).digest()).decode()
        for name in ("style", "script")
    }
    assert rules == {
        "default-src": "'none'",
        "img-src": "'self' file: data:",
        "style-src": f"'sha256-{hashes['style']}'",
        "script-src": f"'sha256-{hashes['script']}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_every_run_is_there_as_a_dot_and_as_a_row(tmp_path: Path):
    boards = two_boards()
    page = made(tmp_path, boards)
    drawn = re.findall(r'<tbody id="([^"]*)".*?<path class="run" d="(.*?)"', page.source, re.S)
    dots = {key: path.count("M") for key, path in drawn}
    listed = page.runs()
    for each in boards:
        for method, runs in each.runs.groupby("method"):
            [(key, row)] = [
                (key, row)
                for key, row in listed.items()
                if (row["method"], row["split"]) == (method, each.split)
            ]
            assert dots[key] == len(runs)
            assert [run["sha256"] for run in row["runs"]] == [
                digest(str(method), 0, seed) for seed in range(len(runs))
            ]
            texts = [run["cells"][0] for run in row["runs"]]
            assert texts == [f"{100 * value:.2f}" for value in runs["accuracy"]]


def test_shared_rank_is_told_with_the_methods_that_share_it(page: Page):
    row = next(
        row for row in re.findall(r"<tbody id.*?</tbody>", page.source, re.S) if ">mixup<" in row
    )
    assert re.search(r'data-order="1">1<abbr title="shared">=</abbr>', row)
    assert "level with ic-mixup" in row


def test_provisional_method_has_no_rank_though_its_mean_is_the_best(page: Page):
    assert page.methods()[:5] == ["ic-mixup", "mixup", HOSTILE, "erm", "remix"]
    row = page.table("provisional")
    assert 'data-name="remix"' in row
    assert re.search(r'<td class="num rank"><span title="provisional: unranked">–</span>', row)
    assert ">provisional</span>" in row


def test_reported_number_stands_apart_marked_with_its_source_and_without_a_rank(tmp_path: Path):
    page = made(
        tmp_path, published=[reported("Other <b>", 0.99), reported("x", 1, split="cifair10")]
    )
    assert page.methods() == ["ic-mixup", "mixup", HOSTILE, "erm", "remix", "Other <b>", "erm"]
    row = page.table("reported")
    assert "Other &lt;b&gt;" in row
    assert ">reported</span>" in row
    assert "rank" not in row
    assert "99.00" in row
    assert 'href="https://example.org/a?b=1&amp;c=2"' in row
    for path in (tmp_path / "page").rglob("*.csv"):
        assert "Other" not in path.read_text()


def test_reported_number_that_cannot_be_read_is_unclear_and_sorted_by_none(tmp_path: Path):
    row = made(tmp_path, published=[reported("Other", None)]).table("reported")
    assert '<td class="num">unclear</td>' in row


def test_reported_numbers_of_two_tables_or_metrics_are_kept_apart(tmp_path: Path):
    published = [
        reported("a", 0.5, table="one split"),
        reported("b", 0.6, table="three splits"),
        reported("c", 0.1, table="one split", metric="ece15"),
    ]
    page = made(tmp_path, published=published)
    tables = re.findall(r'<table class="sortable reported".*?</table>', page.source, re.S)
    names = [re.findall('data-name="(.*?)"', table) for table in tables]
    assert names == [["a"], ["b"], ["c"]]
    assert ">one split</h4>" in page.source
    assert ">one split: ECE-15 %</h4>" in page.source


def test_numbers_are_percent_with_the_half_width_of_their_interval(tmp_path: Path):
    page = made(tmp_path, [board({"erm": (0.51, 0.52, 0.53)}, {"erm": 1})])
    assert "52.00 <small>±2.00</small>" in page.source
    assert "48.0 <small>±2.0</small>" in page.source
    assert "1.480 <small>±0.020</small>" in page.source
    assert page.runs()["v1-lite-cifair10-common-subset-0-erm"]["runs"][1]["cells"][-1] == (
        "8 min 40 s"
    )


def test_single_run_has_no_interval(tmp_path: Path):
    page = made(tmp_path, [board({"erm": (0.5,)}, {})])
    row = page.table("provisional")
    assert "±" not in row
    assert "whisker" not in row
    assert 'aria-label="mean 50.00; runs: 50.00"' in row


def test_columns_without_a_value_are_left_out(page: Page):
    words = page.words()
    assert "AUROC % CIFAR-100, near" in words
    assert "AUROC % SVHN" not in words
    assert "Few %" not in words


def test_what_was_predicted_later_has_columns_where_a_run_has_it(tmp_path: Path):
    later = board({"erm": (0.5, 0.6), "mixup": (0.7, 0.8)}, {})
    assert "Tiny ImageNet" not in made(tmp_path / "before", [later]).words()
    for name in ("ood.tin.msp.auroc", "ood.near.msp.auroc", "shift.corruptions.accuracy"):
        later.runs[name] = later.runs["accuracy"] / 2
        for kind in ("mean", "sd", "ci95"):
            later.summary[f"{name}_{kind}"] = later.summary[f"accuracy_{kind}"] / 2
    shown = made(tmp_path / "after", [later]).words()
    for words in ("Tiny ImageNet, near", "mean over near sets", "corruptions", "37.5"):
        assert words in shown, words


def test_rules_are_those_of_the_protocol_and_the_split(tmp_path: Path):
    words = made(
        tmp_path, [board({"erm": (0.5, 0.6)}, {}, split="cifair10", protocol="v1")]
    ).words()
    for fact in (
        "subsets 0-2, seeds 0-9: 30 runs of each method",
        "300 images of CIFAR-10, 30 of each class; 200 more for validation, trained on too",
        "test set of ciFAIR-10",
        "CIFAR-100 (near), MNIST (far), SVHN (far, optional), Gaussian noise (noise)",
        "model wrn-16-8 DEIC, GEM",
        "learning_rate 0.00455 GEM README",
        "ic-regmixup.alpha 20.0 README of the release of Infinite Class Mixup: -a 20",
        "bins of equal width (lo, hi]",
    ):
        assert fact in words


def test_test_images_that_a_split_leaves_out_are_counted(page: Page):
    assert "test set of CIFAR-10, without 329 listed images" in page.words()


def test_downloads_hold_the_numbers_of_the_boards(tmp_path: Path):
    page = made(tmp_path)
    links = [each["href"] for each in page.all("a") if "download" in each]
    assert links == [
        *("csv/v1-lite/cifair10-common.csv", "csv/v1-lite/runs/cifair10-common.csv"),
        *("csv/v1/digits.csv", "csv/v1/runs/digits.csv"),
    ]
    runs = pd.read_csv(tmp_path / "page" / str(links[1]))
    wanted = two_boards()[0].runs
    assert runs["accuracy"].tolist() == wanted["accuracy"].tolist()
    assert runs["method"].tolist() == wanted["method"].tolist()


def test_downloads_of_the_published_leaderboards_are_their_files(tmp_path: Path):
    made(tmp_path, load_boards())
    copies = tmp_path / "page/csv"
    root = shipped_root() / "leaderboard"
    files = [path for pattern in ("*/*.csv", "*/runs/*.csv") for path in root.glob(pattern)]
    assert files
    for path in files:
        copy = copies / path.relative_to(root)
        assert copy.read_text() == path.read_text()


def test_formula_in_a_table_is_neutralised_in_its_download(tmp_path: Path):
    name = '=HYPERLINK("http://x","y")'
    made(tmp_path, [board({name: (0.5, 0.6)}, {})])
    for path in (tmp_path / "page").rglob("*.csv"):
        assert set(pd.read_csv(path)["method"]) == {f"'{name}"}


def test_page_of_the_same_boards_is_the_same_file(tmp_path: Path):
    first = made(tmp_path).source
    assert made(tmp_path, list(map(replace, two_boards()))).source == first


def test_no_board_is_told(tmp_path: Path):
    with pytest.raises(UsageError, match="no leaderboard to show"):
        write_page([], (), tmp_path)


def test_place_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "page").write_text("in the way")
    with pytest.raises(RunError, match="cannot write"):
        write_page(two_boards(), (), tmp_path / "page")


def test_figures_are_copied_with_their_words(tmp_path: Path):
    folder = tmp_path / "drawn"
    (folder / "v1").mkdir(parents=True)
    content = "<svg><title>A &amp; B</title><desc>Bars &lt;here&gt;</desc></svg>"
    (folder / "v1" / "bars[1].svg").write_text(content)
    (folder / "plain-line.svg").write_text("<svg/>")
    page = made(tmp_path, figures=folder)
    images = [(each["src"], each["alt"]) for each in page.all("img")]
    assert images == [
        ("figures/plain-line.svg", "plain line"),
        ("figures/v1/bars%5B1%5D.svg", "Bars <here>"),
    ]
    assert "<figcaption>A &amp; B</figcaption>" in page.source
    assert (tmp_path / "page/figures/v1/bars[1].svg").read_text() == content


def test_figure_stands_in_the_section_that_its_name_begins_with(tmp_path: Path):
    folder = tmp_path / "drawn"
    folder.mkdir()
    names = ("v1-lite-cifair10-common-roc", "v1-digits-roc", "v1-lite-all-roc")
    for name in names:
        (folder / f"{name}.svg").write_text("<svg/>")
    boards = [board({"erm": (0.5,)}, {}, split="cifair10"), *two_boards()]
    sections = made(tmp_path, boards, figures=folder).source.split("<section id=")[1:]
    found = {
        section.split('"')[1]: re.findall(r'img src="figures/(.*?).svg"', section)
        for section in sections
    }
    assert {key: drawn for key, drawn in found.items() if drawn} == {
        "v1-lite-cifair10-common": [names[0]],
        "v1-digits": [names[1]],
        "figures": [names[2]],
    }


def test_folder_without_figures_is_told(tmp_path: Path):
    with pytest.raises(UsageError, match="holds no SVG file"):
        write_page(two_boards(), (), tmp_path / "page", tmp_path / "nowhere")


SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink">{}</svg>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SVG.format("<script>alert(1)</script>"), "holds <script>"),
        (SVG.format('<g xmlns:dc="http://www.w3.org/2000/svg"><dc:script/></g>'), "<script>"),
        (SVG.format('<g onclick="alert(1)"/>'), "onclick="),
        (SVG.format('<use x:href="javascript:alert(1)"/>'), "href="),
        (SVG.format('<use href="https://a.org/b.svg#c"/>'), "href="),
        (SVG.format('<image href="data:image/svg+xml;base64,PHN2Zz4="/>'), "href="),
        (SVG.format('<a href="#b"/>'), "<a>"),
        (SVG.format("<foreignObject/>"), "<foreignObject>"),
        (SVG.format('<p xmlns="http://www.w3.org/1999/xhtml"/>'), "<p>"),
        (SVG.format('<path style="fill: url(https://a.org)"/>'), "style="),
        (SVG.format("<style>@im<!-- -->port 'https://a.org'</style>"), "a style that loads"),
        (SVG.format("<style>* {fill: u\\72l(//a.org)}</style>"), "a style that loads"),
        ('<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "an entity"),
        ("<?xml-stylesheet href='a.css'?><svg/>", "an instruction"),
        ("<svg><title>", "not an SVG file: no element found"),
        ("<svg>" + "<title>" * 200_000, "not an SVG file: no element found"),
        ("<svg" + "<title" * 200_000, "not an SVG file: not well-formed"),
        ("", "not an SVG file: no element found"),
    ],
)
def test_figure_that_is_more_than_a_picture_is_refused_by_name(tmp_path: Path, content, message):
    folder = tmp_path / "drawn"
    folder.mkdir()
    (folder / "bars.svg").write_text(content)
    with pytest.raises(UsageError) as refused:
        write_page(two_boards(), (), tmp_path / "page", folder)
    assert str(refused.value).startswith(f"{folder / 'bars.svg'}: ")
    assert message in str(refused.value)
    assert not list((tmp_path / "page").rglob("*.svg"))


def test_link_in_the_place_of_a_figure_is_not_followed(tmp_path: Path):
    folder = tmp_path / "drawn"
    folder.mkdir()
    (tmp_path / "secret").write_text("<svg><title>secret</title></svg>")
    (folder / "bars.svg").symlink_to(tmp_path / "secret")
    with pytest.raises(UsageError, match=r"bars\.svg: is a link"):
        write_page(two_boards(), (), tmp_path / "page", folder)


def test_figures_that_matplotlib_draws_are_pictures(tmp_path: Path):
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([1, 2], label="a")
    axes.imshow([[1, 2]])
    axes.fill_between([0, 1], [1, 2], hatch="/")
    axes.legend()
    (tmp_path / "drawn").mkdir()
    figure.savefig(tmp_path / "drawn/a.svg", metadata={"Title": "A & B"})
    assert "A &amp; B" in made(tmp_path, figures=tmp_path / "drawn").source
