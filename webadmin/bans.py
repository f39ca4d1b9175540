"""The guard's page: who is banned or has to wait and why, and which networks never are."""

from bottle import Bottle, response

from sip.operator_values import network_text
from sip.store.audit import Act
from sip.store.bans import NoSuchBan
from webadmin.blocked_logins import MAX_SHOWN, all_waits
from webadmin.context import Answer, Site, typed


def mount(app: Bottle, site: Site) -> None:
    """Put /bans on `app`."""
    bans = site.bans

    def show(error: str = "", network: str = "") -> str:
        if error:
            response.status = 422
        return site.page(
            "bans.tpl",
            section="/bans",
            bans=bans.list(site.clock()),
            waits=all_waits(site),
            most_waits=MAX_SHOWN,
            configured=[network_text(each) for each in site.config.guard_trusted],
            trusted=bans.trusted(),
            error=error,
            network=network,
        )

    @app.get("/bans")  # type: ignore[untyped-decorator]  # bottle has no types
    def list_bans() -> str:
        return show()

    @app.post("/bans/remove")  # type: ignore[untyped-decorator]
    def remove() -> Answer:
        address = typed("address").strip()
        try:
            bans.remove(address)
        except (NoSuchBan, ValueError):  # it has ended meanwhile, or somebody was quicker
            return site.say("/bans", "That address is not banned any more.")
        site.record(Act.BAN_LIFTED, address)
        return site.say("/bans", f"{address} is heard again.")

    @app.post("/bans/trust")  # type: ignore[untyped-decorator]
    def trust() -> Answer:
        network = typed("network").strip()
        try:
            known_as = bans.trust(network)
        except ValueError as error:
            return show(f"{error}.", network)
        site.record(Act.NETWORK_TRUSTED, known_as)
        return site.say("/bans", f"{known_as} is never limited or banned from now on.")

    @app.post("/bans/distrust")  # type: ignore[untyped-decorator]
    def distrust() -> Answer:
        network = typed("network").strip()
        try:
            bans.distrust(network)
        except (NoSuchBan, ValueError):
            return site.say("/bans", "That network is not trusted any more.")
        site.record(Act.NETWORK_DISTRUSTED, network)
        return site.say("/bans", f"{network} is treated like any other again.")
