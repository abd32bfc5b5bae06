"""Published layouts that TrueUp maps onto classes of the library, and none of whose code runs."""

from trueup.adapt.native.family import NativeFamily
from trueup.adapt.native.glm import CHATGLM, CHATGLM2, CHATGLM3, GLM4

NATIVE: tuple[NativeFamily, ...] = (
    CHATGLM2,
    CHATGLM3,
    GLM4,
    CHATGLM,
)
