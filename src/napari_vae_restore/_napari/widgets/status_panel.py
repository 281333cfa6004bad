"""The foot of a widget: a line in plain words, and a progress bar with the time left."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from napari_vae_restore._napari.messages import Update, duration

_RESOLUTION = 1000
_LINES = 3


class StatusPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Shows how far a computation is, and says what to do when none runs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bar = QProgressBar(self)
        self._bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        # The room stays when the bar goes: nothing jumps.
        policy = self._bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self._bar.setSizePolicy(policy)
        self._text = QLabel(self)
        self._text.setWordWrap(True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setMinimumHeight(_LINES * self._text.fontMetrics().lineSpacing())
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._text)
        layout.addWidget(self._bar)
        self.idle("")

    @property
    def text(self) -> str:
        return str(self._text.text())

    def idle(self, text: str) -> None:
        self._bar.setVisible(False)
        self._text.setText(text)

    def update_progress(self, update: Update) -> None:
        self._bar.setVisible(True)
        self._text.setText(update.text)
        if update.fraction is None:
            self._bar.setRange(0, 0)
            self._bar.setFormat("")
            return
        self._bar.setRange(0, _RESOLUTION)
        self._bar.setValue(round(_RESOLUTION * update.fraction))
        left = update.seconds_left
        known = left is not None and left < 1e6
        self._bar.setFormat(f"{duration(left)} left" if left is not None and known else "%p %")
