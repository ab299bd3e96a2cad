"""A number, or the reasons why there is none."""

import json
import math
from dataclasses import dataclass

import pytest

import thalweg as tw
from thalweg.certificates import Assumption, Certificate, GeneralisationBound
from thalweg.irl import DensityBound
from thalweg.results import Reasoned, Result
from thalweg.types import Verdict


@dataclass(frozen=True)
class Depth(Result):
    raw: float
    reasons: tuple[str, ...] = ()


def test_a_number_is_there_until_there_is_a_reason():
    fine, sick = Depth(2.5), Depth(2.5, ("the lead was lost", "fog"))
    assert fine.value == fine.raw == sick.raw == 2.5
    assert (fine.healthy, sick.healthy) == (True, False)
    with pytest.raises(tw.UnhealthyError, match=r"^there is no value: the lead was lost; fog$"):
        _ = sick.value
    assert fine.to_dict() == {"value": 2.5, "raw": 2.5, "reasons": []}
    assert sick.to_dict() == {"value": None, "raw": 2.5, "reasons": ["the lead was lost", "fog"]}
    assert json.dumps(Depth(math.inf, ("fog",)).to_dict(), allow_nan=False).count("null") == 2


SICK = {
    "the estimate is chains-disagree: why {0}; .raw holds the number": tw.Estimate(
        1.0, 0.1, 2.0, 9.0, Verdict.CHAINS_DISAGREE, ("why {0}",), {}
    ),
    "there is no certified value: why {0}; .raw holds the number": GeneralisationBound(
        raw=1.0, kind="certified", delta=0.1, assumptions=(), terms={}, reasons=("why {0}",)
    ),
    "no bound from counts: why {0}": DensityBound(math.inf, ("why {0}",), 0.9),
    "no certificate: why {0}": Certificate((Assumption("rule", "failed", "why {0}"),)),
}


@pytest.mark.parametrize("message", SICK)
def test_each_says_its_reasons_in_its_own_words(message):
    found: Reasoned = SICK[message]
    with pytest.raises(tw.UnhealthyError) as error:
        found.trusted()
    assert str(error.value) == message
