"""The page as a person sees it: in Chromium, in light and dark, on a desk and on a phone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright import sync_api

from jamba_rl.lab.report.palette import COLOURS
from tests.lab.report.runs import grid, report, write_run

pytestmark = pytest.mark.system

AGENTS = ["ppo-jamba", "ppo-lstm", "ppo-ssm", "ppo-mlp-framestack", "ppo-mlp"]
KINDS = [agent.removeprefix("ppo-") for agent in AGENTS]
CHARTS = ["a", "b", "all-profiles"]
BARS = {"a-final": 5, "b-final": 5, "b-memory": 4, "all-iqm": 5, "all-improvement": 4}
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
SIZES = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks, one of which hides what the other shows; and a run that was cut off."""
    results = tmp_path_factory.mktemp("report")
    grid(results / "runs", AGENTS, ["a"], seeds=3, evaluations=30)
    grid(results / "runs", AGENTS, ["b"], seeds=3, evaluations=30, sighted="a", scale=0.5)
    write_run(results / "runs/cut", "ppo-lstm", 9, [1.0], finished=False)
    return report(results).with_suffix(".html")


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program is not None, f"no browser is installed (Debian: chromium); looked for {', '.join(PROGRAMS)}"
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


class Seen:
    """The page in a window, with everything that it complained of or asked for."""

    def __init__(self, browser: sync_api.Browser, path: Path, scheme: str = "light", size: str = "desk") -> None:
        self.said: list[str] = []
        self.page = browser.new_page(color_scheme=scheme, viewport=SIZES[size], has_touch=size == "phone")
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self._ask(request.url))
        self.page.goto(path.as_uri())
        self.wait_until_drawn(scheme)

    def _ask(self, url: str) -> None:
        if not url.startswith(("file:", "data:")):
            self.said.append(f"asked for {url}")

    def wait_until_drawn(self, scheme: str) -> None:
        self.page.wait_for_selector(f"body[data-drawn='{scheme}']")

    def lines(self, chart: str, colour: str) -> int:
        """How many lines of a colour a chart has."""
        return self.page.locator(f"[data-figure='{chart}'] svg .mark-line path[stroke='{colour}']").count()

    def dots(self, bars: str, colour: str) -> int:
        return self.page.locator(f"[data-figure='{bars}'] svg .mark-symbol path[fill='{colour}']").count()

    def ticks(self, chart: str) -> list[str]:
        return (
            self.page.locator(f"[data-figure='{chart}'] svg .role-axis-label").first.locator("text").all_text_contents()
        )

    def point_at(self, chart: str, share: float = 0.5) -> tuple[float, float]:
        """A place in a chart, so far from its left end."""
        area = self.page.locator(f"[data-figure='{chart}'] svg")
        area.scroll_into_view_if_needed()
        self.page.evaluate(TWO_FRAMES)  # scrolling is told at the next frame, and takes a value that is shown away
        box = area.bounding_box()
        assert box is not None
        return box["x"] + share * box["width"], box["y"] + box["height"] / 2

    def tip(self) -> str:
        shown = self.page.locator("#vg-tooltip-element.visible")
        shown.wait_for()
        return shown.inner_text()

    def press(self, button: str) -> None:
        self.page.locator(f".legend button{button}").click()


@pytest.fixture
def look(browser: sync_api.Browser, page_path: Path) -> Iterator:
    opened: list[Seen] = []

    def see(scheme: str = "light", size: str = "desk") -> Seen:
        opened.append(Seen(browser, page_path, scheme, size))
        return opened[-1]

    yield see
    for seen in opened:
        seen.page.close()
        assert seen.said == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_figure_is_drawn_in_the_colours_of_the_scheme(look, scheme: str, size: str) -> None:
    seen = look(scheme, size)
    names = seen.page.eval_on_selector_all("[data-figure]", "all => all.map((figure) => figure.dataset.figure)")
    assert sorted(names) == sorted([*CHARTS, *BARS])
    for kind in KINDS:
        colour = COLOURS[kind][scheme == "dark"]
        assert [seen.lines(chart, colour) for chart in CHARTS] == [1, 1, 1], kind
    for bars, agents in BARS.items():
        assert sum(seen.dots(bars, COLOURS[kind][scheme == "dark"]) for kind in KINDS) == agents, bars
    widths = seen.page.eval_on_selector_all(
        "[data-figure] svg", "all => all.map((svg) => svg.getBoundingClientRect().width)"
    )
    assert all(250 < width < SIZES[size]["width"] for width in widths)


