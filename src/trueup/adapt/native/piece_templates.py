"""The chat templates of Baichuan2 and InternLM, for who uses the tokenizer without TrueUp.

A template is text, so there a message can spell a symbol.
"""

from __future__ import annotations

from trueup.adapt.native.piece_chat import BEGIN, Rounds


def reserved_template(user: str, assistant: str) -> str:
    """Baichuan2's prompt as a Jinja template, for a tokenizer that adds no `<s>`."""
    return f"""{{%- set marks = {{'user': {user!r}, 'assistant': {assistant!r}, 'system': ''}} %}}
{{%- for message in messages %}}
{{%- if message['role'] not in marks %}}
{{{{- raise_exception('unknown role ' ~ message['role']) }}}}
{{%- endif %}}
{{{{- marks[message['role']] ~ message['content'] }}}}
{{%- endfor %}}
{{%- if add_generation_prompt and messages[-1]['role'] != 'assistant' %}}
{{{{- marks['assistant'] }}}}
{{%- endif %}}"""


CHATML_TEMPLATE = """{{- bos_token }}
{%- for message in messages %}
{{- '<|im_start|>' ~ message['role'] ~ '\\n' ~ message['content'] ~ '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}"""


def rounds_template(rounds: Rounds, *, adds_begin: bool) -> str:
    """InternLM's prompt as a Jinja template, for questions and answers that take turns."""
    start = BEGIN if adds_begin or not rounds.begins_each else ""
    begin = BEGIN if rounds.begins_each else ""
    before, after = rounds.system or ("", "")
    words = {
        "START": start,
        "BEGIN": begin,
        "QUESTION": rounds.question,
        "ANSWER": rounds.answer,
        "END": rounds.end,
        "BEFORE": before,
        "AFTER": after,
    }
    lines = """{{- START }}
{%- set state = namespace(system='', first=true) %}
{%- for message in messages %}
{%- if message['role'] == 'system' and state.first %}
{%- if BEFORE %}
{{- BEFORE ~ message['content'] ~ AFTER }}
{%- else %}
{%- set state.system = message['content'] ~ '\\n\\n' %}
{%- endif %}
{%- elif message['role'] == 'user' %}
{{- BEGIN if state.first or not loop.last }}
{{- QUESTION ~ state.system ~ message['content'] }}
{%- set state.first = false %}
{%- set state.system = '' %}
{%- elif message['role'] == 'assistant' and not state.first %}
{{- ANSWER ~ message['content'] ~ END }}
{%- else %}
{{- raise_exception('a ' ~ message['role'] ~ ' message cannot stand here') }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- ANSWER }}
{%- endif %}"""
    values = "".join(f"{{%- set {name} = {text!r} %}}\n" for name, text in words.items())
    return values + lines
