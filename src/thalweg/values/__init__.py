from thalweg.values.behaviour import Behaviour
from thalweg.values.linear import Linear
from thalweg.values.rules import Boltzmann, Rule, Soft
