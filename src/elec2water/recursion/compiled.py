"""The same recursions compiled by numba, where the extra ``elec2water[fast]`` is installed.

Plain functions over scalars, compiled when first used on a large panel; their answers are those of the numpy code to
rounding. ``reassoc`` and its like let the loops be vectorised; numba's full ``fastmath`` would drop the test for NaN.
The filter's divisions are numpy's: Python's test each divisor for zero, which none is here, and keep the loop from
being vectorised; the sweep gains nothing by them.
Each kernel is one function, long as it is: numba is imported when a kernel is first wanted, and what it compiles can
call no plain function beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from multiprocessing import cpu_count
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from elec2water.errors import UsageError
from elec2water.recursion.panel import Floats, Panel

if TYPE_CHECKING:
    from elec2water.recursion.level import LevelState

Engine: TypeAlias = Literal["auto", "numpy", "numba"]
Kernel: TypeAlias = Callable[..., None]
Done = TypeVar("Done")

_LARGE = 2_000_000  # readings from which compiling pays
_SAFE = ("contract", "arcp", "nsz", "reassoc")
_PORTION = 65_536
_MOST_THREADS = 4


def filter_kernel(engine: Engine, n_readings: int) -> Kernel | None:
    """Give the compiled filter, or None where numpy is to do it.

    Raises
    ------
    UsageError
        numba is asked for and not installed.
    """
    return _kernel(_filter_block, "numpy") if _wanted(engine, n_readings) else None


def sweep_kernel(engine: Engine, n_readings: int) -> Kernel | None:
    """Give the compiled sweep of :mod:`elec2water.recursion.sweep`, or None where numpy is to do it."""
    return _kernel(_sweep_block, "python") if _wanted(engine, n_readings) else None


def _wanted(engine: Engine, n_readings: int) -> bool:
    if engine not in ("auto", "numpy", "numba"):
        raise UsageError(f"engine: expected 'auto', 'numpy' or 'numba', found {engine!r}")
    if engine == "numba" and _numba() is None:
        raise UsageError("engine='numba': numba is not installed; pip install 'elec2water[fast]', or leave engine out")
    return engine == "numba" or (engine == "auto" and n_readings >= _LARGE and _numba() is not None)


@cache
def _numba() -> ModuleType | None:
    """Give numba, or None where it is not installed or does not work with the numpy that is."""
    try:
        return import_module("numba")
    except ImportError:
        return None


@cache
def _kernel(function: Kernel, divisions: str) -> Kernel:
    numba = _numba()
    if numba is None:
        return function
    compiled: Kernel = numba.njit(nogil=True, fastmath=set(_SAFE), error_model=divisions)(function)
    return compiled


def run_filter(kernel: Kernel, panel: Panel, out: LevelState, means: Floats | None, variances: Floats | None) -> None:
    """Filter a panel into the arrays of ``out`` and, where given, ``means`` and ``variances``, on a few threads."""
    nothing = np.empty((0, 0))
    whole = means is not None and variances is not None

    def portion(start: int) -> None:
        part = slice(start, min(start + _PORTION, panel.n_series))
        some = panel.take(part)
        kernel(
            some.y,
            some.q,
            some.r,
            some.mean,
            some.variance,
            out.mean[part],
            out.variance[part],
            out.log_likelihood[part],
            out.n_read[part],
            means[part] if means is not None and whole else nothing,
            variances[part] if variances is not None and whole else nothing,
        )

    in_threads(portion, range(0, panel.n_series, _PORTION))


def in_threads(job: Callable[[int], Done], items: Iterable[int]) -> list[Done]:
    """Do portions that do not touch one another; answers in their order. Kernels let go of the interpreter's lock."""
    todo = list(items)
    if len(todo) < 2:
        return [job(item) for item in todo]
    with ThreadPoolExecutor(min(_MOST_THREADS, cpu_count(), len(todo))) as pool:
        return list(pool.map(job, todo))


