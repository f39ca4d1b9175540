"""Operations on health and audit."""

from sip.monitor.health import Check


def test_health_has_the_worst_status(api, context):
    assert api.json("/health") == {"status": "ok", "checks": []}

    class Checks:
        def checks(self):
            return [
                Check("Clock", "ok", "the clock is right", ""),
                Check("Disk", "warning", "1 GB is free", "Make room."),
            ]

    context.health = Checks()
    answer = api.json("/health")
    assert answer["status"] == "warning"
    assert answer["checks"][1] == {
        "name": "Disk",
        "status": "warning",
        "detail": "1 GB is free",
        "cure": "Make room.",
    }


def test_the_audit_is_read_part_by_part(api, viewer):
    for network in range(5):
        api.write("POST", "/trusted", {"network": f"10.0.{network}.0/24"})
    found, cursor = [], {}
    for _ in range(3):
        part = viewer.json("/audit", limit=2, **cursor)
        found += part["items"]
        cursor = {"after": part["next"]}
    assert part["next"] is None
    assert [entry["about"] for entry in found] == [f"10.0.{n}.0/24" for n in range(4, -1, -1)]
    entry = found[0]
    assert (entry["actor"], entry["action"]) == ("token api", "network trusted")
    assert (entry["at"], entry["address"]) == ("2023-11-14T22:13:20Z", "192.0.2.7")
