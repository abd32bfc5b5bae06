"""The audit of remote code: what reaches beyond the model is found, ordinary code is not."""

import pytest

from tests.doctor.facts import checkpoint, environment, module
from trueup.checkpoint.checkpoint import RemoteModule
from trueup.doctor.audit import audit_module
from trueup.doctor.examine import examine
from trueup.doctor.report import is_avoided


def alarms(source: str) -> list[tuple[str, str, int]]:
    return [(each.kind, each.what, each.line) for each in audit_module(module("m.py", source))]


def kinds(source: str) -> list[str]:
    return [kind for kind, _, _ in alarms(source)]


@pytest.mark.parametrize(
    ("source", "kind", "what"),
    [
        ("import os\nos.system(x)", "process", "`os.system`"),
        ("import subprocess as sp\nsp.run(x)", "process", "`subprocess.run`"),
        ("from subprocess import Popen as P\nP(x)", "process", "`subprocess.Popen`"),
        ("import os\nmap(os.system, names)", "process", "`os.system`"),
        ("import os\nrun = os.popen\nrun(x)", "process", "`os.popen`"),
        ("__import__('os').system(x)", "process", "`os.system`"),
        ("import importlib as i\ni.import_module('os').system(x)", "process", "`os.system`"),
        ("import sys\nsys.modules['os'].system(x)", "process", "`os.system`"),
        ("import os\ngetattr(os, 'sys' + 'tem')(x)", "process", "`os.system`"),
        ("import os\ngetattr(os, ''.join(['sys', 'tem']))(x)", "process", "`os.system`"),
        ("import os\ngetattr(os, 'metsys'[::-1])(x)", "process", "`os.system`"),
        ("import os\nos.__dict__['system'](x)", "process", "`os.system`"),
        ("import os\nvars(os)['system'](x)", "process", "`os.system`"),
        ("import os as m\nm.system(x)\ndef f():\n    import json as m", "process", "`os.system`"),
        ("import re as m\nimport os as m\nm.system(x)\nimport io as m", "process", "`os.system`"),
        ("import os\nf = len\nf = os.getpid\nf = os.system\nf(x)", "process", "`os.system`"),
        ("import os\nos.system.__call__.__call__(x)", "process", "`os.system`"),
        ("import operator, os\noperator.attrgetter('system')(os)('x')", "process", "`os.system`"),
        ("from operator import methodcaller as m\nimport os\nm('system', 'x')(os)", "process",
         "`os.system`"),
        ("import transformers\ntransformers.AutoModel = None", "imports",
         "`transformers.AutoModel` is replaced"),
        ("from torch import nn\nnn.Linear.forward = f", "imports",
         "`torch.nn.Linear.forward` is replaced"),
        ("import torch as t\nsetattr(t, 'load', f)", "imports", "`torch.load` is replaced"),
        ("import requests\nrequests.get(x)", "network", "`requests.get`"),
        ("from urllib.request import urlopen\nurlopen(x)", "network", "`urllib.request.urlopen`"),
        ("import socket\nsocket.create_connection(x)", "network", "`socket.create_connection`"),
        ("import torch\ntorch.hub.load(x, y)", "network", "`torch.hub.load`"),
        ("from huggingface_hub import hf_hub_download as d\nd(x)", "network",
         "`huggingface_hub.hf_hub_download`"),
        ("eval(text)", "evaluates", "`eval`"),
        ("exec(text)", "evaluates", "`exec`"),
        ("e = eval\ne(text)", "evaluates", "`eval`"),
        ("import builtins\nbuiltins.exec(text)", "evaluates", "`exec`"),
        ("__builtins__['exec'](text)", "evaluates", "`exec`"),
        ("globals()['__builtins__'].eval(text)", "evaluates", "`eval`"),
        ("x = ().__class__.__base__.__subclasses__()", "evaluates", "`__subclasses__`"),
        ("import pickle\npickle.load(f)", "unpickles", "`pickle.load`"),
        ("import torch\ntorch.load(f)", "unpickles", "`torch.load` without `weights_only=True`"),
        ("import torch\ntorch.load(f, weights_only=False)", "unpickles",
         "`torch.load` without `weights_only=True`"),
        ("import numpy as np\nnp.load(f, allow_pickle=True)", "unpickles",
         "`numpy.load` with `allow_pickle=True`"),
        ("import yaml\nyaml.load(f)", "unpickles", "`yaml.load` without a safe loader"),
        ("import ctypes\nctypes.CDLL(x)", "native", "`ctypes.CDLL`"),
        ("from torch.utils.cpp_extension import load\nload(name=x)", "native",
         "`torch.utils.cpp_extension.load`"),
        ("import importlib\nimportlib.import_module(name)", "imports",
         "`importlib.import_module` of a computed name"),
        ("M.from_pretrained(x, trust_remote_code=True)", "imports",
         "`trust_remote_code=True`: the code of another repository"),
        ("from os import *", "imports", "`from os import *`"),
        ("import sys\nsys.path.insert(0, x)", "imports", "`sys.path.insert`"),
        ("import sys\nsys.modules['torch'] = x", "imports", "`sys.modules` is changed"),
        ("import os\nos.environ['HF_TOKEN']", "secrets", "the variable `HF_TOKEN`"),
        ("import os\nos.getenv('AWS_SECRET_ACCESS_KEY')", "secrets",
         "the variable `AWS_SECRET_ACCESS_KEY`"),
        ("import os\nos.environ.copy()", "secrets", "`os.environ.copy`"),
        ("p = '~/.ssh/id_rsa'", "secrets", "the path `'~/.ssh/id_rsa'`"),
        ("open(x, 'w')", "writes", '`open` with `"w"`'),
        ("open(x, mode='r+')", "writes", '`open` with `"r+"`'),
        ("import shutil\nshutil.rmtree(x)", "writes", "`shutil.rmtree`"),
        ("p.write_text(x)", "writes", "`write_text`"),
        (f"k = '{'QmFz' * 150}'", "hidden", "a string of 600 characters"),
    ],
)  # fmt: skip
def test_what_reaches_beyond_the_model_is_named(source: str, kind: str, what: str) -> None:
    assert (kind, what) in [each[:2] for each in alarms(source)]


