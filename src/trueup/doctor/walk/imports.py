"""Imports of the walked code: the model's own files, the library, installed packages."""

from __future__ import annotations

import ast
import functools
import sys

from trueup.doctor.walk.failure import RaisedError
from trueup.doctor.walk.machine import Call
from trueup.doctor.walk.statements import Statements
from trueup.doctor.walk.torch_history import TORCH, torch_life
from trueup.doctor.walk.values import UNKNOWN, Const, Foreign, LibraryName, OwnModule, Table, Value
from trueup.environment.symbols.facts import ClassFacts, FunctionFacts, ModuleFacts
from trueup.environment.symbols.facts import Value as ValueFacts

LIBRARY = "transformers"
MODELS = f"{LIBRARY}.models."
# Names of distributions that differ from those of what they install.
DISTRIBUTIONS = {
    "PIL": "pillow", "cv2": "opencv-python", "sklearn": "scikit-learn", "yaml": "pyyaml",
    "flash_attn": "flash-attn", "google": "protobuf", "bs4": "beautifulsoup4", "skimage":
    "scikit-image", "attr": "attrs", "dateutil": "python-dateutil",
    "causal_conv1d": "causal-conv1d", "mamba_ssm": "mamba-ssm", "rotary_emb": "rotary-emb",
    "opencc": "opencc", "xformers": "xformers", "fla": "flash-linear-attention",
    "triton": "triton", "decord": "decord", "timm": "timm", "huggingface_hub": "huggingface-hub",
}  # fmt: skip

# The library's tables that code takes functions out of, by key: `modeling_rope_utils`.
FUNCTION_TABLES = {
    "ROPE_INIT_FUNCTIONS": {
        "default": "_compute_default_rope_parameters",
        "linear": "_compute_linear_scaling_rope_parameters",
        "dynamic": "_compute_dynamic_ntk_parameters",
        "yarn": "_compute_yarn_parameters",
        "longrope": "_compute_longrope_parameters",
        "llama3": "_compute_llama3_parameters",
        "proportional": "_compute_proportional_rope_parameters",
    }
}


