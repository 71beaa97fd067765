"""Trainings in turns, and what ends them early: a failure, an interrupt, a deadline."""

import copy
import signal
import threading
from typing import Any, ClassVar

import pytest
import torch
from torch.nn.functional import cross_entropy

from dcbench.errors import OutOfTimeError, RunError
from dcbench.methods import Method
from dcbench.training.loop import Interrupts as SignalsNoted
from dcbench.training.loop import Training, train_together
from tests.training.test_trainer import (
    a_trainer,
    assert_in_turns_as_alone,
    assert_same,
    keeping,
    train,
    weights,
)


def test_trainings_in_turns_end_as_each_does_alone():
    asked = [("erm", 0), ("erm", 1), ("ic-regmixup", 0), ("remix", 7)]
    alone = [a_trainer(method, seed=seed) for method, seed in asked]
    together = [a_trainer(method, seed=seed) for method, seed in asked]
    together[1].recipe = together[1].recipe.model_copy(update={"epochs": 2})
    alone[1].recipe = together[1].recipe
    assert_in_turns_as_alone(alone, together)


class Breaks(Method):
    """ERM that fails in its seventh step."""

    step: int = 0

    def loss(self, network, batch):
        object.__setattr__(self, "step", self.step + 1)
        if self.step == 7:
            raise ValueError("no more")
        return network(batch.images).square().mean()


def test_training_that_fails_does_not_stop_the_others():
    alone, whole, broken = a_trainer(), a_trainer(), a_trainer(Breaks())
    train(alone)
    failed = train_together({3: Training(broken), 4: Training(whole)})
    assert failed.keys() == {3}
    assert isinstance(failed[3], RunError)
    assert "no more" in str(failed[3])
    assert_same(weights(alone), weights(whole))


class Greedy(Method):
    """Asks for more memory than there is, as a GPU's allocator says it."""

    def loss(self, network, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")


def test_training_that_runs_out_of_memory_says_what_to_do():
    with pytest.raises(RunError, match="out of memory; train fewer runs at once"):
        train(a_trainer(Greedy()))


class Interrupting(Method):
    """ERM during which the user presses a key, once."""

    def loss(self, network, batch):
        if not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)
        return torch.nn.functional.cross_entropy(network(batch.images), batch.labels)


pressed: list[bool] = []


def test_interrupted_trainings_are_all_saved():
    pressed.clear()
    saved: dict[int, dict[str, Any]] = {}
    trainings = {
        0: keeping(a_trainer(seed=1), lambda state: saved.update({0: state})),
        1: keeping(a_trainer(Interrupting()), lambda state: saved.update({1: state})),
    }
    with pytest.raises(KeyboardInterrupt):
        train_together(trainings)
    assert {key: state["progress"]["step"] for key, state in saved.items()} == {0: 1, 1: 1}
    resumed, whole = a_trainer(seed=1), a_trainer(seed=1)
    resumed.restore(saved[0])
    train(resumed)
    train(whole)
    assert_same(weights(resumed), weights(whole))


class Interrupts(Method):
    """ERM during which a signal comes."""

    number: int
    times: int = 1
    step: ClassVar[int] = 0

    def loss(self, network, batch):
        type(self).step += 1
        if type(self).step == 7:
            for _ in range(self.times):
                signal.raise_signal(self.number)
        return cross_entropy(network(batch.images), batch.labels)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
def test_interrupted_run_is_saved_first_and_goes_on_to_the_same_weights(number):
    Interrupts.step = 0
    before = signal.getsignal(number)
    trainer = a_trainer(Interrupts(number=number))
    saved: list[dict[str, Any]] = []
    with pytest.raises(KeyboardInterrupt):
        train(trainer, save=lambda state: saved.append(copy.deepcopy(state)))
    assert signal.getsignal(number) is before
    assert len(saved) == 1
    assert (saved[0]["progress"]["epoch"], saved[0]["progress"]["step"]) == (1, 2)
    whole, resumed = a_trainer(), a_trainer()
    train(whole)
    resumed.restore(saved[0])
    train(resumed)
    assert_same(weights(whole), weights(resumed))


def test_second_interrupt_does_not_wait_for_the_step():
    Interrupts.step = 0
    trainer = a_trainer(Interrupts(number=signal.SIGINT, times=2))
    saved: list[dict[str, Any]] = []
    with pytest.raises(KeyboardInterrupt):
        train(trainer, save=saved.append)
    assert saved == []


def test_interrupt_that_the_process_ignores_ends_no_training():
    Interrupts.step = 0
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        train(a_trainer(Interrupts(number=signal.SIGINT)))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_signal_handlers_are_given_back_after_training_and_after_a_failure():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(a_trainer())
    with pytest.raises(RunError):
        train(a_trainer(learning_rate=1e6))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_training_in_a_thread_gives_the_same_weights():
    main, other = a_trainer(), a_trainer()
    train(main)
    thread = threading.Thread(target=train, args=(other,))
    thread.start()
    thread.join()
    assert_same(weights(main), weights(other))


def test_training_is_left_at_its_deadline_and_goes_on_to_the_same_weights(monkeypatch):
    whole, cut = a_trainer("ic-mixup"), a_trainer("ic-mixup")
    train(whole)
    states = []
    clock = iter(range(1000))
    monkeypatch.setattr("dcbench.training.loop.time.monotonic", lambda: float(next(clock)))
    failed = train_together({0: keeping(cut, states.append)}, deadline=9.0)
    assert isinstance(failed[0], OutOfTimeError)
    assert len(states) == 1
    monkeypatch.undo()
    resumed = a_trainer("ic-mixup")
    resumed.restore(states[0])
    train(resumed)
    assert_same(weights(whole), weights(resumed))


def test_signal_that_comes_while_the_handlers_are_set_is_noted_and_they_are_given_back(monkeypatch):
    number = signal.SIGTERM
    before = signal.getsignal(number)
    real = signal.signal

    def set_and_send(which, handler):
        found = real(which, handler)
        if which == number and handler != before:
            signal.raise_signal(number)
        return found

    monkeypatch.setattr(signal, "signal", set_and_send)
    with SignalsNoted() as interrupts:
        assert (interrupts.asked, interrupts.signal) == (True, number)
        assert signal.getsignal(number) == before  # a second one does not wait
    assert signal.getsignal(number) == before
