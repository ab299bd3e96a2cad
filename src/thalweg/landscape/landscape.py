"""Landscape: per-sample losses as a function of parameters, with data and n. The first of the three records."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.errors import InputError, shown
from thalweg.landscape._fit import by_own_names, check_weights, few, fitted
from thalweg.landscape.data import Data
from thalweg.landscape.posterior import KINDS, Kind, Restriction
from thalweg.old_names import old_keywords
from thalweg.tree import Layout
from thalweg.types import Params, Tree


class Losses(ABC):
    """What is measured: losses of samples as a function of weights. A new kind inherits from it.

    A kind says by three facts what it can, and has the methods that go with them.

    Attributes:
        own_gradients: `gradients` gives them: nothing is differentiated, traced or compiled, and nothing checks them.
        in_the_mean: a sample's gradient is right in the mean over samples alone, and not the loss's own.
        whole: the samples are a whole family with its weights, not draws from one: their mean has no error.
    """

    own_gradients: ClassVar[bool] = False
    in_the_mean: ClassVar[bool] = False
    whole: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, params: Params, frozen: Params, inputs: Tree, targets: Tensor | None) -> Tensor:
        """Losses (B,) of one replica, nats per sample; (1,) of an analytic function, which has no inputs.

        Args:
            params: weights that move.
            frozen: other parameters and buffers.
            inputs: of B samples.
            targets: of the same.
        """

    def gradients(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients (R, D) and values (R,) of the mean loss at the weights (R, D) of all replicas at once."""
        raise NotImplementedError(f"{type(self).__name__} has no gradients of its own")

    def begin(self) -> None:  # noqa: B027  (most keep nothing)
        """A block of steps begins: what is kept from step to step is kept from here on."""

    def end(self) -> None:  # noqa: B027
        """It ends, and nothing is kept beyond it."""

    def doubt(self, scape: "Landscape", gradient: Tensor) -> str:
        """Why w* is no minimum, where the losses can tell; else empty.

        Args:
            scape: of these losses, at w*.
            gradient: (D,) at w*.
        """
        return ""


