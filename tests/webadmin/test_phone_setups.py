"""Links, windows and passwords shown once: used once, expired, bounded."""

from webadmin.phone_setups import MAX_OPEN, MAX_SHOWN, SECONDS, Grants, PhoneSetups, Shown


def test_a_link_works_once_and_another_ends_it(clock):
    setups = PhoneSetups(clock)
    first = setups.make_link(1, "admin")
    second = setups.make_link(1, "admin")
    assert setups.take_link(first) is None
    grant = setups.take_link(second)
    assert (grant.user_id, grant.by) == (1, "admin")
    assert setups.take_link(second) is None
    setups.put_link_back(second, grant)
    assert setups.take_link(second) == grant


def test_a_link_expires_after_ten_minutes(clock):
    setups = PhoneSetups(clock)
    early, late = setups.make_link(1, "admin"), setups.make_link(2, "admin")
    clock.now += SECONDS - 1
    assert setups.take_link(early)
    clock.now += 1
    assert SECONDS == 600
    assert setups.take_link(late) is None


def test_the_memory_holds_no_token(clock):
    setups = PhoneSetups(clock)
    token = setups.make_link(1, "admin")
    assert token not in repr(vars(setups._links))
    assert len(token) == 32


def test_all_tables_are_bounded(clock):
    grants: Grants[int] = Grants(clock)
    for number in range(MAX_OPEN + 1):
        grants.add(number, 1, "admin")
    assert grants.take(0) is None
    assert grants.take(MAX_OPEN)
    setups = PhoneSetups(clock)
    for session in range(MAX_SHOWN + 1):
        setups.show_once(session, Shown(1, "", "password"))
    assert setups.take_shown(0, 1) is None
    assert setups.take_shown(MAX_SHOWN, 2) is None, "the page of another user"
    assert setups.take_shown(MAX_SHOWN, 1)
