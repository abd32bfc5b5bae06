"""The chat templates of a directory, and whether Jinja can parse them. None is ever run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueup.checkpoint.checkpoint import ChatTemplate
from trueup.checkpoint.regular import read_regular

FILE, FOLDER = "chat_template.jinja", "additional_chat_templates/"
KEY = "chat_template"
LIMIT_CHARACTERS = 1_000_000


def read_templates(
    directory: Path, files: Mapping[str, int], tokenizer_config: Mapping[str, Any]
) -> tuple[ChatTemplate, ...]:
    """All templates, those of tokenizer_config.json first, each parsed if Jinja is installed."""
    found = list(_of_config(tokenizer_config))
    for name in sorted(files):
        is_extra = name.startswith(FOLDER) and name.endswith(".jinja")
        if name == FILE or is_extra:
            title = name.removeprefix(FOLDER).removesuffix(".jinja") if is_extra else "default"
            try:
                text = read_regular(directory / name, LIMIT_CHARACTERS * 4).decode("utf-8")
                found.append(ChatTemplate(path=name, key=None, name=title, text=text))
            except UnicodeDecodeError:
                fault = "it is not text in UTF-8"
                found.append(ChatTemplate(path=name, key=None, name=title, text="", fault=fault))
            except OSError as error:
                fault = f"it cannot be read: {error.strerror or error}"
                found.append(ChatTemplate(path=name, key=None, name=title, text="", fault=fault))
    return tuple(_parsed(template) for template in found)


def _of_config(tokenizer_config: Mapping[str, Any]) -> Iterator[ChatTemplate]:
    value = tokenizer_config.get(KEY)
    path = "tokenizer_config.json"
    if isinstance(value, str):
        yield ChatTemplate(path=path, key=KEY, name="default", text=value)
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            key = f"{KEY}.{number}"
            name, text = (
                (entry.get("name"), entry.get("template")) if isinstance(entry, dict) else ("", "")
            )
            if isinstance(name, str) and isinstance(text, str) and text:
                yield ChatTemplate(path=path, key=key, name=name, text=text)
            else:
                fault = "expected an object with `name` and `template`"
                yield ChatTemplate(path=path, key=key, name=str(number), text="", fault=fault)
    elif isinstance(value, dict):
        for name, text in value.items():
            if isinstance(text, str):
                yield ChatTemplate(path=path, key=f"{KEY}.{name}", name=name, text=text)
    elif value is not None:
        fault = f"`{str(value)[:40]}` is no template: expected text or a list of named templates"
        yield ChatTemplate(path=path, key=KEY, name="default", text="", fault=fault)


def _parsed(template: ChatTemplate) -> ChatTemplate:
    """The template with what Jinja says against it."""
    if template.fault is not None:
        return template
    if len(template.text) > LIMIT_CHARACTERS:
        return _faulty(template, f"more than {LIMIT_CHARACTERS:,} characters", None)
    try:
        from jinja2 import TemplateSyntaxError, nodes
        from jinja2.ext import Extension
        from jinja2.parser import Parser
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:  # then nothing here will render it either
        return template

    class Generation(Extension):
        """`{% generation %}`, with which transformers marks what the assistant says."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> list[nodes.Node]:
            """The marked part, as it stands."""
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    try:
        # Compiling would compute constants such as `9 ** 9 ** 9`.
        tree = environment.parse(template.text)
        for node in tree.find_all((nodes.Filter, nodes.Test)):
            is_filter = isinstance(node, nodes.Filter)
            if node.name not in (environment.filters if is_filter else environment.tests):
                what = "filter" if is_filter else "test"
                return _faulty(template, f"no {what} named `{node.name[:60]}`", node.lineno)
    except TemplateSyntaxError as error:
        return _faulty(template, error.message or "it does not parse", error.lineno)
    except (RecursionError, MemoryError, ValueError) as error:
        return _faulty(template, f"it does not parse: {type(error).__name__}", None)
    return template


def _faulty(template: ChatTemplate, fault: str, line: int | None) -> ChatTemplate:
    return ChatTemplate(
        path=template.path,
        key=template.key,
        name=template.name,
        text=template.text,
        fault=fault,
        line=line,
    )
