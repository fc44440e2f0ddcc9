"""A page of the handbook from Markdown to HTML that our policy allows: no code, no style attributes. Pure."""

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token

_SUFFIX = ".md"
_ELSEWHERE = re.compile(r"[a-z]+:", re.ASCII)


@dataclass(frozen=True)
class Heading:
    """A part of a page: its name, and the anchor under which addresses find it."""

    name: str
    anchor: str


@dataclass(frozen=True)
class Rendered:
    """`title` is the page's first heading, `parts` those of the second level, `html` all below the title."""

    title: str
    parts: list[Heading]
    html: str


def render(text: str, page: str, address_of: Callable[[str], str | None]) -> Rendered:
    """Return a page of Markdown, which lies at `page` in the handbook ("decisions/counters").

    `address_of` is asked where a file of the handbook is shown ("campaigns", "images/device.png"); a link to what it
    does not know becomes plain text.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("fence", _listing)
    markdown.add_render_rule("code_block", _listing)
    tokens = markdown.parse(text)
    title, tokens = _without_title(tokens)
    parts = [Heading(name, anchor) for level, name, anchor in _anchored(tokens) if level == "h2"]
    for token in tokens:
        _allow(token)
        if token.children:
            token.children = list(_led(token.children, page, address_of))
    return Rendered(title or page, parts, markdown.renderer.render(tokens, markdown.options, {}))


def _listing(_renderer: object, tokens: list[Token], index: int, _options: object, _env: object) -> str:
    """Return lines of code; who scrolls by keyboard can go there."""
    return f'<pre tabindex="0"><code>{escapeHtml(tokens[index].content)}</code></pre>\n'


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as the sites that show repositories make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _without_title(tokens: list[Token]) -> tuple[str, list[Token]]:
    if len(tokens) > 2 and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        return tokens[1].content, tokens[3:]
    return "", tokens


def _anchored(tokens: list[Token]) -> Iterator[tuple[str, str, str]]:
    """Give headings their anchors; yield tag, name and anchor of each."""
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            name = "".join(part.content for part in inline.children or [] if part.type in {"text", "code_inline"})
            token.attrs["id"] = anchor(name)
            yield token.tag, name, anchor(name)


def _allow(token: Token) -> None:
    """Say by a class what Markdown says by a style attribute: that a column is of numbers."""
    if "text-align:right" in str(token.attrs.pop("style", "")):
        token.attrs["class"] = "number"


def _led(tokens: list[Token], page: str, address_of: Callable[[str], str | None]) -> Iterator[Token]:
    """Yield the tokens of a line, whose links and images lead to where the portal shows them."""
    dropped = 0
    for token in tokens:
        if token.type == "image":
            where = _target(str(token.attrs["src"]), page, address_of)
            if where is not None:
                token.attrs["src"] = where
                yield token
        elif token.type == "link_open":
            where = _target(str(token.attrs["href"]), page, address_of)
            if where is None:
                dropped += 1
            else:
                token.attrs["href"] = where
                yield token
        elif token.type == "link_close" and dropped:
            dropped -= 1
        else:
            yield token


def _target(link: str, page: str, address_of: Callable[[str], str | None]) -> str | None:
    if _ELSEWHERE.match(link) or link.startswith("#"):
        return link
    path, hash_, part = link.partition("#")
    found = address_of(posixpath.normpath(posixpath.join(posixpath.dirname(page), path)).removesuffix(_SUFFIX))
    return None if found is None else f"{found}{hash_}{part}"