@pytest.mark.parametrize(
    "source",
    [
        "import base64\nexec(base64.b64decode(x))",
        "from base64 import b64decode as d\nt = d(x)\nu = t.decode()\nexec(u)",
        "import zlib, base64\neval(compile(zlib.decompress(base64.b85decode(x)), 'a', 'exec'))",
        "import base64\ndef g():\n    global t\n    t = base64.b64decode(x)\ng()\nu = t\nexec(u)",
        "exec(bytes.fromhex(x))",
        "exec(''.join(chr(n ^ 7) for n in numbers))",
        "exec(x.decode('rot13'))",
        "import marshal, types\ntypes.FunctionType(marshal.loads(x), {})",
        "import os, base64\nos.system(base64.b64decode(x))",
        "__import__(bytes.fromhex('6f73').decode())",
        "import os\ngetattr(os, name)(x)",
        "import builtins\ngetattr(builtins, name)(x)",
        "getattr(__builtins__, name)(x)",
        "getattr(__import__('o' + 's'), name)(x)",
        "__builtins__[name](x)",
        "x = 1  # \u202e hidden",
        "x = 1;" + " " * 200 + "y = 2",
        "# coding: rot13\nx = 1",
    ],
)
def test_code_that_hides_what_it_runs_is_seen(source: str) -> None:
    unread = RemoteModule(path="m.py", source=source, sha256="0", tree=None)
    parsed = unread if source.startswith("#") else module("m.py", source)
    assert "obfuscated" in [each.kind for each in audit_module(parsed)]


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "import re\nre.compile('a')",
        "import torch\ntorch.compile(f)\ntorch.load(f, weights_only=True)",
        "import ast\nast.literal_eval(x)",
        "import os\nos.path.join(a, b)\nos.environ.get('LOCAL_RANK')\nos.listdir(a)",
        "import os\nos.environ['TOKENIZERS_PARALLELISM'] = 'false'",
        "import os\nos.getenv('MAX_TOKENS')",
        "with open(x, encoding='utf-8') as f: f.read()",
        "import numpy as np\nnp.load(x)",
        "import yaml\nyaml.load(x, Loader=yaml.SafeLoader)\nyaml.safe_load(x)",
        "import importlib\nimportlib.import_module('flash_attn')",
        "import ctypes\nctypes.c_void_p(x)",
        "getattr(self, name)\ngetattr(torch, dtype)",
        "import torch\ntorch.backends.cudnn.allow_tf32 = True\nsetattr(self, 'a', 1)",
        "from transformers.utils import logging\nlogging.verbosity = 1\nlogger = logging.x(1)",
        "import requests\ntry: pass\nexcept requests.exceptions.HTTPError: pass",
        "import subprocess",
        "def f():\n    '''Call os.system, see ~/.ssh/config.'''",
        "class T:\n    def save_vocabulary(self, path):\n        open(path, 'w').write('x')",
        "if __name__ == '__main__':\n    import subprocess\n    subprocess.run(x)",
        "M.from_pretrained(x, trust_remote_code=False)",
        "names = [" + ", ".join(f"'token{n}'" for n in range(300)) + "]",
        "x = 1  " + "#" * 200,
        "x = '" + ("word " * 200) + "'",
    ],
)
def test_ordinary_code_is_no_alarm(source: str) -> None:
    assert alarms(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle, zlib\npickle.loads(zlib.decompress(x))",
        "import base64\nimage = base64.b64decode(x)\neval(text)",
        "import chromadb\ntext = chromadb.get(x)\neval(text)",
        "text = x.translate(table)\neval(text)",
    ],
)
def test_what_is_only_compressed_or_unrelated_is_a_warning_and_no_error(source: str) -> None:
    assert "obfuscated" not in kinds(source)
    assert kinds(source)


