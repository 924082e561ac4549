"""The playground in Chromium: played, read by screen readers, refused bad input, at both widths."""

import dataclasses
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import heartpole_jax as hp
from heartpole_jax import playground, policies
from heartpole_jax.playground import contents
from heartpole_jax.rollout import everything, rollout

MENU = Path(hp.__file__).parent / "envs" / "menus" / "heartpole_v1.toml"
V0, V1 = "HeartPole-v0", "HeartPole-v1"
KEYS = {V0: "wcbs", V1: "wcbsnedk"}


@pytest.fixture(scope="session")
def html():
    return playground.page()


@pytest.fixture
def play(open_page, html):
    """play(fragment, ...): the playground, once the optimum is there to play against."""

    def play(fragment="", wait=True, **options):
        page = open_page(html, fragment=fragment, **options)
        if wait:
            page.wait_for_function("() => !document.getElementById('board').textContent.includes('…')")
        return page

    return play


def text(page, selector):
    return page.locator(selector).inner_text()


def number(words):
    return float(words.replace("\N{MINUS SIGN}", "-").replace(",", ""))


def board(page):
    """The table of players, as rows of [score or work, expected attacks, return]."""
    return [
        [number(cell) for cell in row.locator("td").all_inner_texts()] for row in page.locator("#board tbody tr").all()
    ]


def returns(name, policy, seed, changes):
    """The return of a whole episode in Python, each heart attack counted by its probability; and its actions."""
    env = hp.make(name)
    params = type(env.default_params)(expected_penalty=1.0, **changes)
    found = rollout(policy, jax.random.key(seed), params, env=env, num_envs=1, record=everything)
    done = np.asarray(found.records.done[:, 0])
    steps = int(np.argmax(done)) + 1
    return float(found.totals[0]), np.asarray(found.records.action[:steps, 0])


def fewer_actions(folder):
    """A policy for HeartPole-v1's menu without exercise: the shipped network without its last action."""
    rows = MENU.read_text().split("\n[[action]]\n")[1:]
    menu = folder / "few.toml"
    menu.write_text("".join(f"[[action]]\n{row}\n" for row in rows if 'name = "exercise"' not in row))
    shipped, name = contents.shipped(V1), f"{V1}:{menu}"
    last = {f"params/Dense_2/{key}": shipped.weights[f"params/Dense_2/{key}"][..., :7] for key in ("kernel", "bias")}
    weights = {**shipped.weights, **last}
    return dataclasses.replace(shipped, env=name, num_actions=7, weights=weights, menu=hp.make(name).digest)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_short_episode_of_v0_is_played_by_keys_alone(play, width):
    """What the page says at its end is what Python computes: the player, the agent and the optimum on that noise."""
    page = play("#env=v0&seed=11&max_steps=24", width=width)
    actions = "wcwwbwwwswwwwwwwwswwwcww"
    for key in actions:
        page.keyboard.press(key)
    end = page.locator("#end")
    assert end.is_visible()
    assert not page.locator("#actions").is_visible()
    assert page.evaluate("document.activeElement.id") == "end"
    numbers = [KEYS[V0].index(key) for key in actions]
    changes = {"max_steps": 24}
    mine, _ = returns(V0, policies.schedule(numbers), 11, changes)
    agent, _ = returns(V0, contents.shipped(V0).as_policy(), 11, changes)
    best, _ = returns(V0, policies.optimal(hp.EnvParams(max_steps=24)), 11, changes)
    np.testing.assert_allclose([row[2] for row in board(page)], [mine, agent, best], atol=1.1e-3)
    assert number(text(page, ".verdict b")) == pytest.approx(best - mine, abs=1e-4)
    # 24 decisions are too few for the proof: it is no regret then.
    assert text(page, ".verdict span") == "behind the best without drinks, on this noise"
    assert text(page, "#end .headline div:nth-child(3)") == "Drinks\n3"
    page.keyboard.press("u")
    assert page.locator("#actions").is_visible()
    assert text(page, "#decision") == "Decision 23 of 24"


