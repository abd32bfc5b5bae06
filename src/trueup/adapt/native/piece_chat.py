"""How Baichuan2 and InternLM write a conversation down, as token ids.

What opens and closes a turn comes from the format alone: a symbol that a message spells is cut in
two, so that it stays text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from trueup.errors import RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BEGIN = "<s>"
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
BETWEEN = "\n\n"  # what joins messages of one role in a row


class Turn(NamedTuple):
    """A message in the family's words."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """A question and an answer at a time, as InternLM's `build_inputs` writes them.

    `begins_each`: every answered round, and the first question, begin with a written `<s>`, which
    is a token besides the one that the tokenizer puts before the text.
    """

    question: str
    answer: str
    end: str
    system: tuple[str, str] | None = None
    begins_each: bool = False


def read_turns(
    messages: Sequence[Mapping[str, Any]], *, continue_final_message: bool = False
) -> list[Turn]:
    """The messages as turns.

    Raises: RequestError for a role or a content that these families cannot write down.
    """
    if not messages:
        raise RequestError("`messages` is empty, one message is needed", param="messages")
    turns = [_turn(message, at) for at, message in enumerate(messages)]
    if continue_final_message and turns[-1].role != "assistant":
        raise RequestError(
            f"`continue_final_message` continues the assistant, not a `{turns[-1].role}` message",
            param="continue_final_message",
        )
    return turns


def _turn(message: Mapping[str, Any], at: int) -> Turn:
    role = ROLES.get(message.get("role", ""))
    if role is None:
        choices = ", ".join(f"`{name}`" for name in ROLES)
        raise RequestError(
            f"role `{message.get('role')}` is not one of {choices}, which this model knows",
            param=f"messages[{at}].role",
        )
    content = message.get("content")
    if not isinstance(content, str):
        raise RequestError(
            f"the content of a message must be text, not `{type(content).__name__}`",
            param=f"messages[{at}].content",
        )
    return Turn(role, content)


class Writer:
    """Collects a prompt; pieces of text that lie side by side are encoded as one."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, guarded: Iterable[str]) -> None:
        self._tokenizer = tokenizer
        self._guarded = tuple(guarded)
        self._ids: list[int] = []
        self._text = ""

    def token(self, number: int) -> None:
        """Adds one token."""
        self._flush()
        self._ids.append(number)

    def format(self, text: str) -> None:
        """Adds text of the format, in which symbols are symbols."""
        self._text += text

    def content(self, text: str) -> None:
        """Adds text of a message, in which no guarded symbol is one."""
        while text:
            found = [at for each in self._guarded if (at := text.find(each)) >= 0]
            if not found:
                break
            self._text += text[: min(found) + 1]
            self._flush()
            text = text[min(found) + 1 :]
        self._text += text

    def ids(self) -> list[int]:
        """The prompt so far."""
        self._flush()
        return self._ids

    def _flush(self) -> None:
        if self._text:
            encoding = self._tokenizer(
                self._text, add_special_tokens=False, split_special_tokens=True, verbose=False
            )
            self._ids += encoding["input_ids"]
        self._text = ""


def encode_reserved(
    tokenizer: PreTrainedTokenizerBase,
    turns: Sequence[Turn],
    *,
    user: int,
    assistant: int,
    adds_begin: bool,
    add_generation_prompt: bool,
) -> list[int]:
    """Baichuan2's prompt: a reserved token before the text of every turn, and none after it."""
    names = [str(tokenizer.convert_ids_to_tokens(number)) for number in (user, assistant)]
    writer = Writer(tokenizer, names)
    for at, turn in enumerate(turns):
        if turn.role == "system" and at > 0:
            raise RequestError(
                "a system message must be the first one for this model",
                param=f"messages[{at}].role",
            )
        if turn.role != "system":
            writer.token(user if turn.role == "user" else assistant)
        if adds_begin:
            writer.token(int(tokenizer.convert_tokens_to_ids(BEGIN)))
        writer.content(turn.content)
    if add_generation_prompt and turns[-1].role != "assistant":
        writer.token(assistant)
    return writer.ids()


def encode_chatml(
    tokenizer: PreTrainedTokenizerBase,
    turns: Sequence[Turn],
    *,
    add_generation_prompt: bool,
    continue_final_message: bool,
) -> list[int]:
    """InternLM2's prompt: `<s>`, then every turn between `<|im_start|>` and `<|im_end|>`."""
    first, opened, closed = (
        int(tokenizer.convert_tokens_to_ids(name)) for name in (BEGIN, "<|im_start|>", "<|im_end|>")
    )
    writer = Writer(tokenizer, ())
    writer.token(first)
    for at, turn in enumerate(turns):
        writer.token(opened)
        writer.format(f"{turn.role}\n")
        writer.content(turn.content)
        if continue_final_message and at == len(turns) - 1:
            return writer.ids()
        writer.token(closed)
        writer.format("\n")
    if add_generation_prompt:
        writer.token(opened)
        writer.format("assistant\n")
    return writer.ids()


def encode_rounds(
    tokenizer: PreTrainedTokenizerBase,
    turns: Sequence[Turn],
    rounds: Rounds,
    *,
    adds_begin: bool,
    add_generation_prompt: bool,
    continue_final_message: bool,
) -> list[int]:
    """InternLM's prompt; the last question is open unless an answer follows it."""
    system, pairs = _pairs(turns)
    begin = int(tokenizer.convert_tokens_to_ids(BEGIN))
    written = rounds.question + rounds.answer + rounds.end
    writer = Writer(tokenizer, [each for each in tokenizer.get_added_vocab() if each in written])
    if adds_begin or not rounds.begins_each:
        writer.token(begin)
    if system is not None and rounds.system is not None:
        writer.format(rounds.system[0])
        writer.content(system)
        writer.format(rounds.system[1])
    for at, (question, answer) in enumerate(pairs):
        is_last = at == len(pairs) - 1
        is_open = is_last and (answer is None or continue_final_message)
        if rounds.begins_each and (at == 0 or not is_open):
            writer.token(begin)
        writer.format(rounds.question)
        if at == 0 and system is not None and rounds.system is None:
            writer.content(system + BETWEEN)
        writer.content(question)
        if answer is not None or add_generation_prompt:
            writer.format(rounds.answer)
            writer.content(answer or "")
        if not is_open:
            writer.format(rounds.end)
    return writer.ids()


def _pairs(turns: Sequence[Turn]) -> tuple[str | None, list[tuple[str, str | None]]]:
    """The system text, and questions with their answers; None is an answer yet to come."""
    system: str | None = None
    pairs: list[tuple[str, str | None]] = []
    last = "start"
    for at, (role, content) in enumerate(turns):
        if role == "system" and last in ("start", "system"):
            system = content if system is None else system + BETWEEN + content
        elif role == "user" and last == "user":
            pairs[-1] = (pairs[-1][0] + BETWEEN + content, None)
        elif role == "user":
            pairs.append((content, None))
        elif role == "assistant" and last in ("user", "assistant"):
            question, answer = pairs[-1]
            pairs[-1] = (question, content if answer is None else answer + BETWEEN + content)
        else:
            raise RequestError(
                f"a `{role}` message cannot follow a `{last}` message in this model's format"
                if last != "start"
                else "a conversation with this model begins with a question of role `user`",
                param=f"messages[{at}].role",
            )
        last = role
    if not pairs:
        raise RequestError(
            "this model answers questions, and there is none",
            param="messages",
            hint="add a message of role `user`",
        )
    return system, pairs
