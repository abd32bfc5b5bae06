import pytest

from trueup.environment.symbols.facts import ClassFacts, FunctionFacts, ModuleFacts
from trueup.environment.symbols.source import read_module


def read(source: str, name: str = "lib.module", *, is_package: bool = False) -> ModuleFacts:
    facts = read_module(source.encode(), name, is_package=is_package)
    assert facts is not None
    return facts


def read_class(body: str, head: str = "class Thing(Base):") -> ClassFacts:
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    return read(f"{head}\n{indented}").classes["Thing"]


def steps(body: str, signature: str = "def method(self, config):", *decorators: str) -> list[str]:
    """The steps of a method's body as short texts."""
    lines = [*decorators, signature, *(f"    {line}" for line in body.splitlines())]
    function = next(iter(read_class("\n".join(lines)).methods.values()))
    return [
        ("?" if step.is_conditional else "")
        + (">" if step.is_after_return else "")
        + ("~" if step.is_guarded else "")
        + f"{step.kind} {step.owner + '.' if step.owner else ''}{step.name}"
        for step in function.steps
    ]


def signature(text: str) -> FunctionFacts:
    return read(f"def function({text}): ...").functions["function"]


def test_parameters_keep_their_kind_and_their_literal_default() -> None:
    found = signature("a, /, b, c=None, *rest, d, e='x', f=other, g=-1, h=(1, 2), **more")
    rows = [(one.name, one.kind, one.has_default, one.default) for one in found.parameters]
    assert rows == [
        ("a", "positional_only", False, None),
        ("b", "positional", False, None),
        ("c", "positional", True, "None"),
        ("rest", "star", False, None),
        ("d", "keyword", False, None),
        ("e", "keyword", True, "'x'"),
        ("f", "keyword", True, None),
        ("g", "keyword", True, "-1"),
        ("h", "keyword", True, "(1, 2)"),
        ("more", "double_star", False, None),
    ]


def test_steps_are_in_the_order_in_which_python_runs_them() -> None:
    assert steps("self.total = self.first(self.second) + config.size\nself.count += len(self)") == [
        "read second",
        "call first",
        "config config.size",
        "set total",
        "read count",
        "len __len__",
        "set count",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "if x:\n    self.go()",
        "for x in y:\n    self.go()",
        "while x:\n    self.go()",
        "x and self.go()",
        "self.go() if x else None",
        "[self.go() for x in y]",
        "lambda: self.go()",
        "def inner():\n    self.go()",
        "try:\n    x()\nexcept KeyError:\n    self.go()",
        "match x:\n    case 1:\n        self.go()",
    ],
)
def test_what_may_not_happen_is_conditional(body: str) -> None:
    assert steps(body) == ["?call go"]


@pytest.mark.parametrize(
    "body",
    [
        "with x:\n    self.go()",
        "try:\n    self.go()\nexcept KeyError:\n    pass",
        "if x:\n    raise ValueError\nself.go()",
        "if self.go():\n    pass",
        "return self.go()",
        "try:\n    x()\nfinally:\n    self.go()",
        "def inner():\n    return 1\nself.go()",
        "assert self.go()",
    ],
)
def test_what_surely_happens_is_not_conditional(body: str) -> None:
    assert steps(body) == ["call go"]


@pytest.mark.parametrize(
    ("body", "step"),
    [
        ("if x:\n    return\nself.go()", ">call go"),
        ("for x in y:\n    if x:\n        return\nself.go()", ">call go"),
        ("try:\n    x()\nexcept KeyError:\n    return\nif x:\n    self.go()", "?>call go"),
        ("match x:\n    case 1:\n        return\nself.go()", ">call go"),
        ("def inner():\n    if x:\n        return\nself.go()", "call go"),
    ],
)
def test_what_is_behind_a_return_says_so(body: str, step: str) -> None:
    assert steps(body) == [step]


