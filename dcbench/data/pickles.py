"""Pickles that hold plain values and NumPy arrays: read without running anything of theirs.

The unpickler is Python's own, and not the one in C, so that what an instruction asks for is looked
at before it is done: a pickle of eight bytes can ask C's for gigabytes.
"""

from __future__ import annotations

import array
import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

_CODES = {"u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"}


class FormatError(ValueError):
    """The bytes of a file are not what its format asks for; the message says what is wrong."""


def unpickle(content: bytes) -> Any:
    """Load a pickle that holds nothing but plain containers, numbers, text and numpy arrays.

    Byte strings that Python 2 wrote come back as text (latin1), and numpy arrays as objects that
    `numpy.asarray` makes into arrays.

    Raises
    ------
    FormatError
        If the pickle is broken or asks for anything else; nothing of it has then been run.
    """
    try:
        return _PlainUnpickler(content).load()
    except Exception as error:  # damaged bytes can form any instruction, so any exception
        raise FormatError(f"not a readable pickle ({str(error)[:200]})") from None


class _DType:
    """Stands in for `numpy.dtype` in a pickle: numpy's own crashes on a damaged state."""

    def __init__(self, code: str, *flags: object) -> None:
        self.code: Any = code
        self.byte_order: Any = "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.byte_order = state[1]

    def numpy(self) -> np.dtype[Any]:
        if not isinstance(self.code, str) or self.code not in _CODES:
            raise FormatError("an array of what is no number")
        if self.byte_order not in ("<", ">", "|", "="):
            raise FormatError("an array of an unknown byte order")
        return np.dtype(f"{self.byte_order}{self.code}")


class PickledArray:
    """Stands in for `numpy.ndarray` in a pickle."""

    def __init__(self, *arguments: object) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def __array__(self, dtype: None = None, copy: bool | None = None) -> NDArray[Any]:
        _, shape, element, is_fortran, raw = self.state
        values = np.frombuffer(
            raw.encode("latin1") if isinstance(raw, str) else raw, element.numpy()
        )
        return values.reshape(shape, order="F" if is_fortran else "C")


class _Scalar(PickledArray):
    """Stands in for a single numpy number in a pickle."""

    def __init__(self, element: _DType, raw: bytes) -> None:
        self.state = (1, (), element, False, raw)


class _FromBuffer(PickledArray):
    """Stands in for an array as protocol 5 has it: bytes, type, shape and order."""

    def __init__(self, raw: bytes, element: _DType, shape: tuple[int, ...], order: str) -> None:
        self.state = (1, shape, element, order == "F", raw)


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, as Python 3 writes them for Python 2."""
    if encoding != "latin1":
        raise FormatError("bytes in another encoding than latin1")
    return text.encode("latin1")


_Unpickler: Any = vars(pickle)["_Unpickler"]


class _PlainUnpickler(_Unpickler):  # type: ignore[misc]
    """An unpickler that knows the constructors of plain arrays alone."""

    allowed: Mapping[str, Any] = {
        "numpy.core.multiarray._reconstruct": PickledArray,
        "numpy._core.multiarray._reconstruct": PickledArray,
        "numpy.core.multiarray.scalar": _Scalar,
        "numpy._core.multiarray.scalar": _Scalar,
        "numpy.core.numeric._frombuffer": _FromBuffer,
        "numpy._core.numeric._frombuffer": _FromBuffer,
        "numpy.ndarray": PickledArray,
        "numpy.dtype": _DType,
        "_codecs.encode": _encoded,
        "array.array": array.array,
        "array._array_reconstructor": array.array("b").__reduce_ex__(3)[0],
    }
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_Unpickler.dispatch)

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._size = len(content)

    def find_class(self, module: str, name: str) -> Any:
        """Return what is allowed under that name."""
        try:
            return self.allowed[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None

    def build(self) -> None:
        """Give a state to one of the objects that stand in for others, and to nothing else."""
        if not isinstance(self.stack[-2], (_DType, PickledArray)):
            raise pickle.UnpicklingError("it changes an object that is not its own")
        super().load_build()

    def set_items(self) -> None:
        """Fill a mapping whose keys are text: a tuple of tuples of itself is hashed for ever."""
        if not all(isinstance(key, str) for key in self.stack[::2]):
            raise pickle.UnpicklingError("it has a key that is no text")
        super().load_setitems()

    def whole_mapping(self) -> None:
        """As `set_items`."""
        if not all(isinstance(key, str) for key in self.stack[::2]):
            raise pickle.UnpicklingError("it has a key that is no text")
        super().load_dict()

    def set_item(self) -> None:
        """As `set_items`."""
        if not isinstance(self.stack[-2], str):
            raise pickle.UnpicklingError("it has a key that is no text")
        super().load_setitem()

    def byte_array(self) -> None:
        """Bytes of a length that the pickle can hold."""
        size = int.from_bytes(self.read(8), "little")
        if size > self._size:
            raise pickle.UnpicklingError(f"it is cut off: {size} bytes are to follow")
        self.append(bytearray(self.read(size)))

    def refuse(self) -> None:
        """Read nothing that no file of images holds."""
        raise pickle.UnpicklingError("it holds a set, or what is no plain value")


_PlainUnpickler.dispatch |= {
    pickle.BUILD[0]: _PlainUnpickler.build,
    pickle.SETITEMS[0]: _PlainUnpickler.set_items,
    pickle.DICT[0]: _PlainUnpickler.whole_mapping,
    pickle.SETITEM[0]: _PlainUnpickler.set_item,
    pickle.BYTEARRAY8[0]: _PlainUnpickler.byte_array,
    **{
        code[0]: _PlainUnpickler.refuse
        for code in (pickle.EMPTY_SET, pickle.FROZENSET, pickle.ADDITEMS)
    },
}
