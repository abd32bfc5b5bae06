"""What went wrong there, in words for those who can mend it."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import Any

from trueup.backends.hosts.host import Finished
from trueup.backends.llamafactory.place import (
    NO_DIRECTORY,
    NO_ENVIRONMENT,
    NO_PYTHON,
    NO_SCRIPT,
    subjects,
)
from trueup.backends.llamafactory.templates import nearest_names
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.errors import BackendError, RequestError, TrueUpError

# Of another's text, what is told.
SHOWN_CHARACTERS = 300
NO_TEMPLATE = re.compile(r"Template (\S+) does not exist")
# The name is in a package of it; many write this, after older documents.
IMPORTED_WRONGLY = "cannot import name 'ChatModel' from 'llamafactory'"
NO_MODULE = re.compile(r"No module named '([\w.]+)'")
UNKNOWN_ARGUMENTS = "are not used by the HfArgumentParser"
CODE = "llamafactory_cannot_load"


class Faults:
    """Makes errors of one backend; `host` is how people call where it runs."""

    def __init__(self, settings: LlamaFactorySettings, host: str) -> None:
        self._settings = settings
        self._host = host

    def of_command(self, finished: Finished) -> BackendError:
        """The error of a command that did not do its work."""
        subject = subjects(self._settings).get(finished.status)
        words = {
            NO_DIRECTORY: (f"`{subject}` does not exist on {self._host}", "correct `work_dir`"),
            NO_ENVIRONMENT: (
                f"there is no conda environment `{subject}` on {self._host}",
                "`conda env list` there names them; or set `python` to its interpreter",
            ),
            NO_SCRIPT: (
                f"script `{subject}` does not exist on {self._host}",
                "correct `script_path`, which is relative to `work_dir`",
            ),
            NO_PYTHON: (
                f"there is no interpreter `{subject}` on {self._host}",
                "set `python` or `conda_env`",
            ),
        }
        if found := words.get(finished.status):
            return self._error(*found)
        said = finished.stderr.decode("utf-8", "replace").strip()
        last = said.splitlines()[-1] if said else "it said nothing"
        return self._error(
            f"the worker on {self._host} did not start (status {finished.status}): {_short(last)}"
        )

    def of_script(self, said: Mapping[str, Any] | None, finished: Finished) -> BackendError:
        """The error of a user's own script: what it said, or how it ended."""
        script = f"script `{self._settings.script_path}` on {self._host}"
        error = (said or {}).get("error")
        if isinstance(error, Mapping):
            error = error.get("message")
        last = _last_line(finished.stderr.decode("utf-8", "replace"))
        told = f"{error or ''}\n{finished.stderr.decode('utf-8', 'replace')}"
        hint = None
        if IMPORTED_WRONGLY in told:
            hint = "write `from llamafactory.chat import ChatModel`"
        elif found := NO_MODULE.search(told):
            hint = f"install {found[1]} in that environment, or set `conda_env` or `python`"
        if error:
            return self._error(f"{script} answered an error: {_short(str(error))}", hint)
        if finished.status == -signal.SIGKILL:
            return self._error(f"{script} was killed (often out of memory)")
        if finished.status:
            return self._error(
                f"{script} ended with status {finished.status}: {_short(last)}", hint
            )
        return self._error(
            f"{script} printed no JSON object with `content`: {_short(last)}",
            'its last line on stdout is to be {"role": "assistant", "content": …}',
        )

    def of_event(self, event: Mapping[str, Any]) -> TrueUpError:
        """The error of a failed load or answer."""
        kind, message = str(event.get("type")), str(event.get("message", ""))
        for make in (self._of_spec, self._of_end, self._of_library):
            if error := make(kind, message, event):
                return error
        return self._error(f"LlamaFactory on {self._host} raised {kind}: {_short(message)}")

    def _of_spec(self, kind: str, message: str, event: Mapping[str, Any]) -> TrueUpError | None:
        """What the far side has looked at itself."""
        subject = event.get("subject")
        if kind == "PromptTooLong":
            return RequestError(
                f"the prompt has {event['prompt_tokens']} tokens, and the context of this model "
                f"{event['context_tokens']}",
                param="messages",
                code="context_length_exceeded",
            )
        if kind == "TemplateUnknown":
            near = nearest_names(str(subject), event.get("known", ()))
            return self._no_template(str(subject), near)
        if kind == "Hung":
            return BackendError(
                f"no token within {event['seconds']:g} s of `{self._settings.name}` on "
                f"{self._host}: its worker is started anew",
                retryable=True,
                code="worker_failed",
                where=self._settings.name,
                hint="set a larger `limits.first_token_seconds` and `between_tokens_seconds`",
            )
        words: dict[str, tuple[str, str]] = {
            "BaseModelMissing": (
                f"base model `{subject}` not found on {self._host}",
                "correct `base_model_path`",
            ),
            "AdapterMissing": (
                f"adapter `{subject}` does not exist on {self._host}",
                "correct `adapter_path`",
            ),
            "AdapterConfigMissing": (
                f"adapter `{subject}` has no adapter_config.json",
                "`adapter_path` is the folder that the training wrote",
            ),
            "CliMissing": (
                f"`{subject}` was not found on {self._host} in environment "
                f"{self._settings.conda_env or self._settings.python} (PATH={event.get('path')})",
                "set `conda_env` or `cli_path`",
            ),
            "ScriptMissing": (
                f"script `{subject}` does not exist on {self._host}",
                "correct `script_path`, which is relative to `work_dir`",
            ),
            "PlainLines": (
                f"`llamafactory-cli` on {self._host} takes plain lines alone, and {subject} is "
                "none",
                "the mode `script` takes it; so does `cli` where the program is a script of that "
                "environment's Python",
            ),
            "NoChat": (
                f"`{subject}` is loaded as a model that does not chat",
                "name a model for generation",
            ),
        }
        return self._error(*words[kind]) if kind in words else None

    def _of_end(self, kind: str, message: str, event: Mapping[str, Any]) -> TrueUpError | None:
        """The model's process has ended."""
        if kind != "WorkerEnded":
            return None
        status = int(event.get("status", 0))
        if status == -signal.SIGKILL:
            how = "was killed (often out of memory)"
        elif status < 0:
            how = f"was ended by {_signal_name(-status)}"
        else:
            how = f"ended with status {status}: {_short(_last_line(event.get('log')))}"
        return BackendError(
            f"the worker of `{self._settings.name}` on {self._host} {how}",
            retryable=True,
            code="worker_failed",
            where=self._settings.name,
            hint="ask again: it is started anew",
        )

    def _of_library(self, kind: str, message: str, event: Mapping[str, Any]) -> TrueUpError | None:
        """What LlamaFactory and its libraries raise."""
        settings = self._settings
        named = settings.python or settings.conda_env or settings.cli_path
        python = settings.python or settings.conda_env or "the first `python` of the PATH"
        if python != named and named:
            python = f"the python of `{named}`"
        if "torchvision::nms" in message:
            return self._error(
                f"torchvision does not match torch in {python} on {self._host}",
                "reinstall torchvision there, or remove it",
            )
        if kind in ("ImportError", "ModuleNotFoundError"):
            module = event.get("subject") or _short(message)
            return self._error(
                f"{python} on {self._host} cannot import {module}",
                "install it in that environment" if named else "set `conda_env` or `python`",
            )
        if found := NO_TEMPLATE.search(message):
            return self._no_template(found[1], [])
        if "Failed to load tokenizer" in message:
            base = self._settings.base_model_path
            return self._error(
                f"base model `{base}` not found on {self._host}, or its tokenizer does not load",
                f"look there: trueup check {base}",
            )
        if UNKNOWN_ARGUMENTS in message:
            return self._error(f"this LlamaFactory knows other arguments: {_short(message)}")
        if "OutOfMemory" in kind or "out of memory" in message:
            return self._error(
                f"the memory of {self._host} is not enough: {_short(message)}",
                "free some, or choose a smaller model or context",
            )
        return None

    def _no_template(self, template: str, near: list[str]) -> BackendError:
        names = " or ".join(f"`{name}`" for name in near)
        return self._error(
            f"template `{template}` does not exist in LlamaFactory",
            f"did you mean {names}?" if near else "leave `template` out for the tokenizer's own",
        )

    def _error(self, cause: str, hint: str | None = None) -> BackendError:
        """Something that stays as it is until somebody mends it."""
        return BackendError(cause, retryable=False, code=CODE, where=self._settings.name, hint=hint)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"


def _last_line(log: Any) -> str:
    lines = [line for line in str(log or "").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
