"""A person's browser, as far as the pages of a link need one: cookies, redirects, forms without script."""

from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx2


class Form(HTMLParser):
    """The first form of a page: where it goes, and what it sends if it is left as it is."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action, self.fields, self.buttons, self.inside = None, {}, [], False
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        given = dict(attributes)
        if tag == "form" and self.action is None:
            self.action, self.inside = given.get("action", ""), True
        elif self.inside and tag == "input" and given.get("name"):
            if given.get("type") not in ("radio", "checkbox") or "checked" in given:
                self.fields[given["name"]] = given.get("value", "")
        elif self.inside and tag == "button" and given.get("name"):
            self.buttons.append((given["name"], given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "form"


async def agree(url: str) -> str:
    """Opens the page of a link and agrees, there and at the service. Returns the text of the last page."""
    async with httpx2.AsyncClient(follow_redirects=True, timeout=30) as browser:
        page = await browser.get(url)
        for _ in range(2):
            form = Form(page.text)
            assert form.action is not None, f"{page.url} has no form: {page.text[:400]}"
            fields = form.fields | dict(form.buttons[:1])
            target = urljoin(str(page.url), form.action)
            origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
            page = await browser.post(target, data=fields, headers={"Origin": origin})
            assert page.status_code < 400, f"{target} answered {page.status_code}: {page.text[:400]}"
        return page.text
