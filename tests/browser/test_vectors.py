"""The page's modules pass the protocol's vectors inside the browser, and say what the specification says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "examples" / "browser"
CASES_MIN = 450
"""Keys, DIDs, envelopes in both codecs, rejects, RFC 8785 and Wycheproof."""


async def test_vectors_pass_in_the_browser(browser: Browser, site: str) -> None:
    """Every key, DID, envelope, reject, canonical form and edge case of Ed25519 is judged as the vectors say."""
    page = await browser.new_page()
    await page.goto(f"{site}/tests/blank.html")
    result = await page.evaluate("async () => (await import('/tests/vectors.js')).run()")
    await page.close()

    assert result["failures"] == []
    assert result["passed"] >= CASES_MIN


async def test_bodies_are_those_of_the_specification() -> None:
    """The page's table of bodies repeats that of docs/protocol.md, row by row."""
    _, _, rest = (ROOT / "docs/protocol.md").read_text().partition("<!-- generated: bodies -->")
    specified = dict(re.findall(r"^\| (\*?\w+\*?) \| (.*) \|$", rest.partition("<!-- end -->")[0], re.MULTILINE))
    known = dict(re.findall(r'^  "?(\*?\w+\*?)"?:\s+"(.*)",$', (PAGE / "bodies.js").read_text(), re.MULTILINE))

    assert {type_: specified[type_].replace("`", "") for type_ in known} == known
    assert {"REGISTER", "HELLO", "*MailItem*"} <= known.keys()


@pytest.mark.parametrize("module", sorted(PAGE.glob("*.js")), ids=lambda path: path.name)
async def test_module_can_be_read(module: Path) -> None:
    """Each module is one that another engine accepts, too."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")

    assert 0 == subprocess.run([node, "--check", module], check=False).returncode


async def test_page_needs_nobody_else() -> None:
    """Neither the page nor its modules name another host."""
    texts = [path.read_text() for path in PAGE.iterdir() if path.suffix in (".html", ".css", ".js")]

    assert [] == [url for text in texts for url in re.findall(r"https?://[^\s\"'`)]+", text)]
