"""Whatever happens in whatever order, what the pool promises holds."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.pool.test_scheduler import Bench, a_model
from trueup.pool.budget import Budget
from trueup.pool.event import Released, Requested, Shutdown, Ticket, TimePassed

MODELS = ("a", "b", "c")
QUEUE_LIMIT = 3
CONCURRENCY = 2
a_model_id = st.sampled_from(MODELS)


class PoolMachine(RuleBasedStateMachine):
    """Callers come and go, workers live and die; `workers` are those that really run."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(
            a_model("a", ttl_seconds=5),
            a_model("b", ttl_seconds=5, is_pinned=True),
            a_model("c", weights_bytes=1500),
            concurrency=CONCURRENCY,
            queue_limit=QUEUE_LIMIT,
            budget=Budget(host_bytes=3000),
        )
        self.tickets: list[Ticket] = []
        self.workers: dict[str, int] = {}
        self.seen_calls = 0
        self.is_closing = False

    def follow(self) -> None:
        """Carry out the new effects: start and stop are about a model's one worker."""
        for call in self.bench.effects.calls[self.seen_calls :]:
            match call:
                case ("start", str(model_id), int(load)):
                    assert model_id not in self.workers, "two workers of one model"
                    assert not self.is_closing, "a load after the shutdown"
                    waiters = self.bench.scheduler.models[model_id].waiters
                    assert all(not ticket.is_abandoned for ticket in waiters)
                    self.workers[model_id] = load
                case ("stop", str(model_id), int(load)):
                    assert self.workers[model_id] == load
        self.seen_calls = len(self.bench.effects.calls)

    @rule(model_id=a_model_id)
    def request(self, model_id: str) -> None:
        self.tickets.append(self.bench.ask(model_id))
        self.follow()

    @rule(model_id=a_model_id)
    def request_and_leave_at_once(self, model_id: str) -> None:
        starts = self.bench.starts
        ticket = Ticket(model_id=model_id, is_abandoned=True)
        self.bench.take(Requested(ticket=ticket))
        self.bench.take(Released(ticket=ticket))
        assert self.bench.starts == starts
        assert ticket not in self.bench.effects.granted

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.tickets))
        self.tickets.remove(ticket)
        self.bench.release(ticket)
        self.follow()

    @rule(model_id=a_model_id)
    def become_ready(self, model_id: str) -> None:
        if self.bench.state(model_id) == "starting":
            self.bench.ready(model_id)
            self.follow()

    @rule(model_id=a_model_id)
    def fail(self, model_id: str) -> None:
        if self.bench.state(model_id) == "starting":
            del self.workers[model_id]
            self.bench.failed(model_id)
            self.follow()

    @rule(model_id=a_model_id)
    def exit(self, model_id: str) -> None:
        if self.bench.state(model_id) in ("ready", "stopping"):
            del self.workers[model_id]
            self.bench.exited(model_id)
            self.follow()

    @rule(seconds=st.sampled_from([0.5, 5, 100]))
    def pass_time(self, seconds: float) -> None:
        self.bench.now += seconds
        self.bench.take(TimePassed())
        self.follow()

    @rule(is_forced=st.booleans())
    def shut_down(self, is_forced: bool) -> None:
        self.is_closing = True
        self.bench.take(Shutdown(is_forced=is_forced))
        self.follow()

    @invariant()
    def states_tell_of_the_workers(self) -> None:
        for model in self.bench.scheduler.models.values():
            assert model.is_held == (model.id in self.workers)

    @invariant()
    def every_caller_is_in_one_place(self) -> None:
        effects = self.bench.effects
        for ticket in self.tickets:
            model = self.bench.scheduler.models[ticket.model_id]
            told = (ticket in effects.granted) + (ticket in effects.refused)
            assert told + (ticket in model.waiters) == 1
        for model in self.bench.scheduler.models.values():
            assert all(ticket in self.tickets for ticket in model.waiters)
            assert all(ticket in self.tickets for ticket in model.leases)

    @invariant()
    def limits_hold(self) -> None:
        for model in self.bench.scheduler.models.values():
            assert len(model.leases) <= CONCURRENCY
            assert len(model.waiters) <= QUEUE_LIMIT
            assert not model.leases or model.state in ("ready", "stopping")
            if model.state == "ready" and model.waiters:
                assert len(model.leases) == CONCURRENCY, "a waiter beside a free place"
            assert not model.waiters or model.is_held, "a waiter without a worker to come"
        needs = {"a": 1000, "b": 1000, "c": 1500}
        assert sum(needs[model_id] for model_id in self.workers) <= 3000

    @invariant()
    def a_closing_pool_ends(self) -> None:
        models = self.bench.scheduler.models.values()
        if self.is_closing:
            assert all(model.state != "starting" and not model.waiters for model in models)
            assert self.bench.scheduler.is_finished == (not self.workers)


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
