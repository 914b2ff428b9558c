"""What an adapter is called by: a hash of what shapes its answers, and not of how its training went."""

from pathlib import Path

from kdb.student.adapter import identity


def test_an_adapter_is_known_by_its_weights_and_configuration(tmp_path: Path) -> None:
    for name in ("adapter_model.safetensors", "kdb.json", "run.json", "README.md"):
        (tmp_path / name).write_text(name)
    known = identity(tmp_path)
    for told in ("run.json", "README.md"):
        (tmp_path / told).write_text("it took longer")
        assert identity(tmp_path) == known
    for shaping in ("adapter_model.safetensors", "kdb.json"):
        (tmp_path / shaping).write_text("other")
        assert identity(tmp_path) != known
        known = identity(tmp_path)
