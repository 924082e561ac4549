"""The playground: one page on which a person plays HeartPole against the trained agent and the optimum.

    page = playground.page()                                   HTML, for a browser; it needs nothing else
    page = playground.page(saved_policy.load("runs/mine"))     with an agent of one's own

The model runs in the browser, in float64, by the JavaScript modules of this folder. They are held to the Python by the
golden traces, and draw the noise of `hp.rollout(policy, jax.random.key(seed), num_envs=1)` bit for bit.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from heartpole_jax import arguments, disk, validation
from heartpole_jax.drawing import palette
from heartpole_jax.playground import contents
from heartpole_jax.policies import saved_policy
from heartpole_jax.policies.saved_policy import SavedPolicy

FOLDER = Path(__file__).parent
# In the order of their imports: the page holds them in one script.
MODULES = ("threefry", "model", "network", "optimum", "words", "game", "icons", "strips", "panels", "fields", "views",
           "page")  # fmt: skip
_IMPORT = re.compile(r"^import \{[^}]*\} from \"\./\w+\.mjs\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const|function|class|let)", re.MULTILINE)


@arguments.typed()
def page(policy: SavedPolicy | None = None, name: str = "") -> str:
    """The page, HTML in one piece: no file beside it is needed, and its content security policy forbids all network.

    Args:
      policy: the agent to play against, in the place of the shipped one for its environment.
      name: what the page calls it.

    Raises:
      ValueError: for a policy of another environment, or one whose menu has changed since it was trained.
      ImportError: without safetensors.
    """
    data = contents.contents(policy, name)
    style = _colours() + _read("page.css")
    code = script(MODULES)
    parts = {
        "content_security_policy": f"default-src 'none'; script-src {_hash(code)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'",
        "style": style,
        # In a script's data no "<" may begin a tag, whatever a menu's rows are called.
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "script": code,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read("page.html"))


@arguments.typed()
def script(modules: Sequence[str]) -> str:
    """These modules as one script: their imports of each other and their exports are left out."""
    return "".join(_EXPORT.sub("", _IMPORT.sub("", _read(f"{module}.mjs"))) for module in modules)


@arguments.checked(out=arguments.check_path)
def write(out: str | Path, folder: str | Path | None = None) -> Path:
    """Writes the page to the file `out`, with the agent that is saved in `folder`, the shipped ones where None.

    Raises:
      ValueError: as `page` and `saved_policy.load`; for an `out` that is no file for a page. Nothing is written then.
      ImportError: without safetensors.
    """
    path, policy, name = disk.as_path(out), None, ""
    if path.suffix not in (".html", ".htm"):
        raise ValueError(f"the page is HTML, got {str(out)!r}; call it {path.with_suffix('.html').name or 'play.html'}")
    if path.is_dir():
        raise ValueError(f"{str(out)!r} is a folder; name a file in it, as {path / 'play.html'}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{str(out)!r} is a device; name a file")
    validation.check_folder(path.parent)
    if folder is not None:
        if not disk.as_path(folder).is_dir():
            raise ValueError(f"{folder} is no folder; name one that `python -m agents train` has written")
        policy, name = saved_policy.load(disk.as_path(folder)), disk.as_path(folder).absolute().name
    content = page(policy, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    disk.write_atomic(path, content.encode())
    return path


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _colours() -> str:
    """The colours of all drawings, as custom properties."""
    names = ("BLUE", "SKY", "VERMILLION", "ORANGE", "GREEN", "PURPLE")
    return f":root {{ {' '.join(f'--{name.lower()}: {getattr(palette, name)};' for name in names)} }}\n"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
