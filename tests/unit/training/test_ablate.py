"""Ablations: what a variant changes, and the table."""

from pathlib import Path

import pytest
import yaml

from training.ablate import AblationConfig, changed, main, table, write_report
from training.run_config import ConfigError, RunConfig, read_config

ROOT = Path(__file__).parents[3]


def test_changes_replace_keys_in_their_order_and_null_takes_one_away() -> None:
    assert changed({"a": 1, "b": 2, "c": 3}, {"a": 4, "b": None}, {"a": 5}) == {"a": 5, "c": 3}


def test_every_variant_of_the_shipped_ablation_is_a_valid_run() -> None:
    ablation = read_config(ROOT / "config" / "ablation.yaml", AblationConfig)
    base = yaml.safe_load((ROOT / ablation.run).read_text(encoding="utf-8"))
    names = [variant.name for variant in ablation.variants]
    assert len(set(names)) == len(names)
    for variant in ablation.variants:
        settings = RunConfig.model_validate(changed(base, ablation.changes, variant.changes, {"seed": 1}))
        learnt = {str(corpus.path) for corpus in settings.corpora}
        scored = [d for n, d in ablation.devel.items() if variant.unseen is None or n in variant.unseen]
        assert not learnt & {str(place.path) for place in scored}
        assert not any("test" in path for path in learnt)


@pytest.fixture
def ablation() -> AblationConfig:
    return AblationConfig.model_validate(
        {
            "run": "run.yaml",
            "seeds": [1, 2],
            "devel": {"A": {"path": "a.tsv"}, "B": {"path": "b.tsv"}},
            "variants": [{"name": "plain"}, {"name": "more"}, {"name": "most", "against": "more"}],
        }
    )


SCORES = {
    "plain": [{"A": 0.70, "B": 0.80}, {"A": 0.72, "B": 0.80}],
    "more": [{"A": 0.73}, {"A": 0.75}],
    "most": [{"A": 0.76, "B": 0.81}],
}


def test_the_table_gives_mean_deviation_and_difference(ablation: AblationConfig) -> None:
    rows = table(ablation, SCORES).splitlines()
    assert rows[2] == "| plain | 2 | 0.710 ± 0.014 | 0.800 ± 0.000 |"
    assert rows[3] == "| more | 2 | 0.740 ± 0.014 (+0.030) |  |"
    assert rows[4] == "| most (against more) | 1 | 0.760 (+0.020) | 0.810 |"


def test_the_report_keeps_what_stands_around_the_table(tmp_path: Path, ablation: AblationConfig) -> None:
    report = tmp_path / "ablation.md"
    report.write_text("before\n<!-- ablation: begin -->\nold\n<!-- ablation: end -->\nafter\n", encoding="utf-8")
    for _ in range(2):
        write_report(ablation, SCORES, report)
    text = report.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert text.count("| plain |") == 1
    assert (tmp_path / "ablation.png").stat().st_size > 1000


def test_faults_are_told_together(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("run: x.yaml\nseeds: []\ncolour: red\ndevel: {}\nvariants: []\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_config(path, AblationConfig)
    for place in ("seeds", "colour", "devel", "variants"):
        assert place in str(caught.value)


def test_a_report_of_what_is_done_trains_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs" / "plain-14").mkdir(parents=True)
    (tmp_path / "runs" / "plain-14" / "scores.json").write_text('{"MACCROBAT devel, serving": 0.654}', encoding="utf-8")
    report = tmp_path / "ablation.md"
    main(ROOT / "config" / "ablation.yaml", tmp_path, tmp_path / "runs", report, report_only=True)
    assert "| plain | 1 | 0.654 |" in report.read_text(encoding="utf-8")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["plain-14"]
