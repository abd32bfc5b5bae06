"""The server behind the agents, and what its failures mean to the person at the keyboard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import openai

DEFAULT_URL = "http://127.0.0.1:8484/v1"
START = "trueup serve --config trueup.yaml   (or trueup.demo.yaml: no download)"

NEVER_CONNECTED = ("ConnectError", "UnsupportedProtocol")


class AgentError(Exception):
    """Something that the user can mend; `hint` says how, where that is known."""

    def __init__(self, cause: str, hint: str | None = None) -> None:
        super().__init__(cause)
        self.hint = hint


def open_client() -> openai.OpenAI:
    """A client of OPENAI_BASE_URL with OPENAI_API_KEY; nothing is asked yet."""
    return openai.OpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL,
        api_key=os.environ.get("OPENAI_API_KEY") or "none",
        max_retries=1,
    )


@contextmanager
def asking(client: openai.OpenAI, role: str) -> Iterator[None]:
    """Around a request and the reading of its answer.

    Raises: AgentError instead of what the SDK raises.
    """
    try:
        yield
    except openai.APITimeoutError as error:
        raise AgentError(f"`{role}` did not answer in time") from error
    except openai.APIConnectionError as error:
        raise _unconnected(client, role, error) from error
    except openai.AuthenticationError as error:
        hint = "set OPENAI_API_KEY to a key of the server"
        raise AgentError(f"{client.base_url} wants a key that it knows", hint) from error
    except openai.NotFoundError as error:
        raise _unknown(client, role) from error
    except openai.APIError as error:
        message, hint = _message(error), _field(error, "hint")
        if hint and hint in message:
            hint = None
        raise AgentError(f"`{role}`: {message}", hint) from error


def _unconnected(client: openai.OpenAI, role: str, error: openai.APIConnectionError) -> AgentError:
    # By name: which package has the class depends on the SDK's release.
    if type(error.__cause__).__name__ in NEVER_CONNECTED:
        return AgentError(f"no server answers at {client.base_url}", START)
    return AgentError(f"`{role}`: the answer broke off", "see what the server has printed")


def _unknown(client: openai.OpenAI, role: str) -> AgentError:
    try:
        names = [model.id for model in client.models.list()]
    except openai.APIError:
        hint = "the address of an OpenAI-compatible server ends in /v1"
        return AgentError(f"nothing at {client.base_url} answers for models", hint)
    known = ", ".join(f"`{name}`" for name in names) or "none"
    hint = f"name `{role}` under `roles` of the server's configuration"
    return AgentError(f"the server has no role `{role}`; it has {known}", hint)


def _message(error: openai.APIError) -> str:
    return _field(error, "message") or error.message


def _field(error: openai.APIError, name: str) -> str | None:
    value = error.body.get(name) if isinstance(error.body, dict) else None
    return value if isinstance(value, str) else None
