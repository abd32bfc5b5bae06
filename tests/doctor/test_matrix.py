"""Models against releases: what each cell says, and how little is walked for it."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from tests.checkpoint.directories import read
from tests.doctor.examples import EXAMPLES, Example
from tests.doctor.facts import AUTO_MAP, checkpoint, environment
from tests.doctor.models import config, model, tokenizer
from trueup.doctor.examine import examine
from trueup.doctor.matrix import Walks, minors, row_of, spread, works
from trueup.doctor.rule import Facts
from trueup.environment.symbols.symbols import versions

CHOSEN = [Version(each) for each in ("4.41.2", "4.49.0", "4.56.0", "4.57.6", "5.0.0", "5.23.0")]


def of(**code: Any) -> Any:
    return checkpoint(**code)


def test_a_cell_has_the_errors_that_a_check_finds() -> None:
    code = of(**model(config("")), **tokenizer(side=""))
    row = row_of("m", code, environment(), CHOSEN)
    for cell in row.cells:
        found = examine(code, environment(str(cell.version)))
        assert cell.codes == tuple(each.code for each in found if each.severity == "error")
    assert [cell.codes[:1] for cell in row.cells] == [(), *[("TOK104",)] * 5]


def test_a_row_says_the_oldest_and_the_newest_release_that_should_work() -> None:
    length = "if past_key_values is not None:\n    n = past_key_values.get_max_length()"
    row = row_of("m", of(**model(forward=length)), environment(), CHOSEN)
    assert [cell.works for cell in row.cells] == [True, True, False, False, False, True]
    assert (row.oldest, row.newest) == (CHOSEN[0], CHOSEN[-1])
    assert row.as_dict()["works"] == {"oldest": "4.41.2", "newest": "5.23.0"}


def test_the_ends_between_the_releases_that_are_looked_at_are_found_to_the_minor_release() -> None:
    code = of(**model(init="self.longest = config.max_length"), **tokenizer())
    known = [each for each in versions() if Version("4.50.0") <= each < Version("5.9.0")]
    assert works(code, environment(), known) == {"oldest": "4.50.3", "newest": "4.57.6"}


def test_where_nothing_works_there_is_neither_end() -> None:
    code = of(**model(imports="import einops"))
    assert works(code, environment(), CHOSEN) == {"oldest": None, "newest": None}


def test_a_model_that_works_nowhere_has_neither() -> None:
    row = row_of("m", of(**model(imports="import einops")), environment(), CHOSEN)
    assert (row.oldest, row.newest) == (None, None)


def test_releases_that_answer_alike_are_not_walked_again() -> None:
    code = of(**model())
    walks = Walks()
    patches = [each for each in versions() if each.release[:2] == (4, 57)]
    assert len(patches) > 2
    for version in patches:
        walks.walked(code, environment(str(version)))
    assert walks.count < len(patches) / 2


def test_a_release_that_answers_otherwise_is_walked_anew() -> None:
    code = of(**model(imports="from transformers import BeamSearchScorer"))
    walks = Walks()
    met = [walks.walked(code, environment(text)) for text in ("4.56.2", "4.57.1")]
    assert walks.count == 2
    assert [list(each.failures) for each in met if each is not None] == [[], ["import.model"]]


def test_code_that_asks_for_the_version_is_walked_on_each() -> None:
    asks = "import transformers\nassert transformers.__version__ != '4.57.3'"
    code = of(**model(imports=asks))
    walks = Walks()
    for text in ("4.57.1", "4.57.2", "4.57.3"):
        walks.walked(code, environment(text))
    assert walks.count == 3


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.name)
def test_what_is_not_walked_again_would_have_been_met_again(example: Example) -> None:
    code = of(**example.code, config=example.config)
    walks = Walks()
    for version in (each for each in versions() if each.release[:2] in ((4, 57), (5, 0))):
        facts = Facts(code, environment(str(version), **example.packages))
        kept, anew = walks.walked(code, facts.environment), facts.walked
        assert kept is not None
        assert anew is not None
        assert kept.failures == anew.failures


@pytest.mark.parametrize(
    ("known", "last"), [([], []), (["4.27.0", "4.27.4", "5.0.0"], ["4.27.4", "5.0.0"])]
)
def test_of_each_minor_release_the_last_patch_is_taken(known: list[str], last: list[str]) -> None:
    assert [str(each) for each in minors([Version(each) for each in known])] == last


TAKES_MORE = model(imports="from .extra_x import Extra")["modeling"]
TAKES_BACK = "from .modeling_x import XForCausalLM\n\n\nclass Extra: pass\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ({"modeling_x.py": "print 'x'\n"}, "DIR118"),
        ({"modeling_x.py": "class X(:\n"}, "DIR113"),
        ({"modeling_x.py": TAKES_MORE, "extra_x.py": TAKES_BACK}, "DIR119"),
        ({"modeling_x.py": TAKES_MORE}, "DIR112"),
    ],
)
def test_what_a_file_shows_is_told_in_a_cell_as_in_a_check(
    tmp_path: Path, code: dict[str, str], expected: str
) -> None:
    parts = model()
    files = {
        "configuration_x.py": parts["configuration"],
        "modeling_x.py": parts["modeling"],
        "config.json": {"model_type": "x", "auto_map": AUTO_MAP},
    }
    whole = read(tmp_path, {**files, **code})
    (cell,) = row_of("m", whole, environment(), CHOSEN[-1:]).cells
    found = examine(whole, environment())
    errors = [each for each in found if each.severity == "error"]
    assert {each.code for each in errors if each.stage == "import"} == {expected}
    assert list(cell.codes) == list(dict.fromkeys(each.code for each in errors))


def test_the_releases_that_are_shown_have_the_ends_of_each_line_and_the_installed_one() -> None:
    installed = Version("5.14.1")
    shown = spread(versions(), installed, 15)
    last = minors()
    fours = [each for each in last if each.major == 4]
    fives = [each for each in last if each.major == 5]
    assert len(shown) == 15
    assert shown == sorted(set(shown))
    assert {fours[0], *fours[-2:], fives[0], fives[-1], installed} <= set(shown)


def test_the_releases_that_are_shown_leave_no_wide_gap() -> None:
    last = list(minors())
    places = [last.index(each) for each in spread(versions(), last[-1], 15)]
    widest = max(after - before for before, after in pairwise(places))
    assert widest <= 2 * len(last) / 15


@pytest.mark.parametrize("installed", [None, Version("3.0"), Version("99.0")])
def test_an_installed_release_that_is_not_known_is_not_shown(installed: Version | None) -> None:
    shown = spread(versions(), installed, 15)
    assert len(shown) == 15
    assert installed not in shown


def test_fewer_releases_than_are_asked_for_are_all_shown() -> None:
    known = [Version(each) for each in ("4.41.2", "4.42.4", "5.0.0")]
    assert spread(known, None, 15) == known
    assert spread([], None, 15) == []
