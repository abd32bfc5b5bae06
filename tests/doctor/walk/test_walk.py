"""The walk of a model's code: what is certain, what is only possible, and what is never claimed."""

from __future__ import annotations

import pytest

from tests.doctor.walk.small_library import failure_of, possible_of, walk_of
from trueup.doctor.walk.failure import ExhaustedError
from trueup.doctor.walk.machine import MAX_STEPS

HEAD = (
    "import torch\nfrom torch import nn\n"
    "from transformers import PretrainedConfig, PreTrainedModel\n"
)

FAILS: dict[str, tuple[str, str, str]] = {
    "a name that is gone": (
        "from transformers import Gone",
        "ImportError",
        "cannot import name 'Gone' from 'transformers'",
    ),
    "a module that is gone": (
        "import transformers.gone",
        "ModuleNotFoundError",
        "No module named 'transformers.gone'",
    ),
    "a package that is not installed": (
        "import einops_of_nobody",
        "ModuleNotFoundError",
        "No module named 'einops_of_nobody'",
    ),
    "a name that nobody binds": ("x = y", "NameError", "name 'y' is not defined"),
    "an attribute that nobody sets": (
        "class A:\n    pass\nA().x",
        "AttributeError",
        "'A' object has no attribute 'x'",
    ),
    "an attribute that is set later": (
        "class A:\n    def __init__(self):\n        self.f()\n        self.x = 1\n"
        "    def f(self):\n        return self.x\nA()",
        "AttributeError",
        "'A' object has no attribute 'x'",
    ),
    "None for an object": (
        "def f():\n    pass\nf().shape",
        "AttributeError",
        "'NoneType' object has no attribute 'shape'",
    ),
    "a keyword that is not taken": (
        "def f(a):\n    pass\nf(1, b=2)",
        "TypeError",
        "f() got an unexpected keyword argument 'b'",
    ),
    "an argument that is missing": (
        "def f(a, b):\n    pass\nf(1)",
        "TypeError",
        "f() missing 1 required positional argument: 'b'",
    ),
    "too many arguments": (
        "def f(a):\n    pass\nf(1, 2)",
        "TypeError",
        "f() takes 1 positional arguments but 2 were given",
    ),
    "a key that is not there": ("{'a': 1}['type']", "KeyError", "'type'"),
    "its own error": ("raise ValueError('no')", "ValueError", "no"),
    "an assertion": ("assert 1 > 2, 'order'", "AssertionError", "order"),
    "both ways": (
        "import os\nif os.getpid() > 5:\n    x.y\nelse:\n    x.z",
        "NameError",
        "name 'x' is not defined",
    ),
    "a member of the library's base that is gone": (
        HEAD
        + "class M(PreTrainedModel):\n    def __init__(self, c):\n        super().__init__(c)\n"
        "        self.get_extended_mask(1)\nM(PretrainedConfig(name_or_path='x'))",
        "AttributeError",
        "'M' object has no attribute 'get_extended_mask'",
    ),
    "a function of the library that takes other arguments": (
        HEAD
        + "class M(PreTrainedModel):\n    def __init__(self, c):\n        super().__init__(c)\n"
        "        self.get_head_mask(None, 1, chunked=True)\nM(PretrainedConfig(name_or_path='x'))",
        "TypeError",
        "get_head_mask() got an unexpected keyword argument 'chunked'",
    ),
    "an override that the library calls otherwise": (
        HEAD
        + "class M(PreTrainedModel):\n    def __init__(self, c):\n        super().__init__(c)\n"
        "        self.post_init()\n    def begin(self, count):\n        pass\n"
        "M(PretrainedConfig(name_or_path='x'))",
        "TypeError",
        "M.begin() got an unexpected keyword argument 'mode'",
    ),
    "a config attribute that the library reads": (
        HEAD + "class C(PretrainedConfig):\n    pass\nclass M(PreTrainedModel):\n    pass\nM(C())",
        "AttributeError",
        "'C' object has no attribute 'name_or_path'",
    ),
    "a cache that cannot be indexed": (
        "from transformers import DynamicCache\nDynamicCache()[0]",
        "TypeError",
        "'DynamicCache' object is not subscriptable",
    ),
    "a member of a cache": (
        "from transformers import DynamicCache\nDynamicCache().seen_tokens",
        "AttributeError",
        "'DynamicCache' object has no attribute 'seen_tokens'",
    ),
}


@pytest.mark.parametrize("name", FAILS)
def test_what_is_certain_fails_as_python_says_it(name: str) -> None:
    source, exception, message = FAILS[name]
    failure = failure_of(source)
    assert failure is not None
    assert (failure.exception, failure.message) == (exception, message)


