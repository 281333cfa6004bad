"""The widgets of the window: a form, buttons, a status line and a job each."""
