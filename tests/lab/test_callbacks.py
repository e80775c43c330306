from __future__ import annotations

import os
import signal

import pytest

from jamba_rl.lab.callbacks import StopOnSignal


def test_handlers_are_given_back_and_the_second_signal_aborts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopOnSignal() as stop:
        assert stop.on_step.__self__ is stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        assert not stop._on_step()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
