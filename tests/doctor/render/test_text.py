import io
from typing import Any

import pytest

from trueup.doctor.finding import Finding, Where
from trueup.doctor.render.report_text import report_lines
from trueup.doctor.render.text import Line, error_lines, print_lines, printable


def report(
    *findings: Finding,
    route: str = "native",
    avoided: bool = False,
    why: tuple[str, ...] = ("w",),
    implementation: str | None = "transformers.GlmForCausalLM",
    has_own_code: bool = False,
) -> dict[str, Any]:
    return {
        "model": {
            "id": "m",
            "source": "./m",
            "directory": "/models/m",
            "model_type": "glm",
            "architectures": ["G"],
            "has_own_code": has_own_code,
        },
        "environment": {
            "transformers": "4.56.0",
            "python_version": "3.11.7",
            "is_assumed": False,
            "packages": {"torch": "2.13.0"},
        },
        "findings": [{**finding.as_dict(), "avoided": avoided} for finding in findings],
        "plan": {
            "route": route,
            "implementation": implementation,
            "family": "glm" if implementation else None,
            "kind": "chat",
            "dtype": "float32",
            "device": "cpu",
            "consent": "not needed",
            "environment": None,
            "why": list(why),
        },
    }


def finding(**more: Any) -> Finding:
    facts: dict[str, Any] = {
        "code": "DIR104",
        "severity": "error",
        "stage": "load",
        "cause": "a shard is missing",
        "where": Where(path="m-2.safetensors"),
        "hint": "copy it",
        "blocks": ("native", "fixed", "isolated"),
    }
    return Finding(**(facts | more))


def text(shape: dict[str, Any], width: int = 80) -> str:
    return "\n".join(line.text for line in report_lines(shape, width=width))


def test_a_whole_model_gets_its_route_and_the_next_command() -> None:
    shown = text(report())
    assert "Nothing known breaks on transformers 4.56.0." in shown
    assert "Route: native as transformers.GlmForCausalLM, float32 on cpu" in shown
    assert shown.endswith("next:  trueup chat ./m")


def test_a_refused_model_gets_the_reason_and_the_first_thing_to_do() -> None:
    shown = text(report(finding(), route="refused", why=("a shard is missing",)))
    assert "In the way:" in shown
    assert "No route runs this model here." in shown
    assert shown.endswith("next:  copy it")


def test_what_the_route_avoids_is_marked_and_comes_after_what_it_does_not() -> None:
    shape = report(finding(code="A1"), finding(code="B1"))
    shape["findings"][0]["avoided"] = True
    shown = text(shape)
    assert shown.index("B1 error (load)") < shown.index("1 finding avoided by the native route")
    assert "A1 error, avoided (load)" in shown


def test_place_and_version_stand_with_the_finding() -> None:
    shown = text(report(finding(where=Where(path="a.py", line=3), since="4.45.0", until="5.0.0")))
    assert "where: a.py:3   (since transformers 4.45.0, works again in 5.0.0)" in shown


def test_lines_keep_to_the_width() -> None:
    shown = text(report(finding(cause="word " * 60, hint="word " * 60)), width=60)
    assert max(map(len, shown.splitlines())) <= 60


def test_foreign_text_cannot_move_the_cursor_or_start_a_line() -> None:
    assert printable("a\x1b[31mb\nc") == "a\\x1b[31mb\\nc"
    shown = text(report(finding(cause="evil\x1b]0;x\x07", where=Where(path="a\nb"))))
    assert "\x1b" not in shown
    assert "where: a\\nb" in shown


