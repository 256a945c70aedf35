"""The plain dense oracle of the fast algebra: covariances written out, textbook conditioning, nothing eliminated."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from elec2water.coefficient.gaussian import Rows, WellVariances
from elec2water.coefficient.shared import Prior


def prior_of(mean, covariance):
    """A Gaussian prior with everything that can be computed of it."""
    return Prior(mean, covariance, np.linalg.inv(covariance), float(np.linalg.slogdet(covariance)[1]))


def sorted_rows(well, **fields):
    """Rows in the order of the wells, whatever order the pairs came in."""
    order = np.argsort(well, kind="stable")
    by_row = ("y", "time", "pump", "unread", "cell", "moving", "scale", "extra")
    return Rows(well=well[order], **{k: v[order] if k in by_row else v for k, v in fields.items()})


def unread(rows: Rows, well, time, pump):
    """Clock of the years in which nobody read one pump of a well: all before its first pair (-) and after its last one.

    Among its pairs it is theirs, evenly between two.
    """
    mine = (rows.well == well) & (rows.pump == pump)
    if not mine.any():
        return time
    order = np.argsort(rows.time[mine], kind="stable")
    when, clock = rows.time[mine][order], rows.unread[mine][order]
    return np.interp(time, when, clock) + time - np.clip(time, when[0], when[-1])


def path_covariance(rows: Rows, variances: WellVariances, a, b):
    """Covariance of the wells' paths between two lists of (well, time, pump, level scale), written out one by one.

    Pumps are replaced without a word as a Poisson process does while nobody reads the well: they are the same after h
    years with probability exp(-renewal h). The clock of a pair is its own.
    """
    out = np.zeros((len(a[0]), len(b[0])))
    for i, (well, time, pump, scale) in enumerate(zip(*a, strict=True)):
        for j, (other, when, which, _) in enumerate(zip(*b, strict=True)):
            if well == other:
                same = pump == which
                away = abs(unread(rows, well, time, pump) - unread(rows, other, when, which))
                kept = np.exp(-variances.renewal * away) if same else 0.0
                level = variances.level * scale * (1.0 - variances.pump_share + variances.pump_share * kept)
                drift = variances.drift * np.exp(-abs(time - when) / variances.memory) if same else 0.0
                out[i, j] = level + drift
    return out


def design(rows: Rows):
    """The matrix X of the shared effects, (R, p)."""
    X = np.zeros((rows.y.size, rows.n_shared))
    a, b = rows.static.shape[1], rows.static.shape[1] + rows.moving.shape[1]
    for i in range(rows.y.size):
        X[i, :a] = rows.static[rows.well[i]]
        X[i, a:b] = rows.moving[i]
        X[i, b + rows.cell[i]] = 1.0
    return X


def places(rows: Rows):
    """Where each pair sits on the path of its well."""
    return rows.well, rows.time, rows.pump, rows.level_scale[rows.well]


def noise(rows: Rows, variances: WellVariances):
    """Variance of the error of each pair, (R,)."""
    return variances.error * rows.scale + rows.extra


def own_covariance(rows: Rows, variances: WellVariances):
    """Covariance S of y given θ, (R, R)."""
    return path_covariance(rows, variances, places(rows), places(rows)) + np.diag(noise(rows, variances))


@dataclass(frozen=True)
class Conditioned:
    """Mean and covariance of what was asked, given y, and the log marginal likelihood of y."""

    mean: np.ndarray
    covariance: np.ndarray
    log_likelihood: float


def condition(mean, covariance, cross, y_mean, y_covariance, y):
    """Condition one Gaussian vector on another: Rasmussen & Williams (2006), eq. A.6."""
    gain = np.linalg.solve(y_covariance, cross.T).T
    log_likelihood = stats.multivariate_normal(y_mean, y_covariance).logpdf(y)
    return Conditioned(mean + gain @ (y - y_mean), covariance - gain @ cross.T, float(log_likelihood))


def shared_effects(rows: Rows, prior: Prior, variances: WellVariances):
    """θ given all pairs."""
    X = design(rows)
    y_covariance = X @ prior.covariance @ X.T + own_covariance(rows, variances)
    return condition(prior.mean, prior.covariance, prior.covariance @ X.T, X @ prior.mean, y_covariance, rows.y)


def effects_and_paths(rows: Rows, prior: Prior, variances: WellVariances, times, pumps):
    """θ and every well's path at a time of its own, jointly, given all pairs: θ first, then the wells."""
    X, p, n = design(rows), rows.n_shared, rows.n_wells
    at = (np.arange(n), times, pumps, rows.level_scale)
    covariance = np.zeros((p + n, p + n))
    covariance[:p, :p] = prior.covariance
    covariance[p:, p:] = path_covariance(rows, variances, at, at)
    cross = np.vstack([prior.covariance @ X.T, path_covariance(rows, variances, at, places(rows))])
    y_covariance = X @ prior.covariance @ X.T + own_covariance(rows, variances)
    mean = np.concatenate([prior.mean, np.zeros(n)])
    return condition(mean, covariance, cross, X @ prior.mean, y_covariance, rows.y)


def loading_rows(loadings):
    """Loadings of every well and month, (N, M, p), from the fields of `Loadings`, one element at a time."""
    N, M = loadings.cells.shape
    A = np.zeros((N, M, loadings.size))
    for i in range(N):
        for m in range(M):
            A[i, m, loadings.dense_at] += loadings.dense[i]
            A[i, m, loadings.moving_at] += loadings.moving[i, m]
            for place in (*loadings.codes[i], loadings.cells[i, m]):
                if place >= 0:
                    A[i, m, place] += 1.0
            A[i, m] = loadings.carry @ A[i, m]
    for w, i in enumerate(loadings.sample):
        A[i] -= loadings.gain[w]
    return A


def county_loadings(coefficient, posterior, context):
    """The same for a whole county, from its features and not from `Loadings`; the sample wells' gain not taken off."""
    layout, static = posterior.layout, context.static
    N, M = context.level.shape
    A = np.zeros((N, M, layout.size))
    A[:, :, : static.dense.shape[1]] = static.dense[:, None, :]
    for k, factor in enumerate(layout.factors):
        for i in np.flatnonzero(static.codes[:, k] >= 0):
            A[i, :, layout.factor_start(factor.name) + static.codes[i, k]] = 1.0
    for m, month in enumerate(context.months):
        day = (month.astype("datetime64[D]") + 15 - np.datetime64("1970-01-01")).astype(float)
        year = np.full(N, 1970.0 + day / 365.25)
        moving = coefficient.spec.moving(
            static.aquifer,
            year,
            level=context.level[:, m],
            anomaly=context.anomaly[:, m],
            lasting=context.lasting[static.aquifer, m],
        )
        A[:, m, layout.moving_start : layout.cells_start] = moving
        number = int(np.flatnonzero(layout.months == month)[0])
        A[np.arange(N), m, layout.cells_start + static.aquifer * layout.months.size + number] = 1.0
    return A
