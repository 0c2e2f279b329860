"""The definitions that ship with dataset_assets, one short file each."""

MODULES = {
    "au.edu.adelaide": "lee_documents",
    "be.sidc.sunspots": "sunspots",
    "ca.mcgill.bic": "mni152",
    "com.google.word_analogies": "word_analogies",
    "com.lecun": "mnist",
    "com.timeseriesclassification": "italy_power_demand",
    "com.zalando": "fashion_mnist",
    "edu.stanford.ai.imdb": "imdb",
    "edu.toronto.cs.cifar10": "cifar10",
    "edu.uci.ics.adult": "adult",
    "edu.uci.ics.auto_mpg": "auto_mpg",
    "edu.uci.ics.covertype": "covertype",
    "edu.uci.ics.japanese_vowels": "japanese_vowels",
    "edu.uci.ics.optdigits": "optdigits",
    "edu.uci.ics.promoters": "promoters",
    "edu.uci.ics.protein_structure": "protein_structure",
    "edu.uci.ics.semeion": "semeion",
    "edu.uci.ics.sms_spam": "sms_spam",
    "edu.uci.ics.splice": "splice",
    "edu.uci.ics.wine_quality": "wine_quality",
    "gov.noaa.gml.co2": "co2",
    "gov.noaa.seattle_weather": "seattle_weather",
    "il.ac.technion.wordsim353": "wordsim353",
    "io.github.allisonhorst": "penguins",
    "io.github.camdavidsonpilon": "rossi",
    "io.github.facebookresearch.qmnist": "qmnist",
    "io.github.hiyouga.preferences": "preferences",
    "io.github.hiyouga.tool_calls": "tool_calls",
    "io.github.jakobovski.spoken_digits": "spoken_digits",
    "io.github.karpathy.tiny_shakespeare": "tiny_shakespeare",
    "io.github.rajpurkar.squad": "squad",
    "io.github.rasbt": "mnist_5k",
    "io.github.weecology": "tree_crowns",
    "it.unipi.di.ag_news": "ag_news",
    "jp.ac.rois.codh.kmnist": "kmnist",
    "net.semanlink.papers": "semanlink_papers",
    "net.semanlink.tags": "semanlink_tags",
    "org.librivox": "sense_and_sensibility",
    "org.librosa.recordings": "recordings",
    "org.linqs.cora": "cora",
    "org.networkx.atlas": "atlas",
    "org.rdkit": "solubility",
    "org.scikit_learn.breast_cancer": "breast_cancer",
    "org.scikit_learn.diabetes": "diabetes",
    "org.scikit_learn.digits": "digits",
    "org.scikit_learn.iris": "iris",
    "org.scikit_learn.linnerud": "linnerud",
    "org.scikit_learn.photographs": "photographs",
    "org.scikit_learn.wine": "wine",
    "org.universaldependencies.english_ewt": "english_ewt",
}
"""The prefix of the names that a module defines -> the module, so that finding a dataset imports only one module."""

VERIFIED = frozenset(
    {
        "au.edu.adelaide.lee_documents",
        "ca.mcgill.bic.mni152",
        "com.google.word_analogies",
        "com.timeseriesclassification.italy_power_demand",
        "edu.uci.ics.japanese_vowels",
        "gov.noaa.seattle_weather",
        "il.ac.technion.wordsim353",
        "io.github.allisonhorst.penguins",
        "io.github.camdavidsonpilon.rossi",
        "io.github.hiyouga.preferences",
        "io.github.hiyouga.tool_calls",
        "io.github.rasbt.mnist_5k",
        "io.github.weecology.tree_crowns",
        "net.semanlink.papers",
        "net.semanlink.tags",
        "org.librivox.sense_and_sensibility",
        "org.networkx.atlas",
        "org.rdkit.solubility",
        "org.scikit_learn.breast_cancer",
        "org.scikit_learn.diabetes",
        "org.scikit_learn.digits",
        "org.scikit_learn.iris",
        "org.scikit_learn.linnerud",
        "org.scikit_learn.photographs",
        "org.scikit_learn.wine",
    }
)
"""The datasets that the tests prepare from the publisher's files; all others are tested on generated files only."""


def verified(name: str) -> bool | None:
    """Return whether a definition was run on its publisher's files; None if it is not one of these definitions."""
    parts = name.split(".")
    ours = any(".".join(parts[:count]) in MODULES for count in range(1, len(parts) + 1))
    return name in VERIFIED if ours else None
