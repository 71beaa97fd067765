import hashlib
import io
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dcbench.records import arrays
from dcbench.records.arrays import Arrays, arrays_sha256, is_packed, pack, unpack


def packed(made: Arrays) -> bytes:
    content = io.BytesIO()
    pack(content, made)
    return content.getvalue()


def bits(array: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    little = array.astype(array.dtype.newbyteorder("<"))
    return little.shape, little.dtype, little.tobytes()


SPECIAL = np.array(
    [
        *(0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7FC12345),
        *(0xFFC00001, 0x7F800001, 0x00000001, 0x807FFFFF, 0x3F800000, 0xFF7FFFFF),
    ],
    np.uint32,
).view(np.float32)
"""Zeros of both signs, infinities, NaN with payloads, and subnormal numbers."""


@pytest.mark.parametrize(
    "array",
    [
        SPECIAL,
        SPECIAL.reshape(3, 4).T,
        SPECIAL[::2],
        np.array(SPECIAL[5]),
        np.empty((0, 10), np.float32),
        np.empty((4, 0), np.float32),
        np.linspace(-1, 1, 30).reshape(5, 6),
        np.linspace(-1, 1, 30).astype(np.float16),
        SPECIAL.astype(">f4"),
        np.arange(-3, 4),
        np.array(7),
        np.arange(3, dtype=">i8"),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_come_back_to_the_last_bit(array):
    found = unpack(packed({"logits": array, "labels": np.arange(3)}))
    assert found.keys() == {"logits", "labels"}
    assert bits(found["logits"]) == bits(array)


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.dtype("<f4"), np.dtype("<f8"), np.dtype("<i8")]),
        hnp.array_shapes(min_dims=0, min_side=0),
    )
)
def test_any_array_comes_back_to_the_last_bit(array):
    assert bits(unpack(packed({"x": array}))["x"]) == bits(array)


def test_file_is_read_by_numpy_alone_as_the_documentation_says():
    logits = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    with np.load(io.BytesIO(packed({"logits": logits, "labels": np.arange(7)}))) as stored:
        octets = np.concatenate([stored["logits.low"], stored["logits.high"][None]])
        found = np.moveaxis(octets, 0, -1).copy().view("<f4")[..., 0]
        assert stored["labels"].tolist() == list(range(7))
    assert found.tobytes() == logits.tobytes()


def test_hash_is_that_of_names_types_shapes_and_bytes():
    made = {"b": np.array([[1.0, -0.0]], np.float32), "a": np.array([2, 3])}
    text = b'["a", "<i8", [2]]\n' + bytes([2, *[0] * 7, 3, *[0] * 7])
    text += b'["b", "<f4", [1, 2]]\n' + bytes([0, 0, 0x80, 0x3F, 0, 0, 0, 0x80])
    assert arrays_sha256(made) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        {"y": np.zeros((2, 3), np.float32)},
        {"x": np.zeros((3, 2), np.float32)},
        {"x": np.zeros((2, 3), np.int32)},
        {"x": -np.zeros((2, 3), np.float32)},
        {"x": np.zeros((2, 3), np.float32), "y": np.zeros(0)},
    ],
    ids=["name", "shape", "type", "sign of zero", "another empty array"],
)
def test_whatever_differs_gives_another_hash(other):
    assert arrays_sha256(other) != arrays_sha256({"x": np.zeros((2, 3), np.float32)})


def test_hash_knows_neither_order_nor_layout_nor_the_order_of_bytes():
    one = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.arange(4)}
    other = {
        "n": np.arange(4, dtype=">i8"),
        "x": np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)),
    }
    assert arrays_sha256(one) == arrays_sha256(other)


def saved(save: Callable[..., None]) -> Callable[[Arrays], bytes]:
    def content(made: Arrays) -> bytes:
        file = io.BytesIO()
        save(file, **made)
        return file.getvalue()

    return content


def at_level_nine(made: Arrays) -> bytes:
    """What another zlib might make of the same arrays."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed(made))) as old, zipfile.ZipFile(content, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name), zipfile.ZIP_DEFLATED, 9)
    return content.getvalue()


@pytest.mark.parametrize("write", [saved(np.savez), saved(np.savez_compressed), at_level_nine])
def test_hash_is_the_same_whatever_compressed_the_file(write):
    generator = np.random.default_rng(0)
    made = {"logits": generator.normal(size=(50, 4)).astype(np.float32), "n": np.arange(50)}
    content = write(made)
    assert content != packed(made)
    assert arrays_sha256(unpack(content)) == arrays_sha256(made)


def test_new_files_are_distinguished_from_old_ones():
    made = {"logits": np.zeros((3, 2), np.float32)}
    assert is_packed(packed(made))
    assert not is_packed(saved(np.savez_compressed)(made))


def test_logits_take_less_than_compressed_as_they_are():
    logits = np.random.default_rng(0).normal(size=(2000, 10)).astype(np.float32)
    small, large = packed({"x": logits}), saved(np.savez_compressed)({"x": logits})
    assert len(small) < 0.95 * len(large)


def test_flipped_bit_is_found_wherever_it_changes_a_number():
    made = {"x": np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)}
    whole, expected = packed(made), arrays_sha256(made)
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1
        try:
            found = unpack(bytes(content))
        except Exception:
            continue
        # What is left are bits that say nothing of the arrays, such as the date of a member.
        assert arrays_sha256(found) == expected or found.keys() != made.keys()


def bomb(size: int) -> bytes:
    """A file whose one member inflates to many times its size."""
    content = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (size,)}
    with (
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("logits.npy", "w") as member,
    ):
        np.lib.format.write_array_header_1_0(member, header)
        member.write(bytes(size))
    return content.getvalue()


def refused_within(content: bytes, memory: int, match: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Exception, match=match):
            unpack(content)
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()


def test_file_that_says_it_is_far_larger_is_refused_before_it_is_inflated(monkeypatch):
    monkeypatch.setattr(arrays, "_LARGEST", 2**22)
    content = bomb(2**24)
    assert len(content) < 2**15
    refused_within(content, 2**20, r"bytes that say they hold 16777\d{3}$")


def test_file_that_lies_about_its_size_is_not_inflated_beyond_what_it_says():
    size = 2**24
    held = (size + 128).to_bytes(4, "little")  # with the header of NumPy
    content = bomb(size)
    assert content.count(held) == 2  # in the member's head, and in the list of members
    refused_within(content.replace(held, (1000).to_bytes(4, "little")), size + 2**20, "EOF|CRC")


def test_constant_predictions_are_not_taken_for_a_bomb(monkeypatch):
    monkeypatch.setattr(arrays, "_LARGEST", 0)
    made = {"logits": np.zeros((9000, 2), np.float32), "labels": np.zeros(9000, np.int64)}
    assert arrays_sha256(unpack(packed(made))) == arrays_sha256(made)
