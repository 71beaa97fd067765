from __future__ import annotations

import bz2
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dcbench.config.progress import NoProgress
from dcbench.data.bundle import Bundle, Manifest, stored_part, write_bundle
from dcbench.data.catalogue import get_dataset
from dcbench.data.derive import verify_split
from dcbench.data.fetch import fetch
from dcbench.data.gather import gather
from dcbench.data.load import load_images
from dcbench.data.ood_sets import load_ood_set
from dcbench.data.parts import FileStatus, Part, UnverifiedData
from dcbench.data.source import open_source
from dcbench.data.splits import load_split
from dcbench.errors import DataError, UsageError
from tests.data import fakes
from tests.progress import ToldProgress

CIFAR10_TRAIN = get_dataset("cifar10").parts["train"]


@pytest.fixture
def bundle(tiny: Path, tmp_path: Path) -> Path:
    """Both subsets of the split `tiny`, with the OOD set that is there."""
    path = tmp_path / "tiny.bundle"
    gather(["tiny"], open_source(tiny)).write(path)
    return path


def part_of(count: int, size: tuple[int, int] = (32, 32), of: int | None = None) -> Part:
    """Random images as if they were some of CIFAR-10's test part."""
    generator = np.random.default_rng(count)
    rows = np.sort(generator.choice(of or count, count, replace=False))
    images = generator.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    labels = generator.integers(0, 10, of or count)
    md5 = get_dataset("cifar10").parts["test"][0].md5
    file = FileStatus("cifar10", "test", Path("test_batch"), "official", md5, md5)
    return Part("cifar10/test", images, rows, labels, True, (file,))


def written(part: Part, path: Path) -> Path:
    manifest = Manifest(
        splits=("some",), subsets=(0,), ood=True, parts=(stored_part(["cifar10/test"], part),)
    )
    write_bundle(path, manifest, [part], NoProgress().task("bundle", 1))
    return path


def repacked(path: Path, change: dict[str, bytes | None]) -> Path:
    """The archive with other members, whole as an archive."""
    other = path.with_name("other.bundle")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w") as target:
        for name in archive.namelist():
            content = change.get(name, archive.read(name))
            if content is not None:
                target.writestr(name, content)
    return other


# --- what a run sees -----------------------------------------------------------------------------


@pytest.mark.parametrize("subset", [0, 1])
@pytest.mark.parametrize("fit", ["train", "trainval"])
def test_images_from_a_bundle_are_those_from_the_folder(
    tiny: Path, bundle: Path, subset: int, fit: str
):
    split = load_split("tiny", subset)
    here, there = (load_images(split, open_source(place), fit=fit) for place in (tiny, bundle))
    assert list(there.ood) == list(here.ood) == ["mnist", "gaussian"]
    pairs = [(here.fit, there.fit), (here.test, there.test), (here.ood["mnist"],) * 2]
    pairs[-1] = (here.ood["mnist"], there.ood["mnist"])
    for original, found in pairs:
        assert np.array_equal(found.images, original.images)
        assert np.array_equal(found.labels, original.labels)
        assert found.images.dtype == np.uint8
        assert found.labels.dtype == np.int64
        assert (found.name, found.official) == (original.name, original.official)
        assert found.sha256() == original.sha256()


def test_splits_are_proved_from_a_bundle(bundle: Path):
    found = list(verify_split("tiny", open_source(bundle)))
    same = ("same", "rows and images (official files)")
    assert found == [("tiny", 0, *same), ("tiny", 1, *same)]


def test_digits_need_no_bundle_and_come_with_any(bundle: Path):
    assert open_source(bundle).part("digits", "train").take().official
    with pytest.raises(UsageError, match="digits: dcbench has the images itself"):
        gather(["digits"], open_source(bundle))


def test_bundle_holds_the_images_that_are_needed_and_no_others(tiny: Path, tmp_path: Path):
    contents = gather(["tiny"], open_source(tiny), subsets=[1])
    assert {part.name: part.rows.tolist() for part in contents.parts} == {
        "cifar10/train": list(range(20, 40)),
        "cifar10/test": [0, 1, 2, 4, 5, 6, 7, 9],
        "mnist/test": [0, 1],
    }
    assert contents.num_images == 30
    assert list(contents.left_out) == ["cifar100"]
    contents.write(tmp_path / "one.bundle")
    first, second = verify_split("tiny", open_source(tmp_path / "one.bundle"))
    assert (first.state, second.state) == ("not checked", "same")
    with pytest.raises(DataError, match="20 of 20 images are not in the bundle") as caught:
        load_images(load_split("tiny", 0), open_source(tmp_path / "one.bundle"))
    assert caught.value.exit_code == 3


