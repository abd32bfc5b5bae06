"""The names that an audit watches, by what they do. Data only."""

from __future__ import annotations

import re

from trueup.doctor.audit.alarm import Kind

# A call of one of these, or of anything in a module that ends with a dot, is an alarm.
CALLS: dict[Kind, tuple[str, ...]] = {
    "evaluates": (
        "exec", "eval", "compile", "code.", "codeop.", "runpy.", "types.FunctionType",
        "types.CodeType", "bdb.", "pdb.", "timeit.",
    ),
    "process": (
        "subprocess.", "pty.", "pexpect.", "commands.", "popen2.", "sh.", "os.system", "os.popen",
        "os.fork", "os.forkpty", "os.startfile", "os.execl", "os.execle", "os.execlp",
        "os.execlpe", "os.execv", "os.execve", "os.execvp", "os.execvpe", "os.spawnl",
        "os.spawnle", "os.spawnlp", "os.spawnlpe", "os.spawnv", "os.spawnve", "os.spawnvp",
        "os.spawnvpe", "os.posix_spawn", "os.posix_spawnp", "os.kill", "os.killpg", "posix.",
        "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "pip.",
    ),
    "network": (
        "requests.", "urllib.request.", "urllib.urlopen", "urllib2.", "urllib3.", "http.client.",
        "http.server.", "httpx.", "aiohttp.", "socket.", "socketserver.", "ssl.", "ftplib.",
        "smtplib.", "poplib.", "imaplib.", "telnetlib.", "nntplib.", "xmlrpc.client.",
        "websocket.", "websockets.", "paramiko.", "fabric.", "wget.", "gdown.", "pycurl.",
        "boto3.", "asyncio.open_connection", "torch.hub.", "torch.utils.model_zoo.",
        "huggingface_hub.", "modelscope.", "datasets.load_dataset", "nltk.download", "dns.",
        "webbrowser.",
    ),
    "unpickles": (
        "pickle.load", "pickle.loads", "pickle.Unpickler", "_pickle.", "cPickle.load",
        "cPickle.loads", "dill.load", "dill.loads", "cloudpickle.load", "cloudpickle.loads",
        "joblib.load", "pandas.read_pickle", "marshal.load", "marshal.loads", "shelve.open",
        "jsonpickle.decode", "yaml.unsafe_load", "yaml.full_load",
    ),
    "native": (
        "ctypes.CDLL", "ctypes.PyDLL", "ctypes.WinDLL", "ctypes.OleDLL", "ctypes.cdll.",
        "ctypes.pydll.", "ctypes.windll.", "ctypes.pythonapi.", "ctypes.util.", "ctypes.cast",
        "ctypes.memmove", "ctypes.memset", "ctypes.string_at", "ctypes.CFUNCTYPE",
        "ctypes.PYFUNCTYPE", "ctypes.LibraryLoader", "cffi.",
        "torch.ops.load_library", "torch.classes.load_library",
        "torch.utils.cpp_extension.", "cupy.RawKernel", "cupy.RawModule", "pycuda.",
    ),
    "imports": (
        "importlib.util.spec_from_file_location", "importlib.util.module_from_spec",
        "importlib.machinery.", "imp.", "zipimport.", "site.addsitedir", "sys.path.append",
        "sys.path.insert", "sys.path.extend", "sys.meta_path.append", "sys.meta_path.insert",
        "sys.path_hooks.append", "sys.path_hooks.insert", "kernels.",
        "transformers.dynamic_module_utils.get_class_from_dynamic_module",
        "transformers.dynamic_module_utils.get_class_in_module",
    ),
    "secrets": (
        "keyring.", "netrc.", "browser_cookie3.", "os.environ.copy", "os.environ.items",
        "os.environ.values",
    ),
    "writes": (
        "os.remove", "os.unlink", "os.rmdir", "os.removedirs", "os.rename", "os.renames",
        "os.replace", "os.chmod", "os.chown", "os.symlink", "os.link", "os.truncate",
        "os.mkfifo", "shutil.",
    ),
}  # fmt: skip
# Of the modules above, what does nothing of the kind.
HARMLESS = frozenset(
    {
        "socket.gethostname", "ssl.SSLError", "shutil.which", "shutil.get_terminal_size",
        "shutil.disk_usage", "urllib3.disable_warnings", "importlib.machinery.ModuleSpec",
        "huggingface_hub.split_torch_state_dict_into_shards", "timeit.default_timer",
        "huggingface_hub.save_torch_state_dict",
        "huggingface_hub.utils.validate_hf_hub_args",
    }
)  # fmt: skip
# What is replaced in these is replaced for whoever uses them; settings are there to be set.
SHARED = (
    "transformers.", "torch.", "builtins.", "safetensors.", "huggingface_hub.", "os.",
    "subprocess.", "importlib.", "io.", "json.", "pickle.",
)  # fmt: skip
SETTINGS = (
    "torch.backends.", "torch._dynamo.", "torch._inductor.", "torch._C.", "torch.utils.",
    "os.environ", "transformers.utils.logging",
)  # fmt: skip
# These are alarms when they are named at all: they can be called under another name.
NAMED: tuple[Kind, ...] = ("evaluates", "process", "unpickles")
# Turns what cannot be read into what can be run.
DECODING_MODULES = ("base64.", "binascii.", "zlib.", "bz2.", "lzma.", "gzip.", "marshal.")
DECODERS = frozenset({"codecs.decode", "bytes.fromhex", "bytearray.fromhex", "chr"})
RUNNERS = frozenset(
    {
        "exec", "eval", "compile", "__import__", "importlib.import_module", "marshal.loads",
        "types.FunctionType", "types.CodeType", "os.system", "os.popen",
        "subprocess.run", "subprocess.call", "subprocess.Popen", "subprocess.check_call",
        "subprocess.check_output",
    }
)  # fmt: skip
# Modules in which a name that is computed can be anything that runs.
POWERFUL = frozenset({"builtins", "os", "posix", "subprocess", "sys", "importlib", "ctypes"})
BUILTINS = frozenset(
    {
        "exec", "eval", "compile", "open", "__import__", "getattr", "globals", "locals", "vars",
        "chr", "bytes", "bytearray", "__builtins__", "setattr", "delattr",
    }
)  # fmt: skip
# Ways from any object to everything that is loaded.
BACK_DOORS = frozenset({"__subclasses__", "__globals__", "__builtins__", "__code__", "__loader__"})
SECRET_VARIABLE = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY)(_|$)",
    re.IGNORECASE,
)
SECRET_PATH = re.compile(
    r"(^|[/~])\.(ssh|aws|netrc|kube|gnupg|git-credentials|npmrc|pypirc)\b|/etc/(passwd|shadow)\b"
    r"|\bid_(rsa|ed25519|ecdsa)\b|\.docker/config\.json|huggingface/(stored_)?tokens?\b"
)
# Writing is what these are for, and they run only when somebody saves.
SAVING = re.compile(r"_*(save|export|dump|write|convert|push_to_hub)")
UNBROKEN = re.compile(r"[A-Za-z0-9+/=_\-\\]+")
UNREADABLE_CHARACTERS = 400
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
BEYOND_THE_EDGE = re.compile(r"\S[^\n\S]{150,}[^\s#]")
ODD_ENCODING = re.compile(rb"coding[:=]\s*(rot|unicode.escape|raw.unicode|utf.?7|hex|punycode)")
