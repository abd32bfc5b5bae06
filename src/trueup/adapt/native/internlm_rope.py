"""The rope of InternLM and InternLM2: plain, positions divided, or NTK beyond the context."""

from __future__ import annotations

from typing import Any

from trueup.adapt.native.family import Refusal
from trueup.adapt.native.llama_code import mentions, read_code
from trueup.adapt.native.llama_layout import Rope
from trueup.adapt.plan import Caveat
from trueup.checkpoint.checkpoint import Checkpoint

FIRST_KEY, SECOND_KEYS = "rotary", ("rope_theta", "rope_scaling")
PLAIN, LINEAR, DYNAMIC = "origin", "linear", "dynamic"


def read_rope(checkpoint: Checkpoint) -> Rope:
    """The rope of a checkpoint without `rope_refusals`."""
    base, kind, factor = _settings(checkpoint)
    if kind in (LINEAR, DYNAMIC):
        return Rope(base=float(base), scaling={"rope_type": kind, "factor": float(factor)})
    return Rope(base=float(base))


def rope_refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    """What about the rope's settings is not known."""
    config = checkpoint.config
    is_second = checkpoint.model_type == "internlm2"
    key = SECOND_KEYS[1] if is_second else FIRST_KEY
    found = [
        Refusal(reason="no release of this family has this key", key=other)
        for other in ((FIRST_KEY,) if is_second else SECOND_KEYS)
        if config.get(other) and mentions(checkpoint, other)
    ]
    given = config.get(key)
    if given is not None and not isinstance(given, dict):
        return (*found, Refusal(reason=f"expected a mapping, found `{given!r}`", key=key))
    if not is_second and given and not mentions(checkpoint, FIRST_KEY):
        return (*found, Refusal(reason="the shipped code does not read it", key=key))
    constant = read_code(checkpoint).given_base
    if isinstance(constant, float):
        reason = f"the shipped code gives its rope the base {constant:g}, whatever the config says"
        found.append(Refusal(reason=reason))
    base, kind, factor = _settings(checkpoint)
    kinds = (LINEAR, DYNAMIC) if is_second else (PLAIN, DYNAMIC)
    if given and kind not in kinds:
        names = " or ".join(f"`{each}`" for each in kinds)
        found.append(Refusal(reason=f"expected type {names}, found `{kind!r}`", key=key))
    if given and not (_is_number(factor) and factor >= 1):
        found.append(Refusal(reason=f"expected a factor of 1 or more, found `{factor!r}`", key=key))
    if not (_is_number(base) and base > 1) and read_code(checkpoint).rope_base is not None:
        reason = f"expected the rope's base, a number above 1, found `{base!r}`"
        found.append(Refusal(reason=reason, key=SECOND_KEYS[0] if is_second else key))
    return tuple(found)


def rope_line(checkpoint: Checkpoint) -> str:
    """What the plan says of the rope."""
    rope = read_rope(checkpoint)
    line = f"rope over whole heads, base {rope.base:g}"
    if not rope.scaling:
        return line
    kind, factor = rope.scaling["rope_type"], rope.scaling["factor"]
    return f"{line}, `{kind}` scaling by {factor:g}"


def rope_caveats(checkpoint: Checkpoint, dtype: str) -> tuple[Caveat, ...]:
    """Where dynamic scaling, which only sets in beyond the context, differs from the code's."""
    if read_rope(checkpoint).scaling.get("rope_type") != DYNAMIC:
        return ()
    tokens = checkpoint.config["max_position_embeddings"]
    text = (
        f"beyond `max_position_embeddings` ({tokens} tokens, what TrueUp serves at most) the "
        "published code keeps the keys that it cached at a shorter length, and counts padding; "
        "up to there dynamic scaling changes nothing and the two are the same"
    )
    return (Caveat(code="ROPE-DYNAMIC", text=text),)


def _settings(checkpoint: Checkpoint) -> tuple[Any, Any, Any]:
    """Base, kind (None where plain) and factor, as they stand there."""
    config = checkpoint.config
    if checkpoint.model_type == "internlm2":
        scaling = config.get(SECOND_KEYS[1]) or {}
        default = read_code(checkpoint).rope_base
        return config.get(SECOND_KEYS[0], default), scaling.get("type"), scaling.get("factor")
    rotary = config.get(FIRST_KEY) or {}
    base = rotary.get("base", read_code(checkpoint).rope_base)
    kind = rotary.get("type")
    return base, kind, rotary.get("scaling_factor", 1.0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
