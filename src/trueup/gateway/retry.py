"""Which failures are tried again, where, and after how long: pure decisions.

What was delivered is not asked here: all of this is before the first delivered chunk.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from trueup.backends.base import Capabilities
from trueup.errors import BackendError, CapacityError, RequestError, TrueUpError
from trueup.protocol.errors import code_of

Where = Literal["here", "elsewhere"]

# Of the server's moment, whatever their class says: a timeout, a conflict, too early.
PASSING_STATUSES = frozenset({408, 409, 425})
# What speaks against a backend whatever its status was.
UNHEALTHY_CODES = frozenset(
    {"backend_unreachable", "backend_closed", "backend_broke_off", "backend_silent",
     "worker_failed", "stream_incomplete"}
)  # fmt: skip
# What is wrong with an answer of a model, or with this process, and not with who serves it.
HEALTHY_CODES = frozenset({"answer_rejected", "tool_call_malformed", "choices_missing",
                           "too_many_files", "forecast_differs"})  # fmt: skip
# What a server that is being restarted looks like.
RESTARTING_CODES = frozenset({"backend_unreachable", "backend_closed"})


class SlowAnswerError(BackendError):
    """A whole answer took long, and is to be asked for as a stream, which shows that it moves."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause, retryable=True, code="backend_silent", status=504)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a backend is asked for one answer, and how long is waited in between.

    `longest_retry_after_seconds`: a server that wants longer is not waited for;
    `prompt_seconds`: nor is a busy one for longer than this where there is somebody else to ask.
    `restart_seconds`: a server that was well and cannot be reached is waited for until so long
    after its first failure where there is nobody else, asked every `restart_pause_seconds` at
    the least.
    """

    max_tries: int = 3
    first_pause_seconds: float = 0.2
    longest_pause_seconds: float = 4.0
    longest_retry_after_seconds: float = 15.0
    prompt_seconds: float = 0.5
    restart_seconds: float = 10.0
    restart_pause_seconds: float = 1.0

    def where_next(
        self,
        error: TrueUpError,
        *,
        tries: int,
        capabilities: Capabilities,
        is_last: bool,
        is_waited_for: bool = False,
    ) -> Where:
        """Where to ask after an error; `tries` were made at this backend.

        `is_waited_for`: more tries than `max_tries` are worth it, see `waits`.

        1. The request is at fault (4xx), the key (401) or the name (404): another try here says
           the same; somebody else may take it.
        2. It queues by itself and has no room: it has waited already.
        3. It asks for patience (429, 503): here, where that is short or nobody else is there.
        4. It stays silent, and there is somebody else or its answers are paid for: not twice.
        5. Connection faults, 5xx, broken answers: here again, `max_tries` in all, or for as long
           as it is waited for.
        """
        if isinstance(error, SlowAnswerError):  # it was let go for the sake of this
            return "here"
        has_tries = tries < self.max_tries or is_waited_for
        if isinstance(error, CapacityError):  # 2, 3
            longest = self.longest_retry_after_seconds if is_last else self.prompt_seconds
            is_short = not capabilities.queues and error.retry_after_seconds <= longest
            return "here" if is_short and has_tries else "elsewhere"
        if isinstance(error, RequestError) and error.status in PASSING_STATUSES:  # 5
            return "here" if has_tries else "elsewhere"
        if not isinstance(error, BackendError) or not error.retryable:  # 1
            return "elsewhere"
        if error.code == "backend_silent" and not (is_last and capabilities.asks_again):  # 4
            return "elsewhere"
        return "here" if has_tries else "elsewhere"  # 5

    def waits(
        self,
        error: TrueUpError,
        *,
        seconds: float,
        failing_seconds: float,
        was_well: bool,
        recovery_seconds: float,
        retry_seconds: float,
    ) -> bool:
        """Whether a backend that fails is waited for, there being nobody else to ask.

        `seconds` were spent on this request, and so long it has been failing for all of them.

        1. As long as the client would rather wait than have an error (`retry_seconds`).
        2. As long as it is known to take until it is back.
        3. Where it was well and its connections fail, as long as a restart takes.
        """
        is_down = is_unhealthy(error)
        if seconds < retry_seconds and (is_down or isinstance(error, CapacityError)):  # 1
            return True
        if not is_down:
            return False
        longest = recovery_seconds  # 2
        if was_well and code_of(error) in RESTARTING_CODES:  # 3
            longest = max(longest, self.restart_seconds)
        return max(seconds, failing_seconds) < longest

    def pause_seconds(self, error: TrueUpError | None, tries: int, jitter: float) -> float:
        """How long to wait before the next try here; `jitter` is from 0 to 1."""
        pause = self.first_pause_seconds * 2.0 ** min(tries - 1, 16)
        is_restart = error is not None and code_of(error) in RESTARTING_CODES
        longest = self.restart_pause_seconds if is_restart else self.longest_pause_seconds
        pause = min(longest, pause) * (0.5 + jitter / 2)
        if isinstance(error, CapacityError):  # some say 0, for as long as they have no room
            return max(pause, error.retry_after_seconds)
        if isinstance(error, BackendError) and error.retry_after_seconds is not None:
            # Before then the same would be said again.
            return max(pause, min(error.retry_after_seconds, self.longest_retry_after_seconds))
        return pause


def is_unhealthy(error: TrueUpError) -> bool:
    """Whether an error speaks against the backend, and not against the request."""
    if code_of(error) in HEALTHY_CODES or isinstance(error, SlowAnswerError):
        return False
    if isinstance(error, CapacityError):
        return error.status == 503
    return isinstance(error, BackendError) and (
        error.code in UNHEALTHY_CODES or error.status >= 500
    )


class RetryBudget:
    """Keeps retries of one backend to a share of its requests, so that they cannot multiply.

    So many a second are always free: a request has few tries anyway, and a quiet server has no
    traffic to take a share of.
    """

    SHARE = 0.2
    FREE_PER_SECOND = 100
    WINDOW_SECONDS = 10.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._requests: deque[float] = deque()
        self._retries: deque[float] = deque()

    def note_request(self) -> None:
        """A request (not a retry) goes to the backend."""
        self._requests.append(self._clock())
        self._forget(self._requests)

    def take(self) -> bool:
        """Whether a retry may be made now; it counts then."""
        self._forget(self._requests)
        self._forget(self._retries)
        allowed = self.FREE_PER_SECOND * self.WINDOW_SECONDS + self.SHARE * len(self._requests)
        if len(self._retries) >= allowed:
            return False
        self._retries.append(self._clock())
        return True

    def _forget(self, times: deque[float]) -> None:
        limit = self._clock() - self.WINDOW_SECONDS
        while times and times[0] < limit:
            times.popleft()
