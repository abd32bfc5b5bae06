"""Decides which agent gets a message, by rules that can be read here."""

from __future__ import annotations

import re

import code_agent
import performance_agent
import user_agent
from connection import AgentError

COMMANDS = {
    "/talk": user_agent.ROLE,
    "/code": code_agent.ROLE,
    "/perf": performance_agent.ROLE,
}
CODE_WORDS = re.compile(
    r"函数|代码|重复|相似|```|\b\w+_\w+\(|"
    r"\b(functions?|code|duplicat\w*|similar|alike|methods?|refactor\w*)\b",
    re.I | re.A,  # ASCII words: a Chinese character next to one ends it
)
FIGURE_WORDS = re.compile(
    r"性能|延迟|吞吐|响应时间|耗时|多快|速度|"
    r"\b(performance|latency|throughput|response times?|p95|how fast|slow\w*|seconds|figures)\b",
    re.I | re.A,  # ASCII words: a Chinese character next to one ends it
)


def route(message: str) -> tuple[str, str]:
    """The role that answers, and what it is asked.

    1. A command at the beginning decides, and is taken off.
    2. Words of performance (performance, latency, 性能, 延迟…): performance_analysis. They come
       first: figures have names such as `code_analysis`.
    3. Words of code (function, duplicate, 函数, 重复…): code_analysis.
    4. Everything else: user_communication.

    Raises: AgentError for a command that there is not, or one without a question.
    """
    message = message.strip()
    if message.startswith("/"):
        command, *rest = message.split(maxsplit=1)
        if command not in COMMANDS:
            raise AgentError(f"`{command}` is no command", f"commands: {', '.join(COMMANDS)}")
        if not rest:
            raise AgentError(f"`{command}` needs a question after it")
        return COMMANDS[command], rest[0]
    if FIGURE_WORDS.search(message):
        return performance_agent.ROLE, message
    if CODE_WORDS.search(message):
        return code_agent.ROLE, message
    return user_agent.ROLE, message
