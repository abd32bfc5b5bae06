"""`trueup config`: write, check, show and convert the file that `trueup serve --config` reads."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.cli import config_export, config_key
from trueup.cli.settings import CONFIG_VARIABLE, with_key
from trueup.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from trueup.config.load import Checked
    from trueup.config.mistake import Mistake

DEFAULT_FILE = Path("trueup.yaml")
STDOUT = Path("-")
EXAMPLE = """  trueup config init
  trueup config validate trueup.yaml
  trueup config show --format json
  trueup config schema > trueup.schema.json
  trueup config import agents.json --output trueup.yaml
  trueup config import .env --output trueup.yaml
  trueup config key --name chatchat --profile langchain-chatchat
  trueup config export chatchat --config trueup.yaml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup config` takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, text: str, example: str) -> argparse.ArgumentParser:
        return actions.add_parser(
            name,
            help=text,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"example:\n  trueup config {name} {example}",
        )

    init = action("init", "write a configuration with every key explained", "trueup.yaml")
    init.add_argument(
        "path",
        nargs="?",
        type=Path,
        default=DEFAULT_FILE,
        metavar="PATH",
        help=f"the file to write, `-` for stdout (default: {DEFAULT_FILE})",
    )
    validate = action("validate", "say everything that is wrong or odd in a file", "trueup.yaml")
    show = action("show", "show what a file means, with defaults, secrets hidden", "trueup.yaml")
    for each in (validate, show):
        each.add_argument(
            "file", nargs="?", type=Path, metavar="FILE", help=f"(default: {CONFIG_VARIABLE})"
        )
        each.add_argument("--format", choices=("text", "json"), default="text")
    action("schema", "print the JSON schema, for editors and other tools", "> schema.json")
    imported = action(
        "import",
        "convert an agent system's JSON (a model for each role), or the .env of a LlamaFactory "
        "chat, to a configuration",
        "agents.json --output trueup.yaml",
    )
    imported.add_argument("file", type=Path, metavar="FILE", help="the file, `-` for stdin")
    imported.add_argument(
        "--output",
        type=Path,
        default=STDOUT,
        metavar="PATH",
        help="the file to write (default: stdout)",
    )
    config_key.add_arguments(
        action("key", "make an API key and its entry for the file", "--name team")
    )
    config_export.add_arguments(
        action(
            "export",
            "print the settings that make another program ask this server",
            "chatchat --url http://127.0.0.1:8484",
        )
    )
    for each in (init, imported):
        each.add_argument("--force", action="store_true", help="replace a file that exists")


def run(arguments: argparse.Namespace) -> int:
    """Carry out one action; 1 where a file has errors."""
    return ACTIONS[arguments.action](arguments)


def _init(arguments: argparse.Namespace) -> int:
    text = files("trueup.config").joinpath("example.yaml").read_text(encoding="utf-8")
    _write(arguments.path, text, is_forced=arguments.force)
    if arguments.path != STDOUT:
        _say(f"{arguments.path} is written")
        _say(f"next: trueup serve --config {arguments.path}")
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    from trueup.config.load import check_config

    path = _named_file(arguments)
    checked = check_config(path, os.environ)
    if arguments.format == "json":
        report = {
            "schema_version": 1,
            "kind": "config",
            "file": str(path),
            "errors": [mistake.as_dict() for mistake in checked.errors],
            "warnings": [mistake.as_dict() for mistake in checked.warnings],
        }
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _tell(checked, path)
    return int(bool(checked.errors))


def _tell(checked: Checked, path: Path) -> None:
    for severity, mistakes in (("error", checked.errors), ("warning", checked.warnings)):
        for mistake in mistakes:
            _tell_mistake(severity, mistake)
    if checked.settings is None:
        print(f"{path}: {_count(len(checked.errors), 'error')}")
        return
    settings = checked.settings
    said = [
        _count(len(settings.models), "model"),
        _count(len(settings.backends), "backend"),
        _count(len(settings.roles), "role"),
        _count(len(settings.aliases), "alias", "aliases"),
    ]
    odd = f", {_count(len(checked.warnings), 'warning')}" if checked.warnings else ""
    print(f"{path} is valid: {', '.join(said)}{odd}")


def _tell_mistake(severity: str, mistake: Mistake) -> None:
    print(f"{mistake.where}\n  {severity}: {mistake.cause}")
    if mistake.hint:
        print(f"  hint:  {mistake.hint}")


def _count(number: int, one: str, more: str | None = None) -> str:
    return f"{number} {one if number == 1 else more or f'{one}s'}"


def _show(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from trueup.config.load import load_config
    from trueup.config.show import shown_tree, yaml_text

    path = _named_file(arguments)
    settings = load_config(path, os.environ)
    tree = shown_tree(replace(settings, server=with_key(settings.server, os.environ)))
    if arguments.format == "json":
        report: Mapping[str, Any] = {
            "schema_version": 1,
            "kind": "config",
            "file": str(path),
            "configuration": tree,
        }
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print(yaml_text(tree), end="")
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    from trueup.config.json_schema import schema_text

    print(schema_text(), end="")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from trueup.config.agents.convert import convert
    from trueup.config.dotenv import convert_dotenv, is_dotenv

    source: Path = arguments.file
    name = "stdin" if source == STDOUT else str(source)
    raw = _read(source)
    converted = convert_dotenv(raw, name) if is_dotenv(raw) else convert(raw, name)
    _write(arguments.output, converted.text, is_forced=arguments.force)
    for note in converted.notes:
        _say(note)
    if arguments.output != STDOUT:
        _say(f"{arguments.output} is written: {converted.summary}")
        _say(f"next: trueup serve --config {arguments.output}")
    return 0


ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "init": _init,
    "validate": _validate,
    "show": _show,
    "schema": _schema,
    "import": _import,
    "key": config_key.run,
    "export": config_export.run,
}


def _named_file(arguments: argparse.Namespace) -> Path:
    if arguments.file is not None:
        path: Path = arguments.file
        return path
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    action = arguments.action
    raise UsageError(
        f"no FILE was named and {CONFIG_VARIABLE} is not set",
        hint=f"trueup config {action} {DEFAULT_FILE}",
    )


def _read(path: Path) -> bytes:
    from trueup.config.document import MAX_FILE_BYTES

    try:
        if path == STDOUT:
            raw = sys.stdin.buffer.read(MAX_FILE_BYTES + 1) if sys.stdin else b""
        else:
            with path.open("rb") as file:
                raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _unusable("read", path, error) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"the file is longer than {MAX_FILE_BYTES} bytes", where=str(path))
    return raw


def _write(path: Path, text: str, *, is_forced: bool) -> None:
    """Write a file whole or not at all; one that exists is left as it is unless forced."""
    if path == STDOUT:
        print(text, end="")
        return
    if not is_forced and os.path.lexists(path):
        raise ConfigError(
            "the file exists already", where=str(path), hint="name another one, or add --force"
        )
    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    try:
        try:
            half.write_text(text, encoding="utf-8")
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise _unusable("written", path, error) from error


def _unusable(what: str, path: Path, error: OSError | ValueError) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) else None
    return ConfigError(f"the file cannot be {what}: {reason or error}", where=str(path))


def _say(line: str) -> None:
    print(line, file=sys.stderr)
