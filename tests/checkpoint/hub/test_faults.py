"""Every way in which a hub or the way to it fails has words of its own: cause, where, hint."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.hub.models import digest_of, model
from tests.hub_server import SIGN_IN_PAGE, HubServer
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.hub.faults import explained
from trueup.checkpoint.hub.service import HUGGING_FACE
from trueup.checkpoint.source import Source, complete, resolve
from trueup.errors import ConfigError, HubError

NAME = "org/name"


def refused(name: str = NAME, **how: Any) -> HubError:
    with pytest.raises(HubError) as caught:
        resolve(name, **how)
    return caught.value


def every_word(error: HubError) -> str:
    return f"{error.cause} | {error.where} | {error.hint}"


@pytest.mark.parametrize("place", ["/api/models", "/resolve/"])
@pytest.mark.parametrize(
    ("status", "headers", "kind", "said"),
    [
        (403, {"X-Error-Message": "no fine-grained permission"}, "denied", "no fine-grained"),
        (403, {"X-Error-Code": "GatedRepo"}, "denied", "gated"),
        (403, {"X-Error-Message": "Access to this resource is disabled."}, "denied", "disabled"),
        (429, {"Retry-After": "7"}, "busy", "wait 7 seconds"),
        (429, {}, "busy", "set HF_TOKEN"),
        (451, {"X-Error-Message": "not in your country"}, "denied", "not in your country"),
        (500, {}, "busy", "try again later"),
        (502, {}, "busy", "(502)"),
        (503, {"X-Error-Message": "maintenance"}, "busy", "maintenance"),
        (504, {}, "network", "in time"),
    ],
)
def test_a_status_has_its_words(
    hub: HubServer, place: str, status: int, headers: dict[str, str], kind: str, said: str
) -> None:
    hub.add(NAME, model())
    hub.fail(place, status=status, headers=headers)
    error = refused()
    assert error.kind == kind
    assert said in every_word(error)
    assert error.where is not None


def test_without_a_token_a_gated_model_says_how_to_get_in(hub: HubServer) -> None:
    hub.add(NAME, model())
    hub.repositories[NAME].is_gated = True
    error = refused()
    assert error.kind == "denied"
    assert error.hint == (
        f"accept the conditions at {hub.url}/{NAME}, then set HF_TOKEN to your token"
    )


def test_a_token_that_the_hub_does_not_know_is_said_to_be_that(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, model())
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    error = refused()
    assert (error.kind, "token" in error.cause) == ("denied", True)
    assert "HF_TOKEN" in str(error.where)
    assert "hf_expired" not in every_word(error)


def test_a_private_model_looks_like_one_that_is_not_there(hub: HubServer) -> None:
    hub.add(NAME, model())
    hub.repositories[NAME].is_private = True
    error = refused()
    assert error.kind == "missing"
    assert "without a token" in error.cause


@pytest.mark.parametrize("place", ["/api/models", "config.json"])
def test_the_sign_in_page_of_a_network_is_no_answer(hub: HubServer, place: str) -> None:
    hub.add(NAME, model())
    hub.fail(place, page=SIGN_IN_PAGE)
    error = refused()
    assert error.kind == "network"
    assert "sign" in error.cause
    assert "browser" in str(error.hint)


def test_a_sign_in_page_in_place_of_weights_is_not_taken_for_them(hub: HubServer) -> None:
    hub.add(NAME, model())
    hub.fail(hub_blob_path(hub), page=SIGN_IN_PAGE)
    error = refused()
    assert "sign" in error.cause


def hub_blob_path(hub: HubServer) -> str:
    (files,) = hub.repositories[NAME].commits.values()
    return digest_of(files)


@pytest.mark.usefixtures("is_impatient")
@pytest.mark.parametrize("place", ["/api/models", "/resolve/"])
def test_a_hub_that_does_not_answer_is_given_up(hub: HubServer, place: str) -> None:
    hub.add(NAME, model())
    hub.fail(place, stalls=True)
    error = refused()
    assert error.kind == "network"
    assert "did not answer in time" in error.cause


def test_a_hub_whose_answers_drip_is_given_up(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup.checkpoint.hub.asking.LIMIT_SECONDS", 0.0)
    hub.add(NAME, model())
    hub.fail("/api/models", stalls=True)
    error = refused()
    assert error.kind == "network"
    assert "took more than 0 seconds" in error.cause


def test_nobody_listening_is_no_connection(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        error = refused()
    assert error.kind == "network"
    assert error.cause == (
        "no connection to `127.0.0.1`: Connection refused; `org/name` is neither a directory here "
        "nor in the cache"
    )
    assert "HF_HUB_OFFLINE=1" in str(error.hint)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Qwen2-7B", "did you mean `Qwen/Qwen2-7B`"),
        ("THUDM/chatglm2-6b", "did you mean `zai-org/chatglm2-6b`"),
        ("chatglm", "there is `chatglm2`"),
    ],
)
def test_without_the_hub_the_nearest_that_is_known_here_is_told(
    hub: HubServer, name: str, near: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chatglm2").mkdir()
    monkeypatch.chdir(tmp_path)
    hub.fail("/api/models", status=503)
    error = refused(name)
    assert "neither a directory here nor in the cache" in error.cause
    assert near in str(error.hint)
    assert "else" in str(error.hint).lower()


def test_a_name_that_nobody_knows_is_a_matter_of_dns(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    error = refused()
    assert error.cause.startswith(
        "the name `hub.invalid` is not known here (DNS): Name or service not known; "
    )
    assert error.kind == "network"


def test_a_proxy_that_is_not_there_is_named_without_its_password(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{port}")
        error = refused()
    assert f"the proxy `http://127.0.0.1:{port}` does not connect" in error.cause
    assert "secret" not in every_word(error)
    assert "NO_PROXY" in str(error.hint)


def test_a_proxy_that_wants_a_password_says_so(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    hub.fail("", status=407)
    error = refused()
    assert (error.kind, error.where) == ("denied", hub.url)
    assert "407" in error.cause


class ProxyError(Exception):
    """What the clients of the hub's libraries raise for a proxy, by its name."""