def test_without_ood_sets_they_count_as_missing(tiny: Path, tmp_path: Path):
    gather(["tiny"], open_source(tiny), ood=False).write(tmp_path / "small.bundle")
    loaded = load_images(load_split("tiny"), open_source(tmp_path / "small.bundle"))
    assert list(loaded.ood) == ["gaussian"]
    assert "without OOD sets" in loaded.missing_ood["mnist"]


def test_bundle_can_be_made_from_a_bundle(tiny: Path, bundle: Path, tmp_path: Path):
    gather(["tiny"], open_source(bundle), subsets=[0]).write(tmp_path / "from-bundle")
    gather(["tiny"], open_source(tiny), subsets=[0]).write(tmp_path / "from-folder")
    assert (tmp_path / "from-bundle").read_bytes() == (tmp_path / "from-folder").read_bytes()


def test_datasets_that_share_files_share_images(tiny: Path, tmp_path: Path, monkeypatch):
    batch = {"ciFAIR-10/data_batch_1": fakes.tiny_batches()[fakes.TRAIN_BATCH]}
    test = {"ciFAIR-10/test_batch": (fakes.python3_batch(fakes.cifar_rows(10, 7), [0] * 10), 10)}
    fakes.place(monkeypatch, tiny, "cifair10", batch | test)
    listed = (tmp_path / "shipped/splits/tiny.yaml").read_text()
    other = listed.replace(": tiny", ": fair").replace("dataset: cifar10", "dataset: cifair10")
    (tmp_path / "shipped/splits/fair.yaml").write_text(other + "subsets_of: tiny\n")
    (tmp_path / "shipped/splits/fair").mkdir()
    excluded = (tmp_path / "shipped/splits/tiny/excluded.csv").read_bytes()
    (tmp_path / "shipped/splits/fair/excluded.csv").write_bytes(excluded)
    gather(["tiny", "fair"], open_source(tiny)).write(tmp_path / "both.bundle")
    stored = {each.folder: each.names for each in Bundle(tmp_path / "both.bundle").manifest.parts}
    assert stored["cifair10/train"] == ("cifair10/train", "cifar10/train")
    assert stored["cifair10/test"] == ("cifair10/test",)
    for name in ("tiny", "fair"):
        split = load_split(name, 1)
        here, there = (
            load_images(split, open_source(place)) for place in (tiny, tmp_path / "both.bundle")
        )
        assert there.fit.sha256() == here.fit.sha256()
        assert there.test.sha256() == here.test.sha256()


# --- files that are not the official ones --------------------------------------------------------


def test_unverified_images_stay_unverified(tiny: Path, tmp_path: Path):
    (tiny / fakes.TRAIN_BATCH).write_bytes(fakes.tiny_batches(seed=5)[fakes.TRAIN_BATCH][0])
    with pytest.raises(UnverifiedData):
        gather(["tiny"], open_source(tiny))
    path = tmp_path / "tiny.bundle"
    gather(["tiny"], open_source(tiny, allow_unverified=True)).write(path)
    with pytest.raises(UnverifiedData, match=f"{path}.*--allow-unverified-data.*make the bundle"):
        load_images(load_split("tiny"), open_source(path))
    loaded = load_images(load_split("tiny"), open_source(path, allow_unverified=True))
    assert not loaded.fit.official
    assert loaded.test.official
    states = {(each.dataset, each.part): each.state for each in open_source(path).inventory()}
    assert states == {
        ("cifar10", "train"): "unverified",
        ("cifar10", "test"): "official",
        ("mnist", "test"): "official",
    }


# --- damage --------------------------------------------------------------------------------------


