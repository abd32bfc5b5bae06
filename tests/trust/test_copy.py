import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.checkpoint.directories import read
from tests.trust.models import cache, cached, model
from trueup.errors import AdaptError, CheckpointError
from trueup.trust.code import read_code
from trueup.trust.consents import Consents
from trueup.trust.copy import forget, trusted_code

__all__ = ["cache"]


@pytest.fixture
def consents(tmp_path: Path) -> Consents:
    return Consents(tmp_path / "trust")


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))


def test_without_consent_nothing_is_copied(tmp_path: Path, consents: Consents) -> None:
    directory = tmp_path / "m"
    with pytest.raises(AdaptError, match="only with your consent") as caught:
        trusted_code(model(directory), consents=consents)
    assert caught.value.hint == f"trueup trust {directory}"
    assert not consents.folder.exists()


def test_what_runs_is_the_copy_that_was_hashed(tmp_path: Path, consents: Consents) -> None:
    checkpoint = model(tmp_path / "m")
    code = read_code(checkpoint)
    consents.give(code, ["x"])
    trusted = trusted_code(checkpoint, consents=consents)
    own = trusted.directory()
    assert own.is_relative_to(consents.folder)
    assert names(own) == ["configuration_x.py", "modeling_x.py", "rope.py"]
    for file in code.files:
        assert (own / file.module.path).read_bytes() == file.content
    modes = {stat.S_IMODE(path.stat().st_mode) for path in own.rglob("*")}
    assert modes == {0o400}
    assert stat.S_IMODE(own.stat().st_mode) == 0o500
    assert trusted_code(checkpoint, consents=consents) == trusted


def test_changed_code_is_refused_and_the_changed_file_is_named(
    tmp_path: Path, consents: Consents
) -> None:
    checkpoint = model(tmp_path / "m")
    consents.give(read_code(checkpoint), [str(checkpoint.directory)])
    trusted_code(checkpoint, consents=consents)
    with pytest.raises(AdaptError, match=r"has changed .* changed: `rope\.py`"):
        trusted_code(model(tmp_path / "m", rope="x = 1\n"), consents=consents)


def test_a_new_repository_with_the_agreed_code_needs_no_new_consent(
    tmp_path: Path, consents: Consents
) -> None:
    consents.give(read_code(model(tmp_path / "m")), ["x"])
    assert trusted_code(model(tmp_path / "n"), consents=consents).directory().is_dir()


@pytest.mark.parametrize("meddle", ["edit", "add", "remove", "link", "bytecode"])
def test_a_copy_that_somebody_changed_is_made_again(
    tmp_path: Path, consents: Consents, meddle: str
) -> None:
    checkpoint = model(tmp_path / "m")
    code = read_code(checkpoint)
    consents.give(code, ["x"])
    own = trusted_code(checkpoint, consents=consents).directory()
    own.chmod(0o700)
    rope = own / "rope.py"
    if meddle == "edit":
        rope.chmod(0o600)
        rope.write_text("evil = 1\n")
    elif meddle == "add":
        (own / "torch.py").write_text("evil = 1\n")
    elif meddle == "bytecode":
        (own / "__pycache__").mkdir()
        (own / "__pycache__" / "rope.cpython-311.pyc").write_bytes(b"evil")
    else:
        rope.unlink()
        if meddle == "link":
            (tmp_path / "elsewhere.py").write_bytes(code.files[2].content)
            rope.symlink_to(tmp_path / "elsewhere.py")
    own = trusted_code(checkpoint, consents=consents).directory()
    assert names(own) == ["configuration_x.py", "modeling_x.py", "rope.py"]
    assert rope.read_bytes() == code.files[2].content
    assert not rope.is_symlink()
    assert not (own / "__pycache__").exists()


def test_code_of_another_repository_has_a_folder_of_its_own(
    tmp_path: Path, cache: Path, consents: Consents
) -> None:
    cached(cache, "org/base", {"modeling_b.py": "x = 1\n"})
    config = {"auto_map": {"AutoModel": "org/base--modeling_b.B", "AutoConfig": "conf.C"}}
    checkpoint = read(tmp_path / "m", {"config.json": config, "conf.py": "y = 2\n"})
    consents.give(read_code(checkpoint), ["x"])
    trusted = trusted_code(checkpoint, consents=consents)
    assert names(trusted.directory()) == ["conf.py"]
    assert names(trusted.directory("org/base")) == ["modeling_b.py"]
    changed = cache / "models--org--base" / "snapshots" / ("a" * 40) / "modeling_b.py"
    changed.write_text("x = 2\n")
    with pytest.raises(AdaptError):
        trusted_code(checkpoint, consents=consents)


def test_many_can_copy_at_a_time(tmp_path: Path, consents: Consents) -> None:
    checkpoint = model(tmp_path / "m")
    consents.give(read_code(checkpoint), ["x"])
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda _: trusted_code(checkpoint, consents=consents).folder, range(32))
        )
    assert len(set(found)) == 1
    assert [path.name for path in found[0].parent.iterdir()] == [found[0].name]


def test_what_is_revoked_loses_its_copy(tmp_path: Path, consents: Consents) -> None:
    checkpoint = model(tmp_path / "m")
    given = consents.give(read_code(checkpoint), ["x"])
    folder = trusted_code(checkpoint, consents=consents).folder
    consents.revoke(given)
    forget(given.digest, consents)
    assert not folder.exists()
    with pytest.raises(AdaptError):
        trusted_code(checkpoint, consents=consents)


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = model(tmp_path / "m")
    monkeypatch.setattr("trueup.trust.code._content", lambda path: b"another")
    with pytest.raises(CheckpointError, match="changed while it was read"):
        read_code(checkpoint)
