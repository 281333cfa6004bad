import pytest

from napari_vae_restore import InputError, TrainingSettings, parse_budget


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2 min", 120), ("2min", 120), ("90s", 90), ("90 seconds", 90), ("1.5 m", 90),
        ("1 h", 3600), ("2 minutes", 120), ("1 hour", 3600), ("3 hours", 10800), (45, 45),
        (0.5, 0.5), ("10 secs", 10), ("7 mins", 420),
    ],
)  # fmt: skip
def test_budgets_are_read(text: str | float, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["-2 min", -5, 0, "0 s", "soon", "", "2 days", "nan", "inf"])
def test_other_budgets_are_refused(text: str | float) -> None:
    with pytest.raises(InputError, match="positive time"):
        parse_budget(text)


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_beta_rises_linearly_and_then_equals_the_setting(beta: float, warmup: float) -> None:
    settings = TrainingSettings(beta=beta, beta_warmup=warmup)
    assert settings.beta_at(warmup / 2) == pytest.approx(beta / 2 if warmup else beta)
    assert all(settings.beta_at(max(warmup, f)) == beta for f in (warmup, 0.7, 1.0))


@pytest.mark.parametrize(
    "values", [{"batch": 0}, {"learning_rate": -1}, {"ema": 1.5}, {"beta": float("nan")}]
)
def test_settings_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        TrainingSettings(**values)
