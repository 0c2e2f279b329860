"""The definitions that ship with dataset_assets, a short file each."""

MODULES = {
    "au.edu.adelaide": "lee_documents",
    "com.lecun": "mnist",
    "com.zalando": "fashion_mnist",
    "io.github.allisonhorst": "penguins",
    "io.github.rasbt": "mnist_5k",
}
"""The beginning of the qualified names in a module -> that module, so that finding one imports one."""

TRIED = frozenset({"au.edu.adelaide.lee_documents", "io.github.allisonhorst.penguins", "io.github.rasbt.mnist_5k"})
"""The datasets that the tests prepare from the publisher's own bytes; the others are run on generated files only."""
