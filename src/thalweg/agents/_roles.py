"""Who reads what: a key that has no effect in the file where it stands is refused, with the file where it has one.

key                                        Alice's file                         Bob's file
name, arrays                               read; archives may hold more         read
world                                      read                                 read; Alice's where there is none
values                                     her reward; beside features or       his reward
                                           candidates for `realised` alone
choices, answers                           one of them                          refused
policy, weights, safe                      refused                              read; weights and safe beside a policy
suboptimality, suboptimality_share         refused                              one of them, beside values
model_error                                refused                              read; bob_reward beside values
"""

from collections.abc import Iterator
from pathlib import Path

from thalweg.agents._schema import AgentFile
from thalweg.errors import InputError

HIS = ("policy", "weights", "safe", "suboptimality", "suboptimality_share", "model_error")
HERS = ("choices", "answers")


def check_roles(alice: tuple[Path, AgentFile], bob: tuple[Path, AgentFile]) -> None:
    """Refuse what nobody reads, in Alice's file and in Bob's.

    Raises:
        InputError: the file, the key, and where it belongs.
    """
    (hers, her), (his, him) = alice, bob
    for wrong in _hers(her, his.name):
        raise InputError(f"{hers}: {wrong}")
    for wrong in _his(him, hers.name):
        raise InputError(f"{his}: {wrong}")
    if her.choices is not None and her.choices.counts:
        for wrong in _beside_counts(him, hers.name):
            raise InputError(f"{his}: {wrong}")


def _hers(file: AgentFile, his: str) -> Iterator[str]:
    """What is wrong with a file as Alice's."""
    for key in HIS:
        if file.given(key):
            yield f"{key}: nobody reads it in Alice's file: it belongs in Bob's, {his}"
    if file.choices is not None and file.answers is not None:
        yield "answers: nobody reads them beside [choices]: give the one or the other"
    if file.values is not None and file.answers is not None:
        yield "values: nobody reads them beside [answers], which tell all of hers: give the one or the other"
    if file.values is not None and file.choices is not None and file.choices.counts:
        yield "values: nobody reads them beside counts alone: leave them out, or give features or candidates"
    if file.values is not None and file.choices is not None and file.choices.contexts is not None:
        yield "values: nobody reads them beside contexts, which have a reward each: leave them out"


def _his(file: AgentFile, hers: str) -> Iterator[str]:
    """What is wrong with a file as Bob's."""
    for key in HERS:
        if file.given(key):
            yield f"{key}: nobody reads them in Bob's file: they belong in Alice's, {hers}"
    known = file.suboptimality is not None or file.suboptimality_share is not None
    yield from _of_policies(file)
    if known and file.values is None:
        yield "suboptimality: it is in units of his reward: give [values], or leave it out"
    if file.model_error.given("bob_reward") and file.values is None:
        yield "model_error.bob_reward: nobody reads it without [values] of Bob's: leave it out"


def _of_policies(file: AgentFile) -> Iterator[str]:
    """Of his policy and what stands beside it."""
    if file.policy is None and file.weights is not None:
        yield "weights: nobody reads them without a policy: give an array (K, S, A) of policies"
    if file.policy is None and file.safe is not None:
        yield "safe: nobody reads it without a policy of Bob's, beside whose regret it is shown: leave it out"
    if file.policy == "optimal" and file.weights is not None:
        yield 'weights: nobody reads them beside policy = "optimal", which is one: leave them out'
    if file.policy == "optimal" and file.values is None:
        yield 'policy = "optimal" needs [values]'


def _beside_counts(file: AgentFile, hers: str) -> Iterator[str]:
    """What counts of choices cannot use: they certify a policy in the very process where they were made."""
    if file.policy is None:
        yield f"{hers} gives counts of choices alone, which certify a policy: give his"
    for key in ("safe", "model_error"):
        if file.given(key):
            yield f"{key}: nobody reads it where {hers} gives counts of choices alone: leave it out"
