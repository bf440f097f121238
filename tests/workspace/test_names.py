"""Names: misspelt ones, twins that look the same, and those of the user beside those of ours."""

import json
import re
import time
import unicodedata
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import nextstat
from nextstat._base.spelling import Spellings, looks_misspelt, set_apart
from nextstat.exceptions import WorkspaceError, WorkspaceWarning
from nextstat.workspace import load


def factor(name: str) -> dict[str, Any]:
    return {"name": name, "type": "normfactor", "data": None}


def normsys(name: str) -> dict[str, Any]:
    return {"name": name, "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}


def sample(name: str, *modifiers: dict[str, Any], data: float = 50.0) -> dict[str, Any]:
    return {"name": name, "data": [data], "modifiers": list(modifiers)}


def workspace(
    *samples: dict[str, Any], poi: str = "mu", settings: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    config = {"poi": poi, "parameters": settings or []}
    return {
        "channels": [{"name": "SR", "samples": list(samples)}],
        "observations": [{"name": "SR", "data": [55.0]}],
        "measurements": [{"name": "m", "config": config}],
        "version": "1.0.0",
    }


# Misspelt ones ------------------------------------------------------------------------------------

APART = [
    ("mu_SIG", "mu_BG"),
    ("mu_SIG", "mu_W"),
    ("mu_W", "mu_Z"),
    ("mu_W", "mu_WW"),
    ("mu_ttH", "mu_ttZ"),
    ("mu_ttH", "mu_tH"),
    ("mu_Zjets", "mu_Wjets"),
    ("mu_Zjets", "mu_ZZjets"),
    ("mu_signal1", "mu_signal2"),
    ("mu_signal1", "mu_signal11"),
    ("mu", "mu_SIG"),
    ("SigXsecOverSM", "SigXsec"),
    ("norm_top", "norm_tops_2016"),
]
SLIPS = [
    ("mu_sig", "mu_SIG"),
    ("Mu", "mu"),
    ("mu-SIG", "mu_SIG"),
    ("muSIG", "mu_SIG"),
    ("mu_", "mu"),
    ("mu_singal", "mu_signal"),
    ("mu_signl", "mu_signal"),
    ("mu_signnal", "mu_signal"),
    ("signal_strenght", "signal_strength"),
]


@pytest.mark.parametrize(
    ("word", "name", "slip"), [(*p, False) for p in APART] + [(*p, True) for p in SLIPS]
)
def test_what_looks_misspelt(word: str, name: str, slip: bool) -> None:
    assert looks_misspelt(word, name) is looks_misspelt(name, word) is slip
    assert Spellings([name, "other"]).slip(word) == (name if slip else None)
    assert Spellings([name, word]).slip(word) == (name if slip else None)


@pytest.mark.parametrize(("poi", "carried"), APART)
def test_background_only_workspaces_load_without_a_word(poi: str, carried: str) -> None:
    """Also where they have settings of the parameter of interest."""
    settings = [{"name": poi, "inits": [1.0], "bounds": [[0.0, 5.0]]}]
    document = workspace(sample("b", factor(carried), normsys("xs")), poi=poi, settings=settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = nextstat.from_pyhf(document)
    assert model.poi is None
    assert nextstat.fit(model).converged
    with pytest.raises(WorkspaceError, match=r"^poi: unknown parameter"):
        nextstat.from_pyhf(document, poi=poi)
    assert nextstat.from_pyhf(document, poi=carried).poi == carried
    assert nextstat.from_pyhf(document, poi="").poi is None


@pytest.mark.parametrize(("poi", "carried"), SLIPS)
def test_misspelt_parameter_of_interest(poi: str, carried: str) -> None:
    document = workspace(sample("s", factor(carried)), sample("b", normsys("xs")), poi=poi)
    message = (
        f"$.measurements[0].config.poi: no sample carries {poi!r} (did you mean {carried!r}?); "
        "the model has no parameter of interest, unless poi= chooses one"
    )
    with pytest.warns(WorkspaceWarning, match="^" + re.escape(message)) as caught:
        assert nextstat.from_pyhf(document).poi is None
    assert caught[0].filename == __file__
    assert nextstat.from_pyhf(document, poi=carried).poi == carried


def test_signal_that_nothing_scales() -> None:
    """A patch, or a sample of that name, is there to be tested."""
    document = workspace(sample("b", factor("mu_b")), poi="mu_SIG")
    add = {"op": "add", "path": "/channels/0/samples/-", "value": sample("s", factor("strength"))}
    with pytest.warns(WorkspaceWarning, match="the patch has added no signal"):
        assert nextstat.from_pyhf(document, patch=[add]).poi is None
    add["value"] = sample("s", factor("mu_SIG"))
    assert nextstat.from_pyhf(document, patch=[add]).poi == "mu_SIG"
    document["channels"][0]["samples"].append(sample("Signal", factor("strength")))
    with pytest.warns(WorkspaceWarning, match="there is a sample 'Signal'"):
        assert nextstat.from_pyhf(document).poi is None


def test_a_parameter_per_bin_is_no_parameter_of_interest() -> None:
    free = {"name": "free", "type": "shapefactor", "data": None}
    with pytest.raises(WorkspaceError, match=r"one parameter per bin; .* such as 'free\[0\]'"):
        nextstat.from_pyhf(workspace(sample("s", free), sample("b"), poi="free"))


def test_settings_warn_only_where_they_look_misspelt() -> None:
    """Converters write settings of pruned systematics, of lumi, of the signal strength."""
    samples = (sample("s", factor("mu")), sample("b", normsys("jet_energy"), normsys("xs")))
    harmless = [
        {"name": name}
        for name in ("lumi", "mu_SIG", "jet_enter", "energy", "x", "syst_2017", "jet_energy_2")
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nextstat.from_pyhf(workspace(*samples, settings=harmless))
        both = [{"name": "jet_enregy"}, {"name": "jet_energy", "fixed": False}]
        nextstat.from_pyhf(workspace(*samples, settings=both))
    misspelt = workspace(*samples, settings=[{"name": "jet_enregy", "fixed": True}])
    message = (
        r"^\$\.measurements\[0\]\.config\.parameters\[0\]: settings for 'jet_enregy', which no "
        r"sample uses \(did you mean 'jet_energy'\?\); they have no effect"
    )
    with pytest.warns(WorkspaceWarning, match=message) as caught:
        nextstat.from_pyhf(misspelt)
    assert caught[0].filename == __file__


# Twins --------------------------------------------------------------------------------------------

NFC = "\u00e9nergie"
NFD = unicodedata.normalize("NFD", NFC)


def twin_modifiers() -> dict[str, Any]:
    return workspace(
        sample("s", factor("mu")), sample("b", normsys(NFC)), sample("c", normsys(NFD))
    )


def twin_samples() -> dict[str, Any]:
    return workspace(sample(NFC, factor("mu")), sample(NFD))


def twin_of_the_poi() -> dict[str, Any]:
    return workspace(sample("s", factor(NFC)), sample("b"), poi=NFD)


def twin_settings() -> dict[str, Any]:
    return workspace(sample("s", factor("mu"), normsys(NFD)), settings=[{"name": NFC}])


def twin_channels() -> dict[str, Any]:
    document = workspace(sample("s", factor("mu")))
    document["channels"] = [{**document["channels"][0], "name": name} for name in (NFC, NFD)]
    document["observations"] = [{"name": name, "data": [1.0]} for name in (NFD, NFC)]
    return document


def twin_measurements() -> dict[str, Any]:
    document = workspace(sample("s", factor("mu")))
    document["measurements"] = [
        {**document["measurements"][0], "name": name} for name in (NFC, NFD)
    ]
    return document


def twin_in_ascii() -> dict[str, Any]:
    """The Kelvin sign is the letter K."""
    return workspace(
        sample("s", factor("mu")), sample("b", normsys("K")), sample("c", normsys("\u212a"))
    )


@pytest.mark.parametrize(
    "make",
    [
        twin_modifiers,
        twin_samples,
        twin_of_the_poi,
        twin_settings,
        twin_channels,
        twin_measurements,
        twin_in_ascii,
    ],
)
@pytest.mark.parametrize("form", [dict, json.dumps])
def test_twins_are_refused(make: Callable[[], dict[str, Any]], form: Callable[[Any], Any]) -> None:
    with pytest.raises(WorkspaceError, match="look the same are spelt in two ways") as caught:
        load(form(make()))
    assert str(caught.value).isascii()
    text = json.dumps(make()).replace(json.dumps(NFD)[1:-1], json.dumps(NFC)[1:-1])
    if make in (twin_modifiers, twin_of_the_poi, twin_settings):  # the advice helps
        assert NFC in nextstat.from_pyhf(text).parameter_names


def test_one_spelling_throughout_is_as_good_as_another() -> None:
    for name in (NFC, NFD):
        model = nextstat.from_pyhf(workspace(sample(name, factor(name)), sample("b"), poi=name))
        assert model.poi == name
    with pytest.raises(
        WorkspaceError, match=r"did you mean '\\xe9nergie'\? This is 'e\\u0301nergi"
    ):
        nextstat.from_pyhf(workspace(sample("s", factor(NFC))), poi=NFD)
    document = workspace(sample("s", factor("mu")))
    document["channels"][0]["name"], document["observations"][0]["name"] = NFC, NFD
    with pytest.raises(WorkspaceError, match=r"has no observation \(did you mean 'e\\u0301nergie'"):
        load(document)


# Beside those of ours -----------------------------------------------------------------------------


def test_set_apart() -> None:
    assert set_apart(["a", "nll"], ["nll", "edm"], "param/") == ["a", "param/nll"]
    assert set_apart(["param/nll", "nll"], ["nll"], "param/") == ["param/nll", "param/param/nll"]
    assert set_apart([], ["nll"], "param/") == []


@pytest.mark.parametrize("per_bin", [False, True])
def test_samples_called_total_and_data(per_bin: bool) -> None:
    samples = [
        sample("data", factor("mu"), data=3.0),
        sample("total", data=4.0),
        sample("sample/total", data=5.0),
        sample("b", data=6.0),
    ]
    yields = nextstat.yields(nextstat.from_pyhf(workspace(*samples)))
    frame = yields.to_dataframe(per_bin=per_bin).set_index("sample")["expected"]
    assert frame.to_dict() == {
        "sample/data": 3.0,
        "sample/sample/total": 4.0,
        "sample/total": 5.0,
        "b": 6.0,
        "total": 18.0,
        "data": 55.0,
    }


def test_parameters_called_like_columns() -> None:
    names = ["nll", "status", "edm", "n_iter", "deviance"]
    samples = (sample("s", factor("nll"), data=5.0), sample("b", *map(normsys, names[1:])))
    model = nextstat.from_pyhf(workspace(*samples, poi="nll"))
    batch = nextstat.fit_toys(model, 3, seed=1)
    frame = batch.to_dataframe()
    assert len(set(frame.columns)) == len(frame.columns) == 10
    assert frame["nll"].to_list() == batch.nll.tolist()
    assert frame["status"].to_list() == batch.status.tolist()
    for name in names:
        assert frame[f"param/{name}"].to_list() == batch[name].tolist()


def test_scan_of_a_parameter_called_like_the_scan() -> None:
    name = "twice_delta_nll"
    model = nextstat.from_pyhf(
        workspace(sample("s", factor(name), data=5.0), sample("b", normsys("xs")), poi=name)
    )
    scan = nextstat.scan(model, name, [0.5, 1.0])
    frame = scan.to_dataframe()
    assert frame[f"param/{name}"].to_list() == [0.5, 1.0]
    assert frame[name].to_list() == scan.twice_delta_nll.tolist()


def test_many_misspelt_names_take_linear_time() -> None:
    names = [f"systematic_uncertainty_{i}" for i in range(20_000)]
    start = time.process_time()
    spellings = Spellings(names)
    assert not any(map(spellings.slip, (f"systematic_uncertainty_x{i}" for i in range(20_000))))
    assert time.process_time() - start < 20.0
