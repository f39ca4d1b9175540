"""The administrator's own things: the password, and which browsers are signed in."""

from bottle import Bottle, HTTPError, response

from sip.store.admin import USERNAME, hash_password, password_weakness
from sip.store.audit import Act
from webadmin.context import Answer, Site, typed
from webadmin.login import TooManyTries, Tries, check_password, open_session, refuse_for_now
from webadmin.templates import browser_of


def mount(app: Bottle, site: Site, tries: Tries) -> None:
    """Put /settings on `app`."""

    def show(**errors: str) -> str:
        return site.page(
            "settings.tpl",
            section="/settings",
            errors=errors,
            sessions=site.admin.sessions(site.clock()),
            from_environment=site.environment_password,
        )

    def refuse(**errors: str) -> str:
        response.status = 422
        return show(**errors)

    @app.get("/settings")  # type: ignore[untyped-decorator]
    def show_settings() -> str:
        return show()

    @app.post("/settings/password")  # type: ignore[untyped-decorator]
    def change_password() -> Answer:
        current, password, again = map(typed, ("current", "password", "again"))
        if password != again:
            return refuse(again="The two passwords differ.")
        try:
            # Asked for once more: who finds a browser open must not take the account over.
            if check_password(site, tries, USERNAME, current) is None:
                return refuse(current="That is not the password.")
            hashed = site.sign_ins.run(lambda: hash_password(password))
        except TooManyTries as error:
            return show(current=refuse_for_now(error))
        except ValueError as error:
            return refuse(password=f"T{str(error)[1:]}.")
        site.admin.set_password_hash(hashed)  # which ends every session,
        open_session(site, hashed)  # so this browser has a new one: who knew its token is out too
        site.record(Act.PASSWORD_CHANGED, "all other sessions ended")
        said = "The password was changed. Every other browser is signed out."
        if why := password_weakness(password):
            said += f" It {why}; another one is better."
        return site.say("/settings", said)

    @app.post("/settings/sessions/<number:id>/end")  # type: ignore[untyped-decorator]
    def end(number: int) -> Answer:
        for session in site.admin.sessions(site.clock()):
            if session.id == number:
                site.admin.close_session(number)
                browser = browser_of(session.user_agent)
                site.record(Act.SESSION_ENDED, f"{browser}, from {session.address}")
                return site.say("/settings", f"{browser} is signed out.")
        raise HTTPError(404, "That session has ended already.")

    @app.post("/settings/sessions/end")  # type: ignore[untyped-decorator]
    def end_others() -> Answer:
        if site.session:  # which the guard has seen to
            site.admin.close_others(site.session.id)
        site.record(Act.OTHERS_ENDED)
        return site.say("/settings", "Every other browser is signed out.")