@pytest.mark.parametrize("is_terminal", [False, True])
def test_colour_is_for_terminals_and_carries_no_meaning(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    print_lines([Line("DIR104 error (load)", "error")], stream)
    assert ("\x1b[" in stream.getvalue()) is is_terminal
    assert "DIR104 error (load)" in stream.getvalue()


def test_what_closes_every_route_comes_first_and_the_codes_own_failures_in_short() -> None:
    own = [
        finding(code=f"TOK10{number}", cause="own code", hint="patch it", blocks=("fixed",))
        for number in range(1, 6)
    ]
    shown = text(report(*own, finding(), route="refused"))
    assert shown.index("In the way:") < shown.index("DIR104") < shown.index("TOK101")
    assert "own code" not in shown
    assert "patch it" not in shown
    flat = " ".join(shown.split())
    assert "5 findings would be avoided by the native route once DIR104 is mended: TOK101" in flat
    assert "next:  copy it" in shown


def test_what_no_route_can_avoid_is_told_in_full() -> None:
    own = finding(code="DIR119", cause="own code", hint="mend it", blocks=("fixed",))
    shown = text(report(own, finding(), route="refused", implementation=None, has_own_code=True))
    assert "2 things break with transformers 4.56.0, in this order:" in shown
    assert "own code" in shown
    assert "would be avoided" not in shown
    assert "next:  copy it" in shown


def test_what_breaks_is_counted_and_told_before_what_is_only_to_be_known() -> None:
    alarm = finding(
        code="SAFE111", severity="warning", stage="import", hint="read these lines", blocks=()
    )
    breaks = [finding(code=code, hint=f"mend {code}", blocks=("fixed",)) for code in ("L1", "L2")]
    shape = report(alarm, *breaks, route="refused", implementation=None, has_own_code=True)
    shown = text(shape)
    places = [
        shown.index(part)
        for part in (
            "2 things break with transformers 4.56.0, in this order:",
            "L1 error",
            "L2 error",
            "1 thing to know:",
            "SAFE111 warning",
            "next:  mend L1",
        )
    ]
    assert places == sorted(places)


def test_warnings_alone_are_no_next_step_of_a_model_whose_code_would_run() -> None:
    alarm = finding(
        code="SAFE111", severity="warning", stage="import", hint="read these lines", blocks=()
    )
    shown = text(report(alarm, route="refused", implementation=None, has_own_code=True))
    assert "1 thing to know:" in shown
    assert "next:  load it with transformers 4.56.0 itself" in shown


@pytest.mark.parametrize(
    ("has_own_code", "told"),
    [
        (True, "The model's own code meets nothing known on transformers 4.30.2."),
        (False, "Nothing known breaks on transformers 4.30.2."),
    ],
)
def test_a_version_too_old_is_no_contradiction(has_own_code: bool, told: str) -> None:
    shape = report(route="refused", why=("too old",), has_own_code=has_own_code)
    shape["environment"]["transformers"] = "4.30.2"
    shown = text(shape)
    assert told in shown
    assert "next:  pip install 'transformers>=4.56'" in shown


@pytest.mark.parametrize(
    ("findings", "has_own_code", "steps"),
    [
        ((), False, ["next: load it with transformers 4.56.0 itself"]),
        ((), True, ["next: load it with transformers 4.56.0 itself", "trueup trust ./m"]),
        (
            (finding(blocks=("fixed",)),),
            True,
            ["next: copy it", "or: trueup check ./m --works"],
        ),
        ((finding(),), False, ["next: copy it"]),
        ((finding(),), True, ["next: copy it"]),
    ],
)
def test_a_model_without_any_route_gets_what_can_be_done_without_one(
    findings: tuple[Finding, ...], has_own_code: bool, steps: list[str]
) -> None:
    shape = report(*findings, route="refused", implementation=None, has_own_code=has_own_code)
    flat = " ".join(text(shape).split())
    assert [step for step in steps if step not in flat] == []
    assert ("or:" in flat) is any(step.startswith("or:") for step in steps)


def test_a_newer_transformers_is_no_step_for_a_model_that_the_native_route_is_not_for() -> None:
    shape = report(route="refused", implementation=None, has_own_code=True)
    shape["environment"]["transformers"] = "4.30.2"
    flat = " ".join(text(shape).split())
    assert "pip install" not in flat
    assert "next: load it with transformers 4.30.2 itself" in flat
    shape["plan"]["family"] = "glm"
    assert "next: pip install 'transformers>=4.56'" in " ".join(text(shape).split())


@pytest.mark.parametrize(
    ("oldest", "newest", "told"),
    [
        ("4.41.2", "5.0.0", "should work on transformers 4.41.2 to 5.0.0; the"),
        ("5.0.0", "5.0.0", "should work on transformers 5.0.0; the"),
    ],
)
def test_the_releases_that_work_are_told_as_from_and_to_where_they_differ(
    oldest: str, newest: str, told: str
) -> None:
    shape = {**report(), "works": {"oldest": oldest, "newest": newest}}
    assert told in text(shape)


def test_a_release_that_nothing_is_known_of_is_not_said_to_load_a_model() -> None:
    unknown = finding(code="ENV107", severity="warning", hint=None, blocks=())
    flat = text(report(unknown, route="refused", implementation=None))
    assert "load it with" not in flat


@pytest.mark.parametrize(("path", "asks"), [(None, True), ("modeling_x.py", False)])
def test_only_a_text_without_a_traceback_is_asked_for_one(path: str | None, asks: bool) -> None:
    error = {"message": "odd", "path": path, "function": None, "line": 1}
    lines = error_lines({"error": error, "matches": []}, width=80)
    assert any("whole traceback" in line.text for line in lines) is asks


def test_the_next_command_makes_the_same_plan() -> None:
    shape = {**report(), "options": {"--route": "native", "--dtype": "float32"}}
    assert text(shape).endswith("next:  trueup chat ./m --route native --dtype float32")
    shape["options"] = {"--kind": "chat"}  # which `chat` does not take
    assert text(shape).endswith("next:  trueup serve ./m --kind chat")


def test_a_route_that_was_asked_for_and_cannot_be_leads_to_the_one_that_can() -> None:
    shape = report(finding(hint="mend it"), route="refused")
    shape["options"] = {"--route": "fixed", "--dtype": "float32"}
    shape["plan"]["other_route"] = "native"
    shown = text(shape)
    assert "The route `fixed` does not run this model here; `native` does." in shown
    assert shown.endswith("next:  trueup plan ./m --dtype float32")
    shape["options"] = {"--route": "isolated", "--isolated-python": "/env"}
    shape["plan"]["other_route"] = "isolated"
    shown = text(shape)
    assert "runs this model here, but not with that Python" in shown
    assert shown.endswith("next:  trueup plan ./m --route isolated")


def test_no_package_is_installed_here_for_an_environment_of_its_own() -> None:
    lacking = finding(code="ENV102", cause="it imports `odd`", hint="pip install odd")
    shape = report(lacking, route="refused", implementation=None)
    shape["options"] = {"--route": "isolated"}
    shown = " ".join(text(shape).split())
    assert "pip install" not in shown.partition("No route")[2]
    assert shown.endswith(
        "(it imports `odd`): trueup plan ./m --route isolated --isolated-python PATH"
    )
