import gc

import pytest

from dcbench.config.garbage import garbage_kept


def test_collector_is_off_inside_alone_whatever_happens_there():
    assert gc.isenabled()
    with garbage_kept():
        assert not gc.isenabled()
        with garbage_kept():
            pass
        assert not gc.isenabled(), "an inner one ends nothing of the outer"
    assert gc.isenabled()
    with pytest.raises(KeyError), garbage_kept():
        raise KeyError
    assert gc.isenabled()


def test_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with garbage_kept():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_decorates():
    assert garbage_kept()(gc.isenabled)() is False
    assert gc.isenabled()
