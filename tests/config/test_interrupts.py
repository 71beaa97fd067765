"""What a signal that interrupts becomes where it comes in the midst of others' code."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest
from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

from dcbench.config.interrupts import INTERRUPTING, interruptible
from dcbench.errors import DataError


class Interrupted(BaseModel):
    """A signal comes while pydantic serializes it."""

    number: int

    @model_serializer(mode="wrap")
    def _interrupt(self, dump: SerializerFunctionWrapHandler) -> dict[str, int]:
        signal.raise_signal(self.number)
        return dump(self)


@pytest.fixture(autouse=True)
def handlers_are_given_back():
    found = {number: signal.signal(number, signal.default_int_handler) for number in INTERRUPTING}
    yield
    left = {number: signal.signal(number, before) for number, before in found.items()}
    assert left == dict.fromkeys(INTERRUPTING, signal.default_int_handler)


@pytest.mark.parametrize("number", INTERRUPTING)
def test_signal_interrupts_with_its_number(number):
    with pytest.raises(KeyboardInterrupt) as interrupted, interruptible():
        signal.raise_signal(number)
    assert interrupted.value.args == (number,)


@pytest.mark.parametrize("dump", ["model_dump", "model_dump_json"])
def test_error_that_a_library_makes_of_an_interrupt_is_the_interrupt(dump):
    with pytest.raises(KeyboardInterrupt) as interrupted, interruptible():
        getattr(Interrupted(number=signal.SIGHUP), dump)()
    assert interrupted.value.args == (signal.SIGHUP,)


def test_error_that_was_handled_after_an_interrupt_is_the_interrupt():
    with pytest.raises(KeyboardInterrupt), interruptible(), suppress(Exception):
        Interrupted(number=signal.SIGTERM).model_dump()


def test_interrupt_that_python_drops_is_raised_at_the_end_and_not_told_of(capsys):
    went_on = []

    class Dropping:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def drop() -> None:
        Dropping()
        went_on.append(True)

    with pytest.raises(KeyboardInterrupt), interruptible():
        drop()
    assert went_on
    assert capsys.readouterr().err == ""


def test_error_without_an_interrupt_stays_what_it_is():
    with pytest.raises(DataError, match="damaged"), interruptible():
        raise DataError("damaged")


def test_signal_that_is_ignored_interrupts_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
