"""Settings in the database."""

from sip.store.database import Database
from sip.store.kept_settings import KeptSetting, KeptSettings


def test_a_value_is_kept_with_the_former_one(tmp_path):
    with Database(str(tmp_path / "sip.db")) as database:
        kept = KeptSettings(database)
        kept.save({"robot": "off", "calls.keep": "1"}, "ann", 5.5)
        kept.save({"robot": None}, "bob", 6.5)
        assert kept.values() == {"calls.keep": "1"}
        assert kept.all()["robot"] == KeptSetting("robot", None, "off", 6, "bob")
        kept.save({"robot": "off"}, "bob", 7.5)
        assert list(kept.values()) == ["calls.keep", "robot"]  # the latest change comes last
