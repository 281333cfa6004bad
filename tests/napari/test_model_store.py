"""The models of a session."""

from napari_vae_restore._napari.forms.model_store import BUNDLED, ModelStore
from napari_vae_restore.models.bundled import DEFAULT


def test_the_newest_model_is_selected_and_names_are_unique(tiny_model):
    store = ModelStore()
    assert store.selected == "default"
    assert store.selected_name == BUNDLED
    assert store.add(tiny_model, "cells") == "cells"
    assert store.add(tiny_model, "cells") == "cells 2"
    assert store.names == (BUNDLED, "cells", "cells 2")
    assert store.selected.name == "cells 2"


def test_a_training_that_goes_on_takes_its_own_place(tiny_model):
    store = ModelStore()
    store.add(tiny_model, "cells")
    store.add(tiny_model, "other")
    assert store.add(tiny_model, "renamed layer", replaces="cells") == "cells"
    assert store.names == (BUNDLED, "cells", "other")
    assert store.selected_name == "cells"


def test_selecting_tells_and_unknown_names_change_nothing(tiny_model, qtbot):
    store = ModelStore()
    store.add(tiny_model, "a")
    store.add(tiny_model, "b")
    with qtbot.waitSignal(store.changed, timeout=100):
        store.select("a")
    with qtbot.assertNotEmitted(store.changed):
        store.select("no model")
    assert store.selected_name == "a"


def test_the_name_of_the_bundled_model_is_that_of_the_core_and_is_not_taken(tiny_model):
    from napari_vae_restore.models import bundled

    assert bundled.DEFAULT == DEFAULT
    store = ModelStore()
    assert store.add(tiny_model, BUNDLED) == f"{BUNDLED} 2"
    store.clear()
    assert store.names == (BUNDLED,)
