import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.trust.models import model
from trueup.errors import ConfigError
from trueup.trust.code import read_code
from trueup.trust.consents import Consents


@pytest.fixture
def consents(tmp_path: Path) -> Consents:
    return Consents(tmp_path / "trust", clock=lambda: 5.0)


def test_consent_holds_for_exactly_the_code_that_it_was_given_to(
    tmp_path: Path, consents: Consents
) -> None:
    code = read_code(model(tmp_path / "m"))
    other = read_code(model(tmp_path / "n", rope="x = 1\n"))
    given = consents.give(code, ["org/x"])
    assert consents.get(code.digest) == given
    assert consents.get(other.digest) is None
    assert given.files == code.hashes()


def test_only_the_user_may_read_and_write_it(tmp_path: Path, consents: Consents) -> None:
    consents.give(read_code(model(tmp_path / "m")), ["x"])
    (file,) = consents.folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(consents.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_no_consent(
    tmp_path: Path, consents: Consents, mode: int
) -> None:
    code = read_code(model(tmp_path / "m"))
    consents.give(code, ["x"])
    (file,) = consents.folder.iterdir()
    file.chmod(mode)
    assert consents.get(code.digest) is None
    assert consents.all() == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": 2}', "[" * 100_000])
def test_a_damaged_file_is_no_consent(tmp_path: Path, consents: Consents, content: str) -> None:
    code = read_code(model(tmp_path / "m"))
    consents.give(code, ["x"])
    (file,) = consents.folder.iterdir()
    file.write_text(content)
    assert consents.get(code.digest) is None


def test_a_consent_renamed_to_another_hash_is_none(tmp_path: Path, consents: Consents) -> None:
    consents.give(read_code(model(tmp_path / "m")), ["x"])
    (file,) = consents.folder.iterdir()
    other = read_code(model(tmp_path / "n", rope="x = 1\n"))
    file.rename(file.with_name(f"{other.digest.removeprefix('sha256:')}.json"))
    assert consents.get(other.digest) is None


def test_it_is_found_by_hash_by_its_beginning_and_by_each_name(
    tmp_path: Path, consents: Consents, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "m"
    code = read_code(model(directory))
    consents.give(code, ["org/x"])
    given = consents.give(code, [str(directory)])
    assert given.models == ("org/x", str(directory))
    digits = code.digest.removeprefix("sha256:")
    monkeypatch.chdir(tmp_path)
    for word in (code.digest, digits, digits[:6], "org/x", str(directory), "./m"):
        assert consents.named(word) == [given], word
    for word in ("org/y", digits[:5], "0" * 64, "", "\0", "~nobody-of-that-name/x"):
        assert consents.named(word) == [], word


def test_a_revoked_consent_is_gone_and_revoking_twice_is_nothing(
    tmp_path: Path, consents: Consents
) -> None:
    code = read_code(model(tmp_path / "m"))
    given = consents.give(code, ["x"])
    consents.revoke(given)
    consents.revoke(given)
    assert consents.get(code.digest) is None


def test_a_change_is_told_by_the_files_that_differ(tmp_path: Path, consents: Consents) -> None:
    old = read_code(model(tmp_path / "m", rope="from .old import x\n", old=""))
    consents.give(old, ["x"])
    new = read_code(model(tmp_path / "n", rope="from .new import x\n", new=""))
    change = consents.change(new, ["x"])
    assert str(change) == "changed: `rope.py`; new: `new.py`; gone: `old.py`"
    assert consents.change(new, ["another"]) is None
    assert consents.change(old, ["x"]) is None


def test_many_can_agree_at_a_time(tmp_path: Path, consents: Consents) -> None:
    code = read_code(model(tmp_path / "m"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: consents.give(code, ["x"]), range(64)))
    assert [each.digest for each in consents.all()] == [code.digest]
    assert len(list(consents.folder.iterdir())) == 1


def test_a_home_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be kept"):
        Consents(tmp_path / "file" / "trust").give(read_code(model(tmp_path / "m")), ["x"])
