"""``elec2water.toml``, typed: every key has a default except ``[project].name``, and an unknown key is an error."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from elec2water import schema
from elec2water.errors import ConfigError
from elec2water.rules import RuleSettings, rules

CONFIG_NAME = "elec2water.toml"


class _Section(BaseModel):
    """Frozen; a key that is not known is an error, and no type is guessed from another."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = tuple[str, ...]
Paths = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]
T = TypeVar("T", tuple[str, ...], dict[str, float], dict[str, str])
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class ProjectConfig(_Section):
    """``[project]``: what is shown on every output."""

    name: str = Field(min_length=1)
    county_code: str = Field(default="", pattern=r"^(\d{6})?$")
    language: Literal["zh", "en"] = "zh"


class InputsConfig(_Section):
    """``[inputs]``: a path, or a list of paths that are read one after the other, for a table."""

    wells: Paths = ()
    meters: Paths = ()
    readings: Paths = ()
    pairs: Paths = ()
    water_levels: Paths = ()
    permits: Paths = ()
    corrections: Paths = ()


class AliasesConfig(_Section):
    """``[aliases.<table>]``: heading in the file = canonical column."""

    wells: dict[str, str] = {}
    meters: dict[str, str] = {}
    readings: dict[str, str] = {}
    pairs: dict[str, str] = {}
    water_levels: dict[str, str] = {}
    permits: dict[str, str] = {}
    corrections: dict[str, str] = {}

    @field_validator("*")
    @classmethod
    def _names_a_column(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        """Let a heading mean a further column, but not a misspelt one of the table."""
        known = schema.names(str(info.field_name))
        for target in value.values():
            close = difflib.get_close_matches(target, known, n=1, cutoff=0.8)
            if target not in known and close:
                raise ValueError(f"{target!r} is not a column of {info.field_name}; did you mean {close[0]!r}?")
        return value


class StrataConfig(_Section):
    """``[strata]``: the columns that make the classes of wells, and where numeric ones are cut."""

    by: Names = ("aquifer", "pump_power_kw", "pump_depth_m")
    breaks: dict[str, tuple[float, ...]] = {}
    classes: int = Field(default=3, ge=1)


class ModelConfig(_Section):
    """``[model]``: what METHOD.md fixes beforehand."""

    covariates: Names = ()
    shared_meter_rel_u: Fraction = 0.01
    meter_rel_u: Fraction = 0.02
    wear_mean_per_year: float = Field(default=-0.02, gt=-1.0, lt=1.0)
    wear_sd_per_year: Fraction = 0.006
    student_df: float = Field(default=4.0, gt=2.0)
    refit: Literal["auto", "never", "always"] = "auto"
    alarms_per_100_well_years: float = Field(default=1.0, gt=0.0, le=100.0)
    resting_load: bool = True


class EstimateConfig(_Section):
    """``[estimate]``: the level of the intervals and the domains that are totalled."""

    confidence: float = Field(default=0.90, gt=0.5, lt=1.0)
    domains: Names = ("county", "township", "aquifer", "stratum", "permit_no")


class DesignConfig(_Section):
    """``[design]``: the sample of wells to measure.

    ``by``, ``breaks`` and ``classes`` are those of ``[strata]`` where left out; ``targets`` promises a CV to every
    domain of a kind, as ``township = 0.10``; ``[model]`` plays no part in a county that has measured nothing yet.
    """

    n: int = Field(default=60, ge=1)
    min_per_stratum: int = Field(default=2, ge=1)
    reserve_ratio: float = Field(default=0.5, ge=0.0)
    by: Names | None = None
    breaks: dict[str, tuple[float, ...]] = {}
    classes: int | None = Field(default=None, ge=1)
    cuts: Literal["optimal", "cumulative_root"] = "optimal"
    thin_strata: Literal["coefficient", "neighbour", "fail"] = "coefficient"
    min_wells: int = Field(default=5, ge=1)
    allocation: Literal["optimal", "neyman", "proportional"] = "optimal"
    targets: dict[str, float] = {}
    take_all_kwh: float | None = Field(default=None, gt=0.0)
    refusal_rate: Fraction = 0.0
    dead_meter_rate: Fraction = 0.0
    budget: float | None = Field(default=None, gt=0.0)
    cost_per_well: float | None = Field(default=None, gt=0.0)
    cost_per_township: float = Field(default=0.0, ge=0.0)
    lonely: Literal["adjust", "center", "certainty", "fail"] = "adjust"

    @field_validator("targets")
    @classmethod
    def _are_fractions(cls, value: dict[str, float]) -> dict[str, float]:
        wrong = {name: cv for name, cv in value.items() if not 0.0 < cv < 1.0}
        if wrong:
            raise ValueError(f"a target is a CV between 0 and 1 (0.05 is 5 %), not {wrong}")
        return value


class RulesConfig(_Section):
    """``[rules]``: what findings say; ``elec2water rules`` lists their names, meanings and defaults."""

    disable: Names = ()
    threshold: dict[str, float] = {}
    severity: dict[str, Literal["error", "warning", "info"]] = {}

    @field_validator("disable", "threshold", "severity")
    @classmethod
    def _names_a_rule(cls, value: T, info: ValidationInfo) -> T:
        for name in value:
            rule = rules().get(name)
            if rule is None:
                close = difflib.get_close_matches(name, rules(), n=1)
                hint = f"did you mean {close[0]!r}?" if close else "'elec2water rules' lists them"
                raise ValueError(f"there is no rule {name!r}; {hint}")
            if info.field_name == "threshold" and rule.threshold is None:
                raise ValueError(f"rule {name!r} has no threshold")
            if info.field_name != "threshold" and rule.severity == "error":
                raise ValueError(f"rule {name!r} refuses data that cannot be used; it is not up for choice")
        return value

    @property
    def settings(self) -> RuleSettings:
        """The choices as what findings work with."""
        return RuleSettings(frozenset(self.disable), self.threshold, dict(self.severity))


class EnergyConfig(_Section):
    """``[energy]``: how electricity is read.

    ``read_day`` is the last day that a billing month holds (25: the month 202603 runs from 26 February to 25 March);
    0 for calendar months. ``split`` is how a meter without stated shares is split over its wells: by rated power ×
    area, or (``posterior``) by area ÷ coefficient of the release before, as far as there is one.
    """

    split: Literal["power_area", "posterior"] = "power_area"
    read_day: int = Field(default=0, ge=0, le=28)


class ExpiryConfig(_Section):
    """``[expiry]``: when a measurement is old, by what has changed since (``posterior``) or the calendar (``age``)."""

    by: Literal["posterior", "age"] = "posterior"
    warn_years: float = Field(default=1.0, gt=0.0)
    flag_years: float = Field(default=4.0, gt=0.0)


class NextConfig(_Section):
    """``[next]``: which wells to test next, and what a test costs (any currency)."""

    n: int = Field(default=10, ge=1)
    cost_per_test: float = Field(default=1.0, gt=0.0)
    cost_per_visit: float = Field(default=0.0, ge=0.0)
    weights: dict[str, float] = {}
    years_ahead: int = Field(default=1, ge=0)


class Config(_Section):
    """The whole configuration, frozen.

    Attributes
    ----------
    project, inputs, aliases, strata, model, estimate, design, next, expiry, energy, rules : section
        The sections of ``elec2water.toml`` by their names; defaults where one is left out, but for ``[project]``.
    """

    project: ProjectConfig
    inputs: InputsConfig = InputsConfig()
    aliases: AliasesConfig = AliasesConfig()
    strata: StrataConfig = StrataConfig()
    model: ModelConfig = ModelConfig()
    estimate: EstimateConfig = EstimateConfig()
    design: DesignConfig = DesignConfig()
    next: NextConfig = NextConfig()
    expiry: ExpiryConfig = ExpiryConfig()
    energy: EnergyConfig = EnergyConfig()
    rules: RulesConfig = RulesConfig()


def load_config(folder: str | Path) -> Config:
    """Read ``elec2water.toml`` of a project folder.

    Parameters
    ----------
    folder : path_like
        The project folder, or the ``.toml`` file itself.

    Returns
    -------
    Config
        Typed and frozen.

    Raises
    ------
    ConfigError
        If the file is missing, is not UTF-8 TOML, or holds an unknown key or a wrong value; the text names the file,
        the line where it can be told, the key, what was expected and what was found, for all keys at once.
    """
    path = _config_path(Path(folder))
    text = _text_of(path)
    data = _parsed(path, text)
    try:
        return Config.model_validate(_with_tuples(data))
    except ValidationError as error:
        lines = [_explain(item, text, path) for item in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def _config_path(folder: Path) -> Path:
    path = folder if folder.suffix.lower() == ".toml" else folder / CONFIG_NAME
    if path.is_file():
        return path
    if folder.is_file():
        raise ConfigError(f"{folder}: the configuration is TOML in a file named {CONFIG_NAME}; found {folder.name!r}")
    raise ConfigError(f"{path}: not found; expected a project folder that holds {CONFIG_NAME}{_lookalikes(folder)}")


def _lookalikes(folder: Path) -> str:
    others = sorted(p.name for p in folder.glob("elec2water.*")) if folder.is_dir() else []
    return f" (found {', '.join(others)}: only TOML is read)" if others else ""


def _text_of(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith(b"\xef\xbb\xbf"):
        raise ConfigError(f"{path}, line 1: starts with a byte order mark; save the file as UTF-8 without BOM")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: expected UTF-8 text, found other bytes (GBK?); save the file as UTF-8"
        ) from error


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply; the configuration has two or three levels") from error


def _with_tuples(value: object) -> object:
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _explain(item: ErrorDetails, text: str, path: Path) -> str:
    location = [str(part) for part in item["loc"]]
    line = _line_of(location, text)
    where = f"{path}" + (f", line {line}" if line else "")
    key = ".".join(location)
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}{_nearest(location)}"
    if item["type"] == "missing":
        return f"{where}: {key!r} is required and missing"
    return f"{where}: {key}: {item['msg']}; found {item['input']!r}{_hint(location)}"


def _hint(location: list[str]) -> str:
    if location == ["estimate", "confidence"]:
        return " (a fraction such as 0.90, without quotes and without %)"
    return " (write it in quotes)" if location == ["project", "county_code"] else ""


def _nearest(location: list[str]) -> str:
    known = _known_keys(location[:-1])
    close = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known keys here: {', '.join(known)}"


def _known_keys(section: list[str]) -> list[str]:
    model: Any = Config
    for part in section:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def _line_of(location: list[str], text: str) -> int | None:
    """Find the line of a key by following the table headers; ``None`` where the key is written another way."""
    header: list[str] = []
    best: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if found := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            header = _dotted(found[1])
            name = header
        elif found := re.match(r"\s*([^=#]+?)\s*=", line):
            name = header + _dotted(found[1])
        else:
            continue
        if name == location[: len(name)] and len(name) > 0:
            best = number
    return best


def _dotted(text: str) -> list[str]:
    return [part.strip().strip("\"'") for part in text.split(".")]
