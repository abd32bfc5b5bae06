"""What SSH and the network raise, in words for those who can mend it."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

import asyncssh
from asyncssh.pbe import KeyEncryptionError

from trueup.backends.hosts.known_hosts import SSH_PORT, OfferedKey
from trueup.config.llamafactory_settings import HostSettings
from trueup.errors import BackendError

UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)
# What asyncssh and the files of keys raise before anything is sent.
OF_KEYS = (asyncssh.KeyImportError, KeyEncryptionError)
# What `error_of` knows.
FAILURES = (asyncssh.Error, OSError, *OF_KEYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was tried: whom, from which settings, and the keys that were seen and expected."""

    settings: HostSettings
    host: str
    port: int
    user: str
    known_hosts: str = ""
    offered: OfferedKey | None = None
    expected: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The host and port."""
        return f"{self.host}:{self.port}"


def attempt_of(settings: HostSettings) -> Attempt:
    """What is to be tried, as far as the settings alone tell."""
    port = settings.port or SSH_PORT
    return Attempt(settings=settings, host=settings.host, port=port, user=settings.user or "")


def error_of(error: Exception, attempt: Attempt) -> BackendError:
    """The error of a connection that could not be made."""
    if isinstance(error, BackendError):
        return error
    if isinstance(error, socket.gaierror):
        return _error(
            "ssh_host_unknown",
            f"there is no host `{attempt.host}`: {error.strerror}",
            attempt,
            hint="correct `host`; is it an alias? then name its file: ssh_config: ~/.ssh/config",
            retryable=True,
        )
    if isinstance(error, ConnectionRefusedError):
        return _error(
            "ssh_refused",
            f"nothing listens on {attempt.address}",
            attempt,
            hint="is sshd running there, and is `port` right?",
            retryable=True,
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        return _error(
            "ssh_refused",
            f"{attempt.address} cannot be reached from `{attempt.settings.proxy_jump}`: "
            f"{error.reason}",
            attempt,
            hint="is sshd running there, and is `port` right?",
            retryable=True,
        )
    if isinstance(error, TimeoutError) or getattr(error, "errno", None) in UNREACHABLE:
        return _error(
            "ssh_timeout",
            f"{attempt.address} does not answer",
            attempt,
            hint="is the host up, and does a firewall let this machine in?",
            retryable=True,
        )
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return _host_key(error, attempt)
    if isinstance(error, asyncssh.PermissionDenied):
        return _denied(attempt)
    if isinstance(error, OF_KEYS):
        return _key_file(str(error), attempt)
    if isinstance(error, (asyncssh.Error, OSError)):
        return _error(
            "ssh_protocol",
            f"no SSH session with {attempt.address}: {_said(error)}",
            attempt,
            hint=f"is it an SSH server that listens there? ssh -v -p {attempt.port} {attempt.host}",
            retryable=isinstance(error, (asyncssh.ConnectionLost, OSError)),
        )
    raise error


def jump_error(error: BackendError, jump: str) -> BackendError:
    """The same where it was the host on the way."""
    return BackendError(
        f"the host on the way, `{jump}`: {error.cause}",
        retryable=error.retryable,
        code="ssh_jump",
        where=error.where,
        hint=error.hint,
    )


def no_key_file(why: str, settings: HostSettings) -> BackendError:
    """The key that is named cannot be read."""
    return BackendError(
        f"the SSH key `{settings.key}` cannot be used: {why}",
        retryable=False,
        code="ssh_auth",
        where=settings.host,
        hint="correct `key`",
    )


def no_password(settings: HostSettings) -> BackendError:
    """The password's variable is empty."""
    return BackendError(
        f"the environment variable `{settings.password_env}` holds no password",
        retryable=False,
        code="ssh_auth",
        where=settings.host,
        hint=f"export {settings.password_env}=…",
    )


def no_agent(settings: HostSettings) -> BackendError:
    """The agent that is to be asked is none."""
    return BackendError(
        "no SSH agent runs for this user: SSH_AUTH_SOCK leads to none",
        retryable=False,
        code="ssh_auth",
        where=settings.host,
        hint='eval "$(ssh-agent)" && ssh-add, or name a `key` instead of `agent: true`',
    )


def _host_key(error: Exception, attempt: Attempt) -> BackendError:
    seen = attempt.offered.fingerprint if attempt.offered else "of no kind that is known"
    if "revoked" in str(error):
        cause = f"the host key of {attempt.address} is marked as revoked"
        hint = f"ask who runs {attempt.host}; nothing was sent to it"
    elif attempt.expected:
        cause = (
            f"THE HOST KEY OF {attempt.address} HAS CHANGED: it is {seen}, and "
            f"{' or '.join(attempt.expected)} is known. Somebody may stand between"
        )
        hint = (
            "nothing was sent to it. Ask who runs that host; only where the change was meant: "
            "trueup backends trust-host NAME --replace"
        )
    else:
        cause = f"the host key of {attempt.address} is not trusted: {seen} is not known"
        hint = "compare it with the host's own and trust it: trueup backends trust-host NAME"
    return _error("ssh_host_key", f"{cause} (in {attempt.known_hosts})", attempt, hint=hint)


def _denied(attempt: Attempt) -> BackendError:
    settings = attempt.settings
    ways = []
    if settings.key is not None:
        ways.append(f"SSH key `{settings.key}`")
    if settings.agent:
        ways.append("keys of the SSH agent")
    if settings.password_env is not None:
        ways.append(f"password of `{settings.password_env}`")
    tried = " and ".join(ways) or "SSH keys of this user"
    return _error(
        "ssh_auth",
        f"{tried} rejected for {attempt.user} on {attempt.address}",
        attempt,
        hint="is `user` right, and is the public key in ~/.ssh/authorized_keys there?",
    )


def _key_file(why: str, attempt: Attempt) -> BackendError:
    if "assphrase" in why or "ncrypt" in why:
        return BackendError(
            f"the SSH key `{attempt.settings.key}` is encrypted",
            retryable=False,
            code="ssh_auth",
            where=attempt.host,
            hint=f"ssh-add {attempt.settings.key}, and `agent: true` instead of `key`",
        )
    return no_key_file(why, attempt.settings)


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _error(
    code: str, cause: str, attempt: Attempt, *, hint: str, retryable: bool = False
) -> BackendError:
    return BackendError(
        cause, retryable=retryable, code=code, where=attempt.settings.host, hint=hint
    )
