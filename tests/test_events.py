from collections.abc import Iterator

import pytest

from trueup.events import Event, LoadProgressed, emit, subscribe

EVENT = LoadProgressed(at_seconds=1.0, model_id="glm", progress=0.5)


@pytest.fixture
def seen() -> Iterator[list[Event]]:
    events: list[Event] = []
    unsubscribe = subscribe(events.append)
    yield events
    unsubscribe()


def test_every_subscriber_is_told_even_when_one_before_it_fails(seen: list[Event]) -> None:
    later: list[Event] = []

    def fail(event: Event) -> None:
        raise RuntimeError("subscriber")

    stop_failing, stop_later = subscribe(fail), subscribe(later.append)
    emit(EVENT)
    stop_failing()
    stop_later()
    assert seen == later == [EVENT]


def test_nothing_is_told_after_unsubscribing_and_unsubscribing_twice_is_harmless() -> None:
    events: list[Event] = []
    unsubscribe = subscribe(events.append)
    unsubscribe()
    unsubscribe()
    emit(EVENT)
    assert events == []


def test_a_subscriber_may_unsubscribe_while_it_is_told(seen: list[Event]) -> None:
    def once(event: Event) -> None:
        unsubscribe()

    unsubscribe = subscribe(once)
    emit(EVENT)
    emit(EVENT)
    assert seen == [EVENT, EVENT]
