import base64
import gzip
import hashlib
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.report.support_report import PLAN, make_report, records_with_refusals
from tests.support_records import SETTINGS, make_record
from wattsweep.errors import AnalysisError
from wattsweep.figures import FIGURES
from wattsweep.report import build_report, facts
from wattsweep.tables import read_experiments, read_runs, write_tables


class Outline(HTMLParser):
    """Headings in order, ids, and what a page would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.tables = self.captions = self.scripts = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if "href" in values else []
        self.sources += [values["src"]] if "src" in values else []
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.scripts += tag == "script"
        assert tag != "img" or values["alt"]


def words(html: str) -> str:
    body = re.sub(r"<(style|script)\b.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_report(records_with_refusals("simulated"), tmp_path_factory.mktemp("simulated"), drawn=True)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_report(records_with_refusals("measured"), tmp_path_factory.mktemp("measured"), drawn=True)


def test_the_page_loads_nothing_and_is_well_ordered(simulated: str) -> None:
    outline = Outline(simulated)
    assert outline.scripts == 3
    assert all(link.startswith(("#", "data:")) for link in outline.links)
    assert all(re.match(r"data:image/(svg\+xml|png);base64,", source) for source in outline.sources)
    assert len(outline.sources) == len(FIGURES)
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False))
    assert outline.tables == outline.captions > 5
    assert len(outline.ids) == len(set(outline.ids))
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.ids)
    assert '<html lang="en">' in simulated
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', simulated)
    assert policy is not None
    assert unescape(policy[1]).startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy[1]
    assert "script-src 'unsafe" not in unescape(policy[1])


def test_simulated_power_is_on_the_banner_and_beside_joules(simulated: str) -> None:
    text = words(simulated)
    assert "SIMULATED POWER - not a measurement" in text
    for header in ("net energy of a run simulated", "per datum simulated", "coefficient simulated"):
        assert header in text
    answer = simulated[simulated.index('id="answer"') : simulated.index('id="completeness"')]
    assert len(re.findall(r"J</div>", answer)) == answer.count('class="card"') == 4
    assert answer.count('<span class="tag">simulated</span>') == 5


def test_measured_power_bears_no_mark(measured: str) -> None:
    assert "SIMULATED" not in measured
    assert 'class="banner"' not in measured
    assert 'class="tag"' not in measured
    assert "Power was measured for 146 runs" in words(measured)


def test_mixed_origins_are_told_apart(tmp_path: Path) -> None:
    records = [
        make_record(repetition=0, origin="measured"),
        make_record(repetition=1, origin="simulated"),
        make_record(repetition=2, origin=None),
    ]
    text = words(make_report(records, tmp_path))
    assert "PARTLY SIMULATED POWER - not all of this is a measurement" in text
    assert "Experiments with simulated power are not compared here" in text
    assert "net energy of a run partly simulated" in text


def test_the_answer_names_the_dearest_and_the_cheapest(measured: str, tmp_path: Path) -> None:
    write_tables(records_with_refusals("measured"), {}, tmp_path)
    experiments = read_experiments(tmp_path)
    found = facts.headline(experiments)
    assert found is not None
    assert found["high"] == experiments["energy_net_j_median"].max()
    assert found["low"] == experiments["energy_net_j_median"].min()
    assert found["n_experiments"] == 48
    text = words(measured)
    assert found["dearest"]["words"] in unescape(measured)
    assert found["cheapest"]["words"] in unescape(measured)
    assert re.search(r"A run cost [\d.]+ mJ to [\d.]+ (m|)J of net energy", text)


def test_what_was_asked_ran_missed_and_refused_is_counted(measured: str) -> None:
    text = words(measured)
    assert "Asked: 100 runs of 49 experiments." in text
    assert "Ran: 98 of those; 2 planned runs missing ." in text
    assert "long enough to be measured: 48." in text
    assert "Energy: known for 144 runs, refused for 2, not measured for 0." in text
    assert "energy refused 2" in text
    assert "valid samples cover 0.200 of the block's 10.000 s" in text
    assert "within 20 % of their size: 1 experiment: 1 too small." in text
    assert "digits wide_first_16x 20 32 913 2753.0 % too small" in text


def test_nodes_power_and_model_are_told(measured: str) -> None:
    text = words(measured)
    for fact in ("node-a", "Example CPU 2.0 GHz", "2.21.0, 3.15.1", "0123456789ab", "Linux, Python 3.11.9"):
        assert fact in text
    for fact in ("DCMI power reading of the BMC", "because power.ipmi.address names it", "idle power 60.0 W"):
        assert fact in text
    for fact in ("operations for each multiply-accumulate", "batch overhead for each training batch", "held out"):
        assert fact in text


def test_sources_of_one_kind_are_told_of_once(tmp_path: Path) -> None:
    first, second = make_record(repetition=0), make_record(repetition=1)
    assert second.power is not None
    elsewhere = replace(second.power.source, detail="DCMI power reading of the BMC at 127.0.0.1:6231, over LAN")
    second = replace(second, power=replace(second.power, source=elsewhere))
    text = words(make_report([first, second], tmp_path))
    assert "Power was measured for 2 runs: DCMI power reading of the BMC at 127.0.0.1:6230" in text
    assert "(the first of 2 such)" in text
    assert text.count("Source ipmi") == 1


def test_names_are_escaped(tmp_path: Path) -> None:
    record = make_record(provenance={"host": "<script>alert(1)</script>"})
    html = make_report([record], tmp_path)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


def test_same_tables_same_page(tmp_path: Path) -> None:
    records = records_with_refusals("simulated")[:6]
    assert make_report(records, tmp_path / "a") == make_report(records, tmp_path / "b")


def test_nothing_trained_is_a_report_too(tmp_path: Path) -> None:
    text = words(make_report([], tmp_path))
    assert "nothing was trained yet" in text
    assert "100 planned runs missing" in text
    assert "Nothing to fit" in text


def test_why_runs_are_missing_is_said(tmp_path: Path) -> None:
    missing = {
        "missing_because": {"failed with ValueError": 1, "not trained yet": 98},
        "missing_examples": {"failed with ValueError": "run 0123: ValueError: <nan> (failures/01/0123-3.json)"},
    }
    html = make_report([make_record(origin=None)], tmp_path, missing=missing)
    assert "failed with ValueError 1 not trained yet 98" in words(html)
    assert "run 0123: ValueError: &lt;nan&gt; (failures/01/0123-3.json)" in html
    assert "Missing runs" not in make_report([make_record(origin=None)], tmp_path)


def test_power_not_measured_is_said(tmp_path: Path) -> None:
    text = words(make_report([make_record(origin=None)], tmp_path))
    assert "No run has a net energy: power was not measured." in text
    assert "Power was not read." in text
    assert "Not fitted: 0 experiments have a positive net energy (1 left out because power was not measured)" in text


def test_long_tables_are_cut_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "MOST_EXPERIMENTS", 2)
    monkeypatch.setattr(facts, "MOST_NONCONFORMANT", 1)
    records = [make_record(replace(SETTINGS, depth=depth)) for depth in (2, 3, 4)]
    records.sort(key=lambda record: record.run.experiment_id)
    plan = PLAN | {"nonconformant": PLAN["nonconformant"] * 3}
    text = words(make_report(records, tmp_path, plan))
    assert "The first 2 of 3; experiments.parquet has all." in text
    assert "The 1 of 3 that are furthest from their size." in text


def test_a_figure_that_is_not_drawn_is_named(tmp_path: Path) -> None:
    write_tables([make_record()], {}, tmp_path)
    with pytest.raises(AnalysisError, match=r"energy_per_datum\.svg is not there: draw it with `wattsweep figures`"):
        build_report(
            plan=PLAN,
            runs=read_runs(tmp_path),
            experiments=read_experiments(tmp_path),
            fits=[],
            figures_folder=tmp_path,
        )


def test_the_scripts_are_those_that_the_policy_allows(simulated: str) -> None:
    found = re.search(r"script-src ([^;]*);", unescape(simulated))
    assert found is not None
    own = re.findall(r"<script>(.*?)</script>", simulated, flags=re.DOTALL)
    packed = re.search(r'<script type="text/plain" id="plotly-source">(.*?)</script>', simulated, flags=re.DOTALL)
    assert packed is not None
    for script in (*own, gzip.decompress(base64.b64decode(packed[1])).decode()):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in found[1]


def test_names_cannot_end_the_data(tmp_path: Path) -> None:
    record = make_record(provenance={"cpu_model": "</script><script>alert(1)</script>"})
    assert "<script>alert" not in make_report([record], tmp_path)


def test_runs_lead_to_their_files(tmp_path: Path) -> None:
    html = make_report([make_record()], tmp_path, run_link=lambda experiment, run: f"runs/{experiment}/{run}.h5")
    run = make_record().run
    assert f'<a href="runs/{run.experiment_id}/{run.run_id}.h5">' in html


def test_a_paragraph_for_papers_says_what_was_done(measured: str) -> None:
    text = words(measured)
    for fact in (
        "We trained 49 configurations of fully connected networks",
        "146 in all, with wattsweep",
        "on Example CPU 2.0 GHz with 1 CPU threads",
        "Power of the node was measured by ipmi",
        "2 runs had their energy refused.",
        "An energy model of",
    ):
        assert fact in text


def test_findings_stand_together(measured: str) -> None:
    part = measured[measured.index('id="findings"') : measured.index('id="figures"')]
    claims = [kind for kind in FIGURES.values() if kind.finding is not None]
    assert part.count('class="verdict"') == len(claims)


def test_the_cheapest_network_at_a_loss_is_named(measured: str) -> None:
    text = words(measured[measured.index('id="advice"') : measured.index('id="findings"')])
    assert "from the least loss up, each row the lowest loss that takes half the energy" in text


def test_large_drawings_are_shown_as_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wattsweep.report.build.MOST_SVG_BYTES", 1)
    outline = Outline(make_report([make_record()], tmp_path))
    assert all(source.startswith("data:image/png;base64,") for source in outline.sources)