@pytest.mark.parametrize(
    ("said", "wants"),
    [
        ("407 Proxy Authentication Required", True),  # httpx
        ("Tunnel connection failed: 407 authenticate first", True),  # http.client
        ("<HTTPConnection object at 0x7f13e4076cd0>: connection refused", False),
        ("HTTPConnectionPool(host='127.0.0.1', port=407): connection refused", False),
    ],
)
def test_a_refusing_proxy_is_known_by_what_it_answered(
    monkeypatch: pytest.MonkeyPatch, said: str, wants: bool
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    error = explained(
        ProxyError(said),
        NAME,
        service=HUGGING_FACE,
        endpoint="http://hub.invalid",
        is_signed_in=False,
    )
    assert ("wants a name and a password" in error.cause) is wants


@pytest.mark.parametrize(
    ("proxy", "said", "hint"),
    [
        ("foo://127.0.0.1:1", "scheme", "correct it"),
        ("socks5://127.0.0.1:1", "SOCKS", "pip install"),
    ],
)
def test_a_proxy_that_the_client_cannot_speak_to_is_told(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, proxy: str, said: str, hint: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    error = refused()
    assert f"the proxy `{proxy}` cannot be used" in error.cause
    assert said in error.cause
    assert hint in str(error.hint)


@pytest.mark.parametrize(
    "address", ["https://host:99999", "ftp://host", "https://", "https://a b", "http://[::1", "\n"]
)
def test_an_endpoint_that_is_no_address_names_its_variable(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(ConfigError) as caught:
        resolve(NAME)
    assert caught.value.where == "HF_ENDPOINT"


def test_a_certificate_that_nobody_vouches_for_is_told(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untrusted(*_: object, **__: object) -> None:
        raise ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")

    monkeypatch.setattr(socket, "create_connection", untrusted)
    with contextlib.suppress(ImportError):  # the older clients' way
        from urllib3.util import connection

        monkeypatch.setattr(connection, "create_connection", untrusted)
    monkeypatch.setenv("HF_ENDPOINT", "https://127.0.0.1:9")
    error = refused()
    assert "not trusted" in error.cause
    assert "SSL_CERT_FILE" in str(error.hint)


def test_an_endpoint_that_is_no_hub_is_told(hub: HubServer) -> None:
    hub.fail("/api/models", page=b'{"name": "something else"}')
    assert "is not a hub" in refused().cause


@pytest.mark.parametrize("name", ["org/name/deeper", "-org/x", "org/..", "a" * 97])
def test_what_cannot_be_an_id_never_asks_the_hub(hub: HubServer, name: str) -> None:
    from trueup.errors import CheckpointError

    with pytest.raises(CheckpointError):
        resolve(name)
    assert hub.requests == []


def looked_at(hub: HubServer) -> Source:
    hub.add(NAME, model())
    source = resolve(NAME)
    hub.requests.clear()
    return source


def weights_of(source: Source) -> bytes:
    return (source.directory / "model.safetensors").read_bytes()


def expected(hub: HubServer) -> bytes:
    (files,) = hub.repositories[NAME].commits.values()
    content = files["model.safetensors"]
    assert isinstance(content, bytes)
    return content


def starts_of(hub: HubServer) -> list[int]:
    """From which bytes on the weights were asked for."""
    asked = [each.range for each in hub.requests if each.is_cdn]
    return [int(each.removeprefix("bytes=").removesuffix("-")) for each in asked if each]


def test_a_connection_that_breaks_off_goes_on_where_it_ended(hub: HubServer) -> None:
    source = looked_at(hub)
    hub.fail(hub_blob_path(hub), cut_after=100_000, times=2)
    complete(source)
    assert weights_of(source) == expected(hub)
    first, second, third = starts_of(hub)
    # Older clients hand on whole blocks: what is left of one is asked for again.
    assert first == 0 < second <= 100_000 < third <= 200_000


def test_what_an_ended_process_left_is_gone_on_with(hub: HubServer) -> None:
    source = looked_at(hub)
    fault = hub.fail(hub_blob_path(hub), cut_after=100_000)
    fault.times = 1
    hub.fail(hub_blob_path(hub), status=403)
    with pytest.raises(HubError):
        complete(source)
    assert not (source.directory / "model.safetensors").exists()
    hub.faults.clear()
    hub.requests.clear()
    complete(resolve(NAME))
    assert weights_of(source) == expected(hub)
    (start,) = starts_of(hub)
    assert 0 < start <= 100_000


def test_a_hub_that_keeps_failing_is_given_up_with_what_came_kept(hub: HubServer) -> None:
    source = looked_at(hub)
    hub.fail(hub_blob_path(hub), cut_after=0)
    with pytest.raises(HubError) as caught:
        complete(source)
    assert caught.value.kind == "network"
    assert "broke off" in caught.value.cause
    assert len([each for each in hub.requests if each.is_cdn]) == 3


def test_a_server_without_ranges_is_begun_anew(hub: HubServer) -> None:
    source = looked_at(hub)
    hub.serves_ranges = False
    hub.fail(hub_blob_path(hub), cut_after=100_000, times=1)
    complete(source)
    assert weights_of(source) == expected(hub)


def test_a_server_without_ranges_can_still_be_looked_at(hub: HubServer) -> None:
    hub.serves_ranges = False
    hub.add(NAME, model())
    assert sorted(read_checkpoint(resolve(NAME)).weights.tensors) == ["a", "b"]


def test_a_file_that_was_damaged_on_its_way_is_thrown_away(hub: HubServer, cache: Path) -> None:
    source = looked_at(hub)
    hub.fail(hub_blob_path(hub), damages=True, times=1)
    with pytest.raises(HubError) as caught:
        complete(source)
    assert caught.value.kind == "content"
    assert "digest" in caught.value.cause
    assert not (source.directory / "model.safetensors").exists()
    complete(source)
    assert weights_of(source) == expected(hub)


def test_a_file_of_another_length_than_listed_is_refused(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = looked_at(hub)
    digest = hub_blob_path(hub)
    other = b"x" * 10
    monkeypatch.setattr(hub, "blob", {digest: other}.get)
    with pytest.raises(HubError) as caught:
        complete(source)
    assert "has 10 bytes, listed with" in caught.value.cause


def test_a_stop_ends_a_download_and_keeps_what_came(hub: HubServer) -> None:
    from trueup.checkpoint.hub.watch import Watch

    source = looked_at(hub)

    class Impatient(Watch):
        came = 0

        def advanced(self, count: int) -> None:
            self.came += count
            if self.came >= 100_000:
                self.stop.set()

    hub.fail(hub_blob_path(hub), pause_after=100_000)
    with pytest.raises(HubError) as caught:
        complete(source, watch=Impatient())
    assert caught.value.kind == "stopped"
    hub.released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("hub-"):
            thread.join()
    (left,) = source.directory.parent.parent.glob("blobs/*.incomplete")
    assert 100_000 <= left.stat().st_size < len(expected(hub))


def test_two_downloads_of_one_file_ask_for_it_once(hub: HubServer) -> None:
    source = looked_at(hub)
    failed: list[BaseException] = []

    def download() -> None:
        try:
            complete(source)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=download) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert weights_of(source) == expected(hub)
    assert len([each for each in hub.requests if each.is_cdn]) == 1


def test_a_cache_that_cannot_be_written_is_told(hub: HubServer, cache: Path) -> None:
    source = looked_at(hub)
    blobs = source.directory.parent.parent / "blobs"
    (blobs / f"{hub_blob_path(hub)}.trueup.incomplete").mkdir()
    with pytest.raises(HubError) as caught:
        complete(source)
    assert caught.value.kind == "disk"
    assert "HF_HOME" in str(caught.value.hint)


def test_a_full_disk_is_told(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/cache/blob")

    hub.add(NAME, model())
    monkeypatch.setattr("trueup.checkpoint.hub.download.link", full)
    error = refused()
    assert (error.kind, error.where) == ("disk", "/cache/blob")
    assert "No space left" in error.cause
