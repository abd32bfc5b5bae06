"""`trueup trust`: look at the code that a model brings, and let it run, or no longer."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.cli.server_api import ask_server
from trueup.config.servers import running_servers
from trueup.doctor.audit import DOES, KINDS, Alarm, alarms_text, audit_module
from trueup.doctor.render.text import Line, print_lines, printable
from trueup.doctor.time_limit import CHECK_SECONDS, time_limit
from trueup.errors import BackendError, ConfigError, TrueUpError, UsageError
from trueup.trust.code import OwnCode, read_code
from trueup.trust.consents import HASH_START, PREFIX, Change, Consent, Consents
from trueup.trust.copy import forget, model_names

EXAMPLE = """  trueup trust THUDM/chatglm-6b
  trueup trust ./model --yes
  trueup trust --list
  trueup trust --revoke ./model"""
SCHEMA_VERSION = 1
SHOWN_HASH = 19  # `sha256:` and twelve digits
SHOWN_KNOWN = 5
YES = ("y", "yes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup trust` takes."""
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a directory or a hub id")
    parser.add_argument("--revision", help="the branch, tag or commit of a hub id")
    parser.add_argument("--yes", action="store_true", help="do not ask, for scripts")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--list", action="store_true", help="show what may run")
    other.add_argument("--revoke", metavar="MODEL|HASH", help="let this code no longer run")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Show the code and ask; 0 where it may run, 1 where it may not."""
    if arguments.list or arguments.revoke is not None:
        if arguments.model is not None:
            flag = "--list" if arguments.list else "--revoke"
            raise UsageError(f"`{flag}` is not about `{arguments.model}`", where=flag)
        return _list(arguments) if arguments.list else _revoke(arguments)
    if arguments.model is None:
        raise UsageError("no model was named", hint="trueup trust MODEL, or `trueup trust --list`")
    from trueup.checkpoint.files import read_checkpoint
    from trueup.checkpoint.source import resolve

    with time_limit(CHECK_SECONDS, arguments.model):
        checkpoint = read_checkpoint(resolve(arguments.model, revision=arguments.revision))
        code = read_code(checkpoint)
        alarms = _audit(code)
    consents = Consents()
    names = model_names(checkpoint)
    state = "not needed" if not code.files else "given" if consents.get(code.digest) else "needed"
    change = consents.change(code, names) if state == "needed" else None
    if arguments.format == "text":
        print_lines(_code_lines(checkpoint, code, alarms, change, state))
    if state == "needed" and _agreed(arguments):
        consents.give(code, names)
        state = "given"
        revoke = printable(f"trueup trust --revoke {shlex.quote(checkpoint.source)}")
        _say(f"it may run from now on; `{revoke}` takes that back")
    if arguments.format == "json":
        print(json.dumps(_report(checkpoint, code, alarms, change, state), indent=2))
    return int(state == "needed")


def _audit(code: OwnCode) -> list[Alarm]:
    """The alarms of all files, under the names that include another repository's id."""
    return [
        replace(alarm, path=file.name) for file in code.files for alarm in audit_module(file.module)
    ]


