"""How each GLM generation writes a conversation down, as token ids and as a chat template.

The ids made here are safe from injection: special tokens come from the format alone, whatever
the messages say. A chat template is text, so there a message can spell a special token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from trueup.errors import RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PREFIX_TOKENS = ("[gMASK]", "<sop>")
# What clients call a role -> what the family calls it.
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "observation",
    "observation": "observation",
}
_CHOICES = ", ".join(f"`{name}`" for name in ROLES)
# GLM-4 leaves out messages without text; ChatGLM3 writes their role line.
SKIPS_EMPTY = ("glm4",)
# The role line is the model's to end: its answers begin with that line break, which is format.
ENDS_ROLE_LINE = ("chatglm3", "glm4")

_ROLE_TEMPLATE = """[gMASK]<sop>
{%- set roles = {'system': 'system', 'developer': 'system', 'user': 'user',
                 'assistant': 'assistant', 'tool': 'observation', 'observation': 'observation'} %}
{%- for message in messages %}
{%- if message['role'] not in roles %}
{{- raise_exception('unknown role ' ~ message['role']) }}
{%- endif %}
{%- if message['content'] or KEEPS_EMPTY %}
{{- '<|' ~ roles[message['role']] ~ '|>' ~ (message['metadata'] or '') ~ '\\n' }}
{{- 'SPACE' ~ message['content'] if message['content'] }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|assistant|>' }}
{%- endif %}"""

_ROUND_TEMPLATE = """[gMASK]<sop>
{%- set state = namespace(round=0, last='start') %}
{%- for message in messages %}
{%- set role = 'system' if message['role'] == 'developer' else message['role'] %}
{%- if role == 'system' and state.last in ['start', 'system'] %}
{{- message['content'] ~ '\\n\\n' }}
{%- elif role == 'user' and state.last == 'user' %}
{{- '\\n\\n' ~ message['content'] }}
{%- elif role == 'user' %}
{%- set state.round = state.round + 1 %}
{{- '\\n\\n' if state.last == 'assistant' }}
{{- '[Round ' ~ state.round ~ ']\\n\\n问：' ~ message['content'] }}
{%- elif role == 'assistant' and state.last in ['user', 'assistant'] %}
{{- ('\\n\\n答：' if state.last == 'user' else '\\n\\n') ~ message['content'] }}
{%- else %}
{{- raise_exception('a ' ~ role ~ ' message cannot follow ' ~ state.last) }}
{%- endif %}
{%- set state.last = role %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '\\n\\n答：' }}
{%- endif %}"""


def chat_template(family: str, *, dummy_prefix: bool) -> str:
    """The Jinja template of a family.

    `dummy_prefix` says that the vocabulary puts a space in front of every piece of text; the
    role line and the message are two pieces to the model, but one to a template.
    """
    if family == "chatglm2":
        return _ROUND_TEMPLATE
    keeps_empty = "false" if family in SKIPS_EMPTY else "true"
    return _ROLE_TEMPLATE.replace("KEEPS_EMPTY", keeps_empty).replace(
        "SPACE", " " if dummy_prefix else ""
    )


def encode_chat(
    family: str,
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
    continue_final_message: bool = False,
) -> list[int]:
    """Returns a conversation's prompt as token ids, `[gMASK]sop` first.

    With `continue_final_message` the prompt ends inside the last message, which must be the
    assistant's, and `add_generation_prompt` has no meaning.

    Raises:
        RequestError: a role or an order of messages that the family cannot write down.
    """
    turns = [_turn(message, at) for at, message in enumerate(messages)]
    if not turns:
        raise RequestError("`messages` is empty, one message is needed", param="messages")
    if continue_final_message and turns[-1].role != "assistant":
        raise RequestError(
            f"`continue_final_message` continues the assistant, not a `{turns[-1].role}` message",
            param="continue_final_message",
        )
    prefix = [int(tokenizer.convert_tokens_to_ids(token)) for token in PREFIX_TOKENS]
    opens_answer = add_generation_prompt and not continue_final_message
    if continue_final_message and not turns[-1].content:
        turns, opens_answer = turns[:-1], True
    if family == "chatglm2":
        return prefix + _plain(tokenizer, _rounds(turns, opens_answer=opens_answer))
    ids = prefix
    for turn in turns:
        if turn.content or family not in SKIPS_EMPTY:
            ids.append(_role_id(tokenizer, turn.role))
            ids += _plain(tokenizer, f"{turn.metadata}\n") + _plain(tokenizer, turn.content)
    if opens_answer:
        ids.append(_role_id(tokenizer, "assistant"))
    return ids


class _Turn(NamedTuple):
    """A message in the family's words; `metadata` is the tool that an assistant speaks to."""

    role: str
    content: str
    metadata: str


def _turn(message: Mapping[str, Any], at: int) -> _Turn:
    role = ROLES.get(message.get("role", ""))
    if role is None:
        raise RequestError(
            f"role `{message.get('role')}` is not one of {_CHOICES}",
            param=f"messages[{at}].role",
        )
    content = message.get("content")
    if not isinstance(content, str):
        raise RequestError(
            f"the content of a message must be text, not `{type(content).__name__}`",
            param=f"messages[{at}].content",
        )
    return _Turn(role, content, message.get("metadata") or "")


def _rounds(turns: Sequence[_Turn], *, opens_answer: bool) -> str:
    """ChatGLM2's conversation: one text of numbered rounds, a question and an answer each.

    It has no place for a system message, which therefore goes in front of the first round, as
    others do who serve this family. Messages of one role in a row are one text.
    """
    text, last, number = "", "start", 0
    for at, (role, content, _) in enumerate(turns):
        if role == "system" and last in ("start", "system"):
            text += f"{content}\n\n"
        elif role == "user" and last != "user":
            number += 1
            text += "\n\n" if last == "assistant" else ""
            text += f"[Round {number}]\n\n问：{content}"
        elif role == "assistant" and last == "user":
            text += f"\n\n答：{content}"
        elif role == last and role in ("user", "assistant"):
            text += f"\n\n{content}"
        else:
            raise RequestError(_misplaced(role, last), param=f"messages[{at}].role")
        last = role
    if opens_answer and last != "user":
        raise RequestError(
            f"the last message has role `{last}`: this model answers questions",
            param="messages",
            hint='add a message of role `user`, or set `"continue_final_message": true`',
        )
    return text + ("\n\n答：" if opens_answer else "")


def _misplaced(role: str, last: str) -> str:
    if role == "observation":
        return "this model has no tool messages"
    if last == "start" or last == "system":
        return "a conversation with this model begins with a question of role `user`"
    return f"a `{role}` message cannot follow a `{last}` message in this model's format"


def _role_id(tokenizer: PreTrainedTokenizerBase, role: str) -> int:
    return int(tokenizer.convert_tokens_to_ids(f"<|{role}|>"))


def _plain(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Ids of a text in which nothing is a special token."""
    encoding = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
    return list(encoding["input_ids"])
