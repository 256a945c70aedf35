"""What is said of wells whose readings broke with their past, in words an official can act on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from elec2water.calendar_ import month_of, quarter_months
from elec2water.coefficient import Coefficient
from elec2water.coefficient.delivery import METHOD
from elec2water.coefficient.equipment import FAULT_OVER, LOW_WATER, MULTIPLIER, NEW_PUMP, OTHER_LOAD, WATER_METER, WEAR
from elec2water.coefficient.innovations import Limits
from elec2water.coefficient.rows import pair_moments
from elec2water.findings import Findings, findings_of
from elec2water.strata import WORDS

_NAMES: Mapping[str, Mapping[str, str]] = {
    "zh": {
        NEW_PUMP: "换泵或检修",
        LOW_WATER: "水位过低，水泵接近其扬程上限",
        FAULT_OVER: "此前的故障已消除（系数回到故障前的水平）",
        WATER_METER: "水表故障",
        MULTIPLIER: "电表倍率变动",
        OTHER_LOAD: "接入其他用电",
        WEAR: "水泵严重磨损或水表渐偏",
    },
    "en": {
        NEW_PUMP: "a new or repaired pump",
        LOW_WATER: "water so low that the pump comes to the end of its curve",
        FAULT_OVER: "the fault found before is over (the coefficient is back where it was)",
        WATER_METER: "a fault of the water meter",
        MULTIPLIER: "the multiplier of the electricity meter",
        OTHER_LOAD: "another load",
        WEAR: "a badly worn pump or a water meter going off",
    },
}


_EFFECTS: Mapping[str, Mapping[str, str]] = {
    "zh": {
        NEW_PUMP: "自该月起按新井况计算",
        LOW_WATER: "自该月起按新井况计算",
        FAULT_OVER: "自该月起其读数重新采用",
        WATER_METER: "自该月起其水表读数不予采用，水量按此前的系数折算",
        MULTIPLIER: "自该月起其系数不参与率定，水量仍按水表",
        OTHER_LOAD: "自该月起其系数不参与率定，水量仍按水表",
    },
    "en": {
        NEW_PUMP: "from then on it counts as a changed well",
        LOW_WATER: "from then on it counts as a changed well",
        FAULT_OVER: "from then on its readings are believed again",
        WATER_METER: "from then on its water meter is not believed; its volume is converted as before",
        MULTIPLIER: "from then on it tells nothing of its class; its volume is what its water meter says",
        OTHER_LOAD: "from then on it tells nothing of its class; its volume is what its water meter says",
    },
}


def meter_findings(coefficient: Coefficient, quarter: str, *, lang: str = "zh") -> Findings:
    """Name the wells whose water meters read in the quarter and are not believed since a fault was found."""
    pairs, well = coefficient.measured, coefficient.posterior.rows.well
    when = pair_moments(pairs, coefficient.posterior.layout)
    pumps = coefficient.equipment.history(coefficient.sample_id)
    faulty = pumps.under((WATER_METER,), well, when) & np.isin(month_of(when), quarter_months(quarter)) & ~pairs.test
    volume = np.bincount(well[faulty], pairs.volume_m3[faulty], coefficient.sample_id.size)
    named = np.unique(well[faulty])
    last = (quarter_months(quarter)[-1] + 1).astype("datetime64[s]") - np.timedelta64(1, "s")
    since = month_of(pumps.since(named, np.full(named.size, last)))
    return findings_of(
        "METER_NOT_BELIEVED",
        table="pairs",
        well_id=coefficient.sample_id[named],
        period=quarter,
        since=since.astype(str),
        observed=[f"{value:.0f}" for value in volume[named]],
        lang=lang,
    )


def _method_findings(methods: pd.DataFrame, lang: str) -> Findings:
    words = WORDS[METHOD] if lang == "zh" else {}
    before, now = (methods[name].map(lambda method: words.get(method, method)) for name in ("before", "now"))
    return findings_of(
        "METHOD_CHANGED",
        table="wells",
        well_id=methods["well_id"].to_numpy(dtype=object),
        limit=before.to_numpy(dtype=object),
        observed=now.to_numpy(dtype=object),
        lang=lang,
    )


def change_findings(coefficient: Coefficient, *, lang: str = "zh") -> Findings:
    """Name the wells that changed or drift since the release before, since when, by how much, and the likely cause.

    Wells that look changed for the steady load beside their pump are named for that.
    """
    table = coefficient.changes
    limits = Limits.of(coefficient.options.alarms_per_100_well_years)
    names = table["candidate"].map(_NAMES[lang])
    sudden = table["step"].notna()
    steps, drifts = table[sudden], table[~sudden]
    found = findings_of(
        "WELL_CHANGED",
        table="pairs",
        well_id=steps["well_id"].to_numpy(dtype=object),
        period=steps["found"].to_numpy(dtype=object),
        since=steps["since"].to_numpy(dtype=object),
        observed=[f"{value:.1f}" for value in steps["z"]],
        limit=f"{limits.step:.1f}",
        percent=[f"{100.0 * np.expm1(value):+.0f}" for value in steps["step"]],
        candidate=names[sudden].to_numpy(dtype=object),
        effect=steps["candidate"].map(_EFFECTS[lang]).to_numpy(dtype=object),
        lang=lang,
    )
    loads = coefficient.record.loads
    return (
        found
        + _method_findings(coefficient.record.methods, lang)
        + findings_of(
            "PAIRS_SHOW_LOAD",
            table="pairs",
            well_id=loads["well_id"].to_numpy(dtype=object),
            observed=[f"{value:.0f}" for value in loads["kwh"]],
            percent=[f"{100.0 * value:.0f}" for value in loads["probability"]],
            lang=lang,
        )
        + findings_of(
            "WELL_DRIFTS",
            table="pairs",
            well_id=drifts["well_id"].to_numpy(dtype=object),
            period=drifts["found"].to_numpy(dtype=object),
            since=drifts["since"].to_numpy(dtype=object),
            observed=[f"{value:.1f}" for value in drifts["z"]],
            limit=f"{limits.cusum:.1f}",
            candidate=names[~sudden].to_numpy(dtype=object),
            lang=lang,
        )
    )
