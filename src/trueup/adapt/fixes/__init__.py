"""Named fixes: what makes a model's own code run on a transformers that it was not written for.

Adding one is a file here, a line in FIXES and its rows in the two test tables.
"""

from __future__ import annotations

from trueup.adapt.fixes.attention_support import AttentionSupport
from trueup.adapt.fixes.batch_call import BatchCall
from trueup.adapt.fixes.cache_methods import CacheMethods
from trueup.adapt.fixes.cache_tuples import CacheTuples
from trueup.adapt.fixes.config_defaults import ConfigDefaults
from trueup.adapt.fixes.cpu_construction import CpuConstruction
from trueup.adapt.fixes.extract_past import ExtractPast
from trueup.adapt.fixes.fix import Fix
from trueup.adapt.fixes.flat_mask import FlatMask
from trueup.adapt.fixes.generation_mixin import AddedGenerationMixin
from trueup.adapt.fixes.head_mask import HeadMask
from trueup.adapt.fixes.kept_buffers import KeptBuffers
from trueup.adapt.fixes.late_imports import LateImports
from trueup.adapt.fixes.layer_count import LayerCount
from trueup.adapt.fixes.loaded_weights import LoadedWeights
from trueup.adapt.fixes.model_arguments import ModelArguments
from trueup.adapt.fixes.own_stream import OwnStream
from trueup.adapt.fixes.pad_signature import PadSignature
from trueup.adapt.fixes.position_ids import PositionIds
from trueup.adapt.fixes.post_init import PostInit
from trueup.adapt.fixes.registered_again import RegisteredAgain
from trueup.adapt.fixes.removed_imports import RemovedImports
from trueup.adapt.fixes.rope_type import RopeType
from trueup.adapt.fixes.tied_keys import TiedKeys
from trueup.adapt.fixes.vocabulary_first import VocabularyFirst

# In the order in which they are applied: what makes the code importable first.
FIXES: tuple[Fix, ...] = (
    RemovedImports(),
    LateImports(),
    RegisteredAgain(),
    LayerCount(),
    ConfigDefaults(),
    RopeType(),
    VocabularyFirst(),
    PadSignature(),
    FlatMask(),
    BatchCall(),
    PostInit(),
    TiedKeys(),
    KeptBuffers(),
    CpuConstruction(),
    LoadedWeights(),
    AttentionSupport(),
    HeadMask(),
    AddedGenerationMixin(),
    ModelArguments(),
    PositionIds(),
    ExtractPast(),
    CacheMethods(),
    CacheTuples(),
    OwnStream(),
)
