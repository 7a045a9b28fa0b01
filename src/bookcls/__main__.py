"""``python -m bookcls``: lists the commands."""

import sys

from bookcls import __version__

TEXT = f"""bookcls {__version__}: a strong image classifier from a few photos

  python -m bookcls.init       arrange your photos for training
  python -m bookcls.check      find problems in a dataset before training
  python -m bookcls.train      from a folder of photos to a tested classifier
  python -m bookcls.evaluate   test a trained classifier again, or on other photos
  python -m bookcls.predict    classify photos without labels
  python -m bookcls.tune       choose a recipe using only the training photos
  python -m bookcls.report     summarise many runs in tables, plots and a page
  python -m bookcls.cam        show and measure what a model looked at
  python -m bookcls.serve      serve a model as a web page and over HTTP
  python -m bookcls.export     export a model for use in other programs
  python -m bookcls.fetch      download the real photos of the 2018 study
  python -m bookcls.pretrain   pretrain VGG16 on rendered scenes

--help after any of them lists its settings. Start with
  python -m bookcls.train experiment=sample
"""


def main() -> None:
    """Prints the commands.

    Raises:
        SystemExit: With code 2 if there are arguments, which belong to one of the commands.
    """
    print(TEXT, end="")
    words = sys.argv[1:]
    if words and words[0] not in ("-h", "--help"):
        command = words[0] if f"bookcls.{words[0]} " in TEXT else "train"
        print(f"bookcls: error: write python -m bookcls.{command} ...", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
