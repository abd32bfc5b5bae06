"""Turn a snippet and its cases into a program that prints one JSON result a line.

The entry of a snippet is its last top-level function. Arguments are written as literals
of the types that its signature declares, so sources stay plain functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Case = list[Any]

JAVA_SHELL = """import java.util.*;
import java.util.function.*;
import java.util.stream.*;

public class Main {
%(code)s

    static String json(Object o) {
        if (o == null || o instanceof Number || o instanceof Boolean) return String.valueOf(o);
        if (o instanceof String || o instanceof Character) {
            StringBuilder out = new StringBuilder("\\"");
            for (char c : o.toString().toCharArray())
                out.append(c < 32 || c > 126 || c == '"' || c == '\\\\'
                    ? String.format("\\\\u%%04x", (int) c) : String.valueOf(c));
            return out.append('"').toString();
        }
        if (o instanceof Map) {
            List<String> parts = new ArrayList<>();
            ((Map<?, ?>) o).forEach((k, v) -> parts.add(json(k.toString()) + ":" + json(v)));
            return "{" + String.join(",", parts) + "}";
        }
        List<String> parts = new ArrayList<>();
        if (o instanceof Iterable) for (Object item : (Iterable<?>) o) parts.add(json(item));
        else for (int i = 0; i < java.lang.reflect.Array.getLength(o); i++)
            parts.add(json(java.lang.reflect.Array.get(o, i)));
        return "[" + String.join(",", parts) + "]";
    }

    public static void main(String[] args) {
%(calls)s
    }
}
"""

RUST_SHELL = """#![allow(unused_imports, dead_code)]
use std::collections::*;
%(code)s

trait Json { fn json(&self) -> String; }
macro_rules! plain { ($($t:ty)*) => { $(impl Json for $t {
    fn json(&self) -> String { self.to_string() } })* } }
plain!(i32 i64 u8 u16 u32 u64 usize isize f64 bool);
impl Json for str { fn json(&self) -> String { format!("\\"{}\\"", self.chars().map(|c|
    if c < ' ' || c > '~' || c == '"' || c == '\\\\' { format!("\\\\u{:04x}", c as u32) }
    else { c.to_string() }).collect::<String>()) } }
impl Json for String { fn json(&self) -> String { self.as_str().json() } }
impl Json for char { fn json(&self) -> String { self.to_string().json() } }
impl<T: Json + ?Sized> Json for &T { fn json(&self) -> String { (**self).json() } }
impl<T: Json> Json for Option<T> { fn json(&self) -> String {
    self.as_ref().map_or("null".to_string(), |v| v.json()) } }
impl<T: Json> Json for Vec<T> { fn json(&self) -> String {
    format!("[{}]", self.iter().map(|v| v.json()).collect::<Vec<_>>().join(",")) } }
impl<A: Json, B: Json> Json for (A, B) { fn json(&self) -> String {
    format!("[{},{}]", self.0.json(), self.1.json()) } }
impl<A: Json, B: Json, C: Json> Json for (A, B, C) { fn json(&self) -> String {
    format!("[{},{},{}]", self.0.json(), self.1.json(), self.2.json()) } }
impl<V: Json> Json for HashMap<String, V> { fn json(&self) -> String { format!("{{{}}}",
    self.iter().map(|(k, v)| format!("{}:{}", k.json(), v.json()))
        .collect::<Vec<_>>().join(",")) } }
impl<V: Json> Json for BTreeMap<String, V> { fn json(&self) -> String { format!("{{{}}}",
    self.iter().map(|(k, v)| format!("{}:{}", k.json(), v.json()))
        .collect::<Vec<_>>().join(",")) } }

fn main() {
%(calls)s
}
"""

CPP_SHELL = """#include <bits/stdc++.h>

%(code)s

template <class T> std::enable_if_t<std::is_arithmetic_v<T>, std::string> json(T v) {
    std::ostringstream out;
    out << std::setprecision(17) << std::boolalpha << v;
    return out.str();
}
static std::string json(const std::string& v) {
    std::ostringstream out;
    out << '"';
    for (unsigned char c : v)
        if (c < 32 || c == '"' || c == '\\\\')
            out << "\\\\u" << std::hex << std::setw(4) << std::setfill('0') << int(c) << std::dec;
        else out << c;
    return out.str() + '"';
}
template <class A, class B> std::string json(const std::pair<A, B>& v);
template <class T> std::string json(const std::vector<T>& v);
template <class T> std::string json(const std::optional<T>& v) {
    return v ? json(*v) : "null";
}
template <class T> std::string json(const std::map<std::string, T>& v) {
    std::string out;
    for (const auto& [k, item] : v) out += (out.empty() ? "" : ",") + json(k) + ":" + json(item);
    return "{" + out + "}";
}
template <class A, class B> std::string json(const std::pair<A, B>& v) {
    return "[" + json(v.first) + "," + json(v.second) + "]";
}
template <class T> std::string json(const std::vector<T>& v) {
    std::string out = "[";
    for (size_t i = 0; i < v.size(); i++) out += (i ? "," : "") + json(T(v[i]));
    return out + "]";
}

int main() {
%(calls)s
}
"""

C_SHELL = """#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

%(code)s

static char buffer[65536];
static void print_text(const char *v)
{
    putchar('"');
    for (; *v; v++)
        if ((unsigned char)*v < 32 || *v == '"' || *v == '\\\\')
            printf("\\\\u%%04x", (unsigned char)*v);
        else
            putchar(*v);
    puts("\\"");
}
static void print_bool(bool v) { puts(v ? "true" : "false"); }
static void print_double(double v) { printf("%%.17g\\n", v); }
static void print_long(long long v) { printf("%%lld\\n", v); }

int main(void)
{
%(calls)s
    return 0;
}
"""

ENTRIES = {
    "java": r"(?m)^(?:public |private )?static (.+?) (\w+)\(([^{]*)\)\s*\{",
    "rust": r"(?m)^(?:pub )?fn (\w+)(?:<[^>]*>)?\(([^{]*?)\)\s*(?:->|\{)",
    "cpp": r"(?m)^(?:static )?([\w:][\w:<>,& ]*?) (\w+)\(([^{;]*)\)\s*\{",
    "c": r"(?m)^(?:static )?([\w ]+? \*?)(\w+)\(([^{;]*)\)\s*\{",
}


def split_top(text: str) -> list[str]:
    """Split at the commas that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for position, char in enumerate(text):
        depth += (char in "<([") - (char in ">)]")
        if char == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def quoted(value: str) -> str:
    """Return a string literal that C, C++, Java and Rust read alike."""
    plain = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
    return '"' + "".join(plain.get(char, char) for char in value) + '"'


def number(value: Any, is_real: bool, suffix: str = "") -> str:
    """Return a number literal: reals always with a point."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(float(value)) if is_real else f"{int(value)}{suffix}"


def java_literal(kind: str, value: Any) -> str:
    """Write `value` as the Java type `kind`."""
    kind = kind.strip()
    if value is None:
        return "null"
    if kind.endswith("[]"):
        items = ", ".join(java_literal(kind[:-2], item) for item in value)
        return f"new {kind}{{{items}}}"
    if kind.startswith("List<"):
        listed = ", ".join(java_literal(kind[5:-1], item) for item in value)
        return f"new ArrayList<{kind[5:-1]}>(Arrays.asList({listed}))"
    if kind.startswith("Map<"):
        inner = split_top(kind[4:-1])[1]
        puts = "".join(f"put({quoted(k)}, {java_literal(inner, v)}); " for k, v in value.items())
        return f"new LinkedHashMap<String, {inner}>() {{{{ {puts}}}}}"
    if kind == "String":
        return quoted(value)
    if kind == "char":
        return f"'{value}'"
    return number(value, kind in ("double", "Double"), "L" if kind in ("long", "Long") else "")


def rust_literal(kind: str, value: Any) -> str:
    """Write `value` as the Rust type `kind`."""
    kind = re.sub(r"^&'\w+ ", "&", kind.strip())
    if kind == "&str":
        return quoted(value)
    if kind.startswith("&["):
        return f"&[{', '.join(rust_literal(kind[2:-1], item) for item in value)}]"
    if kind.startswith("&"):
        return "&" + rust_literal(kind[1:], value)
    if kind.startswith("Option<"):
        return "None" if value is None else f"Some({rust_literal(kind[7:-1], value)})"
    if kind.startswith("Vec<"):
        return f"vec![{', '.join(rust_literal(kind[4:-1], item) for item in value)}]"
    if kind.startswith("("):
        inner = zip(split_top(kind[1:-1]), value, strict=True)
        return f"({', '.join(rust_literal(k, v) for k, v in inner)})"
    if "Map<" in kind:
        name, _, rest = kind.partition("<")
        inner_kind = split_top(rest[:-1])[1]
        pairs = (
            f"({quoted(k)}.to_string(), {rust_literal(inner_kind, v)})" for k, v in value.items()
        )
        return f"{name}::from([{', '.join(pairs)}])"
    if kind == "String":
        return f"{quoted(value)}.to_string()"
    if kind == "char":
        return f"'{value}'"
    return number(value, kind == "f64")


def cpp_literal(kind: str, value: Any) -> str:
    """Write `value` as the C++ type `kind`."""
    kind = re.sub(r"^const |&$", "", kind.strip()).strip().removesuffix("&").strip()
    name, _, rest = kind.partition("<")
    if name == "std::optional":
        return "std::nullopt" if value is None else f"{kind}({cpp_literal(rest[:-1], value)})"
    if name == "std::vector":
        return f"{kind}{{{', '.join(cpp_literal(rest[:-1], item) for item in value)}}}"
    if name == "std::pair":
        first, second = split_top(rest[:-1])
        return f"{kind}({cpp_literal(first, value[0])}, {cpp_literal(second, value[1])})"
    if name == "std::map":
        inner = split_top(rest[:-1])[1]
        items = ", ".join(f"{{{quoted(k)}, {cpp_literal(inner, v)}}}" for k, v in value.items())
        return f"{kind}{{{items}}}"
    if kind == "std::string":
        return f"std::string({quoted(value)})"
    if kind == "char":
        return f"'{value}'"
    return number(value, kind == "double")


def c_arguments(parameters: list[str], case: Case) -> Iterator[str]:
    """Write a case for C: an array fills the length after it, `char *out` is a buffer."""
    values = iter(case)
    length: int | None = None
    for parameter in parameters:
        kind = re.sub(r"\w+(\[\])?$", lambda m: "*" if m[1] else "", parameter).strip()
        bare = kind.replace("const", "").replace(" ", "")
        if length is not None:
            yield str(length)
            length = None
        elif kind == "char *":
            yield "buffer"
        elif bare == "char*":
            yield quoted(next(values))
        elif "*" in bare:
            items = next(values)
            length = len(items)
            element = bare[:-1]
            text = (
                quoted(item) if element == "char*" else number(item, element == "double")
                for item in items
            )
            spelt = "const char *" if element == "char*" else re.sub(r"^const |\s*\*$", "", kind)
            yield f"({spelt}[]){{{', '.join(text) or '0'}}}"
        elif bare == "char":
            yield f"'{next(values)}'"
        else:
            yield number(next(values), bare == "double")


def entry(language: str, code: str) -> tuple[str, str, list[str]]:
    """Return the return type (empty for Rust), name and parameters of the last function."""
    found = list(re.finditer(ENTRIES[language], code))[-1].groups()
    kind, name, parameters = found if len(found) == 3 else ("", *found)
    return kind, name, split_top(" ".join(parameters.split()))


def java_program(code: str, cases: list[Case]) -> str:
    """Return a Java program of a class `Main`."""
    _, name, parameters = entry("java", code)
    kinds = [parameter.rpartition(" ")[0] for parameter in parameters]
    calls = [[java_literal(k, v) for k, v in zip(kinds, case, strict=True)] for case in cases]
    lines = [f"System.out.println(json({name}({', '.join(call)})));" for call in calls]
    return JAVA_SHELL % {"code": code, "calls": "\n".join(lines)}


def rust_program(code: str, cases: list[Case]) -> str:
    """Return a Rust program."""
    _, name, parameters = entry("rust", code)
    kinds = [parameter.partition(":")[2] for parameter in parameters]
    calls = [[rust_literal(k, v) for k, v in zip(kinds, case, strict=True)] for case in cases]
    lines = [f'println!("{{}}", {name}({", ".join(call)}).json());' for call in calls]
    return RUST_SHELL % {"code": code, "calls": "\n".join(lines)}


def cpp_program(code: str, cases: list[Case]) -> str:
    """Return a C++17 program."""
    _, name, parameters = entry("cpp", code)
    kinds = [parameter.rpartition(" ")[0] for parameter in parameters]
    calls = [[cpp_literal(k, v) for k, v in zip(kinds, case, strict=True)] for case in cases]
    lines = [f"std::cout << json({name}({', '.join(call)})) << '\\n';" for call in calls]
    return CPP_SHELL % {"code": code, "calls": "\n".join(lines)}


def c_program(code: str, cases: list[Case]) -> str:
    """Return a C11 program."""
    kind, name, parameters = entry("c", code)
    show = {"char *": "text", "bool": "bool", "double": "double"}.get(kind.strip(), "long")
    lines = [f"print_{show}({name}({', '.join(c_arguments(parameters, case))}));" for case in cases]
    return C_SHELL % {"code": code, "calls": "\n".join(lines)}


def javascript_program(code: str, cases: list[Case]) -> str:
    """Return a JavaScript program for node."""
    name = re.findall(r"(?m)^(?:function\*? (\w+)|const (\w+) = (?:\(|\w+ =>))", code)[-1]
    return (
        f"{code}\nfor (const args of {json.dumps(cases)})\n"
        f"  console.log(JSON.stringify({name[0] or name[1]}(...args) ?? null));\n"
    )


PROGRAMS: dict[str, Callable[[str, list[Case]], str]] = {
    "javascript": javascript_program,
    "java": java_program,
    "c": c_program,
    "cpp": cpp_program,
    "rust": rust_program,
}