RUNS = {
    "a guarded import": (
        "try:\n    from transformers import Gone\nexcept ImportError:\n    Gone = None"
    ),
    "a guarded attribute": "class A:\n    pass\nx = getattr(A(), 'x', 1)\nassert x == 1",
    "hasattr": "class A:\n    pass\nassert not hasattr(A(), 'x')",
    "a branch that is not taken": "if False:\n    x.y",
    "a version": "from packaging import version\nimport transformers\n"
    "if version.parse(transformers.__version__) >= version.parse('5.0.0'):\n    x.y",
    "what a module registers": HEAD + "class M(nn.Module):\n    def __init__(self):\n"
    "        super().__init__()\n        self.register_buffer('t', torch.zeros(2))\nM().t",
    "a name that an attribute map gives": HEAD + "class C(PretrainedConfig):\n"
    "    attribute_map = {'num_hidden_layers': 'n'}\n    def __init__(self, n=3, **k):\n"
    "        self.n = n\n        super().__init__(**k)\nassert C().num_hidden_layers == 3",
    "what config.json says": HEAD + "assert PretrainedConfig(depth=4).depth == 4",
    "an object of a package that nobody looks into": "import os\nos.environ.whatever.anything()",
    "a class of another package": "import os\nclass A(os.PathLike):\n    pass\nA().whatever",
    "its own __getattr__": "class A:\n    def __getattr__(self, n):\n        return 1\nA().x",
    "a loop over nothing": "for x in []:\n    y.z",
    "what a star import may bind": "from os import *\nwhatever()",
    "a generator": "def f():\n    yield 1\nfor x in f():\n    pass",
    "an early return on what is known": "def f(x=None):\n    if x is None:\n        return 1\n"
    "    return x.shape\nassert f() == 1",
    "a property": "class A:\n    @property\n    def x(self):\n        return 2\nassert A().x == 2",
    "a dataclass": "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\n"
    "assert A(x=5).x == 5",
    "keywords that are handed on": (
        "def f(a, b):\n    return b\nk = {'b': 2}\nassert f(1, **k) == 2"
    ),
    "a comprehension": "x = [i * 2 for i in range(3)]\nassert x[2] == 4",
    "text": "assert '4.30'.split('.')[1] == '30'",
    "finally": "try:\n    x = 1\nfinally:\n    y = 2\nassert x + y == 3",
    "inheritance": "class A:\n    def f(self):\n        return 1\nclass B(A):\n    def f(self):\n"
    "        return super().f() + 1\nassert B().f() == 2",
}


@pytest.mark.parametrize("name", RUNS)
def test_what_runs_is_not_said_to_fail(name: str) -> None:
    assert failure_of(RUNS[name]) is None
    assert possible_of(RUNS[name]) == []


UNKNOWN_CHOICE = "import os\nwanted = os.getpid()\n"


def test_what_fails_on_one_of_two_ways_is_possible() -> None:
    (found,) = possible_of(UNKNOWN_CHOICE + "if wanted:\n    None.shape\nx = 1")
    assert (found.exception, found.is_certain) == ("AttributeError", False)


def test_what_would_be_caught_is_not_even_possible() -> None:
    source = "try:\n    if wanted:\n        None.shape\nexcept AttributeError:\n    pass"
    assert possible_of(UNKNOWN_CHOICE + source) == []


def test_what_one_way_changed_is_undone_for_the_other() -> None:
    source = "a = {}\nif wanted:\n    a['x'] = None\nelse:\n    assert 'x' not in a\n"
    assert possible_of(UNKNOWN_CHOICE + source) == []


def test_what_two_ways_leave_differently_is_not_known() -> None:
    source = "a = None\nif wanted:\n    a = 'text'\na.strip()"
    assert possible_of(UNKNOWN_CHOICE + source) == []


def test_what_follows_a_return_that_may_have_happened_is_possible() -> None:
    source = "def f():\n    if wanted:\n        return 1\n    None.shape\nf()"
    assert len(possible_of(UNKNOWN_CHOICE + source)) == 1


def test_frames_are_the_models_own_the_deepest_last() -> None:
    source = "from .other import f\nclass A:\n    def g(self):\n        f(None)\nA().g()"
    failure = failure_of(source, more={"other.py": "def f(x):\n    return x.shape\n"})
    assert failure is not None
    told = [(frame.path, frame.line, frame.function) for frame in failure.frames]
    assert told == [
        ("main.py", 5, "<module>"),
        ("main.py", 4, "A.g"),
        ("other.py", 2, "f"),
    ]


def test_a_circle_of_imports_is_told_as_one() -> None:
    failure = failure_of(
        "from .other import f\nx = 1\n",
        more={"other.py": "from .main import x\ndef f():\n    pass\n"},
    )
    assert failure is not None
    assert (failure.exception, "circular" in failure.message) == ("ImportError", True)


@pytest.mark.parametrize(
    "source",
    [
        "def f(n):\n    return f(n) + f(n)\nf(1)",
        "while True:\n    pass",
        "x = 'a' * 10 ** 12",
        "class A:\n    def __getattr__(self, n):\n        return getattr(self, n + 'x')\nA().y",
        "x = []\nx.append(x)\nfor y in x:\n    pass",
    ],
)
def test_nothing_runs_for_ever(source: str) -> None:
    walk = walk_of(source)
    try:
        walk.import_own("main.py")
    except ExhaustedError:
        pytest.fail("it ran to the very end of what it may")
    assert walk.steps < MAX_STEPS


def test_a_long_walk_ends_without_a_claim() -> None:
    deep = "\n".join(f"def f{n}():\n    f{n + 1}()\n    f{n + 1}()" for n in range(22))
    walk = walk_of(deep + "\ndef f22():\n    pass\nf0()")
    with pytest.raises(ExhaustedError):
        walk.import_own("main.py")


@pytest.mark.parametrize(
    "source",
    [
        "d = {}\nfor x in ['a', 'b', 'c', 'd', 'e']:\n    d[x] = 1\nd['e']",
        "d = []\nfor x in range(40):\n    d.append(x)\nd[30]",
        "n = 0\nfor x in range(40):\n    n += 1\nassert n == 40",
        "n = 0\nwhile n < 40:\n    n += 1\nassert n == 40",
        "d = {}\nn = 0\nwhile n < 9:\n    d[n] = n\n    n += 1\nd[8]",
    ],
)
def test_a_few_rounds_are_not_taken_for_the_whole_loop(source: str) -> None:
    assert failure_of(source) is None


def test_what_every_round_leaves_alike_is_known_after_the_loop() -> None:
    assert failure_of("for x in range(40):\n    y = None\ny.shape") is not None
