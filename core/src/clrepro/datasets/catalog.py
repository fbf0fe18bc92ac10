"""What each data set consists of: files, checksums, licence, and where its publisher offers it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """A data set as its publisher distributes it.

    Attributes: files — role (x_train, y_train, x_test, y_test, or archive) to official file name, what a
        download fetches; others — further forms in which it may lie, each role to file or folder; sha256 —
        name of each of `files` to hex digest; n_classes — labels are 0 to n_classes - 1; contents — name of
        each file that is also found unpacked to the hex digest of its unpacked bytes; mirrors — addresses
        that a file name is appended to; folders — sub-folders of a data folder in which the files are usually
        kept, most usual first.
    """

    name: str
    title: str
    licence: str
    files: dict[str, str]
    sha256: dict[str, str]
    n_classes: int
    contents: dict[str, str] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()
    folders: tuple[str, ...] = field(default=("",))
    others: tuple[dict[str, str], ...] = ()


_IDX = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}

CATALOG = {
    entry.name: entry
    for entry in (
        Entry(
            name="mnist",
            title="MNIST handwritten digits, 60,000 + 10,000 images 28×28 (LeCun, Cortes, Burges)",
            licence="CC BY-SA 3.0",
            files=_IDX,
            n_classes=10,
            contents={
                "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
            sha256={
                "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",  # noqa: E501
                "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",  # noqa: E501
                "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",  # noqa: E501
                "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",  # noqa: E501
            },
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            folders=("mnist", "", "MNIST/raw"),
        ),
        Entry(
            name="fashion_mnist",
            title="Fashion-MNIST, 60,000 + 10,000 images 28×28 (Xiao, Rasul, Vollgraf; Zalando)",
            licence="MIT",
            files=_IDX,
            n_classes=10,
            contents={
                "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
            sha256={
                "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",  # noqa: E501
                "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",  # noqa: E501
                "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",  # noqa: E501
                "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",  # noqa: E501
            },
            mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
            folders=("fashion_mnist", "", "FashionMNIST/raw"),
        ),
        Entry(
            name="cifar10",
            title="CIFAR-10, 50,000 + 10,000 colour images 32×32 (Krizhevsky)",
            licence="none stated; cite Krizhevsky 2009",
            files={"archive": "cifar-10-python.tar.gz"},
            n_classes=10,
            sha256={
                "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            },
            mirrors=("https://www.cs.toronto.edu/~kriz/",),
            folders=("cifar10", "CIFAR10", ""),
            others=(
                {"archive": "cifar-10-binary.tar.gz"},
                {"archive": "cifar-10-batches-bin"},
                {"archive": "cifar-10-batches-py"},
            ),
        ),
        Entry(
            name="cifar100",
            title="CIFAR-100, 50,000 + 10,000 colour images 32×32, 100 classes (Krizhevsky)",
            licence="none stated; cite Krizhevsky 2009",
            files={"archive": "cifar-100-python.tar.gz"},
            n_classes=100,
            sha256={
                "cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            },
            mirrors=("https://www.cs.toronto.edu/~kriz/",),
            folders=("cifar100", "CIFAR100", ""),
            others=(
                {"archive": "cifar-100-binary.tar.gz"},
                {"archive": "cifar-100-binary"},
                {"archive": "cifar-100-python"},
            ),
        ),
        Entry(
            name="svhn",
            title="SVHN, cropped house numbers, 73,257 + 26,032 images 32×32 (Netzer et al.)",
            licence="non-commercial use only",
            files={"train": "train_32x32.mat", "test": "test_32x32.mat"},
            n_classes=10,
            sha256={},
            folders=("svhn", "SVHN", ""),
        ),
        Entry(
            name="notmnist",
            title="notMNIST (small), letters A to J in many fonts, about 18,700 images 28×28 (Bulatov)",
            licence="none stated",
            files={"archive": "notMNIST_small.tar.gz"},
            n_classes=10,
            sha256={},
            folders=("notmnist", "notMNIST", ""),
            others=({"archive": "notMNIST_small"},),
        ),
        Entry(
            name="mini_imagenet",
            title="mini-ImageNet, 100 classes of 600 images 84×84 (Vinyals et al., from ImageNet)",
            licence="that of ImageNet: non-commercial research",
            files={part: f"mini-imagenet-cache-{part}.pkl" for part in ("train", "test", "val")},
            n_classes=100,
            sha256={},
            folders=("mini_imagenet", "mini-imagenet", ""),
            others=({part: f"mini_imagenet_{part}.pkl" for part in ("train", "test", "val")},),
        ),
        Entry(
            name="mini_imagenet_jpeg",
            title="mini-ImageNet as JPEG files, 100 classes of 500 + 100 images 84×84: once more lossy",
            licence="that of ImageNet: non-commercial research",
            files={"archive": "mini_imagenet_jpeg.zip"},
            n_classes=100,
            sha256={},
            folders=("mini_imagenet_jpeg", ""),
            others=({"archive": "mini_imagenet_jpeg"},),
        ),
        Entry(
            name="cub",
            title="Caltech-UCSD Birds-200-2011, 5,994 + 5,794 photographs of 200 species (Wah et al.)",
            licence="non-commercial research",
            files={"archive": "CUB_200_2011.tgz"},
            n_classes=200,
            sha256={},
            folders=("cub", "CUB", ""),
            others=({"archive": "CUB_200_2011"},),
        ),
    )
}
