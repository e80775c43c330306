"""How much memory a call takes, counted and not sampled."""

from __future__ import annotations

import os
from collections.abc import Collection

from torch.profiler import ProfilerActivity, profile

from jamba_rl.lab.speed.timing import Call


def live_bytes(call: Call, marks: Collection[str] = ()) -> tuple[int, dict[str, int]]:
    """Bytes that are live beyond what was before a call: at the worst moment, and where ``record_function`` has marks.

    Counted from the profiler's record of every allocation and release: exact, and the same every time. What the call
    returns belongs to it; what it allocates once and for all does not, so call it before.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it writes two lines to the terminal per profile
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        result = call()
    del result  # not before: it belongs to the peak
    live = peak = 0
    at_marks = {}
    assert recorded.profiler is not None
    for event in sorted(recorded.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
        elif event.name() in marks:
            at_marks[event.name()] = live
    return peak, at_marks
