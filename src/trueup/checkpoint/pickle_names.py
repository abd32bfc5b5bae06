"""What pickled weights may name and say: torch's weights-only allow-list. Data only."""

from __future__ import annotations

STORAGES = {
    "FloatStorage": ("F32", 4), "DoubleStorage": ("F64", 8), "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2), "LongStorage": ("I64", 8), "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2), "CharStorage": ("I8", 1), "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1), "UntypedStorage": ("U8", 1), "QInt8Storage": ("I8", 1),
    "QUInt8Storage": ("U8", 1), "QInt32Storage": ("I32", 4), "ComplexFloatStorage": ("C64", 8),
    "ComplexDoubleStorage": ("C128", 16), "QUInt4x2Storage": ("U8", 1),
    "QUInt2x4Storage": ("U8", 1),
}  # fmt: skip
DTYPES = {
    "float32": ("F32", 4), "float64": ("F64", 8),
    "float16": ("F16", 2), "bfloat16": ("BF16", 2), "int64": ("I64", 8),
    "int32": ("I32", 4), "int16": ("I16", 2), "int8": ("I8", 1),
    "uint8": ("U8", 1), "bool": ("BOOL", 1), "uint16": ("U16", 2), "uint32": ("U32", 4),
    "uint64": ("U64", 8), "float8_e4m3fn": ("F8_E4M3", 1), "float8_e5m2": ("F8_E5M2", 1),
    "complex64": ("C64", 8), "complex128": ("C128", 16), "float8_e4m3fnuz": ("F8_E4M3", 1),
    "float8_e5m2fnuz": ("F8_E5M2", 1), "float8_e8m0fnu": ("F8_E8M0", 1),
}  # fmt: skip
REBUILDERS = frozenset(
    {
        "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter",
        "_rebuild_parameter_with_state", "_rebuild_qtensor", "_rebuild_sparse_tensor",
        "_rebuild_meta_tensor_no_storage", "_rebuild_nested_tensor", "_rebuild_wrapper_subclass",
        "_rebuild_device_tensor_from_numpy", "_rebuild_device_tensor_from_cpu_tensor",
    }
)  # fmt: skip
# Kinds of numbers whose tensors have no size here.
OTHER_DTYPES = (
    "complex32",
    "quint8",
    "qint8",
    "qint32",
    "quint4x2",
    "quint2x4",
    "bits1x8",
    "bits2x4",
    "bits4x2",
    "bits8",
    "bits16",
    "float4_e2m1fn_x2",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in range(1, 8)),
)
QUANTISATIONS = (
    "per_tensor_affine",
    "per_tensor_symmetric",
    "per_channel_affine",
    "per_channel_symmetric",
    "per_channel_affine_float_qparams",
)
TENSORS = tuple(
    f"{kind}Tensor"
    for kind in (
        "BFloat16",
        "Bool",
        "Byte",
        "Char",
        "Double",
        "Float",
        "Half",
        "Int",
        "Long",
        "Short",
    )
)
# What torch's own weights-only loader allows; everything else is code that the file chooses.
ALLOWED = (
    frozenset(
        {
            ("collections", "OrderedDict"), ("collections", "Counter"), ("torch", "Size"),
            ("torch", "Tensor"), ("torch", "device"), ("torch.nn.parameter", "Parameter"),
            ("torch.serialization", "_get_layout"), ("_codecs", "encode"),
            ("builtins", "bytearray"), ("builtins", "set"), ("builtins", "complex"),
            ("__builtin__", "bytearray"), ("__builtin__", "set"), ("__builtin__", "complex"),
            ("torch._tensor", "_rebuild_from_type_v2"), ("torch.storage", "TypedStorage"),
            ("torch.storage", "UntypedStorage"), ("torch.storage", "_LegacyStorage"),
        }
    )
    | {("torch._utils", name) for name in REBUILDERS}
    | {("torch", name) for name in (*STORAGES, *DTYPES, *OTHER_DTYPES, *QUANTISATIONS, *TENSORS)}
    | {("torch.cuda", name) for name in (*STORAGES, *TENSORS)}
    | {(module, name) for module in ("torch.sparse", "torch.cuda.sparse") for name in TENSORS}
    - {("torch.sparse", "BoolTensor"), ("torch.cuda.sparse", "BoolTensor")}
)  # fmt: skip
# The instructions of pickle that this loader follows; others are refused, whatever they do.
INSTRUCTIONS = frozenset(
    {
        "PROTO", "STOP", "GLOBAL", "REDUCE", "BUILD", "NEWOBJ", "BINPERSID", "MARK", "TUPLE",
        "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET",
        "APPEND", "APPENDS", "SETITEM", "SETITEMS", "NONE", "NEWTRUE", "NEWFALSE", "BININT",
        "BININT1", "BININT2", "BINFLOAT", "LONG1", "BINUNICODE", "SHORT_BINSTRING", "BINGET",
        "LONG_BINGET", "BINPUT", "LONG_BINPUT",
    }
)  # fmt: skip