def test_no_flipped_byte_passes_as_other_images(bundle: Path):
    split = load_split("tiny")
    expected = load_images(split, open_source(bundle)).fit.sha256()
    content = bundle.read_bytes()
    problems = []
    for place in range(0, len(content), len(content) // 150):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        bundle.write_bytes(damaged)
        try:
            assert load_images(split, open_source(bundle)).fit.sha256() == expected
        except DataError as problem:
            problems.append(str(problem))
    assert len(problems) > 75
    assert all(str(bundle) in problem for problem in problems)


def test_other_pixels_in_a_whole_archive_are_found_out(tiny: Path, tmp_path: Path):
    good, other = written(part_of(3), tmp_path / "a"), written(part_of(3, of=4), tmp_path / "b")
    with zipfile.ZipFile(other) as archive:
        strip = archive.read("cifar10/test/0000.webp")
    with pytest.raises(DataError, match="cifar10/test is damaged: SHA-256 is"):
        Bundle(repacked(good, {"cifar10/test/0000.webp": strip})).part("cifar10", "test")


@pytest.mark.parametrize(
    "name", ["bundle.json", "cifar10/test/labels.npy", "cifar10/test/0000.webp"]
)
@pytest.mark.parametrize("content", [None, b"", b"{}", b"nonsense"])
def test_missing_or_senseless_member_is_an_error_that_names_the_bundle(
    tmp_path: Path, name: str, content: bytes | None
):
    path = repacked(written(part_of(3), tmp_path / "a"), {name: content})
    with pytest.raises(DataError, match=f"{path}: not a whole bundle.*dcbench data bundle"):
        Bundle(path, allow_unverified=True).part("cifar10", "test")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"format": "another"},
        {"unknown": 1},
        {"parts": [{"names": ["cifar12/test"]}]},
    ],
)
def test_manifest_of_another_kind_is_refused(tmp_path: Path, change: dict):
    path = written(part_of(3), tmp_path / "a")
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("bundle.json"))
    path = repacked(path, {"bundle.json": json.dumps(manifest | change).encode()})
    with pytest.raises(DataError, match=r"bundle\.json is not what this dcbench reads"):
        open_source(path).inventory()


@pytest.mark.parametrize("name", ["cifar12/test", "cifar10/tests", "cifar10/train"])
def test_manifest_with_a_part_that_does_not_exist_is_refused(
    tmp_path: Path, monkeypatch, name: str
):
    path = written(part_of(3), tmp_path / "a")
    with zipfile.ZipFile(path) as archive:
        manifest = archive.read("bundle.json").replace(b'"cifar10/test"', f'"{name}"'.encode(), 1)
    with pytest.raises(DataError, match=f"not a whole bundle.*{name.split('/')[0]}"):
        open_source(repacked(path, {"bundle.json": manifest})).inventory()


def test_a_file_that_is_no_bundle_is_an_error(tmp_path: Path):
    path = tmp_path / "x.bundle"
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match=f"{path}: not a whole bundle"):
        open_source(path).part("cifar10", "train")


def test_inventory_reads_the_images_only_when_asked(bundle: Path):
    content = bytearray(bundle.read_bytes())
    with zipfile.ZipFile(bundle) as archive:
        member = archive.getinfo("cifar10/train/0000.webp")
    content[member.header_offset + member.compress_size] ^= 0xFF
    bundle.write_bytes(content)
    assert {each.state for each in open_source(bundle).inventory()} == {"official"}
    states = {
        (each.dataset, each.part): each.state
        for each in open_source(bundle).inventory(hashing=True)
    }
    assert states[("cifar10", "train")] == "damaged"
    assert states[("cifar10", "test")] == "official"


# --- sizes ---------------------------------------------------------------------------------------


def promising(path: Path, **changes: object) -> Path:
    """The bundle with other promises in its manifest."""
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("bundle.json"))
    manifest["parts"][0].update(changes)
    return repacked(path, {"bundle.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": 10**12}, "1000000000000 images"),
        ({"images": 10_001}, "10001 images"),
        ({"shape": [10**6, 10**6, 3]}, "are more than cifar10/test has"),
    ],
)
def test_bundle_that_promises_more_than_a_dataset_has_is_refused_unread(
    tmp_path: Path, changes, message
):
    path = promising(written(part_of(3), tmp_path / "a"), **changes)
    with pytest.raises(DataError, match=f"{path}: not a whole bundle: .*{message}"):
        Bundle(path).part("cifar10", "test")


def npy(header: str, body: bytes = b"") -> bytes:
    """An array in NumPy's format with a header of one's own."""
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + body


HUGE = "{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.npy", npy(HUGE), "where 10000 whole numbers fit"),
        ("rows.npy", npy(HUGE), "where 3 whole numbers fit"),
        ("labels.npy", bytes(200_000), "would take 200,000 bytes, more than 84,096"),
        ("rows.npy", npy(HUGE.replace("1000000000000", "3"), b"x" * 8), "1 numbers where"),
        ("rows.npy", npy(HUGE.replace("<i8", "|O")), "is object"),
        ("0000.webp", bytes(4_000_000), "0000.webp would take 4,000,000 bytes"),
    ],
)
def test_member_that_would_grow_is_refused_before_it_is_unpacked(
    tmp_path: Path, name, content, message
):
    path = repacked(written(part_of(3), tmp_path / "a"), {f"cifar10/test/{name}": content})
    with pytest.raises(DataError, match=message):
        Bundle(path).part("cifar10", "test")