def test_the_page_follows_the_scheme_while_it_is_open(look) -> None:
    seen = look("light")
    seen.page.emulate_media(color_scheme="dark")
    seen.wait_until_drawn("dark")
    light, dark = COLOURS["jamba"]
    assert (seen.lines("a", light), seen.lines("a", dark)) == (0, 1)


def test_a_phone_scrolls_tables_and_not_the_page(look) -> None:
    seen = look(size="phone")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == SIZES["phone"]["width"]
    table = seen.page.locator("#scores .scroll").first
    assert table.evaluate("element => element.scrollWidth > element.clientWidth")


def test_the_pointer_tells_values(look) -> None:
    seen = look()
    seen.page.mouse.move(*seen.point_at("a"))
    said = seen.tip()
    assert re.match(r"env steps 1[4-6],000\n", said)
    assert all(agent in said for agent in AGENTS)
    assert " to " in said  # the band


def test_a_finger_tells_values(look) -> None:
    seen = look(size="phone")
    seen.page.touchscreen.tap(*seen.point_at("a"))
    assert "ppo-jamba" in seen.tip()


def test_an_agent_can_be_hidden_everywhere(look) -> None:
    seen, colour = look(), COLOURS["jamba"][0]
    seen.press("[data-agent='ppo-jamba']")
    for chart in CHARTS:
        seen.page.locator(f"[data-figure='{chart}'] .mark-line path[stroke='{colour}']").wait_for(state="detached")
    seen.page.mouse.move(*seen.point_at("a"))
    assert "ppo-jamba" not in seen.tip()
    seen.press("[data-agent='ppo-jamba']")
    seen.page.locator(f"[data-figure='a'] .mark-line path[stroke='{colour}']").wait_for()


def test_what_was_chosen_stays_when_the_scheme_changes(look) -> None:
    seen = look("light")
    seen.press("[data-agent='ppo-jamba']")
    seen.page.emulate_media(color_scheme="dark")
    seen.wait_until_drawn("dark")
    assert seen.lines("a", COLOURS["jamba"][1]) == 0


def test_every_seed_can_be_shown(look) -> None:
    seen, colour = look(), COLOURS["jamba"][0]
    seen.press(".seeds")
    seen.page.wait_for_function(
        f"document.querySelectorAll(\"[data-figure='a'] .mark-line path[stroke='{colour}']\").length === 4"
    )


def test_the_wheel_zooms_with_ctrl_alone_and_two_clicks_show_all_again(look) -> None:
    seen = look()
    whole = seen.ticks("a")
    seen.page.mouse.move(*seen.point_at("a"))
    seen.page.mouse.wheel(0, -20)
    seen.page.wait_for_timeout(200)
    assert seen.ticks("a") == whole
    seen.page.mouse.move(*seen.point_at("a"))
    seen.page.keyboard.down("Control")
    seen.page.mouse.wheel(0, -300)
    seen.page.keyboard.up("Control")
    seen.page.wait_for_timeout(200)
    assert seen.ticks("a") != whole
    seen.page.mouse.dblclick(*seen.point_at("a"))
    seen.page.wait_for_timeout(200)
    assert seen.ticks("a") == whole


def test_damaged_runs_are_named_first(look) -> None:
    assert look().page.locator("main section").first.get_attribute("id") == "left-out"


def test_single_runs_are_drawn_without_complaint(browser: sync_api.Browser, tmp_path: Path) -> None:
    """One has one evaluation; neither has an interval."""
    write_run(tmp_path / "runs/one", "ppo-jamba", 0, [5.0], env="a")
    write_run(tmp_path / "runs/other", "ppo-mlp", 0, [1.0, 2.0], env="a")
    seen = Seen(browser, report(tmp_path).with_suffix(".html"))
    assert seen.said == []
    colour = COLOURS["jamba"][0]
    assert (seen.dots("a", colour), seen.dots("a-final", colour)) == (1, 1)
    seen.page.close()
