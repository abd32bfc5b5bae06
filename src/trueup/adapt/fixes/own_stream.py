"""The model's own streaming is `generate` with a streamer."""

from __future__ import annotations

import ast
from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.doctor.finding import Finding

NAME = "stream_generate"


def stream_generate(
    self: Any,
    input_ids: Any,
    generation_config: Any = None,
    return_past_key_values: Any = False,
    **kwargs: Any,
) -> Any:
    """The sequence (1, tokens) after each token that `generate` makes."""
    import queue
    import threading

    import torch

    arrived: Any = queue.Queue()

    class Streamer:
        is_prompt = True

        def put(self, value: Any) -> None:
            if not self.is_prompt:
                arrived.put(value.to(input_ids.device).reshape(-1, 1))
            self.is_prompt = False

        def end(self) -> None:
            pass

    def run() -> None:
        try:
            with torch.no_grad():
                self.generate(
                    input_ids, generation_config=generation_config, streamer=Streamer(), **kwargs
                )
            arrived.put(None)
        except BaseException as error:  # raised where the answer is read
            arrived.put(error)

    threading.Thread(target=run, daemon=True).start()
    grown = input_ids
    while (value := arrived.get()) is not None:
        if isinstance(value, BaseException):
            raise value
        grown = torch.cat([grown, value], dim=-1)
        yield (grown, None) if return_past_key_values else grown


class OwnStream(Fix):
    """The model's own streaming loop calls private parts of `generate`, which have changed.

    `'GenerationConfig' object has no attribute '_eos_token_tensor'`. The published loop is kept
    under another name, by which nothing calls it.
    """

    name = "own-stream"
    answers = unseen = ("GEN102",)
    does = "`stream_generate` is `generate` with a streamer, whose tokens are handed on"
    since = "4.43.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the model has such a loop, which calls private parts."""
        method = facts.code.method(facts.code.model, NAME)
        return method is not None and "self._get_" in ast.unparse(method.node)

    def mends(self, finding: Finding, facts: FixFacts) -> bool:
        """Only of that function."""
        names = (f"`{NAME}`", f"`_published_{NAME}`")
        return finding.code in self.answers and any(name in finding.cause for name in names)

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Put our loop in the place of the model's."""
        method = facts.code.method(facts.code.model, NAME)
        if method is not None:
            sources.wrap(method.owner, NAME, stream_generate)
