"""elec2water.toml: what is accepted, and what a slip of the hand is answered with."""

import pytest
from pydantic import ValidationError

from elec2water.config import Config, load_config
from elec2water.errors import ConfigError

GOOD = """
[project]
name = "某县"
county_code = "370212"
[inputs]
wells = "登记/wells.xlsx#Sheet1"
readings = ["a.csv", "b.csv"]
[aliases.wells]
"井 号" = "well_id"
[strata]
by = ["aquifer"]
breaks = { pump_depth_m = [40, 80.5] }
[model]
covariates = ["泵型"]
[estimate]
confidence = 0.95
"""


def written(folder, text):
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "elec2water.toml").write_bytes(data)
    return folder


def test_values_and_defaults(tmp_path):
    config = load_config(written(tmp_path, GOOD))
    assert config.project.name == "某县"
    assert config.inputs.wells == ("登记/wells.xlsx#Sheet1",)
    assert config.inputs.readings == ("a.csv", "b.csv")
    assert config.aliases.wells == {"井 号": "well_id"}
    assert config.strata.breaks == {"pump_depth_m": (40.0, 80.5)}
    assert config.estimate.confidence == 0.95
    assert config.estimate.domains == ("county", "township", "aquifer", "stratum", "permit_no")
    assert (config.design.min_per_stratum, config.design.reserve_ratio, config.strata.classes) == (2, 0.5, 3)
    assert load_config(tmp_path / "elec2water.toml") == config
    with pytest.raises(ValidationError, match="frozen"):
        config.project.name = "x"


def test_only_the_name_is_required():
    assert Config.model_validate({"project": {"name": "x"}}).project.language == "zh"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[project]\nnmae = 'x'\n", ["line 2", "'project.nmae'", "did you mean 'name'", "'project.name' is required"]),
        ("[project]\nname='x'\n[estimat]\nconfidence=0.9\n", ["line 3", "'estimat'", "did you mean 'estimate'"]),
        ("[project]\nname='x'\n\n[estimate]\nconfidence = 5\n", ["line 5", "estimate.confidence", "found 5", "0.90"]),
        ("[project]\nname='x'\n[estimate]\nconfidence = '5%'\n", ["line 4", "found '5%'"]),
        ("[project]\nname='x'\n[estimate]\nconfidence = '0.9'\n", ["line 4", "found '0.9'"]),
        ("[project]\nname='x'\n[estimate]\nconfidence = 0.5\n", ["line 4", "greater than 0.5"]),
        ("[project]\nname='x'\n[estimate]\nconfidence = 1\n", ["line 4", "less than 1"]),
        ("[project]\nname='x'\ncounty_code = 370212\n", ["line 3", "found 370212", "quotes"]),
        ("[project]\nname='x'\n[inputs]\nwell = 'a.csv'\n", ["line 4", "'inputs.well'", "did you mean 'wells'"]),
        ("[project]\nname='x'\n[aliases.wells]\n'井' = 'well_idd'\n", ["line 3", "did you mean 'well_id'"]),
        ("[project]\nname='x'\n[strata]\nclasses = 0\n", ["line 4", "strata.classes"]),
        ("[project]\nname='x'\nname='y'\n", ["line 3"]),
        ("[project]\nname = x\n", ["line 2"]),
        ("a=" + "[" * 5000, ["nested too deeply"]),
        (GOOD.encode("gb18030"), ["line 3", "UTF-8"]),
        (GOOD.encode("utf-8-sig"), ["line 1", "byte order mark"]),
    ],
)
def test_slips_are_named_with_file_line_and_remedy(tmp_path, text, expected):
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text))
    for part in ["elec2water.toml", *expected]:
        assert part in str(caught.value)


def test_all_slips_are_reported_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, "[project]\nname=''\n[design]\nn='a'\nm=1\n"))
    assert len(str(caught.value).splitlines()) == 3


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="not found"):
        load_config(tmp_path)
    (tmp_path / "elec2water.yaml").write_text("project: {name: x}")
    with pytest.raises(ConfigError, match=r"elec2water\.yaml.*only TOML"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="TOML"):
        load_config(tmp_path / "elec2water.yaml")


def test_rules_of_the_project(tmp_path):
    text = (
        "[project]\nname='x'\n[rules]\ndisable=['FLAT_LINE']\nthreshold={SPIKE=20}\nseverity={OVER_CAPACITY='info'}\n"
    )
    settings = load_config(written(tmp_path, text)).rules.settings
    assert (settings.limit("SPIKE"), settings.speaks("FLAT_LINE")) == (20.0, False)
    assert settings.severity == {"OVER_CAPACITY": "info"}
    for wrong, expected in [
        ("disable=['FLATLINE']", "did you mean 'FLAT_LINE'"),
        ("disable=['NO_ROWS']", "not up for choice"),
        ("threshold={FLAT_LINE='x'}", "rules.threshold"),
        ("threshold={PAIR_ENERGY=3}", "has no threshold"),
        ("severity={SPIKE='loud'}", "'error', 'warning' or 'info'"),
    ]:
        with pytest.raises(ConfigError, match=expected):
            load_config(written(tmp_path, f"[project]\nname='x'\n[rules]\n{wrong}\n"))
