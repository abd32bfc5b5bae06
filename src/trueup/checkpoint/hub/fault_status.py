"""What the HTTP statuses of a hub mean; its header X-Error-Code tells like ones apart."""

from __future__ import annotations

from collections.abc import Mapping

from trueup.checkpoint.hub.service import Service
from trueup.errors import HubError

DISABLED = "Access to this resource is disabled."


def status_error(
    status: int,
    headers: Mapping[str, str],
    *,
    name: str,
    service: Service,
    endpoint: str,
    url: str,
    is_signed_in: bool,
) -> HubError:
    """The error for an answer with `status`; names of `headers` are in lower case."""
    code = headers.get("x-error-code", "")
    said = headers.get("x-error-message", "")[:200]
    if code == "GatedRepo":
        return _gated(name, service, endpoint, is_signed_in=is_signed_in)
    if code == "RevisionNotFound":
        return HubError(
            f"`{name}` has no such revision", where=f"{endpoint}/{name}", kind="revision"
        )
    if code == "EntryNotFound":
        return HubError(f"a file that `{name}` lists is not there", where=url, kind="network")
    if said == DISABLED:
        return HubError(
            f"`{name}` was disabled by the hub", where=f"{endpoint}/{name}", kind="denied"
        )
    if status == 401 and is_signed_in and code != "RepoNotFound":
        return HubError(
            "the hub does not know the token (401)" + (f": {said}" if said else ""),
            where=f"{service.token_variable}, or the token of an earlier login",
            kind="denied",
            hint=f"set {service.token_variable} to a token of {service.tokens_page}, or unset it",
        )
    if status in (401, 404):
        return _missing(name, endpoint, is_signed_in=is_signed_in)
    if status == 403:
        return HubError(
            f"the hub forbids `{name}` (403)" + (f": {said}" if said else ""),
            where=f"{endpoint}/{name}",
            kind="denied",
            hint=f"set {service.token_variable} to a token that may read this repository",
        )
    if status == 429:
        return _too_many(headers, service, endpoint, is_signed_in=is_signed_in)
    if status in (408, 504):
        return HubError(
            f"the hub did not answer in time ({status})",
            where=url,
            kind="network",
            hint="the same command goes on with what came so far",
        )
    if status >= 500:
        return HubError(
            f"the hub itself fails ({status})" + (f": {said}" if said else ""),
            where=url,
            kind="busy",
            hint=f"try again later, or set {service.endpoint_variables[0]} to a mirror",
        )
    return HubError(
        f"the hub refuses the request for `{name}` ({status})" + (f": {said}" if said else ""),
        where=url,
        kind="denied",
    )


def _gated(name: str, service: Service, endpoint: str, *, is_signed_in: bool) -> HubError:
    if is_signed_in:
        return HubError(
            f"`{name}` is gated, and this token's owner has not been let in (403)",
            where=f"{endpoint}/{name}",
            kind="denied",
            hint=f"ask for access at {endpoint}/{name}",
        )
    return HubError(
        f"`{name}` is gated: only those who accepted its conditions may read it, and no token is "
        "set",
        where=f"{endpoint}/{name}",
        kind="denied",
        hint=f"accept the conditions at {endpoint}/{name}, then set "
        f"{service.token_variable} to your token",
    )


def _missing(name: str, endpoint: str, *, is_signed_in: bool) -> HubError:
    private = "that this token may see" if is_signed_in else "that can be seen without a token"
    return HubError(
        f"`{name}` is neither a directory here nor a model at {endpoint} {private}",
        where=f"{endpoint}/{name}",
        kind="missing",
    )


def _too_many(
    headers: Mapping[str, str], service: Service, endpoint: str, *, is_signed_in: bool
) -> HubError:
    wait = headers.get("retry-after", "").strip()
    hint = f"wait {wait} seconds" if wait.isdigit() else "wait some minutes"
    if not is_signed_in:
        hint += f", or set {service.token_variable}: who is signed in may ask more often"
    return HubError(
        "the hub has had too many requests from here (429)", where=endpoint, kind="busy", hint=hint
    )
