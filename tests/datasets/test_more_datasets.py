"""The other datasets that ship with us: each on small files in its real format, and for real those packages carry."""

import io
import json
import tarfile
import wave
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Iterable
from urllib.parse import urlsplit

import media
import numpy as np
import pytest
from doc_tables import table
from test_datasets import SHIPPED
from test_published import CARRIED, PACKED

from dataset_assets import Dataset, prepare
from dataset_assets.cli.describe import describe
from dataset_assets.core.names import prefix_clash
from dataset_assets.datasets import MODULES, VERIFIED
from dataset_assets.datasets.adult import people
from dataset_assets.datasets.ag_news import articles
from dataset_assets.datasets.atlas import graphs
from dataset_assets.datasets.auto_mpg import cars
from dataset_assets.datasets.cifar10 import photographs
from dataset_assets.datasets.co2 import months as co2_months
from dataset_assets.datasets.cora import papers
from dataset_assets.datasets.covertype import TEST, VALIDATION, patches
from dataset_assets.datasets.diabetes import patients
from dataset_assets.datasets.english_ewt import sentences
from dataset_assets.datasets.imdb import reviews
from dataset_assets.datasets.iris import measured
from dataset_assets.datasets.optdigits import small_digits
from dataset_assets.datasets.protein_structure import chains
from dataset_assets.datasets.qmnist import written
from dataset_assets.datasets.semeion import scans
from dataset_assets.datasets.sms_spam import messages
from dataset_assets.datasets.splice import stretches
from dataset_assets.datasets.spoken_digits import recordings
from dataset_assets.datasets.squad import questions
from dataset_assets.datasets.sunspots import months as sunspot_months
from dataset_assets.datasets.tiny_shakespeare import pieces
from dataset_assets.datasets.wine_quality import COLUMNS, wines
from dataset_assets.datasets.wordsim353 import pairs
from dataset_assets.definition.registry import definitions, find
from dataset_assets.errors import DecodeError, SchemaError
from dataset_assets.reading.views.undecoded import encoded
from dataset_assets.storage import MemoryStorage
from dataset_assets.testing import DatasetTests
from dataset_assets.testing.datasets import gzipped, idx_bytes

Made = dict[str, bytes]
PYPI = "files.pythonhosted.org"

# --- small files in the publishers' formats


def lines(*texts: str) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def csv(rows: Any) -> bytes:
    return lines(*(",".join(map(str, row)) for row in rows))


def table_with_header(fields: int, classes: int) -> bytes:
    rows = [[*(round(0.1 * (k + 7 * i), 2) for k in range(fields)), i % classes] for i in range(6)]
    return csv([[6, fields, *"abc"[:classes]], *rows])


def pixels(seed: int, count: int) -> bytes:
    chance = np.random.default_rng(seed)
    return csv(np.column_stack([chance.integers(0, 17, (count, 64)), np.arange(count) % 10]).tolist())


def diabetes_files() -> Made:
    rows = ["59 2 32.1 101.0 157 93.2 38.0 4.0 4.8598 87", "48 1 21.6 87.0 183 103.2 70.0 3.0 3.8918 69"]
    targets = ["1.510000000000000000e+02", "7.500000000000000000e+01"]
    return {
        "diabetes_data_raw_csv_gz": gzipped(lines(*rows)),
        "diabetes_target_csv_gz": gzipped(lines(*targets)),
    }


ATLAS = lines("GRAPH 0", "NODES 0", "GRAPH 1", "NODES 1", "GRAPH 2", "NODES 2", "GRAPH 3", "NODES 2", "0 1")
PEOPLE = lines(
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, "
    "United-States, <=50K",
    "54, ?, 180211, Some-college, 10, Married-civ-spouse, ?, Husband, Asian-Pac-Islander, Male, 0, 0, 60, ?, >50K",
    "",
)
TESTED = lines(
    "|1x3 Cross validator",
    "25, Private, 226802, 11th, 7, Never-married, Machine-op-inspct, Own-child, Black, Male, 0, 0, 40, United-States, "
    "<=50K.",
    "28, Local-gov, 336951, Assoc-acdm, 12, Married-civ-spouse, Protective-serv, Husband, White, Male, 0, 0, 40, "
    "United-States, >50K.",
    "",
)
CARS = lines(
    '18.0   8   307.0      130.0      3504.      12.0   70  1\t"chevrolet chevelle malibu"',
    '25.0   4   98.00      ?          2046.      19.0   71  1\t"ford pinto"',
    '24.0   4   113.0      95.00      2372.      15.0   70  3\t"toyota corona mark ii"',
)


def wine_bytes(first: float) -> bytes:
    header = ";".join(f'"{name}"' for name in (*COLUMNS, "quality"))
    return lines(
        header, ";".join(f"{first + k}" for k in range(11)) + ";5", ";".join([f"{first}"] * 11) + f";{int(first)}"
    )


