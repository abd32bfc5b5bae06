"""How a model is brought up, stage by stage, and what of it fails on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.walk.configurations import GENERATION_CONFIG
from trueup.doctor.walk.failure import ExhaustedError, Failure, RaisedError
from trueup.doctor.walk.generation import Generation
from trueup.doctor.walk.machine import World
from trueup.doctor.walk.packages import missing_file, missing_packages
from trueup.doctor.walk.tokenizing import Tokenizing
from trueup.doctor.walk.values import (
    TRUE,
    UNKNOWN,
    Const,
    Instance,
    Items,
    LibraryName,
    OwnClass,
    Table,
    Tensor,
    Value,
    of_python,
)
from trueup.doctor.walk.walk import CONFIG_MODULE
from trueup.environment.symbols.facts import ANY_NAME
from trueup.errors import TrueUpError

# The first of these that auto_map names is what is loaded.
MODEL_AUTO_CLASSES = (
    "AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModelForImageTextToText",
    "AutoModelForVision2Seq", "AutoModelForMaskedLM", "AutoModel",
)  # fmt: skip
GENERATING = frozenset(MODEL_AUTO_CLASSES[:4])
BATCH, LENGTH = 2, 8
# What AutoConfig calls first of every class that it gets.
REGISTERS = "register_for_auto_class"
# So often a stage is walked, each time behind one failure more.
MAX_MENDED = 8


@dataclass(slots=True)
class Walked:
    """What was found: the failure that ends each stage, and what may fail beside it.

    `behind` are failures that would be met if those before them in the stage were mended; a stage
    behind a failed one is walked as if that one had not failed. `lost` are stages that a bug of the
    walk's own ended, and the bug.
    """

    failures: dict[str, Failure] = field(default_factory=dict)
    behind: dict[str, list[Failure]] = field(default_factory=dict)
    possible: dict[str, list[Failure]] = field(default_factory=dict)
    buffers: list[tuple[str, str]] = field(default_factory=list)
    is_exhausted: bool = False
    lost: dict[str, str] = field(default_factory=dict)


class Stages:
    """Walks a checkpoint's own code through its stages in one world."""

    def __init__(self, checkpoint: Checkpoint, world: World) -> None:
        self._checkpoint = checkpoint
        self._world = world
        self.walked = Walked()
        self._config: Instance | None = None

    def run(self) -> Walked:
        """All stages; one that needs a failed one is left out."""
        auto_map = self._checkpoint.auto_map
        model = next((auto_map[name] for name in MODEL_AUTO_CLASSES if name in auto_map), None)
        config = auto_map.get("AutoConfig")
        tokenizer = auto_map.get("AutoTokenizer")
        walk = Generation(self._world)
        config_class = self._imported(walk, "import.config", config)
        if tokenizer is not None:
            self._tokenizer(tokenizer)
        made = None
        if config_class is not None:
            made = self._stage("config", walk, lambda: self._made_config(walk, config_class))
        elif config is None:
            made = self._stage("config", walk, lambda: self._library_config(walk))
        if model is None:
            return self.walked
        model_class = self._imported(walk, "import.model", model)
        if model_class is None or not isinstance(made, Instance):
            return self.walked
        self._config = made
        self._model(walk, model_class, made)
        return self.walked

    @property
    def _generates(self) -> bool:
        named = next((n for n in MODEL_AUTO_CLASSES if n in self._checkpoint.auto_map), "")
        return named in GENERATING

    def _stage(self, stage: str, walk: Any, run: Callable[[], Value]) -> Value | None:
        """Run a stage; where it fails, run it again behind the failure."""
        for _ in range(MAX_MENDED if self._world.goes_on else 1):
            walk.possible.clear()
            del walk.calls[:]
            try:
                return run()
            except RaisedError as raised:
                self._note(stage, raised.failure)
                if not self._mend(stage, walk, raised.failure):
                    return None
            except (ExhaustedError, RecursionError):
                self.walked.is_exhausted = True
                return None
            except TrueUpError:  # the time is over, or the facts cannot be read
                raise
            except Exception as error:  # unheard-of code must not cost what else there is to tell
                self.walked.lost[stage] = f"{type(error).__name__}: {error}"
                return None
            finally:
                if walk.possible:
                    self.walked.possible[stage] = list(walk.possible)
                del walk.calls[:]
        return None

    def _note(self, stage: str, failure: Failure) -> None:
        if stage in self.walked.failures:
            if failure == self.walked.failures[stage]:
                return
            self.walked.behind.setdefault(stage, []).append(failure)
        else:
            self.walked.failures[stage] = failure

    def _mend(self, stage: str, walk: Any, failure: Failure) -> bool:
        """See to it that the next run passes the failure; False where it cannot.

        What the library refuses, and what is half built, is not passed.
        """
        owners = (CONFIG_MODULE, GENERATION_CONFIG)
        is_of_config = failure.kind == "attribute" and failure.owner.startswith(owners)
        place = failure.where
        if place is None:
            return is_of_config and self._given(failure.subject)
        runs = stage.startswith(("forward", "generate")) and failure.kind != "library"
        spot = (place.path, place.line)
        if spot in walk.mended or not (runs or (stage == "init" and is_of_config)):
            return False
        walk.mended.add(spot)
        return True

    def _given(self, name: str) -> bool:
        """Give the configuration an attribute that the library asks for."""
        if self._config is None or name in self._config.attributes:
            return False
        self._config.attributes[name] = UNKNOWN
        return True

    def _imported(self, walk: Any, stage: str, reference: str | None) -> OwnClass | None:
        if reference is None or "--" in reference:
            return None
        module, _, name = reference.partition(".")
        path = f"{module}.py"
        if path not in self._world.modules:
            if path not in self._checkpoint.files:
                self.walked.failures[stage] = Failure(
                    kind="import",
                    exception="OSError",
                    message=f"{self._checkpoint.directory} does not appear to have a file named "
                    f"{path}",
                    subject=path,
                )
            return None
        missing = missing_packages(self._world, path) or missing_file(self._world, path)
        if missing is not None:
            self.walked.failures[stage] = missing
            return None
        found = self._stage(stage, walk, lambda: walk.import_own(path) or UNKNOWN)
        cls = getattr(found, "names", {}).get(name)
        return cls if isinstance(cls, OwnClass) else None

    def _made_config(self, walk: Generation, cls: OwnClass) -> Value:
        if walk.is_closed(cls) and walk.in_class(walk.mro(cls), REGISTERS) is None:
            message = f"type object '{cls.name}' has no attribute '{REGISTERS}'"
            walk.fail("library", "AttributeError", message, subject=REGISTERS)
        given = of_python(self._checkpoint.config)
        keywords = dict(given.entries) if isinstance(given, Table) else {}
        return walk.instantiate(cls, [], keywords)

    def _library_config(self, walk: Generation) -> Value:
        """The library's own configuration, of a model that brings none; UNKNOWN without one."""
        facts = walk.config_of_type(self._checkpoint.model_type or "")
        if facts is None:
            return UNKNOWN
        made = Instance(LibraryName(facts.dotted, facts))
        given = of_python(self._checkpoint.config)
        walk.init_config(made, dict(given.entries) if isinstance(given, Table) else {})
        # The base sets what config.json names and nobody else takes: that was done.
        made.is_open = any(
            ANY_NAME in function.self_sets
            for each in self._world.symbols.mro(facts.dotted)
            if not each.dotted.startswith(CONFIG_MODULE)
            for function in each.methods.values()
        )
        return made

    def _tokenizer(self, reference: str) -> None:
        walk = Tokenizing(self._world)
        cls = self._imported(walk, "import.tokenizer", reference)
        if cls is None:
            return
        checkpoint = self._checkpoint
        self._stage(
            "tokenizer",
            walk,
            lambda: walk.tokenize(cls, checkpoint.tokenizer_config, checkpoint.files),
        )

    def _model(self, walk: Generation, cls: OwnClass, config: Instance) -> None:
        walk.steps = 0
        model = self._stage("init", walk, lambda: walk.made(cls, config))
        if not isinstance(model, Instance):
            return
        walk.steps = 0
        self._stage("load", walk, lambda: walk.loaded(cls, config, model))
        self.walked.buffers = list(walk.buffers)  # those of the forward pass are made again
        walk.steps = 0
        walk.set_training(model)
        inputs: Mapping[str, Value] = {
            "input_ids": Tensor((BATCH, LENGTH)),
            "attention_mask": Tensor((BATCH, LENGTH)),
        }
        if self._stage("forward", walk, lambda: walk.forward(model, inputs)) is None:
            return
        if not self._generates:
            return
        mended, given = set(walk.mended), dict(config.attributes)
        for stage, uses_cache in (("generate.cached", True), ("generate.uncached", False)):
            walk.steps = 0
            # Each is tried by itself.
            walk.mended = set(mended)
            config.attributes.clear()
            config.attributes.update(given)
            self._stage(stage, walk, lambda uses=uses_cache: walk.generate(model, uses))  # type: ignore[misc]


__all__ = ["TRUE", "Const", "Items", "Stages", "Walked"]