def test_a_short_episode_of_v1_is_played_by_keys_alone(play):
    page = play("#env=v1&seed=3&max_half_hours=40")
    actions = "dwwekwwwncws" + "w" * 30
    pressed = ""
    for key in actions:
        if page.locator("#end").is_visible():
            break
        page.keyboard.press(key)
        pressed += key
    assert page.locator("#end").is_visible()
    env, changes = hp.make(V1), {"max_half_hours": 40}
    names = [KEYS[V1].index(key) for key in pressed]
    mine = rollout(
        hp.Policy(act=lambda params, time, obs, draw: (params[time], time + 1), params=np.array(names + [0] * 60),
                  carry=np.int32(0)),
        jax.random.key(3), type(env.default_params)(expected_penalty=1.0, **changes), env=env, num_envs=1,
    )  # fmt: skip
    agent, _ = returns(V1, contents.shipped(V1).as_policy(), 3, changes)
    scripted, _ = returns(V1, policies.make("coffee and exercise", env=env), 3, changes)
    np.testing.assert_allclose([row[2] for row in board(page)], [float(mine.totals[0]), agent, scripted], atol=2e-3)
    assert "behind “coffee and exercise”" in text(page, ".verdict")


def test_in_v1_with_its_own_constants_the_near_best_policy_plays(play):
    page = play("#env=v1&seed=6")
    page.click("text=To the end")
    agent, _ = returns(V1, contents.shipped(V1).as_policy(), 6, {})
    best, _ = returns(V1, hp.load_policy(contents.TRAINED / "heartpole_v1_best"), 6, {})
    # A tie within float32 may be decided otherwise: then the rest of the episode is another.
    np.testing.assert_allclose([row[2] for row in board(page)], [agent, agent, best], atol=2e-3)
    assert text(page, ".verdict span") == "behind the near-best policy, on this noise"
    page.click("#about summary")
    assert "imitates the best known policy" in text(page, "#facts")


def test_over_a_whole_episode_the_agent_has_its_regret_on_this_noise(play):
    """1,000 decisions: the proof holds, and so it is called regret."""
    page = play("#seed=4")
    page.click("text=To the end")
    agent, _ = returns(V0, contents.shipped(V0).as_policy(), 4, {})
    best, _ = returns(V0, policies.optimal(), 4, {})
    assert number(text(page, ".verdict b")) == pytest.approx(best - agent, abs=3e-4)
    assert text(page, ".verdict span") == "regret, on this noise"
    assert board(page)[0] == board(page)[1]


def test_what_the_agent_would_do_is_what_it_does(play):
    """And the optimum goes to bed where the Python one does."""
    page = play("#seed=8")
    _, actions = returns(V0, policies.optimal(), 8, {})
    night = int(np.argmax(actions == hp.Action.SLEEP))
    page.keyboard.press("h")
    for _ in range(night):
        assert "optimum, work" in text(page, "#hint")
        page.keyboard.press("w")
    assert "optimum, sleep" in text(page, "#hint")
    assert "It goes to bed " in text(page, "#advice")
    advised = page.locator(".advised span").inner_text()
    page.keyboard.press("a")
    assert (text(page, "#done") == "Slept 8 hours") == (advised == "Sleep")


def test_undo_gives_back_the_very_state(play):
    page = play("#seed=2")
    page.keyboard.press("c")
    before = page.locator(".stage").inner_text()
    page.keyboard.press("s")
    assert page.locator(".stage").inner_text() != before
    page.click("#undo")
    assert page.locator(".stage").inner_text() == before
    page.keyboard.press("u")
    assert page.locator("#undo").is_disabled()


def test_what_the_agent_played_is_taken_back_as_one(play):
    page = play("#seed=2")
    page.keyboard.press("c")
    page.click("text=To the end")
    page.click("[data-end=undo]")
    assert text(page, "#decision") == "Decision 1 of 1,000"
    page.click("text=Until it sleeps")
    assert text(page, "#done") == "Slept 8 hours"
    page.keyboard.press("u")
    assert text(page, "#decision") == "Decision 1 of 1,000"


def test_the_address_is_copied_or_shown(play):
    page = play("#seed=2")
    page.click("#share")
    page.wait_for_function("""() => document.getElementById("share").textContent === "Copied" ||
        document.getElementById("notices").textContent.includes("#env=v0&seed=2")""")


