"""What is known of torch without importing it: what its functions give, what its modules have."""

from __future__ import annotations

from trueup.doctor.walk.values import FALSE, UNKNOWN, Foreign, Value

# Of every torch.nn.Module; its own `__init__` sets the private ones.
MODULE_NAMES = frozenset(
    {
        "T_destination", "add_module", "apply", "bfloat16", "buffers", "call_super_init",
        "children", "compile", "cpu", "cuda", "double", "dump_patches", "eval", "extra_repr",
        "float", "forward", "get_buffer", "get_extra_state", "get_parameter", "get_submodule",
        "half", "ipu", "load_state_dict", "modules", "mtia", "named_buffers", "named_children",
        "named_modules", "named_parameters", "parameters", "register_backward_hook",
        "register_buffer", "register_forward_hook", "register_forward_pre_hook",
        "register_full_backward_hook", "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook", "register_load_state_dict_pre_hook",
        "register_module", "register_parameter", "register_state_dict_post_hook",
        "register_state_dict_pre_hook", "requires_grad_", "set_extra_state", "set_submodule",
        "share_memory", "state_dict", "to", "to_empty", "train", "training", "type", "xpu",
        "zero_grad", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set",
        "_load_from_state_dict", "_register_load_state_dict_pre_hook", "_backward_hooks",
        "_forward_hooks", "_forward_pre_hooks", "_is_hf_initialized", "_apply", "_get_name",
        "_save_to_state_dict", "_named_members", "_register_state_dict_hook", "_version",
        "_call_impl", "_replicate_for_data_parallel", "_state_dict_hooks", "_wrapped_call_impl",
        "_slow_forward", "_compiled_call_impl", "__call__", "__setattr__", "__getattr__",
        "__delattr__", "__dir__", "__setstate__",
    }
)  # fmt: skip
# Whose objects have all that is assigned to them and the names above, and nothing else.
PLAIN_MODULES = frozenset({"torch.nn.Module", "torch.nn.modules.module.Module",
                           "torch.nn.modules.Module"})  # fmt: skip
# Functions of torch that give no tensor.
NO_TENSORS = frozenset(
    {
        "is_tensor", "is_floating_point", "finfo", "iinfo", "device", "dtype", "no_grad",
        "enable_grad", "inference_mode", "set_grad_enabled", "is_grad_enabled", "manual_seed",
        "get_default_dtype", "set_default_dtype", "is_autocast_enabled", "load", "save",
        "get_autocast_gpu_dtype", "compile", "Size", "Generator", "numel", "broadcast_shapes",
        "get_autocast_dtype", "get_num_threads", "is_complex", "typename", "is_nonzero", "equal",
        "allclose", "split", "chunk", "unbind", "topk", "max", "min", "sort", "meshgrid",
        "broadcast_tensors", "tensor_split", "unique", "nonzero", "std_mean", "var_mean",
        "is_inference_mode_enabled", "autocast", "result_type", "promote_types", "where",
    }
)  # fmt: skip
MADE_TENSORS = frozenset({"torch.nn.Parameter", "torch.nn.parameter.Parameter", "torch.Tensor",
                          "torch.FloatTensor", "torch.LongTensor"})  # fmt: skip
SCALARS = frozenset({"item", "tolist", "numpy", "__bool__", "__int__", "__float__"})


def is_torch_module(dotted: str) -> bool:
    """Whether a full name is that of torch's plain Module."""
    return dotted in PLAIN_MODULES


def torch_member(value: Foreign, name: str) -> Value | None:
    """What is known of a member of a torch name; None for nothing special."""
    if value.dotted == "torch.version" and name in ("cuda", "hip"):
        return UNKNOWN
    return None


def gives_tensor(dotted: str) -> bool:
    """Whether calling a name of torch gives a tensor."""
    root, _, name = dotted.rpartition(".")
    if root in ("torch.nn.functional", "torch.linalg", "torch.fft"):
        return name not in ("has_torch_function", "handle_torch_function", "grouped_mm")
    if root in ("torch", "torch.Tensor"):
        return name[:1].islower() and name not in NO_TENSORS
    return dotted in MADE_TENSORS


def gives_module(dotted: str) -> bool:
    """Whether calling a name makes a module."""
    name = dotted.rpartition(".")[2]
    return dotted.startswith("torch.nn.") and name[:1].isupper() and "Parameter" not in name


def known_answer(dotted: str) -> Value | None:
    """Calls whose answer does not depend on their arguments."""
    if dotted in ("torch.jit.is_tracing", "torch.jit.is_scripting", "torch.onnx.is_in_onnx_export",
                  "torch.fx.wrap", "torch.distributed.is_initialized",
                  "torch.compiler.is_compiling", "torch._dynamo.is_compiling"):  # fmt: skip
        return FALSE
    return None
