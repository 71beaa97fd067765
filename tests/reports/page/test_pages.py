"""The pages of methods and of splits, and how things are cited."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from dcbench.config.paths import shipped_root
from dcbench.data.load import load_listed
from dcbench.data.source import open_source
from dcbench.data.splits import load_split
from dcbench.leaderboard.boards import load_boards
from dcbench.methods import method_class, method_names
from dcbench.reports.page import write_page
from dcbench.reports.page.cite import AUTHOR, cite_paper, paper_link
from dcbench.reports.page.split_pages import contact_sheet, sheet_rows
from tests.reports.page.made import HOSTILE, board, two_boards
from tests.reports.page.test_rendering import Page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("pages")
    nowhere = open_source(output / "no-data", allow_unverified=True)
    write_page(two_boards(), (), output, source=nowhere)
    return output


def words(folder: Path, page: str) -> str:
    return Page(folder / page).words()


def test_page_of_a_method_has_its_paper_twin_settings_and_rows(folder: Path):
    said = words(folder, "methods/ic-mixup.html")
    assert "Mensink and Mettes, Infinite Class Mixup, BMVC 2023 (arXiv 2305.10293)" in said
    source = (folder / "methods/ic-mixup.html").read_text()
    assert 'href="https://arxiv.org/abs/2305.10293"' in source
    assert 'Twin</dt><dd><a href="mixup.html">mixup</a>' in source
    for field in method_class("ic-mixup").model_fields:
        assert f"<code>{field}</code>" in source
    # ic-mixup 54, 54, 55.5; erm 9.5, 10, 10.5; mixup 52, 53, 54: differences 2, 1, 1.5
    assert "54.50 ±1.73 +44.5 (+43.3 to +45.7) +1.5 (+0.3 to +2.7)" in said
    assert 'href="../index.html#v1-lite-cifair10-common-subset-0-ic-mixup"' in source


def test_twin_of_a_method_with_settings_is_the_one_that_filled_pages_have(tmp_path: Path):
    name = "ic-mixup[axes=class]"
    rows = {"mixup": (0.52, 0.53), "ic-mixup": (0.55, 0.56), name: (0.54, 0.56)}
    write_page([board(rows, {}, split="digits")], (), tmp_path)
    page = Page(tmp_path / "methods/ic-mixup-axes-class.html")
    assert 'Twin</dt><dd><a href="mixup.html">mixup</a>' in page.source
    assert 'Without its settings</dt><dd><a href="ic-mixup.html">ic-mixup</a>' in page.source
    # Minus mixup 2 and 3, minus ic-mixup -1 and 0; t(0.975, 1) = 12.7062.
    assert "– +2.5 (-3.9 to +8.9) -0.5 (-6.9 to +5.9)" in page.words()
    assert "Without its settings" not in words(tmp_path, "methods/ic-mixup.html")


def test_rows_of_every_board_stand_on_the_page_of_a_method(folder: Path):
    source = (folder / "methods/erm.html").read_text()
    rows = re.findall(r'href="../index.html#(.*?)"', source)
    assert rows == ["v1-lite-cifair10-common-subset-0-erm", "v1-digits-subset-0-erm"]


def test_addresses_on_every_page_lead_somewhere(folder: Path):
    ids = {each["id"] for _, each in Page(folder / "index.html").elements if each.get("id")}
    pages = sorted(folder.rglob("*.html"))
    assert len(pages) == 1 + 5 + 2
    for path in pages:
        for link in Page(path).all("a"):
            file, _, place = str(link["href"]).partition("#")
            if file.startswith("https:"):
                continue
            assert not file or (path.parent / file).exists(), (path, file)
            if place and (file.endswith("index.html") or path.name == "index.html"):
                assert place in ids, (path, place)


def test_hostile_name_is_text_on_its_own_page_and_names_no_other_file(folder: Path):
    page = Page(folder / "methods/script-alert-1-script.html")
    assert page.all("script") == []
    assert HOSTILE not in page.source
    assert "No package of this installation has a method of this name." in page.words()


def test_pages_of_methods_and_splits_run_and_load_nothing(folder: Path):
    for path in (*folder.glob("methods/*.html"), *folder.glob("splits/*.html")):
        page = Page(path)
        assert page.all("script") == []
        [policy] = [each for each in page.all("meta") if "http-equiv" in each]
        assert "script-src" not in str(policy["content"])
        assert str(policy["content"]).startswith("default-src 'none'")


def test_file_that_a_name_points_to_is_not_run(tmp_path: Path):
    (tmp_path / "made.py").write_text("raise SystemExit('it ran')")
    name = f"{tmp_path / 'made.py'}:Made"
    write_page([board({name: (0.5,)}, {}, split="digits")], (), tmp_path / "page")


def test_code_is_linked_from_the_footnote_that_says_where_it_is(tmp_path: Path):
    made = board({"mine": (0.5, 0.6)}, {}, split="digits")
    noted = made.runs.assign(footnote='at https://example.org/a"b 0.1; javascript:alert(1)')
    write_page([type(made)("v1", "digits", noted, made.summary)], (), tmp_path)
    links = [each["href"] for each in Page(tmp_path / "methods/mine.html").all("a")]
    assert "https://example.org/a" in links
    assert not [link for link in links if str(link).startswith("javascript")]


def test_page_of_a_split_has_its_counts_and_hashes_and_says_that_images_lack(folder: Path):
    said = words(folder, "splits/cifair10-common.html")
    hashes = load_split("cifair10-common", 2).hashes
    assert hashes.index_sha256 in said
    assert hashes.images_sha256 in said
    assert "airplane 30 20" in said
    assert "The images were not at hand when this page was made" in said
    assert not list(folder.glob("splits/cifair10-common.png"))


def test_contact_sheet_shows_the_images_of_the_list_class_by_class(folder: Path):
    sheet = np.asarray(Image.open(folder / "splits/digits.png"))
    split = load_split("digits", 0)
    images = load_listed(split, open_source()).images
    assert sheet.shape == (10 * 8, 10 * 8, 3)
    third = np.flatnonzero(split.train_labels == 7)[3]
    assert (sheet[56:64, 24:32] == images[third]).all()
    assert (
        'src="digits.png" width="320" height="320"' in (folder / "splits/digits.html").read_text()
    )


def test_sheet_of_a_hundred_classes_has_one_image_of_each_that_has_any():
    labels = np.array([label for label in range(100) if label != 5 for _ in range(2)])
    rows = sheet_rows(labels, 100)
    assert [len(row) for row in rows] == [20, 20, 20, 20, 19]
    assert [labels[place] for row in rows for place in row] == [*range(5), *range(6, 100)]
    sheet = contact_sheet(np.zeros((len(labels), 2, 3, 3), np.uint8), rows)
    assert sheet.shape == (10, 60, 3)
    assert (sheet[8:, 57:] == 255).all()
    assert (sheet[:, :57] == 0).all()


def test_paper_is_cited_with_authors_title_year_and_number():
    paper = method_class("regmixup").paper
    assert cite_paper("regmixup", paper) == (
        "@misc{pinto2022-regmixup,\n"
        "  author = {Pinto and others},\n"
        "  title = {{Using Mixup as a Regularizer Can Surprisingly Improve Accuracy \\& "
        "Out-of-Distribution Robustness}},\n"
        "  year = {2022},\n"
        "  note = {NeurIPS 2022},\n"
        "  eprint = {2206.14502},\n"
        "  archiveprefix = {arXiv},\n"
        "}"
    )
    assert paper_link(paper) == "https://arxiv.org/abs/2206.14502"


@pytest.mark.parametrize("name", method_names())
def test_every_paper_of_the_registry_is_of_the_form_that_is_cited_whole(name: str):
    paper = method_class(name).paper
    if paper:
        entry = cite_paper(name, paper)
        assert "howpublished" not in entry
        [year] = re.findall(r"year = \{(.*)\}", entry)
        assert f" {year}" in paper


def test_paper_of_another_form_stands_in_its_entry_as_a_whole():
    entry = cite_paper("mine", "My thesis")
    assert entry == "@misc{mine,\n  title = {mine},\n  howpublished = {My thesis},\n}"


def test_author_of_boards_is_that_of_the_project():
    path = Path(__file__).parents[3] / "CITATION.cff"
    cited = yaml.safe_load(path.read_text())
    assert [each["name"] for each in cited["authors"]] == [AUTHOR]


def test_board_is_cited_with_the_hash_of_the_file_of_its_rows(tmp_path: Path):
    page = Page(write_page(load_boards(), (), tmp_path))
    for path in (shipped_root() / "leaderboard").glob("*/runs/*.csv"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in page.source
