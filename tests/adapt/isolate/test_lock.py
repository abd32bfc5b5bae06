from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.adapt.isolate.fake_uv import PYLOCK
from trueup.adapt.isolate.lock import Lock, read_lock
from trueup.adapt.isolate.request import Request
from trueup.errors import AdaptError

REQUEST = Request(
    python="3.11",
    transformers="4.38.2",
    requirements=("numpy<2", "transformers==4.38.2"),
    torch="2.13.0+cpu",
    shares_torch=True,
    platform="linux-x86_64",
)


def test_a_lock_has_versions_and_hashes_and_not_where_files_lie() -> None:
    lock = read_lock(PYLOCK, REQUEST, None)
    assert "file://" not in json.dumps(lock.as_dict())
    assert [package.name for package in lock.packages] == ["numpy", "transformers"]
    assert lock.packages[0].hashes == ("sha256:bb", "sha256:cc")


def test_the_download_is_what_the_files_that_fit_take() -> None:
    assert read_lock(PYLOCK, REQUEST, None).download_bytes == 26_500_000
    untold = PYLOCK.replace("size = 8500000, ", "")
    assert read_lock(untold, REQUEST, None).download_bytes is None


def test_a_lock_survives_its_json_form() -> None:
    lock = read_lock(PYLOCK, REQUEST, None)
    again = Lock.from_dict(json.loads(json.dumps(lock.as_dict())))
    assert again == lock
    assert again.digest == lock.digest


def test_the_digest_is_that_of_packages_python_torch_and_platform() -> None:
    lock = read_lock(PYLOCK, REQUEST, None)
    others = [
        replace(lock, request=replace(REQUEST, python="3.12")),
        replace(lock, request=replace(REQUEST, torch="2.14.0")),
        replace(lock, request=replace(REQUEST, shares_torch=False)),
        replace(lock, request=replace(REQUEST, platform="linux-aarch64")),
        replace(lock, packages=lock.packages[:1]),
        read_lock(PYLOCK.replace('"bb"', '"bd"'), REQUEST, None),
    ]
    assert len({lock.digest, *(other.digest for other in others)}) == len(others) + 1
    moved = read_lock(PYLOCK.replace("///index/", "///mirror/"), REQUEST, None)
    assert moved.digest == lock.digest
    # How it was asked for is another question.
    asked = replace(lock, request=replace(REQUEST, requirements=("transformers",)))
    assert asked.digest == lock.digest


def test_a_package_without_hashes_cannot_be_locked() -> None:
    bare = PYLOCK.replace('sha256 = "aa"', "")
    with pytest.raises(AdaptError, match="`transformers` cannot be locked"):
        read_lock(bare, REQUEST, None)
