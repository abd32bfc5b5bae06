"""Published layouts that TrueUp maps onto classes of the library, and none of whose code runs."""

from trueup.adapt.native.baichuan import BAICHUAN, BAICHUAN_ALIBI, BAICHUAN_CHAT
from trueup.adapt.native.family import NativeFamily
from trueup.adapt.native.glm import CHATGLM, CHATGLM2, CHATGLM3, GLM4
from trueup.adapt.native.internlm import INTERNLM, INTERNLM2, INTERNLM2_TEXT, INTERNLM_TEXT

NATIVE: tuple[NativeFamily, ...] = (
    CHATGLM2,
    CHATGLM3,
    GLM4,
    CHATGLM,
    BAICHUAN,
    BAICHUAN_CHAT,
    BAICHUAN_ALIBI,
    INTERNLM,
    INTERNLM_TEXT,
    INTERNLM2,
    INTERNLM2_TEXT,
)
