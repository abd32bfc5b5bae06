from __future__ import annotations

import argparse
import importlib

import pytest

from trueup.adapt.wishes import OPTIONS, Wishes, options_of
from trueup.doctor.render.command import TAKEN, WISHED, command


@pytest.mark.parametrize("verb", TAKEN)
def test_a_verb_has_the_options_that_commands_are_told_with(verb: str) -> None:
    parser = argparse.ArgumentParser()
    importlib.import_module(f"trueup.cli.{verb}").add_arguments(parser)
    known = {option for action in parser._actions for option in action.option_strings}
    assert set(TAKEN[verb]) <= known


def test_every_wish_of_the_command_line_is_told() -> None:
    assert {"--revision", *OPTIONS.values()} == set(WISHED)


def test_a_command_has_the_options_that_its_verb_takes_and_quotes_its_words() -> None:
    wishes = Wishes(route="isolated", dtype="float32", kind="chat", python="/an env")
    options = options_of(wishes, "v1")
    assert command("verify", "./my model", options) == (
        "trueup verify './my model' --revision v1 --route isolated --dtype float32 --kind chat "
        "--isolated-python '/an env'"
    )
    assert command("trust", "m", options) == "trueup trust m --revision v1"
    assert command("chat", "m", options_of(Wishes())) == "trueup chat m"
