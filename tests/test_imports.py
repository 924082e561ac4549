"""The house's rules on imports: they point down, extras stay in their place, and importing touches no device."""

import ast
import graphlib
import os
import pathlib
import subprocess
import sys

import agents
import heartpole_jax

PACKAGE = pathlib.Path(heartpole_jax.__file__).parent
AGENTS = pathlib.Path(agents.__file__).parent
# The rooms, from the ground up: each imports from lower ones alone.
LEVELS = {
    "struct": 0, "annotations": 0, "arguments": 0, "platforms": 0, "validation": 0, "disk": 0, "documents": 0,
    "terminal": 0, "threefry": 0, "version": 0, "command_line": 0,
    "envs": 1,
    "policy": 2,
    "rollout": 3,
    "optimum": 4,
    "policies": 5,
    "evaluation": 6,
    "gradients": 7, "identification": 7,
    "drawing": 8,
    "interop": 9, "playground": 9, "command_options": 9,
    "__main__": 10, "__init__": 10,
}  # fmt: skip
CORE = {"jax", "chex", "numpy", "heartpole_jax"}
# Extras, each with the only folder that may import it.
EXTRAS = {"matplotlib": "drawing", "PIL": "drawing", "gymnasium": "interop", "gymnax": "interop",
          "stable_baselines3": "interop", "stoa": "interop", "brax": "interop", "pygame": "drawing",
          "safetensors": "policies", "minari": "interop", "h5py": "interop"}  # fmt: skip
# The rooms of agents: each imports from lower ones alone.
AGENTS_LEVELS = {
    "common": 0,
    "dqn": 1,
    "pqn": 1,
    "tutorial": 2,
    "runs": 2,
    "sweeps": 3,
    "reports": 4,
    "commands": 5,
    "__main__": 6,
}
# What agents may import besides the core and themselves. The rest comes through heartpole_jax.drawing and interop.
TRAINING = {"agents", "flax", "optax", "tyro", "rich", "safetensors", "tomli_w", "pyarrow", "optuna",
            "sqlalchemy", "filelock", "jinja2", "ray"}  # fmt: skip
# Of the standard library, on Unix alone.
UNIX = {"crypt", "fcntl", "grp", "nis", "ossaudiodev", "posix", "pty", "pwd", "readline", "resource", "spwd", "syslog",
        "termios", "tty"}  # fmt: skip


def modules(package=PACKAGE):
    """(top-level name below the package, path, every absolute module that it imports, anywhere in it)."""
    for path in sorted(package.rglob("*.py")):
        below = path.relative_to(package)
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{below}: relative import"
                imported |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        # A room's command, `python -m heartpole_jax.room`, is above all rooms, as the package's is.
        yield "__main__" if below.name == "__main__.py" else below.parts[0].removesuffix(".py"), below, imported


def test_imports_point_down_only():
    names = {name for name, *_ in modules()}
    for name, path, imported in modules():
        for other in imported:
            package, _, rest = other.partition(".")
            target = rest.partition(".")[0]
            if package == "heartpole_jax" and target in names - {"__init__"}:
                assert target == name or LEVELS[target] < LEVELS[name] or LEVELS[name] == 0, f"{path} imports {other}"


def test_extras_are_imported_in_their_place_only():
    for name, path, imported in modules():
        for package in {module.partition(".")[0] for module in imported}:
            allowed = package in CORE or package in sys.stdlib_module_names or EXTRAS.get(package) == name
            assert allowed, f"{path} imports {package}"


def test_agents_import_the_library_and_never_the_reverse():
    """The library is shipped without them."""
    for _, path, imported in modules():
        assert "agents" not in {module.partition(".")[0] for module in imported}, f"{path} imports agents"
    for _, path, imported in modules(AGENTS):
        for package in {module.partition(".")[0] for module in imported}:
            allowed = package in CORE | TRAINING or package in sys.stdlib_module_names
            assert allowed, f"agents/{path} imports {package}"


def test_nothing_is_imported_that_windows_lacks():
    for package in (PACKAGE, AGENTS):
        for _, path, imported in modules(package):
            assert not UNIX & {module.partition(".")[0] for module in imported}, f"{package.name}/{path}"


def test_the_rooms_of_agents_import_from_lower_ones_only():
    for room, path, imported in modules(AGENTS):
        others = {module.split(".")[1] for module in imported if module.startswith("agents.")} - {room}
        for other in others:
            assert AGENTS_LEVELS[other] < AGENTS_LEVELS[room], f"agents/{path} imports agents.{other}"


def test_no_files_import_each_other_in_a_circle():
    """Imports within functions, and those for type checkers alone, count."""
    files = {}
    for package in (PACKAGE, AGENTS):
        for path in package.rglob("*.py"):
            name = ".".join([package.name, *path.relative_to(package).with_suffix("").parts])
            files[name.removesuffix(".__init__")] = path
    graph = {}
    for name, path in files.items():
        graph[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):  # `from agents.dqn import loss` is of a file, and not of the package
                below = [f"{node.module}.{alias.name}" for alias in node.names]
                graph[name] |= {other if other in files else node.module for other in below} & files.keys()
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_importing_makes_no_array_touches_no_device_and_needs_no_extra():
    """On a platform that does not exist nothing could be made."""
    code = """
import sys, heartpole_jax, jax
extras = {"matplotlib", "gymnasium", "optax", "flax", "gymnax", "stable_baselines3", "stoa", "brax"} & set(sys.modules)
assert not extras, extras
try:
    jax.devices()
except RuntimeError:
    sys.exit(0)
sys.exit("this test proves nothing: there was a device")
"""
    environment = os.environ | {"JAX_PLATFORMS": "nowhere"}
    subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, check=True)


def test_every_public_name_is_there_and_documented():
    for name in heartpole_jax.__all__:
        assert getattr(heartpole_jax, name).__doc__, name
    assert heartpole_jax.__version__ in (PACKAGE.parent / "CITATION.cff").read_text()
    assert sorted(heartpole_jax.__all__) == sorted(set(heartpole_jax.__all__))
