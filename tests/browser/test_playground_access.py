"""The playground in Chromium axe-core, widths, keyboard, screen readers, themes."""

import re

import pytest
from playing import text

MOMENTS = {
    "start": "",
    "middle": "cwwbcwwwwwwwwwswwch",
    "end": "cwwbcww" + "w" * 24,
}


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_axe_finds_no_violation_and_nothing_is_cut_off(play, accessible, fits, width, scheme, version):
    limit = {"v0": "max_steps=30", "v1": "max_half_hours=48"}[version]
    page = play(f"#env={version}&seed=9&{limit}", width=width, scheme=scheme)
    for keys in MOMENTS.values():
        for key in keys:
            page.keyboard.press(key)
        accessible(page)
        fits(page)
    assert page.locator("#end").is_visible()


@pytest.mark.parametrize("width", [320, 700, 1000])
def test_it_fits_other_widths(play, fits, width):
    page = play("#env=v1&seed=9&max_half_hours=60", width=width)
    for key in "cwdh":
        page.keyboard.press(key)
    fits(page)
    page.click("text=To the end")
    fits(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_what_is_folded_away_and_in_what_is_wrong(play, accessible, fits, scheme):
    for width in (1280, 390):
        page = play("#env=v1&seed=x", width=width, scheme=scheme)
        page.click("#constants summary")
        page.click("#about summary")
        page.fill("#field-hypertension_decay", "7")
        page.keyboard.press("Tab")
        accessible(page)
        fits(page)


@pytest.mark.parametrize("hours", range(0, 24, 3))
def test_the_clock_is_readable_under_every_sky(play, accessible, hours):
    page = play("#seed=1")
    for _ in range(2 * ((hours - 8) % 24)):
        page.keyboard.press("w")
    assert text(page, "#time") == f"{hours:02}:00"
    accessible(page)


def test_a_heart_attack_is_seen_and_heard(play, accessible):
    page = play("#heart_attack_proclivity=1&heart_attack_threshold=-50&seed=1")
    page.keyboard.press("w")
    assert text(page, "#done") == "Heart attack!"
    assert text(page, "#live").startswith("Heart attack! Day 1, 08:30. Worked.")
    accessible(page)


def test_a_screen_reader_hears_what_each_decision_came_to(play):
    page = play("#seed=4")
    page.keyboard.press("c")
    assert re.fullmatch(
        r"Day 1, 08:30\. Coffee, then work\. Alertness \d\.\d\d, blood pressure \d\.\d\d, blood alcohol 0\.000 %, "
        r"risk 0\.\d\d %\.",
        text(page, "#live"),
    )
    assert page.locator("#live").get_attribute("role") == "status"
    page.keyboard.press("u")
    assert text(page, "#live").startswith("Taken back. Day 1, 08:00. You have just woken up.")


def test_all_is_reached_by_tab_with_a_visible_focus(play):
    page = play("#seed=4")
    seen, rings = [], []
    for _ in range(40):
        page.keyboard.press("Tab")
        focus = page.evaluate("""() => { const each = document.activeElement, style = getComputedStyle(
            each.type === "radio" ? each.nextElementSibling : each);
            return [each.id || each.dataset.action || each.dataset.auto || each.tagName, parseFloat(style.outlineWidth),
                    style.outlineStyle]; }""")
        seen.append(focus[0])
        rings.append(focus)
        if focus[0] == "BODY":
            break
    for name in (
        "length",
        "seed",
        "new-seed",
        "share",
        "theme",
        "0",
        "1",
        "2",
        "3",
        "ask",
        "keys-on",
        "1",
        "night",
        "end",
    ):
        assert name in seen, name
    assert seen.count("SUMMARY") == 2
    assert all(width >= 2 and style != "none" for name, width, style in rings if name != "BODY"), rings


def test_single_keys_can_be_switched_off_and_do_not_play_in_fields(play):
    page = play("#seed=4")
    page.fill("#seed", "")
    page.keyboard.press("c")
    assert text(page, "#decision") == "Decision 0 of 1,000"
    page.uncheck("#keys-on")
    page.keyboard.press("c")
    page.keyboard.press("1")
    assert text(page, "#decision") == "Decision 0 of 1,000"
    page.check("#keys-on")
    page.keyboard.press("1")
    assert text(page, "#decision") == "Decision 1 of 1,000"


def test_the_theme_can_be_chosen(play):
    page = play("#seed=4", scheme="light")
    ground = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = ground()
    page.click("#theme")
    assert ground() == light
    page.click("#theme")
    assert ground() != light
    page.click("#theme")
    assert ground() == light
