from __future__ import annotations

import threading

from trueup.doctor.time_limit import Stoppable, Stopped


def test_a_look_in_another_thread_is_given_up_wherever_it_is() -> None:
    looking, begun, ends = Stoppable(), threading.Event(), list[str]()

    def endless() -> None:
        begun.set()
        while True:
            pass

    def run() -> None:
        try:
            looking.run(endless)
        except Stopped:
            ends.append("stopped")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    begun.wait()
    looking.stop()
    thread.join(timeout=60)
    assert ends == ["stopped"]


def test_what_is_over_is_not_stopped() -> None:
    looking = Stoppable()
    assert looking.run(lambda: "seen") == "seen"
    looking.stop()
    assert looking.run(lambda: "seen again") == "seen again"
