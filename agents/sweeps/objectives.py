"""What the trials of a study are compared by: regret where the best return is known for all of them, else the return.

A regret and a return cannot be compared. So it is one of them for the whole study, known before it is trained. Regret
is called "behind best known" where it is not proven for all of them that no policy is better.
"""

import math
from typing import Any

from agents.runs import scoring
from agents.sweeps import listed_search
from agents.sweeps import study as studies
from agents.sweeps.results import METRICS
from agents.sweeps.study import Study
from heartpole_jax import Environment, arguments, validation
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs import registry


@arguments.typed()
def metric(study: Study) -> str:
    """ "regret" where the optimum is known in each of `environments_of`, "behind best known", or "return".

    They are solved for that, one after the other until one cannot be: of HeartPole-v1 half a minute each. A process
    solves none twice.
    """
    env = registry.make(study.env)
    found = "regret"
    for params in environments_of(study):
        one = scoring.metric(env, env_params.replaced(env, params))
        if one == "return":
            return one
        found = found if one == "regret" else one
    return found


@arguments.typed()
def environments_of(study: Study) -> list[dict[str, float]]:
    """The distinct environments of the trials, each by its parameters that are not the defaults.

    Those of an adaptive search are not known beforehand: the one without swept parameters stands for them.
    """
    swept = studies.swept_params(study)
    if not swept or study.search == "optuna":
        return [dict(study.params)]
    distinct = dict.fromkeys(
        tuple(float(values[name]) for name in swept) for values in listed_search.configurations(study)
    )
    return [dict(study.params) | dict(zip(swept, values, strict=True)) for values in distinct]


@arguments.typed()
def loss(mean_return: float, metric: str, env: Environment, params: Any) -> float:
    """What a trial with this mean return counts as, the lower the better: infinite where its regret is unknown."""
    validation.look_up(dict.fromkeys(METRICS), metric, "metric")
    if metric == "return":
        return -mean_return
    regret = scoring.regret(env, mean_return, env.params_or_default(params))
    return math.inf if regret is None else regret