def _agreed(arguments: argparse.Namespace) -> bool:
    if arguments.yes:
        return True
    if arguments.format == "json":
        return False
    if sys.stdin is None or not sys.stdin.isatty():
        _say("it may not run: nobody is there to be asked")
        again = printable(f"trueup trust {shlex.quote(arguments.model)} --yes")
        _say(f"  hint:  look at the audit, then: {again}")
        return False
    print("Let this code run on this machine? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in YES:
        return True
    _say("it may not run")
    return False


def _code_lines(
    checkpoint: Checkpoint, code: OwnCode, alarms: list[Alarm], change: Change | None, state: str
) -> Iterator[Line]:
    name = printable(checkpoint.source)
    if not code.files:
        yield Line(f"{name} brings no code of its own: there is nothing to agree to")
        return
    count = f"{len(code.files)} file{'s' if len(code.files) > 1 else ''}"
    yield Line(f"{name} brings {count} of code, {code.digest[:SHOWN_HASH]}", "title")
    for file in code.files:
        lines = len(file.module.source.splitlines())
        yield Line(f"  {printable(file.name)}  ({lines:,} lines)")
    for missing in code.missing:
        yield Line(f"  {printable(missing)}  is named and not there", "warning")
    if change is not None:
        yield Line(f"changed since you agreed to it: {printable(str(change))}", "warning")
    yield Line("")
    unread = [file for file in code.files if file.module.tree is None]
    for file in unread:
        yield Line(
            f"error    `{printable(file.name)}` does not parse: nobody looked into it", "error"
        )
    if not alarms and not unread:
        yield Line("The audit found nothing that reaches beyond the model.", "good")
    for kind in KINDS:
        for path in dict.fromkeys(each.path for each in alarms if each.kind == kind):
            here = [each for each in alarms if (each.kind, each.path) == (kind, path)]
            level = "error" if kind == "obfuscated" else "warning"
            text = f"`{path}` {DOES[kind]}: {alarms_text(here)}"
            yield Line(f"{level:<8} {printable(text)}", level)
    yield Line("An audit is no proof: read the code of people that you do not know.", "dim")
    if state == "given":
        yield Line("It may run: you agreed to exactly this code before.", "good")


def _report(
    checkpoint: Checkpoint, code: OwnCode, alarms: list[Alarm], change: Change | None, state: str
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "trust",
        "model": {
            "source": checkpoint.source,
            "revision": checkpoint.revision,
            "directory": str(checkpoint.directory),
        },
        "digest": code.digest if code.files else None,
        "consent": state,
        "files": [
            {
                "repository": file.repository,
                "path": file.module.path,
                "sha256": file.module.sha256,
                "bytes": len(file.content),
                "parses": file.module.tree is not None,
            }
            for file in code.files
        ],
        "missing": list(code.missing),
        "changed": None
        if change is None
        else {
            "changed": list(change.changed),
            "added": list(change.added),
            "removed": list(change.removed),
        },
        "audit": [
            {
                "kind": alarm.kind,
                "what": alarm.what,
                "path": alarm.path,
                "line": alarm.line,
                "function": alarm.function,
            }
            for alarm in alarms
        ],
    }


def _list(arguments: argparse.Namespace) -> int:
    found = Consents().all()
    if arguments.format == "json":
        shape = {"schema_version": SCHEMA_VERSION, "kind": "consents"}
        print(json.dumps({**shape, "consents": [_shape(each) for each in found]}, indent=2))
        return 0
    if not found:
        _say("no model's own code may run")
    for each in found:
        day = datetime.fromtimestamp(each.given_at, UTC).strftime("%Y-%m-%d")
        print(f"{each.digest[:SHOWN_HASH]}  {day}  {len(each.files)} files  {_models(each)}")
    return 0


def _shape(consent: Consent) -> dict[str, Any]:
    return {
        "digest": consent.digest,
        "models": list(consent.models),
        "given_at": consent.given_at,
        "files": dict(consent.files),
    }


def _revoke(arguments: argparse.Namespace) -> int:
    consents = Consents()
    found = _meant(arguments, consents)
    for each in found:
        consents.revoke(each)
        forget(each.digest, consents)
    running = list(_running({each.digest for each in found}))
    if arguments.format == "json":
        shape = {"schema_version": SCHEMA_VERSION, "kind": "revoked", "running": running}
        print(json.dumps({**shape, "revoked": [_shape(each) for each in found]}, indent=2))
    else:
        for each in found:
            print(f"{each.digest[:SHOWN_HASH]}  may no longer run: {_models(each)}")
    for row in running:
        _say(f"the server at {row['url']} has loaded it as `{row['model']}` and goes on with it")
        _say(f"  hint:  end that server: kill {row['pid']}")
    return 0


def _meant(arguments: argparse.Namespace, consents: Consents) -> list[Consent]:
    """The consents that were given by this name, or to the code that is found under it now.

    Raises: ConfigError where there are none; CheckpointError for a model that cannot be read.
    """
    from trueup.checkpoint.files import read_checkpoint
    from trueup.checkpoint.source import is_here, resolve

    word = arguments.revoke
    found = consents.named(word)
    is_model = is_here(word, arguments.revision)
    # By its name alone a copy, a link or a moved model is not known, and its code may run too.
    # A hub, which may be slow, is not asked for what its name tells.
    if is_model and (not found or Path(word).expanduser().is_dir()):
        try:
            with time_limit(CHECK_SECONDS, word):
                checkpoint = read_checkpoint(resolve(word, revision=arguments.revision))
                consent = consents.get(read_code(checkpoint).digest)
        except TrueUpError:
            if not found:
                raise
        else:
            found += [consent] if consent is not None and consent not in found else []
    if found:
        return found
    known = consents.all()
    told = [f"{each.digest[:SHOWN_HASH]} ({_models(each)})" for each in known[:SHOWN_KNOWN]]
    told += ["…"] if len(known) > SHOWN_KNOWN else []
    raise ConfigError(
        f"the code of `{word}` may not run: there is nothing to take back"
        if is_model
        else f"`{word}` is neither a model whose code may run nor a hash of such code"
        + ("" if HASH_START.fullmatch(word.removeprefix(PREFIX)) else ", and is not here"),
        where="--revoke",
        hint=f"what may run, by hash or name: {', '.join(told)}" if told else "no code may run",
    )


def _models(consent: Consent) -> str:
    return ", ".join(map(printable, consent.models))


def _running(digests: Collection[str]) -> Iterator[dict[str, Any]]:
    """The models of running servers that are loaded by code of these hashes.

    A server that wants another key than TRUEUP_API_KEY is named on stderr: it does not tell.
    """
    for server in running_servers():
        try:
            rows = ask_server(server.url, "/v1/models", wants="data")["data"]
        except BackendError as error:
            _say(f"whether the server at {server.url} runs it is not known: {error.cause}")
            continue
        for row in rows:
            ours = row.get("trueup") or {}
            is_loaded = ours.get("state") not in (None, "stopped", "failed")
            if is_loaded and (ours.get("plan") or {}).get("code") in digests:
                yield {"url": server.url, "pid": server.pid, "model": row.get("id")}


def _say(line: str) -> None:
    print(line, file=sys.stderr)
