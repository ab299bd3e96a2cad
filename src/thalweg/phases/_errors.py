"""Errors along a curve: which part is each checkpoint's own, and which it shares with its neighbours.

Estimates at every checkpoint that come from the same batches and the same noise err together. Stated errors say how
far a *level* may be off; differences along the curve are better known, and the roughness of the curve shows by how
much. With e_i = own_i + shared_i, shared_i an AR(1) process in the checkpoints' numbers, variances w and 1 - w
of the stated one, second differences over k checkpoints have, of what independent errors would give them,

    V_k = w + (1 - w) (1 - 4/3 rho^k + 1/3 rho^2k)

Medians of their squares give V_k (a turn spoils few of them), V_1, V_2, V_4 .. give w and rho.
"""

from dataclasses import dataclass

import numpy as np

WINDOW = 32  # checkpoints there have to be for each of the longest lag
SURE = 6.0  # by which factor exp(SURE / sqrt T) the roughness has to lie below the stated errors to speak
GRID = 60  # values of w, and of rho, that are compared
TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Errors:
    """What is known of the errors of a curve.

    Attributes:
        kind: `independent` or `shared`.
        level: (T) standard errors of the values.
        rough: (T) of them, what second differences of neighbours show.
        own: share w of the variance that is each checkpoint's own, in [0, 1].
        rho: correlation of the shared part of neighbouring checkpoints, in [0, 1].
    """

    kind: str
    level: np.ndarray
    rough: np.ndarray
    own: float = 1.0
    rho: float = 0.0

    def power(self, angle: float) -> float:
        """Spectral density of the errors, white errors of the stated size being 1."""
        if self.rho == 1:
            return self.own  # what is shared by all is no change
        return self.own + (1 - self.own) * (1 - self.rho**2) / (1 + self.rho**2 - 2 * self.rho * np.cos(angle))

    def followed(self) -> tuple[np.ndarray, float]:
        """Standard errors (T) and correlation of neighbours of one AR(1) process that has no part of its own.

        It has the same power from checkpoint to checkpoint, and once along the curve; between them no less.
        """
        quick, slow = np.sqrt(self.power(np.pi)), np.sqrt(self.power(2 * np.pi / len(self.level)))
        return self.level * np.sqrt(quick * slow), max((slow - quick) / (slow + quick), 0.0)

    def wandered(self, gap: int) -> float:
        """Variance of a change over `gap` checkpoints that the shared part brings."""
        return float(2 * np.median(self.level) ** 2 * (1 - self.own) * (1 - self.rho**gap))


def read(axes: tuple[np.ndarray, ...], curve: np.ndarray, stated: np.ndarray, kind: str) -> Errors:
    """Read off a curve (T), nearly straight along one of the axes (T), which part of its stated errors is shared.

    `independent`: none, and they are the larger of what is stated and what the curve scatters; `shared`: whatever is
    less rough; `auto`: only if that is certain.
    """
    rounding = TINY * float(np.abs(curve).max()) or 1.0
    alike = np.maximum(np.maximum(stated, scatter(curve)), rounding)  # scatter holds the stated errors already
    independent = Errors("independent", alike, alike)
    if kind == "independent" or stated.max() <= rounding:
        return independent
    level = np.maximum(stated, rounding)
    lags = [2**j for j in range(int(np.log2(max(len(curve) / WINDOW, 1))) + 1)]
    seen = np.array([max(min(_roughness(x, curve, level, lag) for x in axes), TINY) for lag in lags])
    if seen[0] >= (np.exp(-2 * SURE / np.sqrt(len(curve))) if kind == "auto" else 1.0):
        return independent
    own, rho = _parts(np.array(lags), seen)
    return Errors("shared", level, level * np.sqrt(seen[0]), own, rho)


def scatter(curve: np.ndarray) -> float:
    """Noise from point to point, robustly, from third differences (a smooth curve has small ones)."""
    third = np.diff(curve, 3)
    return float(np.median(np.abs(third)) / 0.6745 / np.sqrt(20)) if len(third) else 0.0


def _roughness(x: np.ndarray, curve: np.ndarray, level: np.ndarray, lag: int) -> float:
    """Variance of a point about the chord of those `lag` before and behind it, of what independent errors give."""
    before, here, behind = slice(None, -2 * lag), slice(lag, -lag), slice(2 * lag, None)
    part = (x[behind] - x[here]) / (x[behind] - x[before])
    off = curve[here] - part * curve[before] - (1 - part) * curve[behind]
    variance = level[here] ** 2 + (part * level[before]) ** 2 + ((1 - part) * level[behind]) ** 2
    return float(np.median(off**2 / variance) / 0.6745**2)


def _parts(lags: np.ndarray, seen: np.ndarray) -> tuple[float, float]:
    """The share w and the correlation rho whose V_k are nearest in their logarithm."""
    own = np.geomspace(seen[0] / 1e3, seen[0], GRID)[:, None, None]
    if len(lags) == 1:  # too few checkpoints to tell: all that is rough may be walking
        own = own[:1]
    rho = np.append(1 - np.geomspace(1e-5, 1, GRID), 1.0)[:, None]
    expected = own + (1 - own) * (1 - 4 / 3 * rho**lags + rho ** (2 * lags) / 3)
    i, j = divmod(int(np.square(np.log(expected / seen)).sum(-1).argmin()), len(rho))
    return float(own[i, 0, 0]), float(rho[j, 0])
