"""The evaluation report in a real browser: nothing is loaded, nothing sticks out, and it works without script."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from andon.core.records import ImageRecord, Problem
from andon.evaluate import ModelFacts, ReportContext, evaluate_images, write_report

pytestmark = pytest.mark.browser

CLASSES = ("금속 캔", "塑膠瓶", "a class with a rather long name")
LONG = "a/very/deep/folder/" + "x" * 120 + ".jpg"


@pytest.fixture(scope="module", params=["few classes", "many classes", "several labels"])
def report(request: pytest.FixtureRequest, photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind: str = request.param
    classes = CLASSES if kind != "many classes" else (*CLASSES, *(f"class number {n:02d}" for n in range(17)))
    rng = np.random.default_rng(2)
    records = [
        ImageRecord(key=f"{LONG}/{number}", path=path, labels=(classes[number % len(classes)],))
        for number, path in enumerate(sorted(photo_folder.rglob("*.jpg")))
    ]
    logits = rng.normal(size=(len(records), len(classes)))
    for row in range(len(records)):
        logits[row, row % len(classes)] += 2.0
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    model = ModelFacts(classes=classes, multi_label=kind == "several labels")
    evaluation = evaluate_images(records, exact.astype(np.float32), model, resamples=50)
    rows = [
        {"epoch": n, "train_loss": 2.0 / n, "val_loss": 2.5 / n, "val_balanced_accuracy": 1 - 1 / n} for n in (1, 2, 3)
    ]
    context = ReportContext(
        title="재활용 · 資源回收",
        class_counts={name: {"train": 30, "val": 8, "test": 12} for name in classes},
        problems=(Problem(code="unreadable", message="1 image is unusable: " + LONG, keys=(LONG,)),),
        settings={"key." * 20: "x" * 200},
        curves=rows,
        command="andon train " + LONG,
    )
    return write_report(tmp_path_factory.mktemp("report"), evaluation, context)


@pytest.mark.parametrize("width_px", [360, 768, 1280])
def test_nothing_sticks_out_and_nothing_is_loaded(
    browser: Browser, report: Path, width_px: int, screenshots: Path
) -> None:
    context = browser.new_context(viewport={"width": width_px, "height": 900}, java_script_enabled=True)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width_px
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    broken = page.evaluate("[...document.images].filter(i => !i.naturalWidth).length")
    assert (broken, page.locator("img").count() > 0) == (0, True)
    page.screenshot(path=screenshots / f"report-{report.parent.name}-{width_px}.png", full_page=True)
    context.close()


def test_it_reads_without_script_and_by_keyboard(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the key figures"
    page.locator("nav a", has_text="How sure").click()
    assert page.url.endswith("#trust")
    page.locator("summary", has_text="settings").click()
    assert page.locator("table.settings").is_visible()
    context.close()


def test_dark_and_light_are_both_there_and_print_is_light(browser: Browser, report: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(report.as_uri())
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(paper)
    page.emulate_media(color_scheme="dark", media="print")
    assert len({dark, light}) == 2
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.close()
