"""Computations end when asked to, and with what they are for; the window waits for none."""

import sys
import threading
import time

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool, QTimer

import napari_vae_restore as vr
from napari_vae_restore._napari.jobs.interruption import Interrupted, stopped_by, watch_networks
from napari_vae_restore._napari.training.process import _children

pytestmark = pytest.mark.gui

SOON = 5.0
"""Seconds in which a cancelled run ends: one on an idle machine, more where tests share it."""

BLOCK = 2.0
"""Seconds that nothing else happens in the window: a tenth of one on an idle machine, most of
it napari's own for a new layer; more where other tests share the processor."""


def test_a_network_ends_between_two_layers(tiny_model, make_image):
    watch_networks()
    asked = iter([False] * 5)
    with stopped_by(lambda: next(asked, True)), pytest.raises(Interrupted):
        vr.denoise(make_image(), tiny_model)
    vr.denoise(make_image(), tiny_model)  # of another mind, no more


def test_cancel_ends_a_pass_over_a_large_tile(viewer, open_widget, finish, qtbot, make_image):
    layer = viewer.add_image(make_image((640, 640)), name="large")
    viewer.add_labels(np.eye(640, dtype=int), name="mask")
    widgets = [open_widget(name) for name in ("Denoise", "Inpaint", "Super-resolve")]
    for widget in widgets:
        widget.header.layers.value = layer
        widget.header.samples.value = 4
        widget.run()
        qtbot.waitUntil(lambda w=widget: "Looking at the image" in w.status, timeout=30_000)
        qtbot.wait(300)
        assert widget.is_busy
        started = time.monotonic()
        widget.cancel()
        finish(widget)
        took = time.monotonic() - started
        assert took < SOON, f"{type(widget).__name__} took {took:.2f} s to end"
        assert widget.status.startswith("Cancelled")
    assert len(viewer.layers) == 2


@pytest.mark.parametrize("end", ["delete the layer", "close the dock", "close the viewer"])
def test_no_computation_outlives_what_it_is_for(viewer, qtbot, make_image, end):
    viewer.add_image(make_image((640, 640)), name="large")
    dock, denoise = viewer.window.add_plugin_dock_widget("napari-vae-restore", "Denoise")
    before = threading.active_count()
    denoise.header.samples.value = 8
    denoise.run()
    qtbot.waitUntil(lambda: "Looking at the image" in denoise.status, timeout=30_000)
    qtbot.wait(200)
    started = time.monotonic()
    if end == "delete the layer":
        viewer.layers.remove("large")
    elif end == "close the dock":
        viewer.window.remove_dock_widget(dock)
    else:
        viewer.close()
    assert QThreadPool.globalInstance().waitForDone(5000)
    assert time.monotonic() - started < SOON
    assert not _children
    if end != "close the viewer":
        qtbot.waitUntil(lambda: not denoise.is_busy, timeout=5000)
        assert not [layer for layer in viewer.layers if "denoised" in layer.name]
    idle = QThreadPool.globalInstance().maxThreadCount()
    assert threading.active_count() <= before + idle


def test_the_window_is_never_held_up(viewer, open_widget, finish, qtbot, make_image, capsys):
    layer = viewer.add_image(make_image((256, 256)), name="cells")
    viewer.add_labels(np.eye(256, dtype=int), name="mask")
    names = ("Denoise", "Inpaint", "Super-resolve")
    widgets = {name: open_widget(name) for name in names}
    check = open_widget("Check & Compare")
    widgets["Denoise"].run()
    finish(widgets["Denoise"])
    check.header.layers.value = viewer.layers["cells denoised"]
    jobs = {
        f"{name}, {what}": (each, getattr(each, what))
        for name, each in widgets.items()
        for what in ("preview", "run")
    }
    jobs |= {"Check": (check, check.check), "samples": (check, check.draw)}
    qtbot.wait(500)
    report = []
    for name, (widget, start) in jobs.items():
        if widget is not check:
            widget.header.layers.value = layer
        held = longest_block(lambda w=widget, s=start: (s(), finish(w)))
        report.append(f"{name}: {1000 * held:.0f} ms")
        assert held < BLOCK, report
    with capsys.disabled():
        sys.stdout.write("\nlongest block of the window: " + ", ".join(report) + "\n")


def longest_block(action):
    """Seconds between two ticks of a timer in the window's thread, while something runs."""
    gaps, last = [0.0], [time.monotonic()]

    def tick():
        now = time.monotonic()
        gaps.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.setInterval(5)
    timer.timeout.connect(tick)
    timer.start()
    action()
    timer.stop()
    return max(gaps)
