"""from_host: a policy that runs outside of JAX, as NumPy's, PyTorch's or Stable-Baselines3's do."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax import arguments
from heartpole_jax.policy import Policy


def _check_function(name: str, value: Any) -> None:
    if not callable(value):
        raise TypeError(f"{name} must be a function of observations, got {arguments.described(value)}")


@arguments.checked(function=_check_function)
def from_host(function: Callable[[np.ndarray], Any]) -> Policy:
    """A `Policy` that asks `function` for its actions, in Python, at every step of a rollout.

        policies.from_host(lambda obs: model.predict(obs, deterministic=True)[0])       Stable-Baselines3
        policies.from_host(lambda obs: net(torch.as_tensor(obs)).argmax(1).numpy())     PyTorch

    A UserWarning says that it is slow: each step of all environments leaves the compiled program once. It cannot be
    differentiated, and must not call JAX itself.

    Args:
      function: observations, float32 of shape (batch, *obs_shape), to actions, whole numbers of shape (batch,). Called
        with batches of any size, and for the same observations always the same.
    """
    warnings.warn(
        "a policy on the host is called at each step, outside of the compiled program: far slower than one in JAX; "
        "a large batch of environments makes the most of each call",
        UserWarning,
        stacklevel=3,
    )
    return Policy(act=_Host(function))


@dataclasses.dataclass(frozen=True)
class _Host:
    """An `act` on the host; equal for the same function, so that jit finds its program again."""

    function: Callable[[np.ndarray], Any]

    def __call__(self, params: Any, carry: Any, obs: jax.Array, draw: Any) -> tuple[jax.Array, Any]:
        own = obs.ndim  # of one patient's observation; vmap adds axes before it

        def ask(obs: Any) -> np.ndarray:
            obs = np.asarray(obs, np.float32)
            batch = obs.shape[: obs.ndim - own]
            actions = np.asarray(self.function(obs.reshape(-1, *obs.shape[obs.ndim - own :])))
            if actions.shape != (int(np.prod(batch)),) or actions.dtype.kind not in "iu":
                raise TypeError(
                    f"the policy on the host must return whole numbers of shape ({int(np.prod(batch))},), got "
                    f"{arguments.described(actions)}"
                )
            return actions.reshape(batch).astype(np.int32)

        return jax.pure_callback(ask, jax.ShapeDtypeStruct((), jnp.int32), obs, vmap_method="broadcast_all"), carry
