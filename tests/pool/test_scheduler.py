from __future__ import annotations

import pytest

from tests.worker.fake_engine import fake_plan
from trueup.adapt.plan import Memory
from trueup.errors import BackendError, CapacityError, CheckpointError, TrueUpError
from trueup.pool.budget import Budget
from trueup.pool.event import (
    Event,
    Measured,
    Progressed,
    Released,
    Requested,
    Shutdown,
    Ticket,
    TimePassed,
    WorkerExited,
    WorkerFailed,
    WorkerReady,
)
from trueup.pool.model import Model
from trueup.pool.scheduler import FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, Scheduler


class FakeEffects:
    """Records what the scheduler wants."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.granted: list[Ticket] = []
        self.refused: dict[Ticket, TrueUpError] = {}
        self.free_bytes: int | None = None

    def start_worker(self, model_id: str, load: int) -> None:
        self.calls.append(("start", model_id, load))

    def stop_worker(self, model_id: str, load: int) -> None:
        self.calls.append(("stop", model_id, load))

    def grant(self, ticket: Ticket, load: int) -> None:
        self.granted.append(ticket)

    def refuse(self, ticket: Ticket, error: TrueUpError) -> None:
        self.refused[ticket] = error

    def changed(self, model_id: str, before: str, after: str, reason: str | None) -> None:
        self.calls.append((model_id, before, after))

    def available_bytes(self) -> int | None:
        return self.free_bytes


class Bench:
    """A scheduler with recorded effects and a clock that stands until it is set."""

    def __init__(self, *models: Model, **limits: object) -> None:
        self.effects = FakeEffects()
        self.scheduler = Scheduler(self.effects, **limits)  # type: ignore[arg-type]
        self.now = 100.0
        for model in models or (a_model(),):
            self.scheduler.add(model)

    def take(self, event: Event) -> None:
        self.scheduler.handle(event, self.now)

    def ask(self, model_id: str = "a", client: str = "") -> Ticket:
        ticket = Ticket(model_id=model_id, client=client)
        self.take(Requested(ticket=ticket))
        return ticket

    def ready(self, model_id: str = "a", memory_bytes: int | None = None) -> None:
        load = self.scheduler.models[model_id].load
        self.take(WorkerReady(model_id=model_id, load=load, memory_bytes=memory_bytes))

    def exited(self, model_id: str = "a", reason: str = "was ended by SIGKILL") -> None:
        load = self.scheduler.models[model_id].load
        self.take(WorkerExited(model_id=model_id, load=load, reason=reason))

    def failed(self, model_id: str = "a", error: TrueUpError | None = None) -> None:
        error = error or CheckpointError("a shard is missing", where="/m", hint="get it")
        load = self.scheduler.models[model_id].load
        self.take(WorkerFailed(model_id=model_id, load=load, error=error))

    def release(self, ticket: Ticket) -> None:
        ticket.is_abandoned = True
        self.take(Released(ticket=ticket))

    def state(self, model_id: str = "a") -> str:
        return self.scheduler.models[model_id].state

    @property
    def starts(self) -> int:
        return sum(call[0] == "start" for call in self.effects.calls)

    @property
    def stops(self) -> int:
        return sum(call[0] == "stop" for call in self.effects.calls)


def a_model(
    model_id: str = "a",
    *,
    ttl_seconds: float | None = None,
    is_pinned: bool = False,
    weights_bytes: int = 1000,
    concurrency: int | None = None,
) -> Model:
    memory = Memory(weights_bytes=weights_bytes, kv_bytes_per_1k_tokens=0, overhead_bytes=0)
    return Model(
        id=model_id,
        plan=fake_plan(model_id, memory=memory),
        ttl_seconds=ttl_seconds,
        is_pinned=is_pinned,
        concurrency=concurrency,
    )


def test_the_first_request_loads_and_is_served_when_the_worker_is_ready() -> None:
    bench = Bench()
    ticket = bench.ask()
    assert bench.effects.calls == [("a", "stopped", "starting"), ("start", "a", 1)]
    assert bench.effects.granted == []
    bench.ready(memory_bytes=7)
    assert bench.effects.granted == [ticket]
    assert bench.scheduler.models["a"].memory_bytes == 7


def test_requests_during_a_load_do_not_load_again() -> None:
    bench = Bench()
    bench.ask()
    bench.ask()
    assert bench.starts == 1


def test_clients_that_wait_take_turns() -> None:
    bench = Bench()
    for client in "xxxxyyz":
        bench.ask(client=client)
    bench.ready()
    late = None
    for number in range(8):
        bench.release(bench.effects.granted[-1])
        if number == 4:
            late = bench.ask(client="y")
    assert "".join(each.client for each in bench.effects.granted) == "xyzxyxyx"
    assert late in bench.effects.granted
    assert bench.scheduler.models["a"].turns.keys() == {"x"}


def test_waiters_are_served_in_their_order_one_at_a_time() -> None:
    bench = Bench()
    first, second, third = bench.ask(), bench.ask(), bench.ask()
    bench.ready()
    assert bench.effects.granted == [first]
    bench.release(first)
    assert bench.effects.granted == [first, second]
    bench.release(second)
    assert bench.effects.granted == [first, second, third]


def test_concurrency_is_how_many_hold_a_lease_at_once() -> None:
    bench = Bench(concurrency=2)
    tickets = [bench.ask() for _ in range(3)]
    bench.ready()
    assert bench.effects.granted == tickets[:2]
    bench.release(tickets[1])
    assert bench.effects.granted == tickets


def test_a_models_own_concurrency_wins_over_the_pools() -> None:
    bench = Bench(a_model("many", concurrency=3), a_model("few"))
    tickets = [bench.ask("many", client="x") for _ in range(5)]
    few = [bench.ask("few") for _ in range(2)]
    bench.ready("many")
    bench.ready("few")
    assert bench.effects.granted == [*tickets[:3], few[0]]
    bench.release(tickets[1])
    assert bench.effects.granted[4:] == [tickets[3]]
    bench.release(few[0])
    assert bench.effects.granted[5:] == [few[1]]


def test_a_model_with_many_leases_is_idle_when_the_last_is_back() -> None:
    bench = Bench(a_model(concurrency=64, ttl_seconds=10))
    tickets = [bench.ask() for _ in range(3)]
    bench.ready()
    for ticket in tickets[:2]:
        bench.release(ticket)
    assert bench.scheduler.deadline() is None
    bench.release(tickets[2])
    assert bench.scheduler.deadline() == bench.now + 10


def test_the_end_of_a_worker_with_many_leases_leaves_none_of_them() -> None:
    bench = Bench(a_model(concurrency=2))
    held = [bench.ask(), bench.ask()]
    waiting = bench.ask()
    bench.ready()
    bench.exited()
    for ticket in held:
        bench.release(ticket)
    assert waiting in bench.effects.refused or bench.starts == 2
    again = bench.ask()
    bench.ready()
    assert again in bench.effects.granted


def test_a_newcomer_does_not_overtake_waiters() -> None:
    bench = Bench()
    first, second = bench.ask(), bench.ask()
    bench.ready()
    bench.scheduler.models["a"].leases.clear()
    newcomer = bench.ask()
    assert bench.effects.granted == [first]
    assert list(bench.scheduler.models["a"].waiters) == [second, newcomer]


def test_the_queue_has_a_limit() -> None:
    bench = Bench(queue_limit=2)
    bench.ask()
    bench.ready()
    bench.ask()
    bench.ask()
    error = bench.effects.refused[bench.ask()]
    assert isinstance(error, CapacityError)
    assert error.status == 429
    assert error.retry_after_seconds > 0
    assert error.cause == "2 requests wait for `a` already"


def test_an_abandoned_request_starts_nothing() -> None:
    bench = Bench()
    bench.take(Requested(ticket=Ticket(model_id="a", is_abandoned=True)))
    assert bench.effects.calls == []


def test_a_waiter_that_left_while_the_model_stopped_starts_no_load() -> None:
    bench = Bench(a_model(ttl_seconds=0))
    bench.release(bench.ask())
    bench.ready()
    bench.take(TimePassed())
    assert bench.state() == "stopping"
    bench.release(bench.ask())
    bench.exited()
    assert bench.state() == "stopped"
    assert bench.starts == 1


def test_a_request_while_the_model_stops_loads_it_again() -> None:
    bench = Bench(a_model(ttl_seconds=0))
    bench.release(bench.ask())
    bench.ready()
    bench.take(TimePassed())
    ticket = bench.ask()
    bench.exited()
    assert bench.state() == "starting"
    bench.ready()
    assert bench.effects.granted == [ticket]


def test_a_waiter_that_leaves_makes_no_place_and_takes_none() -> None:
    bench = Bench()
    first, second, third = bench.ask(), bench.ask(), bench.ask()
    bench.ready()
    bench.release(second)
    assert bench.effects.granted == [first]
    bench.release(first)
    assert bench.effects.granted == [first, third]


def test_an_unknown_model_is_refused() -> None:
    bench = Bench()
    error = bench.effects.refused[bench.ask("b")]
    assert isinstance(error, BackendError)
    assert error.status == 404
    bench.take(Released(ticket=Ticket(model_id="b")))


def test_a_failed_load_tells_every_waiter_why_and_when_to_come_again() -> None:
    bench = Bench()
    tickets = [bench.ask(), bench.ask()]
    bench.failed()
    assert bench.state() == "failed"
    for ticket in tickets:
        error = bench.effects.refused[ticket]
        assert isinstance(error, BackendError)
        assert (error.cause, error.where) == ("a shard is missing", f"models.{ticket.model_id}")
        assert (error.status, error.retry_after_seconds) == (503, FIRST_BACKOFF_SECONDS)


def test_a_private_pool_tells_whoever_asks_where_a_load_failed_and_what_to_do() -> None:
    bench = Bench(is_private=True)
    ticket = bench.ask()
    bench.failed()
    for each in (ticket, bench.ask()):
        error = bench.effects.refused[each]
        assert (error.cause, error.where, error.hint) == ("a shard is missing", "/m", "get it")


def test_a_load_that_was_killed_is_begun_anew_for_its_waiters_once() -> None:
    bench = Bench()
    tickets = [bench.ask(), bench.ask()]
    killed = BackendError("the worker was killed", retryable=True, code="worker_died")
    bench.failed(error=killed)
    assert bench.effects.calls[-3:] == [
        ("a", "starting", "failed"),
        ("a", "failed", "starting"),
        ("start", "a", 2),
    ]
    bench.failed(error=killed)
    assert list(bench.effects.refused) == tickets
    assert bench.starts == 2
    bench.now += 2 * FIRST_BACKOFF_SECONDS
    ticket = bench.ask()
    bench.ready()
    bench.release(ticket)
    bench.exited()
    # It was loaded since: the next kill is a first one again.
    bench.ask()
    bench.failed(error=killed)
    assert bench.state() == "starting"


def test_a_killed_load_that_nobody_waits_for_any_more_leaves_no_back_off() -> None:
    bench = Bench()
    bench.release(bench.ask())
    bench.failed(error=BackendError("the worker was killed", retryable=True))
    assert bench.state() == "failed"
    bench.ask()
    assert bench.state() == "starting"


def test_a_failed_load_is_not_tried_again_before_its_back_off_is_over() -> None:
    bench = Bench()
    bench.ask()
    bench.failed()
    bench.now += FIRST_BACKOFF_SECONDS / 2
    error = bench.effects.refused[bench.ask()]
    assert isinstance(error, BackendError)
    assert error.retry_after_seconds == FIRST_BACKOFF_SECONDS / 2
    assert bench.starts == 1
    bench.now += FIRST_BACKOFF_SECONDS / 2
    ticket = bench.ask()
    assert ticket not in bench.effects.refused
    assert bench.starts == 2


def test_the_back_off_doubles_up_to_its_limit_and_a_success_forgets_it() -> None:
    bench = Bench()
    pauses = []
    for _ in range(7):
        ticket = bench.ask()
        bench.failed()
        error = bench.effects.refused[ticket]
        assert isinstance(error, BackendError)
        pauses.append(error.retry_after_seconds)
        bench.now += LONGEST_BACKOFF_SECONDS
    assert pauses == [2, 4, 8, 16, 32, 60, 60]
    ticket = bench.ask()
    bench.ready()
    assert bench.scheduler.models["a"].error is None
    bench.release(ticket)
    bench.exited()
    last = bench.ask()
    bench.failed()
    error = bench.effects.refused[last]
    assert isinstance(error, BackendError)
    assert error.retry_after_seconds == FIRST_BACKOFF_SECONDS


def test_a_crash_in_an_answer_serves_the_waiters_from_a_new_worker() -> None:
    bench = Bench()
    holder, waiter = bench.ask(), bench.ask()
    bench.ready()
    bench.exited()
    assert bench.effects.calls[-3:] == [
        ("a", "ready", "failed"),
        ("a", "failed", "starting"),
        ("start", "a", 2),
    ]
    bench.ready()
    assert bench.effects.granted == [holder, waiter]
    bench.release(holder)
    assert bench.scheduler.models["a"].leases == {waiter}


def test_a_crash_without_waiters_is_remembered_and_the_next_request_loads_at_once() -> None:
    bench = Bench()
    bench.release(bench.ask())
    bench.ready()
    bench.exited()
    error = bench.scheduler.models["a"].error
    assert bench.state() == "failed"
    assert error is not None
    assert error.cause == "the worker of `a` was ended by SIGKILL"
    bench.ask()
    assert bench.state() == "starting"


def test_word_of_an_earlier_worker_means_nothing() -> None:
    bench = Bench()
    bench.ask()
    bench.ready()
    bench.exited()
    bench.ask()
    bench.take(WorkerExited(model_id="a", load=1, reason="ended"))
    bench.take(WorkerReady(model_id="a", load=1))
    assert bench.state() == "starting"


def test_an_idle_model_is_unloaded_when_its_time_is_over() -> None:
    bench = Bench(a_model(ttl_seconds=30))
    ticket = bench.ask()
    bench.ready()
    assert bench.scheduler.deadline() is None
    bench.release(ticket)
    assert bench.scheduler.deadline() == 130
    bench.now = 129.9
    bench.take(TimePassed())
    assert bench.state() == "ready"
    bench.now = 130
    bench.take(TimePassed())
    assert bench.state() == "stopping"
    assert bench.effects.calls[-1] == ("stop", "a", 1)
    assert bench.scheduler.deadline() is None


def test_every_lease_starts_the_time_to_live_anew() -> None:
    bench = Bench(a_model(ttl_seconds=30))
    bench.release(bench.ask())
    bench.ready()
    bench.now += 29
    ticket = bench.ask()
    bench.now += 29
    bench.take(TimePassed())
    assert bench.state() == "ready"
    bench.release(ticket)
    assert bench.scheduler.deadline() == bench.now + 30


def test_a_model_whose_waiters_all_left_during_its_load_is_unloaded_in_time() -> None:
    bench = Bench(a_model(ttl_seconds=30))
    bench.release(bench.ask())
    bench.ready()
    assert bench.scheduler.deadline() == 130


@pytest.mark.parametrize(
    "model", [a_model(ttl_seconds=1, is_pinned=True), a_model(ttl_seconds=None)]
)
def test_pinned_models_and_those_without_a_ttl_stay(model: Model) -> None:
    bench = Bench(model)
    bench.release(bench.ask())
    bench.ready()
    bench.now += 10**6
    bench.take(TimePassed())
    assert bench.state() == "ready"
    assert bench.scheduler.deadline() is None


def test_a_model_that_does_not_fit_is_refused_with_the_numbers() -> None:
    bench = Bench(
        a_model("a", weights_bytes=6 * 10**9),
        a_model("b", weights_bytes=5 * 10**9),
        budget=Budget(host_bytes=10 * 10**9),
    )
    bench.ask("a")
    error = bench.effects.refused[bench.ask("b")]
    assert isinstance(error, CapacityError)
    assert (error.status, error.code) == (503, "insufficient_memory")
    assert "stop other programs" in (error.hint or "")
    assert error.cause == (
        "`b` needs 5.0 GB, 4.0 GB are free of the 10.0 GB of `memory.host_bytes`"
    )
    assert bench.state("b") == "stopped"


def test_a_model_fits_again_when_the_other_has_gone() -> None:
    bench = Bench(
        a_model("a", weights_bytes=6 * 10**9, ttl_seconds=0),
        a_model("b", weights_bytes=5 * 10**9),
        budget=Budget(host_bytes=10 * 10**9),
    )
    bench.release(bench.ask("a"))
    bench.ready("a")
    bench.take(TimePassed())
    assert bench.ask("b") in bench.effects.refused
    bench.exited("a")
    assert bench.ask("b") not in bench.effects.refused


def test_waiters_of_a_lost_worker_are_refused_where_it_fits_no_more() -> None:
    bench = Bench()
    bench.ask()
    waiter = bench.ask()
    bench.ready()
    bench.effects.free_bytes = 10
    bench.exited()
    assert isinstance(bench.effects.refused[waiter], CapacityError)
    assert not bench.scheduler.models["a"].waiters


def test_progress_and_memory_are_kept_for_the_snapshot() -> None:
    bench = Bench()
    bench.ask()
    bench.take(Progressed(model_id="a", load=1, progress=0.4))
    assert bench.scheduler.models["a"].progress == 0.4
    bench.ready(memory_bytes=5)
    bench.take(Measured(model_id="a", load=1, memory_bytes=9))
    assert bench.scheduler.models["a"].memory_bytes == 9
    bench.exited()
    assert bench.scheduler.models["a"].memory_bytes is None


def test_shutdown_refuses_waiters_and_newcomers_and_gives_up_loads() -> None:
    bench = Bench(a_model("a"), a_model("b"))
    ticket = bench.ask("a")
    bench.take(Shutdown())
    assert isinstance(bench.effects.refused[ticket], CapacityError)
    assert bench.state("a") == "stopping"
    assert isinstance(bench.effects.refused[bench.ask("b")], CapacityError)
    assert not bench.scheduler.is_finished
    bench.exited("a")
    assert bench.scheduler.is_finished
    assert bench.starts == 1


def test_shutdown_lets_answers_finish_unless_it_is_forced() -> None:
    bench = Bench()
    ticket = bench.ask()
    bench.ready()
    bench.take(Shutdown())
    assert bench.state() == "ready"
    bench.release(ticket)
    assert bench.state() == "stopping"

    bench = Bench()
    bench.ask()
    bench.ready()
    bench.take(Shutdown())
    bench.take(Shutdown(is_forced=True))
    assert bench.state() == "stopping"
    bench.take(Shutdown(is_forced=True))
    assert bench.stops == 1


def test_a_load_that_fails_while_it_is_being_stopped_ends_stopped() -> None:
    bench = Bench()
    bench.ask()
    bench.take(Shutdown())
    bench.failed()
    assert bench.state() == "stopped"
    assert bench.scheduler.is_finished


def test_an_empty_pool_is_finished_at_once() -> None:
    scheduler = Scheduler(FakeEffects())
    assert not scheduler.is_finished
    scheduler.handle(Shutdown(), 0.0)
    assert scheduler.is_finished