class Imports(Statements):
    """Binds what is imported, or fails as Python would."""

    def import_own(self, path: str) -> OwnModule | None:
        """Run a module of the model's own, once; None where there is no such file.

        Raises:
            RaisedError: importing it fails.
        """
        if path in self.own:
            return self.own[path]
        source = self.world.modules.get(path)
        if source is None:
            return None
        module = self.own[path] = OwnModule(path)
        if source.tree is None:
            self.fail("raised", "SyntaxError", f"{path} does not parse", subject=path)
        module.is_running = True
        self.calls.append(Call("<module>", module))
        class_in_body, self.class_in_body = self.class_in_body, None
        try:
            self.execute(source.tree.body)
        except RaisedError:
            del self.own[path]
            raise
        finally:
            self.class_in_body = class_in_body
        self.calls.pop()
        module.is_running, module.is_done = False, True
        return module

    def _do_import(self, node: ast.Import) -> None:
        for alias in node.names:
            value = self.module_named(alias.name)
            if alias.asname is None and "." in alias.name:
                value = self.module_named(alias.name.partition(".")[0])
            self._bind(alias.asname or alias.name.partition(".")[0], value)

    def _do_importfrom(self, node: ast.ImportFrom) -> None:
        if node.level:
            self._import_relative(node)
            return
        dotted = node.module or ""
        if dotted == "__future__":
            for alias in node.names:
                if alias.name == "annotations":
                    self.put(self.here.module.names, "annotations", UNKNOWN)
            return
        module = self.module_named(dotted)
        for alias in node.names:
            if alias.name == "*":
                self._take_all(module)
                continue
            self._bind(alias.asname or alias.name, self._member(module, dotted, alias.name))

    def module_named(self, dotted: str) -> Value:
        """A module by its full name.

        Raises:
            RaisedError: there is none.
        """
        root = dotted.partition(".")[0]
        if root == LIBRARY:
            found = self.world.symbols.module(dotted)
            if found is None:
                self.fail(
                    "import", "ModuleNotFoundError", f"No module named '{dotted}'", subject=dotted
                )
            return LibraryName(dotted, found)
        if not self.is_installed(root):
            self.fail("package", "ModuleNotFoundError", f"No module named '{root}'", subject=root)
        if root == TORCH and torch_life(dotted, self.world.packages) is not None:
            message = f"No module named '{dotted}'"
            self.fail("import", "ModuleNotFoundError", message, subject=dotted)
        return Foreign(dotted)

    def is_installed(self, root: str) -> bool:
        """Whether a package can be imported: of the standard library, or a distribution's."""
        if root in sys.stdlib_module_names or root == "torch":
            return True
        packages = self.world.packages
        names = {
            DISTRIBUTIONS.get(root, root).lower(),
            root.lower(),
            root.lower().replace("_", "-"),
        }
        return bool(names & packages.keys()) or not packages

    def _member(self, module: Value, dotted: str, name: str) -> Value:
        full = f"{dotted}.{name}"
        if isinstance(module, Foreign):
            if module.root == TORCH and torch_life(full, self.world.packages) is not None:
                message = f"cannot import name '{name}' from '{dotted}'"
                self.fail("import", "ImportError", message, subject=full, owner=dotted)
            return self.foreign_member(f"{module.dotted}.{name}")
        found = self.library_name(full)
        if found is None:
            facts = module.found if isinstance(module, LibraryName) else None
            if isinstance(facts, ModuleFacts) and facts.has_getattr and not facts.is_lazy:
                return UNKNOWN
            self.fail(
                "import",
                "ImportError",
                f"cannot import name '{name}' from '{dotted}'",
                subject=full,
                owner=dotted,
            )
        return found

    def foreign_member(self, dotted: str) -> Value:
        """A name of a package that is not looked into."""
        if dotted == "torch.__version__":
            return Const(self.world.packages.get("torch", "2.0.0"))
        return Foreign(dotted)

    def library_name(self, dotted: str) -> Value | None:
        """What the library has under a full name; None for nothing."""
        if dotted == f"{LIBRARY}.__version__":
            return Const(self.world.version_text())
        found = self.world.symbols.resolve(dotted)
        if found is None:
            return None
        if isinstance(found, ValueFacts):
            if found.target is not None:
                return Foreign(found.target)
            return self._table(dotted) or _literal(found.literal)
        if isinstance(found, ClassFacts):
            return LibraryName(found.dotted, found)
        if isinstance(found, FunctionFacts | ModuleFacts):
            return LibraryName(dotted, found)
        return UNKNOWN

    def _table(self, dotted: str) -> Value | None:
        """A table of functions, of which a release has the entries whose functions it has."""
        module, _, name = dotted.rpartition(".")
        functions = FUNCTION_TABLES.get(name)
        if functions is None:
            return None
        found = {key: self.library_name(f"{module}.{each}") for key, each in functions.items()}
        return Table({key: value for key, value in found.items() if value is not None})

    def _import_relative(self, node: ast.ImportFrom) -> None:
        here = self.here.module.path.split("/")[:-1]
        base = here[: len(here) - (node.level - 1)] if node.level > 1 else here
        parts = [*base, *(node.module.split(".") if node.module else [])]
        if node.module:
            module = self._own(parts)
            for alias in node.names:
                if alias.name == "*":
                    self._take_all(module)
                    continue
                self._bind(alias.asname or alias.name, self._own_member(module, parts, alias.name))
            return
        for alias in node.names:
            self._bind(alias.asname or alias.name, self._own([*parts, alias.name]))

    def _own(self, parts: list[str]) -> Value:
        for path in ("/".join(parts) + ".py", "/".join([*parts, "__init__.py"])):
            module = self.import_own(path)
            if module is not None:
                return module
        # The library looks for the file before it runs any of them.
        return self.fail(
            "import",
            "OSError",
            f"there is no file {parts[-1]}.py",
            subject="/".join(parts) + ".py",
        )

    def _own_member(self, module: Value, parts: list[str], name: str) -> Value:
        if not isinstance(module, OwnModule):
            return UNKNOWN
        if name in module.names:
            return module.names[name]
        if "*" in module.names:
            return UNKNOWN
        submodule = "/".join([*parts, name]) + ".py"
        if submodule in self.world.modules:
            return self.import_own(submodule) or UNKNOWN
        circular = " (most likely due to a circular import)" if module.is_running else ""
        return self.fail(
            "import",
            "ImportError",
            f"cannot import name '{name}' from '{parts[-1]}'{circular}",
            subject=f"{'/'.join(parts)}.py:{name}",
        )

    def _take_all(self, module: Value) -> None:
        names = self.here.module.names
        if isinstance(module, OwnModule):
            for name, value in list(module.names.items()):
                if not name.startswith("_"):
                    self.put(names, name, value)
            return
        facts = module.found if isinstance(module, LibraryName) else None
        if not isinstance(facts, ModuleFacts) or facts.is_lazy or facts.is_opaque or facts.stars:
            self.put(names, "*", UNKNOWN)
            return
        public = facts.public
        for name in facts.exports if public is None else public:
            if public is not None or not name.startswith("_"):
                found = self.library_name(f"{facts.name}.{name}")
                self.put(names, name, UNKNOWN if found is None else found)


@functools.lru_cache(maxsize=8192)
def _literal(source: str | None) -> Value:
    if source is None:
        return UNKNOWN
    try:
        value = ast.literal_eval(source)
    except (ValueError, SyntaxError):
        return UNKNOWN
    return Const(value) if isinstance(value, str | int | float | bool | type(None)) else UNKNOWN
