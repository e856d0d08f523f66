"""Configuration errors name file, line, key and the nearest known name."""

from __future__ import annotations

import pytest

from denchi.config import Settings, load, schema, secret
from denchi.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[journal]\ncomit_ms = 3\n", ["line 2", "journal.comit_ms", "'commit_ms'"]),
        ('[bench.left]\nmetr = "x"\n', ["line 2", "bench.left.metr", "'meter'"]),
        ('station = "a"\n[journal]\n\ncommit_ms = "a"\n', ["line 4", "journal.commit_ms"]),
        ("x = [\n", ["not TOML"]),
        ('sttion = "a"\n', ["line 1", "'station'"]),
        ('[bench.left]\nposition = "middle"\n', ["line 2", "bench.left.position"]),
        ("[journal]\ncommit_ms = 1\n", ["line 2", "greater than or equal to 10"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, parts):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    message = str(caught.value)
    assert "\n" not in message
    for part in [str(path), *parts]:
        assert part in message


def test_every_value_knows_where_it_came_from(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('station = "s"\n[journal]\nreserve_mb = 8\n')
    loaded = load(path, environ={"DENCHI_JOURNAL__COMMIT_MS": "200", "DENCHI_DATA_DIR": "/x"})
    rows = {key: (value, origin) for key, value, origin in loaded.rows()}
    assert rows["station"] == ("s", f"{path}:1")
    assert rows["journal.reserve_mb"] == (8, f"{path}:3")
    assert rows["journal.commit_ms"] == (200, "environment DENCHI_JOURNAL__COMMIT_MS")
    assert rows["usb_backend"] == ("auto", "default")


def test_no_file_means_defaults(tmp_path):
    assert load(tmp_path / "none.toml", environ={}).settings == Settings()
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.toml", environ={}, must_exist=True)


def test_a_named_secret_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    monkeypatch.delenv("DENCHI_TEST_SECRET", raising=False)
    with pytest.raises(ConfigError):
        secret(file=tmp_path / "none")
    with pytest.raises(ConfigError):
        secret(env="DENCHI_TEST_SECRET")
    with pytest.raises(ConfigError):
        secret(credential="none")
    (tmp_path / "s").write_text("abc\n")
    assert secret(file=tmp_path / "s") == "abc"
    assert secret() is None


def test_the_schema_describes_every_section():
    assert {"journal", "bench", "api", "output"} <= set(schema()["properties"])
