"""What is known of Alice, of Bob, and of how far his world is from the one that is stated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from thalweg.certificates.generalisation.bound import GeneralisationBound
from thalweg.irl import Behaviour, Boltzmann, ChoiceModel, GoodnessOfFit, Linear
from thalweg.old_names import old_keywords


@dataclass(frozen=True, eq=False)
class KnownReward:
    """An Alice whose reward is known: (S,), (S, A) or (S, A, S)."""

    reward: Any


@old_keywords(rule="choice_model", calibration="goodness_of_fit")
@dataclass(frozen=True, eq=False)
class Demonstrations:
    """An Alice who was seen to choose, with values in a continuous class.

    Attributes:
        behaviour: hers.
        values: class that her values are assumed to be in.
        choice_model: by which she is assumed to choose.
        delta: chance that the confidence set of her values misses them.
        goodness_of_fit: what `irl.goodness_of_fit` said of the choice model; failed or untestable, it forbids a
            number; None where none was made.
        reward: her true one where it is known, for `realised` alone.
        there: the same class, with its features in the states of Bob's process, where those are others.
        slack: nats by which the likelihood of her values may be too low in the stated processes, see `covered`.
        evidence: log Z of another predictor, as `predicted_evidence`; default the uniform prior's.
        untested: take the choice model as it is though no test of it is possible: the first sentence of the
            statement then says so.
    """

    behaviour: Behaviour
    values: Linear
    choice_model: Boltzmann
    delta: float = 0.05
    goodness_of_fit: GoodnessOfFit | None = None
    reward: Any = None
    there: Linear | None = None
    slack: float = 0.0
    evidence: float | None = None
    untested: bool = False


@old_keywords(rule="choice_model", calibration="goodness_of_fit")
@dataclass(frozen=True, eq=False)
class Candidates:
    """An Alice who was seen to choose, and is one of finitely many: that she is stands on the certificate.

    Attributes:
        behaviour: hers.
        rewards: of each candidate, (S,), (S, A) or (S, A, S) in every process.
        choice_model: by which she is assumed to choose.
        delta: chance that she is left out although she is one of them.
        goodness_of_fit: as of `Demonstrations`.
        reward: her true one where it is known, for `realised` alone.
        untested: as of `Demonstrations`.
    """

    behaviour: Behaviour
    rewards: Sequence[Any]
    choice_model: ChoiceModel
    delta: float = 0.05
    goodness_of_fit: GoodnessOfFit | None = None
    reward: Any = None
    untested: bool = False


@old_keywords(rule="choice_model")
@dataclass(frozen=True, eq=False)
class StatedPolicy:
    """An Alice who tells her log probabilities in every state: they are her values, no class is needed.

    Attributes:
        log_policy: (S, A) nats, in Bob's process.
        choice_model: by which she is assumed to choose, of `Boltzmann` any inverse temperature will do.
    """

    log_policy: Any
    choice_model: ChoiceModel


@dataclass(frozen=True, eq=False)
class ActionCounts:
    """A Boltzmann Alice, of any reward and inverse temperature, who was seen in Bob's own process often enough.

    Attributes:
        behaviour: hers, in one process.
        delta: chance that one of the intervals of her probabilities misses.
    """

    behaviour: Behaviour
    delta: float = 0.05


@dataclass(frozen=True, eq=False)
class Contextual:
    """An Alice with several rewards, each in force in contexts that are read from history: the worst of them counts.

    Attributes:
        shards: what is known of each.
    """

    shards: "tuple[KnownReward | Demonstrations | Candidates | StatedPolicy, ...]"


Alice = (
    KnownReward | Demonstrations | Candidates | StatedPolicy | ActionCounts | Contextual
)  # what may be known of her


@dataclass(frozen=True, eq=False)
class Bob:
    """What is known of him.

    Attributes:
        policy: (S, A), or (K, S, A) of a posterior that draws one an episode; None where only his reward is known.
        reward: of any of the shapes; None where only his policy is known.
        suboptimality: V* - J by his reward at most, in its units, or a certified `GeneralisationBound`; computed
            where his policy is known and it is None.
        weights: (K,) chances of the posterior's policies; even where they are not given.
    """

    policy: Tensor | None = None
    reward: Any = None
    suboptimality: float | GeneralisationBound | None = None
    weights: Any = None


@dataclass(frozen=True)
class ModelError:
    """How far Bob's process may depart from the stated one: a finer description of it, or a world that has changed.

    Attributes:
        transitions: eps_tau, largest L1 distance of a row, in [0, 2]; `Abstraction.transition_error` measures it.
        reward: eps_R, largest departure of Alice's mean reward; of each feature where her values are a class.
        bob_reward: eps_R of Bob's.
    """

    transitions: float = 0.0
    reward: float = 0.0
    bob_reward: float = 0.0
