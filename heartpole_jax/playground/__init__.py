"""The playground: one page on which a person plays HeartPole against the trained agent and the optimum.

    page = playground.page()                                   HTML, for a browser; it needs nothing else
    page = playground.page(saved_policy.load("runs/mine"))     with an agent of one's own

The model runs in the browser, in float64, by the JavaScript modules of this folder. They are held to the Python by the
golden traces, and draw the noise of `hp.rollout(policy, jax.random.key(seed), num_envs=1)` bit for bit.
"""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

from heartpole_jax import arguments
from heartpole_jax.drawing import palette
from heartpole_jax.playground import contents
from heartpole_jax.policies.saved_policy import SavedPolicy

FOLDER = Path(__file__).parent
# In the order of their imports: the page holds them in one script.
MODULES = ("threefry", "model", "network", "optimum", "game", "icons", "words", "strips", "panels", "fields", "page")
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
    script = "".join(_EXPORT.sub("", _IMPORT.sub("", _read(f"{module}.mjs"))) for module in MODULES)
    policy_of_content = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "content_security_policy": html.escape(policy_of_content, quote=False),
        "style": style,
        # In a script's data no "<" may begin a tag, whatever a menu's rows are called.
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read("page.html"))


def _read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def _colours() -> str:
    """The colours of all drawings, as custom properties."""
    names = ("BLUE", "SKY", "VERMILLION", "ORANGE", "GREEN", "PURPLE")
    return f":root {{ {' '.join(f'--{name.lower()}: {getattr(palette, name)};' for name in names)} }}\n"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
