"""KTS beside the textbook: equal, or an error."""

from tools import benchmark


def test_shots_are_the_textbooks_or_the_benchmark_fails(monkeypatch, capsys):
    """The table as published, on rows that fall into shots; and what is said where the two differ."""
    from tools.benchmarks import shots
    rows = shots._rows(150, 16, 9)
    found = shots.change_points(rows, max_change_points=30)
    assert len(found) == 8 and found.tolist() == shots.textbook(rows, 30).tolist()
    monkeypatch.setattr(shots, "change_points", lambda rows, **options: found[1:])
    monkeypatch.setattr(shots, "textbook", lambda rows, limit: found)
    monkeypatch.setattr(shots, "_rows", lambda *sizes: rows)
    assert benchmark.main(["shots"]) == 2
    assert "but the textbook's table has 8, or others; pipelines/kts.py is at fault" in capsys.readouterr().err
