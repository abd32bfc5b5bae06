from __future__ import annotations

import pytest

from trueup.config.url import is_encrypted_or_near, url_trouble


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9997/v1",
        "https://api.openai.com/v1",
        "http://xinference",
        "http://[::1]:8000/",
        "HTTPS://HOST/base/v1",
    ],
)
def test_urls_of_servers_are_taken(url: str) -> None:
    assert url_trouble(url) is None


@pytest.mark.parametrize(
    ("url", "cause", "hint"),
    [
        ("127.0.0.1:9997/v1", "`127.0.0.1:9997/v1` is not", "write `http://127.0.0.1:9997/v1`"),
        ("localhost", "`localhost` is not", "write `http://localhost`"),
        ("", "`` is not the URL of a server", "for example"),
        ("ftp://h/v1", "`ftp://h/v1` is not", "for example"),
        ("http://", "`http://` is not", "for example"),
        ("http:///v1", "is not the URL", "for example"),
        ("http://h:0", "is not the URL", "for example"),
        ("http://h:99999", "is not the URL", "for example"),
        ("http://h:x", "is not the URL", "for example"),
        ("http://[::1", "is not the URL", "for example"),
        ("http://h /v1", "is not the URL", "for example"),
        ("http://h/\x00", "is not the URL", "for example"),
        ("http://h/v1?key=hush", "the URL of `h` carries more than a path", "api_key"),
        ("http://h/v1#hush", "the URL of `h` carries more than a path", "api_key"),
        ("http://me:hush@h/v1", "the URL of `h` carries a user name or a password", "api_key"),
        ("http://hush@h", "the URL of `h` carries a user name", "api_key"),
        ("http://hush@", "carries a user name", "api_key"),
        ("hush@h:1", "the value is not", "for example"),
        ("http://hush@h:x/", "the value is not", "for example"),
    ],
)
def test_others_are_told_without_what_may_be_a_key(url: str, cause: str, hint: str) -> None:
    trouble = url_trouble(url)
    assert trouble is not None
    assert cause in trouble[0]
    assert hint in str(trouble[1])
    assert "hush" not in str(trouble)


@pytest.mark.parametrize(
    ("url", "is_safe"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.9.9.9", True),
        ("http://localhost./v1", True),
        ("http://[::1]:1", True),
        ("https://h", True),
        ("http://h", False),
        ("http://192.168.0.1", False),
        ("http://localhost.example", False),
    ],
)
def test_what_others_on_the_network_can_read(url: str, is_safe: bool) -> None:
    assert is_encrypted_or_near(url) == is_safe
