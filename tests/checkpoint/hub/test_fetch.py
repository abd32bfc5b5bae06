"""A hub id on its way to a directory, with the real client and a hub on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkpoint.hub.models import digest_of, model, sharded, weights
from tests.hub_server import HubServer
from trueup.checkpoint.content import weights_digest
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.hub.cache import write_reference
from trueup.checkpoint.hub.listing import known_digest
from trueup.checkpoint.hub.selection import small_files
from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.source import complete, resolve
from trueup.errors import HubError

NAME = "org/name"


def test_looking_at_a_model_reads_small_files_and_the_header_of_its_weights(
    hub: HubServer,
) -> None:
    commit = hub.add(NAME, model())
    source = resolve(NAME)
    checkpoint = read_checkpoint(source)
    assert (source.id, source.revision, source.directory.name) == (NAME, commit, commit)
    assert sorted(checkpoint.weights.tensors) == ["a", "b"]
    assert checkpoint.weights.size_bytes == 320_000
    assert checkpoint.problems == ()
    assert not (source.directory / "model.safetensors").exists()
    sent = sum(each.body_bytes for each in hub.asked("") if each.is_cdn)
    assert 0 < sent < 150_000
    assert not hub.asked("README") + hub.asked("onnx")


def test_the_same_look_without_network_finds_the_same(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, sharded())
    first = read_checkpoint(resolve(NAME))
    asked = len(hub.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    again = read_checkpoint(resolve(NAME))
    assert again == first
    assert len(hub.requests) == asked


def test_completing_a_model_brings_its_weights_and_nothing_else(hub: HubServer) -> None:
    files = sharded()
    hub.add(NAME, files)
    source = complete(resolve(NAME))
    assert source.remote is None
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        assert (source.directory / name).read_bytes() == files[name]
    assert not (source.directory / "pytorch_model.bin").exists()
    assert not (source.directory / "onnx").exists()


def test_a_whole_model_is_used_as_it_is_and_the_hub_is_not_asked(hub: HubServer) -> None:
    commit = hub.add(NAME, model())
    complete(resolve(NAME))
    hub.add(NAME, model(**{"config.json": {"model_type": "newer"}}))
    hub.requests.clear()
    source = resolve(NAME)
    assert (source.revision, source.remote) == (commit, None)
    assert hub.requests == []


def test_a_model_that_was_only_looked_at_is_looked_at_anew(hub: HubServer) -> None:
    hub.add(NAME, model())
    resolve(NAME)
    newer = hub.add(NAME, model(**{"config.json": {"model_type": "newer"}}))
    assert resolve(NAME).revision == newer


def test_a_commit_whose_weights_are_here_is_completed_where_it_is(
    hub: HubServer, cache: Path
) -> None:
    commit = hub.add(NAME, model())
    source = complete(resolve(NAME))
    (source.directory / "tokenizer.json").unlink()
    newer = hub.add(NAME, model(**{"config.json": {"model_type": "newer"}}))
    again = resolve(NAME)
    assert (again.revision, again.remote) == (commit, None)
    assert (again.directory / "tokenizer.json").exists()
    (source.directory / "model.safetensors").unlink()
    assert resolve(NAME).revision == newer


def test_a_long_header_comes_from_a_server_without_ranges_too(hub: HubServer) -> None:
    names = [f"{'layer' * 20}.{number}" for number in range(3000)]
    hub.serves_ranges = False
    hub.add(NAME, model(**{"model.safetensors": weights(*names, rows=1)}))
    assert len(read_checkpoint(resolve(NAME)).weights.tensors) == 3000


def test_a_server_that_would_have_to_send_gigabytes_is_told(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup.checkpoint.hub.ranges.SKIP_LIMIT_BYTES", 1000)
    names = [f"{'layer' * 20}.{number}" for number in range(3000)]
    hub.serves_ranges = False
    hub.add(NAME, model(**{"model.safetensors": weights(*names, rows=1)}))
    with pytest.raises(HubError, match="gives no parts of files"):
        read_checkpoint(resolve(NAME))


def test_what_transformers_downloaded_is_whole_without_a_listing(
    hub: HubServer, cache: Path
) -> None:
    hub.add(NAME, model())
    source = complete(resolve(NAME))
    for path in (cache.parent / "home").rglob("listing-*"):
        path.unlink()
    hub.requests.clear()
    assert resolve(NAME).directory == source.directory
    assert hub.requests == []


@pytest.mark.parametrize("asked", ["main", "v1", "refs/pr/3", "commit"])
@pytest.mark.parametrize("is_in_id", [True, False])
def test_branches_tags_and_commits_are_told_as_a_commit(
    hub: HubServer, asked: str, is_in_id: bool
) -> None:
    commit = hub.add(NAME, model())
    hub.add(NAME, model(**{"config.json": {"model_type": "newer"}}), branch="later")
    hub.repositories[NAME].tags["v1"] = commit
    hub.repositories[NAME].branches["refs/pr/3"] = commit
    wanted = commit if asked == "commit" else asked
    for _ in range(2):  # from the hub, then with what the cache has of it
        source = resolve(f"{NAME}@{wanted}") if is_in_id else resolve(NAME, revision=wanted)
        assert (source.revision, source.id) == (commit, NAME)


def test_a_revision_that_is_not_there_is_told_with_those_that_are(hub: HubServer) -> None:
    commit = hub.add(NAME, model())
    hub.repositories[NAME].tags["v1.0"] = commit
    with pytest.raises(HubError) as caught:
        resolve(f"{NAME}@v1.1")
    assert caught.value.kind == "revision"
    assert "`v1.1`" in caught.value.cause
    assert caught.value.hint == "it has `v1.0`"


def test_a_renamed_repository_is_followed(hub: HubServer) -> None:
    commit = hub.add("zai-org/chatglm9", model())
    hub.renamed["THUDM/chatglm9"] = "zai-org/chatglm9"
    source = complete(resolve("THUDM/chatglm9"))
    assert (source.revision, source.id) == (commit, "THUDM/chatglm9")
    assert (source.directory / "model.safetensors").exists()


def test_the_token_goes_to_the_hub_and_never_to_where_it_redirects(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, model())
    hub.repositories[NAME].is_private = True
    hub.tokens.add("hf_known")
    monkeypatch.setenv("HF_TOKEN", "hf_known")
    complete(resolve(NAME))
    assert {each.authorization for each in hub.requests if not each.is_cdn} == {"Bearer hf_known"}
    assert {each.authorization for each in hub.requests if each.is_cdn} == {None}


def test_names_that_lead_out_of_the_folder_are_left_alone(hub: HubServer, cache: Path) -> None:
    evil = {"../../../evil.json": {}, "sub/../../evil.py": "x", "a\nb.json": {}}
    hub.add(NAME, model(**evil))
    read_checkpoint(complete(resolve(NAME)))
    assert not [path for path in cache.parent.rglob("*") if "evil" in path.name]


def test_pickled_weights_are_read_by_their_ends(hub: HubServer, tmp_path: Path) -> None:
    import torch

    torch.save({"w": torch.zeros(200_000)}, tmp_path / "w.bin")
    files = model(**{"pytorch_model.bin": (tmp_path / "w.bin").read_bytes()})
    del files["model.safetensors"]
    hub.add(NAME, files)
    checkpoint = read_checkpoint(resolve(NAME))
    assert checkpoint.weights.tensors["w"].shape == (200_000,)
    assert sum(each.body_bytes for each in hub.requests if each.is_cdn) < 400_000


def test_a_header_of_many_blocks_comes_in_two_more_requests(hub: HubServer) -> None:
    names = [f"{'layer' * 20}.{number}" for number in range(3000)]
    hub.add(NAME, model(**{"model.safetensors": weights(*names, rows=1)}))
    assert len(read_checkpoint(resolve(NAME)).weights.tensors) == 3000
    assert len([each for each in hub.requests if each.is_cdn]) == 3


def test_a_hub_that_cannot_be_reached_leaves_what_the_cache_has(hub: HubServer) -> None:
    commit = hub.add(NAME, model())
    first = read_checkpoint(resolve(NAME))
    hub.fail("/api/models", status=503)
    notes: list[str] = []

    class Notes(Watch):
        def note(self, text: str) -> None:
            notes.append(text)

    assert read_checkpoint(resolve(NAME, watch=Notes())) == first
    assert "503" in notes[0]
    assert commit[:12] in notes[0]


def test_without_network_the_weights_that_are_missing_are_told_with_their_size(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, model())
    resolve(NAME)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        HubError, match=r"weights of `org/name` are not in the cache \(320\.\d kB\)"
    ):
        complete(resolve(NAME))


def test_a_disk_that_is_too_small_is_told_before_anything_comes(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    hub.add(NAME, model())
    source = resolve(NAME)
    hub.requests.clear()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1000))
    with pytest.raises(HubError) as caught:
        complete(source)
    assert caught.value.kind == "disk"
    assert "1.0 kB free" in caught.value.cause
    assert hub.requests == []


def test_a_header_that_breaks_off_once_is_asked_for_again(hub: HubServer) -> None:
    files = model()
    hub.add(NAME, files)
    hub.fail(digest_of(files), cut_after=1000, times=1)
    assert sorted(read_checkpoint(resolve(NAME)).weights.tensors) == ["a", "b"]
    assert len([each for each in hub.requests if each.is_cdn]) == 2


def test_the_digest_of_weights_is_the_same_before_and_after_they_came(hub: HubServer) -> None:
    hub.add(NAME, sharded())
    source = resolve(NAME)
    before = weights_digest(read_checkpoint(source))
    assert weights_digest(read_checkpoint(complete(source))) == before


@pytest.mark.parametrize("name", ["runs.py", "onnx_names.py", "original.json", "sub/inner.py"])
def test_only_whole_folders_are_left_alone(name: str) -> None:
    assert small_files({name: 10}) == [name]
    assert small_files({f"onnx/{name}": 10, f"checkpoint-500/{name}": 10}) == []


def test_what_a_hostile_hub_names_stays_in_its_folder(hub: HubServer, cache: Path) -> None:
    """Commits, digests and revisions become names of files."""
    commit = hub.add(NAME, model())
    repository = hub.repositories[NAME]
    repository.commits["../../evil"] = repository.commits[commit]
    repository.branches["main"] = "../../evil"
    with pytest.raises(HubError, match="is not a hub"):
        resolve(NAME)
    assert known_digest("../evil") is None
    assert known_digest("a" * 40) == "a" * 40
    write_reference(NAME, "../../evil", commit)
    assert not [path for path in cache.parent.rglob("*") if "evil" in path.name]


def test_a_gated_model_whose_sizes_are_hidden_is_told_as_that(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, model())
    hub.repositories[NAME].is_gated = True
    hub.hides_sizes = True
    with pytest.raises(HubError) as caught:
        resolve(NAME)
    assert caught.value.kind == "denied"
    assert "gated" in caught.value.cause
