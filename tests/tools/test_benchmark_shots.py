"""tools/benchmarks/shots.py: KTS must equal the textbook algorithm, or the benchmark fails."""

from tools import benchmark
from tools.benchmarks import shots


def test_kts_equals_the_textbook_algorithm_or_the_benchmark_fails(monkeypatch, capsys):
    rows = shots.shot_features(150, 16, 9)
    found = shots.change_points(rows, max_change_points=30)
    assert len(found) == 8
    assert found.tolist() == shots.textbook_kts(rows, 30).tolist()
    monkeypatch.setattr(shots, "change_points", lambda rows, **options: found[1:])   # One change point is missing.
    monkeypatch.setattr(shots, "textbook_kts", lambda rows, limit: found)
    monkeypatch.setattr(shots, "shot_features", lambda *sizes: rows)
    assert benchmark.main(["shots"]) == 2
    assert ("the 7 change points differ from the textbook algorithm's 8; check pipelines/shots/kts.py"
            in capsys.readouterr().err)
