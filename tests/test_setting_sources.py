"""The order of the sources of settings, and kept values that cannot be used."""

from sip.setting_sources import Source, Sources


def test_each_source_overrides_those_after_it():
    sources = Sources(
        {"log.level": "debug"},
        {"SIPSERVER_ROBOT": "off", "SIPSERVER_LOG_LEVEL": "error"},
        {"log.level": "error", "robot": "on", "calls.keep": "1", "calls.keep_rows": "2"},
        "file.toml",
    )
    kept = {"log.level": "error", "robot": "on", "calls.keep": "3"}
    chosen = sources.choose(kept)
    names = ("log.level", "robot", "calls.keep", "calls.keep_rows", "sip.addr")
    assert [(chosen[name].source, chosen[name].text) for name in names] == [
        (Source.FLAG, "debug"),
        (Source.ENVIRONMENT, "off"),
        (Source.PAGE, "3"),
        (Source.FILE, "2"),
        (Source.DEFAULT, ":5060"),
    ]
    config = sources.config(kept)
    assert (config.log_level, config.robot, config.calls_keep) == ("debug", False, 3)


def test_kept_values_that_are_refused_are_left_out():
    """A newer version may refuse a value, or no longer have the setting."""
    kept = {"log.level": "loud", "colour": "red", "sip.addr": ":5062", "calls.keep": "3"}
    good, refused = Sources({}, {}, {}, "").usable(kept)
    assert good == {"calls.keep": "3"}
    assert [sentence.split()[0] for sentence in refused] == ["log.level", "colour", "sip.addr"]


def test_a_kept_value_that_contradicts_the_file_is_left_out():
    sources = Sources({}, {}, {"sip.max_expires": "600", "sip.default_expires": "300"}, "file")
    good, refused = sources.usable({"calls.keep": "3", "sip.min_expires": "400", "robot": "off"})
    assert good == {"calls.keep": "3", "robot": "off"}
    assert refused[0].startswith("sip.min_expires on the page /settings: ")
