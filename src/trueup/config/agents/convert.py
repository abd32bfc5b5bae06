"""Writes what an agent system's JSON says as a configuration, and reads it back to be sure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from trueup.config.agents.json_text import JsonText, read_json
from trueup.config.agents.role import AgentRole, Agents, read_agents
from trueup.config.converted import Converted, mistakes_in, scalar, with_variables
from trueup.errors import ConfigError

LONGEST_NAME = 100


def convert(raw: bytes, name: str) -> Converted:
    """A configuration of an agent system's JSON; `name` is the file's in messages.

    Raises: ConfigError where it is no JSON, has no roles, or they have names that cannot be used.
    """
    text = read_json(raw, name)
    agents = read_agents(text)
    _rename(agents, text)
    written = _Writing(text, agents).text()
    if errors := mistakes_in(written, name):
        raise errors[0].as_error()
    models, undecided = _model_names(agents), sum(bool(each.undecided) for each in agents.roles)
    summary = f"{len(models)} models, {len(agents.roles) - undecided} roles"
    if undecided:
        summary += f", {undecided} without a model yet"
    return Converted(text=written, notes=tuple(agents.notes), summary=summary)


def _rename(agents: Agents, text: JsonText) -> None:
    """Give every role a name that a client can send."""
    seen: dict[str, AgentRole] = {}
    for role in agents.roles:
        name = "_".join(role.name.split())
        if not name or not name.isprintable():
            raise ConfigError(
                f"the role is called {json.dumps(role.name)}, expected a name",
                where=text.place(role.key),
            )
        if name in seen:
            raise ConfigError(
                f"two roles are called `{name}`: the other one is {text.place(seen[name].key)}",
                where=text.place(role.key),
                hint="rename one of them, or name both models in one: "
                '"fallback_models": ["ORG/NAME"]',
            )
        if name != role.name:
            agents.notes.append(f"{text.place(role.key)}: the role is called `{name}` now")
        role.name = name
        seen[name] = role


def _model_names(agents: Agents) -> dict[str, str]:
    """A name for each distinct source, in the order of their first use."""
    taken = {role.name for role in agents.roles}
    names: dict[str, str] = {}
    for role in agents.roles:
        for source in role.sources:
            if source not in names:
                names[source] = _free_name(source, taken)
                taken.add(names[source])
    return names


def _free_name(source: str, taken: set[str]) -> str:
    parts = [part for part in re.split(r"[/\\]+", source) if part]
    last = _as_name(parts[-1] if parts else "model")
    candidates = [last, _as_name("-".join(parts[-2:]))]
    candidates += [f"{last}-{number}" for number in range(2, len(taken) + 3)]
    return next(name for name in candidates if name not in taken)


def _as_name(words: str) -> str:
    return re.sub(r"[^\w.:@+-]+", "-", words).strip("-")[:LONGEST_NAME] or "model"


class _Writing:
    """The lines of a configuration."""

    def __init__(self, text: JsonText, agents: Agents) -> None:
        self._text = text
        self._agents = agents
        self._names = _model_names(agents)

    def text(self) -> str:
        lines = [
            f"# Written by `trueup config import` from {_shown(Path(self._text.name).name)}.",
            "# Comments with a name and a value are what that file says and this one has no key "
            "for.",
            *_comments([*self._remarks(None), *self._agents.kept]),
            "config_version: 1",
            "",
            *self._models(),
            "",
            *self._roles(),
        ]
        return "\n".join(lines) + "\n"

    def _models(self) -> list[str]:
        if not self._names:
            return ["models: {}"]
        lines = ["models:"]
        for source, name in self._names.items():
            lines += [f"  {scalar(name)}:", f"    source: {scalar(with_variables(source))}"]
            said = [role.is_compatible for role in self._agents.roles if source in role.sources[:1]]
            if True in said:
                lines += [
                    "    # compatibility_mode: true. Here a model is run by the route that works",
                    "    # with what is installed; `trueup plan SOURCE` tells which one that is.",
                    "    route: auto",
                ]
        return lines

    def _roles(self) -> list[str]:
        decided = [role for role in self._agents.roles if role.undecided is None]
        undecided = [role for role in self._agents.roles if role.undecided is not None]
        lines = ["roles:"] if decided else ["roles: {}"]
        for role in decided:
            lines += self._role(role)
        if undecided:
            lines += ["", "  # Without a model yet. Name one in `chain` and uncomment the role."]
        for role in undecided:
            lines += [f"  # {line[2:]}" for line in self._role(role)]
        return lines

    def _role(self, role: AgentRole) -> list[str]:
        chain = ", ".join(scalar(self._names[source]) for source in role.sources)
        remarks = [*self._remarks(role), *role.kept]
        if role.undecided:
            remarks.append(role.undecided)
        if role.is_compatible is not None and not role.sources:
            remarks.append(f"compatibility_mode: {json.dumps(role.is_compatible)}")
        elif role.is_compatible is False:
            remarks.append("compatibility_mode: false")
        lines = [
            f"  {scalar(role.name)}:",
            *(f"    {line}" for line in _comments(remarks)),
            f"    chain: [{chain}]",
        ]
        if role.acceptance:
            lines.append("    acceptance:")
        for name, (value, origin) in role.acceptance.items():
            lines.append(f"      {name}: {_value(value)}  # {_shown(origin)}")
        return lines

    def _remarks(self, role: AgentRole | None) -> list[str]:
        """The comments of the JSON that belong to a role; to none of them where None."""
        keys = [each.key for each in self._agents.roles]
        return [
            comment
            for key, comment in self._text.comments
            if (role is not None and key[: len(role.key)] == role.key)
            or (role is None and not any(key[: len(each)] == each for each in keys))
        ]


def _comments(lines: Iterable[str]) -> list[str]:
    return [f"# {_shown(line)}" for line in lines]


def _shown(text: str) -> str:
    """A text without what ends a comment or may not stand in YAML."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def _value(value: float | Sequence[str]) -> str:
    if isinstance(value, int | float):
        return f"{value:g}"
    return f"[{', '.join(value)}]"
