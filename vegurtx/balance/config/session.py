"""Sticky sessions: ``sticky``."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from vegurtx.balance.config.fields import (
    Allowed,
    CookieName,
    SameSite,
    Section,
    Switch,
    as_text,
    no_truth,
    problem,
)

#: characters; below it a signature is guessed sooner than it should be
SHORTEST_SECRET = 16
#: browsers keep no cookie longer than 400 days (RFC 6265bis section 5.5)
_LONGEST_AGE = 400 * 86_400


CookiePath = Annotated[
    str, Field(pattern=r"^/[!-:<-~]*$", max_length=1024), Allowed("a path such as /, without a semicolon")
]
Age = Annotated[
    int,
    Field(ge=1, le=_LONGEST_AGE),
    BeforeValidator(no_truth),
    Allowed(f"whole seconds from 1 to {_LONGEST_AGE} (400 days)"),
]
Secret = Annotated[
    str,
    Field(min_length=SHORTEST_SECRET, max_length=1000),
    BeforeValidator(as_text),
    Allowed(f"text of at least {SHORTEST_SECRET} characters that nobody can guess"),
]


class StickyConfig(Section):
    """A signed cookie keeps a client with its replica."""

    what = "a mapping, true or false"
    if_true = {}

    cookie: CookieName = Field(default="vegurtx", description="The cookie's name.")
    secret: Secret | None = Field(
        default=None,
        repr=False,
        description="What signs the cookie. Without it a random one is used, which a restart forgets; workers "
        "share it.",
    )
    max_age: Age | None = Field(
        default=None, description="Seconds that the cookie lasts; without it, until the browser ends."
    )
    path: CookiePath = Field(default="/", description="The paths that the browser sends it for.")
    secure: Switch = Field(default=False, description="Only over https.")
    http_only: Switch = Field(default=True, description="Hidden from scripts.")
    same_site: SameSite = Field(
        default="Lax", description="With requests from other sites: Strict, Lax or None."
    )

    @model_validator(mode="after")
    def _that_browsers_take(self) -> Self:
        if self.same_site == "None" and not self.secure:
            raise problem("None needs secure: true, or browsers refuse the cookie", "same_site")
        prefixed = self.cookie.lower().startswith(("__host-", "__secure-"))
        if prefixed and not self.secure:
            raise problem(f"{self.cookie!r} needs secure: true, or browsers refuse it", "cookie")
        if self.cookie.lower().startswith("__host-") and self.path != "/":
            raise problem(f"{self.cookie!r} needs path: /, or browsers refuse it", "cookie")
        return self
