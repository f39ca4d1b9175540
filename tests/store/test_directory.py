"""Data for the pages: lists in order, filtered, searched and paged, and one whole account."""

import io
import itertools
import random
import sqlite3
import threading
from contextlib import closing

import gevent
import pytest

from sip.store import directory as module
from sip.store.bindings import BindingRow, BindingStore
from sip.store.database import Database
from sip.store.directory import Directory, Question
from sip.store.importing import apply, read_csv
from sip.store.users import Users

MAIN = "example.com"
SORTS = {
    "username": lambda row: (row[1].lower(), (row[2] or "").lower()),
    "display_name": lambda row: (row[3].lower(), row[0]),
    "last_seen": lambda row: (row[6] or 0, row[0]),
    "state": lambda row: (-row[5], -row[4], row[1].lower(), (row[2] or "").lower()),
}
TROUBLE = range(7, 1000, 9)  # ids
STATUSES = {
    "": lambda row: True,
    "online": lambda row: row[5],
    "offline": lambda row: row[4] and not row[5],
    "disabled": lambda row: not row[4],
    "enabled": lambda row: row[4],
    "never": lambda row: row[6] is None,
    "trouble": lambda row: row[0] in TROUBLE,
}


@pytest.fixture
def directory(database, users):
    return Directory(database, users)


