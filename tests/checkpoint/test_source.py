from pathlib import Path

import pytest

from trueup.checkpoint.source import cached_ids, hub_cache, is_here, resolve
from trueup.errors import CheckpointError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--zai-org--chatglm3-6b"
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    (repository / "refs" / "refs" / "pr").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "refs" / "refs" / "pr" / "1").write_text(COMMIT)
    return tmp_path / "hub"


def test_a_directory_is_itself_and_named_after_itself(tmp_path: Path) -> None:
    source = resolve(str(tmp_path))
    assert (source.directory, source.id, source.revision) == (tmp_path, tmp_path.name, None)


def test_a_directory_wins_over_a_hub_id(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zai-org" / "chatglm3-6b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve("zai-org/chatglm3-6b").directory == tmp_path / "zai-org" / "chatglm3-6b"


@pytest.mark.parametrize("revision", [None, "main", "refs/pr/1", COMMIT, COMMIT[:9]])
def test_a_hub_id_is_found_in_the_cache_at_every_spelling_of_its_revision(
    cache: Path, revision: str | None
) -> None:
    source = resolve("zai-org/chatglm3-6b", revision=revision)
    assert source.directory.name == COMMIT
    assert source.id == "zai-org/chatglm3-6b"


@pytest.mark.parametrize("revision", ["v2", "../../x", "fedcba9876"])
def test_a_revision_that_is_not_cached_is_an_error_that_offers_one_that_is(
    cache: Path, revision: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        resolve("zai-org/chatglm3-6b", revision=revision)
    assert revision in caught.value.cause
    assert caught.value.hint is not None
    assert COMMIT in caught.value.hint


def test_an_unknown_hub_id_offers_the_nearest_cached_one(cache: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        resolve("zai-org/chatglm-6b")
    assert "zai-org/chatglm3-6b" in str(caught.value.hint)
    assert cached_ids() == ["zai-org/chatglm3-6b"]


def test_a_hub_id_of_another_owner_offers_the_same_name(cache: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        resolve("THUDM/chatglm3-6b")
    assert "zai-org/chatglm3-6b" in str(caught.value.hint)


def test_a_path_that_does_not_exist_is_called_a_path_and_offers_its_neighbours(
    tmp_path: Path,
) -> None:
    (tmp_path / "chatglm2-6b").mkdir()
    with pytest.raises(CheckpointError) as caught:
        resolve(str(tmp_path / "chatglm2_6b"))
    assert "does not exist" in caught.value.cause
    assert "`chatglm2-6b`" in str(caught.value.hint)


def test_a_file_is_refused_with_its_directory_as_the_hint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError) as caught:
        resolve(str(tmp_path / "config.json"))
    assert caught.value.hint == f"trueup check {tmp_path}"


@pytest.mark.parametrize("name", ["", "  ", "a\0b", "a b/c", "x" * 5000, "a/b/c", "../nowhere"])
def test_every_odd_name_is_an_expected_error(name: str, cache: Path) -> None:
    with pytest.raises(CheckpointError):
        resolve(name)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://huggingface.co/Qwen/Qwen2-7B", "Qwen/Qwen2-7B"),
        ("https://huggingface.co/Qwen/Qwen2-7B/", "Qwen/Qwen2-7B"),
        ("huggingface.co/Qwen/Qwen2-7B/tree/main", "Qwen/Qwen2-7B"),
        ("hf.co/Qwen/Qwen2-7B/tree/v2", "Qwen/Qwen2-7B@v2"),
        ("http://hf-mirror.com/a/b/blob/main/config.json?x=1#L2", "a/b"),
        ("https://www.modelscope.cn/models/ZhipuAI/glm-4-9b-chat/summary", "ZhipuAI/glm-4-9b-chat"),
        ("https://huggingface.co/datasets/a/b", None),
        ("https://example.org/a/b", None),
        ("https://huggingface.co/Qwen", None),
    ],
)
def test_an_address_is_said_to_be_one_and_the_id_in_it_is_told(
    address: str, name: str | None, cache: Path
) -> None:
    with pytest.raises(CheckpointError) as caught:
        resolve(address)
    assert "is an address, expected a directory or a hub id" in caught.value.cause
    assert caught.value.hint == (None if name is None else f"give the id alone: `{name}`")


@pytest.mark.parametrize(
    "name", ["x" * 5000, "a/" * 2500, "a\nb", "/x\n/y", "org/na\nme", "x y" * 900]
)
def test_an_odd_name_is_shown_in_short_lines_of_its_own(name: str, cache: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        resolve(name)
    assert caught.value.cause.isprintable()
    assert len(f"{caught.value.cause}{caught.value.where}{caught.value.hint}") < 1000


def test_a_link_is_called_as_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v3" / "inner").mkdir(parents=True)
    (tmp_path / "latest").symlink_to("v3")
    found = resolve(str(tmp_path / "latest"))
    assert (found.id, found.directory) == ("latest", tmp_path / "v3")
    monkeypatch.chdir(tmp_path / "v3" / "inner")
    assert [resolve(name).id for name in (".", "..", "../../latest/")] == ["inner", "v3", "latest"]


def test_a_link_that_points_nowhere_is_no_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dangling").symlink_to("gone")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="`dangling` is a link to `gone`, and nothing is"):
        resolve("dangling")


def test_a_loop_of_links_is_an_expected_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(CheckpointError):
        resolve(str(tmp_path / "a"))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/a"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
    ],
)
def test_the_cache_is_where_hugging_face_has_it(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert hub_cache() == Path(expected)


def test_what_is_here_is_told_without_asking_anybody(cache: Path, tmp_path: Path) -> None:
    assert is_here("demo")
    assert is_here(str(tmp_path), is_whole=True)
    assert is_here("zai-org/chatglm3-6b")
    assert is_here("zai-org/chatglm3-6b@refs/pr/1")
    assert not is_here("zai-org/chatglm3-6b", is_whole=True)  # it has a commit, and no files
    for name in (
        "zai-org/chatglm-6b",
        "zai-org/chatglm3-6b@v2",
        "./nowhere",
        "",
        "a\0b",
        "x" * 5000,
    ):
        assert not is_here(name)