def patch(i: int, area: int = 0, soil: int = 0) -> str:
    terrain = [2000 + i % 1000, i // 1000, *(k * 10 for k in range(8))]
    chosen = [int(k == area) for k in range(4)] + [int(k == soil) for k in range(40)]
    return ",".join(map(str, [*terrain, *chosen, 1 + i % 7]))


def scan(digit: int) -> str:
    bits = np.random.default_rng(digit).integers(0, 2, 256)
    return " ".join([*(f"{bit}.0000" for bit in bits), *(str(int(k == digit)) for k in range(10)), ""])


SPLICE = lines(
    "EI,      ATRINS-DONOR-521,               CCAGCTGCATCACAGGAGGCCAGCGAGCAGGTCTGTTCCAAGGGCCTTCGAGCCAGTCTG",
    "IE,     BOVPROT-ACCEPTOR-1,        GTTCCCGAGNNCACAGGAGGCCAGCGAGCAGGTCTGTTCCAAGGGCCTTCGAGCCAGTCTG",
    "N,       HUMALPI1-NEG-2041,              TTCAGGCAGCACCCGAGTGTCCACGGCGTCCCCAGTACAGTCTGTGGAATTTAGTTCCTT",
)
PROMOTERS = lines(
    "+,S10,\t\ttactagcaatacgcttgcgttcggtggttaagtatgtataatgcgcgggcttgtcgt",
    "-, 867,\tatatgaacgttgagactgccgctgagttatcagctgtgaacgacattctggcgtcta",
)


def protein_files() -> Made:
    train = lines("# Qian and Sejnowski", "#", "<>", "G _", "V e", "G h", "<end>", "<>", "M _", "A _", "end", "", "<>")
    test = lines("<>", "E _", "N e", "<>", "L h", "<end>")
    names = ("protein_secondary_structure_train", "protein_secondary_structure_test")
    return dict(zip(names, (train, test)))


def mnist_like(labels: Callable[[int], bytes], names: Iterable[str]) -> Made:
    chance = np.random.default_rng(5)
    images = [gzipped(idx_bytes(chance.integers(0, 256, (count, 28, 28)))) for count in (20, 10)]
    return dict(zip(names, (images[0], labels(20), images[1], labels(10))))


def idx_ints(rows: Any) -> bytes:
    found = np.asarray(rows, ">i4")
    return b"\0\0\x0c" + bytes([found.ndim]) + np.array(found.shape, ">u4").tobytes() + found.tobytes()


def nist(count: int) -> bytes:
    row = np.arange(count)
    zero = row * 0
    return gzipped(idx_ints(np.column_stack([row % 10, zero + 4, 2100 + row, row, 30 + row % 10, row, zero, zero])))


NEWS = lines(
    '"3","Wall St. Bears Claw Back Into the Black (Reuters)","Reuters - Short-sellers, Wall Street\'s, ""green""."',
    '"1","Talks\\on hold","One line\\another line"',
    '"4","Card","A &lt;b&gt;card&lt;/b&gt; for $10"',
)
NEWS_LATER = lines('"2","Fears for T N pension","Unions are ""disappointed""."', '"4","The Race","SPACE.com - Toronto"')


def article(title: str, *answers: tuple[str, int]) -> dict[str, Any]:
    told = [{"text": text, "answer_start": start} for text, start in answers]
    question = {"id": title + "1", "question": f"What is {title}?", "answers": told}
    return {
        "title": title,
        "paragraphs": [{"context": f"{title} is naïve.", "qas": [question, {**question, "id": "2"}]}],
    }


def squad_bytes(*articles: dict[str, Any]) -> bytes:
    return json.dumps({"version": "1.1", "data": articles}, ensure_ascii=False).encode()


PLAY = b"First Citizen:\nBefore we proceed any further, hear me speak.\n\n"
PLAYS = b"".join(b"%d %s" % (i, PLAY) for i in range(60))
SENTENCE = """\
# newdoc id = weblog-x
# sent_id = weblog-x-0001
# text = {text}
1-2\tAllawi's\t_\t_\t_\t_\t_\t_\t_\t_
1\tAllawi\tAllawi\tPROPN\tNNP\tNumber=Sing\t3\tnmod:poss\t3:nmod:poss\t_
2\t's\t's\tPART\tPOS\t_\t1\tcase\t1:case\t_
2.1\tleft\tleave\tVERB\tVBN\t_\t_\t_\t1:dep\t_
3\tcousin\tcousin\tNOUN\tNN\tNumber=Sing\t0\troot\t0:root\tSpaceAfter=No
4\t.\t.\tPUNCT\t.\t_\t3\tpunct\t3:punct\t_

"""


def treebank(*texts: str) -> bytes:
    return "".join(SENTENCE.format(text=text) for text in texts).encode()


def wav_bytes(values: Any, channels: int = 1, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(np.asarray(values, "<i2").tobytes())
    return file.getvalue()


def spoken_files() -> Made:
    names = {(digit, recording): f"{digit}_jackson_{recording}_wav" for recording in (5, 0) for digit in range(10)}
    return {name: wav_bytes(np.arange(4 + digit) + 100 * where) for (digit, where), name in names.items()}


def paper(number: int, topic: str) -> str:
    words = (np.arange(1433) % (number % 5 + 2) == 0).astype(int)
    return "\t".join([str(number), *map(str, words), topic])


CITED = lines("31336\t1061127", "31336\t1106406", "1106406\t1061127")
CONTENT = lines(paper(31336, "Neural_Networks"), paper(1061127, "Rule_Learning"), paper(1106406, "Theory"))
CO2 = lines(
    "# --------------------------------------------------------------------",
    "# USE OF NOAA GML DATA",
    "#",
    "year,month,decimal date,average,deseasonalized,ndays,sdev,unc",
    "1958,3,1958.2027,315.71,314.44,-1,-9.99,-0.99",
    "1974,5,1974.3750,333.19,330.11,14,0.31,0.16",
)
SUNSPOTS = lines("1749;01;1749.042;  96.7; -1.0;   -1;1", "2024;11;2024.873; 152.5; 20.5; 1022;0")


def zipped(**files: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(zipfile.ZipInfo(name, (2011, 6, 22, 0, 0, 0)), data)
    return archive.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as made:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return gzipped(archive.getvalue())


MESSAGES = lines("ham\tGo until jurong point, crazy..", "spam\tFree entry in 2 a wkly comp\tto win", "ham\tOk lar…")
REVIEWS = {
    "aclImdb/README": b"Large Movie Review Dataset v1.0",
    "aclImdb/test/neg/0_2.txt": b"Once again Mr. Costner",
    "aclImdb/test/pos/0_10.txt": "I went and saw this movie last night; naïve, and <br /> good.".encode(),
    "aclImdb/train/neg/0_3.txt": b"Story of a man who has unnatural feelings for a pig.",
    "aclImdb/train/pos/0_9.txt": b"Bromwell High is a cartoon comedy.",
    "aclImdb/train/unsup/0_0.txt": b"I admit, the great majority of films",
    "aclImdb/train/unsupBow.feat": b"0:8 1:6",
}


def batch(*labels: int) -> bytes:
    return b"".join(bytes([label]) + bytes([label]) * 1024 + b"\1" * 1024 + b"\2" * 1024 for label in labels)


def batches() -> dict[str, bytes]:
    names = ("data_batch_2", "test_batch", "data_batch_1")
    found = {f"cifar-10-batches-bin/{name}.bin": batch(k, k + 3) for k, name in enumerate(names)}
    return {**found, "cifar-10-batches-bin/batches.meta.txt": b"airplane\n"}


MADE: dict[str, Callable[[], Made]] = {
    "be.sidc.sunspots": lambda: {"SN_m_tot_V2_0_csv": SUNSPOTS},
    "edu.stanford.ai.imdb": lambda: {"aclImdb_v1_tar_gz": tarred(REVIEWS)},
    "edu.toronto.cs.cifar10": lambda: {"cifar_10_binary_tar_gz": tarred(batches())},
    "edu.uci.ics.adult": lambda: {"adult_data": PEOPLE, "adult_test": TESTED},
    "edu.uci.ics.auto_mpg": lambda: {"auto_mpg_data": CARS},
    "edu.uci.ics.covertype": lambda: {
        "covtype_data_gz": gzipped(lines(*(patch(i, i % 4, i % 40) for i in range(15_200))))
    },
    "edu.uci.ics.optdigits": lambda: {"optdigits_tra": pixels(1, 20), "optdigits_tes": pixels(2, 10)},
    "edu.uci.ics.promoters": lambda: {"promoters_data": PROMOTERS},
    "edu.uci.ics.protein_structure": protein_files,
    "edu.uci.ics.semeion": lambda: {"semeion_data": lines(*map(scan, range(10)))},
    "edu.uci.ics.sms_spam": lambda: {"smsspamcollection_zip": zipped(readme=b"", SMSSpamCollection=MESSAGES)},
    "edu.uci.ics.splice": lambda: {"splice_data": SPLICE},
    "edu.uci.ics.wine_quality": lambda: {
        "winequality_red_csv": wine_bytes(6.0),
        "winequality_white_csv": wine_bytes(8.0),
    },
    "gov.noaa.gml.co2": lambda: {"co2_mm_mlo_csv": CO2},
    "il.ac.technion.wordsim353": lambda: {
        "wordsim353_tsv": lines(
            "# The collection", "# Word 1\tWord 2\tHuman (mean)", "love\tsex\t6.77", "tiger\tcat\t7.35"
        )
    },
    "io.github.facebookresearch.qmnist": lambda: mnist_like(
        nist,
        (
            "qmnist_train_images_idx3_ubyte_gz",
            "qmnist_train_labels_idx2_int_gz",
            "qmnist_test_images_idx3_ubyte_gz",
            "qmnist_test_labels_idx2_int_gz",
        ),
    ),
    "io.github.jakobovski.spoken_digits": spoken_files,
    "io.github.karpathy.tiny_shakespeare": lambda: {"input_txt": PLAYS},
    "io.github.rajpurkar.squad": lambda: {
        "train_v1_1_json": squad_bytes(article("Zürich", ("naïve", 10))),
        "dev_v1_1_json": squad_bytes(article("Bern", ("naïve", 8), ("Bern", 0), ("naïve", 8))),
    },
    "it.unipi.di.ag_news": lambda: {"train_csv": NEWS, "test_csv": NEWS_LATER},
    "jp.ac.rois.codh.kmnist": lambda: mnist_like(
        lambda count: gzipped(idx_bytes(np.arange(count) % 10)),
        (
            "train_images_idx3_ubyte_gz",
            "train_labels_idx1_ubyte_gz",
            "t10k_images_idx3_ubyte_gz",
            "t10k_labels_idx1_ubyte_gz",
        ),
    ),
    "org.librosa.recordings": lambda: {
        "glacier_bay_humpback_ogg": b"OggS whale",
        "5703_47212_0000_ogg": b"OggS one",
        "3436_172162_0000_ogg": b"OggS two",
        "198_209_0000_ogg": b"OggS three",
        "456440_inspectorj_bird_whistling_robin_single_13_ogg": b"OggS robin",
    },
    "org.linqs.cora": lambda: {"cora_content": CONTENT, "cora_cites": CITED},
    "org.networkx.atlas": lambda: {"atlas_dat_gz": gzipped(ATLAS)},
    "org.scikit_learn.breast_cancer": lambda: {"breast_cancer_csv": table_with_header(30, 2)},
    "org.scikit_learn.diabetes": diabetes_files,
    "org.scikit_learn.digits": lambda: {"digits_csv_gz": gzipped(pixels(3, 20))},
    "org.scikit_learn.iris": lambda: {"iris_csv": table_with_header(4, 3)},
    "org.scikit_learn.photographs": lambda: {
        name: media.picture("JPEG", 427, 640, seed=seed) for seed, name in enumerate(("china_jpg", "flower_jpg"))
    },
    "org.scikit_learn.wine": lambda: {"wine_data_csv": table_with_header(13, 3)},
    "org.universaldependencies.english_ewt": lambda: {
        "en_ewt_ud_train_conllu": treebank("Allawi's cousin.", "Another cousin."),
        "en_ewt_ud_dev_conllu": treebank("A third."),
        "en_ewt_ud_test_conllu": treebank("A fourth."),
    },
}
WHOLE = {
    "edu.stanford.ai.imdb",
    "edu.toronto.cs.cifar10",
    "edu.uci.ics.covertype",
    "edu.uci.ics.sms_spam",
    "io.github.facebookresearch.qmnist",
    "io.github.rajpurkar.squad",
    "jp.ac.rois.codh.kmnist",
    "org.networkx.atlas",
    "org.scikit_learn.digits",
}
"""Those whose files are compressed, or end in a bracket; the others are lines, or files that nobody looks into.

The spoken digits, which are neither, are cut everywhere further below: they have twenty files.
"""


class Generated(DatasetTests):
    """A definition by its name, on files that are made here; all in memory, for it forces thousands to the disk."""

    @pytest.fixture
    def dataset(self, name: str) -> Dataset:
        return find(name)

    @pytest.fixture
    def raw_files(self, name: str) -> Made:
        return MADE[name]()

    @pytest.fixture
    def tmp_path(self, fast_path: Path) -> Path:
        return fast_path


@pytest.mark.parametrize("name", sorted(WHOLE))
class TestWholeFiles(Generated):
    pass


@pytest.mark.parametrize("name", sorted(MADE.keys() - WHOLE))
class TestLines(Generated):
    ends_are_seen = False


def ours() -> list[Dataset]:
    return [one for one in definitions() if any(f"{one.name}.".startswith(f"{prefix}.") for prefix in MODULES)]


def test_every_definition_is_run_on_generated_files() -> None:
    assert {dataset.name for dataset in ours()} - SHIPPED == {*MADE, *PACKED, *CARRIED}
    assert prefix_clash([dataset.name for dataset in ours()]) is None
    assert {find(name).name for name in VERIFIED} == VERIFIED


def test_every_definition_has_what_people_search_for() -> None:
    for dataset in ours():
        assert dataset.tags, dataset.name
        assert dataset.tasks, dataset.name
        assert dataset.citation and dataset.license and dataset.homepage, dataset.name


def test_what_a_package_carries_is_what_was_tried() -> None:
    carried = {
        one.name
        for one in ours()
        if all(
            urlsplit(file.urls[0]).netloc == PYPI or "package:" in file.urls[0] for file in one.remote_files.values()
        )
    }
    assert carried == VERIFIED
    assert len(VERIFIED) >= 24


def test_it_is_told_whether_a_definition_was_ever_run_on_the_publishers_bytes() -> None:
    for dataset in ours():
        assert describe(dataset, MemoryStorage())["verified"] is (dataset.name in VERIFIED), dataset.name


# --- split functions, each on what their files may hold


def opened(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)


def crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def ended(data: bytes) -> list[bytes]:
    """Return the same content with other ends of lines, of the file, and blank lines after it."""
    return [data, data.rstrip(b"\n"), crlf(data), crlf(data).rstrip(b"\r\n"), data + b"\n\n"]


def shown(samples: Iterable[Any]) -> list[str]:
    return [
        repr({name: np.asarray(v).tolist() if hasattr(v, "dtype") else v for name, v in s.items()}) for s in samples
    ]


@pytest.mark.parametrize(
    "function, data, more",
    [
        (measured, table_with_header(4, 3), {"fields": list("abcd")}),
        (pairs, lines("# remark", "tiger\ttiger\t10.00", "", "love\tsex\t6.77"), {}),
        (people, PEOPLE, {}),
        (people, TESTED, {}),
        (cars, CARS, {}),
        (wines, wine_bytes(6.0), {}),
        (scans, lines(scan(3), "", scan(0)), {}),
        (stretches, SPLICE, {"symbols": ["EI", "IE", "N"]}),
        (stretches, PROMOTERS, {"symbols": ["-", "+"]}),
        (chains, lines("<>", "G _", "V e", "<end>", "<>", "M h"), {}),
        (articles, NEWS, {}),
        (sentences, treebank("One.", "Two."), {}),
        (co2_months, CO2, {}),
        (sunspot_months, SUNSPOTS, {}),
        (graphs, ATLAS, {}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_ends_of_lines_and_of_the_file_change_no_sample(
    function: Callable[..., Any], data: bytes, more: dict[str, Any]
) -> None:
    expected = shown(function(opened(data), **more))
    assert len(expected) >= 2
    for other in ended(data):
        assert shown(function(opened(other), **more)) == expected


def test_messages_may_have_tabs() -> None:
    found = list(messages(opened(zipped(SMSSpamCollection=MESSAGES))))
    assert [message["kind"] for message in found] == [0, 1, 0]
    assert found[1]["text"] == "Free entry in 2 a wkly comp\tto win"
    for wrong in (MESSAGES.replace(b"spam", b"eggs"), MESSAGES.replace(b"\t", b" ")):
        with pytest.raises(ValueError):
            list(messages(opened(zipped(SMSSpamCollection=wrong))))
    with pytest.raises(DecodeError, match="no member"):
        list(messages(opened(zipped(readme=MESSAGES))))


def test_reviews_are_those_of_their_folder() -> None:
    data = tarred(REVIEWS)
    found = list(reviews(opened(data), "train"))
    assert [(review["id"], review["opinion"], review["stars"]) for review in found] == [
        ("train/neg/0", 0, 3),
        ("train/pos/0", 1, 9),
    ]
    assert "naïve" in next(review["text"] for review in reviews(opened(data), "test") if review["opinion"])


def test_photographs_come_in_the_order_of_the_batches() -> None:
    first, second = photographs(opened(tarred(batches())), "data_batch_*")
    assert (first["label"].tolist(), second["label"].tolist()) == ([2, 5], [0, 3])
    assert first["image"].shape == (2, 32, 32, 3)
    assert first["image"][1, 7, 9].tolist() == [5, 1, 2]
    with pytest.raises(DecodeError, match="3073"):
        list(photographs(opened(tarred({"cifar-10-batches-bin/test_batch.bin": batch(1)[:-1]})), "test_batch"))


def test_a_table_that_has_other_rows_than_it_announces_is_refused() -> None:
    whole = table_with_header(4, 3)
    for wrong in (whole.replace(b"6,4", b"7,4", 1), whole[: whole.rindex(b"\n", 0, -1) + 1], b""):
        with pytest.raises(DecodeError):
            list(measured(opened(wrong), list("abcd")))
    with pytest.raises(ValueError, match="could not convert"):
        list(measured(opened(b"1,1\n?,0\n"), ["a"]))


def test_pixels_that_are_none_are_refused() -> None:
    for wrong in (b"300," * 64 + b"1\n", b"1.5," * 64 + b"1\n", b"?," * 64 + b"1\n", b"0,0\n"):
        with pytest.raises((DecodeError, ValueError)):
            list(small_digits(opened(wrong)))
    with pytest.raises(TypeError, match="no nulls"):
        list(small_digits(opened(b"," * 64 + b"1\n")))
    for columns in (64, 66):
        with pytest.raises((SchemaError, ValueError)):
            list(small_digits(opened(csv([[0] * columns]))))


def test_patients_without_a_target_are_refused() -> None:
    table = b"59 2 32.1 101.0 157 93.2 38.0 4.0 4.8598 87\n" * 2
    with pytest.raises(ValueError, match="shorter"):
        list(patients(opened(table), opened(b"151.0\n")))
    with pytest.raises(DecodeError):
        list(patients(opened(b"59 2 32.1\n"), opened(b"151.0\n")))


def test_graphs_have_their_edges_and_none_of_another() -> None:
    found = list(graphs(opened(b"\nGRAPH 0\nNODES 0\n\nGRAPH 1\nNODES 3\n0 1\n0 2\nGRAPH 2\nNODES 1")))
    assert [graph["nodes"] for graph in found] == [0, 3, 1]
    assert [graph["edges"].tolist() for graph in found] == [[], [[0, 1], [0, 2]], []]
    for nothing in (b"", b"\x1f", b"no graph\n"):
        with pytest.raises(DecodeError, match="no graph"):
            list(graphs(opened(nothing)))


def test_pairs_need_two_words_and_a_number() -> None:
    assert list(pairs(opened(b"# only a remark\n\n"))) == []
    for wrong in (b"tiger\tcat\n", b"tiger\tcat\tmuch\n", b"tiger cat 7\n"):
        with pytest.raises(ValueError):
            list(pairs(opened(wrong)))


def test_people_whose_work_is_not_known() -> None:
    first, second = people(opened(PEOPLE))
    assert first["person"]["workclass"] == "State-gov"
    assert [name for name, value in second["person"].items() if value is None] == [
        "workclass",
        "occupation",
        "native_country",
    ]
    assert (first["income"], second["income"]) == (0, 1)
    assert [sample["income"] for sample in people(opened(TESTED))] == [0, 1]
    with pytest.raises(ValueError):
        list(people(opened(PEOPLE.replace(b">50K", b">60K"))))
    with pytest.raises(DecodeError, match="15"):
        list(people(opened(PEOPLE.replace(b"39, ", b""))))


def test_cars_whose_power_is_not_known() -> None:
    found = list(cars(opened(CARS)))
    assert [sample["car"]["horsepower"] for sample in found] == [130.0, None, 95.0]
    assert [sample["car"]["origin"] for sample in found] == ["USA", "USA", "Japan"]
    assert found[0]["car"]["name"] == "chevrolet chevelle malibu"
    assert (found[1]["car"]["model_year"], found[1]["mpg"]) == (1971, 25.0)
    for wrong in (CARS.replace(b"\t", b" "), CARS.replace(b"  1\t", b"  9\t"), CARS.replace(b"98.00", b"")):
        with pytest.raises((ValueError, KeyError)):
            list(cars(opened(wrong)))


def test_wines_are_read_by_the_names_of_the_columns() -> None:
    names = [*COLUMNS, "quality"]
    turned = lines(";".join(reversed(names)), ";".join(str(k) for k in reversed(range(12))))
    (wine,) = wines(opened(turned))
    assert list(wine["measurements"].values()) == list(range(11))
    assert wine["quality"] == 11
    with pytest.raises(DecodeError, match="pH"):
        list(wines(opened(turned.replace(b"pH", b"acidity"))))


def test_patches_are_cut_where_the_splits_are() -> None:
    data = lines(*(patch(i, i % 4, i % 40) for i in range(10)))

    def taken(first: int, last: int | None) -> list[list[int]]:
        return [block["terrain"][:, 0].tolist() for block in patches(opened(data), first, last)]

    assert taken(0, 3) == [[2000, 2001, 2002]]
    assert taken(3, 8) == [[2003, 2004, 2005, 2006, 2007]]
    assert taken(8, None) == [[2008, 2009]]
    assert taken(10, None) == [[]]
    (block,) = patches(opened(data), 0, None)
    assert block["wilderness"].tolist() == [i % 4 for i in range(10)]
    assert block["soil"].tolist() == list(range(10))
    assert block["cover"].tolist() == [i % 7 for i in range(10)]
    assert (VALIDATION, TEST - VALIDATION, 581_012 - TEST) == (11_340, 3_780, 565_892)


def test_patches_with_two_soils_or_none_are_refused() -> None:
    for wrong in (patch(0, soil=99), patch(0, area=9), patch(0, 1, 2).replace(",0,0,0,0,", ",0,1,0,0,", 1)):
        with pytest.raises(DecodeError, match="just one 1"):
            list(patches(opened(lines(patch(1), wrong)), 0, None))


def test_scans_have_256_pixels_and_one_class() -> None:
    (first, second) = scans(opened(lines(scan(7), scan(2))))
    assert (first["label"], second["label"]) == (7, 2)
    assert first["image"].shape == (16, 16)
    for wrong in (scan(7)[7:], scan(7) + "1", scan(7).replace(" 1 ", " 0 "), scan(7) + "\n" + "0 " * 256):
        with pytest.raises(DecodeError, match="Line"):
            list(scans(opened(lines(wrong))))


def test_stretches_of_an_unknown_kind_are_refused() -> None:
    first = next(stretches(opened(PROMOTERS), ["-", "+"]))
    assert (first["name"], first["label"], len(first["bases"])) == ("S10", 1, 57)
    assert set(first["bases"]) == set("ACGT")
    with pytest.raises(ValueError):
        list(stretches(opened(SPLICE), ["EI", "IE"]))
    with pytest.raises(DecodeError):
        list(stretches(opened(b"EI,name\n"), ["EI"]))


def test_chains_end_at_each_mark() -> None:
    data = lines("# a remark", "<>", "G _", "V e", "end", "", "<>", "A h", "<>", "C _", "<end>", "<>")
    found = list(chains(opened(data)))
    assert [chain["acids"] for chain in found] == ["GV", "A", "C"]
    assert [chain["folds"].tolist() for chain in found] == [[0, 1], [2], [0]]
    for wrong in (b"<>\nG x\n", b"<>\nG\n"):
        with pytest.raises(ValueError):
            list(chains(opened(wrong)))


def test_digits_have_their_writers() -> None:
    images, labels = idx_bytes(np.zeros((3, 28, 28))), idx_ints([[7, 4, 2100, 0, 37, 9, 0, 0]] * 3)
    (block,) = written(opened(images), opened(labels))
    assert (block["label"].tolist(), block["writer"].tolist(), block["series"].tolist()) == (
        [7] * 3,
        [2100] * 3,
        [4] * 3,
    )
    assert block["label"].dtype == np.uint8
    with pytest.raises(SchemaError, match="different lengths"):
        list(written(opened(images), opened(idx_ints([[0] * 8] * 2))))


def test_articles_keep_their_quotes_and_commas() -> None:
    found = list(articles(opened(NEWS)))
    assert [article["topic"] for article in found] == [2, 0, 3]
    assert found[0]["description"].endswith('Wall Street\'s, "green".')
    assert found[1]["description"] == "One line\\another line"
    for wrong in (b'"3","title"\n', b'"3","a "quote" inside","text"\n', b'"3","title","never ends\n'):
        with pytest.raises(DecodeError):
            list(articles(opened(wrong)))
    with pytest.raises(ValueError):
        list(articles(opened(b'"topic","title","text"\n')))


def test_questions_have_all_their_answers() -> None:
    found = list(questions(opened(squad_bytes(article("Zürich", ("naïve", 10), ("Zürich", 0)), article("Bern")))))
    assert [question["id"] for question in found] == ["Zürich1", "2", "Bern1", "2"]
    assert found[0]["answers"] == {"text": ["naïve", "Zürich"], "start": [10, 0]}
    start = found[0]["answers"]["start"][0]
    assert found[0]["context"][start:].startswith("naïve")  # in characters, not in bytes
    assert found[2]["answers"] == {"text": [], "start": []}
    for wrong in (b"", b"{", squad_bytes()[:-1], squad_bytes(article("Zürich")).replace("ü".encode(), b"\xfc")):
        with pytest.raises(DecodeError, match="not JSON"):
            list(questions(opened(wrong)))


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 2559, 2560, 2561, 1_115_394])
def test_pieces_are_all_of_the_characters_once(size: int) -> None:
    plays = (b"".join(b"%d " % i for i in range(size // 3 + 1)) + b"x" * size)[:size]
    parts = {
        part: [piece["characters"] for piece in pieces(opened(plays), part, 256)] for part in ("train", "validation")
    }
    joined = {part: b"".join(piece.tobytes() for piece in found) for part, found in parts.items()}
    assert joined["train"] + joined["validation"] == plays
    assert len(joined["train"]) == size * 9 // 10
    assert all(len(piece) == 256 for found in parts.values() for piece in found[:-1])
    if size == 1_115_394:  # what the author's own script says of his file
        assert (len(joined["train"]), len(joined["validation"])) == (1_003_854, 111_540)


def test_sentences_have_words_only() -> None:
    (sentence,) = sentences(opened(treebank("Allawi's cousin.")))
    assert sentence["text"] == "Allawi's cousin."
    assert sentence["words"]["form"] == ["Allawi", "'s", "cousin", "."]
    assert sentence["words"]["relation"] == ["nmod:poss", "case", "root", "punct"]
    assert sentence["tags"].tolist() == [11, 9, 7, 12]
    assert sentence["heads"].tolist() == [3, 1, 0, 3]
    nameless = treebank("x").replace(b"# text = x\n", b"")
    assert [found["text"] for found in sentences(opened(treebank("x") + nameless))] == ["x", ""]
    with pytest.raises(ValueError):
        list(sentences(opened(treebank("x").replace(b"NOUN", b"THING"))))
    assert list(sentences(opened(b"\n\n# a remark\n\n"))) == []


def test_sounds_are_whole_and_in_one_form() -> None:
    sound = wav_bytes([1, -2, 3])
    (found,) = recordings(digit_7=opened(sound))
    assert (found["sound"].tolist(), found["digit"]) == ([1, -2, 3], 7)
    for wrong in (wav_bytes([1, 2], channels=2), wav_bytes([1], rate=16_000)):
        with pytest.raises(DecodeError, match="digit_7"):
            list(recordings(digit_7=opened(wrong)))
    for size in range(len(sound)):
        with pytest.raises(DecodeError, match="digit_7"):
            list(recordings(digit_7=opened(sound[:size])))


def test_papers_cite_others_by_their_place() -> None:
    found = list(papers(opened(CONTENT), opened(CITED + b"\n")))
    assert [paper["cites"].tolist() for paper in found] == [[], [0, 2], [0]]
    assert [paper["topic"] for paper in found] == [2, 5, 6]
    assert found[1]["paper"] == 1_061_127
    assert found[0]["words"].shape == (1433,)
    assert shown(papers(opened(crlf(CONTENT)), opened(crlf(CITED).rstrip()))) == shown(found)
    with pytest.raises(KeyError, match="77"):
        list(papers(opened(CONTENT), opened(b"31336\t77\n")))
    with pytest.raises(ValueError):
        list(papers(opened(CONTENT.replace(b"Theory", b"Practice")), opened(CITED)))


def test_months_that_were_not_measured_are_told_from_zero() -> None:
    first, second = (sample["reading"] for sample in co2_months(opened(CO2)))
    assert (first["average"], first["days"], first["deviation"], first["uncertainty"]) == (315.71, None, None, None)
    assert (second["days"], second["deviation"]) == (14, 0.31)
    assert [sample["reading"] for sample in co2_months(opened(CO2[CO2.index(b"year") :]))] == [first, second]
    with pytest.raises(DecodeError, match="ndays"):
        list(co2_months(opened(CO2.replace(b"ndays", b"days"))))
    with pytest.raises(DecodeError):
        list(co2_months(opened(b"# only remarks\n")))
    spots = lines("1749;01;1749.042;   0.0; -1.0;   -1;1", "1750;01;1750.042;  -1.0;  0.0;   0;0")
    none, unknown = (sample["reading"] for sample in sunspot_months(opened(spots)))
    assert (none["sunspots"], none["deviation"], none["observations"], none["definitive"]) == (0.0, None, None, True)
    assert (unknown["sunspots"], unknown["deviation"], unknown["definitive"]) == (None, 0.0, False)
    with pytest.raises(ValueError):
        list(sunspot_months(opened(spots.replace(b"1750;", b"*;"))))


# --- for real


def carried_by(package: str) -> None:
    """Skip the test if the package is not installed; it is not imported, which takes seconds."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def counts(name: str, stream: str) -> list[int]:
    return np.bincount(prepare(name)["all"].to_numpy()[stream]).tolist()


def test_the_tables_of_scikit_learn_have_the_counts_that_were_published(home: Path) -> None:
    carried_by("sklearn")
    assert counts("org.scikit_learn.iris", "label") == [50, 50, 50]
    assert counts("org.scikit_learn.wine", "label") == [59, 71, 48]
    assert counts("org.scikit_learn.breast_cancer", "label") == [212, 357]
    flower = prepare("org.scikit_learn.iris")["all"][149]
    assert list(flower["measurements"].values()) == [5.9, 3.0, 5.1, 1.8]
    nucleus = prepare("org.scikit_learn.breast_cancer")["all"][0]["measurements"]
    assert (nucleus["mean_radius"], nucleus["error_radius"], nucleus["worst_radius"]) == (17.99, 1.095, 25.38)
    assert prepare("org.scikit_learn.wine")["all"][-1]["measurements"]["proline"] == 560


def test_1797_digits_are_in_scikit_learn(home: Path) -> None:
    carried_by("sklearn")
    assert counts("org.scikit_learn.digits", "label") == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    images = prepare("org.scikit_learn.digits")["all"].to_numpy()["image"]
    assert (images.shape, images.dtype, images.max()) == ((1797, 8, 8), np.uint8, 16)


def test_442_patients_are_in_scikit_learn(home: Path) -> None:
    carried_by("sklearn")
    patients = prepare("org.scikit_learn.diabetes")["all"]
    progression = patients.to_numpy()["progression"]
    assert (len(patients), progression.min(), progression.max()) == (442, 25, 346)
    assert patients[0]["patient"]["age"] == 59


def test_two_photographs_are_in_scikit_learn(home: Path) -> None:
    carried_by("sklearn")
    photographs = prepare("org.scikit_learn.photographs")["all"]
    temple, flower = (photograph["picture"] for photograph in photographs)
    assert temple.shape == flower.shape == (427, 640, 3)
    # The sky is blue, and the flower is red.
    assert temple[:60].mean((0, 1)).argmax() == 2
    assert flower[200:300, 250:400].mean((0, 1)).argmax() == 0
    # They are stored as they are published.
    [spec] = find_spec("sklearn").submodule_search_locations
    published = Path(spec, "datasets", "images", "china.jpg").read_bytes()
    assert bytes(encoded(photographs, "picture")[0]["picture"]) == published


def test_1253_graphs_are_in_networkx(home: Path) -> None:
    carried_by("networkx")
    # The numbers of graphs of 0 to 7 nodes: https://oeis.org/A000088
    assert counts("org.networkx.atlas", "nodes") == [1, 1, 2, 4, 11, 34, 156, 1044]
    graphs = prepare("org.networkx.atlas")["all"]
    assert (graphs[-1]["nodes"], len(graphs[-1]["edges"])) == (7, 21)
    assert all(not len(graph["edges"]) or graph["edges"].max() < graph["nodes"] for graph in graphs)


def test_353_pairs_of_words_are_in_gensim(home: Path) -> None:
    carried_by("gensim")
    pairs = prepare("il.ac.technion.wordsim353")["all"]
    assert len(pairs) == 353
    assert [pairs[2][name] for name in ("first", "second", "score")] == ["tiger", "tiger", 10.0]
    assert min(pairs.to_numpy()["score"]) >= 0


# --- the page


def test_the_page_lists_the_definitions() -> None:
    shown = table("datasets.md", "dataset")
    meant = [row_of(dataset) for dataset in ours()]
    lines = [f"| {' | '.join(row.values())} |" for row in meant]
    assert shown == meant, "\n".join(["docs/datasets.md should have", *lines])


def row_of(dataset: Dataset) -> dict[str, str]:
    files = dataset.remote_files.values()
    digests = {file.digest.partition(":")[0] if file.digest else "none" for file in files}
    return {
        "dataset": dataset.name,
        "holds": dataset.summary,
        "tasks": ", ".join(dataset.tasks),
        "licence": str(dataset.license),
        "from": ", ".join(sorted({source(url) for file in files for url in file.urls})),
        "digest": ", ".join(sorted(digests)),
        "run on its publisher's bytes": "yes" if dataset.name in VERIFIED else "no",
    }


def source(url: str) -> str:
    parts = urlsplit(url)
    return f"package {parts.netloc}" if parts.scheme == "package" else parts.netloc