@dataclass(frozen=True, eq=False, repr=False)
class Landscape:
    """Per-sample losses around a point w*.

    Attributes:
        losses: (params, frozen, inputs, targets) -> (B,) nats per sample, for one replica; and what else they can.
        params: w*, the parameters that move.
        frozen: what belongs to the checkpoint and stays: other parameters, buffers.
        data: all samples, or None for an analytic function.
        n: sample size of the theory; the number of samples (sequences) unless told otherwise.
        engine: `batched` (vmap over replicas) or `serial` (one replica at a time).
        engine_reason: the rule that chose it.
        restriction: directions that are open.
        aliases: names of tied parameters, each with the name that stands for it.
        optional: names that a checkpoint may lack (buffers that are not saved).
        name: identifies what cannot be identified by its source.
    """

    losses: Losses
    params: Params
    frozen: Params
    data: Data | None
    n: int
    engine: str
    engine_reason: str
    restriction: Restriction = field(default_factory=Restriction)
    aliases: tuple[tuple[str, str], ...] = ()
    optional: frozenset[str] = frozenset()
    name: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.losses, Losses):
            raise InputError(
                f"losses are a {type(self.losses).__name__}: make it by tw.landscape or tw.potential, or give"
                " what inherits from thalweg.landscape.Losses"
            )

    def __repr__(self) -> str:
        return f"Landscape({self.layout.width} weights, n={self.n}, engine={self.engine!r})"

    @property
    def layout(self) -> Layout:
        """Where each moving parameter lies in the flat vector."""
        return Layout.of(self.params)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(iter(self.params.values())).device

    @property
    def mask(self) -> Tensor | None:
        """(D,) 1 where a weight moves, None where all do."""
        masks = self.restriction.masks
        if not masks:
            return None
        whole = {k: torch.ones_like(w) for k, w in self.params.items()}
        return self.layout.flatten(whole | {k: m.to(whole[k]) for k, m in masks.items()})

    @old_keywords(tether="localization")
    def restrict(
        self,
        names: str | list[str] | None = None,
        masks: Params | None = None,
        orthogonal_to_gradient: bool = False,
        localization: dict[str, Tensor | float] | None = None,
        kind: Kind | None = None,
    ) -> "Landscape":
        """The same landscape, with fewer directions open.

        Args:
            names: pattern or patterns of parameter names that move (`"blocks.0.*"`); others freeze.
            masks: {name: bool tensor of the parameter's shape}; False freezes a weight.
            orthogonal_to_gradient: the same as `kind="orthogonal"`.
            localization: {name: t > 0}, a number or a tensor of the parameter's shape: that parameter is tied
                to w* by gamma t^2. A ReLU network whose layer was multiplied by 10 has the estimate
                that it had if that layer's t is 1/10.
            kind: of point that a checkpoint is taken for; default what it is already, at first `at`: w* as it is.
                `orthogonal` closes the direction of the full-data gradient at w*. `tilted` takes g . (w - w*) off
                the loss, g that gradient. `relaxed` goes to the minimum of the localized loss first, the
                localization staying at w*. Which to take when: docs/adaptation.md.

        Raises:
            InputError: a pattern that matches nothing, a mask of another shape, two kinds at once.
        """
        params, frozen = self.params, self.frozen
        if names is not None:
            patterns = [names] if isinstance(names, str) else list(names)
            unmatched = [p for p in patterns if not any(fnmatchcase(k, p) for k in params)]
            if unmatched or not patterns:
                raise InputError(f"no parameter matches {unmatched}: there are {', '.join(params)}")
            keep = {k for k in params if any(fnmatchcase(k, p) for p in patterns)}
            frozen = frozen | {k: w for k, w in params.items() if k not in keep}
            params = {k: w for k, w in params.items() if k in keep}
        for key, mask in (masks or {}).items():
            if key not in params or mask.shape != params[key].shape:
                shape = tuple(params[key].shape) if key in params else "no such moving parameter"
                raise InputError(
                    f"mask of {key!r} has shape {tuple(mask.shape)}, the parameter: {shape}: give it the same shape"
                )
        known = {k: m for k, m in (self.restriction.masks or {}).items() if k in params}
        merged = known | {k: m & known[k] if k in known else m for k, m in (masks or {}).items()}
        if set(merged) == set(params) and not any(m.any() for m in merged.values()):
            raise InputError("the masks leave no weight to move: set some entries True")
        localizations = (self.restriction.localization or {}) | self._localizations(params, localization or {})
        localizations = {k: t for k, t in localizations.items() if k in params}
        chosen = _kind(kind, orthogonal_to_gradient) or self.restriction.kind
        restriction = Restriction(merged or None, chosen, localizations or None, self.restriction.held)
        return replace(self, params=params, frozen=frozen, restriction=restriction)

    @property
    def localization(self) -> Tensor | None:
        """(D,) t of every weight, None where all are tied alike."""
        if not self.restriction.localization:
            return None
        whole = {k: torch.ones_like(w) for k, w in self.params.items()}
        return self.layout.flatten(whole | self.restriction.localization)

    @staticmethod
    def _localizations(params: Params, given: dict[str, Tensor | float]) -> Params:
        """Localizations as tensors of their parameters' shapes."""
        found = {}
        for key, t in given.items():
            if key not in params:
                raise InputError(f"localization of {key!r}: no such moving parameter: there are {', '.join(params)}")
            t = torch.as_tensor(t).to(params[key])
            if (t.ndim and t.shape != params[key].shape) or not (t > 0).all() or not torch.isfinite(t).all():
                raise InputError(
                    f"localization of {key!r}: give a number above 0, or such a tensor of the same shape"
                )
            found[key] = t.expand(params[key].shape)
        return found

    def at(self, state: Params) -> "Landscape":
        """The same landscape around another w*.

        Args:
            state: a state dict of the module, or the centre of a potential.

        Raises:
            InputError: names that are missing or unknown, other shapes or kinds of numbers, two names of one
                parameter that differ, NaN in the weights.
        """
        state = by_own_names(state, dict(self.aliases))
        known = self.params | self.frozen
        missing = [k for k in known if k not in state and k not in self.optional]
        unknown = [k for k in state if k not in known]
        if missing or unknown:
            raise InputError(
                f"weights do not fit the module: missing {few(missing, 3)}, unknown {few(unknown, 3)}: build the"
                " module that was trained"
            )
        placed = {k: fitted(k, w, state[k]) if k in state else w for k, w in known.items()}
        params, frozen = ({k: placed[k] for k in names} for names in (self.params, self.frozen))
        check_weights(params, frozen)
        return replace(self, params=params, frozen=frozen)


def _kind(kind: Kind | None, orthogonal: bool) -> Kind | None:
    """The kind of point that is asked for, in either way; None where none is."""
    if kind is not None and kind not in KINDS:
        raise InputError(f"kind {shown(str(kind))}: give one of {', '.join(KINDS)}")
    if orthogonal and kind not in (None, "orthogonal"):
        raise InputError(f"kind {kind!r} and orthogonal to the gradient are two kinds of point: give one of them")
    return "orthogonal" if orthogonal else kind