def test_a_file_that_calls_itself_the_main_program_is_not_excused() -> None:
    source = "__name__ = '__main__'\nif __name__ == '__main__':\n    import os\n    os.system(x)"
    assert kinds(source) == ["process"]


def test_what_follows_the_main_block_as_its_else_is_not_excused() -> None:
    source = "import os\nif __name__ == '__main__':\n    pass\nelse:\n    os.system(x)"
    assert kinds(source) == ["process"]


def test_it_is_told_what_runs_as_soon_as_the_file_is_imported() -> None:
    source = (
        "import requests\n"
        "def f(a=requests.get(1)):\n"
        "    return requests.get(2)\n"
        "class C:\n"
        "    x = requests.get(3)\n"
    )
    found = [(each.line, each.function) for each in audit_module(module("m.py", source))]
    assert found == [(2, None), (3, "f"), (5, None)]


def test_alarms_become_warnings_of_a_file_that_only_the_native_route_avoids() -> None:
    source = "import os\ndef f():\n    os.system(1)\n    os.system(2)\nos.popen(3)\n"
    (finding,) = [
        each
        for each in examine(checkpoint(modeling=source), environment())
        if each.code.startswith("SAFE")
    ]
    assert (finding.code, finding.severity, finding.where.line) == ("SAFE112", "warning", 3)
    assert finding.cause == (
        "`modeling_x.py` starts other programs: `os.system` (lines 3, 4), "
        "`os.popen` (line 5 at import)"
    )
    assert is_avoided(finding, "native")
    assert not is_avoided(finding, "fixed")


def test_code_that_hides_itself_closes_the_routes_that_run_it() -> None:
    source = "import base64\nexec(base64.b64decode(x))\n"
    (finding,) = [
        each
        for each in examine(checkpoint(modeling=source), environment())
        if each.code == "SAFE110"
    ]
    assert (finding.severity, finding.blocks) == ("error", ("fixed", "isolated"))


def test_a_file_too_large_to_be_looked_into_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trueup.doctor.audit.module.NODE_LIMIT", 20)
    assert alarms("x = [1, 2]\n" * 5) == [("hidden", "more code than an audit looks into", 1)]


def test_a_deeply_nested_expression_does_not_stop_the_audit() -> None:
    source = "import os\nx = " + "a." * 80 + "b\nos.system(" + "-" * 60 + "1)\n"
    assert kinds(source) == ["process"]


def test_code_of_another_repository_is_said_not_to_be_looked_at_here() -> None:
    auto_map = {"AutoModel": "org/base--modeling_b.B", "AutoConfig": "configuration_x.XConfig"}
    facts = checkpoint(auto_map=auto_map, config={"model_type": "x", "auto_map": auto_map})
    (finding,) = [each for each in examine(facts, environment()) if each.code == "SAFE107"]
    assert str(finding.where) == "config.json: auto_map.AutoModel"
    assert "`org/base`" in finding.cause
    assert finding.hint == "trueup trust /models/x"
    assert finding.blocks == ()
    assert is_avoided(finding, "native")