def put(path, *rows):
    """Write accounts as they are: id, username, realm, display name, enabled, online, last seen."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO users (id, username, realm, display_name, enabled, online, last_seen,"
            " ha1_md5, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'x', 5, 6)",
            rows,
        )


def make(number, seed=1):
    """Some accounts of every kind; names are unique but for case and realm."""
    chosen = random.Random(seed)
    for n in range(1, number + 1):
        enabled = chosen.random() < 0.8
        online = enabled and chosen.random() < 0.5
        yield (
            n,
            chosen.choice(["user", "Phone", "+4930", "zoë"]) + str(n),
            chosen.choice([None, None, "other.org"]),
            chosen.choice(["", "", "Front door", "front DOOR 2", "Ärztin", "50% off_er"]),
            int(enabled),
            int(online),
            chosen.randrange(1000, 1010) if online or chosen.random() < 0.5 else None,
        )


def names(page):
    return [entry.username for entry in page.entries]


def names_of(directory, search, **more):
    return sorted(names(directory.page(Question(search=search, **more))))


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("descending", [False, True])
def test_every_page_equals_a_slice_of_the_sorted_list(directory, path, sort, descending):
    """From either end of the index, with each filter, no user is missing and none there twice."""
    rows = list(make(230))
    put(path, *rows)
    for status, realm in itertools.product(STATUSES, [None, MAIN, "other.org", "nowhere.org"]):
        expected = sorted(
            (r for r in rows if STATUSES[status](r) and realm in (None, r[2] or MAIN)),
            key=SORTS[sort],
            reverse=descending,
        )
        pages = max(1, -(-len(expected) // module.PAGE_SIZE))
        for number in range(1, pages + 1):
            page = directory.page(Question("", status, realm, sort, descending, number, TROUBLE))
            start = (number - 1) * module.PAGE_SIZE
            part = expected[start : start + module.PAGE_SIZE]
            assert [entry.id for entry in page.entries] == [row[0] for row in part]
            assert (page.total, page.more) == (len(expected), False)
            assert (page.page, page.pages) == (number, pages)


WAYS = pytest.mark.parametrize(
    ("few", "probed"),
    [(10_000, 0), (0, 0), (0, 30), (0, 10_000)],
    ids=["looked-up", "along-the-index", "not-all-probed", "probed"],
)


@WAYS
@pytest.mark.parametrize(
    "search",
    ["use", "r1", "fro", "DOOR", "ärz", "+4", "50%", "zo", "off_", "e1", "LOB", "lo", "ünn", "ün"],
)
def test_a_search_gives_the_same_by_any_way(directory, path, monkeypatch, few, probed, search):
    """Few that match are looked up and sorted; many are met along the index, or among the first."""
    monkeypatch.setattr(module, "_FEW", few)
    monkeypatch.setattr(module, "_PROBED", probed)
    rows = list(make(120))
    put(path, *rows)
    aliases = {row[0]: f"{'Lobby' if row[0] % 2 else 'Ünna'}{row[0]}" for row in rows[::3]}
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO aliases VALUES (?, ?, ?)",
            [(row[2] or "", aliases[row[0]], row[0]) for row in rows[::3]],
        )

    def matches(row):
        text = search.casefold()
        names = [each.casefold() for each in (row[1], row[3], aliases.get(row[0], ""))]
        return any(each.startswith(text) if len(text) < 3 else text in each for each in names)

    for status, sort, descending in itertools.product(STATUSES, SORTS, [False, True]):
        expected = sorted(
            (r for r in rows if matches(r) and STATUSES[status](r)),
            key=SORTS[sort],
            reverse=descending,
        )
        page = directory.page(Question(search, status, None, sort, descending, 1, TROUBLE))
        assert [e.id for e in page.entries] == [r[0] for r in expected][: module.PAGE_SIZE]
        assert page.total == len(expected)
        question = Question(search, status, None, sort, descending, 3, TROUBLE)
        assert directory.matching(question, 1000) == {row[0] for row in expected}


def test_accounts_are_counted_by_state(directory, path):
    rows = list(make(120))
    put(path, *rows)
    counts = directory.counts()
    assert counts.total == len(rows)
    for status in ("online", "offline", "never", "disabled"):
        assert getattr(counts, status) == len(list(filter(STATUSES[status], rows)))


def test_all_accounts_of_a_list_are_found_up_to_a_bound(directory, path):
    put(path, *make(120))
    assert directory.matching(Question(page=2), 1000) == set(range(1, 121))
    assert len(directory.matching(Question(), 100)) == 100


def test_a_page_number_out_of_range_gives_the_nearest_page(directory, path):
    put(path, *make(120))
    assert directory.page(Question(page=99)).page == 3
    assert directory.page(Question(page=10**30)).page == 3
    assert directory.page(Question(page=-5)).page == 1
    assert directory.page(Question(search="user", page=99)).page == 1
    nobody = directory.page(Question(status="online", realm="nowhere.org", page=7))
    assert (nobody.entries, nobody.total, nobody.page, nobody.pages) == ((), 0, 1, 1)


@WAYS
def test_a_search_that_finds_very_many_says_so_and_ends(directory, path, monkeypatch, few, probed):
    monkeypatch.setattr(module, "_FEW", few)
    monkeypatch.setattr(module, "_PROBED", probed)
    monkeypatch.setattr(module, "MAX_FOUND", 60)
    put(path, *((n, f"user{n:03}", None, "", 1, 0, None) for n in range(1, 101)))
    page = directory.page(Question(search="user", page=9))
    assert (page.total, page.more, page.page, page.pages) == (60, True, 2, 2)
    assert names(page) == [f"user{n:03}" for n in range(51, 61)]
    exactly = directory.page(Question(search="user0", page=1))
    assert (exactly.total, exactly.more) == (60, True)
    fewer = directory.page(Question(search="user00"))
    assert (fewer.total, fewer.more) == (9, False)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("50%", ["a%b"]),
        ("%", ["%c"]),
        ("a%", ["a%b"]),
        ("_", ["_d"]),
        ("a_", []),
        ("\\", ["\\e"]),
        ("'", ["'f"]),
        ("O'B", ["'f"]),
        ('"', []),
        ('say "', ["_d"]),
        ("AND", ["\\e"]),
        ("a OR b", []),
        ("NEAR(", []),
        ("-ab", []),
        ("user*", []),
        ("username:a", []),
        ("ÄRZ", ["%c"]),
        ("ä", ["%c"]),
        ("ÄR", ["%c"]),
        ("mé\u4e2d", []),
        ("\u4e2d\u6587\u5b57", ["a%b2"]),
        ("\u4e2d", ["a%b2"]),
        ("\U0001f4de", ["a%b3"]),
        ("x\0y", []),
        ("x\0", []),
        ("\0\0\0\0", []),
        ("\udcff\udcfe\udcfd", []),
        ("\udcff", []),
        ("x" * 128, ["x" * 128]),
        ("x" * 129, []),
        ("x" * 100_000, []),
        ("   ", []),
    ],
)
def test_a_search_finds_its_text_and_means_nothing_else_by_it(directory, path, search, found):
    """Neither LIKE nor FTS5 nor SQL has a say in it."""
    people = {
        "a%b": "50% off",
        "%c": "Ärztin",
        "_d": 'say "hi"',
        "\\e": "this AND that",
        "'f": "O'Brien",
        "a%b2": "\u4e2d\u6587\u5b57",
        "a%b3": "\U0001f4de phone",
        "x" * 128: "",
    }
    put(
        path,
        *(
            (n, *(name, None, shown), 1, 0, None)
            for n, (name, shown) in enumerate(people.items(), 1)
        ),
    )
    if search in ("a%",):
        found = ["a%b", "a%b2", "a%b3"]
    assert names_of(directory, search) == sorted(found)


def test_the_search_follows_every_change_of_a_name(directory, users, path):
    users.add("alice", "secret", display_name="Wonderland")
    assert names_of(directory, "wonder") == ["alice"]
    users.set_display_name("alice", "Looking-glass")
    assert names_of(directory, "wonder") == []
    assert names_of(directory, "glass") == ["alice"]
    users.set_password("alice", "other")
    users.disable("alice")
    assert names_of(directory, "LICE") == ["alice"]
    users.remove("alice")
    assert names_of(directory, "lic") == []
    users.restore(1)
    assert names_of(directory, "glass") == ["alice"]
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("INSERT INTO user_names (user_names, rank) VALUES ('integrity-check', 1)")


def rows_of(number):
    return "".join(f"user{n},{'f' * 32},Name {n}\n" for n in range(number)).encode()


def integrity(path):
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("INSERT INTO user_names (user_names, rank) VALUES ('integrity-check', 1)")
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        kinds = other.execute(
            "SELECT type, count(*) FROM sqlite_schema WHERE tbl_name = 'users' GROUP BY type"
        )
        return dict(kinds.fetchall())


@pytest.mark.parametrize("number", [499, 700])
def test_an_import_is_found_by_search_whether_large_or_small(directory, users, path, number):
    whole = integrity(path)
    head = b"username,ha1,display_name\n"
    users.add("before", "secret", display_name="Name before")
    apply(users, read_csv(io.BytesIO(head + rows_of(number)), MAIN))
    assert integrity(path) == whole
    assert names_of(directory, "user498") == ["user498"]
    assert names_of(directory, "before") == ["before"]
    changed = rows_of(number).replace(b"Name", b"Title")
    apply(users, read_csv(io.BytesIO(head + changed), MAIN, update=True))
    assert integrity(path) == whole
    assert names_of(directory, "title 498") == ["user498"]
    assert names_of(directory, "name") == ["before"]
    users.set_display_name("user498", "Somebody")
    assert names_of(directory, "somebody") == ["user498"]


# One account


def binding(user_id, contact, updated_at=1000, **more):
    return BindingRow(user_id, "alice@example.com", contact, 5000, updated_at=updated_at, **more)


def never():
    raise AssertionError("undone")


def test_an_entry_has_its_contacts_latest_first(database, users, directory):
    account = users.add("alice", "secret", display_name="Alice")
    bindings = BindingStore(database)
    flow = "UDP/192.0.2.1:5060/[2001:db8::7]:5061;nat"
    bindings.save(
        [
            binding(account.id, "sip:old@h", flow="TCP/192.0.2.1:5060/198.51.100.7:40000"),
            binding(
                account.id, "sip:new@h", 2000, user_agent="Desk/1.0", flow=flow, path="<sip:e;lr>"
            ),
        ],
        [],
        never,
        seen_at=2000,
    ).wait()
    bindings.close()
    entry = directory.entry(account.id)
    assert (entry.username, entry.realm, entry.display_name) == ("alice", MAIN, "Alice")
    assert (entry.enabled, entry.online, entry.last_seen) == (True, True, 2000)
    assert entry.created_at == entry.updated_at > 0
    new, old = entry.contacts
    assert (new.aor, new.contact, new.user_agent) == ("alice@example.com", "sip:new@h", "Desk/1.0")
    assert (new.transport, new.address, new.behind_nat) == ("UDP", "[2001:db8::7]:5061", True)
    assert (new.path, new.expires_at, new.updated_at) == ("<sip:e;lr>", 5000, 2000)
    assert (old.transport, old.address, old.behind_nat) == ("TCP", "198.51.100.7:40000", False)
    assert directory.page(Question()).entries == (entry,)
    assert directory.first() == entry
    assert directory.entry(users.add("bob", "secret").id).last_seen is None
    assert directory.entry(99) is None


def test_hostile_contacts_are_printable_and_can_be_removed(database, users, directory):
    account = users.add("alice", "secret")
    bindings = BindingStore(database)
    odd = "sip:\udce9\u202e\x1b[2J@h"
    rows = [
        binding(account.id, odd, user_agent="T\udcff\0\n\u00e9", flow="\udcff;x"),
        binding(account.id, "sip:\udcea@h"),
    ]
    bindings.save(rows, [], never).wait()
    contacts = directory.entry(account.id).contacts
    for contact in contacts:
        for text in (contact.shown, contact.user_agent, contact.address, contact.transport):
            assert text.isprintable()
            text.encode()
        assert contact.key.isascii()
    assert len({contact.key for contact in contacts}) == 2
    assert {contact.contact for contact in contacts} == {odd, "sip:\udcea@h"}
    gone = account.id, contacts[0].contact, contacts[0].flow
    bindings.save([], [gone], never).wait()
    bindings.close()
    assert directory.entry(account.id).contacts == contacts[1:]


def test_hashes_are_given_when_they_are_asked_for(users, directory, path):
    account = users.add("alice", "secret")
    hashes = directory.hashes(account.id)
    assert hashes["MD5"] == account.ha1_md5
    assert list(hashes) == ["MD5", "SHA-256", "SHA-512-256"]
    put(path, (7, "bob", None, "", 1, 0, None))
    assert directory.hashes(7) == {"MD5": "x"}
    assert directory.hashes(99) is None
    assert account.ha1_md5 not in repr(directory.entry(account.id))


def test_realms_and_counts(users, directory):
    assert (directory.realms(), directory.count(), directory.first()) == ([MAIN], 0, None)
    users.add("alice", "secret", realm="zzz.org")
    users.add("alice", "secret", realm="aaa.org")
    assert (directory.realms(), directory.count()) == ([MAIN, "aaa.org", "zzz.org"], 2)


def test_removed_accounts_are_reported_for_an_hour(users, directory, path):
    account = users.add("alice", "secret", realm="other.org")
    assert directory.removed(account.id) is None
    users.remove("alice", "other.org")
    removed = directory.removed(account.id)
    assert (removed.id, removed.username, removed.realm) == (account.id, "alice", "other.org")
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE removed_users SET removed_at = removed_at - 3600")
    assert directory.removed(account.id) is None


def test_rows_that_claim_one_name_are_each_listed(path):
    """After the main realm was renamed."""
    with Database(path) as database:
        users = Users(database, "old.example")
        users.add("alice", "one")
        users.add("alice", "two", realm=MAIN)
    with Database(path) as database:
        directory = Directory(database, Users(database, MAIN))
        page = directory.page(Question(realm=MAIN))
        assert [(e.id, e.realm) for e in page.entries] == [(1, MAIN), (2, MAIN)]


def test_a_phone_was_seen_when_its_binding_says_so(database, users, directory):
    """The table of accounts may be a minute behind."""
    account = users.add("alice", "secret")
    bindings = BindingStore(database)
    for at in (1000, 1030):
        bindings.save([binding(account.id, "sip:a@h", at)], [], never, seen_at=at).wait()
    bindings.close()
    assert directory.entry(account.id).last_seen == 1030


# During writes


def test_pages_do_not_wait_for_a_commit_nor_the_other_way_round(database, users, directory):
    users.add("alice", "secret")
    may_go_on, writing, browsing = threading.Event(), threading.Event(), threading.Event()

    def write(tables):
        tables["meta"].insert({"key": "half", "value": "done"})
        writing.set()
        assert may_go_on.wait(30)

    def browse(tables):
        browsing.set()
        assert may_go_on.wait(30)

    work = gevent.spawn(database.run, write)
    while not writing.is_set():
        gevent.sleep(0.001)
    assert names(directory.page(Question())) == ["alice"]
    may_go_on.set()
    work.get()
    may_go_on.clear()
    work = gevent.spawn(database.browse, browse)
    while not browsing.is_set():
        gevent.sleep(0.001)
    users.add("bob", "secret")
    may_go_on.set()
    work.get()
    assert names(directory.page(Question())) == ["alice", "bob"]
