"""The playground in Chromium: bad addresses, fields and files are said, and no network is reached."""

import re

import pytest
from playing import text

import heartpole_jax as hp


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ("#seed=banana", "A seed is a whole number from 0 to 4,294,967,295, got “banana”. This is seed 0"),
        ("#seed=4294967296", "got “4294967296”"),
        ("#seed=-1", "got “-1”"),
        ("#seed=", "got “”"),
        ("#seed=%3Cimg%20src%3Dx%3E", "got “<img src=x>”"),
        ("#env=v2", "There is no HeartPole “v2”; this is v0. Try v0 or v1."),
        ("#hypertension_decay=1.5", "Hypertension decay must be a number from 0 to 1, got 1.5. It is 0.97."),
        ("#max_steps=2.5", "Max steps must be a whole number from 1 to 20,000, got 2.5. It is 1000."),
        ("#fatigue_width=0", "Fatigue width must be a number above 0"),
        ("#coffee_alertness_low=2", "Coffee alertness low must not be above its “high”, 1, got 2. It is 0."),
        ("#tea=1", "HeartPole-v0 has no constant “tea”; it was left out."),
    ],
)
def test_a_wrong_address_is_said_and_the_game_is_there(play, fragment, message):
    page = play(fragment)
    assert message in text(page, "#notices")
    page.keyboard.press("c")
    assert text(page, "#decision") == "Decision 1 of 1,000"
    assert page.evaluate("location.hash") == "#env=v0&seed=0"
    page.click("#dismiss")
    assert page.locator("#notices").inner_text() == ""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "heart_attack_proclivity",
            "1.7",
            "Heart attack proclivity must be a number from 0 to 1, got 1.7. It stays 0.5.",
        ),
        ("ballmer_peak_width", "0", "Ballmer peak width must be a number above 0"),
        ("heart_attack_penalty", "much", "Heart attack penalty must be a number from 0 to 1,000,000, got “much”."),
        ("wake_up_alertness_high", "0.1", "Wake up alertness high must not be below its “low”, 0.7, got 0.1."),
        ("max_steps", "1e9", "Max steps must be a whole number from 1 to 20,000, got 1e9."),
        ("beer_intoxication_low", "", "Beer intoxication low must be a number from 0 to 1,000,000, got “”."),
    ],
)
def test_a_constant_out_of_range_is_said_beside_its_field_and_changes_nothing(play, name, value, message):
    page = play("#seed=1")
    page.keyboard.press("w")
    page.click("#constants summary")
    page.fill(f"#field-{name}", value)
    page.keyboard.press("Tab")
    assert message in text(page, f"#problem-{name}")
    assert page.locator(f"#field-{name}").get_attribute("aria-invalid") == "true"
    assert text(page, "#decision") == "Decision 1 of 1,000"
    assert page.evaluate("location.hash") in ("#seed=1", "#env=v0&seed=1")
    default = getattr(hp.EnvParams(), name)
    page.fill(f"#field-{name}", str(default))
    page.keyboard.press("Tab")
    assert not page.locator(f"#problem-{name}").inner_text()


def test_a_wrong_seed_in_the_field_is_said_and_the_game_stays(play):
    page = play("#seed=6")
    page.keyboard.press("c")
    page.fill("#seed", "1.5")
    page.keyboard.press("Enter")
    assert "got “1.5”. It stays 6." in text(page, "#seed-problem")
    assert text(page, "#decision") == "Decision 1 of 1,000"


def test_where_the_optimum_cannot_be_computed_the_page_says_so(play):
    page = play("#wake_up_alertness_high=9")
    assert "cannot be computed" in text(page, "#board")
    page.click("text=To the end")
    assert text(page, ".verdict span") == "your return"


def test_a_damaged_page_says_what_to_do(open_page, playground_html):
    page = open_page(re.sub(r'(id="data">).', r"\1;", playground_html, count=1))
    assert "The page cannot start" in text(page, "#notices")
    assert "python -m heartpole_jax playground" in text(page, "#notices")


def test_without_javascript_the_page_says_what_it_needs(open_page, playground_html):
    page = open_page(playground_html, java_script_enabled=False)
    assert "Allow JavaScript" in text(page, "noscript")


def test_the_page_cannot_reach_any_network(play):
    page = play("#seed=1")
    refused = page.evaluate("""async () => {
        const seen = [];
        document.addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
        const tries = [
          fetch("https://example.org/").catch(() => 0),
          new Promise((done) => {
            const image = new Image();
            image.onerror = done;
            image.src = "https://example.org/a.png";
          }),
        ];
        document.body.insertAdjacentHTML("beforeend", '<p style="color: red" id="styled">x</p>');
        const script = document.createElement("script");
        script.textContent = "window.hacked = 1";
        document.body.append(script);
        await Promise.all(tries);
        await new Promise((done) => setTimeout(done, 50));
        return [seen.sort(), window.hacked ?? null];
    }""")
    assert refused == [["connect-src", "img-src", "script-src-elem", "style-src-attr"], None]
    assert not [problem for problem in page.problems if problem.startswith("asked for")]
    page.problems.clear()  # the refusals, which Chromium logs