@pytest.mark.parametrize(
    ("body", "step"),
    [
        ("hasattr(self, 'x')", "~read x"),
        ("getattr(self, 'x', 1)", "~read x"),
        ("getattr(self, 'x')", "read x"),
        ("getattr(config, 'x', 1)", "~config config.x"),
        ("getattr(self.config, 'x')", "config self.config.x"),
        ("setattr(self, 'x', 1)", "set x"),
        ("setattr(self, x, 1)", "set *"),
        ("setattr(config, 'x', 1)", "config_set config.x"),
        ("self.config.x = 1", "config_set self.config.x"),
        ("self.register_buffer('x', y)", "set x"),
        ("self.add_module(x, y)", "set *"),
        ("try:\n    self.x\nexcept AttributeError:\n    pass", "~read x"),
        ("try:\n    self.x\nexcept (KeyError, Exception):\n    pass", "~read x"),
        ("try:\n    self.x\nexcept OSError:\n    pass", "read x"),
        ("if hasattr(self, 'x'):\n    self.x()", "?~call x"),
    ],
)
def test_absence_that_is_foreseen_is_guarded(body: str, step: str) -> None:
    assert [found for found in steps(body) if found != "read config"][-1] == step


def test_a_call_keeps_what_it_passes() -> None:
    found = read_class("def m(self):\n    self.f(1, *a, b=2, **c)\n    super().g(x=1)\n")
    own, above = found.methods["m"].self_calls
    assert (own.name, own.positional, own.keywords, own.star, own.double_star, own.is_super) == (
        "f", 1, ("b",), True, True, False,
    )  # fmt: skip
    assert (above.name, above.keywords, above.is_super) == ("g", ("x",), True)


def test_a_base_called_by_its_name_is_super_without_self() -> None:
    found = read_class("def m(self):\n    Base.setup(self, 1)\n")
    (call,) = found.methods["m"].self_calls
    assert (call.name, call.positional, call.is_super) == ("setup", 1, True)


def test_an_object_that_a_class_method_makes_stands_for_self() -> None:
    body = "model = cls(config)\nmodel.tie()\nother.tie()\nmodel.kept = model.asked\nreturn model"
    assert steps(body, "def make(cls, config):", "@classmethod") == [
        "call __init__",
        "call tie",
        "read asked",
        "set kept",
    ]


def test_the_model_of_a_function_is_its_subject() -> None:
    found = read("def tie(model, other):\n    model.tie()\n    other.nope()\n").functions["tie"]
    assert [call.name for call in found.self_calls] == ["tie"]


def test_configs_are_told_apart_by_their_owner() -> None:
    body = "self.config.a\nself.decoder.config.b\ntext_config.c()\nself.generation_config.d"
    found = [step for step in steps(body) if step.startswith("config")]
    assert found == ["config self.config.a", "config ….config.b", "config_call text_config.c"]


def test_the_class_of_self_is_its_subject_and_every_class_has_a_name() -> None:
    assert steps("self.__class__.kind\ntype(self).kind\nself.__class__.__name__") == [
        "read kind",
        "read kind",
    ]


def test_members_are_told_apart() -> None:
    found = read_class(
        "plain = 'x'\nsize: int = 3\nbare: int\nkept: ClassVar[dict] = {}\nmade = field()\n"
        "@property\ndef a(self): ...\n@a.setter\ndef a(self, value): ...\n"
        "@cached_property\ndef b(self): ...\n@staticmethod\ndef c(x): ...\n"
        "@classmethod\ndef d(cls): ...\n"
        "def e(self):\n    'says'\n    raise NotImplementedError('x')\n"
        "if x:\n    def f(self): ...\n",
        "@dataclass(repr=False)\nclass Thing(Generic[T], metaclass=Meta):",
    )
    assert found.attributes == {"plain": "'x'", "size": "3", "kept": "{}", "made": None}
    assert found.fields == ("size", "bare")
    assert {name: method.kind for name, method in found.methods.items()} == {
        "a": "property", "b": "cached_property", "c": "static", "d": "class", "e": "method",
        "f": "method",
    }  # fmt: skip
    assert found.methods["a"].has_setter
    assert not found.methods["b"].has_setter
    assert found.methods["e"].is_abstract
    assert not found.methods["d"].is_abstract
    assert (found.bases, found.metaclass, found.is_dataclass) == (("Generic",), "Meta", True)


