"""The page in Chromium: by mouse, by keyboard, on a phone, in dark mode, printed.

Skipped where there is no Chromium with its driver (on Debian: apt install chromium
chromium-driver), or none that starts.
"""

import shutil

import pytest

from scalesearch.reporting.folder_conclusion import conclusion_of_folder

pytestmark = pytest.mark.slow
webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
exceptions = pytest.importorskip("selenium.common.exceptions", reason="needs selenium")
urllib3 = pytest.importorskip("urllib3", reason="needs selenium")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs Chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    except (exceptions.WebDriverException, urllib3.exceptions.HTTPError, OSError) as error:
        said = str(error).strip().partition("\n")[0]
        pytest.skip(f"needs a Chromium that starts, and {CHROMIUM} does not: {said}")
    driver.set_page_load_timeout(120)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, report_folder):
    """The report, opened from disk, on a screen of 1200 pixels."""
    resized(browser, 1200)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.get((report_folder / "report.html").as_uri())
    return browser


def resized(browser, width, *, mobile=False):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": mobile},
    )


def find(page, selector):
    return page.find_elements("css selector", selector)


def run_text(page):
    return find(page, "#run")[0].text


def column(page, key, heading):
    (place,) = [
        place
        for place, head in enumerate(find(page, f"#table-{key} th"))
        if head.text.split("\n")[0] == heading
    ]
    return [row.text for row in find(page, f"#table-{key} td:nth-child({place + 1})")]


def test_the_page_opens_from_disk_without_errors(page, report_folder):
    assert page.get_log("browser") == []
    assert find(page, "#answer")[0].text == conclusion_of_folder(report_folder).sentence
    assert "1." in find(page, "#coefficients")[0].text
    for image in find(page, "figure img"):
        assert page.execute_script("return arguments[0].naturalWidth", image) > 100
        assert image.get_attribute("alt")


def test_pointing_at_a_mark_shows_its_run(page):
    assert "No network is selected yet" in run_text(page)
    mark = find(page, ".mark.reference")[-1]
    webdriver.ActionChains(page).move_to_element(mark).perform()
    shown = run_text(page)
    assert mark.get_attribute("data-candidate")[:8] in shown
    for words in ("accuracy", "±", "shares", "multipliers", "times the baseline's"):
        assert words in shown
    assert "on" in mark.get_attribute("class").split()


def test_marks_are_reached_and_left_by_keyboard(page):
    keys = webdriver.Keys
    page.execute_script("document.querySelector('.plot').previousElementSibling.focus()")
    page.execute_script("document.querySelector('nav a:last-child').focus()")
    webdriver.ActionChains(page).send_keys(keys.TAB).perform()
    marks = find(page, ".mark")
    assert marks[0].get_attribute("data-candidate")[:8] in run_text(page)
    webdriver.ActionChains(page).send_keys(keys.ARROW_RIGHT).perform()
    assert marks[1].get_attribute("data-candidate")[:8] in run_text(page)
    webdriver.ActionChains(page).send_keys(keys.ARROW_LEFT, keys.ARROW_LEFT).perform()
    assert marks[-1].get_attribute("data-candidate")[:8] in run_text(page)


def test_the_selected_candidate_is_highlighted_in_the_tables(page):
    mark = find(page, ".mark")[0]
    page.execute_script("arguments[0].focus()", mark)
    rows = find(page, "#table-candidates tr.on")
    assert [row.get_attribute("data-candidate") for row in rows] == [
        mark.get_attribute("data-candidate")
    ]


def test_tables_are_sorted_by_click_and_say_so(page):
    (head,) = [h for h in find(page, "#table-candidates th") if h.text.startswith("activations")]
    button = head.find_element("css selector", "button")
    page.execute_script("arguments[0].click()", button)
    assert head.get_attribute("aria-sort") == "descending"
    values = [int(text.replace(",", "")) for text in column(page, "candidates", "activations")]
    assert values == sorted(values, reverse=True)
    page.execute_script("arguments[0].click()", button)
    assert head.get_attribute("aria-sort") == "ascending"
    values = [int(text.replace(",", "")) for text in column(page, "candidates", "activations")]
    assert values == sorted(values)
    assert len(find(page, "#table-candidates th[aria-sort]")) == 1


def test_tables_are_sorted_by_keyboard_with_unknown_values_last(page):
    first = "p"  # an order in which what is known is not in front
    for heading, count in ((first, 1), ("further seeds", 2)):
        (head,) = [
            h for h in find(page, "#table-comparisons th") if h.text.split("\n")[0] == heading
        ]
        for _ in range(count):
            head.find_element("css selector", "button").send_keys(webdriver.Keys.ENTER)
            texts = column(page, "comparisons", "further seeds")
            known = [text for text in texts if text != "-"]
            assert 0 < len(known) < len(texts)
            if heading == first:
                values = [float(text) for text in column(page, "comparisons", "p")]
                assert values == sorted(values, reverse=True)
                page.execute_script(
                    "const body = document.querySelector('#table-comparisons tbody');"
                    "body.append(body.rows[0])"
                )
                assert column(page, "comparisons", "further seeds")[0] == "-"
            else:
                assert texts == known + ["-"] * (len(texts) - len(known))


def test_a_phone_needs_no_scrolling_sideways(page):
    resized(page, 390, mobile=True)
    page.refresh()
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    outside = page.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, pre, svg,"
        " .hidden') && e.getBoundingClientRect().right > 391).map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []
    size = page.execute_script(
        "return parseFloat(getComputedStyle(document.querySelector('p.note')).fontSize)"
    )
    assert size >= 14
    mark = find(page, ".mark")[0]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    mark.click()
    assert mark.get_attribute("data-candidate")[:8] in run_text(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark_mode(page, scheme):
    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
    ground = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    for selector in ("#answer", "p.note", "a", "th", ".facts dt"):
        ink = page.execute_script(
            "return getComputedStyle(document.querySelector(arguments[0])).color", selector
        )
        assert contrast(ink, ground) >= 4.5, (selector, ink, ground)  # WCAG 2.2, 1.4.3
    light = luminance(ground) > 0.5
    assert light == (scheme == "light")


def luminance(colour):
    """WCAG's, of a colour such as ``rgb(1, 2, 3)``."""
    parts = [float(part) / 255 for part in colour.split("(")[1].rstrip(")").split(",")[:3]]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_print_is_black_on_white_and_whole(page):
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    resized(page, 700)  # A4 less its margins
    assert page.execute_script("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    for gone in ("nav", "#run", ".hint"):
        assert not find(page, gone)[0].is_displayed()
    wide = page.execute_script(
        "return [...document.querySelectorAll('table, figure img, pre')]"
        ".filter(e => e.getBoundingClientRect().right > 701).map(e => e.id || e.tagName)"
    )
    assert wide == []
