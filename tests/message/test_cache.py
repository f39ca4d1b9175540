"""Parsed values are cached, and removed."""

from sip.message.cache import cached_parse, clear_parse_caches


def test_what_is_kept_is_made_once_until_all_is_forgotten():
    made = []

    @cached_parse(2)
    def double(number: int) -> int:
        made.append(number)
        return 2 * number

    assert [double(number) for number in (1, 2, 1, 2)] == [2, 4, 2, 4]
    assert made == [1, 2]
    double(3)
    double(1)
    assert made == [1, 2, 3, 1]  # the latest two are kept
    clear_parse_caches()
    double(1)
    assert made == [1, 2, 3, 1, 1]