def test_the_last_definition_of_an_overloaded_method_counts_and_the_first_in_a_stub() -> None:
    stub = "@overload\ndef a(self, x): ...\n@overload\ndef a(self, y): ...\n"
    found = read_class(stub).methods["a"]
    assert [parameter.name for parameter in found.parameters] == ["self", "x"]
    found = read_class(stub + "def a(self, z): ...").methods["a"]
    assert [parameter.name for parameter in found.parameters] == ["self", "z"]


def test_a_renamed_parameter_is_told() -> None:
    found = read_class(
        "@deprecate_kwarg('old', new_name='new')\n@add_docstrings(X)\n@torch.no_grad()\n"
        "def m(self, new): ...\n"
    )
    assert found.methods["m"].decorators == ("deprecate_kwarg:old", "torch.no_grad")


def test_bases_get_their_full_names() -> None:
    found = read(
        "import torch\nfrom torch import nn\n"
        "from ..base import Base as Old\nfrom . import sibling\nclass Here: ...\n"
        "class Thing(nn.Module, torch.nn.Module, Old, sibling.X, Here, make()): ...",
        "lib.package.module",
    ).classes["Thing"]
    assert found.bases == (
        "torch.nn.Module", "torch.nn.Module", "lib.base.Base", "lib.package.sibling.X",
        "lib.package.module.Here", "make()",
    )  # fmt: skip


def test_relative_imports_of_a_package_start_from_itself() -> None:
    found = read("from .a import x\nfrom ..b import y", "lib.package", is_package=True)
    assert {name: export.target for name, export in found.exports.items()} == {
        "x": "lib.package.a.x",
        "y": "lib.b.y",
    }


@pytest.mark.parametrize(
    ("source", "guarded"),
    [
        ("X = 1", False),
        ("if a:\n    X = 1", True),
        ("if a:\n    X = 1\nelse:\n    X = 2", False),
        ("if a:\n    X = 1\nelse:\n    raise ImportError", False),
        ("try:\n    from a import X\nexcept ImportError:\n    X = None", False),
        ("try:\n    from a import X\nexcept ImportError:\n    pass", True),
        ("try:\n    from a import X\nexcept ImportError:\n    raise", False),
        ("with a:\n    X = 1", False),
        ("for a in b:\n    X = 1", True),
    ],
)
def test_a_name_that_may_be_absent_is_guarded(source: str, guarded: bool) -> None:
    assert read(source).exports["X"].guarded is guarded


def test_the_first_branch_tells_where_a_name_comes_from() -> None:
    found = read("try:\n    from a import X\nexcept ImportError:\n    X = None")
    assert found.exports["X"].target == "a.X"


def test_what_is_only_for_type_checkers_is_not_bound() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import X\n"
    assert "X" not in read(source).exports
    answered = read(source + "def __getattr__(name): ...")
    assert answered.exports["X"].target == "lib.a.X"


def test_another_name_for_a_class_leads_to_it() -> None:
    found = read("class New: ...\nOld = New\nWrapped = make(New)\nNew = register(New)")
    assert found.exports["Old"].target == "lib.module.New"
    assert found.exports["Wrapped"].kind == "value"
    assert found.exports["New"].kind == "class"


@pytest.mark.parametrize(
    "source", ["def f(:", "print 'x'", "x = '\0'", "(" * 5000, "x = " + "-" * 200_000 + "1"]
)
def test_what_is_no_python_has_no_facts(source: str) -> None:
    assert read_module(source.encode(), "lib.module", is_package=False) is None
