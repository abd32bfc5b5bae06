"""The languages whose functions and classes can be cut, and how a file's language is told.

Rows of data: what a grammar calls functions, classes and mere scopes. A new language is a row
here, a source in tests/similarity/sources, and a pin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trueup.similarity import grammar_queries as queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language: its grammar's module and function, and a query that finds its snippets.

    The query captures a whole `@function`, `@class` or `@scope` together with its `@name`.
    """

    name: str
    extensions: tuple[str, ...]
    module: str
    query: str
    grammar: str = "language"
    interpreters: tuple[str, ...] = ()


LANGUAGES: tuple[Language, ...] = (
    Language(
        name="python",
        extensions=(".py", ".pyi", ".pyw"),
        module="tree_sitter_python",
        query=queries.PYTHON,
        interpreters=("python", "pypy"),
    ),
    Language(
        name="javascript",
        extensions=(".js", ".jsx", ".mjs", ".cjs"),
        module="tree_sitter_javascript",
        query=queries.JAVASCRIPT,
        interpreters=("node", "nodejs", "deno", "bun"),
    ),
    Language(
        name="typescript",
        extensions=(".ts", ".mts", ".cts"),
        module="tree_sitter_typescript",
        grammar="language_typescript",
        query=queries.TYPESCRIPT,
        interpreters=("ts-node", "tsx"),
    ),
    Language(
        name="tsx",
        extensions=(".tsx",),
        module="tree_sitter_typescript",
        grammar="language_tsx",
        query=queries.TYPESCRIPT,
    ),
    Language(
        name="java", extensions=(".java",), module="tree_sitter_java", query=queries.JAVA
    ),
    Language(name="go", extensions=(".go",), module="tree_sitter_go", query=queries.GO),
    Language(name="c", extensions=(".c", ".h"), module="tree_sitter_c", query=queries.C),
    Language(
        name="cpp",
        extensions=(".cpp", ".cc", ".cxx", ".c++", ".hpp", ".hh", ".hxx", ".h++", ".h", ".cu"),
        module="tree_sitter_cpp",
        query=queries.CPP,
    ),
    Language(name="rust", extensions=(".rs",), module="tree_sitter_rust", query=queries.RUST),
    Language(
        name="ruby",
        extensions=(".rb", ".rake"),
        module="tree_sitter_ruby",
        query=queries.RUBY,
        interpreters=("ruby",),
    ),
    Language(
        name="php",
        extensions=(".php", ".phtml"),
        module="tree_sitter_php",
        grammar="language_php",
        query=queries.PHP,
        interpreters=("php",),
    ),
    Language(
        name="csharp", extensions=(".cs",), module="tree_sitter_c_sharp", query=queries.CSHARP
    ),
    Language(
        name="kotlin",
        extensions=(".kt", ".kts"),
        module="tree_sitter_kotlin",
        query=queries.KOTLIN,
    ),
    Language(
        name="scala", extensions=(".scala", ".sc"), module="tree_sitter_scala", query=queries.SCALA
    ),
    Language(
        name="bash",
        extensions=(".sh", ".bash"),
        module="tree_sitter_bash",
        query=queries.BASH,
        interpreters=("bash", "sh", "dash", "zsh", "ksh"),
    ),
)  # fmt: skip
BY_NAME = {language.name: language for language in LANGUAGES}
# The C grammar reads a C++ class as a function without complaint.
CPLUSPLUS_HEADER = re.compile(
    r"^\s*(?:class\s+\w|namespace\b|template\s*<|using\s|(?:public|private|protected)\s*:)",
    re.MULTILINE,
)
SHEBANG = re.compile(r"#![ \t]*(?:\S*/)?(?:env[ \t]+(?:-S[ \t]+)?)?(?:\S*/)?([A-Za-z_-]+)")


def languages_of(path: str, text: str = "") -> tuple[Language, ...]:
    """What the file may be written in, likeliest first: several for `.h`, none where unknown.

    By its extension; a file without any by the interpreter in its first line.
    """
    name = path.rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    if dot and stem:
        wanted = f".{extension.lower()}"
        if wanted == ".h" and CPLUSPLUS_HEADER.search(text):
            return (BY_NAME["cpp"],)
        return tuple(language for language in LANGUAGES if wanted in language.extensions)
    found = SHEBANG.match(text)
    if found is None:
        return ()
    return tuple(each for each in LANGUAGES if found.group(1) in each.interpreters)