def _filter_block(
    y: Floats,
    q: Floats,
    r: Floats,
    mean_before: Floats,
    variance_before: Floats,
    mean_out: Floats,
    variance_out: Floats,
    like_out: Floats,
    read_out: NDArray[np.int64],
    means: Floats,
    variances: Floats,
) -> None:
    """Filter series in blocks that stay in the first cache, eight months at a time turned month by month."""
    n, steps = y.shape
    log_2pi = np.log(2.0 * np.pi)
    keep = means.size > 0
    block, strip = 512, 8
    readings, movement, noise = np.empty((strip, block)), np.empty((strip, block)), np.empty((strip, block))
    quadratic, log_det, product = np.empty(block), np.empty(block), np.empty(block)
    count, a, P = np.empty(block), np.empty(block), np.empty(block)
    for first in range(0, n, block):
        m = min(block, n - first)
        for i in range(m):
            a[i], P[i] = mean_before[first + i], variance_before[first + i]
            quadratic[i], log_det[i], product[i], count[i] = 0.0, 0.0, 1.0, 0.0
            for j in range(strip):
                movement[j, i], noise[j, i] = q[first + i, 0], r[first + i, 0]
        for begin in range(0, steps, strip):
            width = min(strip, steps - begin)
            for i in range(m):
                for j in range(width):
                    readings[j, i] = y[first + i, begin + j]
            if q.shape[1] > 1:
                for i in range(m):
                    for j in range(width):
                        movement[j, i] = q[first + i, begin + j]
            if r.shape[1] > 1:
                for i in range(m):
                    for j in range(width):
                        noise[j, i] = r[first + i, begin + j]
            for j in range(width):
                if begin + j > 0:
                    for i in range(m):
                        P[i] += movement[j, i]
                for i in range(m):
                    value = readings[j, i]
                    there = value == value
                    F = P[i] + noise[j, i]
                    inverse = 1.0 / F
                    gain = P[i] * inverse
                    v = value - a[i]
                    quadratic[i] += v * v * inverse if there else 0.0
                    a[i] += gain * v if there else 0.0
                    P[i] = gain * noise[j, i] if there else P[i]
                    product[i] *= F if there else 1.0
                    count[i] += 1.0 if there else 0.0
                if keep:
                    for i in range(m):
                        means[first + i, begin + j] = a[i]
                        variances[first + i, begin + j] = P[i]
            for i in range(m):
                log_det[i] += np.log(product[i])
                product[i] = 1.0
        for i in range(m):
            mean_out[first + i], variance_out[first + i] = a[i], P[i]
            like_out[first + i] = -0.5 * (count[i] * log_2pi + log_det[i] + quadratic[i])
            read_out[first + i] = np.int64(count[i])


def _sweep_block(
    y: Floats,
    q: Floats,
    r: Floats,
    mean: Floats,
    variance: Floats,
    gain: Floats,
    kept: Floats,
    cross: Floats,
    error: Floats,
    diagonal: Floats,
    sums: Floats,
) -> None:
    """Sweep one portion of series forward and back; arrays are (T, n), q and r perhaps (1, n)."""
    steps, n = y.shape
    product = np.ones(n)
    for i in range(n):
        sums[0, i] = sums[1, i] = sums[2, i] = 0.0
    for t in range(steps):
        at_q, at_r = t if q.shape[0] > 1 else 0, t if r.shape[0] > 1 else 0
        if t > 0:
            for i in range(n):
                variance[i] += q[at_q, i]
        for i in range(n):
            value = y[t, i]
            there = value == value
            F = variance[i] + r[at_r, i]
            inverse = 1.0 / F
            K = variance[i] * inverse if there else 0.0
            left = r[at_r, i] * inverse if there else 1.0
            v = value - mean[i] if there else 0.0
            gain[t, i], kept[t, i] = K, left
            cross[t, i] = inverse if there else 0.0
            error[t, i] = v * inverse
            sums[0, i] += v * v * inverse
            product[i] *= F if there else 1.0
            sums[2, i] += 1.0 if there else 0.0
            mean[i] += K * v
            variance[i] *= left
        if t % 8 == 7 or t == steps - 1:
            for i in range(n):
                sums[1, i] += np.log(product[i])
                product[i] = 1.0
    back, information = np.zeros(n), np.zeros(n)
    for s in range(steps):
        t = steps - 1 - s
        for i in range(n):
            K, left, inverse, scaled = gain[t, i], kept[t, i], cross[t, i], error[t, i]
            error[t, i] = scaled - K * back[i]
            back[i] = scaled + left * back[i]
            diagonal[t, i] = inverse + K * K * information[i]
            cross[t, i] = inverse - left * K * information[i]
            information[i] = inverse + left * left * information[i]
