"""An engine over `model.generate`, for models that only their own code can step.

Those are remote code, and the library's models that keep more of the past than keys and values.
One request at a time. Old code makes its positions, masks and caches in its own
`prepare_inputs_for_generation`, each in its own way, so nothing here calls the model itself.
Tokens are chosen by our sampler, as a logits processor: the draws are those of the other engine.
"""

from __future__ import annotations

import contextlib
import inspect
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trueup.engines.base import Prompt, Step, Work
from trueup.engines.head import widen_head
from trueup.engines.prompts import Prompts, Request, TextEngine, seed_of, to_make
from trueup.engines.sampling import Sampler
from trueup.protocol.completion import parse_completion_request

if TYPE_CHECKING:
    from trueup.adapt.load import Loaded


class GeneratingEngine(TextEngine):
    """Answers chat and completion requests with one loaded model (see `ChatEngine`).

    Raises what the model's own code raises where it cannot make a token.
    """

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        self._takes_mask = "attention_mask" in inspect.signature(self._model.forward).parameters
        self._thread = _Thread()
        widen_head(self._model)
        self._try()
        self.work = Work()

    def generate(
        self, prompt: Prompt, request: Request, is_cancelled: Callable[[], bool]
    ) -> Iterator[Step]:
        """Answer one prompt, step by step (see `ChatEngine.generate`)."""
        seed = seed_of(request)
        for choice, given in to_make(prompt, request).items():
            if is_cancelled():
                return
            ended = self._prompts.ended(prompt, request, choice, given)
            if ended is not None:
                yield ended
                continue
            sampler = Sampler(request.sampling, seed=seed, choice=choice)
            answer = _Answer(
                self._prompts, prompt, request, choice=choice, given=given, sampler=sampler
            )
            for step in self._thread.steps(partial(self._run, answer, is_cancelled)):
                self.work.decoded_tokens += 1
                yield step

    def _try(self) -> None:
        """Make two tokens, the second from the cache: code that loads may fail to generate."""
        request = parse_completion_request(
            {"model": "m", "prompt": "a", "temperature": 0, "max_tokens": 2}
        )
        for prompt in self.prepare(request):
            for _ in self.generate(prompt, request, bool):
                pass

    def _run(
        self, answer: _Answer, is_cancelled: Callable[[], bool], put: Callable[[Step], bool]
    ) -> None:
        """Make one answer; in the thread of `generate`."""
        from transformers import GenerationConfig

        token_ids = [*answer.prompt.token_ids, *answer.token_ids]
        inputs = torch.tensor([token_ids], device=self._model.device)
        masks = {"attention_mask": torch.ones_like(inputs)} if self._takes_mask else {}
        self.work.prefilled_tokens += len(token_ids)
        room = answer.prompt.max_tokens - len(answer.token_ids)

        def has_ended(input_ids: Tensor, _: Any, **__: Any) -> bool:
            is_wanted = put(answer.step(int(input_ids[0, -1])))
            return answer.has_ended or not is_wanted or is_cancelled()

        # One token more than there is room for: its own limit would end the answer before the
        # last token has been seen. Nor may it know of stop tokens, for the same reason.
        config = GenerationConfig(
            max_new_tokens=room + 1, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        with _generation_config(self._model, config), _leaving(self._model, is_cancelled):
            self._model.generate(
                inputs,
                **masks,
                generation_config=config,
                logits_processor=_list("LogitsProcessorList", answer.choose),
                stopping_criteria=_list("StoppingCriteriaList", has_ended),
            )


class _LeftError(BaseException):
    """Nobody wants the answer any more; no `except Exception` of the model's code may keep it."""


class _Answer:
    """One choice in the making."""

    def __init__(
        self,
        prompts: Prompts,
        prompt: Prompt,
        request: Request,
        *,
        choice: int,
        given: Sequence[int],
        sampler: Sampler,
    ) -> None:
        self.prompt = prompt
        self.token_ids = list(given)
        self.has_ended = False
        self._prompts = prompts
        self._choice = choice
        self._sampler = sampler
        self._text = prompts.replayed(request, given)

    def choose(self, _: Tensor, scores: Tensor) -> Tensor:
        """Logits [1, vocabulary] -> the same shape, with one token alone that can be chosen."""
        token = self._sampler.choose(scores[0].float(), self.token_ids)
        only = torch.full_like(scores, -torch.inf, dtype=torch.float32)
        only[0, token] = 0.0
        return only

    def step(self, token: int) -> Step:
        """Take the token that was chosen."""
        self.token_ids.append(token)
        is_last = len(self.token_ids) >= self.prompt.max_tokens
        delta, finish = self._prompts.end(self._text, token, is_last)
        self.has_ended = finish is not None
        return Step(
            choice=self.prompt.first_choice + self._choice,
            position=len(self.token_ids) - 1,
            token_ids=(token,),
            text=delta,
            finish_reason=finish,
        )


@contextlib.contextmanager
def _leaving(model: torch.nn.Module, is_cancelled: Callable[[], bool]) -> Iterator[None]:
    """Leave a forward pass between two layers: that of a long prompt may take minutes."""

    def leave(*_: Any) -> None:
        if is_cancelled():
            raise _LeftError

    lists = [each for each in model.modules() if isinstance(each, torch.nn.ModuleList)]
    hooks = [layer.register_forward_pre_hook(leave) for layers in lists for layer in layers]
    try:
        yield
    except _LeftError:
        pass
    finally:
        for hook in hooks:
            hook.remove()


def _list(name: str, call: Callable[..., Any]) -> Any:
    import transformers

    made = getattr(transformers, name)()
    made.append(call)
    return made


@contextlib.contextmanager
def _generation_config(model: Any, config: Any) -> Iterator[None]:
    """Set the model's own settings aside: where ours say None, releases since 4.50 take theirs."""
    before = model.generation_config
    model.generation_config = config
    try:
        yield
    finally:
        model.generation_config = before


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last item of a run; `error` is what it raised."""

    error: BaseException | None = None


class _Reader:
    """Where the steps of one run go to."""

    def __init__(self) -> None:
        self.items: queue.SimpleQueue[Step | _Ended] = queue.SimpleQueue()
        self.has_left = False

    def put(self, step: Step) -> bool:
        """Hand a step on; whether more are wanted."""
        self.items.put(step)
        return not self.has_left


Run = Callable[[Callable[[Step], bool]], None]


class _Thread:
    """The one thread in which `generate` runs while another reads its steps.

    Always the same one: each thread that computes has a pool of threads of its own.
    """

    def __init__(self) -> None:
        self._runs: queue.SimpleQueue[tuple[Run, _Reader]] = queue.SimpleQueue()
        self._is_started = False

    def steps(self, run: Run) -> Iterator[Step]:
        """What `run` puts, as it comes; whoever leaves earlier waits for its next step."""
        if not self._is_started:
            threading.Thread(target=self._work, name="generate", daemon=True).start()
            self._is_started = True
        reader = _Reader()
        self._runs.put((run, reader))
        item: Step | _Ended | None = None
        try:
            while isinstance(item := reader.items.get(), Step):
                yield item
        finally:
            reader.has_left = True
            while not isinstance(item, _Ended):
                item = reader.items.get()
        if item.error is not None:
            raise item.error

    def _work(self) -> None:
        while True:
            run, reader = self._runs.get()
            error: BaseException | None = None
            try:
                run(reader.put)
            except BaseException as raised:
                error = raised
            reader.items.put(_Ended(error))
