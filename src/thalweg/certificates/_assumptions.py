"""What a certificate stands on, where Alice was seen to choose: an assumption each, in words."""

from thalweg.certificates.certificate import TESTED, Assumption
from thalweg.certificates.confidence_set.cover import Cover
from thalweg.certificates.parties import Candidates, Demonstrations
from thalweg.irl import Behaviour, Boltzmann, ChoiceModel, GoodnessOfFit, Soft

PLANNER = Assumption("planner and discount", "assumed", "no behaviour can tell Alice's planner from her values")

BY_NAME = "untested=True, in a file of an agent untested = true, for the verb --untested"


def seen(alice: Demonstrations | Candidates, slack: float) -> tuple[Assumption, ...]:
    """What any set of her values stands on."""
    found = (
        by_rule(alice.choice_model),
        PLANNER,
        _tested(alice.goodness_of_fit, alice.untested),
        recorded(alice.behaviour),
    )
    if slack:
        words = f"her log likelihood lies at most {slack:.3g} nats above what the stated processes say of her values"
        found += (Assumption("slack", "assumed", words),)
    return found


def recorded(behaviour: Behaviour) -> Assumption:
    """Whether the choices can have been made in the stated processes."""
    for number, world in enumerate(behaviour.environments):
        made = behaviour.counts(number).sum(-1)
        strange = ((made > 0) & ~world.reachable).nonzero()[:, 0]
        if len(strange):
            words = (
                f"{int(made[strange].sum())} choices of process {number} were made in states that are not"
                f" reached from its start, the first in state {int(strange[0])}: state the process where she was,"
                " with its start"
            )
            return Assumption("data", "failed", words)
    words = f"{len(behaviour)} choices in states that are reached and actions that exist; which states is free"
    return Assumption("data", "checked", words)


def by_rule(choice_model: ChoiceModel) -> Assumption:
    """By which she chooses."""
    if isinstance(choice_model, Boltzmann):
        scale = "return range" if choice_model.relative else "unit of reward"
        words = f"Alice chooses an action with chance ~ exp({choice_model.inverse_temperature:g} Q* per {scale})"
    elif isinstance(choice_model, Soft):
        words = f"Alice is best where a nat of entropy is paid with {choice_model.temperature:g}"
    else:
        words = f"Alice chooses by {choice_model}"
    return Assumption("rule", "assumed", words)


def proven(cover: Cover) -> Assumption:
    """Which log Z."""
    if cover.predicted is None:
        words = f"log Z is at least {cover.log_evidence:.2f} nats, proven cell by cell"
        return Assumption("evidence", "checked", words)
    words = f"log Z is {cover.predicted:.2f} nats, of a predictor that was chosen beforehand and saw only the past"
    return Assumption("evidence", "assumed", words)


def _tested(found: GoodnessOfFit | None, untested: bool) -> Assumption:
    """What a held-out check of the choice model says; where none is possible, one must ask by name to go without."""
    if found is None:
        return Assumption(TESTED, "assumed", "no held-out test of the choice model was made")
    if found.verdict == "failed":
        return Assumption(TESTED, "failed", found.reason)
    if found.verdict == "untestable" and untested:
        return Assumption(TESTED, "assumed", f"untestable: {found.reason}")
    if found.verdict == "untestable":
        words = f"the choice model is untestable: {found.reason}; or take it as it is by name: {BY_NAME}"
        return Assumption(TESTED, "failed", words)
    words = f"held-out choices look like the choice model's (p = {found.p:.2g}), which does not establish it"
    return Assumption(TESTED, "checked", words)