def test_an_address_shares_version_seed_and_constants(play, open_page, html):
    page = play("#seed=2")
    page.fill("#seed", "77")
    page.keyboard.press("Enter")
    page.click("#constants summary")
    page.fill("#field-coffee_alertness_high", "2")
    page.keyboard.press("Tab")
    for key in "ccw":
        page.keyboard.press(key) if key != "c" else page.click("[data-action='1']")
    address = page.evaluate("location.hash")
    assert address == "#env=v0&seed=77&coffee_alertness_high=2"
    other = play(address)
    other.click("[data-action='1']")
    other.click("[data-action='1']")
    other.click("[data-action='0']")
    assert other.locator("#gauges").inner_text() == page.locator("#gauges").inner_text()
    other.click("text=v1")
    assert other.evaluate("location.hash") == "#env=v1&seed=77"


def test_a_changed_constant_replays_the_same_decisions(play):
    page = play("#seed=5")
    for key in "cwwc":
        page.keyboard.press(key)
    alertness = number(text(page, "#value-alertness"))
    page.click("#constants summary")
    page.locator("#constants").get_by_label("Coffee alertness high, slider").fill("2")
    assert page.locator("#field-coffee_alertness_high").input_value() == "2"
    assert text(page, "#decision") == "Decision 4 of 1,000"
    assert number(text(page, "#value-alertness")) > alertness + 0.3
    page.wait_for_function("() => document.getElementById('board').textContent.includes('best without drinks')")
    page.click("#defaults")
    assert number(text(page, "#value-alertness")) == alertness


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


def test_a_damaged_page_says_what_to_do(open_page, html):
    page = open_page(re.sub(r'(id="data">).', r"\1;", html, count=1))
    assert "The page cannot start" in text(page, "#notices")
    assert "python -m heartpole_jax playground" in text(page, "#notices")


def test_without_javascript_the_page_says_what_it_needs(open_page, html):
    page = open_page(html, java_script_enabled=False)
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


@pytest.mark.parametrize(("version", "keys"), [("v0", "wwwwcwwwwbwwwwws"), ("v1", "wdwewcwwwwnwwwws")])
def test_a_click_takes_at_most_50_ms_to_the_updated_page(play, version, keys):
    """The median of 32, late in a long episode, advice shown: the handler, the layout and the next frame."""
    page = play(f"#env={version}&seed=4")
    page.keyboard.press("h")
    page.evaluate(
        """(count) => { for (let i = 0; i < count; i++)
        document.querySelector(`[data-action="${i % 17 ? 0 : 3}"]`).click(); }""",
        400,
    )
    times = page.evaluate("""async (actions) => {
        const times = [];
        for (const action of actions) {
          const begin = performance.now();
          document.querySelector(`[data-action="${action}"]`).click();
          document.body.getBoundingClientRect();
          await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          times.push(performance.now() - begin);
        }
        return times;
    }""", [KEYS[f"HeartPole-{version}"].index(key) for key in keys * 2])  # fmt: skip
    print(f"{version}: median {np.median(times):.1f} ms, worst {max(times):.1f} ms")
    assert np.median(times) <= 50


def test_a_menu_without_exercise_is_played_against_the_agent_alone(open_page, tmp_path, fits):
    page = open_page(playground.page(fewer_actions(tmp_path), "mine"))
    assert page.locator("#buttons button").count() == 7
    assert page.locator("#board tbody tr").count() == 2
    for key in "cwh":
        page.keyboard.press(key)
    assert "less that of “mine”" in text(page, "#race")
    fits(page)
    page.click("text=To the end")
    assert text(page, ".verdict span") == "your return"


def test_an_agent_of_ones_own_plays_by_its_name(open_page, tmp_path):
    folder = tmp_path / "my <b>agent"
    folder.mkdir()
    for file in (contents.TRAINED / "heartpole_v1").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    page = open_page(playground.write(tmp_path / "mine.html", folder))
    assert page.locator("#envs input:checked").get_attribute("value") == V1
    assert "my <b>agent" in text(page, "#board")
    page.keyboard.press("h")
    assert text(page, "#hint").startswith("“my <b>agent” would choose ")