def test_manifest_without_an_end_is_refused_before_it_is_unpacked(tmp_path: Path):
    path = repacked(written(part_of(3), tmp_path / "a"), {"bundle.json": b" " * 2_000_000})
    with pytest.raises(DataError, match=r"bundle\.json would take 2,000,000 bytes"):
        Bundle(path).inventory()


# --- the file ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 250, 251, 600])
def test_any_number_of_images_comes_back(tmp_path: Path, count: int):
    part = part_of(count, of=count + 700)
    found = Bundle(written(part, tmp_path / "a")).part("cifar10", "test")
    assert np.array_equal(found.images, part.images)
    assert np.array_equal(found.rows, part.rows)
    assert np.array_equal(found.labels, part.labels)


def test_equal_contents_give_equal_bytes(tiny: Path, tmp_path: Path):
    digests = [gather(["tiny"], open_source(tiny)).write(tmp_path / name) for name in ("a", "b")]
    assert digests[0] == digests[1] == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()


def test_progress_counts_every_image_once(tiny: Path, tmp_path: Path):
    contents, progress = gather(["tiny"], open_source(tiny)), ToldProgress()
    contents.write(tmp_path / "a", progress)
    first, *counted, last = progress.said
    assert (first, last) == ("bundle: 0 of 50 images", "closed")
    assert sum(map(int, counted)) == contents.num_images == 40 + 8 + 2


def test_unknown_split_or_subset_is_named(tiny: Path):
    with pytest.raises(UsageError, match="unknown split 'tinny'; did you mean tiny"):
        gather(["tinny"], open_source(tiny))
    with pytest.raises(UsageError, match="none of tiny has a subset 7"):
        gather(["tiny"], open_source(tiny), subsets=[0, 7])


def test_nothing_is_fetched_into_a_bundle(bundle: Path):
    with pytest.raises(DataError, match=f"{bundle} is a file; name a folder with --data"):
        fetch("cifar10", bundle)


# --- rows ----------------------------------------------------------------------------------------


def test_rows_are_taken_in_the_order_asked():
    part = part_of(50, of=90)
    by_row = dict(zip(part.rows.tolist(), part.images, strict=True))
    asked = np.random.default_rng(0).permutation(part.rows)[:20]
    taken = part.take(asked)
    assert all(
        np.array_equal(image, by_row[row])
        for image, row in zip(taken.images, asked.tolist(), strict=True)
    )
    assert taken.labels.tolist() == [int(part.labels[row]) for row in asked]


@pytest.mark.parametrize("row", [-1, 0, 7, 89, 10_000])
def test_row_that_is_not_there_is_never_another_one(row: int):
    part = part_of(3, of=8)
    part = Part(part.name, part.images, np.array([1, 4, 6]), part.labels, True, part.files)
    with pytest.raises(DataError, match="1 of 2 images are not in the bundle"):
        part.take(np.array([4, row]))


# --- real images ---------------------------------------------------------------------------------


@pytest.mark.data
def test_real_images_come_back_equal_and_take_at_most_1700_bytes_each(
    real_data: Path, tmp_path: Path
):
    test = open_source(real_data).part("cifar10", "test")
    some = Part(test.name, test.images[:1000], np.arange(1000), test.labels, True, test.files)
    path = written(some, tmp_path / "some.bundle")
    assert Bundle(path).part("cifar10", "test").take(np.arange(1000)).official
    assert np.array_equal(Bundle(path).part("cifar10", "test").images, test.images[:1000])
    assert path.stat().st_size <= 1700 * 1000 + 2 * 10_000


def test_bundle_holds_further_ood_sets_that_are_asked_for(tiny: Path, tmp_path: Path, monkeypatch):
    digit = " ".join(f"{place}:0.5" for place in range(256))
    lines = f"1 {digit}\n2 {digit}\n"
    fakes.place(monkeypatch, tiny, "usps", {"usps/usps.t.bz2": (bz2.compress(lines.encode()), 2)})
    source = open_source(tiny)
    assert "usps/test" not in {part.name for part in gather(["tiny"], source).parts}
    gather(["tiny"], source, ood=False, sets=["usps"]).write(tmp_path / "more.bundle")
    config = load_split("tiny").config
    packed = load_ood_set("usps", config, open_source(tmp_path / "more.bundle"))
    assert np.array_equal(packed.images, load_ood_set("usps", config, source).images)
    with pytest.raises(UsageError, match="unknown image set 'uspz'; did you mean usps"):
        gather(["tiny"], source, sets=["uspz"])
