"""The page /settings: values, sources, changes, undo, and the backup."""

import re
from pathlib import Path

import pytest

from sip.config import SETTINGS
from sip.running_settings import RunningSettings
from sip.setting_sources import Sources
from sip.store.audit import Act
from sip.store.backup import check_backup
from sip.store.kept_settings import KeptSettings
from webadmin.backups import MAX_SENT, Backups
from webadmin.http.connections import PeerFailed
from webadmin.thread_pool import TooBusy


def row(browser, name: str) -> str:
    """The row of a setting, as text."""
    text = browser.get("/settings").text
    found = re.search(rf"<tr>\s*<td[^>]*>\s*<(?:label|span)[^>]*>{name}</.*?</tr>", text, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0]))


def save(browser, **changes: tuple[str, str]):
    """Save fields: each has the value that the page has shown, and the new one."""
    fields = {}
    for attribute, (shown, typed) in changes.items():
        name = attribute.replace("_", ".", 1)
        fields |= {f"was.{name}": shown, name: typed}
    return browser.post("/settings", **fields)


def test_each_setting_is_shown_with_its_source(browser):
    text = browser.get("/settings").text
    for name in SETTINGS:
        assert f">{name}</" in text, name
    assert "default" in row(browser, "calls.keep")
    assert "a change needs a restart" in row(browser, "sip.addr")
    assert "Default: 25 seconds." in row(browser, "sip.keepalive")
    assert 'name="sip.addr"' not in text


def test_a_change_is_kept_and_undone_with_a_click(browser, context):
    answer = save(browser, calls_keep=("90", "7"), calls_keep_rows=("1000000", "1000000"))
    assert (answer.status, answer.location) == (303, "/settings")
    assert context.config.calls_keep == 7
    assert "calls.keep: 90 → 7." in browser.get("/settings").words
    assert "page" in row(browser, "calls.keep")
    assert "Before: no value here" in row(browser, "calls.keep")
    assert "Undo" not in row(browser, "calls.keep_rows")
    browser.post("/settings/undo", name="calls.keep")
    assert context.config.calls_keep == 90
    assert "default" in row(browser, "calls.keep")


def test_fields_that_were_not_touched_are_not_written(browser, context):
    """A page that is an hour old must not undo the change of another administrator."""
    save(browser, calls_keep=("90", "7"))
    save(browser, calls_keep=("90", "90"), trace_memory=("64", "32"))
    assert (context.config.calls_keep, context.config.trace_memory) == (7, 32)


def test_a_wrong_value_is_shown_at_its_field(browser, context):
    answer = save(browser, calls_keep=("90", "7"), calls_keep_rows=("1000000", "many"))
    assert answer.status == 422
    assert context.config.calls_keep == 90
    assert 'value="many"' in answer.text
    assert 'value="7"' in answer.text, "the other fields stay as they were typed"
    error = re.search(r'id="calls.keep_rows-error">([^<]+)<', answer.text)[1]
    assert "many" in error
    answer = browser.post("/settings/remove", name="colour")
    assert (answer.status, "There is no such setting." in answer.words) == (422, True)


def test_a_form_that_cannot_be_read_is_400(browser):
    headers = {"Content-Type": "multipart/form-data; boundary=x", **browser.own_site}
    assert browser.send("POST", "/settings", b"--x\r\nbroken", headers).status == 400


def test_a_secret_is_not_shown_and_stays_if_it_is_empty(browser, context):
    url = "https://example.net/key"
    save(browser, webhook_url=("", url), webhook_secret=("", "hush-hush"))
    assert context.config.webhook_url == url
    text = browser.get("/settings").text + browser.get("/audit").text
    assert "hush-hush" not in text
    assert url not in text
    save(browser, webhook_url=("", ""), webhook_secret=("", ""), webhook_events=("x", "banned"))
    assert (context.config.webhook_url, context.config.webhook_secret) == (url, "hush-hush")
    assert context.config.webhook_events == ("banned",)


def test_what_a_flag_sets_is_not_editable(browser, context):
    sources = Sources({"log.level": "debug"}, {}, {}, "")
    context.running_settings = RunningSettings(
        sources,
        KeptSettings(context.users.database),
        sources.config({}),
        lambda config: None,
        context.clock,
    )
    assert "The flag -log.level sets it" in row(browser, "log.level")
    assert save(browser, log_level=("debug", "info")).status == 422


def test_a_backup_is_downloaded(browser, context, tmp_path):
    answer = browser.post("/settings/backup")
    assert answer.status == 200
    assert 'filename="sipserver-2023-11-14.db"' in answer.headers["content-disposition"]
    assert "no-store" in answer.headers["cache-control"]
    file = tmp_path / "downloaded.db"
    file.write_bytes(answer.body)
    check_backup(str(file))
    assert len(answer.body) == int(answer.headers["content-length"])
    assert context.audit.entries()[0].act == Act.BACKED_UP
    assert not list(Path(context.users.database.path).parent.glob("*.download*"))


def test_backups_are_made_one_at_a_time(browser, context, monkeypatch):
    backups = Backups(context)
    monkeypatch.setattr(backups, "_make", lambda: backups.download())
    with pytest.raises(TooBusy, match="another backup is being made"):
        backups.download()
    monkeypatch.undo()
    backups.download().body.close()


def test_a_slow_reader_blocks_no_other_backup(browser, context, clock, tmp_path, caplog):
    """It ends after a minute, and a second for each megabit."""
    backups = Backups(context)
    slow = [backups.download() for _ in range(MAX_SENT - 1)]
    other = backups.download().body
    octets = b"".join(other)
    with pytest.raises(TooBusy, match="3 backups are being sent"):
        backups.download()
    size = int(slow[0].headers["content-length"])
    assert len(octets) == size
    clock.now += 60 + size / 125_000
    pieces = iter(slow[0].body)
    assert next(pieces)
    clock.now += 1
    with pytest.raises(PeerFailed):
        next(pieces)
    assert "slower than 1 Mbit/s" in caplog.text
    for body in (other, *(each.body for each in slow), other):
        body.close()
    for each in [backups.download() for _ in range(MAX_SENT - 1)]:
        each.body.close()


def test_a_failed_backup_is_503_and_leaves_nothing(browser, context, monkeypatch):
    monkeypatch.setattr("sip.store.backup.ROOM_LEFT", 2**62)
    for _ in range(2):
        answer = browser.post("/settings/backup")
        assert (answer.status, "MB left" in answer.words) == (503, True)
    assert not list(Path(context.users.database.path).parent.glob("*.download*"))
