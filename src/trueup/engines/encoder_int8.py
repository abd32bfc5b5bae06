"""The int8 encoder: the same model as an ONNX graph whose matrices are int8, on onnxruntime.

The graph is traced from the fp32 model and quantised at the first load (weights for each
channel, activations for each call) and kept in the plan's artifact folder. CPU only.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trueup.adapt.plan import Pooling
from trueup.engines.encoder import CPU_BUDGET_TOKENS, PAD_ID, TokenIds, Vectors, padded
from trueup.errors import AdaptError

GRAPH_FILE = "int8.onnx"
OPSET = 18
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "hidden"
OTHER_DTYPE = "use `dtype: bfloat16` or `float32`"
EXTRA_HINT = "pip install 'trueup[onnx]'"


class Int8Encoder:
    """A quantised graph; `pad_id` is never attended to."""

    def __init__(self, graph: Path, pooling: Pooling, *, pad_id: int | None, threads: int) -> None:
        runtime = _module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = runtime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )
        self._pooling = pooling
        self._pad_id = PAD_ID if pad_id is None else pad_id
        self.lanes = threads
        self.budget_tokens = CPU_BUDGET_TOKENS["int8"]

    def encode(self, rows: Sequence[TokenIds], *, threads: int) -> Vectors:
        """See `Encoder.encode`; a call has one thread always, several calls run side by side.

        Row by row: the scale of activations is that of the whole call, and a text's vector must
        not depend on what other clients sent.
        """
        return np.concatenate([self._encode_one(row) for row in rows])

    def _encode_one(self, row: TokenIds) -> Vectors:
        token_ids, mask = padded([row], self._pad_id)
        (hidden,) = self._session.run([OUTPUT], {INPUTS[0]: token_ids, INPUTS[1]: mask})
        return _pooled(hidden, mask, self._pooling)


def int8_encoder(
    model: Any, folder: Path, pooling: Pooling, *, pad_id: int | None, threads: int
) -> Int8Encoder:
    """The encoder of an fp32 model's graph in `folder`; a graph that is damaged is made again.

    Raises:
        AdaptError: see `graph_of`; or onnxruntime does not read a graph that was just made.
    """
    graph = graph_of(model, folder)
    try:
        return Int8Encoder(graph, pooling, pad_id=pad_id, threads=threads)
    except AdaptError:
        raise
    except Exception:  # onnxruntime's errors share no base
        graph.unlink(missing_ok=True)
    graph = graph_of(model, folder)
    try:
        return Int8Encoder(graph, pooling, pad_id=pad_id, threads=threads)
    except Exception as error:
        raise AdaptError(
            f"onnxruntime cannot read the graph: {_told(error)}", where=str(graph), hint=OTHER_DTYPE
        ) from error


def graph_of(model: Any, folder: Path) -> Path:
    """The quantised graph of an fp32 model; made at the first call, kept in `folder`.

    Raises:
        AdaptError: the packages are missing, the model cannot be traced, or the folder cannot be
            written.
    """
    graph = folder / GRAPH_FILE
    if graph.is_file():
        return graph
    quantization = _module("onnxruntime.quantization")
    _module("onnx")
    try:
        with tempfile.TemporaryDirectory(
            prefix="export-", dir=folder, ignore_cleanup_errors=True
        ) as scratch:
            wide, narrow = Path(scratch, "fp32.onnx"), Path(scratch, GRAPH_FILE)
            _export(model, wide)
            quantization.quantize_dynamic(
                wide, narrow, weight_type=quantization.QuantType.QInt8, per_channel=True
            )
            os.replace(narrow, graph)
    except OSError as error:
        raise AdaptError(
            f"the int8 graph cannot be kept: {error.strerror or error}",
            where=str(folder),
            hint="see that TRUEUP_HOME can be written and has room",
        ) from error
    return graph


class _Hidden(torch.nn.Module):
    """The model with the two inputs and the one output of the graph."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask)[0]
        return hidden


def _export(model: Any, path: Path) -> None:
    token_ids = torch.ones((2, 8), dtype=torch.long)
    mask = torch.ones_like(token_ids)
    mask[1, 4:] = 0  # padding takes part in what is traced
    axes = {0: "rows", 1: "tokens"}
    implementation = getattr(model.config, "_attn_implementation", None)
    try:
        # Written out in plain operations, which every release of the format has.
        model.set_attn_implementation("eager")
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Hidden(model).eval(),
                (token_ids, mask),
                str(path),
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                dynamic_axes=dict.fromkeys((*INPUTS, OUTPUT), axes),
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:  # the exporter's errors share no base
        raise AdaptError(
            f"the model cannot be written as an ONNX graph: {_told(error)}", hint=OTHER_DTYPE
        ) from error
    finally:
        if implementation is not None:
            model.set_attn_implementation(implementation)


def _pooled(hidden: Any, mask: Any, pooling: Pooling) -> Vectors:
    lengths = mask.sum(axis=1)
    if pooling == "cls":
        vectors = hidden[:, 0]
    elif pooling == "last":
        vectors = hidden[np.arange(len(hidden)), lengths - 1]
    else:
        vectors = np.einsum("rtd,rt->rd", hidden, mask.astype(np.float32)) / lengths[:, None]
    pooled: Vectors = vectors.astype(np.float32)
    return pooled


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _module(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise AdaptError(
            f"int8 needs the package `{error.name or name}`, which is not installed",
            hint=EXTRA_HINT,
        ) from error
